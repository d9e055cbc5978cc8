use serde_json::json;

use super::*;
use crate::config::definition::ExpiryRule;
use crate::domain::ErrorClass;
use crate::provider::testing::{T0, definition, issued, operation, raw, read_at, read_repeated, reply};
use crate::provider::{Failure, Issued, OperationKind};

/// The vendor's sample (002, 003): wrapped over lines, no valid JSON inside, `exp` a string of milliseconds in 2017.
const BIZPPURIO_SAMPLE: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ2ZwxvcGVydC5jb20iLCJleHAiOiIxNDg1MjcwMDAwMDAwIiwiaHR0cHM6Ly92ZwxvcGVydC5jb20vand0X2NsYWltcy9pc19hZG1pbiI6dHJ1ZswidXNlcklkIjoiMTEwMjgzNzM3MjcxMDIiLCJ1c2VybmFtZSI6InZlbG9wZXJ0In0.WE5fMufM0NDSVGJ8cAolXGkyB5RmYwCto1pQwDIqo2w";

fn read_with(rules: Vec<ExpiryRule>, body: Value) -> Result<Issued, Failure> {
    let mut operation = operation();
    operation.expiry = rules;
    issued(&definition(operation), &reply(200, &body))
}

fn jwt(claims: &Value) -> String {
    format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

#[test]
fn civil_times_are_read_in_their_zone() {
    let rule = |format: &str, zone: &str| {
        vec![ExpiryRule::DateTime {
            at: "/ends".to_owned(),
            format: format.to_owned(),
            zone: zone.to_owned(),
        }]
    };
    for (format, zone, ends, expected) in [
        ("%Y%m%d%H%M%S", "Asia/Seoul", json!("20231115071420"), T0 + 60),
        ("%Y%m%d%H%M%S", "Asia/Seoul", json!(20_231_115_071_420_u64), T0 + 60),
        ("%Y-%m-%d %H:%M:%S", "Asia/Seoul", json!("2023-11-15 07:14:20"), T0 + 60),
        ("%Y-%m-%d %H:%M:%S", "", json!("2023-11-14 22:14:20"), T0 + 60),
        ("%Y-%m-%dT%H:%M:%S%z", "Asia/Seoul", json!("2023-11-14T22:14:20+0000"), T0 + 60),
    ] {
        let issued = read_with(rule(format, zone), json!({"access_token": "A", "ends": ends})).unwrap();
        assert_eq!(issued.expires_at, Timestamp::from_secs(expected), "{format}");
    }
    for junk in [json!("20231131000000"), json!("tomorrow"), json!(""), json!([])] {
        let failure =
            read_with(rule("%Y%m%d%H%M%S", "Asia/Seoul"), json!({"access_token": "A", "ends": junk}));
        assert!(failure.unwrap_err().message.starts_with("the reply tells no expiry that makes sense"));
    }
}

#[test]
fn a_jwt_that_is_over_shows_a_stored_reply_only_where_the_request_was_repeated() {
    let mut operation = operation();
    operation.expiry =
        vec![ExpiryRule::Jwt { claim: "exp".to_owned() }, ExpiryRule::Fixed(Duration::from_secs(30))];
    let definition = definition(operation);
    // T0 by the provider.
    let date = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");
    let t0 = Timestamp::from_secs(T0);
    let read = |ended: i64, repeated| {
        let body = json!({"access_token": jwt(&json!({"exp": T0 - ended}))}).to_string();
        let reply = raw(200, &[date], body.as_bytes());
        read_repeated(&definition, OperationKind::Issue, &reply, (t0, t0), repeated)
    };
    let failure = read(600, true).unwrap_err();
    assert!(failure.message.starts_with("the reply's token has already expired"), "{}", failure.message);
    let documented = Timestamp::from_secs(T0 + 30);
    assert_eq!(read(200_000_000, true).unwrap().expires_at, documented, "years ago: a mistake");
    assert_eq!(read(600, false).unwrap().expires_at, documented, "a claim never vetoes a new token");
}

#[test]
fn a_token_that_ended_on_its_way_is_none_and_the_next_is_asked_for_soon() {
    let late = |rules: Vec<ExpiryRule>, body: Value| {
        let mut operation = operation();
        operation.expiry = rules;
        let (t0, received_at) = (Timestamp::from_secs(T0), Timestamp::from_secs(T0 + 30));
        read_at(&definition(operation), OperationKind::Issue, &reply(200, &body), t0, received_at)
    };
    let claim = || ExpiryRule::Jwt { claim: "exp".to_owned() };
    let documented = || ExpiryRule::Fixed(Duration::from_secs(1_800));
    let body = json!({"access_token": jwt(&json!({"exp": T0 + 5}))});
    let lifetime = ExpiryRule::Lifetime { at: "/expires_in".to_owned(), unit: Unit::Seconds };
    for (rules, body) in
        [(vec![claim(), documented()], body), (vec![lifetime], json!({"access_token": "A", "expires_in": 5}))]
    {
        let failure = late(rules, body).unwrap_err();
        assert_eq!((failure.class, failure.ambiguous), (ErrorClass::Transient, false), "{}", failure.message);
        assert!(failure.message.starts_with("the reply's token ended before"), "{}", failure.message);
    }
    // What was over before it was asked for tells of clocks, and the documented life counts from the request.
    let body = json!({"access_token": jwt(&json!({"exp": T0 - 5}))});
    let issued = late(vec![claim(), documented()], body).unwrap();
    assert_eq!(issued.expires_at, Timestamp::from_secs(T0 + 1_800));
}

#[test]
fn a_jwt_informs_and_never_vetoes() {
    let rules =
        || vec![ExpiryRule::Jwt { claim: "exp".to_owned() }, ExpiryRule::Fixed(Duration::from_secs(30))];
    for (token, expected) in [
        (jwt(&json!({"exp": T0 + 600})), 600),
        (jwt(&json!({"exp": (T0 + 600).to_string()})), 600),
        (jwt(&json!({"exp": T0 - 600})), 30),
        (jwt(&json!({"exp": "1485270000000"})), 30),
        (jwt(&json!({"exp": "never"})), 30),
        (jwt(&json!({"iat": T0})), 30),
        (jwt(&json!("no object")), 30),
        (BIZPPURIO_SAMPLE.to_owned(), 30),
        ("opaque".to_owned(), 30),
        ("a.%%%.c".to_owned(), 30),
    ] {
        let issued = read_with(rules(), json!({"access_token": token})).unwrap();
        assert_eq!(issued.expires_at, Timestamp::from_secs(T0 + expected), "{token}");
    }
}

#[test]
fn milliseconds_are_read_as_declared_and_mistaken_ones_give_way() {
    let epoch = |unit| {
        vec![ExpiryRule::Epoch { at: "/at".to_owned(), unit }, ExpiryRule::Fixed(Duration::from_secs(30))]
    };
    let body = json!({"access_token": "A", "at": ((T0 + 60) * 1000).to_string()});
    assert_eq!(
        read_with(epoch(Unit::Millis), body.clone()).unwrap().expires_at,
        Timestamp::from_secs(T0 + 60)
    );
    assert_eq!(read_with(epoch(Unit::Seconds), body).unwrap().expires_at, Timestamp::from_secs(T0 + 30));
    let seconds = json!({"access_token": "A", "at": T0 + 60});
    let failure = read_with(epoch(Unit::Millis), seconds).unwrap_err();
    assert_eq!(
        failure.message,
        "the reply's token has already expired (1970-01-20T16:13:20.06Z): check this host's clock (HTTP 200)"
    );
}

#[test]
fn a_param_is_a_duration_in_the_configurations_words() {
    for (text, expected) in [
        ("90s", Some(90_000)),
        ("1h30m", Some(5_400_000)),
        ("2d", Some(172_800_000)),
        ("500ms", Some(500)),
        ("", None),
        ("0s", None),
        ("90", None),
        ("1w", None),
        ("h", None),
        ("99999999999999999999s", None),
    ] {
        assert_eq!(duration(text).map(|span| span.as_millis()), expected, "{text:?}");
    }
}
