//! Clocks that jump, by way of libfaketime: the wall clock alone steps, the others run on.

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;

use crate::support::{Agent, Reader, World, account, all_well, generation, millis, secs, skip, state, until};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const KINDS: [Provider; 3] = [Provider::OAuthClientCredentials, Provider::Bizppurio, Provider::PortOne];

fn is_missing(test: &str) -> bool {
    let missing = !Path::new(LIBRARY).exists();
    if missing {
        skip(test, "libfaketime is not installed");
    }
    missing
}

fn set_clock(world: &World, offset: &str) {
    crate::support::replace(&world.path("clock"), offset);
}

fn start(world: &World, config: &Value) -> Agent {
    world.write(config);
    world
        .run()
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", world.path("clock").to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1")
        .start()
}

fn accounts(world: &World) -> Value {
    let mut config = world.config(KINDS.map(|kind| (kind.to_string(), world.account(kind, kind.name()))));
    for kind in KINDS {
        let document = json!({ "file": { "path": world.out(&format!("{kind}.json")), "content": "json" } });
        config["accounts"][kind.name()]["sinks"].as_array_mut().unwrap().push(document);
    }
    config
}

/// Accounts of 20 s lives, a step while they run: no token that is not accepted is ever read, none is called fresh
/// that is over, and nobody is stormed.
fn step(offset: &str) {
    let world = World::living(secs(20));
    set_clock(&world, "+0");
    let agent = start(&world, &accounts(&world));
    agent.until_well();
    let readers = KINDS.map(|kind| {
        let simulator = (*world.sim).clone();
        Reader::start(world.out(&format!("{kind}.token")), millis(2), move |content| {
            let token = String::from_utf8(content.ok_or("no file")?.to_vec()).map_err(|_| "no text")?;
            simulator.accepts(kind, &token).then_some(()).ok_or_else(|| "not accepted".to_owned())
        })
    });
    std::thread::sleep(secs(2));
    let before = agent.status();
    world.sim.reset_stats();
    set_clock(&world, offset);
    let stepped = std::time::Instant::now();
    agent.until("renewals", secs(20), |status| {
        KINDS.iter().all(|kind| {
            generation(status, kind.name()) > generation(&before, kind.name())
                && state(status, kind.name()) == "fresh"
        })
    });
    eprintln!("{offset}: all renewed {:?} after the step", stepped.elapsed());
    // Two lives on: the new clock is as good as the old one.
    std::thread::sleep(secs(25));
    let status = agent.status();
    for (kind, reader) in KINDS.into_iter().zip(readers) {
        let name = kind.name();
        assert_eq!(state(&status, name), "fresh", "{offset} {name}");
        let requests = world.sim.stats().providers[name].requests;
        assert!(
            (2..=7).contains(&requests),
            "{offset} {name}: {requests} requests in {:?}",
            stepped.elapsed()
        );
        let seen = reader.stop();
        assert!(seen.bad.is_empty(), "{offset} {name}: {seen:?}");
        // What it says of the end is by its own clock: as long from now as it really lives.
        let document: Value = serde_json::from_str(&world.read(&format!("{name}.json"))).unwrap();
        let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
        let life = at(&document["expires_at"]) - at(&document["issued_at"]);
        assert!((17..=21).contains(&life), "{offset} {name}: {life} s");
        let left = at(&account(&status, name)["expires_at"]) - at(&status["now"]);
        assert!((0..=21).contains(&left), "{offset} {name}: {left} s left");
    }
}

#[test]
fn steps_of_an_hour_and_of_ten_years_are_followed_by_renewals_and_no_storm() {
    let test = "steps_of_an_hour_and_of_ten_years_are_followed_by_renewals_and_no_storm";
    if is_missing(test) {
        return;
    }
    std::thread::scope(|scope| {
        for offset in ["+1h", "-1h", "+10y", "-10y"] {
            scope.spawn(move || step(offset));
        }
    });
}

#[test]
fn an_agent_that_starts_on_a_stepped_clock_neither_trusts_nor_storms() {
    let test = "an_agent_that_starts_on_a_stepped_clock_neither_trusts_nor_storms";
    if is_missing(test) {
        return;
    }
    for offset in ["+1h", "-1h"] {
        let world = World::living(secs(600));
        set_clock(&world, "+0");
        let config = accounts(&world);
        let agent = start(&world, &config);
        agent.until_well();
        agent.stop();
        world.sim.reset_stats();
        set_clock(&world, offset);
        let agent = start(&world, &config);
        agent.until("second generations", secs(15), |status| {
            all_well(status) && KINDS.iter().all(|kind| generation(status, kind.name()) == 2)
        });
        std::thread::sleep(millis(1500));
        assert_eq!(world.sim.requests(), 3, "{offset}");
        // And back: a token that claims an hour of the future to have been its beginning is not trusted either.
        agent.stop();
        set_clock(&world, "+0");
        let agent = start(&world, &config);
        agent.until("valid tokens", secs(15), |status| {
            KINDS.iter().all(|kind| state(status, kind.name()) == "fresh")
                && KINDS.iter().all(|kind| world.sim.accepts(*kind, &world.read(&format!("{kind}.token"))))
        });
        assert!(world.sim.requests() <= 6, "{offset}");
    }
}

/// As after a start of the machine, or in a container that was moved: the boot clock says something else than when the state
/// was written.
#[test]
fn an_agent_that_starts_with_another_boot_clock_goes_on_with_its_tokens() {
    let test = "an_agent_that_starts_with_another_boot_clock_goes_on_with_its_tokens";
    let offset = |offset: &str| {
        ["unshare", "--time", "--boottime", offset, "--monotonic", offset].map(str::to_owned).to_vec()
    };
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: u64 = uptime.split('.').next().unwrap().parse().unwrap();
    let tried = offset("100000");
    let works = std::process::Command::new(&tried[0]).args(&tried[1..]).arg("true").status();
    if !works.is_ok_and(|status| status.success()) {
        return skip(test, "no time namespace can be made");
    }
    for offset in [offset("100000"), offset(&format!("-{}", uptime - 1))] {
        let world = World::living(secs(600));
        let agent = world.start(&accounts(&world));
        agent.until_well();
        agent.stop();
        let asked = world.sim.requests();
        let mut run = world.run();
        run.wrapper = offset.clone();
        let agent = run.start();
        let status = agent.until_well();
        for kind in KINDS {
            assert_eq!(generation(&status, kind.name()), 1, "{offset:?}");
        }
        std::thread::sleep(millis(1500));
        assert_eq!(world.sim.requests(), asked, "{offset:?}: a stored token needs no request");
        for kind in KINDS {
            assert_eq!(agent.renew(kind.name()).0, 200, "{offset:?}");
        }
        agent.until("second generations", secs(15), all_well);
        agent.stop();
    }
}

/// A clock that ran ahead at the boot and is put right, then a restart: by its stored times a token seems younger than it is,
/// by as much as it will be refused while the agent calls it fresh.
#[test]
fn a_token_of_a_clock_that_ran_ahead_is_renewed_in_time_after_it_was_put_right_and_the_agent_restarted() {
    let test =
        "a_token_of_a_clock_that_ran_ahead_is_renewed_in_time_after_it_was_put_right_and_the_agent_restarted";
    if is_missing(test) {
        return;
    }
    const KIND: Provider = Provider::OAuthClientCredentials;
    let world = World::living(secs(24));
    let mut config = world.one(KIND);
    config["accounts"]["a"]["renew"] = json!({ "before": "5s" });
    set_clock(&world, "+10");
    let agent = start(&world, &config);
    agent.until_well();
    let simulator = (*world.sim).clone();
    let reader = Reader::start(world.out("a.token"), millis(2), move |content| {
        let token = String::from_utf8(content.ok_or("no file")?.to_vec()).map_err(|_| "no text")?;
        simulator.accepts(KIND, &token).then_some(()).ok_or_else(|| "not accepted".to_owned())
    });
    std::thread::sleep(secs(12));
    set_clock(&world, "+0");
    agent.stop();
    let requests = world.sim.requests();
    let agent = start(&world, &config);
    let status = agent.until("its token", secs(5), all_well);
    assert_eq!((generation(&status, "a"), world.sim.requests()), (1, requests), "it is not asked for anew");
    agent.until("the next token", secs(20), |status| generation(status, "a") == 2);
    let seen = reader.stop();
    assert!(seen.bad.is_empty(), "{seen:?}");
    agent.stop();
}

/// A stopped process (`docker pause`, a frozen cgroup, a suspended machine) reads no reply. Its clocks run on, so that
/// afterwards the request's time is over and its reply lies in the socket.
#[test]
fn a_reply_that_comes_while_the_agent_stands_still_is_not_thrown_away() {
    const KIND: Provider = Provider::OAuthRefreshToken;
    let world = World::living(secs(600));
    let mut config = world.one(KIND);
    config["accounts"]["a"]["http"] = json!({ "timeout": "5s" });
    let agent = world.start(&config);
    agent.until_well();
    world.sim.fault(&format!("{KIND}=delay:2s"));
    for round in 1..=2 {
        let before = world.sim.requests();
        std::thread::scope(|scope| {
            let renewal = scope.spawn(|| agent.renew("a"));
            until("the request", secs(10), || (world.sim.requests() > before).then_some(()));
            agent.signal(Signal::STOP);
            std::thread::sleep(secs(8));
            agent.signal(Signal::CONT);
            let (status, answer) = renewal.join().unwrap();
            assert_eq!(status, 200, "{answer}");
        });
        let asked =
            &world.sim.stats().providers[KIND.name()].operations["refresh"][&world.identity(KIND, "a")];
        assert_eq!((asked.granted, asked.dead_refresh_tokens), (round + 1, 0), "{asked:?}");
    }
    assert!(world.sim.accepts(KIND, &world.read("a.token")));
    agent.stop();
}

#[test]
fn a_vendor_whose_clock_is_off_gives_ends_by_our_clock() {
    let kinds = [
        Provider::Bizppurio,
        Provider::RcsBizCenter,
        Provider::BizppurioRcs,
        Provider::PortOne,
        Provider::Kiwoom,
        Provider::Kis,
    ];
    for clock in ["clock:+10m", "clock:-10m"] {
        let world = World::living(secs(120));
        world.sim.fault(&format!("*={clock}"));
        let config = world.config(kinds.map(|kind| (kind.to_string(), world.account(kind, kind.name()))));
        let agent = world.start(&config);
        let status = agent.until_well();
        for kind in kinds {
            let seen = account(&status, kind.name());
            let at =
                |field: &str| seen[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
            let life = at("expires_at") - at("issued_at");
            // The end less the vendor's Date is 120 s, and up to 1 s more where the end has fractions, which a Date has
            // not. It counts from the moment of sending, which is somewhat after the instant that we call the issue.
            // Cut to whole seconds at both ends, that is one more at most.
            assert!((120..=122).contains(&life), "{clock} {kind}: {life}");
        }
    }
}
