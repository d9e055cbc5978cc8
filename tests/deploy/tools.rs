//! kubectl and Helm, and what they print.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use renewd::config::model::{OnRemove, Sink};
use serde_json::Value;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `kubectl` or `helm`; `None` where it is not there.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    Some(root().join(".cache/kubernetes-tools").join(name)).filter(|path| path.is_file())
}

/// Why a test is skipped without them.
pub(crate) const NO_TOOL: &str =
    "kubectl and Helm are not in .cache/kubernetes-tools: see scripts/kubernetes-tools";

/// What a folder with a `kustomization.yaml` renders to.
pub(crate) fn kustomize(kubectl: &Path, folder: &Path) -> Vec<Value> {
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}: no word of warning", folder.display());
    documents(&String::from_utf8(output.stdout).unwrap())
}

/// Helm with a home of its own.
pub(crate) fn helm(helm: &Path, home: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(helm);
    for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(name, home);
    }
    command.env("KUBECONFIG", home.join("none")).args(words).output().unwrap()
}

/// The documents of a YAML text, read as Kubernetes reads them (`0440` is octal).
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let found: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    found.into_iter().filter(|document| !document.is_null()).collect()
}

/// The one object of a kind.
#[track_caller]
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

/// What may be done, or wants to be: namespace, Secret, verb.
pub(crate) type Rights = BTreeSet<(String, String, String)>;

/// The rights that a configuration's sinks need, as renewd itself reads it in a pod of this namespace.
pub(crate) fn needed(config: &Path, namespace: &str) -> Rights {
    let env = |name: &str| (name == "POD_NAMESPACE").then(|| namespace.to_owned());
    let texts = renewd::provider::catalog::texts();
    let loaded = renewd::config::load(config, &env, texts, &renewd::sink::trial::attempt)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let sinks = loaded.config.accounts.values().flat_map(|account| account.sinks.iter());
    let mut needed = Rights::new();
    for sink in sinks {
        let Sink::Kubernetes(sink) = sink else { continue };
        let delete = (sink.on_remove == OnRemove::Delete).then_some("delete");
        for verb in ["get", "create", "patch"].into_iter().chain(delete) {
            needed.insert((sink.namespace.clone(), sink.secret.clone(), verb.to_owned()));
        }
    }
    needed
}

/// The rights that the Roles among these objects give. Nothing but named Secrets is among them, or the test fails.
pub(crate) fn given(objects: &[Value]) -> Rights {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut given = Rights::new();
    for role in objects.iter().filter(|object| object["kind"] == "Role") {
        let namespace = role["metadata"]["namespace"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            assert_eq!(
                (texts(&rule["apiGroups"]), texts(&rule["resources"])),
                (vec![String::new()], vec!["secrets".into()])
            );
            let names = texts(&rule["resourceNames"]);
            assert!(!names.is_empty(), "no names would be all of them: {rule}");
            for name in &names {
                for verb in texts(&rule["verbs"]) {
                    given.insert((namespace.to_owned(), name.clone(), verb));
                }
            }
        }
        let bound = objects.iter().any(|object| {
            object["kind"] == "RoleBinding"
                && object["metadata"]["namespace"] == role["metadata"]["namespace"]
                && object["roleRef"]["name"] == role["metadata"]["name"]
        });
        assert!(bound, "{role}");
    }
    let others = ["ClusterRole", "ClusterRoleBinding"];
    assert!(!objects.iter().any(|object| others.contains(&object["kind"].as_str().unwrap())));
    given
}

/// What `sent` says and `kept` does not. A server may add to it, also at the end of a list.
pub(crate) fn lost(path: &str, sent: &Value, kept: &Value) -> Vec<String> {
    match (sent, kept) {
        (Value::Object(sent), Value::Object(kept)) => {
            let inner = |(key, value): (&String, &Value)| {
                let path = format!("{path}.{key}");
                match kept.get(key) {
                    Some(kept) => lost(&path, value, kept),
                    None if is_empty(value) => vec![],
                    None => vec![format!("{path} is unknown")],
                }
            };
            sent.iter().flat_map(inner).collect()
        }
        (Value::Array(sent), Value::Array(kept)) if sent.len() <= kept.len() => {
            let pairs = sent.iter().zip(kept).enumerate();
            pairs.flat_map(|(index, (sent, kept))| lost(&format!("{path}[{index}]"), sent, kept)).collect()
        }
        _ if sent == kept => vec![],
        _ => vec![format!("{path} is {sent}, and became {kept}")],
    }
}

/// What a type may leave out as it says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}
