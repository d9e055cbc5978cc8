//! The N-th system call of a rotation is the last one, or fails, for one N after another.
//!
//! strace is put on the running agent once its account is well, so that calls are counted from the renewal on: in each thread by
//! itself, and the first one to reach N is hit. `RENEWD_INJECTIONS` is how many of the calls are tried, spread over all of them: the long form tries each.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use renewd::simulator::Provider;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Agent, World, account, generation, is_well, secs, setting, skip};

/// What a rotation is made of: the socket's request, the intent, the exchange, the reply's state, the sinks, the answer.
const CALLS: &str = "openat,read,write,writev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,fchmod,fchown,\
                     ftruncate,connect,sendto,sendmsg,recvfrom,accept4,close,statx,newfstatat,mkdirat,linkat,symlinkat";

/// strace on a running process, taken off in the end.
struct Strace {
    child: Child,
    log: std::path::PathBuf,
}

impl Strace {
    fn on(agent: &Agent, world: &World, arguments: &[&str]) -> Self {
        let log = world.path("strace");
        let mut child = Command::new("strace")
            .args(["-f", "-o", log.to_str().unwrap(), "-p", &agent.pid().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // What else it says is of no interest, but it must be able to.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { child, log }
    }

    /// Takes it off the process, and gives what it has seen.
    fn off(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::INT);
        self.child.wait().unwrap();
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }
}

fn can_trace(test: &str) -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        skip(test, "there is no strace, or it may not trace");
    }
    works
}

/// One account whose refresh token may be spent once, delivered twice.
fn rotating(provider: Provider) -> World {
    let world = World::living(secs(600));
    let mut config = world.one(provider);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": world.out("a.token") },
        { "file": { "path": world.out("a.json"), "content": "json" } },
    ]);
    world.write(&config);
    world
}

/// How many calls of `calls` the busiest thread makes in a rotation.
fn calls_of_a_rotation(world: &World, calls: &str) -> u64 {
    let agent = world.run().start();
    agent.until_well();
    let trace = Strace::on(&agent, world, &["-e", &format!("trace={calls}")]);
    assert_eq!(agent.renew("a").0, 200);
    agent.until_well();
    let text = trace.off();
    agent.stop();
    let mut threads = std::collections::BTreeMap::<&str, u64>::new();
    for line in text.lines().filter(|line| line.contains('(') && !line.contains("resumed>")) {
        *threads.entry(line.split(' ').next().unwrap()).or_default() += 1;
    }
    threads.into_values().max().unwrap_or_default()
}

/// Numbers of calls, spread evenly: that many unless it is said how many.
fn tried(calls: u64, otherwise: u64) -> Vec<u64> {
    let most = setting("RENEWD_INJECTIONS", otherwise).min(calls);
    (0..most).map(|number| 1 + number * calls / most).collect()
}

/// Both files are whole, and hold one token each that the vendor gave.
#[track_caller]
fn whole(world: &World, when: &str) -> [String; 2] {
    let document: Value =
        serde_json::from_str(&world.read("a.json")).unwrap_or_else(|error| panic!("{when}: {error}"));
    let tokens = [world.read("a.token"), document["access_token"].as_str().unwrap().to_owned()];
    for token in &tokens {
        world.canaries.add(token);
        assert!(world.sim.accepts(Provider::PortOne, token), "{when}: a token that does not hold");
    }
    tokens
}

#[test]
fn killed_at_any_call_of_a_rotation_the_files_are_whole_and_no_login_is_needed() {
    if !can_trace("killed_at_any_call_of_a_rotation_the_files_are_whole_and_no_login_is_needed") {
        return;
    }
    let world = rotating(Provider::PortOne);
    let calls = calls_of_a_rotation(&world, CALLS);
    let (mut killed, mut answered) = (0, 0);
    for number in tried(calls, 12) {
        let mut agent = world.run().start();
        agent.until_well();
        let before =
            world.sim.stats().providers["portone"].operations["refresh"].values().next().unwrap().granted;
        let injection = format!("inject={CALLS}:signal=KILL:when={number}");
        let trace = Strace::on(&agent, &world, &["-e", &format!("trace={CALLS}"), "-e", &injection]);
        // It may be gone before it answers.
        let answer = crate::support::call(agent.socket(), "POST", "/v1/accounts/a/renew?timeout=30", "");
        answered += u32::from(matches!(answer, Ok((200, _))));
        let end = agent.ends_within(secs(if matches!(answer, Ok((200, _))) { 1 } else { 10 }));
        killed += u32::from(end.is_some());
        drop(trace.off());
        let when = format!("killed at call {number} of {calls}");
        if end.is_none() {
            agent.stop();
        }
        whole(&world, &when);
        let temporary = world.leftovers();

        let agent = world.run().start();
        let status = agent.until("the next agent's tokens", secs(30), |status| is_well(account(status, "a")));
        assert!(temporary.iter().all(|path| !path.exists()), "{when}: {temporary:?} are left");
        // The reply that the vendor gave, if it gave one, is had again; nothing is spent twice.
        let (code, reply) = agent.renew("a");
        assert_eq!(code, 200, "{when}: {reply}\n{}", account(&status, "a"));
        agent.until_well();
        let [token, of_document] = whole(&world, &when);
        assert_eq!(token, of_document, "{when}");
        agent.stop();
        let stats = world.sim.stats();
        let refreshes = stats.providers["portone"].operations["refresh"].values().next().unwrap();
        assert!(refreshes.granted > before, "{when}");
        assert_eq!(refreshes.dead_refresh_tokens, 0, "{when}: a spent refresh token was used again");
        let logins = stats.providers["portone"].operations["issue"].values().next().unwrap().requests;
        assert_eq!(logins, 1, "{when}: another login");
    }
    eprintln!("{killed} kills, {answered} of them after the answer; {calls} calls in the busiest thread");
    assert!(killed > 0);
}

/// Calls that reach a disk, and what they fail with.
const DISK: [(&str, &str); 7] = [
    ("fsync,fdatasync", "EIO"),
    ("rename,renameat,renameat2", "EIO"),
    ("rename,renameat,renameat2", "EDQUOT"),
    ("pwrite64,fallocate", "EDQUOT"),
    ("fchmod,fchown", "EPERM"),
    ("unlink,unlinkat", "EIO"),
    ("openat", "EMFILE"),
];

#[test]
fn a_disk_that_fails_at_any_call_of_a_rotation_costs_no_token_and_heals_alone() {
    if !can_trace("a_disk_that_fails_at_any_call_of_a_rotation_costs_no_token_and_heals_alone") {
        return;
    }
    let world = rotating(Provider::PortOne);
    let counts: Vec<u64> = DISK.iter().map(|(calls, _)| calls_of_a_rotation(&world, calls)).collect();
    let agent = world.run().start();
    agent.until_well();
    let (mut failed, mut renewed) = (0, 0);
    for ((calls, error), count) in DISK.iter().zip(counts) {
        for number in tried(count, 3) {
            let before = generation(&agent.status(), "a");
            let injection = format!("inject={calls}:error={error}:when={number}");
            let trace = Strace::on(&agent, &world, &["-e", &format!("trace={calls}"), "-e", &injection]);
            let (code, _) = agent.renew("a");
            let when = format!("{error} at call {number} of {count} of {calls}");
            whole(&world, &when);
            let text = trace.off();
            let injected = text.matches("(INJECTED)").count();
            failed += injected;
            renewed += u32::from(code == 200);
            // Alone: nobody asks for anything.
            let status = agent.until(&when, secs(75), |status| is_well(account(status, "a")));
            assert!(generation(&status, "a") >= before, "{when}");
            if code != 200 {
                assert_eq!(agent.renew("a").0, 200, "{when}");
                agent.until_well();
            }
            let [token, of_document] = whole(&world, &when);
            assert_eq!(token, of_document, "{when}");
        }
    }
    let stats = world.sim.stats();
    let portone = &stats.providers["portone"].operations;
    let refreshes = portone["refresh"].values().next().unwrap();
    eprintln!("{failed} calls failed, {renewed} renewals worked all the same; {refreshes:?}");
    assert!(failed > 0);
    assert_eq!(refreshes.dead_refresh_tokens, 0);
    assert_eq!(portone["issue"].values().next().unwrap().requests, 1, "another login");
    agent.stop();
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
}
