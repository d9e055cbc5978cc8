//! One provider host: its rate, its places, its pause, its [`Breaker`]. Accounts queue here; nearest expiry first.

use std::collections::BTreeSet;
use std::time::Duration;

use super::breaker::{Breaker, Door, LEAST_OPEN, LONGEST_OPEN, Sign, Turn};
use crate::config::model::Limit;
use crate::domain::{AccountId, BootInstant, Deadline, Now, Timestamp, WaitsFor};

/// In flight at the very most, those that gave their place away included.
const MOST_IN_FLIGHT: u32 = 32;
/// The longest that the breaker stays open where the user has turned the rate off (docs/decisions/0022).
const LONGEST_OPEN_UNLIMITED: Duration = Duration::from_secs(1);
/// An account that shares an open breaker's probes with others leaves at least this between two of its requests: 144 an
/// hour (docs/decisions/0026).
const OWN_PROBES_APART: Duration = Duration::from_secs(25);
/// The longest that it waits for the next one.
const LONGEST_SHARE: Duration = Duration::from_secs(60);

/// The first pause of a host after a 429 that names no time (docs/decisions/0059).
const FIRST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) limit: Limit,
    /// Waiting, by expiry: those that have failed before.
    failing: BTreeSet<(Timestamp, AccountId)>,
    /// Waiting, by expiry: those that have not. The breaker does not hold them back.
    unfailed: BTreeSet<(Timestamp, AccountId)>,
    /// The bucket as its theoretical arrival time (GCRA), in microseconds of the boot-time clock.
    arrival: u64,
    /// In flight and holding a place.
    pub(super) active: u32,
    /// In flight and unanswered for so long that the place went to the next.
    pub(super) stalled: u32,
    pub(super) paused: Option<Deadline>,
    /// Answers in a row that asked for patience without saying how long; a token ends the row.
    impatient: u32,
    breaker: Breaker,
    /// Until when the probes of an open breaker are shared out.
    shared_out: Option<BootInstant>,
}

/// An account's place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its token's end.
    pub(super) order: Timestamp,
    /// Whether its last request failed.
    pub(super) failing: bool,
}

/// Whether the next request may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gate {
    /// That account's, which has left the queue.
    Open(AccountId),
    /// At that instant, look again.
    Until(Deadline),
    /// When something in flight ends or stalls, or something is queued, look again.
    Busy,
}

impl Host {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            failing: BTreeSet::new(),
            unfailed: BTreeSet::new(),
            arrival: 0,
            active: 0,
            stalled: 0,
            paused: None,
            impatient: 0,
            breaker: Breaker::new(),
            shared_out: None,
        }
    }

    /// An account was answered with 429: nobody asks for as long as the vendor says (`told`). Where it does not, it may mean
    /// that account alone, whose pause is `own`: the others wait briefly, and longer only while nobody is served.
    pub(super) fn throttle(&mut self, told: Option<Duration>, own: Duration, now: Now) -> Deadline {
        let span = match told.filter(|told| !told.is_zero()) {
            Some(told) => told.min(own),
            None => {
                let row = self.impatient;
                self.impatient = row.saturating_add(1);
                own.min(FIRST_PAUSE * 2_u32.saturating_pow(row.min(16)))
            }
        };
        let until = now.after(span);
        let until = self.paused.map_or(until, |paused| paused.later(until));
        self.paused = Some(until);
        until
    }

    /// An account has been given a token.
    pub(super) fn served(&mut self) {
        self.impatient = 0;
    }

    pub(super) fn queue(&mut self, account: AccountId, place: Place) {
        self.line(place).insert((place.order, account));
    }

    pub(super) fn unqueue(&mut self, account: &AccountId, place: Place) {
        self.line(place).remove(&(place.order, account.clone()));
    }

    #[cfg(test)]
    pub(super) fn queued(&self) -> impl Iterator<Item = (&AccountId, Place)> {
        let failing =
            self.failing.iter().map(|(order, account)| (account, Place { order: *order, failing: true }));
        let unfailed =
            self.unfailed.iter().map(|(order, account)| (account, Place { order: *order, failing: false }));
        failing.chain(unfailed)
    }

    fn line(&mut self, place: Place) -> &mut BTreeSet<(Timestamp, AccountId)> {
        if place.failing { &mut self.failing } else { &mut self.unfailed }
    }

    /// Takes the account whose request may leave now, the nearest expiry first.
    pub(super) fn gate(&mut self, now: Now) -> Gate {
        let failing = self.failing.first().map(|(order, _)| *order);
        let unfailed = self.unfailed.first().map(|(order, _)| *order);
        if failing.is_none() && unfailed.is_none() {
            return Gate::Busy;
        }
        if let Some(until) = self.paused {
            if !until.reached(now) {
                return Gate::Until(until);
            }
            self.paused = None;
        }
        let line = match (self.breaker.door(now), failing, unfailed) {
            (Door::Probed, ..) => return Gate::Busy,
            (Door::Shut(until), _, None) => return Gate::Until(until),
            (Door::Ajar, Some(failing), unfailed) if unfailed.is_none_or(|unfailed| failing <= unfailed) => {
                &mut self.failing
            }
            _ => &mut self.unfailed,
        };
        let most = MOST_IN_FLIGHT.max(self.limit.concurrency);
        if self.active >= self.limit.concurrency || self.active + self.stalled >= most {
            return Gate::Busy;
        }
        let wait = bucket_wait(self.limit, self.arrival, now);
        if !wait.is_zero() {
            return Gate::Until(now.after(wait));
        }
        line.pop_first().map_or(Gate::Busy, |(_, account)| Gate::Open(account))
    }

    /// A request of `account` leaves.
    pub(super) fn start(&mut self, account: &AccountId, now: Now) {
        if let Some(period) = self.limit.period {
            self.arrival = self.arrival.max(micros(now)).saturating_add(as_micros(period));
        }
        self.active += 1;
        self.breaker.start(account);
    }

    /// A request that has not answered for a while gives its place to the next.
    pub(super) fn stall(&mut self, account: &AccountId) -> Turn {
        self.active = self.active.saturating_sub(1);
        self.stalled += 1;
        self.breaker.stall(account)
    }

    /// A request of `account` has ended, whose row of failures began with a request that left at `since`.
    pub(super) fn finish(
        &mut self,
        account: &AccountId,
        stalled: bool,
        sign: Sign,
        since: BootInstant,
        now: Now,
    ) -> Turn {
        let place = if stalled { &mut self.stalled } else { &mut self.active };
        *place = place.saturating_sub(1);
        let turn = self.breaker.finish(account, sign, since, now);
        if !self.breaker.is_open() {
            self.shared_out = None;
        }
        turn
    }

    /// How long until the next probe of an account without a living token, whose last request left at `left`: the
    /// `waiting` of its kind share an open breaker's probes evenly. `None` where the breaker is closed.
    pub(super) fn next_probe(
        &mut self,
        waiting: u32,
        left: BootInstant,
        draw: f64,
        now: Now,
    ) -> Option<Duration> {
        if !self.breaker.is_open() {
            return None;
        }
        // Up to a tenth later or sooner, so that the agents of a fleet do not knock together.
        let own = left.plus(OWN_PROBES_APART + (OWN_PROBES_APART / 10).mul_f64(draw));
        let own = own.max(now.boot.plus(Duration::from_secs(1)));
        let apart = (OWN_PROBES_APART / waiting.max(1)).max(LEAST_OPEN.min(self.longest_open()));
        let longest = LONGEST_SHARE - (LONGEST_SHARE / 10).mul_f64(draw);
        let next = self.shared_out.map_or(own, |last| own.max(last.plus(apart))).min(now.boot.plus(longest));
        self.shared_out = Some(next);
        Some(next.since(now.boot))
    }

    /// Where the rate is off, nobody is to be spared: it opens so that a thousand accounts do not ask at once.
    fn longest_open(&self) -> Duration {
        if self.limit.period.is_some() { LONGEST_OPEN } else { LONGEST_OPEN_UNLIMITED }
    }

    /// Opens the breaker, for as long as the account that can wait least allows.
    pub(super) fn open(&mut self, round: u32, longest: Option<Duration>, draw: f64, now: Now) -> Deadline {
        let most = self.longest_open();
        self.breaker.open(round, longest.map_or(most, |longest| longest.min(most)), draw, now)
    }

    /// What an account that queues under that place waits for, and until when where that is known.
    pub(super) fn waits_for(&self, place: Place, now: Now) -> (WaitsFor, Option<Deadline>) {
        if let Some(until) = self.paused.filter(|until| !until.reached(now)) {
            return (WaitsFor::Vendor, Some(until));
        }
        match self.breaker.door(now) {
            Door::Shut(until) if place.failing => (WaitsFor::Host, Some(until)),
            Door::Probed => (WaitsFor::Host, None),
            Door::Shut(_) | Door::Ajar => (WaitsFor::Limit, None),
        }
    }

    /// Whether nothing waits or runs here, and what ran is paid for: a host that is forgotten has a full bucket.
    pub(super) fn is_idle(&self, now: Now) -> bool {
        let quiet =
            self.failing.is_empty() && self.unfailed.is_empty() && self.active == 0 && self.stalled == 0;
        quiet && self.arrival <= micros(now) && self.paused.is_none_or(|until| until.reached(now))
    }

    /// Whether it was found back while a request was out that had left at `left`.
    pub(super) fn was_away_at(&self, left: BootInstant) -> bool {
        self.breaker.was_away_at(left)
    }

    /// Whether it seems to be down.
    pub(super) fn is_down(&self) -> bool {
        self.breaker.is_open()
    }

    /// Whether a row of failures that began at `since` is the account's own: the host has answered others since.
    pub(super) fn fails_alone(&self, since: BootInstant) -> bool {
        self.breaker.fails_alone(since)
    }
}

fn bucket_wait(limit: Limit, arrival: u64, now: Now) -> Duration {
    let Some(period) = limit.period else { return Duration::ZERO };
    let credit = as_micros(period).saturating_mul(u64::from(limit.burst.saturating_sub(1)));
    let earliest = arrival.saturating_sub(credit);
    // In whole milliseconds, as the clocks count: a shorter wait would be over at once, and asked for for ever.
    Duration::from_millis(earliest.saturating_sub(micros(now)).div_ceil(1000))
}

fn micros(now: Now) -> u64 {
    now.boot.0.saturating_mul(1000)
}

fn as_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
