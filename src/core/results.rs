//! What the end of a request does to its account and its host.

use std::sync::Arc;
use std::time::Duration;

use super::account::{Account, Admission, Held, Phase};
use super::breaker::{Sign, Turn, patience};
use super::effect::{Effect, Note, Operation};
use super::engine::{Engine, Flight, Key};
use super::event::{FailureMeta, IssuedMeta};
use super::host::Host;
use super::plan::unit;
use super::retry::{self, Situation};
use super::schedule::reuse_lead;
use crate::domain::{AccountId, BootInstant, ErrorClass, ErrorInfo, Now};

/// After a reply with the token that we have: not sooner than this, or a quarter of what is left.
const SAME_TOKEN_PAUSE: Duration = Duration::from_secs(60);
/// A same token is asked for again this long after its end at the latest.
const AFTER_THE_END: Duration = Duration::from_millis(200);
/// However little is left, the provider is not asked again sooner.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

impl Engine {
    /// Ends the flight of that epoch; `None` where the result is nobody's any more.
    fn land(&mut self, name: &AccountId, epoch: u64, sign: Sign, now: Now) -> Option<Flight> {
        if self.flights.get(name).is_none_or(|flight| flight.epoch != epoch) {
            return None;
        }
        let flight = self.flights.remove(name)?;
        self.timers.clear(&Key::Stall(name.clone()));
        if !flight.verifying {
            // Before the account is idle: it is not one of those that the host's return makes due.
            self.leave_host(name, &flight, sign, now);
        }
        let account = self.accounts.get_mut(name);
        let current = account.is_some_and(|account| {
            account.phase = Phase::Idle;
            let current = account.epoch == epoch;
            account.finished += u64::from(current);
            account.again &= current;
            current
        });
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

    fn leave_host(&mut self, name: &AccountId, flight: &Flight, sign: Sign, now: Now) {
        let host = self.hosts.get_mut(&flight.host);
        let turn = host
            .map_or(Turn::Nothing, |host| host.finish(name, flight.stalled, sign, flight.failing_since, now));
        self.turn(&flight.host, turn, now);
    }

    /// The provider has done its part: while the token is tried, another one has the place at its host.
    pub(super) fn candidate(&mut self, name: &AccountId, epoch: u64, asked: bool, now: Now) {
        let sign = if asked { Sign::Answered } else { Sign::None };
        let Some(account) = self.accounts.get_mut(name).filter(|account| account.epoch == epoch) else {
            self.land(name, epoch, sign, now); // the token is nobody's any more
            return;
        };
        if self.stopping {
            return self.untried(name, epoch, sign, now);
        }
        let Some(flight) =
            self.flights.get_mut(name).filter(|flight| flight.epoch == epoch && !flight.verifying)
        else {
            return;
        };
        let protected = account.live_token(now).is_some();
        (flight.verifying, flight.protected) = (true, protected);
        account.untried = false;
        if !asked {
            account.forget_request(flight.before, now);
            flight.outdated = account.is_foreign();
        }
        let (flight, generation) = (flight.clone(), account.generation.next());
        self.timers.clear(&Key::Stall(name.clone()));
        self.leave_host(name, &flight, sign, now);
        self.effects.push(Effect::Verify { account: name.clone(), epoch, generation, protected });
        self.pump(&flight.host, now);
    }

    /// The agent stops before the new token could be tried: the next start finds it in the store.
    pub(super) fn untried(&mut self, name: &AccountId, epoch: u64, sign: Sign, now: Now) {
        if self.land(name, epoch, sign, now).is_some()
            && let Some(account) = self.accounts.get_mut(name)
        {
            account.untried = true;
        }
    }

    pub(super) fn turn(&mut self, host: &Arc<str>, turn: Turn, now: Now) {
        match turn {
            Turn::Opens { round } => self.host_down(host, round, round == 0, now),
            Turn::Yields { round } => self.host_down(host, round, false, now),
            Turn::Answers => self.wake(host, Account::failed_in_an_earlier_life, now),
            Turn::Closes => {
                self.say(Note::HostBack { host: host.clone() });
                self.wake(host, |_| true, now);
            }
            Turn::Nothing => {}
        }
    }

    pub(super) fn issued(&mut self, name: &AccountId, epoch: u64, meta: IssuedMeta, now: Now) {
        let Some(flight) = self.land(name, epoch, Sign::Answered, now) else { return };
        if let Some(host) = self.hosts.get_mut(&flight.host) {
            host.served();
        }
        let Some(account) = self.accounts.get_mut(name) else { return };
        let healed = account.error.take().is_some();
        let mended = std::mem::take(&mut account.again);
        account.untried = false;
        (account.attempt, account.rejected) = (0, 0);
        (account.hold, account.next_try) = (None, None);
        (account.failing_since, account.lacks) = (None, None);
        if meta.admission == Admission::Promoted {
            account.unverified = meta.unverified.filter(|_| account.plan.verify);
        }
        (account.refresh, account.owner) = (meta.refresh, meta.owner);
        // The reply to a request that left with the key before is not the last word. One that left since was made with what
        // stands there, even where the last look at it is older: the next look will say so.
        let owes_login = account.is_foreign() && (mended || flight.outdated);
        let held = match (meta.admission, account.token) {
            (Admission::Same | Admission::Shorter, Some(held)) if held.meta == meta.token => held,
            (Admission::Promoted, _) => Held::issued(meta.token, flight.left, now),
            _ => Held::restored(meta.token, None, now),
        };
        if let Some(before) = account.token.filter(|before| before.meta.generation != held.meta.generation) {
            account.before = Some(before);
        }
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
        if owes_login {
            self.enqueue(name, now);
        }
        if meta.admission == Admission::Promoted {
            // Another token is another write. What a server refuses keeps that server's pace.
            self.hurry_targets(name, |target| target.plan.server.is_none());
        }
        self.drive_targets(name, now);
        self.pump(&flight.host, now);
    }

    pub(super) fn failed(&mut self, name: &AccountId, epoch: u64, failure: FailureMeta, now: Now) {
        let sign = match failure.class {
            ErrorClass::Config => Sign::None,
            _ if failure.host_fault => Sign::Fault,
            _ => Sign::Answered,
        };
        let Some(flight) = self.land(name, epoch, sign, now) else { return };
        if let Some(account) = self.accounts.get_mut(name) {
            if self.stopping && failure.class == ErrorClass::Config && !flight.verifying {
                // Given up before it was sent: the next start owes no pause for it.
                account.forget_request(flight.before, now);
                let schedule = account.schedule();
                return self.effects.push(Effect::Remember { account: name.clone(), schedule });
            }
            account.refresh = failure.refresh;
            account.lacks = failure.lacks.clone();
            if failure.class == ErrorClass::Config && !flight.verifying {
                account.forget_request(flight.before, now);
                // It begins no row either: the host has not been asked.
                account.failing_since = account.failing_since.filter(|since| *since != flight.left.boot);
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
                let lacks = failure.lacks.clone();
                self.fail(name, failure, flight.left.boot, now);
                lacks.iter().for_each(|server| self.knock_later(server, now));
            }
        }
        self.pump(&flight.host, now);
    }

    /// The account's try, whose request left at `left`, has failed.
    pub(super) fn fail(&mut self, name: &AccountId, failure: FailureMeta, left: BootInstant, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        let FailureMeta { class, message, wait, host_fault, host_pause, .. } = failure;
        account.attempt = account.attempt.saturating_add(1);
        account.untried = false;
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
        let news = account.error.as_ref().is_none_or(|error| error.class != class);
        account.error = Some(ErrorInfo { class, message: message.clone(), at: now.wall });
        let own = retry::delay(self.seed, name, situation);
        let by_host = host_fault && class == ErrorClass::Transient && wait.is_none();
        let pause = if by_host { self.pause_at_host(name, own, left, now).unwrap_or(own) } else { own };
        let Some(account) = self.accounts.get_mut(name) else { return };
        let pause = pause.max(account.wary_pause(now));
        let asked_for = wait.is_some() || class == ErrorClass::Throttled;
        account.hold = asked_for.then(|| now.after(pause));
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
        self.drive_templates(name, now); // they wait no longer for this renewal where its token has ended
        if host_pause {
            let until = self.hosts.get_mut(&host).map(|host| host.throttle(wait, pause, now));
            self.say(Note::HostPaused { host, until: until.unwrap_or(now.after(pause)).wall });
        }
    }

    /// What the state of its host makes of the pause of an account whose request failed by that host's fault
    /// (docs/decisions/0026). One that hung while the host was found back is due like those that waited. Those that have
    /// nothing left to lose take turns where it is down.
    fn pause_at_host(
        &mut self,
        name: &AccountId,
        own: Duration,
        left: BootInstant,
        now: Now,
    ) -> Option<Duration> {
        let account = self.accounts.get(name)?;
        let host_name = account.plan.host.clone();
        let host = self.hosts.get(&host_name)?;
        if host.was_away_at(left) {
            return Some(own.min(SHORTEST_PAUSE));
        }
        let probes = |account: &Account| {
            account.plan.host == host_name && account.waits_for_return(host) && account.alive(now).is_none()
        };
        if !host.is_down() || !probes(account) || !retry::has_grown(account.attempt) {
            return None;
        }
        let waiting = self.accounts.values().filter(|account| probes(account)).count();
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        let draw = unit(self.seed, name.as_str(), "probe", u64::from(account.attempt));
        self.hosts.get_mut(&host_name)?.next_probe(waiting, left, draw, now)
    }

    /// The accounts that failed because their secrets could not be had from that server are due.
    pub(super) fn secrets_are_back(&mut self, server: &str, now: Now) {
        let lacks =
            |account: &Account| account.phase == Phase::Idle && account.lacks.as_deref() == Some(server);
        let waiting = self.accounts.iter().filter(|(_, account)| lacks(account));
        let waiting: Vec<AccountId> = waiting.map(|(name, _)| name.clone()).collect();
        waiting.iter().for_each(|account| self.enqueue(account, now));
    }

    fn host_down(&mut self, name: &Arc<str>, round: u32, news: bool, now: Now) {
        // One that is refused waits for a person, not for the host.
        let waits = |account: &Account| {
            let error = account.error.as_ref().map(|error| error.class);
            account.plan.host == *name
                && !matches!(error, Some(ErrorClass::Rejected | ErrorClass::Relogin | ErrorClass::Config))
        };
        let waiting = self.accounts.values().filter(|account| waits(account));
        let longest = waiting.map(|account| patience(account.alive(now))).min();
        let draw = unit(self.seed, name, "breaker", u64::from(round));
        if let Some(host) = self.hosts.get_mut(name) {
            let until = host.open(round, longest, draw, now);
            self.timers.set(Key::Host(name.clone()), until);
            self.say(Note::HostDown { host: name.clone(), until: until.wall, news });
        }
    }

    /// The host answers: the accounts that failed by its fault are due; one that fails by itself keeps its own pace.
    fn wake(&mut self, name: &Arc<str>, concerns: fn(&Account) -> bool, now: Now) {
        let Some(host) = self.hosts.get(name) else { return };
        let waits = |account: &Account| {
            account.plan.host == *name
                && account.phase == Phase::Idle
                && account.waits_for_return(host)
                && concerns(account)
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
}

impl Account {
    /// Whether its failures are of before a restart, which the host's breaker knows nothing of.
    fn failed_in_an_earlier_life(&self) -> bool {
        self.attempt > 0 && self.finished == 0
    }

    /// Whether it fails by its host's fault, and not by itself: it is due when that is back.
    pub(super) fn waits_for_return(&self, host: &Host) -> bool {
        let transient = self.error.as_ref().is_some_and(|error| error.class == ErrorClass::Transient);
        transient && !self.failing_since.is_some_and(|since| host.fails_alone(since))
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
        Self { class, message, wait: None, host_fault: false, host_pause: false, lacks: None, refresh: None }
    }
}
