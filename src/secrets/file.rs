use std::fmt;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, retry_on_intr};
use zeroize::Zeroizing;

use super::{Environment, LARGEST, Problem};
use crate::config::model::SecretSource;

/// What can be told of a source without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceVersion {
    /// Not a file: nothing to be told.
    Constant,
    /// No file there (or none that we may look at).
    Missing,
    /// A file.
    File {
        /// With the links resolved: a Kubernetes volume swaps `..data` and keeps all else.
        path: PathBuf,
        /// File system and inode.
        id: (u64, u64),
        /// Bytes.
        size: u64,
        /// Seconds and nanoseconds of the last write.
        modified: (i64, i64),
        /// Seconds and nanoseconds of the last change, mode and owner included.
        changed: (i64, i64),
    },
}

/// Something about a secret's file that works but should not stay so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretWarning {
    /// Every user on the machine can read it.
    WorldReadable(PathBuf),
    /// Every user on the machine can write it.
    WorldWritable(PathBuf),
}

impl SecretWarning {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let (Self::WorldReadable(path) | Self::WorldWritable(path)) = self;
        format!("chmod 600 {}", path.display())
    }
}

impl fmt::Display for SecretWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorldReadable(path) => {
                write!(f, "every user can read the secret file `{}`", path.display())
            }
            Self::WorldWritable(path) => {
                write!(f, "every user can write the secret file `{}`", path.display())
            }
        }
    }
}

/// Where a credential's file is.
pub(super) fn credential(name: &str, environment: &Environment) -> Result<PathBuf, Problem> {
    if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        return Err(Problem::BadCredentialName);
    }
    let directory = environment("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty());
    let directory = PathBuf::from(directory.ok_or(Problem::NoCredentials)?);
    if directory.is_absolute() { Ok(directory.join(name)) } else { Err(Problem::NotAbsolute) }
}

/// The file of a file-like source.
pub(super) fn path_of(source: &SecretSource, environment: &Environment) -> Option<PathBuf> {
    match source {
        SecretSource::File(path) => Some(path.clone()),
        SecretSource::Credential(name) => credential(name, environment).ok(),
        SecretSource::Inline(_)
        | SecretSource::Env(_)
        | SecretSource::Command(_)
        | SecretSource::Vault(_) => None,
    }
}

/// The whole file. Links are followed (a mounted Secret is made of them); nothing is waited for: neither a FIFO's
/// other end nor a terminal.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = retry_on_intr(|| open(path, flags, Mode::empty())).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => Problem::Missing,
        Errno::NXIO => Problem::Kind("socket"),
        errno => Problem::Unreadable(errno),
    })?;
    let stat = fstat(&file).map_err(Problem::Unreadable)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => return Err(Problem::Kind("folder")),
        FileType::Fifo => return Err(Problem::Kind("FIFO")),
        FileType::BlockDevice => return Err(Problem::Kind("block device")),
        // Regular files, and character devices, which answer at once or not at all.
        _ => {}
    }
    // Room for everything at once, and for the reader's last probe: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LARGEST + 64));
    std::fs::File::from(file)
        .take(LARGEST as u64 + 3)
        .read_to_end(&mut content)
        .map_err(|error| Problem::Unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    Ok(content)
}

pub(super) fn version(path: &Path) -> SourceVersion {
    let Ok(resolved) = path.canonicalize() else { return SourceVersion::Missing };
    let Ok(found) = resolved.metadata() else { return SourceVersion::Missing };
    SourceVersion::File {
        path: resolved,
        id: (found.dev(), found.ino()),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    }
}

pub(super) fn warning(path: &Path) -> Option<SecretWarning> {
    let resolved = path.canonicalize().ok()?;
    let mode = resolved.metadata().ok().filter(Metadata::is_file)?.mode();
    let search = |folder: &Path| folder.metadata().is_ok_and(|found| found.mode() & 0o001 != 0);
    if mode & 0o006 == 0 || !resolved.ancestors().skip(1).all(search) {
        return None;
    }
    Some(match mode & 0o002 {
        0 => SecretWarning::WorldReadable(path.to_owned()),
        _ => SecretWarning::WorldWritable(path.to_owned()),
    })
}
