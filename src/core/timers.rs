//! Deadlines as an ordered set by each clock. A timer is due as soon as either clock has reached it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{BootInstant, Deadline, Now, Timestamp};

/// At most one deadline a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timers<K: Ord> {
    deadlines: BTreeMap<K, Deadline>,
    by_wall: BTreeSet<(Timestamp, K)>,
    by_boot: BTreeSet<(BootInstant, K)>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { deadlines: BTreeMap::new(), by_wall: BTreeSet::new(), by_boot: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets the key's deadline in place of the one before.
    pub(super) fn set(&mut self, key: K, deadline: Deadline) {
        self.clear(&key);
        self.by_wall.insert((deadline.wall, key.clone()));
        self.by_boot.insert((deadline.boot, key.clone()));
        self.deadlines.insert(key, deadline);
    }

    /// Forgets the key's deadline.
    pub(super) fn clear(&mut self, key: &K) {
        if let Some((key, deadline)) = self.deadlines.remove_entry(key) {
            let (by_wall, by_boot) = ((deadline.wall, key.clone()), (deadline.boot, key));
            self.by_wall.remove(&by_wall);
            self.by_boot.remove(&by_boot);
        }
    }

    /// The key's deadline.
    pub(super) fn at(&self, key: &K) -> Option<Deadline> {
        self.deadlines.get(key).copied()
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.deadlines.keys()
    }

    /// Takes one key that is due, with its deadline.
    pub(super) fn pop_due(&mut self, now: Now) -> Option<(K, Deadline)> {
        let by_wall = self.by_wall.first().filter(|(at, _)| *at <= now.wall).map(|(_, key)| key);
        let by_boot = self.by_boot.first().filter(|(at, _)| *at <= now.boot).map(|(_, key)| key);
        let key = by_wall.or(by_boot)?.clone();
        let deadline = self.at(&key)?;
        self.clear(&key);
        Some((key, deadline))
    }

    /// The time until the first one is due; zero where it is.
    pub(super) fn next(&self, now: Now) -> Option<Duration> {
        let by_wall = self.by_wall.first().map(|(at, _)| at.since(now.wall));
        let by_boot = self.by_boot.first().map(|(at, _)| at.since(now.boot));
        by_wall.into_iter().chain(by_boot).min()
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
        assert_eq!(timers.next(START), None);
    }

    #[test]
    fn setting_again_replaces() {
        let mut timers = Timers::default();
        timers.set("a", START.after(Duration::from_secs(1)));
        timers.set("a", START.after(Duration::from_secs(60)));
        assert_eq!(timers.next(START), Some(Duration::from_secs(60)));
        timers.clear(&"a");
        assert_eq!(timers, Timers::default());
    }
}
