//! The random id and key that every fingerprint in the state directory is made with. Without them nobody can tell whose a
//! stored refresh token is, so they are kept twice, each with its checksum.

use std::ffi::{OsStr, OsString};
use std::fmt;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::directory::{LARGEST, PRIVATE, file_name, move_aside};
use super::home::{Home, INSTALLATION, INSTALLATION_COPY};
use super::wire::{self, Broken};
use super::{Fingerprint, Notice, OpenError, Record, RefreshSlot};
use crate::atomic::{Error, Folder, SyncLevel};
use crate::domain::AccountId;

/// Some twenty times what is in one.
const LARGEST_INSTALLATION: usize = 4096;

/// What tells this installation from others: made once, random.
pub(super) struct Installation {
    id: [u8; 16],
    key: hmac::Key,
    /// What `key` is made from.
    bytes: Zeroizing<[u8; 32]>,
}

/// What stands in one of the two files.
enum Found {
    Good(Box<Installation>),
    Missing,
    Corrupt,
}

impl fmt::Debug for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Installation")
    }
}

impl Installation {
    /// Reads it, from its copy where the first file is no good, or makes a new one where both are none. What it finds
    /// damaged it mends.
    pub(super) fn open(home: &Home) -> Result<(Self, Option<Notice>), OpenError> {
        let folder = &home.folder;
        let first = Found::read(folder, INSTALLATION)?;
        let second = match (Found::read(folder, INSTALLATION_COPY), &first) {
            (Err(OpenError::Files(_)), Found::Good(_)) => Found::Missing,
            (read, _) => read?,
        };
        let corrupt = matches!(first, Found::Corrupt);
        match (first, second) {
            (Found::Good(ours), Found::Good(copy)) if ours.is(&copy) => Ok((*ours, None)),
            (Found::Good(ours), _) => {
                // An older version made one file only. Where there is no room for two, the next start tries again.
                let _ = ours.write(folder, INSTALLATION_COPY);
                Ok((*ours, None))
            }
            (_, Found::Good(ours)) => {
                let moved_to = if corrupt { Some(move_aside(folder, INSTALLATION.as_ref())?) } else { None };
                ours.write(folder, INSTALLATION)?;
                Ok((*ours, Some(Notice::InstallationMended { moved_to })))
            }
            (first, second) => {
                let ours = Self::made()?;
                let orphans = ours.set_orphans_aside(&home.accounts)?;
                for (copy, name) in [(first, INSTALLATION), (second, INSTALLATION_COPY)] {
                    if matches!(copy, Found::Corrupt) {
                        move_aside(folder, name.as_ref())?;
                    }
                }
                ours.write(folder, INSTALLATION)?;
                let _ = ours.write(folder, INSTALLATION_COPY);
                let notice = orphans.map(|orphans| Notice::InstallationReplaced { orphans });
                Ok((ours, notice))
            }
        }
    }

    /// Writes it into a directory that was made anew, over another's: the records that follow are marked with this key.
    pub(super) fn keep(&self, folder: &Folder) -> Result<(), OpenError> {
        for name in [INSTALLATION, INSTALLATION_COPY] {
            match Found::read(folder, name) {
                Ok(Found::Good(there)) if there.is(self) => {}
                Err(newer @ OpenError::Newer { .. }) => return Err(newer),
                _ => self.write(folder, name)?,
            }
        }
        Ok(())
    }

    pub(super) fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.id;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    pub(super) fn fingerprint(&self, parts: &[&[u8]]) -> Fingerprint {
        Fingerprint::of(&self.key, parts)
    }

    /// A token's mark as a configured first refresh token.
    pub(super) fn seed_mark(&self, token: &[u8]) -> Fingerprint {
        self.fingerprint(&[b"seed", token])
    }

    fn made() -> Result<Self, OpenError> {
        let (mut id, mut key) = ([0; 16], Zeroizing::new([0; 32]));
        let random = SystemRandom::new();
        random.fill(&mut id).and_then(|()| random.fill(key.as_mut())).map_err(|_| OpenError::NoRandomness)?;
        Ok(Self::new(id, key))
    }

    fn new(id: [u8; 16], bytes: Zeroizing<[u8; 32]>) -> Self {
        Self { id, key: hmac::Key::new(hmac::HMAC_SHA256, bytes.as_ref()), bytes }
    }

    fn is(&self, other: &Self) -> bool {
        self.id == other.id && *self.bytes == *other.bytes
    }

    fn write(&self, folder: &Folder, name: &str) -> Result<(), Error> {
        let content = wire::encode_installation(self.id, &self.bytes);
        folder.replace(name.as_ref(), &content, PRIVATE, SyncLevel::Full)
    }

    /// With the key of before nobody knows any more what the accounts' records belong to. One that holds a refresh token is
    /// kept under another name, and a blank one takes its place: it goes on counting, and knows that the seed is spent.
    /// So many were; `None` where there is no record at all. Safe to be cut off and done again.
    fn set_orphans_aside(&self, accounts: &Folder) -> Result<Option<usize>, Error> {
        let (mut records, mut orphans) = (0, 0);
        for name in accounts.names()? {
            let account = name.to_str().and_then(|name| AccountId::new(name.strip_suffix(".json")?).ok());
            let Some(account) = account else { continue };
            records += 1;
            let content = match accounts.read(&name, LARGEST) {
                Ok(Some(held)) => held.content,
                // What cannot be read now is not written over either.
                Ok(None) | Err(_) => continue,
            };
            let record = wire::decode(&content, &account).ok().filter(Record::holds_refresh);
            let Some(record) = record else { continue };
            let aside = free_name(accounts, &name)?;
            accounts.replace(&aside, &content, PRIVATE, SyncLevel::Full)?;
            let mark = |slot: &RefreshSlot| self.seed_mark(slot.token.expose().as_bytes());
            let blank = Record {
                generation: record.generation,
                removed_at: record.removed_at,
                bereft: record.refresh.as_ref().map(mark).or(record.bereft),
                ..Record::new(account.clone(), record.provider, Fingerprint::default())
            };
            accounts.replace(&file_name(&account), &wire::encode(&blank), PRIVATE, SyncLevel::Full)?;
            orphans += 1;
        }
        Ok((records > 0).then_some(orphans))
    }
}

fn free_name(accounts: &Folder, name: &OsStr) -> Result<OsString, Error> {
    for number in 1_u32.. {
        let mut aside = name.to_owned();
        aside.push(format!(".orphan-{number}"));
        if accounts.look(&aside)?.is_none() {
            return Ok(aside);
        }
    }
    Ok(name.to_owned()) // there are not so many
}

impl Found {
    fn read(folder: &Folder, name: &str) -> Result<Self, OpenError> {
        let content = match folder.read(OsStr::new(name), LARGEST_INSTALLATION) {
            Ok(None) => return Ok(Self::Missing),
            Ok(Some(held)) => held.content,
            Err(Error::TooLarge { .. }) => return Ok(Self::Corrupt),
            Err(error) => return Err(error.into()),
        };
        match wire::decode_installation(&content) {
            Ok((id, key)) => Ok(Self::Good(Box::new(Installation::new(id, key)))),
            Err(Broken::Corrupt(_)) => Ok(Self::Corrupt),
            Err(Broken::Newer(found)) => {
                Err(OpenError::Newer { path: folder.path().join(name), found, known: wire::SCHEMA })
            }
        }
    }
}
