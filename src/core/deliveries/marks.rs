//! What hooks are told, by whom they wait, and what a new configuration or an end that comes late changes about that.

use super::*;

/// A write of `x`, one of `y` that fails, and the hooks told of that: `y` is owing.
fn owing(hooks: HookId) -> Bench {
    let mut bench = Bench::new(&[("a", with(&["x", "y"], hooks))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.refuse("y", false);
    bench.pass(DEBOUNCE);
    bench
}

fn runs(bench: &Bench) -> Vec<(HookId, u64)> {
    bench.hooks.iter().map(|(_, hook, _, mark)| (*hook, *mark)).collect()
}

#[test]
fn a_sink_owes_its_hooks_until_it_leaves_be_it_for_a_second_thought() {
    let mut bench = owing(1);
    bench.hook(Ok(()));
    bench.plan.accounts.insert(id("b"), plan());
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert!(bench.marked.is_empty(), "y is owing still");
    let leaving = TargetPlan { delete_on_remove: true, ..target("y") };
    let targets = vec![target("x"), leaving];
    bench.plan.accounts.insert(id("a"), AccountPlan { targets, ..with(&[], 1) });
    bench.configure(BTreeMap::new(), BTreeMap::new());
    bench.refuse("y", false);
    assert!(bench.marked.is_empty());
    bench.plan.accounts.insert(id("a"), with(&["x"], 1));
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn hooks_hear_of_each_sink_that_comes_late() {
    let mut bench = Bench::new(&[("a", with(&["x", "y", "z"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.refuse("y", false);
    bench.refuse("z", false);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
    for (name, named) in [("y", &["x", "y"][..]), ("z", &["x", "y", "z"])] {
        while !bench.writes.iter().any(|(target, _)| **target == *name) {
            bench.pass(DEBOUNCE);
        }
        bench.write(name, &[1], 0);
        bench.pass(DEBOUNCE);
        assert_eq!(bench.named(), named);
        assert_eq!(bench.hook(Ok(())), 1);
    }
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn the_run_of_a_hook_that_has_left_meanwhile_tells_the_one_that_came_back_nothing() {
    let mut bench = owing(2);
    assert_eq!(runs(&bench), [(0, 1), (1, 1)]);
    for hooks in [1, 2] {
        bench.plan.accounts.insert(id("a"), with(&["x", "y"], hooks));
        bench.configure(BTreeMap::new(), BTreeMap::new());
    }
    let (set, hook, revision, _) = bench.hooks.pop().unwrap();
    assert_eq!((hook, bench.hooks.len()), (1, 1), "it is waited for");
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    assert_eq!(runs(&bench), [(0, 1), (1, 1)], "once more");
}

#[test]
fn the_end_of_a_run_counts_once() {
    let mut bench = owing(1);
    let (set, hook, revision, _) = bench.hooks[0].clone();
    bench.hook(Err("status 1".to_owned()));
    bench.pass(SECOND);
    assert_eq!(bench.hooks.len(), 1);
    bench.handle(Event::Notified { set, hook, revision, result: Ok(()) });
    assert!(bench.engine.is_busy(), "the second run is out");
    assert!(!bench.said.iter().any(|note| matches!(note, Note::HookRan { .. })));
}

#[test]
fn what_is_written_once_more_meanwhile_does_not_put_hooks_off() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("x", &[1], 0);
    bench.pass(SECOND / 5);
    bench.handle(Event::TargetLost { target: "x".into() });
    bench.write("x", &[1], 0);
    bench.pass(DEBOUNCE - SECOND / 5);
    assert_eq!(runs(&bench), [(0, 1)]);
}

#[test]
fn a_templates_hook_is_sent_there_where_its_content_still_stands() {
    let mut bench = Bench::new(&[("a", plan())], vec![template(&["a"], 1)]);
    bench.grant("a", HOUR);
    bench.write("t", &[1], 77);
    bench.pass(DEBOUNCE);
    let retried = |bench: &mut Bench| {
        bench.hook(Err("status 1".to_owned()));
        while bench.hooks.is_empty() {
            bench.pass(DEBOUNCE);
        }
        bench.named().join(" ")
    };
    bench.handle(Event::TargetLost { target: "t".into() });
    bench.unchanged("t", &[1]);
    assert_eq!(retried(&mut bench), "t", "a look that finds it as it was says nothing else");
    bench.handle(Event::TargetLost { target: "t".into() });
    assert_eq!(retried(&mut bench), "", "nobody knows");
    bench.write("t", &[1], 78);
    assert_eq!(retried(&mut bench), "t");
}

#[test]
fn hooks_do_not_wait_for_a_file_whose_write_hangs() {
    let mut bench = Bench::new(&[("a", with(&["good", "hangs"], 1))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("good", &[1], 0);
    while bench.hooks.is_empty() {
        let span = bench.engine.next_wake(bench.now).unwrap();
        assert!(span <= SECOND * 5, "nothing else comes: {span:?}");
        bench.pass(span);
    }
    assert_eq!(bench.named(), ["good"]);
}

#[test]
fn hooks_do_not_wait_for_a_turn_at_a_server_that_is_found_away() {
    let mut bench = vault_of(16);
    let targets = vec![on_vault("v"), target("f")];
    bench.plan.accounts.insert(id("h"), AccountPlan { targets, ..with(&[], 1) });
    bench.configure(BTreeMap::new(), BTreeMap::new());
    while !bench.issues.iter().any(|issue| issue.account == id("h")) {
        bench.pass(SECOND);
    }
    bench.grant("h", HOUR);
    bench.write("f", &[1], 0);
    bench.pass(SECOND);
    assert!(bench.hooks.is_empty(), "its turn may come");
    bench.refuse("a000", true);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.named(), ["f"]);
}
