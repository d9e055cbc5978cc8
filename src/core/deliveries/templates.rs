//! When templates are written.

use std::collections::BTreeMap;

use super::*;

fn lacks(bench: &Bench) -> Vec<(String, Lack)> {
    let awaited = bench.template().waits_for.into_iter();
    awaited.map(|awaited| (awaited.account.to_string(), awaited.reason)).collect()
}

#[test]
fn a_template_is_written_once_every_member_has_a_token_and_once_a_change() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a", "b"], 0)]);
    assert_eq!(lacks(&bench), [("a".to_owned(), Lack::NoToken), ("b".to_owned(), Lack::NoToken)]);
    bench.grant("a", HOUR);
    assert!(bench.writes.is_empty(), "b has none");
    assert_eq!(lacks(&bench), [("b".to_owned(), Lack::NoToken)]);
    bench.grant("b", HOUR);
    assert_eq!(bench.template().state, SinkState::Unwritten);
    assert_eq!(lacks(&bench), [], "it is being written");
    bench.renew("a");
    assert_eq!(bench.writes.len(), 1, "one at a time");
    bench.write("t", &[1, 1], 1);
    bench.write("t", &[2, 1], 2);
    assert!(bench.writes.is_empty());
    let view = bench.template();
    assert_eq!(
        (view.state, view.generations),
        (SinkState::Written, Some(&[Generation(2), Generation(1)][..]))
    );
    assert_eq!(view.members, [id("a"), id("b")]);
}

#[test]
fn a_template_with_a_stored_dead_token_waits_for_its_renewal_to_end_or_to_fail() {
    let restored = || [(id("a"), stored(-60)), (id("b"), stored(3_600))].into();
    let accounts = [("a", plan()), ("b", plan())];
    let templates = || vec![template(&["a", "b"], 0)];
    let mut good = Bench::restored(&accounts, templates(), restored(), BTreeMap::new());
    assert!(good.writes.is_empty(), "the good one is near");
    assert_eq!(lacks(&good), [("a".to_owned(), Lack::Ended)]);
    good.grant("a", HOUR);
    good.write("t", &[5, 4], 1);
    let mut bad = Bench::restored(&accounts, templates(), restored(), BTreeMap::new());
    bad.fail("a");
    assert_eq!(lacks(&bad), [], "it goes without the good one");
    bad.write("t", &[4, 4], 1);
    let failed = Restored { attempt: 3, next_try: Some(Timestamp::from_secs(1_700_003_000)), ..stored(-60) };
    let restored = [(id("a"), failed), (id("b"), stored(3_600))].into();
    let later = Bench::restored(&accounts, templates(), restored, BTreeMap::new());
    assert_eq!(later.writes.len(), 1, "its next try is far");
}

#[test]
fn a_template_is_not_written_with_dead_tokens_alone() {
    let mut bench = Bench::restored(
        &[("a", plan())],
        vec![template(&["a"], 0)],
        [(id("a"), stored(-60))].into(),
        BTreeMap::new(),
    );
    bench.fail("a");
    assert!(bench.writes.is_empty());
    assert_eq!(lacks(&bench), [("a".to_owned(), Lack::Ended)]);
}

#[test]
fn a_template_whose_members_change_is_written_anew_and_one_that_leaves_is_retired() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a"], 1)]);
    bench.grant("a", HOUR);
    bench.grant("b", HOUR);
    bench.write("t", &[1], 1);
    bench.plan.templates = vec![template(&["b", "a"], 1)];
    bench.configure(BTreeMap::new(), BTreeMap::new());
    bench.write("t", &[1, 1], 2);
    bench.plan.templates.clear();
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert_eq!(bench.engine.templates(bench.now).count(), 0);
    bench.pass(DEBOUNCE);
    assert!(bench.hooks.is_empty());
}

#[test]
fn a_member_whose_renewal_is_still_out_past_its_end_is_waited_for() {
    let mut bench = Bench::new(&[("a", plan()), ("b", plan())], vec![template(&["a", "b"], 0)]);
    bench.grant("a", SECOND * 60);
    bench.grant("b", HOUR);
    bench.write("t", &[1, 1], 1);
    bench.handle(Event::Asked { account: id("a") });
    bench.pass(SECOND * 61);
    bench.renew("b");
    assert!(bench.writes.is_empty(), "the good one is near");
    assert_eq!(lacks(&bench), [("a".to_owned(), Lack::Ended)]);
    bench.fail("a");
    bench.write("t", &[1, 2], 2);
}

#[test]
fn a_member_that_failed_in_an_earlier_life_is_waited_for_where_it_is_asked_for_at_once() {
    let restored = [(id("a"), Restored { attempt: 3, ..stored(-60) }), (id("b"), stored(3_600))].into();
    let accounts = [("a", plan()), ("b", plan())];
    let mut bench = Bench::restored(&accounts, vec![template(&["a", "b"], 0)], restored, BTreeMap::new());
    assert!(bench.writes.is_empty());
    bench.grant("a", HOUR);
    bench.write("t", &[5, 4], 1);
}
