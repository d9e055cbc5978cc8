//! A Vault that hangs or fails, as a double that is told how: what people see of it, and who waits.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, account, class, free_port, http_get, is_well, secs, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Knows one secret, once it is well, and takes every write; until then it says 503 to all.
struct Double {
    address: SocketAddr,
    well: Arc<AtomicBool>,
    refused: Arc<AtomicUsize>,
}

impl Double {
    fn failing(secret: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let well = Arc::new(AtomicBool::new(false));
        let refused = Arc::new(AtomicUsize::new(0));
        let (its_well, its_refused) = (Arc::clone(&well), Arc::clone(&refused));
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(&connection).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let (status, body) = match first.split(' ').nth(1) {
                    _ if !its_well.load(Ordering::SeqCst) => {
                        its_refused.fetch_add(1, Ordering::SeqCst);
                        (503, json!({ "errors": [] }))
                    }
                    Some(path) if path.starts_with("/v1/secret/data/") && !first.starts_with("GET") => {
                        (200, json!({ "data": { "version": 2 } }))
                    }
                    Some(path) if path.starts_with("/v1/auth/token/lookup-self") => {
                        (200, json!({ "data": { "ttl": 0, "renewable": false } }))
                    }
                    Some(path) if path.starts_with("/v1/sys/internal/ui/mounts/") => (
                        200,
                        json!({ "data": { "type": "kv", "options": { "version": "2" }, "path": "secret/" } }),
                    ),
                    Some(path) if path.starts_with("/v1/secret/data/") => {
                        (200, json!({ "data": { "data": secret, "metadata": { "version": 1 } } }))
                    }
                    _ => (404, json!({ "errors": [] })),
                };
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}", body.len());
                let _ = write!(&connection, "{head}\r\nConnection: close\r\n\r\n{body}");
            }
        });
        Self { address, well, refused }
    }
}

fn at(world: &World, config: &mut Value, address: SocketAddr) {
    let token = world.put("vault-token", "s.made-up");
    config["vault"] =
        json!({ "address": format!("http://{address}"), "auth": { "token": { "file": token } } });
}

#[test]
fn a_vault_that_hangs_is_seen_soon_holds_up_no_hook_and_does_not_make_a_renewal_a_failure() {
    let world = World::living(secs(600));
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = world.one(ANY);
    at(&world, &mut config, silent.local_addr().unwrap());
    let file = world.out("a.token");
    config["accounts"]["a"]["sinks"] = json!([{ "file": file }, { "vault": "secret/tokens/a" }]);
    config["accounts"]["a"]["on_change"] = json!([{ "command": ["touch", world.path("told")] }]);
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let agent = world.start(&config);
    let status = agent.until("the write that hangs", secs(8), |status| {
        account(status, "a")["sinks"][1]["writing_since"].is_string()
    });
    assert_eq!(account(&status, "a")["sinks"][1]["state"], "unwritten");
    let page = http_get(port, "/metrics", "localhost").unwrap().1;
    let begun = r#"renewd_sink_write_start_timestamp_seconds{account="a",sink="vault:secret/tokens/a"} "#;
    assert!(page.contains(begun) && page.matches(begun.split('{').next().unwrap()).count() == 3, "{page}");
    until("the hook", secs(9), || world.path("told").exists().then_some(()));
    let told: jiff::Timestamp =
        std::fs::metadata(world.path("told")).unwrap().modified().unwrap().try_into().unwrap();
    let status = agent.until("the end of its patience", secs(15), |status| {
        let server = &status["servers"][0];
        let message = server["error"]["message"].as_str().unwrap_or_default();
        message.starts_with("Vault did not answer within 10s")
            && account(status, "a")["sinks"][1]["server"] == "vault"
    });
    let given_up: jiff::Timestamp = status["servers"][0]["since"].as_str().unwrap().parse().unwrap();
    assert!(told < given_up, "told at {told}, before the write was given up at {given_up}");
    let table = String::from_utf8(world.renewd(&["status"]).stdout).unwrap();
    assert_eq!(table.matches("did not answer").count(), 1, "{table}");
    assert!(table.contains("vault:secret/tokens/a"), "{table}");

    let renewal = world.renewd(&["renew", "a"]);
    assert_eq!(renewal.status.code(), Some(1), "not everything holds the new token");
    let said = String::from_utf8(renewal.stdout).unwrap();
    assert!(said.contains("a  renewed: generation 2; vault:secret/tokens/a is not yet written"), "{said}");
    assert!(!said.contains("failed"), "{said}");
}

#[test]
fn accounts_whose_secrets_are_in_vault_are_asked_for_when_it_is_back() {
    let world = World::living(secs(600));
    let mut whole = world.account(ANY, "a");
    let double = Double::failing(whole["credentials"].clone());
    let key = |key: &str| json!({ "vault": { "mount": "secret", "path": "vendors/a", "key": key } });
    whole["credentials"] = json!({ "client_id": key("client_id"), "client_secret": key("client_secret") });
    let mut config = world.config([("a".to_owned(), whole)]);
    at(&world, &mut config, double.address);
    let agent = world.start(&config);
    let seen = agent.until("the failure", secs(10), |status| class(status, "a") == "config");
    // By itself it would be tried 15 s after that.
    let wait = |status: &Value| account(status, "a")["renew_at"].clone();
    let planned = wait(&seen);
    double.well.store(true, Ordering::SeqCst);
    agent.until("its token", secs(10), |status| is_well(account(status, "a")));
    assert!(agent.status()["now"].as_str() < planned.as_str(), "before {planned}");
    agent.stop();
}

#[test]
fn once_tries_a_vault_that_is_away_again_be_it_a_sinks_or_a_secrets() {
    for secret in [false, true] {
        let world = World::living(secs(600));
        let mut whole = world.account(ANY, "a");
        let double = Double::failing(whole["credentials"].clone());
        if secret {
            let key = |key: &str| json!({ "vault": { "mount": "secret", "path": "vendors/a", "key": key } });
            whole["credentials"] =
                json!({ "client_id": key("client_id"), "client_secret": key("client_secret") });
        } else {
            whole["sinks"] = json!([{ "vault": "secret/tokens/a" }]);
        }
        let mut config = world.config([("a".to_owned(), whole)]);
        at(&world, &mut config, double.address);
        world.write(&config);
        let output = world.renewd(&["once", "--timeout", "1s"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("Vault"), "{said}");

        let before = double.refused.load(Ordering::SeqCst);
        let mut once = world.run().command(&["once", "--timeout", "60s"]);
        let mut once = once.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("a second try", secs(20), || {
            (double.refused.load(Ordering::SeqCst) > before + 1).then_some(())
        });
        double.well.store(true, Ordering::SeqCst);
        let status = until("the end of `once`", secs(20), || once.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "secret: {secret}");
    }
}
