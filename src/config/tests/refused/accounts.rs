//! Accounts, their secrets and sinks.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "an account's name",
        r#"accounts: { A: {}, -a: {}, "": {} }
"#,
        r"
1:13: not an account's name (1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit)
1:20: not an account's name (1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit)
1:28: not an account's name (1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit)
",
    ),
    (
        "an account without a provider",
        r"accounts: { a: {}, b: { provider: null }, c: { provider: [x] } }
",
        r"
1:13: `provider` is missing in an account (add `provider`: the provider's name: a built-in one, or one under `providers`.)
1:35: expected a name, found nothing (quote it where the word itself is meant)
1:58: expected a name, found a list (one value, without `[` and `]` or `- `)
",
    ),
    (
        "an unknown provider",
        r"accounts: { a: { provider: bizpurio } }
",
        r"
1:28: unknown provider `bizpurio` (did you mean `bizppurio`?)
",
    ),
    (
        "missing credentials",
        r"accounts:
  a: { provider: bizppurio }
  b: { provider: bizppurio, credentials: { account: 123456789012345678901 } }
",
        r"
2:3: credential `account` is missing (add `credentials: { account: { file: /run/secrets/NAME } }`)
2:3: credential `password` is missing (add `credentials: { password: { file: /run/secrets/NAME } }`)
3:29: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
3:53: `account` has 20 characters at most
",
    ),
    (
        "what a misspelt key explains is not told beside it",
        r"accounts:
  a: { provider: bizppurio, credentials: { acount: x, pasword: y } }
  b: { provider: bizppurio, credential: { account: x, password: y } }
  c: { provder: bizppurio }
  d: { provider: bizppurio, credentials: { acount: x } }
  e: { provider: bizppurio, credentials: { user: x } }
",
        r"
2:44: `bizppurio` has no credential `acount` (did you mean `account`?)
2:55: `bizppurio` has no credential `pasword` (did you mean `password`?)
3:29: unknown key `credential` in an account (did you mean `credentials`?)
4:8: unknown key `provder` in an account (did you mean `provider`?)
5:29: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
5:44: `bizppurio` has no credential `acount` (did you mean `account`?)
6:29: credential `account` is missing (add it under `credentials`, as in `account: { file: /run/secrets/NAME }`)
6:29: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
6:44: `bizppurio` has no credential `user` (its credentials are `account` and `password`)
",
    ),
    (
        "a missing credential that the vendor has a word for",
        r#"accounts:
  a: { provider: mine }
  b: { provider: mine, credentials: {} }
providers:
  mine:
    life: 1h
    credentials: { secretkey: { description: 시크릿키 } }
    issue: { request: { url: "https://x/t", form: { key: "{{ credentials.secretkey }}" } }, response: { token: /t } }
"#,
        r"
2:3: credential `secretkey` is missing (add `credentials: { secretkey: { file: /run/secrets/NAME } }` (시크릿키))
3:24: credential `secretkey` is missing (add it under `credentials`, as in `secretkey: { file: /run/secrets/NAME }` (시크릿키))
",
    ),
    (
        "sources of secrets",
        r#"accounts:
  a:
    provider: bizppurio
    credentials:
      account: { env: $NAME }
      password: { file: x, env: Y }
  b: { provider: bizppurio, credentials: { account: "", password: null } }
  c: { provider: bizppurio, credentials: { account: { command: [] }, password: { command: [./x] } } }
  d: { provider: bizppurio, credentials: { account: { credential: a/b }, password: [x] } }
  e: { provider: bizppurio, credentials: { account: { command: prog --flag }, password: {} } }
"#,
        r"
5:23: not the name of an environment variable (give the variable's name without `$`; the secret itself stands directly after the key)
6:28: a secret has exactly one source, and here are `file` and `env` (keep the one where it is, and remove the rest)
7:53: an empty secret
7:67: a secret is missing here (write it, or `{ file: /run/secrets/NAME }`; quote it where the word itself is meant)
8:64: an empty command
8:91: the program's path is relative (write the whole path, or a name to find in `PATH`)
9:67: not the name of a systemd credential (give its name, not its path)
9:84: expected a secret or one of `env`, `file`, `credential`, `command`, `vault`, found a list (one value, without `[` and `]` or `- `)
10:64: expected a list of the program and its arguments, found a single value (write `command: [PROGRAM, ARGUMENT]`; no shell is involved)
10:79: a secret has exactly one of `env`, `file`, `credential`, `command` and `vault` (write it, or one of these, as in `{ file: /run/secrets/NAME }`)
",
    ),
    (
        "where the API is",
        r#"accounts:
  a: { <<: &b { provider: bizppurio, credentials: { account: x, password: y } }, environment: staging, base_url: "https://h" }
  b: { <<: *b, environment: prod }
  c: { <<: *b, base_url: "http://example.com" }
  d: { <<: *b, base_url: "https://u@example.com" }
  e: { <<: *b, base_url: "https://example.com/?a=b" }
  f: { <<: *b, base_url: example.com }
"#,
        r"
3:29: `bizppurio` has no environment `prod` (its environments are `production` and `staging`)
4:26: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
5:26: a URL with a user name or password (secrets go under `credentials`)
6:26: a base URL with a query (leave out the `?` and what follows)
7:26: expected a URL such as `https://api.example.com` (write `https://example.com`)
",
    ),
    (
        "params",
        r#"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, params: { kind: c, scop: x } }
  b: { provider: rotating, credentials: { client_id: x, refresh_token: y } }
  c: { provider: rotating, credentials: { client_id: x, refresh_token: z }, params: { token_url: "http://example.com/token" } }
"#,
        r"
2:87: param `kind` must be one of `a` and `b`
2:90: `bizppurio` has no param `scop` (did you mean `scope`?)
3:3: param `token_url` is missing (where tokens are asked for)
4:98: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
",
    ),
    (
        "renewal",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    renew: { before: 24h, min_interval: 2d, timezone: Asia/Seoul }
",
        r"
5:22: the lead is not shorter than the token's life of 1d (a share such as `20%` fits every life)
5:41: `min_interval` is not shorter than the token's life of 1d
5:55: `timezone` without `cron` (it is the zone of `cron` and of nothing else)
",
    ),
    (
        "renewal, more",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    renew: { before: 100%, cron: "0 4 * * *", timezone: asia/seoul, min_interval: soon }
"#,
        r#"
5:22: a share must be more than 0% and less than 100%
5:34: a cron expression of five fields (the first of six is the second: "0 0 4 * * *")
5:57: there is no such time zone (did you mean `Asia/Seoul`?)
5:83: expected a duration such as `90s`, `10m` or `1h30m` (a number and its unit: `s`, `m`, `h`, `d`, `w` or `ms`)
"#,
    ),
    (
        "a calendar",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    renew: { before: 0%, cron: "99 * * * * *", timezone: Mars/Base }
"#,
        r#"
5:22: a share must be more than 0% and less than 100%
5:32: not a valid cron expression (second, minute, hour, day of the month, month, day of the week, as in "0 0 4 * * *")
5:58: there is no such time zone (an IANA name such as `Asia/Seoul` or `UTC`)
"#,
    ),
    (
        "http",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    http: { timeout: 0s, proxy: proxy:3128, ca_file: ca.pem, client_key_file: /k, source_address: eth0 }
",
        r"
5:22: `timeout` must be from 100 ms to 10 min
5:33: expected a URL such as `https://api.example.com` (it begins with `https://`)
5:54: the path is relative (write the whole path, from `/` on)
5:79: `client_key_file` needs `client_cert_file` beside it
5:99: expected an IP address such as `192.0.2.7`
",
    ),
    (
        "sinks",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - file: run/x
      - file: /run/x/
      - file: /run/../x
      - {}
      - /run/x
      - file: { content: token }
",
        r"
6:15: the path is relative (write the whole path, from `/` on)
7:15: the path ends in `/` (name the file itself)
8:15: a path with `..` (write the path without it)
9:9: a sink without a target (write `- file: PATH`)
10:9: expected a mapping, found a single value (write `- file: PATH`)
11:9: `path` is missing in `file` (add `path`: the file; missing folders are made, with mode 0755.)
",
    ),
    (
        "a file sink",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - file: { path: /run/x, content: yaml, mode: 4755, owner: "a b", write: inplace, when_expired: delete }
      - file: { path: /run/z, content: json, template: "{{ acess_token }}", mode: "0666" }
"#,
        r#"
6:40: `content` must be one of `token`, `header`, `json`
6:52: setuid, setgid and sticky bits make no sense here
6:65: expected a user's name or number
6:79: `write` must be one of `replace`, `in-place` (did you mean `in-place`?)
6:102: `when_expired` must be one of `keep`, `remove`
7:56: give `content` or `template`, not both
7:60: the template uses `acess_token`, which does not exist (did you mean `access_token`?)
7:83: anyone on this machine could replace the token (use "0640" and a group)
"#,
    ),
    (
        "sinks as a mapping",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks: { file: /run/x }
",
        r"
5:12: expected a list, found a mapping (write each sink as an item: `- file: /run/renewd/NAME.token`)
",
    ),
    (
        "files with two writers",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks: [ file: /run/x, file: /run//x, file: /run/x/y, file: /etc/renewd/renewd.yaml, file: /var/lib/renewd/x ]
  b:
    provider: bizppurio
    credentials: { account: x, password: { file: /run/secrets/p } }
    sinks: [ file: /run/x, file: /run/secrets/p, file: /run/renewd/renewd.sock ]
",
        r"
5:34: two sinks of `a` write this file (first on line 5)
5:49: this needs a folder where `a` writes a file (first on line 5)
5:65: a sink would overwrite the configuration
5:96: a sink inside the state directory (readers need a folder of their own, such as `/run/renewd`)
9:20: `a` and `b` both write this file (first on line 5)
9:34: a sink would overwrite a file that is read for a secret or a certificate
9:56: a sink would overwrite the control socket
",
    ),
    (
        "defaults",
        r"defaults: { renew: { befor: 1m }, params: { scop: x, kind: a } }
accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y } }
",
        r"
1:22: unknown key `befor` in `renew` (did you mean `before`?)
1:45: `bizppurio` has no param `scop` (did you mean `scope`?)
",
    ),
];
