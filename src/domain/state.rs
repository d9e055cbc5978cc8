use serde::{Deserialize, Serialize};

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
