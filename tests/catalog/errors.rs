//! token-apis.md, "What an error means", and the vendors' quirks.

use renewd::domain::{ErrorClass, Timestamp};
use renewd::provider::{Failure, OperationKind};

use super::{built_in, read_at, reply};
use ErrorClass::{Malformed, Rejected, Relogin, Throttled, Transient};
use OperationKind::{Issue, Refresh};

fn t0() -> Timestamp {
    Timestamp::from_secs(1_700_000_000)
}

fn failure(provider: &str, kind: OperationKind, status: u16, body: &str) -> Failure {
    let read = read_at(&built_in(provider), kind, t0(), &reply(status, &[], body));
    read.map(|issued| issued.expires_at).expect_err(body)
}

#[test]
fn every_error_of_the_table_has_its_class() {
    let coded = |codes: &[u32], status: u16, class| -> Vec<(&str, OperationKind, u16, String, ErrorClass)> {
        let number =
            codes.iter().map(|code| ("bizppurio", Issue, status, format!(r#"{{"code": {code}}}"#), class));
        let text =
            codes.iter().map(|code| ("bizppurio", Issue, status, format!(r#"{{"code": "{code}"}}"#), class));
        number.chain(text).collect()
    };
    let mut cases = coded(&[2000, 3000, 3003, 3010, 3001, 3004, 3006, 3007, 3009, 3014, 5001], 400, Rejected);
    cases.extend(coded(&[3007], 401, Rejected));
    cases.extend(coded(&[3007], 200, Rejected));
    cases.extend(coded(&[3008, 3011], 400, Transient));
    cases.extend(coded(&[5002], 429, Throttled));
    cases.extend(coded(&[5002], 400, Throttled));
    cases.extend(coded(&[9000], 500, Transient));
    cases.extend(coded(&[5003], 502, Transient));
    cases.extend(coded(&[5004], 503, Transient));
    cases.extend(coded(&[5005], 504, Transient));
    cases.extend(coded(&[3002, 3005], 400, Relogin));
    let plain = |provider, kind, status, body: &str, class| (provider, kind, status, body.to_owned(), class);
    cases.extend([
        plain(
            "rcs-biz-center",
            Issue,
            401,
            r#"{"error": {"code": "61006", "message": "x"}, "status": 401}"#,
            Rejected,
        ),
        plain("rcs-biz-center", Issue, 401, "{}", Rejected),
        plain("rcs-biz-center", Issue, 429, "", Throttled),
        plain("rcs-biz-center", Issue, 500, "", Transient),
        plain("bizppurio-rcs", Issue, 400, "{}", Rejected),
        plain("bizppurio-rcs", Issue, 401, "{}", Rejected),
        plain("bizppurio-rcs", Issue, 403, "{}", Rejected),
        plain("bizppurio-rcs", Issue, 200, r#"{"code": "401"}"#, Rejected),
        plain("bizppurio-rcs", Issue, 429, "{}", Throttled),
        plain("bizppurio-rcs", Issue, 503, "<html>", Transient),
        plain("bizppurio-rcs", Refresh, 400, "{}", Relogin),
        plain("bizppurio-rcs", Refresh, 401, "{}", Relogin),
        plain("bizppurio-rcs", Refresh, 404, "{}", Relogin),
        plain("bizppurio-rcs", Refresh, 200, r#"{"code": 999}"#, Relogin),
        plain("bizppurio-rcs", Refresh, 429, "{}", Throttled),
        plain("bizppurio-rcs", Refresh, 500, "{}", Transient),
        plain("kiwoom", Issue, 200, r#"{"return_code": 1700, "return_msg": "x"}"#, Throttled),
        plain("kiwoom", Issue, 200, r#"{"return_code": 3, "return_msg": "x"}"#, Rejected),
        plain("kiwoom", Issue, 200, r#"{"return_code": "8005"}"#, Rejected),
        plain("kiwoom", Issue, 200, "<html>maintenance</html>", Malformed),
        plain("portone", Issue, 400, r#"{"type": "INVALID_REQUEST"}"#, Rejected),
        plain("portone", Issue, 401, r#"{"type": "UNAUTHORIZED", "message": "x"}"#, Rejected),
        plain("portone", Issue, 409, "{}", Transient),
        plain("portone", Refresh, 409, "{}", Transient),
        plain("portone", Issue, 429, "{}", Throttled),
        plain("portone", Refresh, 429, "{}", Throttled),
        plain("portone", Issue, 500, "{}", Transient),
        plain("portone", Refresh, 400, r#"{"type": "INVALID_REQUEST"}"#, Relogin),
        plain("portone", Refresh, 401, r#"{"type": "UNAUTHORIZED"}"#, Relogin),
        plain("portone-v1", Issue, 401, r#"{"code": -1, "message": "x", "response": null}"#, Rejected),
        plain("portone-v1", Issue, 200, r#"{"code": -1, "message": "x", "response": null}"#, Rejected),
        plain("bizppurio-napi", Issue, 200, r#"{"code": "400"}"#, Rejected),
        plain("bizppurio-napi", Issue, 200, r#"{"code": 401}"#, Rejected),
        plain("bizppurio-napi", Issue, 200, r#"{"code": "403"}"#, Rejected),
        plain("bizppurio-napi", Issue, 200, r#"{"code": "404"}"#, Rejected),
        plain("bizppurio-napi", Refresh, 200, r#"{"code": "400"}"#, Rejected),
        plain("bizppurio-napi", Refresh, 200, r#"{"code": 401}"#, Relogin),
        plain("bizppurio-napi", Issue, 200, r#"{"code": "500"}"#, Transient),
        plain("bizppurio-napi", Refresh, 429, r#"{"code": "429"}"#, Throttled),
        plain("kis", Issue, 403, r#"{"error_code": "EGW00133"}"#, Throttled),
        plain("kis", Issue, 403, r#"{"error_code": "EGW00103"}"#, Rejected),
        plain("kis", Issue, 403, r#"{"error_code": "EGW09999"}"#, Rejected),
    ]);
    for (error, class) in [
        ("invalid_client", Rejected),
        ("unauthorized_client", Rejected),
        ("invalid_scope", Rejected),
        ("unsupported_grant_type", Rejected),
        ("invalid_request", Rejected),
        ("temporarily_unavailable", Transient),
    ] {
        let body = format!(r#"{{"error": "{error}"}}"#);
        cases.push(plain("oauth2-client-credentials", Issue, 400, &body, class));
        cases.push(plain("oauth2-refresh-token", Refresh, 400, &body, class));
    }
    cases.push(plain("oauth2-client-credentials", Issue, 401, r#"{"error": "invalid_client"}"#, Rejected));
    cases.push(plain("oauth2-client-credentials", Issue, 400, r#"{"error": "invalid_grant"}"#, Rejected));
    cases.push(plain("oauth2-refresh-token", Refresh, 400, r#"{"error": "invalid_grant"}"#, Relogin));
    cases.push(plain("oauth2-refresh-token", Refresh, 503, "", Transient));

    for (provider, kind, status, body, class) in cases {
        let failure = failure(provider, kind, status, &body);
        assert_eq!(failure.class, class, "{provider} {kind:?} {status} {body}: {}", failure.message);
        assert!(failure.message.is_ascii() && !failure.message.contains('{'), "{}", failure.message);
    }
}

#[test]
fn a_hint_names_the_cause() {
    for (provider, status, body, part) in [
        (
            "bizppurio",
            400,
            r#"{"code": 3003}"#,
            "code 3003): this address may not use the account; register this host's public address with the vendor",
        ),
        ("bizppurio", 400, r#"{"code": "3010"}"#, "register this host's public address with the vendor"),
        ("bizppurio", 401, "", "register this host's public address with the vendor"),
        ("rcs-biz-center", 401, "{}", "register this host's public address with the vendor"),
        ("bizppurio", 400, r#"{"code": 3007}"#, "the password is wrong"),
        ("rcs-biz-center", 401, r#"{"error": {"code": 61006}}"#, "code 61006): the secret is wrong"),
    ] {
        let message = failure(provider, Issue, status, body).message;
        assert!(message.contains(part), "{provider} {body}: {message}");
    }
}

#[test]
fn rate_limit_reset_is_in_seconds_between_1_and_60() {
    for (told, expected) in [("0.299", 1), ("12.3", 13), ("299", 60), ("0", 1)] {
        let reply = reply(429, &[("RateLimit-Reset", told)], r#"{"code": 5002}"#);
        let failure = read_at(&built_in("bizppurio"), Issue, t0(), &reply).expect_err("429");
        assert_eq!(failure.wait.map(|wait| wait.as_secs()), Some(expected), "{told}");
        assert!(failure.host_pause);
    }
    let napi = reply(429, &[("X-Rate-Limit-Retry-After-Seconds", "17")], "");
    let failure = read_at(&built_in("bizppurio-napi"), Refresh, t0(), &napi).expect_err("429");
    assert_eq!(failure.wait.map(|wait| wait.as_secs()), Some(17));
}

#[test]
fn a_later_end_than_documented_is_cut_and_told_and_an_earlier_one_obeyed() {
    // T0 is 2023-11-15 07:13:20 in Seoul.
    for (expired, life, warned) in [
        ("20231115081320", 3_600, false),
        ("20231116071320", 86_400, false),
        ("20231116081320", 86_400, false),
        ("20231116081321", 86_400, true),
        ("20991231000000", 86_400, true),
    ] {
        let body = format!(r#"{{"accesstoken": "A", "type": "Bearer", "expired": "{expired}"}}"#);
        let issued = read_at(&built_in("bizppurio"), Issue, t0(), &reply(200, &[], &body)).expect(expired);
        assert_eq!(issued.expires_at.as_secs(), t0().as_secs() + life, "{expired}");
        assert_eq!(!issued.warnings.is_empty(), warned, "{expired}: {:?}", issued.warnings);
    }
    let past = failure("bizppurio", Issue, 200, r#"{"accesstoken": "A", "expired": "20231115071319"}"#);
    assert_eq!(past.class, Malformed);
}

#[test]
fn the_sample_tokens_of_the_vendors_are_taken_in_spite_of_their_claims() {
    let wrapped = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJ2ZwxvcGVydC5jb20iLCJleHAiOiIxNDg1Mjcw\
                   MDAwMDAwIiwiaHR0cHM6Ly92ZwxvcGVydC5jb20vand0X2NsYWltcy9pc19hZG1pbiI6dHJ1ZswidXNlcklkIjoi\
                   MTEwMjgzNzM3MjcxMDIiLCJ1c2VybmFtZSI6InZlbG9wZXJ0In0.WE5fMufM0NDSVGJ8cAolXGkyB5RmYwCto1pQ\
                   wDIqo2w";
    let body = format!(r#"{{"accesstoken": "{wrapped}", "type": "Bearer", "expired": "20231116071320"}}"#);
    assert!(read_at(&built_in("bizppurio"), Issue, t0(), &reply(200, &[], &body)).is_ok());
    let portone = format!(r#"{{"accessToken": "{wrapped}", "refreshToken": "R"}}"#);
    let issued = read_at(&built_in("portone"), Issue, t0(), &reply(200, &[], &portone)).expect("opaque");
    assert_eq!(issued.expires_at.as_secs(), t0().as_secs() + 1_800);
    assert_eq!(issued.refresh_expires_at.map(Timestamp::as_secs), Some(t0().as_secs() + 86_400));
}

#[test]
fn a_refresh_that_answers_with_a_brand_record_asks_for_a_new_login() {
    let body = r#"{"code": "200", "data": {"brandId": "BR.x", "name": "x"}, "pagination": {}}"#;
    assert_eq!(failure("bizppurio-rcs", Refresh, 200, body).class, Relogin);
    assert_eq!(failure("bizppurio-rcs", Refresh, 200, "<html>").class, Relogin);
    assert_eq!(failure("bizppurio-rcs", Issue, 200, body).class, Malformed);
}

#[test]
fn all_three_success_codes_of_rcs_pass() {
    for code in ["200", r#""200""#, r#""0000""#] {
        let body =
            format!(r#"{{"code": {code}, "data": [{{"accessToken": "A", "expiresIn": "1700000600"}}]}}"#);
        let issued = read_at(&built_in("bizppurio-rcs"), Issue, t0(), &reply(200, &[], &body)).expect(code);
        assert_eq!(issued.expires_at.as_secs(), 1_700_000_600);
    }
}

#[test]
fn oauth_without_expires_in_falls_back_in_order() {
    let definition = built_in("oauth2-client-credentials");
    let body = r#"{"access_token": "A", "token_type": "bearer", "scope": "a b"}"#;
    let issued = read_at(&definition, Issue, t0(), &reply(200, &[], body)).expect("an hour");
    assert_eq!(issued.expires_at.as_secs(), t0().as_secs() + 3_600);
    assert_eq!((issued.token_type.as_str(), issued.extra[0].0.as_str()), ("Bearer", "scope"));
}
