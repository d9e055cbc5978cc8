//! The agent at work: the loop, effects, files watched, signals, the clock, the control socket.
//! Imports everything but `cli`.

mod agent;
mod audit;
mod calendar;
pub mod clock;
mod control;
mod credentials;
mod deliver;
mod doors;
mod drift;
mod folders;
mod handle;
mod home;
mod http1;
mod issue;
mod keys;
mod listen;
mod makeup;
mod notify;
mod progress;
mod report;
mod restore;
mod run;
mod servers;
mod shared;
mod signals;
mod verify;
mod watch;

use std::path::PathBuf;

pub(crate) use audit::could_write;
pub use control::SocketError;
pub(crate) use control::could_bind;
pub use makeup::{AccountMakeup, Makeup, Parts, TargetMakeup, changed};
pub use run::{Missing, Once, Options, Outcome, StartError, level_name, once, run};
pub(crate) use servers::vault_client;
pub use signals::{Signal, take as take_signals};

use crate::config::model::Account;
use crate::secrets;

/// The files that an account's secrets come from.
fn secret_paths(account: &Account) -> impl Iterator<Item = PathBuf> {
    let paths = |source| secrets::watch_paths(source, &secrets::process_environment);
    account.credentials.values().flat_map(paths)
}
