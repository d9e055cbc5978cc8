//! The real agent between stand-ins of vendors and a real OpenBao.

use std::ops::Deref;

use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::bao::{Bao, Listener, testdata};
use crate::support::World;

/// A policy for `secret/tokens` and `kv1/tokens`, and to read `secret/vendors`.
const POLICY: &str = r#"
    path "secret/data/tokens/*" { capabilities = ["create", "read", "update", "delete"] }
    path "kv1/tokens/*" { capabilities = ["create", "read", "update", "delete"] }
    path "secret/data/vendors/*" { capabilities = ["read"] }
"#;

pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) bao: Bao,
    runtime: Runtime,
}

impl Bench {
    pub(crate) fn start(test: &str, listener: Listener, options: Options) -> Option<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bao = runtime.block_on(Bao::start(test, listener))?;
        let bench = Self { world: World::with(options), bao, runtime };
        bench.world.canaries.add(&bench.bao.root);
        bench.allow(POLICY);
        Some(bench)
    }

    /// Replaces the policy `renewd`.
    pub(crate) fn allow(&self, policy: &str) {
        self.call("PUT", "sys/policies/acl/renewd", json!({ "policy": policy }));
    }

    /// As root; panics where it is refused.
    pub(crate) fn call(&self, method: &str, path: &str, body: Value) -> Value {
        self.runtime.block_on(self.bao.call(method, path, body))
    }

    /// As root: the status and the reply.
    pub(crate) fn try_call(&self, method: &str, path: &str) -> (u16, Value) {
        self.runtime.block_on(self.bao.try_call(method, path, Value::Null))
    }

    /// The fields of the newest version; nothing where there are none.
    pub(crate) fn data(&self, path: &str) -> Value {
        self.try_call("GET", &format!("secret/data/{path}")).1["data"]["data"].clone()
    }

    /// The number of the newest version.
    pub(crate) fn version(&self, path: &str) -> u64 {
        self.try_call("GET", &format!("secret/data/{path}")).1["data"]["metadata"]["version"]
            .as_u64()
            .unwrap_or(0)
    }

    pub(crate) fn write(&self, path: &str, data: Value) {
        self.runtime.block_on(self.bao.write(path, data));
    }

    pub(crate) fn seal(&self) {
        self.runtime.block_on(self.bao.seal());
    }

    pub(crate) fn unseal(&self) {
        self.runtime.block_on(self.bao.unseal());
    }

    pub(crate) fn audit(&self) -> std::path::PathBuf {
        self.runtime.block_on(self.bao.audit())
    }

    pub(crate) fn kill(&mut self) {
        self.bao.kill();
    }

    /// Starts it again; sealed.
    pub(crate) fn run_bao(&mut self) {
        self.runtime.block_on(self.bao.run());
    }

    /// `vault.auth` by an AppRole whose tokens have this life.
    pub(crate) fn approle(&self, token_ttl: &str) -> Value {
        self.call("POST", "sys/auth/approle", json!({ "type": "approle" }));
        let role = json!({ "token_policies": ["renewd"], "token_ttl": token_ttl });
        self.call("POST", "auth/approle/role/renewd", role);
        let role_id = self.call("GET", "auth/approle/role/renewd/role-id", Value::Null);
        let secret_id = self.call("POST", "auth/approle/role/renewd/secret-id", json!({}));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (role_id, secret_id) = (text(&role_id["data"]["role_id"]), text(&secret_id["data"]["secret_id"]));
        self.canaries.add(&secret_id);
        let role_id = self.put("role-id", &format!("{role_id}\n"));
        let secret_id = self.put("secret-id", &format!("{secret_id}\n"));
        json!({ "approle": { "role_id": { "file": role_id }, "secret_id": { "file": secret_id } } })
    }

    /// `vault.auth` by a token of the policy; the token too.
    pub(crate) fn token(&self) -> (Value, String) {
        let asked = json!({ "policies": ["renewd"], "period": "600s" });
        let token = self.runtime.block_on(self.bao.token(asked));
        self.canaries.add(&token);
        (json!({ "token": { "file": self.put("vault-token", &token) } }), token)
    }

    /// A configuration with Vault and these accounts.
    pub(crate) fn vault(&self, auth: Value, accounts: impl IntoIterator<Item = (String, Value)>) -> Value {
        let mut config = self.config(accounts);
        config["vault"] = json!({ "address": self.bao.address(), "auth": auth });
        if self.bao.address().starts_with("https") {
            config["vault"]["ca_file"] = json!(testdata("ca.pem"));
        }
        config
    }

    /// An account with its file, and these sinks beside it.
    pub(crate) fn with_sinks(&self, provider: Provider, name: &str, sinks: &[Value]) -> (String, Value) {
        let mut account = self.account(provider, name);
        account["sinks"].as_array_mut().unwrap().extend(sinks.iter().cloned());
        (name.to_owned(), account)
    }

    /// The same with `secret/tokens/NAME`.
    pub(crate) fn to_vault(&self, provider: Provider, name: &str) -> (String, Value) {
        self.with_sinks(provider, name, &[json!({ "vault": format!("secret/tokens/{name}") })])
    }
}

impl Deref for Bench {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}
