//! The command line from outside: exit statuses, standard output, standard error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod checking;
mod installing;
mod stub;
mod talking;
mod units;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The command with nothing of the tester's environment that it would heed.
fn renewd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renewd"));
    command.args(arguments).stdin(Stdio::null());
    for name in
        ["RENEWD_CONFIG", "RENEWD_SOCKET", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "COLUMNS", "NO_COLOR"]
    {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8");
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    told(renewd(arguments).output().unwrap())
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(test: &str, reason: &str) {
    use std::io::Write;
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} may not be skipped: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        list.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn wrong_usage_exits_2_with_words_on_standard_error_alone() {
    for arguments in [
        &["--nonsense"][..],
        &["renew"],
        &["token", "NOT/A/NAME"],
        &["wait", "--timeout", "soon"],
        &["statsu"],
        &["providers", "nobody"],
        &["simulate", "--accounts", "1", "--days", "1", "--outage", "1d+1h"],
        &[],
    ] {
        let (exit, stdout, stderr) = run(arguments);
        assert_eq!((exit, stdout.as_str()), (2, ""), "{arguments:?}\n{stderr}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn a_misspelt_command_is_told_its_right_name() {
    assert!(run(&["statsu"]).2.contains("'status'"));
}

#[test]
fn help_and_version_are_data() {
    let (exit, stdout, stderr) = run(&["--version"]);
    let version = concat!("renewd ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((exit, stdout.as_str(), stderr.as_str()), (0, version, ""));
    let (exit, help, _) = run(&["--help"]);
    assert_eq!(exit, 0);
    let commands = "run once check plan status renew token wait providers init install schema demo simulator simulate \
                    completions man";
    for command in commands.split(' ') {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
        assert_eq!(run(&[command, "--help"]).0, 0, "{command}");
    }
    assert!(help.contains("Exit status"));
}

#[test]
fn providers_lists_all_and_prints_one() {
    let (exit, stdout, _) = run(&["providers"]);
    assert_eq!(exit, 0);
    assert_eq!(stdout.lines().count(), 11);
    assert!(stdout.contains("portone ") && stdout.contains("apiSecret"));
    let (exit, stdout, _) = run(&["providers", "portone"]);
    assert_eq!(exit, 0);
    assert!(stdout.contains("/login/api-secret"));
}

#[test]
fn the_schema_is_json() {
    let (exit, stdout, _) = run(&["schema"]);
    assert_eq!(exit, 0);
    assert!(serde_json::from_str::<Value>(&stdout).unwrap()["properties"]["accounts"].is_object());
}

#[test]
fn what_init_prints_passes_check_once_the_secrets_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, text, _) = run(&["init", "--provider", "bizppurio"]);
    assert_eq!(exit, 0);
    let path = folder.path().join("renewd.yaml");
    write(&path, &text.replace("/etc/renewd/secrets", folder.path().to_str().unwrap()));
    let check = || told(renewd(&["check", "--config"]).arg(&path).output().unwrap());
    let (exit, _, stderr) = check();
    assert_eq!(exit, 78);
    assert_eq!(stderr.matches("is missing").count(), 2, "{stderr}");
    for secret in ["bizppurio-account", "bizppurio-password"] {
        write(&folder.path().join(secret), "x");
    }
    let (exit, stdout, stderr) = check();
    assert_eq!((exit, stdout.as_str()), (0, "ok: 1 account, 1 sink\n"), "{stderr}");
}

#[test]
fn every_problem_of_a_configuration_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("renewd.yaml");
    write(
        &path,
        "accounts:\n  a:\n    provider: bizppuro\n    sink: []\n  \
         b: { provider: portone, credentials: { apiSecret: hunter2, x: hunter2 } }\n",
    );
    for command in ["check", "run", "once", "plan"] {
        let (exit, stdout, stderr) = told(renewd(&[command, "--config"]).arg(&path).output().unwrap());
        assert_eq!((exit, stdout.as_str()), (78, ""), "{command}");
        for place in [":3:", ":4:", ":5:"] {
            assert!(stderr.contains(&format!("renewd.yaml{place}")), "{stderr}");
        }
        assert!(stderr.contains("did you mean") && !stderr.contains("hunter2"), "{stderr}");
    }
}

#[test]
fn completions_and_man_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (exit, stdout, _) = run(&["completions", shell]);
        assert_eq!(exit, 0);
        assert!(stdout.contains("simulate"), "{shell}");
    }
    let (exit, page, _) = run(&["man"]);
    assert_eq!(exit, 0);
    assert!(page.contains(".TH renewd 1") && page.contains("renewd status"), "{page}");
    for heading in page.lines().filter(|line| line.starts_with(".SS")) {
        assert_eq!(heading.matches('"').count(), 2, "{heading}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(told(renewd(&["man", "--dir"]).arg(folder.path()).output().unwrap()).0, 0);
    assert!(folder.path().join("renewd-status.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child =
        renewd(&["providers", "portone"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let (exit, _, stderr) = told(child.wait_with_output().unwrap());
    assert_eq!((exit, stderr.as_str()), (0, ""));
}

#[test]
fn a_full_disk_behind_standard_output_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut providers = renewd(&["providers"]);
    let (exit, _, stderr) =
        told(providers.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap());
    assert_eq!(exit, 1);
    assert!(stderr.starts_with("error: cannot write to standard output"), "{stderr}");
}

#[test]
fn simulate_tells_in_words_and_in_json() {
    let (exit, stdout, _) = run(&["simulate", "--accounts", "5", "--days", "1", "--json"]);
    assert_eq!(exit, 0);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["expired_seconds"], 0.0);
    assert!(run(&["simulate", "--accounts", "5", "--days", "1"]).1.starts_with("5 accounts on 1 host"));
}

#[test]
fn the_demo_shows_renewals_without_a_terminal_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (exit, stdout, stderr) =
        told(renewd(&["demo", "--for", "8s"]).env("TMPDIR", folder.path()).output().unwrap());
    assert_eq!(exit, 0, "{stderr}");
    assert!(stdout.contains("oauth2-client-credentials  token 2"), "{stdout}{stderr}");
    // Also what came before the first look.
    let (_, providers, _) = run(&["providers"]);
    let vendors: Vec<&str> = providers.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(vendors.len(), 10);
    for vendor in vendors {
        let is_first =
            |line: &&str| line.split_whitespace().nth(2) == Some(vendor) && line.contains("(the first)");
        assert_eq!(stdout.lines().filter(is_first).count(), 1, "{vendor}: {stdout}{stderr}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn write(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
