//! One provider host: its rate, its places, its pause and its breaker. Accounts queue here; nearest expiry first.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::model::Limit;
use crate::domain::{AccountId, BootInstant, Deadline, Now, Timestamp};

/// Failures in a row, of at least two accounts, that open the breaker.
const TRIP: u32 = 5;
/// In flight at the very most, those that gave their place away included.
const MOST_IN_FLIGHT: u32 = 32;
/// A host that goes down may answer this long what it had begun to.
const LAST_GASP: Duration = Duration::from_secs(2);
/// The longest that the breaker stays open before a probe.
const LONGEST_OPEN: Duration = Duration::from_secs(60);
/// The same where the user has turned the rate off (docs/decisions/0022).
const LONGEST_OPEN_UNLIMITED: Duration = Duration::from_secs(1);
/// A near or past expiry shortens it to this at the least ...
const LEAST_OPEN: Duration = Duration::from_secs(5);
/// ... and to this for tokens that live a few seconds.
const SHORTEST_OPEN: Duration = Duration::from_millis(250);

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
    /// Probes that gave their place away and are out still.
    slow_probes: BTreeSet<AccountId>,
    /// When the host last answered while its breaker was closed.
    last_answer: Option<BootInstant>,
    pub(super) paused: Option<Deadline>,
    pub(super) breaker: Breaker,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed { failures: u32, first: Option<AccountId>, several: bool },
    Open { until: Deadline, round: u32 },
    Probing { by: AccountId, round: u32 },
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

/// What a request has shown about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers, if only with a refusal.
    Answered,
    /// A transport failure or 5xx.
    Fault,
    /// Nothing: the request never left.
    None,
}

/// What the end of a request means for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// The breaker is to open; the round counts the openings since it was last closed.
    Opens {
        round: u32,
    },
    /// The probe has not answered yet: it has not failed, but after a pause another may probe.
    Yields {
        round: u32,
    },
    /// The host answers again.
    Closes,
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
            slow_probes: BTreeSet::new(),
            last_answer: None,
            paused: None,
            breaker: Breaker::closed(),
        }
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
        let shut_until = match &self.breaker {
            Breaker::Probing { .. } => return Gate::Busy,
            Breaker::Open { until, .. } if !until.reached(now) => Some(*until),
            Breaker::Open { .. } | Breaker::Closed { .. } => None,
        };
        let line = match (shut_until, failing, unfailed) {
            (Some(until), _, None) => return Gate::Until(until),
            (None, Some(failing), unfailed) if unfailed.is_none_or(|unfailed| failing <= unfailed) => {
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
        if let Breaker::Open { round, .. } = self.breaker {
            self.breaker = Breaker::Probing { by: account.clone(), round };
        }
    }

    /// A request that has not answered for a while gives its place to the next; a probe, after a pause, its turn. It has
    /// not failed by that: on a busy machine or network it may answer yet (docs/decisions/0024).
    pub(super) fn stall(&mut self, account: &AccountId) -> Turn {
        self.active = self.active.saturating_sub(1);
        self.stalled += 1;
        match &self.breaker {
            Breaker::Probing { by, round } if by == account => {
                self.slow_probes.insert(account.clone());
                Turn::Yields { round: *round }
            }
            _ => Turn::Nothing,
        }
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
        let slow_probe = self.slow_probes.remove(account);
        let alone = self.fails_alone(since);
        match sign {
            Sign::Answered if matches!(self.breaker, Breaker::Closed { .. }) => {
                self.breaker = Breaker::closed();
                self.last_answer = Some(now.boot);
                Turn::Nothing
            }
            Sign::Answered => {
                self.breaker = Breaker::closed();
                Turn::Closes
            }
            Sign::Fault => match &mut self.breaker {
                Breaker::Closed { failures, first, several } if !alone => {
                    *failures += 1;
                    *several |= first.get_or_insert_with(|| account.clone()) != account;
                    if *failures >= TRIP && *several { Turn::Opens { round: 0 } } else { Turn::Nothing }
                }
                Breaker::Closed { .. } => Turn::Nothing,
                Breaker::Probing { by, round } if by == account => {
                    Turn::Opens { round: round.saturating_add(1) }
                }
                // It counts now; the door is shut already, or another knocks.
                Breaker::Open { round, .. } | Breaker::Probing { round, .. } if slow_probe => {
                    *round = round.saturating_add(1);
                    Turn::Nothing
                }
                Breaker::Open { .. } | Breaker::Probing { .. } => Turn::Nothing,
            },
            Sign::None => {
                if let Breaker::Probing { by, round } = &self.breaker
                    && by == account
                {
                    // It has shown nothing: the next one probes.
                    self.breaker = Breaker::Open { until: Now::default().at_once(), round: *round };
                }
                Turn::Nothing
            }
        }
    }

    /// Opens the breaker: `5 s + U(0, 10 s)`, doubled each round, at most a minute, and at most `longest`: what the
    /// account that can wait least allows ([`patience`]).
    pub(super) fn open(&mut self, round: u32, longest: Option<Duration>, draw: f64, now: Now) -> Deadline {
        let base = Duration::from_secs(5) + Duration::from_secs(10).mul_f64(draw);
        // Where the rate is off, nobody is to be spared: it opens so that a thousand accounts do not ask at once.
        let most = if self.limit.period.is_some() { LONGEST_OPEN } else { LONGEST_OPEN_UNLIMITED };
        let wish = (base * 2_u32.saturating_pow(round.min(6))).min(most);
        let until = now.after(longest.map_or(wish, |longest| wish.min(longest)));
        self.breaker = Breaker::Open { until, round };
        until
    }

    /// Whether nothing waits or runs here, and what ran is paid for: a host that is forgotten has a full bucket.
    pub(super) fn is_idle(&self, now: Now) -> bool {
        let quiet =
            self.failing.is_empty() && self.unfailed.is_empty() && self.active == 0 && self.stalled == 0;
        quiet && self.arrival <= micros(now) && self.paused.is_none_or(|until| until.reached(now))
    }

    /// Whether the host has answered others well after a row of failures began at `since`. Such faults are the
    /// account's own (a black hole among good ones): they do not count for the breaker, lest they close the door on the
    /// others (docs/decisions/0021).
    pub(super) fn fails_alone(&self, since: BootInstant) -> bool {
        self.last_answer.is_some_and(|last| last > since.plus(LAST_GASP))
    }
}

/// How long an account can wait for the next probe: a quarter of what is left of its token (its life, what is left),
/// though never under 5 s, or a twentieth of a short life. Without a living token nothing is left: 5 s.
pub(super) fn patience(alive: Option<(Duration, Duration)>) -> Duration {
    match alive {
        Some((life, left)) => (left / 4).max((life / 20).clamp(SHORTEST_OPEN, LEAST_OPEN)),
        None => LEAST_OPEN,
    }
}

fn bucket_wait(limit: Limit, arrival: u64, now: Now) -> Duration {
    let Some(period) = limit.period else { return Duration::ZERO };
    let credit = as_micros(period).saturating_mul(u64::from(limit.burst.saturating_sub(1)));
    let earliest = arrival.saturating_sub(credit);
    // In whole milliseconds, as the clocks count: a shorter wait would be over at once, and asked for for ever.
    Duration::from_millis(earliest.saturating_sub(micros(now)).div_ceil(1000))
}

impl Breaker {
    fn closed() -> Self {
        Self::Closed { failures: 0, first: None, several: false }
    }
}

fn micros(now: Now) -> u64 {
    now.boot.0.saturating_mul(1000)
}

fn as_micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(millis: u64) -> Now {
        Now { wall: Timestamp::from_secs(1_000), boot: BootInstant(millis) }
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    fn fault(host: &mut Host, name: &str, since: u64, at: Now) -> Turn {
        host.finish(&account(name), false, Sign::Fault, BootInstant(since), at)
    }

    fn answer(host: &mut Host, name: &str, at: Now) -> Turn {
        host.finish(&account(name), false, Sign::Answered, at.boot, at)
    }

    /// Whether a request of one who waits may leave; nobody is left waiting.
    fn leaves(host: &mut Host, now: Now) -> bool {
        gate(host, now) == Gate::Open(account("w"))
    }

    /// The gate for one that has failed before.
    fn gate(host: &mut Host, now: Now) -> Gate {
        let place = Place { order: Timestamp::from_secs(2_000), failing: true };
        host.queue(account("w"), place);
        let gate = host.gate(now);
        host.unqueue(&account("w"), place);
        gate
    }

    #[test]
    fn the_bucket_lets_a_burst_pass_and_then_the_rate() {
        let mut host = Host::new(Limit { concurrency: 1_000, ..Limit::default() });
        let mut sent = Vec::new();
        for millis in 0..10_000_u64 {
            while leaves(&mut host, now(millis)) {
                host.start(&account("a"), now(millis));
                answer(&mut host, "a", now(millis));
                sent.push(millis);
            }
        }
        assert_eq!(sent.iter().filter(|at| **at == 0).count(), 10);
        assert_eq!(sent.len(), 10 + 49);
    }

    #[test]
    fn a_stalled_request_gives_its_place_away_up_to_thirty_two() {
        let mut host = Host::new(Limit { period: None, ..Limit::default() });
        let mut started = 0;
        for _ in 0..20 {
            while leaves(&mut host, now(0)) {
                host.start(&account("a"), now(0));
                started += 1;
            }
            host.stall(&account("a"));
        }
        assert_eq!(started, 20 + 4 - 1);
        for _ in 0..40 {
            while leaves(&mut host, now(0)) {
                host.start(&account("a"), now(0));
                started += 1;
            }
            if host.active > 0 {
                host.stall(&account("a"));
            }
        }
        assert_eq!(started, MOST_IN_FLIGHT);
    }

    #[test]
    fn five_faults_of_two_accounts_open_the_breaker_and_one_probe_closes_it() {
        let mut host = Host::new(Limit::default());
        for _ in 0..9 {
            assert_eq!(fault(&mut host, "a", 0, now(0)), Turn::Nothing);
        }
        assert_eq!(fault(&mut host, "b", 0, now(0)), Turn::Opens { round: 0 });
        let until = host.open(0, None, 0.5, now(0));
        assert_eq!(gate(&mut host, now(0)), Gate::Until(until));
        assert_eq!(until.boot, BootInstant(10_000));
        assert!(leaves(&mut host, now(10_000)));
        host.start(&account("a"), now(10_000));
        assert_eq!(gate(&mut host, now(10_001)), Gate::Busy);
        assert_eq!(fault(&mut host, "a", 0, now(0)), Turn::Opens { round: 1 });
        host.open(1, None, 0.5, now(11_000));
        assert!(leaves(&mut host, now(31_000)));
        host.start(&account("b"), now(31_000));
        assert_eq!(answer(&mut host, "b", now(0)), Turn::Closes);
        assert!(leaves(&mut host, now(31_500)));
    }

    #[test]
    fn answers_of_any_other_kind_keep_the_breaker_closed() {
        let mut host = Host::new(Limit::default());
        for _ in 0..5 {
            host.start(&account("a"), now(0));
            fault(&mut host, "a", 0, now(0));
            fault(&mut host, "b", 0, now(0));
            assert_eq!(answer(&mut host, "b", now(0)), Turn::Nothing);
        }
    }

    #[test]
    fn the_nearest_expiry_goes_first_whether_it_has_failed_or_not() {
        let mut host = Host::new(Limit::default());
        let place = |order, failing| Place { order: Timestamp::from_secs(order), failing };
        for (name, order, failing) in [("c", 3, true), ("a", 1, false), ("d", 4, false), ("b", 2, true)] {
            host.queue(account(name), place(order, failing));
        }
        let order = ["a", "b", "c", "d"].map(|name| Gate::Open(account(name)));
        assert_eq!([(); 4].map(|()| host.gate(now(0))), order);
        assert_eq!(host.gate(now(0)), Gate::Busy);
    }

    #[test]
    fn an_open_breaker_lets_one_that_has_not_failed_probe_at_once() {
        let mut host = Host::new(Limit::default());
        host.open(0, None, 0.5, now(0));
        let place = Place { order: Timestamp::from_secs(9_000), failing: false };
        host.queue(account("good"), place);
        assert!(!leaves(&mut host.clone(), now(1)));
        assert_eq!(host.gate(now(1)), Gate::Open(account("good")));
        host.start(&account("good"), now(1));
        host.queue(account("other"), place);
        assert_eq!(host.gate(now(1)), Gate::Busy, "one probe");
        assert_eq!(answer(&mut host, "good", now(0)), Turn::Closes);
    }

    #[test]
    fn without_a_rate_the_breaker_opens_for_a_second() {
        let mut host = Host::new(Limit { period: None, ..Limit::default() });
        assert_eq!(host.open(9, None, 1.0, now(0)).boot, BootInstant(1_000));
    }

    #[test]
    fn a_row_of_faults_does_not_count_where_others_were_answered_meanwhile() {
        let mut host = Host::new(Limit::default());
        answer(&mut host, "good", now(2_001));
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(fault(&mut host, name, 0, now(30_000)), Turn::Nothing);
        }
        let turns = ["a", "b", "c", "d", "e"].map(|name| fault(&mut host, name, 1_000, now(30_000)));
        assert_eq!(turns[4], Turn::Opens { round: 0 }, "an answer that was under way when they began");
    }

    #[test]
    fn what_never_left_says_nothing_about_the_host() {
        let mut host = Host::new(Limit::default());
        for name in ["a", "b", "a", "b"] {
            fault(&mut host, name, 0, now(0));
        }
        assert_eq!(host.finish(&account("c"), false, Sign::None, BootInstant(0), now(0)), Turn::Nothing);
        assert_eq!(fault(&mut host, "a", 0, now(0)), Turn::Opens { round: 0 });
        host.open(0, None, 0.5, now(0));
        host.start(&account("c"), now(10_000));
        assert_eq!(host.finish(&account("c"), false, Sign::None, BootInstant(0), now(0)), Turn::Nothing);
        assert!(leaves(&mut host, now(10_001)), "the next one probes");
        host.start(&account("a"), now(10_001));
        assert_eq!(fault(&mut host, "a", 0, now(0)), Turn::Opens { round: 1 });
    }

    /// A host whose breaker is open, with `a` as the probe, out since 10 s and yielding at 12 s.
    fn slowly_probed() -> Host {
        let mut host = Host::new(Limit::default());
        for name in ["a", "b", "a", "b", "a"] {
            fault(&mut host, name, 0, now(0));
        }
        host.open(0, None, 0.5, now(0));
        host.start(&account("a"), now(10_000));
        assert_eq!(host.stall(&account("a")), Turn::Yields { round: 0 });
        host.open(0, None, 0.5, now(12_000));
        host
    }

    #[test]
    fn a_probe_that_has_not_answered_lets_another_probe_and_has_not_failed() {
        let mut host = slowly_probed();
        assert!(!leaves(&mut host, now(21_999)));
        assert!(leaves(&mut host, now(22_000)), "the pause has not doubled");
        host.start(&account("b"), now(22_000));
        assert_eq!(gate(&mut host, now(22_001)), Gate::Busy, "one at a time");
        assert_eq!(host.stall(&account("b")), Turn::Yields { round: 0 });
    }

    #[test]
    fn a_late_answer_to_a_probe_closes_the_breaker_whoever_probes_by_then() {
        for next_probes in [false, true] {
            let mut host = slowly_probed();
            if next_probes {
                host.start(&account("b"), now(22_000));
            }
            let at = now(22_500);
            let turn = host.finish(&account("a"), true, Sign::Answered, BootInstant(10_000), at);
            assert_eq!(turn, Turn::Closes);
            assert!(leaves(&mut host, at));
        }
    }

    #[test]
    fn a_slow_probe_counts_as_failed_once_it_has() {
        let late = |host: &mut Host, name: &str, at| {
            host.finish(&account(name), true, Sign::Fault, BootInstant(0), now(at))
        };
        let mut host = slowly_probed();
        assert_eq!(late(&mut host, "a", 13_000), Turn::Nothing);
        assert_eq!(gate(&mut host, now(13_000)), Gate::Until(now(12_000).after(Duration::from_secs(10))));
        host.start(&account("b"), now(22_000));
        assert_eq!(fault(&mut host, "b", 0, now(22_100)), Turn::Opens { round: 2 });

        let mut host = slowly_probed();
        host.start(&account("b"), now(22_000));
        assert_eq!(late(&mut host, "a", 22_100), Turn::Nothing, "b's probe goes on");
        assert_eq!(gate(&mut host, now(22_200)), Gate::Busy);
        assert_eq!(fault(&mut host, "b", 0, now(22_300)), Turn::Opens { round: 2 });
    }

    #[test]
    fn a_rate_that_is_no_whole_number_of_milliseconds_never_waits_for_nothing() {
        let period = Some(Duration::from_micros(333_333));
        let mut host = Host::new(Limit { period, burst: 1, concurrency: 100 });
        let mut at = now(0);
        for _ in 0..30 {
            host.start(&account("a"), at);
            while let Gate::Until(deadline) = gate(&mut host, at) {
                assert!(!deadline.reached(at), "{at:?}");
                at = deadline.into();
            }
        }
        assert!((10_000..=10_030).contains(&at.boot.0), "{at:?}");
    }

    #[test]
    fn a_near_or_past_expiry_shortens_the_open_time() {
        let mut host = Host::new(Limit::default());
        let secs = Duration::from_secs;
        let mut open = |round, alive: Option<(u64, u64)>| {
            let longest = patience(alive.map(|(life, left)| (secs(life), secs(left))));
            host.open(round, Some(longest), 1.0, now(0)).boot.0
        };
        assert_eq!(open(3, Some((10, 4))), 1_000);
        assert_eq!(open(3, Some((3600, 40))), 10_000);
        assert_eq!(open(3, Some((3600, 4))), 5_000);
        assert_eq!(open(9, Some((3600, 3000))), 60_000);
        assert_eq!([open(0, None), open(9, None)], [5_000, 5_000], "expired");
    }
}
