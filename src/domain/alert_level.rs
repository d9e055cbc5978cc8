/// How much an alert asks for. The names are part of the contract (`agent.alerts`, `at`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertLevel {
    /// What was told of before is well again.
    Recovered,
    /// Somebody should look at it today.
    Warn,
    /// Somebody should look at it now.
    Critical,
}

impl AlertLevel {
    /// The name used in the configuration, in messages and in the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Warn => "warn",
            Self::Critical => "critical",
        }
    }
}
