use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FlockOperation, OFlags, flock, ftruncate};
use rustix::io::{Errno, pwrite};
use zeroize::Zeroizing;

use super::marks::Marks;
use super::wire::{self, Broken};
use super::{Fingerprint, Notice, OpenError, Record, StoreError, Unreadable};
use crate::atomic::{Attributes, Error, Folder, Operation, SyncLevel};
use crate::domain::AccountId;

/// The largest state file that is read: two tokens and a refresh token of 16 KiB and a generous `extra`.
const LARGEST: usize = 1 << 20;

/// How many corrupt files of one account are kept for a look at them.
const CORRUPT_KEPT: u64 = 3;

const INSTALLATION: &str = "installation";
const ACCOUNTS: &str = "accounts";

pub(super) const PRIVATE: Attributes = Attributes { mode: 0o600, uid: None, gid: None };

/// The state directory on disk.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) installation: Installation,
    pub(super) notices: Vec<Notice>,
    pub(super) marks: Marks,
    accounts: Folder,
    /// Holds the lock as long as it lives.
    _lock: OwnedFd,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let mut notices = Vec::new();
        let mut folder = Folder::open_or_create(path, 0o700)?;
        notices.extend(close_to_others(&mut folder)?);
        let lock = lock(&folder)?;
        let mut accounts = Folder::open_or_create(&folder.path().join(ACCOUNTS), 0o700)?;
        ours_alone(&accounts)?;
        notices.extend(close_to_others(&mut accounts)?);
        let leftovers = folder.clean()? + accounts.clean()?;
        notices.extend((leftovers > 0).then_some(Notice::LeftoversRemoved(leftovers)));
        let (installation, notice) = Installation::open(&folder)?;
        notices.extend(notice);
        let marks = Marks::open(folder);
        Ok(Self { path: path.to_owned(), installation, notices, marks, accounts, _lock: lock })
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
        self.accounts.path().join(file_name(account))
    }

    pub(super) fn stored(&self) -> Result<Vec<AccountId>, StoreError> {
        let names = self.accounts.names().map_err(StoreError::List)?;
        let account = |name: &OsString| AccountId::new(name.to_str()?.strip_suffix(".json")?).ok();
        let mut accounts: Vec<_> = names.iter().filter_map(account).collect();
        accounts.sort();
        Ok(accounts)
    }

    pub(super) fn read(&self, account: &AccountId) -> Result<Option<Record>, Unreadable> {
        let name = file_name(account);
        let content = match self.accounts.read(&name, LARGEST) {
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
                let moved_to = move_aside(&self.accounts, &name)?;
                Err(Unreadable::Corrupt { path: self.file_of(account), moved_to, what })
            }
        }
    }

    pub(super) fn write(&self, record: &Record, sync: SyncLevel) -> Result<(), StoreError> {
        let content = wire::encode(record);
        self.accounts
            .replace(&file_name(&record.account), &content, PRIVATE, sync)
            .map_err(|cause| StoreError::Files { account: record.account.clone(), cause })
    }

    pub(super) fn remove(&self, account: &AccountId) -> Result<(), StoreError> {
        let removed = self.accounts.remove(&file_name(account));
        removed.map(drop).map_err(|cause| StoreError::Files { account: account.clone(), cause })
    }
}

/// What tells this installation from others: made once, random.
#[derive(Debug)]
pub(super) struct Installation {
    id: [u8; 16],
    key: hmac::Key,
}

impl Installation {
    /// Reads the file, or makes a new one where it is missing or unreadable.
    fn open(folder: &Folder) -> Result<(Self, Option<Notice>), OpenError> {
        const NAME: &str = INSTALLATION;
        let mut notice = None;
        let content = match folder.read(NAME.as_ref(), 4096) {
            Ok(held) => held.map(|held| held.content),
            Err(Error::TooLarge { .. }) => Some(Zeroizing::default()),
            Err(error) => return Err(error.into()),
        };
        if let Some(content) = content {
            match wire::decode_installation(&content) {
                Ok((id, key)) => return Ok((Self::new(id, &key), None)),
                Err(Broken::Newer(found)) => {
                    let path = folder.path().join(NAME);
                    return Err(OpenError::Newer { path, found, known: wire::SCHEMA });
                }
                Err(Broken::Corrupt(_)) => {
                    let moved_to = move_aside(folder, NAME.as_ref())?;
                    notice = Some(Notice::InstallationReplaced { moved_to });
                }
            }
        }
        let (mut id, mut key) = ([0; 16], Zeroizing::new([0; 32]));
        let random = SystemRandom::new();
        random.fill(&mut id).and_then(|()| random.fill(key.as_mut())).map_err(|_| OpenError::NoRandomness)?;
        folder.replace(NAME.as_ref(), &wire::encode_installation(id, &key), PRIVATE, SyncLevel::Full)?;
        Ok((Self::new(id, &key), notice))
    }

    fn new(id: [u8; 16], key: &[u8; 32]) -> Self {
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    pub(super) fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.id;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        Fingerprint::of(&self.key, parts)
    }
}

/// Root's would do for other folders; what holds tokens is of the agent's own user.
fn ours_alone(folder: &Folder) -> Result<(), Error> {
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
fn lock(folder: &Folder) -> Result<OwnedFd, OpenError> {
    const NAME: &str = "lock";
    let path = folder.path().join(NAME);
    let system = |operation, errno| Error::System { operation, path: path.clone(), errno };
    let opened = folder.open_file(NAME.as_ref(), OFlags::RDWR | OFlags::CREATE)?;
    let (file, _) = opened.ok_or_else(|| system(Operation::Open, Errno::NOENT))?;
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
    Ok(file)
}

fn read_pid(file: OwnedFd) -> Option<u32> {
    let mut text = String::new();
    std::fs::File::from(file).take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn file_name(account: &AccountId) -> OsString {
    format!("{account}.json").into()
}

/// Renames `name` to `name.corrupt-<n>`, the highest number being the newest, and keeps the newest few.
fn move_aside(folder: &Folder, name: &std::ffi::OsStr) -> Result<PathBuf, Error> {
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
