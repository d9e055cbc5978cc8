//! A test's own namespace on an API server, with the rights of `examples/kubernetes/secrets`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use renewd::config::model::{KubernetesSink, OnRemove};
use renewd::domain::{AccountId, Generation, Secret, Timestamp};
use renewd::kubernetes::{Cluster, Origin, Stamp};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::double::Double;
use crate::tools::{documents, root};

/// The Secret that the example's Role names.
pub(crate) const NAME: &str = "messaging-token";

/// Tokens of the users that the API server knows.
pub(crate) const ADMIN: &str = "admin-token";
pub(crate) const RENEWD: &str = "renewd-token";
pub(crate) const STRANGER: &str = "stranger-token";

pub(crate) struct Room {
    pub(crate) namespace: String,
    pub(crate) folder: TempDir,
    /// `None` where the server is a real one.
    pub(crate) double: Option<Double>,
    pub(crate) url: String,
    ca: Option<PathBuf>,
    http: reqwest::Client,
}

impl Room {
    /// With the real server where there is one.
    pub(crate) async fn open() -> Self {
        match std::env::var_os("RENEWD_TEST_KUBERNETES").map(PathBuf::from) {
            Some(folder) => {
                let url = std::fs::read_to_string(folder.join("url")).unwrap().trim().to_owned();
                Self::at(url, Some(folder.join("ca.pem")), None).await
            }
            None => Self::with_double().await,
        }
    }

    pub(crate) async fn with_double() -> Self {
        let double = Double::start(&[(ADMIN, "admin"), (RENEWD, "renewd"), (STRANGER, "stranger")]).await;
        Self::at(double.url.clone(), None, Some(double)).await
    }

    async fn at(url: String, ca: Option<PathBuf>, double: Option<Double>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let unique = folder.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        let unique: String = unique.chars().map(|c| format!("{:x}", u32::from(c))).collect();
        let mut client = reqwest::Client::builder().no_proxy();
        if let Some(ca) = &ca {
            let ca = reqwest::Certificate::from_pem(&std::fs::read(ca).unwrap()).unwrap();
            client = client.tls_certs_only([ca]);
        }
        let http = client.build().unwrap();
        let room = Self { namespace: format!("t-{unique}"), folder, double, url, ca, http };
        room.make_namespace(&room.namespace).await;
        room.grant(&["get", "create", "patch", "delete"]).await;
        room
    }

    pub(crate) async fn make_namespace(&self, name: &str) {
        let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let (status, body) = self.admin("POST", "/api/v1/namespaces", &body).await;
        assert_eq!(status, 201, "{body}");
    }

    /// Binds the example's Role to the user `renewd`, with these verbs; the first call is the one that counts.
    async fn grant(&self, verbs: &[&str]) {
        for (kind, mut object) in example() {
            object["metadata"]["namespace"] = json!(self.namespace);
            match kind.as_str() {
                "Role" => assert_eq!(object["rules"][0]["verbs"], json!(verbs)),
                "RoleBinding" => {
                    object["subjects"] = json!([{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "renewd" }]);
                }
                _ => continue,
            }
            self.rbac(&kind, &object).await;
        }
    }

    pub(crate) async fn rbac(&self, kind: &str, object: &Value) {
        let plural = format!("{}s", kind.to_lowercase());
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{plural}", self.namespace);
        let (status, body) = self.admin("POST", &path, object).await;
        assert_eq!(status, 201, "{body}");
    }

    /// A request of the administrator's.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.request(ADMIN, method, path, body).await
    }

    /// A request of whose this token is.
    pub(crate) async fn request(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .bearer_auth(token)
            .header("Content-Type", content);
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap())
    }

    pub(crate) fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/{NAME}", self.namespace)
    }

    /// The Secret as the administrator sees it.
    pub(crate) async fn look(&self) -> Option<Value> {
        let (status, body) = self.admin("GET", &self.path(), &Value::Null).await;
        (status == 200).then_some(body)
    }

    /// The Secret's keys with their values.
    pub(crate) async fn values(&self) -> BTreeMap<String, String> {
        Self::values_of(&self.look().await.unwrap())
    }

    /// The keys of a Secret with their values.
    pub(crate) fn values_of(secret: &Value) -> BTreeMap<String, String> {
        let data = secret["data"].as_object().cloned().unwrap_or_default();
        let plain =
            |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap()).unwrap()).unwrap();
        data.iter().map(|(key, value)| (key.clone(), plain(value))).collect()
    }

    /// Somebody else, by the name of a field manager, makes the Secret.
    pub(crate) async fn others_make(&self, manager: &str, fields: Value) {
        let mut body = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": NAME } });
        merge(&mut body, fields);
        let path = format!("/api/v1/namespaces/{}/secrets?fieldManager={manager}", self.namespace);
        let (status, body) = self.admin("POST", &path, &body).await;
        assert_eq!(status, 201, "{body}");
    }

    /// Somebody else changes it.
    pub(crate) async fn others_patch(&self, manager: &str, patch: &Value) {
        let (status, body) =
            self.admin("PATCH", &format!("{}?fieldManager={manager}", self.path()), patch).await;
        assert_eq!(status, 200, "{body}");
    }

    pub(crate) fn kubeconfig(&self, user: &Value) -> PathBuf {
        self.kubeconfig_with(&self.url, user)
    }

    /// With another way to the server.
    pub(crate) fn kubeconfig_at(&self, address: SocketAddr, user: &Value) -> PathBuf {
        let scheme = self.url.split("://").next().unwrap();
        self.kubeconfig_with(&format!("{scheme}://{address}"), user)
    }

    fn kubeconfig_with(&self, url: &str, user: &Value) -> PathBuf {
        let mut cluster = json!({ "server": url });
        if let Some(ca) = &self.ca {
            cluster["certificate-authority"] = json!(ca);
        }
        self.kubeconfig_for(&cluster, user)
    }

    pub(crate) fn kubeconfig_for(&self, cluster: &Value, user: &Value) -> PathBuf {
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
            "clusters": [{ "name": "k", "cluster": cluster }],
            "users": [{ "name": "u", "user": user }],
        });
        // Read at the first use, so that each needs a file of its own.
        let number = std::fs::read_dir(self.folder.path()).unwrap().count();
        let path = self.folder.path().join(format!("kubeconfig-{number}"));
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    /// As one of the users.
    pub(crate) fn cluster(&self, token: &str) -> Cluster {
        Cluster::new(Origin::Kubeconfig(self.kubeconfig(&json!({ "token": token }))))
    }

    pub(crate) fn sink(&self) -> KubernetesSink {
        KubernetesSink {
            secret: NAME.to_owned(),
            namespace: self.namespace.clone(),
            keys: None,
            on_remove: OnRemove::Keep,
        }
    }
}

/// The Role of the example and its binding, by kind.
fn example() -> Vec<(String, Value)> {
    let files = ["examples/kubernetes/secrets/role.yaml", "deploy/kubernetes/agent/rolebinding.yaml"];
    let objects = files.map(|file| documents(&std::fs::read_to_string(root().join(file)).unwrap()).remove(0));
    objects.map(|object| (object["kind"].as_str().unwrap().to_owned(), object)).into()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

pub(crate) fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

pub(crate) fn account() -> AccountId {
    AccountId::new("messaging").unwrap()
}

/// The account's token of this generation, issued at this second.
pub(crate) fn stamp(generation: u64, issued_at: i64) -> Stamp {
    Stamp {
        account: account(),
        generation: Generation(generation),
        issued_at: Timestamp::from_secs(1_700_000_000 + issued_at),
    }
}

pub(crate) fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), Secret::from(*value))).collect()
}

pub(crate) fn plain(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
