//! How long to wait after a failure. Pure, so that it can be durable and simulated; the only place that knows.

use std::time::Duration;

use super::plan::unit;
use crate::domain::{AccountId, ErrorClass};

/// The longest wait that a vendor's hint is followed for.
const LONGEST_HINT: Duration = Duration::from_secs(3600);
/// The longest pause between two tries of refused credentials.
const LONGEST_PROBE: Duration = Duration::from_secs(6 * 3600);

/// What the pauses grow to without a living token.
const ONCE_EXPIRED: Duration = Duration::from_secs(60);

/// The shortest pause, in the last second of a token's life: `max(1 s, left/3)` alone would let the last try of a 10-s
/// token fall before an outage's end and the next one after the token's (docs/decisions/0020).
const LAST_PAUSE: Duration = Duration::from_millis(250);

/// What a delay depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// What failed.
    pub(super) class: ErrorClass,
    /// Failures in a row, this one included: 1, 2 ...
    pub(super) attempt: u32,
    /// Refusals in a row, this one included.
    pub(super) rejected: u32,
    /// The token's whole life and what is left of it; `None` without a live token.
    pub(super) alive: Option<(Duration, Duration)>,
    /// The vendor's own wish.
    pub(super) hint: Option<Duration>,
}

/// How long to wait before the next try.
pub(super) fn delay(seed: u64, account: &AccountId, situation: Situation) -> Duration {
    let Situation { class, attempt, rejected, alive, hint } = situation;
    let draw = unit(seed, account.as_str(), "retry", u64::from(attempt));
    let own = match class {
        ErrorClass::Rejected => return probe(rejected, draw).max(bounded(hint)),
        // A dead refresh token and nothing to log in with: a person must act. What the vendor said by mistake is
        // found out four times a day.
        ErrorClass::Relogin => {
            return (LONGEST_PROBE + (LONGEST_PROBE / 10).mul_f64(draw)).max(bounded(hint));
        }
        ErrorClass::Config => {
            return Duration::from_secs(15) * 2_u32.saturating_pow(attempt.saturating_sub(1).min(4));
        }
        ErrorClass::Malformed => transient(attempt, alive, draw).max(Duration::from_secs(30)),
        ErrorClass::Transient | ErrorClass::Throttled => transient(attempt, alive, draw),
    };
    let patient = match alive {
        Some((_, left)) => own.min((left / 3).max(LAST_PAUSE)),
        None => own,
    };
    patient.max(bounded(hint))
}

/// Whether the pauses of an account without a living token have grown to the longest.
pub(super) fn has_grown(attempt: u32) -> bool {
    step(attempt) >= ONCE_EXPIRED
}

/// Full jitter: `1 s + U(0, min(cap, 2 s * 2^n))`.
fn transient(attempt: u32, alive: Option<(Duration, Duration)>, draw: f64) -> Duration {
    let cap = match alive {
        Some((life, left)) => (left / 6).clamp(floor(life), Duration::from_secs(300)),
        None => ONCE_EXPIRED,
    };
    Duration::from_secs(1) + cap.min(step(attempt)).mul_f64(draw)
}

/// What the pauses grow to at least, however little is left.
fn floor(life: Duration) -> Duration {
    (life / 60).clamp(Duration::from_secs(5), Duration::from_secs(60))
}

/// How long a target on this machine waits at most to be written again: a mended disk must not stay unused for a good
/// part of a short life. `alive` as in [`Situation`].
pub(super) fn longest_before_a_write(alive: Option<(Duration, Duration)>) -> Duration {
    match alive {
        Some((life, left)) => {
            (left / 6).clamp(floor(life), ONCE_EXPIRED).min((left / 3).max(Duration::from_secs(1)))
        }
        None => ONCE_EXPIRED,
    }
}

fn step(attempt: u32) -> Duration {
    Duration::from_secs(2) * 2_u32.saturating_pow(attempt.saturating_sub(1).min(20))
}

/// Refused credentials: tried at 0, 30 s, 2 min, then 15 min doubling to 6 h; up to a tenth later, so that a fleet
/// with one wrong password does not knock together.
fn probe(rejected: u32, draw: f64) -> Duration {
    let base = match rejected {
        0 | 1 => Duration::from_secs(30),
        2 => Duration::from_secs(90),
        _ => (Duration::from_secs(900) * 2_u32.saturating_pow((rejected - 3).min(8))).min(LONGEST_PROBE),
    };
    base + (base / 10).mul_f64(draw)
}

fn bounded(hint: Option<Duration>) -> Duration {
    hint.unwrap_or_default().min(LONGEST_HINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(class: ErrorClass, attempt: u32, alive: Option<(u64, u64)>) -> Situation {
        let alive = alive.map(|(life, left)| (Duration::from_secs(life), Duration::from_secs(left)));
        Situation { class, attempt, rejected: attempt, alive, hint: None }
    }

    fn delays(class: ErrorClass, attempt: u32, alive: Option<(u64, u64)>) -> (f64, f64) {
        let all = (0..400)
            .map(|seed| delay(seed, &AccountId::new("a").unwrap(), at(class, attempt, alive)).as_secs_f64());
        all.fold((f64::MAX, 0.0), |(low, high), each| (low.min(each), high.max(each)))
    }

    #[test]
    fn a_write_waits_for_a_third_of_what_is_left_at_most_and_never_for_more_than_a_minute() {
        let longest = |life, left| {
            let alive = (Duration::from_secs(life), Duration::from_secs(left));
            longest_before_a_write(Some(alive)).as_secs_f64()
        };
        let seen = [(20, 20), (20, 9), (20, 1), (600, 240), (3_600, 3_600), (3_600, 30), (86_400, 7_200)]
            .map(|(life, left)| longest(life, left));
        assert_eq!(seen, [5.0, 3.0, 1.0, 40.0, 60.0, 10.0, 60.0]);
        assert_eq!(longest_before_a_write(None), Duration::from_secs(60));
    }

    #[test]
    fn transient_delays_grow_to_their_cap() {
        let alive = Some((3600, 1200));
        let (low, high) = delays(ErrorClass::Transient, 1, alive);
        assert!(low >= 1.0 && high <= 3.0 && high > 2.9);
        let (_, high) = delays(ErrorClass::Transient, 12, alive);
        assert!(high <= 201.0 && high > 195.0, "left/6 caps: {high}");
        let (_, high) = delays(ErrorClass::Transient, 12, Some((36_000, 9_000)));
        assert!(high <= 301.0, "five minutes cap: {high}");
        let (_, high) = delays(ErrorClass::Transient, 12, None);
        assert!(high <= 61.0 && high > 59.0, "a minute once expired: {high}");
    }

    #[test]
    fn no_delay_exceeds_a_third_of_what_is_left() {
        for left in [1, 3, 9, 30, 300] {
            for class in [ErrorClass::Transient, ErrorClass::Malformed, ErrorClass::Throttled] {
                let (_, high) = delays(class, 9, Some((600, left)));
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let bound = (left as f64 / 3.0).max(1.0);
                assert!(high <= bound, "{class} {left}: {high}");
            }
        }
    }

    #[test]
    fn the_pauses_without_a_living_token_have_grown_at_the_sixth_failure() {
        assert_eq!([1, 5, 6, 60].map(has_grown), [false, false, true, true]);
    }

    #[test]
    fn malformed_replies_wait_thirty_seconds() {
        assert!(delays(ErrorClass::Malformed, 1, None).0 >= 30.0);
        assert!(delays(ErrorClass::Malformed, 1, Some((3600, 1200))).0 >= 30.0);
    }

    #[test]
    fn refused_credentials_are_tried_three_times_in_three_minutes_and_eleven_times_a_day() {
        for seed in 0..50 {
            let mut at_secs = 0.0;
            let mut tries = vec![0.0];
            for rejected in 1..40 {
                let situation = Situation { rejected, ..at(ErrorClass::Rejected, rejected, None) };
                at_secs += delay(seed, &AccountId::new("a").unwrap(), situation).as_secs_f64();
                tries.push(at_secs);
            }
            assert!(tries.iter().filter(|at| **at <= 180.0).count() <= 3);
            assert!(tries.iter().filter(|at| **at <= 86_400.0).count() <= 11);
        }
    }

    #[test]
    fn who_needs_a_person_is_tried_up_to_a_tenth_later_than_planned_and_never_sooner() {
        let refused = [30.0, 90.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 21_600.0, 21_600.0];
        let refused = (1..).zip(refused).map(|(rejected, secs)| (ErrorClass::Rejected, rejected, secs));
        for (class, attempt, secs) in refused.chain([(ErrorClass::Relogin, 1, 21_600.0)]) {
            let (low, high) = delays(class, attempt, Some((3_600, 60)));
            assert!(low >= secs && low < secs * 1.01, "{class} {attempt}: {low}");
            assert!(high > secs * 1.09 && high <= secs * 1.1, "{class} {attempt}: {high}");
        }
    }

    #[test]
    fn a_missing_source_is_looked_for_after_15_s_doubling_to_four_minutes() {
        let pauses = [1, 2, 3, 4, 5, 6, 90].map(|attempt| delays(ErrorClass::Config, attempt, None));
        assert_eq!(pauses, [15.0, 30.0, 60.0, 120.0, 240.0, 240.0, 240.0].map(|secs| (secs, secs)));
    }

    #[test]
    fn a_vendors_hint_is_a_lower_bound_of_at_most_an_hour() {
        let account = AccountId::new("a").unwrap();
        let wish = |secs| Situation {
            hint: Some(Duration::from_secs(secs)),
            ..at(ErrorClass::Throttled, 1, Some((60, 9)))
        };
        assert_eq!(delay(1, &account, wish(60)), Duration::from_secs(60));
        assert_eq!(delay(1, &account, wish(1_000_000_000)), LONGEST_HINT);
    }
}
