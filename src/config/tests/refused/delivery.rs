//! Vault, Kubernetes, verification, hooks.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "a vault section",
        r#"vault: { address: "http://vault.example.com:8200/v1", namespace: "a//b", ca_file: x, auth: {} }
accounts: {}
"#,
        r"
1:19: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
1:66: an empty part, `.` or `..` in a path of Vault
1:83: the path is relative (write the whole path, from `/` on)
1:86: a login has exactly one of `token`, `approle`, `kubernetes`, `jwt` and `cert`
",
    ),
    (
        "a vault section without anything",
        "vault: {}\naccounts: {}\n",
        r"
1:1: `address` is missing in `vault` (add `address`: the server, without a path; `https` except for this machine.)
1:1: `auth` is missing in `vault` (add `auth`: how to log in: exactly one way, as in `{ token: { file: /run/secrets/vault-token } }`.)
",
    ),
    (
        "an address with more than a host",
        r#"vault: { address: "https://vault.example.com:8200/v1/", auth: { token: { env: T } } }
accounts: {}
"#,
        r"
1:19: an address is a scheme, a host and a port (leave out the path, as in `https://vault.example.com:8200`)
",
    ),
    (
        "two ways to log in",
        r#"vault: { address: "https://u@v", auth: { token: { env: T }, jwt: { jwt: { env: J } } } }
accounts: {}
"#,
        r"
1:19: a URL with a user name or password (leave out what stands before the `@`)
1:34: a login has exactly one of `token`, `approle`, `kubernetes`, `jwt` and `cert`
",
    ),
    (
        "a way to log in that does not exist",
        r#"vault: { address: vault, auth: { aprole: {} } }
accounts: {}
"#,
        r"
1:19: expected a URL such as `https://api.example.com`
1:34: unknown key `aprole` in `auth` (did you mean `approle`?)
",
    ),
    (
        "logins that lack something",
        r#"vault: { address: "https://v", auth: { approle: { mount: "/", role_id: "" } } }
accounts: {}
"#,
        r"
1:58: expected a mount such as `secret`
1:72: an empty secret
",
    ),
    (
        "a certificate without its key",
        r#"vault: { address: "https://v", auth: { cert: { cert_file: /c.pem, name: "" } } }
accounts: {}
"#,
        r"
1:40: `key_file` is missing in `cert` (add `key_file`: its key (PEM).)
1:73: expected text
",
    ),
    (
        "a login whose secret is in Vault",
        r#"vault: { address: "https://v", auth: { kubernetes: { jwt: { vault: { mount: a, path: b, key: c } } } } }
accounts: {}
"#,
        r"
1:40: `role` is missing in `kubernetes` (add `role`: the role.)
1:59: a login to Vault whose secret is in Vault (give it as `{ file: ... }`, `{ env: ... }`, `{ credential: ... }` or `{ command: ... }`)
",
    ),
    (
        "vault sinks",
        r#"vault: { address: "http://[::1]:8200", auth: { token: { file: /run/t } } }
accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - vault: secret
      - vault: secret//x
      - vault: secret/../x
      - vault: [secret]
      - vault: { mount: secret, path: "a?b", kv: 3, fields: { "": "{{ access_token }}", t: "{{ tokn }}" } }
      - vault: { path: x, fields: {}, on_remove: remove, kv: v2 }
      - { vault: secret/x, file: /run/x }
"#,
        r"
7:16: expected `MOUNT/PATH` such as `secret/tokens/messaging`, or a mapping (the mount comes first; one that has a `/` in it needs the long form: `{ mount: ..., path: ... }`)
8:16: an empty part, `.` or `..` in a path of Vault
9:16: an empty part, `.` or `..` in a path of Vault
10:16: expected a mapping, found a list (the keys of `vault` are `mount`, `path`, `kv`, `fields` and `on_remove`)
11:39: a control character, `?`, `#`, `%` or `*` in a path of Vault
11:50: expected `1` or `2`
11:63: not the name of a field: it is empty, or a space stands at an end of it
11:96: the template uses `tokn`, which does not exist (there are `account`, `provider`, `access_token`, `token_type`, `issued_at`, `expires_at`, `expires_at_unix`, `generation`, `extra` and `refresh_token`)
12:9: `mount` is missing in `vault` (add `mount`: where the key-value engine is mounted, as in `secret`.)
12:35: `fields` is empty: nothing would be written (leave it out to write the token document's fields)
12:50: `on_remove` must be one of `keep`, `delete`
12:62: expected `1` or `2`
13:9: a sink has exactly one target
",
    ),
    (
        "vault without a section",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: { vault: { mount: secret, path: x, key: k } } }
    sinks: [vault: secret/y]
",
        r"
4:42: there is no `vault` section, which says where Vault is and how to log in (add `vault: { address: https://HOST:8200, auth: { ... } }` to the main file)
5:20: there is no `vault` section, which says where Vault is and how to log in (add `vault: { address: https://HOST:8200, auth: { ... } }` to the main file)
",
    ),
    (
        "secrets in Vault",
        r#"vault: { address: "https://v", auth: { token: { file: /run/t } } }
accounts:
  a:
    provider: bizppurio
    credentials: { account: { vault: { mount: m, path: p } }, password: { vault: m/p#k } }
  b:
    provider: bizppurio
    credentials: { account: { vault: { mount: m, path: "", key: " k" } }, password: { vault: { mount: m, path: p, key: k }, env: X } }
"#,
        r"
5:31: `key` is missing in `vault` (add `key`: the field whose text is the secret.)
5:82: expected a mapping, found a single value (a secret in Vault is written `vault: { mount: MOUNT, path: PATH, key: FIELD }`)
8:56: expected text
8:65: not the name of a field: it is empty, or a space stands at an end of it
8:125: a secret has exactly one source, and here are `vault` and `env` (keep the one where it is, and remove the rest)
",
    ),
    (
        "secrets on servers with two writers",
        r#"vault: { address: "https://v", auth: { token: { file: /run/t } } }
accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: { vault: { mount: secret, path: read, key: k } } }
    sinks:
      - vault: secret/x
      - vault: { mount: /secret/, path: /x/, kv: 1 }
      - vault: secret/read
      - kubernetes: { secret: s, namespace: n }
  b:
    provider: bizppurio
    credentials: { account: x, password: z }
    sinks: [vault: secret/x, kubernetes: { secret: s, namespace: n }, kubernetes: { secret: s, namespace: m }]
"#,
        r"
8:41: two sinks of `a` write this secret in Vault (first on line 7)
9:16: a sink would overwrite a secret that an account reads
14:20: `a` and `b` both write this secret in Vault (first on line 7)
14:52: `a` and `b` both write this Secret (first on line 10)
",
    ),
    (
        "kubernetes sinks",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - kubernetes: { secret: Token, namespace: a.b }
      - kubernetes: { secret: a..b, namespace: -a }
      - kubernetes: { secret: ok, namespace: ok, keys: { "a/b": "{{ access_token }}", ok: "{{ access_token|safe }}" } }
      - kubernetes: { secret: ok }
      - kubernetes: { namespace: ok, key: {} }
      - kubernetes: messaging-token
      - kubernetes: { secret: ok2, namespace: ok, keys: {} }
"#,
        r"
6:31: not the name of a Secret (1 to 253 of `a-z 0-9 - .`, with a letter or a digit at both ends and around each `.`)
6:49: not the name of a namespace (1 to 63 of `a-z 0-9 -`, with a letter or a digit at both ends)
7:31: not the name of a Secret (1 to 253 of `a-z 0-9 - .`, with a letter or a digit at both ends and around each `.`)
7:48: not the name of a namespace (1 to 63 of `a-z 0-9 -`, with a letter or a digit at both ends)
8:58: not a key of a Secret (1 to 253 of `A-Z a-z 0-9 - _ .`, neither `.` nor beginning with `..`)
8:108: there is no filter `safe` (there are `b64encode`, `datetime`, `default`, `env`, `join`, `json`, `length`, `lower`, `replace`, `sh`, `sha256`, `trim`, `upper` and `urlencode`)
9:9: no `namespace`, and `$POD_NAMESPACE` is not set (add `namespace`, or set `POD_NAMESPACE` from the downward API (`metadata.namespace`))
10:9: `secret` is missing in `kubernetes` (add `secret`: the Secret's name.)
10:38: unknown key `key` in `kubernetes` (did you mean `keys`?)
11:21: expected a mapping, found a single value (the keys of `kubernetes` are `secret`, `namespace`, `keys` and `on_remove`)
12:57: `keys` is empty: nothing would be written (leave it out to write the token document's fields)
",
    ),
    (
        "verification",
        r#"defaults: { verify: { url: "https://x", expect: 200 } }
accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, verify: "http://api.example.com/me" }
  b: { provider: bizppurio, credentials: { account: x, password: z }, verify: { expect: [], timeout: 2m } }
  c: { provider: bizppurio, credentials: { account: x, password: w }, verify: { url: "https://u:p@x", expect: [ok, 503, 200, 200, 99] } }
  d: { provider: bizppurio, credentials: { account: x, password: v }, verify: [] }
  e: { provider: bizppurio, credentials: { account: x, password: u }, verify: { url: "https://x/#y", status: 200 } }
"#,
        r"
3:79: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
4:71: `url` is missing in `verify` (add `url`: what is asked for; `https` except for this machine.)
4:89: `expect` is an empty list
4:102: `timeout` must be from 100 ms to 1 min
5:86: a URL with a user name or password (leave out what stands before the `@`)
5:112: expected an HTTP status such as `200` (statuses from 200 to 499 can be expected)
5:116: a status from 500 on says nothing of the token: it is tried again (statuses from 200 to 499 can be expected)
5:126: this status stands twice
5:131: expected an HTTP status such as `200` (statuses from 200 to 499 can be expected)
6:79: expected a mapping, found a list (the keys of `verify` are `url`, `expect` and `timeout`)
7:86: a URL with a fragment (leave out the `#` and what follows)
7:102: unknown key `status` in `verify` (the keys here are `url`, `expect` and `timeout`)
",
    ),
    (
        "hooks",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    on_change:
      - signal: { pid_file: run/app.pid, signal: HPU }
      - signal: { signal: KILL }
      - command: systemctl reload app
      - command: [bin/reload, app]
      - command: []
      - command: ["systemctl reload app"]
      - command: { argv: [/bin/true], timeout: 2h }
      - command: { timeout: 1s }
      - webhook: { url: "http://hooks.example.com/x", timeout: 10 }
      - webhook: "http://127.0.0.1/x"
      - { signal: { pid_file: /run/a.pid }, command: [/bin/true] }
      - {}
      - exec: [/bin/true]
      - webhook: { url: "https://u:p@h/" }
"#,
        r"
6:29: the path is relative (write the whole path, from `/` on)
6:50: expected a signal such as `HUP` (did you mean `HUP`?)
7:9: `pid_file` is missing in `signal` (add `pid_file`: the file with the id; read each time.)
7:27: expected a signal such as `HUP` (there are `HUP`, `INT`, `QUIT`, `USR1`, `USR2`, `TERM`, `WINCH` and `CONT`)
8:18: expected a list of the program and its arguments, found a single value (write `command: [PROGRAM, ARGUMENT]`; no shell is involved)
9:18: the program's path is relative (write the whole path, or a name to find in `PATH`)
10:18: an empty command
11:18: one word that holds a whole command line (write every argument as an item of its own: [prog, --flag, value]; no shell is involved)
12:48: `timeout` must be from 100 ms to 1 h
13:9: `argv` is missing in `command` (add `argv`: the program (a whole path, or a name to find in `PATH`) and its arguments.)
14:25: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
14:64: expected a duration such as `90s`, `10m` or `1h30m` (the unit is missing: `s`, `m`, `h`, `d`, `w` or `ms`)
15:18: expected a mapping, found a single value (write `webhook: { url: URL }`)
16:9: a hook has exactly one of `signal`, `command` and `webhook`
17:9: a hook has exactly one of `signal`, `command` and `webhook`
18:9: unknown key `exec` in `on_change` (the keys here are `signal`, `command` and `webhook`)
19:25: a URL with a user name or password (leave out what stands before the `@`)
",
    ),
    (
        "hooks as a mapping",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, on_change: { command: [/bin/true] } }
",
        r"
2:82: expected a list, found a mapping (each item of a list begins with `- `)
",
    ),
    (
        "sections in an included file's place",
        r"defaults: { templates: [], vault: {} }
accounts: {}
",
        r"
1:13: unknown key `templates` in `defaults` (the keys here are `provider`, `environment`, `base_url`, `credentials`, `params`, `renew`, `http`, `verify`, `sinks` and `on_change`)
1:28: unknown key `vault` in `defaults` (the keys here are `provider`, `environment`, `base_url`, `credentials`, `params`, `renew`, `http`, `verify`, `sinks` and `on_change`)
",
    ),
];
