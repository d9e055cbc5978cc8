//! What is looked after now and then, whether or not anything has happened.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::clock;
use super::super::drift::{self, Listed};
use super::{Agent, Done, reload};
use crate::core::Event;
use crate::domain::{AccountId, BootInstant};

/// State that could not be written is tried again this often.
const FLUSH_PAUSE: Duration = Duration::from_secs(5);
/// Credentials that stand in Vault are looked at this often.
const LOOK_INTO_VAULT: Duration = Duration::from_secs(600);
/// Files with secrets that did not answer are looked at again this often: they may answer without having changed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

impl Agent {
    pub(super) fn tick(&mut self) {
        self.apply(Event::Tick);
        let now = clock::now().boot;
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
        if self.flushing || now.since(self.looked_for_dirt) < FLUSH_PAUSE {
            return;
        }
        self.looked_for_dirt = now;
        if !self.shared.store.dirty().is_empty() {
            self.flushing = true;
            let store = self.shared.store.clone();
            self.tasks.spawn_blocking(move || {
                let failed = store.flush_dirty().err().unwrap_or_default();
                Done::Flushed(failed.iter().map(ToString::to_string).collect())
            });
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
