//! The agent at work: the loop, effects, files watched, signals, the clock, the control socket.
//! Imports everything but `cli`.

mod agent;
mod calendar;
pub mod clock;
mod control;
mod credentials;
mod deliver;
mod handle;
mod issue;
mod report;
mod restore;
mod run;
mod shared;
mod signals;
mod watch;

use std::path::PathBuf;

pub use run::{Once, Options, Outcome, StartError, once, run};
pub use signals::{Signal, take as take_signals};

use crate::config::model::Account;

/// The files that an account's secrets come from.
fn secret_paths(account: &Account) -> impl Iterator<Item = PathBuf> {
    account.credentials.values().flat_map(crate::secrets::watch_paths)
}
