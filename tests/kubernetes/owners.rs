//! What belongs to others.

use renewd::kubernetes::{Conflict, KubeError, Removed, Written};
use serde_json::{Value, json};

use crate::room::{RENEWD, Room, account, data, encoded, plain, stamp};

const CANARY: &str = "canary-3f9c1b";

/// Says it as the agent does, and looks that no value is in it.
#[track_caller]
fn said(error: &KubeError, room: &Room) -> (String, String) {
    let hint = error.hint(&room.sink()).unwrap_or_default().replace(&room.namespace, "NS");
    let words = error.to_string().replace(&room.namespace, "NS");
    let all = format!("{words} {hint} {error:?}");
    assert!(!all.contains(CANARY) && !all.contains(&encoded(CANARY)), "{all}");
    (words, hint)
}

#[tokio::test]
async fn a_secret_of_others_is_joined_and_left_with_what_was_theirs() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    room.others_make("helm", json!({ "data": { "password": encoded("theirs") } })).await;
    let put = cluster.put(&room.sink(), &data(&[("token", "ours")]), &stamp(1, 0)).await.unwrap();
    assert_eq!(put.written, Written::Updated);
    assert_eq!(room.values().await, plain(&[("password", "theirs"), ("token", "ours")]));
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Keys);
    assert_eq!(room.values().await, plain(&[("password", "theirs")]));
    let annotations = &room.look().await.unwrap()["metadata"]["annotations"];
    assert!(annotations.is_null() || annotations == &json!({}), "{annotations}");
}

#[tokio::test]
async fn an_empty_secret_that_others_made_stays_when_our_keys_go() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    room.others_make("kubectl-create", json!({ "type": "Opaque" })).await;
    cluster.put(&room.sink(), &data(&[("token", "ours")]), &stamp(1, 0)).await.unwrap();
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Keys);
    assert!(room.values().await.is_empty());
}

#[tokio::test]
async fn a_key_of_others_is_not_taken_and_the_error_names_its_owner() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    room.others_make("kubectl-create", json!({ "data": { "token": encoded(CANARY) } })).await;
    let content = data(&[("token", &format!("{CANARY}-2"))]);
    let error = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap_err();
    assert!(!error.server_away());
    let (words, hint) = said(&error, &room);
    assert_eq!(words, "the Secret is owned by others: \"token\" by kubectl-create");
    assert_eq!(
        hint,
        "let the other one stop setting it; to take it over, remove it, and renewd writes it at its next try: kubectl \
         -n NS patch secret messaging-token --type=json -p='[{\"op\":\"remove\",\"path\":\"/data/token\"}]'"
    );
    assert_eq!(room.values().await, plain(&[("token", CANARY)]));
    // What the hint says.
    room.others_patch("kubectl-patch", &json!({ "data": { "token": null } })).await;
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap().written, Written::Updated);
}

#[tokio::test]
async fn an_edit_of_our_key_is_told_with_the_editor() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "abc"), ("url", "u")]), &stamp(1, 0)).await.unwrap();
    room.others_patch("kubectl-edit", &json!({ "data": { "token": encoded(CANARY) } })).await;
    let error =
        cluster.put(&room.sink(), &data(&[("token", "abc"), ("url", "u")]), &stamp(1, 0)).await.unwrap_err();
    said(&error, &room);
    let conflict = Conflict { field: "token".to_owned(), manager: "kubectl-edit".to_owned() };
    assert_eq!(error, KubeError::Owned(vec![conflict]));
    let error = cluster.rehearse(&room.sink(), &["token".to_owned()], &stamp(1, 0)).await.unwrap_err();
    assert!(matches!(error, KubeError::Owned(_)), "{error}");
}

#[tokio::test]
async fn a_key_of_others_with_our_value_is_shared_and_stays_theirs() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    room.others_make("helm", json!({ "data": { "token": encoded("same") } })).await;
    let content = data(&[("token", "same")]);
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap().written, Written::Updated);
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap().written, Written::Unchanged);
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Keys);
    assert_eq!(room.values().await, plain(&[("token", "same")]));
}

#[tokio::test]
async fn another_accounts_secret_is_left_alone_until_its_annotation_is_taken_away() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    let mut other = stamp(1, 0);
    other.account = renewd::domain::AccountId::new("reports").unwrap();
    cluster.put(&room.sink(), &data(&[("token", "theirs")]), &other).await.unwrap();
    let error = cluster.put(&room.sink(), &data(&[("token", "ours")]), &stamp(9, 900)).await.unwrap_err();
    let (words, hint) = said(&error, &room);
    assert_eq!(words, "the Secret belongs to account \"reports\"");
    assert_eq!(
        hint,
        "give each account a Secret of its own; where `reports` is this account's former name: kubectl -n NS annotate \
         secret messaging-token renewd.io/account-"
    );
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Nothing);
    assert_eq!(room.values().await, plain(&[("token", "theirs")]));
    room.others_patch(
        "kubectl-annotate",
        &json!({ "metadata": { "annotations": { "renewd.io/account": null } } }),
    )
    .await;
    cluster.put(&room.sink(), &data(&[("token", "ours")]), &stamp(9, 900)).await.unwrap();
    assert_eq!(room.values().await, plain(&[("token", "ours")]));
}

#[tokio::test]
async fn an_immutable_secret_is_told_and_can_be_deleted_where_it_is_ours() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap();
    room.others_patch("kubectl-patch", &json!({ "immutable": true })).await;
    let error = cluster.put(&room.sink(), &data(&[("token", "new")]), &stamp(2, 60)).await.unwrap_err();
    assert_eq!(error, KubeError::Immutable);
    assert_eq!(cluster.delete(&room.sink(), &account()).await.unwrap(), Removed::Secret);
    let put = cluster.put(&room.sink(), &data(&[("token", "new")]), &stamp(2, 60)).await.unwrap();
    assert_eq!(put.written, Written::Created);
}

#[tokio::test]
async fn a_secret_that_waits_for_a_finalizer_is_not_written() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    room.others_make("operator", json!({ "metadata": { "finalizers": ["example.com/wait"] } })).await;
    let (status, _) = room.admin("DELETE", &room.path(), &Value::Null).await;
    assert_eq!(status, 200);
    let content = data(&[("token", "abc")]);
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap_err(), KubeError::Leaving);
    room.others_patch("operator", &json!({ "metadata": { "finalizers": null } })).await;
    assert_eq!(cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap().written, Written::Created);
}
