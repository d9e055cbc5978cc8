//! What stands on servers: waiting together, comparisons.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_server_takes_sixteen_writes_at_a_time() {
    let mut bench = vault_of(40);
    for left in (0..40).rev() {
        assert_eq!(bench.writes.len(), 16.min(left + 1));
        let name = bench.writes[0].0.clone();
        bench.write(&name, &[1], 0);
    }
    assert!(bench.engine.views(bench.now).all(|view| view.targets[0].state == SinkState::Written));
}

#[test]
fn a_server_that_is_away_gets_one_try_at_a_time_and_all_the_rest_when_it_is_back() {
    let mut bench = vault_of(200);
    while let Some((name, _)) = bench.writes.first().cloned() {
        bench.refuse(&name, true);
    }
    assert!(bench.engine.views(bench.now).all(|view| view.targets[0].state == SinkState::Failed));
    let (began, mut tries, mut longest) = (bench.now.boot, 0, Duration::ZERO);
    while bench.now.boot.since(began) < HOUR {
        longest = longest.max(bench.until_write());
        assert_eq!(bench.writes.len(), 1, "one goes first");
        let name = bench.writes[0].0.clone();
        bench.refuse(&name, true);
        tries += 1;
    }
    assert!((60..=75).contains(&tries) && longest <= Duration::from_secs(60), "{tries} {longest:?}");
    let news = |note: &&Note| matches!(note, Note::ServerAway { news: true, .. });
    assert_eq!(bench.said.iter().filter(news).count(), 1, "said once");
    let view = bench.engine.servers(bench.now).next().unwrap();
    assert_eq!((view.name, view.error.message.as_str()), ("vault", "connection refused"));
    assert_eq!(view.since, Timestamp::from_secs(1_700_000_000));
    bench.until_write();
    let first = bench.writes[0].0.clone();
    bench.write(&first, &[1], 0);
    assert_eq!(bench.writes.len(), 16, "the rest follows");
    assert!(bench.said.iter().any(|note| matches!(note, Note::ServerBack { .. })));
    assert_eq!(bench.engine.servers(bench.now).count(), 0);
    while let Some((name, _)) = bench.writes.first().cloned() {
        bench.write(&name, &[1], 0);
    }
    assert!(bench.engine.views(bench.now).all(|view| view.targets[0].state == SinkState::Written));
}

#[test]
fn the_nearest_expiry_goes_first_at_a_server_that_was_away() {
    let mut bench = vault_of(17);
    while let Some((name, _)) = bench.writes.first().cloned() {
        bench.refuse(&name, true);
    }
    bench.until_write();
    assert_eq!(&*bench.writes[0].0, "a016", "it has not been tried yet");
    bench.refuse("a016", true);
    bench.until_write();
    assert_eq!(&*bench.writes[0].0, "a000");
}

#[test]
fn a_try_that_hangs_does_not_put_off_the_next() {
    let mut bench = vault_of(1);
    bench.refuse("a000", true);
    for _ in 0..8 {
        bench.until_write();
        bench.pass(SECOND * 30);
        bench.refuse("a000", true);
    }
    assert!(bench.until_write() <= SECOND * 30);
}

#[test]
fn a_targets_own_failure_is_retried_alone_and_shows_that_the_server_is_there() {
    let mut bench = vault_of(2);
    bench.refuse("a000", false);
    assert_eq!(bench.engine.servers(bench.now).count(), 0);
    bench.refuse("a001", true);
    bench.until_write();
    let name = bench.writes[0].0.clone();
    bench.refuse(&name, false);
    assert_eq!(bench.engine.servers(bench.now).count(), 0, "it has answered");
    bench.pass(SECOND * 5);
    assert_eq!(bench.writes.len(), 2);
}

#[test]
fn what_left_before_a_server_was_found_away_does_not_show_that_it_is_back() {
    let mut bench = vault_of(3);
    bench.refuse("a000", true);
    bench.write("a001", &[1], 0);
    assert_eq!(bench.engine.servers(bench.now).count(), 1);
    bench.refuse("a002", true);
    assert!(bench.until_write() > SECOND / 2);
}

#[test]
fn a_server_that_is_away_delays_no_file() {
    let targets = vec![on_vault("v"), target("f")];
    let mut bench = Bench::new(&[("a", AccountPlan { targets, ..plan() })], Vec::new());
    bench.grant("a", HOUR);
    bench.refuse("v", true);
    bench.write("f", &[1], 0);
    bench.renew("a");
    bench.write("f", &[2], 0);
}

#[test]
fn server_targets_are_compared_every_ten_minutes_and_nothing_is_said_of_what_is_well() {
    let mut bench = vault_of(1);
    bench.write("a000", &[1], 0);
    bench.said.clear();
    let first = bench.until_write();
    assert!(first <= SECOND * 600);
    assert_eq!(bench.engine.view("a000", bench.now).unwrap().targets[0].state, SinkState::Written);
    bench.unchanged("a000", &[1]);
    assert_eq!(bench.until_write(), SECOND * 600);
    bench.unchanged("a000", &[1]);
    assert!(bench.said.is_empty(), "{:?}", bench.said);
    bench.until_write();
    bench.write("a000", &[1], 0);
    assert!(matches!(bench.said[..], [Note::Delivered { .. }]), "a foreign write was mended");
}

#[test]
fn what_was_right_all_along_is_not_called_written_once_it_can_be_written_again() {
    let mut bench = vault_of(1);
    bench.refuse("a000", false);
    bench.said.clear();
    bench.until_write();
    bench.unchanged("a000", &[1]);
    let delivered = |note: &Note| match note {
        Note::Delivered { written, healed, .. } => Some((*written, *healed)),
        _ => None,
    };
    assert_eq!(bench.said.iter().filter_map(delivered).collect::<Vec<_>>(), [(false, true)]);
}

#[test]
fn comparisons_are_spread_and_none_begins_after_shutdown() {
    let mut bench = vault_of(16);
    for number in 0..16 {
        bench.write(&format!("a{number:03}"), &[1], 0);
    }
    let mut most = 0;
    for _ in 0..600 {
        bench.pass(SECOND);
        most = most.max(bench.writes.len());
        while let Some((name, _)) = bench.writes.first().cloned() {
            bench.unchanged(&name, &[1]);
        }
    }
    assert!(most <= 3, "{most}");
    bench.handle(Event::Shutdown);
    bench.pass(SECOND * 700);
    assert!(bench.writes.is_empty());
}

#[test]
fn what_stood_on_a_server_is_deleted_when_it_leaves_where_that_is_wished() {
    let gone = TargetPlan { delete_on_remove: true, ..on_vault("v") };
    let mut bench = Bench::new(&[("a", AccountPlan { targets: vec![gone], ..plan() })], Vec::new());
    bench.grant("a", HOUR);
    bench.refuse("v", true);
    bench.plan.accounts = [(id("a"), plan())].into();
    bench.configure(BTreeMap::new(), BTreeMap::new());
    bench.now = bench.now.after(SECOND * 10).into();
    let effects = bench.engine.handle(Event::Tick, bench.now);
    assert_eq!(effects, [Effect::Retire { target: "v".into(), delete: true }]);
    assert_eq!(bench.engine.servers(bench.now).count(), 0, "nothing stands there any more");
}

#[test]
fn hup_compares_what_stands_on_servers_and_retries_what_failed_but_spares_a_server_that_is_away() {
    let mut bench = vault_of(2);
    bench.write("a000", &[1], 0);
    bench.refuse("a001", false);
    bench.handle(Event::Reprieve);
    let views: Vec<SinkState> = bench.engine.views(bench.now).map(|view| view.targets[0].state).collect();
    assert_eq!(views, [SinkState::Written, SinkState::Failed], "a look changes nothing by itself");
    bench.unchanged("a000", &[1]);
    bench.write("a001", &[1], 0);
    assert!(bench.writes.is_empty());

    bench.handle(Event::Reprieve);
    bench.refuse("a000", true);
    bench.refuse("a001", true);
    bench.handle(Event::Reprieve);
    assert!(bench.writes.is_empty(), "the server's own wait stands: {:?}", bench.writes);
    bench.until_write();
    assert_eq!(bench.writes.len(), 1);
}

#[test]
fn a_write_that_takes_long_is_seen_and_hooks_do_not_wait_for_it() {
    let targets = vec![on_vault("v"), target("f")];
    let mut bench = Bench::new(&[("a", AccountPlan { targets, hooks: vec![0], ..plan() })], Vec::new());
    bench.grant("a", HOUR);
    let began = bench.now.wall;
    bench.write("f", &[1], 0);
    bench.pass(SECOND * 4);
    assert_eq!(bench.engine.view("a", bench.now).unwrap().targets[0].slow_since, None);
    bench.pass(SECOND);
    let view = bench.engine.view("a", bench.now).unwrap();
    assert_eq!((view.targets[0].state, view.targets[0].slow_since), (SinkState::Unwritten, Some(began)));
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
    assert!(bench.marked.is_empty(), "v is owing");
    bench.write("v", &[1], 0);
    assert_eq!(bench.engine.view("a", bench.now).unwrap().targets[0].slow_since, None);
    bench.pass(DEBOUNCE);
    assert_eq!(bench.hook(Ok(())), 1);
    assert_eq!(bench.marked, [(account_set("a"), 1)]);
}

#[test]
fn what_waits_for_a_server_says_for_which_and_the_server_of_what_kind_its_failure_is() {
    let mut bench = vault_of(2);
    let (target, revision) = bench.take_write("a000");
    let (message, class) = ("no kubeconfig".to_owned(), ErrorClass::Config);
    bench.handle(Event::Undelivered { target, revision, message, server_away: true, class });
    let server = bench.engine.servers(bench.now).next().unwrap();
    assert_eq!(server.error.class, ErrorClass::Config);
    assert!(server.next.is_some_and(|next| next > bench.now.wall), "{server:?}");
    let view = bench.engine.view("a000", bench.now).unwrap();
    assert_eq!(view.targets[0].next, None, "it is the server that is tried");
    assert_eq!((view.targets[0].waits_for, view.targets[0].state), (Some("vault"), SinkState::Failed));
}

/// An account without a token, as a secret of it could not be had from Vault, beside one that stands there with a sink.
fn lacking() -> Bench {
    let targets = vec![on_vault("v")];
    let host = || std::sync::Arc::from("other:443");
    let lacking = AccountPlan { host: host(), ..plan() };
    let mut bench = Bench::new(
        &[("a", lacking.clone()), ("b", AccountPlan { targets, ..plan() }), ("c", lacking)],
        Vec::new(),
    );
    bench.grant("b", HOUR * 9);
    for (name, lacks) in [("a", Some("vault".into())), ("c", None)] {
        let at = bench.issues.iter().position(|issue| issue.account.as_str() == name).unwrap();
        let issue = bench.issues.remove(at);
        let failure = FailureMeta { lacks, ..FailureMeta::config("away".to_owned()) };
        bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    }
    assert!(bench.engine.lacking("vault").eq([&id("a")]));
    bench
}

#[test]
fn accounts_that_lack_secrets_from_a_server_are_due_when_it_answers() {
    let mut bench = lacking();
    assert_eq!(knocks_after(&mut bench), SECOND);
    assert!(bench.issues.is_empty());
    bench.knocked(true);
    let asked: Vec<&str> = bench.issues.iter().map(|issue| issue.account.as_str()).collect();
    assert_eq!(asked, ["a"], "not one whose secret is missing");
    bench.grant("a", HOUR);
    assert_eq!(bench.engine.lacking("vault").count(), 0);
}

/// How long it takes until an account looks whether Vault answers.
fn knocks_after(bench: &mut Bench) -> Duration {
    let before = bench.now.boot;
    while bench.knocks.is_empty() {
        bench.pass(SECOND / 4);
    }
    bench.now.boot.since(before)
}

impl Bench {
    /// The only look that is out ends.
    fn knocked(&mut self, answers: bool) {
        let (server, account) = self.knocks.pop().unwrap();
        assert_eq!((&*server, account, self.knocks.len()), ("vault", id("a"), 0));
        self.handle(Event::Knocked { server, answers });
    }

    /// The only request that is out fails for want of a secret from Vault.
    fn lacks_again(&mut self) {
        let issue = self.issues.pop().unwrap();
        let failure = FailureMeta { lacks: Some("vault".into()), ..FailureMeta::config("away".to_owned()) };
        self.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    }
}

#[test]
fn that_is_looked_for_ever_more_rarely_up_to_a_minute_one_look_at_a_time() {
    let mut bench = lacking();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        pauses.push(knocks_after(&mut bench).as_secs());
        let until = bench.now.boot.plus(SECOND * 100);
        while bench.now.boot < until {
            bench.pass(SECOND);
            while !bench.issues.is_empty() {
                bench.lacks_again(); // its own tries go on, and are no reason for a second look
            }
        }
        bench.knocked(false);
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_server_that_answers_a_look_and_fails_the_request_is_not_hurried() {
    let mut bench = lacking();
    for pause in [1, 2, 4, 8] {
        assert_eq!(knocks_after(&mut bench), SECOND * pause);
        bench.knocked(true);
        bench.lacks_again();
    }
    assert_eq!(knocks_after(&mut bench), SECOND * 16);
    bench.knocked(true);
    bench.grant("a", HOUR);
    bench.pass(SECOND * 90);
    assert!(bench.knocks.is_empty(), "nobody lacks anything");
    bench.handle(Event::Asked { account: id("a") });
    bench.lacks_again();
    assert_eq!(knocks_after(&mut bench), SECOND, "another absence begins anew");
}

#[test]
fn a_look_that_nobody_waits_for_any_more_is_followed_by_none() {
    let mut bench = lacking();
    knocks_after(&mut bench);
    bench.handle(Event::Asked { account: id("a") });
    bench.grant("a", HOUR);
    bench.knocked(false);
    bench.pass(SECOND);
    bench.handle(Event::Asked { account: id("a") });
    bench.lacks_again();
    assert_eq!(knocks_after(&mut bench), SECOND * 2, "from now");
}

#[test]
fn an_absence_begins_anew_more_than_a_minute_after_the_last_look() {
    for (since, pause) in [(SECOND * 60, 2), (SECOND * 60 + Duration::from_millis(1), 1)] {
        let mut bench = lacking();
        knocks_after(&mut bench);
        bench.knocked(true);
        bench.grant("a", HOUR);
        bench.pass(since);
        bench.handle(Event::Asked { account: id("a") });
        bench.lacks_again();
        assert_eq!(knocks_after(&mut bench), SECOND * pause, "{since:?}");
    }
}

#[test]
fn and_when_one_of_its_sinks_can_be_written_again() {
    let mut bench = lacking();
    bench.refuse("v", true);
    bench.until_write();
    assert!(bench.issues.is_empty());
    bench.write("v", &[1], 0);
    assert_eq!(bench.issues.len(), 1);
}
