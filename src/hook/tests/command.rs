#![expect(clippy::disallowed_methods, reason = "a test measures and writes scripts")]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{HookError, notice, pid_in, process, run, runner, template_notice, until, usual};
use crate::config::model::Hook;
use crate::hook::{CommandTrouble, Notice, kind};

fn command(words: &[&str], limit: Duration) -> Hook {
    Hook::Command { argv: words.iter().map(|word| (*word).to_owned()).collect(), timeout: limit }
}

fn shell(script: &str, limit: Duration) -> Hook {
    command(&["sh", "-c", script], limit)
}

const LONG: Duration = Duration::from_secs(30);

fn trouble(ended: Result<(), HookError>) -> CommandTrouble {
    match ended {
        Err(HookError::Command { trouble, .. }) => trouble,
        other => panic!("{other:?}"),
    }
}

/// What `env` says within the hook.
async fn environment_of(notice: &Notice) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let script = format!("env -0 > '{}'", file.display());
    let agents = |name: &str| match name {
        "PATH" => std::env::var_os("PATH"),
        "HOME" => Some("/home/agent".into()),
        "LANG" => Some("C.UTF-8".into()),
        _ => Some("canary-7f3a".into()),
    };
    runner(Arc::new(agents)).run(&shell(&script, LONG), notice).await.unwrap();
    let said = std::fs::read_to_string(file).unwrap();
    assert!(!said.contains("canary-7f3a"));
    let all = said.split_terminator('\0').map(|line| line.split_once('=').unwrap());
    // The shell's own.
    let all = all.filter(|(name, _)| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn a_command_sees_the_documented_environment_and_nothing_else() {
    let seen = environment_of(&notice()).await;
    let path = std::env::var("PATH").unwrap();
    let expected = [
        ("HOME", "/home/agent"),
        ("LANG", "C.UTF-8"),
        ("PATH", path.as_str()),
        ("RENEWD_ACCOUNT", "messaging"),
        ("RENEWD_EXPIRES_AT", "2026-03-01T10:40:00Z"),
        ("RENEWD_GENERATION", "7"),
        ("RENEWD_ISSUED_AT", "2026-03-01T09:40:00Z"),
        ("RENEWD_PROVIDER", "bizppurio"),
        ("RENEWD_TARGETS", "file:/run/my app/token\nvault:secret/tokens/messaging"),
    ];
    assert_eq!(
        seen.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
        expected
    );

    let seen = environment_of(&template_notice()).await;
    let names: Vec<&str> =
        seen.keys().map(String::as_str).filter(|name| name.starts_with("RENEWD")).collect();
    assert_eq!(names, ["RENEWD_ACCOUNTS", "RENEWD_EXPIRES_AT", "RENEWD_TARGETS", "RENEWD_TEMPLATE"]);
    assert_eq!(seen["RENEWD_ACCOUNTS"], "messaging shop");
    assert_eq!(seen["RENEWD_EXPIRES_AT"], "2026-03-01T10:13:20Z");
    assert_eq!(seen["RENEWD_TEMPLATE"], "/run/renewd/app.env");
}

#[tokio::test]
async fn a_command_gets_its_words_as_they_are_and_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("said");
    let script = "printf '%s|' \"$@\" > \"$0\"; cat >> \"$0\"";
    let path = file.to_str().unwrap();
    run(&command(&["sh", "-c", script, path, "$(id)", "a b", "*", ""], LONG)).await.unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), "$(id)|a b|*||");
}

#[tokio::test]
async fn a_command_inherits_no_open_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("open");
    // As the agent opens everything. (What this process has inherited itself is not its to close.)
    let held = folder.path().join("held");
    let _held = std::fs::File::create(&held).unwrap();
    let script =
        format!("for fd in /proc/$$/fd/*; do readlink \"$fd\" || :; done > '{}'; exit 0", file.display());
    run(&shell(&script, LONG)).await.unwrap();
    let open = std::fs::read_to_string(file).unwrap();
    assert!(open.lines().count() >= 3, "{open}");
    assert!(!open.lines().any(|path| path == held.to_str().unwrap()), "{open}");
}

#[tokio::test]
async fn a_command_that_fails_says_how() {
    assert_eq!(trouble(run(&shell("echo why; exit 3", LONG)).await), CommandTrouble::Failed(3));
    assert_eq!(trouble(run(&shell("kill -SEGV $$", LONG)).await), CommandTrouble::Killed(11));
    let missing = run(&command(&["/nonexistent/reload"], LONG)).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the hook's command `/nonexistent/reload` cannot be started: no such file or directory"
    );
    assert!(missing.hint().unwrap().contains("whole path"));

    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reload");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    let denied = run(&command(&[script.to_str().unwrap()], LONG)).await.unwrap_err();
    assert_eq!(
        denied.hint().unwrap().split(':').next().unwrap(),
        "the agent's user must be allowed to run it"
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    run(&command(&[script.to_str().unwrap()], LONG)).await.unwrap();
    assert_eq!(kind(&command(&["true"], LONG)), "command");
}

#[tokio::test]
async fn a_command_that_hangs_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > '{}'; wait", file.display());
    let start = Instant::now();
    let limit = Duration::from_millis(300);
    assert_eq!(trouble(run(&shell(&script, limit)).await), CommandTrouble::TooSlow(limit));
    assert!(start.elapsed() < Duration::from_secs(2), "TERM was enough: {:?}", start.elapsed());
    let grandchild = pid_in(&file).unwrap();
    until("the grandchild is gone", || process(grandchild).is_none_or(|(state, _)| state == 'Z'));
}

#[tokio::test]
async fn what_ignores_term_is_killed_two_seconds_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    // The leader ends at TERM; what it started does not heed it, nor has it the pipe any more.
    let script = format!(
        "sh -c 'trap \"\" TERM; echo $$ > {0}; exec >/dev/null 2>&1; while :; do sleep 0.1; done' & wait",
        file.display()
    );
    let limit = Duration::from_millis(500);
    for script in [script, "trap '' TERM; while :; do sleep 0.1; done".to_owned()] {
        let start = Instant::now();
        assert_eq!(trouble(run(&shell(&script, limit)).await), CommandTrouble::TooSlow(limit));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    let grandchild = pid_in(&file).unwrap();
    until("the grandchild is gone", || process(grandchild).is_none_or(|(state, _)| state == 'Z'));
}

#[tokio::test]
async fn a_daemon_that_is_left_behind_with_the_pipe_holds_nobody_up_and_lives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("setsid sh -c 'echo $$ > {}; exec sleep 1000' & exit 0", file.display());
    let start = Instant::now();
    run(&shell(&script, LONG)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    until("the daemon has started", || pid_in(&file).is_some());
    let daemon = pid_in(&file).unwrap();
    assert!(process(daemon).is_some_and(|(state, _)| state != 'Z'));
    kill_process(Pid::from_raw(daemon).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_gigabyte_of_output_neither_blocks_nor_fills_the_memory() {
    run(&command(&["true"], LONG)).await.unwrap(); // the system's roots are read once
    let before = peak_memory();
    let start = Instant::now();
    run(&shell("head -c 1073741824 /dev/zero; echo done >&2", LONG)).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    let limit = Duration::from_millis(500);
    assert_eq!(trouble(run(&command(&["yes"], limit)).await), CommandTrouble::TooSlow(limit));
    let grown = peak_memory() - before;
    assert!(grown < 8 << 10, "{grown} KiB more");
}

/// The most that this process ever had in memory, KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_run_that_is_no_longer_wanted_ends_what_it_has_begun_and_leaves_no_zombie() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > '{}'; while :; do sleep 0.05; done", file.display());
    let hook = shell(&script, LONG);
    let task = tokio::spawn(async move { usual().run(&hook, &notice()).await });
    while pid_in(&file).is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let leader = pid_in(&file).unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // Reaped by the runtime, which must go on turning for that.
    for _ in 0..1000 {
        if process(leader).is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", process(leader));
}

#[tokio::test]
async fn no_run_leaves_a_zombie() {
    let folder = tempfile::tempdir().unwrap();
    for (number, script) in ["exit 0", "exit 1", "kill -KILL $$", "trap '' TERM; sleep 60"].iter().enumerate()
    {
        let file = folder.path().join(number.to_string());
        let script = format!("echo $$ > '{}'; {script}", file.display());
        let _ = run(&shell(&script, Duration::from_millis(200))).await;
        let leader = pid_in(&file).unwrap();
        let ours = process(leader).is_some_and(|(_, parent)| parent == std::process::id().cast_signed());
        assert!(!ours, "{script}: {:?}", process(leader));
    }
}
