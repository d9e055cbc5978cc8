//! What can go wrong with a Vault, told apart. Nothing here is the server's own text, which may repeat what was sent.

use std::time::Duration;

use crate::config::model::{KvVersion, VaultAuth};
use crate::domain::human_duration;

/// Why something was not done at a Vault or OpenBao server. Holds no secret and no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The `vault:` section cannot be used as it is: a file of it, or a path.
    #[error("{0}")]
    Setup(String),
    /// A secret that the login needs could not be had.
    #[error("cannot log in to Vault: {0}")]
    Secret(String),
    /// No connection, or it broke.
    #[error("Vault was not reached: {0}")]
    NotReached(&'static str),
    /// The connection is not trusted, or we are not.
    #[error("the TLS connection to Vault failed: {0}")]
    Tls(&'static str),
    /// Nothing whole within the time limit.
    #[error("Vault did not answer within {}", human_duration(*.0))]
    TooSlow(Duration),
    /// It needs its unseal keys.
    #[error("Vault is sealed")]
    Sealed,
    /// It has never been set up.
    #[error("Vault is not initialised")]
    NotInitialised,
    /// A standby that knows of no active node.
    #[error("Vault is a standby without an active node")]
    Standby,
    /// A reply that leads somewhere where the token does not go.
    #[error("Vault redirects to another host")]
    Elsewhere,
    /// 429.
    #[error("Vault limits our requests")]
    RateLimited {
        /// How long it wants to be left alone, an hour at most.
        wait: Option<Duration>,
    },
    /// 5xx without a reason that is known.
    #[error("Vault fails (HTTP {0})")]
    Failing(u16),
    /// The login was refused.
    #[error("Vault refuses the login by {method} (HTTP {status})")]
    LoginRefused {
        /// Which method.
        method: Method,
        /// What it answered.
        status: u16,
    },
    /// The token lives, but its policies do not allow this.
    #[error("Vault's policy denies {capability} on `{path}`")]
    Denied {
        /// As policies write it, with the mount.
        path: String,
        /// As policies write it.
        capability: &'static str,
    },
    /// Nothing is mounted there.
    #[error("Vault has nothing mounted at `{0}`, or not in this namespace")]
    NoMount(String),
    /// The namespace is not known there.
    #[error("Vault does not know the namespace")]
    NoNamespace,
    /// A key-value engine of the other version.
    #[error("the engine at `{mount}` is key-value version {}", number(*.is))]
    WrongVersion {
        /// Where.
        mount: String,
        /// What it is.
        is: KvVersion,
    },
    /// Others write the same secret all the time.
    #[error("`{0}` was written by others each time before us")]
    Conflict(String),
    /// Any other refusal.
    #[error("Vault refuses `{path}` (HTTP {status})")]
    Refused {
        /// With the mount.
        path: String,
        /// What it answered.
        status: u16,
    },
    /// A reply that is not what the API promises.
    #[error("Vault's reply cannot be used: {0}")]
    Malformed(&'static str),
    /// A secret that is to be read is not there.
    #[error("there is no secret at `{0}` in Vault")]
    NoSecret(String),
    /// The secret has no such field.
    #[error("the secret at `{path}` in Vault has no key `{key}`")]
    NoKey {
        /// With the mount.
        path: String,
        /// The field.
        key: String,
    },
    /// The field cannot be a secret.
    #[error("the key `{key}` of `{path}` in Vault {problem}")]
    BadKey {
        /// With the mount.
        path: String,
        /// The field.
        key: String,
        /// Reads on after the key.
        problem: &'static str,
    },
}

/// A way to log in, without its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract's names")]
pub enum Method {
    Token,
    AppRole,
    Kubernetes,
    Jwt,
    Cert,
}

impl VaultError {
    /// Whether every other request to this server would fail like it: not reached, sealed, overloaded, no login.
    /// `false`: it belongs to the one secret.
    #[must_use]
    pub fn server_away(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Secret(_)
            | Self::NotReached(_)
            | Self::Tls(_)
            | Self::TooSlow(_)
            | Self::Sealed
            | Self::NotInitialised
            | Self::Standby
            | Self::Elsewhere
            | Self::RateLimited { .. }
            | Self::Failing(_)
            | Self::NoNamespace
            | Self::LoginRefused { .. } => true,
            Self::Denied { .. }
            | Self::NoMount(_)
            | Self::WrongVersion { .. }
            | Self::Conflict(_)
            | Self::Refused { .. }
            | Self::Malformed(_)
            | Self::NoSecret(_)
            | Self::NoKey { .. }
            | Self::BadKey { .. } => false,
        }
    }

    /// Whether it is this side's configuration, so that no server was asked.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Setup(_) | Self::Secret(_))
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotReached(_) | Self::TooSlow(_) => {
                "is vault.address right, and may this host connect there?".into()
            }
            Self::Tls(words) if words.contains("does not speak TLS") => {
                "name the port of vault.address that does; `http://` is for a server on this machine".into()
            }
            Self::Tls(_) => "vault.ca_file must name the root that signed Vault's certificate".into(),
            Self::Sealed => "unseal it (`bao operator unseal`); renewd goes on by itself".into(),
            Self::NotInitialised => "set it up first: `bao operator init`".into(),
            Self::Standby => "the cluster has no leader; renewd goes on by itself once there is one".into(),
            Self::Elsewhere => {
                "name the active node or its load balancer in vault.address; with vault.ca_file \
                                renewd follows a standby to a node whose certificate that CA signed"
                    .into()
            }
            Self::LoginRefused { method, .. } => method.hint().into(),
            Self::Denied { path, capability } => {
                format!(
                    "the login's policy needs: path \"{path}\" {{ capabilities = [{}] }}",
                    quoted(capability)
                )
            }
            Self::NoMount(mount) => format!("`bao secrets list` shows what is mounted; is it `{mount}`?"),
            Self::NoNamespace => "is vault.namespace right, and written from the root?".into(),
            Self::WrongVersion { is, .. } => format!("say kv: {}", number(*is)),
            Self::Conflict(_) => "two writers of one secret: let each account have its own path".into(),
            Self::NoKey { .. } | Self::NoSecret(_) => "mount, path and key are told apart by case".into(),
            Self::Setup(_)
            | Self::Secret(_)
            | Self::RateLimited { .. }
            | Self::Failing(_)
            | Self::Refused { .. }
            | Self::Malformed(_)
            | Self::BadKey { .. } => return None,
        })
    }
}

impl Method {
    pub(super) fn of(auth: &VaultAuth) -> Self {
        match auth {
            VaultAuth::Token(_) => Self::Token,
            VaultAuth::AppRole { .. } => Self::AppRole,
            VaultAuth::Kubernetes { .. } => Self::Kubernetes,
            VaultAuth::Jwt { .. } => Self::Jwt,
            VaultAuth::Cert { .. } => Self::Cert,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Token => {
                "the token is unknown, revoked or over, or its policies do not allow auth/token/lookup-self \
                 (the policy `default` does)"
            }
            Self::AppRole => {
                "are role_id and secret_id right, unused up and not over, and is the mount right?"
            }
            Self::Kubernetes => {
                "does the role allow this service account and namespace, and can Vault reach the TokenReview API?"
            }
            Self::Jwt => "is the JWT current, of the role's audience and subject, and signed by a known key?",
            Self::Cert => "does a role of the mount trust the certificate's issuer, and fit its names?",
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Kubernetes => "kubernetes",
            Self::Jwt => "jwt",
            Self::Cert => "cert",
        })
    }
}

fn number(version: KvVersion) -> u8 {
    match version {
        KvVersion::V1 => 1,
        KvVersion::V2 => 2,
    }
}

fn quoted(capabilities: &str) -> String {
    capabilities.split(" and ").map(|capability| format!("\"{capability}\"")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_the_policy_that_is_missing() {
        let denied =
            VaultError::Denied { path: "secret/data/tokens/a".into(), capability: "create and update" };
        assert_eq!(denied.to_string(), "Vault's policy denies create and update on `secret/data/tokens/a`");
        assert_eq!(
            denied.hint().unwrap(),
            r#"the login's policy needs: path "secret/data/tokens/a" { capabilities = ["create", "update"] }"#
        );
        assert!(!denied.server_away());
    }
}
