//! The one loop. It owns the engine: events come in from signals, files, servers, finished effects and the clock;
//! effects go out as tasks. No state is shared and no lock is held across an await.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::sleep;

use super::calendar::{self, Calendars};
use super::credentials::{self, Probe};
use super::handle::{Heartbeat, Peek, Request, TokenReply};
use super::issue::{self, Exchange};
use super::restore::{self, Prepared, Running};
use super::shared::Shared;
use super::signals::Signal;
use super::watch::{Change, Interest, Watch};
use super::{clock, deliver, report, secret_paths};
use crate::config::Watched;
use crate::config::model::{Account, Calendar, Config, Sink};
use crate::core::{CredentialChange, Effect, Engine, Event, FailureMeta, TargetId};
use crate::domain::{AccountId, ErrorClass, Now, SinkState, Timestamp, TokenDocument};
use crate::observe::health::Readiness;
use crate::observe::metrics::Scrape;
use crate::observe::{self, Observer};
use crate::store::Durability;

/// Deadlines are looked at least this often: monotonic time stops in suspend, and the wall clock may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
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
    sinks: HashMap<TargetId, Arc<Sink>>,
    tasks: JoinSet<Done>,
    /// What each task is about, for the case that it panics.
    about: HashMap<Id, Effect>,
    calendars: Calendars,
    firings: mpsc::Receiver<Calendar>,
    watch: Watch,
    changes: mpsc::Receiver<Change>,
    reloading: Reloading,
    flushing: bool,
    pub(super) observer: Observer,
    revisions: watch::Sender<u64>,
    pub(super) heartbeat: Heartbeat,
}

#[derive(Default)]
struct Reloading {
    busy: bool,
    again: bool,
    waiting: Vec<oneshot::Sender<Result<u64, String>>>,
    /// Those that came while one was under way: it may have read the file before they asked.
    waiting_next: Vec<oneshot::Sender<Result<u64, String>>>,
}

/// What a task brings back.
enum Done {
    Exchange(Exchange),
    Delivery(Event, Vec<String>),
    Deleted(TargetId, Result<bool, String>),
    Saved(AccountId, Result<(), String>),
    Flushed(Vec<String>),
    Purged(Result<Vec<AccountId>, String>),
    Loaded(Box<Result<Prepared, Broken>>, Timestamp),
    Probed(AccountId, Probe),
}

/// A configuration that cannot run.
#[derive(Debug)]
struct Broken {
    error: String,
    /// Files to watch for its mending, beside those of the one that runs.
    watched: Watched,
}

impl Broken {
    fn new(error: &str) -> Self {
        Self { error: error.to_owned(), watched: Watched::default() }
    }
}

/// What comes from outside into the loop.
pub(crate) struct Inbox {
    pub(crate) signals: mpsc::Receiver<Signal>,
    pub(crate) requests: mpsc::Receiver<Request>,
}

impl Agent {
    pub(crate) fn new(
        shared: Shared,
        loader: Loader,
        revisions: watch::Sender<u64>,
        observer: Observer,
    ) -> Self {
        let (calendars, firings) = Calendars::new();
        let (watch, changes) = Watch::start();
        Self {
            engine: Engine::new(shared.store.seed()),
            shared: Arc::new(shared),
            loader,
            running: Running::default(),
            generation: 0,
            loaded_at: clock::wall(),
            config_error: None,
            sinks: HashMap::new(),
            tasks: JoinSet::new(),
            about: HashMap::new(),
            calendars,
            firings,
            watch,
            changes,
            reloading: Reloading::default(),
            flushing: false,
            observer,
            revisions,
            heartbeat: Heartbeat::new(clock::now().boot),
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

    /// One turn of the loop; gives the signal, where it was one that made it turn.
    pub(crate) async fn turn(&mut self, inbox: &mut Inbox) -> Option<Signal> {
        let nap = self.engine.next_wake(clock::now()).unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
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
            () = sleep(nap) => self.tick(),
        }
        self.revisions.send_modify(|revision| *revision += 1);
        self.heartbeat.beat(clock::now().boot);
        taken
    }

    /// Ends what is in flight, within the grace; then makes durable what is not yet.
    pub(crate) async fn drain(&mut self, inbox: &mut Inbox, grace: Duration) -> bool {
        self.apply(Event::Shutdown);
        let drained = tokio::time::timeout(grace, async {
            while self.engine.is_busy() {
                let _ = self.turn(inbox).await;
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

    /// Whether no renewal or delivery is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.engine.is_busy() || self.reloading.busy
    }

    /// Whether a reading of the configuration is under way.
    pub(crate) fn is_reloading(&self) -> bool {
        self.reloading.busy
    }

    /// Whether every account is delivered, has failed its first try or waits for a limit.
    pub(crate) fn has_settled(&self) -> bool {
        let now = clock::now();
        self.engine.views(now).all(|view| {
            let tried = view.error.is_some() || view.held_until.is_some();
            let waits = !view.asking && view.renew_at.is_some_and(|at| at > now.wall);
            let delivered = view.targets.iter().all(|target| target.state != SinkState::Unwritten);
            if view.alive { delivered } else { tried && !view.asking || waits }
        })
    }

    /// How everything stands, for the service manager.
    pub(crate) fn sentence(&self, now: Now) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for view in self.engine.views(now) {
            *counts.entry(view.state.as_str()).or_default() += 1;
        }
        let states: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = if states.is_empty() { "no accounts".to_owned() } else { states.join(", ") };
        match &self.config_error {
            Some(_) => format!("{states}; the configuration file has errors, the one before runs on"),
            None => states,
        }
    }

    /// The configuration that runs.
    pub(crate) fn config(&self) -> Option<&Arc<Config>> {
        self.running.config.as_ref()
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
        if !self.flushing && !self.shared.store.dirty().is_empty() {
            self.flushing = true;
            let store = self.shared.store.clone();
            self.tasks.spawn_blocking(move || {
                let failed = store.flush_dirty().err().unwrap_or_default();
                Done::Flushed(failed.iter().map(ToString::to_string).collect())
            });
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
        let shared = Arc::clone(&self.shared);
        match effect.clone() {
            Effect::Issue(order) => {
                let Some(account) = self.account(&order.account) else { return };
                let task = self
                    .tasks
                    .spawn(async move { Done::Exchange(issue::issue(shared, account, order).await) });
                self.about.insert(task.id(), effect);
            }
            Effect::Deliver { target, account, revision } => {
                let Some(sink) = self.sinks.get(&target).cloned() else { return };
                let task = self.tasks.spawn(async move {
                    let (event, warnings) = deliver::deliver(shared, sink, account, target, revision).await;
                    Done::Delivery(event, warnings)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Withdraw { target, revision } => {
                let Some(sink) = self.sinks.get(&target).cloned() else { return };
                let task = self.tasks.spawn(async move {
                    Done::Delivery(deliver::withdraw(shared, sink, target, revision).await, Vec::new())
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Retire { target, delete } => {
                let Some(sink) = self.sinks.remove(&target).filter(|_| delete) else { return };
                self.tasks.spawn(async move { Done::Deleted(target, deliver::delete(shared, sink).await) });
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
            Done::Delivery(event, warnings) => {
                if let Event::Delivered { target, .. } | Event::Undelivered { target, .. } = &event {
                    self.observer.warnings(target, &warnings);
                }
                self.apply(event);
            }
            Done::Deleted(target, result) => self.observer.deleted(&target, &result),
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
                self.apply(Event::Undelivered { target, revision, message });
            }
            _ => tracing::error!(event = "internal_fault", "a task has failed"),
        }
    }

    fn answer(&mut self, request: Request) {
        let now = clock::now();
        match request {
            Request::Status(reply) => {
                let status = report::status(self, now);
                let _ = reply.send(serde_json::to_string(&status).unwrap_or_default());
            }
            Request::Token(name, reply) => {
                let _ = reply.send(self.token(&name));
            }
            Request::Renew(name, reply) => {
                let before = self.peek(&name);
                if let Some(before) = &before {
                    self.apply(Event::Asked { account: before.name.clone() });
                }
                let after = self.peek(&name);
                let asked =
                    before.zip(after).map(|(before, after)| Peek { finished: before.finished, ..after });
                let _ = reply.send(asked);
            }
            Request::Invalidate(name, generation, reply) => {
                let known = self.peek(&name).map(|peek| peek.name);
                if let Some(account) = known.clone() {
                    let generation = crate::domain::Generation(generation);
                    self.apply(Event::Invalidated { account, generation });
                }
                let _ = reply.send(known.is_some());
            }
            Request::Reload(reply) => self.reload(Some(reply)),
            Request::Peek(name, reply) => {
                let _ = reply.send(self.peek(&name));
            }
            Request::Ready(None, reply) => {
                let loaded = self.config().is_some();
                let _ = reply.send(Some(Readiness::of(self.engine.views(now), loaded, now)));
            }
            Request::Ready(Some(name), reply) => {
                let view = self.engine.view(&name, now);
                let _ = reply.send(view.map(|view| Readiness::of(std::iter::once(view), true, now)));
            }
            Request::Scrape(reply) => {
                let (status, counters) = (report::status(self, now), self.observer.counters());
                let _ = reply.send(Scrape { status, counters });
            }
        }
    }

    fn peek(&self, name: &str) -> Option<Peek> {
        let view = self.engine.view(name, clock::now())?;
        Some(Peek {
            name: view.name.clone(),
            generation: view.generation,
            expires_at: view.token.map(|token| token.expires_at),
            finished: view.finished,
            asking: view.asking,
            held_until: view.held_until,
            error: view.error.cloned(),
        })
    }

    fn token(&self, name: &str) -> TokenReply {
        let Some(view) = self.engine.view(name, clock::now()) else { return TokenReply::Unknown };
        let record = self.shared.store.snapshot(view.name);
        match record.as_ref().and_then(|record| record.current.as_ref()).filter(|_| view.alive) {
            Some(token) => {
                let document = TokenDocument { account: view.name, provider: view.provider, token };
                TokenReply::Document(document.to_json())
            }
            None => TokenReply::None(format!("`{name}` has no living token: it is {}", view.state.as_str())),
        }
    }

    async fn fired(&mut self, calendar: Calendar) {
        if let Some(scheduled) = calendar::scheduled(&calendar, clock::wall()) {
            self.apply(Event::CalendarFired { calendar: calendar.clone(), scheduled });
        }
        if let Err(error) = self.calendars.renew(&calendar).await {
            tracing::error!(event = "calendar_failed", %error, "a calendar could not be set again");
        }
    }

    fn changed(&mut self, change: Change) {
        match change {
            Change::Config => self.reload(None),
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

    fn look_at_secrets(&mut self, concerns: impl Fn(&Account) -> bool) {
        let Some(config) = self.running.config.clone() else { return };
        for account in config.accounts.values().filter(|account| concerns(account)) {
            let (shared, account) = (Arc::clone(&self.shared), Arc::clone(account));
            self.tasks.spawn(async move {
                let probe = credentials::probe(&account, &shared.store).await;
                Done::Probed(account.name.clone(), probe)
            });
        }
    }

    fn probed(&mut self, account: AccountId, probe: Probe) {
        let Some(known) = self.running.probes.get_mut(&account) else { return };
        let before = std::mem::replace(known, probe.clone());
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
                tell(CredentialChange::Identity(now.as_u128()));
            }
            _ if probe.content != before.content || before.missing.is_some() => {
                tell(CredentialChange::Secret)
            }
            _ => {}
        }
    }

    /// Reads the configuration off the loop. One reading at a time; who asks meanwhile gets the one after.
    fn reload(&mut self, reply: Option<oneshot::Sender<Result<u64, String>>>) {
        if self.reloading.busy {
            self.reloading.again = true;
            self.reloading.waiting_next.extend(reply);
            return;
        }
        self.reloading.busy = true;
        self.reloading.waiting.extend(reply);
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

    async fn loaded(&mut self, result: Result<Prepared, Broken>, since: Timestamp) {
        self.reloading.busy = false;
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
                Ok(self.generation)
            }
            Err(Broken { error, watched }) => {
                if let Some(config) = &self.running.config {
                    let mut interest = interest(config);
                    interest.config.extend(watched.files);
                    interest.folders.extend(watched.include_folders);
                    self.watch.set(interest, since);
                }
                if self.config_error.as_ref() != Some(&error) {
                    self.observer.reload_failed(&error);
                }
                self.config_error = Some(error.clone());
                Err(error)
            }
        };
        for waiting in std::mem::take(&mut self.reloading.waiting) {
            let _ = waiting.send(answer.clone());
        }
        self.reloading.waiting = std::mem::take(&mut self.reloading.waiting_next);
        if std::mem::take(&mut self.reloading.again) {
            self.reload(None);
        }
    }

    /// Swaps the configuration: from here on nothing of the old one is used.
    async fn adopt(&mut self, prepared: Prepared, since: Timestamp) {
        let Prepared { config, plan, restored, touched, probes, remarks } = prepared;
        for remark in remarks {
            tracing::warn!(event = "state_remark", "{remark}");
        }
        for (name, account) in &config.accounts {
            if let Some(probe) = probes.get(name)
                && restored.contains_key(name)
                && let Some(saving) = restore::adopt(&self.shared.store, name, account, probe)
            {
                let name = name.clone();
                self.tasks
                    .spawn(async move { Done::Saved(name, saving.await.map_err(|error| error.to_string())) });
            }
            for sink in &account.sinks {
                let id: TargetId = sink.id().into();
                if self.sinks.get(&id).is_none_or(|known| **known != *sink) {
                    self.sinks.insert(id, Arc::new(sink.clone()));
                }
            }
        }
        self.generation += 1;
        self.loaded_at = clock::wall();
        let missing: BTreeMap<AccountId, String> =
            probes.iter().filter_map(|(name, probe)| Some((name.clone(), probe.missing.clone()?))).collect();
        let calendars: BTreeSet<Calendar> =
            config.accounts.values().filter_map(|account| account.renew.cron.clone()).collect();
        let interest = interest(&config);
        self.running = Running { config: Some(config), probes };
        self.apply(Event::Configured { plan, restored, touched });
        for (account, message) in missing {
            self.apply(Event::CredentialChanged { account, change: CredentialChange::Missing(message) });
        }
        if let Err(error) = self.calendars.set(&calendars).await {
            tracing::error!(event = "calendar_failed", %error, "the calendars could not be set");
        }
        self.watch.set(interest, since);
    }
}

fn interest(config: &Config) -> Interest {
    Interest {
        config: config.files.iter().cloned().collect(),
        folders: config.include_folders.iter().cloned().collect(),
        secrets: config.accounts.values().flat_map(|account| secret_paths(account)).collect(),
    }
}
