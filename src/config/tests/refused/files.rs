//! The file as a whole, the agent, the limits.

use super::Case;

pub(super) const CASES: &[Case] = &[
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
1:11: expected a mapping, found a list (each stands below by its name: `accounts: { NAME: { ... } }`; `accounts: {}` means none)
",
    ),
    (
        "a list at the top",
        r"- a
",
        r"
1:1: expected a mapping, found a list (the keys of the main file are `include`, `agent`, `limits`, `vault`, `defaults`, `accounts`, `templates` and `providers`)
",
    ),
    (
        "a value at the top",
        r"just text
",
        r"
1:1: expected a mapping, found a single value (the keys of the main file are `include`, `agent`, `limits`, `vault`, `defaults`, `accounts`, `templates` and `providers`)
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
1:11: a `{` is not closed (close it with `}` where it ends; as it stands, it goes on up to the end of the file)
"#,
    ),
    (
        "an open quote",
        r#"accounts:
  a:
    provider: "x
"#,
        r#"
3:15: a quote is not closed (close it with `"` where the value ends; as it stands, the value goes on to line 4)
"#,
    ),
    (
        "an open quote that the next one closes",
        "accounts:\n  a: { provider: 'x,\n    credentials: { account: 'y' } }\n",
        r"
2:18: a quote is not closed (close it with `'` where the value ends; as it stands, the value goes on to line 3)
",
    ),
    (
        "an open quote up to the end",
        "accounts: {}\nagent: { state_dir: \"/x\n",
        r#"
2:21: a quote is not closed (close it with `"` where the value ends; as it stands, the value goes on up to the end of the file)
"#,
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
        "a space that is missing after a colon",
        r"accounts:
  a:
    provider:bizppurio

    # the password's file
    credentials: { account: x, password: y }
",
        r"
3:14: a space after the `:` is missing (without it the key and its value are one word to YAML)
",
    ),
    (
        "a space that is missing right above",
        "accounts:\n  a:\n    provider:bizppurio\n    credentials: {}\n",
        r"
3:14: a space after the `:` is missing (without it the key and its value are one word to YAML)
",
    ),
    (
        "a line that begins too far left",
        r"accounts:
  a:
   provider: bizppurio
    credentials: { account: x, password: y }
",
        r"
4:16: a `:` where no key can stand (this line begins further right than the one above, which has its value: keys of one mapping begin in one column)
",
    ),
    (
        "no-break spaces after a colon",
        "accounts:\n  a:\n    provider:\u{a0}bizppurio\n    credentials: {}\n",
        r"
4:16: a `:` where no key can stand (the line above has a no-break space (U+00A0) where YAML wants a space)
",
    ),
    (
        "no-break spaces before a key",
        "accounts:\n  a:\n    provider: bizppurio\n\u{a0}\u{a0}\u{a0}\u{a0}credentials: {}\n",
        r"
2:3: credential `account` is missing (add `credentials: { account: { file: /run/secrets/NAME } }`)
2:3: credential `password` is missing (add `credentials: { password: { file: /run/secrets/NAME } }`)
4:1: unknown key this one in the main file (the key holds a no-break space (U+00A0) where YAML wants a space)
",
    ),
    (
        "no-break spaces before keys below a key",
        "accounts:\n  a:\n    \u{a0}provider: bizppurio\n",
        r"
3:5: unknown key this one in an account (the key holds a no-break space (U+00A0) where YAML wants a space)
",
    ),
    (
        "a tab before a second key",
        "accounts:\n  a:\n    provider: bizppurio\n\tcredentials: {}\n",
        r"
4:1: a tab where YAML wants spaces (indent with spaces)
",
    ),
    (
        "a space that is missing in the last line",
        "accounts:\n  a:\n    provider: bizppurio\n    base_url:x\n",
        r"
4:14: a space after the `:` is missing (without it the key and its value are one word to YAML)
",
    ),
    (
        "a NUL byte",
        "accounts: {}\nagent:\0 {}\n",
        r"
2:7: a NUL byte (is it a text file, saved as UTF-8, and whole?)
",
    ),
    (
        "accounts as a list, with templates of accounts",
        r#"accounts: [pay]
templates:
  - { path: /run/x, inline: "{{ accounts.pay.access_token }}" }
  - { path: /run/y, inline: "{% for name in accounts %}{{ accounts[name].account }}{% endfor %}" }
"#,
        r"
1:11: expected a mapping, found a list (each stands below by its name: `accounts: { NAME: { ... } }`; `accounts: {}` means none)
",
    ),
    (
        "a template where there are no accounts",
        r#"accounts: {}
templates: [{ path: /run/x, inline: "{{ accounts.pay.access_token }}" }]
"#,
        r"
2:50: there is no account `pay` (there are no accounts)
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
4:56: `bizppurio` has no credential `pasword` (did you mean `password`?)
4:79: unknown key `befor` in `renew` (did you mean `before`?)
4:103: unknown key `fil` in `sinks` (did you mean `file`?)
",
    ),
    (
        "the audit log and the alerts",
        r#"agent:
  audit: logs/audit.jsonl
  alerts:
    - webhook: { url: "http://hooks.example.com/x", at: [warn, fatal, warn] }
    - command: mail root
    - { command: [mail], webhook: { url: "https://h" } }
    - webhook: { url: "https://h", att: [warn], at: [] }
    - signal: { pid_file: /run/x }
accounts: {}
"#,
        r"
2:10: the path is relative (write the whole path, from `/` on)
4:23: `http` would send secrets in the clear (use `https`; `http` is for this machine only: 127.0.0.0/8, [::1] and localhost)
4:64: expected `warn`, `critical` or `recovered` (there are `warn`, `critical` and `recovered`)
4:71: this level stands twice
5:16: expected a list of the program and its arguments, found a single value (write `command: [PROGRAM, ARGUMENT]`; no shell is involved)
6:7: an alert has exactly one of `webhook` and `command`
7:36: unknown key `att` in `webhook` (did you mean `at`?)
7:53: `at` is an empty list
8:7: unknown key `signal` in `alerts` (the keys here are `webhook` and `command`)
",
    ),
    (
        "the audit log in its long form",
        r#"agent: { audit: { mode: 4777, group: "a b" }, alerts: { webhook: { url: "https://h" } } }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"
1:10: `path` is missing in `audit` (add `path`: the file; lines are appended, and a missing file is made.)
1:25: setuid, setgid and sticky bits make no sense here
1:38: expected a group's name or number
1:55: expected a list, found a mapping (each item of a list begins with `- `)
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
        "a home folder that no shell has put in its place",
        r"include: [~/more.yaml]
agent: { state_dir: ~/state }
accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: { command: [~/bin/secret] } }
    sinks: [ file: ~/token ]
",
        r"
1:11: `~` is not expanded: write the home folder out
2:21: `~` is not expanded in a path (write the home folder out, as in `/home/me/...`)
6:53: `~` is not expanded in a command (write the home folder out)
7:20: `~` is not expanded in a path (write the home folder out, as in `/home/me/...`)
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
];
