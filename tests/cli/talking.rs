//! Commands that talk to the running agent.

use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::stub::{StubAgent, account, serve, usual};
use super::{renewd, run, told, write};

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
    std::fs::remove_file(&path).unwrap();
    write(&path, "hi\n");
    let (exit, _, stderr) = told(renewd(&["status"]).env("RENEWD_SOCKET", &path).output().unwrap());
    assert_eq!(exit, 75);
    assert!(stderr.contains("what stands there is no socket"), "{stderr}");
    assert!(stderr.contains("makes its socket there again"), "{stderr}");
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
    for command in ["token", "renew", "status", "wait"] {
        let (exit, _, stderr) = agent.run(&[command, "mesaging"]);
        let expected = "error: the agent has no account `mesaging`\n  hint: did you mean `messaging`?\n";
        assert_eq!((exit, stderr.as_str()), (1, expected), "{command}");
    }
}

#[test]
fn wait_for_an_account_that_nobody_has_names_those_that_there_are_at_once() {
    let (exit, _, stderr) = StubAgent::new(usual).run(&["wait", "messaging", "vault", "--timeout", "1h"]);
    let expected = "error: the agent has no account `vault`\n  hint: it has messaging, shop\n";
    assert_eq!((exit, stderr.as_str()), (1, expected));
}

#[test]
fn wait_heeds_no_configuration_but_the_agents_own() {
    let agent = StubAgent::new(usual);
    let path = agent.folder.path().join("renewd.yaml");
    write(&path, "accounts: { coming: { provider: portone, credentials: { apiSecret: x } } }\n");
    let arguments = ["wait", "coming", "--timeout", "1h", "--config", path.to_str().unwrap()];
    assert_eq!(agent.run(&arguments).0, 1);
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
fn exec_says_once_what_it_waits_for_and_nothing_where_the_token_is_there() {
    let agent = StubAgent::new(|method, path| match path {
        "/v1/accounts/shop/token" => {
            (409, json!({"error": {"message": "`shop` has no living token: it is pending"}}))
        }
        _ => usual(method, path),
    });
    let exec = |account, words: &[&str]| {
        let socket = agent.socket();
        let end = ["--timeout", "1600ms", "--socket", socket.to_str().unwrap(), "--", "true"];
        run(&[&["exec", "--account", account][..], words, &end].concat())
    };
    assert_eq!(exec("messaging", &[]), (0, String::new(), String::new()));
    let (exit, _, stderr) = exec("shop", &[]);
    let lack = "`shop` has no living token: it is pending";
    let (note, failure) = stderr.split_once('\n').unwrap();
    assert_eq!((exit, note), (75, &*format!("note: {lack}; waiting, 1s at most")));
    assert!(failure.starts_with("error: `shop` has no living token after "), "{stderr}");
    let (_, _, stderr) = exec("shop", &["--log-level", "error"]);
    assert!(stderr.starts_with("error: "), "{stderr}");
    let nowhere =
        ["exec", "--account", "a", "--socket", "/nonexistent/s", "--timeout", "1200ms", "--", "true"];
    let (_, _, stderr) = run(&nowhere);
    let lack = "no agent at /nonexistent/s: there is no such socket";
    assert!(stderr.starts_with(&format!("note: {lack}; waiting, 1s at most\nerror: ")), "{stderr}");
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

/// Whoever has put a socket in the agent's place: the 8-bit form of an escape sequence, a line of its own, and characters
/// that reorder a line, which JSON may hold as they are.
const HOSTILE: &str = "\u{9b}2J\u{1b}]0;x\u{7}\r\nerror: forged\u{202e}\u{2066}\u{7f}\u{0}\u{200b}";

fn hostile(method: &str, path: &str) -> (u16, Value) {
    let error = json!({ "class": "transient", "message": HOSTILE, "at": "2026-03-01T10:00:00Z" });
    match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/v1/status") => {
            let mut document = usual("GET", "/v1/status").1;
            document["version"] = HOSTILE.into();
            document["config"]["path"] = HOSTILE.into();
            document["config"]["error"] = HOSTILE.into();
            document[HOSTILE] = HOSTILE.into();
            let first = &mut document["accounts"][0];
            first["provider"] = HOSTILE.into();
            first["error"] = error.clone();
            first["state"] = "retrying".into();
            first["sinks"][0]["sink"] = HOSTILE.into();
            first["sinks"][0]["error"] = error;
            first["sinks"][0]["state"] = "failed".into();
            (200, document)
        }
        ("GET", "/v1/accounts/messaging/token") => {
            let mut document = usual(method, path).1;
            document["access_token"] = HOSTILE.into();
            document["token_type"] = HOSTILE.into();
            (200, document)
        }
        ("POST", "/v1/accounts/messaging/renew") => (502, json!({ "account": HOSTILE, "error": error })),
        _ => (400, json!({ "error": { "message": HOSTILE, "hint": HOSTILE } })),
    }
}

#[test]
fn a_strangers_socket_steers_no_terminal_and_forges_no_line() {
    let agent = StubAgent::new(hostile);
    for words in [
        &["status"][..],
        &["status", "--json"],
        &["status", "messaging"],
        &["status", "messaging", "--json"],
        &["status", "--check"],
        &["token", "messaging"],
        &["token", "messaging", "--json"],
        &["token", "shop"],
        &["renew", "messaging"],
        &["renew", "shop"],
        &["wait", "--timeout", "1s"],
    ] {
        let (_, stdout, stderr) = agent.run(words);
        for said in [&stdout, &stderr] {
            let steers =
                |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}' | '\u{200b}');
            assert!(!said.contains(steers), "{words:?}: {said:?}");
            assert!(!said.lines().any(|line| line.starts_with("error: forged")), "{words:?}: {said}");
        }
        assert!(!(stdout + &stderr).is_empty(), "{words:?}");
    }
    // The document means what it meant.
    let (_, stdout, _) = agent.run(&["status", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap(), hostile("GET", "/v1/status").1);
    let (exit, stdout, stderr) = agent.run(&["token", "messaging"]);
    assert_eq!((exit, stdout.as_str()), (75, ""), "no such thing is a token: {stderr}");
}
