//! Deadlines in order of each clock. A timer is due as soon as either clock has reached it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use super::named::Quickly;
use crate::domain::{BootInstant, Deadline, Now, Timestamp};

/// At most one deadline a key.
///
/// The heaps hold numbers in place of keys, and keep what was replaced or cleared until it comes to their top or is most
/// of them: an item counts only while its number's entry still has that very instant.
#[derive(Clone)]
pub(super) struct Timers<K> {
    numbers: HashMap<K, u32, Quickly>,
    entries: Vec<Option<(K, Deadline)>>,
    free: Vec<u32>,
    by_wall: BinaryHeap<Reverse<(Timestamp, u32)>>,
    by_boot: BinaryHeap<Reverse<(BootInstant, u32)>>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            by_wall: BinaryHeap::new(),
            by_boot: BinaryHeap::new(),
        }
    }
}

impl<K: Hash + Eq + Clone> Timers<K> {
    /// Sets the key's deadline in place of the one before.
    pub(super) fn set(&mut self, key: K, deadline: Deadline) {
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let number = self.free.pop().unwrap_or_else(|| {
                    self.entries.push(None);
                    u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
                });
                self.numbers.insert(key.clone(), number);
                number
            }
        };
        let Some(entry) = self.entries.get_mut(number as usize) else { return };
        let old = entry.replace((key, deadline)).map(|(_, old)| old);
        if old.is_none_or(|old| old.wall != deadline.wall) {
            self.by_wall.push(Reverse((deadline.wall, number)));
        }
        if old.is_none_or(|old| old.boot != deadline.boot) {
            self.by_boot.push(Reverse((deadline.boot, number)));
        }
    }

    /// Forgets the key's deadline.
    pub(super) fn clear(&mut self, key: &K) {
        if let Some(number) = self.numbers.get(key) {
            self.take(*number);
        }
    }

    /// The key's deadline.
    pub(super) fn at(&self, key: &K) -> Option<Deadline> {
        self.deadline(*self.numbers.get(key)?)
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.numbers.keys()
    }

    /// Takes one key that is due, with its deadline.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<(K, Deadline)> {
        self.drop_stale();
        let by_wall = self.by_wall.peek().filter(|Reverse((at, _))| *at <= now.wall).map(|top| top.0.1);
        let by_boot = self.by_boot.peek().filter(|Reverse((at, _))| *at <= now.boot).map(|top| top.0.1);
        self.take(by_wall.or(by_boot)?)
    }

    /// The time until the first one is due; zero where it is. Right after [`Self::pop_due`] has given `None`; early where
    /// something was cleared since.
    pub(super) fn next(&self, now: Now) -> Option<Duration> {
        let by_wall = self.by_wall.peek().map(|Reverse((at, _))| at.since(now.wall));
        let by_boot = self.by_boot.peek().map(|Reverse((at, _))| at.since(now.boot));
        by_wall.into_iter().chain(by_boot).min()
    }

    fn deadline(&self, number: u32) -> Option<Deadline> {
        self.entries.get(number as usize)?.as_ref().map(|(_, deadline)| *deadline)
    }

    fn take(&mut self, number: u32) -> Option<(K, Deadline)> {
        let (key, deadline) = self.entries.get_mut(number as usize)?.take()?;
        self.numbers.remove(&key);
        self.free.push(number);
        Some((key, deadline))
    }

    /// Afterwards the top of each heap counts.
    fn drop_stale(&mut self) {
        while let Some(Reverse((at, number))) = self.by_wall.peek().copied()
            && self.deadline(number).is_none_or(|deadline| deadline.wall != at)
        {
            self.by_wall.pop();
        }
        while let Some(Reverse((at, number))) = self.by_boot.peek().copied()
            && self.deadline(number).is_none_or(|deadline| deadline.boot != at)
        {
            self.by_boot.pop();
        }
        let most = 64 + 4 * self.numbers.len();
        if self.by_wall.len().max(self.by_boot.len()) > most {
            let live = || {
                self.entries.iter().zip(0..).filter_map(|(entry, number)| Some((entry.as_ref()?.1, number)))
            };
            self.by_wall = live().map(|(deadline, number)| Reverse((deadline.wall, number))).collect();
            self.by_boot = live().map(|(deadline, number)| Reverse((deadline.boot, number))).collect();
        }
    }
}

/// Equal are the deadlines; which number a key has does not matter.
impl<K: Hash + Eq + Clone> PartialEq for Timers<K> {
    fn eq(&self, other: &Self) -> bool {
        let same = |(key, deadline): &(K, Deadline)| other.at(key) == Some(*deadline);
        self.numbers.len() == other.numbers.len() && self.entries.iter().flatten().all(same)
    }
}

impl<K: Hash + Eq + Clone> Eq for Timers<K> {}

impl<K: Ord + fmt::Debug> fmt::Debug for Timers<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ordered: BTreeMap<&K, &Deadline> =
            self.entries.iter().flatten().map(|(key, at)| (key, at)).collect();
        f.debug_map().entries(ordered).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Now = Now { wall: Timestamp::from_millis_const(1_000_000), boot: BootInstant(5_000) };

    #[test]
    fn the_earliest_by_either_clock_comes_first_and_once() {
        let mut timers = Timers::default();
        timers.set("late", START.after(Duration::from_secs(9)));
        timers.set("soon", START.after(Duration::from_secs(3)));
        assert_eq!(timers.next(START), Some(Duration::from_secs(3)));
        assert_eq!(timers.pop_due(START), None);
        let boot_only = Now { wall: Timestamp::from_secs(0), boot: BootInstant(8_000) };
        assert_eq!(timers.pop_due(boot_only).map(|(key, _)| key), Some("soon"));
        assert_eq!(timers.pop_due(boot_only), None);
        let wall_only = Now { wall: Timestamp::from_secs(2_000_000), boot: BootInstant(0) };
        assert_eq!(timers.pop_due(wall_only).map(|(key, _)| key), Some("late"));
        assert_eq!(timers.pop_due(wall_only), None);
        assert_eq!(timers.next(START), None);
    }

    #[test]
    fn setting_again_replaces() {
        let mut timers = Timers::default();
        timers.set("a", START.after(Duration::from_secs(1)));
        timers.set("a", START.after(Duration::from_secs(60)));
        assert_eq!(timers.pop_due(START), None);
        assert_eq!(timers.next(START), Some(Duration::from_secs(60)));
        timers.clear(&"a");
        assert_eq!(timers, Timers::default());
        assert_eq!(timers.pop_due(START), None);
        assert_eq!(timers.next(START), None);
    }

    #[test]
    fn a_deadline_that_moves_by_one_clock_alone_is_due_by_that_clock() {
        let at = |wall, boot| Deadline { wall: Timestamp::from_secs(wall), boot: BootInstant(boot) };
        let now = |wall, boot| Now::from(at(wall, boot));
        let mut timers = Timers::default();
        timers.set("a", at(9, 9));
        timers.set("a", at(5, 9));
        assert_eq!(timers.pop_due(now(4, 8)), None);
        assert_eq!(timers.pop_due(now(5, 0)), Some(("a", at(5, 9))));
        timers.set("a", at(9, 9));
        timers.set("a", at(9, 5));
        assert_eq!(timers.pop_due(now(8, 4)), None);
        assert_eq!(timers.pop_due(now(0, 5)), Some(("a", at(9, 5))));
    }

    #[test]
    fn timers_are_equal_where_their_deadlines_are_in_whatever_order_they_were_set() {
        let timers = |keys: &[(&'static str, u64)]| {
            let mut timers = Timers::default();
            keys.iter().for_each(|(key, secs)| timers.set(*key, START.after(Duration::from_secs(*secs))));
            timers
        };
        let (one, other) = (timers(&[("a", 1), ("b", 2)]), timers(&[("b", 2), ("a", 1)]));
        assert_eq!(one, other);
        assert!(format!("{one:?}").starts_with("{\"a\": Deadline"), "{one:?}");
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        for different in [timers(&[("a", 1)]), timers(&[("a", 1), ("b", 3)]), timers(&[("a", 1), ("c", 2)])] {
            assert_ne!(one, different);
            assert_ne!(different, one);
        }
    }

    #[test]
    fn what_was_replaced_is_not_kept_for_ever() {
        let mut timers = Timers::default();
        for count in 0..10_000_u64 {
            timers.set("a", START.after(Duration::from_secs(1_000 + count)));
            timers.set("b", START.after(Duration::from_secs(100_000 - count)));
            assert_eq!(timers.pop_due(START), None);
        }
        assert!(timers.by_wall.len() < 100 && timers.by_boot.len() < 100);
        assert_eq!(timers.next(START), Some(Duration::from_secs(10_999)));
        let first = timers.pop_due(START.after(Duration::from_secs(10_999)).into());
        assert_eq!(first.map(|(key, _)| key), Some("a"));
    }

    #[test]
    fn a_number_that_is_used_again_does_not_wake_an_earlier_owners_deadline() {
        let mut timers = Timers::default();
        timers.set("a", START.after(Duration::from_secs(1)));
        timers.clear(&"a");
        timers.set("b", START.after(Duration::from_secs(9)));
        let later: Now = START.after(Duration::from_secs(5)).into();
        assert_eq!(timers.pop_due(later), None);
        assert_eq!(timers.next(later), Some(Duration::from_secs(4)));
    }
}
