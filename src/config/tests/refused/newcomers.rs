//! What people get wrong in their first hour.

use super::super::{said, same};
use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "a credential without its name",
        r"accounts:
  a: { provider: bizppurio, credentials: s3cr3t }
  b: { provider: bizppurio, credentials: [s3cr3t], params: text }
",
        r"
2:42: expected a mapping, found a single value (each stands below by its name: `credentials: { NAME: { file: /run/secrets/NAME } }`)
3:42: expected a mapping, found a list (each stands below by its name: `credentials: { NAME: { file: /run/secrets/NAME } }`)
3:60: expected a mapping, found a single value (each stands below by its name: `params: { NAME: VALUE }`)
",
    ),
    (
        "a secret's command as a shell would have it",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: { command: 'cat x' } } }
",
        r"
2:77: expected a list of the program and its arguments, found a single value (write `command: [PROGRAM, ARGUMENT]`; no shell is involved)
",
    ),
    (
        "accounts as a list",
        r"accounts:
  - name: a
    provider: bizppurio
",
        r"
2:3: expected a mapping, found a list (each stands below by its name: `accounts: { NAME: { ... } }`; `accounts: {}` means none)
",
    ),
    (
        "durations",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, renew: { min_interval: 5x } }
  b: { provider: bizppurio, credentials: { account: z, password: y }, renew: { min_interval: 1h 30m } }
  c: { provider: bizppurio, credentials: { account: u, password: y }, renew: { min_interval: 1.5h } }
  d: { provider: bizppurio, credentials: { account: v, password: y }, renew: { min_interval: -5m } }
  e: { provider: bizppurio, credentials: { account: w, password: y }, renew: { min_interval: 300 } }
",
        r"
2:94: expected a duration such as `90s`, `10m` or `1h30m` (a number and its unit: `s`, `m`, `h`, `d`, `w` or `ms`)
3:94: expected a duration such as `90s`, `10m` or `1h30m` (write it without spaces)
4:94: expected a duration such as `90s`, `10m` or `1h30m` (whole numbers only: one and a half hours are `1h30m`)
5:94: expected a duration such as `90s`, `10m` or `1h30m` (it cannot be negative)
6:94: expected a duration such as `90s`, `10m` or `1h30m` (the unit is missing: `s`, `m`, `h`, `d`, `w` or `ms`)
",
    ),
    (
        "modes",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - file: { path: /run/a, mode: rw }
      - file: { path: /run/b, mode: "888" }
      - file: { path: /run/c, mode: u=rw }
      - file: { path: /run/d, mode: 640 }
"#,
        r#"
6:37: expected a file mode such as "0640" (a digit from 0 to 7 each for the owner, the group and all others: 4 is read, 2 is write)
7:37: expected a file mode such as "0640" (a digit from 0 to 7 each for the owner, the group and all others: 4 is read, 2 is write)
8:37: expected a file mode such as "0640" (a digit from 0 to 7 each for the owner, the group and all others: 4 is read, 2 is write)
"#,
    ),
    (
        "a secret of two sources",
        r"accounts:
  a:
    provider: bizppurio
    credentials:
      account: { vault: { mount: m, path: p, key: k }, env: A, file: /x }
      password:
        file: /x
        env: A
",
        r"
5:56: a secret has exactly one source, and here are `vault`, `env` and `file` (keep the one where it is, and remove the rest)
8:9: a secret has exactly one source, and here are `file` and `env` (keep the one where it is, and remove the rest)
",
    ),
    (
        "no space after the colon",
        r"accounts:
  a:
    provider:bizppurio
    credentials: { account: x, password: y }
",
        r"
3:14: a space after the `:` is missing (without it the key and its value are one word to YAML)
",
    ),
    (
        "no space after the only colon",
        r"accounts:
  a:
    provider:bizppurio
",
        r"
3:5: expected a mapping, found a single value (is a space after the `:` missing?)
",
    ),
    (
        "a variable in braces",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: ${PASSWORD} } }
",
        r#"
2:67: a `,` or `}` is missing (variables such as `${NAME}` are not expanded: a secret from the environment is `{ env: NAME }`)
"#,
    ),
    (
        "hooks in forms that are none",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, on_change: systemctl reload app }
  b: { provider: bizppurio, credentials: { account: z, password: y }, on_change: [signal: HUP] }
",
        r"
2:82: expected a list, found a single value (write each as an item, as in `- command: [PROGRAM, ARGUMENT]`)
3:91: expected a mapping, found a single value (write `signal: { pid_file: PATH, signal: HUP }`)
",
    ),
    (
        "a list where one value is wanted",
        r"accounts:
  a: { provider: [bizppurio], credentials: { account: x, password: y } }
  b: { provider: bizppurio, credentials: { account: z, password: [y] }, params: { scope: [a, b] } }
",
        r"
2:18: expected a name, found a list (one value, without `[` and `]` or `- `)
3:66: expected a secret or one of `env`, `file`, `credential`, `command`, `vault`, found a list (one value, without `[` and `]` or `- `)
3:90: expected text, found a list (one value, without `[` and `]` or `- `)
",
    ),
    (
        "a credential beside `credentials`",
        r"accounts:
  a:
    provider: bizppurio
    secret: y
    credentials: { account: x }
",
        r"
4:5: unknown key `secret` in an account (the keys here are `provider`, `environment`, `base_url`, `credentials`, `params`, `renew`, `http`, `verify`, `sinks` and `on_change`; a password or key of the vendor's stands under `credentials`)
5:5: credential `password` is missing (add it under `credentials`, as in `password: { file: /run/secrets/NAME }`)
",
    ),
    (
        "an account that begins too far left",
        r"accounts:
a:
  provider: bizppurio
  credentials: { account: x, password: y }
",
        r"
1:9: expected a mapping, found nothing (`accounts: {}` means none)
2:1: unknown key `a` in the main file (an account stands under `accounts:`, and begins further right than that)
",
    ),
    (
        "accounts without `accounts`",
        r"pay:
  provider: bizppurio
  credentials: { account: x, password: y }
",
        r"
1:1: `accounts` is missing in the main file (add `accounts`: the accounts by name: `[a-z0-9][a-z0-9._-]{0,62}`. `{}` where there are none yet.)
1:1: unknown key `pay` in the main file (an account stands under `accounts:`, and begins further right than that)
",
    ),
    (
        "a text as `content`",
        r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - file: { path: /run/a, content: "Bearer {{ access_token }}" }
      - vault: tokens
"#,
        r"
6:40: `content` must be one of `token`, `header`, `json` (a text of your own is `template: ...` in its place)
7:16: expected `MOUNT/PATH` such as `secret/tokens/messaging`, or a mapping (the mount comes first; one that has a `/` in it needs the long form: `{ mount: ..., path: ... }`)
",
    ),
];

#[test]
fn a_secret_that_looks_like_a_variable_is_warned_of() {
    for (secret, doubted) in
        [("$PASSWORD", true), ("${PASSWORD_2}", true), ("$pa$$word", false), ("$1", false), ("$", false)]
    {
        let text = format!(
            "accounts:\n  a: {{ provider: bizppurio, credentials: {{ account: x, password: \"{secret}\" }} }}\n"
        );
        let warning = r#"
/etc/renewd/renewd.yaml:2:66: this secret looks like a variable, and is taken as it is written
  2 |   a: { provider: bizppurio, credentials: { account: ***, password: *** } }
    |                                                                    ^
  hint: one from the environment is `{ env: NAME }`
"#;
        same(&said(&text), if doubted { warning } else { "" });
    }
}

#[test]
fn a_slip_in_a_template_is_marked_in_its_line() {
    let text = r#"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks:
      - file:
          path: /run/a
          template: |
            # the token
            T={{ access_token b64encode }}
"#;
    same(
        &said(text),
        r"
/etc/renewd/renewd.yaml:10:31: the template is not valid: unexpected identifier, expected end of variable block
  10 |             T={{ access_token b64encode }}
     |                               ^
",
    );
}
