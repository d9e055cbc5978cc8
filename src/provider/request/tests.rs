use serde_json::json;

use super::*;
use crate::domain::ErrorClass;
use crate::provider::testing::{T0, definition, operation};

struct Given {
    credentials: BTreeMap<String, Secret>,
    params: BTreeMap<String, String>,
    refresh_token: Option<Secret>,
}

fn given(credentials: &[(&str, &str)], params: &[(&str, &str)]) -> Given {
    Given {
        credentials: credentials
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)))
            .collect(),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        refresh_token: Some(Secret::from("R")),
    }
}

fn rendered(request: &Request, given: &Given) -> Result<Rendered, Failure> {
    let scope = Scope {
        definition: &definition(operation()),
        credentials: &given.credentials,
        params: &given.params,
        base_url: "https://api.example",
        environment: "production",
        refresh_token: given.refresh_token.as_ref(),
        access_token: None,
        idempotency_key: "key-1",
        nonce: "nonce-1",
        uuid: "uuid-1",
        now: Timestamp::from_secs(T0),
    };
    render(request, &"https://api.example/token?fixed=1".parse().unwrap(), &scope)
}

fn request() -> Request {
    operation().request
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn body(rendered: &Rendered) -> &str {
    std::str::from_utf8(rendered.body.as_ref().unwrap()).unwrap()
}

#[test]
fn json_strings_are_templates_and_stay_strings() {
    let request = Request {
        body: Body::Json(json!({
            "id": "{{ credentials.id }}", "at": "{{ now_unix }}", "n": 7, "list": ["{{ nonce }}", "{{ params.none }}"],
            "empty": "{{ params.none }}", "nested": {"key": "x-{{ uuid }}"}
        })),
        ..request()
    };
    let rendered = rendered(&request, &given(&[("id", "a\"b\n{{ x }}")], &[("none", "")])).unwrap();
    assert_eq!(
        body(&rendered),
        r#"{"id":"a\"b\n{{ x }}","at":"1700000000","n":7,"list":["nonce-1"],"nested":{"key":"x-uuid-1"}}"#
    );
    assert_eq!(rendered.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(rendered.headers["accept"], "application/json");
    assert_eq!(rendered.headers["user-agent"], AGENT);
}

#[test]
fn forms_are_encoded_and_empty_fields_are_left_out() {
    let request = Request {
        body: Body::Form(fields(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "{{ refresh_token }}"),
            ("scope", "{{ params.scope }}"),
            ("secret", "{{credentials.secret}}"),
            ("audience", "{{ params.audience }}"),
        ])),
        ..request()
    };
    let given = given(&[("secret", "ä&=+ %")], &[("scope", "send read"), ("audience", "")]);
    let rendered = rendered(&request, &given).unwrap();
    assert_eq!(
        body(&rendered),
        "grant_type=refresh_token&refresh_token=R&scope=send+read&secret=%C3%A4%26%3D%2B+%25"
    );
    assert_eq!(rendered.headers["content-type"], "application/x-www-form-urlencoded");
}

#[test]
fn a_refresh_token_of_any_text_is_spent_as_it_came_or_not_at_all() {
    let with = |token: &str| Given { refresh_token: Some(Secret::from(token)), ..given(&[], &[]) };
    let named = [("token", "{{ refresh_token }}")];
    let form = Request { body: Body::Form(fields(&named)), ..request() };
    let json = Request { body: Body::Json(json!({"token": "{{ refresh_token }}"})), ..request() };
    let query = Request { body: Body::Empty, query: fields(&named), ..request() };
    let odd = " a b+c~\"토큰 ";
    let encoded = "token=+a+b%2Bc%7E%22%ED%86%A0%ED%81%B0+";
    assert_eq!(body(&rendered(&form, &with(odd)).unwrap()), encoded);
    assert_eq!(body(&rendered(&json, &with(odd)).unwrap()), r#"{"token":" a b+c~\"토큰 "}"#);
    assert_eq!(
        rendered(&query, &with(odd)).unwrap().url.query(),
        Some(format!("fixed=1&{encoded}").as_str())
    );
    let header = |template: &str, token: &str| {
        let request = Request { body: Body::Empty, headers: fields(&[("X-Token", template)]), ..request() };
        let rendered = rendered(&request, &with(token)).map_err(|failure| failure.message);
        rendered.map(|rendered| rendered.headers["x-token"].to_str().unwrap().to_owned())
    };
    assert_eq!(header("{{ refresh_token }}", "a b").unwrap(), "a b");
    assert_eq!(header("<{{ refresh_token }}>", " a b ").unwrap(), "< a b >");
    let lost = "header `X-Token` cannot hold the refresh token: the spaces at its ends get lost on the way";
    for (template, token) in [("{{ refresh_token }}", " a"), ("Bearer {{ refresh_token }}", "a ")] {
        assert_eq!(header(template, token).unwrap_err(), lost);
    }
    let refused = "header `X-Token` would hold a line end or another character that no header may";
    assert_eq!(header("{{ refresh_token }}", "토큰").unwrap_err(), refused);
}

#[test]
fn basic_is_raw_or_form_encoded_and_goes_away_without_a_username() {
    let basic = |username: &str, form_encoded| Request {
        basic: Some(Basic {
            username: username.to_owned(),
            password: "{{ credentials.pw }}".to_owned(),
            form_encoded,
        }),
        ..request()
    };
    let given = given(&[("id", "x"), ("user", "acme"), ("pw", "p:w%")], &[("auth", "body")]);
    let header = |request: &Request| rendered(request, &given).unwrap().headers.get("authorization").cloned();
    let decoded = |request: &Request| {
        let value = header(request).unwrap();
        assert!(value.is_sensitive());
        String::from_utf8(STANDARD.decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap())
            .unwrap()
    };
    assert_eq!(decoded(&basic("{{ credentials.user }}", false)), "acme:p:w%");
    assert_eq!(decoded(&basic("{{ credentials.user }}", true)), "acme:p%3Aw%25");
    assert_eq!(
        header(&basic(r#"{% if params.auth == "basic" %}{{ credentials.user }}{% endif %}"#, true)),
        None
    );
    let colon = rendered(&basic("a:b", false), &given).err().unwrap();
    assert_eq!(colon.class, ErrorClass::Config);
}

#[test]
fn query_fields_join_what_the_url_has() {
    let request =
        Request { query: fields(&[("q", "{{ nonce }} &"), ("none", "{{ params.none }}")]), ..request() };
    let rendered = rendered(&request, &given(&[("id", "x")], &[("none", "")])).unwrap();
    assert_eq!(rendered.url.as_str(), "https://api.example/token?fixed=1&q=nonce-1+%26");
}

#[test]
fn no_value_can_begin_another_header() {
    for value in ["a\r\nX-Evil: 1", "a\nb", "a\0b", "토큰"] {
        let request = Request { headers: fields(&[("X-Key", "{{ credentials.key }}")]), ..request() };
        let failure = rendered(&request, &given(&[("id", "x"), ("key", value)], &[])).err().unwrap();
        assert_eq!(
            (failure.class, failure.message.as_str()),
            (
                ErrorClass::Config,
                "header `X-Key` would hold a line end or another character that no header may"
            )
        );
    }
}

#[test]
fn a_definitions_header_replaces_the_default() {
    let request = Request { headers: fields(&[("content-type", "application/json")]), ..request() };
    let rendered = rendered(&request, &given(&[("id", "x")], &[])).unwrap();
    assert_eq!(rendered.headers.get_all("content-type").iter().collect::<Vec<_>>(), ["application/json"]);
}

#[test]
fn unknown_names_and_broken_templates_are_our_own_fault_and_show_no_value() {
    for (template, words) in [
        ("{{ credentials.nobody }}", "the definition's request field `id` names something that is not there"),
        ("{{ password }}", "the definition's request field `id` names something that is not there"),
        ("{{ credentials.id", "the definition's request field `id` is no valid template"),
        ("{{ credentials.id|nofilter }}", "the definition's request field `id` cannot be rendered"),
    ] {
        let request = Request { body: Body::Json(json!({"id": template})), ..request() };
        let failure = rendered(&request, &given(&[("id", "s3cret")], &[])).err().unwrap();
        assert_eq!((failure.class, failure.message.as_str()), (ErrorClass::Config, words));
    }
}
