//! Health and metrics over TCP.

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{Agent, World, all_well, free_port, http_get, millis, secs, throughout, until};

const ANY: Provider = Provider::Kiwoom;

fn listening(world: &World, config: &mut Value) -> (Agent, u16) {
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let agent = world.start(config);
    until("an answer", secs(5), || http_get(port, "/livez", "localhost"));
    (agent, port)
}

#[test]
fn readiness_fails_for_what_is_missing_and_liveness_for_nothing_of_the_providers() {
    let world = World::living(secs(20));
    world.sim.fault("kiwoom/id-b=503");
    let mut config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
    let (agent, port) = listening(&world, &mut config);
    let status = |path: &str| http_get(port, path, "localhost").unwrap();
    until("an account's readiness", secs(5), || (status("/readyz/a").0 == 200).then_some(()));
    let (code, body) = status("/readyz");
    assert_eq!(code, 503);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(body.to_string().contains("\"b\""), "{body}");
    assert_eq!(status("/readyz/b").0, 503);
    assert_eq!(status("/readyz/nobody").0, 404);
    assert_eq!(status("/livez").0, 200);
    world.sim.clear();
    agent.until("both", secs(70), all_well);
    assert_eq!(status("/readyz").0, 200);

    // An outage: first nothing, then, inside the last stretch of the token's life, readiness fails within 5 s.
    world.sim.stop();
    until("readiness that fails before the end", secs(25), || (status("/readyz").0 == 503).then_some(()));
    assert_eq!(status("/livez").0, 200);
    world.sim.resume();
    until("readiness again", secs(70), || (status("/readyz").0 == 200).then_some(()));
    throughout("readiness that lasts", millis(500), || status("/readyz").0 == 200);
}

#[test]
fn metrics_follow_the_accounts_and_tell_no_secret() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let (agent, port) = listening(&world, &mut config);
    agent.until_well();
    agent.renew("a");
    world.sim.fault("*=429");
    agent.renew("a");
    let (code, page) = http_get(port, "/metrics", "localhost").unwrap();
    assert_eq!(code, 200);
    for line in [
        "renewd_token_generation{account=\"a\",provider=\"kiwoom\"} 2",
        "renewd_account_state{account=\"a\",provider=\"kiwoom\",state=\"retrying\"} 1",
        "renewd_config_last_reload_successful 1",
        "renewd_throttled_total{provider=\"kiwoom\"} 1",
        "renewd_provider_requests_total{code=\"429\",provider=\"kiwoom\"} 1",
        "renewd_provider_requests_total{code=\"200\",provider=\"kiwoom\"} 2",
    ] {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let labels = |line: &str| {
            let (name, rest) = line.split_once('{').unwrap_or((line, ""));
            let mut labels: Vec<String> = rest.trim_end_matches('}').split(',').map(str::to_owned).collect();
            labels.sort();
            (name.to_owned(), labels)
        };
        let found = page
            .lines()
            .filter_map(|line| line.rsplit_once(' '))
            .any(|(key, number)| labels(key) == labels(name) && number == value);
        assert!(found, "{line} is not in\n{page}");
    }
    for path in [
        "/metrics",
        "/api/v1/status",
        "/livez",
        "/readyz",
        "/",
        "/?account=a",
        "/v1/accounts/a/token",
        "/api/v1/accounts/a/token",
    ] {
        let (_, page) = http_get(port, path, "localhost").unwrap();
        world.canaries.add(&world.read("a.token"));
        let found = world.canaries.found_in(&page);
        assert!(found.is_empty(), "{path}: {found:?}");
    }
    let (_, page) = http_get(port, "/api/v1/status", "localhost").unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["accounts"][0]["generation"], 2);
}

#[test]
fn on_loopback_the_host_header_is_checked_and_the_address_follows_a_reload() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let (agent, port) = listening(&world, &mut config);
    agent.until_well();
    assert!((400..500).contains(&http_get(port, "/livez", "evil.example").unwrap().0));
    for host in ["localhost", &format!("127.0.0.1:{port}"), &format!("localhost:{port}")] {
        assert_eq!(http_get(port, "/livez", host).unwrap().0, 200, "{host}");
    }
    let other = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{other}").into();
    world.write(&config);
    until("the new port", secs(5), || http_get(other, "/livez", "localhost").filter(|reply| reply.0 == 200));
    assert!(http_get(port, "/livez", "localhost").is_none());
    config["agent"]["listen"] = json!("off");
    world.write(&config);
    until("silence", secs(5), || http_get(other, "/livez", "localhost").is_none().then_some(()));
    assert_eq!(world.sim.requests(), 1);
}

#[test]
fn a_port_that_is_taken_keeps_no_token_from_its_file() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config["agent"]["listen"] = taken.local_addr().unwrap().to_string().into();
    let agent = world.start(&config);
    agent.until_well();
    assert!(agent.log().contains(&taken.local_addr().unwrap().to_string()), "it is said");
}

#[test]
fn a_new_port_that_is_taken_is_told_and_the_one_before_goes_on_until_it_is_free() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let (agent, port) = listening(&world, &mut config);
    agent.until_well();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = taken.local_addr().unwrap();
    config["agent"]["listen"] = wanted.to_string().into();
    world.write(&config);
    let status = agent.until("the trouble in the status", secs(5), |status| status["listeners"] != json!([]));
    let listener = &status["listeners"][0];
    assert_eq!(
        (&listener["name"], &listener["address"]),
        (&json!("agent.listen"), &json!(wanted.to_string()))
    );
    assert_eq!(listener["meanwhile"], format!("127.0.0.1:{port}"), "{listener}");
    assert!(listener["error"]["message"].as_str().unwrap().contains("in use"), "{listener}");
    let (code, body) = http_get(port, "/readyz", "localhost").unwrap();
    assert_eq!(code, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let warning = body["warnings"][0]["reason"].as_str().unwrap();
    assert!(warning.starts_with(&format!("agent.listen cannot be had at {wanted}: ")), "{warning}");
    let table = world.renewd(&["status"]);
    assert_eq!(table.status.code(), Some(0));
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&format!("agent.listen cannot be had at {wanted}, for ")), "{table}");
    let check = world.renewd(&["status", "--check"]);
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    assert_eq!(agent.logged("listen_failed"), 1);

    drop(taken);
    agent.until("no trouble", secs(20), |status| status["listeners"] == json!([]));
    until("the new port", secs(2), || http_get(wanted.port(), "/livez", "localhost"));
    until("silence at the old one", secs(2), || {
        http_get(port, "/livez", "localhost").is_none().then_some(())
    });
    assert_eq!(world.renewd(&["status", "--check"]).status.code(), Some(0));
    assert_eq!(world.sim.requests(), 1);
}

#[test]
fn a_refused_configuration_is_a_warning_of_readiness_and_no_reason() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let (agent, port) = listening(&world, &mut config);
    agent.until_well();
    world.write_text(&config.to_string().replace("\"provider\"", "\"provder\""));
    agent.until("the error in the status", secs(5), |status| !status["config"]["error"].is_null());
    let (code, body) = http_get(port, "/readyz", "localhost").unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &body["ready"], &body["reasons"]), (200, &json!(true), &json!([])));
    let warning = body["warnings"][0]["reason"].as_str().unwrap();
    assert!(warning.contains("is refused") && warning.contains("renewd.yaml:1:"), "{warning}");
    world.write(&config);
    agent.until("no error", secs(5), |status| status["config"]["error"].is_null());
    let (_, body) = http_get(port, "/readyz", "localhost").unwrap();
    assert_eq!(body, r#"{"ready":true,"reasons":[]}"#);
}
