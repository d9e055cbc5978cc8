use serde::{Deserialize, Serialize};

use super::{Aside, Birth, Fingerprint};
use crate::domain::{AccountId, ErrorInfo, Generation, Secret, Timestamp, Token};

/// All that is kept of one account. `Debug` masks the tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is; the file's name says the same.
    pub account: AccountId,
    /// The name of the provider's definition.
    pub provider: String,
    /// Of what a stored token belongs to: provider, base URL, environment, params, identity credentials.
    pub identity: Fingerprint,
    /// Of what its refresh token belongs to, where that is less than `identity` (see [`super::Claim`]).
    pub grant: Option<Fingerprint>,
    /// Of the credentials as they were last used; tells a change made while the agent was down.
    pub credentials: Option<Fingerprint>,
    /// Of the credentials of the last login that brought tokens, where refresh tokens belong to them.
    pub owner: Option<Fingerprint>,
    /// Where the account stands in its retries.
    pub schedule: Schedule,
    /// The refresh token that the next refresh will use.
    pub refresh: Option<RefreshSlot>,
    /// Issued, but not yet verified. Sinks never see it.
    pub candidate: Option<Token>,
    /// What sinks deliver.
    pub current: Option<Token>,
    /// Why that one is not known to work, where it was tried in vain.
    pub unverified: Option<ErrorInfo>,
    /// The highest ever given to a token of this account.
    pub generation: Generation,
    /// A request that was about to be sent and whose end is not known.
    pub intent: Option<Intent>,
    /// The last token that all hooks of the account know of, as the engine's mark.
    pub notified: Option<u64>,
    /// When the account left the configuration.
    pub removed_at: Option<Timestamp>,
    /// Since when it has been found old enough to be forgotten, or to have something forgotten that it keeps aside.
    pub old_since: Option<Timestamp>,
    /// When the newest token was asked for.
    pub birth: Option<Birth>,
    /// First refresh tokens that are spent, where what came of them is not here any more.
    pub spent: Vec<Fingerprint>,
    /// Its refresh token was set aside with a state directory's key that is lost: that token's mark as a seed.
    pub bereft: Option<Fingerprint>,
    /// What it keeps of other settings.
    pub aside: Aside,
}

/// The durable part of an account's schedule: a crash loop inherits its backoff.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// Failures in a row.
    #[serde(default)]
    pub attempt: u32,
    /// Of those, in a row, how often the credentials were refused.
    #[serde(default)]
    pub rejected: u32,
    /// Not before this.
    #[serde(default)]
    pub next_try: Option<Timestamp>,
    /// When the provider was last asked; for `min_interval`.
    #[serde(default)]
    pub last_request: Option<Timestamp>,
    /// The last failure, until a success.
    #[serde(default)]
    pub error: Option<ErrorInfo>,
}

/// A refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSlot {
    /// The token.
    pub token: Secret,
    /// Taken before the request that brought it was sent.
    pub issued_at: Timestamp,
    /// Where the provider says so.
    pub expires_at: Option<Timestamp>,
    /// Of the configured first refresh token that this one descends from; the stored one wins until it changes.
    pub seed: Option<Fingerprint>,
}

/// A note, made durable before a request whose effect cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The account's attempt that this is.
    pub attempt: u32,
    /// What was to be done.
    pub operation: IntentKind,
    /// Of the refresh token that was to be spent.
    pub refresh: Option<Fingerprint>,
    /// Sent with the request, and again with a retry of it.
    pub idempotency_key: String,
    /// When.
    pub at: Timestamp,
}

/// What a request was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentKind {
    /// Log in with the credentials.
    Issue,
    /// Spend the refresh token.
    Refresh,
}

impl Record {
    /// A record of an account that has no token yet.
    #[must_use]
    pub fn new(account: AccountId, provider: String, identity: Fingerprint) -> Self {
        Self {
            account,
            provider,
            identity,
            grant: None,
            credentials: None,
            owner: None,
            schedule: Schedule::default(),
            refresh: None,
            candidate: None,
            current: None,
            unverified: None,
            generation: Generation::NONE,
            intent: None,
            notified: None,
            removed_at: None,
            old_since: None,
            birth: None,
            spent: Vec::new(),
            bereft: None,
            aside: Aside::default(),
        }
    }

    /// Whether there is a refresh token in it.
    pub(super) fn holds_refresh(&self) -> bool {
        self.refresh.is_some() || !self.aside.refresh.is_empty()
    }

    /// Whether losing it costs more than one request: it holds a refresh token, or says that one is being spent.
    pub(super) fn is_precious(&self) -> bool {
        let spends = |intent: &Intent| intent.operation == IntentKind::Refresh;
        self.holds_refresh() || self.intent.as_ref().is_some_and(spends)
    }
}
