use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::home::{ACCOUNTS, Home, INSTALLATION, ours_alone};
use super::installation::Installation;
use super::marks::Marks;
use super::wire::{self, Broken};
use super::{Lost, Notice, OpenError, Record, StoreError, Unreadable};
use crate::atomic::{Attributes, Error, Folder, SyncLevel};
use crate::domain::AccountId;

/// The largest state file that is read: two tokens and a refresh token of 16 KiB and a generous `extra`.
pub(super) const LARGEST: usize = 1 << 20;

/// How many corrupt files of one account are kept for a look at them.
const CORRUPT_KEPT: u64 = 3;

pub(super) const PRIVATE: Attributes = Attributes { mode: 0o600, uid: None, gid: None };

/// The state directory on disk.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) installation: Installation,
    pub(super) notices: Vec<Notice>,
    pub(super) marks: Marks,
    /// Where the accounts' files stand; for messages.
    accounts: PathBuf,
    /// Held across system calls, which may hang: never taken on the loop.
    place: Mutex<Place>,
    /// That of `place`'s home.
    number: AtomicU64,
}

/// Where it is by now.
#[derive(Debug)]
struct Place {
    home: Arc<Home>,
    /// It is not there, and could not be made anew.
    lost: Option<Lost>,
    /// It was made anew, and nobody was told yet.
    news: Option<&'static str>,
}

/// What a look at the directory has found.
pub(super) enum Look {
    /// It is where it was.
    InPlace,
    /// It was not, and is again: what had happened, in words.
    Anew(&'static str),
    /// It is not there, and cannot be made anew.
    Lost(Lost),
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let (home, mut notices) = Home::open(path)?;
        let leftovers = home.folder.clean()? + home.accounts.clean()?;
        notices.extend((leftovers > 0).then_some(Notice::LeftoversRemoved(leftovers)));
        let (installation, notice) = Installation::open(&home)?;
        notices.extend(notice);
        let marks = Marks::open(&home.folder);
        let accounts = home.accounts.path().to_owned();
        let number = AtomicU64::new(home.number);
        let place = Mutex::new(Place { home: Arc::new(home), lost: None, news: None });
        Ok(Self { path: path.to_owned(), installation, notices, marks, accounts, place, number })
    }

    /// Looks whether it is still there, and makes it anew where it is not: with our installation, under a lock of its
    /// own. What was in it is for the caller to write ([`Directory::number`] says that it is another one).
    pub(super) fn look(&self) -> Look {
        let mut place = self.place();
        let Some(what) = place.home.gone(&self.path) else {
            place.lost = None;
            return place.news.take().map_or(Look::InPlace, Look::Anew);
        };
        let made = place.home.anew(&self.path).and_then(|home| {
            self.installation.keep(&home.folder)?;
            Ok(home)
        });
        match made {
            Ok(home) => {
                self.marks.outdate();
                self.number.store(home.number, Ordering::Release);
                *place = Place { home: Arc::new(home), lost: None, news: None };
                Look::Anew(what)
            }
            Err(cause) => {
                let lost = Lost { what, cause };
                place.lost = Some(lost.clone());
                Look::Lost(lost)
            }
        }
    }

    /// Counts the directories that the agent has had. Waits for nothing.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Where to write; nowhere while it is lost: what was opened may be somewhere else by now, or another agent's.
    fn home(&self) -> Result<Arc<Home>, Lost> {
        let place = self.place();
        match &place.lost {
            Some(lost) => Err(lost.clone()),
            None => Ok(Arc::clone(&place.home)),
        }
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Directory::open`] would find what it needs, making nothing. The lock is another matter: an agent that
    /// runs holds it.
    pub(super) fn could_open(path: &Path) -> Result<(), OpenError> {
        let Some(folder) = Folder::could_open_or_create(path)? else { return Ok(()) };
        folder.could_replace(INSTALLATION.as_ref())?;
        let Some(accounts) = Folder::could_open_or_create(&folder.path().join(ACCOUNTS))? else {
            return Ok(());
        };
        ours_alone(&accounts)?;
        Ok(accounts.could_replace("any.json".as_ref())?)
    }

    pub(super) fn file_of(&self, account: &AccountId) -> PathBuf {
        self.accounts.join(file_name(account))
    }

    pub(super) fn stored(&self) -> Result<Vec<AccountId>, StoreError> {
        let home = Arc::clone(&self.place().home);
        let names = home.accounts.names().map_err(StoreError::List)?;
        let account = |name: &OsString| AccountId::new(name.to_str()?.strip_suffix(".json")?).ok();
        let mut accounts: Vec<_> = names.iter().filter_map(account).collect();
        accounts.sort();
        Ok(accounts)
    }

    pub(super) fn read(&self, account: &AccountId) -> Result<Option<Record>, Unreadable> {
        let name = file_name(account);
        let home = Arc::clone(&self.place().home);
        let content = match home.accounts.read(&name, LARGEST) {
            Ok(None) => return Ok(None),
            Ok(Some(held)) => Ok(held.content),
            Err(Error::TooLarge { .. }) => Err(Broken::Corrupt("larger than any state")),
            Err(error) => return Err(error.into()),
        };
        match content.and_then(|content| wire::decode(&content, account)) {
            Ok(record) => Ok(Some(record)),
            Err(Broken::Newer(found)) => {
                Err(Unreadable::Newer { path: self.file_of(account), found, known: wire::SCHEMA })
            }
            Err(Broken::Corrupt(what)) => {
                let moved_to = move_aside(&home.accounts, &name)?;
                Err(Unreadable::Corrupt { path: self.file_of(account), moved_to, what })
            }
        }
    }

    /// Gives the number of the directory that it was written to.
    pub(super) fn write(&self, record: &Record, sync: SyncLevel) -> Result<u64, StoreError> {
        if sync == SyncLevel::Full {
            // Durable is only what the next start will find: a removed directory takes files without a word.
            if let Look::Anew(what) = self.look() {
                self.place().news = Some(what);
            }
        }
        let home = self.home().map_err(|lost| StoreError::Lost { account: record.account.clone(), lost })?;
        let content = wire::encode(record);
        home.accounts
            .replace(&file_name(&record.account), &content, PRIVATE, sync)
            .map_err(|cause| StoreError::Files { account: record.account.clone(), cause })?;
        Ok(home.number)
    }

    pub(super) fn remove(&self, account: &AccountId) -> Result<(), StoreError> {
        let home = self.home().map_err(|lost| StoreError::Lost { account: account.clone(), lost })?;
        let removed = home.accounts.remove(&file_name(account));
        removed.map(drop).map_err(|cause| StoreError::Files { account: account.clone(), cause })
    }

    /// Writes the marks, unless the directory is lost: then they go with a later write.
    pub(super) fn write_marks(&self) -> Result<(), Error> {
        self.home().map_or(Ok(()), |home| self.marks.write(&home.folder))
    }
}

pub(super) fn file_name(account: &AccountId) -> OsString {
    format!("{account}.json").into()
}

/// Renames `name` to `name.corrupt-<n>`, the highest number being the newest, and keeps the newest few.
pub(super) fn move_aside(folder: &Folder, name: &OsStr) -> Result<PathBuf, Error> {
    let mut prefix = name.to_owned();
    prefix.push(".corrupt-");
    let number = |other: &OsString| -> Option<u64> {
        let digits = other.as_bytes().strip_prefix(prefix.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    };
    let earlier: Vec<u64> = folder.names()?.iter().filter_map(number).collect();
    let next = earlier.iter().max().map_or(1, |highest| highest.saturating_add(1));
    let with_number = |number: u64| {
        let mut name = prefix.clone();
        name.push(number.to_string());
        name
    };
    for old in earlier.into_iter().filter(|old| old.saturating_add(CORRUPT_KEPT) <= next) {
        // A file that stays costs a little space only.
        let _ = folder.remove(&with_number(old));
    }
    let aside = with_number(next);
    folder.rename(name, &aside)?;
    Ok(folder.path().join(aside))
}
