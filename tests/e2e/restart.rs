//! What a restart keeps and what it asks for anew.

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{World, account, generation, is_well, millis, secs, throughout, until};

#[test]
fn a_restart_with_valid_stored_tokens_sends_no_request() {
    let world = World::living(secs(600));
    let accounts =
        Provider::ALL.map(|provider| (provider.name().to_owned(), world.account(provider, provider.name())));
    let config = world.config(accounts);
    let agent = world.start(&config);
    let before = agent.until_well();
    agent.stop();
    let tokens = Provider::ALL.map(|provider| world.read(&format!("{provider}.token")));

    world.sim.reset_stats();
    let agent = world.start(&config);
    let after = agent.until_well();
    throughout("no request", millis(1500), || world.sim.requests() == 0);
    assert_eq!(tokens, Provider::ALL.map(|provider| world.read(&format!("{provider}.token"))));
    for provider in Provider::ALL {
        for field in ["generation", "issued_at", "expires_at"] {
            let (before, after) = (account(&before, provider.name()), account(&after, provider.name()));
            assert_eq!(before[field], after[field], "{provider} {field}");
        }
    }
}

#[test]
fn a_missing_sink_is_written_again_at_start_without_a_request() {
    let world = World::living(secs(600));
    let config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    agent.stop();
    let token = world.read("a.token");
    std::fs::remove_file(world.out("a.token")).unwrap();

    world.sim.reset_stats();
    let agent = world.start(&config);
    until("the file", secs(10), || {
        std::fs::read_to_string(world.out("a.token")).ok().filter(|now| *now == token)
    });
    agent.until_well();
    assert_eq!(world.sim.requests(), 0);
}

#[test]
fn another_identity_is_issued_anew_at_the_next_start_and_a_changed_password_alone_is_not() {
    let world = World::living(secs(600));
    let oauth = Provider::OAuthClientCredentials;
    let mut config = world.config([
        ("client".to_owned(), world.account(oauth, "client")),
        ("url".to_owned(), world.account(oauth, "url")),
        ("params".to_owned(), world.account(oauth, "params")),
        ("password".to_owned(), world.account(oauth, "password")),
        ("unchanged".to_owned(), world.account(oauth, "unchanged")),
    ]);
    let agent = world.start(&config);
    agent.until_well();
    agent.stop();
    let token = world.read("password.token");

    let accounts = &mut config["accounts"];
    accounts["client"]["credentials"]["client_id"] = "id-another".into();
    accounts["url"]["base_url"] = world.sim.base_url(oauth, 2).into();
    accounts["params"]["params"] = json!({ "scope": "read" });
    accounts["password"]["credentials"]["client_secret"] = "Zanotherpassword1".into();
    world.canaries.add("Zanotherpassword1");
    world.sim.reset_stats();
    let agent = world.start(&config);
    let status = agent.until("everything in its second generation where it must be", secs(15), |status| {
        let new = |name: &&str| generation(status, name) == 2 && is_well(account(status, name));
        ["client", "url", "params"].iter().all(new)
    });
    for name in ["password", "unchanged"] {
        assert_eq!(generation(&status, name), 1, "{name}");
    }
    throughout("three requests", millis(800), || world.sim.requests() == 3);
    assert_eq!(world.sim.requests_of("id-another"), 1);
    assert_eq!(world.read("password.token"), token);
}

#[test]
fn generations_count_on_across_restarts_and_identities() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::PortOne);
    for expected in 1..=3 {
        let agent = world.start(&config);
        let status = agent.until_well();
        if expected > 1 {
            assert_eq!(generation(&status, "a"), expected - 1);
            assert_eq!(agent.renew("a").0, 200);
        }
        assert_eq!(generation(&agent.until_well(), "a"), expected);
        agent.stop();
    }
    config["accounts"]["a"] = world.account(Provider::PortOne, "another");
    let agent = world.start(&config);
    agent.until("the fourth generation, of the other identity", secs(10), |status| {
        generation(status, "a") == 4
    });
    let token = until("its sink", secs(5), || std::fs::read_to_string(world.out("another.token")).ok());
    assert!(world.sim.accepts(Provider::PortOne, &token));
}

#[test]
fn a_seed_is_used_once_and_its_stored_successor_wins_until_another_seed_is_configured() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::OAuthRefreshToken);
    let dead = |world: &World| {
        let stats = world.sim.stats();
        let accounts = stats.providers["oauth2-refresh-token"].operations["refresh"].values();
        accounts.map(|account| account.dead_refresh_tokens).sum::<u64>()
    };
    for round in 1..=3 {
        let agent = world.start(&config);
        agent.until_well();
        assert_eq!(agent.renew("a").0, 200, "round {round}");
        agent.stop();
    }
    assert_eq!((world.sim.requests(), dead(&world)), (4, 0));

    world.sim.revoke_refresh_tokens(Provider::OAuthRefreshToken, "id-a");
    config["accounts"]["a"]["credentials"]["refresh_token"] = "seed-another-consent".into();
    world.canaries.add("seed-another-consent");
    let agent = world.start(&config);
    agent.until_well();
    assert_eq!(agent.renew("a").0, 200);
    assert_eq!(dead(&world), 0);
}

#[test]
fn a_backoff_outlives_a_restart() {
    let world = World::new();
    world.sim.fault("*=503");
    let config = world.one(Provider::OAuthClientCredentials);
    let agent = world.start(&config);
    let before =
        agent.until("three failures", secs(30), |status| account(status, "a")["attempt"].as_u64() >= Some(3));
    agent.stop();
    world.sim.reset_stats();
    let agent = world.start(&config);
    let status = agent.status();
    let attempt = |status: &serde_json::Value| account(status, "a")["attempt"].as_u64().unwrap();
    assert!(attempt(&status) >= attempt(&before), "{status}");
    assert_eq!(account(&status, "a")["error"]["class"], "transient");
    agent.kill();
    for _ in 0..10 {
        let agent = world.run().start();
        agent.status();
        agent.kill();
    }
    assert!(world.sim.requests() <= 2, "{} requests of ten starts", world.sim.requests());
}
