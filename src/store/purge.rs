//! What is forgotten once it is old. A refresh token is worth more than its place on the disk, and a clock may run years
//! ahead at a boot until it is put right: what one look finds old is noted, and goes where a look a day later still does.

use std::time::Duration;

use super::{AccountId, Durability, Record, RefreshSlot, Store, StoreError};
use crate::domain::Timestamp;

/// What was found old so long ago is.
const CONFIRMED: Duration = Duration::from_secs(86_400);

/// What a look makes of a record.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It stays as it is.
    Stays,
    /// Nothing is old, as was thought before; or what is was found so only now.
    Note(Option<Timestamp>),
    /// It is old.
    Old,
}

impl Store {
    /// Removes the records of accounts that left the configuration (`removed_at`) at least `age` before `now`, and
    /// names them; what the others have put aside for so long is forgotten, too. Both only where a look a day before
    /// found them as old. Files that were not restored are looked into. Blocks.
    ///
    /// # Errors
    /// The first that failed, after all others were tried.
    pub fn purge_older_than(&self, now: Timestamp, age: Duration) -> Result<Vec<AccountId>, StoreError> {
        let (mut purged, mut failed) = (Vec::new(), None);
        for account in self.stored()? {
            let Ok(Some(record)) = self.restore(&account) else { continue };
            let done = match judge(&record, now, age) {
                Verdict::Stays => Ok(()),
                Verdict::Note(since) => {
                    self.update_blocking(&account, Durability::Cached, |record| record.old_since = since)
                }
                Verdict::Old if has_left(&record, now, age) => {
                    self.remove(&account).map(|()| purged.push(account))
                }
                Verdict::Old => {
                    let mark = |slot: &RefreshSlot| self.seed_mark(&slot.token);
                    self.update_blocking(&account, Durability::Cached, |record| {
                        record.forget_aside(now, age, mark);
                        record.old_since = None;
                    })
                }
            };
            failed = failed.or(done.err());
        }
        failed.map_or(Ok(purged), Err)
    }
}

fn judge(record: &Record, now: Timestamp, age: Duration) -> Verdict {
    let is_old = has_left(record, now, age) || record.has_old_aside(now, age);
    match record.old_since {
        None if !is_old => Verdict::Stays,
        Some(_) if !is_old => Verdict::Note(None),
        Some(since) if since.plus(CONFIRMED) <= now => Verdict::Old,
        Some(since) if since <= now => Verdict::Stays,
        // Found so for the first time, or by a clock that was ahead of this one.
        _ => Verdict::Note(Some(now)),
    }
}

/// Whether its account left so long ago. It did not leave before it was last renewed, whatever the clock said then.
fn has_left(record: &Record, now: Timestamp, age: Duration) -> bool {
    let active = record.schedule.last_request.max(record.current.as_ref().map(|token| token.meta.issued_at));
    record.removed_at.is_some_and(|at| active.map_or(at, |active| at.max(active)).plus(age) <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fingerprint;

    const DAY: Duration = Duration::from_secs(86_400);
    const AGE: Duration = Duration::from_secs(30 * 86_400);

    fn at(days: u32) -> Timestamp {
        Timestamp::from_secs(1_800_000_000).plus(DAY * days)
    }

    fn left() -> Record {
        let account = AccountId::new("gone").unwrap();
        let removed_at = Some(at(0));
        Record { removed_at, ..Record::new(account, String::new(), Fingerprint::default()) }
    }

    #[test]
    fn what_is_old_goes_only_where_a_look_a_day_before_found_it_so() {
        let cases = [
            (None, 29, Verdict::Stays),
            (None, 30, Verdict::Note(Some(at(30)))),
            (Some(at(30)), 30, Verdict::Stays),
            (Some(at(30)), 31, Verdict::Old),
            (Some(at(60)), 29, Verdict::Note(None)),
            (Some(at(60)), 31, Verdict::Note(Some(at(31)))),
        ];
        for (old_since, day, verdict) in cases {
            let record = Record { old_since, ..left() };
            assert_eq!(judge(&record, at(day), AGE), verdict, "{old_since:?}, {day}");
        }
    }

    #[test]
    fn an_account_that_left_while_the_clock_was_behind_has_its_time_from_its_last_renewal() {
        let mut record = left();
        record.removed_at = Some(Timestamp::from_secs(0));
        record.schedule.last_request = Some(at(0));
        assert_eq!(judge(&record, at(29), AGE), Verdict::Stays);
        assert_eq!(judge(&record, at(30), AGE), Verdict::Note(Some(at(30))));
    }
}
