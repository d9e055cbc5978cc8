//! What a start makes of what was stored, and an end of what was planned for later.

use super::*;
use crate::core::CredentialChange;

const SECOND: Duration = Duration::from_secs(1);

fn restored(stored: Restored) -> Bench {
    Bench::restored(&[("a", plan())], [(id("a"), stored)].into())
}

/// A token of an earlier life that lives so long from now.
fn token(left: Duration) -> TokenMeta {
    let now = Timestamp::from_secs(1_700_000_000);
    TokenMeta { generation: Generation(4), issued_at: now.minus(SECOND), expires_at: now.plus(left) }
}

#[test]
fn what_restarted_amid_failures_waits_no_longer_than_its_token_allows() {
    let issued_at = Timestamp::from_secs(1_700_000_000 - 3_000);
    let token = TokenMeta { generation: Generation(4), issued_at, expires_at: issued_at.plus(HOUR) };
    let stored = |token, attempt| Restored {
        token,
        attempt,
        generation: Generation(4),
        next_try: Some(Timestamp::from_secs(1_700_000_001)),
        last_request: Some(Timestamp::from_secs(1_700_000_000)),
        ..Restored::default()
    };
    for (token, attempt, secs) in [(None, 1, 2), (None, 2, 15), (None, 9, 60), (Some(token), 9, 60)] {
        let bench = Bench::restored(&[("a", plan())], [(id("a"), stored(token, attempt))].into());
        assert_eq!(bench.next_ask("a"), Duration::from_secs(secs), "{attempt}");
    }
    let near = TokenMeta { expires_at: Timestamp::from_secs(1_700_000_030), ..token };
    let bench = Bench::restored(&[("a", plan())], [(id("a"), stored(Some(near), 9))].into());
    assert_eq!(bench.next_ask("a"), Duration::from_secs(10), "a third of what is left");
}

#[test]
fn a_stored_plan_that_lies_beyond_the_tokens_end_is_not_waited_for() {
    let next_try = Some(Timestamp::from_secs(1_700_000_000).plus(2 * HOUR));
    let token = Some(token(SECOND * 60));
    let mut bench = restored(Restored { token, generation: Generation(4), next_try, ..Restored::default() });
    bench.pass(SECOND * 60 - Duration::from_millis(1));
    assert!(bench.issues.is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn a_stored_wait_is_believed_up_to_the_longest_that_there_is() {
    let asked = |hours| {
        let next_try = Some(Timestamp::from_secs(1_700_000_000).plus(HOUR * hours));
        restored(Restored { attempt: 9, next_try, ..Restored::default() }).next_ask("a")
    };
    assert_eq!([6, 7, 70].map(asked), [HOUR * 6, HOUR * 7, HOUR * 7]);
}

#[test]
fn the_end_of_a_token_cuts_no_backoff_short() {
    let mut bench = Bench::new(&[("a", plan())]);
    bench.grant(SECOND * 60);
    bench.handle(Event::Asked { account: id("a") });
    bench.fail(ErrorClass::Rejected);
    bench.pass(bench.next_ask("a"));
    bench.fail(ErrorClass::Rejected);
    let ask = bench.next_ask("a");
    assert!(ask > SECOND * 60, "{ask:?}");
    bench.pass(SECOND * 60);
    assert!(!bench.view("a").alive);
    assert_eq!((bench.issues.len(), bench.next_ask("a")), (0, ask - SECOND * 60));
}

#[test]
fn a_vendor_that_repeats_its_token_to_the_end_is_asked_right_after_that_end() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(SECOND * 60);
    bench.pass(SECOND * 20);
    bench.handle(Event::Asked { account: id("a") });
    bench.same(token);
    bench.pass(SECOND * 40);
    assert!(!bench.view("a").alive);
    assert!(bench.issues.is_empty(), "it may be given out still");
    bench.pass(Duration::from_millis(200));
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn what_the_store_has_in_place_of_a_token_that_was_believed_there_is_taken_over() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(HOUR);
    bench.handle(Event::Asked { account: id("a") });
    let other = TokenMeta { expires_at: token.expires_at.plus(HOUR), ..token };
    bench.same(other);
    assert_eq!(bench.view("a").token, Some(other));
    bench.pass(HOUR);
    assert!(bench.view("a").alive);
}

#[test]
fn a_secret_that_changes_is_no_way_around_the_pause_after_a_crash() {
    let next_try = Some(Timestamp::from_secs(1_700_000_000).plus(SECOND * 60));
    let mut bench = restored(Restored { attempt: 3, next_try, ..Restored::default() });
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Secret });
    assert_eq!((bench.issues.len(), bench.next_ask("a")), (0, SECOND * 60));
}

#[test]
fn a_secret_that_changes_while_a_request_is_out_is_tried_at_once_where_that_one_fails() {
    let mut bench = Bench::new(&[("a", plan())]);
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Secret });
    assert_eq!(bench.issues.len(), 1);
    bench.fail(ErrorClass::Rejected);
    assert_eq!(bench.issues.len(), 1, "with the new one");
    bench.fail(ErrorClass::Rejected);
    assert!(bench.issues.is_empty(), "which is refused like any other");
    assert!(bench.next_ask("a") >= SECOND * 30);
}
