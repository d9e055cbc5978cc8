use std::time::Duration;

use crate::domain::BootInstant;

/// Renewals that come together are one change.
const TOGETHER: Duration = Duration::from_millis(250);

/// A command that has run for this long is well.
const WELL: Duration = Duration::from_secs(10);

/// The shortest and the longest time between two starts of a command that is started anew again and again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// When the command may be told or started anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    started: BootInstant,
    pause: Duration,
}

impl Pace {
    /// The command has been started for the first time.
    pub(super) fn begin(now: BootInstant) -> Self {
        Self { started: now, pause: PAUSES.0 }
    }

    /// It has been started anew: soon after the last time means a longer pause before the next.
    pub(super) fn again(&mut self, now: BootInstant) {
        let ran = now.since(self.started);
        self.pause = if ran < WELL.max(self.pause * 2) { (self.pause * 2).min(PAUSES.1) } else { PAUSES.0 };
        self.started = now;
    }

    /// When it is told of a change.
    pub(super) fn tell_at(now: BootInstant) -> BootInstant {
        now.plus(TOGETHER)
    }

    /// When it is started anew for a change.
    pub(super) fn restart_at(&self, now: BootInstant) -> BootInstant {
        now.plus(TOGETHER).max(self.started.plus(self.pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> BootInstant {
        BootInstant(seconds * 1000)
    }

    #[test]
    fn a_command_that_ran_well_is_started_anew_at_once() {
        let mut pace = Pace::begin(at(0));
        assert_eq!(pace.restart_at(at(100)), at(100).plus(TOGETHER));
        pace.again(at(101));
        assert_eq!(pace.restart_at(at(200)), at(200).plus(TOGETHER));
    }

    #[test]
    fn restarts_one_after_another_back_off_to_half_a_minute_and_recover() {
        let mut pace = Pace::begin(at(0));
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let next = pace.restart_at(now);
            pauses.push(next.since(now).as_secs());
            now = next;
            pace.again(now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        pace.again(now.plus(Duration::from_secs(3600)));
        assert_eq!(pace.pause, PAUSES.0);
    }
}
