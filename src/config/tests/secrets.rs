//! A secret in the configuration never shows in what is said of it.

use std::path::Path;

use super::{BUILTIN, said, same};
use crate::config::{load_text, parse_definition};

const CANARY: &str = "hunter2";

/// Broken in every way, with the secret wherever people put one.
const BROKEN: &[&str] = &[
    "password: hunter2\n",
    "hunter2\n",
    "- hunter2\n",
    "[hunter2, hunter2",
    "{ password: hunter2",
    "password: \"hunter2\n",
    "password: 'hunter2\n  hunter2: x\n",
    "accounts: hunter2\n",
    "accounts: { a: hunter2 }\n",
    "accounts: { a: [hunter2] }\n",
    "accounts:\n  a:\n    credentials:\n      password: hunter2: x\n",
    "accounts:\n  a:\n    credentials:\n      password:hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: hunter2\n     account: x\n",
    "accounts:\n  a:\n    credentials:\n\t  password: hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: @hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: %hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: *hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: !hunter2 x\n",
    "accounts:\n  a:\n    credentials:\n      password: {hunter2}\n",
    "accounts:\n  a:\n    credentials:\n      password: {{hunter2}}\n",
    "accounts:\n  a:\n    credentials:\n      password: [hunter2]\n",
    "accounts:\n  a:\n    credentials:\n      password: \"hunter2\\q\"\n",
    "accounts:\n  a:\n    credentials:\n      password: 'hunter2'x\n",
    "accounts:\n  a:\n    credentials:\n      password: hunter2 #hunter2\n      password: hunter2\n",
    "accounts:\n  a:\n    credentials:\n      password: x\n      password: \"- : { hunter2 }\"\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: x, password: hunter2, x: hunter2 }, unknown: hunter2 }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: x, \"hunter2\" } }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: hunter2 }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: [hunter2, { a: hunter2 }] }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: hunter2hunter2hunter2, password: { file: hunter2 } } }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: { env: \"hunter2!\" }, password: { hunter2: x } } }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: { vault: hunter2 }, password: { value: hunter2 } } }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: { command: hunter2 hunter2 }, password: { command: [./hunter2] } } }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { account: { command: [hunter2 -x] }, password: { credential: /hunter2 } } }\n",
    "accounts:\n  a: { provider: bizppurio, credentails: { password: hunter2 }, password: hunter2 }\n",
    "accounts:\n  a: { provider: bizppurio, base_url: \"https://x:hunter2@h\", http: { proxy: \"ftp://x:hunter2@h\" } }\n",
    "accounts:\n  a: { provider: bizppurio, base_url: \"https://h/?key=hunter2\" }\n",
    "accounts:\n  a: { provider: bizppurio, base_url: \"https://h/#hunter2\", environment: x }\n",
    "accounts:\n  a: { provider: rotating, params: { token_url: \"http://h/?key=hunter2\", client_secret: hunter2 } }\n",
    "accounts:\n  a:\n    provider: bizppurio\n    credentials:\n      password: |\n        hunter2\n        hunter2: x\n      other: >\n        hunter2\n",
    "accounts:\n  a:\n    provider: bizppurio\n    credentials: { password: \"hunter2\n      hunter2\", a: &x hunter2, b: *x }\n    renew: { before: *x }\n",
    "defaults: { credentials: { pass: hunter2 }, params: { secret: hunter2 } }\naccounts: { a: { provider: bizppurio } }\n",
    "agent: { alerts: [{ webhook: hunter2 }, { webhook: { url: \"ftp://h/hunter2\" } }, { webhook: { url: \"https://h/hunter2\", att: x } }, { command: [./x, --key=hunter2] }, hunter2] }\naccounts: {}\n",
    "vault: { address: \"https://u:hunter2@h\", auth: { token: hunter2, tokn: hunter2 } }\naccounts: {}\n",
    "vault: { address: \"http://h/\", auth: { approle: { role_id: hunter2, secret_id: hunter2, mont: hunter2 } } }\naccounts: {}\n",
    "vault: hunter2\ntemplates: [{ path: x, inline: \"hunter2 {{ x }}\", token: hunter2 }, hunter2]\naccounts: {}\n",
    "templates: [{ directory: /x, files: { token: \"{{ accounts.x }}hunter2\", b: { inlin: hunter2 } } }]\naccounts: {}\n",
    "accounts:\n  a: { provider: bizppurio, verify: { url: \"http://h/hunter2\", urll: hunter2 }, on_change: [webhook: { url: \"ftp://h/hunter2\" }, command: [./hunter2, hunter2], command: hunter2] }\n",
    "accounts:\n  a: { provider: bizppurio, verify: \"http://h/hunter2\", on_change: [command: { argv: [/x, --token=hunter2], timeout: 1x }, { signal: hunter2 }, hunter2] }\n",
    "accounts:\n  a: { provider: bizppurio, credentials: { password: { vault: { mount: hunter2, path: hunter2?, key: hunter2, k: hunter2 } } } }\n",
    "accounts:\n  a: { provider: bizppurio, sinks: [vault: { fields: { token: \"hunter2 {{ x }}\" }, feilds: hunter2 }, kubernetes: { keys: { token: \"hunter2 {{ x }}\" } }] }\n",
    "accounts:\n  a: { provider: bizppurio, sinks: [file: { path: /x, template: \"password=hunter2 {{ x }}\" }, file: { path: /y, template: \"{{ x }} hunter2\" }] }\n",
    "templates:\n  - { path: /x, inline: \"Authorization: Bearer hunter2 {{ x }}\" }\n  - { path: /y, inline: \"X-Key: hunter2={{ x }}\" }\naccounts: {}\n",
    "templates:\n  - path: /x\n    inline: |\n      hunter2\n      https://u:hunter2@h/{{ x }}\n      https://hunter2:{{ x }}@h\naccounts: {}\n",
    "accounts:\n  a: { provider: bizppurio, on_change: [command: [curl, -uroot:hunter2, --user=hunter2, -H, \"Authorization: Bearer hunter2\", \"https://u:hunter2@h/hunter2\", hunter2, /hunter2], signal: x] }\n",
    "accounts:\n  a: { provider: bizppurio, on_change: [command: { argv: [hunter2 x, hunter2], timeot: 1s }, command: [sh, -c, \"login --password hunter2\"], x: y] }\n",
    "accounts: {}\nproviders: { p: { issue: { request: { path: /x, headers: { Authorization: \"hunter2 {{ x }}\" }, form: { client_secret: \"hunter2 {{ x }}\" } } } } }\n",
    "accounts: {}\nproviders: { p: { issue: { request: { path: /x, json: { password: \"hunter2 {{ x }}\" }, basic: { username: x, password: \"hunter2 {{ x }}\" } } } } }\n",
];

#[test]
fn no_message_and_no_source_line_shows_a_secret() {
    for text in BROKEN {
        let problems = load_text(Path::new("x.yaml"), text, &|_| None, &BUILTIN).expect_err(text);
        assert!(!problems.0.is_empty());
        for shown in [problems.to_string(), format!("{problems:?}")] {
            assert!(!shown.contains(CANARY), "{text}\n{shown}");
        }
    }
}

#[test]
fn a_warning_shows_no_secret_either() {
    let shown = said(
        "accounts:\n  a: { provider: bizppurio, credentials: { account: x, password: hunter2 }, sinks: [ file: { path: /x, mode: 0644 } ] }\n",
    );
    assert!(shown.contains("password: ***") && !shown.contains(CANARY), "{shown}");
}

#[test]
fn a_definition_shows_its_pointers_but_no_secret() {
    let text = "response: { token: /data/accessToken, expiry: [{ fixed: 1x }] }\nissue: { request: { path: /x, form: { secret: hunter2 } } }\n";
    let shown = parse_definition("p", "p.yaml", text).expect_err("a bad duration").to_string();
    assert!(shown.contains("token: /data/accessToken") && !shown.contains(CANARY), "{shown}");
}

#[test]
fn the_source_line_keeps_its_keys_and_the_caret_its_place() {
    same(
        &said(
            "accounts:\n  a: { provider: bizppurio, credentials: { account: 비밀번호, password: hunter2 }, renew: { befor: 1m } } # hunter2\n",
        ),
        r"
/etc/renewd/renewd.yaml:2:89: unknown key `befor` in `renew`
  2 |   a: { provider: bizppurio, credentials: { account: ***, password: *** }, renew: { befor: 1m } }
    |                                                                                    ^
  hint: did you mean `before`?
",
    );
    same(
        &said("accounts: {}\nproviders:\n  나: { title: 한국어 }\n"),
        r"
/etc/renewd/renewd.yaml:3:3: not a provider's name: 1 to 64 of `a-z 0-9 . _ -`
  3 |   나: { title: 한국어 }
    |   ^
",
    );
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let shown = said("\"a\\e[31m\u{200b}\u{9b}b\": x\naccounts: { \"x\\u001b]0;\": {} }\n");
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
}

#[test]
fn what_is_no_secret_of_a_hook_or_a_template_stays_readable() {
    let cases = [
        (
            "accounts:\n  a:\n    on_change: [command: [systemctl, --no-block, reload, -q, /run/app/unit, --user=x], sgnal: {}]\n",
            "on_change: [command: [systemctl, --no-block, ***, -q, /run/app/unit, ***], sgnal: {}]",
        ),
        (
            "accounts:\n  a:\n    on_change:\n      - command: { argv: [/usr/bin/reload-app, now], timeot: 1s }\n",
            "- command: { argv: [/usr/bin/reload-app, ***], timeot: 1s }",
        ),
        (
            "accounts:\n  a:\n    sinks:\n      - file: { path: /x, template: \"TOKEN={{ acess_token }}\" }\n",
            "- file: { path: /x, template: \"TOKEN={{ acess_token }}\" }",
        ),
        (
            "templates:\n  - path: /x\n    inline: |\n      export TOKEN=\"{{ accounts.a.acess_token }}\"\naccounts: {}\n",
            "export TOKEN=\"{{ accounts.a.acess_token }}\"",
        ),
        (
            "templates:\n  - path: /x\n    inline: '{\"token\": {{ accounts.a.account }}, \"other\": {{ acounts }} }'\naccounts: {}\n",
            "inline: '{\"token\": {{ accounts.a.account }}, \"other\": {{ acounts }} }'",
        ),
    ];
    for (text, line) in cases {
        let shown = said(text);
        assert!(shown.contains(line), "{line}\n\n{shown}");
    }
}
