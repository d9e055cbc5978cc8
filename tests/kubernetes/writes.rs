//! What is written, what is left, what is taken away.

use renewd::kubernetes::{Removed, Written};
use serde_json::{Value, json};

use crate::room::{RENEWD, Room, account, data, encoded, plain, stamp};

#[tokio::test]
async fn a_secret_is_made_with_its_keys_and_its_stamp_under_our_name() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let put = cluster
        .put(&room.sink(), &data(&[("token", "abc\"\n$"), ("empty", "")]), &stamp(3, 0))
        .await
        .unwrap();
    assert_eq!(put.written, Written::Created);
    let secret = room.look().await.unwrap();
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["data"], json!({ "token": encoded("abc\"\n$"), "empty": "" }));
    assert_eq!(
        secret["metadata"]["annotations"],
        json!({ "renewd.io/account": "messaging", "renewd.io/generation": "3",
                "renewd.io/issued-at": "2023-11-14T22:13:20Z" })
    );
    let managed = secret["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(managed.len(), 1, "{managed:?}");
    assert_eq!((&managed[0]["manager"], &managed[0]["operation"]), (&json!("renewd"), &json!("Apply")));
    assert_eq!(managed[0]["fieldsV1"]["f:data"], json!({ "f:empty": {}, "f:token": {} }));
    assert_eq!(secret["metadata"]["resourceVersion"], put.resource_version);
}

#[tokio::test]
async fn the_same_again_writes_nothing() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let content = data(&[("token", "abc")]);
    let first = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    let again = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    assert_eq!(again.written, Written::Unchanged);
    assert_eq!(again.resource_version, first.resource_version);
}

#[tokio::test]
async fn a_renewal_replaces_the_token_and_a_key_that_is_left_out_goes_away() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "one"), ("old-key", "x")]), &stamp(1, 0)).await.unwrap();
    let put = cluster.put(&room.sink(), &data(&[("token", "two")]), &stamp(2, 60)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("token", "two")]));
    assert_eq!(room.look().await.unwrap()["metadata"]["annotations"]["renewd.io/generation"], "2");
}

#[tokio::test]
async fn a_key_that_leaves_the_configuration_goes_away_with_the_same_token() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "one"), ("old-key", "x")]), &stamp(1, 0)).await.unwrap();
    let put = cluster.put(&room.sink(), &data(&[("token", "one")]), &stamp(1, 0)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("token", "one")]));
}

#[tokio::test]
async fn an_older_token_does_not_replace_a_newer_one_of_another_agent() {
    let room = Room::open().await;
    let (ours, others) = (room.cluster(RENEWD), room.cluster(RENEWD));
    others.put(&room.sink(), &data(&[("token", "newer")]), &stamp(5, 100)).await.unwrap();
    let put = ours.put(&room.sink(), &data(&[("token", "older")]), &stamp(9, 40)).await.unwrap();
    assert_eq!(put.written, Written::NewerThere);
    assert_eq!(room.values().await, plain(&[("token", "newer")]));
    // State lost, the first token again, but issued later.
    let put = ours.put(&room.sink(), &data(&[("token", "newest")]), &stamp(1, 160)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("token", "newest")]));
}

#[tokio::test]
async fn of_many_writes_at_once_the_newest_token_stays() {
    let room = Room::open().await;
    let cluster = std::sync::Arc::new(room.cluster(RENEWD));
    cluster.put(&room.sink(), &data(&[("token", "t0")]), &stamp(1, 0)).await.unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for turn in (1..=4_i64).rev() {
        let (cluster, sink) = (std::sync::Arc::clone(&cluster), room.sink());
        writes.spawn(async move {
            cluster.put(&sink, &data(&[("token", &format!("t{turn}"))]), &stamp(1, turn * 10)).await
        });
    }
    for put in writes.join_all().await {
        put.unwrap();
    }
    assert_eq!(room.values().await, plain(&[("token", "t4")]));
}

#[tokio::test]
async fn a_deleted_secret_is_written_again() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let content = data(&[("token", "abc")]);
    cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    let (status, _) = room.admin("DELETE", &room.path(), &Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap().written, Written::Created);
}

#[tokio::test]
async fn what_others_add_is_seen_and_left() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let content = data(&[("token", "abc")]);
    let put = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    room.others_patch("kubectl-label", &json!({ "metadata": { "labels": { "team": "a" } } })).await;
    let again = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    assert_eq!(again.written, Written::Unchanged);
    assert_ne!(again.resource_version, put.resource_version);
    let secret = room.look().await.unwrap();
    assert_eq!(secret["metadata"]["resourceVersion"], again.resource_version);
    assert_eq!(secret["metadata"]["labels"], json!({ "team": "a" }));
}

#[tokio::test]
async fn a_megabyte_fits_and_one_byte_more_is_not_sent() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let put =
        cluster.put(&room.sink(), &data(&[("token", &"x".repeat(1 << 20))]), &stamp(1, 0)).await.unwrap();
    assert_eq!(put.written, Written::Created);
    let content = data(&[("token", &"x".repeat(1 << 20)), ("more", "y")]);
    let error = cluster.put(&room.sink(), &content, &stamp(2, 60)).await.unwrap_err();
    assert_eq!(error.to_string(), "1048577 bytes are more than a Secret can hold (1048576)");
    assert!(!error.server_away());
}

#[tokio::test]
async fn what_was_ours_is_deleted_whole() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap();
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Secret);
    assert_eq!(room.look().await, None);
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Nothing);
}

#[tokio::test]
async fn a_rehearsal_writes_nothing() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.rehearse(&room.sink(), &["token".to_owned()], &stamp(1, 0)).await.unwrap();
    assert_eq!(room.look().await, None);
    let put = cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap();
    cluster.rehearse(&room.sink(), &["token".to_owned(), "more".to_owned()], &stamp(1, 0)).await.unwrap();
    assert_eq!(room.look().await.unwrap()["metadata"]["resourceVersion"], put.resource_version);
}
