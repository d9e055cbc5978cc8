//! `on_change:` through the agent: who is told, when, how often, and that a bad hook is nobody else's affair.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{Agent, World, account, free_port, http_get, millis, secs, setting, throughout, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Whoever gets webhooks: keeps each request whole and answers 204.
pub(crate) struct Inbox {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Inbox {
    pub(crate) fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(request) = received(stream) {
                    kept.lock().unwrap().push(request);
                }
            }
        });
        Self { address, requests }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn bodies(&self) -> Vec<Value> {
        let body = |request: String| serde_json::from_str(request.split_once("\r\n\r\n")?.1).ok();
        self.all().into_iter().map(|request| body(request).expect("a JSON document")).collect()
    }
}

fn received(stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        let line = head[start..].to_ascii_lowercase();
        length = line.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}

/// A shell that notes each HUP in `heard`, and its pid file.
struct Listener {
    child: Child,
    pid_file: PathBuf,
    heard: PathBuf,
}

impl Listener {
    fn start(world: &World) -> Self {
        let heard = world.path("heard");
        let script = format!(
            "trap 'echo HUP >> {0}' HUP; echo up > {0}; while :; do sleep 0.02; done",
            heard.display()
        );
        let child = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        let pid_file = world.put("app.pid", &format!("{}\n", child.id()));
        until("the application", secs(5), || heard.exists().then_some(()));
        Self { child, pid_file, heard }
    }

    fn count(&self) -> usize {
        lines(&self.heard).len() - 1
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn sh(script: String) -> Value {
    json!({ "command": ["/bin/sh", "-c", script] })
}

fn sh_within(limit: &str, script: String) -> Value {
    json!({ "command": { "argv": ["/bin/sh", "-c", script], "timeout": limit } })
}

/// Appends the generation to a file.
fn notes(path: &Path) -> Value {
    sh(format!("echo \"$RENEWD_GENERATION\" >> {}", path.display()))
}

fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn signal_command_and_webhook_are_told_once_a_token_and_never_the_token() {
    let world = World::living(secs(600));
    let (inbox, application) = (Inbox::start(), Listener::start(&world));
    let (told, port) = (world.path("told"), free_port());
    let mut config = world.one(ANY);
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    config["accounts"]["a"]["on_change"] = json!([
        { "signal": { "pid_file": application.pid_file, "signal": "HUP" } },
        sh(format!("env >> {0}; echo END >> {0}", told.display())),
        { "webhook": { "url": format!("http://{}/a-secret-path", inbox.address) } },
    ]);
    world.write(&config);
    let agent = world.run().env("A_SECRET_OF_THE_AGENT", "may-not-be-handed-on").start();
    agent.until_well();
    let ends = || lines(&told).iter().filter(|line| *line == "END").count();
    let counts = || (application.count(), ends(), inbox.all().len());
    until("all three", secs(10), || (counts() == (1, 1, 1)).then_some(()));
    let first = world.read("a.token");
    assert_eq!(agent.renew("a").0, 200);
    until("all three again", secs(10), || (counts() == (2, 2, 2)).then_some(()));
    throughout("once", secs(1), || counts() == (2, 2, 2));

    let allowed = ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"];
    let mine = ["ACCOUNT", "PROVIDER", "GENERATION", "ISSUED_AT", "EXPIRES_AT", "TARGETS"];
    for line in lines(&told).iter().filter(|line| *line != "END") {
        let name = line.split_once('=').unwrap().0;
        let known = name.strip_prefix("RENEWD_").is_some_and(|rest| mine.contains(&rest));
        assert!(known || allowed.contains(&name), "{line}");
    }
    let bodies = inbox.bodies();
    assert_eq!((&bodies[0]["generation"], &bodies[1]["generation"]), (&json!(1), &json!(2)));
    assert_eq!(bodies[1]["targets"], json!([format!("file:{}", world.out("a.token").display())]));
    let scrape = || http_get(port, "/metrics", "localhost").unwrap().1;
    for kind in ["signal", "command", "webhook"] {
        let series = format!("renewd_hook_runs_total{{kind=\"{kind}\",result=\"ok\"}} 2");
        until(&series, secs(5), || scrape().contains(&series).then_some(()));
    }

    // No token where it does not belong; the log, at trace, is searched when the agent ends.
    world.canaries.add(&first);
    world.canary_token("a", &agent);
    let heard = [inbox.all().join("\n"), fs::read_to_string(&told).unwrap()].concat();
    assert!(world.canaries.found_in(&heard).is_empty(), "{heard}");
    agent.stop();
}

#[test]
fn neither_a_failing_sink_nor_a_restart_confuses_who_was_told() {
    let world = World::living(secs(600));
    let told = world.path("told");
    let blocked = world.path("blocked/b.token");
    world.put("blocked", "a file where a folder should be");
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] = json!([{ "file": world.out("a.token") }, { "file": blocked }]);
    let named = world.path("named");
    let names = sh(format!("echo $RENEWD_TARGETS >> {}", named.display()));
    config["accounts"]["a"]["on_change"] = json!([notes(&told), names]);
    let (whole, broken) =
        (format!("file:{}", world.out("a.token").display()), format!("file:{}", blocked.display()));
    let agent = world.start(&config);
    until("the hook, without the failing sink", secs(10), || (lines(&told) == ["1"]).then_some(()));
    throughout("once", secs(1), || lines(&told) == ["1"]);
    assert_eq!(lines(&named), [whole.as_str()], "nobody is sent to what is not there");
    fs::remove_file(world.path("blocked")).unwrap();
    agent.until_well();
    until("the hook again, for those who read the late one", secs(10), || {
        (lines(&told) == ["1", "1"] && lines(&named).len() == 2).then_some(())
    });
    assert_eq!(lines(&named)[1], format!("{whole} {broken}"));
    assert_eq!(agent.renew("a").0, 200);
    until("the next", secs(10), || (lines(&told) == ["1", "1", "2"]).then_some(()));
    agent.until("its note", secs(5), |_| kept_mark(&world, "a") == 2);
    agent.kill();
    for _ in 0..3 {
        let agent = world.run().start();
        agent.until_well();
        throughout("nobody is told again", secs(1), || lines(&told).len() == 3);
        agent.stop();
    }
    assert_eq!(world.sim.requests(), 2);
}

/// What the state directory says the hooks of an account know.
fn kept_mark(world: &World, account: &str) -> u64 {
    let text = fs::read(world.path(&format!("state/accounts/{account}.json"))).unwrap_or_default();
    let record: Value = serde_json::from_slice(&text).unwrap_or_default();
    record["notified"].as_u64().unwrap_or_default()
}

/// How long after the question the token is in its file, and how long until its hook has run.
fn round(agent: &Agent, world: &World, told: &Path) -> (Duration, Duration) {
    let (before, known) = (world.read("good.token"), lines(told).len());
    let start = Instant::now();
    assert_eq!(agent.renew("good").0, 200);
    until("the good one's file", secs(20), || (world.read("good.token") != before).then_some(()));
    let delivered = start.elapsed();
    until("the good one's hook", secs(20), || (lines(told).len() > known).then_some(()));
    (delivered, start.elapsed())
}

#[test]
fn hooks_that_hang_fork_print_without_end_or_fail_delay_nobody_else_by_a_second() {
    let failures = setting("RENEWD_HOOK_FAILURES", 2);
    let printed = setting("RENEWD_HOOK_OUTPUT", 50_000_000);
    let world = World::living(secs(3600));
    let told = world.path("told");
    let (hung, forked) = (world.path("hung"), world.path("forked"));
    let (shouted, failed) = (world.path("shouted"), world.path("failed"));
    let mut config = world.one(ANY);
    let mut add = |name: &str, hook: Value| {
        config["accounts"][name] = world.account(ANY, name);
        config["accounts"][name]["on_change"] = json!([hook]);
    };
    add("good", notes(&told));
    // More of them than any pool has places, deaf to TERM.
    for number in 0..40 {
        let script = format!("trap '' TERM; echo $$ >> {}; while :; do sleep 1; done", hung.display());
        add(&format!("hangs-{number}"), sh_within("3s", script));
    }
    let fork = format!(
        "for i in 1 2 3 4 5 6 7 8; do (trap '' TERM; exec sleep 600) & echo $! >> {}; done; wait",
        forked.display()
    );
    add("forks", sh_within("2s", fork));
    add("shouts", sh(format!("head -c {printed} /dev/zero; echo done >> {}", shouted.display())));
    let fails =
        format!("echo $RENEWD_GENERATION >> {0}; [ $(wc -l < {0}) -gt {failures} ]", failed.display());
    add("fails", sh(fails));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    add("waits", json!({ "webhook": { "url": url, "timeout": "20s" } }));
    let agent = world.start(&config);
    agent.until_well();
    until("40 that hang", secs(20), || (lines(&hung).len() >= 40).then_some(()));
    let requests = world.sim.requests();
    let mut slowest = (Duration::ZERO, Duration::ZERO);
    let (start, mut rounds) = (Instant::now(), 0);
    while start.elapsed() < secs(8) {
        let took = round(&agent, &world, &told);
        slowest = (slowest.0.max(took.0), slowest.1.max(took.1));
        rounds += 1;
    }
    eprintln!(
        "{rounds} rounds beside bad hooks; the slowest: delivered {:?}, hook {:?}",
        slowest.0, slowest.1
    );
    assert!(slowest.0 < secs(1) && slowest.1 < millis(1250), "{slowest:?}");

    // Nobody of theirs is left once their time is over, but for those of a retry.
    let first: Vec<String> =
        lines(&hung).into_iter().take(40).chain(lines(&forked).into_iter().take(8)).collect();
    until("the end of them", secs(15), || (!first.iter().any(|pid| lives(pid))).then_some(()));
    until("the end of the output", secs(120), || (lines(&shouted) == ["done"]).then_some(()));
    let tries = usize::try_from(failures).unwrap() + 1;
    until("a success at last", secs(20 + 60 * failures), || (lines(&failed).len() == tries).then_some(()));
    assert!(lines(&failed).iter().all(|generation| generation == "1"), "no renewal for a hook");
    throughout("told once it has succeeded", secs(1), || lines(&failed).len() == tries);
    assert_eq!(world.sim.requests(), requests + rounds);
    let pids = || lines(&hung).into_iter().chain(lines(&forked));
    agent.stop();
    assert!(!pids().any(|pid| lives(&pid)), "a stopped agent leaves no late hook behind");
}

#[test]
fn a_hook_that_fails_is_to_be_seen_in_the_status_until_it_succeeds() {
    let world = World::living(secs(600));
    let (port, go) = (free_port(), world.path("go"));
    let mut config = world.one(ANY);
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    config["accounts"]["a"]["on_change"] =
        json!([sh("true".to_owned()), sh(format!("[ -e {} ]", go.display()))]);
    let agent = world.start(&config);
    let hook = |status: &Value| status["accounts"][0]["hooks"][1].clone();
    let status = agent.until("the failure", secs(10), |status| hook(status)["state"] == "failed");
    let failing = hook(&status);
    assert_eq!(failing["hook"], "command:/bin/sh#2");
    let log = agent.log();
    let line = log.lines().find(|line| line.contains("\"hook_failed\"")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["account"], "a");
    assert_eq!(line["hook"], failing["hook"], "one name");
    let message = failing["error"]["message"].as_str().unwrap();
    assert!(message.contains("ended with status 1; hint: run it by hand"), "{message}");
    assert_eq!(failing["error"]["class"], "transient");
    agent.until("its next try", secs(70), |status| hook(status)["next"].is_string());
    let output = world.renewd(&["status", "--check"]);
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    assert!(table.contains("hook command:/bin/sh#2 failed"), "{table}");
    assert!(said.contains("a: hook command:/bin/sh#2 failed: the hook's command"), "{said}");
    assert_eq!(world.renewd(&["wait", "--timeout", "5s"]).status.code(), Some(0), "the token is in place");
    assert_eq!(http_get(port, "/readyz", "localhost").unwrap().0, 200);
    world.put("go", "");
    let status = agent.until("the success", secs(70), |status| hook(status)["state"] == "told");
    assert_eq!((&hook(&status)["error"], &hook(&status)["next"]), (&Value::Null, &Value::Null));
    assert_eq!(world.renewd(&["status", "--check"]).status.code(), Some(0));
    agent.stop();
}

#[test]
fn a_hook_that_was_told_is_not_told_again_when_another_one_leaves() {
    let world = World::living(secs(600));
    let inbox = Inbox::start();
    let mut config = world.one(ANY);
    let webhook = json!({ "webhook": { "url": format!("http://{}/", inbox.address) } });
    config["accounts"]["a"]["on_change"] = json!([sh("exit 3".to_owned()), webhook]);
    let agent = world.start(&config);
    let states = |status: &Value| {
        let hooks = account(status, "a")["hooks"].as_array().unwrap().clone();
        hooks.iter().map(|hook| hook["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    agent.until("one told, one failed", secs(10), |status| states(status) == ["failed", "told"]);
    config["accounts"]["a"]["on_change"] = json!([webhook]);
    world.write(&config);
    agent.until("the failing hook to leave", secs(10), |status| states(status) == ["told"]);
    throughout("one POST", secs(2), || inbox.all().len() == 1);
    assert!(!agent.log().contains("after failures"), "the webhook never failed");
    agent.renew("a");
    until("the next token's POST", secs(5), || (inbox.all().len() == 2).then_some(()));
}

#[test]
fn once_runs_the_hooks_and_the_agent_after_it_does_not() {
    let world = World::living(secs(600));
    let (told, made) = (world.path("told"), world.path("made"));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["on_change"] = json!([notes(&told), sh("sleep 0.5; exit 3".to_owned())]);
    config["templates"] = json!([{ "path": world.out("app.env"), "inline": "A={{ accounts.a.access_token }}\n",
        "on_change": [sh(format!("sleep 1; echo \"$RENEWD_TEMPLATE\" >> {}", made.display()))] }]);
    world.write(&config);
    let output = world.renewd(&["once", "--timeout", "20s"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let all = || (lines(&told), lines(&made).len());
    assert_eq!(all(), (vec!["1".to_owned()], 1), "all have run by its end");
    // The one that fails owes it still; the others know it, unless the note waits for the last of the set.
    config["accounts"]["a"]["on_change"] = json!([notes(&told)]);
    world.write(&config);
    let known = all().0.len();
    for _ in 0..2 {
        assert_eq!(world.renewd(&["once"]).status.code(), Some(0));
    }
    let after = all();
    assert!(after.0.len() <= known + 1 && after.1 == 1, "{after:?}");
    assert_eq!(kept_mark(&world, "a"), 1);
    let agent = world.run().start();
    agent.until_well();
    throughout("nobody is told again", secs(1), || all() == after);
    agent.stop();
}

#[test]
fn term_waits_for_a_hook_within_the_grace_and_a_later_one_is_ended_and_run_again() {
    let world = World::living(secs(600));
    let (begun, ended) = (world.path("begun"), world.path("ended"));
    let script = |span: u32| {
        sh(format!(
            "echo $$ >> {}; sleep {span}; echo $RENEWD_GENERATION >> {}",
            begun.display(),
            ended.display()
        ))
    };
    let mut config = world.one(ANY);
    config["agent"]["shutdown_grace"] = "5s".into();
    config["accounts"]["a"]["on_change"] = json!([script(1)]);
    let agent = world.start(&config);
    until("the hook", secs(10), || (lines(&begun).len() == 1).then_some(()));
    let hook = account(&agent.status(), "a")["hooks"][0].clone();
    assert!(hook["state"] == "untold" && hook["running_since"].is_string(), "{hook}");
    let table = String::from_utf8(world.renewd(&["status", "a"]).stdout).unwrap();
    assert!(table.contains("running  command:/bin/sh\n      running since 20"), "{table}");
    agent.stop();
    assert_eq!(lines(&ended), ["1"]);
    let log = fs::read_to_string(world.path("agent-0.log")).unwrap();
    let awaited = log.lines().find(|line| line.contains("\"hook_awaited\"")).unwrap_or(&log);
    assert!(
        awaited.contains("\"hook\":\"command:/bin/sh\"") && awaited.contains("\"at_most\":\"5s\""),
        "{awaited}"
    );
    let agent = world.run().start();
    agent.until_well();
    throughout("it is known", secs(1), || lines(&begun).len() == 1);

    // One that takes longer than the grace.
    config["agent"]["shutdown_grace"] = "1s".into();
    config["accounts"]["a"]["on_change"] = json!([script(60)]);
    world.write(&config);
    assert_eq!(agent.post("/v1/reload", "").0, 200);
    assert_eq!(agent.renew("a").0, 200);
    until("the long hook", secs(10), || (lines(&begun).len() == 2).then_some(()));
    let start = Instant::now();
    agent.stop(); // one TERM: a second would not wait
    assert!(start.elapsed() < secs(5), "{:?}", start.elapsed());
    assert!(!lives(&lines(&begun)[1]), "it has ended with the agent");
    assert_eq!(lines(&ended), ["1"]);
    config["accounts"]["a"]["on_change"] = json!([script(0)]);
    let agent = world.start(&config);
    until("the hook again", secs(10), || (lines(&ended) == ["1", "2"]).then_some(()));
    assert_eq!(account(&agent.status(), "a")["generation"], 2);
    agent.stop();
}
