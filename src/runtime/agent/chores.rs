//! What is looked after now and then, whether or not anything has happened.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::clock;
use super::super::drift::{self, Listed};
use super::{Agent, Done, reload};
use crate::core::Event;
use crate::domain::{AccountId, BootInstant, Now};

/// State that could not be written is tried again this often.
const FLUSH_PAUSE: Duration = Duration::from_secs(5);
/// A disk that does not answer for so long is spoken of.
pub(super) const HANGS: Duration = Duration::from_secs(10);
/// What has left the configuration is kept for so long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// What is older is looked for this often.
const LOOK_FOR_OLD: Duration = Duration::from_secs(86_400);
/// The two clocks have parted by more: the wall clock was set. Less is drift.
const PARTED: u64 = 1_000;
/// Credentials that stand in Vault are looked at this often.
const LOOK_INTO_VAULT: Duration = Duration::from_secs(600);
/// Files with secrets that did not answer are looked at again this often: they may answer without having changed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Agent {
    pub(super) fn tick(&mut self) {
        self.apply(Event::Tick);
        let both = clock::now();
        self.note_steps(both);
        let now = both.boot;
        self.ticked = now;
        if let Some(all) = self.drift.sweep(now) {
            self.look_at(all, true);
        }
        let overdue = self.drift.overdue(now);
        self.look_at(overdue, false);
        self.maintain_login(now);
        if now.since(self.looked_into_vault) >= LOOK_INTO_VAULT {
            self.looked_into_vault = now;
            self.look_at_secrets(reload::stands_in_vault);
        }
        if now.since(self.looked_again) >= LOOK_AGAIN {
            self.looked_again = now;
            self.look_at_silent_secrets();
        }
        if now.since(self.looked_for_old) >= LOOK_FOR_OLD {
            self.look_for_old();
        }
        if let Some(since) = self.flushing {
            if !self.hangs && now.since(since) >= HANGS {
                self.hangs = true;
                self.observer.state_hangs(self.shared.store.path(), HANGS);
            }
            return;
        }
        if now.since(self.looked_for_dirt) < FLUSH_PAUSE {
            return;
        }
        self.looked_for_dirt = now;
        if !self.shared.store.dirty().is_empty() {
            self.flushing = Some(now);
            let store = self.shared.store.clone();
            self.tasks.spawn_blocking(move || {
                let failed = store.flush_dirty().err().unwrap_or_default();
                Done::Flushed(failed.iter().map(ToString::to_string).collect())
            });
        }
    }

    /// State of accounts that left long ago is forgotten.
    pub(super) fn look_for_old(&mut self) {
        let now = clock::now();
        self.looked_for_old = now.boot;
        let store = self.shared.store.clone();
        self.tasks.spawn_blocking(move || {
            Done::Purged(store.purge_older_than(now.wall, KEPT).map_err(|error| error.to_string()))
        });
    }

    /// Where the wall clock was set, the records note what that makes of their tokens' age: after the next boot nobody could
    /// tell.
    fn note_steps(&mut self, now: Now) {
        let boot = i64::try_from(now.boot.0).unwrap_or(i64::MAX);
        let apart = now.wall.as_millis().saturating_sub(boot);
        if self.clocks.is_some_and(|known| known.abs_diff(apart) < PARTED) {
            return;
        }
        self.clocks = Some(apart);
        let names: Vec<AccountId> = self.engine.names().cloned().collect();
        for account in names {
            let record = self.shared.store.latest(&account);
            if let Some(step) = record.and_then(|record| record.unnoted_step(now, clock::boot_id())) {
                self.save(account, move |record| record.note_step(step));
            }
        }
    }

    /// A login that nobody uses must not end unnoticed: a configured token cannot be had again.
    fn maintain_login(&mut self, now: BootInstant) {
        let Some(vault) = self.servers.vault.clone().filter(|_| !self.maintaining) else { return };
        if vault.next_maintenance().is_some_and(|due| due <= now) {
            self.maintaining = true;
            self.tasks.spawn(async move {
                Done::Maintained(vault.maintain().await.map_err(|error| match error.hint() {
                    Some(hint) => format!("{error}; hint: {hint}"),
                    None => error.to_string(),
                }))
            });
        }
    }

    fn look_at_silent_secrets(&mut self) {
        let probes = &self.running.probes;
        let silent = probes.iter().filter(|(_, probe)| probe.away).map(|(name, _)| name.clone());
        let silent: BTreeSet<AccountId> = silent.collect();
        self.look_at_secrets(|account| !reload::stands_in_vault(account) && silent.contains(&account.name));
    }

    /// Looks at delivered files, off the loop.
    pub(super) fn look_at(&mut self, listed: Listed, whole: bool) {
        if whole || !listed.is_empty() {
            self.tasks.spawn_blocking(move || Done::Looked(drift::suspicious(listed), whole));
        }
    }
}
