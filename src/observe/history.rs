//! What has happened to each account, as far as a person at the status page wants to look back: bounded, without a
//! secret, gone with the account and with the agent.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::core::{Effect, Event, Note, Restored};
use crate::domain::{AccountId, ErrorClass, Now, Timestamp};

/// So many stretches without a valid token are kept of an account, and so many marks.
const GAPS: usize = 4;
const MARKS: usize = 12;
/// A first token that comes within so many seconds was not missed.
const SOON: u32 = 5;

/// Every account of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    accounts: BTreeMap<AccountId, Record>,
}

/// One account's past: 200 bytes at most, whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Nothing is known of the time before.
    since: Second,
    /// The end of the newest token.
    until: Second,
    gaps: Ring<Gap, GAPS>,
    marks: Ring<Mark, MARKS>,
}

/// A stretch without a valid token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gap {
    /// Its first second.
    pub from: Second,
    /// The first second after it.
    pub to: Second,
}

/// Something that has happened at an instant, or the same again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When, the first time.
    pub at: Second,
    /// When, the last time.
    pub last: Second,
    /// How often in a row.
    pub times: u16,
    /// What.
    pub what: What,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum What {
    /// A token came where none lived.
    #[default]
    Issued,
    /// A token came before the last one ended.
    Renewed,
    /// The provider gave the same token again.
    Unchanged,
    /// A request brought none.
    Failed(ErrorClass),
    /// The token ended without a successor.
    Expired,
}

/// Seconds since the epoch, up to the year 2106.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Second(u32);

/// The newest `N` of a kind, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ring<T, const N: usize> {
    kept: [T; N],
    count: u8,
}

impl History {
    /// Something has happened.
    pub fn event(&mut self, event: &Event, now: Now) {
        let Event::Configured { plan, restored, .. } = event else { return };
        self.accounts.retain(|name, _| plan.accounts.contains_key(name));
        for name in plan.accounts.keys() {
            // One that stays keeps its past: where it has another identity now, an effect disowns its token.
            let record = || Record::new(restored.get(name), now.wall);
            self.accounts.entry(name.clone()).or_insert_with(record);
        }
    }

    /// Whether [`History::effect`] has anything to do with it; what is not so needs no copy.
    #[must_use]
    pub fn concerns(effect: &Effect) -> bool {
        let notes = |note: &Note| {
            matches!(
                note,
                Note::Renewed { .. }
                    | Note::Unchanged { .. }
                    | Note::Failing { .. }
                    | Note::Expired { .. }
                    | Note::Removed { .. }
            )
        };
        matches!(effect, Effect::Disown { .. }) || matches!(effect, Effect::Say(note) if notes(note))
    }

    /// Something is said or done.
    pub fn effect(&mut self, effect: &Effect, now: Now) {
        let now = Second::from(now.wall);
        match effect {
            Effect::Disown { account } => self.with(account, |record| record.until = record.until.min(now)),
            Effect::Say(Note::Renewed { account, expires_at, .. }) => {
                self.with(account, |record| record.renewed(now, (*expires_at).into()));
            }
            Effect::Say(Note::Unchanged { account, expires_at, .. }) => self.with(account, |record| {
                record.until = (*expires_at).into();
                record.mark(now, What::Unchanged);
            }),
            Effect::Say(Note::Failing { account, class, .. }) => {
                self.with(account, |record| record.mark(now, What::Failed(*class)));
            }
            Effect::Say(Note::Expired { account, .. }) => self.with(account, |record| {
                record.until = record.until.min(now);
                record.mark(now, What::Expired);
            }),
            Effect::Say(Note::Removed { account }) => {
                self.accounts.remove(account);
            }
            _ => {}
        }
    }

    /// An account's past.
    #[must_use]
    pub fn of(&self, account: &str) -> Option<&Record> {
        self.accounts.get(account)
    }

    fn with(&mut self, account: &AccountId, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.accounts.get_mut(account) {
            change(record);
        }
    }
}

impl Record {
    /// A stored token has been valid from when it was issued.
    fn new(stored: Option<&Restored>, now: Timestamp) -> Self {
        let now = Second::from(now);
        let (gaps, marks) = (Ring::new(Gap::default()), Ring::new(Mark::default()));
        let mut record = Self { since: now, until: now, gaps, marks };
        if let Some(token) = stored.and_then(|stored| stored.token) {
            let issued = Second::from(token.issued_at);
            (record.since, record.until) = (issued.min(now), token.expires_at.into());
            record.mark(issued.min(now), What::Issued);
        }
        if let Some(error) = stored.and_then(|stored| stored.error.as_ref()) {
            record.mark(Second::from(error.at).min(now), What::Failed(error.class));
        }
        record
    }

    /// Nothing is known of the time before.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.since.into()
    }

    /// The stretches without a valid token, oldest first, apart from each other; the last one may last.
    pub fn gaps(&self, now: Timestamp) -> impl Iterator<Item = Gap> {
        let open = Gap { from: self.floor(), to: now.into() };
        self.gaps.iter().chain((open.from < open.to).then_some(open))
    }

    /// Since when there has been a valid token without a break; `None` where there is none.
    #[must_use]
    pub fn valid_since(&self, now: Timestamp) -> Option<Timestamp> {
        let since = self.gaps.iter().last().map_or(self.since, |gap| gap.to);
        (self.until > Second::from(now)).then(|| since.into())
    }

    /// What has happened, oldest first.
    pub fn marks(&self) -> impl DoubleEndedIterator<Item = Mark> + '_ {
        self.marks.iter()
    }

    fn renewed(&mut self, now: Second, until: Second) {
        if self.since == self.until && now.0.saturating_sub(self.since.0) <= SOON {
            (self.since, self.until) = (now, now);
        }
        let first = self.floor();
        let lived = self.until > now;
        if first < now {
            // What falls out of the ring is the beginning of what is known.
            if let Some(oldest) = self.gaps.push(Gap { from: first, to: now }) {
                self.since = oldest.to;
            }
        }
        self.until = until;
        self.mark(now, if lived { What::Renewed } else { What::Issued });
    }

    /// Where the next gap would begin: gaps stay in order although clocks jump.
    fn floor(&self) -> Second {
        self.gaps.iter().last().map_or(self.until, |gap| self.until.max(gap.to))
    }

    /// The same failure again lengthens the mark before.
    fn mark(&mut self, at: Second, what: What) {
        let repeats = matches!(what, What::Failed(_) | What::Unchanged);
        match self.marks.last_mut() {
            Some(mark) if repeats && mark.what == what => {
                mark.last = at.max(mark.at);
                mark.times = mark.times.saturating_add(1);
            }
            _ => {
                self.marks.push(Mark { at, last: at, times: 1, what });
            }
        }
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self { at: Second(0), last: Second(0), times: 1, what: What::Issued }
    }
}

impl<T: Copy, const N: usize> Ring<T, N> {
    fn new(filler: T) -> Self {
        Self { kept: [filler; N], count: 0 }
    }

    /// Gives the oldest one where it had to go.
    fn push(&mut self, new: T) -> Option<T> {
        let count = usize::from(self.count);
        if let Some(place) = self.kept.get_mut(count) {
            *place = new;
            self.count += 1;
            return None;
        }
        self.kept.rotate_left(1);
        self.kept.last_mut().map(|last| std::mem::replace(last, new))
    }

    fn last_mut(&mut self) -> Option<&mut T> {
        self.kept.get_mut(usize::from(self.count).checked_sub(1)?)
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = T> + '_ {
        self.kept.iter().take(usize::from(self.count)).copied()
    }
}

impl From<Timestamp> for Second {
    fn from(at: Timestamp) -> Self {
        Self(u32::try_from(at.as_secs().max(0)).unwrap_or(u32::MAX))
    }
}

impl From<Second> for Timestamp {
    fn from(second: Second) -> Self {
        Self::from_secs(i64::from(second.0))
    }
}
