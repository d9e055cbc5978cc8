//! A server that is away, and what is no reason to ask it more or less often.

use super::*;

fn next(bench: &Bench) -> Option<Duration> {
    let server = bench.engine.servers(bench.now).next()?;
    server.next.map(|next| next.since(bench.now.wall))
}

#[test]
fn writes_that_fail_together_are_one_try() {
    let mut bench = vault_of(9);
    while let Some((name, _)) = bench.writes.first().cloned() {
        bench.refuse(&name, true);
    }
    let pause = bench.until_write();
    assert!(pause <= SECOND, "{pause:?}");
}

#[test]
fn after_a_try_that_hung_a_second_at_most_is_waited() {
    let mut bench = vault_of(1);
    bench.refuse("a000", true);
    for _ in 0..4 {
        bench.until_write();
        bench.pass(SECOND * 30);
        bench.refuse("a000", true);
        let pause = next(&bench).unwrap();
        assert!(pause <= SECOND && pause >= SECOND * 9 / 10, "{pause:?}");
    }
}

#[test]
fn a_sink_that_waits_for_its_server_through_many_renewals_is_written_once() {
    let mut bench = vault_of(2);
    bench.refuse("a000", true);
    bench.refuse("a001", true);
    for _ in 0..5 {
        bench.handle(Event::Asked { account: id("a001") });
        bench.grant("a001", HOUR * 20);
        bench.pass(SECOND / 10);
    }
    bench.until_write();
    bench.write("a000", &[1], 0);
    assert_eq!(bench.writes.len(), 1, "{:?}", bench.writes);
}

#[test]
fn a_server_is_as_far_away_as_before_when_one_of_its_sinks_leaves() {
    let mut bench = vault_of(2);
    bench.refuse("a000", true);
    bench.refuse("a001", true);
    let before = next(&bench);
    assert!(before.is_some());
    bench.plan.accounts.insert(id("a001"), plan());
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert_eq!(next(&bench), before);
}

#[test]
fn a_server_is_forgotten_once_the_last_write_to_it_has_ended() {
    let mut bench = vault_of(1);
    bench.refuse("a000", true);
    bench.until_write();
    let elsewhere = TargetPlan { server: Some("other".into()), ..on_vault("a000") };
    bench.plan.accounts.insert(id("a000"), AccountPlan { targets: vec![elsewhere], ..plan() });
    bench.configure(BTreeMap::new(), BTreeMap::new());
    assert_eq!(bench.engine.servers(bench.now).count(), 1, "a write to it is out");
    bench.refuse("a000", true);
    assert_eq!(bench.engine.servers(bench.now).count(), 0);
    assert_eq!(bench.writes.len(), 1, "at the other");
}

#[test]
fn what_a_sink_has_itself_failed_by_is_said_also_while_its_server_is_away() {
    let mut bench = vault_of(2);
    bench.refuse("a000", false);
    bench.refuse("a001", true);
    let seen = |name: &str| {
        let view = bench.engine.view(name, bench.now).unwrap();
        let sink = &view.targets[0];
        (sink.error.map(|error| error.message.clone()), sink.waits_for)
    };
    assert_eq!(seen("a000"), (Some("permission denied".to_owned()), None));
    assert_eq!(seen("a001"), (Some("connection refused".to_owned()), Some("vault")));
}

#[test]
fn what_is_well_waits_for_no_server_that_is_away() {
    let mut bench = vault_of(2);
    bench.write("a000", &[1], 0);
    bench.refuse("a001", true);
    let view = bench.engine.view("a000", bench.now).unwrap();
    assert_eq!((view.targets[0].state, view.targets[0].waits_for), (SinkState::Written, None));
}
