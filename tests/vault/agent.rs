//! The agent delivers into both key-value engines, by every login that this machine can make.

use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};

use crate::bao::{Listener, testdata};
use crate::bench::Bench;
use crate::signer::Signer;
use crate::support::{generation, secs, throughout, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Starts an agent with this login and sees its token stand in Vault, also after a renewal.
fn delivers(bench: &Bench, auth: Value) {
    let name = "messaging";
    let path = format!("tokens/{}", auth.as_object().unwrap().keys().next().unwrap());
    let sink = json!({ "vault": format!("secret/{path}") });
    let agent = bench.start_agent(&bench.vault(auth, [bench.with_sinks(ANY, name, &[sink])]));
    agent.until_well();
    assert_eq!(bench.data(&path)["access_token"], bench.read("messaging.token"));
    assert_eq!(agent.renew(name).0, 200);
    until("the next one", secs(10), || {
        (bench.data(&path)["access_token"] == bench.read("messaging.token")).then_some(())
    });
    agent.stop();
}

impl Bench {
    /// With a state of its own each time.
    fn start_agent(&self, config: &Value) -> crate::support::Agent {
        let _ = std::fs::remove_dir_all(self.path("state"));
        self.world.start(config)
    }
}

#[test]
fn an_approle_brings_documents_and_fields_into_both_engines_and_a_restart_writes_nothing() {
    let bench = bench!();
    let auth = bench.approle("10m");
    let fields = json!({ "token": "Bearer {{ access_token }}", "until": "{{ expires_at }}" });
    let sinks = [
        json!({ "vault": "secret/tokens/document" }),
        json!({ "vault": { "mount": "kv1", "path": "tokens/document", "kv": 1 } }),
        json!({ "vault": { "mount": "secret", "path": "tokens/fields", "fields": fields } }),
        json!({ "vault": { "mount": "kv1", "path": "tokens/fields", "kv": 1, "fields": fields } }),
    ];
    let config = bench.vault(auth, [bench.with_sinks(ANY, "a", &sinks)]);
    let agent = bench.world.start(&config);
    for round in 1..=2 {
        agent.until("written", secs(20), |status| {
            generation(status, "a") == round && crate::support::all_well(status)
        });
        let (token, (_, document)) = (bench.read("a.token"), agent.get("/v1/accounts/a/token"));
        assert_eq!(document["access_token"], token);
        let kv1 = |path: &str| bench.call("GET", &format!("kv1/tokens/{path}"), Value::Null)["data"].clone();
        for seen in [bench.data("tokens/document"), kv1("document")] {
            for field in ["account", "provider", "access_token", "expires_at", "generation"] {
                assert_eq!(seen[field], document[field], "{field}");
            }
        }
        let own = json!({ "token": format!("Bearer {token}"), "until": document["expires_at"] });
        assert_eq!((bench.data("tokens/fields"), kv1("fields")), (own.clone(), own));
        assert_eq!(bench.version("tokens/document"), round);
        if round == 1 {
            assert_eq!(agent.renew("a").0, 200);
        }
    }
    agent.stop();
    let agent = bench.run().start();
    agent.until_well();
    throughout("no new version", secs(1), || bench.version("tokens/document") == 2);
    assert_eq!(bench.version("tokens/fields"), 2);
    assert_eq!(bench.sim.requests(), 2);
    agent.stop();
}

#[test]
fn a_configured_token_and_a_jwt_log_in() {
    let bench = bench!();
    delivers(&bench, bench.token().0);
    let signer = Signer::new();
    bench.call("POST", "sys/auth/jwt", json!({ "type": "jwt" }));
    bench.call("POST", "auth/jwt/config", json!({ "jwt_validation_pubkeys": [signer.public_pem()] }));
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["renewd"],
    });
    bench.call("POST", "auth/jwt/role/renewd", role);
    let now = renewd::runtime::clock::wall().as_secs();
    let jwt = signer.jwt(&json!({ "sub": "renewd", "aud": "vault", "iat": now, "exp": now + 600 }));
    bench.canaries.add(&jwt);
    delivers(&bench, json!({ "jwt": { "jwt": { "file": bench.put("jwt", &jwt) }, "role": "renewd" } }));
}

#[test]
fn a_client_certificate_logs_in_and_the_connection_is_tls() {
    let bench = bench!(Listener::Tls, Options::with_lifetime(secs(600)));
    bench.call("POST", "sys/auth/cert", json!({ "type": "cert" }));
    let certificate = std::fs::read_to_string(testdata("ca.pem")).unwrap();
    let role = json!({
        "certificate": certificate, "allowed_common_names": ["client"], "token_policies": ["renewd"],
    });
    bench.call("POST", "auth/cert/certs/renewd", role);
    let (cert, key) = (testdata("client.pem"), testdata("client.key"));
    delivers(&bench, json!({ "cert": { "cert_file": cert, "key_file": key, "name": "renewd" } }));
}

#[test]
fn what_was_delivered_is_deleted_when_its_sink_leaves_where_that_is_wished() {
    let bench = bench!();
    let sink = |path: &str, on_remove: &str| json!({ "vault": { "mount": "secret", "path": path, "on_remove": on_remove } });
    let sinks = [
        sink("tokens/goes", "delete"),
        sink("tokens/stays", "keep"),
        json!({ "vault": { "mount": "kv1", "path": "tokens/goes", "kv": 1, "on_remove": "delete" } }),
    ];
    let mut config = bench.vault(bench.approle("10m"), [bench.with_sinks(ANY, "a", &sinks)]);
    let agent = bench.world.start(&config);
    agent.until_well();
    config["accounts"]["a"]["sinks"].as_array_mut().unwrap().truncate(1);
    bench.world.write(&config);
    until("their end", secs(30), || {
        let gone = |path: &str| bench.try_call("GET", path).0 == 404;
        (gone("secret/data/tokens/goes") && gone("kv1/tokens/goes")).then_some(())
    });
    assert_eq!(bench.data("tokens/stays")["access_token"], bench.read("a.token"));
    assert_eq!(agent.logged("sink_deleted"), 2);
    agent.stop();
}
