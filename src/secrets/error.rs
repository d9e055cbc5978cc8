use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

use super::LARGEST;

/// A secret that could not be had: where, and what is wrong there. Holds nothing of the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub struct SecretError {
    /// Which source.
    pub place: Place,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Where a secret was to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A scalar in the configuration.
    Configuration,
    /// An environment variable.
    Variable(String),
    /// A file.
    File(PathBuf),
    /// A systemd credential.
    Credential(String),
    /// A command, by its program.
    Command(String),
    /// A key in Vault: `MOUNT/PATH` and the key.
    Vault(String, String),
}

/// What is wrong with a source; reads on after its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum Problem {
    NotSet,
    NoCredentials,
    BadCredentialName,
    NotAbsolute,
    Missing,
    Unreadable(Errno),
    Kind(&'static str),
    Empty,
    TooLarge,
    NotText,
    ByteOrderMark,
    ControlCharacter,
    NotStarted(Errno),
    Failed(i32),
    Killed(i32),
    TooSlow,
    Silent,
    Elsewhere,
}

impl SecretError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match (self.problem, &self.place) {
            (Problem::NotSet, _) => "set it in the unit (Environment=, EnvironmentFile=) or in the container",
            (Problem::NoCredentials, _) => "systemd sets it for units with LoadCredential= or SetCredential=",
            (Problem::Missing, Place::Credential(_)) => "name it in the unit's LoadCredential=",
            (Problem::Missing, Place::File(_)) => "create it, or mount the volume that it is on",
            (Problem::Unreadable(Errno::ACCESS | Errno::PERM), _) => {
                "the agent's user needs to read it and to search the folders above it"
            }
            (Problem::Kind(_), _) => "name a regular file",
            (Problem::Silent, _) => "is it on a file server that is away?",
            (Problem::ByteOrderMark, _) => "save it as UTF-8 without a byte order mark",
            (Problem::ControlCharacter, Place::File(_) | Place::Credential(_) | Place::Command(_)) => {
                "one trailing newline is dropped; is there a second line?"
            }
            (Problem::ControlCharacter, _) => "is there a newline at its end?",
            (Problem::NotStarted(Errno::NOENT), _) => "name the program with its whole path",
            (Problem::Failed(_) | Problem::Killed(_) | Problem::TooSlow, _) => {
                "run it by hand as the agent's user; it gets no environment but PATH, HOME and LANG, and no terminal"
            }
            _ => return None,
        })
    }
}

impl Place {
    pub(super) fn with(self, problem: Problem) -> SecretError {
        SecretError { place: self, problem }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("the secret in the configuration"),
            Self::Variable(name) => write!(f, "the environment variable `{name}`"),
            Self::File(path) => write!(f, "the secret file `{}`", path.display()),
            Self::Credential(name) => write!(f, "the systemd credential `{name}`"),
            Self::Command(program) => write!(f, "the secret's command `{program}`"),
            Self::Vault(path, key) => write!(f, "the key `{key}` of `{path}` in Vault"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet => f.write_str("is not set"),
            Self::NoCredentials => f.write_str("cannot be found: $CREDENTIALS_DIRECTORY is not set"),
            Self::BadCredentialName => {
                f.write_str("cannot be: a credential's name is a file name, without `/`")
            }
            Self::NotAbsolute => {
                f.write_str("cannot be found: $CREDENTIALS_DIRECTORY is not an absolute path")
            }
            Self::Missing => f.write_str("is missing"),
            Self::Unreadable(errno) => write!(f, "cannot be read: {}", words(*errno)),
            Self::Kind(kind) => write!(f, "is a {kind}"),
            Self::Empty => f.write_str("is empty"),
            Self::TooLarge => write!(f, "is larger than {} KiB", LARGEST >> 10),
            Self::NotText => f.write_str("is not UTF-8 text"),
            Self::ByteOrderMark => f.write_str("begins with a byte order mark"),
            Self::ControlCharacter => f.write_str("holds a control character, such as a line break"),
            Self::NotStarted(errno) => write!(f, "cannot be started: {}", words(*errno)),
            Self::Failed(status) => write!(f, "ended with status {status}"),
            Self::Killed(signal) => write!(f, "was killed by signal {signal}"),
            Self::TooSlow => write!(f, "took longer than {} s", super::command::TIMEOUT.as_secs()),
            Self::Silent => f.write_str("does not answer"),
            Self::Elsewhere => f.write_str("is only read by a running agent"),
        }
    }
}

fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}
