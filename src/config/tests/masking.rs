//! What of a source line is shown and what is hidden: enough to see the mistake, and never a secret.

use std::path::Path;

use super::{BUILTIN, said, same};
use crate::config::load_text;

/// A text, and the line that is shown of it.
type Case = (&'static str, &'static str);

/// Nothing in these can be a secret.
const SHOWN: &[Case] = &[
    // A value of another notation.
    ("accounts:\n  a:\n    verify: true\n", "    verify: true"),
    ("accounts:\n  a:\n    verify: \"ftp://h.example.com/\"\n", "    verify: \"ftp://h.example.com/\""),
    ("accounts:\n  a:\n    renew: 10m\n", "    renew: 10m"),
    ("accounts:\n  a:\n    renew: [before, 10m]\n", "    renew: [***, 10m]"),
    ("accounts:\n  a:\n    provider: [bizppurio]\n", "    provider: [bizppurio]"),
    ("accounts:\n  a:\n    http: 30s\n", "    http: 30s"),
    ("accounts:\n  a:\n    sinks: /run/app/token\n", "    sinks: /run/app/token"),
    ("accounts:\n  a:\n    sinks: [/run/app/token]\n", "    sinks: [/run/app/token]"),
    ("accounts:\n  a:\n    on_change: [signal: HUP]\n", "    on_change: [signal: HUP]"),
    ("accounts: {}\nagent: { log: debug }\n", "agent: { log: debug }"),
    ("accounts: {}\nlimits: 5/s\n", "limits: 5/s"),
    ("accounts: {}\nagent: { shutdown_grace: 10 minutes }\n", "agent: { shutdown_grace: 10 minutes }"),
    // A key that stands twice.
    ("accounts:\n  a:\n    provider: bizppurio\n    provider: rotating\n", "    provider: rotating"),
    (
        "accounts:\n  a:\n    renew: { before: 1m }\n    renew: { before: 2m, cron: \"0 0 4 * * *\" }\n",
        "    renew: { before: 2m, cron: \"0 0 4 * * *\" }",
    ),
    // A key that is misspelt.
    ("accounts:\n  a:\n    provder: bizppurio\n", "    provder: bizppurio"),
    ("accounts:\n  a:\n    renew: { befor: 20% }\n", "    renew: { befor: 20% }"),
    ("accounts:\n  a:\n    verfy: true\n", "    verfy: true"),
    (
        "accounts:\n  a:\n    htpp: { timeout: 5s, ca_fil: /etc/ssl/x.pem }\n",
        "    htpp: { timeout: 5s, ca_fil: /etc/ssl/x.pem }",
    ),
    ("accounts: {}\nagent: { listn: 127.0.0.1:9478 }\n", "agent: { listn: 127.0.0.1:9478 }"),
    ("accounts: {}\nagent: { log: { levl: debug } }\n", "agent: { log: { levl: debug } }"),
    // A key in a wrong place.
    ("accounts:\n  a:\n    timeout: 5s\n", "    timeout: 5s"),
    ("accounts:\n  a:\n    mode: \"0640\"\n", "    mode: \"0640\""),
    ("accounts:\n  a:\n    when_expired: remove\n", "    when_expired: remove"),
    ("accounts: {}\nprovider: bizppurio\n", "provider: bizppurio"),
    // URLs without what follows the host.
    (
        "accounts:\n  a:\n    verify: { url: \"https://h.example.com:99999999/me\" }\n",
        "    verify: { url: *** }",
    ),
    (
        "accounts:\n  a:\n    verify: { url: \"http://h.example.com/me\" }\n",
        "    verify: { url: \"http://h.example.com*** }",
    ),
    ("accounts:\n  a:\n    base_url: ftp://h.example.com/v1\n", "    base_url: ftp://h.example.com/v1"),
    (
        "accounts:\n  a:\n    base_url: \"http://[2001:db8::1]:80/v1\"\n",
        "    base_url: \"http://[2001:db8::1]:80/v1\"",
    ),
    // What stands in the braces of a template, whatever it is called.
    (
        "accounts:\n  a:\n    sinks: [vault: { mount: m, path: p, fields: { token: \"{{ acess_token }}\" } }]\n",
        "    sinks: [vault: { mount: m, path: p, fields: { token: \"{{ acess_token }}\" } }]",
    ),
    // Tabs are arrows: they have to be told from spaces.
    ("accounts:\n\ta: {}\n", "→a: {}"),
    ("accounts:\n\tmessaging:\n\t\tprovider: x\n", "→messaging:"),
    ("accounts:\n  a:\n\tprovider: bizppurio\n", "→provider: bizppurio"),
    ("accounts:\n  a:\n  \tprovider: \"bizppurio\"\n", "  →provider: \"bizppurio\""),
    ("accounts:\n  a:\n    provider: x\n\t  environment: staging # which\n", "→  environment: staging"),
    ("accounts:\n  a:\n    renew:\n\tbefore: 10m\n", "→before: 10m"),
    ("accounts:\n  a:\n    renew:\n\tcron: 0 0 4 * * *\n", "→cron: 0 0 4 * * *"),
    ("accounts:\n  a:\n    verify:\n\texpect: 200\n", "→expect: 200"),
    ("accounts:\n  a:\n    credentials:\n\tappkey: hunter2\n", "→appkey: ***"),
    ("accounts:\n  a:\n    credentials:\n      account: x\n\t  appsecret: hunter2\n", "→  appsecret: ***"),
    // A block without a line ends where the next key begins.
    ("accounts:\n  a:\n    labels: |\n    provder: kis\n", "    provder: kis"),
    // A file that cannot be parsed for another reason.
    ("accounts:\n  a:\n    provider: \"bizppurio\n", "    provider: \"bizppurio"),
    ("accounts:\n  a:\n    provider:bizppurio\n    renew: {}\n", "    provider:***"),
];

/// Each has the canary where a secret may stand, and it stays hidden; the line tells the rest.
const HIDDEN: &[Case] = &[
    // Where secrets belong, in every form.
    ("accounts:\n  a:\n    credentials: { password: [hunter2] }\n", "    credentials: { password: [***] }"),
    (
        "accounts:\n  a:\n    credentials: { password: { hunter2: x } }\n",
        "    credentials: { password: { ***: *** } }",
    ),
    (
        "accounts:\n  a:\n    credentials: { password: { vault: { mount: m, kee: hunter2 } } }\n",
        "    credentials: { password: { vault: { mount: ***, ***: *** } } }",
    ),
    (
        "accounts:\n  a:\n    provider: bizppurio\n    credentials: { account: 10m, password: 10m, x: \"true\" }\n",
        "    credentials: { account: ***, password: ***, x: *** }",
    ),
    // A key that stands twice hides what the first one hides.
    (
        "accounts:\n  a:\n    credentials:\n      password: x\n      password: hunter2\n",
        "      password: ***",
    ),
    (
        "accounts:\n  a:\n    credentials: { password: x }\n    credentials: { password: hunter2, hunter2 }\n",
        "    credentials: { password: ***, *** }",
    ),
    ("accounts:\n  a:\n    verify: off\n    verify: https://h/hunter2\n", "    verify: https://h***"),
    // Misspelt.
    (
        "accounts:\n  a:\n    credentails: { password: hunter2, appkey: hunter2 }\n",
        "    credentails: { password: ***, appkey: *** }",
    ),
    ("accounts:\n  a:\n    credentails: hunter2\n", "    credentails: ***"),
    ("accounts:\n  a:\n    credentails: 123456\n", "    credentails: ***"),
    ("accounts:\n  a:\n    pasword: 123456\n", "    pasword: ***"),
    (
        "accounts: {}\nvault: { address: \"https://h\", auth: { tokn: hunter2, apprle: { secret_id: hunter2 } } }\n",
        "vault: { address: \"https://h\", auth: { tokn: ***, apprle: { secret_id: *** } } }",
    ),
    (
        "accounts: {}\nvault: { address: \"https://h\", auth: { approle: { role_id: x, secret: hunter2 } } }\n",
        "vault: { address: \"https://h\", auth: { approle: { role_id: ***, secret: *** } } }",
    ),
    // In a wrong place, or at a wrong depth.
    (
        "accounts:\n  a:\n    provider: bizppurio\n    credentials:\n    account: hunter2\n    password: hunter2\n",
        "    password: ***",
    ),
    ("accounts:\n  a:\n    provider: bizppurio\n    appkey: hunter2\n", "    appkey: ***"),
    ("accounts:\n  a:\n    provider: bizppurio\npassword: hunter2\n", "password: ***"),
    (
        "accounts:\n  a:\n    renew: { password: hunter2, key: 10m }\n",
        "    renew: { password: ***, key: *** }",
    ),
    (
        "accounts:\n  a:\n    http: { token: 0640, jwt: hunter2, secret: hunter2 }\n",
        "    http: { token: ***, jwt: ***, secret: *** }",
    ),
    ("accounts:\n  a: hunter2\n", "  a: ***"),
    ("accounts:\n  a: [hunter2, 12345]\n", "  a: [***, ***]"),
    ("accounts: {}\nvault: 12345\n", "vault: ***"),
    ("accounts:\n  a:\n    verify: hunter2\n", "    verify: ***"),
    ("accounts:\n  a:\n    sinks: hunter2\n", "    sinks: ***"),
    ("accounts:\n  a:\n    http: hunter2\n", "    http: ***"),
    // A further line of a value is a secret that lost its key.
    (
        "accounts:\n  a:\n    environment: x\n    environment: production\n      hunter2\n",
        "    environment: production",
    ),
    ("accounts:\n  a:\n    provider: x\n    provider: \"none\n      hunter2\"\n", "    provider: \"none"),
    // URLs: user, path, query, fragment, a forgotten scheme.
    ("accounts:\n  a:\n    verify: https://hunter2@h/\n", "    verify: ***"),
    ("accounts:\n  a:\n    verify: https://u:hunter2@h/x\n", "    verify: ***"),
    ("accounts:\n  a:\n    verify: http://h?hunter2\n", "    verify: http://h***"),
    ("accounts:\n  a:\n    verify: http://h#hunter2\n", "    verify: http://h***"),
    ("accounts:\n  a:\n    verify: \"http://h\\\\@hunter2\"\n", "    verify: ***"),
    (
        "accounts:\n  a:\n    on_change: [webhook: { url: http://h.example.com/services/hunter2 }]\n",
        "    on_change: [webhook: { url: http://h.example.com*** }]",
    ),
    ("accounts:\n  a:\n    http: { proxy: \"u:hunter2@proxy:3128\" }\n", "    http: { proxy: *** }"),
    ("accounts:\n  a:\n    base_url: h/?key=hunter2\n", "    base_url: ***"),
    (
        "accounts: {}\nvault: { address: \"hunter2@h\", auth: { token: x } }\n",
        "vault: { address: ***, auth: { token: *** } }",
    ),
    ("accounts:\n  a:\n    base_url: ftp://u:hunter2\n", "    base_url: ***"),
    ("accounts:\n  a:\n    http: { proxy: \"u:hunter2\" }\n", "    http: { proxy: *** }"),
    // An anchor that two places share: the stricter one counts.
    (
        "accounts:\n  a:\n    verify: &x http://h.example.com/hunter2\n    credentials: { password: *x, account: { x: y } }\n",
        "    verify: &x ***",
    ),
    (
        "accounts:\n  a:\n    sinks: [file: { path: /x, template: &x \"T={{ acess_token }}\" }]\n    credentials: { password: *x }\n",
        "    sinks: [file: { path: /x, template: &x *** }]",
    ),
    // A text around the braces of a template.
    (
        "accounts: {}\ntemplates: [{ path: /x, inline: \"hunter2 {{ x }}\" }]\n",
        "templates: [{ path: /x, inline: ***{{ x }}\" }]",
    ),
    // A file that cannot be parsed.
    (
        "accounts:\n  a:\n    credentials:\n      account: x\n      password: correct\n        hunter2: horse\n",
        "        ***",
    ),
    ("accounts:\n  a:\n    credentials:\n      password: \"hunter2\n", "      password: ***"),
    (
        "accounts:\n  a:\n    credentials:\n      password: 'hunter2\n      account: x\n",
        "      password: ***",
    ),
    (
        "accounts:\n  a:\n    credentials: { password: \"hunter2 }\n    sinks: [ file: \"/x\" ]\n",
        "    credentials: ***",
    ),
    ("accounts:\n  a:\n    credentials:\n\thunter2\n", "→***"),
    ("accounts:\n  a:\n    credentials:\n\thunter2:\n", "→***"),
    ("accounts:\n  a:\n    credentials:\n\tpassword:hunter2\n", "→password:***"),
    ("accounts:\n  a:\n    credentials:\n\tpassword:\thunter2\n", "→password:→***"),
    ("accounts:\n  a:\n    credentials:\n\t- hunter2\n", "→- ***"),
    ("accounts:\n  a:\n    credentials:\n      password: |\n        x\n\t  hunter2: x\n", "→  ***"),
    ("accounts:\n  a:\n    credentials:\n\ttoken: 123456\n", "→token: ***"),
    ("accounts:\n  a:\n    credentials:\n\tfile: /hunter2/hunter2\n", "→file: ***"),
    ("accounts:\n  a:\n    credentials:\n\tpath: /hunter2/hunter2\n", "→path: ***"),
    ("accounts:\n  a:\n    credentials:\n\tname: hunter2\n", "→name: ***"),
    ("accounts:\n  a:\n\tprovider: https://u:hunter2@h\n", "→provider: ***"),
    ("accounts:\n  a:\n\tprovider: x hunter2\n", "→provider: ***"),
    ("accounts:\n  a:\n\tbase_url: https://h/hunter2\n", "→base_url: ***"),
    ("accounts:\n  a:\n\tprovider: { x: hunter2 }\n", "→provider: ***"),
];

#[test]
fn what_cannot_be_a_secret_is_shown_and_what_may_be_one_is_hidden() {
    let mut wrong = Vec::new();
    for (text, line) in SHOWN.iter().chain(HIDDEN) {
        let problems = load_text(Path::new("x.yaml"), text, &|_| None, &BUILTIN).expect_err(text);
        let all = format!("{problems}\n{problems:?}");
        let lines: Vec<String> = problems.0.into_iter().filter_map(|problem| problem.source_line).collect();
        if !lines.iter().any(|shown| shown == line) {
            wrong.push(format!("{text}\nexpected {line:?}, is {lines:?}"));
        }
        if all.contains("hunter2") {
            wrong.push(format!("{text}\nleaks: {all}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), SHOWN.len() + HIDDEN.len(), wrong.join("\n\n"));
}

#[test]
fn a_quote_that_is_not_closed_is_told_where_it_began() {
    same(
        &said("accounts:\n  a:\n    provider: \"bizppurio\n    credentials: { account: x }\n"),
        r#"
/etc/renewd/renewd.yaml:3:15: a quote is not closed
  3 |     provider: "bizppurio
    |               ^
  hint: close it with `"` where the value ends; as it stands, the value goes on to line 4
"#,
    );
}
