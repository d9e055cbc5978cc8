//! Signals as values. The first TERM or INT asks for an orderly end; a second one ends the process at once, even
//! when the loop is stuck.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook_tokio::Signals as Stream;
use tokio::sync::mpsc;

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

impl Signal {
    /// The signal's own name; TERM stands for INT, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reload => "HUP",
            Self::RenewAll => "USR1",
            Self::Stop => "TERM",
        }
    }
}

/// Takes the process's signals over; they arrive at the receiver.
///
/// # Errors
/// What the system says.
pub fn take() -> io::Result<mpsc::Receiver<Signal>> {
    // First of all: what comes while the others are registered is heard, too.
    let mut stream = Stream::new([SIGHUP, SIGUSR1, SIGTERM, SIGINT])?;
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the second one finds the flag that the first one set.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Some(signal) = stream.next().await {
            let signal = match signal {
                SIGHUP => Signal::Reload,
                SIGUSR1 => Signal::RenewAll,
                _ => Signal::Stop,
            };
            if sender.send(signal).await.is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}
