//! The only holder of tokens, and their durable state: one file an account below the state directory.
//! Imports `domain` and `atomic`.
//!
//! ```text
//! state_dir/              0700
//!   lock                  held by the one agent that owns the directory; its process id as text
//!   installation          random id and HMAC key, made once
//!   installation.copy     the same
//!   accounts/<name>.json  0600, see `Record`
//!   marks.json            what the hooks of templates were last told
//! ```
//!
//! **Invariant:** [`Store::snapshot`] never shows a change that was asked to be durable and is not so yet. A sink
//! that reads snapshots therefore cannot be ahead of the disk, which is what single-use refresh tokens need.
//!
//! **Invariant:** nothing counts as durable that is not in the directory under that path, locked by us: one that was
//! removed or moved is made anew ([`Store::look`]) before a write that has to be durable, or that write fails.
//!
//! **Invariant:** an older write never follows a newer one: writes of one account are one after the other, and
//! each takes the newest record there is.

mod account;
mod aside;
mod birth;
mod directory;
mod error;
mod fingerprint;
mod home;
mod installation;
mod marks;
mod purge;
mod record;
mod saving;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::atomic;
use crate::domain::{AccountId, Secret};
use account::{Slot, Turn};
use directory::{Directory, Look};
use saving::Writers;

pub use aside::{Aside, AsideRefresh, AsideToken, Claim, Settled};
pub use birth::Birth;
pub use error::{Lost, Notice, OpenError, StoreError, Unreadable};
pub use fingerprint::Fingerprint;
pub use record::{Intent, IntentKind, Record, RefreshSlot, Schedule};
pub use saving::Saving;

/// The accounts' records, in memory and on disk. Clones share one store.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// What a change asks of the disk before it counts as made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On disk, synced, or not made at all: where the write fails, the change is taken back (unless another one
    /// came meanwhile). For an intent: what cannot be noted is not done.
    Durable,
    /// On disk, synced; where the write fails, the change is kept, is [`Store::dirty`], and stays hidden from
    /// [`Store::snapshot`] until [`Store::flush_dirty`] succeeds. For a rotated refresh token.
    Precious,
    /// Made in memory at once, written without a sync: a killed process keeps it, a loss of power
    /// may not. Where the write fails, the change is kept and is dirty. For what can be asked for again.
    ///
    /// A record that holds a refresh token, or the intent to spend one, still has its content synced before the
    /// rename, so that a loss of power leaves the old record or the new one, never an empty file. A login waits for no
    /// sync, and for no disk that hangs ([`Saving::briefly`]).
    Cached,
}

/// What a look at the state directory has found, and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It is where it was, or is there again as it was.
    InPlace,
    /// It was not there as it was; it is again, under our lock, with all that is in memory.
    Anew {
        /// What had happened, in words.
        what: &'static str,
        /// So many accounts have their state there.
        accounts: usize,
        /// What could not be written there; it is tried again like all that is [`Store::dirty`].
        failed: Vec<StoreError>,
    },
    /// It is not there, and there is no new one: nothing is written until there is.
    Lost(Lost),
}

#[derive(Debug)]
struct Inner {
    directory: Directory,
    writers: Arc<Writers>,
    looked_into_all: OnceLock<()>,
    slots: Mutex<HashMap<AccountId, Arc<Slot>>>,
}

impl Store {
    /// Opens `state_dir`, makes what is missing, and holds its lock until the last clone is dropped.
    /// Blocks on the file system.
    ///
    /// # Errors
    /// [`OpenError::Locked`] where another agent holds it; the rest when the directory is not ours or not usable.
    pub fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let directory = Directory::open(state_dir)?;
        Ok(Self {
            inner: Arc::new(Inner {
                directory,
                writers: Arc::default(),
                looked_into_all: OnceLock::new(),
                slots: Mutex::default(),
            }),
        })
    }

    /// Whether [`Store::open`] would find a directory that it can use, or could make one. Makes nothing, takes no lock.
    /// Blocks on the file system.
    ///
    /// # Errors
    /// As there, but never [`OpenError::Locked`].
    pub fn could_open(state_dir: &Path) -> Result<(), OpenError> {
        Directory::could_open(state_dir)
    }

    /// What was found and mended while opening, to be said once.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.inner.directory.notices
    }

    /// The state directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.directory.path
    }

    /// The seed of the renewal policy's spread: from the installation's id, the same after every restart.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.inner.directory.installation.seed()
    }

    /// A mark of `parts` that can be compared but not turned back: HMAC-SHA256 under this directory's key,
    /// cut to 128 bits. Where one part ends matters: `["ab", "c"]` differs from `["a", "bc"]`.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        self.inner.directory.installation.fingerprint(parts)
    }

    /// The mark of a first refresh token. A stored token has one too: equal ones say that the vendor hands out the same.
    #[must_use]
    pub fn seed_mark(&self, token: &Secret) -> Fingerprint {
        self.inner.directory.installation.seed_mark(token.expose().as_bytes())
    }

    /// The accounts that have a state file, also those that have left the configuration. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn stored(&self) -> Result<Vec<AccountId>, StoreError> {
        self.inner.directory.stored()
    }

    /// Reads an account's state file into memory. Blocks; meant for the start and for trying again after an error.
    ///
    /// A record that is already in memory is not read again.
    ///
    /// # Errors
    /// [`Unreadable`]. Where [`Unreadable::is_absent`] says so (a corrupt file, now moved aside), the account
    /// starts afresh; otherwise its file is left alone and updates are refused until a later call succeeds.
    pub fn restore(&self, account: &AccountId) -> Result<Option<Arc<Record>>, Unreadable> {
        self.inner.slot(account).restore(account, &self.inner.directory)
    }

    /// The account, another than `except`, whose refresh token comes of that first one, which is spent by that; also one that has
    /// left the configuration. What was not restored is looked into once. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn spent_by(&self, seed: Fingerprint, except: &AccountId) -> Result<Option<AccountId>, StoreError> {
        if self.inner.looked_into_all.get().is_none() {
            for account in self.stored()? {
                // What cannot be read has nothing to say here; its own account says so.
                let _ = self.restore(&account);
            }
            self.inner.looked_into_all.get_or_init(|| ());
        }
        let others = self.inner.all().into_iter().filter(|(account, _)| account != except);
        let has_spent = |record: &Record| {
            record.has_spent(seed, |slot| self.seed_mark(&slot.token))
                || record
                    .refresh
                    .as_ref()
                    .is_some_and(|slot| slot.seed == Some(seed) && self.seed_mark(&slot.token) != seed)
        };
        let mut spenders = others.filter(|(_, slot)| slot.latest().is_some_and(|record| has_spent(&record)));
        Ok(spenders.next().map(|(account, _)| account))
    }

    /// The record as far as it is as durable as was asked; `None` where there is none. Never blocks on the disk.
    #[must_use]
    pub fn snapshot(&self, account: &AccountId) -> Option<Arc<Record>> {
        self.inner.slots().get(account)?.visible()
    }

    /// The record with every change, also those that are not yet as durable as was asked. Not for sinks.
    #[must_use]
    pub fn latest(&self, account: &AccountId) -> Option<Arc<Record>> {
        self.inner.slots().get(account)?.latest()
    }

    /// Changes a record, a blank one ([`Record::new`]) where there is none. `change` must not call the store.
    ///
    /// The change is applied before this returns (so calls take effect in their order) and its write begins on the blocking
    /// pool, or waits for a place there: dropping the result does not stop it. Wants a tokio runtime. An account that
    /// was never restored is restored first, on the calling thread.
    ///
    /// # Errors
    /// [`StoreError`]; what then holds in memory, [`Durability`] says.
    pub fn update(
        &self,
        account: &AccountId,
        durability: Durability,
        change: impl FnOnce(&mut Record),
    ) -> Saving {
        let slot = self.inner.slot(account);
        match slot.apply(account, durability, &self.inner.directory, change) {
            Ok(pending) => match slot.queue(pending) {
                Turn::Own(pending) => {
                    let (inner, write) = (Arc::clone(&self.inner), Arc::clone(&self.inner.writers));
                    write.begin(account.clone(), move || slot.commit(pending, &inner.directory))
                }
                Turn::Joined(written) => Saving::Joined(account.clone(), written),
            },
            Err(error) => Saving::Done(Some(Err(error))),
        }
    }

    /// As [`Store::update`], on the calling thread.
    ///
    /// # Errors
    /// As there.
    pub fn update_blocking(
        &self,
        account: &AccountId,
        durability: Durability,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), StoreError> {
        let slot = self.inner.slot(account);
        let pending = slot.apply(account, durability, &self.inner.directory, change)?;
        slot.commit(pending, &self.inner.directory)
    }

    /// Looks whether the state directory is still there, with our lock in it, and makes it anew where it is not: with its
    /// modes, a lock and all records that are in memory. Blocks.
    #[must_use]
    pub fn look(&self) -> Seen {
        match self.inner.directory.look() {
            Look::InPlace => Seen::InPlace,
            Look::Anew(what) => {
                // Losing the marks costs a run of each hook.
                let _ = self.inner.directory.write_marks();
                let failed = self.flush_dirty().err().unwrap_or_default();
                let held = self.inner.all().into_iter().filter(|(_, slot)| slot.latest().is_some()).count();
                Seen::Anew { what, accounts: held.saturating_sub(failed.len()), failed }
            }
            Look::Lost(lost) => Seen::Lost(lost),
        }
    }

    /// The accounts whose newest record is not (yet) on disk as it should be.
    #[must_use]
    pub fn dirty(&self) -> Vec<AccountId> {
        let mut dirty: Vec<_> =
            self.inner.all().into_iter().filter(|(_, slot)| slot.is_dirty(&self.inner.directory)).collect();
        dirty.sort_by(|(one, _), (other, _)| one.cmp(other));
        dirty.into_iter().map(|(account, _)| account).collect()
    }

    /// Tries to write each dirty record again. Blocks.
    ///
    /// # Errors
    /// Those that still fail; the others are done.
    pub fn flush_dirty(&self) -> Result<(), Vec<StoreError>> {
        let slots = self.inner.all().into_iter().filter(|(_, slot)| slot.is_dirty(&self.inner.directory));
        let failed: Vec<_> = slots.filter_map(|(_, slot)| slot.flush(&self.inner.directory).err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// Forgets an account, in memory and on disk. Blocks. A write that is on its way comes to nothing.
    ///
    /// # Errors
    /// What the system says; the memory is then forgotten, the file not.
    pub fn remove(&self, account: &AccountId) -> Result<(), StoreError> {
        self.inner.slot(account).remove(account, &self.inner.directory)
    }

    /// What the hooks of templates were last told, by the template's name; a cache.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<String, u64> {
        self.inner.directory.marks.all()
    }

    /// Notes what all hooks of a template know now. Blocks; may be lost with the power, which costs a run of each.
    ///
    /// # Errors
    /// What the system says; it is kept in memory and goes with the next write.
    pub fn mark(&self, template: &str, mark: u64) -> Result<(), atomic::Error> {
        self.inner.directory.marks.set(template, mark);
        self.inner.directory.write_marks()
    }

    /// Forgets the marks of all other templates. Blocks.
    ///
    /// # Errors
    /// As [`Store::mark`].
    pub fn keep_marks(&self, wanted: impl Fn(&str) -> bool) -> Result<(), atomic::Error> {
        self.inner.directory.marks.retain(wanted);
        self.inner.directory.write_marks()
    }

    /// Where an account's state is kept; for messages.
    #[must_use]
    pub fn file_of(&self, account: &AccountId) -> PathBuf {
        self.inner.directory.file_of(account)
    }
}

impl Inner {
    fn slots(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, account: &AccountId) -> Arc<Slot> {
        Arc::clone(self.slots().entry(account.clone()).or_default())
    }

    fn all(&self) -> Vec<(AccountId, Arc<Slot>)> {
        self.slots().iter().map(|(account, slot)| (account.clone(), Arc::clone(slot))).collect()
    }
}

#[cfg(test)]
mod tests;
