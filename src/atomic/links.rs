//! Folders within a folder and links to them: what a set of files that flips as one is made of.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{
    AtFlags, FlockOperation, Gid, Mode, OFlags, fchmod, fchown, flock, openat, readlinkat, renameat,
    symlinkat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::{Error, Folder, Kind, Operation};

/// What stands under a name, as far as links go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linked {
    /// Nothing.
    Nothing,
    /// A link with this text.
    To(OsString),
    /// Something else: `folder`, `file` ...
    Other(&'static str),
}

impl Folder {
    /// What the link `name` says; it is not followed.
    ///
    /// # Errors
    /// What the system says.
    pub fn linked(&self, name: &OsStr) -> Result<Linked, Error> {
        match retry_on_intr(|| readlinkat(self.fd(), name, Vec::new())) {
            Ok(text) => Ok(Linked::To(OsString::from_vec(text.into_bytes()))),
            Err(Errno::NOENT) => Ok(Linked::Nothing),
            Err(Errno::INVAL) => Ok(match self.look(name)?.map(|found| found.kind) {
                None => Linked::Nothing,
                Some(Kind::File) => Linked::Other("regular file"),
                Some(Kind::Other(kind)) => Linked::Other(kind),
            }),
            Err(errno) => Err(Error::system(Operation::Look, self.path().join(name), errno)),
        }
    }

    /// Makes the link `name` say `text`, over another link or nothing, with one rename. Not yet durable:
    /// [`Folder::sync`].
    ///
    /// `temporary` is the name that it has before; a link that a killed agent left there is replaced.
    ///
    /// # Errors
    /// [`Error::NotAFile`] where `temporary` is no link, and what the system says. Whether `name` is something else
    /// than a link is for the caller to look at: a file there would be lost.
    pub fn link(&self, name: &OsStr, text: &OsStr, temporary: &OsStr) -> Result<(), Error> {
        let path = || self.path().join(name);
        self.unlink(temporary)?;
        retry_on_intr(|| symlinkat(text, self.fd(), temporary))
            .map_err(|errno| Error::system(Operation::Link, path(), errno))?;
        renameat(self.fd(), temporary, self.fd(), name)
            .map_err(|errno| Error::system(Operation::Rename, path(), errno))
    }

    /// Unlinks the link `name`; false where nothing was there. Not yet durable: [`Folder::sync`].
    ///
    /// # Errors
    /// [`Error::NotAFile`] for anything that is not a link, and what the system says.
    pub fn unlink(&self, name: &OsStr) -> Result<bool, Error> {
        let path = || self.path().join(name);
        match self.linked(name)? {
            Linked::Nothing => return Ok(false),
            Linked::Other(kind) => return Err(Error::NotAFile { path: path(), kind }),
            Linked::To(_) => {}
        }
        match unlinkat(self.fd(), name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::system(Operation::Remove, path(), errno)),
        }
    }

    /// Makes the folder `name`, which must not exist, with these permission bits whatever the umask, and locks it:
    /// [`Folder::is_in_use`].
    ///
    /// # Errors
    /// What the system says.
    pub fn make_folder(&self, name: &OsStr, mode: u32) -> Result<Self, Error> {
        let path = self.path().join(name);
        let system = |errno| Error::system(Operation::CreateFolder, &path, errno);
        rustix::fs::mkdirat(self.fd(), name, Mode::from_raw_mode(0o700)).map_err(system)?;
        let made = self.enter(name)?;
        // In a folder open to all another one of ours may have been put in its place meanwhile.
        if !made.names()?.is_empty() {
            return Err(system(Errno::EXIST));
        }
        // Says "in use" to another agent's clean-up; a file system without locks loses only that.
        let _ = flock(made.fd(), FlockOperation::NonBlockingLockExclusive);
        // The files in it get its group, as those of its parent do.
        let inherited = self.mode() & SET_GROUP_ID;
        if inherited != 0 && made.group() != self.group() {
            fchown(made.fd(), None, Some(Gid::from_raw(self.group()))).map_err(system)?;
        }
        fchmod(made.fd(), Mode::from_raw_mode(mode | inherited)).map_err(system)?;
        Ok(made)
    }

    /// Opens the folder `name` in this one; a link is not followed.
    ///
    /// # Errors
    /// [`Error::ForeignFolder`] and what the system says, also that it is none.
    pub fn enter(&self, name: &OsStr) -> Result<Self, Error> {
        let path = self.path().join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = retry_on_intr(|| openat(self.fd(), name, flags, Mode::empty()))
            .map_err(|errno| Error::system(Operation::OpenFolder, &path, errno))?;
        Self::adopt(fd, path)
    }

    /// Whether the agent that made this folder is still at it: it holds a lock.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        flock(self.fd(), FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK)
    }

    /// Removes the folder `name` and the files in it. Not yet durable: [`Folder::sync`].
    ///
    /// # Errors
    /// What the system says; a folder in it is left and is an error (ENOTEMPTY), as is a folder that another agent
    /// is filling (EBUSY).
    pub fn remove_folder(&self, name: &OsStr) -> Result<(), Error> {
        let folder = self.enter(name)?;
        let system = |errno| Error::system(Operation::Remove, folder.path(), errno);
        if folder.is_in_use() {
            return Err(system(Errno::BUSY));
        }
        for file in folder.names()? {
            match unlinkat(folder.fd(), &file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                Err(errno) => return Err(system(errno)),
            }
        }
        unlinkat(self.fd(), name, AtFlags::REMOVEDIR).map_err(system)
    }
}

const SET_GROUP_ID: u32 = 0o2000;
