//! `verify:`: a new token waits as the record's candidate, which sinks do not see, until it has been tried.

use super::clock;
use super::issue::{Refusal, Remarks, refresh_meta, seeded};
use super::shared::Shared;
use crate::config::model::Account;
use crate::core::{self, Admission, IssuedMeta, RefreshMeta};
use crate::domain::{Timestamp, Token, TokenMeta};
use crate::provider::Unverified;
use crate::store::{Durability, Record};

/// Whether a token of before waits to be tried again: then the provider is not asked for another.
pub(super) fn has_candidate(shared: &Shared, order: &core::Issue) -> bool {
    let record = shared.store.latest(&order.account);
    let candidate = record.as_ref().and_then(|record| record.candidate.as_ref());
    candidate.is_some_and(|token| token.meta.expires_at > clock::wall())
}

/// Tries the candidate; what works, and what nothing better stands in for, becomes the current token.
pub(super) async fn decide(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    mut remarks: Remarks,
) -> Result<(IssuedMeta, Remarks), Refusal> {
    let record = shared.store.latest(&order.account);
    let Some((record, candidate)) =
        record.as_ref().and_then(|record| Some((record, record.candidate.clone()?)))
    else {
        return Err(Refusal::Ours("the new token is gone: the account was changed meanwhile".to_owned()));
    };
    // Without `verify:`, the configuration was changed since.
    let verdict = match &account.verify {
        Some(verify) => shared.clients.verify(account, verify, &candidate).await,
        None => Ok(()),
    };
    let protected = is_protected(record, clock::wall());
    match verdict {
        Ok(()) => {}
        Err(Unverified::Refused(failure)) if protected => {
            drop_candidate(shared, order, &candidate).await;
            return Err(Refusal::Unverified(failure, remarks));
        }
        Err(Unverified::Unanswered(failure)) if protected => {
            return Err(Refusal::Unverified(failure, remarks));
        }
        Err(Unverified::Refused(failure) | Unverified::Unanswered(failure)) => {
            let why = "it is delivered all the same, because no other living token is left";
            remarks.warnings.push(format!("{}; {why}", failure.message));
        }
    }
    promote(shared, account, order, candidate).await.map(|meta| (meta, remarks))
}

/// Whether there is a token that one which may not work must not replace. Where the renewal has ended the old one before
/// its time, holding it is no worse than holding a new one that is refused, and an API that does not answer a
/// verification serves nobody else either.
fn is_protected(record: &Record, now: Timestamp) -> bool {
    record.current.as_ref().is_some_and(|token| token.meta.expires_at > now)
}

async fn promote(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    candidate: Token,
) -> Result<IssuedMeta, Refusal> {
    let meta = TokenMeta { generation: order.generation, ..candidate.meta };
    // Its refresh token became durable when it came.
    let saved = shared.store.update(&order.account, Durability::Cached, move |record| {
        if record.candidate.as_ref() != Some(&candidate) {
            return; // the account is another one by now
        }
        record.candidate = None;
        record.current = Some(Token { meta, ..candidate });
        record.generation = record.generation.max(meta.generation);
        let last_request = record.schedule.last_request;
        record.schedule = crate::store::Schedule { last_request, ..Default::default() };
    });
    // A write that fails leaves the change in memory, dirty, and is said elsewhere.
    let _ = saved.await;
    let record = shared.store.latest(&order.account);
    let refresh = record.and_then(|record| refresh_meta(&record));
    let refresh = refresh.or(seeded(account).then_some(RefreshMeta { expires_at: None }));
    Ok(IssuedMeta { token: meta, admission: Admission::Promoted, refresh })
}

async fn drop_candidate(shared: &Shared, order: &core::Issue, candidate: &Token) {
    let refused = candidate.access_token.clone();
    let saved = shared.store.update(&order.account, Durability::Cached, move |record| {
        if record.candidate.as_ref().is_some_and(|token| token.access_token == refused) {
            record.candidate = None;
        }
    });
    let _ = saved.await; // as above
}
