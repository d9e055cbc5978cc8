//! Whether hooks are owed something, and what stands where a token has ended.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_hook_is_owed_its_first_telling_and_nothing_more() {
    let mut bench = Bench::new(&[("a", with(&["x"], 1))], Vec::new());
    assert!(!bench.engine.owes_hooks(), "there is nothing to tell");
    bench.grant("a", HOUR);
    assert!(!bench.engine.owes_hooks(), "nothing has been published");
    bench.write("x", &[1], 0);
    assert!(bench.engine.owes_hooks(), "in case something follows");
    bench.pass(DEBOUNCE);
    assert!(bench.engine.owes_hooks(), "it runs");
    bench.hook(Err("status 1".to_owned()));
    assert!(!bench.engine.owes_hooks(), "it is tried again by itself");
    bench.pass(SECOND);
    bench.hook(Ok(()));
    assert!(!bench.engine.owes_hooks());
    bench.renew("a");
    bench.write("x", &[2], 0);
    assert!(bench.engine.owes_hooks());
}

#[test]
fn what_is_withdrawn_when_its_token_has_ended_is_removed_until_the_next_is_there() {
    let plan = AccountPlan {
        targets: vec![TargetPlan { remove_expired: true, ..target("x") }, target("kept")],
        ..plan()
    };
    let mut bench = Bench::new(&[("a", plan)], Vec::new());
    let seen = |bench: &Bench| {
        let view = bench.engine.view("a", bench.now).unwrap();
        [0, 1].map(|place| (view.targets[place].state, view.targets[place].removed))
    };
    assert_eq!(seen(&bench), [(SinkState::Unwritten, false); 2], "there was none yet");
    bench.grant("a", SECOND * 60);
    bench.write("x", &[1], 0);
    bench.write("kept", &[1], 0);
    assert_eq!(seen(&bench), [(SinkState::Written, false); 2]);
    bench.handle(Event::Asked { account: id("a") });
    bench.pass(SECOND * 60);
    assert_eq!(seen(&bench), [(SinkState::Written, false); 2], "it is being removed");
    let (target, revision) = bench.take_write("x");
    assert!(bench.writes.is_empty(), "the other one is kept");
    bench.said.clear();
    bench.handle(Event::Delivered { target, revision, held: None, written: true, print: 0 });
    assert!(matches!(bench.said[..], [Note::Withdrawn { .. }]), "{:?}", bench.said);
    assert_eq!(seen(&bench), [(SinkState::Unwritten, true), (SinkState::Written, false)]);
    bench.pass(SECOND);
    assert!(bench.writes.is_empty(), "once");
    bench.grant("a", HOUR);
    assert_eq!(seen(&bench), [(SinkState::Unwritten, false); 2], "they are being written");
    bench.write("x", &[2], 0);
    bench.write("kept", &[2], 0);
    assert_eq!(seen(&bench), [(SinkState::Written, false); 2]);
}

#[test]
fn a_withdrawal_that_finds_nothing_is_not_said() {
    let plan = AccountPlan { targets: vec![TargetPlan { remove_expired: true, ..target("x") }], ..plan() };
    let restored = [(id("a"), stored(-60))].into();
    let mut bench = Bench::restored(&[("a", plan)], Vec::new(), restored, BTreeMap::new());
    let (target, revision) = bench.take_write("x");
    bench.said.clear();
    bench.handle(Event::Delivered { target, revision, held: None, written: false, print: 0 });
    assert!(bench.said.is_empty(), "{:?}", bench.said);
}

#[test]
fn a_sink_that_fails_is_tried_after_a_second_doubling_to_a_minute_and_a_tenth_later_at_most() {
    let mut bench = Bench::new(&[("a", with(&["x"], 0))], Vec::new());
    bench.grant("a", HOUR * 9);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        bench.refuse("x", false);
        let next = bench.engine.view("a", bench.now).unwrap().targets[0].next.unwrap();
        let said = next.since(bench.now.wall);
        let pause = bench.until_write();
        assert_eq!(pause, said);
        pauses.push(pause.as_secs_f64());
    }
    for (pause, least) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]) {
        assert!(*pause >= least && *pause <= 60.0_f64.min(least * 1.1), "{pauses:?}");
    }
    let news = |note: &&Note| matches!(note, Note::Undelivered { news: true, .. });
    assert_eq!(bench.said.iter().filter(news).count(), 1, "said once");
}

#[test]
fn many_sinks_of_one_full_disk_do_not_knock_together() {
    let names: Vec<String> = (0..20).map(|number| format!("x{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new(&[("a", with(&names, 0))], Vec::new());
    bench.grant("a", HOUR * 9);
    names.iter().for_each(|name| bench.refuse(name, false));
    let view = bench.engine.view("a", bench.now).unwrap();
    let pauses = view.targets.iter().map(|target| target.next.unwrap().since(bench.now.wall).as_millis());
    let pauses: BTreeSet<u128> = pauses.collect();
    assert!(pauses.len() > 10, "{pauses:?}");
    assert!(pauses.first() >= Some(&1_000) && pauses.last() <= Some(&1_100), "{pauses:?}");
}

#[test]
fn hooks_that_fail_together_are_tried_again_up_to_a_tenth_sooner() {
    let mut bench = Bench::new(&[("a", with(&[], 20))], Vec::new());
    bench.grant("a", HOUR);
    bench.pass(DEBOUNCE);
    for (set, hook, revision, _) in std::mem::take(&mut bench.hooks) {
        let failure = HookFailure { class: ErrorClass::Transient, message: "status 1".to_owned() };
        bench.handle(Event::Notified { set, hook, revision, result: Err(failure) });
    }
    let view = bench.engine.view("a", bench.now).unwrap();
    let pauses = view.hooks.iter().map(|hook| hook.next.unwrap().since(bench.now.wall).as_millis());
    let pauses: BTreeSet<u128> = pauses.collect();
    assert!(pauses.len() > 10, "{pauses:?}");
    assert!(pauses.first() >= Some(&900) && pauses.last() <= Some(&1_000), "{pauses:?}");
}
