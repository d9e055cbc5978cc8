//! The only refresh token of an account that cannot log in: no edit and no damaged file throws it away.

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{Agent, World, account, all_well, generation, is_well, millis, secs, throughout, until};

const ONLY: Provider = Provider::OAuthRefreshToken;

/// An account in its second generation: the configured first refresh token is spent.
fn rotated(world: &World, config: &Value) -> Agent {
    let agent = world.start(config);
    agent.until_well();
    assert_eq!(agent.renew("a").0, 200);
    agent.until_well();
    agent
}

#[track_caller]
fn none_dead(world: &World) {
    let stats = world.sim.stats();
    let refresh = &stats.providers[ONLY.name()].operations["refresh"];
    for (client, seen) in refresh {
        assert_eq!(seen.dead_refresh_tokens, 0, "{client}");
    }
}

fn said(status: &Value) -> &str {
    account(status, "a")["error"]["message"].as_str().unwrap_or_default()
}

#[test]
fn edits_of_params_ask_anew_with_the_refresh_token_that_is_there() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    config["accounts"]["a"]["params"] = json!({ "scope": "a b" });
    let agent = rotated(&world, &config);
    let edits = [
        json!({ "scope": "a" }),
        json!({ "scope": "a", "lifetime": "20m" }),
        json!({ "scope": "a", "lifetime": "20m", "client_auth": "body" }),
        json!({ "scope": "a b" }),
    ];
    for (edit, wished) in edits.iter().zip(3..) {
        config["accounts"]["a"]["params"] = edit.clone();
        world.write(&config);
        agent.until("another token", secs(10), |status| {
            generation(status, "a") == wished && is_well(account(status, "a"))
        });
        none_dead(&world);
    }
    assert!(agent.logged("refresh_token_kept") >= 4);
    agent.stop();
    // While it is down, too.
    config["accounts"]["a"]["params"] = json!({ "scope": "b" });
    let agent = world.start(&config);
    agent.until("another token", secs(10), |status| {
        generation(status, "a") == 7 && is_well(account(status, "a"))
    });
    none_dead(&world);
    assert_eq!(world.sim.requests(), 7);
}

#[test]
fn an_edit_that_is_taken_back_while_its_request_is_out_loses_no_refresh_token() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    config["accounts"]["a"]["params"] = json!({ "scope": "a b" });
    let agent = rotated(&world, &config);
    world.sim.fault("oauth2-refresh-token:refresh=delay:3s#1");
    let mut edited = config.clone();
    edited["accounts"]["a"]["params"] = json!({ "scope": "a bb" });
    world.write(&edited);
    until("its request", secs(10), || (world.sim.requests() == 3).then_some(()));
    world.write(&config);
    agent.until("the old settings", secs(10), |status| status["config"]["generation"] == 3);
    agent.until("a token of theirs", secs(20), |status| {
        world.sim.requests() == 4 && is_well(account(status, "a"))
    });
    assert_eq!(agent.renew("a").0, 200);
    none_dead(&world);
}

#[test]
fn another_client_gets_neither_the_refresh_token_nor_its_spent_seed_and_the_first_one_finds_it_again() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    let agent = rotated(&world, &config);
    let token = world.read("a.token");
    let client = config["accounts"]["a"]["credentials"]["client_id"].clone();
    config["accounts"]["a"]["credentials"]["client_id"] = "id-another".into();
    world.write(&config);
    let status = agent.until("words", secs(10), |status| said(status).contains("was spent before"));
    assert!(said(&status).contains("`refresh_token`"), "{status}");
    assert_eq!(agent.logged("refresh_token_aside"), 1);
    throughout("no request", millis(800), || world.sim.requests() == 2);
    config["accounts"]["a"]["credentials"]["client_id"] = client.clone();
    world.write(&config);
    agent.until_well();
    assert_eq!((world.read("a.token"), world.sim.requests()), (token, 2), "nothing was asked for meanwhile");
    // The same over restarts.
    agent.stop();
    config["accounts"]["a"]["credentials"]["client_id"] = "id-another".into();
    let agent = world.start(&config);
    agent.until("words", secs(10), |status| said(status).contains("was spent before"));
    agent.stop();
    assert_eq!(world.sim.requests(), 2);
    config["accounts"]["a"]["credentials"]["client_id"] = client;
    let agent = world.start(&config);
    agent.until_well();
    assert_eq!(agent.renew("a").0, 200);
    none_dead(&world);
}

#[test]
fn plan_says_what_becomes_of_the_only_refresh_token() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    let _agent = rotated(&world, &config);
    let planned = |config: &Value| {
        let path = world.put("other.yaml", &config.to_string());
        let output = world.renewd(&["plan", "--config", path.to_str().unwrap()]);
        String::from_utf8(output.stdout).unwrap()
    };
    config["accounts"]["a"]["params"] = json!({ "scope": "a" });
    let text = planned(&config);
    assert!(text.contains("ask anew: params is another, with the refresh token that it has"), "{text}");
    config["accounts"]["a"]["credentials"]["client_id"] = "id-another".into();
    let text = planned(&config);
    assert!(text.contains("kept aside for 30 days, so it needs a fresh `refresh_token`"), "{text}");
}

#[test]
fn a_damaged_installation_file_costs_no_request() {
    let world = World::living(secs(600));
    let config = world.one(ONLY);
    let mut agent = rotated(&world, &config);
    for round in 0..3 {
        agent.stop();
        let file = world.path("state/installation");
        match round {
            0 => std::fs::write(&file, "x").unwrap(),
            1 => std::fs::remove_file(&file).unwrap(),
            // As an older version leaves it: one file, and records that know less.
            _ => std::fs::remove_file(world.path("state/installation.copy")).unwrap(),
        }
        agent = world.start(&config);
        let status = agent.until_well();
        assert_eq!((generation(&status, "a"), world.sim.requests()), (2, 2), "round {round}");
    }
    assert_eq!(agent.renew("a").0, 200);
    none_dead(&world);
}

#[test]
fn state_of_an_older_version_starts_without_a_request_and_keeps_its_refresh_token_over_an_edit() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    rotated(&world, &config).stop();
    std::fs::remove_file(world.path("state/installation.copy")).unwrap();
    let file = world.path("state/accounts/a.json");
    let mut document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for field in ["grant", "spent", "bereft", "aside", "before", "sha256"] {
        document.as_object_mut().unwrap().remove(field);
    }
    std::fs::write(&file, document.to_string()).unwrap();
    let agent = world.start(&config);
    agent.until_well();
    throughout("no request", millis(500), || world.sim.requests() == 2);
    config["accounts"]["a"]["params"] = json!({ "scope": "a" });
    world.write(&config);
    agent.until("another token", secs(10), |status| generation(status, "a") == 3 && all_well(status));
    none_dead(&world);
}

#[test]
fn where_the_installation_and_its_copy_are_lost_the_refresh_token_is_kept_and_its_seed_not_sent_again() {
    let world = World::living(secs(600));
    let mut config = world.one(ONLY);
    rotated(&world, &config).stop();
    let record = std::fs::read(world.path("state/accounts/a.json")).unwrap();
    let names = ["state/installation", "state/installation.copy"];
    let backup = names.map(|name| std::fs::read(world.path(name)).unwrap());
    names.iter().for_each(|name| std::fs::write(world.path(name), "x").unwrap());
    let agent = world.start(&config);
    agent.until("words", secs(10), |status| said(status).contains("was spent before"));
    assert!(agent.log().contains("accounts/NAME.json.orphan-1"));
    let aside = world.path("state/accounts/a.json.orphan-1");
    assert_eq!(std::fs::read(&aside).unwrap(), record);
    throughout("no request", millis(500), || world.sim.requests() == 2);
    agent.stop();
    // With a backup of `installation`, all is as it was.
    std::fs::rename(&aside, world.path("state/accounts/a.json")).unwrap();
    std::fs::write(world.path(names[0]), &backup[0]).unwrap();
    let agent = world.start(&config);
    agent.until_well();
    assert_eq!(world.sim.requests(), 2);
    assert_eq!(agent.renew("a").0, 200);
    agent.stop();
    // Without one, a fresh first refresh token.
    names.iter().for_each(|name| std::fs::write(world.path(name), "x").unwrap());
    let agent = world.start(&config);
    agent.until("words", secs(10), |status| said(status).contains("was spent before"));
    config["accounts"]["a"]["credentials"]["refresh_token"] = "seed-of-another-consent".into();
    world.canaries.add("seed-of-another-consent");
    world.write(&config);
    agent.until("a token", secs(15), |status| generation(status, "a") == 4 && all_well(status));
    none_dead(&world);
}

#[test]
fn a_renamed_account_does_not_spend_its_seed_a_second_time_and_goes_on_under_its_former_name() {
    let world = World::living(secs(600));
    let config = world.one(ONLY);
    let mut renamed = config.clone();
    let accounts = renamed["accounts"].as_object_mut().unwrap();
    let account_of_a = accounts.remove("a").unwrap();
    accounts.insert("b".to_owned(), account_of_a);
    renamed["accounts"]["b"]["sinks"] = json!([{ "file": world.out("b.token") }]);
    let refused = |status: &Value| {
        let account = status["accounts"].as_array().unwrap().iter().find(|account| account["name"] == "b");
        account.and_then(|account| account["error"]["message"].as_str()).is_some_and(|said| {
            said.contains("was spent by the account `a`") && said.contains("give it that name again")
        })
    };
    let agent = rotated(&world, &config);
    world.write(&renamed);
    agent.until("a word on it", secs(10), refused);
    throughout("no request", secs(1), || world.sim.requests() == 2);
    world.write(&config);
    agent.until("its token under its own name", secs(10), |status| {
        status["accounts"][0]["name"] == "a" && status["accounts"][0]["generation"] == 2 && all_well(status)
    });
    assert_eq!(agent.renew("a").0, 200);
    agent.until_well();
    agent.stop();
    // While it is down, too.
    let agent = world.start(&renamed);
    agent.until("a word on it", secs(10), refused);
    assert_eq!(world.sim.requests(), 3);
    none_dead(&world);
    agent.stop();
}
