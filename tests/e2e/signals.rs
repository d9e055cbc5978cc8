//! Signals at good and at bad moments.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{World, account, class, generation, millis, secs, setting, state, throughout, until};

#[test]
fn term_waits_for_the_request_in_flight_and_its_refresh_token_is_kept() {
    let world = World::living(secs(600));
    let config = world.one(Provider::PortOne);
    let mut agent = world.start(&config);
    agent.until_well();
    world.sim.fault("portone:refresh=delay:2s");
    agent.signal(Signal::USR1);
    let key = world.identity(Provider::PortOne, "a");
    until("the request in flight", secs(5), || (world.sim.requests_of(&key) == 2).then_some(()));
    agent.signal(Signal::TERM);
    let status = agent.ends_within(secs(20)).expect("an end within the grace");
    assert_eq!(status.code(), Some(0));
    drop(agent);

    world.sim.clear();
    world.sim.reset_stats();
    let agent = world.run().start();
    let status = agent.until_well();
    assert_eq!(generation(&status, "a"), 2, "the reply that came during the end counts");
    assert!(world.sim.accepts(Provider::PortOne, &world.read("a.token")));
    assert_eq!(world.sim.requests(), 0);
    assert_eq!(agent.renew("a").0, 200);
    let stats = world.sim.stats();
    let refresh = &stats.providers["portone"].operations["refresh"][&key];
    assert_eq!((refresh.granted, refresh.dead_refresh_tokens), (1, 0), "the new refresh token was kept");
}

/// The request would leave late, and its reply could find nobody.
#[test]
fn a_request_that_has_not_left_when_term_comes_is_not_sent() {
    const PROVIDER: Provider = Provider::OAuthRefreshToken;
    let world = World::living(secs(600));
    let mut config = world.one(PROVIDER);
    let (fetching, go) = (world.path("fetching"), world.path("go"));
    let script = format!(
        "touch {}; until [ -e {} ]; do sleep 0.02; done; echo secret",
        fetching.display(),
        go.display()
    );
    config["accounts"]["a"]["credentials"]["client_secret"] = json!({ "command": ["/bin/sh", "-c", script] });
    std::fs::write(&go, "").unwrap();
    world.write(&config);
    let manager = UnixDatagram::bind(world.path("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut agent = world.run().env("NOTIFY_SOCKET", world.path("notify").to_str().unwrap()).start();
    agent.until_well();
    std::fs::remove_file(&fetching).unwrap();
    std::fs::remove_file(&go).unwrap();
    world.sim.reset_stats();
    agent.signal(Signal::USR1);
    until("the secret's command", secs(10), || fetching.exists().then_some(()));
    agent.signal(Signal::TERM);
    until("the end being begun", secs(10), || {
        let mut said = [0; 4096];
        let length = manager.recv(&mut said).ok()?;
        String::from_utf8_lossy(&said[..length]).contains("STOPPING=1").then_some(())
    });
    std::fs::write(&go, "").unwrap();
    assert_eq!(agent.ends_within(secs(10)).expect("an end within the grace").code(), Some(0));
    assert_eq!(world.sim.requests(), 0, "sent after TERM");
    drop(agent);

    let agent = world.run().start();
    let status = agent.until_well();
    assert_eq!((generation(&status, "a"), world.sim.requests()), (1, 0), "nothing is owed");
    assert_eq!(agent.renew("a").0, 200);
    let refresh = &world.sim.stats().providers["oauth2-refresh-token"].operations["refresh"]["id-a"];
    assert_eq!((refresh.granted, refresh.dead_refresh_tokens), (1, 0));
}

#[test]
fn term_waits_for_a_refresh_token_that_is_spent_though_a_reload_has_cut_the_grace() {
    const KIND: Provider = Provider::OAuthRefreshToken;
    let world = World::living(secs(600));
    let mut config = world.one(KIND);
    config["agent"]["shutdown_grace"] = "1m".into();
    config["accounts"]["a"]["http"]["timeout"] = "1m".into();
    let mut agent = world.start(&config);
    agent.until_well();
    world.sim.fault("*=delay:8s");
    agent.signal(Signal::USR1);
    let key = world.identity(KIND, "a");
    until("the request in flight", secs(5), || (world.sim.requests_of(&key) == 2).then_some(()));
    config["agent"]["shutdown_grace"] = "1s".into();
    world.write(&config);
    let reloaded = agent.until("the reload", secs(7), |status| status["config"]["generation"] == 2);
    assert_eq!(generation(&reloaded, "a"), 1, "the request is out still");
    agent.signal(Signal::TERM);
    let status = agent.ends_within(secs(30)).expect("an end with the request");
    assert_eq!((status.code(), agent.logged("refresh_awaited")), (Some(0), 1));
    assert!(agent.log().contains("\"drained\":true"));
    drop(agent);

    world.sim.clear();
    let agent = world.run().start();
    let status = agent.until_well();
    assert_eq!(generation(&status, "a"), 2, "the reply that came during the end counts");
    assert_eq!(agent.renew("a").0, 200);
    let stats = world.sim.stats();
    let refresh = &stats.providers[KIND.name()].operations["refresh"][&key];
    assert_eq!((refresh.granted, refresh.dead_refresh_tokens), (3, 0), "the new refresh token was kept");
}

#[test]
fn term_ends_with_the_grace_where_a_request_hangs_for_longer() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["agent"]["shutdown_grace"] = "2s".into();
    config["accounts"]["a"]["http"]["timeout"] = "2m".into();
    let mut agent = world.start(&config);
    agent.until_well();
    world.sim.fault("*=hang");
    agent.signal(Signal::USR1);
    until("the request in flight", secs(5), || (world.sim.stats().requests == 2).then_some(()));
    let start = std::time::Instant::now();
    agent.signal(Signal::TERM);
    let status = agent.ends_within(secs(10)).expect("an end after the grace");
    assert_eq!(status.code(), Some(0));
    assert!((millis(1500)..secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[test]
fn a_second_term_ends_at_once() {
    let world = World::living(secs(600));
    let mut agent = world.start(&world.one(Provider::PortOne));
    agent.until_well();
    world.sim.fault("*=hang");
    agent.signal(Signal::USR1);
    until("the request in flight", secs(5), || (world.sim.stats().requests == 2).then_some(()));
    agent.signal(Signal::TERM);
    assert!(agent.ends_within(millis(700)).is_none(), "it waits for the request");
    agent.signal(Signal::TERM);
    let status = agent.ends_within(secs(1)).expect("an end at once");
    assert!(status.code() == Some(143) || status.signal() == Some(15), "{status:?}");
    drop(agent);

    world.sim.clear();
    let agent = world.run().start();
    agent.until_well();
    agent.until("a renewal", secs(30), |status| generation(status, "a") > 1 || agent.renew("a").0 == 200);
}

#[test]
fn term_at_any_instant_ends_within_the_grace_and_loses_no_refresh_token() {
    let terms = setting("RENEWD_TERMS", 12);
    let mut options = renewd::simulator::Options::with_lifetime(secs(6));
    options.lifetimes = [(Provider::OAuthRefreshToken, secs(5))].into();
    let world = World::with(options);
    // The last one has no other way in than its refresh token.
    let kinds = [Provider::PortOne, Provider::PortOne, Provider::PortOne, Provider::OAuthRefreshToken];
    let names = ["a", "b", "c", "d"];
    world.sim.fault("*=delay:60ms");
    world.write(
        &world.config(
            names.iter().zip(kinds).map(|(name, kind)| ((*name).to_owned(), world.account(kind, name))),
        ),
    );
    let agent = world.run().start();
    agent.until_well();
    agent.stop();
    let (mut longest, mut in_flight) = (std::time::Duration::ZERO, 0);
    for number in 0..terms {
        let mut agent = world.run().start();
        // Spread evenly over starts, renewals and the rest between them.
        std::thread::sleep(millis(20 + number * 809 % 2_500));
        let before = world.sim.stats().requests;
        let start = std::time::Instant::now();
        agent.signal(Signal::TERM);
        let status = agent.ends_within(secs(25)).expect("an end within the grace");
        assert!(status.code() == Some(0) || status.signal() == Some(15), "{status:?}");
        longest = longest.max(start.elapsed());
        in_flight += u64::from(world.sim.stats().requests > before || start.elapsed() > millis(40));
    }
    let agent = world.run().start();
    agent.until_well();
    agent.stop();
    let stats = world.sim.stats();
    for (name, kind) in names.iter().zip(kinds) {
        let (operations, identity) = (&stats.providers[kind.name()].operations, world.identity(kind, name));
        let spent = &operations["refresh"][&identity];
        assert_eq!(spent.dead_refresh_tokens, 0, "{name}: {spent:?}");
        let logins = operations.get("issue").and_then(|logins| logins.get(&identity));
        assert!(logins.is_none_or(|logins| logins.requests == 1), "{name}: {logins:?}");
    }
    eprintln!("{terms} ends, the longest took {longest:?}; {in_flight} with a request or more than 40 ms");
}

#[test]
fn an_idle_agent_ends_at_once_with_term_and_with_int() {
    let world = World::living(secs(600));
    for signal in [Signal::TERM, Signal::INT] {
        let mut agent = world.start(&world.one(Provider::Bizppurio));
        agent.until_well();
        agent.signal(signal);
        assert_eq!(agent.ends_within(secs(2)).and_then(|status| status.code()), Some(0));
    }
}

#[test]
fn usr1_renews_every_account_once() {
    let world = World::living(secs(600));
    let names = ["a", "b", "c", "d", "e"];
    let config = world.config(names.map(|name| (name.to_owned(), world.account(Provider::Kiwoom, name))));
    let agent = world.start(&config);
    agent.until_well();
    agent.signal(Signal::USR1);
    agent.until("second generations", secs(10), |status| {
        names.iter().all(|name| generation(status, name) == 2)
    });
    throughout("ten requests", millis(500), || world.sim.requests() == 10);
}

#[test]
fn hup_tries_refused_credentials_again_and_reads_the_configuration() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["accounts"]["a"]["credentials"]["password"] = "wrong".into();
    let agent = world.start(&config);
    agent.until("a rejection", secs(10), |status| state(status, "a") == "rejected");
    assert_eq!(class(&agent.status(), "a"), "rejected");
    throughout("one request", millis(500), || world.sim.requests() == 1);
    agent.signal(Signal::HUP);
    until("a second try", secs(5), || (world.sim.requests() == 2).then_some(()));
    agent.until("the second rejection", secs(5), |status| account(status, "a")["attempt"] == 2);
    throughout("two requests", millis(500), || world.sim.requests() == 2);

    config["accounts"]["b"] = world.account(Provider::Bizppurio, "b");
    config["accounts"]["a"] = world.account(Provider::Bizppurio, "a");
    world.write(&config);
    agent.signal(Signal::HUP);
    agent.until("both accounts", secs(5), |status| {
        status["accounts"].as_array().unwrap().len() == 2 && crate::support::all_well(status)
    });
}
