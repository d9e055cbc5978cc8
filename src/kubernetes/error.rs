use std::fmt;
use std::time::Duration;

use super::LARGEST;
use crate::config::model::KubernetesSink;
use crate::domain::{AccountId, human_duration};

/// Why a Secret could not be brought to where it should be. Holds no value of a Secret and no text of the server's
/// but names that were looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeError {
    /// Neither a pod nor a kubeconfig.
    #[error("no configuration of a Kubernetes cluster was found")]
    NoConfiguration,
    /// There is one, but it cannot be used.
    #[error("the configuration of the Kubernetes cluster cannot be used: {0}")]
    Configuration(String),
    /// No connection, or it broke.
    #[error("the Kubernetes API cannot be reached: {0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("the Kubernetes API did not answer within {}", human_duration(*.0))]
    TimedOut(Duration),
    /// 401, also with credentials that were read anew.
    #[error("the Kubernetes API does not accept the credentials")]
    Unauthorized,
    /// 429.
    #[error("the Kubernetes API asks to come back later")]
    Busy {
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    #[error("the Kubernetes API failed with status {status}")]
    Server {
        /// The status.
        status: u16,
        /// What it asked for.
        retry_after: Option<Duration>,
    },
    /// Something answered that is not a Kubernetes API.
    #[error("the answer is not a Kubernetes API's")]
    NotKubernetes,
    /// 403.
    #[error("{} may not {verb} secrets \"{name}\" in namespace \"{namespace}\"", user.as_deref().unwrap_or("renewd"))]
    Forbidden {
        /// What was to be done.
        verb: Verb,
        /// Where.
        namespace: String,
        /// To which Secret.
        name: String,
        /// As whom the server knows us.
        user: Option<String>,
    },
    /// The namespace is not there.
    #[error("namespace \"{0}\" does not exist")]
    NamespaceMissing(String),
    /// The namespace is being deleted.
    #[error("namespace \"{0}\" is being deleted")]
    NamespaceLeaving(String),
    /// The Secret is being deleted and waits for a finalizer.
    #[error("the Secret is being deleted")]
    Leaving,
    /// Others own what is to be written.
    #[error("the Secret is owned by others: {}", words(.0))]
    Owned(Vec<Conflict>),
    /// Another account's token stands there.
    #[error("the Secret belongs to account \"{0}\"")]
    OtherAccount(String),
    /// `immutable: true`.
    #[error("the Secret is immutable")]
    Immutable,
    /// The server refuses the Secret for what it is.
    #[error("the Kubernetes API refuses the Secret: {0}")]
    Invalid(String),
    /// More than a Secret can hold.
    #[error("{0} bytes are more than a Secret can hold ({LARGEST})")]
    TooLarge(usize),
    /// Others changed it again and again between our look at it and our write.
    #[error("the Secret is being changed by others all the time")]
    Restless,
    /// Anything else.
    #[error("the Kubernetes API answered with status {status}{}", reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    Unexpected {
        /// The status.
        status: u16,
        /// The API's own word for it, such as `MethodNotAllowed`.
        reason: Option<String>,
    },
}

/// A field and who owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// A key of `data`, or the path of another field as the API server writes it.
    pub field: String,
    /// The owner's name as a field manager, such as `kubectl-edit`.
    pub manager: String,
}

/// What RBAC knows of what is done to a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "RBAC's words")]
pub enum Verb {
    Get,
    Create,
    Patch,
    Delete,
}

impl KubeError {
    /// Whether the server, not the Secret, is to blame: then all Secrets wait for it together.
    #[must_use]
    pub fn server_away(&self) -> bool {
        matches!(
            self,
            Self::NoConfiguration
                | Self::Configuration(_)
                | Self::Unreachable(_)
                | Self::TimedOut(_)
                | Self::Unauthorized
                | Self::Busy { .. }
                | Self::Server { .. }
                | Self::NotKubernetes
        )
    }

    /// Whether it is this side's configuration, so that no server was asked.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::NoConfiguration | Self::Configuration(_))
    }

    /// How long the server asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What a person can do about it, for this sink.
    #[must_use]
    pub fn hint(&self, sink: &KubernetesSink) -> Option<String> {
        let KubernetesSink { secret, namespace, .. } = sink;
        Some(match self {
            Self::NoConfiguration => "run it in a pod with a service account, or set KUBECONFIG".to_owned(),
            Self::Configuration(_) => "does `kubectl get secrets` work as the agent's user?".to_owned(),
            Self::Unauthorized => "is the service account still there, and its token mounted \
                                   (automountServiceAccountToken)?"
                .to_owned(),
            Self::NotKubernetes => "is there a proxy or a login page in front of it?".to_owned(),
            Self::Forbidden { verb, .. } => {
                let delete = if *verb == Verb::Delete { ", delete" } else { "" };
                format!(
                    "allow it by a Role in namespace {namespace}: resources: [secrets], resourceNames: [{secret}], \
                     verbs: [get, create, patch{delete}]"
                )
            }
            Self::NamespaceMissing(_) => format!("kubectl create namespace {namespace}"),
            Self::Leaving => "it is written again once its finalizers have let it go".to_owned(),
            Self::Owned(conflicts) => {
                let stop = "let the other one stop setting it";
                match conflicts.iter().find(|conflict| !conflict.field.starts_with('.')) {
                    Some(Conflict { field, .. }) => format!(
                        "{stop}; to take it over, remove it, and renewd writes it at its next try: kubectl -n \
                         {namespace} patch secret {secret} --type=json \
                         -p='[{{\"op\":\"remove\",\"path\":\"/data/{field}\"}}]'"
                    ),
                    None => stop.to_owned(),
                }
            }
            Self::OtherAccount(account) => format!(
                "give each account a Secret of its own; where `{account}` is this account's former name: kubectl -n \
                 {namespace} annotate secret {secret} renewd.io/account-"
            ),
            Self::Immutable => {
                format!(
                    "a Secret that is renewed cannot be immutable: kubectl -n {namespace} delete secret {secret}"
                )
            }
            Self::TooLarge(_) => "name fewer `keys`".to_owned(),
            Self::Restless => {
                format!("see who: kubectl -n {namespace} get secret {secret} --show-managed-fields -o yaml")
            }
            _ => return None,
        })
    }
}

impl Verb {
    /// RBAC's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whose a Secret is by its annotation; what is no account's name is not repeated.
pub(super) fn other_account(name: &str) -> KubeError {
    KubeError::OtherAccount(AccountId::new(name).map_or_else(|_| "?".to_owned(), |id| id.to_string()))
}

fn words(conflicts: &[Conflict]) -> String {
    let each = conflicts.iter().map(|conflict| format!("\"{}\" by {}", conflict.field, conflict.manager));
    each.collect::<Vec<_>>().join(", ")
}
