//! The validated configuration: whatever is here can run. Made only by `config::load`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::definition::Definition;
use crate::domain::{AccountId, Secret};

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
    /// The accounts by name.
    pub accounts: BTreeMap<AccountId, Arc<Account>>,
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
    /// Where the token goes; paths are distinct over the whole configuration.
    pub sinks: Vec<Sink>,
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

/// Where a secret comes from; resolved when used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in the configuration.
    Inline(Secret),
    /// An environment variable of the agent.
    Env(String),
    /// A file; one trailing newline is dropped.
    File(PathBuf),
    /// A file in systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The standard output of a command; one trailing newline is dropped.
    Command(Vec<String>),
}

/// A place that a token is delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// A file.
    File(FileSink),
}

impl Sink {
    /// The contract's name of it: `file:PATH`.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::File(file) => format!("file:{}", file.path.display()),
        }
    }
}

/// A file sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSink {
    /// Absolute, no `..`.
    pub path: PathBuf,
    /// What stands in the file.
    pub content: Content,
    /// Permission bits; 0o600 unless said.
    pub mode: u32,
    /// User name or number.
    pub owner: Option<String>,
    /// Group name or number.
    pub group: Option<String>,
    /// How it gets there.
    pub write: WriteMode,
    /// What becomes of it when the token has expired.
    pub when_expired: WhenExpired,
    /// What becomes of it when the sink leaves the configuration.
    pub on_remove: OnRemove,
}

/// `content:` of a file sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The bare token, no newline.
    Token,
    /// `Authorization: Bearer <token>`, as `curl -H @FILE` reads it.
    Header,
    /// The token document.
    Json,
    /// Jinja; known to parse. Escaped for the target by the path's ending.
    Template(String),
}

/// `write:` of a file sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// A new file renamed over the old one.
    Replace,
    /// The same inode written over, for single-file bind mounts; whole reads cannot be promised.
    InPlace,
}

/// `when_expired:` of a file sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenExpired {
    /// It stays.
    Keep,
    /// It is unlinked at the expiry.
    Remove,
}

/// `on_remove:` of a file sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRemove {
    /// It stays.
    Keep,
    /// It is unlinked 10 s after the sink has left the configuration.
    Delete,
}
