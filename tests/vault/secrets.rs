//! Accounts whose credentials stand in Vault.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::support::{World, account, class, generation, is_well, secs, state, throughout};

const ANY: Provider = Provider::OAuthClientCredentials;

fn key(path: &str, key: &str) -> Value {
    json!({ "vault": { "mount": "secret", "path": path, "key": key } })
}

/// An account whose id and secret both stand in Vault.
fn from_vault(world: &World, name: &str) -> (String, Value) {
    let mut account = world.account(ANY, name);
    let path = format!("vendors/{name}");
    account["credentials"] = json!({ "client_id": key(&path, "id"), "client_secret": key(&path, "secret") });
    (name.to_owned(), account)
}

fn store(bench: &Bench, name: &str, secret: &str) {
    bench.canaries.add(secret);
    bench.write(&format!("vendors/{name}"), json!({ "id": format!("id-{name}"), "secret": secret }));
}

#[test]
fn a_secret_that_changes_in_vault_is_noticed_at_hup_and_a_restart_asks_for_nothing() {
    let bench = bench!();
    store(&bench, "a", "first-secret-of-a");
    let agent = bench.world.start(&bench.vault(bench.approle("10m"), [from_vault(&bench, "a")]));
    agent.until_well();
    agent.stop();
    let agent = bench.run().start();
    agent.until_well();
    throughout("the stored token serves", secs(1), || bench.sim.requests() == 1);

    bench.write("vendors/a", json!({ "id": "id-a", "secret": "wrong" }));
    assert_eq!(agent.renew("a").0, 502);
    assert_eq!(state(&agent.status(), "a"), "rejected");
    store(&bench, "a", "second-secret-of-a");
    agent.signal(Signal::HUP);
    // By itself it would be tried after 30 s.
    agent.until("the new secret", secs(5), |status| {
        generation(status, "a") == 2 && is_well(account(status, "a"))
    });

    // Another id is another account: its token is asked for at once.
    bench.write("vendors/a", json!({ "id": "id-other", "secret": "second-secret-of-a" }));
    agent.signal(Signal::HUP);
    agent.until("the other account's", secs(5), |status| {
        generation(status, "a") == 3 && is_well(account(status, "a"))
    });
    assert_eq!(bench.sim.requests_of("id-other"), 1);
    agent.stop();

    // Also where it changes while no agent runs.
    store(&bench, "a", "second-secret-of-a");
    let agent = bench.run().start();
    agent.until("its own again", secs(5), |status| {
        generation(status, "a") == 4 && is_well(account(status, "a"))
    });
    agent.stop();
}

#[test]
fn a_missing_key_is_a_config_error_with_its_name() {
    let bench = bench!();
    bench.write("vendors/a", json!({ "id": "id-a" }));
    let agent = bench.world.start(&bench.vault(bench.approle("10m"), [from_vault(&bench, "a")]));
    let status = agent.until("the error", secs(10), |status| class(status, "a") == "config");
    let message = account(&status, "a")["error"]["message"].as_str().unwrap();
    let words = "credential `client_secret`: the secret at `secret/vendors/a` in Vault has no key `secret`";
    assert!(message.starts_with(words), "{message}");
    agent.stop();
}

/// Eight accounts that need Vault and one that does not, at one vendor's host with four places.
fn beside_eight(world: &World, address: &str) -> Value {
    let eight = (0..8).map(|number| from_vault(world, &format!("v{number}")));
    let mut config = world.config(eight.chain([("z".to_owned(), world.account(ANY, "z"))]));
    let token = world.put("vault-token", "s.made-up");
    config["vault"] = json!({ "address": address, "auth": { "token": { "file": token } } });
    config["limits"]["hosts"] = json!({ "127.0.0.1": { "rate": "off", "concurrency": 4 } });
    config
}

fn time_to_first_token(world: &World, config: &Value) -> Duration {
    let _ = std::fs::remove_dir_all(world.path("state"));
    let began = Instant::now();
    let agent = world.start(config);
    agent.until("z", secs(20), |status| is_well(account(status, "z")));
    let took = began.elapsed();
    agent.stop();
    took
}

#[test]
fn a_vault_that_is_away_or_hangs_at_the_start_delays_no_other_account() {
    let world = World::living(secs(600));
    let alone = world.config([("z".to_owned(), world.account(ANY, "z"))]);
    let alone = time_to_first_token(&world, &alone);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hanging = format!("http://{}", silent.local_addr().unwrap());
    let refused = format!("http://{}", {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    });
    let away = time_to_first_token(&world, &beside_eight(&world, &refused));
    let hangs = time_to_first_token(&world, &beside_eight(&world, &hanging));
    eprintln!("first token: alone {alone:?}, with Vault away {away:?}, with one that hangs {hangs:?}");
    // A second, and as much again for a machine that does other things too.
    assert!(away < alone + secs(2) && hangs < alone + secs(2), "{alone:?} {away:?} {hangs:?}");
}

#[test]
fn a_living_token_stays_well_while_vault_is_away() {
    let mut bench = bench!();
    store(&bench, "a", "first-secret-of-a");
    let agent = bench.world.start(&bench.vault(bench.approle("10m"), [from_vault(&bench, "a")]));
    agent.until_well();
    agent.stop();
    bench.kill();
    let agent = bench.run().start();
    agent.until_well();
    agent.signal(Signal::HUP);
    throughout("nothing is missing yet", secs(2), || crate::support::all_well(&agent.status()));
    assert_eq!(agent.renew("a").0, 502);
    assert_eq!(class(&agent.status(), "a"), "config");
    bench.run_bao();
    bench.unseal();
    agent.until("healing", secs(25), |status| generation(status, "a") == 2 && is_well(account(status, "a")));
    agent.stop();
}
