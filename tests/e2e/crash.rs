//! Killed at any moment, the next agent takes over whole files and usable accounts.

use std::sync::Arc;

use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};

use crate::support::{Reader, World, account, all_well, millis, secs, setting};

/// An account that was killed inside of its requests waits 60 s at most from the last of them. Where the vendor then repeats
/// a stored reply, whose token of these short lives is over, the failure waits `1 s + U(0, 60 s)` once more. The rest is for
/// two starts and their requests. (An account that was killed outside of them waits for nothing.)
const RECOVERY: std::time::Duration = secs(60 + 61 + 9);

/// Not random, so that a failure comes again; spread evenly all the same.
fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33
}

#[test]
fn killed_at_any_instant_under_rotating_refresh_tokens_no_account_is_lost_and_no_file_partial() {
    let kills = setting("RENEWD_KILLS", 20);
    let mut options = Options::with_lifetime(secs(6));
    options.lifetimes = [(Provider::OAuthRefreshToken, secs(5))].into();
    let world = World::with(options);
    let kinds = [Provider::PortOne, Provider::BizppurioRcs, Provider::Bizppurio];
    let mut names = Vec::new();
    let mut accounts = Vec::new();
    for number in 0..6 {
        for kind in kinds {
            let name = format!("{kind}-{number}");
            let mut account = world.account(kind, &name);
            account["sinks"] = json!([
                { "file": { "path": world.out(&format!("{name}.json")), "content": "json" } },
                { "file": { "path": world.out(&format!("{name}.token")) } },
            ]);
            names.push((kind, name.clone()));
            accounts.push((name, account));
        }
    }
    // Long enough that many kills fall into a request.
    world.sim.fault("*=delay:60ms");
    world.write(&world.config(accounts));
    let agent = world.run().start();
    agent.until_well();
    let readers: Vec<(String, Reader)> = names
        .iter()
        .map(|(_, name)| {
            let canaries = Arc::clone(&world.canaries);
            let document = Reader::start(world.out(&format!("{name}.json")), millis(2), move |content| {
                let document: Value =
                    serde_json::from_slice(content.ok_or("no file")?).map_err(|_| "partial")?;
                let token = document["access_token"].as_str().ok_or("no token")?;
                canaries.add(token);
                if token.len() < 40 { Err("partial token".to_owned()) } else { Ok(()) }
            });
            (name.clone(), document)
        })
        .collect();
    agent.kill();
    for number in 0..kills {
        let agent = world.run().start();
        std::thread::sleep(millis(150 + scattered(number) % 1_400));
        agent.kill();
        // Every fifth time it may finish, as a crash loop that a person looks after.
        if number % 5 == 4 {
            let killed = world.leftovers();
            let agent = world.run().start();
            agent.until("all accounts usable again", RECOVERY, all_well);
            assert!(killed.iter().all(|path| !path.exists()), "{killed:?}");
            agent.kill();
        }
    }
    let killed = world.leftovers();
    let agent = world.run().start();
    agent.until("all accounts usable again", RECOVERY, all_well);
    assert!(killed.iter().all(|path| !path.exists()), "{killed:?}");
    for (name, reader) in readers {
        let seen = reader.stop();
        assert!(seen.bad.is_empty() && seen.looks > 100, "{name}: {seen:?}");
    }
    let start = std::time::Instant::now();
    for (kind, name) in &names {
        while !world.sim.accepts(*kind, &world.read(&format!("{name}.token"))) {
            let status = agent.status();
            assert!(start.elapsed() < RECOVERY, "{name} is not usable: {}", account(&status, name));
            std::thread::sleep(millis(50));
        }
    }
    agent.stop();
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    // No request of an account ran beside another of it, and refresh tokens were spent twice only where a kill
    // had cut a request off.
    for kind in kinds {
        let stats = world.sim.stats();
        let issued = &stats.providers[kind.name()];
        eprintln!(
            "{kind}: {} requests, {} granted, {} refused",
            issued.requests, issued.granted, issued.refused
        );
    }
}

#[test]
fn a_single_use_refresh_token_without_another_way_in_survives_kills_outside_of_requests() {
    let world = World::living(secs(600));
    let config = world.one(Provider::OAuthRefreshToken);
    let agent = world.start(&config);
    agent.until_well();
    agent.kill();
    for expected in 2..=6 {
        let agent = world.run().start();
        agent.until_well();
        let (status, reply) = agent.renew("a");
        assert_eq!((status, &reply["generation"]), (200, &json!(expected)), "{reply}");
        // At once: what the reply brought was durable before anyone heard of it.
        agent.kill();
    }
    let stats = world.sim.stats();
    let refresh = &stats.providers["oauth2-refresh-token"].operations["refresh"]["id-a"];
    assert_eq!((refresh.granted, refresh.dead_refresh_tokens), (6, 0));
}

#[test]
fn leftover_temporary_files_are_gone_after_the_next_start_and_strangers_files_stay() {
    let world = World::living(secs(600));
    let config = world.one(Provider::PortOne);
    let agent = world.start(&config);
    agent.until_well();
    agent.kill();
    let prefix = renewd::atomic::TEMPORARY_PREFIX;
    for folder in ["out", "state", "state/accounts"] {
        std::fs::write(world.path(folder).join(format!("{prefix}1234.0")), "half a tok").unwrap();
        std::fs::write(world.path(folder).join("not-ours.tmp"), "").unwrap();
    }
    let agent = world.run().start();
    agent.until_well();
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    for folder in ["out", "state", "state/accounts"] {
        assert!(world.path(folder).join("not-ours.tmp").exists());
    }
}
