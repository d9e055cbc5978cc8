//! Every way to log in, and what becomes of the lease.

use std::sync::Arc;

use renewd::config::model::{SecretSource, VaultAuth};
use renewd::vault::{Method, Outcome, VaultClient, VaultError};
use serde_json::{Value, json};

use crate::bao::{Bao, Listener, testdata};
use crate::client::{Ahead, document, inline, resolve, settings, sink, with, with_token};
use crate::review;
use crate::signer::Signer;

/// Writes with it, so that the login is known to work.
async fn delivers(client: &VaultClient) {
    let (fields, stamp) = document(1, 0);
    let put = client.put(&sink("secret/tokens/a"), &fields, stamp).await.unwrap();
    assert_ne!(put.outcome, Outcome::NewerThere);
}

async fn refused(client: &VaultClient, method: Method) -> VaultError {
    let error = client.maintain().await.unwrap_err();
    assert!(matches!(error, VaultError::LoginRefused { method: by, .. } if by == method), "{error:?}");
    assert!(error.server_away() && error.hint().is_some());
    error
}

async fn approle(bao: &Bao, role: Value) -> (String, String) {
    bao.policy("renewd").await;
    bao.try_call("POST", "sys/auth/approle", json!({ "type": "approle" })).await;
    bao.call("POST", "auth/approle/role/renewd", role).await;
    let id = bao.call("GET", "auth/approle/role/renewd/role-id", Value::Null).await;
    let secret = bao.try_call("POST", "auth/approle/role/renewd/secret-id", json!({})).await.1;
    (
        id["data"]["role_id"].as_str().unwrap().into(),
        secret["data"]["secret_id"].as_str().unwrap_or_default().into(),
    )
}

fn by_approle(role_id: &str, secret_id: Option<SecretSource>) -> VaultAuth {
    VaultAuth::AppRole { role_id: inline(role_id), secret_id, mount: "approle".into() }
}

fn with_clock(bao: &Bao, auth: VaultAuth, ahead: &Ahead) -> VaultClient {
    VaultClient::new(Arc::new(settings(bao, Listener::Plain, auth)), resolve(), ahead.clock())
}

#[tokio::test]
async fn a_configured_token_is_looked_up_and_renewed_but_a_bad_one_is_refused() {
    let bao = bao!();
    bao.policy("renewd").await;
    let token = bao.token(json!({ "policies": ["renewd"], "period": "60s" })).await;
    let ahead = Ahead::default();
    let client = with_clock(&bao, VaultAuth::Token(inline(&token)), &ahead);
    assert_eq!(client.next_maintenance(), None);
    delivers(&client).await;
    assert!(client.next_maintenance().is_some());
    assert_eq!((client.counts().logins, client.counts().renewals), (1, 0));
    ahead.by(41);
    client.maintain().await.unwrap();
    assert_eq!((client.counts().logins, client.counts().renewals), (1, 1));

    refused(&with_token(&bao, "s.nonsense"), Method::Token).await;
    let error = with_token(&bao, "two\nlines").maintain().await.unwrap_err();
    assert!(matches!(error, VaultError::Secret(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("lines"));
}

#[tokio::test]
async fn an_approle_logs_in_with_and_without_a_secret_id() {
    let bao = bao!();
    let role = json!({ "token_policies": ["renewd"], "token_ttl": "10m" });
    let (role_id, secret_id) = approle(&bao, role).await;
    let file = bao.file("secret-id", &format!("{secret_id}\n"));
    let client = with(settings(&bao, Listener::Plain, by_approle(&role_id, Some(SecretSource::File(file)))));
    delivers(&client).await;
    let wrong = by_approle(&role_id, Some(inline("7b1b1aa9-e7f4-2a13-1e3d-cb0d5d5ac0ff")));
    let error = refused(&with(settings(&bao, Listener::Plain, wrong)), Method::AppRole).await;
    assert!(!error.to_string().contains(&role_id));

    let role = json!({ "token_policies": ["renewd"], "bind_secret_id": false, "token_bound_cidrs": ["127.0.0.0/8"] });
    let (role_id, _) = approle(&bao, role).await;
    delivers(&with(settings(&bao, Listener::Plain, by_approle(&role_id, None)))).await;
}

#[tokio::test]
async fn a_jwt_of_a_known_key_logs_in() {
    let bao = bao!();
    bao.policy("renewd").await;
    let signer = Signer::new();
    bao.call("POST", "sys/auth/jwt", json!({ "type": "jwt" })).await;
    bao.call("POST", "auth/jwt/config", json!({ "jwt_validation_pubkeys": [signer.public_pem()] })).await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["renewd"],
    });
    bao.call("POST", "auth/jwt/role/renewd", role).await;
    let now = renewd::runtime::clock::wall().as_secs();
    let claims = json!({ "sub": "renewd", "aud": "vault", "iat": now, "nbf": now, "exp": now + 600 });
    let auth = |jwt: String, role: &str| VaultAuth::Jwt {
        role: Some(role.to_owned()),
        jwt: inline(&jwt),
        mount: "jwt".into(),
    };
    delivers(&with(settings(&bao, Listener::Plain, auth(signer.jwt(&claims), "renewd")))).await;
    let forged = Signer::new().jwt(&claims);
    refused(&with(settings(&bao, Listener::Plain, auth(forged.clone(), "renewd"))), Method::Jwt).await;
    let unknown = with(settings(&bao, Listener::Plain, auth(signer.jwt(&claims), "nobody")));
    let error = refused(&unknown, Method::Jwt).await;
    assert!(!format!("{error:?}").contains(&forged[..12]));

    // The mount's own default role.
    let config = json!({ "jwt_validation_pubkeys": [signer.public_pem()], "default_role": "renewd" });
    bao.call("POST", "auth/jwt/config", config).await;
    let without = VaultAuth::Jwt { role: None, jwt: inline(&signer.jwt(&claims)), mount: "jwt".into() };
    delivers(&with(settings(&bao, Listener::Plain, without))).await;
}

#[tokio::test]
async fn a_service_account_logs_in_where_the_token_review_says_so() {
    let bao = bao!();
    bao.policy("renewd").await;
    let signer = Signer::new();
    let now = renewd::runtime::clock::wall().as_secs();
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:apps:renewd",
        "aud": ["vault"], "iat": now, "nbf": now, "exp": now + 600,
        "kubernetes.io": { "namespace": "apps", "serviceaccount": { "name": "renewd", "uid": "6f5c" } },
    });
    let good = signer.jwt(&claims);
    let port = review::serve(good.clone());
    bao.call("POST", "sys/auth/kubernetes", json!({ "type": "kubernetes" })).await;
    let config = json!({
        "kubernetes_host": format!("https://127.0.0.1:{port}"),
        "kubernetes_ca_cert": std::fs::read_to_string(testdata("ca.pem")).unwrap(),
        "token_reviewer_jwt": signer.jwt(&claims), "disable_local_ca_jwt": true,
    });
    bao.call("POST", "auth/kubernetes/config", config).await;
    let role = json!({
        "bound_service_account_names": ["renewd"], "bound_service_account_namespaces": ["apps"],
        "token_policies": ["renewd"],
    });
    bao.call("POST", "auth/kubernetes/role/renewd", role).await;
    let auth = |jwt| VaultAuth::Kubernetes { role: "renewd".into(), jwt, mount: "kubernetes".into() };
    let file = bao.file("token", &good);
    delivers(&with(settings(&bao, Listener::Plain, auth(SecretSource::File(file))))).await;
    let other = inline(&Signer::new().jwt(&claims));
    refused(&with(settings(&bao, Listener::Plain, auth(other))), Method::Kubernetes).await;
}

#[tokio::test]
async fn a_client_certificate_logs_in_over_tls() {
    let bao = bao!(Listener::Tls);
    bao.policy("renewd").await;
    bao.call("POST", "sys/auth/cert", json!({ "type": "cert" })).await;
    let role = |name: &str| {
        json!({
            "certificate": std::fs::read_to_string(testdata("ca.pem")).unwrap(),
            "allowed_common_names": [name], "token_policies": ["renewd"],
        })
    };
    bao.call("POST", "auth/cert/certs/renewd", role("client")).await;
    bao.call("POST", "auth/cert/certs/other", role("somebody")).await;
    let auth = |name: Option<&str>| VaultAuth::Cert {
        cert_file: testdata("client.pem"),
        key_file: testdata("client.key"),
        name: name.map(Into::into),
        mount: "cert".into(),
    };
    delivers(&with(settings(&bao, Listener::Tls, auth(Some("renewd"))))).await;
    delivers(&with(settings(&bao, Listener::Tls, auth(None)))).await;
    // The role that is named is the one that is tried.
    refused(&with(settings(&bao, Listener::Tls, auth(Some("other")))), Method::Cert).await;

    let mut elsewhere = settings(&bao, Listener::Tls, auth(None));
    elsewhere.ca_file = Some(testdata("selfsigned.pem"));
    let error = with(elsewhere).maintain().await.unwrap_err();
    assert!(matches!(error, VaultError::Tls(_)), "{error:?}");
    let mut missing = settings(&bao, Listener::Tls, auth(None));
    missing.ca_file = Some(testdata("nothing.pem"));
    let error = with(missing).maintain().await.unwrap_err();
    assert_eq!(error.to_string(), "vault.ca_file cannot be read: entity not found");
}

#[tokio::test]
async fn two_hundred_callers_share_one_login_and_one_failure() {
    let bao = bao!();
    let (role_id, secret_id) = approle(&bao, json!({ "token_policies": ["renewd"] })).await;
    let auth = by_approle(&role_id, Some(inline(&secret_id)));
    let client = with(settings(&bao, Listener::Plain, auth));
    let all = (0..200).map(|number| {
        let client = &client;
        async move {
            let (fields, stamp) = document(1, 0);
            client.put(&sink(&format!("secret/tokens/{number}")), &fields, stamp).await.unwrap()
        }
    });
    let puts = futures_util::future::join_all(all).await;
    assert!(puts.iter().all(|put| put.outcome == Outcome::Written));
    assert_eq!(client.counts().logins, 1);

    let client = with(settings(&bao, Listener::Plain, by_approle("nobody", Some(inline("nothing")))));
    let all = futures_util::future::join_all((0..200).map(|_| client.maintain())).await;
    assert!(all.iter().all(|end| matches!(end, Err(VaultError::LoginRefused { .. }))));
    assert_eq!(client.counts().logins, 1);
}

#[tokio::test]
async fn a_lease_is_renewed_until_its_maximum_nears_and_then_replaced() {
    let bao = bao!();
    let role = json!({ "token_policies": ["renewd"], "token_ttl": "3s", "token_max_ttl": "6s" });
    let (role_id, secret_id) = approle(&bao, role).await;
    let client = with(settings(&bao, Listener::Plain, by_approle(&role_id, Some(inline(&secret_id)))));
    let began = std::time::Instant::now();
    while began.elapsed() < std::time::Duration::from_secs(13) {
        delivers(&client).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let counts = client.counts();
    assert!((3..=5).contains(&counts.logins), "{counts:?}");
    assert!((2..=9).contains(&counts.renewals), "{counts:?}");
}

#[tokio::test]
async fn a_batch_token_is_replaced_before_it_ends_without_being_renewed() {
    let bao = bao!();
    let role = json!({ "token_policies": ["renewd"], "token_ttl": "60s", "token_type": "batch" });
    let (role_id, secret_id) = approle(&bao, role).await;
    let ahead = Ahead::default();
    let client = with_clock(&bao, by_approle(&role_id, Some(inline(&secret_id))), &ahead);
    delivers(&client).await;
    ahead.by(41);
    delivers(&client).await;
    assert_eq!((client.counts().logins, client.counts().renewals), (2, 0));
}

#[tokio::test]
async fn a_failed_renewal_is_told_while_the_old_login_goes_on() {
    let mut bao = bao!();
    bao.policy("renewd").await;
    let token = bao.token(json!({ "policies": ["renewd"], "period": "600s" })).await;
    let ahead = Ahead::default();
    let client = with_clock(&bao, VaultAuth::Token(inline(&token)), &ahead);
    delivers(&client).await;
    bao.kill();
    ahead.by(401);
    assert!(client.maintain().await.unwrap_err().server_away());
    let due = client.next_maintenance().unwrap();
    bao.run().await;
    bao.unseal().await;
    delivers(&client).await;
    assert_eq!(client.next_maintenance(), Some(due), "not with every request");
    ahead.by(61);
    client.maintain().await.unwrap();
    assert_eq!((client.counts().logins, client.counts().renewals), (1, 2));
}
