use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::plan::{HookId, Plan, SetId, TargetId};
use crate::config::model::Calendar;
use crate::domain::{AccountId, ErrorClass, ErrorInfo, Generation, Timestamp, TokenMeta};

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A configuration takes effect: the first one, or a reload that was found good.
    Configured {
        /// The whole new plan.
        plan: Plan,
        /// What the store holds of accounts that the engine does not have yet (or that change identity).
        restored: BTreeMap<AccountId, Restored>,
        /// Accounts of which anything at all has changed: a failing one is tried again at once.
        touched: BTreeSet<AccountId>,
        /// What `Effect::Marked` has noted, of sets that the engine does not have yet.
        marks: BTreeMap<SetId, u64>,
    },
    /// Time has passed.
    Tick,
    /// A request brought a token, which is in the store.
    Issued {
        /// Whose.
        account: AccountId,
        /// From the effect.
        epoch: u64,
        /// What came.
        meta: IssuedMeta,
    },
    /// There is a new token in the store, which is to be tried before it is used.
    Candidate {
        /// Whose.
        account: AccountId,
        /// From the effect.
        epoch: u64,
        /// Whether the provider was asked for it just now; else it has waited from before.
        asked: bool,
    },
    /// The try of a new token was cut off as the agent stops ([`super::Ending::Keep`]): it stays where it is.
    Untried {
        /// Whose.
        account: AccountId,
        /// From the effect.
        epoch: u64,
    },
    /// A request failed.
    Failed {
        /// Whose.
        account: AccountId,
        /// From the effect.
        epoch: u64,
        /// How.
        failure: FailureMeta,
    },
    /// A target holds what was asked for.
    Delivered {
        /// Which.
        target: TargetId,
        /// From the effect.
        revision: u64,
        /// The generations that it was made from, in its members' order; `None` after a withdrawal.
        held: Option<Vec<Generation>>,
        /// Whether anything had to be written.
        written: bool,
        /// A keyed fingerprint of the content, the same after a restart; 0 where it is not known. Only templates need it.
        print: u64,
    },
    /// A target could not be written or withdrawn.
    Undelivered {
        /// Which.
        target: TargetId,
        /// From the effect.
        revision: u64,
        /// Why, for people.
        message: String,
        /// Its server is to blame (not reached, sealed, 429, 5xx, a failed login), so that the others there fare alike.
        server_away: bool,
        /// What kind of failure that is, where the server is to blame.
        class: ErrorClass,
    },
    /// A look at a server from which accounts' secrets come has ended.
    Knocked {
        /// From the effect.
        server: Arc<str>,
        /// Whether it answers again.
        answers: bool,
    },
    /// A hook has run, or failed.
    Notified {
        /// Whose.
        set: SetId,
        /// From the effect.
        hook: HookId,
        /// From the effect.
        revision: u64,
        /// Why it failed.
        result: Result<(), HookFailure>,
    },
    /// A secret's source of that account has other content, or has come or gone.
    CredentialChanged {
        /// Whose.
        account: AccountId,
        /// What it means.
        change: CredentialChange,
    },
    /// Someone asked for a renewal (command, USR1): past a backoff, never past `min_interval` or a vendor's wait.
    Asked {
        /// Whose.
        account: AccountId,
    },
    /// A reader saw a 401 with the token of that generation.
    Invalidated {
        /// Whose.
        account: AccountId,
        /// What the reader used; an older one is a no-op.
        generation: Generation,
    },
    /// A calendar has reached a time of its own.
    CalendarFired {
        /// Which.
        calendar: Calendar,
        /// The instant that it names; drops duplicates.
        scheduled: Timestamp,
    },
    /// The drift check or a restart of a target's server: this target may not hold what we think.
    TargetLost {
        /// Which.
        target: TargetId,
    },
    /// HUP: refused credentials and failed targets are tried again at once, what stands on servers is compared.
    Reprieve,
    /// TERM: nothing new is asked; what is in flight ends.
    Shutdown,
}

/// Why a hook failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFailure {
    /// What it means.
    pub class: ErrorClass,
    /// For people; holds no secret.
    pub message: String,
}

/// What is new about an account's credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialChange {
    /// Another password or key for the same identity: the token is kept.
    Secret,
    /// Another first refresh token than the one that was configured: the stored one no longer counts.
    Seed,
    /// The key that refresh tokens belong to, as it stands there now: where the last login was made with another one, the
    /// token is kept and a login is due; else as [`Self::Secret`].
    Owner(u128),
    /// Another identity: the token is not ours any more. What the store holds of the new one.
    Identity(u128, Box<Restored>),
    /// The source is missing.
    Missing(String),
}

/// A successful request, without its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedMeta {
    /// What the account's current token is now.
    pub token: TokenMeta,
    /// What became of the reply's token.
    pub admission: super::Admission,
    /// Whether the store holds a refresh token now, and until when it lives.
    pub refresh: Option<RefreshMeta>,
    /// The key that the last login was made with, where refresh tokens belong to it.
    pub owner: Option<u128>,
    /// Why it is not known to work, where it was tried in vain and is used all the same.
    pub unverified: Option<ErrorInfo>,
}

/// A refresh token, without the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshMeta {
    /// Its documented or declared end; `None`: not known.
    pub expires_at: Option<Timestamp>,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureMeta {
    /// What it means.
    pub class: ErrorClass,
    /// For people; holds no secret.
    pub message: String,
    /// The vendor's own wish.
    pub wait: Option<Duration>,
    /// Transport or 5xx: counts for the host's breaker.
    pub host_fault: bool,
    /// HTTP 429: the host wants peace from every account.
    pub host_pause: bool,
    /// The server whose absence kept a secret of the account from us.
    pub lacks: Option<Arc<str>>,
    /// Whether the store holds a refresh token now.
    pub refresh: Option<RefreshMeta>,
}

/// What the store holds of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// The current token where it belongs to the account's identity.
    pub token: Option<TokenMeta>,
    /// How old it is, where that is known without the wall clock.
    pub age: Option<Duration>,
    /// The highest generation ever.
    pub generation: Generation,
    /// A refresh token that belongs to the identity.
    pub refresh: Option<RefreshMeta>,
    /// The key that the last login was made with, where refresh tokens belong to it.
    pub owner: Option<u128>,
    /// Failures in a row.
    pub attempt: u32,
    /// Refusals in a row.
    pub rejected: u32,
    /// Not before.
    pub next_try: Option<Timestamp>,
    /// When the provider was last asked.
    pub last_request: Option<Timestamp>,
    /// The last failure.
    pub error: Option<ErrorInfo>,
    /// Why the token is not known to work, where it was tried in vain.
    pub unverified: Option<ErrorInfo>,
    /// A newer token waits to be tried: asking for it asks no provider.
    pub untried: bool,
}
