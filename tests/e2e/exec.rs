//! `renewd exec`: real commands, a real agent.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use renewd::simulator::Provider;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Agent, World, is_root, secs, skip, until};

/// A command under `renewd exec`; killed with the test.
struct Exec(Child);

impl Exec {
    fn start(world: &World, options: &[&str], command: &[&str]) -> Self {
        let words = [&["exec"], options, &["--"], command].concat();
        let child =
            world.run().command(&words).stdin(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        Self(child)
    }

    /// A shell script with the world's folder as `$0`.
    fn shell(world: &World, options: &[&str], script: &str) -> Self {
        Self::start(world, options, &["sh", "-c", script, world.path("").to_str().unwrap()])
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    #[track_caller]
    fn end(&mut self) -> ExitStatus {
        until("the command's end", secs(15), || self.0.try_wait().unwrap())
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            std::thread::sleep(Duration::from_millis(300));
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn started() -> (World, Agent) {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    agent.until_well();
    (world, agent)
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[track_caller]
fn until_lines(path: &Path, count: usize) -> Vec<String> {
    until("lines", secs(15), || Some(lines(path)).filter(|lines| lines.len() >= count))
}

#[track_caller]
fn renewed(world: &World, agent: &Agent) -> String {
    assert_eq!(agent.renew("a").0, 200);
    let token = world.canary_token("a", agent);
    assert_eq!(token, world.read("a.token"));
    token
}

#[test]
fn the_command_finds_its_tokens_and_its_exit_status_is_handed_through() {
    let (world, agent) = started();
    let token = world.canary_token("a", &agent);
    let run = |options: &[&str], script: &str| {
        let words = [&["exec"], options, &["--", "sh", "-c", script]].concat();
        let output = world.renewd(&words);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(&["--account", "a"], "printf %s \"$A_ACCESS_TOKEN\"; exit 7"), (7, token.clone()));
    let named = ["--env", "T=a.access_token", "--env", "G=a.generation"];
    assert_eq!(run(&named, "printf %s \"$T $G ${A_ACCESS_TOKEN-none}\""), (0, format!("{token} 1 none")));
    assert_eq!(run(&["--account", "a"], "kill -TERM $$").0, 143);
    assert_eq!(run(&["--account", "a"], "kill -KILL $$").0, 137);
    let status = |program: &str| world.renewd(&["exec", "--account", "a", "--", program]).status.code();
    assert_eq!(status("/nonexistent/app"), Some(127));
    assert_eq!(status(world.config_path().to_str().unwrap()), Some(126));
}

#[test]
fn an_unknown_account_is_told_at_once_and_an_absent_agent_is_waited_for() {
    let (world, agent) = started();
    let output = world.renewd(&["exec", "--account", "b", "--", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no account `b`"));
    assert_eq!(world.renewd(&["exec", "--", "true"]).status.code(), Some(2));
    agent.stop();
    let output = world.renewd(&["exec", "--account", "a", "--timeout", "500ms", "--", "true"]);
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no agent answers"));
    let file = world.path("started");
    let mut exec =
        Exec::shell(&world, &["--account", "a", "--timeout", "20s"], "echo $A_ACCESS_TOKEN > $0/started");
    let agent = world.run().start();
    agent.until_well();
    assert!(exec.end().success());
    assert_eq!(lines(&file), [world.canary_token("a", &agent)]);
}

#[test]
fn a_question_for_another_token_waits_for_it() {
    let (world, agent) = started();
    let (status, document) = agent.get("/v1/accounts/a/token?after=0");
    assert_eq!((status, &document["generation"]), (200, &1.into()));
    assert_eq!(agent.get("/v1/accounts/a/token?after=1&timeout=1").0, 304);
    assert_eq!(agent.get("/v1/accounts/b/token?after=1&timeout=1").0, 404);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| agent.get("/v1/accounts/a/token?after=1&timeout=20"));
        let token = renewed(&world, &agent);
        let (status, document) = asked.join().unwrap();
        assert_eq!((status, &document["access_token"]), (200, &token.into()));
    });
}

#[test]
fn neither_environment_nor_arguments_of_renewd_exec_hold_a_token() {
    let (world, agent) = started();
    let token = world.canary_token("a", &agent);
    let _exec = Exec::shell(&world, &["--account", "a"], "echo $PPID > $0/pid; exec sleep 60");
    let exec: i32 = until_lines(&world.path("pid"), 1)[0].parse().unwrap();
    if !is_root() {
        return skip(
            "neither_environment_nor_arguments_of_renewd_exec_hold_a_token",
            "only root sees the environment of a process that cannot be dumped",
        );
    }
    for name in ["environ", "cmdline"] {
        let held = std::fs::read(format!("/proc/{exec}/{name}")).unwrap();
        assert!(
            !held.is_empty() && !held.windows(token.len()).any(|part| part == token.as_bytes()),
            "{name}"
        );
    }
}

#[test]
fn a_renewal_restarts_the_command_with_the_new_token() {
    let (world, agent) = started();
    let first = world.canary_token("a", &agent);
    let script = "echo \"$A_ACCESS_TOKEN $$\" >> $0/starts; exec sleep 60";
    let mut exec = Exec::shell(&world, &["--account", "a", "--on-change", "restart"], script);
    until_lines(&world.path("starts"), 1);
    let second = renewed(&world, &agent);
    let starts = until_lines(&world.path("starts"), 2);
    let (tokens, pids): (Vec<_>, Vec<_>) = starts.iter().map(|line| line.split_once(' ').unwrap()).unzip();
    assert_eq!(tokens, [first, second]);
    assert!(!Path::new(&format!("/proc/{}", pids[0])).exists(), "reaped");
    exec.signal(Signal::TERM);
    assert_eq!(exec.end().code(), Some(143));
}

#[test]
fn a_command_that_ignores_term_is_killed_for_a_restart() {
    let (world, agent) = started();
    let script = "trap '' TERM; echo $A_ACCESS_TOKEN >> $0/starts; while [ -e $0 ]; do sleep 0.1; done";
    let options = ["--account", "a", "--on-change", "restart", "--stop-timeout", "500ms"];
    let exec = Exec::shell(&world, &options, script);
    until_lines(&world.path("starts"), 1);
    let token = renewed(&world, &agent);
    assert_eq!(until_lines(&world.path("starts"), 2)[1], token);
    drop(exec);
}

#[test]
fn token_files_are_fresh_when_the_signal_comes_and_gone_in_the_end() {
    let (world, agent) = started();
    let first = world.canary_token("a", &agent);
    let folder = world.path("private");
    let script = "trap 'cat $A_TOKEN_FILE >> $0/seen; echo >> $0/seen' HUP; trap 'exit 3' TERM
                  echo \"${A_ACCESS_TOKEN-none}\" >> $0/seen; cat $A_TOKEN_FILE >> $0/seen; echo >> $0/seen
                  while :; do sleep 0.05; done";
    let files = folder.to_str().unwrap();
    let options = ["--account", "a", "--files", files, "--on-change", "signal:HUP"];
    let mut exec = Exec::shell(&world, &options, script);
    assert_eq!(until_lines(&world.path("seen"), 2), ["none".to_owned(), first]);
    let second = renewed(&world, &agent);
    assert_eq!(until_lines(&world.path("seen"), 3)[2], second);
    exec.signal(Signal::TERM);
    assert_eq!(exec.end().code(), Some(3));
    assert!(!folder.exists());
}

#[test]
fn what_others_send_is_passed_on_once() {
    let (world, _agent) = started();
    let script = "for s in HUP INT QUIT USR1 USR2 WINCH CONT; do trap \"echo $s >> $0/got\" $s; done
                  trap 'echo TERM >> $0/got; exit 5' TERM; echo > $0/ready; while :; do sleep 0.02; done";
    let mut exec = Exec::shell(&world, &["--account", "a"], script);
    until_lines(&world.path("ready"), 1);
    let all = [
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::CONT, "CONT"),
        (Signal::TERM, "TERM"),
    ];
    for (number, (signal, name)) in all.into_iter().enumerate() {
        exec.signal(signal);
        let got = until_lines(&world.path("got"), number + 1);
        assert_eq!((got.len(), got[number].as_str()), (number + 1, name));
    }
    assert_eq!(exec.end().code(), Some(5));
}

#[test]
fn ctrl_c_on_a_terminal_reaches_the_command_once() {
    let (world, _agent) = started();
    let name = "ctrl_c_on_a_terminal_reaches_the_command_once";
    let probe =
        Command::new("script").args(["-q", "-e", "-c", "true", "/dev/null"]).stdin(Stdio::null()).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        return skip(name, "`script` (util-linux) is not installed, or there are no pseudo-terminals here");
    }
    let binary = crate::support::binary();
    let body = world.put(
        "body.sh",
        &format!(
            "trap 'echo INT >> {0}/got' INT; trap 'exit 4' TERM; echo $PPID > {0}/pid; while :; do sleep 0.05; done\n",
            world.path("").display()
        ),
    );
    let line = format!("exec {} exec --account a -- sh {}", binary.display(), body.display());
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("RENEWD_CONFIG", world.config_path())
        .env_remove("RENEWD_SOCKET")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let exec: i32 = until_lines(&world.path("pid"), 1)[0].parse().unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    for number in 1..=3 {
        keys.write_all(b"\x03").unwrap();
        keys.flush().unwrap();
        until_lines(&world.path("got"), number);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(lines(&world.path("got")).len(), number, "once each");
    }
    kill_process(Pid::from_raw(exec).unwrap(), Signal::TERM).unwrap();
    let status = until("the terminal's end", secs(10), || terminal.try_wait().unwrap());
    assert_eq!(status.code(), Some(4));
}

#[test]
fn the_command_outlives_a_restart_of_the_agent_and_hears_of_later_renewals() {
    let (world, agent) = started();
    let script = "trap 'cat $A_TOKEN_FILE >> $0/seen; echo >> $0/seen' USR1; echo $$ >> $0/pid
                  while :; do sleep 0.05; done";
    let folder = world.path("private");
    let options = ["--account", "a", "--files", folder.to_str().unwrap(), "--on-change", "signal:USR1"];
    let exec = Exec::shell(&world, &options, script);
    until_lines(&world.path("pid"), 1);
    agent.kill();
    let agent = world.run().start();
    agent.until_well();
    let token = renewed(&world, &agent);
    assert_eq!(until_lines(&world.path("seen"), 1), [token]);
    // Without its state the agent counts from one again.
    agent.stop();
    std::fs::remove_dir_all(world.path("state")).unwrap();
    let agent = world.run().start();
    agent.until_well();
    let token = world.canary_token("a", &agent);
    assert_eq!(*until_lines(&world.path("seen"), 2).last().unwrap(), token);
    assert_eq!(lines(&world.path("pid")).len(), 1, "started once");
    drop(exec);
}

#[test]
fn as_process_one_it_reaps_everybodys_orphans() {
    let (world, _agent) = started();
    let name = "as_process_one_it_reaps_everybodys_orphans";
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !Command::new(unshare[0])
        .args(&unshare[1..])
        .arg("true")
        .output()
        .is_ok_and(|done| done.status.success())
    {
        return skip(name, "no process namespace may be made here");
    }
    // A subshell that ends leaves each sleep to process 1.
    let script = "test $PPID = 1 || exit 9; for n in 1 2 3; do (sleep 0.2 & ); done; sleep 1
                  grep -l '^State:.Z' /proc/[0-9]*/status && exit 8; exit 0";
    let mut run = world.run();
    run.wrapper = unshare.map(str::to_owned).to_vec();
    let output = run.finish(&["exec", "--account", "a", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_signal_that_is_ignored_stays_ignored_for_the_command() {
    let (world, _agent) = started();
    let mut run = world.run();
    run.wrapper = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    let script = "grep '^SigIgn' /proc/self/status";
    let output = run.finish(&["exec", "--account", "a", "--", "sh", "-c", script]);
    let said = String::from_utf8(output.stdout).unwrap();
    let mask = u64::from_str_radix(said.split_whitespace().nth(1).unwrap(), 16).unwrap();
    assert_eq!(mask & 1, 1, "{said}");
}
