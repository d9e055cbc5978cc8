//! The exit statuses of the contract: a closed set, after BSD's sysexits.

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
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        super::out::complain(&format!(
            "error: internal fault{place} (renewd {version}); please report this line\n"
        ));
    }));
}
