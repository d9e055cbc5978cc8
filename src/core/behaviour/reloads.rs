//! What a new configuration does to the schedule of an account that stays.

use super::*;
use crate::config::model::Lead;

const SECOND: Duration = Duration::from_secs(1);

fn reload(bench: &mut Bench, plan: AccountPlan) {
    bench.configure(&[("a", plan)], BTreeMap::new());
}

#[test]
fn another_lead_moves_the_renewal_and_asks_for_nothing() {
    let lead = |secs| AccountPlan { lead: Some(Lead::Time(Duration::from_secs(secs))), ..plan() };
    let mut bench = Bench::new(&[("a", lead(600))]);
    bench.grant(HOUR);
    assert_eq!(bench.next_ask("a"), SECOND * 3_000);
    reload(&mut bench, lead(900));
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (SECOND * 2_700, 0));
}

#[test]
fn another_min_interval_holds_the_renewal_back() {
    let interval = |min_interval| AccountPlan { min_interval, lead: Some(Lead::Time(HOUR / 2)), ..plan() };
    let mut bench = Bench::new(&[("a", interval(Duration::ZERO))]);
    bench.grant(HOUR);
    assert_eq!(bench.next_ask("a"), HOUR / 2);
    reload(&mut bench, interval(HOUR * 3 / 4));
    assert_eq!(bench.next_ask("a"), HOUR * 3 / 4);
    reload(&mut bench, interval(Duration::ZERO));
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (HOUR / 2, 0));
}

#[test]
fn what_has_nothing_to_do_with_the_schedule_leaves_it_alone() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(HOUR);
    bench.handle(Event::Asked { account: id("a") });
    bench.same(token);
    assert_eq!(bench.next_ask("a"), HOUR / 4);
    reload(&mut bench, AccountPlan { timeout: SECOND, ..plan() });
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (HOUR / 4, 0));
}

#[test]
fn a_backoff_outlasts_a_new_configuration_but_not_the_interval_that_it_was_held_by() {
    let interval = |min_interval| AccountPlan { min_interval, ..plan() };
    let mut bench = Bench::new(&[("a", interval(HOUR))]);
    bench.fail(ErrorClass::Malformed);
    assert_eq!(bench.next_ask("a"), HOUR);
    reload(&mut bench, AccountPlan { lead: Some(Lead::Time(SECOND)), ..interval(HOUR) });
    assert_eq!(bench.next_ask("a"), HOUR);
    reload(&mut bench, interval(HOUR / 2));
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (HOUR / 2, 0), "the new one");
    reload(&mut bench, plan());
    assert_eq!(bench.issues.len(), 1);

    let mut bench = Bench::new(&[("a", plan())]);
    bench.fail(ErrorClass::Malformed);
    let ask = bench.next_ask("a");
    reload(&mut bench, AccountPlan { lead: Some(Lead::Time(SECOND)), ..plan() });
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (ask, 0));
    reload(&mut bench, interval(SECOND));
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (ask, 0), "a longer one hurries nobody");
}

#[test]
fn an_account_that_waits_for_its_host_moves_to_another_at_once() {
    let limit = Limit { period: Some(HOUR), burst: 1, concurrency: 1 };
    let at = |host: &str| AccountPlan { host: Arc::from(host), limit, ..plan() };
    let mut bench = Bench::new(&[("a", at("x")), ("b", at("x"))]);
    assert_eq!(bench.issues.len(), 1);
    let waits = if bench.issues[0].account == id("a") { "b" } else { "a" };
    let plans = ["a", "b"].map(|name| (name, at(if name == waits { "y" } else { "x" })));
    bench.configure(&plans, BTreeMap::new());
    assert_eq!(bench.issues.len(), 2);
    assert_eq!(bench.issues[1].account, id(waits));
}

#[test]
fn the_strictest_limit_that_the_accounts_of_a_host_bring_counts() {
    let limit =
        |period, burst, concurrency| AccountPlan { limit: Limit { period, burst, concurrency }, ..plan() };
    let (wide, second) = (limit(None, 9, 9), Some(SECOND));
    let out = |strict: AccountPlan| {
        Bench::new(&[("a", wide.clone()), ("b", strict), ("c", wide.clone()), ("d", wide.clone())])
            .issues
            .len()
    };
    assert_eq!(out(limit(None, 9, 2)), 2);
    assert_eq!(out(limit(second, 3, 9)), 3);
    assert_eq!(out(wide.clone()), 4);
}

#[test]
fn a_backoff_of_a_token_that_lives_outlasts_another_lead() {
    let lead = |secs| AccountPlan { lead: Some(Lead::Time(Duration::from_secs(secs))), ..plan() };
    let mut bench = Bench::new(&[("a", lead(600))]);
    bench.grant(HOUR);
    bench.pass(SECOND * 3_000);
    bench.fail(ErrorClass::Rejected);
    let ask = bench.next_ask("a");
    reload(&mut bench, lead(900));
    assert_eq!((bench.next_ask("a"), bench.issues.len()), (ask, 0));
}

#[test]
fn who_waits_for_a_hosts_rate_leaves_in_its_turn_whatever_is_reloaded_meanwhile() {
    let limit = Limit { period: Some(SECOND * 10), burst: 1, concurrency: 4 };
    let plans = |timeout| ["a", "b"].map(|name| (name, AccountPlan { limit, timeout, ..plan() }));
    let mut bench = Bench::new(&plans(SECOND * 30));
    bench.grant(HOUR);
    for timeout in [30, 20] {
        bench.configure(&plans(SECOND * timeout), BTreeMap::new());
        assert!(bench.issues.is_empty());
    }
    bench.pass(SECOND * 10);
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn what_was_asked_for_an_identity_before_counts_for_nothing_however_often_that_changes() {
    let who = |identity| AccountPlan { identity: Some(identity), ..plan() };
    for answered in [1, 2, 3] {
        let mut bench = Bench::new(&[("a", who(1))]);
        for identity in 2..5 {
            if identity <= answered {
                bench.fail(ErrorClass::Malformed);
            }
            reload(&mut bench, who(identity));
        }
        assert_eq!(bench.issues.len(), 1, "one request at a time");
        bench.grant(HOUR);
        assert_eq!(bench.view("a").token, None, "{answered}: another's");
        assert_eq!(bench.issues.len(), 1, "its own");
        let own = bench.grant(HOUR);
        assert_eq!(bench.view("a").token, Some(own));
    }
}

#[test]
fn an_account_that_is_another_by_now_does_not_ask_by_its_predecessors_place() {
    let limit = Limit { period: None, burst: 1, concurrency: 1 };
    let who = |identity| AccountPlan { identity: Some(identity), limit, ..plan() };
    let mut bench = Bench::new(&[("a", who(1)), ("b", who(1))]);
    let waits = if bench.issues[0].account == id("a") { "b" } else { "a" };
    let token = TokenMeta {
        generation: Generation(4),
        issued_at: bench.now.wall,
        expires_at: bench.now.wall.plus(HOUR),
    };
    let stored = Restored { token: Some(token), generation: Generation(4), ..Restored::default() };
    let plans = ["a", "b"].map(|name| (name, who(if name == waits { 2 } else { 1 })));
    bench.configure(&plans, [(id(waits), stored)].into());
    bench.grant(HOUR);
    assert!(bench.issues.is_empty(), "it has a token");
}
