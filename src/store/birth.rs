//! How old a stored token is, whatever has become of the wall clock since.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::domain::{BootId, BootInstant, Now, Timestamp, TokenMeta};

/// The two clocks part a little all the time: so much says that the wall clock was set.
const SET: Duration = Duration::from_secs(1);

/// When a token was asked for, on the clock that never jumps. A wall clock that ran ahead then and was put right since
/// would make a restarted agent take the token for younger than it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Which token: its [`TokenMeta::issued_at`].
    issued_at: Timestamp,
    /// The boot that `at` counts from.
    boot: BootId,
    /// The instant.
    at: BootInstant,
    /// By how many milliseconds the wall clock had been set back since then, when an agent last looked.
    #[serde(default, skip_serializing_if = "is_zero")]
    set_back: u64,
}

impl Birth {
    /// Of a token that was asked for at `now`, in that boot.
    #[must_use]
    pub fn at(now: Now, boot: BootId) -> Self {
        Self { issued_at: now.wall, boot, at: now.boot, set_back: 0 }
    }
}

impl Record {
    /// How old the current token is, where that is known without trusting the wall clock alone. `boot` is the boot that
    /// `now` counts from.
    ///
    /// In another boot than the token's only what an agent has seen of the wall clock counts.
    #[must_use]
    pub fn age(&self, now: Now, boot: Option<BootId>) -> Option<Duration> {
        let (meta, birth) = self.born()?;
        if boot == Some(birth.boot) {
            // Another clock of the same boot (a time namespace) may be behind.
            return (now.boot >= birth.at).then(|| now.boot.since(birth.at));
        }
        Some(now.wall.since(meta.issued_at).saturating_add(Duration::from_millis(birth.set_back)))
    }

    /// By how much the wall clock has been set back since the current token was asked for, where an agent of another
    /// boot would not see that and this is not noted yet.
    #[must_use]
    pub fn unnoted_step(&self, now: Now, boot: Option<BootId>) -> Option<u64> {
        let (meta, birth) = self.born()?;
        if boot != Some(birth.boot) || now.boot < birth.at {
            return None;
        }
        let (age, seen) = (now.boot.since(birth.at), now.wall.offset_from(meta.issued_at));
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let set_back = u64::try_from(age.saturating_sub(seen)).unwrap_or(0);
        (Duration::from_millis(set_back.abs_diff(birth.set_back)) > SET).then_some(set_back)
    }

    /// Notes it.
    pub fn note_step(&mut self, set_back: u64) {
        if let Some(birth) = &mut self.birth {
            birth.set_back = set_back;
        }
    }

    fn born(&self) -> Option<(TokenMeta, Birth)> {
        let (meta, birth) = (self.current.as_ref()?.meta, self.birth?);
        (birth.issued_at == meta.issued_at).then_some((meta, birth))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(set_back: &u64) -> bool {
    *set_back == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountId, Generation, Secret, Token};
    use crate::store::Fingerprint;

    const ISSUED: i64 = 1_800_000_000;

    fn boot(id: &str) -> BootId {
        id.parse().unwrap()
    }

    fn at(wall: i64, boot: u64) -> Now {
        Now { wall: Timestamp::from_secs(ISSUED + wall), boot: BootInstant(boot * 1000) }
    }

    /// Asked for 100 s after boot 1.
    fn record() -> Record {
        let mut record = Record::new(AccountId::new("a").unwrap(), String::new(), Fingerprint::default());
        let meta = TokenMeta {
            generation: Generation(1),
            issued_at: at(0, 0).wall,
            expires_at: Timestamp::from_secs(ISSUED + 3_600),
        };
        let (token_type, extra) = ("Bearer".to_owned(), Vec::new());
        record.current = Some(Token { meta, access_token: Secret::from("t"), token_type, extra });
        record.birth = Some(Birth::at(at(0, 100), boot("1")));
        record
    }

    #[test]
    fn within_one_boot_the_clock_that_never_jumps_says_how_old_a_token_is() {
        let record = record();
        for wall in [-86_400, 0, 40, 86_400] {
            assert_eq!(record.age(at(wall, 140), Some(boot("1"))), Some(Duration::from_secs(40)), "{wall}");
        }
        assert_eq!(record.age(at(40, 99), Some(boot("1"))), None, "another clock of the same boot");
    }

    #[test]
    fn in_another_boot_what_was_seen_of_the_clock_in_the_tokens_own_counts() {
        let mut record = record();
        assert_eq!(record.age(at(50, 5), Some(boot("2"))), Some(Duration::from_secs(50)));
        // Put right by 25 s: 40 s have gone by, 15 s are seen.
        let now = at(15, 140);
        assert_eq!(record.unnoted_step(now, Some(boot("2"))), None);
        let step = record.unnoted_step(now, Some(boot("1"))).unwrap();
        assert_eq!(step, 25_000);
        record.note_step(step);
        assert_eq!(record.unnoted_step(now, Some(boot("1"))), None, "noted");
        assert_eq!(record.age(at(50, 5), Some(boot("2"))), Some(Duration::from_secs(75)));
        assert_eq!(record.age(at(50, 5), None), Some(Duration::from_secs(75)));
        // And ahead again.
        record.note_step(record.unnoted_step(at(41, 141), Some(boot("1"))).unwrap());
        assert_eq!(record.age(at(50, 5), Some(boot("2"))), Some(Duration::from_secs(50)));
    }

    #[test]
    fn a_clock_that_only_drifts_or_was_set_ahead_is_nothing_to_note() {
        let record = record();
        for wall in [39, 40, 41, 3_000, 86_400] {
            assert_eq!(record.unnoted_step(at(wall, 140), Some(boot("1"))), None, "{wall}");
        }
    }

    #[test]
    fn the_birth_of_one_token_says_nothing_of_another() {
        let mut record = record();
        if let Some(token) = &mut record.current {
            token.meta.issued_at = at(20, 0).wall;
        }
        assert_eq!(record.age(at(40, 140), Some(boot("1"))), None);
        record.current = None;
        assert_eq!(record.age(at(40, 140), Some(boot("1"))), None);
    }
}
