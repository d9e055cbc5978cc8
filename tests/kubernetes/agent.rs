//! The whole agent and its Secrets.

use std::collections::BTreeSet;
use std::fs;

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::room::{ADMIN, NAME, RENEWD, Room, STRANGER, encoded};
use crate::stage::{Stage, sink_of};
use crate::support::{account, generation, secs, setting, state, throughout, until};

fn error_of(status: &Value, secret: &str) -> String {
    sink_of(status, secret)["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_secret_holds_the_token_document_and_follows_each_renewal() {
    let stage = Stage::set(RENEWD, 3600);
    let agent = stage.start(&stage.config([json!({ "kubernetes": { "secret": NAME } })]));
    let status = agent.until_well();
    let id = format!("kubernetes:{}/{NAME}", stage.room.namespace);
    assert_eq!(sink_of(&status, NAME)["sink"], id, "without `namespace` it is the pod's");

    let values = stage.secret().unwrap();
    let document = agent.get("/v1/accounts/a/token").1;
    let keys: BTreeSet<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(values.keys().collect::<BTreeSet<_>>(), keys);
    for (key, value) in &values {
        let expected = document[key].as_str().map_or_else(|| document[key].to_string(), str::to_owned);
        assert_eq!(*value, expected, "{key}");
    }
    assert_eq!(values["access_token"], stage.world.read("a.token"));
    let object = stage.wait(stage.room.look()).unwrap();
    let annotations = &object["metadata"]["annotations"];
    assert_eq!(annotations["renewd.io/account"], "a");
    assert_eq!(annotations["renewd.io/generation"], "1");

    let old = stage.world.read("a.token");
    assert_eq!(agent.renew("a").0, 200);
    stage.until_both_have("access_token", &old);
    let status = agent.until_well();
    assert_eq!((generation(&status, "a"), &sink_of(&status, NAME)["generation"]), (2, &json!(2)));
    agent.stop();
}

#[test]
fn keys_are_made_as_they_say_and_one_that_is_taken_out_goes_away() {
    let stage = Stage::set(RENEWD, 3600);
    stage.wait(stage.room.others_make("someone", json!({ "data": { "theirs": encoded("stays") } })));
    let mut sink = stage.sink();
    sink["kubernetes"]["keys"] = json!({
        "token": "{{ access_token }}", "header": "{{ token_type }} {{ access_token }}", "who": "{{ account }}",
    });
    let agent = stage.start(&stage.config([sink.clone()]));
    agent.until_well();
    let token = stage.world.read("a.token");
    let expected = |entries: &[(&str, &str)]| {
        Some(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    };
    let header = format!("Bearer {token}");
    assert_eq!(
        stage.secret(),
        expected(&[("header", &header), ("theirs", "stays"), ("token", &token), ("who", "a")])
    );

    sink["kubernetes"]["keys"] = json!({ "token": "{{ access_token }}" });
    stage.world.write(&stage.config([sink]));
    until("the other keys gone", secs(20), || {
        (stage.secret() == expected(&[("theirs", "stays"), ("token", &token)])).then_some(())
    });
    assert_eq!(stage.world.sim.requests(), 1, "that costs no token");
    agent.stop();
}

#[test]
fn a_secret_that_someone_deletes_is_made_again_on_hup_and_at_a_start() {
    let stage = Stage::set(RENEWD, 3600);
    let config = stage.config([stage.sink()]);
    let agent = stage.start(&config);
    agent.until_well();
    let token = stage.world.read("a.token");
    let delete = || {
        let (status, _) = stage.wait(stage.room.admin("DELETE", &stage.room.path(), &Value::Null));
        assert_eq!(status, 200);
        assert_eq!(stage.secret(), None);
    };
    let is_back = || (stage.value("access_token").as_ref() == Some(&token)).then_some(());

    delete();
    agent.signal(Signal::HUP);
    until("the Secret, by HUP", secs(20), is_back);
    // Without a hint of anyone it is compared every 10 minutes, the first time at a random instant of them.
    if setting("RENEWD_COMPARE", 0) == 1 {
        delete();
        until("the Secret, by comparison", secs(630), is_back);
    }
    agent.stop();
    delete();
    let agent = stage.start(&config);
    until("the Secret, by a start", secs(20), is_back);
    agent.until_well();
    assert_eq!(stage.world.sim.requests(), 1, "none of it costs a token");
    agent.stop();
}

#[test]
fn a_server_that_is_away_delays_no_file_and_is_current_soon_after_its_return() {
    let (count, outage) = (setting("RENEWD_OUTAGE_ACCOUNTS", 8), setting("RENEWD_OUTAGE", 4));
    let lifetime = setting("RENEWD_OUTAGE_LIFETIME", 8);
    let stage = Stage::set(ADMIN, lifetime);
    let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
    let secret = |name: &str| format!("token-of-{name}");
    let accounts = names.iter().map(|name| {
        let mut account = stage.world.account(Provider::OAuthClientCredentials, name);
        let sink = json!({ "kubernetes": { "secret": secret(name), "namespace": stage.room.namespace } });
        account["sinks"].as_array_mut().unwrap().push(sink);
        (name.clone(), account)
    });
    let agent = stage.start(&stage.world.config(accounts));
    agent.until("all delivered", secs(60), |status| {
        let accounts = status["accounts"].as_array().unwrap();
        accounts
            .iter()
            .all(|account| account["sinks"].as_array().unwrap().iter().all(|sink| sink["state"] == "written"))
    });

    let before: Vec<u64> = names.iter().map(|name| generation(&agent.status(), name)).collect();
    stage.gate.close();
    // Until every token has been renewed at least once without the server, and for as long as was asked.
    agent.until("every token renewed meanwhile", secs(60), |status| {
        names.iter().zip(&before).all(|(name, before)| generation(status, name) > *before)
    });
    throughout("files go on", secs(outage), || {
        let status = agent.status();
        let late = |name: &&String| {
            let account = account(&status, name);
            let sinks = account["sinks"].as_array().unwrap();
            let file = sinks.iter().find(|sink| sink["sink"].as_str().unwrap().starts_with("file:")).unwrap();
            // The status may be asked for between a renewal and its write.
            let behind = account["generation"].as_u64().unwrap() - file["generation"].as_u64().unwrap();
            state(&status, name) != "fresh" || file["error"] != Value::Null || behind > 1
        };
        let late: Vec<_> = names.iter().filter(late).map(|name| account(&status, name)).collect();
        assert!(late.is_empty(), "{late:?}");
        true
    });
    let status = agent.status();
    let told = names.iter().any(|name| {
        account(&status, name).to_string().contains("the Kubernetes API cannot be reached: the connection")
    });
    assert!(told, "{status}");
    let refused = stage.gate.refused();
    assert!(refused <= 8 + usize::try_from(count.min(16) + outage).unwrap(), "{refused} connections");

    let held: Vec<u64> = names.iter().map(|name| generation(&agent.status(), name)).collect();
    stage.gate.reopen();
    let start = std::time::Instant::now();
    agent.until("every Secret current", secs(65), |status| {
        names.iter().zip(&held).all(|(name, held)| {
            let sinks = account(status, name)["sinks"].as_array().unwrap();
            let sink =
                sinks.iter().find(|sink| sink["sink"].as_str().unwrap().ends_with(&secret(name))).unwrap();
            sink["generation"].as_u64().is_some_and(|generation| generation >= *held)
        })
    });
    eprintln!(
        "{count} Secrets current {:.1} s after the return; {refused} connections meanwhile",
        start.elapsed().as_secs_f64()
    );
    for name in &names {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", stage.room.namespace, secret(name));
        until("the file's token in its Secret", secs(20), || {
            let (_, object) = stage.wait(stage.room.admin("GET", &path, &Value::Null));
            let file = fs::read_to_string(stage.world.out(&format!("{name}.token"))).unwrap();
            (Room::values_of(&object).get("access_token") == Some(&file)).then_some(())
        });
    }
    agent.stop();
}

#[test]
fn what_the_server_refuses_stands_in_the_status_with_a_hint_and_heals() {
    let stage = Stage::set(RENEWD, 3600);
    stage.wait(stage.room.others_make("kubectl-edit", json!({ "data": { "token": encoded("mine") } })));
    let mut owned = stage.sink();
    owned["kubernetes"]["keys"] = json!({ "token": "{{ access_token }}" });
    let forbidden = json!({ "kubernetes": { "secret": "another" } });
    let agent = stage.start(&stage.config([owned, forbidden]));
    let status = agent.until("both told", secs(20), |status| {
        sink_of(status, NAME)["state"] == "failed" && sink_of(status, "another")["state"] == "failed"
    });
    let namespace = &stage.room.namespace;
    let message = error_of(&status, NAME);
    let words =
        "the Secret is owned by others: \"token\" by kubectl-edit; hint: let the other one stop setting it";
    assert!(message.starts_with(words), "{message}");
    let message = error_of(&status, "another");
    let words = format!(
        "renewd may not get secrets \"another\" in namespace \"{namespace}\"; hint: allow it by a Role"
    );
    assert!(message.starts_with(&words), "{message}");
    assert_eq!(state(&status, "a"), "fresh");
    let token = until("the file", secs(10), || fs::read_to_string(stage.world.out("a.token")).ok());
    assert_eq!(stage.value("token").as_deref(), Some("mine"), "nothing is taken by force");

    // As the hint says.
    stage.wait(stage.room.others_patch("kubectl-patch", &json!({ "data": { "token": null } })));
    agent.signal(Signal::HUP);
    until("the token in the Secret", secs(20), || (stage.value("token")? == token).then_some(()));
    let status = agent.until("the sink well", secs(10), |status| sink_of(status, NAME)["state"] == "written");
    assert_eq!(sink_of(&status, "another")["state"], "failed", "the other one goes on waiting for its Role");
    assert_eq!(stage.world.sim.requests(), 1);
    agent.stop();
}

#[test]
fn what_a_sink_leaves_behind_goes_only_where_that_is_said() {
    let stage = Stage::set(RENEWD, 3600);
    let mut sink = stage.sink();
    let agent = stage.start(&stage.config([sink.clone()]));
    agent.until_well();
    let is_alone =
        |status: &Value| account(status, "a")["sinks"].as_array().is_some_and(|sinks| sinks.len() == 1);
    stage.world.write(&stage.config([]));
    agent.until("the sink gone", secs(20), is_alone);
    assert!(stage.secret().is_some(), "it is kept unless said");

    sink["kubernetes"]["on_remove"] = json!("delete");
    stage.world.write(&stage.config([sink]));
    agent.until("the sink back", secs(20), |status| !is_alone(status));
    agent.until_well();
    stage.world.write(&stage.config([]));
    until("the Secret gone", secs(30), || stage.secret().is_none().then_some(()));
    assert_eq!(stage.world.sim.requests(), 1);
    agent.stop();
}

#[test]
fn check_online_rehearses_every_secret_and_writes_none() {
    let stage = Stage::set(RENEWD, 3600);
    let mut owned = stage.sink();
    owned["kubernetes"]["keys"] = json!({ "token": "{{ access_token }}" });
    let config = stage.config([owned]);
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let output = stage.check(&config, RENEWD);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let id = format!("kubernetes:{}/{NAME}", stage.room.namespace);
    assert!(said(&output).contains(&format!("{id}: can be written\n")), "{}", said(&output));
    assert_eq!(stage.secret(), None, "nothing is made");

    let output = stage.check(&config, STRANGER);
    assert_eq!(output.status.code(), Some(1));
    let words = format!("error: account `a`, sink {id}: stranger may not get secrets");
    assert!(said(&output).contains(&words), "{}", said(&output));
    assert!(said(&output).contains("hint: allow it by a Role in namespace"), "{}", said(&output));

    stage.wait(stage.room.others_make("kubectl-edit", json!({ "data": { "token": encoded("mine") } })));
    let output = stage.check(&config, RENEWD);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("owned by others: \"token\" by kubectl-edit"), "{}", said(&output));

    // A server that is away is told once, however many Secrets stand on it.
    stage.gate.close();
    let both = stage.config([stage.sink(), json!({ "kubernetes": { "secret": "another" } })]);
    let output = stage.check(&both, RENEWD);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output).matches("cannot be reached").count(), 1, "{}", said(&output));
    assert_eq!(stage.world.sim.requests(), 0, "no provider is asked");
}
