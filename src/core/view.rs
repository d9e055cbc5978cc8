//! What the outside may see of the engine.

use std::time::Duration;

use super::account::{Account, Phase};
use super::engine::{Engine, Key};
use super::plan::TargetId;
use super::schedule::lead;
use super::target::{Holds, Target};
use crate::config::model::Calendar;
use crate::domain::{AccountId, Deadline, ErrorClass, ErrorInfo, Generation, Now, Timestamp, TokenMeta};
use crate::domain::{AccountState, SinkState, Waiting, WaitsFor};

/// One account, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the status document")]
pub struct AccountView<'a> {
    pub name: &'a AccountId,
    pub provider: &'a str,
    pub state: AccountState,
    /// The highest ever.
    pub generation: Generation,
    pub token: Option<TokenMeta>,
    /// Whether the token lives by both clocks.
    pub alive: bool,
    /// When the provider will next be asked; `None` while it is being asked.
    pub renew_at: Option<Timestamp>,
    /// `min_interval` or a vendor's wait forbids asking before.
    pub held_until: Option<Timestamp>,
    /// What keeps it from being asked for although it is due.
    pub waiting: Option<Waiting>,
    pub asking: bool,
    pub attempt: u32,
    pub error: Option<&'a ErrorInfo>,
    /// Finished requests since start.
    pub finished: u64,
    pub calendar: Option<&'a Calendar>,
    /// What is left of the token by both clocks; zero where it has ended or there is none.
    pub left: Duration,
    /// How long before its end this token is renewed; zero where there is none.
    pub lead: Duration,
    pub targets: Vec<TargetView<'a>>,
}

/// One target, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the status document")]
pub struct TargetView<'a> {
    pub id: &'a TargetId,
    pub state: SinkState,
    pub generation: Option<Generation>,
    pub written_at: Option<Timestamp>,
    pub error: Option<&'a ErrorInfo>,
}

impl Engine {
    /// Every account in order of name.
    pub fn views(&self, now: Now) -> impl Iterator<Item = AccountView<'_>> {
        self.accounts.iter().map(move |(name, account)| self.view_of(name, account, now))
    }

    /// One account.
    #[must_use]
    pub fn view(&self, name: &str, now: Now) -> Option<AccountView<'_>> {
        self.accounts.get_key_value(name).map(|(name, account)| self.view_of(name, account, now))
    }

    /// The names of the accounts.
    pub fn names(&self) -> impl Iterator<Item = &AccountId> {
        self.accounts.keys()
    }

    fn view_of<'a>(&'a self, name: &'a AccountId, account: &'a Account, now: Now) -> AccountView<'a> {
        let targets = account.plan.targets.iter().filter_map(|plan| self.targets.get_key_value(&plan.id));
        AccountView {
            name,
            provider: &account.plan.provider,
            state: state(account, now),
            generation: account.generation,
            token: account.token.map(|held| held.meta),
            alive: account.live_token(now).is_some(),
            renew_at: self.renew_at(name, account, now),
            held_until: account.earliest(now).map(|bound| visible(bound, now)),
            waiting: self.waiting(name, account, now),
            asking: account.phase == Phase::Asking,
            attempt: account.attempt,
            error: account.error.as_ref(),
            finished: account.finished,
            calendar: account.plan.calendar.as_ref(),
            left: account.alive(now).map_or(Duration::ZERO, |(_, left)| left),
            lead: account
                .token
                .map_or(Duration::ZERO, |held| lead(self.seed, name, &account.plan, &held.meta).0),
            targets: targets.map(|(id, target)| target_view(id, target, account, now)).collect(),
        }
    }

    fn renew_at(&self, name: &AccountId, account: &Account, now: Now) -> Option<Timestamp> {
        match account.phase {
            Phase::Asking => None,
            Phase::Idle => self.timers.at(&Key::Ask(name.clone())).map(|deadline| visible(deadline, now)),
            Phase::Queued(place) => {
                let waits = self.hosts.get(&account.plan.host).and_then(|host| host.waits_for(place, now).1);
                Some(waits.map_or(now.wall, |until| visible(until, now)))
            }
        }
    }

    fn waiting(&self, name: &AccountId, account: &Account, now: Now) -> Option<Waiting> {
        let said = |until: Deadline| visible(until, now);
        match account.phase {
            Phase::Asking => None,
            Phase::Queued(place) => {
                let (what, until) = self.hosts.get(&account.plan.host)?.waits_for(place, now);
                Some(Waiting { what, until: until.map(said), host: Some(account.plan.host.to_string()) })
            }
            // A bound that is not what it waits for keeps nobody.
            Phase::Idle => {
                let bound = account.earliest(now)?;
                let ask = self.timers.at(&Key::Ask(name.clone()))?;
                let asked_by_vendor = account.hold.is_some_and(|hold| hold.later(bound) == hold);
                let what = if asked_by_vendor { WaitsFor::Vendor } else { WaitsFor::MinInterval };
                (ask == bound).then(|| Waiting { what, until: Some(said(bound)), host: None })
            }
        }
    }
}

/// The instant by the wall clock as it stands, at which the deadline is reached by either clock.
fn visible(deadline: Deadline, now: Now) -> Timestamp {
    deadline.wall.min(now.wall.plus(deadline.left(now)))
}

fn state(account: &Account, now: Now) -> AccountState {
    let class = account.error.as_ref().map(|error| error.class);
    match (class, account.token.is_some(), account.live_token(now).is_some()) {
        (Some(ErrorClass::Rejected | ErrorClass::Relogin), _, _) => AccountState::Rejected,
        (_, false, _) => AccountState::Pending,
        (_, true, false) => AccountState::Expired,
        (Some(_), true, true) => AccountState::Retrying,
        (None, true, true) => AccountState::Fresh,
    }
}

fn target_view<'a>(id: &'a TargetId, target: &'a Target, account: &Account, now: Now) -> TargetView<'a> {
    let generation = match target.holds {
        Holds::Generation(generation) => Some(generation),
        Holds::Unknown | Holds::Nothing => None,
    };
    let current = account.token.map(|held| held.meta.generation);
    let expired = account.live_token(now).is_none();
    let state = match generation {
        _ if target.error.is_some() => SinkState::Failed,
        Some(held) if expired || Some(held) == current => SinkState::Written,
        _ => SinkState::Unwritten,
    };
    TargetView { id, state, generation, written_at: target.written_at, error: target.error.as_ref() }
}
