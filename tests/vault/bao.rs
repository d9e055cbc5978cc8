//! An OpenBao server of the test's own: durable storage (raft, one node) in a folder that goes with the test, a random port.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How the server listens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    /// HTTP.
    Plain,
    /// HTTPS with the tests' own root; asks for a client's certificate and does without.
    Tls,
}

pub(crate) struct Bao {
    program: PathBuf,
    folder: TempDir,
    process: Option<Child>,
    listener: Listener,
    port: u16,
    unseal: String,
    /// The root token.
    pub(crate) root: String,
    http: reqwest::Client,
}

/// A file of the repository's test certificates: `ca`, `good`, `client` ...
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provider/client/testdata").join(name)
}

impl Bao {
    /// A server that runs, initialised and unsealed; `None` where there is none: `test` is then noted as skipped.
    pub(crate) async fn start(test: &str, listener: Listener) -> Option<Self> {
        let mut bao = Self::new(test, listener)?;
        bao.run().await;
        let said = bao.call("PUT", "sys/init", json!({ "secret_shares": 1, "secret_threshold": 1 })).await;
        bao.unseal = said["keys"][0].as_str().unwrap().to_owned();
        bao.root = said["root_token"].as_str().unwrap().to_owned();
        bao.unseal().await;
        bao.call("POST", "sys/mounts/secret", json!({ "type": "kv", "options": { "version": "2" } })).await;
        bao.call("POST", "sys/mounts/kv1", json!({ "type": "kv", "options": { "version": "1" } })).await;
        // A new engine of version 2 says for a moment that it is being upgraded.
        until(async || bao.try_call("GET", "secret/config", Value::Null).await.0 == 200).await;
        Some(bao)
    }

    /// One that does not run yet.
    pub(crate) fn new(test: &str, listener: Listener) -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/bao/bao");
        if !program.is_file() {
            skip(test, "OpenBao is not in .cache/bao: see scripts/test");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("renewd-bao-").tempdir().unwrap();
        let (port, cluster) = (free_port(), free_port());
        let mut listen = json!({ "tls_disable": true });
        let fields = renewd::tls::Fields { ca_file: "ca_file", cert_file: "cert_file", key_file: "key_file" };
        let mut ca_file = None;
        if listener == Listener::Tls {
            listen = json!({
                "tls_cert_file": testdata("good.pem"),
                "tls_key_file": testdata("good.key"),
                "tls_client_ca_file": testdata("ca.pem"),
            });
            ca_file = Some(testdata("ca.pem"));
        }
        listen["address"] = format!("127.0.0.1:{port}").into();
        listen["cluster_address"] = format!("127.0.0.1:{cluster}").into();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let config = json!({
            "storage": { "raft": { "path": data, "node_id": "one", "performance_multiplier": 1 } },
            "listener": { "tcp": listen },
            "api_addr": format!("http://127.0.0.1:{port}"),
            "cluster_addr": format!("http://127.0.0.1:{cluster}"),
            // For tests that count what is asked.
            "unsafe_allow_api_audit_creation": true,
        });
        File::create(folder.path().join("bao.json"))
            .unwrap()
            .write_all(config.to_string().as_bytes())
            .unwrap();
        let tls =
            renewd::tls::Files { ca_file: ca_file.as_deref(), identity: None, fields }.config_now().unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        let (unseal, root) = (String::new(), String::new());
        Some(Self { program, folder, process: None, listener, port, unseal, root, http })
    }

    /// Starts the program; it is sealed (or not initialised) then.
    pub(crate) async fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("bao.log")).unwrap();
        let child = Command::new(&self.program)
            .args(["server", "-log-level=debug", "-config"])
            .arg(self.folder.path().join("bao.json"))
            .env_clear()
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(child);
        until(async || self.http.get(self.url("sys/seal-status")).send().await.is_ok()).await;
    }

    /// KILL, as a crash.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.process.as_ref().unwrap().id()).unwrap()
    }

    /// What it has said, at the level debug.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("bao.log")).unwrap()
    }

    pub(crate) async fn unseal(&self) {
        self.call("PUT", "sys/unseal", json!({ "key": self.unseal })).await;
        until(async || self.http.get(self.url("sys/health")).send().await.is_ok_and(|r| r.status() == 200))
            .await;
    }

    pub(crate) async fn seal(&self) {
        self.call("PUT", "sys/seal", Value::Null).await;
    }

    pub(crate) fn address(&self) -> String {
        match self.listener {
            Listener::Plain => format!("http://127.0.0.1:{}", self.port),
            Listener::Tls => format!("https://localhost:{}", self.port),
        }
    }

    /// As root; panics where it is refused.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, reply) = self.try_call(method, path, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {reply}");
        reply
    }

    /// As root.
    pub(crate) async fn try_call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call_in(None, method, path, body).await
    }

    /// As root, in a namespace.
    pub(crate) async fn call_in(
        &self,
        namespace: Option<&str>,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let mut request = self.http.request(method.parse().unwrap(), self.url(path));
        if !self.root.is_empty() {
            request = request.header("X-Vault-Token", &self.root);
        }
        if let Some(namespace) = namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let reply = request.send().await.unwrap();
        let status = reply.status().as_u16();
        (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// A policy that lets tokens be written below `secret/tokens` and `kv1/tokens`, and no more.
    pub(crate) async fn policy(&self, name: &str) {
        let text = r#"
            path "secret/data/tokens/*" { capabilities = ["create", "read", "update", "delete"] }
            path "secret/metadata/tokens/*" { capabilities = ["create", "read", "update"] }
            path "kv1/tokens/*" { capabilities = ["create", "read", "update", "delete"] }
        "#;
        self.call("PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": text })).await;
    }

    /// A token of that policy.
    pub(crate) async fn token(&self, asked: Value) -> String {
        let reply = self.call("POST", "auth/token/create", asked).await;
        reply["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// What stands in the newest version.
    pub(crate) async fn data(&self, path: &str) -> Value {
        self.call("GET", &format!("secret/data/{path}"), Value::Null).await["data"]["data"].clone()
    }

    /// Adds a version as somebody else.
    pub(crate) async fn write(&self, path: &str, data: Value) {
        self.call("POST", &format!("secret/data/{path}"), json!({ "data": data })).await;
    }

    /// A new file of the test's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    }

    /// Notes every request from here on; gives the file.
    pub(crate) async fn audit(&self) -> PathBuf {
        let path = self.folder.path().join("audit.log");
        let options = json!({ "file_path": path });
        self.call("PUT", "sys/audit/all", json!({ "type": "file", "options": options })).await;
        path
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.address())
    }
}

impl Drop for Bao {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("bao.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("-- the end of OpenBao's log:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"));
        }
    }
}

/// Polls until it is so, 20 s at most.
#[track_caller]
pub(crate) fn until(mut look: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !look().await {
            assert!(began.elapsed() < Duration::from_secs(20), "not within 20 s: {caller}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Below the ports that the system gives by itself, so that none that is let go here goes to another test meanwhile; by
/// process and count, so that tests at the same time look in different places.
fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(7);
    loop {
        let step = COUNT.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + u16::try_from(begin.wrapping_add(step) % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn skip(test: &str, reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} may not be skipped: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut list = File::options().append(true).create(true).open(list).unwrap();
        // One write: other tests append to the same file.
        list.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}
