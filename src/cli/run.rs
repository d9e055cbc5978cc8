//! `renewd run` and `renewd once`: the agent itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::args::{Globals, OnceArgs};
use super::exit::Exit;
use super::report::Failure;
use super::screen::counted;
use super::settings;
use crate::config::model::{Config, LogFormat};
use crate::observe::{self, LevelHandle};
use crate::runtime::{self, Once, Options, Outcome, Signal, StartError};
use crate::store::OpenError;

/// Runs until a signal ends it.
pub(super) fn run(globals: &Globals) -> Result<Exit, Failure> {
    worker()?.block_on(async {
        let signals = signals()?;
        let (config, options) = prepare(globals)?;
        match runtime::run(config, options, signals).await {
            Ok(Outcome::Drained | Outcome::CutOff) => Ok(Exit::Done),
            Err(error) => Err(not_started(&error)),
        }
    })
}

/// Issues what is due, delivers, ends.
pub(super) fn once(args: &OnceArgs, globals: &Globals) -> Result<Exit, Failure> {
    let limit: Duration = args.timeout;
    let (once, accounts) = worker()?.block_on(async {
        let signals = signals()?;
        let (config, options) = prepare(globals)?;
        let accounts = config.accounts.len();
        let once = runtime::once(config, options, signals, limit).await;
        Ok((once.map_err(|error| not_started(&error))?, accounts))
    })?;
    match once {
        Once::Fresh { issued, kept, sinks, unverified } => {
            for line in unverified {
                tracing::warn!(event = "not_verified", "delivered, but not verified: {line}");
            }
            let total = counted(accounts, "account");
            let sinks = counted(sinks, "sink");
            tracing::info!(
                event = "done",
                "{total} fresh: {issued} issued now, {kept} still good; delivered to {sinks}"
            );
            Ok(Exit::Done)
        }
        Once::Failed(failed) => {
            let message = format!("{} of {accounts} accounts are not fresh and delivered", failed.len());
            Err(failed.iter().fold(Failure::new(Exit::Failed, message), |failure, line| failure.cause(line)))
        }
        Once::TimedOut(late) => {
            let message = format!("{} of {accounts} accounts were not done in time", late.len());
            let failure = late
                .iter()
                .fold(Failure::new(Exit::Unavailable, message), |failure, line| failure.cause(line));
            Err(failure.hint("allow more with --timeout"))
        }
    }
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
    for warning in &loaded.warnings {
        tracing::warn!(event = "config_warning", "{warning}");
    }
    let options = options(globals, handle.filter(|_| globals.log_level.is_none()));
    Ok((loaded.config, options))
}

/// How the configuration is read again, and which files to watch for it.
pub(super) fn options(globals: &Globals, log: Option<LevelHandle>) -> Options {
    let (again, path) = (globals.clone(), settings::config_path(globals));
    Options {
        loader: Arc::new(move || settings::reload(&again)),
        watched: Arc::new(move || crate::config::watched(&path)),
        log,
    }
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

fn not_started(error: &StartError) -> Failure {
    match error {
        StartError::State(open) => {
            let locked = matches!(open, OpenError::Locked { .. });
            let failure =
                Failure::new(if locked { Exit::Unavailable } else { Exit::Failed }, open.to_string());
            open.hint().into_iter().fold(failure, Failure::hint)
        }
        StartError::Tls(_) => Failure::new(Exit::Internal, error.to_string()),
        StartError::Socket(socket) => {
            let failure = Failure::new(Exit::Failed, socket.to_string());
            let failure = socket.hint.into_iter().fold(failure, Failure::hint);
            failure.hint("name another with agent.socket, or `socket: off`")
        }
    }
}
