//! The effect `Issue`: from credentials over the provider's reply to the durable record. One straight line.

mod intent;
mod spend;

use std::sync::Arc;

use self::intent::{intend, stale};
use self::spend::{refresh_token, settled};
use super::credentials::{self, Credentials};
use super::servers::{Servers, VAULT};
use super::shared::Shared;
use super::{clock, verify};
use crate::config::definition::OldToken;
use crate::config::model::Account;
use crate::core::{self, Admission, Event, FailureMeta, IssuedMeta, Operation, RefreshMeta};
use crate::domain::{ErrorClass, Now, Timestamp, Token, TokenMeta};
use crate::provider::{Call, Failure, Issued, OperationKind};
use crate::store::{Birth, Durability, Fingerprint, Record, RefreshSlot};

/// What came of it, for the engine and for the metrics.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// For the engine.
    pub(crate) event: Event,
    /// The HTTP status, where there was one.
    pub(crate) status: Option<u16>,
    /// Whether the provider was asked at all.
    pub(crate) asked: bool,
    /// The provider's clock against ours, in milliseconds, where it says.
    pub(crate) clock_offset_ms: Option<i64>,
    /// Something to look at although it went well.
    pub(crate) warnings: Vec<String>,
}

/// Asks the provider once.
pub(crate) fn issue(
    shared: Arc<Shared>,
    servers: Servers,
    account: Arc<Account>,
    order: core::Issue,
) -> impl Future<Output = Exchange> {
    // As the engine knows it, on whose word this is asked: what the account is by then may be another.
    let known = shared.store.latest(&order.account).map(|record| record.identity);
    ask(shared, servers, account, order, known)
}

async fn ask(
    shared: Arc<Shared>,
    servers: Servers,
    account: Arc<Account>,
    order: core::Issue,
    known: Option<Fingerprint>,
) -> Exchange {
    match attempt(&shared, &servers, &account, &order, known).await {
        Ok((outcome, reply)) => Exchange {
            event: match outcome {
                Kept::Current(meta) => Event::Issued { account: order.account, epoch: order.epoch, meta },
                Kept::Candidate => {
                    Event::Candidate { account: order.account, epoch: order.epoch, asked: reply.asked }
                }
            },
            status: reply.status,
            asked: reply.asked,
            clock_offset_ms: reply.clock_offset_ms,
            warnings: reply.warnings,
        },
        Err(refusal) => {
            let (failure, asked, status) = match refusal {
                Refusal::Ours(message) => (FailureMeta::config(message), false, None),
                Refusal::Lacking(message) => {
                    let lacks = Some(VAULT.into());
                    (FailureMeta { lacks, ..FailureMeta::config(message) }, false, None)
                }
                Refusal::Theirs(failure) => {
                    let status = failure.status;
                    (theirs(failure), true, status)
                }
            };
            let refresh = refresh_of(&shared, &account);
            let failure = FailureMeta { refresh, ..failure };
            Exchange {
                event: Event::Failed { account: order.account, epoch: order.epoch, failure },
                status,
                asked,
                clock_offset_ms: None,
                warnings: Vec::new(),
            }
        }
    }
}

/// The refresh token that is there for the next request.
pub(super) fn refresh_of(shared: &Shared, account: &Account) -> Option<RefreshMeta> {
    let refresh = shared.store.latest(&account.name).and_then(|record| refresh_meta(&record));
    refresh.or(seeded(account).then_some(RefreshMeta { expires_at: None }))
}

/// Whose key the last login was made with.
pub(super) fn owner_of(shared: &Shared, account: &Account) -> Option<u128> {
    shared.store.latest(&account.name)?.owner.map(|owner| owner.as_u128())
}

/// What a record says of its refresh token.
pub(crate) fn refresh_meta(record: &Record) -> Option<RefreshMeta> {
    record.refresh.as_ref().map(|slot| RefreshMeta { expires_at: slot.expires_at })
}

/// Whether the record's refresh token belongs to another key than `owner`.
pub(crate) fn is_foreign(record: &Record, owner: Option<Fingerprint>) -> bool {
    matches!((record.owner, owner), (Some(one), Some(other)) if one != other)
}

/// Whether the configuration gives a first refresh token.
pub(crate) fn seeded(account: &Account) -> bool {
    account
        .provider
        .credentials
        .iter()
        .any(|credential| credential.refresh_seed && account.credentials.contains_key(&credential.name))
}

/// What became of a new token.
pub(super) enum Kept {
    /// It is in use, or the one before stays.
    Current(IssuedMeta),
    /// It waits to be tried.
    Candidate,
}

pub(super) enum Refusal {
    /// Something on our side; nothing was sent.
    Ours(String),
    /// A secret could not be had because Vault is away; nothing was sent.
    Lacking(String),
    /// The provider's reply, or none.
    Theirs(Failure),
}

/// What else is to be said of an exchange.
#[derive(Default)]
pub(super) struct Remarks {
    pub(super) status: Option<u16>,
    pub(super) asked: bool,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) warnings: Vec<String>,
}

async fn attempt(
    shared: &Shared,
    servers: &Servers,
    account: &Account,
    order: &core::Issue,
    known: Option<Fingerprint>,
) -> Result<(Kept, Remarks), Refusal> {
    if let Some(meta) = rescued(shared, order).await? {
        return Ok((Kept::Current(meta), Remarks::default()));
    }
    if shared.store.latest(&order.account).is_some_and(|record| verify::has_candidate(&record)) {
        return Ok((Kept::Candidate, Remarks::default()));
    }
    let credentials = credentials::resolve(account, &shared.store, servers.keys.as_deref()).await;
    let credentials = credentials.map_err(|missing| match missing.away {
        true => Refusal::Lacking(missing.message),
        false => Refusal::Ours(missing.message),
    })?;
    let before = settled(shared, account, order, &credentials, known)?;
    // Under another key a refresh token of the one before would go on for ever.
    let foreign = before.as_ref().is_some_and(|record| is_foreign(record, credentials.owner));
    let login = core::Issue { operation: Operation::Issue, ..order.clone() };
    let order = if foreign && account.provider.issue.is_some() { &login } else { order };
    let spent = match order.operation {
        Operation::Refresh => {
            Some(refresh_token(before.as_deref(), &credentials, account, &shared.store).await?)
        }
        Operation::Issue => None,
    };
    let spent_print =
        spent.as_ref().map(|(token, _)| shared.store.fingerprint(&[b"refresh", token.expose().as_bytes()]));
    let (intent, repeated) = intend(shared, account, order, &credentials, spent_print).await?;
    let spends = order.operation == Operation::Refresh && account.provider.refresh_single_use;
    let _spending = spends.then(|| shared.spend());
    if shared.is_closed() {
        return Err(Refusal::Ours("the agent is stopping".to_owned()));
    }
    let access_token =
        before.as_ref().and_then(|record| record.current.as_ref()).map(|token| &token.access_token);
    let call = Call {
        account,
        operation: match order.operation {
            Operation::Issue => OperationKind::Issue,
            Operation::Refresh => OperationKind::Refresh,
        },
        credentials: &credentials.values,
        refresh_token: spent.as_ref().map(|(token, _)| token),
        access_token,
        idempotency_key: &intent.idempotency_key,
        repeated,
        timeout: order.timeout,
        now: &clock::wall,
    };
    let left = clock::now();
    let t0 = left.wall;
    match shared.clients.exchange(call).await {
        Ok(issued) => {
            keep(shared, account, order, &credentials, spent.map(|(_, seed)| seed), left, issued).await
        }
        Err(failure) => {
            let can_log_in = account.provider.issue.is_some();
            let failure = if repeated { stale(failure, order.operation, can_log_in) } else { failure };
            Err(Refusal::Theirs(note_failure(shared, account, order, &credentials, t0, failure).await))
        }
    }
}

/// A reply whose state could not be made durable is not lost: once the disk takes it, it counts as issued now.
async fn rescued(shared: &Shared, order: &core::Issue) -> Result<Option<IssuedMeta>, Refusal> {
    if !shared.hides(&order.account) {
        return Ok(None);
    }
    shared
        .flush()
        .await
        .map_err(|error| Refusal::Ours(format!("a new refresh token is not durable yet: {error}")))?;
    let record = shared.store.snapshot(&order.account);
    Ok(record.and_then(|record| {
        let meta = record.current.as_ref()?.meta;
        let newer = meta.generation >= order.generation && meta.expires_at > clock::wall();
        newer.then(|| IssuedMeta {
            token: meta,
            admission: Admission::Promoted,
            refresh: refresh_meta(&record),
            owner: record.owner.map(|owner| owner.as_u128()),
            unverified: record.unverified.clone(),
        })
    }))
}

async fn keep(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    credentials: &Credentials,
    seed: Option<Option<Fingerprint>>,
    left: Now,
    issued: Issued,
) -> Result<(Kept, Remarks), Refusal> {
    let Issued { access_token, token_type, refresh_token, refresh_expires_at, expires_at, extra, .. } =
        issued;
    let remarks = Remarks {
        status: Some(issued.status),
        asked: true,
        clock_offset_ms: issued.clock_offset_ms,
        warnings: issued.warnings,
    };
    let t0 = left.wall;
    let before = shared.store.latest(&order.account);
    let current = before.as_ref().filter(|record| record.identity == credentials.identity);
    let current = current.and_then(|record| record.current.as_ref());
    let known = current.map(|token| (token.meta, token.access_token == access_token));
    let admission = core::admit(known, expires_at, order.keep_longer, t0);
    let meta = match (admission, current) {
        (Admission::Same | Admission::Shorter, Some(token)) => token.meta,
        _ => TokenMeta { generation: order.generation, issued_at: t0, expires_at },
    };
    let precious = refresh_token.is_some() && account.provider.refresh_single_use;
    let seed = seed.flatten().or_else(|| credentials.seed.as_ref().map(|(_, seed)| *seed));
    let slot =
        refresh_token.map(|token| RefreshSlot { token, issued_at: t0, expires_at: refresh_expires_at, seed });
    let (identity, owner) = (credentials.identity, credentials.owner);
    let claim = credentials.claim(account);
    let logged_in = order.operation == Operation::Issue;
    let to_verify = account.verify.is_some() && admission == Admission::Promoted;
    let saved = shared.store.update(
        &order.account,
        if precious { Durability::Precious } else { of_a_token(account) },
        move |record| {
            if record.identity != identity {
                // The account is another one by now, and this access token nobody's.
                if let Some(slot) = slot {
                    record.take_refresh(&claim, slot);
                }
                return;
            }
            record.aside.token = None;
            if logged_in && record.owner != owner {
                (record.owner, record.refresh) = (owner, None);
            }
            if let Some(slot) = slot {
                record.take_refresh(&claim, slot);
            }
            if admission == Admission::Promoted {
                if let Some(boot) = clock::boot_id() {
                    record.bear(Birth::at(left, boot));
                }
                let token = Token { meta, access_token, token_type, extra };
                match to_verify {
                    true => record.candidate = Some(token),
                    false => {
                        (record.current, record.candidate, record.unverified) = (Some(token), None, None);
                    }
                }
            }
            if !to_verify {
                record.generation = record.generation.max(meta.generation);
            }
            record.intent = None;
            record.schedule = crate::store::Schedule { last_request: Some(t0), ..Default::default() };
        },
    );
    let saved = if precious { saved.await } else { saved.briefly().await };
    match saved {
        Err(error) if precious => Err(Refusal::Ours(format!(
            "a new refresh token came but cannot be made durable: {error}; the old token stays in use meanwhile"
        ))),
        _ if to_verify => Ok((Kept::Candidate, remarks)),
        _ => {
            let (refresh, owner) = (refresh_of(shared, account), owner_of(shared, account));
            Ok((
                Kept::Current(IssuedMeta { token: meta, admission, refresh, owner, unverified: None }),
                remarks,
            ))
        }
    }
}

/// How durable a token has to be that can be asked for again. One that ends its predecessor is on the disk before it is
/// delivered: after a loss of power the state would bring that one back, to where the new one was.
pub(super) fn of_a_token(account: &Account) -> Durability {
    match account.provider.old_token {
        OldToken::Independent => Durability::Cached,
        OldToken::KillsOld | OldToken::SameUntil | OldToken::Extends => Durability::Synced,
    }
}

async fn note_failure(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    credentials: &Credentials,
    t0: Timestamp,
    mut failure: Failure,
) -> Failure {
    // Where there is nothing to log in with it stays: the vendor may have said so by mistake.
    let replaceable = account.provider.issue.is_some();
    let dead = failure.class == ErrorClass::Relogin && order.operation == Operation::Refresh && replaceable;
    let rotated = failure.refresh_token.take();
    let (ambiguous, seed) = (failure.ambiguous, credentials.seed.as_ref().map(|(_, seed)| *seed));
    let (identity, claim) = (credentials.identity, credentials.claim(account));
    let precious = rotated.is_some();
    let saved = shared.store.update(
        &order.account,
        if precious { Durability::Precious } else { Durability::Cached },
        move |record| {
            let slot = rotated.map(|token| RefreshSlot { token, issued_at: t0, expires_at: None, seed });
            let rotated = slot.is_some();
            if let Some(slot) = slot {
                record.take_refresh(&claim, slot);
            }
            if record.identity != identity {
                return;
            }
            if dead && !rotated {
                record.refresh = None;
            }
            if !ambiguous {
                record.intent = None;
            }
        },
    );
    let saved = if precious { saved.await } else { saved.briefly().await };
    if let Err(error) = saved
        && precious
    {
        failure.message =
            format!("{}; and its new refresh token is not durable yet: {error}", failure.message);
    }
    failure
}

pub(super) fn theirs(failure: Failure) -> FailureMeta {
    FailureMeta {
        class: failure.class,
        message: failure.message,
        wait: failure.wait,
        host_fault: failure.host_fault,
        host_pause: failure.host_pause,
        lacks: None,
        refresh: None,
    }
}
