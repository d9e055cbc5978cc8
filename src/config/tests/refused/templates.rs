//! Files made from several accounts.

use super::Case;

pub(super) const CASES: &[Case] = &[
    ("templates as a mapping", "templates: { path: /run/x }\naccounts: {}\n", r""),
    (
        "targets",
        r#"templates:
  - {}
  - { path: /run/a, directory: /run/b }
  - { path: run/c, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/d }
  - { path: /run/e, inline: "{{ accounts.a.access_token }}", source: /x }
  - { path: /run/f, files: {}, inline: "{{ accounts.a.access_token }}" }
  - { directory: /run/g }
  - { directory: /run/h, files: {} }
  - { directory: /run/i, source: x, inline: y, write: in-place, files: { t: "{{ accounts.a.access_token }}" } }
  - { path: /run/j, inline: "{{ accounts.a.access_token }}", mode: "0666", owner: "a b", on_remove: purge, on_change: [signal: {}] }
  - { path: /run/k, inlin: "x" }
  - /run/l
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"",
    ),
    (
        "files of a set",
        r#"templates:
  - directory: /run/a/
    files:
      ..data: "{{ accounts.a.access_token }}"
      .hidden: "{{ accounts.a.access_token }}"
      a/b: "{{ accounts.a.access_token }}"
      list: []
      none:
      both: { source: x, inline: y }
      neither: {}
      misspelt: { sourc: x }
      gone: { source: /nonexistent/renewd.j2 }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"",
    ),
    (
        "accounts that are not there",
        r#"templates:
  - path: /run/a.env
    inline: |
      # {{ accounts.messaging.access_token }}
      A={{ accounts.mesaging.access_token }}
        B={{ accounts['my.app'].access_token }} {{ accounts.my.app.access_token }}
      C={{ accounts.none.access_token }}
  - { path: /run/b, inline: "{{ accounts.reports.access_token }}\n{{ accounts.zz.account }}" }
  - { path: /run/c, inline: '{{ accounts.zz.account }}' }
accounts:
  messaging: { provider: bizppurio, credentials: { account: x, password: y } }
  my.app: { provider: bizppurio, credentials: { account: z, password: y } }
"#,
        r"",
    ),
    (
        "names that are not there",
        r#"templates:
  - path: /run/a
    inline: |
      {{ access_token }} {{ messaging.access_token }} {{ accounts.a.acces_token }}
      {{ accounts.a.access_token.x }} {{ accounts.a.extra.any.thing }}
      {{ accounts.a.access_token|safe }} {{ accounts.a.access_token|b64encod }}
      {% if accounts.a is definde %}{% endif %}
      {% for account in accounts %}{{ accounts[account].tokn }}{% endfor %}
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"",
    ),
    (
        "templates that name no account",
        r#"templates:
  - { path: /run/a, inline: "static" }
  - { path: /run/b, inline: "{% set x = 1 %}{{ x }}" }
  - { directory: /run/c, files: { a: "x", b: "y" } }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"",
    ),
    (
        "a loop over no accounts",
        r#"templates: [{ path: /run/a, inline: "{% for a in accounts %}{{ a }}{% endfor %}" }]
accounts: {}
"#,
        r"",
    ),
    (
        "templates that are none",
        r#"templates:
  - path: /run/a
    inline: |
      {{ accounts.a.access_token }}
      {{ accounts.a. }}
  - { path: /run/b, inline: "{% include 'x' %}{{ accounts.a.account }}" }
  - { path: /run/c, inline: }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"",
    ),
    (
        "paths with two writers",
        r#"templates:
  - { path: /run/x, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/x, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/s, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/s/below, inline: "{{ accounts.a.access_token }}" }
  - { directory: /run/set, files: { a: "{{ accounts.a.access_token }}" } }
  - { directory: /run/set/deeper, files: { a: "{{ accounts.a.access_token }}" } }
  - { directory: /run/s2, files: { a: "{{ accounts.a.access_token }}" } }
accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks: [file: /run/s, file: /run/set/token, file: /run/s2]
"#,
        r"",
    ),
    (
        "files that a template may not replace",
        r#"vault: { address: "https://v", ca_file: /etc/ca.pem, auth: { cert: { cert_file: /etc/c.pem, key_file: /run/k/key.pem } } }
templates:
  - { path: /etc/renewd/renewd.yaml, inline: "{{ accounts.a.access_token }}" }
  - { path: /var/lib/renewd/x, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/renewd/renewd.sock, inline: "{{ accounts.a.access_token }}" }
  - { path: /etc/c.pem, inline: "{{ accounts.a.access_token }}" }
  - { path: /etc/ca.pem, inline: "{{ accounts.a.access_token }}" }
  - { path: /run/secrets/p, inline: "{{ accounts.a.access_token }}" }
  - { directory: /run/k, files: { a: "{{ accounts.a.access_token }}" } }
  - { directory: /var/lib, files: { a: "{{ accounts.a.access_token }}" } }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: { file: /run/secrets/p } } } }
"#,
        r"",
    ),
];
