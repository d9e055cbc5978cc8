//! The validated configuration: whatever is here can run. Made only by `config::load`.

mod delivery;
mod language;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::definition::Definition;
use crate::domain::{AccountId, AlertLevel};

pub use delivery::{
    Content, FileSink, Hook, HookSignal, KubernetesSink, OnRemove, Sink, TemplateForm, TemplateTarget,
    TemplateText, VaultSink, WhenExpired, WriteMode,
};
pub use language::{FILTERS, Flaw, Sees, TESTS, Trial, TryOut};
pub use secret::{KvVersion, SecretSource, Vault, VaultAuth, VaultKey};

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The main file, absolute.
    pub path: PathBuf,
    /// Every file that was read, the main one first; watched for changes.
    pub files: Vec<PathBuf>,
    /// Folders in which an `include` pattern may match a new file; watched too.
    pub include_folders: Vec<PathBuf>,
    /// The agent itself.
    pub agent: Agent,
    /// How hard any one provider host may be pressed.
    pub limits: Limits,
    /// The server that vault sinks and vault secrets use; `None` only where nothing uses one.
    pub vault: Option<Arc<Vault>>,
    /// The accounts by name.
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
    /// What is made from several accounts, in the order of the files; paths are distinct from every sink's.
    pub templates: Vec<Arc<TemplateTarget>>,
}

/// The `agent:` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Where durable state lives.
    pub state_dir: PathBuf,
    /// The control socket; `None` where it is `off`.
    pub socket: Option<Socket>,
    /// Health and metrics; `None` where it is `off`.
    pub listen: Option<std::net::SocketAddr>,
    /// How long TERM waits for deliveries.
    pub shutdown_grace: Duration,
    /// What is logged and how.
    pub log: Log,
    /// Where it is noted who took or forced what; `None` where it is `off`.
    pub audit: Option<Audit>,
    /// Who is told of tokens that are about to end, in the order of the file.
    pub alerts: Vec<Alert>,
}

/// `agent.audit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Absolute path.
    pub path: PathBuf,
    /// Permission bits of a file that is made; 0o600 unless said.
    pub mode: u32,
    /// Group name or number of a file that is made.
    pub group: Option<String>,
}

/// An item of `agent.alerts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// A command or a webhook.
    pub hook: Hook,
    /// What it is told of; all unless said.
    pub at: BTreeSet<AlertLevel>,
}

/// `agent.socket`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Absolute path.
    pub path: PathBuf,
    /// Permission bits; 0o660 unless said.
    pub mode: u32,
    /// Group name or number.
    pub group: Option<String>,
}

/// `agent.log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The least severity that is written.
    pub level: LogLevel,
    /// Text or JSON lines.
    pub format: LogFormat,
}

/// `agent.log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usual five")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `agent.log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    Auto,
    /// Text for people.
    Text,
    /// JSON lines.
    Json,
}

/// How hard a host may be pressed. Defaults: 5/s, burst 10, 4 in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// The time between two requests in the long run; `None` where `rate: off`.
    pub period: Option<Duration>,
    /// How many may follow each other at once after a pause; at least 1.
    pub burst: u32,
    /// How many may be in flight (one that has not answered after 2 s gives its place away); at least 1.
    pub concurrency: u32,
}

impl Default for Limit {
    fn default() -> Self {
        Self { period: Some(Duration::from_millis(200)), burst: 10, concurrency: 4 }
    }
}

/// The `limits:` section.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// For every host that is not named.
    pub default: Limit,
    /// By `host:port`, or `host` for any port.
    pub hosts: BTreeMap<String, Limit>,
}

/// One account, everything merged and resolved but the secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountId,
    /// Its provider's definition.
    pub provider: Arc<Definition>,
    /// The chosen environment's name; empty where the definition has none or `base_url` was given.
    pub environment: String,
    /// What relative paths of the definition are joined to; `None` only where the definition uses whole URLs.
    pub base_url: Option<Url>,
    /// The URL of `issue`, rendered from base URL and params; `None` where the definition cannot issue.
    pub issue_url: Option<Url>,
    /// The URL of `refresh`; `None` where the definition cannot refresh.
    pub refresh_url: Option<Url>,
    /// `host:port` of the token API (port always there): the key of limits and breaker.
    pub host: String,
    /// The limit of that host, lowered by the definition.
    pub limit: Limit,
    /// By the vendor's own names, all that the definition requires are there.
    pub credentials: BTreeMap<String, SecretSource>,
    /// With the definition's defaults filled in.
    pub params: BTreeMap<String, String>,
    /// When to renew.
    pub renew: Renew,
    /// How to reach the provider.
    pub http: Http,
    /// How a new token is tried before it is delivered.
    pub verify: Option<Verify>,
    /// Where the token goes; paths are distinct over the whole configuration.
    pub sinks: Vec<Sink>,
    /// Who is told once a new token is in all its sinks.
    pub on_change: Vec<Hook>,
}

/// `verify:` of an account: one GET with the new token as its `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// `https`, or `http` to this machine.
    pub url: Url,
    /// The statuses that mean the token works; never empty. `[200]` unless said.
    pub expect: Vec<u16>,
    /// The whole exchange; 10 s unless said.
    pub timeout: Duration,
}

/// `renew:` of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// The lead; `None` means the policy's own.
    pub before: Option<Lead>,
    /// Rotate at these times too.
    pub cron: Option<Calendar>,
    /// Never ask more often; zero means no bound.
    pub min_interval: Duration,
}

/// `renew.before`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// This long before the expiry.
    Time(Duration),
    /// This share of the lifetime, in thousandths of a percent (20% is 20,000): 1 to 99,999.
    Share(u32),
}

/// `renew.cron` with its zone: an expression of six fields (seconds first).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Calendar {
    /// As written; known to parse.
    pub expression: String,
    /// IANA name; known to exist. `UTC` unless said.
    pub timezone: String,
}

/// `http:` of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Http {
    /// The whole exchange, connect to last byte; 30 s unless said.
    pub timeout: Duration,
    /// `http://` or `https://` proxy; none unless said (the environment's `HTTP_PROXY` is not used).
    pub proxy: Option<Url>,
    /// Further roots, PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and key, PEM; both or none.
    pub client_identity: Option<(PathBuf, PathBuf)>,
    /// The local address to bind.
    pub source_address: Option<std::net::IpAddr>,
}
