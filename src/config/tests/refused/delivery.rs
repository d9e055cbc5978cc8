//! Vault, Kubernetes, verification, hooks.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "a vault section",
        r#"vault: { address: "http://vault.example.com:8200/v1", namespace: "a//b", ca_file: x, auth: {} }
accounts: {}
"#,
        r"",
    ),
    ("a vault section without anything", "vault: {}\naccounts: {}\n", r""),
    (
        "an address with more than a host",
        r#"vault: { address: "https://vault.example.com:8200/v1/", auth: { token: { env: T } } }
accounts: {}
"#,
        r"",
    ),
    (
        "two ways to log in",
        r#"vault: { address: "https://u@v", auth: { token: { env: T }, jwt: { jwt: { env: J } } } }
accounts: {}
"#,
        r"",
    ),
    (
        "a way to log in that does not exist",
        r#"vault: { address: vault, auth: { aprole: {} } }
accounts: {}
"#,
        r"",
    ),
    (
        "logins that lack something",
        r#"vault: { address: "https://v", auth: { approle: { mount: "/", role_id: "" } } }
accounts: {}
"#,
        r"",
    ),
    (
        "a certificate without its key",
        r#"vault: { address: "https://v", auth: { cert: { cert_file: /c.pem, name: "" } } }
accounts: {}
"#,
        r"",
    ),
    (
        "a login whose secret is in Vault",
        r#"vault: { address: "https://v", auth: { kubernetes: { jwt: { vault: { mount: a, path: b, key: c } } } } }
accounts: {}
"#,
        r"",
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
        r"",
    ),
    (
        "vault without a section",
        r"accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: { vault: { mount: secret, path: x, key: k } } }
    sinks: [vault: secret/y]
",
        r"",
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
        r"",
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
        r"",
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
        r"",
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
        r"",
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
        r"",
    ),
    (
        "hooks as a mapping",
        r"accounts:
  a: { provider: bizppurio, credentials: { account: x, password: y }, on_change: { command: [/bin/true] } }
",
        r"",
    ),
    (
        "sections in an included file's place",
        r"defaults: { templates: [], vault: {} }
accounts: {}
",
        r"",
    ),
];
