//! What calendars and secrets' sources bring about.

use super::*;
use crate::core::CredentialChange;
use crate::domain::ErrorInfo;

const SECOND: Duration = Duration::from_secs(1);

fn calendar() -> Calendar {
    Calendar { expression: "0 0 4 * * *".to_owned(), timezone: "UTC".to_owned() }
}

fn with_calendar() -> AccountPlan {
    AccountPlan { calendar: Some(calendar()), ..plan() }
}

/// The calendar fires, so many seconds after its time; gives how many requests are out then.
fn fire(bench: &mut Bench, late: u64) -> usize {
    let scheduled = bench.now.wall.minus(Duration::from_secs(late));
    bench.handle(Event::CalendarFired { calendar: calendar(), scheduled });
    bench.issues.len()
}

#[test]
fn a_calendar_concerns_the_accounts_that_have_it_and_counts_once() {
    let other = Calendar { expression: "0 0 5 * * *".to_owned(), ..calendar() };
    let other = AccountPlan { calendar: Some(other), ..plan() };
    let mut bench = Bench::new(&[("a", with_calendar()), ("b", plan()), ("c", other)]);
    while bench.issues.len() > 1 {
        bench.grant(HOUR);
    }
    let token = bench.grant(HOUR);
    assert_eq!(fire(&mut bench, 0), 0, "the token is as new as that");
    bench.pass(SECOND * 60);
    assert_eq!(fire(&mut bench, 0), 1);
    assert_eq!(bench.issues[0].account, id("a"));
    bench.same(token);
    assert_eq!(fire(&mut bench, 0), 0, "it has been tried");
    bench.pass(SECOND);
    assert_eq!(fire(&mut bench, 61), 0, "the token is newer");
    assert_eq!(fire(&mut bench, 0), 1, "the vendor's repeating itself is no reason to leave out the next");
}

#[test]
fn a_calendar_cuts_no_wait_short() {
    let mut bench = Bench::new(&[("a", AccountPlan { min_interval: HOUR, ..with_calendar() })]);
    bench.grant(9 * HOUR);
    bench.pass(SECOND * 60);
    let ask = bench.next_ask("a");
    assert_eq!(fire(&mut bench, 0), 0, "min_interval");
    assert_eq!(bench.next_ask("a"), ask, "nor is anything made up for");
    bench.pass(HOUR);
    assert_eq!(fire(&mut bench, 0), 1);

    let mut bench = Bench::new(&[("a", with_calendar())]);
    bench.fail(ErrorClass::Malformed);
    assert_eq!(fire(&mut bench, 0), 0, "a backoff");

    let now = bench.now.wall;
    let restored = |attempt, secs| {
        let next_try = Some(now.plus(Duration::from_secs(secs)));
        let stored = Restored { attempt, next_try, ..Restored::default() };
        Bench::restored(&[("a", with_calendar())], [(id("a"), stored)].into())
    };
    assert_eq!(fire(&mut restored(1, 60), 0), 0, "the pause after a crash");
    assert_eq!(fire(&mut restored(0, 60), 0), 1, "not what a vendor's repeated token has set");
}

#[test]
fn a_source_that_is_missing_is_said_once_and_changes_nothing_else() {
    let missing = |message: &str| {
        let change = CredentialChange::Missing(message.to_owned());
        Event::CredentialChanged { account: id("a"), change }
    };
    let mut bench = Bench::new(&[("a", plan())]);
    bench.handle(missing("while it is asked for"));
    assert_eq!(bench.view("a").error, None, "the request will tell");
    bench.grant(HOUR);
    let ask = bench.next_ask("a");
    bench.others.clear();
    bench.handle(missing("one"));
    bench.handle(missing("two"));
    assert_eq!(bench.view("a").error.map(|error| error.message.as_str()), Some("one"));
    assert_eq!((bench.others.len(), bench.next_ask("a")), (1, ask));
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Secret });
    assert_eq!((bench.view("a").error, bench.issues.len()), (None, 0), "the token lives on");
    bench.handle(missing("one"));
    bench.handle(Event::Asked { account: id("a") });
    bench.fail(ErrorClass::Config);
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Secret });
    assert_eq!(bench.issues.len(), 1, "its renewal had failed by that");
}

#[test]
fn a_source_that_comes_back_where_there_is_no_living_token_is_used_at_once() {
    let now = Bench::new(&[]).now.wall;
    let error = Some(ErrorInfo { class: ErrorClass::Config, message: "no file".to_owned(), at: now });
    let stored = Restored { next_try: Some(now.plus(HOUR)), error, ..Restored::default() };
    let mut bench = Bench::restored(&[("a", plan())], [(id("a"), stored)].into());
    assert!(bench.issues.is_empty());
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Secret });
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn another_identity_starts_anew_and_one_that_was_missing_does_not() {
    let mut bench = Bench::new(&[("a", AccountPlan { identity: None, ..plan() })]);
    bench.grant(HOUR);
    let identity = |bench: &mut Bench, identity| {
        let change = CredentialChange::Identity(identity, Box::default());
        bench.handle(Event::CredentialChanged { account: id("a"), change });
        bench.issues.len()
    };
    assert_eq!(identity(&mut bench, 1), 0);
    assert_eq!(identity(&mut bench, 1), 0);
    assert!(bench.view("a").alive);
    assert_eq!(identity(&mut bench, 2), 1);
    assert_eq!((bench.view("a").token, bench.issues[0].generation), (None, Generation(2)));
}

#[test]
fn another_seed_drops_the_refresh_token_that_came_of_the_one_before() {
    let stored = Restored { refresh: Some(RefreshMeta { expires_at: None }), ..Restored::default() };
    let account = AccountPlan { can_issue: false, can_refresh: true, ..plan() };
    let mut bench = Bench::restored(&[("a", account)], [(id("a"), stored)].into());
    bench.fail(ErrorClass::Relogin);
    bench.others.clear();
    bench.handle(Event::CredentialChanged { account: id("a"), change: CredentialChange::Seed });
    assert_eq!(bench.others, [Effect::DropRefresh { account: id("a") }]);
    assert_eq!(bench.issues.len(), 1);
}
