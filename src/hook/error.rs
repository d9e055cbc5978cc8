use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use crate::domain::{ErrorClass, human_duration};

/// A hook that did not get through: who was to be told, and what is wrong. Holds nothing that a command printed, no
/// path of a URL and no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// A command, by its program.
    #[error("the hook's command `{program}` {trouble}")]
    Command {
        /// The first of its words.
        program: String,
        /// What is wrong.
        trouble: CommandTrouble,
    },
    /// No process could be learnt from a pid file.
    #[error("the pid file `{}` {trouble}", path.display())]
    PidFile {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        trouble: PidFileTrouble,
    },
    /// The process that a pid file names could not be signalled.
    #[error("process {pid}, which the pid file `{}` names, {trouble}", path.display())]
    Process {
        /// Its id.
        pid: i32,
        /// The file that names it.
        path: PathBuf,
        /// What is wrong.
        trouble: ProcessTrouble,
    },
    /// A webhook, by its place.
    #[error("the webhook at {place} {trouble}")]
    Webhook {
        /// `host:port`; a path may hold a secret.
        place: String,
        /// What is wrong.
        trouble: WebhookTrouble,
    },
}

/// What is wrong with a command; reads on after its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum CommandTrouble {
    NotStarted(Errno),
    Failed(i32),
    Killed(i32),
    TooSlow(Duration),
    Lost(Errno),
}

/// What is wrong with a pid file; reads on after its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum PidFileTrouble {
    Missing,
    Unreadable(Errno),
    NotAFile,
    WorldWritable,
    Foreign(u32),
    NotANumber,
    Reserved(i32),
    Ourselves,
    TooSlow,
}

/// What is wrong with a process; reads on after its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum ProcessTrouble {
    Gone,
    Forbidden,
    System(Errno),
}

/// What is wrong with a webhook; reads on after its host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum WebhookTrouble {
    NotPrivate,
    Status(u16),
    Unresolved,
    TooSlow(Duration),
    Certificate,
    Tls,
    Refused,
    Unreachable,
    Broken,
}

impl HookError {
    /// `config` where somebody has to act here; all else may be over by the next try.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        let ours = match self {
            Self::Command { trouble, .. } => matches!(trouble, CommandTrouble::NotStarted(_)),
            Self::PidFile { trouble, .. } => {
                !matches!(trouble, PidFileTrouble::Missing | PidFileTrouble::TooSlow)
            }
            Self::Process { trouble, .. } => matches!(trouble, ProcessTrouble::Forbidden),
            Self::Webhook { trouble, .. } => match trouble {
                WebhookTrouble::NotPrivate | WebhookTrouble::Certificate | WebhookTrouble::Tls => true,
                WebhookTrouble::Status(status) => (300..500).contains(status) && *status != 429,
                _ => false,
            },
        };
        if ours { ErrorClass::Config } else { ErrorClass::Transient }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Command { trouble, .. } => trouble.hint()?,
            Self::PidFile { trouble, .. } => trouble.hint()?,
            Self::Process { trouble, .. } => trouble.hint()?,
            Self::Webhook { trouble, .. } => trouble.hint()?,
        })
    }
}

impl CommandTrouble {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::NotStarted(Errno::NOENT) => {
                "name the program with its whole path; a script's first line must name a program that is there"
            }
            Self::NotStarted(Errno::ACCESS) => {
                "the agent's user must be allowed to run it: `chmod +x`, and the folders above it"
            }
            Self::NotStarted(Errno::NOEXEC) => "a script needs a first line such as `#!/bin/sh`",
            Self::Failed(_) | Self::Killed(_) => {
                "run it by hand as the agent's user with an empty environment; `agent.log.level: debug` and a reload show what \
                 it prints"
            }
            Self::TooSlow(_) => {
                "let it start what takes long and return, or give the hook a longer `timeout`"
            }
            _ => return None,
        })
    }
}

impl PidFileTrouble {
    fn hint(self) -> Option<&'static str> {
        Some(match self {
            Self::Missing => "is the program running, and does it write its pid there?",
            Self::Unreadable(Errno::ACCESS | Errno::PERM) => {
                "the agent's user needs to read it and to search the folders above it"
            }
            Self::WorldWritable => "anyone could name another process there: `chmod o-w`",
            Self::Foreign(_) => {
                "it must be owned by root, by the agent's user or by the user of the process that it names \
                 (which a sandbox must not hide: ProtectProc=default)"
            }
            Self::NotANumber => "its first line must be a process id",
            _ => return None,
        })
    }
}

impl ProcessTrouble {
    fn hint(self) -> Option<&'static str> {
        match self {
            Self::Gone => {
                Some("it has ended and left its pid file; the next one is told once it has written its own")
            }
            Self::Forbidden => Some(
                "the agent must run as that process's user or as root, or have CAP_KILL (AmbientCapabilities=)",
            ),
            Self::System(_) => None,
        }
    }
}

impl WebhookTrouble {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotPrivate => "use https, or http to this machine",
            Self::Status(300..=399) => "redirects are not followed: name the place that it leads to",
            Self::Certificate => {
                "its certificate must be valid for that name and signed by a root of this system"
            }
            Self::Refused => "is anything listening there?",
            _ => return None,
        })
    }
}

impl fmt::Display for CommandTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(errno) => write!(f, "cannot be started: {}", words(*errno)),
            Self::Failed(status) => write!(f, "ended with status {status}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::TooSlow(limit) => {
                write!(
                    f,
                    "took longer than {} and was ended with all that it had started",
                    human_duration(*limit)
                )
            }
            Self::Lost(errno) => write!(f, "cannot be waited for: {}", words(*errno)),
        }
    }
}

impl fmt::Display for PidFileTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Unreadable(errno) => write!(f, "cannot be read: {}", words(*errno)),
            Self::NotAFile => f.write_str("is no regular file"),
            Self::WorldWritable => f.write_str("can be written by every user"),
            Self::Foreign(uid) => write!(f, "belongs to user {uid}"),
            Self::NotANumber => f.write_str("holds no process id"),
            Self::Reserved(pid) => write!(f, "names process {pid}, which no hook may signal"),
            Self::Ourselves => f.write_str("names the agent itself"),
            Self::TooSlow => f.write_str("could not be read in time"),
        }
    }
}

impl fmt::Display for ProcessTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("does not exist"),
            Self::Forbidden => f.write_str("may not be signalled by the agent's user"),
            Self::System(errno) => write!(f, "cannot be signalled: {}", words(*errno)),
        }
    }
}

impl fmt::Display for WebhookTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrivate => f.write_str("would be reached in the clear"),
            Self::Status(status) => write!(f, "answers with status {status}"),
            Self::Unresolved => f.write_str("cannot be found: its name cannot be resolved (DNS)"),
            Self::TooSlow(limit) => write!(f, "has not answered within {}", human_duration(*limit)),
            Self::Certificate => f.write_str("shows a certificate that cannot be trusted"),
            Self::Tls => f.write_str("speaks no TLS that fits"),
            Self::Refused => f.write_str("refuses the connection"),
            Self::Unreachable => f.write_str("cannot be reached"),
            Self::Broken => f.write_str("broke the connection off"),
        }
    }
}

fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
