//! `agent.alerts`: told once that something goes wrong, once that it is well again, and never a token.

use std::net::TcpListener;

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::hooks::Inbox;
use crate::support::{World, account, millis, secs, throughout, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Each alert of these messages: level, subject and name.
fn told(bodies: &[Value]) -> Vec<String> {
    let items = bodies.iter().flat_map(|body| body["alerts"].as_array().unwrap());
    let said = |item: &Value| {
        let word = |key: &str| item[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("level"), word("subject"), word("name"))
    };
    items.map(said).collect()
}

#[test]
fn a_token_that_is_about_to_end_is_told_of_once_and_its_recovery_once() {
    let world = World::living(secs(20));
    let (inbox, quiet) = (Inbox::start(), Inbox::start());
    let notes = world.path("notes");
    let script = format!(
        "printf '%s|%s\\n' \"$RENEWD_ALERT_LEVEL\" \"$RENEWD_ALERT_NAMES\" >> {}; env >> {}.env",
        notes.display(),
        notes.display()
    );
    let mut config = world.config(["a", "b", "c"].map(|name| (name.to_owned(), world.account(ANY, name))));
    config["agent"]["alerts"] = json!([
        { "webhook": { "url": format!("http://{}/hook", inbox.address) } },
        { "webhook": { "url": format!("http://{}/quiet", quiet.address), "at": ["critical"] } },
        { "command": { "argv": ["/bin/sh", "-c", script], "at": ["critical", "recovered"] } },
    ]);
    let agent = world.start(&config);
    agent.until_well();
    let token = world.canary_token("a", &agent);
    world.sim.stop();
    // Half of the lead is 5 s, as is the last stretch.
    until("the alert", secs(40), || {
        told(&inbox.bodies()).iter().filter(|told| told.starts_with("critical")).nth(2).map(|_| ())
    });
    throughout("no second one", secs(5), || told(&inbox.bodies()).len() == 3);
    let first = &inbox.bodies()[0];
    assert_eq!((&first["event"], &first["level"]), (&json!("alert"), &json!("critical")), "{first}");
    assert!(first["text"].as_str().unwrap().contains(": the token "), "{first}");
    assert_eq!(first["alerts"][0]["class"], "transient", "{first}");
    assert!(
        first["alerts"][0]["expires_at"].is_string() && first["alerts"][0]["provider"].is_string(),
        "{first}"
    );
    world.sim.resume();
    until("the recoveries", secs(120), || (told(&inbox.bodies()).len() == 6).then_some(()));
    let mut all = told(&inbox.bodies());
    all.sort();
    let wanted: Vec<String> = ["critical", "recovered"]
        .iter()
        .flat_map(|level| ["a", "b", "c"].map(|name| format!("{level} account {name}")))
        .collect();
    assert_eq!(all, wanted);
    assert!(inbox.bodies().len() <= 6);
    let critical = told(&quiet.bodies());
    assert!(critical.len() == 3 && critical.iter().all(|told| told.starts_with("critical")), "{critical:?}");
    let noted = until("the command's notes", secs(20), || {
        let noted = std::fs::read_to_string(&notes).ok()?;
        noted.lines().any(|line| line.starts_with("recovered|")).then_some(noted)
    });
    assert!(noted.starts_with("critical|"), "{noted}");
    let environment = std::fs::read_to_string(world.path("notes.env")).unwrap();
    let names: Vec<&str> =
        environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert!(names.contains(&"RENEWD_ALERT_TEXT") && names.contains(&"RENEWD_ALERT_JSON"), "{names:?}");
    assert!(!names.contains(&"RENEWD_CONFIG") && !names.contains(&"RENEWD_TARGETS"), "{names:?}");
    let all = inbox.all().join("\n") + &environment;
    assert!(!all.contains(&token), "a token");
    assert_eq!(world.canaries.found_in(&all), [""; 0]);
}

#[test]
fn refused_credentials_and_a_refused_configuration_are_warned_of_and_an_absent_webhook_is_tried_again() {
    let world = World::living(secs(600));
    // Nobody listens there yet.
    let place = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let inbox = Inbox::start();
    let mut config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
    config["accounts"]["b"]["credentials"]["client_secret"] = json!("wrong");
    config["agent"]["alerts"] = json!([
        { "webhook": { "url": format!("http://{}/x", inbox.address) } },
        { "webhook": { "url": format!("http://{address}/x") } },
    ]);
    let agent = world.start(&config);
    let first = until("the warning", secs(15), || inbox.bodies().into_iter().next());
    assert_eq!(told(std::slice::from_ref(&first)), ["warn account b"]);
    assert_eq!(first["alerts"][0]["class"], "rejected", "{first}");
    let status = agent
        .until("word of the absent one", secs(10), |status| status["listeners"][0]["name"] == "agent.alerts");
    let message = status["listeners"][0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("is anything listening there?"), "{message}");
    let late = Inbox::at(address);
    until("the late one's warning", secs(40), || (told(&late.bodies()) == ["warn account b"]).then_some(()));
    agent.until("all well with it", secs(5), |status| status["listeners"] == json!([]));

    world.write_text("accounts: {");
    until("the configuration's", secs(30), || {
        told(&inbox.bodies()).contains(&"warn config configuration".to_owned()).then_some(())
    });
    config["accounts"]["b"] = world.account(ANY, "b");
    world.write(&config);
    until("both ends", secs(40), || {
        let told = told(&inbox.bodies());
        let both = ["recovered account b", "recovered config configuration"];
        both.iter().all(|one| told.iter().any(|told| told == one)).then_some(())
    });
    assert_eq!(account(&agent.status(), "b")["state"], "fresh");
    throughout("no more", millis(500), || told(&inbox.bodies()).len() == 4);
    assert!(agent.logged("alert_failed") >= 1 && agent.logged("alert_sent") >= 4);
}
