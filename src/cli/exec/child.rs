use std::ffi::OsString;
use std::io;
use std::process::Command;

use futures_util::StreamExt;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, getsid, wait};
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use signal_hook_tokio::SignalsInfo;

use crate::cli::exit::Exit;
use crate::cli::report::Failure;
use crate::domain::Secret;

/// What is passed on. Those that stop and continue for the terminal's sake reach the command by themselves.
const PASSED_ON: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::TERM,
    Signal::WINCH,
    Signal::CONT,
];

/// What others tell us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// Some child has ended.
    Ended,
    /// A signal for the command.
    Signal {
        /// Which.
        signal: Signal,
        /// The terminal's: the command has got it too.
        is_shared: bool,
    },
}

/// Our signals, from the moment on in which it was taken.
pub(super) struct Inbox(SignalsInfo<WithOrigin>);

impl Inbox {
    /// Takes them over, but for those that are ignored (`nohup`): the command is to ignore them too.
    ///
    /// # Errors
    /// The system has no signal handlers to give: a fault.
    pub(super) fn take() -> Result<Self, Failure> {
        let deaf =
            |error: io::Error| Failure::new(Exit::Internal, "cannot listen for signals").because(&error);
        let ignored = ignored();
        let heard = PASSED_ON.iter().map(|signal| signal.as_raw());
        let heard = heard.filter(|signal| ignored >> (signal - 1) & 1 == 0).chain([SIGCHLD]);
        SignalsInfo::with_exfiltrator(heard, WithOrigin::default()).map(Self).map_err(deaf)
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Word {
        loop {
            let Some(origin) = self.0.next().await else { return std::future::pending().await };
            if origin.signal == SIGCHLD {
                return Word::Ended;
            }
            if let Some(signal) = Signal::from_named_raw(origin.signal) {
                return Word::Signal { signal, is_shared: is_shared(&origin) };
            }
        }
    }

    /// Reaps whoever has ended; how `child` has, if it is among them.
    pub(super) fn reap(&self, child: Option<Pid>) -> Option<WaitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) == child {
                ended = Some(status);
            }
        }
        ended
    }
}

/// Whether a signal asks for the end.
pub(super) fn means_the_end(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP].contains(&signal)
}

/// A terminal tells its whole foreground group, but of a hangup a session's leader alone.
fn is_shared(origin: &Origin) -> bool {
    let leads = || getsid(None).is_ok_and(|session| session == getpid());
    matches!(origin.cause, Cause::Kernel) && !(origin.signal == Signal::HUP.as_raw() && leads())
}

/// The mask of the signals that this process was told to ignore; none where the system does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Starts the command with these variables beside our own. It is reaped by [`Inbox::reap`].
///
/// # Errors
/// With `env`'s exit statuses: 127 where there is no such program, 126 where it cannot be run.
pub(super) fn spawn(words: &[OsString], variables: &[(String, Secret)]) -> Result<Pid, Failure> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Failure::new(Exit::Usage, "there is no command to run"));
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().map(|(name, value)| (name, value.expose())));
    let child = command.spawn().map_err(|error| {
        let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let message = format!("cannot run `{}`", program.to_string_lossy());
        Failure::new(Exit::Handed(status), message).because(&error)
    })?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| Failure::new(Exit::Internal, "the command has no process id"))
}

/// The command's exit status as a shell tells it: 128 and the number for a signal.
pub(super) fn handed(status: WaitStatus) -> Exit {
    let number = match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => status,
        (None, signal) => 128 + signal.unwrap_or(0),
    };
    Exit::Handed(u8::try_from(number).unwrap_or(u8::MAX))
}
