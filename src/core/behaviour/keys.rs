//! A key that refresh tokens belong to, and another one in its place.

use super::*;
use crate::core::CredentialChange;

fn with_key(owner: u128) -> AccountPlan {
    AccountPlan { can_refresh: true, single_use: true, owner: Some(owner), ..plan() }
}

fn another_key(bench: &mut Bench, owner: u128) {
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Owner(owner) });
}

/// What a request brings that left with the key `owner`.
fn brought(issue: &Issue, at: Timestamp, owner: u128) -> IssuedMeta {
    let token = TokenMeta { generation: issue.generation, issued_at: at, expires_at: at.plus(HOUR) };
    let (refresh, owner) = (Some(RefreshMeta { expires_at: None }), Some(owner));
    IssuedMeta { token, admission: Admission::Promoted, refresh, owner, unverified: None }
}

/// Answers the login or refresh that is out, with a refresh token of the key `owner`.
fn grant(bench: &mut Bench, owner: u128) -> Operation {
    let issue = bench.issues.remove(0);
    let meta = brought(&issue, bench.now.wall, owner);
    bench.handle(Event::Issued { account: issue.account, epoch: issue.epoch, meta });
    issue.operation
}

/// As a failure of the provider leaves it: the refresh token is still there.
fn refuse(bench: &mut Bench) {
    let issue = bench.issues.remove(0);
    let refresh = Some(RefreshMeta { expires_at: None });
    let failure = FailureMeta { refresh, ..FailureMeta::new(ErrorClass::Rejected, "no".to_owned()) };
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
}

/// With a token of the key 1, some minutes later.
fn begun() -> Bench {
    let mut bench = Bench::new(&[("a", with_key(1))]);
    grant(&mut bench, 1);
    bench.pass(HOUR / 10);
    bench
}

/// A start with key 2, on what key 1 has left, after so many refusals of key 2 and until then to wait.
fn restarted(rejected: u32, wait: Option<Duration>) -> Bench {
    let at = Timestamp::from_secs(1_700_000_000);
    let token = TokenMeta { generation: Generation(3), issued_at: at, expires_at: at.plus(HOUR) };
    let stored = Restored {
        token: Some(token),
        generation: token.generation,
        refresh: Some(RefreshMeta { expires_at: None }),
        owner: Some(1),
        attempt: rejected,
        rejected,
        next_try: wait.map(|wait| at.plus(wait)),
        ..Restored::default()
    };
    Bench::restored(&[("a", with_key(2))], [(id("a"), stored)].into())
}

#[test]
fn another_key_logs_in_at_once_and_the_token_stays() {
    let mut bench = begun();
    another_key(&mut bench, 2);
    assert_eq!(bench.view("a").state, AccountState::Fresh);
    assert_eq!(grant(&mut bench, 2), Operation::Issue);
    bench.pass(HOUR);
    assert_eq!(grant(&mut bench, 2), Operation::Refresh, "with what the new key has brought");
}

#[test]
fn a_key_that_is_refused_has_the_backoff_of_refusals_and_leaves_the_token_in_use() {
    let mut bench = begun();
    another_key(&mut bench, 2);
    refuse(&mut bench);
    assert!(bench.issues.is_empty());
    assert!(bench.view("a").alive);
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.issues.len(), 1, "30 s later");
    assert_eq!(bench.issues[0].operation, Operation::Issue);
}

#[test]
fn the_right_key_in_place_of_a_mistyped_one_uses_what_it_has_brought_before() {
    let mut bench = begun();
    another_key(&mut bench, 2);
    refuse(&mut bench);
    another_key(&mut bench, 1);
    assert_eq!(bench.issues.len(), 1, "at once");
    assert_eq!(grant(&mut bench, 1), Operation::Refresh);
    assert_eq!(bench.view("a").error, None);
}

#[test]
fn a_request_of_the_key_before_that_fails_is_followed_by_the_login() {
    let mut bench = begun();
    bench.handle(Event::Asked { account: id("a") });
    assert_eq!(bench.issues[0].operation, Operation::Refresh);
    another_key(&mut bench, 2);
    assert_eq!(bench.issues.len(), 1, "one at a time");
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.issues.len(), 1);
    assert_eq!(bench.issues[0].operation, Operation::Issue);
}

#[test]
fn a_request_of_the_key_before_that_succeeds_is_followed_by_the_login_too() {
    let mut bench = begun();
    bench.handle(Event::Asked { account: id("a") });
    another_key(&mut bench, 2);
    assert_eq!(grant(&mut bench, 1), Operation::Refresh);
    assert_eq!(bench.view("a").generation, Generation(2), "its token is used meanwhile");
    assert_eq!(grant(&mut bench, 2), Operation::Issue);
    assert!(bench.issues.is_empty());
}

#[test]
fn a_request_that_saw_the_new_key_before_any_look_did_is_not_repeated() {
    let mut bench = begun();
    bench.handle(Event::Asked { account: id("a") });
    grant(&mut bench, 2); // who runs us has logged in instead
    assert!(bench.issues.is_empty());
    another_key(&mut bench, 2);
    assert!(bench.issues.is_empty(), "the look says nothing new");
    bench.pass(HOUR);
    assert_eq!(grant(&mut bench, 2), Operation::Refresh);
}

#[test]
fn a_start_with_another_key_logs_in_at_once_and_one_that_was_refused_before_inherits_its_backoff() {
    let mut bench = restarted(0, None);
    bench.pass(Duration::ZERO);
    assert!(bench.view("a").alive);
    assert_eq!(grant(&mut bench, 2), Operation::Issue);

    let mut bench = restarted(2, Some(HOUR / 30));
    bench.pass(HOUR / 40);
    assert!(bench.issues.is_empty() && bench.view("a").alive);
    bench.pass(HOUR / 60);
    assert_eq!(grant(&mut bench, 2), Operation::Issue);
}

#[test]
fn a_token_of_the_key_before_that_waits_to_be_tried_is_followed_by_the_login() {
    let mut bench = restarted(0, None);
    bench.pass(Duration::ZERO);
    let issue = bench.issues.remove(0);
    bench.handle(Event::Candidate { account: id("a"), epoch: issue.epoch, asked: false });
    let meta = brought(&issue, bench.now.wall, 1);
    bench.handle(Event::Issued { account: id("a"), epoch: issue.epoch, meta });
    assert_eq!(grant(&mut bench, 2), Operation::Issue);
    assert!(bench.issues.is_empty());
}

#[test]
fn a_configuration_with_another_key_logs_in_and_one_whose_key_is_away_does_not() {
    let mut bench = begun();
    bench.configure(&[("a", AccountPlan { owner: None, ..with_key(1) })], BTreeMap::new());
    assert!(bench.issues.is_empty());
    bench.configure(&[("a", with_key(1))], BTreeMap::new());
    assert!(bench.issues.is_empty());
    bench.configure(&[("a", with_key(2))], BTreeMap::new());
    assert_eq!(grant(&mut bench, 2), Operation::Issue);
    assert!(bench.issues.is_empty());
}
