//! The choke point: whatever happens passes here once, on its way into the engine or out of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::history::History;
use super::log;
use super::metrics::{Counters, Recorder};
use super::stderr;
use crate::core::{Effect, Event, HookId, SetId, TargetId};
use crate::domain::{AccountId, ErrorClass, Now, human_duration};

/// Sees everything, decides nothing.
#[derive(Debug, Default)]
pub struct Observer {
    /// What each target was last warned of: said once.
    warned: BTreeMap<TargetId, Vec<String>>,
    /// Accounts whose state cannot be written: said once.
    unsaved: BTreeMap<AccountId, String>,
    /// Why the login at Vault cannot be renewed: said once.
    login_trouble: Option<String>,
    /// What the hooks of each set are called.
    hooks: BTreeMap<SetId, BTreeMap<HookId, String>>,
    recorder: Recorder,
    /// Copied only where it changes while someone looks at it.
    history: Arc<History>,
}

/// A finished request to a provider.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Whose.
    pub account: &'a AccountId,
    /// Whether the provider was asked at all.
    pub asked: bool,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What came of it.
    pub outcome: Result<(), ErrorClass>,
    /// The provider's clock against ours, in milliseconds, where it says.
    pub clock_offset_ms: Option<i64>,
    /// Something to look at although it went well.
    pub warnings: &'a [String],
}

impl Observer {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        let mut counters = self.recorder.counters();
        match stderr::dropped() {
            0 => {}
            dropped => Arc::make_mut(&mut counters).log_lines_dropped(dropped),
        }
        counters
    }

    /// What has happened to each account of late.
    #[must_use]
    pub fn history(&self) -> Arc<History> {
        Arc::clone(&self.history)
    }

    /// From now on the hooks have these names.
    pub fn call_hooks(&mut self, hooks: BTreeMap<SetId, BTreeMap<HookId, String>>) {
        self.hooks = hooks;
    }

    /// The name of that hook of the set; empty where there is none.
    #[must_use]
    pub fn hook(&self, set: &SetId, hook: HookId) -> &str {
        self.hooks.get(set).and_then(|names| names.get(&hook)).map_or("", String::as_str)
    }

    /// Whether the set has a hook of that name.
    #[must_use]
    pub fn has_hook(&self, set: &SetId, name: &str) -> bool {
        self.hooks.get(set).is_some_and(|names| names.values().any(|known| known == name))
    }

    /// Something has happened.
    pub fn event(&mut self, event: &Event, now: Now) {
        self.recorder.event(event, now);
        if matches!(event, Event::Configured { .. }) {
            Arc::make_mut(&mut self.history).event(event, now);
        }
        tracing::trace!(event = "event", kind = ?event, "event");
    }

    /// Something is to be done.
    pub fn effect(&mut self, effect: &Effect, now: Now) {
        self.recorder.effect(effect, now);
        if History::concerns(effect) {
            Arc::make_mut(&mut self.history).effect(effect, now);
        }
        match effect {
            Effect::Say(note) => log::say(note, |set, hook| self.hook(set, hook)),
            other => tracing::trace!(event = "effect", kind = ?other, "effect"),
        }
    }

    /// A request to a provider has ended.
    pub fn exchange(&mut self, exchange: &Exchange<'_>, now: Now) {
        let Exchange { account, asked, status, outcome, warnings, .. } = exchange;
        let took_ms = self.recorder.exchange(exchange, now).map(|took| took.as_millis());
        let result = outcome.map_or_else(ErrorClass::as_str, |()| "issued");
        tracing::debug!(event = "exchange", %account, asked, status, took_ms, result, "exchange");
        for warning in *warnings {
            tracing::warn!(event = "reply_warning", %account, "{warning}");
        }
    }

    /// A source of that account's credential was found to have other content; never what.
    pub fn credential_changed(&self, account: &AccountId, credential: &str, source: &str) {
        tracing::info!(event = "credential_changed", %account, credential, source, "a credential has other content");
    }

    /// A delivery worked, but not as it should.
    pub fn warnings(&mut self, target: &TargetId, warnings: &[String]) {
        if warnings.is_empty() {
            self.warned.remove(target);
        } else if self.warned.get(target).is_none_or(|known| known != warnings) {
            for warning in warnings {
                tracing::warn!(event = "sink_warning", sink = %target, "{warning}");
            }
            self.warned.insert(target.clone(), warnings.to_vec());
        }
    }

    /// What had been delivered was not there any more as it was, and is again.
    ///
    /// Where a link had been put in the place of the delivered file (`displaced`), what that names was not touched.
    pub fn mended(&mut self, target: &TargetId, displaced: bool) {
        match displaced {
            true => tracing::warn!(
                event = "sink_mended",
                sink = %target,
                "a symbolic link was put in its place by someone else: it was not followed, and the file stands there again"
            ),
            false => tracing::warn!(
                event = "sink_mended",
                sink = %target,
                "was removed or changed by someone else, and is written again"
            ),
        }
    }

    /// A hook of that kind has run, or failed.
    pub fn hook_ran(&mut self, kind: &'static str, ok: bool) {
        self.recorder.hook_run(kind, ok);
    }

    /// The agent stops, and waits `at_most` so long for a hook that runs.
    pub fn hook_awaited(&self, set: &SetId, hook: HookId, at_most: Duration) {
        log::hook_awaited(set, self.hook(set, hook), at_most);
    }

    /// The login at Vault was renewed or made anew, or could not be: said once.
    pub fn maintained(&mut self, result: &Result<(), String>) {
        let error = result.as_ref().err();
        if self.login_trouble.as_ref() != error {
            match error {
                Some(error) => tracing::error!(
                    event = "vault_login_failing",
                    error,
                    "the login at Vault cannot be renewed"
                ),
                None => tracing::info!(event = "vault_login_back", "the login at Vault is renewed again"),
            }
            self.login_trouble = error.cloned();
        }
    }

    /// What hooks were told could not be kept: after a restart they may be told again.
    pub fn not_marked(&mut self, error: &str) {
        tracing::warn!(event = "marks_not_saved", error, "what hooks were told could not be noted");
    }

    /// What was delivered to a target that has left the configuration was deleted, or was not.
    pub fn deleted(&mut self, target: &TargetId, result: Result<bool, &str>) {
        self.warned.remove(target);
        match result {
            Ok(true) => {
                tracing::info!(event = "sink_deleted", sink = %target, "deleted, as its sink was removed")
            }
            Ok(false) => {}
            Err(error) => tracing::error!(event = "sink_not_deleted", sink = %target, error, "stays behind"),
        }
    }

    /// It was not deleted, since another target delivers to the same place.
    pub fn taken_over(&mut self, target: &TargetId) {
        self.warned.remove(target);
        tracing::info!(event = "sink_taken_over", sink = %target, "not deleted: another sink delivers to this very place");
    }

    /// State could not be written; it is kept in memory and tried again.
    pub fn not_saved(&mut self, account: &AccountId, error: &str) {
        if self.unsaved.get(account).map(String::as_str) != Some(error) {
            tracing::error!(event = "state_not_saved", %account, error, "state cannot be written, trying again");
            self.unsaved.insert(account.clone(), error.to_owned());
        }
    }

    /// Writing state has not come to an end for so long; what can be asked for again goes on without.
    pub fn state_hangs(&mut self, state_dir: &Path, so_long: Duration) {
        tracing::error!(
            event = "state_hangs",
            "writing to `{}` has not ended for {}: its disk hangs; accounts that log in are renewed all the same, those \
             that spend refresh tokens wait for it",
            state_dir.display(),
            human_duration(so_long)
        );
    }

    /// It has ended.
    pub fn state_answers(&mut self) {
        tracing::info!(event = "state_answers", "the disk of the state answers again");
    }

    /// A try to write what could not be written before.
    pub fn flushed(&mut self, errors: &[String]) {
        if errors.is_empty() && !self.unsaved.is_empty() {
            tracing::info!(event = "state_saved", "state is written again");
            self.unsaved.clear();
        }
    }

    /// State of accounts that left long ago was removed.
    pub fn purged(&mut self, result: &Result<Vec<AccountId>, String>) {
        match result {
            Ok(accounts) => {
                for account in accounts {
                    tracing::info!(event = "state_purged", %account, "state of a removed account was deleted after 30 days");
                }
            }
            Err(error) => tracing::warn!(event = "state_not_purged", error, "old state could not be removed"),
        }
    }

    /// The configuration is being read again.
    pub fn reloading(&mut self) {
        tracing::debug!(event = "reloading", "reading the configuration again");
    }

    /// It was found good.
    pub fn reloaded(&mut self, generation: u64, changed: bool, healed: bool) {
        if changed {
            tracing::info!(event = "reloaded", generation, "the new configuration runs");
        } else if healed {
            tracing::info!(
                event = "reloaded",
                generation,
                "the configuration is as it was before it was broken"
            );
        } else {
            tracing::debug!(event = "reloaded", generation, "the configuration has not changed");
        }
    }

    /// It was found bad.
    pub fn reload_failed(&mut self, error: &str) {
        tracing::error!(
            event = "reload_failed",
            error,
            "the new configuration is refused, the old one runs on"
        );
    }
}
