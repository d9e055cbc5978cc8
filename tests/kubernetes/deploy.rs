//! What `deploy/` and the chart render to, against the real API server of `scripts/kubernetes-real`: each object as a dry run of
//! its creation, and the rights, with an agent that has nothing but its service account's token.
//!
//! That server is 1.20. What it cannot know is put in its own words first ([`in_words_of_1_20`]); everything else has to come back
//! as it was sent.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::pod::{Volume, in_pod, unshare};
use crate::room::{NAME, RENEWD, Room};
use crate::stage::{Stage, sink_of};
use crate::support::secs;
use crate::tools::{documents, given, helm, kustomize, lost, only, root, tool};

/// Every overlay and every way of the chart, each with its name.
fn rendered() -> Vec<(String, Vec<Value>)> {
    let (kubectl, helm_path) = (tool("kubectl").unwrap(), tool("helm").unwrap());
    let entries = |folder: &str| -> Vec<PathBuf> {
        let mut found: Vec<_> =
            fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        found
    };
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut all: Vec<_> = entries("examples/kubernetes")
        .into_iter()
        .map(|overlay| (name(&overlay), kustomize(&kubectl, &overlay)))
        .collect();
    let home = tempfile::tempdir().unwrap();
    let chart = root().join("deploy/helm/renewd");
    for values in entries("deploy/helm/renewd/ci").into_iter().chain([chart.join("values.yaml")]) {
        let words = ["template", "tokens", chart.to_str().unwrap(), "--values", values.to_str().unwrap()];
        let output = helm(&helm_path, home.path(), &words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        all.push((name(&values), documents(&String::from_utf8(output.stdout).unwrap())));
    }
    all
}

/// The same without what Kubernetes has learnt since; `None` for what is not Kubernetes' own.
fn in_words_of_1_20(mut object: Value) -> Option<Value> {
    match object["kind"].as_str().unwrap() {
        "PodMonitor" => return None,
        "CronJob" => object["apiVersion"] = json!("batch/v1beta1"),
        "PersistentVolumeClaim" => {
            for mode in object["spec"]["accessModes"].as_array_mut().unwrap() {
                if *mode == "ReadWriteOncePod" {
                    *mode = json!("ReadWriteOnce");
                }
            }
        }
        // Nobody makes the tokens there that a pod by itself is refused without.
        "Pod" => object["spec"]["automountServiceAccountToken"] = json!(false),
        "Deployment" => {
            // A sidecar is an init container that has probes and goes on: here one of the others.
            let pod = &mut object["spec"]["template"]["spec"];
            let sidecar = pod["initContainers"].as_array_mut().and_then(Vec::pop);
            if let Some(mut sidecar) = sidecar {
                assert_eq!(sidecar.as_object_mut().unwrap().remove("restartPolicy"), Some(json!("Always")));
                pod["containers"].as_array_mut().unwrap().push(sidecar);
            }
        }
        _ => {}
    }
    Some(object)
}

fn collection(object: &Value, namespace: &str) -> String {
    let version = object["apiVersion"].as_str().unwrap();
    let api = if version == "v1" { "api/v1".to_owned() } else { format!("apis/{version}") };
    let kind = object["kind"].as_str().unwrap().to_lowercase();
    let plural = if kind == "networkpolicy" { "networkpolicies".to_owned() } else { format!("{kind}s") };
    format!("/{api}/namespaces/{namespace}/{plural}")
}

async fn create(room: &Room, namespace: &str, mut object: Value, query: &str) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    let path = format!("{}{query}", collection(&object, namespace));
    let (status, answer) = room.admin("POST", &path, &object).await;
    assert_eq!(status, 201, "{object}\n{answer}");
    answer
}

#[tokio::test]
#[ignore = "needs the real API server: scripts/kubernetes-real"]
async fn the_server_takes_every_object_and_keeps_every_field_of_it() {
    let room = Room::open().await;
    // The room's own namespace has a Role already.
    let namespace = format!("{}-deploy", room.namespace);
    room.make_namespace(&namespace).await;
    for name in ["renewd", "tokens", "tokens-renewd", "default"] {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } });
        create(&room, &namespace, account, "").await;
    }
    let mut count = 0;
    for (name, objects) in rendered() {
        for object in objects.into_iter().filter_map(in_words_of_1_20) {
            let of_account = object["kind"] == "ServiceAccount";
            let mut sent = object.clone();
            sent["metadata"]["namespace"] = json!(namespace);
            if of_account {
                sent["metadata"]["name"] = json!("another");
            }
            let kept = create(&room, &namespace, sent.clone(), "?dryRun=All&fieldManager=test").await;
            assert_eq!(lost("", &sent, &kept), Vec::<String>::new(), "{name}");
            count += 1;
        }
    }
    eprintln!("{count} objects");
    assert!(count >= 25);
}

#[test]
#[ignore = "needs the real API server: scripts/kubernetes-real"]
fn with_its_service_account_alone_the_agent_writes_the_named_secret_and_no_other() {
    let test = "with_its_service_account_alone_the_agent_writes_the_named_secret_and_no_other";
    let Some(way) = unshare(test) else { return };
    let stage = Stage::set(RENEWD, 3600);
    let room = &stage.room;
    let namespace = room.namespace.clone();
    let objects = kustomize(&tool("kubectl").unwrap(), &root().join("examples/kubernetes/secrets"));
    let token = stage.wait(async {
        for kind in ["ServiceAccount", "Role", "RoleBinding"] {
            let mut object = only(&objects, kind).clone();
            if kind != "ServiceAccount" {
                // The room has a Role of this name for its own user.
                object["metadata"]["name"] = json!("of-the-account");
            }
            if kind == "RoleBinding" {
                object["roleRef"]["name"] = json!("of-the-account");
                object["subjects"][0]["namespace"] = json!(namespace);
            }
            create(room, &namespace, object, "").await;
        }
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/renewd/token");
        let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        let (status, answer) = room.admin("POST", &path, &request).await;
        assert_eq!(status, 201, "{answer}");
        answer["status"]["token"].as_str().unwrap().to_owned()
    });
    stage.world.canaries.add(&token);

    // Each verb for each name, by the server's own authorizer.
    let allowed: Vec<(String, String)> =
        given(&objects).into_iter().map(|(_, secret, verb)| (secret, verb)).collect();
    for verb in ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"] {
        for name in [NAME, "another", ""] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                "spec": { "user": format!("system:serviceaccount:{namespace}:renewd"), "resourceAttributes": {
                    "namespace": namespace, "verb": verb, "resource": "secrets", "name": name } },
            });
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let (_, answer) = stage.wait(room.admin("POST", path, &review));
            let expected = allowed.contains(&(name.to_owned(), verb.to_owned()));
            assert_eq!(answer["status"]["allowed"], expected, "{verb} {name:?}");
        }
    }
    // `create` by name is for an apply; a POST has no name to be narrowed by.
    let post = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": NAME } });
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    assert_eq!(stage.wait(room.request(&token, "POST", &path, &post)).0, 403);

    let ca =
        fs::read_to_string(PathBuf::from(std::env::var_os("RENEWD_TEST_KUBERNETES").unwrap()).join("ca.pem"));
    let volume = Volume::with(stage.world.path("account"), &token, ca.unwrap());
    let other = json!({ "kubernetes": { "secret": "another", "namespace": namespace } });
    let elsewhere = json!({ "kubernetes": { "secret": "elsewhere", "namespace": "default" } });
    stage.world.write(&stage.config([stage.sink(), other, elsewhere]));
    let port = stage.gate.address.port().to_string();
    let agent = in_pod(&stage, way, &volume, &port).start();
    let status = agent.until("one written, two refused", secs(30), |status| {
        let state = |secret| sink_of(status, secret)["state"].clone();
        (state(NAME), state("another"), state("elsewhere"))
            == (json!("written"), json!("failed"), json!("failed"))
    });
    for (secret, place) in [("another", namespace.as_str()), ("elsewhere", "default")] {
        let said = sink_of(&status, secret)["error"]["message"].as_str().unwrap();
        let words = format!(
            "system:serviceaccount:{namespace}:renewd may not get secrets \"{secret}\" in namespace \"{place}\"; hint: allow it by a Role"
        );
        assert!(said.starts_with(&words), "{said}");
    }
    let first = stage.until_both_have("access_token", "");
    assert_eq!(agent.renew("a").0, 502, "renewed, and not delivered everywhere");
    stage.until_both_have("access_token", &first);
    agent.stop();
}
