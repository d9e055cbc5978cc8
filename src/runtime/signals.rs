//! Signals as values. The first TERM or INT asks for an orderly end; a second one ends the process at once, even
//! when the loop is stuck.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook_tokio::Signals as Stream;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// HUP: read the configuration again, try refused credentials again.
    Reload,
    /// USR1: renew every account now, through the limits.
    RenewAll,
    /// TERM or INT: finish deliveries and end.
    Stop,
}

/// The process's signals.
pub struct Signals(Stream);

impl Signals {
    /// Takes the process's signals over.
    ///
    /// # Errors
    /// What the system says.
    pub fn take() -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the second one finds the flag that the first one set.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
            flag::register(signal, Arc::clone(&stopping))?;
        }
        Ok(Self(Stream::new([SIGHUP, SIGUSR1, SIGTERM, SIGINT])?))
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        loop {
            match self.0.next().await {
                Some(SIGHUP) => return Signal::Reload,
                Some(SIGUSR1) => return Signal::RenewAll,
                Some(SIGTERM | SIGINT) => return Signal::Stop,
                Some(_) => {}
                None => return std::future::pending().await,
            }
        }
    }
}
