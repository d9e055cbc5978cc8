//! The state directory as it stands on disk: opened folders and the lock. Somebody may remove or move it under a running
//! agent; what was opened then leads nowhere, and the lock keeps nobody out any more.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags, flock, ftruncate};
use rustix::io::{Errno, pwrite};

use super::{Notice, OpenError};
use crate::atomic::{Error, Folder, Identity, Operation};

pub(super) const ACCOUNTS: &str = "accounts";
pub(super) const INSTALLATION: &str = "installation";
/// Holds the same, for the day on which the other one is damaged.
pub(super) const INSTALLATION_COPY: &str = "installation.copy";
const LOCK: &str = "lock";

/// The directory, opened and locked.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) folder: Folder,
    pub(super) accounts: Folder,
    lock: Arc<Lock>,
    /// Counts the directories that the agent has had, from 0.
    pub(super) number: u64,
}

/// Held as long as it lives.
#[derive(Debug)]
struct Lock {
    _file: OwnedFd,
    identity: Identity,
}

impl Home {
    /// Opens it, makes what is missing, and takes the lock.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Notice>), OpenError> {
        Self::take(path, None)
    }

    /// The same again, where [`Home::gone`] says so. A lock file that is still the one that `self` holds stays held.
    pub(super) fn anew(&self, path: &Path) -> Result<Self, OpenError> {
        let (home, _) = Self::take(path, Some(&self.lock))?;
        Ok(Self { number: self.number + 1, ..home })
    }

    fn take(path: &Path, held: Option<&Arc<Lock>>) -> Result<(Self, Vec<Notice>), OpenError> {
        let mut notices = Vec::new();
        let mut folder = Folder::open_or_create(path, 0o700)?;
        notices.extend(close_to_others(&mut folder)?);
        let there = folder.look(LOCK.as_ref())?.map(|found| found.identity);
        let lock = match held.filter(|held| there == Some(held.identity)) {
            Some(held) => Arc::clone(held),
            None => Arc::new(lock(&folder)?),
        };
        let mut accounts = Folder::open_or_create(&folder.path().join(ACCOUNTS), 0o700)?;
        ours_alone(&accounts)?;
        notices.extend(close_to_others(&mut accounts)?);
        Ok((Self { folder, accounts, lock, number: 0 }, notices))
    }

    /// What of it is not under `path` any more, in words. What cannot be told (no descriptors left, a file system that
    /// fails) counts as being there.
    pub(super) fn gone(&self, path: &Path) -> Option<&'static str> {
        match Folder::open(path) {
            Ok(there) if there.identity() == self.folder.identity() => {}
            Ok(_) => return Some("another directory was put in the state directory's place"),
            Err(error) if error.is_absent() => {
                return Some("the state directory was removed or moved by someone else");
            }
            Err(Error::ForeignFolder { .. } | Error::ForeignLink { .. }) => {
                return Some("something of another user was put in the state directory's place");
            }
            Err(error) if error.errno() == Some(Errno::NOTDIR) => {
                return Some("a file was put in the state directory's place");
            }
            Err(_) => return None,
        }
        let lock = self.folder.look(LOCK.as_ref()).ok()?;
        if lock.is_none_or(|found| found.identity != self.lock.identity) {
            return Some("the state directory's lock was removed or replaced by someone else");
        }
        match Folder::open(&self.folder.path().join(ACCOUNTS)) {
            Ok(there) if there.identity() != self.accounts.identity() => {
                return Some("another `accounts` was put into the state directory");
            }
            Err(error) if error.is_absent() => {
                return Some("`accounts` was removed from the state directory by someone else");
            }
            Ok(_) | Err(_) => {}
        }
        let installation = self.folder.look(INSTALLATION.as_ref()).ok()?;
        installation
            .is_none()
            .then_some("`installation` was removed from the state directory by someone else")
    }
}

/// Root's would do for other folders; what holds tokens is of the agent's own user.
pub(super) fn ours_alone(folder: &Folder) -> Result<(), Error> {
    match folder.owner() {
        uid if uid == rustix::process::geteuid().as_raw() => Ok(()),
        uid => Err(Error::ForeignFolder { path: folder.path().to_owned(), uid }),
    }
}

/// Takes group's and others' bits away, where the folder is ours.
fn close_to_others(folder: &mut Folder) -> Result<Option<Notice>, Error> {
    let was = folder.mode();
    if was & 0o077 == 0 {
        return Ok(None);
    }
    let path = folder.path().to_owned();
    if folder.owner() != rustix::process::geteuid().as_raw() {
        return Ok(Some(Notice::OpenToOthers(path)));
    }
    folder.set_mode(0o700)?;
    Ok(Some(Notice::ModeMended { path, was }))
}

/// Takes the lock, which ends with the process at the latest, and notes who holds it.
fn lock(folder: &Folder) -> Result<Lock, OpenError> {
    let path = folder.path().join(LOCK);
    let system = |operation, errno| Error::System { operation, path: path.clone(), errno };
    let opened = folder.open_file(LOCK.as_ref(), OFlags::RDWR | OFlags::CREATE)?;
    let (file, found) = opened.ok_or_else(|| system(Operation::Open, Errno::NOENT))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(OpenError::Locked { path: folder.path().to_owned(), pid: read_pid(file) });
        }
        Err(errno) => return Err(system(Operation::Lock, errno).into()),
    }
    // For people and for the other agent's message only, so a full disk must not stop us here.
    let text = format!("{}\n", std::process::id());
    let _ = ftruncate(&file, 0).and_then(|()| pwrite(&file, text.as_bytes(), 0));
    Ok(Lock { _file: file, identity: found.identity })
}

fn read_pid(file: OwnedFd) -> Option<u32> {
    let mut text = String::new();
    std::fs::File::from(file).take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
