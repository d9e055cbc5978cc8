//! What the API server refuses: credentials, rights, namespaces, contents.

use renewd::kubernetes::{Cluster, KubeError, Origin, Verb, Written};
use serde_json::{Value, json};

use crate::room::{ADMIN, NAME, RENEWD, Room, STRANGER, account, data, stamp};

#[tokio::test]
async fn who_may_nothing_is_told_what_is_missing() {
    let room = Room::open().await;
    let error =
        room.cluster(STRANGER).put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
    assert!(!error.server_away());
    assert_eq!(
        error.to_string().replace(&room.namespace, "NS"),
        "stranger may not get secrets \"messaging-token\" in namespace \"NS\""
    );
    assert_eq!(
        error.hint(&room.sink()).unwrap().replace(&room.namespace, "NS"),
        "allow it by a Role in namespace NS: resources: [secrets], resourceNames: [messaging-token], verbs: [get, \
         create, patch]"
    );
}

/// The verb that is missed by who has the others.
async fn missed(room: &Room, verbs: &[&str], secret: &str) -> Option<Verb> {
    let rules =
        json!([{ "apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": verbs }]);
    room.rbac("Role", &json!({ "metadata": { "name": secret }, "rules": rules })).await;
    let subject = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "stranger" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": secret });
    room.rbac(
        "RoleBinding",
        &json!({ "metadata": { "name": secret }, "subjects": [subject], "roleRef": role }),
    )
    .await;
    let (cluster, mut sink) = (room.cluster(STRANGER), room.sink());
    secret.clone_into(&mut sink.secret);
    let put = async {
        cluster.put(&sink, &data(&[("token", "abc")]), &stamp(1, 0)).await?;
        cluster.delete(&sink, &account()).await
    };
    match put.await {
        Ok(_) => None,
        Err(KubeError::Forbidden { verb, namespace, name, user }) => {
            assert_eq!((namespace, name), (sink.namespace, sink.secret));
            // The server does not say who lacks the `create` that an apply needs.
            assert_eq!(user.as_deref(), (verb != Verb::Create).then_some("stranger"));
            Some(verb)
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_verb_that_a_role_lacks_is_named() {
    let room = Room::open().await;
    assert_eq!(missed(&room, &["create", "patch"], "a").await, Some(Verb::Get));
    assert_eq!(missed(&room, &["get", "create"], "b").await, Some(Verb::Patch));
    assert_eq!(missed(&room, &["get", "patch"], "c").await, Some(Verb::Create));
    assert_eq!(missed(&room, &["get", "create", "patch"], "d").await, Some(Verb::Delete));
    assert_eq!(missed(&room, &["get", "create", "patch", "delete"], "e").await, None);
}

#[tokio::test]
async fn the_examples_role_reaches_its_own_secret_and_no_other() {
    let room = Room::open().await;
    let cluster = room.cluster(RENEWD);
    cluster.put(&room.sink(), &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap();
    let mut other = room.sink();
    other.secret = "another".to_owned();
    let error = cluster.put(&other, &data(&[("token", "abc")]), &stamp(1, 0)).await.unwrap_err();
    assert!(matches!(error, KubeError::Forbidden { verb: Verb::Get, .. }), "{error}");
}

#[tokio::test]
async fn a_namespace_that_is_missing_or_leaving_is_told() {
    let room = Room::open().await;
    let cluster = room.cluster(ADMIN);
    let mut sink = room.sink();
    sink.namespace = "no-such-namespace".to_owned();
    let content = data(&[("token", "abc")]);
    let error = cluster.put(&sink, &content, &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error, KubeError::NamespaceMissing("no-such-namespace".to_owned()));
    assert_eq!(error.hint(&sink).unwrap(), "kubectl create namespace no-such-namespace");
    sink.namespace = room.namespace.clone();
    let (status, _) =
        room.admin("DELETE", &format!("/api/v1/namespaces/{}", room.namespace), &Value::Null).await;
    assert!(matches!(status, 200 | 202), "{status}");
    let error = cluster.put(&sink, &content, &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error, KubeError::NamespaceLeaving(room.namespace.clone()));
}

#[tokio::test]
async fn a_key_that_the_api_does_not_know_is_named_without_its_value() {
    let room = Room::open().await;
    let content = data(&[("to ken", "canary")]);
    let error = room.cluster(RENEWD).put(&room.sink(), &content, &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error.to_string(), "the Kubernetes API refuses the Secret: data[to ken]");
}

#[tokio::test]
async fn a_name_that_is_none_never_becomes_a_part_of_a_url() {
    let room = Room::open().await;
    for name in ["", "../configmaps/x", "a/b", "A", "a?dryRun=All", "a%2fb", ".", "-a"] {
        let mut sink = room.sink();
        name.clone_into(&mut sink.secret);
        let error = room.cluster(ADMIN).put(&sink, &data(&[]), &stamp(1, 0)).await.unwrap_err();
        assert_eq!(error, KubeError::Invalid("metadata.name".to_owned()), "{name}");
        sink = room.sink();
        name.clone_into(&mut sink.namespace);
        let error = room.cluster(ADMIN).delete(&sink, &account()).await.unwrap_err();
        assert_eq!(error, KubeError::Invalid("metadata.namespace".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn credentials_that_are_refused_are_read_again_at_once() {
    let room = Room::open().await;
    let file = room.folder.path().join("token");
    std::fs::write(&file, "rotated-away").unwrap();
    let cluster = Cluster::new(Origin::Kubeconfig(room.kubeconfig(&json!({ "tokenFile": file }))));
    let content = data(&[("token", "abc")]);
    let error = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap_err();
    assert_eq!(error, KubeError::Unauthorized);
    assert!(error.server_away());
    // The library alone would send the old one for up to a minute.
    std::fs::write(&file, format!("{RENEWD}\n")).unwrap();
    let put = cluster.put(&room.sink(), &content, &stamp(1, 0)).await.unwrap();
    assert_eq!(put.written, Written::Created);
    assert_eq!(room.look().await.unwrap()["metadata"]["name"], NAME);
}
