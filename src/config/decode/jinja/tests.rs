use super::*;

fn accounts(text: &str) -> Uses {
    uses(text, Root::Accounts).unwrap()
}

#[test]
fn accounts_are_found_wherever_they_are_named() {
    let cases: [(&str, &[&str]); 10] = [
        ("{{ accounts.a.access_token }}", &["a"]),
        ("{{ accounts['my-app'].access_token }}{{ accounts.a.extra.x.y }}", &["a", "my-app"]),
        ("{% if accounts.b.generation > 1 %}{{ accounts.a['token_type'] }}{% endif %}", &["a", "b"]),
        ("{% set all = accounts %}{{ all.a.account }}{% set b = all.b %}{{ b.access_token }}", &["a", "b"]),
        ("{% with d = accounts.a %}{{ d.expires_at|datetime('%Y') }}{% endwith %}", &["a"]),
        ("{% for d in [accounts.a, accounts.b] %}{{ d.anything }}{{ loop.index }}{% endfor %}", &["a", "b"]),
        ("{% for k in accounts.a.extra %}{{ k }}{% else %}{{ accounts.b }}{% endfor %}", &["a", "b"]),
        ("{{ accounts.a if accounts.b.generation else accounts.c|json }}", &["a", "b", "c"]),
        ("{% set x %}{{ accounts.a.account }}{% endset %}{{ x|b64encode }}", &["a"]),
        ("{# accounts.no #}accounts.no{% raw %}{{ accounts.no }}{% endraw %}", &[]),
    ];
    for (text, expected) in cases {
        let uses = accounts(text);
        let found: Vec<&str> = uses.accounts.keys().map(String::as_str).collect();
        assert_eq!((found.as_slice(), uses.all, uses.faults), (expected, None, vec![]), "{text}");
    }
}

#[test]
fn what_cannot_be_followed_means_all_accounts() {
    for text in [
        "{% for name in accounts %}{{ accounts[name].access_token }}{% endfor %}",
        "{% for name in ['a'] %}{{ accounts[name].access_token }}{% endfor %}",
        "{{ accounts|json }}",
        "{{ [accounts] }}",
        "{{ accounts }}",
        "{% set x = accounts if true else 1 %}",
        "{% set x = accounts %}{% set x = 1 %}{{ x.a }}",
        "{% set x = 1 %}{% set x = accounts %}{{ x.a }}",
        "{% set x, y = accounts %}",
        "{% if 'a' in accounts %}{% endif %}",
        "{% if 1 %}{% set accounts = 1 %}{% endif %}{{ accounts.b }}",
        "{% set x = accounts %}{% for i in [1] %}{% if i %}{% set x = 1 %}{% endif %}{{ x.b }}{% endfor %}",
        "{{ accounts[1:2] }}",
        "{% for a in accounts if a > 'b' %}{% endfor %}",
        "{% do accounts.a(accounts) %}",
        "{{ accounts['a' ~ 'b'].access_token }}",
    ] {
        assert!(accounts(text).all.is_some(), "{text}");
    }
}

#[test]
fn what_cannot_be_there_is_told_with_its_place() {
    let cases = [
        ("x {{ account }}", 5, "the template uses `account`, which does not exist"),
        (
            "{{ accounts.a.acess_token }}",
            14,
            "the template uses `accounts.a.acess_token`, which does not exist",
        ),
        ("{{ accounts.a.account.x }}", 22, "the template uses `accounts.a.account.x`, which does not exist"),
        ("{{ accounts.a.account|uper }}", 22, "there is no filter `uper`"),
        ("{% if accounts.a is definde %}{% endif %}", 20, "there is no test `definde`"),
        ("{% for d in range(3) %}{% endfor %}", 12, "the template uses `range`, which does not exist"),
        ("{% filter uper %}x{% endfilter %}", 10, "there is no filter `uper`"),
    ];
    for (text, offset, message) in cases {
        let faults = accounts(text).faults;
        let found: Vec<_> = faults.iter().map(|fault| (fault.offset, fault.message.as_str())).collect();
        assert_eq!(found, [(offset, message)], "{text}");
    }
}

#[test]
fn the_place_of_an_account_is_that_of_its_name() {
    let text = "{{ 1 }}\n{{ accounts.a.account }}{{ accounts['my-app'] }}";
    let uses = accounts(text);
    assert_eq!(&text[uses.accounts["a"]..][..1], "a");
    assert_eq!(&text[uses.accounts["my-app"]..][..6], "my-app");
}
