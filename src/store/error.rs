use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::atomic;
use crate::domain::AccountId;

/// Why a state directory could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another agent owns it.
    #[error("the state directory `{}` is held by another agent{}", .path.display(), process(*.pid))]
    Locked {
        /// The state directory.
        path: PathBuf,
        /// That agent's process id, where it could be read.
        pid: Option<u32>,
    },
    /// It was written by a newer version.
    #[error("`{}` has schema {found}, newer than this version's {known}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
    /// The system has no randomness to give.
    #[error("no randomness for the installation's key")]
    NoRandomness,
    /// The file system refuses, or the directory is somebody else's.
    #[error("the state directory is not usable: {0}")]
    Files(#[from] atomic::Error),
}

impl OpenError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => Some(
                "one agent at a time owns a state directory: stop the other, or set another `agent.state_dir`",
            ),
            Self::Newer { .. } => Some("run the newer version again, or use another `agent.state_dir`"),
            Self::NoRandomness => None,
            Self::Files(atomic::Error::ForeignFolder { .. }) => {
                Some("run renewd as the user that owns it, or set another `agent.state_dir`")
            }
            Self::Files(error) => match error.errno() {
                Some(Errno::ACCESS | Errno::PERM) => Some(
                    "let the agent's user own it (under systemd: StateDirectory=), or set another `agent.state_dir`",
                ),
                Some(Errno::ROFS) => Some(
                    "a read-only file system: under systemd use StateDirectory=; else set another `agent.state_dir`",
                ),
                Some(Errno::NOTDIR) => {
                    Some("a file stands where a folder belongs: set another `agent.state_dir`")
                }
                _ => error.hint(),
            },
        }
    }
}

/// Something that was found, and mended where possible, while opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Others could enter the directory; they cannot any more.
    ModeMended {
        /// The directory.
        path: PathBuf,
        /// The permission bits it had.
        was: u32,
    },
    /// Others can enter the directory, and it is not ours to change (a pod's volume).
    OpenToOthers(PathBuf),
    /// The installation's id and key were taken from their copy.
    InstallationMended {
        /// Where the unreadable file is now; `None`: it was missing.
        moved_to: Option<PathBuf>,
    },
    /// The installation's id and key could not be had: new ones were made, so stored tokens will be issued anew.
    InstallationReplaced {
        /// So many state files that hold a refresh token are kept under another name.
        orphans: usize,
    },
    /// Temporary files of a killed agent were removed.
    LeftoversRemoved(usize),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModeMended { path, was } => {
                write!(f, "`{}` had mode {was:04o}; it is 0700 now", path.display())
            }
            Self::OpenToOthers(path) => {
                write!(f, "other users can enter `{}`, and it is not ours to close", path.display())
            }
            Self::InstallationMended { moved_to: Some(moved_to) } => write!(
                f,
                "the file `installation` was unreadable and is now `{}`; it was made again from its copy, and nothing is lost",
                moved_to.display()
            ),
            Self::InstallationMended { moved_to: None } => f.write_str(
                "the file `installation` was missing; it was made again from its copy, and nothing is lost",
            ),
            Self::InstallationReplaced { orphans: 0 } => f.write_str(
                "the file `installation` and its copy are lost: stored tokens will be issued anew",
            ),
            Self::InstallationReplaced { orphans } => write!(
                f,
                "the file `installation` and its copy are lost: stored tokens will be issued anew, and {orphans} state files \
                 with a refresh token, which nobody can tell the settings of any more, are kept as \
                 `accounts/NAME.json.orphan-1`; hint: stop the agent, put `installation` and those files back in their \
                 places where there is a backup of it, and give accounts that cannot log in a fresh `refresh_token` else"
            ),
            Self::LeftoversRemoved(count) => {
                write!(f, "removed {count} temporary files that a killed agent left")
            }
        }
    }
}

/// What has become of a state directory that was lost while the agent ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, and cannot be made anew: {cause}")]
pub struct Lost {
    /// What has happened to it, in words.
    pub what: &'static str,
    /// Why there is no new one.
    pub cause: OpenError,
}

/// Why an account's state file could not be taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It makes no sense; it was moved aside and the account starts afresh.
    #[error("the state file `{}` is corrupt ({what}); moved to `{}`", .path.display(), .moved_to.display())]
    Corrupt {
        /// Where it was.
        path: PathBuf,
        /// Where it is.
        moved_to: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It was written by a newer version; it is left alone.
    #[error("the state file `{}` has schema {found}, newer than this version's {known}", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
    /// The file system refuses; the file is left alone.
    #[error("the state file cannot be read: {0}")]
    Files(#[from] atomic::Error),
}

impl Unreadable {
    /// Whether the account starts afresh (true), or waits until its file can be read (false).
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Corrupt { .. } => None,
            Self::Newer { .. } => Some("run the newer version again, or move the file away to start afresh"),
            Self::Files(error) => error.hint(),
        }
    }
}

/// Why a change is not on disk as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses.
    #[error("the state of `{account}` is not saved: {cause}")]
    Files {
        /// Whose state.
        account: AccountId,
        /// What it says.
        cause: atomic::Error,
    },
    /// The state directory is not there any more, and cannot be made anew.
    #[error("the state of `{account}` is not saved: {lost}")]
    Lost {
        /// Whose state.
        account: AccountId,
        /// What has become of it.
        lost: Lost,
    },
    /// The accounts' directory cannot be listed.
    #[error("the stored accounts cannot be listed: {0}")]
    List(atomic::Error),
    /// The account's file could not be read, so it is not written over.
    #[error("the state of `{account}` is not saved, lest something be lost: {cause}")]
    Blocked {
        /// Whose state.
        account: AccountId,
        /// Why it could not be read.
        cause: Unreadable,
    },
    /// The process is ending; whether it was written is not known.
    #[error("saving the state of `{0}` was interrupted")]
    Interrupted(AccountId),
}

impl StoreError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Files { cause, .. } if cause.is_absent() => Some(
                "the state directory was removed or moved: the agent makes it anew within seconds, where it may",
            ),
            Self::Files { cause, .. } | Self::List(cause) => cause.hint(),
            Self::Lost { lost, .. } => lost.cause.hint(),
            Self::Blocked { cause, .. } => cause.hint(),
            Self::Interrupted(_) => None,
        }
    }
}

impl StoreError {
    /// The error and the hint, where there is one, on one line.
    #[must_use]
    pub fn worded(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self}; hint: {hint}"),
            None => self.to_string(),
        }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}
