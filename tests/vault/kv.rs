//! The two engines: what is written when, and who wins.

use renewd::config::model::{KvVersion, VaultKey};
use renewd::domain::Secret;
use renewd::vault::{Fields, Outcome, VaultClient, VaultError};
use serde_json::{Value, json};

use crate::bao::{Bao, Listener};
use crate::client::{document, document_json, fields, inline, settings, sink, stamp, with, with_token};

async fn user(bao: &Bao) -> VaultClient {
    bao.policy("renewd").await;
    with_token(bao, &bao.token(json!({ "policies": ["renewd"] })).await)
}

#[tokio::test]
async fn a_document_is_written_once_and_read_back_as_it_was() {
    let bao = bao!();
    let (client, sink) = (user(&bao).await, sink("secret/tokens/a"));
    let (fields, stamp) = document(1, 0);
    let put = client.put(&sink, &fields, stamp).await.unwrap();
    assert_eq!((put.outcome, put.version, put.foreign), (Outcome::Written, Some(1), false));
    assert_eq!(bao.data("tokens/a").await, document_json(1, 0));
    let put = client.put(&sink, &fields, stamp).await.unwrap();
    assert_eq!((put.outcome, put.version), (Outcome::Unchanged, Some(1)));
    // After a restart nothing is known, and still nothing is written for nothing.
    let put = user(&bao).await.put(&sink, &fields, stamp).await.unwrap();
    assert_eq!((put.outcome, put.version), (Outcome::Unchanged, Some(1)));
    let (fields, stamp) = document(2, 60);
    assert_eq!(client.put(&sink, &fields, stamp).await.unwrap().version, Some(2));
    assert_eq!(bao.data("tokens/a").await, document_json(2, 60));
}

#[tokio::test]
async fn of_two_agents_the_newer_token_wins() {
    let bao = bao!();
    let (one, other, sink) = (user(&bao).await, user(&bao).await, sink("secret/tokens/a"));
    let put = async |client: &VaultClient, generation, minute| {
        let (fields, stamp) = document(generation, minute);
        client.put(&sink, &fields, stamp).await.unwrap()
    };
    assert_eq!(put(&one, 7, 0).await.outcome, Outcome::Written);
    // Its state was lost: it counts from 1, and its token is the newer one.
    assert_eq!(put(&other, 1, 10).await.outcome, Outcome::Written);
    let late = put(&one, 7, 0).await;
    assert_eq!((late.outcome, late.foreign, late.version), (Outcome::NewerThere, true, Some(2)));
    assert_eq!(bao.data("tokens/a").await["generation"], 1);
    let newer = put(&one, 8, 20).await;
    assert_eq!((newer.outcome, newer.foreign), (Outcome::Written, true));
    assert_eq!((one.counts().foreign_writes, other.counts().foreign_writes), (2, 0));
    assert_eq!(bao.data("tokens/a").await, document_json(8, 20));
}

#[tokio::test]
async fn of_two_writers_at_once_none_is_lost_and_the_newest_stays() {
    let bao = bao!();
    let (one, other, sink) = (user(&bao).await, user(&bao).await, sink("secret/tokens/a"));
    for round in 0..20 {
        let ((old, old_stamp), (new, new_stamp)) =
            (document(round, 2 * round as i64), document(round, 2 * round as i64 + 1));
        let (first, second) =
            tokio::join!(one.put(&sink, &old, old_stamp), other.put(&sink, &new, new_stamp));
        assert_eq!(second.unwrap().outcome, Outcome::Written);
        assert_ne!(first.unwrap().outcome, Outcome::Unchanged);
        assert_eq!(bao.data("tokens/a").await, document_json(round, 2 * round as i64 + 1));
    }
}

#[tokio::test]
async fn fields_without_a_stamp_get_one_beside_them_and_keep_others_notes() {
    let bao = bao!();
    let (one, other, sink) = (user(&bao).await, user(&bao).await, sink("secret/tokens/a"));
    bao.write("tokens/a", json!({ "token": "by hand" })).await;
    bao.call("POST", "secret/metadata/tokens/a", json!({ "custom_metadata": { "team": "a" } })).await;
    let bare = |text: &str| Fields::from(&[("token".to_owned(), Secret::from(text))].into());
    assert_eq!(one.put(&sink, &bare("new"), stamp(5, 50)).await.unwrap().outcome, Outcome::Written);
    assert_eq!(bao.data("tokens/a").await, json!({ "token": "new" }));
    let metadata =
        bao.call("GET", "secret/metadata/tokens/a", Value::Null).await["data"]["custom_metadata"].clone();
    let noted = json!({
        "team": "a", "renewd_generation": "5", "renewd_issued_at": "2026-01-01T00:50:00Z", "renewd_version": "2"
    });
    assert_eq!(metadata, noted);
    assert_eq!(other.put(&sink, &bare("old"), stamp(4, 40)).await.unwrap().outcome, Outcome::NewerThere);
    assert_eq!(other.put(&sink, &bare("newest"), stamp(6, 60)).await.unwrap().outcome, Outcome::Written);
    // What a hand writes over it has no stamp and is no token: it is replaced, and said.
    bao.write("tokens/a", json!({ "token": "by hand" })).await;
    let put = other.put(&sink, &bare("newest"), stamp(6, 60)).await.unwrap();
    assert_eq!((put.outcome, put.foreign), (Outcome::Written, true));
}

#[tokio::test]
async fn without_a_policy_for_metadata_the_content_is_compared() {
    let bao = bao!();
    let text = r#"path "secret/data/tokens/*" { capabilities = ["create", "read", "update"] }"#;
    bao.call("PUT", "sys/policies/acl/narrow", json!({ "policy": text })).await;
    let client = with_token(&bao, &bao.token(json!({ "policies": ["narrow"] })).await);
    let bare = fields(json!({ "token": "t" }));
    let sink = sink("secret/tokens/a");
    assert_eq!(client.put(&sink, &bare, stamp(1, 1)).await.unwrap().outcome, Outcome::Written);
    assert_eq!(client.put(&sink, &bare, stamp(1, 1)).await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(client.counts().logins, 1, "a denial is no reason to log in");
}

/// What the server was asked for since, about secrets: `read data`, `update metadata` ...
fn asked(audit: &std::path::Path, after: &mut usize) -> Vec<String> {
    let text = std::fs::read_to_string(audit).unwrap();
    let requests = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let requests = requests.filter(|line| line["type"] == "request").map(|line| line["request"].clone());
    let about = |request: Value| {
        let path = request["path"].as_str()?.strip_prefix("secret/")?.strip_suffix("/tokens/a")?.to_owned();
        Some(format!("{} {path}", request["operation"].as_str()?))
    };
    let all: Vec<String> = requests.filter_map(about).collect();
    let new = all[*after..].to_vec();
    *after = all.len();
    new
}

#[tokio::test]
async fn what_stands_as_it_was_written_is_compared_by_its_version_alone() {
    let bao = bao!();
    let (client, sink) = (user(&bao).await, sink("secret/tokens/a"));
    let (audit, mut seen) = (bao.audit().await, 0);
    let (fields, stamp) = document(1, 0);
    let put = async |client: &VaultClient| client.put(&sink, &fields, stamp).await.unwrap().outcome;
    assert_eq!(put(&client).await, Outcome::Written);
    assert_eq!(asked(&audit, &mut seen), ["read data", "create data"]);
    for _ in 0..2 {
        assert_eq!(put(&client).await, Outcome::Unchanged);
        assert_eq!(asked(&audit, &mut seen), ["read metadata"]);
    }
    // Somebody's version: all of it is read. The same holds for one that was deleted.
    bao.write("tokens/a", json!({ "token": "by hand" })).await;
    asked(&audit, &mut seen);
    assert_eq!(put(&client).await, Outcome::Written);
    assert_eq!(asked(&audit, &mut seen), ["read metadata", "read data", "update data"]);
    bao.call("DELETE", "secret/data/tokens/a", Value::Null).await;
    asked(&audit, &mut seen);
    assert_eq!(put(&client).await, Outcome::Written);
    assert_eq!(asked(&audit, &mut seen), ["read metadata", "read data", "update data"]);
    // After a start nothing is known, once; where the policy denies metadata it is asked once.
    let text = r#"path "secret/data/tokens/*" { capabilities = ["create", "read", "update"] }"#;
    bao.call("PUT", "sys/policies/acl/narrow", json!({ "policy": text })).await;
    let narrow = with_token(&bao, &bao.token(json!({ "policies": ["narrow"] })).await);
    for expected in [&["read data"][..], &["read metadata", "read data"], &["read data"]] {
        assert_eq!(put(&narrow).await, Outcome::Unchanged);
        assert_eq!(asked(&audit, &mut seen), expected);
    }
    assert_eq!(narrow.counts().logins, 1, "a denial is no reason to log in");
}

#[tokio::test]
async fn deleted_and_destroyed_versions_are_written_again() {
    let bao = bao!();
    let (client, sink) = (user(&bao).await, sink("secret/tokens/a"));
    let (fields, stamp) = document(1, 0);
    client.put(&sink, &fields, stamp).await.unwrap();
    for (number, (method, path, body)) in [
        ("DELETE", "secret/data/tokens/a", Value::Null),
        ("PUT", "secret/destroy/tokens/a", json!({ "versions": [2] })),
    ]
    .into_iter()
    .enumerate()
    {
        bao.call(method, path, body).await;
        let put = client.put(&sink, &fields, stamp).await.unwrap();
        assert_eq!((put.outcome, put.version), (Outcome::Written, Some(number as u64 + 2)));
    }
    bao.call("DELETE", "secret/metadata/tokens/a", Value::Null).await;
    assert_eq!(client.put(&sink, &fields, stamp).await.unwrap().version, Some(1));
    client.delete(&sink).await.unwrap();
    assert_eq!(bao.try_call("GET", "secret/data/tokens/a", Value::Null).await.0, 404);
    bao.call("PUT", "secret/undelete/tokens/a", json!({ "versions": [1] })).await;
    assert_eq!(bao.data("tokens/a").await, document_json(1, 0));
    client.delete(&crate::client::sink("secret/tokens/never")).await.unwrap();
}

#[tokio::test]
async fn version_one_is_read_compared_and_written() {
    let bao = bao!();
    let (client, other, sink) = (user(&bao).await, user(&bao).await, sink("kv1/tokens/a"));
    let (old, old_stamp) = document(1, 0);
    let (new, new_stamp) = document(2, 60);
    assert_eq!(client.put(&sink, &old, old_stamp).await.unwrap().outcome, Outcome::Written);
    assert_eq!(client.put(&sink, &old, old_stamp).await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(other.put(&sink, &new, new_stamp).await.unwrap().outcome, Outcome::Written);
    let late = client.put(&sink, &old, old_stamp).await.unwrap();
    assert_eq!((late.outcome, late.foreign, late.version), (Outcome::NewerThere, true, None));
    assert_eq!(bao.call("GET", "kv1/tokens/a", Value::Null).await["data"], document_json(2, 60));
    client.delete(&sink).await.unwrap();
    assert_eq!(bao.try_call("GET", "kv1/tokens/a", Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_wrong_version_of_an_engine_is_told_before_anything_is_written() {
    let bao = bao!();
    let client = user(&bao).await;
    let (fields, stamp) = document(1, 0);
    for (path, kv, says) in [
        ("kv1/tokens/a", KvVersion::V2, "the engine at `kv1` is key-value version 1"),
        ("secret/tokens/a", KvVersion::V1, "the engine at `secret` is key-value version 2"),
    ] {
        let mut sink = sink(path);
        sink.kv = kv;
        // Not every policy lets the wrong one be asked for.
        let root = with_token(&bao, &bao.root);
        for client in [&client, &root] {
            let error = client.put(&sink, &fields, stamp).await.unwrap_err();
            assert_eq!(error.to_string(), says);
            assert!(error.hint().unwrap().starts_with("say kv: ") && !error.server_away());
        }
    }
    assert_eq!(bao.try_call("GET", "kv1/data/tokens/a", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_namespace_is_a_world_of_its_own() {
    let bao = bao!();
    bao.call("POST", "sys/namespaces/team-a", json!({})).await;
    let ns = Some("team-a");
    let (status, _) = bao
        .call_in(ns, "POST", "sys/mounts/secret", json!({ "type": "kv", "options": { "version": "2" } }))
        .await;
    assert_eq!(status, 204);
    crate::bao::until(async || bao.call_in(ns, "GET", "secret/config", Value::Null).await.0 == 200).await;
    let policy = r#"path "secret/*" { capabilities = ["create", "read", "update"] }"#;
    bao.call_in(ns, "PUT", "sys/policies/acl/renewd", json!({ "policy": policy })).await;
    let token = bao.call_in(ns, "POST", "auth/token/create", json!({ "policies": ["renewd"] })).await.1;
    let token = token["auth"]["client_token"].as_str().unwrap();
    let mut settings =
        settings(&bao, Listener::Plain, renewd::config::model::VaultAuth::Token(inline(token)));
    settings.namespace = Some("team-a".into());
    let (fields, stamp) = document(1, 0);
    let put = with(settings.clone()).put(&sink("secret/tokens/a"), &fields, stamp).await.unwrap();
    assert_eq!(put.outcome, Outcome::Written);
    assert_eq!(
        bao.call_in(ns, "GET", "secret/data/tokens/a", Value::Null).await.1["data"]["data"],
        document_json(1, 0)
    );
    assert_eq!(bao.try_call("GET", "secret/data/tokens/a", Value::Null).await.0, 404);
    settings.namespace = Some("team-b".into());
    let error = with(settings).maintain().await.unwrap_err();
    assert_eq!(error, VaultError::NoNamespace);
}

#[tokio::test]
async fn a_secret_for_an_account_is_read_with_its_version() {
    let bao = bao!();
    let client = user(&bao).await;
    bao.write("tokens/vendor", json!({ "password": "hunter2\n", "pin": 4711, "bad": "a\nb", "deep": {} }))
        .await;
    bao.call("POST", "kv1/tokens/vendor", json!({ "password": "hunter3" })).await;
    let read = async |path: &str, key: &str| {
        let sink = sink(path);
        client.read_key(&VaultKey { mount: sink.mount, path: sink.path, key: key.into(), kv: sink.kv }).await
    };
    let password = read("secret/tokens/vendor", "password").await.unwrap();
    assert_eq!((password.secret.expose(), password.version), ("hunter2", Some(1)));
    assert_eq!(read("secret/tokens/vendor", "pin").await.unwrap().secret.expose(), "4711");
    let plain = read("kv1/tokens/vendor", "password").await.unwrap();
    assert_eq!((plain.secret.expose(), plain.version), ("hunter3", None));
    for (path, key, says) in [
        (
            "secret/tokens/vendor",
            "Password",
            "the secret at `secret/tokens/vendor` in Vault has no key `Password`",
        ),
        ("secret/tokens/nothing", "password", "there is no secret at `secret/tokens/nothing` in Vault"),
        ("secret/tokens/vendor", "deep", "the key `deep` of `secret/tokens/vendor` in Vault is no text"),
        (
            "secret/tokens/vendor",
            "bad",
            "the key `bad` of `secret/tokens/vendor` in Vault holds a control character, such as a line break",
        ),
        ("secret/other", "x", "Vault's policy denies read on `secret/data/other`"),
    ] {
        assert_eq!(read(path, key).await.unwrap_err().to_string(), says);
    }
}
