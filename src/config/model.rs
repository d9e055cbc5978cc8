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
    /// A key of a secret in Vault or OpenBao.
    Vault(VaultKey),
}

/// `{ vault: { mount, path, key } }` of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultKey {
    /// Where the key-value engine is mounted, without slashes at its ends.
    pub mount: String,
    /// Below the mount, without slashes at its ends.
    pub path: String,
    /// The field whose text is the secret.
    pub key: String,
    /// The engine's version; 2 unless said.
    pub kv: KvVersion,
}

/// The version of a key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KvVersion {
    /// One value, overwritten.
    V1,
    /// Versions, check-and-set.
    V2,
}

/// The `vault:` section: one Vault or OpenBao server and how to log in there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// `https`, or `http` to this machine; without a path.
    pub address: Url,
    /// Sent as `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// Roots (PEM) in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// How to log in.
    pub auth: VaultAuth,
}

/// `vault.auth:`. A mount is written without slashes at its ends; a secret here never comes from Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultAuth {
    /// A token that someone else looks after (it is renewed where it can be).
    Token(SecretSource),
    /// AppRole.
    AppRole {
        /// Not a secret by itself, but may come from where secrets come from.
        role_id: SecretSource,
        /// Left out where the role does not ask for one (`bind_secret_id=false`).
        secret_id: Option<SecretSource>,
        /// `approle` unless said.
        mount: String,
    },
    /// The pod's service account.
    Kubernetes {
        /// The role.
        role: String,
        /// The service account's token; the pod's own file unless said.
        jwt: SecretSource,
        /// `kubernetes` unless said.
        mount: String,
    },
    /// A JWT from somewhere.
    Jwt {
        /// The role; the mount's default one where left out.
        role: Option<String>,
        /// The JWT.
        jwt: SecretSource,
        /// `jwt` unless said.
        mount: String,
    },
    /// A client certificate.
    Cert {
        /// PEM.
        cert_file: PathBuf,
        /// PEM.
        key_file: PathBuf,
        /// The role's name; any that fits where left out.
        name: Option<String>,
        /// `cert` unless said.
        mount: String,
    },
}

/// A place that a token is delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// A file.
    File(FileSink),
    /// A secret in Vault or OpenBao.
    Vault(VaultSink),
    /// A Kubernetes Secret.
    Kubernetes(KubernetesSink),
}

impl Sink {
    /// The contract's name of it: `file:PATH`, `vault:MOUNT/PATH`, `kubernetes:NAMESPACE/NAME`.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::File(file) => format!("file:{}", file.path.display()),
            Self::Vault(vault) => format!("vault:{}/{}", vault.mount, vault.path),
            Self::Kubernetes(secret) => format!("kubernetes:{}/{}", secret.namespace, secret.secret),
        }
    }

    /// The file sink that it is.
    #[must_use]
    pub fn file(&self) -> Option<&FileSink> {
        match self {
            Self::File(file) => Some(file),
            Self::Vault(_) | Self::Kubernetes(_) => None,
        }
    }
}

/// A vault sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSink {
    /// Where the key-value engine is mounted, without slashes at its ends.
    pub mount: String,
    /// Below the mount, without slashes at its ends.
    pub path: String,
    /// The engine's version; 2 unless said.
    pub kv: KvVersion,
    /// Templates by field; `None`: the token document's fields.
    pub fields: Option<BTreeMap<String, String>>,
    /// What becomes of it when the sink leaves the configuration.
    pub on_remove: OnRemove,
}

/// A Kubernetes sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSink {
    /// The Secret's name.
    pub secret: String,
    /// `$POD_NAMESPACE` unless said.
    pub namespace: String,
    /// Templates by key; `None`: the token document's fields.
    pub keys: Option<BTreeMap<String, String>>,
    /// What becomes of it when the sink leaves the configuration.
    pub on_remove: OnRemove,
}

/// An item of `on_change:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// A signal to the process whose id stands in a file.
    Signal {
        /// Absolute.
        pid_file: PathBuf,
        /// Which.
        signal: HookSignal,
    },
    /// A program; no shell, a cleared environment.
    Command {
        /// The program (a whole path, or a name to find in `PATH`) and its arguments; never empty.
        argv: Vec<String>,
        /// Then its process group is killed; 30 s unless said.
        timeout: Duration,
    },
    /// A POST of names and times, never a token.
    Webhook {
        /// `https`, or `http` to this machine.
        url: Url,
        /// The whole exchange; 10 s unless said.
        timeout: Duration,
    },
}

/// The signals that hooks and `renewd exec` send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the system's names")]
pub enum HookSignal {
    Hup,
    Int,
    Quit,
    Usr1,
    Usr2,
    Term,
    Winch,
    Cont,
}

/// An item of `templates:`: files made from several accounts' tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateTarget {
    /// The file, or the folder whose files flip as one; absolute, no `..`.
    pub path: PathBuf,
    /// What stands there.
    pub form: TemplateForm,
    /// The accounts that it names; never empty, each is configured.
    pub accounts: Vec<AccountId>,
    /// Permission bits of each file; 0o600 unless said.
    pub mode: u32,
    /// User name or number.
    pub owner: Option<String>,
    /// Group name or number.
    pub group: Option<String>,
    /// What becomes of it when it leaves the configuration.
    pub on_remove: OnRemove,
    /// Who is told once it has been written anew.
    pub on_change: Vec<Hook>,
}

/// One file or a set of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateForm {
    /// `path:`.
    File {
        /// Its text.
        text: TemplateText,
        /// How it gets there.
        write: WriteMode,
    },
    /// `directory:`: by file name (no slash, no leading dot). All at once or not at all, by a `..data` link.
    Directory(BTreeMap<String, TemplateText>),
}

/// A template's text: Jinja, known to parse and to name configured accounts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateText {
    /// The file that it was read from when the configuration was loaded; `None` where it stands in the configuration.
    /// It is one of [`Config::files`].
    pub source: Option<PathBuf>,
    /// As read.
    pub text: String,
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
