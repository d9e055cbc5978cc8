//! No setting can change without a part that says so.

use std::collections::BTreeSet;

use super::*;
use crate::config;
use crate::provider::catalog;

fn makeup(text: &str) -> Makeup {
    let loaded = config::load_text("/etc/renewd.yaml".as_ref(), text, &|_| None, catalog::texts());
    Makeup::of(&loaded.unwrap_or_else(|problems| panic!("{problems}")).config, 7)
}

fn account(rest: &str) -> AccountMakeup {
    let text = format!("accounts: {{ a: {{ provider: bizppurio, {rest} }} }}");
    makeup(&text).accounts.into_values().next().unwrap()
}

#[test]
fn each_part_that_differs_is_named_and_what_a_token_belongs_to_apart() {
    let old = account("credentials: { account: one, password: x }");
    assert_eq!(old, account("credentials: { account: one, password: x }"));
    let password = account("credentials: { account: one, password: y }");
    assert_eq!(changed(&old.parts, &password.parts), ["credentials.password"]);
    assert_eq!(changed(&old.identity, &password.identity), [""; 0]);
    let other = account("credentials: { account: two, password: x }");
    assert_eq!(changed(&old.identity, &other.identity), ["credentials.account"]);
    assert_eq!(changed(&old.parts, &other.parts), [""; 0]);
    let more =
        "verify: { url: \"https://h.example.com/me\" }, renew: { before: 5m }, on_change: [command: [a]]";
    let more = account(&format!("credentials: {{ account: one, password: x }}, {more}"));
    assert_eq!(changed(&old.parts, &more.parts), ["on_change", "renew", "verify"]);
}

#[test]
fn what_is_told_holds_no_secret_and_comes_back_as_it_was() {
    let told = account(
        "credentials: { account: one, password: hunter2 }, on_change: [webhook: { url: \"https://h.example.com/hunter2\" }]",
    );
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(serde_json::from_str::<AccountMakeup>(&text).unwrap(), told);
}

/// A section of the schema, a configuration with `@` in it, and for each of its keys what stands there before and after.
type Section = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "agent",
        "accounts: {}\nagent: { @ }",
        &[
            ("state_dir", "", "state_dir: /x"),
            ("socket", "", "socket: off"),
            ("listen", "", "listen: off"),
            ("shutdown_grace", "", "shutdown_grace: 30s"),
            ("log", "", "log: { level: debug }"),
            ("audit", "", "audit: /x.jsonl"),
            ("alerts", "", "alerts: [command: [page]]"),
        ],
    ),
    (
        "agent.audit",
        "accounts: {}\nagent: { audit: { @ } }",
        &[
            ("path", "path: /x", "path: /y"),
            ("mode", "path: /x", "path: /x, mode: \"0640\""),
            ("group", "path: /x", "path: /x, group: adm"),
        ],
    ),
    (
        "agent.alerts",
        "accounts: {}\nagent: { alerts: [{ @ }] }",
        &[
            ("webhook", "command: [page]", "webhook: { url: \"https://h\" }"),
            ("command", "command: [page]", "command: [page, now]"),
        ],
    ),
    (
        "agent.alerts.webhook",
        "accounts: {}\nagent: { alerts: [webhook: { @ }] }",
        &[
            ("url", "url: \"https://h\"", "url: \"https://i\""),
            ("at", "url: \"https://h\"", "url: \"https://h\", at: [warn]"),
            ("timeout", "url: \"https://h\"", "url: \"https://h\", timeout: 3s"),
        ],
    ),
    (
        "agent.alerts.command",
        "accounts: {}\nagent: { alerts: [command: { @ }] }",
        &[
            ("argv", "argv: [page]", "argv: [page, now]"),
            ("at", "argv: [page]", "argv: [page], at: [warn]"),
            ("timeout", "argv: [page]", "argv: [page], timeout: 3s"),
        ],
    ),
    (
        "agent.socket",
        "accounts: {}\nagent: { socket: { @ } }",
        &[("path", "", "path: /x.sock"), ("mode", "", "mode: \"0600\""), ("group", "", "group: app")],
    ),
    (
        "agent.log",
        "accounts: {}\nagent: { log: { @ } }",
        &[("level", "", "level: debug"), ("format", "", "format: json")],
    ),
    (
        "limits",
        "accounts: { a: { BASE } }\nlimits: { @ }",
        &[
            ("rate", "", "rate: 1/h"),
            ("burst", "", "burst: 1"),
            ("concurrency", "", "concurrency: 1"),
            ("hosts", "", "hosts: { api.bizppurio.com: { rate: 1/h } }"),
        ],
    ),
    (
        "limits.hosts.HOST",
        "accounts: { a: { BASE } }\nlimits: { hosts: { api.bizppurio.com: { @ } } }",
        &[("rate", "", "rate: 1/h"), ("burst", "", "burst: 1"), ("concurrency", "", "concurrency: 1")],
    ),
    (
        "vault",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { @ }",
        &[
            ("address", "address: \"https://a\", LOGIN", "address: \"https://b\", LOGIN"),
            ("namespace", "address: \"https://a\", LOGIN", "address: \"https://a\", LOGIN, namespace: n"),
            ("ca_file", "address: \"https://a\", LOGIN", "address: \"https://a\", LOGIN, ca_file: /x"),
            ("auth", "address: \"https://a\", LOGIN", "address: \"https://a\", auth: { cert: CERT }"),
        ],
    ),
    (
        "vault.auth",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { address: \"https://a\", auth: { @ } }",
        &[
            ("token", "token: one", "token: two"),
            ("approle", "approle: { role_id: x }", "approle: { role_id: y }"),
            ("kubernetes", "kubernetes: { role: x }", "kubernetes: { role: y }"),
            ("jwt", "jwt: { jwt: x }", "jwt: { jwt: y }"),
            ("cert", "token: one", "cert: CERT"),
        ],
    ),
    (
        "vault.auth.approle",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { address: \"https://a\", auth: { approle: { @ } } }",
        &[
            ("role_id", "role_id: x", "role_id: y"),
            ("secret_id", "role_id: x, secret_id: x", "role_id: x, secret_id: y"),
            ("mount", "role_id: x", "role_id: x, mount: m"),
        ],
    ),
    (
        "vault.auth.kubernetes",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { address: \"https://a\", auth: { kubernetes: { @ } } }",
        &[
            ("role", "role: x", "role: y"),
            ("jwt", "role: x, jwt: x", "role: x, jwt: y"),
            ("mount", "role: x", "role: x, mount: m"),
        ],
    ),
    (
        "vault.auth.jwt",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { address: \"https://a\", auth: { jwt: { @ } } }",
        &[
            ("jwt", "jwt: x", "jwt: y"),
            ("role", "jwt: x", "jwt: x, role: r"),
            ("mount", "jwt: x", "jwt: x, mount: m"),
        ],
    ),
    (
        "vault.auth.cert",
        "accounts: { a: { BASE, sinks: [vault: secret/a] } }\nvault: { address: \"https://a\", auth: { cert: { @ } } }",
        &[
            ("cert_file", "cert_file: /c, key_file: /k", "cert_file: /d, key_file: /k"),
            ("key_file", "cert_file: /c, key_file: /k", "cert_file: /c, key_file: /l"),
            ("name", "cert_file: /c, key_file: /k", "cert_file: /c, key_file: /k, name: n"),
            ("mount", "cert_file: /c, key_file: /k", "cert_file: /c, key_file: /k, mount: m"),
        ],
    ),
    (
        "accounts.NAME",
        "accounts: { a: { @ } }",
        &[
            ("provider", "BASE", "provider: kis, credentials: { appkey: x, appsecret: y }"),
            ("environment", "BASE", "BASE, environment: staging"),
            ("base_url", "BASE", "BASE, base_url: \"https://x\""),
            ("credentials", "BASE", "provider: bizppurio, credentials: { account: one, password: y }"),
            (
                "params",
                "OAUTH, params: { token_url: \"https://a/t\" }",
                "OAUTH, params: { token_url: \"https://a/u\" }",
            ),
            ("renew", "BASE", "BASE, renew: { before: 5m }"),
            ("http", "BASE", "BASE, http: { timeout: 5s }"),
            ("verify", "BASE", "BASE, verify: \"https://h/me\""),
            ("sinks", "BASE", "BASE, sinks: [file: /x]"),
            ("on_change", "BASE", "BASE, on_change: [command: [a]]"),
        ],
    ),
    (
        "accounts.NAME.renew",
        "accounts: { a: { BASE, renew: { @ } } }",
        &[
            ("before", "", "before: 5m"),
            ("cron", "", "cron: \"0 0 4 * * *\""),
            ("timezone", "cron: \"0 0 4 * * *\"", "cron: \"0 0 4 * * *\", timezone: Asia/Seoul"),
            ("min_interval", "", "min_interval: 5m"),
        ],
    ),
    (
        "accounts.NAME.http",
        "accounts: { a: { BASE, http: { @ } } }",
        &[
            ("timeout", "", "timeout: 5s"),
            ("proxy", "", "proxy: \"http://p:1\""),
            ("ca_file", "", "ca_file: /x"),
            ("client_cert_file", "CLIENT", "client_cert_file: /d, client_key_file: /k"),
            ("client_key_file", "CLIENT", "client_cert_file: /c, client_key_file: /l"),
            ("source_address", "", "source_address: 192.0.2.7"),
        ],
    ),
    (
        "accounts.NAME.verify",
        "accounts: { a: { BASE, verify: { @ } } }",
        &[
            ("url", "url: \"https://h/me\"", "url: \"https://h/you\""),
            ("expect", "url: \"https://h/me\"", "url: \"https://h/me\", expect: 204"),
            ("timeout", "url: \"https://h/me\"", "url: \"https://h/me\", timeout: 5s"),
        ],
    ),
    (
        "accounts.NAME.on_change",
        "accounts: { a: { BASE, on_change: [@] } }",
        &[
            ("signal", "", "signal: { pid_file: /x }"),
            ("command", "", "command: [a]"),
            ("webhook", "", "webhook: { url: \"https://h\" }"),
        ],
    ),
    (
        "accounts.NAME.on_change.signal",
        "accounts: { a: { BASE, on_change: [signal: { @ }] } }",
        &[
            ("pid_file", "pid_file: /x", "pid_file: /y"),
            ("signal", "pid_file: /x", "pid_file: /x, signal: USR1"),
        ],
    ),
    (
        "accounts.NAME.on_change.command",
        "accounts: { a: { BASE, on_change: [command: { @ }] } }",
        &[("argv", "argv: [a]", "argv: [b]"), ("timeout", "argv: [a]", "argv: [a], timeout: 5s")],
    ),
    (
        "accounts.NAME.on_change.webhook",
        "accounts: { a: { BASE, on_change: [webhook: { @ }] } }",
        &[
            ("url", "url: \"https://h/x\"", "url: \"https://h/y\""),
            ("timeout", "url: \"https://h/x\"", "url: \"https://h/x\", timeout: 5s"),
        ],
    ),
    (
        "accounts.NAME.sinks",
        "accounts: { a: { BASE, sinks: [@] } }\nvault: { address: \"https://a\", LOGIN }",
        &[
            ("file", "", "file: /x"),
            ("vault", "", "vault: secret/x"),
            ("kubernetes", "", "kubernetes: { secret: x, namespace: n }"),
        ],
    ),
    (
        "accounts.NAME.sinks.file",
        "accounts: { a: { BASE, sinks: [file: { @ }] } }",
        &[
            ("path", "path: /x", "path: /y"),
            ("content", "path: /x", "path: /x, content: json"),
            ("template", "path: /x", "path: /x, template: \"{{ access_token }}\""),
            ("mode", "path: /x", "path: /x, mode: \"0640\""),
            ("owner", "path: /x", "path: /x, owner: root"),
            ("group", "path: /x", "path: /x, group: root"),
            ("write", "path: /x", "path: /x, write: in-place"),
            ("when_expired", "path: /x", "path: /x, when_expired: remove"),
            ("on_remove", "path: /x", "path: /x, on_remove: delete"),
        ],
    ),
    (
        "accounts.NAME.sinks.vault",
        "accounts: { a: { BASE, sinks: [vault: { @ }] } }\nvault: { address: \"https://a\", LOGIN }",
        &[
            ("mount", "mount: m, path: p", "mount: n, path: p"),
            ("path", "mount: m, path: p", "mount: m, path: q"),
            ("kv", "mount: m, path: p", "mount: m, path: p, kv: 1"),
            ("fields", "mount: m, path: p", "mount: m, path: p, fields: { t: \"{{ access_token }}\" }"),
            ("on_remove", "mount: m, path: p", "mount: m, path: p, on_remove: delete"),
        ],
    ),
    (
        "accounts.NAME.sinks.kubernetes",
        "accounts: { a: { BASE, sinks: [kubernetes: { @ }] } }",
        &[
            ("secret", "secret: x, namespace: n", "secret: y, namespace: n"),
            ("namespace", "secret: x, namespace: n", "secret: x, namespace: m"),
            (
                "keys",
                "secret: x, namespace: n",
                "secret: x, namespace: n, keys: { t: \"{{ access_token }}\" }",
            ),
            ("on_remove", "secret: x, namespace: n", "secret: x, namespace: n, on_remove: delete"),
        ],
    ),
    (
        "templates",
        "accounts: { a: { BASE } }\ntemplates: [{ @ }]",
        &[
            ("path", "path: /x, TEXT", "path: /y, TEXT"),
            ("directory", "directory: /x, FILES", "directory: /y, FILES"),
            ("source", "path: /x, source: DIR/one", "path: /x, source: DIR/two"),
            ("inline", "path: /x, TEXT", "path: /x, inline: \"{{ accounts.a.account }}\""),
            (
                "files",
                "directory: /x, FILES",
                "directory: /x, files: { u: \"{{ accounts.a.access_token }}\" }",
            ),
            ("mode", "path: /x, TEXT", "path: /x, TEXT, mode: \"0640\""),
            ("owner", "path: /x, TEXT", "path: /x, TEXT, owner: root"),
            ("group", "path: /x, TEXT", "path: /x, TEXT, group: root"),
            ("write", "path: /x, TEXT", "path: /x, TEXT, write: in-place"),
            ("on_remove", "path: /x, TEXT", "path: /x, TEXT, on_remove: delete"),
            ("on_change", "path: /x, TEXT", "path: /x, TEXT, on_change: [command: [a]]"),
        ],
    ),
];

/// Sections that have no part of their own.
const OTHERS: &[(&str, &str)] = &[
    ("defaults", "merged into the accounts"),
    ("secret", "what stands behind a secret is compared by the agent; the source is the credential's part"),
    ("secret.vault", "as above"),
    ("templates.files", "the text counts, wherever it stands"),
];

#[test]
fn a_change_of_any_setting_changes_what_it_is_made_of() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("one", "{{ accounts.a.access_token }}"), ("two", "{{ accounts.a.account }}")] {
        std::io::Write::write_all(
            &mut std::fs::File::create(folder.path().join(name)).unwrap(),
            text.as_bytes(),
        )
        .unwrap();
    }
    for (section, whole, keys) in SECTIONS {
        let text = |part: &str| {
            let short = [
                ("DIR", folder.path().to_str().unwrap()),
                ("BASE", "provider: bizppurio, credentials: { account: one, password: x }"),
                (
                    "OAUTH",
                    "provider: oauth2-client-credentials, credentials: { client_id: x, client_secret: y }",
                ),
                ("LOGIN", "auth: { token: one }"),
                ("CERT", "{ cert_file: /c, key_file: /k }"),
                ("CLIENT", "client_cert_file: /c, client_key_file: /k"),
                ("TEXT", "inline: \"{{ accounts.a.access_token }}\""),
                ("FILES", "files: { t: \"{{ accounts.a.access_token }}\" }"),
            ];
            short.iter().fold(whole.replace('@', part), |text, (short, long)| text.replace(short, long))
        };
        for (key, before, after) in *keys {
            assert_ne!(makeup(&text(before)), makeup(&text(after)), "{section}: {key}");
        }
    }
}

#[test]
fn every_setting_of_the_schema_is_in_that_table() {
    let schema = config::schema();
    let mut missing = BTreeSet::new();
    let is_left_out = |section: &str| {
        section.starts_with("providers.") || OTHERS.iter().any(|(other, _)| *other == section)
    };
    for (section, definition) in schema["$defs"].as_object().unwrap() {
        if is_left_out(section) {
            continue;
        }
        let listed = SECTIONS.iter().find(|(name, ..)| name == section).map_or(&[][..], |(_, _, keys)| keys);
        for key in definition["properties"].as_object().unwrap().keys() {
            if !listed.iter().any(|(listed, ..)| listed == key) {
                missing.insert(format!("{section}: {key}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
