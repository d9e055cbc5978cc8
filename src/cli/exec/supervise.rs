use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitStatus, kill_process};
use serde_json::Value;
use tokio::sync::mpsc;

use super::child::{self, Inbox, Word};
use super::files::Files;
use super::pace::Pace;
use super::tokens::Tokens;
use super::wanted::Wanted;
use crate::cli::args::ExecArgs;
use crate::cli::exit::Exit;
use crate::cli::report::{self, Failure};
use crate::config::model::HookSignal;
use crate::domain::{AccountId, BootInstant};
use crate::runtime::clock;

/// What becomes of the command when a token is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum OnChange {
    /// It gets a signal.
    Signal(HookSignal),
    /// It is ended and started with the new tokens.
    Restart,
}

/// A running command and what is to come of it.
pub(super) struct Supervisor {
    words: Vec<OsString>,
    wanted: Wanted,
    on_change: Option<OnChange>,
    stop_timeout: Duration,
    tokens: Tokens,
    files: Option<Files>,
    child: Pid,
    pace: Pace,
    next: Next,
    /// TERM was passed on: nothing is begun any more.
    is_ending: bool,
}

/// What comes next by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    /// The command is told of a change, or ended for it.
    Change(BootInstant),
    /// It was asked to end, so as to be started anew, and is killed then.
    Kill(BootInstant),
    /// It was killed and is about to be gone.
    Gone,
}

impl Supervisor {
    /// Starts the command.
    ///
    /// # Errors
    /// Files cannot be written, or the command cannot be started.
    pub(super) fn start(
        args: ExecArgs,
        wanted: Wanted,
        tokens: Tokens,
        mut files: Option<Files>,
    ) -> Result<Self, Failure> {
        for account in &wanted.in_files {
            if let (Some(files), Some(document)) = (&mut files, tokens.get(account)) {
                files.put(account, document)?;
            }
        }
        let variables = wanted.values(&tokens, files.as_ref().map(Files::path))?;
        let child = child::spawn(&args.command, &variables)?;
        let pace = Pace::begin(clock::now().boot);
        let ExecArgs { command: words, on_change, stop_timeout, .. } = args;
        let (next, is_ending) = (Next::Nothing, false);
        Ok(Self { words, wanted, on_change, stop_timeout, tokens, files, child, pace, next, is_ending })
    }

    /// To the command's end; its exit status is ours.
    ///
    /// # Errors
    /// It cannot be started anew.
    pub(super) async fn run(
        mut self,
        mut inbox: Inbox,
        mut renewals: mpsc::Receiver<(AccountId, Value)>,
    ) -> Result<Exit, Failure> {
        loop {
            tokio::select! {
                biased;
                word = inbox.next() => match word {
                    Word::Ended => {
                        if let Some(status) = inbox.reap(Some(self.child))
                            && let Some(exit) = self.ended(status)?
                        {
                            return Ok(exit);
                        }
                    }
                    Word::Signal { signal, is_shared } => self.pass_on(signal, is_shared),
                },
                Some((account, document)) = renewals.recv() => self.renewed(account, document),
                () = reached(self.next) => self.act(),
            }
        }
    }

    /// The command has ended, and has been reaped: either that is all, or it is started anew.
    fn ended(&mut self, status: WaitStatus) -> Result<Option<Exit>, Failure> {
        if self.is_ending || !matches!(self.next, Next::Kill(_) | Next::Gone) {
            return Ok(Some(child::handed(status)));
        }
        let variables = self.wanted.values(&self.tokens, self.files.as_ref().map(Files::path))?;
        self.child = child::spawn(&self.words, &variables)?;
        self.pace.again(clock::now().boot);
        self.next = Next::Nothing;
        Ok(None)
    }

    fn pass_on(&mut self, signal: Signal, is_shared: bool) {
        let is_stopping = matches!(self.next, Next::Kill(_) | Next::Gone);
        self.is_ending |= signal == Signal::TERM || is_stopping && child::means_the_end(signal);
        if !is_shared {
            self.send(signal);
        }
    }

    /// The command is not reaped yet, so that the number is still its own.
    fn send(&self, signal: Signal) {
        let _ = kill_process(self.child, signal);
    }

    fn renewed(&mut self, account: AccountId, document: Value) {
        if let Some(files) = self.files.as_mut().filter(|_| self.wanted.in_files.contains(&account))
            && let Err(failure) = files.put(&account, &document)
        {
            failure.tell();
        }
        self.tokens.insert(account, document);
        let now = clock::now().boot;
        let at = match self.on_change {
            None => return,
            Some(OnChange::Signal(_)) => Pace::tell_at(now),
            Some(OnChange::Restart) => self.pace.restart_at(now),
        };
        // Whatever is under way already takes this one along.
        if self.next == Next::Nothing {
            self.next = Next::Change(at);
        }
    }

    /// What was to come is due.
    fn act(&mut self) {
        self.next = match (self.next, self.on_change) {
            (Next::Change(_), _) if self.is_ending => Next::Nothing,
            (Next::Change(_), Some(OnChange::Signal(signal))) => {
                self.send(crate::hook::number(signal));
                Next::Nothing
            }
            (Next::Change(_), Some(OnChange::Restart)) => {
                self.send(Signal::TERM);
                // One that is stopped could not even end.
                self.send(Signal::CONT);
                Next::Kill(clock::now().boot.plus(self.stop_timeout))
            }
            (Next::Kill(_), _) => {
                report::warn(
                    "the command has not ended in time and is killed, so as to be started with new tokens",
                );
                self.send(Signal::KILL);
                Next::Gone
            }
            (Next::Nothing | Next::Gone | Next::Change(_), _) => Next::Nothing,
        };
    }
}

/// Returns when it is time for what comes next.
async fn reached(next: Next) {
    match next {
        Next::Change(at) | Next::Kill(at) => tokio::time::sleep(at.since(clock::now().boot)).await,
        Next::Nothing | Next::Gone => std::future::pending().await,
    }
}

impl FromStr for OnChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        use HookSignal as S;
        const SIGNALS: [(&str, HookSignal); 8] = [
            ("HUP", S::Hup),
            ("INT", S::Int),
            ("QUIT", S::Quit),
            ("USR1", S::Usr1),
            ("USR2", S::Usr2),
            ("TERM", S::Term),
            ("WINCH", S::Winch),
            ("CONT", S::Cont),
        ];
        if text == "restart" {
            return Ok(Self::Restart);
        }
        let name =
            text.strip_prefix("signal:").ok_or("either `restart` or `signal:NAME`, like `signal:HUP`")?;
        let name = name.strip_prefix("SIG").unwrap_or(name);
        match SIGNALS.iter().find(|(known, _)| *known == name) {
            Some((_, signal)) => Ok(Self::Signal(*signal)),
            None => Err(format!("the signals are {}", SIGNALS.map(|(name, _)| name).join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_means_a_signal_or_a_restart() {
        assert_eq!("restart".parse(), Ok(OnChange::Restart));
        assert_eq!("signal:HUP".parse(), Ok(OnChange::Signal(HookSignal::Hup)));
        assert_eq!("signal:SIGUSR1".parse(), Ok(OnChange::Signal(HookSignal::Usr1)));
        for bad in ["", "HUP", "signal:", "signal:KILL", "reload"] {
            assert!(bad.parse::<OnChange>().is_err(), "{bad:?}");
        }
    }
}
