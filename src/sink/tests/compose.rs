use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::super::compose::{file_of, render, render_all};
use super::super::content::RenderError;
use super::super::context::Member;
use super::super::fields::{self, Field};
use super::{target, token};
use crate::config::model::{FILTERS, TESTS};
use crate::config::model::{TemplateForm, TemplateText, WriteMode};
use crate::domain::{AccountId, Secret, TokenDocument};

fn inline(text: &str) -> TemplateText {
    TemplateText { source: None, text: text.to_owned() }
}

/// `text` for the file `name`, of the accounts `one` and `my-app`; `one` has a refresh token.
fn composed(name: &str, text: &TemplateText) -> Result<String, RenderError> {
    let (one, two) = (token("first"), token("second"));
    let refresh = Secret::from("rotating-secret");
    let accounts = ["one", "my-app"].map(|name| AccountId::new(name).unwrap());
    let document = |account, token| TokenDocument { account, provider: "p", token };
    let members = BTreeMap::from([
        (&accounts[0], Member { document: document(&accounts[0], &one), refresh_token: Some(&refresh) }),
        (&accounts[1], Member::from(&document(&accounts[1], &two))),
    ]);
    let content = render(text, Path::new(name), &members)?;
    Ok(String::from_utf8(content.to_vec()).unwrap())
}

fn said(text: &str) -> String {
    composed("/run/x.env", &inline(text)).unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_template_is_made_from_several_accounts() {
    let text = "A={{ accounts.one.access_token }}\nB={{ accounts[\"my-app\"].access_token }}\nS={{ accounts.one.extra.scope }}\n";
    assert_eq!(said(text), "A=first\nB=second\nS='send read'\n");
    assert_eq!(composed("/run/x.json", &inline("{{ accounts.one.access_token }}")).unwrap(), "\"first\"");
    let looped = "{% for name in accounts %}{{ name }}={{ accounts[name].generation }};{% endfor %}";
    assert_eq!(said(looped), "my-app=7;one=7;", "in the order of their names");
}

#[test]
fn errors_name_the_template_the_line_and_the_name_but_no_value() {
    let place = "template of `x.env`";
    let cases = [
        (
            "\n{{ accounts.two.access_token }}",
            format!("{place}, line 2: `accounts.two.access_token` is not defined"),
        ),
        (
            "{{ accounts.one.acess_token }}",
            format!("{place}, line 1: `accounts.one.acess_token` is not defined"),
        ),
        ("{{ access_token }}", format!("{place}, line 1: `access_token` is not defined")),
        ("a\nb\n{{ accounts[\"my-app\"].nope }}", format!("{place}, line 3: a name is not defined")),
        (
            "A={{ accounts.one.access_token ~ '\\n' }}",
            format!("{place}, line 1: the value holds a line break"),
        ),
        ("{{ accounts.one.access_token", format!("{place}, line 1: unexpected end of input")),
        ("{{ accounts.one | safe }}", format!("{place}, line 1: filter safe is unknown")),
    ];
    for (text, expected) in cases {
        let said = said(text);
        assert!(said.starts_with(&expected), "{said}");
        assert!(!said.contains("first") && !said.contains("second"), "{said}");
    }
    let from_file =
        TemplateText { source: Some("/etc/renewd/app.env.j2".into()), text: "\n\n{{ nope }}".into() };
    let said = composed("/run/x.env", &from_file).unwrap_err().to_string();
    assert_eq!(said, "`/etc/renewd/app.env.j2`, line 3: `nope` is not defined");
}

#[test]
fn a_refresh_token_is_seen_only_where_it_is_named() {
    assert_eq!(said("R={{ accounts.one.refresh_token }}"), "R=rotating-secret");
    for text in [
        "{{ accounts }}",
        "{{ accounts.one }}",
        "{{ accounts.one | json }}",
        "{% for field in accounts.one %}{{ field }}={{ accounts.one[field] }};{% endfor %}",
        "{{ accounts.one | json }}{# refresh_token #}",
        "{{ accounts | json }}{% if false %}{{ accounts.one.refresh_token }}{% endif %}",
        "{{ accounts.one['refresh' ~ '_token'] }}",
    ] {
        let said = said(text);
        assert!(!said.contains("rotating"), "{text}: {said}");
    }
    let said = said("{{ accounts['my-app'].generation }}{{ accounts.two.refresh_token }}");
    assert!(said.ends_with("the provider gave no refresh token with this token"), "{said}");
}

#[test]
fn a_sinks_own_template_sees_its_refresh_token_by_name_too() {
    let (token, account, refresh) = (token("abc"), AccountId::new("one").unwrap(), Secret::from("rotating"));
    let document = TokenDocument { account: &account, provider: "p", token: &token };
    let member = Member { document, refresh_token: Some(&refresh) };
    let content = |text: &str| {
        let sink = super::sink("/run/x.env", crate::config::model::Content::Template(text.into()));
        super::super::content::render(&sink, member).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    };
    assert_eq!(content("{{ access_token }} {{ refresh_token }}").unwrap(), "abc rotating");
    let json = super::sink("/run/x.json", crate::config::model::Content::Json);
    let bytes = super::super::content::render(&json, member).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("rotating"));
}

#[test]
fn every_file_of_a_set_is_escaped_for_its_own_ending() {
    let files = [("a.env", "{{ accounts.one.extra.scope }}"), ("b.json", "{{ accounts.one.extra.scope }}")];
    let form = files.map(|(name, text)| (name.to_owned(), inline(text)));
    let mut target = target(Path::new("/run/set"), TemplateForm::Directory(form.into()));
    let (token, account) = (token("abc"), AccountId::new("one").unwrap());
    target.accounts = vec![account.clone()];
    let document = TokenDocument { account: &account, provider: "p", token: &token };
    let made = render_all(&target, &BTreeMap::from([(&account, Member::from(&document))])).unwrap();
    assert_eq!(made["a.env"].as_slice(), b"'send read'");
    assert_eq!(made["b.json"].as_slice(), b"\"send read\"");
    let error = render_all(&target, &BTreeMap::new()).unwrap_err();
    assert_eq!(error, RenderError::Missing(account));
    assert_eq!(file_of(&target), None);
}

#[test]
fn a_file_template_is_a_file_for_the_file_sink() {
    let form =
        TemplateForm::File { text: inline("{{ accounts.one.refresh_token }}"), write: WriteMode::InPlace };
    let target = target(Path::new("/run/x.env"), form);
    let file = file_of(&target).unwrap();
    assert_eq!(
        (file.path.as_path(), file.write, file.mode),
        (Path::new("/run/x.env"), WriteMode::InPlace, 0o600)
    );
}

/// The fields of a token of the account `one`.
fn made(templates: Option<&[(&str, &str)]>) -> Result<BTreeMap<String, Field>, RenderError> {
    let (token, account, refresh) = (token("abc"), AccountId::new("one").unwrap(), Secret::from("rotating"));
    let document = TokenDocument { account: &account, provider: "p", token: &token };
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    let templates: Option<BTreeMap<_, _>> = templates.map(|list| list.iter().map(owned).collect());
    fields::render(templates.as_ref(), Member { document, refresh_token: Some(&refresh) })
}

#[test]
fn without_templates_the_fields_are_the_documents() {
    let fields = made(None).unwrap();
    let names: Vec<_> = fields.keys().map(String::as_str).collect();
    let mut expected = TokenDocument::FIELDS;
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(fields["access_token"].to_json(), json!("abc"));
    assert_eq!(fields["generation"].to_json(), json!(7), "Vault keeps JSON: a number stays one");
    assert_eq!(fields["generation"].to_bytes().as_slice(), b"7");
    assert_eq!(fields["access_token"].to_bytes().as_slice(), b"abc");
    assert_eq!(fields["extra"].to_json()["scope"], json!("send read"));
    assert_eq!(format!("{:?}", fields["access_token"]), "***");
}

#[test]
fn fields_of_templates_are_text_as_it_is() {
    let templates =
        [("header", "Bearer {{ access_token }}"), ("n", "{{ generation }}"), ("r", "{{ refresh_token }}")];
    let fields = made(Some(&templates)).unwrap();
    assert_eq!(fields["header"].to_json(), json!("Bearer abc"));
    assert_eq!(fields["n"].to_json(), json!("7"));
    assert_eq!(fields["r"].to_bytes().as_slice(), b"rotating");
    let error = made(Some(&[("bad", "\n{{ nope }}")])).unwrap_err();
    assert_eq!(error.to_string(), "template of `bad`, line 2: `nope` is not defined");
}

#[test]
fn the_filters_of_every_day_work_and_cannot_take_quotes_away() {
    let cases = [
        ("{{ 'Ab' | upper }}{{ 'Ab' | lower }}{{ ' x ' | trim }}", "ABabx"),
        ("{{ 'a-b' | replace('-', '_') }}", "a_b"),
        ("{{ 'a b&c/é~' | urlencode }}", "'a%20b%26c%2F%C3%A9~'"),
        ("{{ ['a', 1, 'b'] | join(',') }}", "'a,1,b'"),
        ("{{ accounts.one.access_token | length }}", "5"),
        ("{{ accounts.one.extra.nope | default('none') }}", "none"),
        ("{% if accounts.one.extra.nope is defined %}y{% else %}n{% endif %}", "n"),
        ("{{ 'y' if accounts.one.extra.nope is undefined else 'n' }}", "y"),
        ("{% for x in ['a', 'b'] %}{{ loop.index }}{{ x }}{% endfor %}", "1a2b"),
        ("{{ accounts.one.extra.scope | sh | replace(\"'\", '') }}", "'send read'"),
        ("{{ \"a b\" | env | trim }}", "\"'a b'\""),
        ("{{ ('a b' | env) | upper }}", "\"'A B'\""),
    ];
    for (text, expected) in cases {
        assert_eq!(said(text), expected, "{text}");
    }
}

#[test]
fn the_page_lists_exactly_the_filters_and_tests_that_there_are() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates.md")).unwrap();
    let section = |title: &str| {
        let rest = page.split(&format!("## {title}\n")).nth(1).unwrap();
        rest.split("\n## ").next().unwrap().to_owned()
    };
    let listed = |section: &str| {
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut names: Vec<_> = rows
            .map(|row| row.split(['`', '(']).next().unwrap().trim_start_matches("is ").to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(listed(&section("Filters")), FILTERS);
    assert_eq!(listed(&section("Tests")), TESTS);
    for name in FILTERS {
        assert!(!said(&format!("{{{{ accounts.one | {name} }}}}")).contains("unknown"), "{name}");
    }
    let made = |what: &str| {
        let text = include_str!("../filters.rs");
        let mut names: Vec<_> = text
            .split(&format!("engine.add_{what}(\""))
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(
        (made("filter"), made("test")),
        (FILTERS.to_vec(), TESTS.to_vec()),
        "one list for who reads and who renders"
    );
    for name in ["safe", "escape", "e", "debug", "pprint", "tojson", "attr", "map", "format", "indent"] {
        assert!(said(&format!("{{{{ 'x' | {name} }}}}")).contains("is unknown"), "{name}");
    }
}
