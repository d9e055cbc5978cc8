//! What the runtime sees of a Vault.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::Value;

use super::kv::{self, Newest, Place, Standing, Written};
use super::session::Session;
use super::settle::{Found, is_newer};
use super::{Clock, Fields, Outcome, Put, Resolve, Stamp, VaultError};
use crate::config::model::{KvVersion, OnRemove, Vault, VaultKey, VaultSink};
use crate::domain::{BootInstant, Secret};

/// For a whole operation, logins included.
const TOTAL: Duration = Duration::from_secs(30);

/// How often a write looks again after another was faster.
const TRIES: u32 = 4;

/// The largest secret that is read for an account, in bytes, as from files.
const LARGEST_SECRET: usize = 64 << 10;

/// A server and our login there. Cheap to share; nothing is asked before it is used.
pub struct VaultClient {
    session: Session,
    /// What we wrote last.
    ours: Mutex<HashMap<Place, Ours>>,
    /// Engines whose version the server has told.
    engines: Mutex<HashMap<String, Option<KvVersion>>>,
    /// Where the policy denies writing metadata.
    not_noted: Mutex<HashSet<Place>>,
    /// Where it denies reading them.
    not_shown: Mutex<HashSet<Place>>,
    key: hmac::Key,
    foreign: AtomicU64,
}

/// What we know to stand at a place.
#[derive(Clone, Copy)]
struct Ours {
    version: u64,
    print: hmac::Tag,
    /// What belongs beside it is there, too.
    noted: bool,
}

/// How often something has happened since the client was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Logins that were tried (look-ups of a configured token included).
    pub logins: u64,
    /// Renewals that were tried.
    pub renewals: u64,
    /// Writes of others that were noticed.
    pub foreign_writes: u64,
}

/// A key that was read for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReading {
    /// Its text.
    pub secret: Secret,
    /// The version that it stood in; `None` in key-value version 1.
    pub version: Option<u64>,
}

impl VaultClient {
    /// Reads nothing yet: files and secrets are read when they are used.
    #[must_use]
    pub fn new(settings: Arc<Vault>, resolve: Resolve, clock: Clock) -> Self {
        let mut key = [0; 32];
        // Without random numbers TLS would fail before anything is compared with this.
        let _ = SystemRandom::new().fill(&mut key);
        Self {
            session: Session::new(settings, resolve, clock),
            ours: Mutex::default(),
            engines: Mutex::default(),
            not_noted: Mutex::default(),
            not_shown: Mutex::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            foreign: AtomicU64::new(0),
        }
    }

    /// Logs in where there is no login, renews where that is due.
    ///
    /// # Errors
    /// No login. Nor is it silent where the old login lives on: the loop can say so before it ends.
    pub async fn maintain(&self) -> Result<(), VaultError> {
        limited(self.session.token()).await?;
        self.session.trouble().map_or(Ok(()), Err)
    }

    /// When [`VaultClient::maintain`] has something to do. Requests see to the lease themselves; without them a
    /// configured token would end unnoticed, and it cannot be had again. `None`: before the first use, and where the
    /// login has no end.
    #[must_use]
    pub fn next_maintenance(&self) -> Option<BootInstant> {
        self.session.due_at()
    }

    /// Makes the secret hold `fields`, unless it holds a newer token.
    ///
    /// Where the last put brought it to just this, only its metadata are asked for (in key-value version 2, where the
    /// policy lets them be read), and no value unless another version stands there.
    ///
    /// # Errors
    /// [`VaultError`]; [`VaultError::server_away`] says whom it concerns.
    pub async fn put(&self, sink: &VaultSink, fields: &Fields, stamp: Stamp) -> Result<Put, VaultError> {
        limited(self.settle(&place_of(sink), fields, stamp)).await
    }

    /// Whether [`VaultClient::put`] could be done there, and [`VaultClient::delete`] where it is wished: reads, and asks
    /// what the policy allows. Nothing is written.
    ///
    /// # Errors
    /// As theirs.
    pub async fn rehearse(&self, sink: &VaultSink) -> Result<(), VaultError> {
        let place = place_of(sink);
        let wanted: &[&str] = match sink.on_remove {
            OnRemove::Keep => &["create and update"],
            OnRemove::Delete => &["create and update", "delete"],
        };
        limited(async {
            self.look(&place).await?;
            match kv::lacking(&self.session, &place, wanted).await? {
                Some(capability) => Err(VaultError::Denied { path: place.policy_path(), capability }),
                None => Ok(()),
            }
        })
        .await
    }

    /// Deletes what was delivered: the newest version of key-value version 2, which can be undeleted, or the secret of
    /// version 1. Where there is nothing, nothing is done.
    ///
    /// # Errors
    /// As [`VaultClient::put`].
    pub async fn delete(&self, sink: &VaultSink) -> Result<(), VaultError> {
        let place = place_of(sink);
        limited(async {
            self.check_engine(&place).await?;
            kv::delete(&self.session, &place).await
        })
        .await?;
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        Ok(())
    }

    /// Reads a secret for an account. One newline at its end is dropped, as from files.
    ///
    /// # Errors
    /// As [`VaultClient::put`], and where there is no such text.
    pub async fn read_key(&self, key: &VaultKey) -> Result<KeyReading, VaultError> {
        let place = Place { mount: key.mount.clone(), path: key.path.clone(), kv: key.kv };
        let standing = limited(self.look(&place)).await?;
        let fields = standing.fields.ok_or_else(|| VaultError::NoSecret(place.name()))?;
        let problem = |problem| VaultError::BadKey { path: place.name(), key: key.key.clone(), problem };
        let value = match fields.get(&key.key) {
            None => return Err(VaultError::NoKey { path: place.name(), key: key.key.clone() }),
            Some(Value::String(text)) => Secret::from(text.as_str()),
            Some(Value::Number(number)) => Secret::new(number.to_string()),
            Some(_) => return Err(problem("is no text")),
        };
        let text = value.expose();
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if text.is_empty() {
            Err(problem("is empty"))
        } else if text.len() > LARGEST_SECRET {
            Err(problem("is larger than 64 KiB"))
        } else if text.contains(char::is_control) {
            Err(problem("holds a control character, such as a line break"))
        } else {
            let version = (key.kv == KvVersion::V2).then_some(standing.version);
            Ok(KeyReading { secret: Secret::from(text), version })
        }
    }

    /// Since the client was made.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            logins: self.session.logins.load(Relaxed),
            renewals: self.session.renewals.load(Relaxed),
            foreign_writes: self.foreign.load(Relaxed),
        }
    }

    /// Reads, decides, writes over exactly what was read; again where another was faster.
    async fn settle(&self, place: &Place, fields: &Fields, stamp: Stamp) -> Result<Put, VaultError> {
        if let Some(version) = self.unchanged(place, fields).await? {
            return Ok(Put { outcome: Outcome::Unchanged, version: Some(version), foreign: false });
        }
        let mut foreign = false;
        for _ in 0..TRIES {
            let standing = self.look(place).await?;
            let version = |number| (place.kv == KvVersion::V2).then_some(number);
            if standing.fields.as_ref() == Some(fields) {
                self.remember(place, fields, standing.version, false);
                self.note(place, &standing, fields, stamp, standing.version).await?;
                self.remember(place, fields, standing.version, true);
                return Ok(Put { outcome: Outcome::Unchanged, version: version(standing.version), foreign });
            }
            let ours = self.ours(place);
            let is_ours = ours.is_some_and(|ours| self.is_ours(place, &standing, ours));
            if ours.is_some() && !is_ours {
                self.foreign.fetch_add(u64::from(!foreign), Relaxed);
                foreign = true;
            }
            if !is_ours && is_newer(stamp_of(&standing), stamp) {
                let outcome = Outcome::NewerThere;
                return Ok(Put { outcome, version: version(standing.version), foreign });
            }
            match kv::write(&self.session, place, fields, standing.version).await? {
                Written::As(number) => {
                    let written = number.unwrap_or(0);
                    self.remember(place, fields, written, false);
                    self.note(place, &standing, fields, stamp, written).await?;
                    self.remember(place, fields, written, true);
                    return Ok(Put { outcome: Outcome::Written, version: number, foreign });
                }
                Written::Conflict => {}
            }
        }
        Err(VaultError::Conflict(place.name()))
    }

    /// The version that stands there, where it is the one that holds just this.
    async fn unchanged(&self, place: &Place, fields: &Fields) -> Result<Option<u64>, VaultError> {
        let is_it = |ours: &Ours| {
            ours.noted && hmac::verify(&self.key, &fields.canonical(), ours.print.as_ref()).is_ok()
        };
        let Some(ours) = self.ours(place).filter(is_it) else { return Ok(None) };
        let lock = || self.not_shown.lock().unwrap_or_else(PoisonError::into_inner);
        if place.kv == KvVersion::V1 || lock().contains(place) {
            return Ok(None);
        }
        match kv::newest(&self.session, place).await? {
            Newest::Version(version) => Ok(Some(version).filter(|version| *version == ours.version)),
            Newest::Gone => Ok(None),
            Newest::Denied => {
                lock().insert(place.clone());
                Ok(None)
            }
        }
    }

    async fn look(&self, place: &Place) -> Result<Standing, VaultError> {
        self.check_engine(place).await?;
        kv::read(&self.session, place).await
    }

    /// Version 2's paths are nothing special in version 1: the write would succeed, to where nobody reads.
    async fn check_engine(&self, place: &Place) -> Result<(), VaultError> {
        let lock = || self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&place.mount).copied();
        let engine = match known {
            Some(engine) => engine,
            None => {
                let engine = kv::engine(&self.session, &place.mount).await?;
                if engine == Some(place.kv) {
                    lock().insert(place.mount.clone(), engine);
                }
                engine
            }
        };
        match engine {
            Some(is) if is != place.kv => Err(VaultError::WrongVersion { mount: place.mount.clone(), is }),
            _ => Ok(()),
        }
    }

    /// Where the fields do not say which token they are of, the metadata beside them do. A policy that denies that is
    /// accepted: then content alone is compared.
    async fn note(
        &self,
        place: &Place,
        standing: &Standing,
        fields: &Fields,
        stamp: Stamp,
        version: u64,
    ) -> Result<(), VaultError> {
        let noted = Found::in_metadata(&standing.metadata, version).whole();
        let lock = || self.not_noted.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = place.kv == KvVersion::V2 && !noted && !Found::in_fields(fields).whole();
        if wanted
            && !lock().contains(place)
            && !kv::note(&self.session, place, &standing.metadata, stamp, version).await?
        {
            lock().insert(place.clone());
        }
        Ok(())
    }

    fn is_ours(&self, place: &Place, standing: &Standing, ours: Ours) -> bool {
        match (&standing.fields, place.kv) {
            (None, _) => false,
            (Some(_), KvVersion::V2) => standing.version == ours.version,
            (Some(fields), KvVersion::V1) => {
                hmac::verify(&self.key, &fields.canonical(), ours.print.as_ref()).is_ok()
            }
        }
    }

    fn ours(&self, place: &Place) -> Option<Ours> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied()
    }

    fn remember(&self, place: &Place, fields: &Fields, version: u64, noted: bool) {
        let print = hmac::sign(&self.key, &fields.canonical());
        let mut ours = self.ours.lock().unwrap_or_else(PoisonError::into_inner);
        ours.insert(place.clone(), Ours { version, print, noted });
    }
}

fn stamp_of(standing: &Standing) -> Found {
    let Some(fields) = &standing.fields else { return Found::default() };
    let found = Found::in_fields(fields);
    let noted = Found::in_metadata(&standing.metadata, standing.version);
    Found {
        generation: found.generation.or(noted.generation),
        issued_at: found.issued_at.or(noted.issued_at),
    }
}

fn place_of(sink: &VaultSink) -> Place {
    Place { mount: sink.mount.clone(), path: sink.path.clone(), kv: sink.kv }
}

async fn limited<T>(work: impl Future<Output = Result<T, VaultError>>) -> Result<T, VaultError> {
    tokio::time::timeout(TOTAL, work).await.unwrap_or(Err(VaultError::TooSlow(TOTAL)))
}
