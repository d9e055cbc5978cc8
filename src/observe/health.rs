//! Health, purely: whether the agent turns, and whether whoever relies on its tokens may go on doing so.

use std::time::Duration;

use serde::Serialize;

use super::status::readers_hold;
use crate::core::{AccountView, TargetView, TemplateView};
use crate::domain::{AccountId, Awaited, BootInstant, Now, SinkState, human_duration};

/// The loop sleeps 15 s at most. Not having turned for this long, it is stalled.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);
/// A renewed token is on its way to a sink that holds the one before. Longer than this, from before its request was
/// sent, it should not take. Milliseconds.
const DELIVERY_GRACE_MS: i64 = 5_000;

/// What `/readyz` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether there is no reason against it.
    pub ready: bool,
    /// In order of account.
    pub reasons: Vec<Reason>,
    /// What does not stand in the way, but should not stay so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Reason>,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Whose; absent where it is the agent itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// In words.
    pub reason: String,
}

/// What `/livez` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Liveness {
    /// Whether the loop turns.
    pub alive: bool,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Readiness {
    /// Of these accounts and the templates that are made from them. Without accounts it is ready; without a
    /// configuration (`loaded`) it is not.
    #[must_use]
    pub fn of<'a>(
        views: impl Iterator<Item = AccountView<'a>>,
        templates: impl Iterator<Item = TemplateView<'a>>,
        loaded: bool,
        now: Now,
    ) -> Self {
        let agent = (!loaded).then(|| Reason::agent("no configuration has been loaded yet"));
        let mut warnings = Vec::new();
        let accounts = views.flat_map(|view| {
            warnings.extend(warning(&view));
            of(&view, now)
        });
        let templates = templates.filter_map(|view| template_reason(&view, now));
        let reasons: Vec<Reason> = agent.into_iter().chain(accounts).chain(templates).collect();
        Self { ready: reasons.is_empty(), reasons, warnings }
    }

    /// With these warnings of the agent's own before those of accounts.
    #[must_use]
    pub fn warned(mut self, warnings: impl Iterator<Item = String>) -> Self {
        let own = warnings.map(|reason| Reason { account: None, reason });
        self.warnings.splice(0..0, own);
        self
    }

    /// Not, for a reason of the agent's own.
    #[must_use]
    pub fn not(reason: &str) -> Self {
        Self { ready: false, reasons: vec![Reason::agent(reason)], warnings: Vec::new() }
    }
}

impl Reason {
    fn agent(reason: &str) -> Self {
        Self { account: None, reason: reason.to_owned() }
    }
}

impl Liveness {
    /// The loop has shown that it turns.
    pub const TURNS: Self = Self { alive: true, reason: None };

    /// From when the loop has last turned.
    #[must_use]
    pub fn of(last_turn: BootInstant, now: BootInstant) -> Self {
        let silent = now.since(last_turn);
        let stalled = silent >= STALLED_AFTER;
        let reason = || format!("the scheduler has not turned for {}", human_duration(silent));
        Self { alive: !stalled, reason: stalled.then(reason) }
    }
}

/// The last stretch of a token's life, in which it should long have been renewed: `min(clamp(L/12, 30 s, 10 min), lead/2)`.
#[must_use]
pub fn margin(life: Duration, lead: Duration) -> Duration {
    (life / 12).clamp(Duration::from_secs(30), Duration::from_secs(600)).min(lead / 2)
}

fn of(view: &AccountView<'_>, now: Now) -> Vec<Reason> {
    let token = token_reason(view);
    let sinks = view.targets.iter().filter_map(|target| sink_reason(view, target, now));
    let reason = |reason| Reason { account: Some(view.name.clone()), reason };
    token.into_iter().chain(sinks).map(reason).collect()
}

/// A token that may not work was delivered because nothing better lives: whoever holds it is no worse off, and the
/// agent has nothing else to give.
fn warning(view: &AccountView<'_>) -> Option<Reason> {
    let error = view.unverified.filter(|_| view.alive)?;
    let reason = format!("the token is not verified: {}", error.message);
    Some(Reason { account: Some(view.name.clone()), reason })
}

fn token_reason(view: &AccountView<'_>) -> Option<String> {
    let because = match view.error {
        Some(error) => format!(": {}: {}", error.class, error.message),
        None if view.verifying => ": the new token is being verified".to_owned(),
        None if view.asking => ": the provider is being asked".to_owned(),
        None => String::new(),
    };
    let because = match &view.waiting {
        Some(waiting) => {
            let until = waiting.until.map(|until| format!(" until {until}")).unwrap_or_default();
            format!("{because}; it waits{until}, because {}", waiting.reason())
        }
        None => because,
    };
    match view.token {
        None => Some(format!("no token yet{because}")),
        Some(token) if !view.alive => Some(format!("the token expired at {}{because}", token.expires_at)),
        Some(token) if view.left <= margin(token.lifetime(), view.lead) => {
            Some(format!("the token ends in {} and is not renewed{because}", human_duration(view.left)))
        }
        Some(_) => None,
    }
}

/// One that is only late is late for an account's sake, which says why.
fn template_reason(view: &TemplateView<'_>, now: Now) -> Option<Reason> {
    let reason = match (view.state, view.error) {
        (SinkState::Written, _) => return None,
        (_, Some(error)) => format!("{} cannot be written: {}", view.id, error.message),
        (SinkState::Failed, None) => format!("{} cannot be written", view.id),
        (SinkState::Unwritten, None) if view.slow_since.is_some() => {
            format!("{} is being written and does not come to an end", view.id)
        }
        (SinkState::Unwritten, None) if view.generations.is_none() => {
            let waits = Awaited::words(&view.waits_for).map(|words| format!(": {words}"));
            format!("{} is not written yet{}", view.id, waits.unwrap_or_default())
        }
        (SinkState::Unwritten, None) => return None,
    };
    let held = view.held.filter(|held| held.outdated);
    let held = held.map(|held| format!("; {}", readers_hold(held.token.expires_at, now.wall)));
    Some(Reason::agent(&(reason + &held.unwrap_or_default())))
}

/// Why a sink is not as it should be, and what its readers have meanwhile: a fresh account does not help them.
fn sink_reason(view: &AccountView<'_>, target: &TargetView<'_>, now: Now) -> Option<String> {
    let reason = sink_fault(view, target, now)?;
    Some(match target.held.filter(|held| held.outdated) {
        Some(held) => format!("{reason}; {}", readers_hold(held.token.expires_at, now.wall)),
        None => reason,
    })
}

fn sink_fault(view: &AccountView<'_>, target: &TargetView<'_>, now: Now) -> Option<String> {
    match (target.state, target.error) {
        (SinkState::Written, _) => None,
        (_, Some(error)) => Some(format!("{} cannot be written: {}", target.id, error.message)),
        (SinkState::Failed, None) => Some(format!("{} cannot be written", target.id)),
        (SinkState::Unwritten, None) if target.slow_since.is_some() => {
            Some(format!("{} is being written and does not come to an end", target.id))
        }
        (SinkState::Unwritten, None) if target.removed => {
            Some(format!("{} is removed, as the token has ended", target.id))
        }
        // Nothing was delivered because there is nothing: said already.
        (SinkState::Unwritten, None) if view.token.is_none() => None,
        (SinkState::Unwritten, None) => {
            let age = view.token.map(|token| now.wall.offset_from(token.issued_at));
            let new = age.is_some_and(|age| (0..=DELIVERY_GRACE_MS).contains(&age));
            (target.generation.is_none() || !new).then(|| format!("{} is not written yet", target.id))
        }
    }
}

#[cfg(test)]
mod tests;
