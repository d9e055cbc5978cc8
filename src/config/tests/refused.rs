//! What is refused: every mistake at its place, with what to do about it.

use super::brief;

/// What is written, and what is said: `LINE:COLUMN: message (hint)`, a line for each mistake.
const CASES: &[(&str, &str, &str)] = &[
    (
        "an empty file",
        "",
        r"
1:1: the file is empty: `accounts` is missing (`renewd init` writes a configuration to start from; `accounts: {}` means none yet)
",
    ),
    (
        "a comment only",
        r"# nothing
",
        r"
1:1: the file is empty: `accounts` is missing (`renewd init` writes a configuration to start from; `accounts: {}` means none yet)
",
    ),
    (
        "no accounts",
        r"agent: {}
",
        r"
1:1: `accounts` is missing in the main file (add `accounts`: the accounts by name: `[a-z0-9][a-z0-9._-]{0,62}`. `{}` where there are none yet.)
",
    ),
    (
        "accounts without a value",
        r"accounts:
",
        r"
1:9: expected a mapping, found nothing (`accounts: {}` means none)
",
    ),
    (
        "accounts as a list",
        r"accounts: []
",
        r"
1:11: expected a mapping, found a list
",
    ),
    (
        "a list at the top",
        r"- a
",
        r"
1:1: expected a mapping, found a list (the keys of the main file are `include`, `agent`, `limits`, `defaults`, `accounts` and `providers`)
",
    ),
    (
        "a value at the top",
        r"just text
",
        r"
1:1: expected a mapping, found a single value (the keys of the main file are `include`, `agent`, `limits`, `defaults`, `accounts` and `providers`)
",
    ),
    (
        "a key twice",
        r"accounts: {}
accounts: {}
",
        r"
2:1: this key stands twice (first on line 1)
",
    ),
    (
        "two documents",
        r"accounts: {}
---
accounts: {}
",
        r"
2:1: a second document begins here; a file holds one
",
    ),
    (
        "a tag",
        r"accounts: !include {}
",
        r"
1:20: a YAML tag that means nothing here (remove the word that begins with `!`, or quote it)
",
    ),
    (
        "a tab",
        r"accounts:
	a: {}
",
        r"
2:2: a tab where YAML wants spaces (indent with spaces)
",
    ),
    (
        "an open bracket",
        r"accounts: {
",
        r#"
1:11: a `{` or `[` is not closed (a template needs quotes, as in "{{ access_token }}")
"#,
    ),
    (
        "an open quote",
        r#"accounts:
  a:
    provider: "x
"#,
        r"
4:1: a quoted value goes on here without indentation (is a quote above not closed?)
",
    ),
    (
        "a colon in a value",
        r"accounts:
  a:
    provider: x: y
",
        r"
3:16: a `:` where no key can stand (quote values that contain `: `; write one key a line, with a value or a deeper block below it)
",
    ),
    (
        "a template without quotes",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks: [file: { path: /run/x, template: {{ access_token }} }]
",
        r#"
5:46: a list or a mapping cannot be a key (text that begins with `{` or `[` needs quotes, as in "{{ access_token }}")
"#,
    ),
    (
        "an unknown anchor",
        r"accounts: *a
",
        r"
1:11: an alias whose anchor is not defined above (text that begins with `*` needs quotes)
",
    ),
    (
        "an alias of itself",
        r"accounts: &a { x: *a }
",
        r"
1:19: an alias of the value that it stands in
",
    ),
    (
        "a merge of a value",
        r"accounts:
  <<: x
",
        r"
2:7: `<<` merges mappings only
",
    ),
    (
        "unknown keys everywhere",
        r"agnet: {}
agent: { statedir: /x, log: { lvl: info } }
accounts:
  a: { provider: bizppurio, credentials: { account: x, pasword: y }, renew: { befor: 1m }, sinks: [ { fil: /x } ] }
",
        r"
1:1: unknown key `agnet` in the main file (did you mean `agent`?)
2:10: unknown key `statedir` in `agent` (did you mean `state_dir`?)
2:31: unknown key `lvl` in `log` (the keys here are `level` and `format`)
4:29: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
4:56: `bizppurio` has no credential `pasword` (did you mean `password`?)
4:79: unknown key `befor` in `renew` (did you mean `before`?)
4:103: unknown key `fil` in `sinks` (did you mean `file`?)
",
    ),
    (
        "parts that are not built yet",
        r"templates: []
vault: {}
agent: { audit: /x, alerts: [] }
accounts:
  a: { provider: bizppurio, credentials: { account: x, password: { vault: {} } }, verify: {}, on_change: [], sinks: [ vault: x, kubernetes: {} ] }
",
        r"
1:1: `templates` is not supported by this version of renewd yet
2:1: `vault` is not supported by this version of renewd yet
3:10: `audit` is not supported by this version of renewd yet
3:21: `alerts` is not supported by this version of renewd yet
5:68: `vault` is not supported by this version of renewd yet
5:83: `verify` is not supported by this version of renewd yet
5:95: `on_change` is not supported by this version of renewd yet
5:119: `vault` is not supported by this version of renewd yet
5:129: `kubernetes` is not supported by this version of renewd yet
",
    ),
    (
        "the agent",
        r"agent: { state_dir: x, socket: run/x, listen: localhost:80, shutdown_grace: 5, log: { level: warning, format: xml } }
accounts: {}
",
        r"
1:21: the path is relative (write the whole path, from `/` on)
1:32: the path is relative (write the whole path, from `/` on)
1:47: expected an address such as `127.0.0.1:9478`, or `off` (write `127.0.0.1:80`)
1:77: expected a duration such as `90s`, `10m` or `1h30m` (the unit is missing: `s`, `m`, `h`, `d`, `w` or `ms`)
1:94: `level` must be one of `error`, `warn`, `info`, `debug`, `trace`
1:111: `format` must be one of `auto`, `text`, `json`
",
    ),
    (
        "the agent, more",
        r"agent: { socket: [], listen: 80, shutdown_grace: 2h }
accounts: {}
",
        r"
1:18: expected an absolute path or `off`, or a mapping, found a list
1:30: expected an address such as `127.0.0.1:9478`, or `off` (an IP address and a port: `127.0.0.1:80`, or `0.0.0.0:80` for every interface)
1:50: `shutdown_grace` must be from 1 s to 1 h
",
    ),
    (
        "the socket",
        r#"agent: { socket: { path: /run/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, mode: 4777, group: "a b" } }
accounts: {}
"#,
        r"
1:26: a socket's path has 107 bytes at most
1:149: setuid, setgid and sticky bits make no sense here
1:162: expected a group's name or number
",
    ),
    (
        "the limits",
        r#"limits: { rate: 0/s, burst: 0, concurrency: many, hosts: { "https://x": {}, "a b": {}, h:80: { rate: fast } } }
accounts: {}
"#,
        r#"
1:17: a rate of nothing would never ask (`off` means no limit)
1:29: expected a whole number from 1 to 100000
1:45: expected a whole number from 1 to 100000
1:60: expected `host` or `host:port` (leave out the scheme, as in "api.example.com:443")
1:77: expected `host` or `host:port` (as in "api.example.com:443")
1:102: expected a rate such as `5/s`, `10/m` or `100/h`, or `off`
"#,
    ),
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
1:58: expected a name, found a list
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
2:3: credential `account` is missing (add it under `credentials`, as in `account: { file: /run/secrets/NAME }`)
2:3: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
3:29: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
3:53: `account` has 20 characters at most
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
6:7: a secret has exactly one of `env`, `file`, `credential` and `command`
7:53: an empty secret
7:67: a secret is missing here (write it, or `{ file: /run/secrets/NAME }`; quote it where the word itself is meant)
8:64: an empty command
8:91: the program's path is relative (write the whole path, or a name to find in `PATH`)
9:67: not the name of a systemd credential (give its name, not its path)
9:84: expected a secret or one of `env`, `file`, `credential`, `command`, found a list
10:64: expected a list, found a single value
10:79: a secret has exactly one of `env`, `file`, `credential` and `command`
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
2:114: give `environment` or `base_url`, not both
3:29: `bizppurio` has no environment `prod` (its environments are `production` and `staging`)
4:26: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
5:26: a URL with a user name or password (secrets go under `credentials`)
6:26: a base URL with a query (leave out the `?` and what follows)
7:26: expected a URL such as `https://api.example.com`
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
5:83: expected a duration such as `90s`, `10m` or `1h30m`
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
11:9: `path` is missing in `file` (add `path`: the file; its folder must exist.)
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
7:56: the template uses `acess_token`, which does not exist (did you mean `access_token`?)
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
    (
        "a definition",
        r#"accounts: {}
providers:
  Bad: {}
  x: { titel: a, life: 0s }
  y:
    environments: { a: "http://x.example.com" }
    default_environment: b
    credentials: { id: { identity: yes }, k: null }
    issue: { request: { path: x }, response: { token: x, expiry: [] } }
"#,
        r"
3:3: not a provider's name: 1 to 64 of `a-z 0-9 . _ -`
4:3: a definition needs `issue`, `refresh` or both
4:8: unknown key `titel` in a provider (did you mean `title`?)
4:24: a life of nothing
6:24: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
7:26: not one of `environments` (there are none)
8:36: expected `true` or `false`
8:46: expected a mapping, found nothing (the keys of a credential are `identity`, `optional`, `max_length`, `refresh_seed` and `description`)
9:31: expected a path such as `/v1/token` (a whole URL is given as `url`)
9:55: expected a JSON pointer such as `/data/token` (it begins with `/`)
9:66: `expiry` is an empty list
",
    ),
    (
        "a definition's request",
        r#"accounts: {}
providers:
  y:
    life: 1h
    response: { token: /t }
    credentials: { id: {} }
    issue:
      request:
        path: /x
        url: /y
        headers: { "a b": c, x-k: "{{ credentials.i }}", host: x }
        json: { a: "{{ nonse }}" }
        form: {}
    refresh: { request: { url: "{{ credentials.id }}", method: PATCH, basic: { username: "{{" } } }
"#,
        r"
8:7: a request has exactly one of `path` and `url`
10:14: a path in place of a whole URL (give it as `path`)
11:20: not the name of a header
11:35: the template uses `credentials.i`, which does not exist (did you mean `credentials.id`?)
11:58: this header is made from the request itself
12:20: the template uses `nonse`, which does not exist (did you mean `nonce`?)
13:15: a request has `json` or `form`, not both
14:32: the template uses `credentials.id`, which does not exist (there are `base_url` and `environment`)
14:64: `method` must be one of `GET`, `POST`, `PUT`
14:71: `password` is missing in `basic` (add `password`: a template.)
14:90: the template is not valid: unexpected end of input, expected expression
",
    ),
    (
        "a definition's response",
        r#"accounts: {}
providers:
  y:
    issue:
      request: { path: /x }
      response:
        token: []
        expiry:
          - { datetime: /x, format: "%Q", zone: Mars }
          - { datetime: /x }
          - { lifetime: x }
          - { lifetime: /x, jwt: exp }
          - { fixed: 1h, unit: s }
          - { param: p }
        errors: [{ class: bad }, { status: 700, at: /x, class: transient }]
        wait: [{ header: "a b", min: 2s, max: 1s }]
"#,
        r#"
7:16: `token` is an empty list
9:37: not a strptime format of a date and a time (as in "%Y%m%d%H%M%S")
9:49: there is no such time zone (an IANA name such as `Asia/Seoul` or `UTC`)
10:13: `datetime` needs a `format` such as "%Y-%m-%d %H:%M:%S"
11:25: expected a JSON pointer such as `/data/token` (it begins with `/`)
12:13: an expiry rule has exactly one of `lifetime`, `epoch`, `datetime`, `rfc3339`, `jwt`, `fixed` and `param`
13:32: `unit` goes with `lifetime` and `epoch` only
14:22: not one of `params` (there are none)
15:18: a rule without a condition (add `status`, or `at` with `values`)
15:27: `class` must be one of `rejected`, `throttled`, `transient`, `malformed`, `relogin`, `config`
15:34: `at` and `values` go together
15:44: expected an HTTP status such as `401` or `5xx`
16:26: not the name of a header
16:38: `min` is more than `max`
"#,
    ),
    (
        "a refresh without a first token",
        r"accounts: {}
providers: { y: { life: 1h, refresh: { request: { path: /x }, response: { token: /t } } } }
",
        r"
2:38: `refresh` without `issue` needs a first refresh token (mark the credential that holds it with `refresh_seed: true`)
",
    ),
];

#[test]
fn every_mistake_is_reported_at_its_place_with_a_hint() {
    for (what, text, expected) in CASES {
        let said = brief(text);
        assert!(said == expected.trim_matches('\n'), "{what}:\n{said}\n\nexpected:{expected}");
    }
}
