//! `deploy/kubernetes` and the overlays of it in `examples/kubernetes`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::restricted::{self, containers, pod_of};
use crate::support::skip;
use crate::tools::{NO_TOOL, documents, given, kustomize, needed, only, root, tool};
use crate::typed;

/// What an overlay of `examples/kubernetes` renders to; `None`, noted, where there is no kubectl.
fn rendered(test: &str, overlay: &str) -> Option<Vec<Value>> {
    let Some(kubectl) = tool("kubectl") else {
        skip(test, NO_TOOL);
        return None;
    };
    Some(kustomize(&kubectl, &root().join("examples/kubernetes").join(overlay)))
}

fn overlays() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("examples/kubernetes")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_file_by_itself_has_only_fields_that_the_api_knows() {
    let mut found = Vec::new();
    let mut folders = vec![root().join("deploy/kubernetes"), root().join("examples/kubernetes")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name != "kustomization.yaml" && name != "renewd.yaml" {
                found.extend(documents(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() >= 10, "{}", found.len());
    assert_eq!(typed::problems(&found), Vec::<String>::new());
}

#[test]
fn every_overlay_renders_to_objects_that_the_api_knows_and_to_pods_that_are_restricted() {
    let test = "every_overlay_renders_to_objects_that_the_api_knows_and_to_pods_that_are_restricted";
    let overlays = overlays();
    assert_eq!(
        overlays.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        ["once", "secrets", "sidecar"].into()
    );
    for overlay in overlays {
        let Some(objects) = rendered(test, &overlay) else { return };
        assert_eq!(typed::problems(&objects), Vec::<String>::new(), "{overlay}");
        assert_eq!(restricted::violations(&objects), Vec::<String>::new(), "{overlay}");
        for pod in objects.iter().filter_map(pod_of) {
            for container in containers(pod) {
                let image = container["image"].as_str().unwrap();
                assert!(image.starts_with("registry.example.com/"), "{overlay}: {image}");
                assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{overlay}");
                every_mount_has_a_volume(pod, container);
            }
        }
        let config = only(&objects, "ConfigMap")["data"]["renewd.yaml"].as_str().unwrap().to_owned();
        assert_eq!(
            config,
            std::fs::read_to_string(config_of(&overlay)).unwrap(),
            "{overlay}: taken as it is"
        );
    }
}

fn config_of(overlay: &str) -> PathBuf {
    root().join("examples/kubernetes").join(overlay).join("renewd.yaml")
}

fn every_mount_has_a_volume(pod: &Value, container: &Value) {
    for mount in container["volumeMounts"].as_array().into_iter().flatten() {
        let volumes = pod["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["name"] == mount["name"]), "{mount}");
    }
}

#[test]
fn the_roles_give_just_the_rights_that_the_configuration_needs() {
    let Some(objects) = rendered("the_roles_give_just_the_rights_that_the_configuration_needs", "secrets")
    else {
        return;
    };
    let needed = needed(&config_of("secrets"), "apps");
    assert!(!needed.is_empty());
    assert_eq!(given(&objects), needed);
    let binding = only(&objects, "RoleBinding");
    let account = only(&objects, "ServiceAccount");
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], "apps");
    let deployment = only(&objects, "Deployment");
    assert_eq!(pod_of(deployment).unwrap()["serviceAccountName"], account["metadata"]["name"]);
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]),
        (&json!(1), &json!({ "type": "Recreate" })),
        "one agent owns the state"
    );
}

#[test]
fn the_sidecar_comes_first_and_alone_writes_what_the_application_reads() {
    let Some(objects) =
        rendered("the_sidecar_comes_first_and_alone_writes_what_the_application_reads", "sidecar")
    else {
        return;
    };
    let pod = pod_of(only(&objects, "Deployment")).unwrap();
    let sidecar = &pod["initContainers"][0];
    assert_eq!((&sidecar["name"], &sidecar["restartPolicy"]), (&json!("renewd"), &json!("Always")));
    let tokens = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "tokens").unwrap();
    assert_eq!(tokens["emptyDir"]["medium"], "Memory");
    for container in containers(pod) {
        let mounts = container["volumeMounts"].as_array().unwrap();
        let of_tokens = mounts.iter().find(|mount| mount["name"] == "tokens").unwrap();
        let names: Vec<_> = mounts.iter().map(|mount| mount["name"].as_str().unwrap()).collect();
        if container["name"] == "renewd" {
            assert_ne!(of_tokens["readOnly"], true);
        } else {
            assert_eq!(
                (of_tokens["readOnly"].clone(), names),
                (json!(true), vec!["tokens"]),
                "nothing else of renewd's"
            );
        }
    }
}

#[test]
fn the_init_container_is_the_same_in_a_job_and_in_a_cron_job() {
    let read = |name: &str| {
        let path = root().join("deploy/kubernetes/once").join(name);
        documents(&std::fs::read_to_string(path).unwrap()).remove(0)
    };
    let (job, cron_job) = (read("job.yaml"), read("cronjob.yaml"));
    assert_eq!(pod_of(&job), pod_of(&cron_job));
    assert_eq!(pod_of(&job).unwrap()["initContainers"][0]["args"], json!(["once", "--timeout", "2m"]));
}

/// A kustomization of a test's own. Kustomize takes folders relative to it only, so that it stands in the tree.
fn rendered_here(kubectl: &Path, kustomization: &Value, workloads: &str) -> Vec<Value> {
    let target = root().join("target");
    std::fs::create_dir_all(&target).unwrap();
    let folder = tempfile::tempdir_in(target).unwrap();
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    std::fs::write(folder.path().join("workloads.yaml"), workloads).unwrap();
    let objects = kustomize(kubectl, folder.path());
    assert_eq!(typed::problems(&objects), Vec::<String>::new());
    objects
}

#[test]
fn the_state_may_be_in_memory_in_place_of_a_claim() {
    let test = "the_state_may_be_in_memory_in_place_of_a_claim";
    let Some(kubectl) = tool("kubectl") else { return skip(test, NO_TOOL) };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
        "resources": ["../../deploy/kubernetes/agent"], "components": ["../../deploy/kubernetes/state-in-memory"],
    });
    let objects = rendered_here(&kubectl, &kustomization, "");
    assert!(!objects.iter().any(|object| object["kind"] == "PersistentVolumeClaim"));
    let pod = pod_of(only(&objects, "Deployment")).unwrap();
    let state = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "state").unwrap();
    assert_eq!(*state, json!({ "name": "state", "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }));
}

/// Written as tersely as YAML allows, which kustomize does not mend when it merges.
const WORKLOADS: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: database, labels: { renewd.io/agent: sidecar } }
spec:
  selector: { matchLabels: { app: database } }
  serviceName: database
  template:
    metadata: { labels: { app: database } }
    spec:
      securityContext: { runAsNonRoot: true }
      initContainers: [{ name: mine, image: mine }]
      containers: [{ name: database, image: database }]
      volumes: [{ name: other, emptyDir: {} }]
---
apiVersion: batch/v1
kind: Job
metadata: { name: long, labels: { renewd.io/agent: sidecar } }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } }
---
apiVersion: batch/v1
kind: Job
metadata: { name: short, labels: { renewd.io/agent: once } }
spec: { template: { spec: { restartPolicy: Never, containers: [{ name: c, image: i }] } } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: strange }
spec:
  selector: { matchLabels: { app: strange } }
  template: { metadata: { labels: { app: strange } }, spec: { containers: [{ name: c, image: i }] } }
";

#[test]
fn labelled_workloads_of_every_kind_get_what_they_ask_for_and_keep_their_own() {
    let test = "labelled_workloads_of_every_kind_get_what_they_ask_for_and_keep_their_own";
    let Some(kubectl) = tool("kubectl") else { return skip(test, NO_TOOL) };
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["workloads.yaml"],
        "components": ["../../deploy/kubernetes/sidecar", "../../deploy/kubernetes/once"],
    });
    let objects = rendered_here(&kubectl, &kustomization, WORKLOADS);
    let pod = |name: &str| {
        let found = objects.iter().find(|object| object["metadata"]["name"] == name);
        pod_of(found.unwrap()).unwrap()
    };
    let first = |name: &str| {
        let first = &pod(name)["initContainers"][0];
        (first["name"].as_str(), first["restartPolicy"].as_str())
    };
    assert_eq!(first("database"), (Some("renewd"), Some("Always")));
    assert_eq!(first("long"), (Some("renewd"), Some("Always")));
    assert_eq!(first("short"), (Some("renewd-once"), None));
    assert_eq!(first("strange"), (None, None));
    let database = pod("database");
    assert_eq!(database["initContainers"][1]["name"], "mine");
    assert_eq!(database["securityContext"], json!({ "runAsNonRoot": true, "fsGroup": 65532 }));
    let volumes = database["volumes"].as_array().unwrap();
    assert!(
        volumes.contains(&json!({ "name": "other", "emptyDir": {} })) && volumes.len() == 6,
        "{volumes:?}"
    );
}
