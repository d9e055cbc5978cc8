use super::*;

fn now(millis: u64) -> Now {
    Now { wall: Timestamp::from_secs(1_000), boot: BootInstant(millis) }
}

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn answer(host: &mut Host, name: &str, at: Now) -> Turn {
    host.finish(&account(name), false, Sign::Answered, at.boot, at)
}

/// Whether a request of one who waits may leave; nobody is left waiting.
fn leaves(host: &mut Host, now: Now) -> bool {
    gate(host, now) == Gate::Open(account("w"))
}

/// The gate for one that has failed before.
fn gate(host: &mut Host, now: Now) -> Gate {
    let place = Place { order: Timestamp::from_secs(2_000), failing: true };
    host.queue(account("w"), place);
    let gate = host.gate(now);
    host.unqueue(&account("w"), place);
    gate
}

#[test]
fn the_bucket_lets_a_burst_pass_and_then_the_rate() {
    let mut host = Host::new(Limit { concurrency: 1_000, ..Limit::default() });
    let mut sent = Vec::new();
    for millis in 0..10_000_u64 {
        while leaves(&mut host, now(millis)) {
            host.start(&account("a"), now(millis));
            answer(&mut host, "a", now(millis));
            sent.push(millis);
        }
    }
    assert_eq!(sent.iter().filter(|at| **at == 0).count(), 10);
    assert_eq!(sent.len(), 10 + 49);
}

#[test]
fn a_stalled_request_gives_its_place_away_up_to_thirty_two() {
    let mut host = Host::new(Limit { period: None, ..Limit::default() });
    let mut started = 0;
    for _ in 0..20 {
        while leaves(&mut host, now(0)) {
            host.start(&account("a"), now(0));
            started += 1;
        }
        host.stall(&account("a"));
    }
    assert_eq!(started, 20 + 4 - 1);
    for _ in 0..40 {
        while leaves(&mut host, now(0)) {
            host.start(&account("a"), now(0));
            started += 1;
        }
        if host.active > 0 {
            host.stall(&account("a"));
        }
    }
    assert_eq!(started, MOST_IN_FLIGHT);
}

#[test]
fn the_pause_of_a_429_without_a_time_grows_until_somebody_is_served() {
    let mut host = Host::new(Limit { period: None, burst: 1, concurrency: 1 });
    let (own, mut at) = (Duration::from_secs(60), now(0));
    let mut pause = |host: &mut Host, told: Option<u64>, own| {
        let until = host.throttle(told.map(Duration::from_secs), own, at);
        let span = until.boot.since(at.boot);
        at = until.into();
        span.as_secs()
    };
    let row: Vec<u64> = (0..6).map(|_| pause(&mut host, None, own)).collect();
    assert_eq!(row, [5, 10, 20, 40, 60, 60], "never longer than the account's own");
    host.served();
    assert_eq!(pause(&mut host, Some(0), own), 5, "no time at all");
    assert_eq!(pause(&mut host, Some(30), own), 30);
    assert_eq!(pause(&mut host, None, Duration::from_secs(1)), 1);
}

#[test]
fn the_nearest_expiry_goes_first_whether_it_has_failed_or_not() {
    let mut host = Host::new(Limit::default());
    let place = |order, failing| Place { order: Timestamp::from_secs(order), failing };
    for (name, order, failing) in [("c", 3, true), ("a", 1, false), ("d", 4, false), ("b", 2, true)] {
        host.queue(account(name), place(order, failing));
    }
    let order = ["a", "b", "c", "d"].map(|name| Gate::Open(account(name)));
    assert_eq!([(); 4].map(|()| host.gate(now(0))), order);
    assert_eq!(host.gate(now(0)), Gate::Busy);
}

#[test]
fn an_open_breaker_lets_one_that_has_not_failed_probe_at_once() {
    let mut host = Host::new(Limit::default());
    host.open(0, None, 0.5, now(0));
    let place = Place { order: Timestamp::from_secs(9_000), failing: false };
    host.queue(account("good"), place);
    assert!(!leaves(&mut host.clone(), now(1)));
    assert_eq!(host.gate(now(1)), Gate::Open(account("good")));
    host.start(&account("good"), now(1));
    host.queue(account("other"), place);
    assert_eq!(host.gate(now(1)), Gate::Busy, "one probe");
    assert_eq!(answer(&mut host, "good", now(0)), Turn::Closes);
}

#[test]
fn without_a_rate_the_breaker_opens_for_a_second() {
    let mut host = Host::new(Limit { period: None, ..Limit::default() });
    assert_eq!(host.open(9, None, 1.0, now(0)).boot, BootInstant(1_000));
}

#[test]
fn a_rate_that_is_no_whole_number_of_milliseconds_never_waits_for_nothing() {
    let period = Some(Duration::from_micros(333_333));
    let mut host = Host::new(Limit { period, burst: 1, concurrency: 100 });
    let mut at = now(0);
    for _ in 0..30 {
        host.start(&account("a"), at);
        while let Gate::Until(deadline) = gate(&mut host, at) {
            assert!(!deadline.reached(at), "{at:?}");
            at = deadline.into();
        }
    }
    assert!((10_000..=10_030).contains(&at.boot.0), "{at:?}");
}

/// Opened at the start, for as long as nobody probes.
fn down() -> Host {
    let mut host = Host::new(Limit::default());
    host.open(0, None, 0.5, now(0));
    host
}

/// In how many milliseconds the next probe comes of one whose last left at `left`, where `waiting` share them.
fn next_probe(host: &mut Host, waiting: u32, left: u64, draw: f64, at: u64) -> Option<u128> {
    host.next_probe(waiting, BootInstant(left), draw, now(at)).map(|wait| wait.as_millis())
}

#[test]
fn an_account_probes_twenty_five_seconds_after_its_last_try_up_to_a_tenth_later_and_a_second_from_now_at_least()
 {
    assert_eq!(next_probe(&mut down(), 1, 0, 0.0, 0), Some(25_000));
    assert_eq!(next_probe(&mut down(), 1, 10_000, 0.0, 12_000), Some(23_000));
    assert_eq!(next_probe(&mut down(), 1, 0, 1.0, 0), Some(27_500));
    assert_eq!(next_probe(&mut down(), 1, 0, 0.0, 90_000), Some(1_000));
    assert_eq!(next_probe(&mut Host::new(Limit::default()), 1, 0, 0.0, 0), None, "the host is not down");
}

#[test]
fn those_that_wait_share_the_probes_five_seconds_apart_at_least_and_a_minute_from_now_at_most() {
    let row = |waiting: u32, draw| {
        let mut host = down();
        [(); 4].map(|()| next_probe(&mut host, waiting, 0, draw, 0).unwrap())
    };
    assert_eq!(row(2, 0.0), [25_000, 37_500, 50_000, 60_000]);
    assert_eq!(row(5, 0.0), [25_000, 30_000, 35_000, 40_000]);
    assert_eq!(row(9, 0.0), [25_000, 30_000, 35_000, 40_000]);
    assert_eq!(row(1, 1.0), [27_500, 52_500, 54_000, 54_000], "or a tenth sooner");
}

#[test]
fn a_shared_row_of_probes_lasts_until_the_host_is_back_and_no_longer() {
    let mut host = down();
    assert_eq!(next_probe(&mut host, 2, 0, 0.0, 0), Some(25_000));
    assert_eq!(host.finish(&account("old"), false, Sign::Fault, BootInstant(0), now(0)), Turn::Nothing);
    assert_eq!(next_probe(&mut host, 2, 0, 0.0, 0), Some(37_500), "it is still down");
    assert_eq!(answer(&mut host, "a", now(1_000)), Turn::Closes);
    host.open(0, None, 0.5, now(1_000));
    assert_eq!(next_probe(&mut host, 2, 1_000, 0.0, 1_000), Some(25_000), "another outage");
}

#[test]
fn only_one_that_has_failed_waits_for_a_host_that_is_down() {
    let host = down();
    let waits = |failing| host.waits_for(Place { order: Timestamp::from_secs(2_000), failing }, now(1));
    assert!(matches!(waits(true), (WaitsFor::Host, Some(_))));
    assert_eq!(waits(false), (WaitsFor::Limit, None));
}

#[test]
fn a_host_is_idle_once_nothing_waits_or_runs_there_and_all_is_paid_for() {
    let idle = |change: fn(&mut Host)| {
        let mut host = Host::new(Limit { period: None, ..Limit::default() });
        change(&mut host);
        host.is_idle(now(0))
    };
    assert!(idle(|_| {}));
    for failing in [true, false] {
        let mut host = Host::new(Limit::default());
        let place = Place { order: Timestamp::from_secs(2_000), failing };
        host.queue(account("a"), place);
        assert!(!host.is_idle(now(0)));
        host.unqueue(&account("a"), place);
        assert!(host.is_idle(now(0)));
    }
    assert!(!idle(|host| host.start(&account("a"), now(0))));
    assert!(!idle(|host| {
        host.start(&account("a"), now(0));
        host.stall(&account("a"));
    }));
    assert!(idle(|host| {
        host.start(&account("a"), now(0));
        answer(host, "a", now(0));
    }));
    let second = Some(Duration::from_secs(1));
    let mut host = Host::new(Limit { period: second, ..Limit::default() });
    host.start(&account("a"), now(0));
    answer(&mut host, "a", now(0));
    assert_eq!([999, 1_000].map(|at| host.is_idle(now(at))), [false, true], "the bucket is full again");
    host.throttle(Some(Duration::from_secs(5)), Duration::from_secs(5), now(0));
    assert_eq!([4_999, 5_000].map(|at| host.is_idle(now(at))), [false, true], "a vendor's pause");
}

#[test]
fn a_row_of_failures_is_the_accounts_own_where_the_host_has_answered_others_since() {
    let mut host = Host::new(Limit::default());
    assert!(!host.fails_alone(BootInstant(0)));
    answer(&mut host, "good", now(10_000));
    assert_eq!([7_999, 8_000].map(|since| host.fails_alone(BootInstant(since))), [true, false]);
}
