//! What a provider, a file's name or a stranger's socket has to say: nothing of it steers a terminal, forges a line of a log
//! or runs in a shell.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, account, free_port, http_get, secs, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Words that must come out nowhere, with what would have them seen: an escape sequence, its 8-bit form, a line of their
/// own, and characters that reorder a line.
const FORGED: &str = "FORGED-WORDS";
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;FORGED-WORDS\u{7}\u{9b}31m\r\n{\"level\":\"ERROR\",\"event\":\"FORGED-WORDS\"}\u{202e}\u{2066}\u{7f}\u{0}";

/// Answers every request with the bytes that were set last.
struct Scripted {
    address: SocketAddr,
    reply: Arc<Mutex<Vec<u8>>>,
}

impl Scripted {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, reply) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let answer = Arc::clone(&reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answer: Vec<u8> = answer.lock().unwrap().clone();
                std::thread::spawn(move || {
                    let mut stream = stream;
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request);
                    let _ = stream.write_all(&answer);
                });
            }
        });
        Self { address, reply }
    }

    fn says(&self, reply: Vec<u8>) {
        *self.reply.lock().unwrap() = reply;
    }
}

fn http(head: &[u8], body: &str) -> Vec<u8> {
    let length = format!("Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    [head, length.as_bytes()].concat()
}

/// Replies with hostile words in every place that a reply has.
fn replies() -> Vec<(&'static str, Vec<u8>)> {
    let json = |head: &str, body: Value| {
        http(format!("{head}\r\nContent-Type: application/json\r\n").as_bytes(), &body.to_string())
    };
    let flat = HOSTILE.replace(['\r', '\n', '\0', '\u{1b}', '\u{7}', '\u{7f}'], "");
    let refused =
        json!({ "error": HOSTILE, "error_description": HOSTILE, "code": HOSTILE, "message": HOSTILE });
    let mut all = vec![
        ("the code of a refusal", json("HTTP/1.1 400 Bad Request", refused.clone())),
        ("the code of a failure", json("HTTP/1.1 503 Busy", refused.clone())),
        ("the code of a success", json("HTTP/1.1 200 OK", refused)),
        ("the status' reason", http(format!("HTTP/1.1 500 {HOSTILE}\r\n").as_bytes(), "")),
        ("a reason of one line", http(format!("HTTP/1.1 500 {flat}\r\n").as_bytes(), "{}")),
        ("no HTTP at all", HOSTILE.as_bytes().to_vec()),
        ("a page", http(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", HOSTILE)),
        (
            "a name",
            json("HTTP/1.1 200 OK", json!({ HOSTILE: HOSTILE, "access_token": 3, "expires_in": HOSTILE })),
        ),
    ];
    for name in [
        "Retry-After",
        "Date",
        "Location",
        "WWW-Authenticate",
        "Content-Type",
        "Content-Encoding",
        "Server",
        "X-Any",
    ] {
        for (what, status) in [("a redirect's", 307), ("a failure's", 503)] {
            let head = format!("HTTP/1.1 {status} x\r\n{name}: http://127.0.0.1/{flat}\r\n");
            all.push((what, http(head.as_bytes(), "{}")));
        }
    }
    for (what, token) in [
        ("a token of lines", HOSTILE),
        ("a token of colours", "\u{1b}[31mFORGED-WORDS"),
        ("a token of 8 bits", "\u{9b}31mFORGED-WORDS"),
    ] {
        all.push((what, json("HTTP/1.1 200 OK", json!({ "access_token": token, "expires_in": 600 }))));
    }
    // A good token with hostile company.
    all.push(("a token in company", json("HTTP/1.1 200 OK", json!({
        "access_token": "good-token-0123456789", "token_type": HOSTILE, "scope": HOSTILE, "expires_in": 600, "id": HOSTILE,
    }))));
    all
}

/// Nothing that could steer a terminal or have a line read otherwise; `plain`: nor words of a reply.
#[track_caller]
fn harmless(place: &str, text: &[u8], plain: bool) {
    let text = String::from_utf8(text.to_vec()).unwrap_or_else(|_| panic!("{place} is not UTF-8"));
    let steers = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert_eq!(text.chars().find(steers), None, "{place}: {text:?}");
    assert!(!plain || !text.contains(FORGED), "{place} repeats a reply: {text}");
}

#[test]
fn nothing_that_a_provider_says_steers_a_terminal_or_forges_a_line() {
    for format in ["json", "text"] {
        let world = World::living(secs(600));
        let (vendor, port, told) = (Scripted::start(), free_port(), world.path("told"));
        let mut config = world.one(ANY);
        config["accounts"]["a"]["base_url"] = json!(format!("http://{}/token", vendor.address));
        config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
        config["agent"]["audit"] = json!(world.path("audit.jsonl"));
        config["agent"]["log"] = json!({ "format": format });
        let tell = format!("env >> {}", told.display());
        config["agent"]["alerts"] = json!([{ "command": { "argv": ["/bin/sh", "-c", tell] } }]);
        config["accounts"]["a"]["on_change"] = json!([{ "command": ["/bin/sh", "-c", tell] }]);
        world.write(&config);
        let agent = world.run().start();
        until("an answer", secs(10), || agent.try_status());
        let replies = replies();
        // In text, those that differ in the log.
        let replies: Vec<_> =
            replies.into_iter().filter(|(what, _)| format == "json" || !what.contains("'s")).collect();
        for (what, reply) in &replies {
            vendor.says(reply.clone());
            let renewed = world.renewd(&["renew", "a", "--timeout", "10s"]);
            harmless(&format!("{what}: renew's output"), &renewed.stdout, true);
            harmless(&format!("{what}: renew's errors"), &renewed.stderr, true);
            for words in [
                &["status"][..],
                &["status", "a"],
                &["status", "--json"],
                &["status", "a", "--json"],
                &["status", "--check"],
            ] {
                let output = world.renewd(words);
                harmless(&format!("{what}: {words:?}"), &output.stdout, true);
                harmless(&format!("{what}: {words:?}"), &output.stderr, true);
            }
            for path in ["/", "/?account=a", "/metrics", "/api/v1/status", "/readyz", "/readyz/a"] {
                let (_, page) = http_get(port, path, "localhost").unwrap();
                harmless(&format!("{what}: {path}"), page.replace('\r', "").as_bytes(), true);
            }
        }
        let seen = account(&agent.status(), "a").clone();
        assert_eq!(seen["generation"], 1, "the last one is a token: {seen}");
        let log = agent.log();
        harmless("the log", log.as_bytes(), true);
        assert!(log.contains("renewal failed"), "{log}");
        if format == "json" {
            log.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).expect(line)));
        }
        let audit = std::fs::read(world.path("audit.jsonl")).unwrap();
        harmless("the audit log", &audit, true);
        until("a hook", secs(10), || {
            std::fs::read_to_string(&told).is_ok_and(|told| told.contains("RENEWD_GENERATION")).then_some(())
        });
        harmless("the hook's environment", &std::fs::read(&told).unwrap(), true);
        // The document is the vendor's words, as JSON.
        let document = world.renewd(&["token", "a", "--json"]).stdout;
        harmless("the document", &document, false);
        eprintln!("{} replies, format {format}", replies.len());
        agent.stop();
    }
}

#[test]
fn a_token_that_is_a_line_of_a_shell_is_a_token_in_every_file_and_runs_nowhere() {
    for token in [
        "$(touch${IFS}pwned)",
        "`touch${IFS}pwned`",
        "';touch${IFS}pwned;'",
        "\";touch${IFS}pwned;\"",
        "\\$(touch${IFS}pwned)\\",
        "|touch${IFS}pwned&",
        "!!;#{{7*7}}%s%n",
    ] {
        let world = World::living(secs(600));
        let vendor = Scripted::start();
        let body = json!({ "access_token": token, "expires_in": 600 }).to_string();
        vendor.says(http(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n", &body));
        let mut config = world.one(ANY);
        config["accounts"]["a"]["base_url"] = json!(format!("http://{}/token", vendor.address));
        let template =
            |name: &str, text: &str| json!({ "file": { "path": world.out(name), "template": text } });
        config["accounts"]["a"]["sinks"] = json!([
            { "file": world.out("a.token") },
            template("a.env", "TOKEN={{ access_token }}\n"),
            template("a.sh", "TOKEN={{ access_token }}\nprintf %s \"$TOKEN\"\n"),
            template("a.json", "{\"token\": {{ access_token }}}"),
        ]);
        let agent = world.start(&config);
        agent.until_well();
        assert_eq!(world.read("a.token"), token);
        let sourced = format!(". '{}'; printf %s \"$TOKEN\"", world.out("a.env").display());
        for words in [vec!["-c", &sourced], vec![world.out("a.sh").to_str().unwrap()]] {
            let output = Command::new("sh").args(&words).current_dir(world.path("out")).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), token, "{words:?}");
        }
        let parsed: Value = serde_json::from_str(&world.read("a.json")).unwrap();
        assert_eq!(parsed["token"], token);
        let words = ["exec", "--account", "a", "--", "sh", "-c", "printf %s \"$A_ACCESS_TOKEN\""];
        let output = world.run().command(&words).current_dir(world.path("out")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), token, "{output:?}");
        assert!(!world.out("pwned").exists(), "{token}");
        agent.stop();
    }
}

#[test]
fn who_may_add_a_file_to_the_configuration_is_told_of_and_what_he_links_to_is_not_shown() {
    let world = World::living(secs(600));
    let (port, folder) = (free_port(), world.path("conf.d"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let mut config = world.one(ANY);
    config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
    config["include"] = json!(["conf.d/*.yaml"]);
    world.write(&config);
    let checked = world.renewd(&["check"]);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("every user can write here") && said.contains("hint: `chmod o-w "), "{said}");
    let agent = world.run().start();
    agent.until_well();
    assert!(agent.log().contains("every user can write here"), "it is said at the start");

    // A private file of the agent's, which the stranger cannot read, but name.
    let secret = "canary-Zq81hQ3kX0rV7w";
    world.canaries.add(secret);
    let private = world.path("private");
    for text in [
        secret.to_owned(),
        format!("password: {secret}\nclient_secret: \"{secret}\"\n"),
        format!("KEY={secret}\nOTHER={secret}"),
        format!("{{\"private_key\": \"{secret}\", \"n\": [\"{secret}\"]}}"),
        format!("-----BEGIN PRIVATE KEY-----\n{secret}\n{secret}\n-----END PRIVATE KEY-----\n"),
        format!("machine api.example.com login me password {secret}\n"),
        format!("%{secret}\n--- !{secret} &{secret} *{secret}\n\"{secret}"),
    ] {
        std::fs::write(&private, &text).unwrap();
        let _ = std::fs::remove_file(folder.join("x.yaml"));
        std::os::unix::fs::symlink(&private, folder.join("x.yaml")).unwrap();
        let (code, answer) = agent.post("/v1/reload", "");
        assert!((400..500).contains(&code), "{code} {answer} {text}");
        let checked = world.renewd(&["check"]);
        assert_eq!(checked.status.code(), Some(78));
        let status = world.renewd(&["status", "--json"]);
        let page = http_get(port, "/", "localhost").unwrap().1;
        let places = [
            answer.to_string(),
            String::from_utf8_lossy(&checked.stderr).into_owned(),
            String::from_utf8_lossy(&status.stdout).into_owned(),
            page,
        ];
        for place in places {
            let found = world.canaries.found_in(&place);
            assert!(found.is_empty(), "{found:?} of {text:?} in {place}");
        }
    }

    // Names that would steer a terminal, a FIFO, and what belongs to somebody else.
    std::fs::remove_file(folder.join("x.yaml")).unwrap();
    for name in ["\u{1b}]0;FORGED\u{7}.yaml", "a\nerror: FORGED.yaml", "\u{9b}2J.yaml", "\u{202e}lmay.yaml"] {
        std::fs::write(folder.join(name), "accounts: {}\n").unwrap();
        let (code, answer) = agent.post("/v1/reload", "");
        assert!((400..500).contains(&code), "{code} {answer}");
        for words in [&["check"][..], &["status"], &["status", "--json"]] {
            let output = world.renewd(words);
            harmless(&format!("{words:?}"), &output.stdout, false);
            harmless(&format!("{words:?}"), &output.stderr, false);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.lines().any(|line| line.trim_start().starts_with("error: FORGED")), "{said}");
        }
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    assert!(Command::new("mkfifo").arg(folder.join("x.yaml")).status().unwrap().success());
    assert_eq!(agent.post("/v1/reload", "").0, 200, "a FIFO is no file that a pattern means");
    std::fs::remove_file(folder.join("x.yaml")).unwrap();
    harmless("the log", agent.log().as_bytes(), false);
    assert_eq!(agent.renew("a").0, 200);
    if crate::support::is_root() {
        let theirs = folder.join("theirs.yaml");
        std::fs::write(&theirs, "accounts: {}\n").unwrap();
        std::os::unix::fs::chown(&theirs, Some(61_235), None).unwrap();
        assert_eq!(agent.post("/v1/reload", "").0, 200);
        until("a word at the reload", secs(5), || agent.log().contains("belongs to uid 61235").then_some(()));
    }
    agent.stop();
}
