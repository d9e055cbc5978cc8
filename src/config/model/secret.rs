//! Where secrets come from, and the login to Vault.

use std::path::PathBuf;

use url::Url;

use crate::domain::Secret;

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
