use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::directory::Directory;
use super::{Durability, Record, StoreError, Unreadable};
use crate::atomic::SyncLevel;
use crate::domain::AccountId;

/// One account's record and what of it is on disk.
///
/// Two locks: `state` is held for a moment and never across a system call; `disk` is held while the account's
/// file is read or written, so that those happen one after the other.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// With every change.
    latest: Option<Arc<Record>>,
    /// As far as it is as durable as was asked.
    visible: Option<Arc<Record>>,
    /// Counts the changes; the number of `latest`.
    revision: u64,
    /// The revision that the file holds.
    written: u64,
    /// The revision that survives a loss of power.
    synced: u64,
    /// The newest revision that was asked to.
    to_sync: u64,
    /// The number of the directory that the file is in: another one has no such file yet.
    home: u64,
    /// The file was looked at (or is known to be gone): it may be written over.
    restored: bool,
}

/// A change that was applied and is to be written.
pub(super) struct Pending {
    revision: u64,
    durability: Durability,
    /// What to go back to.
    before: Option<(Option<Arc<Record>>, u64)>,
}

impl Slot {
    pub(super) fn latest(&self) -> Option<Arc<Record>> {
        self.state().latest.clone()
    }

    pub(super) fn visible(&self) -> Option<Arc<Record>> {
        self.state().visible.clone()
    }

    pub(super) fn is_dirty(&self, directory: &Directory) -> bool {
        let home = directory.number();
        self.state().is_dirty(home)
    }

    /// The record, read from its file unless that was done before.
    pub(super) fn restore(
        &self,
        account: &AccountId,
        directory: &Directory,
    ) -> Result<Option<Arc<Record>>, Unreadable> {
        // Asked twice: the first time without waiting for a write that is under way.
        if let Some(record) = self.restored() {
            return Ok(record);
        }
        let _disk = self.disk();
        if let Some(record) = self.restored() {
            return Ok(record);
        }
        let home = directory.number();
        let read = directory.read(account);
        let mut state = self.state();
        state.home = home;
        state.restored = read.as_ref().err().is_none_or(Unreadable::is_absent);
        state.latest = read?.map(Arc::new);
        state.visible = state.latest.clone();
        Ok(state.latest.clone())
    }

    /// The record, where the file was looked at.
    fn restored(&self) -> Option<Option<Arc<Record>>> {
        let state = self.state();
        state.restored.then(|| state.latest.clone())
    }

    /// Makes the change in memory.
    pub(super) fn apply(
        &self,
        account: &AccountId,
        durability: Durability,
        directory: &Directory,
        change: impl FnOnce(&mut Record),
    ) -> Result<Pending, StoreError> {
        match self.restore(account, directory) {
            Err(cause) if !cause.is_absent() => {
                return Err(StoreError::Blocked { account: account.clone(), cause });
            }
            _ => {}
        }
        let mut state = self.state();
        let mut record = match &state.latest {
            Some(record) => Record::clone(record),
            None => Record::new(account.clone(), String::new(), super::Fingerprint::default()),
        };
        change(&mut record);
        let before = (durability == Durability::Durable).then(|| (state.latest.clone(), state.to_sync));
        state.revision += 1;
        state.latest = Some(Arc::new(record));
        match durability {
            Durability::Durable | Durability::Precious => state.to_sync = state.revision,
            // On top of a change that still has to become durable, it waits with that.
            Durability::Cached if state.to_sync <= state.synced => state.visible = state.latest.clone(),
            Durability::Cached => {}
        }
        Ok(Pending { revision: state.revision, durability, before })
    }

    /// Writes the change, unless a later write has taken it along.
    pub(super) fn commit(&self, pending: Pending, directory: &Directory) -> Result<(), StoreError> {
        let _disk = self.disk();
        let done = {
            let state = self.state();
            let reached = if pending.durability == Durability::Cached { state.written } else { state.synced };
            reached >= pending.revision || state.latest.is_none()
        };
        if done {
            return Ok(());
        }
        self.write(directory).inspect_err(|_| {
            let mut state = self.state();
            if let Some((before, to_sync)) = pending.before
                && state.revision == pending.revision
            {
                // The file may hold the change all the same (only the folder's sync failed): a new revision
                // makes the next flush write the old record over it.
                state.revision += 1;
                state.latest = before;
                state.to_sync = to_sync;
            }
        })
    }

    pub(super) fn flush(&self, directory: &Directory) -> Result<(), StoreError> {
        let _disk = self.disk();
        if self.is_dirty(directory) { self.write(directory) } else { Ok(()) }
    }

    pub(super) fn remove(&self, account: &AccountId, directory: &Directory) -> Result<(), StoreError> {
        let _disk = self.disk();
        let mut state = self.state();
        // The counts go on, so that a write still on its way does not take itself for a newer one.
        let revision = state.revision;
        *state = State {
            revision,
            written: revision,
            synced: revision,
            to_sync: revision,
            home: state.home,
            ..State::default()
        };
        drop(state);
        directory.remove(account)
    }

    /// Writes the newest record there is. The caller holds `disk`.
    fn write(&self, directory: &Directory) -> Result<(), StoreError> {
        let home = directory.number();
        let (record, revision, sync) = {
            let state = self.state();
            let Some(record) = state.latest.clone() else { return Ok(()) };
            let sync = match () {
                () if state.to_sync > state.synced => SyncLevel::Full,
                () if state.home != home && record.is_precious() => SyncLevel::Full,
                () if record.is_precious() => SyncLevel::Content,
                () => SyncLevel::None,
            };
            (record, state.revision, sync)
        };
        let home = directory.write(&record, sync)?;
        let mut state = self.state();
        state.home = home;
        state.written = revision;
        if sync == SyncLevel::Full {
            state.synced = revision;
            state.visible = Some(record);
        }
        if state.to_sync <= state.synced {
            // Cached changes that came meanwhile may be seen as well: nothing that waits is among them.
            state.visible = state.latest.clone();
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, ()> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_dirty(&self, home: u64) -> bool {
        let behind = self.written < self.revision || self.to_sync > self.synced || self.home != home;
        self.latest.is_some() && behind
    }
}
