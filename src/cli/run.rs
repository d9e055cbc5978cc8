//! `renewd run` and `renewd once`: the agent itself.

use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::{Globals, OnceArgs};
use super::exit::Exit;
use super::report::Failure;
use super::screen::counted;
use super::settings;
use crate::config::Problem;
use crate::config::model::{Config, LogFormat};
use crate::observe::{self, LevelHandle};
use crate::runtime::{self, Missing, Once, Options, Outcome, Signal, StartError};
use crate::store::OpenError;

/// How long short writes that are under way at the end may take.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// To whoever wants a token of accounts that a running agent looks after; `socket` is where it is asked.
fn beside(socket: Option<&Path>, pid: Option<u32>) -> String {
    let fresh = "that agent keeps these accounts fresh";
    let signal = match pid {
        Some(pid) => format!("`kill -USR1 {pid}` has it renew now"),
        None => "the signal USR1 has it renew now".to_owned(),
    };
    let Some(socket) = socket else {
        return format!("{fresh}; with `agent.socket: off` no command can ask it, but {signal}");
    };
    match UnixStream::connect(socket).map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory) => format!(
            "{fresh}, but nobody answers at {}: where it was started with another socket, `--socket` takes that; one that was \
             removed it makes anew within 15 s, or its log says why it cannot; until then {signal}",
            socket.display()
        ),
        _ => format!(
            "{fresh}: `renewd renew ACCOUNT` has it renew now, `renewd wait` returns once all is fresh and delivered"
        ),
    }
}

/// Runs until a signal ends it.
pub(super) fn run(globals: &Globals) -> Result<Exit, Failure> {
    driven(async {
        let signals = signals()?;
        let (config, options) = prepare(globals)?;
        let socket = asked_at(&config, globals);
        match runtime::run(config, options, signals).await {
            Ok(Outcome::Drained | Outcome::CutOff) => Ok(Exit::Done),
            Err(error) => Err(not_started(&error, socket.as_deref())),
        }
    })
}

/// Issues what is due, delivers, ends.
pub(super) fn once(args: &OnceArgs, globals: &Globals) -> Result<Exit, Failure> {
    let limit: Duration = args.timeout;
    let (once, accounts, templates) = driven(async {
        let signals = signals()?;
        let (config, options) = prepare(globals)?;
        let (accounts, templates) = (config.accounts.len(), config.templates.len());
        let socket = asked_at(&config, globals);
        let once = runtime::once(config, options, signals, limit).await;
        Ok((once.map_err(|error| not_started(&error, socket.as_deref()))?, accounts, templates))
    })?;
    match once {
        Once::Fresh { issued, kept, sinks, templates, unverified } => {
            for line in unverified {
                tracing::warn!(event = "not_verified", "delivered, but not verified: {line}");
            }
            let total = counted(accounts, "account");
            let sinks = counted(sinks, "sink");
            let templates = match templates {
                0 => String::new(),
                some => format!(" and {}", counted(some, "template")),
            };
            tracing::info!(
                event = "done",
                "{total} fresh: {issued} issued now, {kept} still good; delivered to {sinks}{templates}"
            );
            Ok(Exit::Done)
        }
        Once::Failed(missing) => {
            let message = format!("{} not fresh and delivered", of_all(&missing, accounts, templates));
            Err(missing.lines.iter().fold(Failure::new(Exit::Failed, message), Failure::cause))
        }
        Once::TimedOut(missing) => {
            let message = format!("{} not done in time", of_all(&missing, accounts, templates));
            let failure = missing.lines.iter().fold(Failure::new(Exit::Unavailable, message), Failure::cause);
            Err(failure.hint("allow more with --timeout"))
        }
    }
}

/// Runs that to its end. What then still hangs in the kernel, such as a write to a file server that is gone, is not waited
/// for: the process ends, and takes it along.
fn driven<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let worker = worker()?;
    let result = worker.block_on(work);
    worker.shutdown_timeout(LAST_WRITES);
    result
}

/// `1 of 3 accounts and 1 of 1 template are`: who is missing, of those that there are.
fn of_all(missing: &Missing, accounts: usize, templates: usize) -> String {
    let of = |missing: usize, all: usize, kind: &str| {
        (missing > 0).then(|| format!("{missing} of {}", counted(all, kind)))
    };
    let parts = [of(missing.accounts, accounts, "account"), of(missing.templates, templates, "template")];
    let verb = if missing.accounts + missing.templates == 1 { "is" } else { "are" };
    format!("{} {verb}", parts.into_iter().flatten().collect::<Vec<_>>().join(" and "))
}

/// Before anything else: a signal that comes while the configuration is read is not lost, nor ends the process.
fn signals() -> Result<mpsc::Receiver<Signal>, Failure> {
    runtime::take_signals()
        .map_err(|error| Failure::new(Exit::Internal, "cannot take signals over").because(&error))
}

/// Reads the configuration, closes the doors that a daemon keeps closed, and starts the log.
fn prepare(globals: &Globals) -> Result<(Config, Options), Failure> {
    let loaded = settings::load(globals)?;
    harden();
    let log = loaded.config.agent.log;
    let level = globals.log_level.map_or(log.level, Into::into);
    let json = match log.format {
        LogFormat::Auto => None,
        LogFormat::Text => Some(false),
        LogFormat::Json => Some(true),
    };
    let handle = observe::init_log(runtime::level_name(level), json).ok();
    warn(&loaded.warnings, &[]);
    let handle = handle.filter(|_| globals.log_level.is_none());
    let options = options(globals, handle, loaded.warnings);
    Ok((loaded.config, options))
}

/// Says what is doubtful in the configuration and was not so `before`.
fn warn(now: &[Problem], before: &[Problem]) {
    for warning in now.iter().filter(|warning| !before.contains(warning)) {
        tracing::warn!(event = "config_warning", "{warning}");
    }
}

/// How the configuration is read again, and which files to watch for it. `said` is what was doubtful at first.
fn options(globals: &Globals, log: Option<LevelHandle>, said: Vec<Problem>) -> Options {
    let (again, path) = (globals.clone(), settings::config_path(globals));
    let said = Mutex::new(said);
    let loader = move || {
        let loaded = settings::reload(&again)?;
        let mut before = said.lock().unwrap_or_else(PoisonError::into_inner);
        warn(&loaded.warnings, &before);
        *before = loaded.warnings;
        Ok(loaded.config)
    };
    Options { loader: Arc::new(loader), watched: Arc::new(move || crate::config::watched(&path)), log }
}

/// Files are made for the owner alone, and memory that holds tokens is neither dumped nor traced.
pub(super) fn harden() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
}

/// Two workers: what one account's reply costs must not hold the loop up.
pub(super) fn worker() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // File system calls: a few keep a disk busy, the rest is for those that hang. Each that was ever used costs
        // memory, so they do not stay.
        .max_blocking_threads(96)
        .thread_keep_alive(Duration::from_secs(3))
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, "cannot start the runtime").because(&error))
}

/// Where commands ask an agent of this configuration.
fn asked_at(config: &Config, globals: &Globals) -> Option<PathBuf> {
    let named = globals.socket.clone().filter(|path| !path.as_os_str().is_empty());
    named.or_else(|| config.agent.socket.as_ref().map(|socket| socket.path.clone()))
}

fn not_started(error: &StartError, socket: Option<&Path>) -> Failure {
    match error {
        StartError::State(open) => {
            let exit =
                if matches!(open, OpenError::Locked { .. }) { Exit::Unavailable } else { Exit::Failed };
            let failure = Failure::new(exit, open.to_string());
            let failure = open.hint().into_iter().fold(failure, Failure::hint);
            match open {
                OpenError::Locked { pid, .. } => failure.hint(beside(socket, *pid)),
                _ => failure,
            }
        }
        StartError::Tls(_) => Failure::new(Exit::Internal, error.to_string()),
        StartError::Socket(socket) => {
            let failure = Failure::new(Exit::Failed, socket.to_string());
            let failure = socket.hint.into_iter().fold(failure, Failure::hint);
            failure.hint("name another with agent.socket, or `socket: off`")
        }
    }
}
