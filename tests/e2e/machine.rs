//! The machine's own limits, and the order in which things reach its disk.

use std::process::{Command, Stdio};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{
    World, account, all_well, free_port, generation, http_get, is_root, is_well, secs, skip, until,
};

const ANY: Provider = Provider::OAuthClientCredentials;

#[test]
fn an_agent_without_file_descriptors_keeps_its_tokens_and_recovers() {
    let world = World::living(secs(600));
    let config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("a.token");
    let limit = |number: &str| {
        let pid = agent.pid().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={number}:4096")]).status();
        set.is_ok_and(|status| status.success())
    };
    if !limit("3") {
        return skip(
            "an_agent_without_file_descriptors_keeps_its_tokens_and_recovers",
            "prlimit is not permitted",
        );
    }
    // Nobody can ask over the socket now: it could not be accepted.
    agent.signal(rustix::process::Signal::USR1);
    until("a failure", secs(10), || {
        (agent.logged("renewal_failed") + agent.logged("sink_failed") > 0).then_some(())
    });
    assert_eq!(world.read("a.token"), token);
    assert!(limit("1024"));
    agent.until("recovery", secs(75), |status| all_well(status) && generation(status, "a") >= 2);
}

#[test]
fn endless_and_oversized_replies_to_a_hundred_accounts_take_little_memory_and_few_descriptors() {
    let world = World::living(secs(600));
    let faults = ["body-endless", "body-huge", "gzip-bomb", "endless-headers", "token-huge"];
    let accounts = (0..100).map(|number| {
        let name = format!("a{number}");
        let mut account = world.account(ANY, &name);
        // Ten hosts, so that forty are in flight at once.
        account["base_url"] = world.sim.base_url(ANY, 10 + u8::try_from(number % 10).unwrap()).into();
        let fault = faults[number % faults.len()];
        world.sim.fault(&format!("{ANY}/id-{name}={fault}"));
        (name, account)
    });
    let agent = world.start(&world.config(accounts));
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().count();
    let mut most = 0;
    // On a busy machine a reply may not come to its limit within the 30 s of an exchange, which is an end of it, too. What
    // each fault means is asked in `faults`.
    let ended = |account: &Value| {
        let class = &account["error"]["class"];
        class == "malformed" || class == "transient"
    };
    until("an end of all", secs(60), || {
        most = most.max(descriptors());
        agent.status()["accounts"].as_array().unwrap().iter().all(ended).then_some(())
    });
    assert!(most <= 256, "{most} descriptors");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    eprintln!("{} MiB, {most} descriptors", peak / 1024);
    // The promise is 64 MiB, of the release build.
    let bound = if cfg!(debug_assertions) { 96 } else { 64 };
    assert!(peak <= bound * 1024, "{} MiB", peak / 1024);
}

/// Runs an agent with a file system at `hung` whose server never answers: whoever names a path below it waits.
fn with_a_disk_that_hangs(world: &World) -> Option<Vec<String>> {
    std::fs::create_dir(world.path("hung")).unwrap();
    let mount = format!(
        "exec 9<>/dev/fuse && mount -i -t fuse -o fd=9,rootmode=40000,user_id=0,group_id=0 none {} && exec \"$@\"",
        world.path("hung").display()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success()).then(|| wrapper.map(str::to_owned).to_vec())
}

#[test]
fn a_disk_that_hangs_holds_up_no_other_and_is_in_the_metrics() {
    let test = "a_disk_that_hangs_holds_up_no_other_and_is_in_the_metrics";
    let (world, port) = (World::living(secs(600)), free_port());
    let Some(wrapper) = with_a_disk_that_hangs(&world) else {
        return skip(test, "no file system can be mounted");
    };
    let mut config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
    let stuck = world.path("hung/a.token");
    config["accounts"]["a"]["sinks"] = json!([{ "file": stuck }, { "file": world.out("a.token") }]);
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    config["agent"]["shutdown_grace"] = "2s".into();
    world.write(&config);
    let mut run = world.run();
    run.wrapper = wrapper;
    let agent = run.start();
    let hangs = |status: &Value| account(status, "a")["sinks"][0]["writing_since"].is_string();
    let status = agent.until("the write that hangs", secs(20), hangs);
    assert!(is_well(account(&status, "b")), "{status}");
    assert_eq!(account(&status, "a")["sinks"][1]["state"], "written");
    let page = http_get(port, "/metrics", "localhost").unwrap().1;
    let series = format!(
        "renewd_sink_write_start_timestamp_seconds{{account=\"a\",sink=\"file:{}\"}}",
        stuck.display()
    );
    assert!(page.contains(&series), "{page}");
    assert_eq!(agent.renew("b").0, 200);
    assert_eq!(http_get(port, "/livez", "localhost").unwrap().0, 200);
    // Nothing can end that write; the process ends all the same.
    agent.stop();
}

const EAT: &str = "RENEWD_TEST_EATS_WATCHES";

/// Not a test of its own: run by the next one as another user, it uses up that user's watchers and waits to be killed.
#[test]
fn eater_of_watches() {
    if std::env::var_os(EAT).is_none() {
        return;
    }
    let mut eaten = Vec::new();
    while let Ok(watcher) = notify::recommended_watcher(|_| {}) {
        eaten.push(watcher);
    }
    println!("full after {}", eaten.len());
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
}

#[test]
fn where_no_file_can_be_watched_changes_are_found_by_looking() {
    let test = "where_no_file_can_be_watched_changes_are_found_by_looking";
    if !is_root() {
        return skip(test, "the limit of another user is used up");
    }
    const USER: u32 = 61_234;
    let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".to_owned()];
    let started = Command::new("setpriv")
        .args(ids)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "machine::eater_of_watches", "--nocapture"])
        .env(EAT, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut eater) = started else { return skip(test, "there is no setpriv") };
    let said = std::io::BufReader::new(eater.stdout.take().unwrap());
    assert!(
        std::io::BufRead::lines(said).any(|line| line.unwrap().contains("full")),
        "the eater has eaten all"
    );
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    world.write(&config);
    world.give_to(USER);
    let agent = world.run().by_user(USER).start();
    agent.until_well();
    config["accounts"]["b"] = world.account(ANY, "b");
    world.write(&config);
    std::os::unix::fs::chown(world.config_path(), Some(USER), Some(USER)).unwrap();
    agent.until("the new account, without a signal", secs(6), |status| {
        status["accounts"].as_array().unwrap().len() == 2 && all_well(status)
    });
    assert_eq!(agent.logged("polling"), 1, "it is said once");
    eater.kill().unwrap();
    eater.wait().unwrap();
}

/// One file mounted over another, unmounted with the test.
struct Bind(std::path::PathBuf);

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_single_file_bind_mount_is_written_in_place_and_otherwise_told() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    for name in ["in-place", "replaced"] {
        std::fs::write(world.path(name), "old").unwrap();
        std::fs::write(world.out(name), "").unwrap();
    }
    let mount = |name: &str| {
        let done = Command::new("mount").arg("--bind").arg(world.path(name)).arg(world.out(name)).output();
        done.is_ok_and(|done| done.status.success()).then(|| Bind(world.out(name)))
    };
    let (Some(_one), Some(_other)) = (mount("in-place"), mount("replaced")) else {
        return skip(
            "a_single_file_bind_mount_is_written_in_place_and_otherwise_told",
            "mounting is not permitted",
        );
    };
    config["accounts"]["a"]["sinks"] = json!([
        { "file": { "path": world.out("in-place"), "write": "in-place", "when_expired": "remove" } },
        { "file": { "path": world.out("replaced") } },
    ]);
    let agent = world.start(&config);
    let sink = |status: &Value, number: usize| account(status, "a")["sinks"][number].clone();
    let status = agent.until("both verdicts", secs(5), |status| {
        sink(status, 0)["state"] == "written" && sink(status, 1)["state"] == "failed"
    });
    assert!(world.sim.accepts(ANY, &std::fs::read_to_string(world.path("in-place")).unwrap()));
    let message = sink(&status, 1)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("in-place"), "{message}");
    assert_eq!(std::fs::read_to_string(world.path("replaced")).unwrap(), "old");
}

/// A line of a trace: what was done with which file.
#[derive(Debug, PartialEq)]
enum Step {
    StateRenamed,
    StateFolderSynced,
    RequestSent,
    SinkRenamed,
}

/// Runs the agent under strace with one account, renews it so often, and gives the calls that were traced.
fn traced(test: &str, provider: Provider, calls: &str, rounds: u64) -> Option<String> {
    let world = World::living(secs(600));
    world.write(&world.one(provider));
    let trace = world.path("trace");
    let works = Command::new("strace").args(["-f", "-o"]).arg(&trace).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        skip(test, "there is no strace, or it may not trace");
        return None;
    }
    let mut run = world.run();
    let words = ["strace", "-f", "-y", "-s", "160", "-e", calls, "-o", trace.to_str().unwrap()];
    run.wrapper = words.map(str::to_owned).to_vec();
    let mut agent = run.start();
    agent.until("the first token", secs(30), |status| is_well(account(status, "a")));
    for round in 0..rounds {
        assert_eq!(agent.renew("a").0, 200, "{round}");
        agent.until("its delivery", secs(20), |status| is_well(account(status, "a")));
    }
    // The agent is strace's child: it ends with the terminal's signal to both.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", agent.pid())).unwrap();
    let agent_pid = children.split_whitespace().next().unwrap().parse::<i32>().unwrap();
    let agent_pid = rustix::process::Pid::from_raw(agent_pid).unwrap();
    rustix::process::kill_process(agent_pid, rustix::process::Signal::TERM).unwrap();
    agent.ends_within(secs(10)).expect("an end");
    Some(std::fs::read_to_string(&trace).unwrap())
}

#[test]
fn a_login_is_synced_before_its_delivery_where_its_token_ends_the_one_before_and_else_not_at_all() {
    let test =
        "a_login_is_synced_before_its_delivery_where_its_token_ends_the_one_before_and_else_not_at_all";
    let calls = "trace=fsync,fdatasync,sync,syncfs,rename,renameat,renameat2";
    for (provider, ends_the_old) in [(ANY, false), (Provider::Bizppurio, true)] {
        let Some(text) = traced(test, provider, calls, 10) else { return };
        let synced: Vec<&str> = text.lines().filter(|line| line.contains("sync(")).collect();
        // Eleven tokens, each its file and its folder.
        let of = |place: &str| synced.iter().filter(|line| line.contains(place)).count();
        assert!((11..=22).contains(&of("/out")), "{provider}: {synced:#?}");
        let state = of("/state/accounts");
        assert_eq!(state > 0, ends_the_old, "{provider}: {synced:#?}");
        // No sink before the record of its token is where the next start looks for it.
        let mut durable = 0;
        for step in text.lines().filter_map(step).filter(|_| ends_the_old) {
            match step {
                Step::StateFolderSynced => durable += 1,
                Step::SinkRenamed => {
                    assert!(durable > 0, "{text}");
                    durable = 0;
                }
                Step::StateRenamed | Step::RequestSent => {}
            }
        }
    }
}

#[test]
fn an_intent_is_durable_before_its_request_and_a_new_refresh_token_before_any_sink() {
    let test = "an_intent_is_durable_before_its_request_and_a_new_refresh_token_before_any_sink";
    let calls = "trace=rename,renameat,renameat2,fsync,fdatasync,sendto,write,writev,sendmsg";
    let rounds = crate::support::setting("RENEWD_ROTATIONS", 25);
    let Some(text) = traced(test, Provider::PortOne, calls, rounds) else { return };
    let steps: Vec<Step> = text.lines().filter_map(step).collect();
    let rotations = steps.iter().filter(|step| **step == Step::RequestSent).count() as u64;
    assert_eq!(rotations, rounds, "requests that spend a refresh token\n{steps:?}");
    // How often since the last request a record was renamed into place and its folder synced after that: once for
    // the reply before a sink may have it, and once more for the next intent.
    let (mut renamed, mut durable, mut needed) = (false, 0, 1);
    for (at, step) in steps.iter().enumerate() {
        let around = || format!("{:?}", &steps[at.saturating_sub(8)..=at]);
        match step {
            Step::StateRenamed => renamed = true,
            Step::StateFolderSynced => durable += u32::from(std::mem::take(&mut renamed)),
            Step::RequestSent => {
                assert!(durable >= needed && !renamed, "an intent that is not durable: {}", around());
                (durable, needed) = (0, 2);
            }
            Step::SinkRenamed => assert!(durable >= 1, "a sink before its state: {}", around()),
        }
    }
}

fn step(line: &str) -> Option<Step> {
    if !line.contains(" = ") && !line.contains("<unfinished") {
        return None;
    }
    let call = line.split_whitespace().nth(1)?;
    if call.starts_with("rename") && line.contains("a.json\"") {
        return Some(Step::StateRenamed);
    }
    if call.starts_with("rename") && line.contains("a.token\"") {
        return Some(Step::SinkRenamed);
    }
    if (call.starts_with("fsync") || call.starts_with("fdatasync")) && line.contains("/state/accounts>") {
        return Some(Step::StateFolderSynced);
    }
    let sends = ["sendto", "write", "sendmsg"].iter().any(|name| call.starts_with(name));
    (sends && line.contains("/token/refresh")).then_some(Step::RequestSent)
}

#[test]
fn a_ca_file_that_cannot_be_read_fails_its_own_account_and_nobody_else() {
    let world = World::living(secs(10));
    let root = include_bytes!("../../src/provider/client/testdata/ca.pem");
    let mut config =
        world.config(["plain", "good", "bad"].map(|name| (name.to_owned(), world.account(ANY, name))));
    for name in ["good", "bad"] {
        let file = world.put(&format!("{name}.pem"), std::str::from_utf8(root).unwrap());
        config["accounts"][name]["http"] = json!({ "ca_file": file });
    }
    let agent = world.start(&config);
    let before = agent.until_well();
    let file = world.path("bad.pem");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let wished = |status: &Value| {
        let error = account(status, "bad")["error"]["message"].as_str().unwrap_or_default().to_owned();
        let renewed = |name| generation(status, name) >= generation(&before, name) + 3;
        error.contains("http.ca_file is not a regular file") && renewed("plain") && renewed("good")
    };
    agent.until("the others renewed three times", secs(60), wished);
    // Mended, it goes on.
    world.put("new.pem", std::str::from_utf8(root).unwrap());
    std::fs::rename(world.path("new.pem"), &file).unwrap();
    assert_eq!(agent.renew("bad").0, 200);
    agent.until("everything fresh again", secs(20), all_well);
    agent.stop();
}

#[test]
fn files_that_hang_fail_their_own_accounts_and_nobody_else() {
    let test = "files_that_hang_fail_their_own_accounts_and_nobody_else";
    let world = World::living(secs(10));
    let Some(wrapper) = with_a_disk_that_hangs(&world) else {
        return skip(test, "no file system can be mounted");
    };
    let root = include_str!("../../src/provider/client/testdata/ca.pem");
    let mut config =
        world.config(["plain", "ca", "secret"].map(|name| (name.to_owned(), world.account(ANY, name))));
    config["accounts"]["ca"]["http"] = json!({ "ca_file": world.put("ca.pem", root) });
    let secret = config["accounts"]["secret"]["credentials"]["client_secret"].as_str().unwrap().to_owned();
    config["accounts"]["secret"]["credentials"]["client_secret"] =
        json!({ "file": world.put("secret", &secret) });
    config["agent"]["shutdown_grace"] = "2s".into();
    world.write(&config);
    let mut run = world.run();
    run.wrapper = wrapper;
    let agent = run.start();
    let before = agent.until_well();
    for name in ["ca.pem", "secret"] {
        std::os::unix::fs::symlink(world.path("hung/file"), world.path("link")).unwrap();
        std::fs::rename(world.path("link"), world.path(name)).unwrap();
    }
    agent.until("the others renewed all the while", secs(90), |status| {
        let says = |name, words: &str| {
            account(status, name)["error"]["message"].as_str().is_some_and(|message| message.contains(words))
        };
        says("ca", &format!("http.ca_file {} does not answer", world.path("ca.pem").display()))
            && says("secret", "does not answer; hint: is it on a file server that is away?")
            && generation(status, "plain") >= generation(&before, "plain") + 4
    });
    // A reload looks at the secrets of what is new, and does not wait for them either.
    config["accounts"]["new"] = world.account(ANY, "new");
    config["accounts"]["new"]["credentials"]["client_secret"] = json!({ "file": world.path("secret") });
    config["accounts"]["newer"] = world.account(ANY, "newer");
    world.write(&config);
    assert_eq!(agent.post("/v1/reload", "").0, 200);
    agent.until("the new account's first token", secs(20), |status| {
        account(status, "newer")["state"] == "fresh"
    });
    agent.stop();
}
