//! A Vault that does not do as it is asked: told apart in `status`, with a hint, while everything else goes on.

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::support::{Agent, account, generation, secs, throughout};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Waits until Vault is away for this reason; the status says so at the server and at the sink, `/readyz` at the sink.
#[track_caller]
fn is_away(agent: &Agent, words: &str, hint: &str) {
    let status = agent.until(words, secs(15), |status| {
        let error = &status["servers"][0]["error"];
        let is_said = error["message"].as_str().is_some_and(|message| message.contains(words));
        is_said && account(status, "a")["sinks"][0]["state"] == "written" // the file may come a moment later
    });
    let server = &status["servers"][0];
    assert_eq!((&server["name"], &server["state"]), (&json!("vault"), &json!("away")));
    assert!(server["error"]["message"].as_str().unwrap().contains(hint), "{server}");
    assert!(server["since"].is_string());
    let sinks = &account(&status, "a")["sinks"];
    assert_eq!((&sinks[0]["state"], &sinks[1]["state"]), (&json!("written"), &json!("failed")), "{sinks}");
    assert_eq!(sinks[1]["error"]["message"], server["error"]["message"]);
}

/// A renewal while Vault is away reaches the file at once.
#[track_caller]
fn renews_the_file(bench: &Bench, agent: &Agent) {
    let before = bench.read("a.token");
    let (code, reply) = agent.post("/v1/accounts/a/renew?timeout=0", "");
    // Whoever waits for nothing may come between the token and its delivery.
    let under_way = code == 502 && reply["generation"].is_u64() && reply["error"].is_null();
    assert!(code == 200 || code == 504 || code == 202 || under_way, "{code} {reply}");
    crate::support::until("the file", secs(3), || (bench.read("a.token") != before).then_some(()));
}

fn back(bench: &Bench, agent: &Agent) {
    let status = agent.until_well();
    assert_eq!(status["servers"], json!([]));
    assert_eq!(bench.data("tokens/a")["access_token"], bench.read("a.token"));
}

#[test]
fn away_sealed_and_revoked_are_told_apart_and_healed() {
    let mut bench = bench!();
    let config = bench.vault(bench.approle("10m"), [bench.to_vault(ANY, "a")]);
    let agent = bench.world.start(&config);
    back(&bench, &agent);

    bench.seal();
    renews_the_file(&bench, &agent);
    is_away(&agent, "Vault is sealed", "hint: unseal it");
    let plain = String::from_utf8(bench.renewd(&["status"]).stdout).unwrap();
    assert!(plain.contains("vault is away, for ") && plain.contains("Vault is sealed"), "{plain}");
    bench.unseal();
    back(&bench, &agent);

    bench.kill();
    renews_the_file(&bench, &agent);
    is_away(&agent, "Vault was not reached: connection refused", "hint: is vault.address right");
    bench.run_bao();
    is_away(&agent, "Vault is sealed", "hint: unseal it");
    bench.unseal();
    back(&bench, &agent);

    // A login that can be made again is.
    bench.call("PUT", "sys/leases/revoke-prefix/auth/approle", json!({}));
    assert_eq!(agent.renew("a").0, 200);
    back(&bench, &agent);
    bench.call("PUT", "sys/leases/revoke-prefix/auth/approle", json!({}));
    bench.call("DELETE", "auth/approle/role/renewd", Value::Null);
    renews_the_file(&bench, &agent);
    // Within half a minute of the last new login it is a denial, which it may be.
    agent.until("an error", secs(15), |status| account(status, "a")["sinks"][1]["state"] == "failed");
    assert_eq!(agent.logged("server_back"), 2);
    agent.stop();
}

#[test]
fn a_revoked_token_that_was_configured_needs_a_person_and_is_taken_when_it_is_replaced() {
    let bench = bench!();
    let (auth, token) = bench.token();
    let agent = bench.world.start(&bench.vault(auth, [bench.to_vault(ANY, "a")]));
    back(&bench, &agent);
    bench.call("POST", "auth/token/revoke", json!({ "token": token }));
    renews_the_file(&bench, &agent);
    is_away(
        &agent,
        "Vault refuses the login by token (HTTP 403)",
        "hint: the token is unknown, revoked or over",
    );
    bench.token(); // into the same file
    back(&bench, &agent);
    agent.stop();
}

#[test]
fn a_denial_is_one_sinks_own_and_heals_with_the_policy() {
    let bench = bench!();
    let denied = json!({ "vault": "secret/others/b" });
    let accounts = [bench.to_vault(ANY, "a"), bench.with_sinks(ANY, "b", &[denied])];
    let agent = bench.world.start(&bench.vault(bench.approle("10m"), accounts));
    let status = agent.until("the denial", secs(15), |status| {
        account(status, "b")["sinks"][1]["state"] == "failed"
            && account(status, "a")["sinks"][1]["state"] == "written"
    });
    let message = account(&status, "b")["sinks"][1]["error"]["message"].as_str().unwrap();
    let lacks = r#"hint: the login's policy needs: path "secret/data/others/b" { capabilities = ["read"] }"#;
    assert!(message.starts_with("Vault's policy denies read on `secret/data/others/b`"), "{message}");
    assert!(message.contains(lacks), "{message}");
    assert_eq!((&status["servers"], generation(&status, "b")), (&json!([]), 1));
    assert_eq!(agent.renew("a").0, 200);
    throughout("the server is there", secs(1), || agent.status()["servers"] == json!([]));
    assert_eq!(bench.data("tokens/a")["access_token"], bench.read("a.token"));

    bench.allow(r#"path "secret/data/*" { capabilities = ["create", "read", "update"] }"#);
    back(&bench, &agent);
    assert_eq!(bench.data("others/b")["access_token"], bench.read("b.token"));
    agent.stop();
}

#[test]
fn a_foreign_write_is_replaced_at_the_next_token_and_said() {
    let bench = bench!();
    let agent = bench.world.start(&bench.vault(bench.approle("10m"), [bench.to_vault(ANY, "a")]));
    back(&bench, &agent);
    bench.write("tokens/a", json!({ "access_token": "somebody's" }));
    assert_eq!(agent.renew("a").0, 200);
    back(&bench, &agent);
    assert!(agent.log().contains("another writer's version was replaced by ours"));
    agent.stop();
}
