//! When hooks run.

use std::collections::BTreeMap;

use super::*;

#[test]
fn hooks_run_once_after_all_sinks_are_written() {
    let mut bench = Bench::new(&[("a", with(&["x", "y"], 2))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty(), "y is not written yet");
    bench.write("y", &[1], 0);
    assert!(bench.hooks.is_empty(), "something may follow");
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hooks.len(), 2);
    for (set, hook, revision, mark) in std::mem::take(&mut bench.hooks) {
        assert_eq!((set.clone(), mark), (account_set("a"), 1));
        assert!(bench.marked.is_empty());
        bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    }
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
    bench.handle(Event::TargetLost { target: "x".into() });
    bench.write("x", &[1], 0);
    bench.pass(SECOND * 5);
    assert!(bench.hooks.is_empty(), "nothing is new to them");
}

#[test]
fn hooks_do_not_wait_for_a_sink_that_fails_and_run_again_once_it_is_written() {
    let mut bench = Bench::new(&[("a", with(&["x", "y"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.refuse("x", false);
    bench.pass(DEBOUNCE);
    assert!(bench.hooks.is_empty(), "nothing has been published");
    bench.write("y", &[1], 0);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.named(), ["y"], "nobody is sent to x");
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(bench.marked.is_empty(), "x is owing");
    bench.pass(SECOND * 2);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.named(), ["x", "y"]);
    assert_eq!(bench.hook(Ok(())), 1);
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn hooks_do_not_wait_for_a_server_that_is_away() {
    let targets = vec![on_vault("v"), target("f")];
    let mut bench = Bench::new(&[("a", AccountPlan { targets, hooks: vec![0], ..plan() })], Vec::new());
    bench.grant("a", HOUR);
    bench.write("f", &[1], 0);
    for _ in 0..9 {
        bench.refuse("v", true);
        bench.until_write();
    }
    bench.refuse("v", true);
    assert_eq!(bench.named(), ["f"]);
    assert_eq!(bench.hook(Ok(())), 1);
    assert_eq!(bench.renew("a"), 2);
    bench.write("f", &[2], 0);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 2, "v has not even been tried");
}

#[test]
fn a_hook_that_is_tried_again_hears_what_is_written_by_then() {
    let mut bench = Bench::new(&[("a", with(&["x", "y"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.refuse("y", false);
    bench.pass(DEBOUNCE);
    bench.hook(Err("status 1".to_owned()));
    bench.handle(Event::TargetLost { target: "x".into() });
    bench.refuse("x", false);
    bench.pass(SECOND);
    assert_eq!(bench.hooks.len(), 1);
    assert_eq!(bench.named(), [""; 0], "both are broken");
    bench.write("y", &[1], 0);
    bench.hook(Err("status 1".to_owned()));
    while bench.hooks.is_empty() {
        bench.pass(DEBOUNCE);
    }
    assert_eq!(bench.named(), ["y"]);
}

#[test]
fn where_a_hook_stands_is_to_be_seen_until_it_has_succeeded() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1))], Vec::new());
    let seen = |bench: &Bench| {
        let view = bench.engine.view("a", bench.now).unwrap();
        let [hook] = view.hooks[..] else { panic!("{:?}", view.hooks) };
        let since = hook.running_since.map(|since| bench.now.wall.since(since));
        (hook.state, hook.error.map(|error| error.message.clone()), hook.next.is_some(), since)
    };
    assert_eq!(seen(&bench), (HookState::Untold, None, false, None));
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    assert_eq!(seen(&bench), (HookState::Untold, None, false, None));
    bench.pass(DEBOUNCE);
    bench.pass(SECOND * 3);
    assert_eq!(seen(&bench), (HookState::Untold, None, false, Some(SECOND * 3)), "it runs");
    bench.hook(Err("status 1".to_owned()));
    assert_eq!(seen(&bench), (HookState::Failed, Some("status 1".to_owned()), true, None));
    bench.pass(SECOND);
    let (state, error, waits, since) = seen(&bench);
    assert_eq!((state, error), (HookState::Failed, Some("status 1".to_owned())));
    assert!(!waits && since.is_some_and(|since| since < SECOND), "it runs again: {since:?}");
    bench.hook(Ok(()));
    assert_eq!(seen(&bench), (HookState::Told, None, false, None));
    bench.renew("a");
    assert_eq!(seen(&bench), (HookState::Untold, None, false, None), "of the new token");
    let template = SetId::Template("t".into());
    let noted = [(template, 77)].into();
    let restored = [(id("a"), stored(3_600))].into();
    let bench = Bench::restored(&[("a", plan())], vec![super::template(&["a"], 1)], restored, noted);
    let hooks = bench.template().hooks;
    assert_eq!(
        hooks.iter().map(|hook| hook.state).collect::<Vec<_>>(),
        [HookState::Told],
        "before the restart"
    );
}

#[test]
fn a_hook_that_fails_is_retried_alone_until_a_newer_mark_replaces_its_work() {
    let mut bench = Bench::new(&[("a", with(&["x"], 2))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    let (set, hook, revision, _) = bench.hooks.remove(0);
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    let mut pauses = Vec::new();
    for _ in 0..8 {
        bench.hook(Err("status 1".to_owned()));
        let began = bench.now.boot;
        while bench.hooks.is_empty() {
            let span = bench.engine.next_wake(bench.now).unwrap();
            bench.pass(span);
        }
        pauses.push(bench.now.boot.since(began).as_secs_f64());
    }
    for (pause, most) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!(*pause <= most && *pause >= most * 0.89, "{pauses:?}");
    }
    let news = |note: &&Note| matches!(note, Note::HookFailed { news: true, .. });
    assert_eq!(bench.said.iter().filter(news).count(), 1);
    bench.hook(Err("status 1".to_owned()));
    bench.renew("a");
    bench.write("x", &[2], 0);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hooks.iter().map(|(.., mark)| *mark).collect::<Vec<_>>(), [2, 2]);
    assert!(bench.marked.is_empty(), "1 never reached all of them");
}

#[test]
fn a_hook_that_runs_is_told_of_the_newest_afterwards_and_only_of_that() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    for generation in 2..5 {
        bench.renew("a");
        bench.write("x", &[generation], 0);
        bench.pass(SECOND);
    }
    assert_eq!(bench.hook(Err("killed".to_owned())), 1);
    assert_eq!(bench.hook(Ok(())), 4);
    assert_eq!(bench.marked, [(account_set("a"), 4)]);
}

#[test]
fn a_mark_that_was_noted_runs_no_hooks_after_a_restart() {
    let restored = || [(id("a"), stored(3_600))].into();
    let accounts = [("a", with(&["x"], 1))];
    let noted = [(account_set("a"), 4)].into();
    let mut bench = Bench::restored(&accounts, Vec::new(), restored(), noted);
    bench.unchanged("x", &[4]);
    bench.pass(SECOND * 5);
    assert!(bench.hooks.is_empty());
    let noted = [(account_set("a"), 3)].into();
    let mut bench = Bench::restored(&accounts, Vec::new(), restored(), noted);
    bench.unchanged("x", &[4]);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 4);
}

#[test]
fn further_hooks_of_a_set_that_is_noted_have_nothing_to_learn() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    bench.hook(Ok(()));
    bench.plan.accounts = [(id("a"), with(&["x"], 2))].into();
    bench.configure(BTreeMap::new(), BTreeMap::new());
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty());
}

/// The engine of an account with two hooks, of which the first, 0, has been told of the token and the second, 1, has failed.
fn half_told() -> Bench {
    let mut bench = Bench::new(&[("a", with(&["x"], 2))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    let (set, hook, revision, _) = bench.hooks.remove(0);
    assert_eq!(hook, 0);
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    bench.hook(Err("status 1".to_owned()));
    bench
}

fn with_hooks(bench: &mut Bench, hooks: &[HookId]) {
    bench.plan.accounts = [(id("a"), AccountPlan { hooks: hooks.to_vec(), ..with(&["x"], 0) })].into();
    bench.configure(BTreeMap::new(), BTreeMap::new());
}

#[test]
fn a_hook_is_told_once_whatever_becomes_of_the_others() {
    let cases: [(&[HookId], &[HookId]); 4] =
        [(&[0], &[]), (&[1, 0], &[]), (&[2, 0, 1], &[2]), (&[2, 0], &[2])];
    for (hooks, told) in cases {
        let mut bench = half_told();
        with_hooks(&mut bench, hooks);
        bench.pass(Duration::from_millis(500)); // before the failed one is tried again
        let runs: Vec<HookId> = bench.hooks.iter().map(|(_, hook, ..)| *hook).collect();
        assert_eq!(runs, told, "{hooks:?}");
        let noted = if hooks == [0] { vec![(account_set("a"), 1)] } else { Vec::new() };
        assert_eq!(bench.marked, noted, "{hooks:?}");
    }
}

#[test]
fn a_hook_that_fails_keeps_its_failures_wherever_it_stands_and_a_new_one_has_none() {
    let mut bench = half_told();
    with_hooks(&mut bench, &[1, 0]);
    bench.pass(SECOND);
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(
        matches!(bench.said.last(), Some(Note::HookRan { hook: 1, healed: true, .. })),
        "{:?}",
        bench.said
    );

    let mut bench = half_told();
    with_hooks(&mut bench, &[0, 2]);
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(
        matches!(bench.said.last(), Some(Note::HookRan { hook: 2, healed: false, .. })),
        "{:?}",
        bench.said
    );
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn the_run_of_a_hook_that_leaves_and_comes_back_is_waited_for_and_counts_for_nothing() {
    let mut bench = half_told();
    bench.pass(SECOND);
    with_hooks(&mut bench, &[0]);
    assert!(bench.engine.is_busy(), "it runs still");
    with_hooks(&mut bench, &[0, 1]);
    bench.renew("a");
    bench.write("x", &[2], 0);
    bench.pass(DEBOUNCE);
    let (set, hook, revision, mark) = bench.hooks.remove(0);
    assert_eq!((hook, mark, bench.hooks.len()), (1, 1, 1));
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    let runs: Vec<(HookId, u64)> = bench.hooks.iter().map(|(_, hook, _, mark)| (*hook, *mark)).collect();
    assert_eq!(runs, [(0, 2), (1, 2)]);
}

#[test]
fn an_account_without_sinks_is_published_with_its_token() {
    let mut bench = Bench::new(&[("a", with(&[], 1))], Vec::new());
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty());
    bench.grant("a", HOUR);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
}

#[test]
fn a_templates_hooks_run_when_its_content_is_another() {
    let set = SetId::Template("t".into());
    let noted = [(set.clone(), 77)].into();
    let mut bench = Bench::restored(
        &[("a", plan())],
        vec![template(&["a"], 1)],
        [(id("a"), stored(3_600))].into(),
        noted,
    );
    bench.write("t", &[4], 77);
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty(), "that content is known");
    bench.renew("a");
    bench.write("t", &[5], 78);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.named(), ["t"]);
    assert_eq!(bench.hook(Ok(())), 78);
    assert_eq!(bench.marked, [(set, 78)]);
}

#[test]
fn a_hook_that_becomes_due_while_the_agent_stops_is_left_to_the_next_start() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1)), ("b", with(&["y"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.grant("b", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE);
    bench.handle(Event::Shutdown);
    bench.write("y", &[1], 0);
    assert!(bench.engine.is_busy(), "a's hook runs");
    assert_eq!(bench.hook(Ok(())), 1);
    bench.pass(SECOND * 9);
    assert!(bench.hooks.is_empty() && !bench.engine.is_busy());
    assert_eq!(bench.marked, [(account_set("a"), 1)], "b's is not noted");
}

#[test]
fn a_set_that_leaves_while_its_hook_runs_and_comes_back_waits_for_that_run() {
    let mut bench = Bench::new(&[("a", with(&[], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.pass(DEBOUNCE);
    bench.plan.accounts.clear();
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert!(bench.engine.is_busy());
    bench.plan.accounts = [(id("a"), with(&[], 1))].into();
    bench.configure([(id("a"), stored(3_600))].into(), BTreeMap::new());
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(bench.marked.is_empty(), "it was told of another set");
    assert_eq!(bench.hook(Ok(())), 4);
    assert_eq!(bench.marked, [(account_set("a"), 4)]);
}

#[test]
fn a_sink_that_becomes_another_accounts_is_owing_no_more() {
    let mut bench = Bench::new(&[("a", with(&["x", "y"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.refuse("y", false);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(bench.marked.is_empty(), "y is owing");
    bench.plan.accounts = [(id("a"), with(&["x"], 1)), (id("b"), with(&["y"], 0))].into();
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn hooks_that_come_amid_a_write_do_not_wait_for_one_that_hangs() {
    let mut bench = Bench::new(&[("a", with(&["good", "hangs"], 0))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("good", &[1], 0);
    bench.plan.accounts.insert(id("a"), with(&["good", "hangs"], 1));
    bench.configure(BTreeMap::new(), BTreeMap::new());
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty(), "it may be written yet");
    bench.pass(SECOND * 5);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hooks.len(), 1);
}
