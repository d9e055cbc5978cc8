//! The one loop. It owns the engine: events come in from signals, files, servers, finished effects and the clock;
//! effects go out as tasks. No state is shared and no lock is held across an await.

mod alarms;
mod answers;
mod chores;
mod effects;
mod noting;
mod refusals;
mod reload;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use self::alarms::Alarms;
use self::reload::{Broken, Look, Reloading, Why};
use super::audit::Audit;
use super::calendar::Calendars;
use super::clock;
use super::credentials::Probe;
use super::deliver::{Delivered, Outlet, Removal};
use super::doors::Doors;
use super::drift::{Drift, Lookout, Suspicions};
use super::handle::{Heartbeat, Request};
use super::issue::Exchange;
use super::progress;
use super::restore::{self, LookedAt, Running};
use super::servers::Servers;
use super::shared::Shared;
use super::signals::Signal;
use super::watch::{Change, Watch};
use crate::config::Watched;
use crate::config::model::{Calendar, Config};
use crate::core::{Effect, Ending, Engine, Event, TargetId};
use crate::domain::{AccountId, BootInstant, Timestamp};
use crate::observe::Observer;
use crate::observe::audit::Entry;
use crate::store::Seen;

/// Deadlines are looked at least this often: monotonic time stops in suspend, and the wall clock may jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// What a hanging disk may take of the end.
const LAST_WRITES: Duration = Duration::from_secs(2);
/// What a refresh brings that was waited for beyond the grace is delivered within this.
const LAST_DELIVERIES: Duration = Duration::from_secs(1);

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
    looked_again: BootInstant,
    /// The login at Vault is being renewed.
    maintaining: bool,
    tasks: JoinSet<Done>,
    /// What each task is about, for the case that it panics.
    about: HashMap<Id, Effect>,
    /// Of tasks that spend a refresh token: the latest instant at which they end by themselves.
    spending: HashMap<Id, Instant>,
    /// The tries of new tokens that are under way can be ended by this.
    verifying: HashMap<AccountId, oneshot::Sender<Ending>>,
    calendars: Calendars,
    firings: mpsc::Receiver<Calendar>,
    watch: Watch,
    changes: mpsc::Receiver<Change>,
    drift: Drift,
    lookout: Lookout,
    touched: mpsc::Receiver<BTreeSet<PathBuf>>,
    reloading: Reloading,
    /// Counts the looks at accounts' sources.
    looks: u64,
    /// The newest that has ended, of each account.
    looked: HashMap<AccountId, u64>,
    /// When the engine was last told the time.
    ticked: BootInstant,
    /// Since when what is dirty has been being written.
    flushing: Option<BootInstant>,
    /// It was said that this takes long.
    hangs: bool,
    looked_for_dirt: BootInstant,
    looked_for_old: BootInstant,
    /// How far the wall clock was from the other one, in milliseconds, when their steps were last noted.
    clocks: Option<i64>,
    pub(super) observer: Observer,
    revisions: watch::Sender<u64>,
    /// Something has happened since those who wait were told: a mere question is no news.
    news: bool,
    pub(super) heartbeat: Heartbeat,
    pub(super) doors: Doors,
    /// The state directory's; it is shut while that is lost.
    pub(super) home: Doors,
    pub(super) audit: Audit,
    alarms: Alarms,
}

/// What a task brings back.
enum Done {
    Exchange(Exchange),
    Delivery(Delivered),
    /// A look at delivered files; whether at all of them.
    Looked(Suspicions, bool),
    Deleted(TargetId, Result<Removal, String>),
    /// A hook's kind, and how it ended.
    Notified(&'static str, Event),
    Marked(Result<(), String>),
    /// The login at Vault was looked after.
    Maintained(Result<(), String>),
    /// Whether the server answers again where an account has its secrets.
    Knocked(Arc<str>, bool),
    Saved(AccountId, Result<(), String>),
    Flushed(Vec<String>),
    Purged(Result<Vec<AccountId>, String>),
    Loaded(Box<Result<LookedAt, Broken>>, Timestamp),
    Probed(Look, Probe),
    /// Somebody was told of what goes wrong, or was not.
    Alerted(alarms::Told),
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
            looked_again: boot,
            maintaining: false,
            tasks: JoinSet::new(),
            about: HashMap::new(),
            spending: HashMap::new(),
            verifying: HashMap::new(),
            calendars,
            firings,
            watch,
            changes,
            drift: Drift::new(boot),
            lookout,
            touched,
            reloading: Reloading::default(),
            looks: 0,
            looked: HashMap::new(),
            ticked: boot,
            flushing: None,
            hangs: false,
            clocks: None,
            looked_for_old: boot,
            looked_for_dirt: boot,
            observer,
            revisions,
            news: true,
            heartbeat: Heartbeat::new(boot),
            doors: Doors::default(),
            home: Doors::default(),
            audit: Audit::default(),
            alarms: Alarms::default(),
        }
    }

    /// The first configuration takes effect.
    pub(crate) async fn begin(&mut self, config: Config) {
        let since = self.loaded_at;
        self.keep_audit(&config);
        self.record_start();
        let looked = restore::look(config, &Running::default(), &self.shared.store).await;
        let prepared = restore::prepare(looked, &Running::default(), &self.shared.store);
        self.adopt(prepared, since).await;
        self.look_for_old();
    }

    /// One turn of the loop, within `limit`; gives the signal, where it was one that made it turn.
    pub(crate) async fn turn(&mut self, inbox: &mut Inbox, limit: Option<Duration>) -> Option<Signal> {
        let now = clock::now();
        let drift = self.drift.next_wake(now.boot).unwrap_or(LONGEST_SLEEP);
        let nap = self.engine.next_wake(now).unwrap_or(LONGEST_SLEEP).min(drift);
        // Also an agent that is asked something every second looks after what is to be looked after.
        let rest = LONGEST_SLEEP.saturating_sub(now.boot.since(self.ticked));
        let nap = nap.min(rest).min(limit.unwrap_or(LONGEST_SLEEP)).min(self.alarms.nap());
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
        self.raise();
        let now = clock::now().boot;
        if let Some(folders) = self.drift.new_folders(now) {
            self.lookout.set(folders);
        }
        if std::mem::take(&mut self.news) {
            self.revisions.send_modify(|revision| *revision += 1);
        }
        self.heartbeat.beat(now);
        taken
    }

    /// Ends what is in flight, within the grace; then makes durable what is not yet. What spends a refresh token runs to its
    /// own end also where a reload has made the grace shorter meanwhile (docs/decisions/0056).
    pub(crate) async fn drain(&mut self, inbox: &mut Inbox, grace: Duration) -> bool {
        // What is still fetching secrets or noting what it spends would be sent late, and its reply might find nobody.
        self.shared.close();
        progress::stopping();
        self.apply(Event::Shutdown);
        self.about_hooks(grace);
        let drained = tokio::time::timeout(grace, async {
            while self.engine.is_busy() {
                let _ = self.turn(inbox, None).await;
            }
        });
        let mut in_time = drained.await.is_ok();
        // What has not left by now never does.
        if !in_time && self.shared.spending() > 0 {
            tracing::info!(
                event = "refresh_awaited",
                requests = self.shared.spending(),
                "the grace is over; requests that spend a refresh token run to their own end"
            );
            while let Some(end) = self.spending.values().copied().max().filter(|_| self.shared.spending() > 0)
            {
                if timeout_at(end, self.turn(inbox, None)).await.is_err() {
                    break;
                }
            }
            let delivered = tokio::time::timeout(LAST_DELIVERIES, async {
                while self.engine.is_busy() {
                    let _ = self.turn(inbox, None).await;
                }
            });
            in_time = delivered.await.is_ok();
        }
        // Short writes, of what hooks have been told: without them the next start would tell it again.
        let _ = tokio::time::timeout(LAST_WRITES, async {
            while self.is_noting() {
                let _ = self.turn(inbox, None).await;
            }
        })
        .await;
        self.write_the_last(grace).await;
        self.record(&Entry::Stopped { drained: in_time });
        self.audit.end().await;
        in_time
    }

    /// Writes what is not on the disk yet. For a refresh token that nobody has but this process, a disk that hangs is waited
    /// for as long again as for all else; for what can be had again, or was written there before, hardly.
    async fn write_the_last(&self, grace: Duration) {
        let store = self.shared.store.clone();
        let dirty = store.dirty();
        let patience = if dirty.iter().any(|account| self.shared.hides(account)) {
            grace.max(LAST_WRITES)
        } else {
            LAST_WRITES
        };
        let flush = tokio::task::spawn_blocking(move || {
            let lost = match store.look() {
                Seen::Lost(lost) => Some(lost),
                Seen::InPlace | Seen::Anew { .. } => None,
            };
            (lost, store.flush_dirty().err().unwrap_or_default())
        });
        let Ok(flushed) = tokio::time::timeout(patience, flush).await else {
            tracing::error!(
                event = "state_not_durable",
                accounts = dirty.len(),
                "the disk of the state does not answer: what these accounts have got since is not written"
            );
            return;
        };
        let (lost, unsaved) = flushed.unwrap_or_default();
        if let Some(error) = lost {
            tracing::error!(event = "state_not_durable", %error, "nothing of the state is where the next start looks for it");
        }
        for error in unsaved {
            let error = error.worded();
            tracing::error!(
                event = "state_not_durable",
                error,
                "state could not be made durable before the end"
            );
        }
    }

    /// Says which hooks an end waits for.
    fn about_hooks(&self, grace: Duration) {
        let runs = self.about.values().filter_map(|effect| match effect {
            Effect::Notify { set, hook, .. } => Some((set, *hook)),
            _ => None,
        });
        let in_order: BTreeSet<_> = runs.collect();
        in_order.into_iter().for_each(|(set, hook)| self.observer.hook_awaited(set, hook, grace));
    }

    /// Whether the marks of templates are being written.
    fn is_noting(&self) -> bool {
        self.about.values().any(|effect| matches!(effect, Effect::Marked { .. }))
    }

    fn signalled(&mut self, signal: Signal) {
        self.record(&Entry::Signal { signal: signal.name() });
        match signal {
            Signal::Stop => {} // the caller's affair
            Signal::Reload => {
                self.audit.reopen();
                self.reload(Why::Asked(None));
                self.look_at_secrets(|_| true);
                self.apply(Event::Reprieve);
            }
            Signal::RenewAll => {
                let names: Vec<AccountId> = self.engine.names().cloned().collect();
                names.into_iter().for_each(|account| self.apply(Event::Asked { account }));
            }
        }
    }

    /// The choke point: each event is observed, decided on, and its effects are observed and begun.
    pub(super) fn apply(&mut self, event: Event) {
        let now = clock::now();
        self.observer.event(&event, now);
        let ticks = matches!(event, Event::Tick);
        let effects = self.engine.handle(event, now);
        self.news |= !ticks || !effects.is_empty();
        for effect in effects {
            self.observer.effect(&effect, now);
            self.keep(&effect);
            self.begin_effect(effect);
        }
    }
}
