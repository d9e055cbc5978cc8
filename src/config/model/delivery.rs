//! Where tokens go, and who is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::KvVersion;
use crate::domain::AccountId;

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
    /// It is one of [`Config::files`](super::Config::files).
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
