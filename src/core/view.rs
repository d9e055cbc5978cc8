//! What the outside may see of the engine.

use std::time::Duration;

use super::account::{Account, Phase};
use super::engine::{Engine, Key};
use super::held::HeldView;
use super::plan::{HookId, SetId, TargetId};
use super::schedule::lead;
use super::set::Hook;
use super::target::{Holds, Target};
use crate::config::model::Calendar;
use crate::domain::{AccountId, Deadline, ErrorClass, ErrorInfo, Generation, Now, Timestamp, TokenMeta};
use crate::domain::{AccountState, Awaited, HookState, Lack, SinkState, Waiting, WaitsFor};

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
    /// The provider has answered; the token that it gave is being tried.
    pub verifying: bool,
    /// A new token waits to be tried: as the agent stops, or since the one before did.
    pub untried: bool,
    /// Why the token is not known to work, where it was tried in vain and is delivered all the same.
    pub unverified: Option<&'a ErrorInfo>,
    pub attempt: u32,
    pub error: Option<&'a ErrorInfo>,
    /// The server whose absence keeps a secret of the account from us.
    pub lacks: Option<&'a str>,
    /// Finished requests since start.
    pub finished: u64,
    pub calendar: Option<&'a Calendar>,
    /// What is left of the token by both clocks; zero where it has ended or there is none.
    pub left: Duration,
    /// How long before its end this token is renewed; zero where there is none.
    pub lead: Duration,
    pub targets: Vec<TargetView<'a>>,
    /// In the configuration's order.
    pub hooks: Vec<HookView<'a>>,
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
    /// The server that is away, where it waits for that one.
    pub waits_for: Option<&'a str>,
    /// Since when it is being written, where that takes long.
    pub slow_since: Option<Timestamp>,
    /// When one that has failed is tried again; `None` while it is, and where it waits for a server.
    pub next: Option<Timestamp>,
    /// Nothing stands there, as the token has ended.
    pub removed: bool,
    /// The token that it was last known to hold, also after a failed write.
    pub held: Option<HeldView>,
}

/// One template, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the status document")]
pub struct TemplateView<'a> {
    pub id: &'a TargetId,
    pub state: SinkState,
    pub written_at: Option<Timestamp>,
    pub error: Option<&'a ErrorInfo>,
    /// The accounts that it is made from.
    pub members: &'a [AccountId],
    /// What it holds of each, in the same order.
    pub generations: Option<&'a [Generation]>,
    /// Since when it is being written, where that takes long.
    pub slow_since: Option<Timestamp>,
    /// When one that has failed is tried again; `None` while it is.
    pub next: Option<Timestamp>,
    /// The accounts that keep it from being written; none where it is written, has failed or is being written.
    pub waits_for: Vec<Awaited>,
    /// Of the tokens that it was last known to hold the one to care about.
    pub held: Option<HeldView>,
    /// In the configuration's order.
    pub hooks: Vec<HookView<'a>>,
}

/// One hook, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookView<'a> {
    /// Which it is.
    pub id: HookId,
    /// Where it stands.
    pub state: HookState,
    /// The last failure; `None` once it has succeeded.
    pub error: Option<&'a ErrorInfo>,
    /// When one that has failed is tried again; `None` while it runs.
    pub next: Option<Timestamp>,
    /// Since when it runs; `None` where it does not.
    pub running_since: Option<Timestamp>,
}

/// A server that cannot be delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView<'a> {
    /// `vault` or `kubernetes`.
    pub name: &'a str,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried next; `None` while it is, in the past where nothing waits for it.
    pub next: Option<Timestamp>,
    /// The last failure.
    pub error: &'a ErrorInfo,
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

    /// Every template in the order of the configuration.
    pub fn templates(&self, now: Now) -> impl Iterator<Item = TemplateView<'_>> {
        let known = self.templates.iter().filter_map(|id| self.targets.get_key_value(id));
        known.map(move |(id, target)| TemplateView {
            id,
            state: self.target_state(target, target.error.as_ref(), now),
            written_at: target.written_at,
            error: target.error.as_ref(),
            members: &target.members,
            generations: target.held(),
            slow_since: target.slow_since(now),
            next: self.retry_at(id, target, now),
            waits_for: self.waits_for(target, now),
            held: self.held_view(target, now),
            hooks: self.hooks_view(&SetId::Template(id.clone()), now),
        })
    }

    /// The servers that are away.
    pub fn servers(&self, now: Now) -> impl Iterator<Item = ServerView<'_>> {
        self.servers.iter().filter_map(move |(name, server)| {
            let away = server.away.as_ref()?;
            let next = away.probe.is_none().then(|| visible(away.until, now));
            Some(ServerView { name, since: away.since, next, error: &away.error })
        })
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
            verifying: self.flights.get(name).is_some_and(|flight| flight.verifying),
            untried: account.untried,
            unverified: account.unverified.as_ref(),
            attempt: account.attempt,
            error: account.error.as_ref(),
            lacks: account.lacks.as_deref(),
            finished: account.finished,
            calendar: account.plan.calendar.as_ref(),
            left: account.alive(now).map_or(Duration::ZERO, |(_, left)| left),
            lead: account
                .token
                .map_or(Duration::ZERO, |held| lead(self.seed, name, &account.plan, &held.meta).0),
            targets: targets.map(|(id, target)| self.target_view(id, target, now)).collect(),
            hooks: match account.plan.hooks.len() {
                0 => Vec::new(),
                _ => self.hooks_view(&SetId::Account(name.clone()), now),
            },
        }
    }

    fn hooks_view<'a>(&'a self, id: &SetId, now: Now) -> Vec<HookView<'a>> {
        let Some(set) = self.sets.get(id) else { return Vec::new() };
        let token = match id {
            SetId::Account(name) => self.accounts.get(name).and_then(|account| account.live_token(now)),
            SetId::Template(_) => None,
        };
        let published = set.due.0 != 0
            && token.is_none_or(|token| token.generation.0 <= set.due.0)
            && self.timers.at(&Key::Notify(id.clone())).is_none();
        let view = |hook: &'a Hook| {
            let next = self.timers.at(&Key::Hook(id.clone(), hook.id));
            let state = match hook.error {
                Some(_) => HookState::Failed,
                None if published && hook.told == Some(set.due) => HookState::Told,
                None => HookState::Untold,
            };
            HookView {
                id: hook.id,
                state,
                error: hook.error.as_ref(),
                next: next.map(|next| visible(next, now)),
                running_since: self.runs.get(&(id.clone(), hook.id)).map(|run| run.since),
            }
        };
        set.hooks.iter().map(view).collect()
    }

    /// Nobody, where it is written or on its way.
    fn waits_for(&self, target: &Target, now: Now) -> Vec<Awaited> {
        if target.error.is_some() || target.in_flight || self.is_current(target, now) {
            return Vec::new();
        }
        let known = |account: &AccountId| self.accounts.get(account);
        let lives = |account: &AccountId| known(account).is_some_and(|known| known.live_token(now).is_some());
        let alive = target.members.iter().any(lives);
        let lack = |account: &AccountId| match known(account)? {
            account if account.token.is_none() => Some(Lack::NoToken),
            account if account.live_token(now).is_some() => None,
            // While another's token lives, nobody waits for one whose renewal has failed.
            account => (!alive || !account.has_failed(now)).then_some(Lack::Ended),
        };
        let awaited = target
            .members
            .iter()
            .filter_map(|account| Some(Awaited { account: account.clone(), reason: lack(account)? }));
        match self.step(target, now) {
            Some(_) => Vec::new(),
            None => awaited.collect(),
        }
    }

    fn target_view<'a>(&'a self, id: &'a TargetId, target: &'a Target, now: Now) -> TargetView<'a> {
        let server = target.plan.server.as_ref();
        let away = server.and_then(|name| Some((&**name, self.servers.get(name)?.away.as_ref()?)));
        let error = target.error.as_ref();
        let waits = away.filter(|_| error.is_none() && !self.is_current(target, now));
        let error = error.or(waits.map(|(_, away)| &away.error));
        let held = self.held_view(target, now);
        let generation = target.held().and_then(|held| held.first().copied());
        let generation = generation.or(held.map(|held| held.token.generation));
        let (state, written_at) = (self.target_state(target, error, now), target.written_at);
        let waits_for = waits.map(|(name, _)| name);
        let (slow_since, next) = (target.slow_since(now), self.retry_at(id, target, now));
        let removed = error.is_none() && self.is_removed(target, now);
        TargetView { id, state, generation, written_at, error, waits_for, slow_since, next, removed, held }
    }

    /// Whether the target is being written, be it for the first time or again after a failure.
    #[must_use]
    pub fn is_writing(&self, id: &TargetId) -> bool {
        self.targets.get(id).is_some_and(|target| target.in_flight)
    }

    /// When a target that has failed by itself is tried again.
    fn retry_at(&self, id: &TargetId, target: &Target, now: Now) -> Option<Timestamp> {
        target.error.as_ref().filter(|_| !target.in_flight)?;
        self.timers.at(&Key::Target(id.clone())).map(|next| visible(next, now))
    }

    fn target_state(&self, target: &Target, error: Option<&ErrorInfo>, now: Now) -> SinkState {
        match error {
            Some(_) => SinkState::Failed,
            None if self.is_current(target, now) => SinkState::Written,
            None => SinkState::Unwritten,
        }
    }

    /// Whether nothing stands there because the token has ended.
    fn is_removed(&self, target: &Target, now: Now) -> bool {
        let ended = |name: &AccountId| {
            self.accounts
                .get(name)
                .is_some_and(|account| account.token.is_some() && account.live_token(now).is_none())
        };
        target.plan.remove_expired && target.holds == Holds::Nothing && target.members.iter().all(ended)
    }

    /// Whether it holds the living token of each member; of an ended one nothing better is there to be held.
    fn is_current(&self, target: &Target, now: Now) -> bool {
        let Some(held) = target.held() else { return false };
        let mut members = target.members.iter().zip(held);
        members.all(|(member, held)| {
            let token = self.accounts.get(member).and_then(|account| account.token);
            token.is_none_or(|token| !token.lives(now) || *held == token.meta.generation)
        })
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
            Phase::Idle => {
                let ask = self.timers.at(&Key::Ask(name.clone()))?;
                let host = self.hosts.get(&account.plan.host);
                let down = || host.is_some_and(|host| host.is_down() && account.waits_for_return(host));
                let (what, host) = match account.earliest(now) {
                    // A bound that is not what it waits for keeps nobody.
                    Some(bound) if bound == ask => match account.hold {
                        Some(hold) if hold.later(bound) == hold => (WaitsFor::Vendor, None),
                        _ => (WaitsFor::MinInterval, None),
                    },
                    _ if account.attempt == 0 || ask.reached(now) => return None,
                    _ if down() => (WaitsFor::Host, Some(account.plan.host.to_string())),
                    _ => (WaitsFor::Backoff, None),
                };
                Some(Waiting { what, until: Some(said(ask)), host })
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
