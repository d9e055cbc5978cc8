//! Ends that come late or say something odd, and what is to be seen of a target.

use super::*;

fn written_at(bench: &Bench) -> Option<Duration> {
    let at = bench.engine.view("a", bench.now).unwrap().targets[0].written_at;
    at.map(|at| at.since(Timestamp::from_secs(1_700_000_000)))
}

#[test]
fn the_end_of_a_write_counts_once() {
    let mut bench = Bench::new(&[("a", with(&["x"], 0))], Vec::new());
    bench.grant("a", HOUR);
    let (target, revision) = bench.writes[0].clone();
    bench.refuse("x", false);
    bench.until_write();
    let held = Some(vec![Generation(1)]);
    bench.handle(Event::Delivered { target, revision, held, written: true, print: 0 });
    assert!(bench.engine.is_writing(&"x".into()), "that was the first write");
    bench.write("x", &[1], 0);
    assert!(!bench.engine.is_writing(&"x".into()));
}

#[test]
fn what_is_said_to_hold_too_few_tokens_is_not_taken_for_written() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a", "b"], 0)]);
    bench.grant("a", HOUR);
    bench.grant("b", HOUR);
    bench.write("t", &[1], 0);
    assert_eq!(bench.template().state, SinkState::Unwritten);
    bench.write("t", &[1, 1], 0);
    assert_eq!(bench.template().state, SinkState::Written);
}

#[test]
fn when_a_target_was_written_last_is_known_also_after_looks_and_withdrawals() {
    let targets = vec![TargetPlan { remove_expired: true, ..target("x") }];
    let mut bench = Bench::new(&[("a", AccountPlan { targets, ..plan() })], Vec::new());
    bench.grant("a", SECOND * 60);
    assert_eq!(written_at(&bench), None);
    bench.pass(SECOND);
    bench.unchanged("x", &[1]);
    assert_eq!(written_at(&bench), Some(SECOND), "as it was found at the start");
    bench.pass(SECOND);
    let lost = |bench: &mut Bench| bench.handle(Event::TargetLost { target: "x".into() });
    lost(&mut bench);
    bench.unchanged("x", &[1]);
    assert_eq!(written_at(&bench), Some(SECOND));
    lost(&mut bench);
    bench.write("x", &[1], 0);
    assert_eq!(written_at(&bench), Some(SECOND * 2));
    bench.pass(SECOND * 60);
    let (target, revision) = bench.take_write("x");
    bench.handle(Event::Delivered { target, revision, held: None, written: true, print: 0 });
    assert_eq!(written_at(&bench), Some(SECOND * 2), "it was taken away, not written");
}

#[test]
fn a_template_is_said_to_be_composed_where_it_was_written_or_can_be_again() {
    let mut bench = Bench::new(&[("a", plan())], vec![template(&["a"], 0)]);
    let composed = |bench: &mut Bench| {
        let said = std::mem::take(&mut bench.said).into_iter().filter_map(|note| match note {
            Note::Composed { written, healed, .. } => Some((written, healed)),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    bench.grant("a", HOUR);
    bench.write("t", &[1], 7);
    assert_eq!(composed(&mut bench), [(true, false)]);
    let lost = |bench: &mut Bench| bench.handle(Event::TargetLost { target: "t".into() });
    lost(&mut bench);
    bench.unchanged("t", &[1]);
    assert_eq!(composed(&mut bench), []);
    lost(&mut bench);
    bench.refuse("t", false);
    bench.until_write();
    bench.unchanged("t", &[1]);
    assert_eq!(composed(&mut bench), [(false, true)]);
}

#[test]
fn what_a_late_write_has_left_with_readers_is_known_beside_the_newer_token() {
    let mut bench = Bench::new(&[("a", with(&["x"], 0))], Vec::new());
    bench.grant("a", HOUR);
    bench.pass(SECOND * 600);
    bench.renew("a");
    bench.write("x", &[1], 0);
    let view = bench.engine.view("a", bench.now).unwrap();
    let held = view.targets[0].held.map(|held| (held.token.generation, held.left, held.outdated));
    assert_eq!(held, Some((Generation(1), HOUR - SECOND * 600, true)));
}

#[test]
fn of_several_tokens_the_one_to_care_about_has_a_successor() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a", "b"], 0)]);
    bench.grant("a", HOUR);
    bench.grant("b", HOUR * 2);
    bench.write("t", &[1, 1], 0);
    let held = |bench: &Bench| bench.template().held.map(|held| (held.left, held.outdated));
    assert_eq!(held(&bench), Some((HOUR, false)), "the first to end");
    bench.renew("b");
    bench.refuse("t", false);
    assert_eq!(held(&bench), Some((HOUR * 2, true)));
}

#[test]
fn nobody_waits_for_a_member_where_a_template_is_written_is_being_written_or_has_failed() {
    let lacks = |bench: &Bench| bench.template().waits_for.len();
    let begun = || {
        let mut bench = Bench::new(&[("a", plan())], vec![template(&["a"], 0)]);
        bench.grant("a", SECOND * 60);
        bench
    };
    let mut being_written = begun();
    being_written.pass(SECOND * 60);
    assert_eq!(lacks(&being_written), 0, "it is on its way");
    being_written.write("t", &[1], 0);
    assert_eq!((being_written.template().state, lacks(&being_written)), (SinkState::Written, 0));
    let mut failed = begun();
    failed.refuse("t", false);
    failed.pass(SECOND * 60);
    while !failed.writes.is_empty() {
        failed.refuse("t", false);
    }
    assert_eq!((failed.template().state, lacks(&failed)), (SinkState::Failed, 0));
}

#[test]
fn a_member_that_has_failed_is_not_waited_for_while_it_is_asked_for_again() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a", "b"], 0)]);
    bench.grant("a", SECOND * 60);
    bench.grant("b", HOUR);
    bench.write("t", &[1, 1], 1);
    bench.handle(Event::Asked { account: id("a") });
    bench.fail("a");
    bench.pass(SECOND * 61);
    assert_eq!(bench.issues.len(), 1, "its next try is out");
    bench.renew("b");
    bench.write("t", &[1, 2], 2);
}

#[test]
fn a_member_whose_inherited_pause_has_just_ended_is_waited_for() {
    let now = Timestamp::from_secs(1_700_000_000);
    let failed = Restored { attempt: 3, next_try: Some(now.plus(SECOND * 100)), ..stored(-60) };
    let restored = [(id("a"), failed), (id("b"), stored(3_600))].into();
    let accounts = [("a", plan()), ("b", plan())];
    let mut bench = Bench::restored(&accounts, vec![template(&["a", "b"], 0)], restored, BTreeMap::new());
    bench.write("t", &[4, 4], 1);
    bench.handle(Event::Asked { account: id("b") });
    bench.pass(SECOND * 100);
    assert_eq!(bench.issues.len(), 2);
    bench.grant("b", HOUR);
    assert!(bench.writes.is_empty(), "the good one is near");
    bench.grant("a", HOUR);
    bench.write("t", &[5, 5], 2);
}

#[test]
fn who_asks_for_everything_to_be_looked_at_has_a_failed_file_tried_at_once_and_no_other() {
    let mut bench = Bench::new(&[("a", with(&["good", "failed"], 0))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("good", &[1], 0);
    bench.refuse("failed", false);
    bench.handle(Event::Reprieve);
    bench.write("failed", &[1], 0);
    assert!(bench.writes.is_empty());
    bench.handle(Event::Reprieve);
    assert!(bench.writes.is_empty());
}
