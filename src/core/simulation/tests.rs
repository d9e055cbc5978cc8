//! Whether the world is the one that its scenario says.

use super::*;
use crate::config::model::{Lead, Limit};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One account whose token lives for 100 s and is renewed exactly 10 s before its end, recorded.
fn small() -> Scenario {
    Scenario {
        lifetime: secs(100),
        lead: Some(Lead::Time(secs(10))),
        duration: secs(95),
        record: true,
        ..Scenario::default()
    }
}

/// When requests left, and how they ended.
fn log(report: &Report) -> Vec<(u64, Verdict)> {
    report.log.iter().map(|request| (request.at, request.verdict)).collect()
}

#[test]
fn a_token_is_asked_for_and_renewed_before_its_end() {
    let report = run(&small());
    assert_eq!(log(&report), [(0, Verdict::Token), (90_000, Verdict::Token)]);
    assert_eq!((report.renewals, report.expiries, report.left_expired), (2, 0, 0));
    assert!(report.events >= 4, "the plan, two replies and a deadline: {}", report.events);
}

#[test]
fn what_happens_at_the_very_end_happens() {
    let renewals = |millis| run(&Scenario { duration: Duration::from_millis(millis), ..small() }).renewals;
    assert_eq!([99, 100].map(renewals), [0, 1]);
}

#[test]
fn a_vendor_that_repeats_its_token_does_so_until_a_tenth_of_its_life_is_left() {
    let repeats = |millis| {
        let lead = Some(Lead::Time(Duration::from_millis(millis)));
        run(&Scenario { old_token: OldToken::SameUntil, lead, duration: secs(91), ..small() })
    };
    let (same, new) = (repeats(10_001), repeats(10_000));
    assert_eq!((same.requests, same.renewals), (2, 1));
    assert_eq!((new.requests, new.renewals), (2, 2));
    assert_eq!((same.expiries, new.expiries), (0, 0));
    let long = Scenario { lifetime: secs(10_000), duration: secs(10_000), ..small() };
    let lead = |left| Some(Lead::Time(secs(left)));
    let renewals =
        |left| run(&Scenario { old_token: OldToken::SameUntil, lead: lead(left), ..long.clone() }).renewals;
    assert_eq!([60, 59].map(renewals), [2, 2], "a minute at most");
}

#[test]
fn an_answer_that_takes_longer_than_is_waited_for_is_none() {
    let first = |latency| {
        let report = run(&Scenario { latency: secs(latency), duration: secs(40), ..small() });
        (report.log[0].verdict, report.renewals)
    };
    assert_eq!([30, 31].map(first), [(Verdict::Token, 1), (Verdict::Fault, 0)]);
}

#[test]
fn silent_accounts_are_the_first_ones_of_the_first_host() {
    let report = run(&Scenario { accounts: 6, hosts: 2, silent: 2, ..small() });
    let silent: BTreeSet<u32> = report
        .log
        .iter()
        .filter(|request| request.verdict == Verdict::Fault)
        .map(|request| request.account)
        .collect();
    let answered: BTreeSet<u32> = report
        .log
        .iter()
        .filter(|request| request.verdict == Verdict::Token)
        .map(|request| request.account)
        .collect();
    assert_eq!(silent, [0, 2].into());
    assert_eq!(answered, [1, 3, 4, 5].into());
}

#[test]
fn a_vendor_that_is_throttling_is_asked_again_when_it_has_said() {
    let fault = Fault::Throttled(secs(70));
    let report = run(&Scenario { fault, outages: vec![(secs(0), secs(20))], ..small() });
    let [(0, Verdict::Throttled), (again, Verdict::Token)] = log(&report)[..] else { panic!("{report:?}") };
    assert_eq!(again, 70_100);
}

#[test]
fn the_answer_to_an_agent_that_was_killed_is_nobodys() {
    let restarts = vec![Duration::from_millis(500)];
    let report = run(&Scenario { latency: secs(1), restarts, duration: secs(10), ..small() });
    assert_eq!(log(&report), [(0, Verdict::Token), (2_000, Verdict::Token)], "its successor waits for 2 s");
    assert_eq!(report.renewals, 1);
}

#[test]
fn what_an_agent_has_noted_outlasts_its_being_killed() {
    let (outages, restarts) = (vec![(secs(0), secs(20))], vec![secs(5)]);
    let report = run(&Scenario { fault: Fault::Rejected, outages, restarts, ..small() });
    let [(0, Verdict::Rejected), (again, Verdict::Token)] = log(&report)[..] else { panic!("{report:?}") };
    assert!((30_000..=33_200).contains(&again), "{again}");
}

#[test]
fn who_waits_for_a_hosts_rate_is_late() {
    let limit = Limit { period: Some(secs(10)), burst: 1, concurrency: 4 };
    let late = |accounts| run(&Scenario { accounts, limit, duration: secs(290), ..small() }).lateness[2];
    assert_eq!(late(1), Duration::ZERO);
    assert!(late(15) >= secs(30), "{:?}", late(15));
}

#[test]
fn a_clock_that_is_set_and_a_machine_that_sleeps_change_what_the_agent_reads() {
    let ahead = run(&Scenario { steps: vec![(secs(50), 30_000), (secs(50), 15_000)], ..small() });
    let asked: Vec<u64> = ahead.log.iter().map(|request| request.at).collect();
    assert_eq!(asked.len(), 2);
    assert!((50_000..=65_000).contains(&asked[1]), "seen when the agent looks next: {asked:?}");
    let asleep = run(&Scenario { suspends: vec![(secs(50), secs(60))], duration: secs(130), ..small() });
    let asked: Vec<u64> = asleep.log.iter().map(|request| request.at).collect();
    assert_eq!(asked.len(), 2);
    assert!((110_000..=125_000).contains(&asked[1]), "{asked:?}");
    assert_eq!(asleep.expiries, 1);
}

#[test]
fn a_span_too_long_to_count_is_far_from_overflowing() {
    assert_eq!((millis(secs(7)), millis(Duration::MAX)), (7_000, u64::MAX / 4));
}
