//! What is noted before a request, and what a repeated request means.

use super::Refusal;
use crate::config::definition::Definition;
use crate::config::model::Account;
use crate::core::{self, Operation};
use crate::domain::ErrorClass;
use crate::provider::Failure;
use crate::runtime::clock;
use crate::runtime::credentials::Credentials;
use crate::runtime::shared::Shared;
use crate::store::{Durability, Fingerprint, Intent, IntentKind};

/// A reply to a repeated request, in the vendor's own words, that makes no sense or says that it cannot answer may be the stored
/// reply of the first one, and come again for as long as the vendor keeps it: that request is over, and the next one has a key
/// of its own. So is a login whose whole reply makes no sense, whosever words these are.
///
/// A gateway's words say nothing of what became of the first request. If it was done after all, what it brought is lost with its
/// key, which costs a login: nothing is given up where there is none.
pub(super) fn stale(failure: Failure, operation: Operation, can_log_in: bool) -> Failure {
    let over = match failure.class {
        ErrorClass::Malformed => {
            failure.status.is_some() && (failure.own_words || operation == Operation::Issue)
        }
        // Others, such as 409, say that the first one is under way.
        ErrorClass::Transient => failure.own_words && failure.status.is_some_and(|status| status >= 500),
        _ => false,
    };
    Failure { ambiguous: failure.ambiguous && !(over && can_log_in), ..failure }
}

/// Whether the provider can tell a repeated request. Without a key on its way it sees one like any other, and its reply is
/// a new one.
fn is_keyed(provider: &Definition, operation: Operation) -> bool {
    let operation = match operation {
        Operation::Issue => &provider.issue,
        Operation::Refresh => &provider.refresh,
    };
    operation.as_ref().is_some_and(|operation| operation.request.sends_idempotency_key())
}

/// Notes what is about to be done, and whether that repeats, by its key, a request whose end is not known; durable where a
/// refresh token is spent.
pub(super) async fn intend(
    shared: &Shared,
    account: &Account,
    order: &core::Issue,
    credentials: &Credentials,
    refresh: Option<Fingerprint>,
) -> Result<(Intent, bool), Refusal> {
    let before = shared.store.latest(&order.account);
    let open = before.as_ref().and_then(|record| record.intent.clone());
    // The stored reply to a login with other credentials is theirs.
    let ours = before.is_some_and(|record| record.credentials == Some(credentials.content));
    let open = open.filter(|intent| ours || intent.operation == IntentKind::Refresh);
    let operation = match order.operation {
        Operation::Issue => IntentKind::Issue,
        Operation::Refresh => IntentKind::Refresh,
    };
    // A stored reply of long ago would bring a token that is over.
    let recent =
        |intent: &Intent| account.provider.life.is_none_or(|life| intent.at.plus(life) > clock::wall());
    let same =
        open.filter(|intent| intent.operation == operation && intent.refresh == refresh).filter(recent);
    let repeated = same.is_some() && is_keyed(&account.provider, order.operation);
    let at = same.as_ref().map_or_else(clock::wall, |intent| intent.at);
    let intent = Intent {
        attempt: order.intent.attempt,
        operation,
        refresh,
        idempotency_key: same.map_or_else(|| shared.unique(), |intent| intent.idempotency_key),
        at,
    };
    let spends = order.operation == Operation::Refresh && account.provider.refresh_single_use;
    let durability = if spends { Durability::Durable } else { Durability::Cached };
    let (noted, schedule) = (intent.clone(), order.intent.clone());
    let claim = credentials.claim(account);
    let content = credentials.content;
    let saved = shared.store.update(&order.account, durability, move |record| {
        record.settle(&claim, at);
        record.provider = claim.provider;
        record.credentials = Some(content);
        record.intent = Some(noted);
        record.schedule = crate::runtime::restore::schedule(schedule);
        record.removed_at = None;
    });
    let saved = if spends { saved.await } else { saved.briefly().await };
    match saved {
        Ok(()) => Ok((intent, repeated)),
        // What can be asked for again needs no state on disk; the store says that it is dirty.
        Err(_) if !spends => Ok((intent, repeated)),
        Err(error) => Err(Refusal::Ours(format!(
            "the refresh token is not spent, because that cannot be noted: {}",
            error.worded()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in(name: &str) -> Definition {
        let texts = crate::provider::catalog::texts();
        let (name, text) = texts.iter().find(|(known, _)| *known == name).unwrap();
        crate::config::parse_definition(name, name, text).unwrap()
    }

    #[test]
    fn only_a_vendor_that_is_sent_a_key_is_taken_to_answer_from_a_store() {
        for operation in [Operation::Issue, Operation::Refresh] {
            assert!(is_keyed(&built_in("portone"), operation), "{operation:?}");
            assert!(!is_keyed(&built_in("bizppurio-rcs"), operation), "{operation:?}");
        }
        assert!(!is_keyed(&built_in("bizppurio"), Operation::Issue));
        assert!(!is_keyed(&built_in("bizppurio"), Operation::Refresh), "it has none");
    }

    #[test]
    fn a_repeated_request_is_given_up_by_what_may_be_a_stored_reply_and_by_nothing_else() {
        use ErrorClass::{Malformed, Transient};
        use Operation::{Issue, Refresh};
        let is_open = |class, status, own_words, operation, can_log_in| {
            let failure = Failure {
                class,
                message: String::new(),
                wait: None,
                status,
                host_fault: false,
                host_pause: false,
                ambiguous: true,
                own_words,
                refresh_token: None,
            };
            stale(failure, operation, can_log_in).ambiguous
        };
        for operation in [Issue, Refresh] {
            for (class, status) in [(Malformed, 200), (Transient, 500), (Transient, 503)] {
                assert!(!is_open(class, Some(status), true, operation, true), "{status}");
                assert!(is_open(class, Some(status), true, operation, false), "{status}: no other way in");
            }
            assert!(is_open(Transient, Some(502), false, operation, true), "a gateway knows nothing");
            assert!(is_open(Transient, Some(409), true, operation, true), "it is under way");
            assert!(is_open(Transient, None, false, operation, true), "no whole reply");
        }
        assert!(!is_open(Malformed, Some(200), false, Issue, true));
        assert!(is_open(Malformed, Some(200), false, Refresh, true));
        assert!(is_open(Malformed, None, false, Issue, true));
    }
}
