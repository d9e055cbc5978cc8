//! How much memory accounts take, and what is left when there is no more.

use std::process::Command;

use renewd::simulator::Provider;
use serde_json::Value;

use crate::support::{Agent, World, all_well, secs, setting, skip, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Accounts on ten hosts without limits, and one reply in five too large or without an end.
fn crowd(world: &World, count: u64) -> Value {
    let accounts = (0..count).map(|number| {
        let name = format!("a{number}");
        let mut account = world.account(ANY, &name);
        account["base_url"] = world.sim.base_url(ANY, 10 + u8::try_from(number % 10).unwrap()).into();
        (name, account)
    });
    let mut config = world.config(accounts);
    for host in 10..20 {
        config["limits"]["hosts"][format!("127.0.0.{host}")] =
            serde_json::json!({ "rate": "off", "concurrency": 8 });
    }
    config
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(agent: &Agent, line: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':')).unwrap();
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn many_accounts_live_in_64_mib() {
    let count = setting("RENEWD_MEMORY_ACCOUNTS", 200);
    let world = World::living(secs(3_600));
    world.write(&crowd(&world, count));
    let agent = world.run().start_with(&["run", "--log-level", "info"]);
    agent.until("all well", secs(180), all_well);
    let settled = memory(&agent, "VmHWM");
    agent.signal(rustix::process::Signal::USR1);
    let renewed = |status: &Value| {
        all_well(status)
            && status["accounts"].as_array().unwrap().iter().all(|account| account["generation"] == 2)
    };
    agent.until("all renewed", secs(180), renewed);
    let peak = memory(&agent, "VmHWM");
    eprintln!(
        "{count} accounts: {} MiB at most once all had a token, {} MiB once all were renewed at once",
        settled / 1024,
        peak / 1024
    );
    // The promise is 64 MiB, of the release build.
    let bound = if cfg!(debug_assertions) { 96 } else { 64 };
    assert!(peak <= bound * 1024, "{} MiB", peak / 1024);
    agent.stop();
}

#[test]
fn an_agent_that_gets_no_more_memory_ends_and_the_next_one_has_its_tokens() {
    let test = "an_agent_that_gets_no_more_memory_ends_and_the_next_one_has_its_tokens";
    let world = World::living(secs(3_600));
    world.write(&crowd(&world, 50));
    let mut agent = world.run().start_with(&["run", "--log-level", "info"]);
    agent.until("all well", secs(60), all_well);
    let tokens = || (0..50).map(|number| world.read(&format!("a{number}.token"))).collect::<Vec<_>>();
    let before = tokens();
    let pid = agent.pid().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, "--data=65536:65536"]).status();
    if !set.is_ok_and(|status| status.success()) {
        return skip(test, "prlimit is not permitted");
    }
    // It lives on what it has, or ends as if it were killed: a supervisor starts the next one.
    world.sim.fault("*=body-huge");
    let mut ended = None;
    for _ in 0..20 {
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_raw(agent.pid()).unwrap(),
            rustix::process::Signal::USR1,
        );
        ended = agent.ends_within(secs(1));
        if ended.is_some() {
            break;
        }
    }
    eprintln!("without more memory: {ended:?}");
    assert!(tokens().iter().all(|token| world.sim.accepts(ANY, token)), "no file was spoilt");
    match ended {
        Some(_) => drop(agent),
        None => agent.kill(),
    }
    let asked = world.sim.requests();
    world.sim.clear();
    let agent = world.run().start_with(&["run", "--log-level", "info"]);
    agent.until("all well", secs(120), all_well);
    let again = world.sim.requests() - asked;
    eprintln!("the next one asked {again} times for 50 accounts");
    let after = until("the files", secs(5), || Some(tokens()));
    assert!(after.iter().all(|token| world.sim.accepts(ANY, token)));
    assert!(again <= 50, "{again} requests");
    let kept = after.iter().zip(&before).filter(|(after, before)| after == before).count();
    eprintln!("{kept} of 50 tokens are those of before");
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    agent.stop();
}
