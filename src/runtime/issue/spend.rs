//! Which refresh token is spent: the one that belongs to what is configured, and never one that was spent before.

use std::sync::Arc;

use super::Refusal;
use crate::config::model::Account;
use crate::core;
use crate::domain::Secret;
use crate::runtime::credentials::Credentials;
use crate::runtime::shared::Shared;
use crate::runtime::{clock, restore};
use crate::store::{Durability, Fingerprint, Record, Store};

/// Why a configured first refresh token is not sent.
const SPENT: &str = "the configured first refresh token was spent before, and what came of it is kept for other settings, or \
                     was lost: it is not sent again; hint: put those settings back, or a fresh refresh token into the \
                     credential `refresh_token`";

/// The record, made that of these credentials: a source may have another client's by now, and nobody have seen it yet.
pub(super) fn settled(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    credentials: &Credentials,
    known: Option<Fingerprint>,
) -> Result<Option<Arc<Record>>, Refusal> {
    let before = shared.store.latest(&order.account);
    let identity = before.as_ref().map(|record| record.identity);
    if identity.is_some_and(|identity| identity != credentials.identity && Some(identity) != known) {
        return Err(Refusal::Ours("the account's settings have changed meanwhile".to_owned()));
    }
    let Some(record) = before else { return Ok(None) };
    let claim = credentials.claim(account);
    let now = clock::wall();
    let mut view = Record::clone(&record);
    let settled = view.settle(&claim, now);
    if view == *record {
        return Ok(Some(record));
    }
    // As durable as the intent, which follows.
    let saving = shared.store.update(&order.account, Durability::Cached, |record| {
        record.settle(&claim, now);
    });
    drop(saving);
    restore::say(&order.account, account, settled);
    Ok(shared.store.latest(&order.account))
}

/// The refresh token to spend, and the seed that it descends from.
pub(super) async fn refresh_token(
    record: Option<&Record>,
    credentials: &Credentials,
    account: &Account,
    store: &Store,
) -> Result<(Secret, Option<Fingerprint>), Refusal> {
    let stored = record.and_then(|record| record.refresh.as_ref());
    match (stored, &credentials.seed) {
        // The stored, rotated one wins until the configured one itself changes.
        (Some(slot), Some((_, seed))) if slot.seed.as_ref() == Some(seed) => {
            Ok((slot.token.clone(), Some(*seed)))
        }
        (_, Some((_, seed))) if account.provider.refresh_single_use && is_spent(record, *seed, store) => {
            Err(Refusal::Ours(SPENT.to_owned()))
        }
        (_, Some((token, seed))) => {
            if account.provider.refresh_single_use {
                not_spent_by_another(account, *seed, store).await?;
            }
            Ok((token.clone(), Some(*seed)))
        }
        (Some(slot), None) => Ok((slot.token.clone(), None)),
        (None, None) => Err(Refusal::Ours(format!("no refresh token is stored for {}", account.name))),
    }
}

/// An account that was given another name begins with nothing but its seed, and so do two that were given the same one.
async fn not_spent_by_another(account: &Account, seed: Fingerprint, store: &Store) -> Result<(), Refusal> {
    let (store, name) = (store.clone(), account.name.clone());
    let looked = tokio::task::spawn_blocking(move || store.spent_by(seed, &name)).await;
    match looked {
        Ok(Ok(Some(other))) => Err(Refusal::Ours(format!(
            "the configured first refresh token was spent by the account `{other}`: it is not sent again; hint: if `{other}` \
             is this account's former name, give it that name again, as its state is kept; else each account needs a \
             refresh token of its own"
        ))),
        // Who cannot look may not have it wrong for all time.
        Ok(Err(error)) => Err(Refusal::Ours(format!(
            "whether the first refresh token was spent by another account cannot be told: {}",
            error.worded()
        ))),
        Ok(Ok(None)) | Err(_) => Ok(()),
    }
}

/// A vendor may take a second use for theft, and end what came of the first.
fn is_spent(record: Option<&Record>, seed: Fingerprint, store: &Store) -> bool {
    record.is_some_and(|record| record.has_spent(seed, |slot| store.seed_mark(&slot.token)))
}
