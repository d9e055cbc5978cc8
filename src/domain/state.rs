use serde::{Deserialize, Serialize};

use super::{AccountId, Timestamp};

/// Account states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountState {
    /// No token yet.
    Pending,
    /// A valid token, nothing wrong.
    Fresh,
    /// A valid token, renewal failing.
    Retrying,
    /// The provider refuses the credentials.
    Rejected,
    /// The token has ended.
    Expired,
}

impl AccountState {
    /// Every state, in the order of the contract.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Fresh, Self::Retrying, Self::Rejected, Self::Expired];

    /// The name used in JSON and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Fresh => "fresh",
            Self::Retrying => "retrying",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

/// What keeps the agent from asking for an account although it wants to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which rule.
    #[serde(rename = "for")]
    pub what: WaitsFor,
    /// When it is over; `None` where that depends on others.
    pub until: Option<Timestamp>,
    /// The host and port that it is about; `None` where it is the account's own.
    pub host: Option<String>,
}

/// The rules that let an account wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// Its host fails for everyone: one request at a time tries it.
    Host,
    /// The vendor asked for peace, from this account or from all of the host (429).
    Vendor,
    /// `renew.min_interval`.
    MinInterval,
    /// Its turn at the host: rate and concurrency.
    Limit,
    /// The pause after a failure of its own.
    Backoff,
}

impl Waiting {
    /// Why, in words: `its host api.example.com:443 does not answer as it should`.
    #[must_use]
    pub fn reason(&self) -> String {
        let host = self.host.as_ref().map(|host| format!(" {host}")).unwrap_or_default();
        match self.what {
            WaitsFor::Host => format!("its host{host} does not answer as it should"),
            WaitsFor::Vendor if self.host.is_some() => {
                format!("the vendor asks all accounts of{host} to wait")
            }
            WaitsFor::Vendor => "the vendor asks it to wait".to_owned(),
            WaitsFor::MinInterval => "its min_interval is not over".to_owned(),
            WaitsFor::Backoff => "the pause after its last failure is not over".to_owned(),
            WaitsFor::Limit => format!("the limits of{host} let others pass first"),
        }
    }
}

/// An account that a template waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// Its name.
    pub account: AccountId,
    /// What it lacks.
    pub reason: Lack,
}

/// What an account lacks for a template to be made from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// No token yet.
    NoToken,
    /// Its token has ended, and the next one is near; or all of the template's have.
    Ended,
}

impl Awaited {
    /// What is waited for, in words: ``waits for `b`: no token yet``; `None` where there is nothing.
    #[must_use]
    pub fn words(all: &[Self]) -> Option<String> {
        let why = |awaited: &Self| match awaited.reason {
            Lack::NoToken => "no token yet",
            Lack::Ended => "its token has ended",
        };
        let each = all.iter().map(|awaited| format!("`{}`: {}", awaited.account, why(awaited)));
        (!all.is_empty()).then(|| format!("waits for {}", each.collect::<Vec<_>>().join(", for ")))
    }
}

/// Where a hook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookState {
    /// It has still to be told of the current token or content.
    Untold,
    /// It knows.
    Told,
    /// Its last run failed; it is tried again by itself.
    Failed,
}

/// Sink states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkState {
    /// Not yet.
    Unwritten,
    /// It holds the current token.
    Written,
    /// It does not, and the last write failed.
    Failed,
}
