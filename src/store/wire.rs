//! The state file's format: one JSON document on one line, which ends with the SHA-256 of all before that field.
//!
//! The checksum makes a flipped bit or a torn file an error instead of a wrong token. A file without it (written
//! by hand) is taken as it is.

use std::borrow::Cow;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Aside, AsideRefresh, AsideToken, Birth, Fingerprint, Intent, Record, RefreshSlot, Schedule};
use crate::domain::{AccountId, ErrorInfo, Generation, Secret, Timestamp, Token, TokenMeta};

/// The schema that this version writes.
pub(super) const SCHEMA: u32 = 1;

/// Steps from older schemas: the first one takes 0 to 1 and so on. There is no older one yet.
const MIGRATIONS: &[Migration] = &[];

/// The oldest schema that can be migrated.
const OLDEST: u32 = SCHEMA - MIGRATIONS.len() as u32;

type Migration = fn(Value) -> Option<Value>;

/// Why a file is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// In words that hold nothing of the content.
    Corrupt(&'static str),
    /// Written by a newer version, with this schema.
    Newer(u32),
}

pub(super) fn encode(record: &Record) -> Zeroizing<Vec<u8>> {
    // Room for everything at once: growing would leave copies of secrets behind. JSON doubles a character at most
    // (tokens are printable ASCII).
    let token = |token: &Option<Token>| token.as_ref().map_or(0, |token| token.access_token.expose().len());
    let refresh = record.refresh.as_ref().map_or(0, |slot| slot.token.expose().len());
    let kept = record.aside.refresh.iter().map(|kept| kept.slot.token.expose().len() + 256).sum::<usize>();
    let before = record.aside.token.as_ref().map_or(0, |kept| kept.token.access_token.expose().len());
    let secrets = token(&record.current) + token(&record.candidate) + refresh + kept + before;
    let mut content = Zeroizing::new(Vec::with_capacity(4096 + 2 * secrets));
    // Writing to memory what only has text as keys does not fail; an empty file would be found corrupt.
    if serde_json::to_writer(&mut *content, &StoredRecord::of(record)).is_err() {
        content.clear();
    }
    seal(&mut content);
    content
}

pub(super) fn decode(content: &[u8], account: &AccountId) -> Result<Record, Broken> {
    let stored: StoredRecord<'_> = open(content)?;
    if stored.account.as_ref() != account {
        return Err(Broken::Corrupt("it belongs to another account"));
    }
    Ok(stored.into_record())
}

/// A document without secrets, with its checksum.
pub(super) fn sealed(document: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // What only has text as keys does not fail; an empty file would be found corrupt.
    let mut content = Zeroizing::new(serde_json::to_vec(document).unwrap_or_default());
    seal(&mut content);
    content
}

pub(super) fn encode_installation(id: [u8; 16], key: &[u8; 32]) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(hex(key));
    let text = format!(r#"{{"schema":{SCHEMA},"id":"{}","key":"{}"}}"#, hex(&id), *key);
    let mut content = Zeroizing::new(text.into_bytes());
    seal(&mut content);
    content
}

pub(super) fn decode_installation(content: &[u8]) -> Result<([u8; 16], Zeroizing<[u8; 32]>), Broken> {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        key: String,
    }
    let stored: Stored = open(content)?;
    let id = unhex(&stored.id).ok_or(Broken::Corrupt("no id"))?;
    let key = unhex(&Zeroizing::new(stored.key)).ok_or(Broken::Corrupt("no key"))?;
    Ok((id, Zeroizing::new(key)))
}

#[derive(Serialize, Deserialize)]
struct StoredRecord<'a> {
    schema: u32,
    account: Cow<'a, AccountId>,
    provider: Cow<'a, str>,
    identity: Fingerprint,
    #[serde(default)]
    grant: Option<Fingerprint>,
    #[serde(default)]
    credentials: Option<Fingerprint>,
    #[serde(default)]
    owner: Option<Fingerprint>,
    #[serde(default)]
    schedule: Cow<'a, Schedule>,
    #[serde(default)]
    refresh: Option<StoredRefresh<'a>>,
    #[serde(default)]
    candidate: Option<StoredToken<'a>>,
    #[serde(default)]
    current: Option<StoredToken<'a>>,
    #[serde(default)]
    unverified: Option<Cow<'a, ErrorInfo>>,
    generation: Generation,
    #[serde(default)]
    intent: Option<Cow<'a, Intent>>,
    #[serde(default)]
    notified: Option<u64>,
    #[serde(default)]
    removed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    birth: Option<Birth>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    spent: Cow<'a, [Fingerprint]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bereft: Option<Fingerprint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aside: Vec<StoredAside<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<StoredBefore<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredAside<'a> {
    identity: Fingerprint,
    #[serde(default)]
    grant: Option<Fingerprint>,
    #[serde(default)]
    owner: Option<Fingerprint>,
    refresh: StoredRefresh<'a>,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredBefore<'a> {
    identity: Fingerprint,
    token: StoredToken<'a>,
    #[serde(default)]
    unverified: Option<Cow<'a, ErrorInfo>>,
    at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StoredRefresh<'a> {
    token: Cow<'a, str>,
    issued_at: Timestamp,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    seed: Option<Fingerprint>,
}

#[derive(Serialize, Deserialize)]
struct StoredToken<'a> {
    generation: Generation,
    issued_at: Timestamp,
    expires_at: Timestamp,
    token_type: Cow<'a, str>,
    access_token: Cow<'a, str>,
    #[serde(default)]
    extra: Map<String, Value>,
}

impl<'a> StoredRecord<'a> {
    fn of(record: &'a Record) -> Self {
        Self {
            schema: SCHEMA,
            account: Cow::Borrowed(&record.account),
            provider: record.provider.as_str().into(),
            identity: record.identity,
            grant: record.grant,
            credentials: record.credentials,
            owner: record.owner,
            schedule: Cow::Borrowed(&record.schedule),
            refresh: record.refresh.as_ref().map(StoredRefresh::of),
            candidate: record.candidate.as_ref().map(StoredToken::of),
            current: record.current.as_ref().map(StoredToken::of),
            unverified: record.unverified.as_ref().map(Cow::Borrowed),
            generation: record.generation,
            intent: record.intent.as_ref().map(Cow::Borrowed),
            notified: record.notified,
            removed_at: record.removed_at,
            old_since: record.old_since,
            birth: record.birth,
            spent: Cow::Borrowed(&record.spent),
            bereft: record.bereft,
            aside: record.aside.refresh.iter().map(StoredAside::of).collect(),
            before: record.aside.token.as_ref().map(StoredBefore::of),
        }
    }

    fn into_record(self) -> Record {
        let current = self.current.as_ref().map_or(Generation::NONE, |token| token.generation);
        Record {
            // A number is never given twice, whatever the file says. (Nobody has seen a candidate's.)
            generation: self.generation.max(current),
            account: self.account.into_owned(),
            provider: self.provider.into_owned(),
            identity: self.identity,
            grant: self.grant,
            credentials: self.credentials,
            owner: self.owner,
            schedule: self.schedule.into_owned(),
            refresh: self.refresh.map(StoredRefresh::into_slot),
            candidate: self.candidate.map(StoredToken::into_token),
            current: self.current.map(StoredToken::into_token),
            unverified: self.unverified.map(Cow::into_owned),
            intent: self.intent.map(Cow::into_owned),
            notified: self.notified,
            removed_at: self.removed_at,
            old_since: self.old_since,
            birth: self.birth,
            spent: self.spent.into_owned(),
            bereft: self.bereft,
            aside: Aside {
                refresh: self.aside.into_iter().map(StoredAside::into_aside).collect(),
                token: self.before.map(StoredBefore::into_aside),
            },
        }
    }
}

impl<'a> StoredRefresh<'a> {
    fn of(slot: &'a RefreshSlot) -> Self {
        Self {
            token: slot.token.expose().into(),
            issued_at: slot.issued_at,
            expires_at: slot.expires_at,
            seed: slot.seed,
        }
    }

    fn into_slot(self) -> RefreshSlot {
        RefreshSlot {
            token: Secret::new(self.token.into_owned()),
            issued_at: self.issued_at,
            expires_at: self.expires_at,
            seed: self.seed,
        }
    }
}

impl<'a> StoredAside<'a> {
    fn of(kept: &'a AsideRefresh) -> Self {
        let AsideRefresh { identity, grant, owner, slot, at } = kept;
        let (identity, grant, owner, at) = (*identity, *grant, *owner, *at);
        Self { identity, grant, owner, refresh: StoredRefresh::of(slot), at }
    }

    fn into_aside(self) -> AsideRefresh {
        let Self { identity, grant, owner, refresh, at } = self;
        AsideRefresh { identity, grant, owner, slot: refresh.into_slot(), at }
    }
}

impl<'a> StoredBefore<'a> {
    fn of(kept: &'a AsideToken) -> Self {
        let AsideToken { identity, token, unverified, at } = kept;
        let unverified = unverified.as_ref().map(Cow::Borrowed);
        Self { identity: *identity, token: StoredToken::of(token), unverified, at: *at }
    }

    fn into_aside(self) -> AsideToken {
        let Self { identity, token, unverified, at } = self;
        AsideToken { identity, token: token.into_token(), unverified: unverified.map(Cow::into_owned), at }
    }
}

impl<'a> StoredToken<'a> {
    fn of(token: &'a Token) -> Self {
        Self {
            generation: token.meta.generation,
            issued_at: token.meta.issued_at,
            expires_at: token.meta.expires_at,
            token_type: token.token_type.as_str().into(),
            access_token: token.access_token.expose().into(),
            extra: token.extra.iter().cloned().collect(),
        }
    }

    fn into_token(self) -> Token {
        Token {
            meta: TokenMeta {
                generation: self.generation,
                issued_at: self.issued_at,
                expires_at: self.expires_at,
            },
            access_token: Secret::new(self.access_token.into_owned()),
            token_type: self.token_type.into_owned(),
            extra: self.extra.into_iter().collect(),
        }
    }
}

const SEAL_HEAD: &[u8] = br#","sha256":""#;
const SEAL_TAIL: &[u8] = b"\"}\n";
const SEAL_LENGTH: usize = SEAL_HEAD.len() + 64 + SEAL_TAIL.len();

/// Puts the checksum into a JSON object's end.
fn seal(content: &mut Zeroizing<Vec<u8>>) {
    content.pop_if(|last| *last == b'}');
    content.reserve_exact(SEAL_LENGTH);
    let sum = hex(digest(&SHA256, content).as_ref());
    content.extend_from_slice(SEAL_HEAD);
    content.extend_from_slice(sum.as_bytes());
    content.extend_from_slice(SEAL_TAIL);
}

/// Checks and decodes a document, migrating an older one.
pub(super) fn open<T: serde::de::DeserializeOwned>(content: &[u8]) -> Result<T, Broken> {
    open_with(content, OLDEST, MIGRATIONS)
}

fn open_with<T: serde::de::DeserializeOwned>(
    content: &[u8],
    oldest: u32,
    migrations: &[Migration],
) -> Result<T, Broken> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
        #[serde(default)]
        sha256: Option<String>,
    }
    if content.is_empty() {
        return Err(Broken::Corrupt("empty"));
    }
    let head: Head = serde_json::from_slice(content).map_err(|_| Broken::Corrupt("not whole"))?;
    let newest = oldest + migrations.len() as u32;
    if head.schema > newest {
        return Err(Broken::Newer(head.schema));
    }
    if let Some(sum) = head.sha256 {
        let sealed = content.len().checked_sub(SEAL_LENGTH).and_then(|at| content.split_at_checked(at));
        let (body, trailer) = sealed.ok_or(Broken::Corrupt("the checksum is not at its end"))?;
        let right = hex(digest(&SHA256, body).as_ref());
        if sum != right || !trailer.starts_with(SEAL_HEAD) || !trailer.ends_with(SEAL_TAIL) {
            return Err(Broken::Corrupt("the checksum differs"));
        }
    }
    let unknown = |_| Broken::Corrupt("a field is missing or has the wrong type");
    if head.schema == newest {
        return serde_json::from_slice(content).map_err(unknown);
    }
    let first = head.schema.checked_sub(oldest).ok_or(Broken::Corrupt("a schema that never was"))?;
    let mut value: Value = serde_json::from_slice(content).map_err(unknown)?;
    for step in migrations.iter().skip(first as usize) {
        value = step(value).ok_or(Broken::Corrupt("the older schema is not kept to"))?;
    }
    serde_json::from_value(value).map_err(unknown)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = Zeroizing::new(digits.filter(|digits| digits.len() == 2 * N)?);
    let mut bytes = [0; N];
    bytes.iter_mut().zip(digits.chunks_exact(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
    Some(bytes)
}
