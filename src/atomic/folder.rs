use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat, fchmod, flock, fstat, fsync, openat,
    renameat, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use zeroize::Zeroizing;

use super::walk::{Missing, open_folder, trusted};
use super::{Error, Operation, TEMPORARY_PREFIX, Warning};

/// An opened folder that nobody but root and we can swap things in (unless it is open to all, which
/// [`Folder::warning`] says).
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    mode: u32,
    owner: u32,
    group: u32,
    identity: Identity,
}

/// Device and inode: as long as somebody has it open, nothing else gets these numbers.
pub type Identity = (u64, u64);

/// What stands under a name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Whether it has more than one name (hard links).
    pub shared: bool,
    /// Which one it is.
    pub identity: Identity,
}

/// A regular file that was read.
#[derive(Debug)]
pub struct Held {
    /// All of it.
    pub content: Zeroizing<Vec<u8>>,
    /// What it is beside that.
    pub found: Found,
}

/// Whether something is a regular file, or what else it is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// Anything else: `folder`, `FIFO`, `symbolic link` ...
    Other(&'static str),
}

impl Folder {
    /// Opens `path`, refusing what another user could have put there.
    ///
    /// Every component is opened without following links. A link that root or we own is then followed, one of
    /// anybody else refused. The folder itself must belong to root or us.
    ///
    /// # Errors
    /// [`Error::NotAbsolute`], [`Error::ForeignLink`], [`Error::ForeignFolder`], [`Error::LinkLoop`] and what
    /// the system says.
    pub fn open(path: &Path) -> Result<Self, Error> {
        open_folder(path, Missing::Refuse)
    }

    /// As [`Folder::open`], but makes what is missing: `path` itself with the permission bits `mode`.
    ///
    /// # Errors
    /// As [`Folder::open`].
    pub fn open_or_create(path: &Path, mode: u32) -> Result<Self, Error> {
        open_folder(path, Missing::Create(mode))
    }

    pub(super) fn adopt(search: OwnedFd, path: PathBuf) -> Result<Self, Error> {
        let system = |errno| Error::system(Operation::OpenFolder, &path, errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| openat(&search, c".", flags, Mode::empty())).map_err(system)?;
        let stat = fstat(&fd).map_err(system)?;
        if !trusted(stat.st_uid) {
            return Err(Error::ForeignFolder { path, uid: stat.st_uid });
        }
        let (owner, group) = (stat.st_uid, stat.st_gid);
        Ok(Self { fd, path, mode: stat.st_mode & 0o7777, owner, group, identity: (stat.st_dev, stat.st_ino) })
    }

    /// Where it is, links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its permission bits when it was opened.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// Its owner.
    #[must_use]
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// Its group.
    #[must_use]
    pub fn group(&self) -> u32 {
        self.group
    }

    /// Which one it is, wherever it stands by now.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether any user may put files into it, sticky or not.
    #[must_use]
    pub fn warning(&self) -> Option<Warning> {
        (self.mode & 0o002 != 0).then(|| Warning::WorldWritableFolder(self.path.clone()))
    }

    /// Sets its permission bits.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_mode(&mut self, mode: u32) -> Result<(), Error> {
        fchmod(&self.fd, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(Operation::SetMode, &self.path, errno))?;
        self.mode = mode;
        Ok(())
    }

    /// What stands under `name`; a link is not followed.
    ///
    /// # Errors
    /// What the system says, except that nothing is there.
    pub fn look(&self, name: &OsStr) -> Result<Option<Found>, Error> {
        match retry_on_intr(|| statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Some(Found::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::system(Operation::Look, self.path.join(name), errno)),
        }
    }

    /// Opens `name`, which must be a regular file, without following a link and without waiting for anything.
    ///
    /// # Errors
    /// [`Error::NotAFile`] and what the system says, except that nothing is there.
    pub fn open_file(&self, name: &OsStr, flags: OFlags) -> Result<Option<(OwnedFd, Found)>, Error> {
        let path = || self.path.join(name);
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match retry_on_intr(|| openat(&self.fd, name, flags, Mode::from_raw_mode(0o600))) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            // A link (ELOOP), a FIFO without a reader or a socket (ENXIO), a folder opened for writing (EISDIR).
            Err(errno @ (Errno::LOOP | Errno::NXIO | Errno::ISDIR)) => {
                return Err(match self.look(name)?.map(|found| found.kind) {
                    Some(Kind::Other(kind)) => Error::NotAFile { path: path(), kind },
                    _ => Error::system(Operation::Open, path(), errno),
                });
            }
            Err(errno) => return Err(Error::system(Operation::Open, path(), errno)),
        };
        let stat = fstat(&file).map_err(|errno| Error::system(Operation::Look, path(), errno))?;
        let found = Found::of(&stat);
        match found.kind {
            Kind::File => Ok(Some((file, found))),
            Kind::Other(kind) => Err(Error::NotAFile { path: path(), kind }),
        }
    }

    /// The whole of the regular file `name`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::NotAFile`], [`Error::TooLarge`] and what the system says.
    pub fn read(&self, name: &OsStr, limit: usize) -> Result<Option<Held>, Error> {
        let Some((file, found)) = self.open_file(name, OFlags::RDONLY)? else { return Ok(None) };
        let too_large = || Error::TooLarge { path: self.path.join(name), limit };
        let size = usize::try_from(found.size).ok().filter(|size| *size <= limit).ok_or_else(too_large)?;
        // One allocation that never grows, so that no copy of a secret stays behind.
        let mut content = Zeroizing::new(Vec::with_capacity(size + 1));
        std::fs::File::from(file).take(size as u64 + 1).read_to_end(&mut content).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            Error::system(Operation::Read, self.path.join(name), errno)
        })?;
        Ok(Some(Held { content, found }))
    }

    /// Unlinks the regular file `name`; false where nothing was there.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for anything that is not a regular file, and what the system says.
    pub fn remove(&self, name: &OsStr) -> Result<bool, Error> {
        let system = |errno| Error::system(Operation::Remove, self.path.join(name), errno);
        match self.look(name)?.map(|found| found.kind) {
            None => return Ok(false),
            Some(Kind::Other(kind)) => return Err(Error::NotAFile { path: self.path.join(name), kind }),
            Some(Kind::File) => {}
        }
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => self.sync().map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(system(errno)),
        }
    }

    /// Gives `from` the name `to`, durably; what stood there is gone.
    ///
    /// # Errors
    /// What the system says.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Error> {
        renameat(&self.fd, from, &self.fd, to)
            .map_err(|errno| Error::system(Operation::Rename, self.path.join(to), errno))?;
        self.sync()
    }

    /// Makes what happened to its names (renames, removals) durable.
    ///
    /// # Errors
    /// What the system says; a file system that cannot sync folders (EINVAL) is none.
    pub fn sync(&self) -> Result<(), Error> {
        match retry_on_intr(|| fsync(&self.fd)) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(Error::system(Operation::SyncFolder, &self.path, errno)),
        }
    }

    /// The names in it, in no order, without `.` and `..`.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self) -> Result<Vec<OsString>, Error> {
        let system = |errno| Error::system(Operation::ListFolder, &self.path, errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(system)? {
            let entry = entry.map_err(system)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Unlinks temporary files that a killed agent left, and counts them: regular files with our prefix and of
    /// our user (as root of any user: only root can have given one away) that no living agent holds a lock on.
    ///
    /// # Errors
    /// What the system says of the folder; a single file that cannot be removed is passed over.
    pub fn clean(&self) -> Result<usize, Error> {
        let us = rustix::process::geteuid().as_raw();
        let mut removed = 0;
        for name in self.names()? {
            if !name.as_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
                continue;
            }
            let Ok(Some(found)) = self.look(&name) else { continue };
            let ours = found.kind == Kind::File && (us == 0 || found.uid == us);
            if ours && !self.in_use(&name) && unlinkat(&self.fd, &name, AtFlags::empty()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether the agent that makes this temporary file is still at it: it holds a lock.
    fn in_use(&self, name: &OsStr) -> bool {
        match self.open_file(name, OFlags::RDONLY) {
            Ok(Some((file, _))) => {
                flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
            }
            _ => false,
        }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

impl Found {
    pub(super) fn of(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Other("folder"),
            FileType::Symlink => Kind::Other("symbolic link"),
            FileType::Fifo => Kind::Other("FIFO"),
            FileType::Socket => Kind::Other("socket"),
            FileType::CharacterDevice => Kind::Other("character device"),
            FileType::BlockDevice => Kind::Other("block device"),
            _ => Kind::Other("something unknown"),
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            shared: stat.st_nlink > 1,
            identity: (stat.st_dev, stat.st_ino),
        }
    }
}
