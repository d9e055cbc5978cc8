//! How often providers are asked when things go wrong: promises 9 and 10.

use super::*;

/// Promise 9.
#[test]
fn a_host_that_always_fails_gets_170_requests_an_account_and_hour_at_most() {
    for fault in [Fault::Unavailable, Fault::Silent, Fault::Throttled(Duration::ZERO)] {
        for lifetime in [10.0, 60.0, 150.0, 300.0, 600.0, 3_600.0, 86_400.0] {
            for accounts in [1, 2, 3, 5] {
                for seed in 0..5 {
                    let report = run(&Scenario {
                        accounts,
                        lifetime: secs(lifetime),
                        outages: vec![(secs(lifetime * 1.1), secs(NEVER))],
                        duration: secs(lifetime * 2.0 + 3.0 * 3_600.0),
                        fault,
                        seed,
                        record: true,
                        ..Scenario::default()
                    });
                    let most = most_in(&report, secs(3_600.0), |request| request.verdict != Verdict::Token);
                    assert!(most <= 170, "{fault:?} L={lifetime} x{accounts}: {most}");
                }
            }
        }
    }
}

/// Promise 9, and what the host sees of it: once every token has ended its breaker opens for 5 s at most, each of its
/// accounts goes on with its own backoff, and one of those that are due probes.
#[test]
fn a_host_whose_tokens_have_all_ended_gets_a_probe_in_five_seconds_however_many_accounts_wait() {
    for fault in [Fault::Unavailable, Fault::Silent] {
        for accounts in [1, 2, 20, 200] {
            for (seed, lifetime) in [(1, 10.0), (2, 600.0), (3, 3_600.0)] {
                let report = run(&Scenario {
                    accounts,
                    lifetime: secs(lifetime),
                    outages: vec![(secs(lifetime * 1.1), secs(NEVER))],
                    duration: secs(lifetime * 2.2 + 2.0 * 3_600.0),
                    fault,
                    seed,
                    record: true,
                    ..Scenario::default()
                });
                let failed = |request: &&Request| request.verdict != Verdict::Token;
                let ended = (lifetime * 2.2 * 1_000.0) as u64;
                let hour = report.log.iter().filter(failed).filter(|request| request.at >= ended);
                let probes = hour.filter(|request| request.at < ended + 3_600_000).count();
                let most = most_in(&report, secs(3_600.0), |request| request.verdict != Verdict::Token);
                assert!(most <= 170, "{fault:?} L={lifetime} x{accounts}: {most}");
                // Each that has not failed yet may knock once by itself.
                assert!(probes <= 720 + accounts as usize, "{fault:?} L={lifetime} x{accounts}: {probes}");
            }
        }
    }
}

/// Promise 9: some restarts cut a request off (latency 2.5 s), others find its answer in the store.
#[test]
fn twenty_restarts_in_a_minute_cost_three_requests_an_account_at_most() {
    let down = vec![(Duration::ZERO, secs(NEVER))];
    for (outages, fault) in [
        (Vec::new(), Fault::Unavailable),
        (down.clone(), Fault::Unavailable),
        (down.clone(), Fault::Silent),
        (down, Fault::Rejected),
    ] {
        for accounts in [1, 20] {
            for latency in [0.1, 2.5] {
                for seed in 0..20 {
                    let mut random = random(seed);
                    let restarts = (0..20).map(|count| secs(1.0 + 2.9 * f64::from(count) + 2.0 * random()));
                    let report = run(&Scenario {
                        accounts,
                        lifetime: secs(600.0),
                        duration: secs(62.0),
                        outages: outages.clone(),
                        fault,
                        latency: secs(latency),
                        restarts: restarts.collect(),
                        seed,
                        record: true,
                        ..Scenario::default()
                    });
                    let most = most_in(&report, secs(60.0), |_| true);
                    assert!(most <= 3, "{fault:?} latency {latency} x{accounts} seed {seed}: {most}");
                }
            }
        }
    }
}

#[test]
fn restarts_with_valid_tokens_send_nothing() {
    let restarts = (1..100).map(|count| secs(60.0 + f64::from(count))).collect();
    let duration = secs(200.0);
    let report = run(&Scenario { accounts: 10, restarts, duration, ..Scenario::default() });
    assert_eq!(report.requests, 10);
}

/// Promise 10.
#[test]
fn refused_credentials_are_tried_three_times_in_three_minutes_and_eleven_times_a_day() {
    for accounts in [1, 20] {
        for seed in 0..10 {
            let report = run(&Scenario {
                accounts,
                outages: vec![(secs(100.0), secs(NEVER))],
                fault: Fault::Rejected,
                duration: secs(3.0 * 86_400.0),
                seed,
                record: true,
                ..Scenario::default()
            });
            let refused = |request: &Request| request.verdict == Verdict::Rejected;
            assert!(most_in(&report, secs(180.0), refused) <= 3);
            assert!(most_in(&report, secs(86_400.0), refused) <= 11);
        }
    }
}

/// Promise 10.
#[test]
fn new_credentials_are_tried_at_once() {
    let new_credentials = vec![secs(50_000.0)];
    let outages = vec![(secs(100.0), secs(49_899.0))];
    let fault = Fault::Rejected;
    let report = run(&Scenario { outages, fault, new_credentials, record: true, ..Scenario::default() });
    assert!(report.log.iter().any(|request| request.at == 50_000_000 && request.verdict == Verdict::Token));
}
