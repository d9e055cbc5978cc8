//! What is tried at once because somebody has mended it, or because there is something new to write.

use super::*;

/// The first generation of `a` cannot be written to `x`: tried so often that the next try is far.
fn blocked(target: TargetPlan) -> Bench {
    let account = AccountPlan { targets: vec![target], ..plan() };
    let mut bench = Bench::new(&[("a", account)], Vec::new());
    bench.grant("a", HOUR * 9);
    for _ in 0..5 {
        bench.refuse("x", false);
        bench.until_write();
    }
    bench.refuse("x", false);
    bench
}

/// Runs the clock until the account is asked for by itself.
fn until_issue(bench: &mut Bench) {
    while bench.issues.is_empty() {
        let span = bench.engine.next_wake(bench.now).unwrap().max(Duration::from_millis(1));
        bench.pass(span);
        if !bench.writes.is_empty() {
            bench.refuse("x", false);
        }
    }
}

#[test]
fn who_asks_for_a_renewal_has_failed_targets_tried_at_once_with_the_old_token_and_with_the_new() {
    let mut bench = blocked(target("x"));
    bench.pass(SECOND);
    assert!(bench.writes.is_empty(), "its next try is far");
    bench.handle(Event::Asked { account: id("a") });
    assert!(bench.engine.is_writing(&"x".into()));
    bench.refuse("x", false);
    assert!(!bench.engine.is_writing(&"x".into()));
    bench.grant("a", HOUR);
    bench.write("x", &[2], 0);
    let view = bench.engine.view("a", bench.now).unwrap();
    assert_eq!((view.targets[0].state, view.targets[0].error), (SinkState::Written, None));
}

#[test]
fn who_asks_while_the_vendor_may_not_be_asked_has_failed_targets_tried_all_the_same() {
    let account = AccountPlan { min_interval: HOUR, ..with(&["x"], 0) };
    let mut bench = Bench::new(&[("a", account)], Vec::new());
    bench.grant("a", HOUR * 9);
    bench.refuse("x", false);
    bench.handle(Event::Asked { account: id("a") });
    assert!(bench.issues.is_empty());
    bench.write("x", &[1], 0);
}

#[test]
fn a_failed_template_is_tried_at_once_too() {
    let mut bench = Bench::new(&[("a", plan())], vec![template(&["a"], 0)]);
    bench.grant("a", HOUR);
    bench.refuse("t", false);
    bench.handle(Event::Asked { account: id("a") });
    bench.refuse("t", false);
    bench.grant("a", HOUR);
    bench.write("t", &[2], 1);
}

#[test]
fn nothing_is_tried_for_who_asks_while_the_agent_stops() {
    let mut bench = blocked(target("x"));
    bench.handle(Event::Shutdown);
    bench.handle(Event::Asked { account: id("a") });
    assert!(bench.writes.is_empty());
}

#[test]
fn another_token_is_another_write_whatever_became_of_the_one_before() {
    let mut bench = blocked(target("x"));
    until_issue(&mut bench);
    assert!(bench.writes.is_empty(), "it waits for its next try");
    bench.grant("a", HOUR);
    bench.write("x", &[2], 0);
}

#[test]
fn what_a_server_refuses_is_not_tried_sooner_for_another_token_but_for_who_asks() {
    let refused = || blocked(TargetPlan { compare_every: None, ..on_vault("x") });
    let mut bench = refused();
    until_issue(&mut bench);
    bench.grant("a", HOUR);
    assert!(bench.writes.is_empty(), "the server's pace");
    let mut bench = refused();
    bench.handle(Event::Asked { account: id("a") });
    bench.write("x", &[1], 0);
}

#[test]
fn a_mended_disk_is_not_left_unused_for_lives_of_its_token() {
    let mut bench = Bench::new(&[("a", with(&["x"], 0))], Vec::new());
    bench.grant("a", SECOND * 20);
    let mut last = bench.now;
    for _ in 0..40 {
        bench.refuse("x", false);
        while bench.writes.is_empty() {
            let span = bench.engine.next_wake(bench.now).unwrap().max(Duration::from_millis(1));
            bench.pass(span);
            if !bench.issues.is_empty() {
                bench.grant("a", SECOND * 20);
            }
        }
        let waited = bench.now.boot.since(last.boot);
        assert!(waited <= SECOND * 5, "{waited:?}");
        last = bench.now;
    }
}

#[test]
fn hooks_that_have_failed_run_at_once_when_somebody_says_that_all_is_mended() {
    let mut bench = Bench::new(&[("a", with(&["x"], 2))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    let (set, hook, revision, _) = bench.hooks.remove(0);
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    for _ in 0..5 {
        bench.hook(Err("status 1".to_owned()));
        bench.handle(Event::Reprieve);
        bench.handle(Event::Reprieve);
    }
    assert_eq!(bench.hook(Ok(())), 1);
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
    bench.handle(Event::Reprieve);
    assert!(bench.hooks.is_empty(), "they know all");
}
