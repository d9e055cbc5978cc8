use super::super::content::RenderError;
use super::super::escape::Escape;
use super::super::template::{Template, quoted_values};
use super::{Content, render, token};

fn template(name: &str, source: &str) -> Result<String, String> {
    render(name, Content::Template(source.into()), &token("ab.c~d+/=:@-9")).map_err(|error| error.to_string())
}

#[test]
fn token_is_the_bare_token() {
    assert_eq!(render("t", Content::Token, &token("abc")).unwrap(), "abc");
}

#[test]
fn header_is_a_line_for_curl() {
    let mut token = token("abc");
    assert_eq!(render("t", Content::Header, &token).unwrap(), "Authorization: Bearer abc");
    token.token_type = "bearer".into();
    assert_eq!(render("t", Content::Header, &token).unwrap(), "Authorization: Bearer abc");
    token.token_type = "DPoP".into();
    assert_eq!(render("t", Content::Header, &token).unwrap(), "Authorization: DPoP abc");
    for bad in ["", "a b", "a\r\nX-Admin: 1", "é"] {
        token.token_type = bad.into();
        assert_eq!(render("t", Content::Header, &token).unwrap_err(), RenderError::TokenType);
    }
}

#[test]
fn json_is_the_token_document_in_the_contracts_order() {
    let expected = r#"{"account":"messaging","provider":"bizppurio","access_token":"abc","token_type":"Bearer","issued_at":"2027-01-15T08:00:00Z","expires_at":"2027-01-15T09:00:00Z","expires_at_unix":1800003600,"generation":7,"extra":{"scope":"send read","nested":{"b":[1,"x"],"a":null}}}"#;
    assert_eq!(render("t", Content::Json, &token("abc")).unwrap(), format!("{expected}\n"));
}

#[test]
fn a_token_that_could_say_something_else_is_refused_everywhere() {
    let contents = [Content::Token, Content::Header, Content::Json, Content::Template("x".into())];
    for text in ["", "a b", "a\nEVIL=1", "a\0", "é"] {
        for content in contents.clone() {
            assert_eq!(render("t.env", content, &token(text)).unwrap_err(), RenderError::Unprintable);
        }
    }
}

#[test]
fn values_bring_their_own_quotes_by_the_targets_ending() {
    let source = "T={{ access_token }} S={{ extra.scope }} N={{ generation }} X={{ extra.nested.a }}\n";
    let bare = "T=ab.c~d+/=:@-9";
    assert_eq!(template("a.env", source).unwrap(), format!("{bare} S='send read' N=7 X=\n"));
    assert_eq!(template(".env", source).unwrap(), format!("{bare} S='send read' N=7 X=\n"));
    assert_eq!(template("a.sh", source).unwrap(), format!("{bare} S='send read' N=7 X=''\n"));
    assert_eq!(template("a.conf", source).unwrap(), format!("{bare} S=send read N=7 X=\n"));
    let quoted = "T=\"ab.c~d+/=:@-9\" S=\"send read\" N=7 X=null\n";
    for ending in ["json", "yaml", "yml", "YAML"] {
        assert_eq!(template(&format!("a.{ending}"), source).unwrap(), quoted);
    }
}

#[test]
fn composed_values_are_json_and_quoted_where_that_is_text() {
    let source = "{{ extra.nested }}|{{ extra.nested | json }}";
    let plain = r#"{"a":null,"b":[1,"x"]}"#;
    assert_eq!(template("a.json", source).unwrap(), format!("{plain}|{plain}"));
    assert_eq!(template("a.yaml", source).unwrap(), format!("{plain}|{plain}"));
    assert_eq!(template("a.env", source).unwrap(), format!("'{plain}'|'{plain}'"));
    assert_eq!(template("a.txt", source).unwrap(), format!("{plain}|{plain}"));
}

#[test]
fn filters_do_what_they_say() {
    let cases = [
        ("{{ 'hi there' | b64encode }}", "aGkgdGhlcmU="),
        ("{{ 'abc' | sha256 }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("{{ \"it's\" | sh }}", r"'it'\''s'"),
        ("{{ \"it's\" | env }}", "\"it's\""),
        ("{{ 'a\"b' | json }}", r#""a\"b""#),
        ("{{ expires_at | datetime }}", "2027-01-15T09:00:00+00:00"),
        ("{{ expires_at_unix | datetime('%H:%M %Z', 'Asia/Seoul') }}", "18:00 KST"),
        ("{{ access_token | b64encode | sha256 | sh }}", "c0"),
    ];
    for (source, expected) in cases {
        let made = template("a.txt", source).unwrap();
        assert!(made == expected || expected == "c0" && made.len() == 64, "{source}: {made}");
    }
}

#[test]
fn a_filter_of_another_target_gives_text_that_is_escaped_again() {
    assert_eq!(template("a.json", "{{ extra.scope | sh }}").unwrap(), r#""'send read'""#);
    assert_eq!(template("a.env", "{{ extra.scope | json }}").unwrap(), r#"'"send read"'"#);
    assert_eq!(template("a.env", "{{ \"it's\" | sh }}").unwrap(), "\"it's\"", "systemd reads no '\\''");
    assert_eq!(template("a.sh", "{{ extra.scope | sh }}").unwrap(), "'send read'");
}

#[test]
fn escaping_cannot_be_joined_away() {
    assert_eq!(template("a.env", "{{ ('a' | env) ~ ' b' }}").unwrap(), "'a b'");
    assert_eq!(template("a.env", "{{ ('a b' | env) ~ \"'\" }}").unwrap(), "\"'a b''\"");
    let captured = "{% set x %}K={{ extra.scope }}{% endset %}{{ x }}";
    assert_eq!(template("a.env", captured).unwrap(), "K='send read'");
}

#[test]
fn no_value_adds_a_line() {
    for name in ["a.env", "a.txt", ".env"] {
        for source in [
            "A={{ 'x\\nB=1' }}",
            "A={{ 'x\\r' | env }}",
            "A={{ 'x\\nB=1' | sh }}",
            "{% autoescape false %}A={{ 'x\\nB' }}{% endautoescape %}",
        ] {
            let error = template(name, source).unwrap_err();
            assert!(error.contains("line 1") && error.contains("line break"), "{name} {source}: {error}");
        }
    }
    for name in ["a.json", "a.yaml"] {
        assert_eq!(template(name, "{{ 'x\\ny' }}").unwrap(), r#""x\ny""#);
    }
    assert_eq!(template("a.sh", "{{ 'x\\ny' }}").unwrap(), "'x\ny'", "a script's word may hold one");
}

#[test]
fn templates_end_as_they_are_written() {
    assert_eq!(template("a.txt", "a\n").unwrap(), "a\n");
    assert_eq!(template("a.txt", "a").unwrap(), "a");
    assert_eq!(template("a.txt", "a\n\n").unwrap(), "a\n\n");
}

#[test]
fn errors_name_the_line_and_the_name_but_no_value() {
    let cases = [
        ("a\n{{ acess_token }}", "template, line 2: `acess_token` is not defined"),
        ("{{ extra.scop }}", "template, line 1: `extra.scop` is not defined"),
        ("a\n\n{{ access_token", "template, line 3: unexpected end of input"),
        ("{{ access_token | upcase }}", "template, line 1: filter upcase is unknown"),
        ("{{ access_token | datetime }}", "template, line 1: `datetime` wants a time"),
        (
            "{{ expires_at | datetime('%H', 'Mars') }}",
            "template, line 1: `datetime` does not know this time zone",
        ),
        ("{{ expires_at | datetime('%!') }}", "template, line 1: `datetime` does not understand this format"),
        ("\n{{ access_token + 1 }}", "template, line 2: "),
        ("{{ access_token() }}", "template, line 1: "),
        ("{{ access_token.x.y }}", "template, line 1: `access_token.x.y` is not defined"),
        ("{% include 'other' %}", "template, line 1: "),
        ("{{ 5 | b64encode | sha256(access_token) }}", "template, line 1: "),
    ];
    for (source, expected) in cases {
        let error = template("a.env", source).unwrap_err();
        assert!(error.starts_with(expected), "{source}: {error}");
        assert!(!error.contains("ab.c"), "{error}");
    }
}

#[test]
fn endless_work_and_output_are_stopped() {
    let numbers: String = (0..200).map(|number| format!("{number},")).collect();
    let nested = format!(
        "{{% for a in [{numbers}] %}}{{% for b in [{numbers}] %}}{{% for c in [{numbers}] %}}x{{% endfor %}}{{% endfor %}}{{% endfor %}}"
    );
    assert!(template("a.txt", &nested).unwrap_err().contains("too many steps"));
    let long = "y".repeat(60_000);
    let large = format!("{{% for a in [{numbers}] %}}{long}{{% endfor %}}");
    assert!(template("a.txt", &large).unwrap_err().contains("more than 1024 KiB"));
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(template("a.txt", &format!("{{{{ {deep} }}}}")).is_err());
}

#[test]
fn names_and_quoted_values_are_found_for_check() {
    let source = "A=\"{{ accounts.one.access_token }}\"\nB={{ accounts.two.expires_at }}\n'{{x}}'";
    let template = Template::parse(source, Escape::Env).unwrap();
    assert_eq!(template.names(), ["accounts.one.access_token", "accounts.two.expires_at", "x"]);
    assert_eq!(quoted_values(source), [1, 3]);
}
