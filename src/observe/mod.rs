//! What the outside sees of the agent: log, metrics, status. One choke point, [`Observer`], is shown every event and
//! every effect. Imports `domain` and `core` only.

pub mod alerts;
pub mod audit;
pub mod health;
pub mod history;
mod journal;
mod log;
pub mod metrics;
mod observer;
#[cfg(test)]
pub(crate) mod sample;
pub mod status;
mod stderr;

pub use log::{Level, LevelHandle, init as init_log};
pub use observer::{Exchange, Observer};
pub use stderr::{flush_stderr, write_stderr};
