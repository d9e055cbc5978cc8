//! The agent at trace with a real server: what both write, show and are started with tells no secret and no token.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{free_port, http_get, secs, until};

const ANY: Provider = Provider::OAuthClientCredentials;

fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The requests that the server has noted.
fn requests(audit: &Path) -> Vec<Value> {
    text(audit).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn nothing_that_others_can_see_of_the_agent_and_its_server_tells_a_secret_or_a_token() {
    let mut bench = bench!();
    // As an administrator has it, with hashes; and once as it is, to know the tokens that the agent logs in for.
    let audit = bench.audit();
    let raw = bench.world.path("raw.log");
    let options = json!({ "file_path": raw, "log_raw": "true" });
    bench.call("PUT", "sys/audit/raw", json!({ "type": "file", "options": options }));

    let secret = "Zsecret-of-a-that-stands-in-vault";
    bench.canaries.add(secret);
    bench.write("vendors/a", json!({ "id": "id-a", "secret": secret }));
    let key = |key: &str| json!({ "vault": { "mount": "secret", "path": "vendors/a", "key": key } });
    let (_, mut a) = bench.with_sinks(
        ANY,
        "a",
        &[
            json!({ "vault": "secret/tokens/a" }),
            json!({ "vault": { "mount": "kv1", "path": "tokens/a", "kv": 1 } }),
        ],
    );
    a["credentials"] = json!({ "client_id": key("id"), "client_secret": key("secret") });
    let b = bench.to_vault(Provider::OAuthRefreshToken, "b");
    // Tokens of 20 s, so that the agent's own is renewed and replaced meanwhile.
    let mut config = bench.vault(bench.approle("20s"), [("a".to_owned(), a), b]);
    let port = free_port();
    config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
    config["agent"]["audit"] = json!(bench.world.path("log/audit.jsonl"));
    let agent = bench.world.start(&config);
    agent.until_well();
    // A login that is renewed, deliveries, a refusal, a server that is sealed and comes back.
    for name in ["a", "b"] {
        assert_eq!(agent.renew(name).0, 200);
    }
    agent.until_well();
    agent.signal(Signal::HUP);
    let noted = |path: &str| requests(&audit).iter().any(|entry| entry["request"]["path"] == path);
    until("a renewed login", secs(30), || noted("auth/token/renew-self").then_some(()));
    bench.write("tokens/a", json!({ "access_token": "Zforeign-token-in-the-sink-0001" }));
    bench.canaries.add("Zforeign-token-in-the-sink-0001");
    bench.allow("path \"secret/data/vendors/*\" { capabilities = [\"read\"] }");
    agent.renew("a");
    agent.until("the denial", secs(20), |status| status.to_string().contains("policy denies"));
    bench.seal();
    agent.renew("a");
    agent.until("the seal", secs(20), |status| status["servers"].to_string().contains("sealed"));
    bench.unseal();
    agent.until("it is back", secs(90), |status| !status["servers"].to_string().contains("sealed"));

    // What the agent logged in for, and all that it holds and wrote.
    let mut logins = BTreeSet::new();
    for entry in requests(&raw) {
        if let Some(token) = entry["response"]["auth"]["client_token"].as_str() {
            logins.insert(token.to_owned());
        }
    }
    assert!(!logins.is_empty(), "the raw audit knows the agent's logins");
    logins.iter().for_each(|token| bench.canaries.add(token));
    for name in ["a", "b"] {
        bench.canary_token(name, &agent);
        for field in ["access_token", "refresh_token"] {
            bench.canaries.add(bench.data(&format!("tokens/{name}"))[field].as_str().unwrap_or_default());
        }
    }
    for entry in fs::read_dir(bench.world.path("state/accounts")).unwrap() {
        bench.canaries.add_of_json(&fs::read(entry.unwrap().path()).unwrap());
    }
    // They are there to be found.
    assert!(!bench.canaries.found_in(&text(&raw)).is_empty());

    let mut seen = vec![
        ("the log".to_owned(), agent.log()),
        ("the agent's audit log".to_owned(), text(bench.world.path("log/audit.jsonl"))),
        ("the status".to_owned(), agent.status().to_string()),
        ("the server's audit log".to_owned(), text(&audit)),
        ("the server's log".to_owned(), bench.bao.log()),
    ];
    for (whose, pid) in [("agent", agent.pid()), ("server", bench.bao.pid())] {
        for what in ["environ", "cmdline"] {
            let path = format!("/proc/{pid}/{what}");
            assert!(what == "environ" || !text(&path).is_empty(), "{path}");
            seen.push((format!("the {whose}'s {what}"), text(path)));
        }
    }
    for path in ["/", "/metrics", "/api/v1/status", "/readyz"] {
        seen.push((path.to_owned(), http_get(port, path, "localhost").unwrap().1));
    }
    for words in [&["status"][..], &["status", "a"], &["plan"], &["check"], &["check", "--online"]] {
        let output = bench.world.renewd(words);
        seen.push((words.join(" "), String::from_utf8([output.stdout, output.stderr].concat()).unwrap()));
    }
    agent.stop();
    bench.kill();
    for (what, text) in &seen[..5] {
        assert!(text.len() > 500, "{what} has nothing to search: {text}");
    }
    let hits: Vec<String> = seen
        .iter()
        .flat_map(|(what, text)| {
            bench.canaries.found_in(text).into_iter().map(move |found| format!("{what}: {found}"))
        })
        .collect();
    assert_eq!(hits, [""; 0]);
}
