//! What counts as wrong, and how bad it is.

use std::time::Duration;

use crate::core::{AccountView, HeldView, HookView, ServerView, SetId, TargetView, TemplateView};
use crate::domain::{
    AccountId, AccountState, AlertLevel, ErrorClass, ErrorInfo, Generation, SinkState, Timestamp,
    human_duration,
};
use crate::observe::health;
use crate::observe::status::{PlaceStatus, readers_hold};

/// A sink that cannot be written is told of after this, or after half of its token's lead where that is less.
pub(super) const SINK_PATIENCE: Duration = Duration::from_secs(300);
/// A token whose renewal is merely slow is not told of before this.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(5);
/// A first token that fails to come is told of after the first, and is critical after the second.
const FIRST_TOKEN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(300));
/// What the agent itself lacks.
const AGENT_PATIENCE: Duration = Duration::from_secs(60);

/// What something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An account's token.
    Account(AccountId),
    /// An account's sink, or a template (`template:PATH`).
    Sink(String),
    /// A hook of that account or template, by its name.
    Hook(SetId, String),
    /// A server that sinks stand on.
    Server(String),
    /// The configuration's file.
    Config,
    /// A door or a log of the agent's own, by its key.
    Agent(String),
}

impl Subject {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Sink(_) => "sink",
            Self::Hook(..) => "hook",
            Self::Server(_) => "server",
            Self::Config => "config",
            Self::Agent(_) => "agent",
        }
    }

    /// Which.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Account(account) => account.as_str(),
            Self::Hook(_, name) | Self::Sink(name) | Self::Server(name) | Self::Agent(name) => name,
            Self::Config => "configuration",
        }
    }

    /// What says more of it.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Account(account) => format!("renewd status {account}"),
            Self::Hook(SetId::Account(account), _) => format!("renewd status {account}"),
            Self::Sink(_) | Self::Hook(..) | Self::Agent(_) => "renewd status".to_owned(),
            Self::Server(_) => "renewd check --online".to_owned(),
            Self::Config => "renewd check".to_owned(),
        }
    }
}

/// Something that is wrong, or will be if it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// With what.
    pub subject: Subject,
    /// How bad it is once it has lasted so long; the worst counts.
    pub levels: Vec<(Duration, AlertLevel)>,
    /// How it stands.
    pub facts: Facts,
}

/// What is told beside the name. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// In words.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Of the last failure.
    pub class: Option<ErrorClass>,
    /// The definition's name.
    pub provider: Option<String>,
    /// Of the account's token.
    pub generation: Option<Generation>,
    /// Of the account's token.
    pub expires_at: Option<Timestamp>,
    /// When the agent tries again.
    pub next: Option<Timestamp>,
    /// What says more, where that is not the subject's own [`Subject::command`].
    pub command: Option<String>,
}

impl Facts {
    /// How an account stands with which nothing is wrong.
    #[must_use]
    pub fn of_account(view: &AccountView<'_>) -> Self {
        let message = match view.token {
            Some(token) if view.alive => format!("the token is good until {}", token.expires_at),
            _ => "nothing is wrong with it any more".to_owned(),
        };
        account_facts(view, message, None)
    }

    /// How anything else stands.
    #[must_use]
    pub fn well(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }
}

/// Of an account and its sinks.
pub fn of_account<'a>(view: &'a AccountView<'a>, now: Timestamp) -> impl Iterator<Item = Trouble> + 'a {
    let sinks = view.targets.iter().filter_map(move |target| of_sink(view, target, now));
    of_token(view).into_iter().chain(sinks)
}

/// A token inside its last stretch is critical, as is one that has ended. Failing with half of the lead gone, refused
/// credentials and what only a person can mend are worth a warning.
fn of_token(view: &AccountView<'_>) -> Option<Trouble> {
    let needs_a_person = view.state == AccountState::Rejected
        || view.error.is_some_and(|error| error.class == ErrorClass::Config);
    let slow = if view.error.is_some() { Duration::ZERO } else { RENEWAL_PATIENCE };
    let warn = (Duration::ZERO, AlertLevel::Warn);
    let (levels, message) = match view.token {
        None => {
            let first = if needs_a_person { Duration::ZERO } else { FIRST_TOKEN.0 };
            let levels = vec![(first, AlertLevel::Warn), (FIRST_TOKEN.1, AlertLevel::Critical)];
            (levels, "there is no token yet".to_owned())
        }
        Some(token) if !view.alive => {
            (vec![(slow, AlertLevel::Critical)], format!("the token ended at {}", token.expires_at))
        }
        Some(token) if view.left <= health::margin(token.lifetime(), view.lead) => {
            let left = human_duration(view.left);
            (vec![(slow, AlertLevel::Critical)], format!("the token ends in {left} and is not renewed"))
        }
        Some(token) if needs_a_person => {
            (vec![warn], format!("the token is good until {} and cannot be renewed", token.expires_at))
        }
        Some(_) if view.error.is_some() && view.left < view.lead / 2 => {
            let left = human_duration(view.left);
            (vec![warn], format!("the token ends in {left}, and its renewal fails"))
        }
        Some(_) => match view.unverified {
            Some(error) => {
                let facts = account_facts(
                    view,
                    "the token is delivered, but not known to work".to_owned(),
                    Some(error),
                );
                return Some(Trouble {
                    subject: Subject::Account(view.name.clone()),
                    levels: vec![warn],
                    facts,
                });
            }
            // Not bad enough to tell, but not over either.
            None if view.error.is_some() => (Vec::new(), "its renewal fails".to_owned()),
            None => return None,
        },
    };
    let facts = account_facts(view, message, view.error);
    Some(Trouble { subject: Subject::Account(view.name.clone()), levels, facts })
}

fn account_facts(view: &AccountView<'_>, message: String, error: Option<&ErrorInfo>) -> Facts {
    Facts {
        provider: Some(view.provider.to_owned()),
        generation: view.token.map(|token| token.generation),
        expires_at: view.token.map(|token| token.expires_at),
        next: view.renew_at,
        ..with_error(message, error)
    }
}

/// One that waits for its server is told of with the server; one that is being written is not over yet. Whatever keeps it:
/// readers who are about to be left with an ended token are worth waking somebody for.
fn of_sink(view: &AccountView<'_>, target: &TargetView<'_>, now: Timestamp) -> Option<Trouble> {
    if target.state == SinkState::Written {
        return None;
    }
    let own = target.error.filter(|_| target.waits_for.is_none());
    let patience = if view.lead.is_zero() { SINK_PATIENCE } else { SINK_PATIENCE.min(view.lead / 2) };
    let facts = Facts { next: target.next, ..with_error("cannot be written".to_owned(), own) };
    let held = target.held.filter(|held| held.outdated);
    let command = Some(format!("renewd status {}", view.name));
    let told = Trouble { facts: Facts { command, ..facts }, ..undelivered(target.id, own, patience) };
    Some(endangered(told, held, target.error, now))
}

fn undelivered(id: &str, error: Option<&ErrorInfo>, patience: Duration) -> Trouble {
    let levels = error.map(|_| (patience, AlertLevel::Warn)).into_iter().collect();
    Trouble { subject: Subject::Sink(id.to_owned()), levels, facts: Facts::default() }
}

/// The same, and critical once what readers hold is inside its last stretch or has ended while there is a newer token.
fn endangered(
    trouble: Trouble,
    held: Option<HeldView>,
    error: Option<&ErrorInfo>,
    now: Timestamp,
) -> Trouble {
    let Trouble { subject, mut levels, facts } = trouble;
    let Some(held) = held else { return Trouble { subject, levels, facts } };
    if held.left <= health::margin(held.token.lifetime(), held.lead) {
        // A write that has only begun is given time.
        let patience = if error.is_some() { Duration::ZERO } else { RENEWAL_PATIENCE };
        levels.push((patience, AlertLevel::Critical));
    }
    let readers = readers_hold(held.token.expires_at, now);
    let why = with_error(format!("{readers}, and the newest cannot be written"), error);
    let facts = Facts {
        message: why.message,
        hint: why.hint,
        class: why.class,
        generation: Some(held.token.generation),
        expires_at: Some(held.token.expires_at),
        ..facts
    };
    Trouble { subject, levels, facts }
}

/// Of a hook that fails, by the name that the log gives it.
#[must_use]
pub fn of_hook(set: &SetId, hook: &str, view: &HookView<'_>, lead: Duration) -> Option<Trouble> {
    let error = view.error?;
    let patience = if lead.is_zero() { SINK_PATIENCE } else { SINK_PATIENCE.min(lead / 2) };
    let whose = match set {
        SetId::Account(account) => account.as_str(),
        SetId::Template(template) => template,
    };
    let message = format!("the hook of {whose} fails, so that nobody is told of the newest token");
    let facts = Facts { next: view.next, ..with_error(message, Some(error)) };
    Some(trouble(Subject::Hook(set.clone(), hook.to_owned()), patience, facts))
}

/// Of a template.
#[must_use]
pub fn of_template(view: &TemplateView<'_>, now: Timestamp) -> Option<Trouble> {
    if view.state == SinkState::Written {
        return None;
    }
    let facts = Facts { next: view.next, ..with_error("cannot be written".to_owned(), view.error) };
    let held = view.held.filter(|held| held.outdated);
    let told = Trouble { facts, ..undelivered(view.id, view.error, SINK_PATIENCE) };
    Some(endangered(told, held, view.error, now))
}

/// Of a server that is away.
#[must_use]
pub fn of_server(view: &ServerView<'_>) -> Trouble {
    let facts = Facts {
        next: view.next,
        ..with_error("nothing can be delivered there".to_owned(), Some(view.error))
    };
    trouble(Subject::Server(view.name.to_owned()), SINK_PATIENCE, facts)
}

/// Of the configuration's file as it is now, which does not run. Only the first line: what follows is the source's text.
#[must_use]
pub fn of_config(error: &str) -> Trouble {
    let first = error.lines().next().unwrap_or_default();
    let message = format!("the file as it is now cannot run, the one before runs on: {first}");
    let facts = Facts { class: Some(ErrorClass::Config), ..Facts::well(&message) };
    trouble(Subject::Config, Duration::ZERO, facts)
}

/// Of what the agent itself lacks.
#[must_use]
pub fn of_place(place: &PlaceStatus) -> Trouble {
    let facts = Facts { next: Some(place.next), ..with_error(place.lack(), Some(&place.error)) };
    trouble(Subject::Agent(place.name.clone()), AGENT_PATIENCE, facts)
}

fn trouble(subject: Subject, patience: Duration, facts: Facts) -> Trouble {
    Trouble { subject, levels: vec![(patience, AlertLevel::Warn)], facts }
}

/// The error's hint stands behind its words.
fn with_error(message: String, error: Option<&ErrorInfo>) -> Facts {
    let Some(ErrorInfo { class, message: why, .. }) = error else {
        return Facts { message, ..Facts::default() };
    };
    let (why, hint) = match why.split_once("; hint: ") {
        Some((why, hint)) => (why, Some(hint.to_owned())),
        None => (why.as_str(), None),
    };
    Facts { message: format!("{message}: {why}"), hint, class: Some(*class), ..Facts::default() }
}
