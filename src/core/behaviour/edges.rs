//! What an account does at the very edge of its rules, and what goes out with a request.

use super::*;
use crate::config::definition::OldToken;
use crate::core::engine::CLOCK_TOLERANCE;
use crate::domain::ErrorInfo;

const SECOND: Duration = Duration::from_secs(1);

/// Asks for `a` when so much is left of a token that lives so long; gives the request.
fn asked(plan: AccountPlan, life: Duration, left: Duration) -> Issue {
    let mut bench = Bench::new(&[("a", plan)]);
    bench.grant(life);
    bench.pass(life - left);
    bench.handle(Event::Asked { account: id("a") });
    bench.issues.remove(0)
}

fn restored(plan: AccountPlan, stored: Restored) -> Bench {
    Bench::restored(&[("a", plan)], [(id("a"), stored)].into())
}

#[test]
fn a_documented_interval_yields_to_a_life_that_is_shorter_than_twice_as_long() {
    let held = |documented_interval, life: u64| {
        let min_interval = SECOND * 600;
        let mut bench = Bench::new(&[("a", AccountPlan { min_interval, documented_interval, ..plan() })]);
        bench.grant(Duration::from_secs(life));
        bench.view("a").held_until.map(|until| until.since(bench.now.wall).as_millis())
    };
    assert_eq!(held(true, 1_200), Some(600_000));
    assert_eq!(held(true, 1_199), Some(299_750));
    assert_eq!(held(false, 1_199), Some(600_000), "a user's word stands");
}

#[test]
fn a_request_may_take_a_third_of_what_is_left_and_a_second_or_two_at_least() {
    let cases = [(3_600, 3_000, 30.0), (60, 30, 10.0), (300, 3, 2.0), (15, 3, 1.5), (5, 1, 1.0)];
    for (life, left, secs) in cases {
        let issue = asked(plan(), Duration::from_secs(life), Duration::from_secs(left));
        assert_eq!(issue.timeout.as_secs_f64(), secs, "{life} {left}");
    }
}

#[test]
fn a_request_that_spends_something_is_not_cut_short() {
    let now = Bench::new(&[]).now.wall;
    let timeout = |can_refresh, single_use, refresh: bool| {
        let token =
            TokenMeta { generation: Generation(1), issued_at: now, expires_at: now.plus(SECOND * 60) };
        let refresh = refresh.then_some(RefreshMeta { expires_at: None });
        let stored =
            Restored { token: Some(token), generation: token.generation, refresh, ..Restored::default() };
        let mut bench = restored(AccountPlan { can_refresh, single_use, ..plan() }, stored);
        bench.handle(Event::Asked { account: id("a") });
        bench.issues[0].timeout.as_secs()
    };
    assert_eq!(timeout(true, true, true), 30);
    assert_eq!(timeout(true, false, true), 20, "it may be used again");
    assert_eq!(timeout(true, true, false), 20, "a login spends nothing");
}

#[test]
fn a_refresh_token_is_used_until_its_end_and_a_dead_one_where_there_is_nothing_else() {
    let now = Bench::new(&[]).now.wall;
    let operation = |can_issue, can_refresh, left: u64| {
        let refresh = Some(RefreshMeta { expires_at: Some(now.plus(Duration::from_millis(left))) });
        let stored = Restored { refresh, ..Restored::default() };
        let bench = restored(AccountPlan { can_issue, can_refresh, ..plan() }, stored);
        bench.issues.first().map(|issue| issue.operation)
    };
    assert_eq!(operation(true, true, 1), Some(Operation::Refresh));
    assert_eq!(operation(true, true, 0), Some(Operation::Issue));
    assert_eq!(operation(false, true, 0), Some(Operation::Refresh));
    assert_eq!(operation(true, false, 1), Some(Operation::Issue));
    assert_eq!(operation(false, false, 1), None);
}

#[test]
fn an_account_that_can_neither_log_in_nor_refresh_says_so_for_each_try() {
    let mut bench = Bench::new(&[("a", AccountPlan { can_issue: false, can_refresh: true, ..plan() })]);
    for tries in 1..4 {
        let view = bench.view("a");
        assert_eq!((view.state, view.finished, view.asking), (AccountState::Rejected, tries, false));
        assert!(bench.next_ask("a") >= 6 * HOUR);
        bench.handle(Event::Asked { account: id("a") });
    }
    assert!(bench.issues.is_empty());
}

#[test]
fn a_longer_token_is_kept_only_where_the_vendor_lets_it_live_and_the_clock_has_not_stepped() {
    let keeps = |old_token, secs: i64| {
        let mut bench = Bench::new(&[("a", AccountPlan { old_token, ..plan() })]);
        assert!(!bench.issues[0].keep_longer, "there is none");
        bench.grant(HOUR);
        bench.pass(SECOND * 60);
        bench.step_wall(secs);
        bench.handle(Event::Asked { account: id("a") });
        bench.issues[0].keep_longer
    };
    assert!([-5, 0, 5].iter().all(|secs| keeps(OldToken::Independent, *secs)));
    assert!([-6, 6].iter().all(|secs| !keeps(OldToken::Independent, *secs)));
    assert!(!keeps(OldToken::KillsOld, 0));
    let now = Bench::new(&[]).now.wall;
    let issued_at = now.plus(SECOND * 3);
    let token = TokenMeta { generation: Generation(1), issued_at, expires_at: issued_at.plus(HOUR) };
    let stored = Restored { token: Some(token), generation: token.generation, ..Restored::default() };
    let mut bench = restored(AccountPlan { old_token: OldToken::Independent, ..plan() }, stored);
    bench.handle(Event::Asked { account: id("a") });
    assert!(!bench.issues[0].keep_longer, "it comes from the future");
}

#[test]
fn a_stored_token_from_a_clock_that_is_a_little_ahead_is_renewed_in_its_time() {
    let now = Bench::new(&[]).now.wall;
    let asked = |ahead: Duration| {
        let issued_at = now.plus(ahead);
        let token = TokenMeta { generation: Generation(1), issued_at, expires_at: issued_at.plus(HOUR) };
        let stored = Restored { token: Some(token), generation: token.generation, ..Restored::default() };
        restored(plan(), stored).issues.len()
    };
    assert_eq!(asked(CLOCK_TOLERANCE), 0);
    assert_eq!(asked(CLOCK_TOLERANCE + Duration::from_millis(1)), 1);
}

#[test]
fn what_a_crash_would_leave_behind_grows_with_each_try() {
    let mut bench = Bench::new(&[("a", plan())]);
    for (attempt, pause) in [(1, 2), (2, 15), (3, 60), (4, 60)] {
        let (intent, now) = (bench.issues[0].intent.clone(), bench.now.wall);
        assert_eq!((intent.attempt, intent.last_request), (attempt, Some(now)));
        assert_eq!(intent.next_try, Some(now.plus(SECOND * pause)));
        bench.fail(ErrorClass::Transient);
        assert_eq!(bench.view("a").finished, u64::from(attempt));
        bench.pass(bench.next_ask("a"));
    }
}

#[test]
fn a_login_that_is_told_to_log_in_again_is_tried_again_like_any_other() {
    let mut bench = Bench::new(&[("a", plan())]);
    bench.fail(ErrorClass::Relogin);
    assert_eq!(bench.view("a").error.map(|error| error.class), Some(ErrorClass::Transient));
    assert!(bench.next_ask("a") <= SECOND * 3);
}

#[test]
fn a_refresh_that_fails_for_another_reason_is_not_followed_by_a_login() {
    let stored = Restored { refresh: Some(RefreshMeta { expires_at: None }), ..Restored::default() };
    let mut bench = restored(AccountPlan { can_refresh: true, ..plan() }, stored);
    bench.fail(ErrorClass::Transient);
    assert_eq!((bench.issues.len(), bench.view("a").attempt), (0, 1));
}

#[test]
fn who_asks_waits_for_what_a_vendor_has_asked_for_be_it_with_a_503_or_without_a_time() {
    for (class, secs) in [(ErrorClass::Transient, Some(90)), (ErrorClass::Throttled, None)] {
        let mut bench = Bench::new(&[("a", plan())]);
        let issue = bench.issues.remove(0);
        let wait = secs.map(Duration::from_secs);
        let failure = FailureMeta { wait, ..FailureMeta::new(class, "later".to_owned()) };
        bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
        bench.handle(Event::Asked { account: id("a") });
        assert!(bench.issues.is_empty(), "{class}");
        assert!(bench.view("a").held_until.is_some(), "{class}");
    }
}

#[test]
fn the_first_minute_after_a_restart_amid_failures_is_no_way_around_the_backoff() {
    let now = Bench::new(&[]).now.wall;
    let stored = Restored { attempt: 2, last_request: Some(now), ..Restored::default() };
    let mut bench = restored(plan(), stored);
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.next_ask("a"), SECOND * 60, "its own would be 9 s at most");
    bench.pass(SECOND * 60);
    bench.fail(ErrorClass::Transient);
    assert!(bench.next_ask("a") <= SECOND * 17, "{:?}", bench.next_ask("a"));
}

#[test]
fn the_same_token_is_asked_for_again_after_a_quarter_of_what_is_left() {
    for (left, pause) in [(1_000_000, 250_000), (200_000, 60_000), (40_000, 40_200), (500, 1_000)] {
        let mut bench = Bench::new(&[("a", plan())]);
        let token = bench.grant(Duration::from_millis(left + 1_000));
        bench.handle(Event::Asked { account: id("a") });
        bench.pass(SECOND);
        bench.same(token);
        assert_eq!(bench.next_ask("a").as_millis(), pause, "{left}");
    }
}

#[test]
fn the_same_token_is_asked_for_again_in_its_last_window_where_that_is_known() {
    let mut bench = Bench::new(&[("a", AccountPlan { reuse_window: Some(SECOND * 60), ..plan() })]);
    let token = bench.grant(HOUR);
    bench.handle(Event::Asked { account: id("a") });
    bench.same(token);
    let left = HOUR - bench.next_ask("a");
    assert!(left >= SECOND * 30 && left <= SECOND * 54, "{left:?}");

    let mut bench = Bench::new(&[("a", AccountPlan { reuse_window: Some(Duration::ZERO), ..plan() })]);
    let token = bench.grant(SECOND * 10);
    bench.handle(Event::Asked { account: id("a") });
    bench.pass(SECOND * 9);
    bench.same(token);
    assert_eq!(
        bench.next_ask("a").as_millis(),
        1_200,
        "a window that is over by then is waited for no longer"
    );
}

#[test]
fn a_missing_secret_begins_no_row_of_failures() {
    let mut bench = Bench::new(&["a", "b", "c"].map(|name| (name, plan())));
    let fails = |bench: &mut Bench, name: &str, class| {
        let at = bench.issues.iter().position(|issue| issue.account.as_str() == name).unwrap();
        let issue = bench.issues.remove(at);
        bench.issues.push(issue);
        bench.fail(class);
    };
    for _ in 0..3 {
        fails(&mut bench, "a", ErrorClass::Config);
        bench.handle(Event::Asked { account: id("a") });
    }
    bench.grant_all_but("a");
    bench.pass(SECOND * 10);
    bench.handle(Event::Asked { account: id("b") });
    bench.grant_all_but("a");
    fails(&mut bench, "a", ErrorClass::Config);
    bench.handle(Event::Asked { account: id("a") });
    let mut down = false;
    for _ in 0..20 {
        for name in ["a", "b"] {
            bench.handle(Event::Asked { account: id(name) });
            if bench.issues.iter().any(|issue| issue.account.as_str() == name) {
                fails(&mut bench, name, ErrorClass::Transient);
            }
        }
        down |= bench.others.iter().any(|effect| matches!(effect, Effect::Say(Note::HostDown { .. })));
    }
    assert!(down);
    while !bench.issues.iter().any(|issue| issue.account.as_str() == "b") {
        bench.pass(Duration::from_millis(100));
        while bench.issues.iter().any(|issue| issue.account.as_str() == "a") {
            fails(&mut bench, "a", ErrorClass::Transient);
        }
    }
    bench.grant_all_but("a");
    assert_eq!(bench.issues.len(), 1, "it waited for the host's return like others");
}

#[test]
fn one_that_has_not_failed_asks_while_its_host_is_down() {
    let mut bench = Bench::new(&["a", "b", "c"].map(|name| (name, plan())));
    bench.grant_all_but("a");
    let down = |effect: &Effect| matches!(effect, Effect::Say(Note::HostDown { .. }));
    bench.pass(SECOND);
    bench.handle(Event::Asked { account: id("b") });
    while !bench.others.iter().any(down) {
        match bench.issues.is_empty() {
            true => bench.pass(Duration::from_millis(100)),
            false => bench.fail(ErrorClass::Transient),
        }
    }
    while !bench.issues.is_empty() {
        bench.fail(ErrorClass::Transient);
    }
    bench.handle(Event::Asked { account: id("b") });
    assert!(bench.issues.is_empty(), "it has failed");
    bench.handle(Event::Asked { account: id("c") });
    let asked: Vec<&str> = bench.issues.iter().map(|issue| issue.account.as_str()).collect();
    assert_eq!(asked, ["c"]);
}

#[test]
fn a_refusal_amid_other_failures_is_news_and_more_of_the_same_is_not() {
    let mut bench = Bench::new(&[("a", plan())]);
    let mut seen = Vec::new();
    for class in [ErrorClass::Transient, ErrorClass::Transient, ErrorClass::Rejected, ErrorClass::Rejected] {
        bench.others.clear();
        bench.fail(class);
        seen.extend(bench.others.iter().filter_map(|effect| match effect {
            Effect::Say(Note::Failing { news, .. }) => Some(*news),
            _ => None,
        }));
        bench.handle(Event::Asked { account: id("a") });
    }
    assert_eq!(seen, [true, false, true, false]);
}

#[test]
fn a_vendors_wait_of_an_earlier_life_holds_and_one_of_ours_does_not() {
    let now = Bench::new(&[]).now.wall;
    let held = |class| {
        let error = Some(ErrorInfo { class, message: "HTTP 429".to_owned(), at: now });
        let next_try = Some(now.plus(SECOND * 90));
        let stored = Restored { attempt: 1, next_try, error, ..Restored::default() };
        let mut bench = restored(plan(), stored);
        bench.handle(Event::Asked { account: id("a") });
        bench.issues.len()
    };
    assert_eq!((held(ErrorClass::Throttled), held(ErrorClass::Transient)), (0, 1));
}

impl Bench {
    /// Answers what is out, but not for that account.
    fn grant_all_but(&mut self, name: &str) {
        while let Some(at) = self.issues.iter().position(|issue| issue.account.as_str() != name) {
            let issue = self.issues.remove(at);
            self.issues.push(issue);
            self.grant(HOUR);
        }
    }
}
