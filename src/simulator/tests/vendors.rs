//! What is peculiar to one vendor.

use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Bench, reply, token_of};
use crate::simulator::{Credential, OldToken, Options, Provider, Rotation, VendorLimits};

#[tokio::test]
async fn bizppurio_declares_a_wall_clock_time_in_seoul_in_whole_seconds() {
    let bench = Bench::with_lifetime(60).await;
    let before = Timestamp::from_second(bench_now().as_second()).unwrap();
    let (_, body) = reply(bench.issue(Provider::Bizppurio, "acme", "pa:ss")).await;
    let expired = body["expired"].as_str().unwrap();
    let parsed = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", expired).unwrap();
    let at = parsed.in_tz("Asia/Seoul").unwrap().timestamp();
    let life = at.as_second() - before.as_second();
    assert!((60..=62).contains(&life), "{life}");
    assert_eq!(body["type"], "Bearer");
}

#[tokio::test]
async fn bizppurio_wants_its_content_type_and_a_basic_header() {
    let bench = Bench::with_lifetime(60).await;
    let url = bench.url(Provider::Bizppurio, "v1/token");
    let code = |body: &Value| body["code"].as_str().map_or(body["code"].to_string(), str::to_owned);
    let (status, body) = reply(bench.client.post(&url).basic_auth("acme", Some("key"))).await;
    assert_eq!((status, code(&body).as_str()), (400, "2000"));
    let typed = || bench.client.post(&url).header("content-type", "application/json; charset=utf-8");
    let (status, body) = reply(typed().header("authorization", "Basic $$$")).await;
    assert_eq!((status, code(&body).as_str()), (400, "3001"));
}

#[tokio::test]
async fn bizppurio_closes_an_idle_connection_but_not_one_that_waits_for_its_answer() {
    let limits = VendorLimits { bizppurio_idle: Some(Duration::from_millis(200)), ..VendorLimits::default() };
    let bench = Bench::start(Options { limits, ..Options::default() }).await;
    bench.simulator.set_rule("bizppurio=delay:500ms".parse().unwrap());
    let mut tcp = tokio::net::TcpStream::connect(bench.address).await.unwrap();
    let request = "POST /bizppurio/v1/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                   authorization: Basic YTpi\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tcp.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(2), read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("accesstoken"), "{answer}");
}

#[tokio::test]
async fn bizppurio_rcs_varies_its_forms_and_refreshes_a_pair() {
    let bench = Bench::with_lifetime(60).await;
    let (mut codes, mut arrays, mut expiries) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut last = Value::Null;
    for _ in 0..12 {
        let (_, body) = reply(bench.issue(Provider::BizppurioRcs, "acme", "key")).await;
        codes.insert(body["code"].to_string());
        arrays.insert(body["data"].is_array());
        last = if body["data"].is_array() { body["data"][0].clone() } else { body["data"].clone() };
        expiries.insert(last["expiresIn"].is_string());
    }
    assert_eq!((codes.len(), arrays.len(), expiries.len()), (3, 2, 2));

    let url = bench.url(Provider::BizppurioRcs, "rcsapi/v1/refresh_token");
    let pair = json!({"accessToken": last["accessToken"], "refreshToken": last["refreshToken"]});
    let (status, body) = reply(bench.client.post(&url).json(&pair)).await;
    assert_eq!(status, 200);
    assert_ne!(token_of(Provider::BizppurioRcs, &body), last["accessToken"].as_str());
    let unmatched = json!({"accessToken": "x", "refreshToken": last["refreshToken"]});
    assert_eq!(reply(bench.client.post(&url).json(&unmatched)).await.0, 401);
    let pasted = json!({"brandId": "b", "brandKey": "k", "accessToken": "x", "refreshToken": "y"});
    assert_eq!(reply(bench.client.post(&url).json(&pasted)).await.0, 400);
}

#[tokio::test]
async fn rcs_biz_center_keeps_its_lengths_and_declares_milliseconds_as_text() {
    let bench = Bench::with_lifetime(60).await;
    let (_, body) = reply(bench.issue(Provider::RcsBizCenter, "myMemberId", "SK.atIs4g04r6PJepf")).await;
    let expires: i64 = body["expiresIn"].as_str().unwrap().parse().unwrap();
    let left = expires - bench_now().as_millisecond();
    assert!((58_000..=60_000).contains(&left), "{left}");
    assert_eq!(reply(bench.issue(Provider::RcsBizCenter, &"i".repeat(21), "key")).await.0, 400);
    assert_eq!(reply(bench.issue(Provider::RcsBizCenter, "id", &"s".repeat(19))).await.0, 400);
}

#[tokio::test]
async fn portone_ends_the_old_refresh_token_on_refresh_and_on_login() {
    let bench = Bench::with_lifetime(60).await;
    let refresh = |token: &Value| {
        let url = bench.url(Provider::PortOne, "token/refresh");
        reply(bench.client.post(url).json(&json!({"refreshToken": token})))
    };
    let (_, first) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    let (status, second) = refresh(&first["refreshToken"]).await;
    assert_eq!(status, 200);
    assert_eq!(refresh(&first["refreshToken"]).await.0, 401);
    // A spent one does no harm to the next, unlike OAuth's families; a login does.
    let (status, third) = refresh(&second["refreshToken"]).await;
    assert_eq!(status, 200);
    let (_, _) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    assert_eq!(refresh(&third["refreshToken"]).await.0, 401);
    for body in [&first, &second, &third] {
        assert!(bench.simulator.accepts(Provider::PortOne, body["accessToken"].as_str().unwrap()));
    }
    let (_, claims) = crate::simulator::signer::parts(first["accessToken"].as_str().unwrap()).unwrap();
    let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(life, 60);
    let dead = &bench.simulator.stats().providers["portone"].operations["refresh"];
    assert_eq!(dead.values().map(|account| account.dead_refresh_tokens).sum::<u64>(), 2);
}

#[tokio::test]
async fn portone_answers_a_retry_with_the_same_key_as_it_did_before() {
    let bench = Bench::with_lifetime(60).await;
    let (_, login) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    let url = bench.url(Provider::PortOne, "token/refresh");
    let refresh = |key: &str, token: &Value| {
        bench.client.post(&url).header("idempotency-key", key).json(&json!({"refreshToken": token}))
    };
    let key = "\"0123456789abcdef\"";
    let first = reply(refresh(key, &login["refreshToken"])).await;
    assert_eq!(first.0, 200);
    assert_eq!(reply(refresh(key, &login["refreshToken"])).await, first);
    assert_eq!(reply(refresh(key, &json!("another"))).await.0, 400);
    assert_eq!(reply(refresh("\"short\"", &login["refreshToken"])).await.0, 400);
    assert_eq!(reply(refresh("\"fedcba9876543210\"", &login["refreshToken"])).await.0, 401);
}

#[tokio::test]
async fn portone_gives_the_stored_reply_to_whom_lost_it_and_409_before() {
    let bench = Bench::with_lifetime(60).await;
    let (_, login) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    let url = bench.url(Provider::PortOne, "token/refresh");
    let refresh = || {
        let body = json!({"refreshToken": login["refreshToken"]});
        bench.client.post(&url).header("idempotency-key", "\"0123456789abcdef\"").json(&body)
    };
    bench.simulator.set_rule("portone:refresh=delay:300ms#1".parse().unwrap());
    let slow = tokio::spawn(reply(refresh()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (status, body) = reply(refresh()).await;
    assert_eq!((status, body["type"].as_str()), (409, Some("IDEMPOTENCY_OUTSTANDING_REQUEST")));
    let slow = slow.await.unwrap();
    assert_eq!(slow.0, 200);
    bench.simulator.set_rule("portone:refresh=reset#1".parse().unwrap());
    assert!(refresh().send().await.is_err());
    assert_eq!(reply(refresh()).await, slow);
}

#[tokio::test]
async fn portone_v1_and_kis_repeat_their_tokens() {
    let bench = Bench::with_lifetime(8).await;
    let bench = &bench;
    let ask = |provider| async move {
        let (_, body) = reply(bench.issue(provider, "acme", "key")).await;
        token_of(provider, &body).unwrap().to_owned()
    };
    let (v1, kis) = (ask(Provider::PortOneV1).await, ask(Provider::Kis).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!((ask(Provider::PortOneV1).await, ask(Provider::Kis).await), (v1.clone(), kis.clone()));
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    assert_eq!(ask(Provider::PortOneV1).await, v1);
    assert_ne!(ask(Provider::Kis).await, kis);
}

#[tokio::test]
async fn napi_spends_a_refresh_token_more_than_once_and_limits_an_address_where_told() {
    let limits = VendorLimits { napi_per_minute: Some(3), ..VendorLimits::default() };
    let bench = Bench::start(Options { limits, ..Options::default() }).await;
    let (_, issued) = reply(bench.issue(Provider::BizppurioNapi, "acme", "key")).await;
    let url = bench.url(Provider::BizppurioNapi, "token/access");
    let access = || bench.client.post(&url).json(&json!({"refreshToken": issued["data"]["refreshToken"]}));
    for _ in 0..2 {
        let (_, body) = reply(access()).await;
        assert_eq!(body["code"], "200");
        assert!(body["data"].get("refreshToken").is_none());
    }
    let response = access().send().await.unwrap();
    assert_eq!(response.status(), 429);
    let wait: u64 = response.headers()["x-rate-limit-retry-after-seconds"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn kis_refuses_a_second_request_within_its_interval_where_told() {
    let limits = VendorLimits { kis_interval: Some(Duration::from_secs(60)), ..VendorLimits::default() };
    let bench = Bench::start(Options { limits, ..Options::default() }).await;
    assert_eq!(reply(bench.issue(Provider::Kis, "acme", "key")).await.0, 200);
    let (status, body) = reply(bench.issue(Provider::Kis, "acme", "key")).await;
    assert_eq!((status, body["error_code"].as_str()), (403, Some("EGW00133")));
    assert_eq!(reply(bench.issue(Provider::Kis, "other", "key")).await.0, 200);
}

#[tokio::test]
async fn oauth_rotates_refresh_tokens_and_ends_a_family_whose_old_one_is_used_again() {
    let bench = Bench::with_lifetime(60).await;
    let url = bench.url(Provider::OAuthRefreshToken, "token");
    let refresh = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", "send read")];
        reply(bench.client.post(&url).basic_auth("a%3Ab", Some("s")).form(&form))
    };
    let (status, first) = refresh("whatever").await;
    assert_eq!((status, first["scope"].as_str()), (200, Some("send read")));
    let (status, second) = refresh(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200);
    let (status, error) = refresh(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!((status, error["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(refresh(second["refresh_token"].as_str().unwrap()).await.0, 400);
    assert_eq!(refresh("unheard-of").await.0, 400);
    assert_eq!(refresh("seed-again").await.0, 200);
    let stats = bench.simulator.stats();
    assert!(stats.providers["oauth2-refresh-token"].operations["refresh"].contains_key("a:b"));
}

#[tokio::test]
async fn oauth_keeps_a_refresh_token_where_told() {
    let bench = Bench::start(Options { rotation: Rotation::Reusable, ..Options::default() }).await;
    for _ in 0..2 {
        let (status, body) = reply(bench.issue(Provider::OAuthRefreshToken, "acme", "key")).await;
        assert_eq!((status, body.get("refresh_token")), (200, None));
    }
}

#[tokio::test]
async fn oauth_reads_its_client_from_basic_or_from_the_body_but_not_from_both() {
    let bench = Bench::with_lifetime(60).await;
    let url = bench.url(Provider::OAuthClientCredentials, "token");
    let grant = ("grant_type", "client_credentials");
    let body = [grant, ("client_id", "acme"), ("client_secret", "key")];
    let (status, issued) = reply(bench.client.post(&url).form(&body)).await;
    assert_eq!((status, issued["expires_in"].as_u64()), (200, Some(60)));
    assert_eq!(reply(bench.client.post(&url).basic_auth("acme", Some("key")).form(&body)).await.0, 400);
    let (_, error) = reply(bench.client.post(&url).form(&[grant])).await;
    assert_eq!(error["error"], "invalid_client");
    let other = [("grant_type", "password"), ("client_id", "acme")];
    assert_eq!(reply(bench.client.post(&url).form(&other)).await.1["error"], "unsupported_grant_type");
    let refused = bench.issue(Provider::OAuthClientCredentials, "acme", "wrong").send().await.unwrap();
    assert!(refused.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn pinned_credentials_are_the_only_ones() {
    let bench = Bench::with_lifetime(60).await;
    let known =
        |secret: &str| Some(vec![Credential { account: "acme".to_owned(), secret: secret.to_owned() }]);
    bench.simulator.set_credentials(Provider::Kis, known("old"));
    assert_eq!(reply(bench.issue(Provider::Kis, "acme", "old")).await.0, 200);
    bench.simulator.set_credentials(Provider::Kis, known("new"));
    assert_eq!(reply(bench.issue(Provider::Kis, "acme", "old")).await.1["error_code"], "EGW00105");
    assert_eq!(reply(bench.issue(Provider::Kis, "stranger", "new")).await.1["error_code"], "EGW00103");
}

#[tokio::test]
async fn a_renewal_ends_the_former_token_where_told() {
    let kills = OldToken::KillsOld { overlap: Duration::from_millis(300) };
    let options = Options { old_tokens: [(Provider::Kiwoom, kills)].into(), ..Options::default() };
    let bench = Bench::start(options).await;
    let (_, first) = reply(bench.issue(Provider::Kiwoom, "acme", "key")).await;
    let (_, other) = reply(bench.issue(Provider::Kiwoom, "other", "key")).await;
    let (_, second) = reply(bench.issue(Provider::Kiwoom, "acme", "key")).await;
    let accepts = |body: &Value| bench.simulator.accepts(Provider::Kiwoom, body["token"].as_str().unwrap());
    assert!(accepts(&first) && accepts(&second));
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(!accepts(&first) && accepts(&second) && accepts(&other));
}

fn bench_now() -> Timestamp {
    crate::simulator::clock::now()
}
