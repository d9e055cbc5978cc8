//! How accounts share their host.

use super::*;
use crate::domain::{ErrorInfo, WaitsFor};

#[test]
fn a_missing_secret_says_nothing_about_the_host() {
    let names = ["a", "b", "c", "d"];
    let mut bench = Bench::new(&names.map(|name| (name, plan())));
    for _ in 0..8 {
        while !bench.issues.is_empty() {
            bench.fail(ErrorClass::Transient);
        }
        bench.pass(Duration::from_secs(3));
    }
    let back = |bench: &Bench| {
        bench.others.iter().any(|effect| matches!(effect, Effect::Say(Note::HostBack { .. })))
    };
    assert!(bench.others.iter().any(|effect| matches!(effect, Effect::Say(Note::HostDown { .. }))));
    while bench.issues.is_empty() {
        bench.pass(Duration::from_secs(1));
    }
    bench.fail(ErrorClass::Config);
    assert!(!back(&bench));
}

#[test]
fn a_raised_limit_lets_those_pass_that_wait() {
    let slow = Limit { period: Some(60 * HOUR), burst: 1, concurrency: 4 };
    let accounts = |limit| ["a", "b", "c"].map(|name| (name, AccountPlan { limit, ..plan() }));
    let mut bench = Bench::new(&accounts(slow));
    assert_eq!(bench.issues.len(), 1);
    bench.configure(&accounts(Limit::default()), BTreeMap::new());
    assert_eq!(bench.issues.len(), 1, "what has been spent comes back slowly, not at once");
    bench.configure(&accounts(Limit { period: None, ..slow }), BTreeMap::new());
    assert_eq!(bench.issues.len(), 3);
}

#[test]
fn a_refusal_that_shows_that_the_host_is_back_is_not_followed_by_another_try_at_once() {
    let mut bench = Bench::new(&["a", "b", "c", "d", "e"].map(|name| (name, plan())));
    while bench.issues.len() > 1 {
        bench.fail(ErrorClass::Transient);
    }
    bench.fail(ErrorClass::Transient);
    while bench.issues.is_empty() {
        bench.pass(Duration::from_millis(100));
    }
    assert_eq!(bench.issues.len(), 1, "the probe");
    let probe = bench.issues[0].account.clone();
    bench.fail(ErrorClass::Rejected);
    assert_eq!(bench.issues.len(), 4, "the others are due");
    assert!(bench.issues.iter().all(|issue| issue.account != probe));
    assert!(bench.next_ask(probe.as_str()) >= Duration::from_secs(30));
}

#[test]
fn nobody_asks_by_half_of_a_new_configuration() {
    let limit = Limit { period: Some(HOUR), burst: 1, concurrency: 1 };
    let account = |identity, host: &str, limit| {
        let (host, identity) = (Arc::from(host), Some(identity));
        AccountPlan { identity, host, limit, can_refresh: true, ..plan() }
    };
    let stored = Restored { refresh: Some(RefreshMeta { expires_at: None }), ..Restored::default() };
    let restored: BTreeMap<_, _> = ["a", "b"].map(|name| (id(name), stored.clone())).into();
    let before = [("0", "y", 1), ("1", "x", 1), ("a", "y", 1), ("b", "x", 1)];
    let mut bench =
        Bench::restored(&before.map(|(name, host, who)| (name, account(who, host, limit))), restored);
    assert_eq!(bench.issues.len(), 2, "a and b wait, each at its host");
    bench.issues.clear();
    let free = Limit { period: None, burst: 1, concurrency: 9 };
    let after = [("0", "y", 1), ("1", "x", 1), ("a", "x", 1), ("b", "x", 2)];
    bench.configure(&after.map(|(name, host, who)| (name, account(who, host, free))), BTreeMap::new());
    let asked: Vec<_> = bench.issues.iter().map(|issue| (issue.account.as_str(), issue.operation)).collect();
    assert_eq!(asked, [("a", Operation::Refresh), ("b", Operation::Issue)], "b's refresh token is another's");
}

/// Accounts that have failed until their host's breaker opened.
fn shut(names: &[&str]) -> Bench {
    let accounts: Vec<_> = names.iter().map(|name| (*name, plan())).collect();
    let mut bench = Bench::new(&accounts);
    let down = |effect: &Effect| matches!(effect, Effect::Say(Note::HostDown { .. }));
    while !bench.others.iter().any(down) {
        match bench.issues.is_empty() {
            true => bench.pass(Duration::from_millis(100)),
            false => bench.fail(ErrorClass::Transient),
        }
    }
    while !bench.issues.is_empty() {
        bench.fail(ErrorClass::Transient);
    }
    bench
}

#[test]
fn who_waits_for_a_host_that_fails_says_so_and_until_when() {
    let mut bench = shut(&["a", "b"]);
    let view = bench.view("a");
    let waiting = view.waiting.clone().unwrap();
    assert_eq!((waiting.what, waiting.until), (WaitsFor::Host, view.renew_at), "for the next try of its own");
    assert_eq!(waiting.host.as_deref(), Some(&*plan().host));
    bench.handle(Event::Asked { account: id("a") });
    let view = bench.view("a");
    let waiting = view.waiting.clone().unwrap();
    assert_eq!((waiting.what, waiting.until), (WaitsFor::Host, view.renew_at));
    assert_eq!(waiting.host.as_deref(), Some(&*plan().host));
    let wait = bench.next_ask("a");
    assert!(!wait.is_zero() && wait <= Duration::from_secs(5), "{wait:?}");
    bench.pass(wait);
    assert_eq!(bench.issues.len(), 1, "the probe");
    assert_eq!(bench.view("a").waiting, None, "it is being asked for");
    bench.handle(Event::Asked { account: id("b") });
    let waiting = bench.view("b").waiting.unwrap();
    assert_eq!((waiting.what, waiting.until), (WaitsFor::Host, None), "the probe's end is open");
    bench.grant(HOUR);
    assert_eq!(bench.view("b").waiting, None);
}

#[test]
fn a_probe_that_is_answered_after_its_2_s_brings_the_others_back_at_once() {
    let mut bench = shut(&["a", "b", "c"]);
    while bench.issues.is_empty() {
        bench.pass(Duration::from_millis(100));
    }
    bench.pass(Duration::from_secs(3));
    assert_eq!(bench.issues.len(), 1, "it has yielded, but a pause follows");
    let downs =
        bench.others.iter().filter(|effect| matches!(effect, Effect::Say(Note::HostDown { news: true, .. })));
    assert_eq!(downs.count(), 1);
    bench.grant(HOUR);
    assert_eq!(bench.issues.len(), 2, "the others");
}

#[test]
fn a_request_that_hung_while_another_found_the_host_back_is_repeated_at_once() {
    let mut bench = shut(&["a", "b"]);
    let probe = |bench: &mut Bench| {
        while bench.issues.is_empty() {
            bench.pass(Duration::from_millis(100));
        }
        bench.issues.remove(0)
    };
    let hung = probe(&mut bench);
    let (name, other) = (hung.account.clone(), probe(&mut bench));
    assert_ne!(name, other.account);
    bench.issues.push(other);
    bench.grant(HOUR);
    bench.issues.push(hung);
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.next_ask(name.as_str()), Duration::from_secs(1));
    bench.pass(Duration::from_secs(1));
    bench.fail(ErrorClass::Transient);
    assert!(bench.next_ask(name.as_str()) > Duration::from_secs(1), "that one left after the host's return");
}

#[test]
fn a_token_that_has_ended_holds_its_host_back_for_5_s_at_most() {
    let mut bench = Bench::new(&["a", "b", "c"].map(|name| (name, plan())));
    while !bench.issues.is_empty() {
        bench.grant(HOUR);
    }
    let until = bench.now.boot.plus(3 * HOUR);
    let mut longest = Duration::ZERO;
    while bench.now.boot < until {
        let ended = ["a", "b", "c"].iter().all(|name| !bench.view(name).alive);
        bench.others.clear();
        match bench.issues.is_empty() {
            true => bench.pass(Duration::from_millis(250)),
            false => bench.fail(ErrorClass::Transient),
        }
        for effect in &bench.others {
            if let Effect::Say(Note::HostDown { until, .. }) = effect
                && ended
            {
                longest = longest.max(until.since(bench.now.wall));
            }
        }
    }
    assert_eq!(longest, Duration::from_secs(5));
}

#[test]
fn other_waits_have_other_names() {
    let slow = Limit { period: Some(HOUR), burst: 1, concurrency: 4 };
    let mut bench = Bench::new(&["a", "b"].map(|name| (name, AccountPlan { limit: slow, ..plan() })));
    let waiting = |bench: &Bench, name: &str| {
        bench.view(name).waiting.clone().map(|waiting| (waiting.what, waiting.until))
    };
    assert_eq!(waiting(&bench, "b"), Some((WaitsFor::Limit, None)));
    bench.grant(HOUR);
    assert_eq!(waiting(&bench, "a"), None, "it waits for nothing but its time");

    let min_interval = Duration::from_secs(60);
    let mut bench = Bench::new(&[("a", AccountPlan { min_interval, ..plan() })]);
    bench.grant(HOUR);
    assert_eq!(waiting(&bench, "a"), None, "nobody wants anything yet");
    bench.handle(Event::Asked { account: id("a") });
    let until = bench.now.wall.plus(min_interval);
    assert_eq!(waiting(&bench, "a"), Some((WaitsFor::MinInterval, Some(until))));

    let mut bench = Bench::new(&[("a", AccountPlan { min_interval: HOUR, ..plan() })]);
    let issue = bench.issues.remove(0);
    let wait = Some(Duration::from_secs(90));
    let failure = FailureMeta { wait, ..FailureMeta::new(ErrorClass::Throttled, "slow down".to_owned()) };
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    let until = bench.now.wall.plus(HOUR);
    assert_eq!(
        waiting(&bench, "a"),
        Some((WaitsFor::MinInterval, Some(until))),
        "the vendor's wait is shorter"
    );

    let mut bench = Bench::new(&["a", "b"].map(|name| (name, plan())));
    let issue = bench.issues.remove(0);
    let failure = FailureMeta {
        wait: Some(Duration::from_secs(90)),
        host_pause: true,
        ..FailureMeta::new(ErrorClass::Throttled, "slow down".to_owned())
    };
    bench.grant(HOUR);
    bench.handle(Event::Failed { account: issue.account.clone(), epoch: issue.epoch, failure });
    bench.handle(Event::Asked { account: id("b") });
    let until = bench.now.wall.plus(Duration::from_secs(90));
    for name in ["a", "b"] {
        let waiting = bench.view(name).waiting.unwrap();
        assert_eq!((waiting.what, waiting.until), (WaitsFor::Vendor, Some(until)));
        assert_eq!(waiting.host.is_some(), name != issue.account.as_str(), "{name}");
    }
}

#[test]
fn one_that_fails_waits_for_the_end_of_its_pause_and_says_so() {
    let mut bench = Bench::new(&[("a", plan())]);
    assert_eq!(bench.view("a").waiting, None, "it is being asked for");
    for class in [ErrorClass::Transient, ErrorClass::Malformed, ErrorClass::Config, ErrorClass::Rejected] {
        bench.fail(class);
        let view = bench.view("a");
        let waiting = view.waiting.clone().unwrap();
        assert_eq!((waiting.what, waiting.host), (WaitsFor::Backoff, None), "{class}");
        assert!(waiting.until.is_some_and(|until| until > bench.now.wall), "{class}");
        assert_eq!(waiting.until, view.renew_at, "{class}");
        bench.handle(Event::Asked { account: id("a") });
    }
    bench.grant(HOUR);
    assert_eq!(bench.view("a").waiting, None);
}

/// The pauses between the requests of a host that is down for an hour, its tokens ended, after its first minutes.
fn gaps(accounts: usize) -> Vec<Duration> {
    let mut bench = shut(&["a", "b", "c", "d", "e", "f"][..accounts]);
    let (calm, end) = (bench.now.boot.plus(HOUR / 12), bench.now.boot.plus(HOUR));
    let (mut gaps, mut last) = (Vec::new(), None);
    while bench.now.boot < end {
        bench.pass(Duration::from_millis(100));
        while !bench.issues.is_empty() {
            bench.fail(ErrorClass::Transient);
            if bench.now.boot > calm {
                gaps.extend(last.replace(bench.now.boot).map(|last| bench.now.boot.since(last)));
            }
        }
    }
    gaps
}

#[test]
fn ended_accounts_share_the_probes_of_their_host_evenly() {
    // Each draws up to 2.5 s, a tenth of its share.
    for (accounts, apart) in [(2, 12.5), (3, 8.4), (4, 6.3), (5, 5.0), (6, 5.0)] {
        let gaps = gaps(accounts);
        let longest = gaps.iter().max().unwrap().as_secs_f64();
        assert!(longest <= apart + 2.5 + 0.3, "x{accounts}: {longest}");
        let (each, many) = (gaps.len() as f64 / accounts as f64, 55.0 / 60.0);
        assert!(each <= 145.0 * many && each >= 110.0 * many, "x{accounts}: {each}");
    }
}

#[test]
fn a_429_pauses_the_host_for_everyone_and_is_not_overridden_by_a_command() {
    let names = ["a", "b"];
    let mut bench = Bench::new(&names.map(|name| (name, plan())));
    bench.grant(HOUR);
    let issue = bench.issues.pop().unwrap();
    let wait = Some(Duration::from_secs(90));
    let failure =
        FailureMeta { wait, host_pause: true, ..FailureMeta::new(ErrorClass::Throttled, String::new()) };
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    for name in names {
        bench.handle(Event::Asked { account: id(name) });
    }
    bench.pass(Duration::from_secs(89));
    assert!(bench.issues.is_empty());
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.issues.len(), 2);
}

/// How long `b` waits after a 429 to `a` that names `wait`.
fn pause_after_429(bench: &mut Bench, wait: Option<Duration>) -> Duration {
    bench.handle(Event::Asked { account: id("a") });
    while bench.issues.is_empty() {
        bench.pass(Duration::from_millis(50));
    }
    let issue = bench.issues.pop().unwrap();
    let failure =
        FailureMeta { wait, host_pause: true, ..FailureMeta::new(ErrorClass::Throttled, String::new()) };
    bench.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    bench.handle(Event::Asked { account: id("b") });
    let begin = bench.now.boot;
    while !bench.issues.iter().any(|issue| issue.account == id("b")) {
        bench.pass(Duration::from_millis(50));
    }
    bench.issues.retain(|issue| issue.account == id("b"));
    bench.now.boot.since(begin)
}

#[test]
fn a_429_to_one_account_holds_the_others_up_as_long_as_the_vendor_says_else_briefly() {
    let mut bench = Bench::new(&["a", "b"].map(|name| (name, plan())));
    bench.grant(HOUR);
    bench.grant(HOUR);
    // The first account's own pauses grow to minutes.
    for _ in 0..12 {
        for told in [None, Some(Duration::ZERO)] {
            let pause = pause_after_429(&mut bench, told);
            assert!(pause <= Duration::from_millis(5_100), "{pause:?}");
            bench.grant(HOUR);
        }
    }
    let told = pause_after_429(&mut bench, Some(Duration::from_secs(20)));
    assert!(told >= Duration::from_secs(20) && told <= Duration::from_secs(21), "{told:?}");
}

#[test]
fn hosts_are_told_apart() {
    let elsewhere = AccountPlan { host: Arc::from("other:443"), ..plan() };
    let narrow = Limit { period: None, burst: 1, concurrency: 1 };
    let narrow = |plan: AccountPlan| AccountPlan { limit: narrow, ..plan };
    let bench = Bench::new(&[("a", narrow(plan())), ("b", narrow(plan())), ("c", narrow(elsewhere))]);
    let asked: Vec<&str> = bench.issues.iter().map(|issue| issue.account.as_str()).collect();
    assert_eq!(asked, ["a", "c"]);
}

#[test]
fn after_a_restart_amid_an_outage_the_first_answer_brings_the_others_back() {
    let now = Bench::new(&[]).now.wall;
    let failed = |secs, class| Restored {
        attempt: 6,
        next_try: Some(now.plus(Duration::from_secs(secs))),
        last_request: Some(now.minus(Duration::from_secs(61))),
        error: Some(ErrorInfo { class, message: "HTTP 503".to_owned(), at: now }),
        ..Restored::default()
    };
    let accounts = ["a", "b", "refused"].map(|name| (name, plan()));
    let restored = BTreeMap::from([
        (id("a"), failed(5, ErrorClass::Transient)),
        (id("b"), failed(50, ErrorClass::Transient)),
        (id("refused"), failed(50, ErrorClass::Rejected)),
    ]);
    let mut bench = Bench::restored(&accounts, restored);
    assert!(bench.issues.is_empty(), "a restart inherits the pauses");
    bench.pass(Duration::from_secs(5));
    bench.grant(HOUR);
    assert_eq!(bench.issues.len(), 1);
    assert_eq!(bench.issues[0].account, id("b"));
}
