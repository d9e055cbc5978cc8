use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

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
    /// The newest revision that a write will take along that waits for its turn.
    queued: Option<u64>,
    /// Who waits for that write as well.
    joined: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

/// A change that was applied and is to be written.
pub(super) struct Pending {
    revision: u64,
    durability: Durability,
    /// What to go back to.
    before: Option<(Option<Arc<Record>>, u64)>,
    /// Others may join it until it begins.
    queued: bool,
}

/// How a change gets to the disk.
pub(super) enum Turn {
    /// By a write of its own.
    Own(Pending),
    /// By one that waits for its turn.
    Joined(oneshot::Receiver<Result<(), StoreError>>),
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
        Ok(Pending { revision: state.revision, durability, before, queued: false })
    }

    /// Puts the change in line. Of those that want no more than to be written one waits at a time and takes the others
    /// along: a disk that hangs makes no line that grows.
    pub(super) fn queue(&self, pending: Pending) -> Turn {
        if pending.durability != Durability::Cached {
            return Turn::Own(pending);
        }
        let mut state = self.state();
        if state.queued.replace(pending.revision).is_none() {
            return Turn::Own(Pending { queued: true, ..pending });
        }
        let (sender, receiver) = oneshot::channel();
        state.joined.retain(|waiting| !waiting.is_closed());
        state.joined.push(sender);
        Turn::Joined(receiver)
    }

    /// Writes the change, unless a later write has taken it along.
    pub(super) fn commit(&self, pending: Pending, directory: &Directory) -> Result<(), StoreError> {
        let _disk = self.disk();
        let (done, joined) = {
            let mut state = self.state();
            let queued = if pending.queued { state.queued.take() } else { None };
            let joined = if pending.queued { std::mem::take(&mut state.joined) } else { Vec::new() };
            let reached = if pending.durability == Durability::Cached { state.written } else { state.synced };
            (reached >= queued.unwrap_or(pending.revision) || state.latest.is_none(), joined)
        };
        let written = if done { Ok(()) } else { self.write_or_revert(pending, directory) };
        for waiting in joined {
            let _ = waiting.send(written.clone()); // it may have given up
        }
        written
    }

    fn write_or_revert(&self, pending: Pending, directory: &Directory) -> Result<(), StoreError> {
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
            queued: state.queued,
            joined: std::mem::take(&mut state.joined),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_write_hangs_one_more_waits_and_takes_all_later_changes_along() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(&folder.path().join("state")).unwrap();
        let (slot, account) = (Slot::default(), AccountId::new("a").unwrap());
        let change = |attempt: u32| {
            let change = |record: &mut Record| record.schedule.attempt = attempt;
            slot.queue(slot.apply(&account, Durability::Cached, &directory, change).unwrap())
        };
        std::thread::scope(|scope| {
            slot.restore(&account, &directory).unwrap();
            let hangs = slot.disk();
            let Turn::Own(first) = change(1) else { panic!("the first has a write of its own") };
            let first = scope.spawn(|| slot.commit(first, &directory));
            for attempt in 2..1_000 {
                // Who does not wait for it leaves nothing behind.
                assert!(matches!(change(attempt), Turn::Joined(_)));
                assert!(slot.state().joined.len() <= 1);
            }
            let Turn::Joined(mut last) = change(1_000) else { panic!("it has a write that waits") };
            assert!(last.try_recv().is_err(), "nothing is written yet");
            drop(hangs);
            assert_eq!(first.join().unwrap(), Ok(()));
            assert_eq!(last.blocking_recv(), Ok(Ok(())));
        });
        assert!(!slot.is_dirty(&directory));
        assert_eq!(directory.read(&account).unwrap().unwrap().schedule.attempt, 1_000);
        assert!(matches!(change(1_001), Turn::Own(_)), "the line is empty again");
    }

    #[test]
    fn what_has_to_be_durable_has_a_write_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(&folder.path().join("state")).unwrap();
        let (slot, account) = (Slot::default(), AccountId::new("a").unwrap());
        for durability in [Durability::Cached, Durability::Durable, Durability::Precious] {
            let pending = slot.apply(&account, durability, &directory, |_| {}).unwrap();
            assert!(matches!(slot.queue(pending), Turn::Own(_)), "{durability:?}");
        }
    }
}
