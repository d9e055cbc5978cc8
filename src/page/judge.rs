//! How well each account stands, and what is said of it.

use std::time::Duration;

use crate::domain::{ErrorClass, ErrorInfo, SinkState, Timestamp, span};
use crate::observe::status::{AccountState, AccountStatus, HookState, HookStatus, SinkStatus, WaitsFor};

/// From good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tone {
    Good,
    /// Not there yet, and nothing wrong.
    Calm,
    /// Works, but not as it should.
    Warn,
    /// Does not work.
    Bad,
}

impl Tone {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Calm => "calm",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// Whether a person should look.
    pub(super) fn is_trouble(self) -> bool {
        self >= Self::Warn
    }
}

/// An account with what its sinks and hooks make of it.
pub(super) fn tone(account: &AccountStatus, now: Timestamp) -> Tone {
    let around = account.unverified.is_some()
        || account.sinks.iter().any(ails)
        || account.hooks.iter().any(|hook| hook.state == HookState::Failed);
    let around = if around { Tone::Warn } else { Tone::Good };
    let around = if refused(account, now) { Tone::Bad } else { around };
    state_tone(account).max(around)
}

/// The end of the first token that readers are left with although there is a newer one.
pub(super) fn served_until(account: &AccountStatus) -> Option<Timestamp> {
    account.sinks.iter().filter_map(|sink| sink.outdated(account.generation)).min()
}

/// Whether readers hold a token that has ended although there is a newer one.
pub(super) fn refused(account: &AccountStatus, now: Timestamp) -> bool {
    served_until(account).is_some_and(|end| end <= now)
}

/// Of the token alone.
pub(super) fn state_tone(account: &AccountStatus) -> Tone {
    match account.state {
        AccountState::Fresh => Tone::Good,
        AccountState::Pending if account.error.is_none() => Tone::Calm,
        AccountState::Retrying => Tone::Warn,
        AccountState::Pending | AccountState::Rejected | AccountState::Expired => Tone::Bad,
    }
}

/// Whether it has a token that lives.
pub(super) fn is_alive(account: &AccountStatus, now: Timestamp) -> bool {
    account.expires_at.is_some_and(|end| end > now)
}

/// Whether it has had a token, which has ended.
pub(super) fn has_ended(account: &AccountStatus, now: Timestamp) -> bool {
    account.expires_at.is_some_and(|end| end <= now)
}

/// Sinks that a person should hear of.
pub(super) fn ails(sink: &SinkStatus) -> bool {
    sink.state == SinkState::Failed || sink.error.is_some() || sink.writing_since.is_some()
}

/// `38m left`, `ended 3m ago`, `no token yet`.
pub(super) fn left(account: &AccountStatus, now: Timestamp) -> String {
    match account.expires_at {
        None => "no token yet".to_owned(),
        Some(end) if end > now => format!("{} left", span(end.since(now))),
        Some(end) => format!("ended {}", ago(end, now)),
    }
}

/// What comes next, in words.
pub(super) fn next(account: &AccountStatus, now: Timestamp) -> String {
    let verb = if account.state == AccountState::Fresh { "renews" } else { "tries again" };
    match account.renew_at {
        Some(at) if at > now => format!("{verb} {}", relative(at, now)),
        Some(_) => "due now".to_owned(),
        None if account.verifying => "trying the new token".to_owned(),
        None if has_stopped(account) => "stopped: needs a person".to_owned(),
        None => "asking now".to_owned(),
    }
}

/// Without a next time the agent is asking, or it needs a person: a dead refresh token and no credentials.
fn has_stopped(account: &AccountStatus) -> bool {
    let needs_a_person = |error: &ErrorInfo| matches!(error.class, ErrorClass::Relogin | ErrorClass::Config);
    account.state != AccountState::Fresh && account.error.as_ref().is_some_and(needs_a_person)
}

/// Why it does not ask although it wants to. Its mere turn is a matter of seconds, and `due now` says it.
pub(super) fn waiting(account: &AccountStatus, now: Timestamp) -> Option<String> {
    let waiting = account.waiting.as_ref().filter(|waiting| waiting.what != WaitsFor::Limit)?;
    let until = waiting.until.filter(|until| *until > now);
    let until = until.map(|until| format!(" {}", span(until.since(now)))).unwrap_or_default();
    Some(format!("It waits{until}: {}.", waiting.reason()))
}

/// `2 of 2 delivered`; of a token that has ended nobody is told that it is.
pub(super) fn sinks(account: &AccountStatus, now: Timestamp) -> String {
    let written = account.sinks.iter().filter(|sink| sink.state == SinkState::Written).count();
    match account.sinks.len() {
        1 if written == 1 && has_ended(account, now) => "holds the ended token".to_owned(),
        all if all > 0 && written > 0 && has_ended(account, now) => {
            format!("{written} of {all} hold the ended token")
        }
        0 => "no sinks".to_owned(),
        1 if written == 1 => "delivered".to_owned(),
        1 => "not delivered".to_owned(),
        all => format!("{written} of {all} delivered"),
    }
}

/// What is to be said of a sink, behind its name.
pub(super) fn sink(sink: &SinkStatus, account: &AccountStatus, now: Timestamp) -> String {
    if let Some(since) = sink.writing_since {
        return format!("is being written for {}, without an end so far", span(now.since(since)));
    }
    let again = again(sink.next, now);
    match (sink.state, &sink.server) {
        (SinkState::Failed, Some(server)) => format!("waits for {server}"),
        (SinkState::Failed, None) => format!("cannot be written{again}"),
        (SinkState::Unwritten, _) if sink.removed => "removed, as the token has ended".to_owned(),
        (SinkState::Unwritten, _) => "not yet written".to_owned(),
        (SinkState::Written, _) if sink.generation.is_some_and(|held| held < account.generation) => {
            "still holds the token before".to_owned()
        }
        (SinkState::Written, _) if has_ended(account, now) => "holds the ended token".to_owned(),
        (SinkState::Written, _) => match sink.written_at {
            Some(at) => format!("written {}", ago(at, now)),
            None => "written".to_owned(),
        },
    }
}

/// The same of a hook.
pub(super) fn hook(hook: &HookStatus, now: Timestamp) -> String {
    match hook.state {
        HookState::Told => "told".to_owned(),
        HookState::Untold => match hook.running_since {
            Some(since) => format!("running for {}", span(now.since(since))),
            None => "not told yet".to_owned(),
        },
        HookState::Failed => format!("failed{}", again(hook.next, now)),
    }
}

/// `, again in 4s`; nothing while it is being tried, or about to be.
pub(super) fn again(next: Option<Timestamp>, now: Timestamp) -> String {
    next.filter(|next| *next > now).map(|next| format!(", again {}", relative(next, now))).unwrap_or_default()
}

/// The message, and the hint that it ends with.
pub(super) fn hint(message: &str) -> (&str, Option<&str>) {
    match message.rsplit_once("; hint: ") {
        Some((message, hint)) => (message, Some(hint)),
        None => (message, None),
    }
}

/// `3m ago`, or `just now`; also where the agent's clock has been set back since.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at) {
        short if short < Duration::from_secs(1) => "just now".to_owned(),
        long => format!("{} ago", span(long)),
    }
}

/// `in 12m` or `3m ago`.
pub(super) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { ago(at, now) }
}

/// `1 account`, `2 accounts`.
pub(super) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
