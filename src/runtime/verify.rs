//! `verify:`: a new token waits as the record's candidate, which sinks do not see, until it has been tried.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::clock;
use super::issue::{Exchange, owner_of, refresh_of, theirs};
use super::shared::Shared;
use crate::config::model::Account;
use crate::core::{Admission, Ending, Event, FailureMeta, IssuedMeta};
use crate::domain::{AccountId, ErrorInfo, Generation, Token, TokenMeta};
use crate::provider::Unverified;
use crate::store::{Durability, Record};

/// Whether a token of before waits to be tried (again): then the provider is not asked for another.
pub(super) fn has_candidate(record: &Record) -> bool {
    record.candidate.as_ref().is_some_and(|token| token.meta.expires_at > clock::wall())
}

/// The order of the engine.
pub(crate) struct Try {
    pub(crate) epoch: u64,
    /// What the token will be.
    pub(crate) generation: Generation,
    /// There is a living token that one which may not work must not replace. Where the renewal has ended that one before
    /// its time, holding it is no worse than holding a new one that is refused, and an API that does not answer a
    /// verification serves nobody else either.
    pub(crate) protected: bool,
    /// The effect `EndVerify`.
    pub(crate) ending: oneshot::Receiver<Ending>,
}

/// The effect `Verify`: tries the candidate; what works, and what nothing better stands in for, becomes the current token.
pub(crate) async fn verify(shared: Arc<Shared>, account: Arc<Account>, order: Try) -> Exchange {
    let mut warnings = Vec::new();
    let (name, epoch) = (account.name.clone(), order.epoch);
    let event = match decide(&shared, &account, order).await {
        Ok(meta) => {
            let why = "it is delivered all the same, because no other living token is left";
            warnings.extend(meta.unverified.iter().map(|error| format!("{}; {why}", error.message)));
            Event::Issued { account: name, epoch, meta }
        }
        Err(Kept::Untried) => Event::Untried { account: name, epoch },
        Err(Kept::Failed(failure)) => {
            let refresh = refresh_of(&shared, &account);
            Event::Failed { account: name, epoch, failure: FailureMeta { refresh, ..failure } }
        }
    };
    Exchange { event, status: None, asked: false, clock_offset_ms: None, warnings }
}

/// Why the current token stays.
enum Kept {
    Failed(FailureMeta),
    /// The try was cut off.
    Untried,
}

async fn decide(shared: &Shared, account: &Account, order: Try) -> Result<IssuedMeta, Kept> {
    let Try { generation, mut protected, mut ending, .. } = order;
    let record = shared.store.latest(&account.name);
    let Some(candidate) = record.and_then(|record| record.candidate.clone()) else {
        let message = "the new token is gone: the account was changed meanwhile";
        return Err(Kept::Failed(FailureMeta::config(message.to_owned())));
    };
    let verdict = tokio::select! {
        biased;
        verdict = ask(shared, account, &candidate) => {
            // Both at one time: what the reply says counts, and what there is to protect is known anew.
            protected &= ending.try_recv() != Ok(Ending::Use);
            verdict
        }
        ending = ended(&mut ending) => match ending {
            Ending::Keep => return Err(Kept::Untried),
            Ending::Use => {
                protected = false;
                Err(Unverified::silent())
            }
        }
    };
    let unverified = match verdict {
        Ok(()) => None,
        Err(Unverified::Refused(failure)) if protected => {
            drop_candidate(shared, &account.name, &candidate).await;
            return Err(Kept::Failed(theirs(failure)));
        }
        Err(Unverified::Unanswered(failure)) if protected => return Err(Kept::Failed(theirs(failure))),
        Err(Unverified::Refused(failure) | Unverified::Unanswered(failure)) => {
            Some(ErrorInfo { class: failure.class, message: failure.message, at: clock::wall() })
        }
    };
    Ok(promote(shared, account, generation, candidate, unverified).await)
}

async fn ask(shared: &Shared, account: &Account, candidate: &Token) -> Result<(), Unverified> {
    match &account.verify {
        Some(verify) => shared.clients.verify(account, verify, candidate).await,
        None => Ok(()), // the configuration was changed since
    }
}

/// The engine's word; none comes where nobody can say it any more.
async fn ended(ending: &mut oneshot::Receiver<Ending>) -> Ending {
    match ending.await {
        Ok(ending) => ending,
        Err(_) => std::future::pending().await,
    }
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
    let _ = saved.briefly().await;
    let (refresh, owner) = (refresh_of(shared, account), owner_of(shared, account));
    IssuedMeta { token: meta, admission: Admission::Promoted, refresh, owner, unverified }
}

async fn drop_candidate(shared: &Shared, account: &AccountId, candidate: &Token) {
    let refused = candidate.access_token.clone();
    let saved = shared.store.update(account, Durability::Cached, move |record| {
        if record.candidate.as_ref().is_some_and(|token| token.access_token == refused) {
            record.candidate = None;
        }
    });
    let _ = saved.briefly().await; // as above
}
