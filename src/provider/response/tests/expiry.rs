//! When a reply says that its token ends.

use super::*;

#[test]
fn lifetimes_are_read_as_numbers_and_strings() {
    for (told, secs) in [(json!(3600), 3600), (json!("3600"), 3600), (json!(3600.0), 3600), (json!("5"), 5)] {
        let body = json!({"access_token": "A", "expires_in": told});
        assert_eq!(
            issued(&definition(operation()), &reply(200, &body)).unwrap().expires_at,
            at(T0 + secs),
            "{told}"
        );
    }
}

#[test]
fn an_expiry_that_is_past_or_cannot_be_meant_is_malformed_where_nothing_is_documented() {
    for told in [
        json!(0),
        json!(-1),
        json!("-1"),
        json!(null),
        json!("soon"),
        json!(true),
        json!({}),
        json!(9_223_372_036_854_775_807_i64),
        json!(9_223_372_036_854_775_808_u64),
        json!(1e300),
        json!(253_402_300_799_i64),
    ] {
        let body = json!({"access_token": "A", "expires_in": told, "refresh_token": "R2"});
        let failure = issued(&definition(operation()), &reply(200, &body)).unwrap_err();
        assert_eq!(failure.class, ErrorClass::Malformed, "{told}");
        assert_eq!(failure.refresh_token.unwrap().expose(), "R2");
    }
}

#[test]
fn what_cannot_be_meant_gives_way_to_the_next_rule_and_then_to_the_documented_life() {
    let body = json!({"access_token": "A", "expires_in": 9_223_372_036_854_775_807_i64});
    let mut operation = operation();
    let mut documented = definition(operation.clone());
    documented.life = Some(Duration::from_secs(3600));
    let issued_documented = issued(&documented, &reply(200, &body)).unwrap();
    assert_eq!(issued_documented.expires_at, at(T0 + 3600));
    assert_eq!(
        issued_documented.warnings,
        ["the reply tells an expiry that cannot be meant; the documented life is used"]
    );

    operation.expiry.push(ExpiryRule::Fixed(Duration::from_secs(60)));
    let fixed = issued(&definition(operation), &reply(200, &body)).unwrap();
    assert_eq!((fixed.expires_at, fixed.warnings.len()), (at(T0 + 60), 0));

    let missing = issued(&documented, &reply(200, &json!({"access_token": "A"}))).unwrap();
    assert_eq!(missing.warnings, ["the reply tells no expiry; the documented life is used"]);
}

#[test]
fn the_documented_life_caps_and_never_lengthens() {
    let mut documented = definition(operation());
    documented.life = Some(Duration::from_secs(24 * 3600));
    for (told, expected, warned) in
        [(3600, 3600, false), (25 * 3600, 24 * 3600, false), (25 * 3600 + 1, 24 * 3600, true)]
    {
        let issued =
            issued(&documented, &reply(200, &json!({"access_token": "A", "expires_in": told}))).unwrap();
        assert_eq!((issued.expires_at, !issued.warnings.is_empty()), (at(T0 + expected), warned), "{told}");
    }
}

#[test]
fn a_token_that_expired_on_the_way_is_no_token() {
    let body = json!({"access_token": "A", "expires_in": 5});
    let late =
        read_at(&definition(operation()), OperationKind::Issue, &reply(200, &body), at(T0), at(T0 + 6));
    assert_eq!(late.unwrap_err().class, ErrorClass::Transient);
}

#[test]
fn a_token_whose_documented_life_was_over_on_the_way_is_no_token() {
    let mut documented = definition(operation());
    documented.life = Some(Duration::from_secs(60));
    let read = |took: i64| {
        let reply = reply(200, &json!({"access_token": "A", "expires_in": 3600}));
        read_at(&documented, OperationKind::Issue, &reply, at(T0), at(T0 + took))
    };
    assert_eq!(read(59).unwrap().expires_at, at(T0 + 60));
    assert_eq!(read(60).unwrap_err().class, ErrorClass::Transient);
}

#[test]
fn absolute_ends_follow_the_providers_clock_beyond_five_seconds() {
    let mut operation = operation();
    operation.expiry = vec![ExpiryRule::Rfc3339 { at: "/expires_at".to_owned() }];
    // Our T0 is 2023-11-14T22:13:20Z; the reply always ends 10 minutes after the provider's own time.
    for (date, ends, expected, offset) in [
        ("Tue, 14 Nov 2023 22:13:20 GMT", "2023-11-14T22:23:20Z", T0 + 600, 0),
        ("Tue, 14 Nov 2023 22:13:24 GMT", "2023-11-14T22:23:24Z", T0 + 604, 4_000),
        ("Tue, 14 Nov 2023 22:23:20 GMT", "2023-11-14T22:33:20Z", T0 + 600, 600_000),
        ("Tue, 14 Nov 2023 22:03:20 GMT", "2023-11-14T22:13:20Z", T0 + 600, -599_001),
        ("Mon, 14 Nov 2033 22:13:20 GMT", "2033-11-14T22:23:20Z", T0 + 600, 315_619_200_000),
        ("junk", "2023-11-14T22:23:20Z", T0 + 600, i64::MAX),
    ] {
        let body = json!({"access_token": "A", "expires_at": ends}).to_string();
        let reply = raw(200, &[("Date", date)], body.as_bytes());
        let issued = issued(&definition(operation.clone()), &reply).unwrap();
        assert_eq!(
            (issued.expires_at, issued.clock_offset_ms.unwrap_or(i64::MAX)),
            (at(expected), offset),
            "{date}"
        );
    }
}

#[test]
fn a_slow_reply_is_no_skew() {
    let body = json!({"access_token": "A", "expires_in": 600}).to_string();
    let reply = raw(200, &[("date", "Tue, 14 Nov 2023 22:13:29 GMT")], body.as_bytes());
    let issued =
        read_at(&definition(operation()), OperationKind::Issue, &reply, at(T0), at(T0 + 12)).unwrap();
    assert_eq!((issued.clock_offset_ms, issued.expires_at), (Some(0), at(T0 + 600)));
}
