//! Each template is rendered once with made-up values: what can never work is refused, what may not work is warned of.

use super::{brief, load};

/// Where the template of [`sink`] begins on line 8, behind a quote.
const BEGIN: usize = 12;

/// A configuration whose only sink has this template.
fn sink(template: &str) -> String {
    format!(
        "providers:\n  own:\n    credentials: {{ key: {{}} }}\n    \
         response: {{ token: /t, expiry: [{{ fixed: 1h }}], extra: {{ scope: /scope, at: /at }} }}\n    \
         issue: {{ request: {{ path: /x }} }}\naccounts:\n  a: {{ provider: own, base_url: \"https://h\", \
         credentials: {{ key: k }}, sinks: [file: {{ path: /run/a, template:\n          '{template}' }}] }}\n"
    )
}

/// `LINE:COLUMN: message` of each warning; of nothing, `fine`.
fn warned(text: &str) -> String {
    let loaded = load(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let lines: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| format!("{}:{}: {}", warning.line, warning.column, warning.message))
        .collect();
    if lines.is_empty() { "fine".to_owned() } else { lines.join("\n") }
}

#[test]
fn what_can_never_be_rendered_is_refused_at_its_place() {
    let cases = [
        (
            r#"{{ expires_at | datetime("%Y", "Asia/Soul") }}"#,
            "datetime",
            "`datetime` does not know this time zone",
        ),
        (
            "{{ account }} {{ access_token | datetime }}",
            "datetime",
            "`datetime` wants a time such as `expires_at` or `expires_at_unix`",
        ),
        (
            "{{ extra.scop }}",
            "extra.scop",
            "`extra.scop` is not defined (of its replies `own` publishes `at`, `scope`)",
        ),
        (
            r#"{{ extra.nope | default("") }}{{ extra.scop }}"#,
            "extra.scop",
            "`extra.scop` is not defined (of its replies `own` publishes `at`, `scope`)",
        ),
        (
            "{{ refresh_token }}",
            "refresh_token",
            "`refresh_token` is not defined: the provider gave no refresh token with this token",
        ),
        (r#"{{ access_token | replace("a") }}"#, "replace", "a filter or test that lacks an argument"),
        ("{{ access_token | upper(1) }}", "upper", "a filter or test with too many arguments"),
        (
            "{% if generation > 1 %}later{% endif %}{{ access_token | datetime }}",
            "datetime",
            "`datetime` wants a time such as `expires_at` or `expires_at_unix`",
        ),
    ];
    for (template, word, message) in cases {
        let column = BEGIN + template.rfind(word).unwrap();
        assert_eq!(
            brief(&sink(template)),
            format!("8:{column}: this cannot be rendered: {message}"),
            "{template}"
        );
    }
}

#[test]
fn what_depends_on_a_condition_is_warned_of_and_not_refused() {
    for (template, word) in [
        ("{% if generation > 1 %}{{ access_token | datetime }}{% endif %}", "datetime"),
        ("{% if account %}{{ access_token | datetime }}{% endif %}", "datetime"),
        ("{{ access_token | datetime if account else account }}", "datetime"),
        ("{{ account and (access_token | datetime) }}", "datetime"),
        ("{% if account %}{% set x = 1 %}{% else %}{% set x = expires_at %}{% endif %}{{ x.y }}", "x.y"),
        ("{% set x = access_token if generation else expires_at %}{{ x | datetime }}", "datetime"),
        (r#"{{ extra.scope }}{{ expires_at | datetime("%Y", "No/Where") }}"#, "datetime"),
    ] {
        let said = warned(&sink(template));
        let column = BEGIN + template.rfind(word).unwrap();
        let place = format!("8:{column}: this may not be rendered, depending on the token: ");
        assert!(said.starts_with(&place) && said.lines().count() == 1, "{template}: {said}");
    }
}

#[test]
fn what_may_work_passes_without_a_word() {
    for template in [
        "plain",
        "{{ access_token }}",
        "{{ extra.scope }}",
        "{{ extra.at | datetime }}",
        r#"{{ extra.at | datetime("%H:%M", "Asia/Seoul") }}"#,
        "{{ extra.scope.deep.deeper }}",
        "{{ extra.scope[0].name }}",
        r#"{{ extra.scope | join(",") }}"#,
        "{{ extra.at + 1 }}",
        "{{ extra.at.text | datetime }}",
        "{% for key in extra %}{{ key }}={{ extra[key] }}{% endfor %}",
        "{{ extra | json }}{{ extra | length }}",
        r#"{{ extra.nope | default("x") }}"#,
        "{% if extra.nope is defined %}{{ extra.nope }}{% endif %}",
        "{% if expires_at_unix > 99999999999 %}{{ access_token | datetime }}{% endif %}",
        "{{ account if generation > 7 else provider }}",
        "{{ token_type }} {{ issued_at | datetime }} {{ expires_at_unix | datetime }} {{ generation + 1 }}",
        r#"{{ access_token | sha256 | upper | replace("A", "B") | trim | urlencode }}"#,
    ] {
        assert_eq!(warned(&sink(template)), "fine", "{template}");
    }
}

#[test]
fn a_template_of_several_accounts_is_tried_with_all_of_them() {
    let whole = |inline: &str| {
        format!(
            "templates:\n  - path: /run/all.env\n    inline: |\n      A=x\n      B={inline}\naccounts:\n  \
             a: {{ provider: bizppurio, credentials: {{ account: x, password: y }} }}\n  \
             b: {{ provider: rotating, params: {{ token_url: \"https://t/\" }}, credentials: {{ client_id: i, refresh_token: r }} }}\n"
        )
    };
    assert_eq!(warned(&whole("{{ accounts.a.account }}{{ accounts.b.refresh_token }}")), "fine");
    assert_eq!(
        warned(&whole("{% for n in accounts %}{{ accounts[n].expires_at | datetime }}{% endfor %}")),
        "fine"
    );
    for (inline, expected) in [
        (
            "{{ accounts.a.extra.scope }}",
            "5:23: this cannot be rendered: `accounts.a.extra.scope` is not defined (`bizppurio` publishes no further fields of its replies)",
        ),
        (
            "{{ accounts.b.account }}{{ accounts.a.access_token | datetime }}",
            "5:62: this cannot be rendered: `datetime` wants a time such as `expires_at` or `expires_at_unix`",
        ),
        (
            "{% for n in accounts %}{{ accounts[n].account | datetime }}{% endfor %}",
            "5:57: this cannot be rendered: `datetime` wants a time such as `expires_at` or `expires_at_unix`",
        ),
    ] {
        assert_eq!(brief(&whole(inline)), expected, "{inline}");
    }
}

#[test]
fn fields_and_keys_are_tried_too_and_a_shared_template_once_for_each_provider() {
    let text = "providers:\n  own:\n    credentials: { key: {} }\n    response: { token: /t, expiry: [{ fixed: 1h }], extra: { scope: /scope } }\n    \
                issue: { request: { path: /x } }\ndefaults:\n  sinks:\n    - kubernetes: { secret: s, namespace: n, keys: { S: \"{{ extra.scope }}\" } }\n\
                accounts:\n  a: { provider: own, base_url: \"https://h\", credentials: { key: k } }\n  \
                b: { provider: bizppurio, credentials: { account: x, password: y }, sinks: [kubernetes: { secret: t, namespace: n, keys: { S: \"{{ extra.scope }}\" } }] }\n";
    let said = brief(text);
    let expected = "this cannot be rendered: `extra.scope` is not defined (`bizppurio` publishes no further fields of its replies)";
    assert!(said.starts_with("11:") && said.ends_with(expected) && said.lines().count() == 1, "{said}");
}

#[test]
fn one_brace_in_place_of_two_is_warned_of() {
    let one = "one brace: this stands in the file as it is";
    assert_eq!(warned(&sink("TOKEN={ access_token }")), format!("8:{}: {one}", BEGIN + 6));
    assert_eq!(warned(&sink("{{ account }} {access_token|json}")), format!("8:{}: {one}", BEGIN + 14));
    for fine in
        ["${access_token}", r#"{"token": {{ access_token | json }}}"#, "{ token }", "a { b } {{ account }}"]
    {
        assert_eq!(warned(&sink(fine)), "fine", "{fine}");
    }
    let said = brief(
        "templates: [{ path: /run/x, inline: \"{ accounts.a.access_token }\" }]\naccounts: { a: { provider: bizppurio, credentials: { account: x, password: y } } }\n",
    );
    let expected = "1:21: the template names no account (a value has two braces, as in `{{ accounts.NAME.access_token }}`)";
    assert_eq!(said, expected);
}
