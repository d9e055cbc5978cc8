//! The Helm chart, by Helm itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::restricted::{self, pod_of};
use crate::support::skip;
use crate::tools::{NO_TOOL, documents, given, helm, needed, only, root, tool};
use crate::typed;

struct Chart {
    helm: PathBuf,
    folder: PathBuf,
    home: TempDir,
}

impl Chart {
    fn open(test: &str) -> Option<Self> {
        let Some(helm) = tool("helm") else {
            skip(test, NO_TOOL);
            return None;
        };
        let folder = root().join("deploy/helm/renewd");
        Some(Self { helm, folder, home: tempfile::tempdir().unwrap() })
    }

    /// Values in a file of their own.
    fn values(&self, values: &Value) -> String {
        let path = self.home.path().join("values.yaml");
        std::fs::write(&path, values.to_string()).unwrap();
        path.display().to_string()
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let output = helm(&self.helm, self.home.path(), words);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn render(&self, values: &str) -> Result<Vec<Value>, String> {
        let folder = self.folder.to_str().unwrap();
        let words = ["template", "tokens", folder, "--namespace", "apps", "--values", values];
        self.run(&words).map(|text| documents(&text))
    }

    /// As it is without any values, and by the files in `ci/`.
    fn rendered(&self) -> Vec<(String, Vec<Value>)> {
        let mut all = vec![self.values(&json!({}))];
        all.extend(self.trials());
        let render = |values: String| {
            let objects = self.render(&values).unwrap_or_else(|said| panic!("{values}: {said}"));
            (values, objects)
        };
        all.into_iter().map(render).collect()
    }

    fn trials(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join("ci")).unwrap();
        let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path().display().to_string()).collect();
        found.sort();
        assert_eq!(found.len(), 2);
        found
    }

    /// The configuration that a rendering mounts, on disk.
    fn config_of(&self, objects: &[Value]) -> PathBuf {
        let folder = tempfile::tempdir_in(self.home.path()).unwrap().keep();
        for (name, text) in only(objects, "ConfigMap")["data"].as_object().unwrap() {
            std::fs::write(folder.join(name), text.as_str().unwrap()).unwrap();
        }
        folder.join("renewd.yaml")
    }
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let Some(chart) = Chart::open("helm_finds_nothing_to_complain_about") else { return };
    for values in [vec![chart.values(&json!({}))], chart.trials()].concat() {
        let said = chart.run(&["lint", "--strict", chart.folder.to_str().unwrap(), "--values", &values]);
        let said = said.unwrap();
        assert!(said.contains("0 chart(s) failed") && !said.contains("[WARNING]"), "{values}: {said}");
    }
}

#[test]
fn every_rendering_is_known_to_the_api_and_its_pods_are_restricted() {
    let Some(chart) = Chart::open("every_rendering_is_known_to_the_api_and_its_pods_are_restricted") else {
        return;
    };
    for (values, objects) in chart.rendered() {
        assert_eq!(typed::problems(&objects), Vec::<String>::new(), "{values}");
        assert_eq!(restricted::violations(&objects), Vec::<String>::new(), "{values}");
        let mut names = BTreeSet::new();
        for object in &objects {
            let metadata = &object["metadata"];
            assert!(metadata["namespace"].is_string(), "{metadata}");
            let id =
                (object["kind"].to_string(), metadata["namespace"].to_string(), metadata["name"].to_string());
            assert!(names.insert(id), "{metadata} stands there twice");
        }
    }
}

#[test]
fn the_roles_give_just_the_rights_that_the_configuration_needs() {
    let Some(chart) = Chart::open("the_roles_give_just_the_rights_that_the_configuration_needs") else {
        return;
    };
    let mut most = 0;
    for (values, objects) in chart.rendered() {
        let needed = needed(&chart.config_of(&objects), "apps");
        most = most.max(needed.len());
        assert_eq!(given(&objects), needed, "{values}");
        for binding in objects.iter().filter(|object| object["kind"] == "RoleBinding") {
            let pod = pod_of(only(&objects, "Deployment")).unwrap();
            let subject =
                json!([{ "kind": "ServiceAccount", "name": pod["serviceAccountName"], "namespace": "apps" }]);
            assert_eq!(binding["subjects"], subject);
        }
    }
    // messaging-token and usual-token in `apps`, messaging-token and rcs-token in `front`, and one `delete`.
    assert_eq!(most, 4 * 3 + 1);
}

#[test]
fn the_configuration_is_taken_as_it_is_and_may_be_a_file() {
    let Some(chart) = Chart::open("the_configuration_is_taken_as_it_is_and_may_be_a_file") else { return };
    let path = root().join("examples/kubernetes/secrets/renewd.yaml");
    let set = format!("config={}", path.display());
    let folder = chart.folder.to_str().unwrap();
    let text = chart.run(&["template", "renewd", folder, "--namespace", "apps", "--set-file", &set]).unwrap();
    let objects = documents(&text);
    let data = &only(&objects, "ConfigMap")["data"];
    assert_eq!(*data, json!({ "renewd.yaml": std::fs::read_to_string(&path).unwrap() }));
    assert_eq!(only(&objects, "Deployment")["metadata"]["name"], "renewd", "not renewd-renewd");
    assert_eq!(given(&objects), needed(&path, "apps"));
}

#[test]
fn the_probes_ask_over_http_where_they_can_and_the_socket_otherwise() {
    let Some(chart) = Chart::open("the_probes_ask_over_http_where_they_can_and_the_socket_otherwise") else {
        return;
    };
    let live = json!({ "path": "/livez", "port": "http" });
    let exec = json!(["/usr/bin/renewd", "status"]);
    for (listen, port) in [
        (Some("0.0.0.0:9478"), Some(9478)),
        (Some("\"[::]:9500\""), Some(9500)),
        (Some("10.0.0.7:1"), Some(1)),
        (Some("127.0.0.1:9478"), None),
        (Some("\"[::1]:9478\""), None),
        (Some("off"), None),
        (None, None),
    ] {
        let agent = listen.map_or(String::new(), |listen| format!("agent: {{ listen: {listen} }}\n"));
        let values = chart.values(&json!({ "config": format!("{agent}accounts: {{}}\n") }));
        let objects = chart.render(&values).unwrap();
        let container = &pod_of(only(&objects, "Deployment")).unwrap()["containers"][0];
        let (ports, probe) = (&container["ports"], &container["livenessProbe"]);
        match port {
            Some(port) => assert_eq!((&ports[0]["containerPort"], &probe["httpGet"]), (&json!(port), &live)),
            None => assert_eq!((ports, &probe["exec"]["command"]), (&Value::Null, &exec), "{listen:?}"),
        }
    }
}

#[test]
fn what_cannot_work_is_refused_in_words() {
    let Some(chart) = Chart::open("what_cannot_work_is_refused_in_words") else { return };
    for (values, words) in [
        (json!({ "image": { "tagg": "1" } }), "additional properties 'tagg' not allowed"),
        (json!({ "podMonitor": { "interval": 30 } }), "got number, want string"),
        (json!({ "config": "accounts: [" }), "config is not YAML"),
        (json!({ "config": "agent: {}" }), "config has no `accounts:`"),
        (json!({ "files": { "renewd.yaml": "" } }), "renewd.yaml is what `config` is"),
        (json!({ "files": { "a.yaml": "a: [" } }), "files.a.yaml is not YAML"),
        (
            json!({ "config": "accounts: {}", "podMonitor": { "enabled": true } }),
            "podMonitor.enabled needs an agent.listen",
        ),
        (json!({ "config": "agent: { socket: off }\naccounts: {}" }), "the probes need the agent's socket"),
    ] {
        let said = chart.render(&chart.values(&values)).unwrap_err();
        assert!(said.contains(words), "{values}: {said}");
    }
}

#[test]
fn the_notes_say_what_is_missing_and_which_secrets_are_written() {
    let Some(chart) = Chart::open("the_notes_say_what_is_missing_and_which_secrets_are_written") else {
        return;
    };
    let folder = chart.folder.to_str().unwrap();
    let notes = |values: &str| {
        let words =
            ["install", "tokens", folder, "--namespace", "apps", "--dry-run=client", "--values", values];
        chart.run(&words).unwrap().split("NOTES:").nth(1).unwrap().to_owned()
    };
    let bare = notes(&chart.values(&json!({})));
    assert!(bare.contains("It has no accounts yet") && bare.contains("create secret generic"), "{bare}");
    let full = notes(&chart.trials()[0]);
    assert!(full.contains("apps/usual-token") && full.contains("front/rcs-token"), "{full}");
    assert!(!full.contains("no accounts yet") && !full.contains("create secret"), "{full}");
}

/// `a.b` for each value that is no group of others, as the chart's own documentation names them.
fn leaves(path: &str, values: &Value, schema: &Value, found: &mut Vec<String>) {
    for (key, value) in values.as_object().unwrap() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let schema = &schema["properties"][key];
        assert!(schema["description"].is_string(), "values.schema.json does not describe {path}");
        match schema["properties"].as_object() {
            Some(known) => {
                assert_eq!(schema["additionalProperties"], false, "{path}");
                let value = value.as_object().unwrap();
                assert_eq!(known.keys().collect::<BTreeSet<_>>(), value.keys().collect(), "{path}");
                leaves(&path, &Value::Object(value.clone()), schema, found);
            }
            None => found.push(path),
        }
    }
}

#[test]
fn every_value_is_described_by_the_schema_and_stands_in_the_readme() {
    let folder = root().join("deploy/helm/renewd");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let values = documents(&read("values.yaml")).remove(0);
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut named = Vec::new();
    leaves("", &values, &schema, &mut named);
    let readme = read("README.md");
    let rows: String =
        readme.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for name in &named {
        assert!(rows.contains(&format!("`{name}`")), "README.md has no row for {name}");
    }
    assert!(named.len() > 30, "{}", named.len());
    assert_eq!(rows.matches('`').count(), 2 * named.len(), "README.md names values that are not there");

    let chart = documents(&read("Chart.yaml")).remove(0);
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&format!("ARG VERSION={}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn the_package_holds_no_files_of_tests() {
    let Some(chart) = Chart::open("the_package_holds_no_files_of_tests") else { return };
    let to = chart.home.path().to_str().unwrap();
    chart.run(&["package", chart.folder.to_str().unwrap(), "--destination", to]).unwrap();
    let path = chart.home.path().join(format!("renewd-{}.tgz", env!("CARGO_PKG_VERSION")));
    let listed = std::process::Command::new("tar").arg("tzf").arg(Path::new(&path)).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed.contains("renewd/values.schema.json") && listed.contains("renewd/templates/rbac.yaml"),
        "{listed}"
    );
    assert!(!listed.contains("/ci/"), "{listed}");
}
