//! Objects against the types of the Kubernetes API (the newest version that k8s-openapi knows), strictly: a field that the type
//! does not have is found, because it does not come back.

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::tools::lost;

/// What is wrong with the objects, each with where it stands.
pub(crate) fn problems(objects: &[Value]) -> Vec<String> {
    objects.iter().flat_map(of_one).collect()
}

fn of_one(object: &Value) -> Vec<String> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let found = match (text("apiVersion"), text("kind")) {
        ("apps/v1", "Deployment") => compare::<Deployment>(object),
        ("apps/v1", "StatefulSet") => compare::<StatefulSet>(object),
        ("batch/v1", "Job") => compare::<Job>(object),
        ("batch/v1", "CronJob") => compare::<CronJob>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => compare::<NetworkPolicy>(object),
        ("rbac.authorization.k8s.io/v1", "Role") => compare::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => compare::<RoleBinding>(object),
        ("v1", "ConfigMap") => compare::<ConfigMap>(object),
        ("v1", "PersistentVolumeClaim") => compare::<PersistentVolumeClaim>(object),
        ("v1", "Pod") => compare::<Pod>(object),
        ("v1", "ServiceAccount") => compare::<ServiceAccount>(object),
        ("monitoring.coreos.com/v1", "PodMonitor") => compare::<PodMonitor>(object),
        other => vec![format!("no type for {other:?}")],
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    found.into_iter().map(|problem| format!("{} {name}: {problem}", text("kind"))).collect()
}

fn compare<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    match serde_json::from_value::<T>(object.clone()) {
        Err(error) => vec![error.to_string()],
        Ok(typed) => lost("", object, &serde_json::to_value(typed).unwrap()),
    }
}

/// As much of the Prometheus Operator's type as is used here.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitor {
    api_version: String,
    kind: String,
    metadata: Value,
    spec: PodMonitorSpec,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PodMonitorSpec {
    selector: Value,
    pod_metrics_endpoints: Vec<Endpoint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    port: String,
    path: String,
    interval: String,
}

#[test]
fn a_misspelt_field_and_a_wrong_type_are_found_wherever_they_stand() {
    let deployment = |change: &dyn Fn(&mut Value)| {
        let text =
            std::fs::read_to_string(crate::tools::root().join("deploy/kubernetes/agent/deployment.yaml"));
        let mut object = crate::tools::documents(&text.unwrap()).remove(0);
        change(&mut object["spec"]["template"]["spec"]);
        problems(&[object]).join("\n")
    };
    assert_eq!(deployment(&|_| {}), "");
    let misspelt =
        deployment(&|pod| pod["containers"][0]["securityContext"]["readonlyRootFilesystem"] = true.into());
    let place = "Deployment renewd: .spec.template.spec.containers[0].securityContext.readonlyRootFilesystem";
    assert_eq!(misspelt, format!("{place} is unknown"));
    let wrong = deployment(&|pod| pod["volumes"][1]["secret"]["defaultMode"] = "0440".into());
    assert!(wrong.contains("invalid type"), "{wrong}");
    assert_eq!(deployment(&|pod| pod["hostNetwork"] = Value::Null), "");
}
