//! The one loop. It owns the engine: events come in from signals, files, servers, finished effects and the clock;
//! effects go out as tasks. No state is shared and no lock is held across an await.

mod answers;
mod reload;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;

use self::reload::{Broken, Reloading};
use super::calendar::Calendars;
use super::credentials::Probe;
use super::deliver::{Delivered, Outlet};
use super::drift::{self, Drift, Look, Lookout, Suspicions};
use super::handle::{Heartbeat, Request};
use super::issue::{self, Exchange};
use super::notify::{self, Notifier};
use super::restore::{self, Prepared, Running};
use super::servers::Servers;
use super::shared::Shared;
use super::signals::Signal;
use super::watch::{Change, Watch};
use super::{clock, deliver};
use crate::config::Watched;
use crate::config::model::{Account, Calendar, Config};
use crate::core::{Effect, Engine, Event, FailureMeta, SetId, TargetId};
use crate::domain::{AccountId, BootInstant, ErrorClass, Timestamp};
use crate::observe::{self, Observer};
use crate::store::Durability;

/// Deadlines are looked at least this often: monotonic time stops in suspend, and the wall clock may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// State that could not be written is tried again this often.
const FLUSH_PAUSE: Duration = Duration::from_secs(5);
/// Credentials that stand in Vault are looked at this often.
const LOOK_INTO_VAULT: Duration = Duration::from_secs(600);
/// State of accounts that have left the configuration is kept this long.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// How a configuration is read; never on the loop.
#[derive(Clone)]
pub(crate) struct Loader {
    pub(crate) load: Arc<dyn Fn() -> Result<Config, String> + Send + Sync>,
    pub(crate) watched: Arc<dyn Fn() -> Watched + Send + Sync>,
}

/// The agent in motion.
pub(crate) struct Agent {
    pub(super) engine: Engine,
    shared: Arc<Shared>,
    loader: Loader,
    running: Running,
    pub(super) generation: u64,
    pub(super) loaded_at: Timestamp,
    pub(super) config_error: Option<String>,
    outlets: HashMap<TargetId, Outlet>,
    servers: Servers,
    looked_into_vault: BootInstant,
    /// The login at Vault is being renewed.
    maintaining: bool,
    tasks: JoinSet<Done>,
    /// What each task is about, for the case that it panics.
    about: HashMap<Id, Effect>,
    calendars: Calendars,
    firings: mpsc::Receiver<Calendar>,
    watch: Watch,
    changes: mpsc::Receiver<Change>,
    drift: Drift,
    lookout: Lookout,
    touched: mpsc::Receiver<BTreeSet<PathBuf>>,
    reloading: Reloading,
    flushing: bool,
    looked_for_dirt: BootInstant,
    pub(super) observer: Observer,
    revisions: watch::Sender<u64>,
    pub(super) heartbeat: Heartbeat,
}

/// What a task brings back.
enum Done {
    Exchange(Exchange),
    Delivery(Delivered),
    /// A look at delivered files; whether at all of them.
    Looked(Suspicions, bool),
    Deleted(TargetId, Result<bool, String>),
    /// A hook's kind, and how it ended.
    Notified(&'static str, Event),
    Marked(Result<(), String>),
    /// The login at Vault was looked after.
    Maintained(Result<(), String>),
    Saved(AccountId, Result<(), String>),
    Flushed(Vec<String>),
    Purged(Result<Vec<AccountId>, String>),
    Loaded(Box<Result<Prepared, Broken>>, Timestamp),
    Probed(AccountId, Probe),
}

/// What comes from outside into the loop.
pub(crate) struct Inbox {
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) requests: mpsc::Receiver<Request>,
}

impl Agent {
    pub(crate) fn new(
        shared: Shared,
        servers: Servers,
        loader: Loader,
        revisions: watch::Sender<u64>,
        observer: Observer,
    ) -> Self {
        let (calendars, firings) = Calendars::new();
        let (watch, changes) = Watch::start();
        let (lookout, touched) = Lookout::start();
        let boot = clock::now().boot;
        Self {
            engine: Engine::new(shared.store.seed()),
            shared: Arc::new(shared),
            loader,
            running: Running::default(),
            generation: 0,
            loaded_at: clock::wall(),
            config_error: None,
            outlets: HashMap::new(),
            servers,
            looked_into_vault: boot,
            maintaining: false,
            tasks: JoinSet::new(),
            about: HashMap::new(),
            calendars,
            firings,
            watch,
            changes,
            drift: Drift::new(boot),
            lookout,
            touched,
            reloading: Reloading::default(),
            flushing: false,
            looked_for_dirt: boot,
            observer,
            revisions,
            heartbeat: Heartbeat::new(boot),
        }
    }

    /// The first configuration takes effect.
    pub(crate) async fn begin(&mut self, config: Config) {
        let since = self.loaded_at;
        let prepared = restore::prepare(config, Running::default(), &self.shared.store).await;
        self.adopt(prepared, since).await;
        let store = self.shared.store.clone();
        let now = clock::wall();
        self.tasks.spawn_blocking(move || {
            Done::Purged(store.purge_older_than(now, KEPT).map_err(|error| error.to_string()))
        });
    }

    /// One turn of the loop, within `limit`; gives the signal, where it was one that made it turn.
    pub(crate) async fn turn(&mut self, inbox: &mut Inbox, limit: Option<Duration>) -> Option<Signal> {
        let nap = self.engine.next_wake(clock::now()).unwrap_or(LONGEST_SLEEP);
        let nap = nap.min(LONGEST_SLEEP).min(limit.unwrap_or(LONGEST_SLEEP));
        let mut taken = None;
        tokio::select! {
            biased;
            Some(signal) = inbox.signals.recv() => {
                self.signalled(signal);
                taken = Some(signal);
            }
            Some(done) = self.tasks.join_next_with_id() => self.done(done).await,
            Some(request) = inbox.requests.recv() => self.answer(request),
            Some(change) = self.changes.recv() => self.changed(change),
            Some(calendar) = self.firings.recv() => self.fired(calendar).await,
            Some(paths) = self.touched.recv() => self.look_at(self.drift.touched(&paths), false),
            () = sleep(nap) => self.tick(),
        }
        let now = clock::now().boot;
        if let Some(folders) = self.drift.new_folders(now) {
            self.lookout.set(folders);
        }
        self.revisions.send_modify(|revision| *revision += 1);
        self.heartbeat.beat(now);
        taken
    }

    /// Ends what is in flight, within the grace; then makes durable what is not yet.
    pub(crate) async fn drain(&mut self, inbox: &mut Inbox, grace: Duration) -> bool {
        self.apply(Event::Shutdown);
        let drained = tokio::time::timeout(grace, async {
            while self.engine.is_busy() {
                let _ = self.turn(inbox, None).await;
            }
        });
        let in_time = drained.await.is_ok();
        let store = self.shared.store.clone();
        let flush = tokio::task::spawn_blocking(move || store.flush_dirty());
        for error in flush.await.ok().and_then(Result::err).into_iter().flatten() {
            tracing::error!(event = "state_not_durable", %error, "state could not be made durable before the end");
        }
        in_time
    }
    fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::Stop => {} // the caller's affair
            Signal::Reload => {
                self.reload(None);
                self.look_at_secrets(|_| true);
                self.apply(Event::Reprieve);
            }
            Signal::RenewAll => {
                let names: Vec<AccountId> = self.engine.names().cloned().collect();
                names.into_iter().for_each(|account| self.apply(Event::Asked { account }));
            }
        }
    }

    fn tick(&mut self) {
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
    fn look_at(&mut self, listed: Vec<(TargetId, PathBuf, Look)>, whole: bool) {
        if whole || !listed.is_empty() {
            self.tasks.spawn_blocking(move || Done::Looked(drift::suspicious(listed), whole));
        }
    }

    /// The choke point: each event is observed, decided on, and its effects are observed and begun.
    fn apply(&mut self, event: Event) {
        let now = clock::now();
        self.observer.event(&event, now);
        for effect in self.engine.handle(event, now) {
            self.observer.effect(&effect, now);
            self.begin_effect(effect);
        }
    }

    fn begin_effect(&mut self, effect: Effect) {
        let (shared, servers) = (Arc::clone(&self.shared), self.servers.clone());
        match effect.clone() {
            Effect::Issue(order) => {
                let Some(account) = self.account(&order.account) else { return };
                let task = self.tasks.spawn(async move {
                    Done::Exchange(issue::issue(shared, servers, account, order).await)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Deliver { target, revision } => {
                let Some(outlet) = self.outlets.get(&target).cloned() else { return };
                let task = self.tasks.spawn(async move {
                    Done::Delivery(deliver::deliver(shared, servers, outlet, target, revision).await)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Withdraw { target, revision } => {
                let Some(outlet) = self.outlets.get(&target).cloned() else { return };
                let task = self.tasks.spawn(async move {
                    Done::Delivery(deliver::withdraw(shared, servers, outlet, target, revision).await)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Retire { target, delete } => {
                self.drift.forget(&target);
                let Some(outlet) = self.outlets.remove(&target).filter(|_| delete) else { return };
                self.tasks.spawn(async move {
                    Done::Deleted(target, deliver::delete(shared, servers, outlet).await)
                });
            }
            Effect::Notify { set, hook, revision, .. } => {
                let Some(notifier) = self.notifier(&set) else { return };
                let task = self.tasks.spawn(async move {
                    let (kind, event) = notify::notify(shared, servers, notifier, set, hook, revision).await;
                    Done::Notified(kind, event)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Marked { set: SetId::Account(account), mark } => {
                self.save(account, move |record| record.notified = Some(mark));
            }
            Effect::Marked { set: SetId::Template(template), mark } => {
                self.tasks.spawn_blocking(move || {
                    Done::Marked(shared.store.mark(&template, mark).map_err(|error| error.to_string()))
                });
            }
            Effect::Remember { account, schedule } => {
                self.save(account, move |record| record.schedule = restore::schedule(schedule));
            }
            Effect::Forget { account } => {
                let now = clock::wall();
                self.save(account, move |record| record.removed_at = Some(now));
            }
            Effect::Disown { account } => {
                let identity = self.running.probes.get(&account).and_then(|probe| probe.identity);
                self.save(account, move |record| {
                    restore::disown(record);
                    record.identity = identity.unwrap_or(record.identity);
                });
            }
            Effect::DropRefresh { account } => self.save(account, |record| record.refresh = None),
            Effect::Say(_) => {}
        }
    }

    fn save(&mut self, account: AccountId, change: impl FnOnce(&mut crate::store::Record)) {
        if self.shared.store.latest(&account).is_none() {
            return; // nothing was ever stored: there is nothing to keep
        }
        let saving = self.shared.store.update(&account, Durability::Cached, change);
        self.tasks
            .spawn(async move { Done::Saved(account, saving.await.map_err(|error| error.to_string())) });
    }

    fn notifier(&self, set: &SetId) -> Option<Notifier> {
        match set {
            SetId::Account(account) => self.account(account).map(Notifier::Account),
            SetId::Template(template) => match self.outlets.get(template)? {
                Outlet::Template(template) => Some(Notifier::Template(Arc::clone(template))),
                Outlet::Sink(..) => None,
            },
        }
    }

    fn account(&self, name: &AccountId) -> Option<Arc<Account>> {
        self.running.config.as_ref()?.accounts.get(name).cloned()
    }

    async fn done(&mut self, done: Result<(Id, Done), tokio::task::JoinError>) {
        let (id, done) = match done {
            Ok(done) => done,
            Err(error) => return self.failed_task(error.id()),
        };
        self.about.remove(&id);
        match done {
            Done::Exchange(exchange) => {
                self.exchanged(&exchange);
                self.apply(exchange.event);
            }
            Done::Delivery(delivered) => self.delivered(delivered),
            Done::Looked(suspicions, whole) => {
                for target in self.drift.found(suspicions, whole, clock::now().boot) {
                    self.apply(Event::TargetLost { target });
                }
            }
            Done::Deleted(target, result) => self.observer.deleted(&target, &result),
            Done::Notified(kind, event) => {
                if let Event::Notified { result, .. } = &event {
                    self.observer.hook_ran(kind, result.is_ok());
                }
                self.apply(event);
            }
            Done::Maintained(result) => {
                self.maintaining = false;
                self.observer.maintained(&result);
            }
            Done::Marked(Ok(())) => {}
            Done::Marked(Err(error)) => self.observer.not_marked(&error),
            Done::Saved(account, Err(error)) => self.observer.not_saved(&account, &error),
            Done::Saved(_, Ok(())) => {}
            Done::Flushed(errors) => {
                self.flushing = false;
                self.observer.flushed(&errors);
            }
            Done::Purged(result) => self.observer.purged(&result),
            Done::Loaded(result, since) => self.loaded(*result, since).await,
            Done::Probed(account, probe) => self.probed(account, probe),
        }
    }

    fn delivered(&mut self, Delivered { event, warnings, look }: Delivered) {
        if let Event::Delivered { target, .. } | Event::Undelivered { target, .. } = &event {
            self.observer.warnings(target, &warnings);
        }
        if let Event::Delivered { target, written, .. } = &event
            && self.drift.delivered(target, look, *written, clock::now().boot)
        {
            self.observer.mended(target);
        }
        self.apply(event);
    }

    fn exchanged(&mut self, exchange: &Exchange) {
        let (account, outcome) = match &exchange.event {
            Event::Issued { account, .. } => (account, Ok(())),
            Event::Failed { account, failure, .. } => (account, Err(failure.class)),
            _ => return,
        };
        let seen = observe::Exchange {
            account,
            asked: exchange.asked,
            status: exchange.status,
            outcome,
            clock_offset_ms: exchange.clock_offset_ms,
            warnings: &exchange.warnings,
        };
        self.observer.exchange(&seen, clock::now());
    }

    /// A task has panicked or was cancelled: its account or target goes on as after any other failure.
    fn failed_task(&mut self, id: Id) {
        let message = "internal fault, see the log".to_owned();
        match self.about.remove(&id) {
            Some(Effect::Issue(order)) => {
                let failure = FailureMeta::new(ErrorClass::Transient, message);
                self.apply(Event::Failed { account: order.account, epoch: order.epoch, failure });
            }
            Some(Effect::Deliver { target, revision, .. } | Effect::Withdraw { target, revision }) => {
                self.apply(Event::Undelivered { target, revision, message, server_away: false });
            }
            Some(Effect::Notify { set, hook, revision, .. }) => {
                self.apply(Event::Notified { set, hook, revision, result: Err(message) });
            }
            _ => tracing::error!(event = "internal_fault", "a task has failed"),
        }
    }
}
