use std::fmt;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why a file could not be found, read or replaced. Holds paths and numbers, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Paths are absolute: a relative one would mean another file after a `chdir`.
    #[error("`{}` is not an absolute path of a file", .0.display())]
    NotAbsolute(PathBuf),
    /// A symbolic link on the way that neither root nor we have placed.
    #[error("`{}` is a symbolic link of uid {uid}, who could point it anywhere", .path.display())]
    ForeignLink {
        /// The link.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The folder belongs to neither root nor us.
    #[error("the folder `{}` belongs to uid {uid}, who could swap what is in it", .path.display())]
    ForeignFolder {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Something other than a regular file stands where the file belongs.
    #[error("`{}` is a {kind}, not a regular file", .path.display())]
    NotAFile {
        /// Where it stands.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// A file to be written in place belongs to somebody who could have opened it beforehand.
    #[error("`{}` belongs to uid {uid}, who may have it open", .path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A file to be written in place has another name too, and others may write to its folder.
    #[error("`{}` has a second name (a hard link) that somebody else may have made", .0.display())]
    HardLinked(PathBuf),
    /// The file is larger than anything that belongs there.
    #[error("`{}` is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: usize,
    },
    /// More than 40 symbolic links, which is a loop.
    #[error("`{}` leads through too many symbolic links", .0.display())]
    LinkLoop(PathBuf),
    /// The system said no.
    #[error("cannot {operation} `{}`: {}", .path.display(), words(*errno))]
    System {
        /// What was tried.
        operation: Operation,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        errno: Errno,
    },
}

/// What was tried when the system said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant's words stand in its Display")]
pub enum Operation {
    OpenFolder,
    CreateFolder,
    ListFolder,
    SyncFolder,
    Look,
    Open,
    Lock,
    Read,
    CreateTemporary,
    Write,
    SetOwner,
    SetMode,
    Sync,
    Rename,
    Link,
    Listen,
    Remove,
}

/// Something that works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Warning {
    /// Every user may put files into this folder (a pod's `emptyDir`, `/tmp`).
    WorldWritableFolder(PathBuf),
}

impl Error {
    pub(super) fn system(operation: Operation, path: impl Into<PathBuf>, errno: Errno) -> Self {
        Self::System { operation, path: path.into(), errno }
    }

    /// The system's answer, where it was the system that said no.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::System { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the file, or a folder on the way to it, is not there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotAbsolute(_) => Some("begin the path with `/`"),
            Self::ForeignLink { .. } => Some("name the file itself, or let root own the link"),
            Self::ForeignFolder { .. } => {
                Some("use a folder that root or the agent's own user owns, such as one below /run/renewd")
            }
            Self::NotAFile { .. } => Some("name another path, or remove what stands there"),
            Self::ForeignFile { .. } => {
                Some("let root or the agent's own user own it, or set `owner:` to its owner")
            }
            Self::HardLinked(_) => Some("remove the other name, or use a folder that others cannot write to"),
            Self::TooLarge { .. } => None,
            Self::LinkLoop(_) => Some("look at the links on the way with `namei -l`"),
            Self::System { operation, errno, .. } => hint(*operation, *errno),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenFolder => "open the folder",
            Self::CreateFolder => "create the folder",
            Self::ListFolder => "list the folder",
            Self::SyncFolder => "sync the folder",
            Self::Look => "look at",
            Self::Open => "open",
            Self::Lock => "lock",
            Self::Read => "read",
            Self::CreateTemporary => "create a temporary file beside",
            Self::Write => "write",
            Self::SetOwner => "set owner and group of",
            Self::SetMode => "set the mode of",
            Self::Sync => "sync",
            Self::Rename => "rename over",
            Self::Link => "make the link",
            Self::Listen => "listen on",
            Self::Remove => "remove",
        })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorldWritableFolder(path) => {
                write!(f, "every user may put files into the folder `{}`", path.display())
            }
        }
    }
}

fn hint(operation: Operation, errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::ROFS => {
            "under systemd name the folder in the unit's ReadWritePaths=; where it could be written before, an I/O error has \
             made the disk read-only: `findmnt -T FOLDER`, `dmesg`"
        }
        Errno::NOSPC => {
            "make room: `df -h FOLDER` and `df -i FOLDER` show what is full; the old content stays until then"
        }
        Errno::DQUOT => "the disk quota is used up; the old content stays until it is not",
        Errno::PERM if operation == Operation::SetOwner => {
            "only root (CAP_CHOWN) gives files away; a group must be one of the agent's own (SupplementaryGroups=); \
             a sandbox must allow it (SystemCallFilter=@chown)"
        }
        Errno::PERM if operation == Operation::SetMode => {
            "only the file's owner sets its mode; let `mode:` say what the file already has"
        }
        Errno::ACCESS | Errno::PERM => {
            "the agent's user needs write and search permission on the folder (and ReadWritePaths= under systemd)"
        }
        Errno::NOENT => "the folder is missing; is the volume mounted?",
        Errno::MFILE | Errno::NFILE => "too many open files: raise LimitNOFILE=",
        Errno::BUSY => "is it a mount point? a single-file bind mount wants `write: in-place`",
        _ => return None,
    })
}

/// The system's words without Rust's `(os error N)`, beginning small.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
