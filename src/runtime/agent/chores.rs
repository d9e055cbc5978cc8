//! What is looked after now and then, whether or not anything has happened.

use std::time::Duration;

use tokio::time::sleep;

use super::super::clock;
use super::super::credentials;
use super::super::drift::{self, Listed};
use super::super::servers::VAULT;
use super::{Agent, Done, reload};
use crate::core::Event;
use crate::domain::BootInstant;

/// State that could not be written is tried again this often.
const FLUSH_PAUSE: Duration = Duration::from_secs(5);
/// A Vault that accounts wait for is tried again after this, then ever more rarely.
const FIRST_KNOCK: Duration = Duration::from_secs(1);
/// The longest pause between two of these tries.
const LAST_KNOCK: Duration = Duration::from_secs(60);
/// Credentials that stand in Vault are looked at this often.
const LOOK_INTO_VAULT: Duration = Duration::from_secs(600);

/// Whether Vault is asked if it answers again, for accounts that wait for secrets from there.
#[derive(Default)]
pub(super) struct Knocking {
    busy: bool,
    /// Tries in a row, also those that were answered where accounts went on to wait: one that is slow is not hurried.
    rounds: u32,
    /// When the last one ended.
    ended: Option<BootInstant>,
}

impl Agent {
    /// While accounts lack secrets because Vault is away, one of them tries it, more and more rarely.
    pub(super) fn knock(&mut self) {
        if self.knocking.busy {
            return;
        }
        let lacking = self.engine.lacking(VAULT).next().cloned();
        let Some(account) = lacking.and_then(|name| self.account(&name)) else {
            return;
        };
        let now = clock::now().boot;
        if self.knocking.ended.is_none_or(|ended| now.since(ended) > LAST_KNOCK) {
            self.knocking.rounds = 0;
        }
        self.knocking.busy = true;
        let pause = (FIRST_KNOCK * 2_u32.saturating_pow(self.knocking.rounds.min(6))).min(LAST_KNOCK);
        let keys = self.servers.keys.clone();
        self.tasks.spawn(async move {
            sleep(pause).await;
            Done::Knocked(credentials::vault_answers(&account, keys.as_deref()).await)
        });
    }

    pub(super) fn knocked(&mut self, answers: bool) {
        let rounds = self.knocking.rounds.saturating_add(1);
        self.knocking = Knocking { busy: false, rounds, ended: Some(clock::now().boot) };
        if answers {
            self.apply(Event::ServerAnswers { server: VAULT.into() });
        } else {
            self.knock();
        }
    }

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

    /// Looks at delivered files, off the loop.
    pub(super) fn look_at(&mut self, listed: Listed, whole: bool) {
        if whole || !listed.is_empty() {
            self.tasks.spawn_blocking(move || Done::Looked(drift::suspicious(listed), whole));
        }
    }
}
