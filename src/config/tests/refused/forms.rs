//! Forms that people write and that are none: the hint says the right one.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "hooks and a Vault secret in shorter forms than there are",
        r#"accounts:
  a: { provider: bizppurio, credentials: { account: { vault: secret/app }, password: y }, on_change: [webhook: "https://h/x", command: a b] }
"#,
        r"
2:62: expected a mapping, found a single value (a secret in Vault is written `vault: { mount: MOUNT, path: PATH, key: FIELD }`)
2:112: expected a mapping, found a single value (write `webhook: { url: URL }`)
2:136: expected a list of the program and its arguments, found a single value (write `command: [PROGRAM, ARGUMENT]`; no shell is involved)
",
    ),
    (
        "a login without `auth`",
        r#"vault: { address: "https://v", token: { file: /t } }
accounts: {}
"#,
        r"
1:1: `auth` is missing in `vault` (add `auth`: how to log in: exactly one way, as in `{ token: { file: /run/secrets/vault-token } }`.)
1:32: unknown key `token` in `vault` (it belongs under `auth`: `auth: { token: ... }`)
",
    ),
    (
        "a key beside a sink",
        r#"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, sinks: [{ file: /run/x, template: "{{ access_token }}" }] }
"#,
        r"
2:95: unknown key `template` in `sinks` (it belongs under `file`: `file: { path: ..., template: ... }`)
",
    ),
    (
        "accounts in a sink",
        r#"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, sinks: [file: { path: /run/x, template: "T={{ accounts.a.access_token }}" }] }
"#,
        r"
2:117: the template uses `accounts`, which does not exist (only `templates` see `accounts`; here a field stands alone, as in `{{ access_token }}`)
",
    ),
    (
        "a brace that is not closed, with other keys below",
        r"accounts:
  a:
    provider: bizppurio-napi
    credentials: { bizId: a, apiKey: b,
    renew:
      before: 10m
",
        r"
4:18: a `{` is not closed (close it with `}` where it ends; as it stands, it goes on to line 6)
",
    ),
    (
        "a list that is not closed after a mapping that is",
        r"accounts:
  a:
    sinks: [{ file: /run/x }
    provider: { b: c }
",
        r"
3:12: a `[` is not closed (close it with `]` where it ends; as it stands, it goes on to line 4)
",
    ),
    (
        "a comma that is missing between braces",
        r"accounts:
  a: {
    provider: bizppurio
    sinks: []
  }
",
        r#"
4:10: a `,` or `}` is missing (a template needs quotes, as in "{{ access_token }}")
"#,
    ),
    (
        "a date that never comes",
        r#"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, renew: { cron: "0 0 0 30 2 *" } }
  b: { provider: bizppurio, credentials: { account: z, password: y }, renew: { cron: "0 0 0 29 2 *" } }
"#,
        r"
2:86: a date that never comes: there is none in eight years (does that month have such a day? February ends on the 29th at the latest)
",
    ),
];
