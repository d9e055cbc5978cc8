//! The exit statuses of the contract: a closed set, after BSD's sysexits.

use std::panic::PanicHookInfo;
use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked for is done.
    Done,
    /// 1: some account or sink failed.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 70: a fault of renewd itself.
    Internal,
    /// 75: the running agent cannot be reached, or the time was up.
    Unavailable,
    /// 78: the configuration cannot be used.
    Config,
    /// The exit status of the command that `exec` ran, 128 and the number for a signal, 126 or 127 where it did not start.
    Handed(u8),
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Internal => 70,
            Self::Unavailable => 75,
            Self::Config => 78,
            Self::Handed(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Makes a panic one line on standard error: the place, never the message, which may hold a secret.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| super::out::complain(&internal_fault(panic))));
}

/// Where it is, in which version; nothing of what the panic itself says, and no backtrace whatever the environment asks for.
fn internal_fault(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    format!("error: internal fault{place} (renewd {version}); please report this line\n")
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, panic_any, set_hook, take_hook};
    use std::sync::mpsc;
    use std::thread;

    use super::internal_fault;

    /// What the hook makes of a panic of this thread. Others', in tests beside it, are told as ever.
    fn told_of(panics: fn()) -> String {
        let (sender, lines) = mpsc::channel();
        let (mine, others) = (thread::current().id(), take_hook());
        set_hook(Box::new(move |panic| {
            if thread::current().id() == mine {
                sender.send(internal_fault(panic)).unwrap();
            } else {
                others(panic);
            }
        }));
        assert!(catch_unwind(panics).is_err());
        let _ = take_hook();
        lines.try_recv().unwrap()
    }

    #[test]
    fn a_panic_that_holds_a_secret_is_told_by_its_place_alone() {
        let panics: [fn(); 3] = [
            || panic!("the password is hunter2 and the token eyJhbGciOi.J9"),
            || panic_any("hunter2".to_owned()),
            || assert_eq!("hunter2", "eyJhbGciOi.J9", "as in a comparison"),
        ];
        for panics in panics {
            let line = told_of(panics);
            let place = line.strip_prefix(concat!("error: internal fault at ", file!(), ":")).unwrap();
            let (number, rest) = place.split_once(' ').unwrap();
            assert!(number.parse::<u32>().is_ok(), "{line}");
            let version = env!("CARGO_PKG_VERSION");
            assert_eq!(rest, format!("(renewd {version}); please report this line\n"));
        }
    }
}
