//! The Pod Security standard "restricted", and with it "baseline"
//! (<https://kubernetes.io/docs/concepts/security/pod-security-standards/>), of Linux pods.

use serde_json::{Value, json};

/// What of the objects' pods the standard forbids. Fails where none of them has a pod.
pub(crate) fn violations(objects: &[Value]) -> Vec<String> {
    let pods: Vec<_> = objects.iter().filter_map(|object| Some((object, pod_of(object)?))).collect();
    assert!(!pods.is_empty());
    let named = |(object, pod): (&Value, &Value)| {
        let name =
            format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        of_pod(pod).into_iter().map(move |problem| format!("{name}: {problem}")).collect::<Vec<_>>()
    };
    pods.into_iter().flat_map(named).collect()
}

/// The pod's specification in an object that has one.
pub(crate) fn pod_of(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Pod" => Some(&object["spec"]),
        "CronJob" => Some(&object["spec"]["jobTemplate"]["spec"]["template"]["spec"]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => Some(&object["spec"]["template"]["spec"]),
        _ => None,
    }
}

/// Its containers of every kind.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|key| pod[key].as_array().into_iter().flatten())
}

const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

fn of_pod(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for key in ["hostNetwork", "hostPID", "hostIPC"] {
        if is_set(&pod[key]) {
            found.push(format!("{key} is set"));
        }
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        found.extend(
            kinds
                .filter(|kind| !VOLUMES.contains(&kind.as_str()))
                .map(|kind| format!("a volume is a {kind}")),
        );
    }
    let shared = &pod["securityContext"];
    found.extend(of_context("the pod", shared));
    if is_set(&shared["sysctls"]) {
        found.push("sysctls are set".to_owned());
    }
    for container in containers(pod) {
        let name = container["name"].as_str().unwrap();
        let own = &container["securityContext"];
        found.extend(of_context(name, own));
        let either = |key: &str| if own[key].is_null() { &shared[key] } else { &own[key] };
        if either("runAsNonRoot") != true {
            found.push(format!("{name}: runAsNonRoot is not true"));
        }
        if !matches!(either("seccompProfile")["type"].as_str(), Some("RuntimeDefault" | "Localhost")) {
            found.push(format!("{name}: seccompProfile is not RuntimeDefault"));
        }
        if own["allowPrivilegeEscalation"] != false {
            found.push(format!("{name}: allowPrivilegeEscalation is not false"));
        }
        let capabilities = &own["capabilities"];
        if !capabilities["drop"].as_array().is_some_and(|dropped| dropped.contains(&json!("ALL"))) {
            found.push(format!("{name}: not all capabilities are dropped"));
        }
        if capabilities["add"]
            .as_array()
            .is_some_and(|added| added.iter().any(|one| one != "NET_BIND_SERVICE"))
        {
            found.push(format!("{name}: capabilities are added"));
        }
        for key in ["privileged", "procMount"] {
            if is_set(&own[key]) {
                found.push(format!("{name}: {key} is set"));
            }
        }
        if container["ports"].as_array().into_iter().flatten().any(|port| is_set(&port["hostPort"])) {
            found.push(format!("{name}: a hostPort is set"));
        }
        for hook in ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| &container[key]) {
            if is_set(&hook["httpGet"]["host"]) || is_set(&hook["tcpSocket"]["host"]) {
                found.push(format!("{name}: a probe names a host"));
            }
        }
    }
    found
}

/// What is forbidden wherever it stands, for the pod and for a container.
fn of_context(name: &str, context: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if context["runAsUser"] == 0 {
        found.push(format!("{name}: runAsUser is 0"));
    }
    for key in ["seLinuxOptions", "appArmorProfile", "windowsOptions"] {
        if is_set(&context[key]) {
            found.push(format!("{name}: {key} is set"));
        }
    }
    if context["seccompProfile"]["type"] == "Unconfined" {
        found.push(format!("{name}: seccompProfile is Unconfined"));
    }
    found
}

fn is_set(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

#[test]
fn each_thing_that_the_standard_forbids_is_found() {
    let good = json!({
        "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }],
    });
    let after = |pointer: &str, value: Value| {
        let mut pod = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), value);
        violations(&[json!({ "kind": "Pod", "metadata": { "name": "p" }, "spec": pod })]).join("; ")
    };
    assert_eq!(after("/containers/0/image", json!("any")), "");
    for (pointer, value, words) in [
        ("/hostNetwork", json!(true), "hostNetwork is set"),
        ("/hostPID", json!(true), "hostPID is set"),
        ("/volumes", json!([{ "name": "v", "hostPath": { "path": "/" } }]), "a volume is a hostPath"),
        ("/securityContext/runAsNonRoot", json!(false), "c: runAsNonRoot is not true"),
        ("/securityContext/runAsUser", json!(0), "the pod: runAsUser is 0"),
        ("/securityContext/sysctls", json!([{ "name": "a", "value": "b" }]), "sysctls are set"),
        ("/securityContext/seccompProfile", Value::Null, "c: seccompProfile is not RuntimeDefault"),
        ("/containers/0/securityContext/seccompProfile", json!({ "type": "Unconfined" }), "is Unconfined"),
        ("/containers/0/securityContext/runAsNonRoot", json!(false), "c: runAsNonRoot is not true"),
        ("/containers/0/securityContext/runAsUser", json!(0), "c: runAsUser is 0"),
        ("/containers/0/securityContext/privileged", json!(true), "c: privileged is set"),
        (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            Value::Null,
            "allowPrivilegeEscalation is not",
        ),
        (
            "/containers/0/securityContext/capabilities",
            json!({ "drop": ["NET_RAW"] }),
            "not all capabilities",
        ),
        ("/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"]), "capabilities are added"),
        ("/containers/0/ports", json!([{ "containerPort": 1, "hostPort": 1 }]), "a hostPort is set"),
        (
            "/containers/0/livenessProbe",
            json!({ "httpGet": { "host": "127.0.0.1" } }),
            "a probe names a host",
        ),
        ("/initContainers", json!([{ "name": "i" }]), "i: not all capabilities are dropped"),
    ] {
        let said = after(pointer, value);
        assert!(said.contains(words), "{pointer}: {said:?}");
    }
}
