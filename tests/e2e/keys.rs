//! A key that refresh tokens belong to (PortOne's `apiSecret`): another one logs in, and the token stays until then.

use std::path::PathBuf;

use renewd::simulator::{Operation, Provider, identity_of_secret};
use serde_json::{Value, json};

use crate::support::{
    Agent, World, account, class, generation, is_well, millis, replace, secs, state, throughout, until,
};

const ONE: &str = "Zf1rst-s3cret-0001";
const TWO: &str = "Zan0ther-s3cret-02";

/// An account of PortOne whose key stands in a file, and its token.
fn world() -> (World, Value, PathBuf) {
    let world = World::living(secs(600));
    [ONE, TWO].into_iter().for_each(|key| world.canaries.add(key));
    let mut config = world.one(Provider::PortOne);
    let key = world.put("apiSecret", ONE);
    config["accounts"]["a"]["credentials"]["apiSecret"] = json!({ "file": key });
    (world, config, key)
}

/// How many logins and refreshes were asked for.
fn asked(world: &World) -> (usize, usize) {
    let journal = world.sim.journal();
    let of = |operation| journal.iter().filter(|seen| seen.operation == operation).count();
    (of(Operation::Issue), of(Operation::Refresh))
}

fn another_generation(agent: &Agent, wanted: u64) {
    let there = |status: &Value| generation(status, "a") == wanted && is_well(account(status, "a"));
    agent.until("the next generation", secs(5), there);
}

/// Whose token the file holds, by what the stand-in has granted last.
fn owner(world: &World) -> String {
    world.sim.journal().last().map(|seen| seen.account.clone()).unwrap_or_default()
}

#[test]
fn another_key_logs_in_at_once_and_spends_no_refresh_token_of_the_one_before() {
    let (world, config, key) = world();
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("a.token");
    replace(&key, TWO);
    another_generation(&agent, 2);
    let now = until("another token", secs(2), || Some(world.read("a.token")).filter(|now| *now != token));
    assert!(world.sim.accepts(Provider::PortOne, &now));
    assert_eq!(owner(&world), identity_of_secret(TWO));
    assert_eq!(asked(&world), (2, 0));
    // From here on it refreshes with what the new key has brought.
    assert_eq!(agent.renew("a").0, 200);
    another_generation(&agent, 3);
    assert_eq!(asked(&world), (2, 1));
    assert_eq!(owner(&world), identity_of_secret(TWO));
}

#[test]
fn a_mistyped_key_takes_nothing_away_and_the_right_one_mends_it() {
    let (world, mut config, key) = world();
    config["templates"] =
        json!([{ "path": world.out("app.env"), "inline": "T={{ accounts.a.access_token }}\n" }]);
    let agent = world.start(&config);
    agent.until_well();
    let (token, composed) = (world.read("a.token"), world.read("app.env"));
    replace(&key, "wrong");
    let status = agent.until("the refusal", secs(5), |status| class(status, "a") == "rejected");
    assert_eq!((state(&status, "a"), generation(&status, "a")), ("rejected", 1));
    let (code, document) = agent.get("/v1/accounts/a/token");
    assert_eq!((code, document["access_token"].as_str()), (200, Some(token.as_str())));
    throughout("one login was tried, and everything stands", secs(2), || {
        asked(&world).0 == 2 && world.read("a.token") == token && world.read("app.env") == composed
    });
    // Also across a restart, which asks for nothing: the key was tried.
    agent.stop();
    let agent = world.run().start();
    agent.until("the token of before", secs(5), |status| generation(status, "a") == 1);
    assert_eq!(agent.get("/v1/accounts/a/token").1["access_token"], token);
    throughout("two logins", millis(500), || asked(&world).0 == 2);

    replace(&key, ONE);
    another_generation(&agent, 2);
    assert_eq!(owner(&world), identity_of_secret(ONE));
}

#[test]
fn a_key_in_the_configuration_that_changes_logs_in_also_when_the_agent_was_down() {
    let (world, mut config, _) = world();
    config["accounts"]["a"]["credentials"]["apiSecret"] = json!(ONE);
    let agent = world.start(&config);
    agent.until_well();
    config["accounts"]["a"]["credentials"]["apiSecret"] = json!(TWO);
    world.write(&config);
    another_generation(&agent, 2);
    assert_eq!(owner(&world), identity_of_secret(TWO));
    agent.stop();

    let token = world.read("a.token");
    config["accounts"]["a"]["credentials"]["apiSecret"] = json!(ONE);
    world.write(&config);
    world.sim.fault("portone=503");
    let agent = world.run().start();
    agent.until("a try", secs(10), |status| class(status, "a") == "transient");
    assert_eq!(agent.get("/v1/accounts/a/token").1["access_token"], token, "until the login has succeeded");
    world.sim.clear();
    agent.until("the third generation", secs(20), |status| generation(status, "a") == 3);
    assert_eq!(owner(&world), identity_of_secret(ONE));
    assert_eq!(asked(&world).1, 0);
}

#[test]
fn a_reply_to_the_key_before_that_was_still_on_its_way_is_not_the_last_word() {
    let (world, config, key) = world();
    let agent = world.start(&config);
    agent.until_well();
    world.sim.fault("portone:refresh=delay:2s");
    let asks = std::thread::scope(|scope| {
        let renewal = scope.spawn(|| agent.renew("a").0);
        until("the refresh", secs(5), || (world.sim.requests() == 2).then_some(()));
        replace(&key, TWO);
        renewal.join().unwrap()
    });
    assert_eq!(asks, 200);
    agent.until("the new key's token", secs(10), |status| {
        generation(status, "a") == 3 && is_well(account(status, "a"))
    });
    assert_eq!(owner(&world), identity_of_secret(TWO));
    assert_eq!(asked(&world), (2, 1));
}

#[test]
fn the_stored_reply_to_a_login_of_the_key_before_is_not_asked_for_with_another() {
    let (world, config, key) = world();
    world.sim.fault("portone:issue=reset#1");
    let agent = world.start(&config);
    until("the login that is lost", secs(5), || (world.sim.requests() == 1).then_some(()));
    replace(&key, TWO);
    agent.until_well();
    assert_eq!(owner(&world), identity_of_secret(TWO));
    let journal = world.sim.journal();
    assert!(journal.last().is_some_and(|seen| seen.granted), "a new token, no stored one: {journal:?}");
}
