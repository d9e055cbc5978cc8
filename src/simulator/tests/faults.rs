//! What goes wrong when it is told to.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, reply, token_of};
use crate::simulator::{Fault, Options, Provider};

async fn with(provider: Provider, fault: &str) -> Bench {
    let bench = Bench::with_lifetime(60).await;
    bench.simulator.set_fault(provider, Some(fault.parse().unwrap()));
    bench
}

/// The text of a reply to a rightful request under a fault.
async fn body_under(provider: Provider, fault: &str) -> String {
    let bench = with(provider, fault).await;
    bench.issue(provider, "acme", "key").send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn every_fault_hits_every_vendor_and_ends_when_it_is_taken_away() {
    let bench = Bench::with_lifetime(60).await;
    let impatient = Duration::from_millis(150);
    for provider in Provider::ALL {
        for name in Fault::names() {
            let name = name.replace("400..599", "404").replace("URL", "http://x.test/");
            bench.simulator.set_fault(provider, Some(name.parse().unwrap()));
            let request = bench.issue(provider, &format!("acme-{}", name.len()), "key").timeout(impatient);
            if let Ok(mut response) = request.send().await {
                let _ = response.chunk().await;
            }
            bench.simulator.set_fault(provider, None);
        }
        let stats = bench.simulator.stats().providers[provider.name()].clone();
        assert_eq!(stats.faulted, stats.requests, "{provider}");
        let (status, body) = reply(bench.issue(provider, "after-all", "key")).await;
        assert!(token_of(provider, &body).is_some(), "{provider}: {status} {body}");
    }
}

#[tokio::test]
async fn statuses_come_with_their_retry_after() {
    for (fault, status, wait) in
        [("500", 500, None), ("503:1500ms", 503, Some("2")), ("429:junk", 429, Some("soon"))]
    {
        let bench = with(Provider::Kiwoom, fault).await;
        let response = bench.issue(Provider::Kiwoom, "acme", "key").send().await.unwrap();
        assert_eq!(response.status().as_u16(), status);
        let header = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(header, wait, "{fault}");
    }
    let page = body_under(Provider::Kis, "502").await;
    assert!(page.starts_with("<html>"));
}

#[tokio::test]
async fn rules_hit_one_account_one_operation_a_number_of_times() {
    let faults = vec!["kis/acme=503#2".parse().unwrap(), "portone:refresh=500".parse().unwrap()];
    let bench = Bench::start(Options { faults, ..Options::default() }).await;
    for expected in [503, 503, 200] {
        assert_eq!(bench.issue(Provider::Kis, "acme", "key").send().await.unwrap().status(), expected);
    }
    assert_eq!(bench.issue(Provider::Kis, "other", "key").send().await.unwrap().status(), 200);
    assert_eq!(bench.issue(Provider::PortOne, "", "key").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn faults_are_set_over_http_and_a_wrong_one_is_explained() {
    let bench = Bench::with_lifetime(60).await;
    let url = format!("http://{}/_simulator/fault", bench.address);
    let set = |fault: Value| reply(bench.client.post(&url).json(&json!({"provider": "*", "fault": fault})));
    assert_eq!(set(json!("503")).await.0, 200);
    assert_eq!(bench.issue(Provider::Kis, "acme", "key").send().await.unwrap().status(), 503);
    assert_eq!(set(Value::Null).await.0, 200);
    assert_eq!(bench.issue(Provider::Kis, "acme", "key").send().await.unwrap().status(), 200);
    let (status, body) = set(json!("explode")).await;
    assert_eq!(status, 400);
    assert!(body["error"].as_str().unwrap().contains("gzip-bomb"));
}

#[tokio::test]
async fn expiries_are_spoilt_in_the_vendors_own_form() {
    for (provider, fault, wanted) in [
        (Provider::OAuthClientCredentials, "expiry-text", "\"expires_in\":\"60\""),
        (Provider::OAuthClientCredentials, "expiry-float", "\"expires_in\":60.0"),
        (Provider::OAuthClientCredentials, "expiry-ms", "\"expires_in\":60000"),
        (Provider::OAuthClientCredentials, "expiry-2^63", "\"expires_in\":9223372036854775808"),
        (Provider::OAuthClientCredentials, "expiry-past", "\"expires_in\":-3600"),
        (Provider::OAuthClientCredentials, "expiry-sooner", "\"expires_in\":6"),
        (Provider::Bizppurio, "expiry-9999", "\"expired\":\"99991231235959\""),
        (Provider::Kis, "expiry-9999", "\"access_token_token_expired\":\"9999-12-31 23:59:59\""),
        (Provider::RcsBizCenter, "expiry-negative", "\"expiresIn\":\"-1\""),
        (Provider::RcsBizCenter, "expiry-9999", "\"expiresIn\":\"253402300799000\""),
        (Provider::PortOneV1, "expiry-zero", "\"expired_at\":0"),
    ] {
        let body = body_under(provider, fault).await;
        assert!(body.contains(wanted), "{provider} {fault}: {body}");
    }
    assert!(!body_under(Provider::Kiwoom, "expiry-missing").await.contains("expires_dt"));
}

#[tokio::test]
async fn a_spoilt_claim_makes_another_token_that_lives_as_long() {
    let bench = with(Provider::PortOne, "expiry-ms").await;
    let (_, body) = reply(bench.issue(Provider::PortOne, "", "key")).await;
    let token = body["accessToken"].as_str().unwrap();
    let (_, claims) = crate::simulator::signer::parts(token).unwrap();
    assert!(claims["exp"].as_i64().unwrap() > 1_000_000_000_000);
    assert!(bench.simulator.accepts(Provider::PortOne, token));
}

#[tokio::test]
async fn tokens_and_texts_are_spoilt() {
    let kiwoom = Provider::Kiwoom;
    assert!(body_under(kiwoom, "token-null").await.contains("\"token\":null"));
    assert!(body_under(kiwoom, "token-empty").await.contains("\"token\":\"\""));
    assert!(body_under(kiwoom, "token-newline").await.contains("\\nX-Injected"));
    assert!(body_under(kiwoom, "token-huge").await.len() > 10 * 1024 * 1024);
    assert_eq!(body_under(kiwoom, "empty").await, "");
    let truncated = body_under(kiwoom, "truncated").await;
    assert!(serde_json::from_str::<Value>(&truncated).is_err());
    assert_eq!(body_under(kiwoom, "duplicate-keys").await.matches("\"token\":").count(), 2);
    assert!(!body_under(Provider::PortOne, "refresh-missing").await.contains("refreshToken"));
    assert!(body_under(Provider::RcsBizCenter, "error-in-200").await.contains("61006"));
}

#[tokio::test]
async fn the_same_token_comes_back_with_its_old_expiry() {
    let bench = Bench::with_lifetime(60).await;
    let first = reply(bench.issue(Provider::Kiwoom, "acme", "key")).await;
    bench.simulator.set_fault(Provider::Kiwoom, Some("token-same".parse().unwrap()));
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(reply(bench.issue(Provider::Kiwoom, "acme", "key")).await, first);
}

#[tokio::test]
async fn a_vendor_whose_clock_is_off_is_consistent_with_its_date_header() {
    let bench = with(Provider::PortOneV1, "clock:-10m").await;
    let response = bench.issue(Provider::PortOneV1, "acme", "key").send().await.unwrap();
    let date = response.headers()["date"].to_str().unwrap().to_owned();
    let date = jiff::fmt::rfc2822::parse(&date).unwrap().timestamp().as_second();
    let behind = crate::simulator::clock::now().as_second() - date;
    assert!((599..=602).contains(&behind), "{behind}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["response"]["now"], date);
    assert_eq!(body["response"]["expired_at"], date + 60);
    assert!(bench.simulator.accepts(Provider::PortOneV1, token_of(Provider::PortOneV1, &body).unwrap()));
}

#[tokio::test]
async fn lost_replies_differ_in_whether_the_vendor_acted() {
    for (fault, granted) in [("reset", 1), ("reset-before", 0), ("hang", 0), ("hang-after", 1)] {
        let bench = with(Provider::Kis, fault).await;
        let request = bench.issue(Provider::Kis, "acme", "key").timeout(Duration::from_millis(300));
        let error = request.send().await.unwrap_err();
        assert_eq!(error.is_timeout(), fault.starts_with("hang"), "{fault}: {error:?}");
        let stats = bench.simulator.stats();
        assert_eq!(stats.providers["kis"].granted, granted, "{fault}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_no_longer_in_flight() {
    let bench = with(Provider::Kis, "hang").await;
    let request = bench.issue(Provider::Kis, "acme", "key").timeout(Duration::from_millis(100));
    assert!(request.send().await.is_err());
    for _ in 0..50 {
        if let [seen] = bench.simulator.journal().as_slice() {
            assert_eq!((seen.status, seen.fault.as_deref()), (None, Some("hang")));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the request stayed in flight");
}

#[tokio::test]
async fn headers_without_an_end_are_no_reply() {
    let bench = with(Provider::Kis, "endless-headers").await;
    assert!(bench.issue(Provider::Kis, "acme", "key").send().await.is_err());
}

#[tokio::test]
async fn a_bomb_is_small_on_the_wire_and_large_inside() {
    let bench = with(Provider::Kis, "gzip-bomb").await;
    let mut response = bench.issue(Provider::Kis, "acme", "key").send().await.unwrap();
    let mut inflated = 0;
    let mut start = Vec::new();
    while inflated < 40 * 1024 * 1024 {
        let chunk = response.chunk().await.unwrap().unwrap();
        if start.len() < 20 {
            start.extend_from_slice(&chunk);
        }
        inflated += chunk.len();
    }
    assert!(start.starts_with(b"{\"padding\":\"aaaa"), "{:?}", start.get(..30));
}

#[tokio::test]
async fn huge_bodies_end_at_their_size_and_slow_ones_drip() {
    let bench = with(Provider::Kis, "body-huge").await;
    let request = bench.issue(Provider::Kis, "acme", "key").timeout(Duration::from_secs(30));
    let mut response = request.send().await.unwrap();
    let mut length = 0;
    while let Some(chunk) = response.chunk().await.unwrap() {
        length += chunk.len();
    }
    assert!((100 * 1024 * 1024..101 * 1024 * 1024).contains(&length), "{length}");

    bench.simulator.set_fault(Provider::Kis, Some("slow-body:20ms".parse().unwrap()));
    let mut response = bench.issue(Provider::Kis, "slow", "key").send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap().as_ref(), b"{");
}

#[tokio::test]
async fn redirects_lead_elsewhere() {
    for (fault, wanted) in [
        ("redirect", "https://redirected.invalid/token"),
        ("redirect:http://x.test/steal", "http://x.test/steal"),
    ] {
        let bench = with(Provider::Kis, fault).await;
        let response = bench.issue(Provider::Kis, "acme", "key").send().await.unwrap();
        assert_eq!(response.status(), 307);
        assert_eq!(response.headers()["location"], wanted);
    }
}
