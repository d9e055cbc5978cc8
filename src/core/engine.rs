//! The engine: all accounts, hosts and targets, and the way from an event to effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Admission, Held, Phase};
use super::effect::{Effect, Issue, Note, Operation};
use super::event::{CredentialChange, Event, FailureMeta, IssuedMeta};
use super::host::{Gate, Host, Place, Sign, Turn};
use super::plan::{TargetId, unit};
use super::retry::{self, Situation};
use super::schedule::{renew_after, reuse_lead};
use super::target::Target;
use super::timers::Timers;
use crate::domain::{AccountId, BootInstant, Deadline, ErrorClass, ErrorInfo, Generation, Now, Timestamp};

/// A request that has not answered after this gives its place to the next.
const STALLS_AFTER: Duration = Duration::from_secs(2);
/// After a reply with the token that we have: not sooner than this, or a quarter of what is left.
const SAME_TOKEN_PAUSE: Duration = Duration::from_secs(60);
/// A same token is asked for again this long after its end at the latest.
const AFTER_THE_END: Duration = Duration::from_millis(200);
/// However little is left, the provider is not asked again sooner.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// A stored token that claims to have been issued later than this from now shows that the clock was set back.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The state of everything that is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub(super) seed: u64,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) hosts: BTreeMap<Arc<str>, Host>,
    pub(super) targets: BTreeMap<TargetId, Target>,
    /// Requests that are out, also those of accounts that have left: at most one an account.
    pub(super) flights: BTreeMap<AccountId, Flight>,
    pub(super) timers: Timers<Key>,
    pub(super) next_epoch: u64,
    pub(super) stopping: bool,
    pub(super) effects: Vec<Effect>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) epoch: u64,
    pub(super) host: Arc<str>,
    pub(super) operation: Operation,
    pub(super) stalled: bool,
    /// When the first request of the account's row of failures left, if this one fails, too.
    pub(super) failing_since: BootInstant,
    /// When it left.
    pub(super) left: Now,
    /// When the provider was asked before: a request that was never sent does not count for `min_interval`.
    pub(super) before: Option<Timestamp>,
}

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The target's second thought is over.
    Retire(TargetId),
}

impl Engine {
    /// An engine without accounts; `seed` comes from the installation id.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            accounts: BTreeMap::new(),
            hosts: BTreeMap::new(),
            targets: BTreeMap::new(),
            flights: BTreeMap::new(),
            timers: Timers::default(),
            next_epoch: 1,
            stopping: false,
            effects: Vec::new(),
        }
    }

    /// Takes an event and all that has become due by `now`; gives what is to be done, in order.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        match event {
            Event::Tick => {}
            Event::Configured { plan, restored, touched } => self.configure(plan, restored, &touched, now),
            Event::Issued { account, epoch, meta } => self.issued(&account, epoch, meta, now),
            Event::Failed { account, epoch, failure } => self.failed(&account, epoch, failure, now),
            Event::Delivered { target, revision, held, written } => {
                self.delivered(&target, revision, held, written, now);
            }
            Event::Undelivered { target, revision, message } => {
                self.undelivered(&target, revision, message, now)
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
            Event::Shutdown => self.stopping = true,
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

    /// Whether a request is out or a target is being written.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.flights.is_empty() || self.targets.values().any(|target| target.in_flight)
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
            Key::Target(target) => self.drive(&target, now),
            Key::Retire(target) => self.retire(&target),
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
            self.fail(name, FailureMeta::relogin(message), now);
            return;
        };
        let intent = account.intent(now);
        let effect = Issue {
            account: name.clone(),
            epoch: account.epoch,
            operation,
            generation: account.generation.next(),
            timeout: account.timeout(operation, now),
            keep_longer: account.keeps_longer(),
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
        let flight = Flight { epoch, host, operation, stalled: false, failing_since, left: now, before };
        self.flights.insert(name.clone(), flight);
        self.timers.set(Key::Stall(name.clone()), now.after(STALLS_AFTER));
        self.effects.push(Effect::Issue(effect));
    }

    /// Ends the flight of that epoch; `None` where the result is nobody's any more.
    fn land(&mut self, name: &AccountId, epoch: u64, sign: Sign, now: Now) -> Option<Flight> {
        if self.flights.get(name).is_none_or(|flight| flight.epoch != epoch) {
            return None;
        }
        let flight = self.flights.remove(name)?;
        self.timers.clear(&Key::Stall(name.clone()));
        let host = self.hosts.get_mut(&flight.host);
        let turn = host
            .map_or(Turn::Nothing, |host| host.finish(name, flight.stalled, sign, flight.failing_since, now));
        let account = self.accounts.get_mut(name);
        let current = account.is_some_and(|account| {
            account.phase = Phase::Idle;
            let current = account.epoch == epoch;
            account.finished += u64::from(current);
            account.again &= current;
            current
        });
        self.turn(&flight.host, turn, now);
        if !current {
            // The account has left, or is another one by now. That one has waited for its predecessor's request, and
            // goes on where its own deadline has passed meanwhile.
            if self.timers.at(&Key::Ask(name.clone())).is_none() {
                self.enqueue(name, now);
            }
            self.pump(&flight.host, now);
        }
        current.then_some(flight)
    }

    fn turn(&mut self, host: &Arc<str>, turn: Turn, now: Now) {
        match turn {
            Turn::Opens { round } => self.host_down(host, round, now),
            Turn::Closes => self.host_back(host, now),
            Turn::Nothing => {}
        }
    }

    fn issued(&mut self, name: &AccountId, epoch: u64, meta: IssuedMeta, now: Now) {
        let Some(flight) = self.land(name, epoch, Sign::Answered, now) else { return };
        let Some(account) = self.accounts.get_mut(name) else { return };
        let healed = account.error.take().is_some();
        account.again = false;
        (account.attempt, account.rejected) = (0, 0);
        (account.hold, account.next_try) = (None, None);
        account.failing_since = None;
        account.refresh = meta.refresh;
        let held = match (meta.admission, account.token) {
            (Admission::Same | Admission::Shorter, Some(held)) if held.meta == meta.token => held,
            (Admission::Promoted, _) => Held::issued(meta.token, flight.left, now),
            _ => Held::restored(meta.token, now),
        };
        account.token = Some(held);
        if let Some(last) = account.last_request {
            account.asked_at(last.min(now.wall), now); // the life tells whether a documented interval can be true
        }
        account.generation = account.generation.max(meta.token.generation);
        self.timers.set(Key::Expiry(name.clone()), held.expiry);
        if meta.admission == Admission::Promoted {
            let renew_at = self.schedule_renewal(name, now);
            self.say(Note::Renewed {
                account: name.clone(),
                generation: meta.token.generation,
                expires_at: meta.token.expires_at,
                renew_at,
                healed,
            });
        } else {
            let left = held.expiry.left(now);
            let window = reuse_lead(self.seed, name, &account.plan, &held.meta);
            let until_window = window.map(|window| left.saturating_sub(window));
            let pause = SAME_TOKEN_PAUSE.max(left / 4).min((left + AFTER_THE_END).max(SHORTEST_PAUSE));
            let pause = until_window.filter(|wait| *wait > SHORTEST_PAUSE).unwrap_or(pause);
            let next = now.wall.plus(pause);
            account.next_try = Some(next);
            let schedule = account.schedule();
            self.ask_at(name, now.after(pause));
            self.effects.push(Effect::Remember { account: name.clone(), schedule });
            self.say(Note::Unchanged { account: name.clone(), expires_at: meta.token.expires_at, next });
        }
        self.drive_targets(name, now);
        self.pump(&flight.host, now);
    }

    fn failed(&mut self, name: &AccountId, epoch: u64, failure: FailureMeta, now: Now) {
        let sign = match failure.class {
            ErrorClass::Config => Sign::None,
            _ if failure.host_fault => Sign::Fault,
            _ => Sign::Answered,
        };
        let Some(flight) = self.land(name, epoch, sign, now) else { return };
        if let Some(account) = self.accounts.get_mut(name) {
            account.refresh = failure.refresh;
            if failure.class == ErrorClass::Config {
                account.forget_request(flight.before, now);
                account.failing_since = account.failing_since.filter(|_| account.attempt > 0);
            }
            let can_issue = account.plan.can_issue;
            let failure = match (failure.class, flight.operation) {
                // There is nothing to log in again with but these very credentials: try again.
                (ErrorClass::Relogin, Operation::Issue) => {
                    FailureMeta { class: ErrorClass::Transient, ..failure }
                }
                _ => failure,
            };
            if failure.class == ErrorClass::Relogin && flight.operation == Operation::Refresh && can_issue {
                // Falling back to a login is part of the same attempt.
                account.refresh = None;
                account.not_before = None;
                self.say(Note::Relogin { account: name.clone(), message: failure.message });
                self.enqueue(name, now);
            } else {
                self.fail(name, failure, now);
            }
        }
        self.pump(&flight.host, now);
    }

    fn fail(&mut self, name: &AccountId, failure: FailureMeta, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let FailureMeta { class, message, wait, host_pause, .. } = failure;
        account.attempt = account.attempt.saturating_add(1);
        let refused = matches!(class, ErrorClass::Rejected | ErrorClass::Relogin);
        // Nothing but new credentials, a command or success forgets a refusal: a 503 in between does not.
        account.rejected = account.rejected.saturating_add(u32::from(refused));
        let situation = Situation {
            class,
            attempt: account.attempt,
            rejected: account.rejected,
            alive: account.alive(now),
            hint: wait,
        };
        let pause = retry::delay(self.seed, name, situation).max(account.wary_pause(now));
        let asked_for = wait.is_some() || class == ErrorClass::Throttled;
        account.hold = asked_for.then(|| now.after(pause));
        let news = account.error.as_ref().is_none_or(|error| error.class != class);
        account.error = Some(ErrorInfo { class, message: message.clone(), at: now.wall });
        let (host, attempt) = (account.plan.host.clone(), account.attempt);
        let again = std::mem::take(&mut account.again);
        if again {
            account.rejected = 0;
        }
        self.ask_at(name, now.after(pause));
        let next = self.timers.at(&Key::Ask(name.clone())).map_or(now.wall, |deadline| deadline.wall);
        if let Some(account) = self.accounts.get_mut(name) {
            account.next_try = Some(next);
            let schedule = account.schedule();
            self.effects.push(Effect::Remember { account: name.clone(), schedule });
        }
        self.say(Note::Failing { account: name.clone(), class, message, next, attempt, news });
        if again {
            self.enqueue(name, now);
        }
        if host_pause {
            let until = now.after(pause);
            if let Some(host) = self.hosts.get_mut(&host) {
                host.paused = Some(host.paused.map_or(until, |paused| paused.later(until)));
            }
            self.say(Note::HostPaused { host, until: until.wall });
        }
    }

    fn host_down(&mut self, name: &Arc<str>, round: u32, now: Now) {
        let nearest = self.accounts.values().filter(|account| account.plan.host == *name);
        let nearest = nearest.filter_map(|account| account.alive(now)).min_by_key(|(_, left)| *left);
        let draw = unit(self.seed, name, "breaker", u64::from(round));
        if let Some(host) = self.hosts.get_mut(name) {
            let until = host.open(round, nearest, draw, now);
            self.timers.set(Key::Host(name.clone()), until);
            self.say(Note::HostDown { host: name.clone(), until: until.wall, news: round == 0 });
        }
    }

    /// The accounts that failed by the host's fault are due; one that fails by itself keeps its own pace.
    fn host_back(&mut self, name: &Arc<str>, now: Now) {
        self.say(Note::HostBack { host: name.clone() });
        let Some(host) = self.hosts.get(name) else { return };
        let waits = |account: &Account| {
            let error = account.error.as_ref().map(|error| error.class);
            let alone = account.failing_since.is_some_and(|since| host.fails_alone(since));
            account.plan.host == *name
                && account.phase == Phase::Idle
                && error == Some(ErrorClass::Transient)
                && !alone
        };
        let waiting: Vec<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, account)| waits(account))
            .map(|(name, _)| name.clone())
            .collect();
        for account in waiting {
            self.enqueue(&account, now);
        }
    }

    fn expired(&mut self, name: &AccountId, now: Now) {
        let token = self.accounts.get_mut(name).and_then(|account| account.token.as_mut());
        let Some(held) = token.filter(|held| held.expiry.reached(now)) else { return };
        held.ended = true;
        let at = held.meta.expires_at;
        self.say(Note::Expired { account: name.clone(), at });
        self.drive_targets(name, now);
        // A clock that was set ahead makes the token expire before its renewal was due.
        let soon = now.after(Duration::from_secs(1));
        let far = self.timers.at(&Key::Ask(name.clone())).is_none_or(|ask| !ask.reached(Now::from(soon)));
        let account = self.accounts.get(name);
        if far && account.is_some_and(|account| account.phase == Phase::Idle && account.error.is_none()) {
            self.enqueue(name, now);
        }
    }

    fn asked(&mut self, name: &AccountId, now: Now) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.rejected = 0;
            self.enqueue(name, now);
        }
    }

    /// A reader's 401 is a reason to ask once a generation. Where asking fails, or brings the same token again, further
    /// complaints change nothing: the next try is set.
    fn invalidated(&mut self, name: &AccountId, generation: Generation, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let current = account.token.is_some_and(|held| held.meta.generation == generation);
        if current && account.invalidated < generation {
            account.invalidated = generation;
            if account.attempt == 0 {
                self.enqueue(name, now);
            }
        }
    }

    fn calendar_fired(&mut self, name: &AccountId, scheduled: Timestamp, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        // What seems to have been in the future was before the clock was set back, and means nothing.
        let known = |at: &Timestamp| *at <= now.wall.plus(CLOCK_TOLERANCE);
        let issued_at = account.token.map(|held| held.meta.issued_at).filter(known);
        let last = account.last_calendar.filter(known);
        if issued_at.is_some_and(|at| at >= scheduled) || last.is_some_and(|at| at >= scheduled) {
            return;
        }
        account.last_calendar = Some(scheduled);
        if account.earliest(now).is_none() && account.error.is_none() {
            self.enqueue(name, now);
        }
    }

    fn credential_changed(&mut self, name: &AccountId, change: CredentialChange, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        match change {
            CredentialChange::Missing(message) => self.miss(name, message, now),
            CredentialChange::Secret => self.forgive(name, now),
            CredentialChange::Seed => {
                account.refresh = Some(super::RefreshMeta { expires_at: None });
                self.effects.push(Effect::DropRefresh { account: name.clone() });
                self.forgive(name, now);
            }
            CredentialChange::Identity(identity) => {
                if account.plan.identity.is_none() {
                    // It was missing, not another one: whether the stored token is ours was decided by the store.
                    account.plan.identity = Some(identity);
                    self.forgive(name, now);
                } else if account.plan.identity != Some(identity) {
                    account.plan.identity = Some(identity);
                    self.renounce(name, now);
                }
            }
        }
    }

    /// A source is missing. Nothing is asked sooner or later for it: the token that is there lives on.
    fn miss(&mut self, name: &AccountId, message: String, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if account.error.is_some() || account.phase == Phase::Asking {
            return; // the request in flight, or the next one, will say it
        }
        account.error = Some(ErrorInfo { class: ErrorClass::Config, message: message.clone(), at: now.wall });
        let attempt = account.attempt;
        let next = self.timers.at(&Key::Ask(name.clone())).map_or(now.wall, |deadline| deadline.wall);
        let class = ErrorClass::Config;
        self.say(Note::Failing { account: name.clone(), class, message, next, attempt, news: true });
    }

    fn reprieve(&mut self, now: Now) {
        let failing: Vec<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.error.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for account in failing {
            self.forgive(&account, now);
        }
    }

    /// What made the account fail may be mended: try at once.
    pub(super) fn forgive(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        match account.phase {
            Phase::Asking => account.again = true, // it may fail with the old credentials yet
            _ if account.error.is_none() => {}
            _ if account.attempt == 0 && account.live_token(now).is_some() => account.error = None, // only missed
            _ => {
                account.rejected = 0;
                self.enqueue(name, now);
            }
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

impl FailureMeta {
    /// A source on our side is missing; the provider was not asked.
    #[must_use]
    pub fn config(message: String) -> Self {
        Self::new(ErrorClass::Config, message)
    }

    /// Nothing to log in with.
    #[must_use]
    pub fn relogin(message: String) -> Self {
        Self::new(ErrorClass::Relogin, message)
    }

    /// A failure of that class that says nothing about the host.
    #[must_use]
    pub fn new(class: ErrorClass, message: String) -> Self {
        Self { class, message, wait: None, host_fault: false, host_pause: false, refresh: None }
    }
}
