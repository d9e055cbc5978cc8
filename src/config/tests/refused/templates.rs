//! Files made from several accounts.

use super::Case;

pub(super) const CASES: &[Case] = &[
    (
        "templates as a mapping",
        "templates: { path: /run/x }\naccounts: {}\n",
        r"
1:12: expected a list, found a mapping (each item of a list begins with `- `)
",
    ),
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
        r#"
2:5: a template without a target (add `path: FILE`, or `directory: FOLDER` with `files`)
3:5: a template has `path` or `directory`, not both
4:13: the path is relative (write the whole path, from `/` on)
5:5: a template without a text (add `source: FILE`, or `inline: |` and the text below it)
6:5: give `source` or `inline`, not both
7:21: `files` goes with `directory` (give `source` or `inline` here)
8:5: `files` is missing beside `directory` (add `files: { NAME: "{{ accounts.NAME.access_token }}" }`)
9:33: a `directory` without files
10:26: `source` goes with `path` (the templates of a `directory` stand under `files`)
10:37: `inline` goes with `path` (the templates of a `directory` stand under `files`)
10:55: a `directory` is always replaced: its files change as one
11:68: anyone on this machine could replace the token (use "0640" and a group)
11:83: expected a user's name or number
11:101: `on_remove` must be one of `keep`, `delete`
11:120: `pid_file` is missing in `signal` (add `pid_file`: the file with the id; read each time.)
12:21: unknown key `inlin` in `templates` (did you mean `inline`?)
13:5: expected a mapping, found a single value (the keys of `templates` are `path`, `directory`, `source`, `inline`, `files`, `mode`, `owner`, `group`, `write`, `on_remove` and `on_change`)
"#,
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
        r#"
4:7: not the name of a file in the folder (a leading `.` is kept for the links of the set itself)
5:7: not the name of a file in the folder (a leading `.` is kept for the links of the set itself)
6:7: not the name of a file in the folder (a set of files has no folders below it)
7:13: expected a mapping, found a list (the keys of `files` are `source` and `inline`)
8:11: expected a template such as "{{ accounts.NAME.access_token }}", found nothing (quote it where the word itself is meant)
9:7: give `source` or `inline`, not both
10:7: a template without a text (add `source: FILE`, or `inline: |` and the text below it)
11:19: unknown key `sourc` in `files` (did you mean `source`?)
12:23: the template cannot be read: not found (`source` is relative to the file that it stands in)
"#,
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
        r#"
5:21: there is no account `mesaging` (did you mean `messaging`?)
6:61: there is no account `my` (a name with `-` or `.` is written `accounts["my.app"]`)
7:21: there is no account `none` (the accounts are `messaging` and `my.app`)
8:29: there is no account `reports` (the accounts are `messaging` and `my.app`)
8:29: there is no account `zz` (the accounts are `messaging` and `my.app`)
9:42: there is no account `zz` (the accounts are `messaging` and `my.app`)
"#,
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
        r"
4:10: the template uses `access_token`, which does not exist (write `accounts.NAME.access_token`)
4:29: the template uses `messaging`, which does not exist (an account's fields are `accounts.NAME.FIELD`)
4:69: the template uses `accounts.a.acces_token`, which does not exist (did you mean `access_token`?)
5:34: the template uses `accounts.a.access_token.x`, which does not exist (only `extra` has fields of its own)
6:34: there is no filter `safe` (there are `b64encode`, `datetime`, `default`, `env`, `join`, `json`, `length`, `lower`, `replace`, `sh`, `sha256`, `trim`, `upper` and `urlencode`)
6:69: there is no filter `b64encod` (did you mean `b64encode`?)
7:27: there is no test `definde` (did you mean `defined`?)
8:57: the template uses `tokn`, which does not exist (there are `account`, `provider`, `access_token`, `token_type`, `issued_at`, `expires_at`, `expires_at_unix`, `generation`, `extra` and `refresh_token`)
",
    ),
    (
        "templates that name no account",
        r#"templates:
  - { path: /run/a, inline: "static" }
  - { path: /run/b, inline: "{% set x = 1 %}{{ x }}" }
  - { directory: /run/c, files: { a: "x", b: "y" } }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r"
2:13: the template names no account (name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token)
3:13: the template names no account (name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token)
4:18: the template names no account (name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token)
",
    ),
    (
        "a loop over no accounts",
        r#"templates: [{ path: /run/a, inline: "{% for a in accounts %}{{ a }}{% endfor %}" }]
accounts: {}
"#,
        r"
1:21: the template names no account (name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token)
",
    ),
    (
        "templates that are none",
        r#"templates:
  - path: /run/a
    inline: |
      {{ accounts.a.access_token }}
      {{ accounts.a. }}
  - { path: /run/b, inline: "{{ accounts.a.account }}{% include 'x' %}" }
  - { path: /run/c, inline: }
accounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }
"#,
        r#"
5:22: the template is not valid: unexpected end of variable block, expected identifier or integer
6:54: `include` in a template: there are no other templates to read
7:27: expected a template such as "{{ accounts.NAME.access_token }}", found nothing (quote it where the word itself is meant)
"#,
    ),
    (
        "templates with a slip in the middle of a line",
        r#"templates:
  - path: /run/a
    inline: |
      A={{ accounts.a.access_token }}
      B={{ accounts.a.access_token }
      C={{ accounts.a.account }}
  - { path: /run/b, inline: "x={{ accounts.a.access_token b64encode }}" }
  - { path: /run/c, inline: "{% if accounts.a.account == 'x %}{{ accounts.a.account }}{% endif %}" }
  - { path: /run/d, inline: "{% fi accounts.a.account %}{{ accounts.a.account }}{% endif %}" }
  - { path: /run/e, inline: "{% if accounts.a.account %}{{ accounts.a.account }}" }
accounts:
  a:
    provider: bizppurio
    credentials: { account: x, password: y }
    sinks: [file: { path: /run/x, template: "한글 {{ access_token | }}" }]
"#,
        r"
5:36: the template is not valid: unexpected `}`, expected end of variable block
7:59: the template is not valid: unexpected identifier, expected end of variable block
8:58: the template is not valid: unexpected end of string
9:33: the template is not valid: unknown statement fi
10:79: the template is not valid: unexpected end of input, expected end of block
15:67: the template is not valid: unexpected end of variable block, expected identifier
",
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
        r"
3:13: two templates write this file (first on line 2)
4:13: `a` and a template both write this file (first on line 13)
5:13: this needs a folder where `a` writes a file (first on line 13)
7:18: this lies in the folder of a template, whose files change as one (first on line 6) (choose a folder of its own)
8:18: `a` and a template both write this folder (first on line 13)
13:33: this lies in the folder of a template, whose files change as one (first on line 6) (choose a folder of its own)
",
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
        r"
3:13: a template would overwrite the configuration
4:13: a template inside the state directory (readers need a folder of their own, such as `/run/renewd`)
4:13: this lies in the folder of a template, whose files change as one (first on line 10) (choose a folder of its own)
5:13: a template would overwrite the control socket
6:13: a template would overwrite a file that is read for a secret or a certificate
7:13: a template would overwrite a file that is read for a secret or a certificate
8:13: a template would overwrite a file that is read for a secret or a certificate
9:18: the folder of a template holds a file that is read for a secret or a certificate (choose a folder of its own: its files change as one)
10:18: the folder of a template holds the state directory (choose a folder of its own: its files change as one)
",
    ),
];
