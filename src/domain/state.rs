use serde::{Deserialize, Serialize};

use super::Timestamp;

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
            WaitsFor::Limit => format!("the limits of{host} let others pass first"),
        }
    }
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
