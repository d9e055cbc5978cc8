//! Servers that are away, sealed, restarted, or no longer want us.

use std::sync::Arc;
use std::time::Duration;

use renewd::config::model::{Vault, VaultAuth};
use renewd::vault::{Method, Outcome, VaultClient, VaultError};
use serde_json::{Value, json};

use crate::bao::{Bao, Listener};
use crate::client::{Ahead, document, inline, resolve, settings, sink, with, with_token};

async fn approle(bao: &Bao) -> Vault {
    bao.policy("renewd").await;
    bao.call("POST", "sys/auth/approle", json!({ "type": "approle" })).await;
    bao.call("POST", "auth/approle/role/renewd", json!({ "token_policies": ["renewd"] })).await;
    let id = bao.call("GET", "auth/approle/role/renewd/role-id", Value::Null).await;
    let secret = bao.call("POST", "auth/approle/role/renewd/secret-id", json!({})).await;
    let auth = VaultAuth::AppRole {
        role_id: inline(id["data"]["role_id"].as_str().unwrap()),
        secret_id: Some(inline(secret["data"]["secret_id"].as_str().unwrap())),
        mount: "approle".into(),
    };
    settings(bao, Listener::Plain, auth)
}

async fn put(client: &VaultClient, path: &str) -> Result<Outcome, VaultError> {
    let (fields, stamp) = document(1, 0);
    client.put(&sink(path), &fields, stamp).await.map(|put| put.outcome)
}

#[tokio::test]
async fn away_not_initialised_and_sealed_are_told_apart() {
    let Some(mut empty) = Bao::new("faults::away_not_initialised_and_sealed_are_told_apart", Listener::Plain)
    else {
        return;
    };
    let client = with_token(&empty, "s.any");
    let away = put(&client, "secret/tokens/a").await.unwrap_err();
    assert_eq!(away, VaultError::NotReached("connection refused"));
    empty.run().await;
    assert_eq!(put(&client, "secret/tokens/a").await.unwrap_err(), VaultError::NotInitialised);
    drop(empty);

    let bao = bao!();
    let client = with(approle(&bao).await);
    put(&client, "secret/tokens/a").await.unwrap();
    bao.seal().await;
    let sealed = put(&client, "secret/tokens/a").await.unwrap_err();
    assert_eq!(sealed, VaultError::Sealed);
    assert!(sealed.server_away() && sealed.hint().unwrap().contains("unseal"));
    bao.unseal().await;
    assert_eq!(put(&client, "secret/tokens/a").await, Ok(Outcome::Unchanged));
    assert_eq!(client.counts().logins, 1, "the login outlives the seal");
}

#[tokio::test]
async fn a_crash_and_a_restart_cost_no_login_and_lose_nothing() {
    let mut bao = bao!();
    let client = with(approle(&bao).await);
    put(&client, "secret/tokens/a").await.unwrap();
    bao.kill();
    assert!(put(&client, "secret/tokens/b").await.unwrap_err().server_away());
    bao.run().await;
    bao.unseal().await;
    assert_eq!(put(&client, "secret/tokens/a").await, Ok(Outcome::Unchanged));
    assert_eq!(put(&client, "secret/tokens/b").await, Ok(Outcome::Written));
    assert_eq!(client.counts().logins, 1);
}

#[tokio::test]
async fn a_revoked_token_is_replaced_by_one_login_for_all() {
    let bao = bao!();
    let client = with(approle(&bao).await);
    put(&client, "secret/tokens/a").await.unwrap();
    bao.call("PUT", "sys/leases/revoke-prefix/auth/approle", json!({})).await;
    let all = futures_util::future::join_all((0..50).map(|number| {
        let client = &client;
        async move { put(client, &format!("secret/tokens/{number}")).await }
    }));
    assert!(all.await.iter().all(|end| *end == Ok(Outcome::Written)));
    assert_eq!(client.counts().logins, 2);

    // A configured token cannot be had again.
    let token = bao.token(json!({ "policies": ["renewd"] })).await;
    let client = with_token(&bao, &token);
    put(&client, "secret/tokens/a").await.unwrap();
    bao.call("POST", "auth/token/revoke", json!({ "token": token })).await;
    let error = put(&client, "secret/tokens/a").await.unwrap_err();
    assert!(matches!(error, VaultError::LoginRefused { method: Method::Token, .. }), "{error:?}");
}

#[tokio::test]
async fn a_denial_by_policy_stays_one_and_causes_no_logins() {
    let bao = bao!();
    let client = with(approle(&bao).await);
    for _ in 0..10 {
        let error = put(&client, "secret/others/a").await.unwrap_err();
        let denied = VaultError::Denied { path: "secret/data/others/a".into(), capability: "read" };
        assert_eq!(error, denied);
        assert!(!error.server_away());
    }
    // One that may not even look at itself: a login proves nothing, and is not repeated.
    let role = json!({ "token_policies": ["renewd"], "token_no_default_policy": true });
    bao.call("POST", "auth/approle/role/renewd", role).await;
    let client = with(approle_again(&bao).await);
    for _ in 0..10 {
        assert!(matches!(put(&client, "secret/others/a").await, Err(VaultError::Denied { .. })));
    }
    assert_eq!(client.counts().logins, 2, "one, and one in 30 s for the 403s");
    put(&client, "secret/tokens/a").await.unwrap();
}

async fn approle_again(bao: &Bao) -> Vault {
    let id = bao.call("GET", "auth/approle/role/renewd/role-id", Value::Null).await;
    let secret = bao.call("POST", "auth/approle/role/renewd/secret-id", json!({})).await;
    let auth = VaultAuth::AppRole {
        role_id: inline(id["data"]["role_id"].as_str().unwrap()),
        secret_id: Some(inline(secret["data"]["secret_id"].as_str().unwrap())),
        mount: "approle".into(),
    };
    settings(bao, Listener::Plain, auth)
}

#[tokio::test]
async fn a_mount_that_is_not_there_is_told() {
    let bao = bao!();
    let client = with_token(&bao, &bao.root);
    let error = put(&client, "nowhere/tokens/a").await.unwrap_err();
    assert_eq!(error, VaultError::NoMount("nowhere".into()));
}

#[tokio::test]
async fn too_many_requests_are_told_with_the_wait() {
    let bao = bao!();
    let client = with_token(&bao, &bao.root);
    put(&client, "secret/tokens/a").await.unwrap();
    bao.call("POST", "sys/quotas/rate-limit/all", json!({ "rate": 1, "interval": "20s", "path": "secret" }))
        .await;
    let limited = async || {
        for _ in 0..5 {
            if let Err(error) = put(&client, "secret/tokens/a").await {
                return error;
            }
        }
        panic!("never limited");
    };
    assert_eq!(limited().await, VaultError::RateLimited { wait: None });
    // Only where the operator wants it does the server say how long.
    bao.call("POST", "sys/quotas/config", json!({ "enable_rate_limit_response_headers": true })).await;
    let VaultError::RateLimited { wait: Some(wait) } = limited().await else { panic!("no wait is told") };
    assert!(wait <= Duration::from_secs(20), "{wait:?}");
}

#[tokio::test]
async fn a_suspended_machine_logs_in_anew() {
    let bao = bao!();
    let settings = approle(&bao).await;
    bao.call("POST", "auth/approle/role/renewd", json!({ "token_policies": ["renewd"], "token_ttl": "60s" }))
        .await;
    let ahead = Ahead::default();
    let client = VaultClient::new(Arc::new(settings), resolve(), ahead.clock());
    put(&client, "secret/tokens/a").await.unwrap();
    ahead.by(3600);
    assert_eq!(put(&client, "secret/tokens/a").await, Ok(Outcome::Unchanged));
    assert_eq!((client.counts().logins, client.counts().renewals), (2, 0));
}
