use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::SecureRandom;
use rustix::fs::{
    AtFlags, FallocateFlags, FlockOperation, Gid, Mode, OFlags, Uid, fallocate, fchmod, fchown, flock, fstat,
    fsync, ftruncate, openat, renameat, unlinkat,
};
use rustix::io::{Errno, pwrite, retry_on_intr};

use super::{Error, Folder, Found, Kind, Linked, Operation, TEMPORARY_PREFIX};

/// How a written file is to look, whatever the umask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// Owner; `None` for ours.
    pub uid: Option<u32>,
    /// Group; `None` for the one that the system gives.
    pub gid: Option<u32>,
}

/// What a loss of power may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncLevel {
    /// Old and new alike: for what can be had again. A killed process still loses nothing.
    None,
    /// The new content, never the old: the file is synced before the rename, the folder not after it.
    Content,
    /// Nothing: file and folder are synced before it returns.
    Full,
}

impl Folder {
    /// Puts a whole new file under `name`, over a regular file or nothing.
    ///
    /// Where it fails before the rename, the old file stays as it was and nothing is left over. Where only the
    /// folder's sync fails ([`Operation::SyncFolder`]), the new content is there but may not survive a crash.
    ///
    /// # Errors
    /// [`Error::NotAFile`] where a folder, link, FIFO or device stands there, and what the system says.
    pub fn replace(
        &self,
        name: &OsStr,
        content: &[u8],
        attributes: Attributes,
        sync: SyncLevel,
    ) -> Result<(), Error> {
        self.file_or_nothing(name)?;
        self.put_over(name, content, attributes, sync)
    }

    /// As [`Folder::replace`], but also over a link, which is not followed: it is gone, and what it named stays as it was.
    ///
    /// # Errors
    /// As there.
    pub fn replace_link(
        &self,
        name: &OsStr,
        content: &[u8],
        attributes: Attributes,
        sync: SyncLevel,
    ) -> Result<(), Error> {
        match self.linked(name)? {
            Linked::To(_) => self.put_over(name, content, attributes, sync),
            Linked::Nothing | Linked::Other(_) => self.replace(name, content, attributes, sync),
        }
    }

    fn put_over(
        &self,
        name: &OsStr,
        content: &[u8],
        attributes: Attributes,
        sync: SyncLevel,
    ) -> Result<(), Error> {
        let path = self.path().join(name);
        let temporary = Temporary::create(self, name, &path)?;
        write_all(&temporary.file, content, &path)?;
        set_attributes(&temporary.file, attributes, None, &path)?;
        if sync >= SyncLevel::Content {
            retry_on_intr(|| fsync(&temporary.file))
                .map_err(|errno| Error::system(Operation::Sync, &path, errno))?;
        }
        temporary.rename(name, &path)?;
        if sync == SyncLevel::Full { self.sync() } else { Ok(()) }
    }

    /// Writes over the content of `name`, keeping the inode; makes the file where it is missing.
    ///
    /// A reader may see a mixture for an instant: the new bytes go in with one call where the system allows it,
    /// a longer old rest is cut off after them. Space is reserved first, so that a full disk keeps the old content.
    ///
    /// # Errors
    /// [`Error::NotAFile`]; [`Error::ForeignFile`] where the file belongs to neither root, us nor
    /// `attributes.uid`; [`Error::HardLinked`] in a folder that others may write to; and what the system says.
    pub fn write_in_place(&self, name: &OsStr, content: &[u8], attributes: Attributes) -> Result<(), Error> {
        let path = self.path().join(name);
        let (file, found) = self.open_in_place(name, &path)?;
        fit_to_write_into(self, name, found, attributes)?;
        set_attributes(&file, attributes, Some(found), &path)?;
        reserve(&file, content.len() as u64, &path)?;
        write_all(&file, content, &path)?;
        let length = content.len() as u64;
        if found.size > length {
            retry_on_intr(|| ftruncate(&file, length))
                .map_err(|errno| Error::system(Operation::Write, &path, errno))?;
        }
        retry_on_intr(|| fsync(&file)).map_err(|errno| Error::system(Operation::Sync, &path, errno))
    }

    /// [`Error::NotAFile`] where something else than a regular file stands under `name`.
    pub(super) fn file_or_nothing(&self, name: &OsStr) -> Result<(), Error> {
        match self.look(name)? {
            Some(Found { kind: Kind::Other(kind), .. }) => {
                Err(Error::NotAFile { path: self.path().join(name), kind })
            }
            _ => Ok(()),
        }
    }

    fn open_in_place(&self, name: &OsStr, path: &Path) -> Result<(OwnedFd, Found), Error> {
        // Between the two somebody may create or remove it: then once more.
        for _ in 0..8 {
            if let Some(opened) = self.open_file(name, OFlags::WRONLY)? {
                return Ok(opened);
            }
            match self.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL) {
                Ok(Some(opened)) => return self.sync().map(|()| opened),
                Ok(None) => {}
                Err(error) if error.errno() == Some(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::system(Operation::Open, path, Errno::EXIST))
    }
}

/// Whether nobody but those who are meant to can have the file open, or reach it by another name.
pub(super) fn fit_to_write_into(
    folder: &Folder,
    name: &OsStr,
    found: Found,
    attributes: Attributes,
) -> Result<(), Error> {
    let path = || folder.path().join(name);
    if !super::walk::trusted(found.uid) && Some(found.uid) != attributes.uid {
        return Err(Error::ForeignFile { path: path(), uid: found.uid });
    }
    if found.shared && folder.mode() & 0o022 != 0 {
        return Err(Error::HardLinked(path()));
    }
    Ok(())
}

/// A file that is unlinked unless it is renamed.
struct Temporary<'a> {
    folder: &'a Folder,
    file: OwnedFd,
    name: OsString,
    renamed: bool,
}

impl<'a> Temporary<'a> {
    fn create(folder: &'a Folder, target: &OsStr, path: &Path) -> Result<Self, Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut attempts = 0;
        loop {
            let name = temporary_name(target);
            match retry_on_intr(|| openat(folder.fd(), &name, flags, Mode::from_raw_mode(0o600))) {
                Ok(file) => {
                    // Says "in use" to another agent's clean-up; a file system without locks loses only that.
                    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                    return Ok(Self { folder, file, name, renamed: false });
                }
                Err(Errno::EXIST) if attempts < 16 => attempts += 1,
                Err(errno) => return Err(Error::system(Operation::CreateTemporary, path, errno)),
            }
        }
    }

    fn rename(mut self, target: &OsStr, path: &Path) -> Result<(), Error> {
        renameat(self.folder.fd(), &self.name, self.folder.fd(), target)
            .map_err(|errno| Error::system(Operation::Rename, path, errno))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing better to do where this fails too: the next start cleans up.
            let _ = unlinkat(self.folder.fd(), &self.name, AtFlags::empty());
        }
    }
}

fn write_all(file: &OwnedFd, content: &[u8], path: &Path) -> Result<(), Error> {
    let system = |errno| Error::system(Operation::Write, path, errno);
    let mut done = 0;
    while done < content.len() {
        match retry_on_intr(|| pwrite(file, &content[done..], done as u64)) {
            Ok(0) => return Err(system(Errno::IO)),
            Ok(count) => done += count,
            Err(errno) => return Err(system(errno)),
        }
    }
    Ok(())
}

/// Makes sure that there is room before anything old is written over.
fn reserve(file: &OwnedFd, length: u64, path: &Path) -> Result<(), Error> {
    if length == 0 {
        return Ok(());
    }
    match retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, 0, length)) {
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
            Err(Error::system(Operation::Write, path, errno))
        }
        // Not every file system can reserve; then the write itself finds out.
        _ => Ok(()),
    }
}

/// Group, then mode, then owner: the bits are never offered to a wrong group, and the mode is set while the file
/// is still ours (giving it away first would need CAP_FOWNER). What `found` already has is left alone.
pub(super) fn set_attributes(
    file: impl AsFd,
    attributes: Attributes,
    found: Option<Found>,
    path: &Path,
) -> Result<(), Error> {
    let Attributes { mode, uid, gid } = attributes;
    let owner = |errno| Error::system(Operation::SetOwner, path, errno);
    // Asked for only where it changes something: a sandbox may forbid the call itself, and a set-group-id folder has
    // given its group already.
    let stat = if uid.is_some() || gid.is_some() { Some(fstat(&file).map_err(owner)?) } else { None };
    if let Some(gid) = gid.filter(|gid| stat.is_some_and(|stat| stat.st_gid != *gid)) {
        fchown(&file, None, Some(Gid::from_raw(gid))).map_err(owner)?;
    }
    if found.is_none_or(|found| found.mode != mode) {
        fchmod(&file, Mode::from_raw_mode(mode))
            .map_err(|errno| Error::system(Operation::SetMode, path, errno))?;
    }
    if let Some(uid) = uid.filter(|uid| stat.is_some_and(|stat| stat.st_uid != *uid)) {
        fchown(&file, Some(Uid::from_raw(uid)), None).map_err(owner)?;
    }
    Ok(())
}

/// `.renewd-tmp.<name>.<random>`, cut to what a file system takes.
fn temporary_name(target: &OsStr) -> OsString {
    const LONGEST: usize = 255;
    let suffix = unique_suffix();
    let room = LONGEST - TEMPORARY_PREFIX.len() - 1 - suffix.len();
    let target = target.as_bytes();
    let mut name = OsString::from(TEMPORARY_PREFIX);
    name.push(OsStr::from_bytes(&target[..target.len().min(room)]));
    name.push(".");
    name.push(suffix);
    name
}

/// Sixteen hexadecimal digits that nobody can guess: for names of what is not there yet.
#[must_use]
pub fn unique_suffix() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 8];
    // Uniqueness is O_EXCL's business; without randomness a stranger could merely make us try again.
    if ring::rand::SystemRandom::new().fill(&mut bytes).is_err() {
        let count = COUNT.fetch_add(1, Ordering::Relaxed) ^ u64::from(std::process::id()) << 32;
        bytes = count.to_le_bytes();
    }
    format!("{:016x}", u64::from_le_bytes(bytes))
}
