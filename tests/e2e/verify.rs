//! `verify:`: a new token is tried before anyone gets it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Reader, World, account, all_well, class, free_port, generation, http_get, millis, secs, state,
    throughout, until,
};

/// The API that a token is for: answers with one status and notes which tokens were shown to it.
struct Api {
    address: SocketAddr,
    answer: Arc<AtomicU16>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// In place of a status: no answer, and no end of the connection.
    const SILENCE: u16 = 0;

    fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, shown) = (Arc::new(AtomicU16::new(status)), Arc::new(Mutex::new(Vec::new())));
        let (its_answer, its_shown) = (Arc::clone(&answer), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for connection in listener.incoming().map_while(Result::ok) {
                let mut authorization = String::new();
                let lines = BufReader::new(&connection).lines().map_while(Result::ok);
                for line in lines.take_while(|line| !line.is_empty()) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("authorization: ") {
                        authorization = line[line.len() - value.len()..].to_owned();
                    }
                }
                its_shown.lock().unwrap().push(authorization);
                let status = its_answer.load(Ordering::SeqCst);
                if status == Self::SILENCE {
                    kept.push(connection);
                    continue;
                }
                let reply =
                    format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = (&connection).write_all(reply.as_bytes());
            }
        });
        Self { address, answer, shown }
    }

    fn answer(&self, status: u16) {
        self.answer.store(status, Ordering::SeqCst);
    }

    fn shown(&self) -> Vec<String> {
        self.shown.lock().unwrap().clone()
    }

    fn config(&self, world: &World) -> Value {
        let mut config = world.one(Provider::OAuthClientCredentials);
        config["accounts"]["a"]["verify"] =
            json!({ "url": format!("http://{}/me", self.address), "expect": [204] });
        config
    }
}

#[test]
fn a_token_that_works_is_delivered_after_it_was_tried() {
    let (world, api) = (World::living(secs(600)), Api::answering(204));
    let agent = world.start(&api.config(&world));
    agent.until_well();
    assert_eq!(api.shown(), [format!("Bearer {}", world.read("a.token"))]);
    agent.stop();
}

#[test]
fn a_token_that_does_not_work_stays_away_while_the_old_one_lives() {
    let (world, api) = (World::living(secs(600)), Api::answering(204));
    let agent = world.start(&api.config(&world));
    agent.until_well();
    let old = world.read("a.token");

    api.answer(401);
    let (status, _) = agent.renew("a");
    assert_ne!(status, 200, "the renewal is reported as failed");
    let seen = agent.until("the failure", secs(10), |status| class(status, "a") == "malformed");
    assert_eq!((state(&seen, "a"), generation(&seen, "a")), ("retrying", 1));
    let message = account(&seen, "a")["error"]["message"].as_str().unwrap();
    assert!(message.contains("`verify.url` answers HTTP 401"), "{message}");
    assert_eq!(world.read("a.token"), old);
    assert_eq!(
        agent.get("/v1/accounts/a/token").1["access_token"],
        old,
        "the socket serves the old one, too"
    );

    api.answer(204);
    let (status, _) = agent.renew("a");
    assert_eq!(status, 200);
    until("the next token", secs(10), || (world.read("a.token") != old).then_some(()));
    assert_eq!(generation(&agent.status(), "a"), 2, "generations have no gap");
    agent.stop();
}

#[test]
fn an_api_that_does_not_answer_costs_no_further_token() {
    let (world, api) = (World::living(secs(600)), Api::answering(204));
    let agent = world.start(&api.config(&world));
    agent.until_well();
    let old = world.read("a.token");

    api.answer(503);
    agent.renew("a");
    agent.until("the failure", secs(10), |status| class(status, "a") == "transient");
    let asked = world.sim.requests();
    until("two more tries", secs(60), || (api.shown().len() >= 4).then_some(()));
    assert_eq!(world.sim.requests(), asked, "the same token is tried again");
    assert_eq!(world.read("a.token"), old);

    // It is kept through a restart, too.
    agent.kill();
    let agent = world.run().start();
    api.answer(204);
    agent.until("the second token", secs(60), |status| {
        generation(status, "a") == 2 && state(status, "a") == "fresh"
    });
    until("its delivery", secs(10), || (world.read("a.token") != old).then_some(()));
    assert_eq!(world.sim.requests(), asked);
    assert_eq!(api.shown().last().unwrap(), &format!("Bearer {}", world.read("a.token")));
    agent.stop();
}

#[test]
fn a_first_token_is_delivered_even_if_it_cannot_be_verified_and_everyone_can_see_that() {
    let (world, api) = (World::living(secs(600)), Api::answering(401));
    let mut config = api.config(&world);
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let agent = world.start(&config);
    let status = agent.until_well();
    assert!(world.out("a.token").exists());
    assert!(agent.log().contains("no other living token is left"), "and the log says so");
    let why = account(&status, "a")["unverified"]["message"].as_str().unwrap();
    assert!(why.contains("`verify.url` answers HTTP 401"), "{why}");
    throughout("nothing more is asked", secs(2), || world.sim.requests() == 1);

    let (code, ready) = http_get(port, "/readyz", "127.0.0.1").unwrap();
    assert_eq!(code, 200, "{ready}");
    assert!(ready.contains("the token is not verified"), "{ready}");
    let table = world.renewd(&["status"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("not verified") && table.contains("HTTP 401"), "{table}");
    let check = world.renewd(&["status", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    let check = String::from_utf8(check.stderr).unwrap();
    assert!(check.contains("a is not verified: the new token does not work"), "{check}");

    // Also after a restart, and for `once`.
    agent.stop();
    let once = world.renewd(&["once"]);
    assert_eq!(once.status.code(), Some(0), "it is fresh and delivered");
    let said = String::from_utf8(once.stderr).unwrap();
    assert!(said.contains("delivered, but not verified: a: the new token does not work"), "{said}");

    // The next one heals it.
    api.answer(204);
    let agent = world.run().start();
    agent.until_well();
    assert_eq!(agent.renew("a").0, 200);
    assert!(account(&agent.status(), "a")["unverified"].is_null());
    agent.stop();
}

#[test]
fn while_an_api_hangs_it_is_the_verification_that_is_waited_for() {
    let world = World::living(secs(600));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = world.one(Provider::OAuthClientCredentials);
    let url = format!("http://{}/me", silent.local_addr().unwrap());
    config["accounts"]["a"]["verify"] = json!({ "url": url });
    let agent = world.start(&config);
    agent.until("the verification", secs(10), |status| account(status, "a")["verifying"] == true);
    let table = String::from_utf8(world.renewd(&["status"]).stdout).unwrap();
    assert!(table.contains("verifying") && !table.contains("asking"), "{table}");
    agent.stop();
}

#[test]
fn once_ends_in_time_though_a_verification_hangs_and_the_next_one_tries_that_very_token() {
    let (world, api) = (World::living(secs(600)), Api::answering(Api::SILENCE));
    let mut config = api.config(&world);
    // It bounds requests to the provider, and there is none.
    config["accounts"]["a"]["renew"] = json!({ "min_interval": "5m" });
    world.write(&config);
    let start = Instant::now();
    let once = world.renewd(&["once", "--timeout", "2s"]);
    let (took, said) = (start.elapsed(), String::from_utf8(once.stderr).unwrap());
    assert_eq!(once.status.code(), Some(75), "{said}");
    assert!(took >= secs(2) && took < secs(8), "a verification may take 10 s, the grace is 20 s: {took:?}");
    assert!(said.contains("1 of 1 account is not done in time"), "{said}");
    assert!(said.contains("a: its new token could not be verified in time"), "{said}");
    assert!(!world.out("a.token").exists());

    api.answer(204);
    let start = Instant::now();
    let once = world.renewd(&["once", "--timeout", "20s"]);
    assert_eq!(once.status.code(), Some(0), "{}", String::from_utf8_lossy(&once.stderr));
    assert!(start.elapsed() < secs(5), "{:?}", start.elapsed());
    assert_eq!(world.sim.requests(), 1);
    let token = format!("Bearer {}", world.read("a.token"));
    assert_eq!(api.shown(), [token.clone(), token]);
}

#[test]
fn term_does_not_wait_for_a_verification_and_the_next_start_tries_that_very_token() {
    let (world, api) = (World::living(secs(600)), Api::answering(204));
    let agent = world.start(&api.config(&world));
    agent.until_well();
    let old = world.read("a.token");
    api.answer(Api::SILENCE);
    agent.signal(Signal::USR1);
    agent.until("the verification", secs(10), |status| account(status, "a")["verifying"] == true);
    let start = Instant::now();
    agent.stop();
    assert!(start.elapsed() < secs(6), "{:?}", start.elapsed());
    assert_eq!(world.read("a.token"), old, "which lives");
    let requests = world.sim.requests();

    api.answer(204);
    let agent = world.run().start();
    agent.until("the second token, at once", secs(10), |status| {
        generation(status, "a") == 2 && all_well(status)
    });
    assert_ne!(world.read("a.token"), old);
    assert_eq!(world.sim.requests(), requests, "it was there already");
    agent.stop();
}

#[test]
fn an_api_that_hangs_leaves_no_ended_token_in_the_file() {
    let world = World::living(secs(5));
    let api = Api::answering(204);
    let agent = world.start(&api.config(&world));
    agent.until_well();
    let simulator = (*world.sim).clone();
    let reader = Reader::start(world.out("a.token"), millis(2), move |content| {
        let token = String::from_utf8(content.ok_or("no file")?.to_vec()).map_err(|_| "no text")?;
        let accepted = simulator.accepts(Provider::OAuthClientCredentials, &token);
        accepted.then_some(()).ok_or_else(|| "not accepted".to_owned())
    });
    let before = generation(&agent.status(), "a");
    api.answer(Api::SILENCE);
    // By `verify.timeout`, 10 s, each of them would come 5 s and more after the end of the one before.
    agent.until("three tokens", secs(30), |status| {
        account(status, "a")["sinks"][0]["generation"].as_u64() >= Some(before + 3)
    });
    let seen = reader.stop();
    assert!(seen.longest_gap < secs(1), "{seen:?}");
    drop(agent);
}
