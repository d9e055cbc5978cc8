//! A key that refresh tokens belong to, and another one in its place.

use super::*;
use crate::core::CredentialChange;

fn with_refresh() -> AccountPlan {
    AccountPlan { can_refresh: true, single_use: true, ..plan() }
}

fn another_key(bench: &mut Bench) {
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Owner });
}

/// Answers the login or refresh that is out, with a refresh token.
fn grant(bench: &mut Bench) -> Operation {
    let issue = bench.issues.remove(0);
    let issued_at = bench.now.wall;
    let token = TokenMeta { generation: issue.generation, issued_at, expires_at: issued_at.plus(HOUR) };
    let refresh = Some(RefreshMeta { expires_at: None });
    let meta = IssuedMeta { token, admission: Admission::Promoted, refresh, unverified: None };
    bench.handle(Event::Issued { account: issue.account, epoch: issue.epoch, meta });
    issue.operation
}

#[test]
fn another_key_logs_in_at_once_and_the_token_stays() {
    let mut bench = Bench::new(&[("a", with_refresh())]);
    grant(&mut bench);
    bench.pass(HOUR / 10);
    another_key(&mut bench);
    assert_eq!(bench.view("a").state, AccountState::Fresh);
    assert_eq!(grant(&mut bench), Operation::Issue);
    bench.pass(HOUR);
    assert_eq!(grant(&mut bench), Operation::Refresh, "with what the new key has brought");
}

#[test]
fn a_key_that_is_refused_has_the_backoff_of_refusals_and_leaves_the_token_in_use() {
    let mut bench = Bench::new(&[("a", with_refresh())]);
    grant(&mut bench);
    another_key(&mut bench);
    bench.fail(ErrorClass::Rejected);
    assert!(bench.issues.is_empty());
    assert!(bench.view("a").alive);
    bench.pass(Duration::from_secs(40));
    assert_eq!(bench.issues.len(), 1, "30 s later");
    assert_eq!(bench.issues[0].operation, Operation::Issue);
}

#[test]
fn a_request_of_the_key_before_that_fails_is_followed_by_the_login() {
    let mut bench = Bench::new(&[("a", with_refresh())]);
    grant(&mut bench);
    bench.handle(Event::Asked { account: id("a") });
    assert_eq!(bench.issues[0].operation, Operation::Refresh);
    another_key(&mut bench);
    assert_eq!(bench.issues.len(), 1, "one at a time");
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.issues.len(), 1);
    assert_eq!(bench.issues[0].operation, Operation::Issue);
}
