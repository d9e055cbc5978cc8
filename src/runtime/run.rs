//! `renewd run` and `renewd once`: from a good configuration to the loop and back to an orderly end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use super::agent::{Agent, Inbox, Loader};
use super::clock;
use super::control::{self, Keeper, SocketError};
use super::handle::Handle;
use super::home;
use super::listen::{self, Listening};
use super::progress::Progress;
use super::servers::Servers;
use super::shared::Shared;
use super::signals::Signal;
use crate::config::Watched;
use crate::config::model::{Config, FileSink, LogLevel, Sink};
use crate::core::{AccountView, TargetView};
use crate::domain::{AccountState, Awaited, ErrorClass, SinkState};
use crate::observe::{LevelHandle, Observer};
use crate::provider::Clients;
use crate::sink::{compose, directory, file};
use crate::store::{OpenError, Store};

/// How long the start waits for what a killed agent may have left beside its targets.
const PATIENCE: Duration = Duration::from_secs(2);

/// A state directory that has not answered for so long is spoken of.
const SILENCE: Duration = Duration::from_secs(5);

/// What the command line brings along.
pub struct Options {
    /// Reads the configuration: at a reload, off the loop. Problems come as text for people.
    pub loader: Arc<dyn Fn() -> Result<Config, String> + Send + Sync>,
    /// What to watch while the configuration has mistakes.
    pub watched: Arc<dyn Fn() -> Watched + Send + Sync>,
    /// Changes the log's level at a reload; `None`: the command line's `--log-level` wins.
    pub log: Option<LevelHandle>,
}

/// Why the agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// TLS.
    #[error("{0}")]
    Tls(String),
}

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that was in flight has ended.
    Drained,
    /// The grace was over before.
    CutOff,
}

/// How `once` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// Every account is fresh and delivered.
    Fresh {
        /// So many accounts were asked for.
        issued: usize,
        /// So many had a stored token that is still good.
        kept: usize,
        /// So many sinks hold them.
        sinks: usize,
        /// And so many templates.
        templates: usize,
        /// Of these, tokens that are delivered although they are not known to work, and why.
        unverified: Vec<String>,
    },
    /// Some are not, and of those some have failed.
    Failed(Missing),
    /// Time ran out on some, and none has failed.
    TimedOut(Missing),
}

/// What is not fresh and delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// So many accounts.
    pub accounts: usize,
    /// So many templates.
    pub templates: usize,
    /// Each account, sink and template of them, in words.
    pub lines: Vec<String>,
}

/// Runs until [`Signal::Stop`] comes.
///
/// # Errors
/// [`StartError`]; after the start nothing is an error, everything is a state.
pub async fn run(
    config: Config,
    options: Options,
    signals: mpsc::Receiver<Signal>,
) -> Result<Outcome, StartError> {
    let (handle, requests, revisions) = Handle::new();
    let mut inbox = Inbox { signals, requests };
    let Some(mut agent) = start(&config, &options, revisions, &mut inbox.signals).await? else {
        return Ok(Outcome::Drained);
    };
    agent.audit = handle.audit.clone();
    let keeper = match config.agent.socket.clone() {
        Some(socket) => {
            let door = agent.doors.add("agent.socket", control::LOOK);
            Some(Keeper::start(socket, handle.clone(), door)?)
        }
        None => None,
    };
    tracing::info!(
        event = "started",
        version = env!("CARGO_PKG_VERSION"),
        config = %config.path.display(),
        accounts = config.accounts.len(),
        "renewd has started"
    );
    let door = agent.home.add("agent.state_dir", home::LOOK);
    let housekeeper = home::Keeper::start(agent.store(), door);
    let door = agent.doors.add("agent.listen", listen::RETRY);
    let listening = Listening::start(handle, agent.heartbeat.clone(), door);
    listening.at(config.agent.listen);
    let mut progress = Progress::new();
    agent.begin(config).await;
    loop {
        let again = progress.tell(&agent, options.log.as_ref());
        listening.at(agent.config().and_then(|config| config.agent.listen));
        match agent.turn(&mut inbox, again).await {
            Some(Signal::Stop) => break,
            Some(Signal::Reload) => progress.reloading(),
            Some(Signal::RenewAll) | None => {}
        }
    }
    let grace = agent.config().map_or(Duration::ZERO, |config| config.agent.shutdown_grace);
    let drained = agent.drain(&mut inbox, grace).await;
    housekeeper.end().await;
    if let Some(keeper) = keeper {
        keeper.end().await;
    }
    tracing::info!(event = "stopped", drained, "renewd has stopped");
    Ok(if drained { Outcome::Drained } else { Outcome::CutOff })
}

/// Issues what is due, delivers, and ends; [`Signal::Stop`] ends it early.
///
/// # Errors
/// [`StartError`]: an agent that holds the state directory among them.
pub async fn once(
    config: Config,
    options: Options,
    signals: mpsc::Receiver<Signal>,
    limit: Duration,
) -> Result<Once, StartError> {
    let (_handle, requests, revisions) = Handle::new();
    let mut inbox = Inbox { signals, requests };
    let begun = start(&config, &options, revisions, &mut inbox.signals);
    let Some(mut agent) = tokio::time::timeout(limit, begun).await.unwrap_or(Ok(None))? else {
        let lines =
            vec![format!("the state directory `{}` has not answered", config.agent.state_dir.display())];
        return Ok(Once::TimedOut(Missing {
            accounts: config.accounts.len(),
            templates: config.templates.len(),
            lines,
        }));
    };
    let grace = config.agent.shutdown_grace;
    agent.begin(config).await;
    let settled = async {
        while !settled(&agent) {
            if agent.turn(&mut inbox, None).await == Some(Signal::Stop) {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(limit, settled).await.is_ok();
    agent.drain(&mut inbox, grace).await;
    Ok(verdict(&agent, in_time))
}

/// An agent that has its state; `None` where [`Signal::Stop`] came first.
async fn start(
    config: &Config,
    options: &Options,
    revisions: tokio::sync::watch::Sender<u64>,
    signals: &mut mpsc::Receiver<Signal>,
) -> Result<Option<Agent>, StartError> {
    let state_dir = config.agent.state_dir.clone();
    let mut opened = tokio::task::spawn_blocking(move || Store::open(&state_dir));
    let mut said = false;
    let opened = loop {
        tokio::select! {
            biased;
            opened = &mut opened => break opened,
            // Whatever else is asked for happens at a start anyway.
            Some(signal) = signals.recv() => if signal == Signal::Stop {
                return Ok(None);
            },
            () = tokio::time::sleep(SILENCE), if !said => {
                said = true;
                tracing::error!(
                    event = "state_hangs",
                    "opening `{}` has not ended for {} s: its disk hangs; waiting for it",
                    config.agent.state_dir.display(),
                    SILENCE.as_secs()
                );
            }
        }
    };
    let store = match opened {
        Ok(opened) => opened?,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    };
    for notice in store.notices() {
        tracing::warn!(event = "state_remark", "{notice}");
    }
    clean(config).await;
    let loader = Loader { load: Arc::clone(&options.loader), watched: Arc::clone(&options.watched) };
    let servers = Servers::new().map_err(StartError::Tls)?;
    Ok(Some(Agent::new(Shared::new(store, Clients::new()), servers, loader, revisions, Observer::new())))
}

/// Removes what a killed agent left beside its targets, before anything is delivered there. Where a file system hangs the
/// others' tokens do not wait for it: no further folder is begun then.
async fn clean(config: &Config) {
    let (accounts, templates) = (config.accounts.clone(), config.templates.clone());
    let late = Arc::new(AtomicBool::new(false));
    let gives_up = Arc::clone(&late);
    let cleaning = tokio::task::spawn_blocking(move || {
        let goes_on = || !gives_up.load(Ordering::Relaxed);
        let composed: Vec<FileSink> =
            templates.iter().filter_map(|template| compose::file_of(template)).collect();
        let sinks = accounts.values().flat_map(|account| &account.sinks).filter_map(Sink::file);
        let sinks = sinks.chain(&composed).take_while(|_| goes_on());
        let folders: BTreeSet<PathBuf> = sinks.flat_map(file::folders_of).collect();
        let folders = folders.iter().take_while(|_| goes_on());
        let files: usize = folders.map(|folder| file::clean_leftovers(folder)).sum();
        files + directory::clean(templates.iter().map(AsRef::as_ref).take_while(|_| goes_on()))
    });
    match tokio::time::timeout(PATIENCE, cleaning).await {
        Ok(Ok(0)) => {}
        Ok(Ok(leftovers)) => tracing::info!(
            event = "leftovers_removed",
            leftovers,
            "temporary files of an agent that was killed were removed"
        ),
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
        Err(_) => late.store(true, Ordering::Relaxed), // the delivery there will say so
    }
}

/// Whether `once` has nothing left to hope for: all is done, or what is not needs a person. A server that is away (Vault,
/// the Kubernetes API) may come back.
fn settled(agent: &Agent) -> bool {
    let now = clock::now();
    !agent.is_busy()
        && !agent.engine.owes_hooks()
        && agent.templates_are_settled(now)
        && agent.engine.views(now).all(|view| {
            let hopeless = view.error.is_some_and(|error| {
                matches!(error.class, ErrorClass::Rejected | ErrorClass::Relogin | ErrorClass::Config)
            }) && view.lacks.is_none();
            let delivered = view.targets.iter().all(has_ended);
            hopeless || (view.state == AccountState::Fresh && delivered)
        })
}

/// Whether the target is written, or will not be without a person.
fn has_ended(target: &TargetView<'_>) -> bool {
    let away = |class: Option<ErrorClass>| target.waits_for.is_some() && class == Some(ErrorClass::Transient);
    match target.state {
        SinkState::Written => true,
        SinkState::Unwritten => false,
        SinkState::Failed => !away(target.error.map(|error| error.class)),
    }
}

fn verdict(agent: &Agent, in_time: bool) -> Once {
    let now = clock::now();
    let (mut missing, mut failed) = (Missing::default(), false);
    for view in agent.engine.views(now) {
        let reasons = reasons(&view);
        missing.accounts += usize::from(!reasons.is_empty());
        missing.lines.extend(reasons);
        failed |= view.error.is_some() || view.targets.iter().any(|target| target.error.is_some());
    }
    for view in agent.engine.templates(now).filter(|view| view.state != SinkState::Written) {
        let fails = |awaited: &Awaited| {
            let account = agent.engine.view(awaited.account.as_str(), now);
            account.is_some_and(|account| account.error.is_some())
        };
        missing.templates += 1;
        failed |= view.error.is_some() || view.waits_for.iter().any(fails);
        missing.lines.push(match view.error {
            Some(error) => format!("{}: {}", view.id, error.message),
            None => {
                let why = Awaited::words(&view.waits_for).unwrap_or_else(|| "not written".to_owned());
                format!("{}: {why}", view.id)
            }
        });
    }
    match (failed, missing.lines.is_empty() && in_time) {
        (true, _) => Once::Failed(missing),
        (false, false) if !missing.lines.is_empty() => Once::TimedOut(missing),
        _ => fresh(agent),
    }
}

/// Why the account is not fresh and delivered, all of it; empty where it is.
fn reasons(view: &AccountView<'_>) -> Vec<String> {
    let name = view.name;
    let own = match view.error {
        Some(error) => Some(format!("{name}: {}: {}", error.class, error.message)),
        None if view.untried => Some(format!("{name}: its new token could not be verified in time")),
        None if view.state != AccountState::Fresh => Some(format!("{name}: {}", view.state.as_str())),
        None => None,
    };
    // Without a token no sink can hold it: that goes without saying.
    let open = view.targets.iter().filter(|target| target.state != SinkState::Written && view.alive);
    let sinks = open.map(|target| match target.error {
        Some(error) => format!("{name}: {}: {}", target.id, error.message),
        None => format!("{name}: {}: not written", target.id),
    });
    own.into_iter().chain(sinks).collect()
}

fn fresh(agent: &Agent) -> Once {
    let (mut issued, mut kept, mut sinks) = (0, 0, 0);
    let mut unverified = Vec::new();
    for view in agent.engine.views(clock::now()) {
        *if view.finished > 0 { &mut issued } else { &mut kept } += 1;
        sinks += view.targets.len();
        unverified.extend(view.unverified.map(|error| format!("{}: {}", view.name, error.message)));
    }
    let templates = agent.engine.templates(clock::now()).count();
    Once::Fresh { issued, kept, sinks, templates, unverified }
}

/// The level's name.
#[must_use]
pub fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    }
}
