use std::sync::Arc;
use std::time::Duration;

use super::plan::{HookId, SetId, TargetId};
use crate::domain::{AccountId, ErrorClass, ErrorInfo, Generation, Timestamp};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the provider; ends in `Issued` or `Failed` with the same epoch.
    Issue(Issue),
    /// Try the new token that waits in the store; ends in `Issued`, `Failed` or `Untried` with the same epoch.
    Verify {
        /// Whose.
        account: AccountId,
        /// Echoed by the event.
        epoch: u64,
        /// What the token will be.
        generation: Generation,
        /// There is a living token that one which may not work must not replace.
        protected: bool,
    },
    /// The try of the account's new token is waited for no longer; one that has ended by then is not touched.
    EndVerify {
        /// Whose.
        account: AccountId,
        /// What becomes of the token.
        ending: Ending,
    },
    /// Keep the schedule through a restart.
    Remember {
        /// Whose.
        account: AccountId,
        /// What.
        schedule: Schedule,
    },
    /// The account has left the configuration: its state is kept for 30 days.
    Forget {
        /// Whose.
        account: AccountId,
    },
    /// The account's stored tokens belong to another identity: start its state anew, with what was put aside of this one.
    Disown {
        /// Whose.
        account: AccountId,
    },
    /// The stored refresh token no longer counts (another first one was configured): put it aside.
    DropRefresh {
        /// Whose.
        account: AccountId,
    },
    /// Bring the target to its members' current tokens; ends in `Delivered` or `Undelivered`.
    Deliver {
        /// Which.
        target: TargetId,
        /// Echoed by the event.
        revision: u64,
    },
    /// Take the expired token away; ends in `Delivered` or `Undelivered`.
    Withdraw {
        /// Which.
        target: TargetId,
        /// Echoed by the event.
        revision: u64,
    },
    /// The target has left the configuration for good.
    Retire {
        /// Which.
        target: TargetId,
        /// Whether what was delivered goes too.
        delete: bool,
    },
    /// Run one hook of a set; ends in `Notified`.
    Notify {
        /// Whose hook.
        set: SetId,
        /// Which of them.
        hook: HookId,
        /// Echoed by the event.
        revision: u64,
        /// What it is told of: a token's generation, or a template's fingerprint.
        mark: u64,
        /// Where that stands by now, in the order of the configuration.
        targets: Vec<TargetId>,
    },
    /// All hooks of the set know that mark: after a restart they are not told again. To be kept durably.
    Marked {
        /// Whose.
        set: SetId,
        /// Comes back with `Event::Configured`.
        mark: u64,
    },
    /// Look whether the server answers again where the account has its secrets; ends in `Knocked`.
    Knock {
        /// `vault`.
        server: Arc<str>,
        /// Whose secrets.
        account: AccountId,
    },
    /// Something that a person may want to read.
    Say(Note),
}

/// [`Effect::Issue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Whose.
    pub account: AccountId,
    /// Echoed by the event; a result of an older one is a no-op.
    pub epoch: u64,
    /// Log in or refresh.
    pub operation: Operation,
    /// What the new token will be.
    pub generation: Generation,
    /// Longest exchange.
    pub timeout: Duration,
    /// A live current token that ends later than the reply's stays the current one.
    pub keep_longer: bool,
    /// How long it has been due: it waited for its host, or the agent was late.
    pub late: Duration,
    /// What a restart finds if this request is cut off by a crash; durable before the request.
    pub intent: Schedule,
}

/// Why a new token's try is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The token before has ended: nothing better is left, so it is used as it is.
    Use,
    /// The agent stops: it stays in the store, to be tried by the next one.
    Keep,
}

/// The two calls of a token API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// With the credentials.
    Issue,
    /// With a refresh token.
    Refresh,
}

/// What survives a restart of an account's schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
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
}

/// Said once per change, in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; `observe::log` gives each its sentence")]
pub enum Note {
    Added {
        account: AccountId,
    },
    Changed {
        account: AccountId,
    },
    Removed {
        account: AccountId,
    },
    Renewed {
        account: AccountId,
        generation: Generation,
        expires_at: Timestamp,
        renew_at: Timestamp,
        healed: bool,
    },
    Unchanged {
        account: AccountId,
        expires_at: Timestamp,
        next: Timestamp,
    },
    Failing {
        account: AccountId,
        class: ErrorClass,
        message: String,
        next: Timestamp,
        attempt: u32,
        news: bool,
    },
    Expired {
        account: AccountId,
        at: Timestamp,
    },
    LeadCut {
        account: AccountId,
        lifetime: Duration,
    },
    Relogin {
        account: AccountId,
        message: String,
    },
    Delivered {
        target: TargetId,
        account: AccountId,
        generation: Generation,
        /// Not so where what stood there was right already.
        written: bool,
        healed: bool,
    },
    Composed {
        target: TargetId,
        /// As above.
        written: bool,
        healed: bool,
    },
    Withdrawn {
        target: TargetId,
        account: AccountId,
    },
    Undelivered {
        target: TargetId,
        message: String,
        next: Timestamp,
        news: bool,
    },
    ServerAway {
        server: Arc<str>,
        message: String,
        next: Timestamp,
        news: bool,
    },
    ServerBack {
        server: Arc<str>,
        away: Duration,
    },
    HookRan {
        set: SetId,
        hook: HookId,
        healed: bool,
    },
    HookFailed {
        set: SetId,
        hook: HookId,
        message: String,
        next: Timestamp,
        news: bool,
    },
    HostPaused {
        host: Arc<str>,
        until: Timestamp,
    },
    HostDown {
        host: Arc<str>,
        until: Timestamp,
        news: bool,
    },
    HostBack {
        host: Arc<str>,
    },
}
