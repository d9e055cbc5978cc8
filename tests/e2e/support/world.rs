//! A test's own world: a folder, stand-ins, a configuration.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use renewd::simulator::{Options, Provider, identity_of_secret};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Agent, Canaries, Run, Sim};

/// A test's folder and stand-ins.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) canaries: Arc<Canaries>,
    dir: TempDir,
    agents: AtomicU32,
}

impl World {
    /// Stand-ins whose tokens live for a minute.
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn living(lifetime: Duration) -> Self {
        Self::with(Options::with_lifetime(lifetime))
    }

    pub(crate) fn with(options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("renewd-e2e-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Self { sim: Sim::start(options), canaries: Arc::default(), dir, agents: AtomicU32::new(0) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where a sink of that name is.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    /// What a sink holds.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.out(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a file into the folder (not atomically).
    pub(crate) fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).unwrap();
        }
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What the stand-in calls the account that [`World::account`] makes under this name.
    pub(crate) fn identity(&self, provider: Provider, name: &str) -> String {
        match provider {
            Provider::PortOne => identity_of_secret(&secret_of(name)),
            _ => format!("id-{name}"),
        }
    }

    /// A whole account: credentials of its own, the stand-in's URL, a sink `out/NAME.token`.
    pub(crate) fn account(&self, provider: Provider, name: &str) -> Value {
        let (identity, secret) = (format!("id-{name}"), secret_of(name));
        self.canaries.add(&secret);
        let credentials = match provider {
            Provider::Bizppurio => json!({ "account": identity, "password": secret }),
            Provider::BizppurioRcs | Provider::BizppurioNapi => {
                json!({ "bizId": identity, "apiKey": secret })
            }
            Provider::RcsBizCenter => json!({ "clientId": identity, "clientSecret": secret }),
            Provider::PortOne => json!({ "apiSecret": secret }),
            Provider::PortOneV1 => json!({ "imp_key": identity, "imp_secret": secret }),
            Provider::OAuthClientCredentials => json!({ "client_id": identity, "client_secret": secret }),
            Provider::OAuthRefreshToken => {
                let seed = format!("seed-{}", secret_of(&format!("seed of {name}")));
                self.canaries.add(&seed);
                json!({ "client_id": identity, "client_secret": secret, "refresh_token": seed })
            }
            Provider::Kiwoom => json!({ "appkey": identity, "secretkey": secret }),
            Provider::Kis => json!({ "appkey": identity, "appsecret": secret }),
        };
        json!({
            "provider": provider.name(),
            "base_url": self.sim.base_url(provider, 1),
            "credentials": credentials,
            "sinks": [{ "file": self.out(&format!("{name}.token")) }],
        })
    }

    /// A configuration with these accounts, no limits on the stand-ins and nothing listening but the socket.
    pub(crate) fn config(&self, accounts: impl IntoIterator<Item = (String, Value)>) -> Value {
        let accounts: serde_json::Map<String, Value> = accounts.into_iter().collect();
        // Named, so that definitions' own limits are set aside too: the vendors share one address here.
        let free = json!({ "rate": "off", "concurrency": 256 });
        json!({
            "agent": {
                "state_dir": self.path("state"),
                "socket": self.path("run/renewd.sock"),
                "listen": "off",
            },
            "limits": { "hosts": { "127.0.0.1": free, "127.0.0.2": free } },
            "accounts": accounts,
        })
    }

    /// A configuration with one account of this provider, called `a`.
    pub(crate) fn one(&self, provider: Provider) -> Value {
        self.config([("a".to_owned(), self.account(provider, "a"))])
    }

    /// Puts the configuration in place, as a careful editor does: by renaming over it. JSON is YAML.
    pub(crate) fn write(&self, config: &Value) {
        self.write_text(&serde_json::to_string_pretty(config).unwrap());
    }

    pub(crate) fn write_text(&self, text: &str) {
        replace(&self.config_path(), text);
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("renewd.yaml")
    }

    /// How to run an agent on what [`World::write`] has put in place.
    pub(crate) fn run(&self) -> Run {
        let number = self.agents.fetch_add(1, Ordering::Relaxed);
        Run {
            config: self.config_path(),
            socket: self.path("run/renewd.sock"),
            log: self.path(&format!("agent-{number}.log")),
            state: self.path("state"),
            canaries: Arc::clone(&self.canaries),
            environment: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// Writes the configuration and starts an agent on it.
    pub(crate) fn start(&self, config: &Value) -> Agent {
        self.write(config);
        self.run().start()
    }

    /// Runs another command on the configuration to its end.
    pub(crate) fn renewd(&self, words: &[&str]) -> Output {
        self.run().finish(words)
    }

    /// Gives the folder, and what stands in it, to another user.
    pub(crate) fn give_to(&self, id: u32) {
        let inside = std::fs::read_dir(self.path("")).unwrap().map(|entry| entry.unwrap().path());
        for path in inside.chain([self.path("")]) {
            std::os::unix::fs::chown(path, Some(id), Some(id)).unwrap();
        }
        std::fs::set_permissions(self.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Temporary files that lie about in the folders of sinks and state.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let entries = ["out", "state", "state/accounts"].map(|name| std::fs::read_dir(self.path(name)));
        let entries = entries.into_iter().flatten().flatten().map(|entry| entry.unwrap().path());
        entries
            .filter(|path| {
                path.file_name().unwrap().to_string_lossy().starts_with(renewd::atomic::TEMPORARY_PREFIX)
            })
            .collect()
    }
}

/// Replaces a file by renaming over it.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// 17 characters that stand nowhere else (rcs-biz-center allows 18).
fn secret_of(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("Z{hash:016x}")
}

impl World {
    /// An account's token over the socket, noted as a canary.
    #[track_caller]
    pub(crate) fn canary_token(&self, account: &str, agent: &Agent) -> String {
        let (status, document) = agent.get(&format!("/v1/accounts/{account}/token"));
        assert_eq!(status, 200, "{document}");
        let token = document["access_token"].as_str().unwrap().to_owned();
        self.canaries.add(&token);
        token
    }
}
