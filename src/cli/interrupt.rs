//! Ctrl-C and TERM for commands that have nothing to finish.

use std::io;

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook_tokio::Signals;

use super::exit::Exit;
use super::report::Failure;

/// The signals that end a command, and the one that says that the terminal has another size.
pub(super) struct Interrupts(Signals);

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// INT, TERM or HUP.
    End,
    /// The terminal has another size.
    Resized,
}

impl Interrupts {
    /// Takes them over from now on.
    ///
    /// # Errors
    /// The system has no signal handlers to give: a fault.
    pub(super) fn take() -> Result<Self, Failure> {
        let deaf =
            |error: io::Error| Failure::new(Exit::Internal, "cannot listen for signals").because(&error);
        Signals::new([SIGINT, SIGTERM, SIGHUP, SIGWINCH]).map(Self).map_err(deaf)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Interrupt {
        match self.0.next().await {
            Some(SIGWINCH) => Interrupt::Resized,
            _ => Interrupt::End,
        }
    }

    /// Returns when the command is to end.
    pub(super) async fn end(&mut self) {
        while self.next().await != Interrupt::End {}
    }
}
