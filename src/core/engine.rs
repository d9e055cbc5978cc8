//! The engine: all accounts, hosts and targets, and the way from an event to effects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Phase};
use super::breaker::{Sign, Turn};
use super::effect::{Effect, Ending, Issue, Note, Operation};
use super::event::{Event, FailureMeta};
use super::host::{Gate, Host, Place};
use super::named::Named;
use super::plan::{HookId, SetId, TargetId};
use super::schedule::renew_after;
use super::server::{Knocking, Servers};
use super::set::{Runs, Set};
use super::target::Target;
use super::timers::Timers;
use crate::domain::{AccountId, BootInstant, Deadline, Now, Timestamp};

/// A request that has not answered after this gives its place to the next.
const STALLS_AFTER: Duration = Duration::from_secs(2);
/// A stored token that claims to have been issued later than this from now shows that the clock was set back.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The state of everything that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub(super) seed: u64,
    pub(super) accounts: Named<AccountId, Account>,
    pub(super) hosts: Named<Arc<str>, Host>,
    pub(super) targets: Named<TargetId, Target>,
    /// Templates in the order of the configuration.
    pub(super) templates: Vec<TargetId>,
    /// The templates that are made from an account.
    pub(super) templates_of: BTreeMap<AccountId, Vec<TargetId>>,
    pub(super) servers: Servers,
    /// The servers from which secrets were lacking.
    pub(super) knocking: BTreeMap<Arc<str>, Knocking>,
    /// Only those that have hooks.
    pub(super) sets: BTreeMap<SetId, Set>,
    /// Hooks that run, also those of sets that have left: at most one run a hook.
    pub(super) runs: Runs,
    /// Requests that are out, also those of accounts that have left: at most one an account.
    pub(super) flights: Named<AccountId, Flight>,
    pub(super) timers: Timers<Key>,
    pub(super) next_epoch: u64,
    pub(super) stopping: bool,
    /// While a new configuration is being taken: hosts at which someone may leave afterwards.
    pub(super) held_back: Option<BTreeSet<Arc<str>>>,
    pub(super) effects: Vec<Effect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) epoch: u64,
    pub(super) host: Arc<str>,
    pub(super) operation: Operation,
    pub(super) stalled: bool,
    /// The provider has answered; the token that it gave is being tried.
    pub(super) verifying: bool,
    /// Meanwhile a living token is there, which one that may not work must not replace.
    pub(super) protected: bool,
    /// When the first request of the account's row of failures left, if this one fails, too.
    pub(super) failing_since: BootInstant,
    /// When it left.
    pub(super) left: Now,
    /// When the provider was asked before: a request that was never sent does not count for `min_interval`.
    pub(super) before: Option<Timestamp>,
    /// What comes of it was asked for with a key that had changed before this left.
    pub(super) outdated: bool,
}

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// The account's token ends.
    Expiry(AccountId),
    /// The account is to be asked for.
    Ask(AccountId),
    /// The account's request has been out for long.
    Stall(AccountId),
    /// The host may let the next one pass.
    Host(Arc<str>),
    /// The target is tried again.
    Target(TargetId),
    /// The target's write has been under way for long.
    Slow(TargetId),
    /// The target's second thought is over.
    Retire(TargetId),
    /// The target is compared with what we wrote.
    Compare(TargetId),
    /// The server that is away is tried again.
    Server(Arc<str>),
    /// An account that lacks secrets from the server looks whether it answers again.
    Knock(Arc<str>),
    /// The set's hooks are told.
    Notify(SetId),
    /// That hook of the set is tried again.
    Hook(SetId, HookId),
}

impl Engine {
    /// An engine without accounts; `seed` comes from the installation id.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            accounts: Named::default(),
            hosts: Named::default(),
            targets: Named::default(),
            templates: Vec::new(),
            templates_of: BTreeMap::new(),
            servers: Servers::new(),
            knocking: BTreeMap::new(),
            sets: BTreeMap::new(),
            runs: Runs::new(),
            flights: Named::default(),
            timers: Timers::default(),
            next_epoch: 1,
            stopping: false,
            held_back: None,
            effects: Vec::new(),
        }
    }

    /// Takes an event and all that has become due by `now`; gives what is to be done, in order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Tick => {}
            Event::Configured { plan, restored, touched, marks } => {
                self.configure(plan, restored, &touched, &marks, now);
            }
            Event::Issued { account, epoch, meta } => self.issued(&account, epoch, meta, now),
            Event::Candidate { account, epoch, asked } => self.candidate(&account, epoch, asked, now),
            Event::Untried { account, epoch } => self.untried(&account, epoch, Sign::None, now),
            Event::Failed { account, epoch, failure } => self.failed(&account, epoch, failure, now),
            Event::Delivered { target, revision, held, written, print } => {
                self.delivered(&target, revision, held, written, print, now);
            }
            Event::Undelivered { target, revision, message, server_away, class } => {
                self.undelivered(&target, revision, message, server_away.then_some(class), now);
            }
            Event::Knocked { server, answers } => self.knocked(&server, answers, now),
            Event::Notified { set, hook, revision, result } => {
                self.notified(&set, hook, revision, result, now);
            }
            Event::CredentialChanged { account, change } => self.credential_changed(&account, change, now),
            Event::Asked { account } => self.asked(&account, now),
            Event::Invalidated { account, generation } => self.invalidated(&account, generation, now),
            Event::CalendarFired { calendar, scheduled } => {
                let due: Vec<AccountId> = self
                    .accounts
                    .iter()
                    .filter(|(_, account)| account.plan.calendar.as_ref() == Some(&calendar))
                    .map(|(name, _)| name.clone())
                    .collect();
                due.iter().for_each(|account| self.calendar_fired(account, scheduled, now));
            }
            Event::TargetLost { target } => self.target_lost(&target, now),
            Event::Reprieve => self.reprieve(now),
            Event::Shutdown => self.shut_down(),
        }
        while let Some((key, since)) = self.timers.pop_due(now) {
            self.due(key, since, now);
        }
        std::mem::take(&mut self.effects)
    }

    /// How long nothing will be due; `None`: nothing ever will by itself.
    #[must_use]
    pub fn next_wake(&self, now: Now) -> Option<Duration> {
        self.timers.next(now)
    }

    /// Whether a request is out, a target is being written or a hook runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let writes = || self.targets.values().any(|target| target.in_flight);
        !self.flights.is_empty() || !self.runs.is_empty() || writes()
    }

    /// Requests run to their ends, as one may spend something; the try of a token spends nothing and can be made again.
    fn shut_down(&mut self) {
        self.stopping = true;
        let tried = self.flights.iter().filter(|(_, flight)| flight.verifying);
        let cut = tried.map(|(name, _)| Effect::EndVerify { account: name.clone(), ending: Ending::Keep });
        self.effects.extend(cut);
    }

    fn due(&mut self, key: Key, since: Deadline, now: Now) {
        match key {
            Key::Ask(account) => self.enqueue_since(&account, since, now),
            Key::Expiry(account) => self.expired(&account, now),
            Key::Stall(account) => {
                if let Some(flight) = self.flights.get_mut(&account).filter(|flight| !flight.stalled) {
                    flight.stalled = true;
                    let name = flight.host.clone();
                    let turn = self.hosts.get_mut(&name).map_or(Turn::Nothing, |host| host.stall(&account));
                    self.turn(&name, turn, now);
                    self.pump(&name, now);
                }
            }
            Key::Host(host) => self.pump(&host, now),
            Key::Target(target) => {
                self.drive(&target, now);
                self.publish_set_of(&target, now);
            }
            Key::Slow(target) => self.publish_set_of(&target, now), // others wait for it no longer
            Key::Retire(target) => self.retire(&target),
            Key::Compare(target) => self.compare(&target, now),
            Key::Server(server) => self.pump_server(&server, now),
            Key::Knock(server) => self.knock(&server),
            Key::Notify(set) => self.notify(&set, now),
            Key::Hook(set, hook) => self.run_hook(&set, hook, now),
        }
    }

    /// The account wants a request: into its host's queue, unless something forbids it yet.
    pub(super) fn enqueue(&mut self, name: &AccountId, now: Now) {
        self.enqueue_since(name, now.at_once(), now);
    }

    fn enqueue_since(&mut self, name: &AccountId, since: Deadline, now: Now) {
        if self.stopping {
            return;
        }
        let Some(account) = self.accounts.get_mut(name).filter(|account| account.phase == Phase::Idle) else {
            return;
        };
        if let Some(bound) = account.earliest(now) {
            self.timers.set(Key::Ask(name.clone()), bound);
            return;
        }
        self.timers.clear(&Key::Ask(name.clone()));
        // Without a token it queues as if its token ended now: after the long expired, before the living.
        let order = account.token.map_or(now.wall, |held| held.meta.expires_at);
        let place = Place { order, failing: account.attempt > 0 };
        account.phase = Phase::Queued(place);
        account.due = since;
        let host = account.plan.host.clone();
        if let Some(queue) = self.hosts.get_mut(&host) {
            queue.queue(name.clone(), place);
        }
        self.pump(&host, now);
    }

    /// Lets those pass that the host's limits allow.
    pub(super) fn pump(&mut self, name: &Arc<str>, now: Now) {
        if let Some(hosts) = &mut self.held_back {
            hosts.insert(name.clone());
            return;
        }
        self.timers.clear(&Key::Host(name.clone()));
        while !self.stopping {
            let Some(host) = self.hosts.get_mut(name) else { return };
            match host.gate(now) {
                Gate::Open(first) => self.start(&first, now),
                Gate::Until(deadline) => {
                    self.timers.set(Key::Host(name.clone()), deadline);
                    return;
                }
                Gate::Busy => return,
            }
        }
    }

    fn start(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let Some(operation) = account.operation(now) else {
            account.phase = Phase::Idle;
            account.finished += 1;
            let message =
                "no refresh token is left and this provider gives none for credentials; hint: configure \
                           a new first refresh token"
                    .to_owned();
            self.fail(name, FailureMeta::relogin(message), now.boot, now);
            return;
        };
        let intent = account.intent(now);
        let effect = Issue {
            account: name.clone(),
            epoch: account.epoch,
            operation,
            generation: account.generation.next(),
            timeout: account.timeout(operation, now),
            keep_longer: account.keeps_longer(now),
            late: account.due.passed(now),
            intent,
        };
        account.phase = Phase::Asking;
        let before = account.last_request;
        account.asked_at(now.wall, now);
        let (epoch, host) = (account.epoch, account.plan.host.clone());
        if let Some(host) = self.hosts.get_mut(&host) {
            host.start(name, now);
        }
        let failing_since = *account.failing_since.get_or_insert(now.boot);
        let flight = Flight {
            epoch,
            host,
            operation,
            stalled: false,
            verifying: false,
            protected: false,
            failing_since,
            left: now,
            before,
            outdated: false,
        };
        self.flights.insert(name.clone(), flight);
        self.timers.set(Key::Stall(name.clone()), now.after(STALLS_AFTER));
        self.effects.push(Effect::Issue(effect));
    }

    fn expired(&mut self, name: &AccountId, now: Now) {
        let token = self.accounts.get_mut(name).and_then(|account| account.token.as_mut());
        let Some(held) = token.filter(|held| held.expiry.reached(now)) else { return };
        held.ended = true;
        let at = held.meta.expires_at;
        self.say(Note::Expired { account: name.clone(), at });
        let tried = self.flights.get_mut(name).filter(|flight| flight.protected && !self.stopping);
        if let Some(flight) = tried {
            flight.protected = false;
            self.effects.push(Effect::EndVerify { account: name.clone(), ending: Ending::Use });
        }
        self.drive_targets(name, now);
        // A clock that was set ahead makes the token expire before its renewal was due.
        let soon = now.after(Duration::from_secs(1));
        let far = self.timers.at(&Key::Ask(name.clone())).is_none_or(|ask| !ask.reached(Now::from(soon)));
        let account = self.accounts.get(name);
        if far && account.is_some_and(|account| account.phase == Phase::Idle && account.error.is_none()) {
            self.enqueue(name, now);
        }
    }

    /// Sets the renewal of the current token; gives the instant.
    pub(super) fn schedule_renewal(&mut self, name: &AccountId, now: Now) -> Timestamp {
        let Some(account) = self.accounts.get(name) else { return now.wall };
        let Some(held) = account.token else { return now.wall };
        let (after, cut) = renew_after(self.seed, name, &account.plan, &held.meta);
        if cut {
            self.say(Note::LeadCut { account: name.clone(), lifetime: held.meta.lifetime() });
        }
        let set_back = held.meta.issued_at > now.wall.plus(CLOCK_TOLERANCE) && !held.known;
        let at = held.meta.issued_at.plus(after);
        let ask = if set_back { now.at_once() } else { held.before_end(held.meta.expires_at.since(at)) };
        self.ask_at(name, ask);
        self.timers.at(&Key::Ask(name.clone())).map_or(at, |deadline| deadline.wall)
    }

    /// Sets when the account is next asked for, not before anything forbids it.
    pub(super) fn ask_at(&mut self, name: &AccountId, deadline: Deadline) {
        let Some(account) = self.accounts.get(name) else { return };
        let bounds = [account.not_before, account.hold].into_iter().flatten();
        self.timers.set(Key::Ask(name.clone()), bounds.fold(deadline, Deadline::later));
    }

    pub(super) fn say(&mut self, note: Note) {
        self.effects.push(Effect::Say(note));
    }
}
