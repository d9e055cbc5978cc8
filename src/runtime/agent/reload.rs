//! How a running agent follows its files: configuration, includes, sources of secrets, calendars. Load, compare,
//! swap: a bad configuration changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::super::calendar;
use super::super::credentials::{self, Probe};
use super::super::deliver::Outlet;
use super::super::restore::{self, Prepared, Running};
use super::super::watch::{Change, Interest};
use super::super::{clock, secret_paths};
use super::{Agent, Done};
use crate::config::Watched;
use crate::config::model::{Account, Calendar, Config, Hook, SecretSource};
use crate::core::{CredentialChange, Event, HookId, SetId, TargetId};
use crate::domain::{AccountId, Timestamp};
use crate::hook;
use crate::observe::audit::Entry;
use crate::store::{Fingerprint, Store};

/// Where the reading of the configuration stands.
#[derive(Default)]
pub(super) struct Reloading {
    pub(super) busy: bool,
    again: bool,
    now: Asked,
    /// What came while one was under way: it may have read the file before they asked.
    next: Asked,
}

/// Who wants to hear how a reading ends.
#[derive(Default)]
struct Asked {
    /// A person, who gets an answer in the log also where it is the same as before.
    aloud: bool,
    waiting: Vec<oneshot::Sender<Reloaded>>,
}

/// The configuration's generation, or why it does not run.
type Reloaded = Result<u64, String>;

/// Why the configuration is read again.
pub(super) enum Why {
    /// A file has changed.
    Changed,
    /// Someone asks for it: by HUP, or over the socket.
    Asked(Option<oneshot::Sender<Reloaded>>),
}

impl Asked {
    fn take(&mut self, why: Why) {
        if let Why::Asked(reply) = why {
            self.aloud = true;
            self.waiting.extend(reply);
        }
    }
}

/// A configuration that cannot run.
#[derive(Debug)]
pub(super) struct Broken {
    error: String,
    /// Files to watch for its mending, beside those of the one that runs.
    watched: Watched,
}

impl Broken {
    fn new(error: &str) -> Self {
        Self { error: error.to_owned(), watched: Watched::default() }
    }
}

impl Agent {
    pub(super) async fn fired(&mut self, calendar: Calendar) {
        if let Some(scheduled) = calendar::scheduled(&calendar, clock::wall()) {
            self.apply(Event::CalendarFired { calendar: calendar.clone(), scheduled });
        }
        if let Err(error) = self.calendars.renew(&calendar).await {
            tracing::error!(event = "calendar_failed", %error, "a calendar could not be set again");
        }
    }

    pub(super) fn changed(&mut self, change: Change) {
        match change {
            Change::Config => self.reload(Why::Changed),
            Change::Secrets(paths) => {
                self.look_at_secrets(|account| secret_paths(account).any(|path| paths.contains(&path)));
            }
            Change::Polling(reason) => {
                tracing::warn!(
                    event = "polling",
                    reason,
                    "file changes cannot be watched and are looked for every 2 s instead"
                );
            }
        }
    }

    pub(super) fn look_at_secrets(&mut self, concerns: impl Fn(&Account) -> bool) {
        let Some(config) = self.running.config.clone() else { return };
        for account in config.accounts.values().filter(|account| concerns(account)) {
            let (shared, account) = (Arc::clone(&self.shared), Arc::clone(account));
            let keys = self.servers.keys.clone();
            self.tasks.spawn(async move {
                let probe = credentials::probe(&account, &shared.store, keys.as_deref()).await;
                Done::Probed(account.name.clone(), probe)
            });
        }
    }

    pub(super) fn probed(&mut self, account: AccountId, mut probe: Probe) {
        let Some(known) = self.running.probes.get_mut(&account) else { return };
        if probe.away {
            known.away = true;
            return; // what is needed right now says so itself
        }
        let changed = probe.follow(known, clock::wall());
        let before = std::mem::replace(known, probe.clone());
        self.note_changes(&account, &changed);
        let first = before.identity.is_none() && probe.identity.is_some();
        let stored = self.shared.store.latest(&account).filter(|_| first).map(|record| record.identity);
        let another = before.identity != probe.identity && probe.missing.is_none();
        let configured = self.account(&account).filter(|_| first || another);
        let adopted = configured
            .as_ref()
            .and_then(|configured| restore::adopt(&self.shared.store, &account, configured, &probe));
        let restored = adopted.and_then(|adopted| {
            self.await_saved(account.clone(), adopted.saving);
            adopted.restored
        });
        // A request that was made with them may have been there first.
        let restored = restored.or_else(|| {
            let configured = configured.as_ref()?;
            Some(restore::recall(&account, configured, &probe, &self.shared.store, &mut Vec::new()))
        });
        let restored = Box::new(restored.unwrap_or_default());
        let news = self.is_news(&account, probe.content, before.content);
        let owner = probe.owner.map(|owner| CredentialChange::Owner(owner.as_u128()));
        let mut tell = |change| self.apply(Event::CredentialChanged { account: account.clone(), change });
        if let Some(message) =
            probe.missing.filter(|_| probe.content != before.content || before.missing.is_none())
        {
            // What is missing says nothing about the identity: the one before stays known.
            tell(CredentialChange::Missing(message));
            if let Some(known) = self.running.probes.get_mut(&account) {
                known.identity = known.identity.take().or(before.identity);
            }
            return;
        }
        if probe.seed != before.seed && before.seed.is_some() && probe.seed.is_some() {
            tell(CredentialChange::Seed);
        }
        match (before.identity, probe.identity) {
            (before, Some(now)) if before.as_ref() != Some(&now) => {
                // Known only now, as it stands in Vault: the stored token may be another one's.
                if let Some(stored) = stored {
                    tell(CredentialChange::Identity(stored.as_u128(), Box::default()));
                }
                tell(CredentialChange::Identity(now.as_u128(), restored));
                if let Some(owner) = owner {
                    tell(owner);
                }
            }
            _ if news || before.missing.is_some() || probe.owner != before.owner => {
                tell(owner.unwrap_or(CredentialChange::Secret));
            }
            _ => {}
        }
    }

    /// Whether the credentials are others than those of the last request; where that is not known, than at the last look.
    /// One look may miss a change that a request saw: a mistake that was tried, and mended before anyone looked.
    fn is_news(&self, account: &AccountId, now: Option<Fingerprint>, before: Option<Fingerprint>) -> bool {
        let tried = self.shared.store.latest(account).and_then(|record| record.credentials);
        match (tried, before, now) {
            (Some(tried), Some(_), Some(now)) => tried != now,
            (_, before, now) => before != now,
        }
    }

    /// Reads the configuration off the loop. One reading at a time; who asks meanwhile gets the one after.
    pub(super) fn reload(&mut self, why: Why) {
        if self.reloading.busy {
            self.reloading.again = true;
            self.reloading.next.take(why);
            return;
        }
        self.reloading.busy = true;
        self.reloading.now.take(why);
        let (loader, running) = (self.loader.clone(), self.running.clone());
        let (shared, since) = (Arc::clone(&self.shared), clock::wall());
        self.observer.reloading();
        self.tasks.spawn(async move {
            let read = move || (loader.load)().map_err(|error| Broken { error, watched: (loader.watched)() });
            let loaded = tokio::task::spawn_blocking(read).await;
            let loaded =
                loaded.unwrap_or_else(|_| Err(Broken::new("internal fault while reading the configuration")));
            let loaded = match (loaded, running.config.as_ref()) {
                (Ok(new), Some(old)) if new.agent.state_dir != old.agent.state_dir => {
                    Err(Broken::new(&format!(
                        "agent.state_dir cannot change in a running agent (it is {}); hint: restart renewd",
                        old.agent.state_dir.display()
                    )))
                }
                (loaded, _) => loaded,
            };
            let result = match loaded {
                Ok(config) => Ok(restore::prepare(config, running, &shared.store).await),
                Err(error) => Err(error),
            };
            Done::Loaded(Box::new(result), since)
        });
    }

    pub(super) async fn loaded(&mut self, result: Result<Prepared, Broken>, since: Timestamp) {
        self.reloading.busy = false;
        let asked = std::mem::take(&mut self.reloading.now);
        let answer = match result {
            Ok(prepared) => {
                let same = self.running.config.as_ref().is_some_and(|running| **running == *prepared.config);
                let healed = self.config_error.take().is_some();
                if !same {
                    self.adopt(prepared, since).await;
                } else if healed {
                    self.watch.set(interest(&prepared.config), since);
                }
                self.observer.reloaded(self.generation, !same, healed);
                if !same {
                    self.record(&Entry::Configured { generation: self.generation });
                }
                Ok(self.generation)
            }
            Err(Broken { error, watched }) => {
                if let Some(config) = &self.running.config {
                    let mut interest = interest(config);
                    interest.config.extend(watched.files);
                    interest.folders.extend(watched.include_folders);
                    self.watch.set(interest, since);
                }
                if asked.aloud || self.config_error.as_ref() != Some(&error) {
                    self.observer.reload_failed(&error);
                    self.record(&Entry::ConfigRefused);
                }
                self.config_error = Some(error.clone());
                Err(error)
            }
        };
        for waiting in asked.waiting {
            let _ = waiting.send(answer.clone());
        }
        self.reloading.now = std::mem::take(&mut self.reloading.next);
        if std::mem::take(&mut self.reloading.again) {
            self.reload(Why::Changed);
        }
    }

    /// What the sets' hooks were last told, as far as it was kept.
    fn marks(&mut self, config: &Config) -> BTreeMap<SetId, u64> {
        let of_account = |account: &Arc<Account>| {
            let record = self.shared.store.latest(&account.name)?;
            Some((SetId::Account(account.name.clone()), record.notified?))
        };
        let with_hooks = config.accounts.values().filter(|account| !account.on_change.is_empty());
        let mut marks: BTreeMap<SetId, u64> = with_hooks.filter_map(of_account).collect();
        if !config.templates.is_empty() {
            let kept = self.shared.store.marks();
            marks.extend(kept.into_iter().map(|(template, mark)| (SetId::Template(template.into()), mark)));
        }
        marks
    }

    /// Swaps the configuration: from here on nothing of the old one is used.
    pub(super) async fn adopt(&mut self, prepared: Prepared, since: Timestamp) {
        let Prepared { config, plan, mut restored, touched, probes, remarks } = prepared;
        for remark in remarks {
            tracing::warn!(event = "state_remark", "{remark}");
        }
        for (name, account) in &config.accounts {
            if let Some(probe) = probes.get(name)
                && restored.contains_key(name)
                && let Some(adopted) = restore::adopt(&self.shared.store, name, account, probe)
            {
                restored.extend(adopted.restored.map(|stored| (name.clone(), stored)));
                self.await_saved(name.clone(), adopted.saving);
            }
            for sink in &account.sinks {
                let id: TargetId = sink.id().into();
                let same = |outlet: &Outlet| matches!(outlet, Outlet::Sink(owner, known) if owner == name && **known == *sink);
                if !self.outlets.get(&id).is_some_and(same) {
                    self.outlets.insert(id, Outlet::Sink(name.clone(), Arc::new(sink.clone())));
                }
            }
        }
        for template in &config.templates {
            let id: TargetId = format!("template:{}", template.path.display()).into();
            self.outlets.insert(id, Outlet::Template(Arc::clone(template)));
        }
        let moved = self.running.config.as_ref().is_some_and(|running| running.vault != config.vault);
        self.servers = self.servers.adapted_to(&config);
        let marks = self.marks(&config);
        self.generation += 1;
        self.loaded_at = clock::wall();
        let missing: BTreeMap<AccountId, String> =
            probes.iter().filter_map(|(name, probe)| Some((name.clone(), probe.missing.clone()?))).collect();
        let calendars: BTreeSet<Calendar> =
            config.accounts.values().filter_map(|account| account.renew.cron.clone()).collect();
        let interest = interest(&config);
        self.observer.call_hooks(hook_names(&config, &self.shared.store));
        self.keep_audit(&config);
        self.alarms.tell(&config.agent.alerts, &mut self.doors);
        self.running = Running { config: Some(config), probes };
        self.apply(Event::Configured { plan, restored, touched, marks });
        self.look_at_secrets(stands_in_vault);
        if moved {
            // What was written went elsewhere.
            let stands = |(id, outlet): (&TargetId, &Outlet)| outlet.stands_in_vault().then(|| id.clone());
            let lost: Vec<TargetId> = self.outlets.iter().filter_map(stands).collect();
            lost.into_iter().for_each(|target| self.apply(Event::TargetLost { target }));
        }
        if !self.shared.store.marks().is_empty() {
            let (shared, config) = (Arc::clone(&self.shared), self.running.config.clone());
            self.tasks.spawn_blocking(move || {
                let ids: BTreeSet<String> = config
                    .iter()
                    .flat_map(|config| &config.templates)
                    .map(|template| format!("template:{}", template.path.display()))
                    .collect();
                let kept = shared.store.keep_marks(|template| ids.contains(template));
                Done::Marked(kept.map_err(|error| error.to_string()))
            });
        }
        for (account, message) in missing {
            self.apply(Event::CredentialChanged { account, change: CredentialChange::Missing(message) });
        }
        if let Err(error) = self.calendars.set(&calendars).await {
            tracing::error!(event = "calendar_failed", %error, "the calendars could not be set");
        }
        self.watch.set(interest, since);
    }
}

/// Whether one of the account's credentials stands in Vault, where nothing tells of a change.
pub(super) fn stands_in_vault(account: &Account) -> bool {
    account.credentials.values().any(|source| matches!(source, SecretSource::Vault(_)))
}

/// What the log and the status call them.
fn hook_names(config: &Config, store: &Store) -> BTreeMap<SetId, BTreeMap<HookId, String>> {
    let accounts =
        config.accounts.iter().map(|(name, account)| (SetId::Account(name.clone()), &account.on_change));
    let templates = config.templates.iter().map(|template| {
        (SetId::Template(format!("template:{}", template.path.display()).into()), &template.on_change)
    });
    let with_hooks = accounts.chain(templates).filter(|(_, hooks)| !hooks.is_empty());
    let named =
        |hooks: &[Hook]| restore::hook_ids(hooks, store).into_iter().zip(hook::names(hooks)).collect();
    with_hooks.map(|(set, hooks)| (set, named(hooks))).collect()
}

fn interest(config: &Config) -> Interest {
    Interest {
        config: config.files.iter().cloned().collect(),
        folders: config.include_folders.iter().cloned().collect(),
        secrets: config.accounts.values().flat_map(|account| secret_paths(account)).collect(),
    }
}
