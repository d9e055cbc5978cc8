//! One provider host: its rate, its places, its pause and its breaker. Accounts queue here; nearest expiry first.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::model::Limit;
use crate::domain::{AccountId, Deadline, Now, Timestamp};

/// Failures in a row, of at least two accounts, that open the breaker.
const TRIP: u32 = 5;
/// In flight at the very most, those that gave their place away included.
const MOST_IN_FLIGHT: u32 = 32;
/// The longest that the breaker stays open before a probe.
const LONGEST_OPEN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) limit: Limit,
    /// Waiting, by expiry.
    pub(super) queue: BTreeSet<(Timestamp, AccountId)>,
    /// The bucket as its theoretical arrival time (GCRA), in microseconds of the boot-time clock.
    arrival: u64,
    /// In flight and holding a place.
    active: u32,
    /// In flight and unanswered for so long that the place went to the next.
    stalled: u32,
    pub(super) paused: Option<Deadline>,
    pub(super) breaker: Breaker,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Breaker {
    Closed { failures: u32, first: Option<AccountId>, several: bool },
    Open { until: Deadline, round: u32 },
    Probing { by: AccountId, round: u32 },
}

/// Whether the next request may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// At that instant, look again.
    Until(Deadline),
    /// When something in flight ends or stalls, look again.
    Busy,
}

/// What the end of a request means for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// The breaker is to open; the round counts the openings since it was last closed.
    Opens {
        round: u32,
    },
    /// The host answers again.
    Closes,
}

impl Host {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            queue: BTreeSet::new(),
            arrival: 0,
            active: 0,
            stalled: 0,
            paused: None,
            breaker: Breaker::closed(),
        }
    }

    /// Whether a request may leave now.
    pub(super) fn gate(&mut self, now: Now) -> Gate {
        if let Some(until) = self.paused {
            if !until.reached(now) {
                return Gate::Until(until);
            }
            self.paused = None;
        }
        match &self.breaker {
            Breaker::Open { until, .. } if !until.reached(now) => return Gate::Until(*until),
            Breaker::Probing { .. } => return Gate::Busy,
            Breaker::Open { .. } | Breaker::Closed { .. } => {}
        }
        let most = MOST_IN_FLIGHT.max(self.limit.concurrency);
        if self.active >= self.limit.concurrency || self.active + self.stalled >= most {
            return Gate::Busy;
        }
        match self.bucket_wait(now) {
            Duration::ZERO => Gate::Open,
            wait => Gate::Until(now.after(wait)),
        }
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

    /// A request that has not answered for a while gives its place to the next.
    pub(super) fn stall(&mut self) {
        self.active = self.active.saturating_sub(1);
        self.stalled += 1;
    }

    /// A request of `account` has ended; `fault`: transport failure or 5xx.
    pub(super) fn finish(&mut self, account: &AccountId, stalled: bool, fault: bool) -> Turn {
        let place = if stalled { &mut self.stalled } else { &mut self.active };
        *place = place.saturating_sub(1);
        match (&mut self.breaker, fault) {
            (Breaker::Closed { failures, first, several }, true) => {
                *failures += 1;
                *several |= first.get_or_insert_with(|| account.clone()) != account;
                if *failures >= TRIP && *several { Turn::Opens { round: 0 } } else { Turn::Nothing }
            }
            (Breaker::Closed { .. }, false) => {
                self.breaker = Breaker::closed();
                Turn::Nothing
            }
            (Breaker::Probing { by, round }, true) if by == account => Turn::Opens { round: *round + 1 },
            (Breaker::Open { .. } | Breaker::Probing { .. }, true) => Turn::Nothing,
            (Breaker::Open { .. } | Breaker::Probing { .. }, false) => {
                self.breaker = Breaker::closed();
                Turn::Closes
            }
        }
    }

    /// Opens the breaker: `5 s + U(0, 10 s)`, doubled each round, at most a minute, at most a quarter of what
    /// the nearest living token (its life, what is left) has left, though never under a second (5 s for lives that can afford it).
    pub(super) fn open(
        &mut self,
        round: u32,
        nearest: Option<(Duration, Duration)>,
        draw: f64,
        now: Now,
    ) -> Deadline {
        let base = Duration::from_secs(5) + Duration::from_secs(10).mul_f64(draw);
        let wish = (base * 2_u32.saturating_pow(round.min(6))).min(LONGEST_OPEN);
        let span = match nearest {
            Some((life, left)) => {
                let least = (life / 20).clamp(Duration::from_secs(1), Duration::from_secs(5));
                wish.min((left / 4).max(least))
            }
            None => wish,
        };
        let until = now.after(span);
        self.breaker = Breaker::Open { until, round };
        until
    }

    /// Whether nothing waits or runs here.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.active == 0 && self.stalled == 0
    }

    fn bucket_wait(&self, now: Now) -> Duration {
        let Some(period) = self.limit.period else { return Duration::ZERO };
        let credit = as_micros(period).saturating_mul(u64::from(self.limit.burst.saturating_sub(1)));
        let earliest = self.arrival.saturating_sub(credit);
        Duration::from_micros(earliest.saturating_sub(micros(now)))
    }
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
    use crate::domain::BootInstant;

    fn now(millis: u64) -> Now {
        Now { wall: Timestamp::from_secs(1_000), boot: BootInstant(millis) }
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    #[test]
    fn the_bucket_lets_a_burst_pass_and_then_the_rate() {
        let mut host = Host::new(Limit { concurrency: 1_000, ..Limit::default() });
        let mut sent = Vec::new();
        for millis in 0..10_000_u64 {
            while host.gate(now(millis)) == Gate::Open {
                host.start(&account("a"), now(millis));
                host.finish(&account("a"), false, false);
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
            while host.gate(now(0)) == Gate::Open {
                host.start(&account("a"), now(0));
                started += 1;
            }
            host.stall();
        }
        assert_eq!(started, 20 + 4 - 1);
        for _ in 0..40 {
            while host.gate(now(0)) == Gate::Open {
                host.start(&account("a"), now(0));
                started += 1;
            }
            if host.active > 0 {
                host.stall();
            }
        }
        assert_eq!(started, MOST_IN_FLIGHT);
    }

    #[test]
    fn five_faults_of_two_accounts_open_the_breaker_and_one_probe_closes_it() {
        let mut host = Host::new(Limit::default());
        for _ in 0..9 {
            assert_eq!(host.finish(&account("a"), false, true), Turn::Nothing);
        }
        assert_eq!(host.finish(&account("b"), false, true), Turn::Opens { round: 0 });
        let until = host.open(0, None, 0.5, now(0));
        assert_eq!(host.gate(now(0)), Gate::Until(until));
        assert_eq!(until.boot, BootInstant(10_000));
        assert_eq!(host.gate(now(10_000)), Gate::Open);
        host.start(&account("a"), now(10_000));
        assert_eq!(host.gate(now(10_001)), Gate::Busy);
        assert_eq!(host.finish(&account("a"), false, true), Turn::Opens { round: 1 });
        host.open(1, None, 0.5, now(11_000));
        assert_eq!(host.gate(now(31_000)), Gate::Open);
        host.start(&account("b"), now(31_000));
        assert_eq!(host.finish(&account("b"), false, false), Turn::Closes);
        assert_eq!(host.gate(now(31_500)), Gate::Open);
    }

    #[test]
    fn answers_of_any_other_kind_keep_the_breaker_closed() {
        let mut host = Host::new(Limit::default());
        for _ in 0..5 {
            host.finish(&account("a"), false, true);
            host.finish(&account("b"), false, true);
            assert_eq!(host.finish(&account("b"), false, false), Turn::Nothing);
        }
    }

    #[test]
    fn a_near_expiry_shortens_the_open_time() {
        let mut host = Host::new(Limit::default());
        let near = |life, left| Some((Duration::from_secs(life), Duration::from_secs(left)));
        assert_eq!(host.open(3, near(10, 4), 1.0, now(0)).boot, BootInstant(1_000));
        assert_eq!(host.open(3, near(3600, 40), 1.0, now(0)).boot, BootInstant(10_000));
        assert_eq!(host.open(3, near(3600, 4), 1.0, now(0)).boot, BootInstant(5_000));
        assert_eq!(host.open(9, near(3600, 3000), 1.0, now(0)).boot, BootInstant(60_000));
    }
}
