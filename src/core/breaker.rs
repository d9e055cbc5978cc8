//! A host's breaker: whether it seems to be down, and who tries it then.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{AccountId, BootInstant, Deadline, Now};

/// Failures in a row, of at least two accounts, that open the breaker.
const TRIP: u32 = 5;
/// A host that goes down may answer this long what it had begun to.
const LAST_GASP: Duration = Duration::from_secs(2);
/// The longest that it stays open before a probe.
pub(super) const LONGEST_OPEN: Duration = Duration::from_secs(60);
/// A near or past expiry shortens it to this at the least ...
pub(super) const LEAST_OPEN: Duration = Duration::from_secs(5);
/// ... and to this for tokens that live a few seconds.
const SHORTEST_OPEN: Duration = Duration::from_millis(250);

/// Open while the host seems to be down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Breaker {
    state: State,
    /// Probes that gave their place away and are out still.
    slow_probes: BTreeSet<AccountId>,
    /// When the host last answered while this was closed.
    last_answer: Option<BootInstant>,
    /// When the host was found back.
    back_at: Option<BootInstant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Closed { failures: u32, first: Option<AccountId>, several: bool },
    Open { until: Deadline, round: u32 },
    Probing { by: AccountId, round: u32 },
}

/// Whom it lets pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Everyone; where it is open, the first becomes the probe.
    Ajar,
    /// Until then, only who has not failed.
    Shut(Deadline),
    /// Nobody until the probe ends or yields.
    Probed,
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
    /// The host answers, for the first time since we know it.
    Answers,
    /// The host answers again.
    Closes,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: State::closed(), slow_probes: BTreeSet::new(), last_answer: None, back_at: None }
    }

    pub(super) fn door(&self, now: Now) -> Door {
        match &self.state {
            State::Closed { .. } => Door::Ajar,
            State::Open { until, .. } if until.reached(now) => Door::Ajar,
            State::Open { until, .. } => Door::Shut(*until),
            State::Probing { .. } => Door::Probed,
        }
    }

    /// A request of `account` leaves.
    pub(super) fn start(&mut self, account: &AccountId) {
        if let State::Open { round, .. } = self.state {
            self.state = State::Probing { by: account.clone(), round };
        }
    }

    /// The request of `account` has not answered for a while. A probe yields, after a pause. It has not failed by that: on
    /// a busy machine or network it may answer yet (docs/decisions/0024).
    pub(super) fn stall(&mut self, account: &AccountId) -> Turn {
        match &self.state {
            State::Probing { by, round } if by == account => {
                self.slow_probes.insert(account.clone());
                Turn::Yields { round: *round }
            }
            _ => Turn::Nothing,
        }
    }

    /// A request of `account` has ended, whose row of failures began with a request that left at `since`.
    pub(super) fn finish(&mut self, account: &AccountId, sign: Sign, since: BootInstant, now: Now) -> Turn {
        let slow_probe = self.slow_probes.remove(account);
        let alone = self.fails_alone(since);
        match sign {
            Sign::Answered => match std::mem::replace(&mut self.state, State::closed()) {
                State::Closed { .. } => match self.last_answer.replace(now.boot) {
                    None => Turn::Answers,
                    Some(_) => Turn::Nothing,
                },
                State::Open { .. } | State::Probing { .. } => {
                    self.back_at = Some(now.boot);
                    Turn::Closes
                }
            },
            Sign::Fault => match &mut self.state {
                State::Closed { failures, first, several } if !alone => {
                    *failures += 1;
                    *several |= first.get_or_insert_with(|| account.clone()) != account;
                    if *failures >= TRIP && *several { Turn::Opens { round: 0 } } else { Turn::Nothing }
                }
                State::Closed { .. } => Turn::Nothing,
                State::Probing { by, round } if by == account => {
                    Turn::Opens { round: round.saturating_add(1) }
                }
                // It counts now; the door is shut already, or another knocks.
                State::Open { round, .. } | State::Probing { round, .. } if slow_probe => {
                    *round = round.saturating_add(1);
                    Turn::Nothing
                }
                State::Open { .. } | State::Probing { .. } => Turn::Nothing,
            },
            Sign::None => {
                if let State::Probing { by, round } = &self.state
                    && by == account
                {
                    // It has shown nothing: the next one probes.
                    self.state = State::Open { until: Now::default().at_once(), round: *round };
                }
                Turn::Nothing
            }
        }
    }

    /// Whether it seems to be down: open, or being probed.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether the host was found back while a request was out that had left at `left`: its failure is of before.
    pub(super) fn was_away_at(&self, left: BootInstant) -> bool {
        self.back_at.is_some_and(|back| back >= left) && !self.is_open()
    }

    /// Opens: for `5 s + U(0, 10 s)`, doubled each round, at most a minute, and at most `longest`.
    pub(super) fn open(&mut self, round: u32, longest: Duration, draw: f64, now: Now) -> Deadline {
        let base = Duration::from_secs(5) + Duration::from_secs(10).mul_f64(draw);
        let wish = base * 2_u32.saturating_pow(round.min(6));
        let until = now.after(wish.min(longest).min(LONGEST_OPEN));
        self.state = State::Open { until, round };
        until
    }

    /// Whether the host has answered others well after a row of failures began at `since`. Such faults are the
    /// account's own (a black hole among good ones): they do not count, lest they close the door on the others
    /// (docs/decisions/0021).
    pub(super) fn fails_alone(&self, since: BootInstant) -> bool {
        self.last_answer.is_some_and(|last| last > since.plus(LAST_GASP))
    }
}

impl State {
    fn closed() -> Self {
        Self::Closed { failures: 0, first: None, several: false }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn now(millis: u64) -> Now {
        Now { boot: BootInstant(millis), ..Now::default() }
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn fault(breaker: &mut Breaker, name: &str, since: u64, at: u64) -> Turn {
        breaker.finish(&account(name), Sign::Fault, BootInstant(since), now(at))
    }

    fn answer(breaker: &mut Breaker, name: &str, at: u64) -> Turn {
        breaker.finish(&account(name), Sign::Answered, BootInstant(at), now(at))
    }

    /// Opens for 10 s in round 0.
    fn open(breaker: &mut Breaker, round: u32, at: u64) -> u64 {
        breaker.open(round, LONGEST_OPEN, 0.5, now(at)).boot.0
    }

    #[test]
    fn five_faults_of_two_accounts_open_it_and_one_probe_closes_it() {
        let mut breaker = Breaker::new();
        for _ in 0..9 {
            assert_eq!(fault(&mut breaker, "a", 0, 0), Turn::Nothing);
        }
        assert_eq!(fault(&mut breaker, "b", 0, 0), Turn::Opens { round: 0 });
        assert_eq!(open(&mut breaker, 0, 0), 10_000);
        assert!(matches!(breaker.door(now(9_999)), Door::Shut(until) if until.boot.0 == 10_000));
        assert_eq!(breaker.door(now(10_000)), Door::Ajar);
        breaker.start(&account("a"));
        assert_eq!(breaker.door(now(10_001)), Door::Probed);
        assert_eq!(fault(&mut breaker, "a", 0, 11_000), Turn::Opens { round: 1 });
        assert_eq!(open(&mut breaker, 1, 11_000), 31_000);
        breaker.start(&account("b"));
        assert_eq!(answer(&mut breaker, "b", 31_100), Turn::Closes);
        assert_eq!(breaker.door(now(31_100)), Door::Ajar);
    }

    #[test]
    fn answers_of_any_other_kind_keep_it_closed() {
        let mut breaker = Breaker::new();
        for turn in [Turn::Answers, Turn::Nothing, Turn::Nothing, Turn::Nothing] {
            fault(&mut breaker, "a", 0, 0);
            fault(&mut breaker, "b", 0, 0);
            assert_eq!(answer(&mut breaker, "b", 0), turn);
        }
    }

    #[test]
    fn a_row_of_faults_does_not_count_where_others_were_answered_meanwhile() {
        let mut breaker = Breaker::new();
        answer(&mut breaker, "good", 2_001);
        for name in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(fault(&mut breaker, name, 0, 30_000), Turn::Nothing);
        }
        let turns = ["a", "b", "c", "d", "e"].map(|name| fault(&mut breaker, name, 1, 30_000));
        assert_eq!(turns[4], Turn::Opens { round: 0 }, "an answer that was under way when they began");
    }

    #[test]
    fn what_never_left_says_nothing_about_the_host() {
        let mut breaker = Breaker::new();
        for name in ["a", "b", "a", "b"] {
            fault(&mut breaker, name, 0, 0);
        }
        let never_left =
            |breaker: &mut Breaker| breaker.finish(&account("c"), Sign::None, BootInstant(0), now(10_000));
        assert_eq!(never_left(&mut breaker), Turn::Nothing);
        assert_eq!(fault(&mut breaker, "a", 0, 0), Turn::Opens { round: 0 });
        open(&mut breaker, 0, 0);
        breaker.start(&account("c"));
        assert_eq!(never_left(&mut breaker), Turn::Nothing);
        assert_eq!(breaker.door(now(10_001)), Door::Ajar, "the next one probes");
        breaker.start(&account("a"));
        assert_eq!(fault(&mut breaker, "a", 0, 10_100), Turn::Opens { round: 1 });
    }

    /// Open since the start, with `a` as the probe that left at 10 s and yielded at 12 s.
    fn slowly_probed() -> Breaker {
        let mut breaker = Breaker::new();
        open(&mut breaker, 0, 0);
        breaker.start(&account("a"));
        assert_eq!(breaker.stall(&account("b")), Turn::Nothing, "it does not probe");
        assert_eq!(breaker.stall(&account("a")), Turn::Yields { round: 0 });
        assert_eq!(open(&mut breaker, 0, 12_000), 22_000);
        breaker
    }

    #[test]
    fn a_probe_that_has_not_answered_lets_another_probe_and_has_not_failed() {
        let mut breaker = slowly_probed();
        assert!(matches!(breaker.door(now(21_999)), Door::Shut(_)));
        assert_eq!(breaker.door(now(22_000)), Door::Ajar);
        breaker.start(&account("b"));
        assert_eq!(breaker.door(now(22_001)), Door::Probed, "one at a time");
        assert_eq!(breaker.stall(&account("b")), Turn::Yields { round: 0 }, "the pause does not double");
    }

    #[test]
    fn a_late_answer_to_a_probe_closes_it_whoever_probes_by_then() {
        for next_probes in [false, true] {
            let mut breaker = slowly_probed();
            if next_probes {
                breaker.start(&account("b"));
            }
            assert_eq!(answer(&mut breaker, "a", 22_500), Turn::Closes);
            assert_eq!(breaker.door(now(22_500)), Door::Ajar);
        }
    }

    #[test]
    fn a_slow_probe_counts_as_failed_once_it_has() {
        let mut breaker = slowly_probed();
        assert_eq!(fault(&mut breaker, "a", 0, 13_000), Turn::Nothing);
        assert!(matches!(breaker.door(now(13_000)), Door::Shut(until) if until.boot.0 == 22_000));
        breaker.start(&account("b"));
        assert_eq!(fault(&mut breaker, "b", 0, 22_100), Turn::Opens { round: 2 });

        let mut breaker = slowly_probed();
        breaker.start(&account("b"));
        assert_eq!(fault(&mut breaker, "a", 0, 22_100), Turn::Nothing, "b's probe goes on");
        assert_eq!(breaker.door(now(22_200)), Door::Probed);
        assert_eq!(fault(&mut breaker, "b", 0, 22_300), Turn::Opens { round: 2 });
    }

    #[test]
    fn a_request_from_before_that_fails_while_it_is_open_does_not_lengthen_the_pause() {
        let mut breaker = Breaker::new();
        open(&mut breaker, 0, 0);
        assert_eq!(fault(&mut breaker, "old", 0, 100), Turn::Nothing);
        breaker.start(&account("a"));
        assert_eq!(fault(&mut breaker, "a", 0, 10_100), Turn::Opens { round: 1 });
    }

    #[test]
    fn a_near_or_past_expiry_shortens_the_open_time() {
        let mut breaker = Breaker::new();
        let mut open = |round, alive: Option<(u64, u64)>| {
            let longest = patience(alive.map(|(life, left)| (secs(life), secs(left))));
            breaker.open(round, longest, 1.0, now(0)).boot.0
        };
        assert_eq!(open(3, Some((10, 4))), 1_000);
        assert_eq!(open(3, Some((3600, 40))), 10_000);
        assert_eq!(open(3, Some((3600, 4))), 5_000);
        assert_eq!(open(9, Some((3600, 3000))), 60_000);
        assert_eq!([open(0, None), open(9, None)], [5_000, 5_000], "over");
    }
}
