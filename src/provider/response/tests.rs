mod expiry;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::config::definition::{ErrorRule, ExpiryRule, StatusPattern};
use crate::provider::testing::{T0, definition, issued, operation, raw, read_at, reply};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

#[test]
fn a_plain_reply_brings_token_type_and_expiry() {
    let body = json!({"access_token": "A", "token_type": "bearer", "expires_in": 3600, "refresh_token": "R"});
    let issued = issued(&definition(operation()), &reply(200, &body)).unwrap();
    assert_eq!(issued.access_token.expose(), "A");
    assert_eq!(issued.token_type, "Bearer");
    assert_eq!(issued.refresh_token.unwrap().expose(), "R");
    assert_eq!(issued.expires_at, at(T0 + 3600));
    assert_eq!(issued.warnings, Vec::<String>::new());
}

#[test]
fn replies_that_are_no_json_are_named() {
    let cases: [(&[u8], &str); 6] = [
        (b"", "the reply is empty (HTTP 200)"),
        (b"<html><body>Welcome</body></html>", "the reply is HTML, not JSON (HTTP 200)"),
        (br#"{"access_token": "A", "expires"#, "the reply is JSON that breaks off (HTTP 200)"),
        (b"OK", "the reply is not JSON (HTTP 200)"),
        (
            br#"{"access_token": "A", "access_token": "B", "expires_in": 60}"#,
            "the reply names a JSON key twice (HTTP 200)",
        ),
        (b"[]", "the reply (HTTP 200) has no token"),
    ];
    for (body, words) in cases {
        let failure = issued(&definition(operation()), &raw(200, &[], body)).unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (ErrorClass::Malformed, words));
        assert!(failure.ambiguous && !failure.host_fault, "{words}");
    }
}

#[test]
fn tokens_that_no_header_could_carry_are_refused() {
    let long = "x".repeat(LONGEST_TOKEN + 1);
    for token in [
        json!(""),
        json!(null),
        json!(7),
        json!(["A"]),
        json!("A\n"),
        json!(" A"),
        json!("A B"),
        json!("A\u{1b}[0m"),
        json!("토큰"),
        json!(long),
    ] {
        let body = json!({"access_token": token, "expires_in": 60, "refresh_token": "R2"});
        let failure = issued(&definition(operation()), &reply(200, &body)).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Malformed, "{token}");
        assert_eq!(
            failure.refresh_token.unwrap().expose(),
            "R2",
            "a rotated refresh token is kept whatever else is wrong"
        );
        assert!(failure.message.is_ascii() && failure.message.len() < 120, "{}", failure.message);
    }
    // A status that the definition does not take for success, but that says that something was done.
    let body = json!({"access_token": "A", "expires_in": 60, "refresh_token": "R2"});
    for (status, kept) in [(202, Some("R2")), (206, Some("R2")), (302, None), (400, None), (500, None)] {
        let failure = issued(&definition(operation()), &reply(status, &body)).unwrap_err();
        assert_eq!(failure.refresh_token.as_ref().map(Secret::expose), kept, "{status}");
    }
    let longest = json!({"access_token": "x".repeat(LONGEST_TOKEN), "expires_in": 60});
    assert!(issued(&definition(operation()), &reply(200, &longest)).is_ok());
}

#[test]
fn statuses_mean_what_http_says_where_no_rule_does() {
    use ErrorClass::{Malformed, Rejected, Throttled, Transient};
    for (status, class) in [
        (400, Rejected),
        (401, Rejected),
        (403, Rejected),
        (404, Rejected),
        (408, Transient),
        (425, Transient),
        (429, Throttled),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (599, Transient),
        (202, Malformed),
        (204, Malformed),
        (301, Malformed),
        (307, Malformed),
        (700, Transient),
    ] {
        let failure = issued(&definition(operation()), &raw(status, &[], b"<html>")).unwrap_err();
        assert_eq!(failure.class, class, "{status}: {}", failure.message);
        assert_eq!((failure.host_fault, failure.host_pause), (status >= 500, status == 429), "{status}");
        assert_eq!(failure.status, Some(status));
    }
}

#[test]
fn a_redirect_is_told_and_never_shown() {
    for (to, words) in [
        (
            "http://evil.example/?secret",
            "the reply is a redirect to plain http; redirects are not followed, check the base URL (HTTP 307)",
        ),
        (
            "https://other.example/token",
            "the reply is a redirect; redirects are not followed, give the final address as the base URL (HTTP 307)",
        ),
    ] {
        let failure = issued(&definition(operation()), &raw(307, &[("location", to)], b"")).unwrap_err();
        assert_eq!(failure.message, words);
    }
}

#[test]
fn waits_are_read_bounded_and_junk_is_ignored() {
    let date = ("date", "Tue, 14 Nov 2023 23:13:20 GMT");
    for (value, expected) in [
        ("7", Some(7)),
        ("0.299", Some(1)),
        ("1000000000", Some(3600)),
        ("99999999999999999999999999999999999999999999", Some(3600)),
        ("Tue, 14 Nov 2023 23:13:50 GMT", Some(30)),
        ("Tue, 14 Nov 2023 23:13:10 GMT", None),
        ("0", None),
        ("-5", None),
        ("junk", None),
        ("", None),
    ] {
        for status in [429, 503] {
            let reply = raw(status, &[date, ("Retry-After", value)], b"");
            let failure = issued(&definition(operation()), &reply).unwrap_err();
            assert_eq!(failure.wait, expected.map(Duration::from_secs), "{value:?}");
        }
    }
}

#[test]
fn a_code_is_shown_only_where_it_can_be_nothing_else() {
    let mut operation = operation();
    let test = |values: Vec<String>| crate::config::definition::BodyTest {
        at: "/code".to_owned(),
        values,
        or_absent: false,
    };
    operation.errors = vec![ErrorRule {
        status: vec![StatusPattern::Exact(400)],
        body: Some(test(vec!["3007".to_owned()])),
        class: ErrorClass::Rejected,
        wait: None,
        hint: "check the password".to_owned(),
    }];
    let definition = definition(operation);
    for (code, message) in [
        (json!(3007), "the provider refuses the request (HTTP 400, code 3007): check the password"),
        (
            json!("EGW00133"),
            "the provider refuses the request (HTTP 400, code EGW00133): check base URL, credentials and params",
        ),
        (
            json!("invalid_thing"),
            "the provider refuses the request (HTTP 400, code invalid_thing): check base URL, credentials and params",
        ),
        (
            json!("s3cr3t-with-dashes"),
            "the provider refuses the request (HTTP 400): check base URL, credentials and params",
        ),
        (
            json!("\u{1b}[31m"),
            "the provider refuses the request (HTTP 400): check base URL, credentials and params",
        ),
        (
            json!("hunter2"),
            "the provider refuses the request (HTTP 400): check base URL, credentials and params",
        ),
        (
            json!("x".repeat(4000)),
            "the provider refuses the request (HTTP 400): check base URL, credentials and params",
        ),
    ] {
        let reply = reply(400, &json!({"code": code}));
        let secret = Secret::from("hunter2");
        let params = BTreeMap::new();
        let reading = Reading {
            repeated: false,
            definition: &definition,
            kind: OperationKind::Issue,
            operation: definition.issue.as_ref().unwrap(),
            params: &params,
            t0: at(T0),
            received_at: at(T0),
            secrets: &[&secret],
        };
        assert_eq!(read(&reading, &reply).unwrap_err().message, message);
    }
}

#[test]
fn invalid_grant_on_a_refresh_asks_for_a_new_login() {
    let mut definition = definition(operation());
    definition.refresh = definition.issue.clone();
    for status in [400, 401, 200] {
        let reply = reply(status, &json!({"error": "invalid_grant"}));
        let class = |kind| read_at(&definition, kind, &reply, at(T0), at(T0)).unwrap_err().class;
        assert_eq!(class(OperationKind::Refresh), ErrorClass::Relogin);
        assert_ne!(class(OperationKind::Issue), ErrorClass::Relogin);
    }
}

#[test]
fn unknown_refusals_of_an_allow_listing_vendor_name_the_address() {
    let mut definition = definition(operation());
    definition.allow_list = true;
    for status in [401, 403] {
        let failure = issued(&definition, &raw(status, &[], b"")).unwrap_err();
        assert!(
            failure.message.ends_with("register this host's public address with the vendor"),
            "{}",
            failure.message
        );
    }
}

#[test]
fn a_refresh_token_of_any_text_without_control_characters_is_kept() {
    let refresh_token = |token: &str| {
        let body = json!({"access_token": "A", "expires_in": 60, "refresh_token": token});
        let issued = issued(&definition(operation()), &reply(200, &body)).unwrap();
        (issued.refresh_token.map(|token| token.expose().to_owned()), issued.warnings.len())
    };
    // RFC 6749 appendix A.17: *VSCHAR, %x20-7E.
    let all: String = (' '..='~').collect();
    for token in ["with space", " at the ends ", "토큰", &all, &"x".repeat(16 * 1024)] {
        assert_eq!(refresh_token(token), (Some(token.to_owned()), 0));
    }
    for token in ["line\nend", "tab\t", "\0", "\u{7f}", "\u{85}", &"x".repeat(16 * 1024 + 1)] {
        assert_eq!(refresh_token(token), (None, 1), "{token:?}");
    }
    let access = json!({"access_token": "with space", "expires_in": 60});
    assert!(issued(&definition(operation()), &reply(200, &access)).is_err(), "access tokens keep their rule");
}

#[test]
fn a_coding_that_nobody_asked_for_is_named_where_it_is_a_word_and_no_secret() {
    let failure = |status: u16, coding: &str| {
        let definition = definition(operation());
        let secret = Secret::from("hunter2");
        let reading = Reading {
            definition: &definition,
            kind: OperationKind::Issue,
            operation: definition.issue.as_ref().unwrap(),
            params: &BTreeMap::new(),
            t0: Timestamp::from_secs(T0),
            received_at: Timestamp::from_secs(T0),
            repeated: false,
            secrets: &[&secret],
        };
        read(&reading, &raw(status, &[("Content-Encoding", coding)], b"\x0b\x02\x80{}\x03")).unwrap_err()
    };
    let named = failure(200, "BR");
    assert_eq!(
        (named.class, named.message.as_str(), named.ambiguous),
        (ErrorClass::Malformed, "the reply is coded as `br`, which was not asked for (HTTP 200)", true)
    );
    for coding in ["hunter2", "a b", "x".repeat(13).as_str(), "gzip, gzip, gzip"] {
        let words = "the reply is coded in a way that was not asked for (HTTP 200)";
        assert_eq!(failure(200, coding).message, words, "{coding}");
    }
    assert_eq!(failure(503, "br").class, ErrorClass::Transient, "the status says enough");
}

#[test]
fn odd_side_dishes_do_no_harm() {
    let mut operation = operation();
    operation.extra = vec![("scope".to_owned(), "/scope".to_owned()), ("big".to_owned(), "/big".to_owned())];
    operation.refresh_lifetime = vec!["/refresh_in".to_owned()];
    let body = json!({
        "access_token": "A", "expires_in": 60, "token_type": "Bearer\r\nX-Evil: 1", "refresh_token": "R\n",
        "refresh_in": 5, "scope": "a b", "big": "x".repeat(20_000),
    });
    let issued = issued(&definition(operation), &reply(200, &body)).unwrap();
    assert_eq!(
        (issued.token_type.as_str(), issued.refresh_token, issued.refresh_expires_at),
        ("Bearer", None, None)
    );
    assert_eq!(issued.extra, [("scope".to_owned(), json!("a b"))]);
    assert_eq!(issued.warnings.len(), 3);
}

proptest! {
    #[test]
    fn whatever_comes_reading_never_panics_and_never_yields_a_bad_token(
        status in 100u16..1000,
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            any_reply().prop_map(String::into_bytes),
        ],
        date in prop_oneof!["\\PC{0,40}", Just("Tue, 14 Nov 2023 22:13:20 GMT".to_owned())],
        retry_after in "\\PC{0,30}|[0-9.]{0,30}",
        life in prop::option::of(1u64..1_000_000),
        late in -100i64..100,
    ) {
        let mut definition = definition(operation());
        definition.life = life.map(Duration::from_secs);
        let reply = raw(status, &[("date", &date), ("retry-after", &retry_after)], &body);
        match read_at(&definition, OperationKind::Issue, &reply, at(T0), at(T0 + late)) {
            Ok(issued) => {
                let token = issued.access_token.expose();
                prop_assert!(!token.is_empty() && token.len() <= LONGEST_TOKEN);
                prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(issued.expires_at > at(T0) && issued.expires_at > at(T0 + late));
                prop_assert!(life.is_none_or(|life| issued.expires_at <= at(T0).plus(Duration::from_secs(life))));
            }
            Err(failure) => {
                prop_assert!(failure.wait.is_none_or(|wait| wait <= Duration::from_secs(3600)));
                prop_assert!(failure.message.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", failure.message);
            }
        }
    }
}

/// Mostly a reply as it should be, with one or another thing bent.
fn any_reply() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("\"A\"".to_owned()),
        "\"\\PC{0,20}\"",
        Just("null".to_owned()),
        Just("7".to_owned())
    ];
    let expiry = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "[0-9]{1,40}",
        "\"[0-9.-]{0,40}\"",
        (1i64..100_000).prop_map(|number| number.to_string()),
    ];
    (token, expiry)
        .prop_map(|(token, expiry)| format!(r#"{{"access_token": {token}, "expires_in": {expiry}}}"#))
}
