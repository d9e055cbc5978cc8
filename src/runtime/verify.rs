//! `verify:`: a new token waits as the record's candidate, which sinks do not see, until it has been tried.

use std::sync::Arc;
use std::time::Duration;

use super::clock;
use super::issue::{Exchange, refresh_of, theirs};
use super::shared::Shared;
use crate::config::model::{Account, Verify};
use crate::core::{self, Admission, Event, FailureMeta, IssuedMeta};
use crate::domain::{AccountId, ErrorInfo, Generation, Timestamp, Token, TokenMeta};
use crate::provider::Unverified;
use crate::store::{Durability, Record};

/// How long after a token's end it is looked whether it has ended.
const MOMENT: Duration = Duration::from_millis(10);

/// Whether a token of before waits to be tried again: then the provider is not asked for another.
pub(super) fn has_candidate(shared: &Shared, order: &core::Issue) -> bool {
    let record = shared.store.latest(&order.account);
    let candidate = record.as_ref().and_then(|record| record.candidate.as_ref());
    candidate.is_some_and(|token| token.meta.expires_at > clock::wall())
}

/// The effect `Verify`: tries the candidate; what works, and what nothing better stands in for, becomes the current token.
pub(crate) async fn verify(
    shared: Arc<Shared>,
    account: Arc<Account>,
    epoch: u64,
    generation: Generation,
) -> Exchange {
    let mut warnings = Vec::new();
    let name = account.name.clone();
    let event = match decide(&shared, &account, generation).await {
        Ok(meta) => {
            let why = "it is delivered all the same, because no other living token is left";
            warnings.extend(meta.unverified.iter().map(|error| format!("{}; {why}", error.message)));
            Event::Issued { account: name, epoch, meta }
        }
        Err(failure) => {
            let refresh = refresh_of(&shared, &account);
            Event::Failed { account: name, epoch, failure: FailureMeta { refresh, ..failure } }
        }
    };
    Exchange { event, status: None, asked: false, clock_offset_ms: None, warnings }
}

async fn decide(
    shared: &Shared,
    account: &Account,
    generation: Generation,
) -> Result<IssuedMeta, FailureMeta> {
    let record = shared.store.latest(&account.name);
    let Some((record, candidate)) =
        record.as_ref().and_then(|record| Some((record, record.candidate.clone()?)))
    else {
        let message = "the new token is gone: the account was changed meanwhile";
        return Err(FailureMeta::config(message.to_owned()));
    };
    // Once the old token has ended there is nothing to hold on to: the try takes no longer than that. A moment more, so
    // that the clock has reached it.
    let lives = record.current.as_ref().map(|token| token.meta.expires_at.since(clock::wall()));
    let limit = lives.filter(|lives| !lives.is_zero()).map(|lives| lives + MOMENT);
    // Without `verify:`, the configuration was changed since.
    let verdict = match &account.verify {
        Some(verify) => {
            let timeout = limit.map_or(verify.timeout, |limit| verify.timeout.min(limit));
            let verify = Verify { timeout, ..verify.clone() };
            shared.clients.verify(account, &verify, &candidate).await
        }
        None => Ok(()),
    };
    let protected = is_protected(record, clock::wall());
    let unverified = match verdict {
        Ok(()) => None,
        Err(Unverified::Refused(failure)) if protected => {
            drop_candidate(shared, &account.name, &candidate).await;
            return Err(theirs(failure));
        }
        Err(Unverified::Unanswered(failure)) if protected => return Err(theirs(failure)),
        Err(Unverified::Refused(failure) | Unverified::Unanswered(failure)) => {
            Some(ErrorInfo { class: failure.class, message: failure.message, at: clock::wall() })
        }
    };
    Ok(promote(shared, account, generation, candidate, unverified).await)
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
    generation: Generation,
    candidate: Token,
    unverified: Option<ErrorInfo>,
) -> IssuedMeta {
    let meta = TokenMeta { generation, ..candidate.meta };
    let why = unverified.clone();
    // Its refresh token became durable when it came.
    let saved = shared.store.update(&account.name, Durability::Cached, move |record| {
        if record.candidate.as_ref() != Some(&candidate) {
            return; // the account is another one by now
        }
        record.candidate = None;
        record.current = Some(Token { meta, ..candidate });
        record.unverified = why;
        record.generation = record.generation.max(meta.generation);
        let last_request = record.schedule.last_request;
        record.schedule = crate::store::Schedule { last_request, ..Default::default() };
    });
    // A write that fails leaves the change in memory, dirty, and is said elsewhere.
    let _ = saved.await;
    let refresh = refresh_of(shared, account);
    IssuedMeta { token: meta, admission: Admission::Promoted, refresh, unverified }
}

async fn drop_candidate(shared: &Shared, account: &AccountId, candidate: &Token) {
    let refused = candidate.access_token.clone();
    let saved = shared.store.update(account, Durability::Cached, move |record| {
        if record.candidate.as_ref().is_some_and(|token| token.access_token == refused) {
            record.candidate = None;
        }
    });
    let _ = saved.await; // as above
}
