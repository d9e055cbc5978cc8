//! The command line from outside: exit statuses, standard output, standard error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

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

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Answers as an agent would, from a table; ends with the test's process.
struct StubAgent {
    folder: tempfile::TempDir,
}

impl StubAgent {
    fn new(answer: fn(&str, &str) -> (u16, Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("renewd.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || serve(stream.unwrap(), answer));
            }
        });
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("renewd.sock")
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(renewd(arguments).arg("--socket").arg(self.socket()).output().unwrap())
    }
}

/// One request a connection.
fn serve(mut stream: UnixStream, answer: fn(&str, &str) -> (u16, Value)) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (status, body) = answer(words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes());
}

fn account(name: &str, sink: &str) -> Value {
    json!({"name": name, "provider": "bizppurio", "state": "fresh", "generation": 7,
           "issued_at": "2026-03-01T09:38:00Z", "expires_at": "2026-03-01T10:38:00Z",
           "renew_at": "2026-03-01T10:12:00Z", "attempt": 0, "error": null,
           "sinks": [{"sink": format!("file:/run/renewd/{name}.token"), "state": sink, "generation": 7,
                      "written_at": "2026-03-01T09:38:01Z", "error": null}]})
}

fn status(accounts: &[Value]) -> Value {
    json!({"version": "0.1.0", "now": "2026-03-01T10:00:00Z",
           "config": {"path": "/etc/renewd/renewd.yaml", "generation": 1, "loaded_at": "2026-03-01T09:00:00Z",
                      "error": null},
           "accounts": accounts, "templates": [], "of_a_later_version": true})
}

/// One account that is well, and one whose sink is not written.
fn usual(method: &str, path: &str) -> (u16, Value) {
    match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/v1/status") => {
            (200, status(&[account("messaging", "written"), account("shop", "unwritten")]))
        }
        ("GET", "/v1/accounts/messaging/token") => (
            200,
            json!({"account": "messaging", "provider": "bizppurio", "access_token": "tok-1", "token_type": "Bearer",
                   "issued_at": "2026-03-01T09:38:00Z", "expires_at": "2026-03-01T10:38:00Z",
                   "expires_at_unix": 1_772_361_480, "generation": 7, "extra": {}}),
        ),
        ("GET", "/v1/accounts/shop/token") => {
            (403, json!({"error": {"message": "not for you", "hint": "join the group `app`"}}))
        }
        ("POST", "/v1/accounts/messaging/renew") => {
            (200, json!({"account": "messaging", "generation": 8, "expires_at": "2026-03-01T11:00:00Z"}))
        }
        ("POST", "/v1/accounts/shop/renew") => {
            let error = json!({"class": "transient", "message": "HTTP 503", "at": "2026-03-01T10:00:00Z"});
            (502, json!({"account": "shop", "error": error}))
        }
        _ => (404, json!({"error": {"message": "no such path"}})),
    }
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
    let commands = "run once check plan status renew token wait providers init schema demo simulator simulate \
                    completions man";
    for command in commands.split(' ') {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}");
        assert_eq!(run(&[command, "--help"]).0, 0, "{command}");
    }
    assert!(help.contains("Exit status"));
}

#[test]
fn without_an_agent_a_command_says_how_to_start_one() {
    for arguments in [&["status"][..], &["token", "a"], &["renew", "--all"], &["wait", "--timeout", "50ms"]] {
        let socket = ["--socket", "/nonexistent/renewd.sock"];
        let (exit, stdout, stderr) = run(&[arguments, &socket].concat());
        assert_eq!((exit, stdout.as_str()), (75, ""), "{arguments:?}");
        assert!(stderr.starts_with("error: no agent answers at /nonexistent/renewd.sock\n"), "{stderr}");
        assert!(stderr.contains("hint: start it with `renewd run"), "{stderr}");
    }
}

#[test]
fn a_socket_without_a_process_is_told_apart_from_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stale.sock");
    drop(UnixListener::bind(&path).unwrap());
    let (exit, _, stderr) = told(renewd(&["status"]).env("RENEWD_SOCKET", &path).output().unwrap());
    assert_eq!(exit, 75);
    assert!(stderr.contains("no process listens"), "{stderr}");
}

#[test]
fn a_broken_configuration_does_not_hide_the_running_agent() {
    let agent = StubAgent::new(usual);
    let path = agent.folder.path().join("renewd.yaml");
    write(
        &path,
        &format!("accounts: {{ a: {{ provder: x }} }}\nagent:\n  socket: {}\n", agent.socket().display()),
    );
    let output = renewd(&["status", "--json", "--config"]).arg(&path).output().unwrap();
    assert_eq!(told(output).0, 0);
}

#[test]
fn status_without_a_terminal_is_plain_text_with_the_name_first() {
    let (exit, stdout, stderr) = StubAgent::new(usual).run(&["status"]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
    assert_eq!(
        stdout,
        "ACCOUNT    PROVIDER   STATE  LEFT      NEXT    SINKS\n\
         messaging  bizppurio  fresh  38m left  in 12m  1/1 written\n\
         shop       bizppurio  fresh  38m left  in 12m  0/1 written\n"
    );
}

#[test]
fn status_json_is_the_agents_own_document() {
    let agent = StubAgent::new(usual);
    let (exit, stdout, _) = agent.run(&["status", "--json"]);
    assert_eq!(exit, 0);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), usual("GET", "/v1/status").1);
    let (_, stdout, _) = agent.run(&["status", "messaging", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), account("messaging", "written"));
}

#[test]
fn status_check_exits_1_with_the_reasons_unless_all_is_well() {
    let agent = StubAgent::new(usual);
    let (exit, _, stderr) = agent.run(&["status", "--check"]);
    assert_eq!((exit, stderr.as_str()), (1, "shop: file:/run/renewd/shop.token is not yet written\n"));
    let (exit, _, stderr) = agent.run(&["status", "--check", "messaging"]);
    assert_eq!((exit, stderr.as_str()), (0, ""));
}

#[test]
fn a_token_is_printed_bare_or_as_its_document() {
    let agent = StubAgent::new(usual);
    assert_eq!(agent.run(&["token", "messaging"]), (0, "tok-1\n".to_owned(), String::new()));
    let (_, stdout, _) = agent.run(&["token", "messaging", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["generation"], 7);
}

#[test]
fn a_refusal_is_told_in_the_agents_words() {
    let (exit, stdout, stderr) = StubAgent::new(usual).run(&["token", "shop"]);
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert_eq!(stderr, "error: not for you\n  hint: join the group `app`\n");
}

#[test]
fn an_unknown_account_is_told_what_it_may_have_been() {
    let agent = StubAgent::new(usual);
    for command in ["token", "renew", "status"] {
        let (exit, _, stderr) = agent.run(&[command, "mesaging"]);
        let expected = "error: the agent has no account `mesaging`\n  hint: did you mean `messaging`?\n";
        assert_eq!((exit, stderr.as_str()), (1, expected), "{command}");
    }
}

#[test]
fn renew_tells_each_account_and_fails_where_one_failed() {
    let agent = StubAgent::new(usual);
    let (exit, stdout, _) = agent.run(&["renew", "--all"]);
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    let renewed = "messaging  renewed: generation 8, expires 2026-03-01T11:00:00Z";
    assert_eq!((exit, lines), (1, vec![renewed, "shop       failed: transient: HTTP 503"]));
    assert_eq!(agent.run(&["renew", "messaging"]).0, 0);
}

#[test]
fn a_renewal_that_is_held_back_is_no_failure() {
    let agent = StubAgent::new(|method, path| match method {
        "POST" => (
            202,
            json!({"account": "messaging", "not_before": "2026-03-01T10:00:40Z", "reason": "min_interval 60s"}),
        ),
        _ => usual(method, path),
    });
    let (exit, stdout, _) = agent.run(&["renew", "messaging"]);
    assert_eq!(exit, 0);
    assert_eq!(stdout, "messaging  held back until 2026-03-01T10:00:40Z (in 40s): min_interval 60s\n");
}

#[test]
fn a_renewal_without_an_outcome_in_time_exits_75() {
    let agent = StubAgent::new(|method, path| match path.contains("/renew?timeout=2") {
        true => (504, json!({"error": {"message": "not yet"}})),
        false => usual(method, path),
    });
    assert_eq!(agent.run(&["renew", "messaging", "--timeout", "2s"]).0, 75);
}

#[test]
fn wait_returns_when_all_is_delivered_and_else_says_what_is_missing() {
    let agent = StubAgent::new(usual);
    assert_eq!(agent.run(&["wait", "messaging"]).0, 0);
    let (exit, _, stderr) = agent.run(&["wait", "--timeout", "300ms"]);
    assert_eq!(exit, 75);
    assert!(stderr.contains("shop: file:/run/renewd/shop.token is not yet written"), "{stderr}");
}

#[test]
fn wait_waits_for_an_agent_that_is_only_just_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("late.sock");
    let mut waiting = renewd(&["wait", "messaging", "--timeout", "20s", "--socket"]);
    let child = waiting.arg(&path).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap(), usual);
        }
    });
    assert_eq!(told(child.wait_with_output().unwrap()).0, 0);
}

#[test]
fn an_answer_that_makes_no_sense_is_told_without_its_text() {
    let agent = StubAgent::new(|_, _| (200, json!({"access_tokn": "s3cret"})));
    for command in [&["token", "messaging"][..], &["status"]] {
        let (exit, stdout, stderr) = agent.run(command);
        assert_eq!(exit, 75);
        assert!(!stdout.contains("s3cret") && !stderr.contains("s3cret"), "{stdout}{stderr}");
        assert!(stderr.contains("of the same version"), "{stderr}");
    }
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
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn write(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
