use super::Timestamp;

/// What a failure means for the next step. The names are part of the contract (`status --json`, metrics).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// The provider refuses the credentials: probe slowly, say so.
    Rejected,
    /// The provider asks for patience (429 or its own words for it).
    Throttled,
    /// Transport failures, timeouts, 5xx: try again soon.
    Transient,
    /// A reply that makes no sense: as transient, never under 30 s.
    Malformed,
    /// The refresh token is dead: log in again with the credentials.
    Relogin,
    /// Something on our side is missing: a secret's source, a file, a permission.
    Config,
}

impl ErrorClass {
    /// Every class, in the order of the contract.
    pub const ALL: [Self; 6] =
        [Self::Rejected, Self::Throttled, Self::Transient, Self::Malformed, Self::Relogin, Self::Config];

    /// The name used in JSON, logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::Transient => "transient",
            Self::Malformed => "malformed",
            Self::Relogin => "relogin",
            Self::Config => "config",
        }
    }
}

impl std::fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The last failure of an account or a sink, in words that hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ErrorInfo {
    /// What it means.
    pub class: ErrorClass,
    /// One line for a person; ends with the hint where there is one.
    pub message: String,
    /// When it happened.
    pub at: Timestamp,
}
