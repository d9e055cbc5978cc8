//! A running agent takes a new configuration, and refuses a bad one.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{
    World, account, all_well, class, generation, is_well, millis, secs, setting, throughout, until,
};

const ANY: Provider = Provider::OAuthClientCredentials;

fn names(status: &Value) -> Vec<&str> {
    status["accounts"].as_array().unwrap().iter().map(|account| account["name"].as_str().unwrap()).collect()
}

#[test]
fn a_rename_over_the_file_applies_within_5_s_each_time() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    for (round, name) in ["b", "c", "d"].into_iter().enumerate() {
        config["accounts"][name] = world.account(ANY, name);
        world.write(&config);
        let status = agent
            .until("the added account", secs(5), |status| names(status).contains(&name) && all_well(status));
        assert_eq!(status["config"]["generation"], round + 2);
    }
    assert_eq!(world.sim.requests(), 4);
}

#[test]
fn an_edit_in_place_applies_too() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    config["accounts"]["b"] = world.account(ANY, "b");
    std::fs::write(world.config_path(), config.to_string()).unwrap();
    agent.until("the added account", secs(5), |status| names(status) == ["a", "b"] && all_well(status));
}

#[test]
fn a_configmaps_data_swap_applies_within_5_s_each_time() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let mount = world.path("mount");
    let publish = |version: &str, config: &Value| {
        world.put(&format!("mount/{version}/renewd.yaml"), &config.to_string());
        symlink(version, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    };
    publish("..one", &config);
    symlink("..data/renewd.yaml", mount.join("renewd.yaml")).unwrap();
    let mut run = world.run();
    run.config = mount.join("renewd.yaml");
    let agent = run.start();
    agent.until_well();
    for (version, name, old) in [("..two", "b", "..one"), ("..three", "c", "..two")] {
        config["accounts"][name] = world.account(ANY, name);
        publish(version, &config);
        std::fs::remove_dir_all(mount.join(old)).unwrap();
        agent.until("the added account", secs(5), |status| names(status).contains(&name) && all_well(status));
    }
}

#[test]
fn an_included_folder_that_gets_a_file_and_loses_it_applies_within_5_s() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    config["include"] = json!(["accounts.d/*.yaml"]);
    std::fs::create_dir(world.path("accounts.d")).unwrap();
    let agent = world.start(&config);
    agent.until_well();
    let more = json!({ "accounts": { "b": world.account(ANY, "b") } });
    world.put("accounts.d/b.yaml", &more.to_string());
    agent.until("the included account", secs(5), |status| names(status) == ["a", "b"] && all_well(status));
    let another = json!({ "accounts": { "b2": world.account(ANY, "b2") } });
    crate::support::replace(&world.path("accounts.d/b.yaml"), &another.to_string());
    agent.until("the changed file", secs(5), |status| names(status) == ["a", "b2"] && all_well(status));
    std::fs::remove_file(world.path("accounts.d/b.yaml")).unwrap();
    agent.until("its removal", secs(5), |status| names(status) == ["a"]);
    assert_eq!(world.sim.requests_of("id-a"), 1);
}

#[test]
fn a_broken_file_changes_nothing_and_the_mended_one_applies_within_5_s() {
    let world = World::living(secs(8));
    let mut config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("a.token");
    let broken = config.to_string().replace("\"provider\"", "\"provder\"");
    world.write_text(&broken);
    let status =
        agent.until("the error in the status", secs(5), |status| !status["config"]["error"].is_null());
    let error = status["config"]["error"].as_str().unwrap();
    assert!(error.contains("renewd.yaml:1:") && error.contains("did you mean"), "{error}");
    assert_eq!(status["config"]["generation"], 1);
    // Half-written, gone, and broken in another way: the old one runs on and renews.
    world.write_text(&config.to_string()[..80]);
    until("a renewal under a broken file", secs(10), || (world.read("a.token") != token).then_some(()));
    std::fs::remove_file(world.config_path()).unwrap();
    throughout("a valid token", millis(700), || world.sim.accepts(ANY, &world.read("a.token")));

    config["accounts"]["b"] = world.account(ANY, "b");
    world.write(&config);
    let status =
        agent.until("the mended file", secs(5), |status| names(status) == ["a", "b"] && all_well(status));
    assert_eq!((&status["config"]["error"], &status["config"]["generation"]), (&Value::Null, &json!(2)));
}

#[test]
fn a_refusal_is_said_again_to_whoever_asks_and_not_at_each_event_of_the_file() {
    let world = World::living(secs(600));
    let config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    let refusals = |wanted: usize| {
        until("a refusal in the log", secs(5), || (agent.logged("reload_failed") == wanted).then_some(()));
    };
    world.write_text("accounts: 7\n");
    refusals(1);
    agent.signal(rustix::process::Signal::HUP);
    refusals(2);
    let (code, body) = agent.post("/v1/reload", "");
    assert_eq!(code, 422, "{body}");
    refusals(3);
    let readings = agent.logged("reloading");
    world.write_text("accounts: 7\n");
    until("another reading", secs(5), || (agent.logged("reloading") > readings).then_some(()));
    throughout("three refusals", secs(1), || agent.logged("reload_failed") == 3);
}

#[test]
fn a_broken_file_that_is_put_back_as_it_was_clears_the_error() {
    let world = World::living(secs(600));
    let config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    world.write_text("accounts: 7\n");
    agent.until("the error", secs(5), |status| !status["config"]["error"].is_null());
    world.write(&config);
    agent.until("no error", secs(5), |status| status["config"]["error"].is_null());
    assert_eq!(world.sim.requests(), 1);
}

#[test]
fn one_added_one_changed_and_one_removed_account_leave_the_others_without_request_and_write() {
    let world = World::living(secs(3000));
    let count = setting("RENEWD_ACCOUNTS", 200);
    let name = |number: u64| format!("a{number:04}");
    let accounts = (0..count).map(|number| (name(number), world.account(ANY, &name(number))));
    let mut config = world.config(accounts);
    let agent = world.start(&config);
    agent.until("all accounts delivered", secs(60), all_well);
    let looks = || -> BTreeMap<u64, (u64, i64, i64)> {
        let look = |number| {
            let found = std::fs::metadata(world.out(&format!("{}.token", name(number)))).unwrap();
            (number, (found.ino(), found.mtime(), found.mtime_nsec()))
        };
        (1..count).filter(|number| *number != 7).map(look).collect()
    };
    let before = looks();
    world.sim.reset_stats();

    let accounts = config["accounts"].as_object_mut().unwrap();
    accounts.remove(&name(0));
    accounts[&name(7)]["credentials"]["client_id"] = "id-changed".into();
    accounts.insert("added".to_owned(), world.account(ANY, "added"));
    world.write(&config);
    agent.until("the new configuration", secs(5), |status| {
        let seven = account(status, &name(7));
        names(status).contains(&"added") && all_well(status) && seven["generation"] == 2
    });
    world.write_text("accounts: {");
    agent.until("an error", secs(5), |status| !status["config"]["error"].is_null());
    world.write(&config);
    agent.until("no error", secs(5), |status| status["config"]["error"].is_null());
    throughout("two requests", millis(500), || world.sim.requests() == 2);
    assert_eq!(world.sim.requests_of("id-added") + world.sim.requests_of("id-changed"), 2);
    assert_eq!(before, looks());
    assert_eq!(names(&agent.status()).len() as u64, count);
}

#[test]
fn a_moved_sink_is_written_at_its_new_place_and_the_old_one_is_kept_or_deleted_after_10_s() {
    let world = World::living(secs(600));
    let mut config = world.config(
        ["kept", "deleted", "back", "gone", "linked"].map(|name| (name.to_owned(), world.account(ANY, name))),
    );
    let sink = |name: &str| json!([{ "file": { "path": world.out(name), "on_remove": "delete" } }]);
    config["accounts"]["linked"]["sinks"] = sink("linked.token");
    config["accounts"]["deleted"]["sinks"] = sink("deleted.token");
    config["accounts"]["back"]["sinks"] = sink("back.token");
    config["accounts"]["gone"]["sinks"] = sink("gone.token");
    let agent = world.start(&config);
    agent.until_well();
    let requests = world.sim.requests();

    // Another path to the same place is no other place.
    symlink(world.path("out"), world.path("link")).unwrap();
    let original = config.clone();
    config["accounts"]["linked"]["sinks"] =
        json!([{ "file": { "path": world.path("link/linked.token"), "on_remove": "delete" } }]);
    config["accounts"]["kept"]["sinks"] = json!([{ "file": world.out("kept-new.token") }]);
    config["accounts"]["deleted"]["sinks"] = sink("deleted-new.token");
    config["accounts"]["back"]["sinks"] = sink("back-new.token");
    config["accounts"].as_object_mut().unwrap().remove("gone");
    world.write(&config);
    let moved = std::time::Instant::now();
    for name in ["kept", "deleted", "back"] {
        until("the new place", secs(5), || world.out(&format!("{name}-new.token")).exists().then_some(()));
    }
    // Half an edit: one comes back within the ten seconds.
    config["accounts"]["back"] = original["accounts"]["back"].clone();
    std::thread::sleep(millis(1500));
    world.write(&config);
    for name in ["deleted", "gone"] {
        let file = world.out(&format!("{name}.token"));
        until("the deletion", secs(20), || (!file.exists()).then(|| moved.elapsed()));
        let after = moved.elapsed();
        assert!(after > millis(9_500), "{name}: already after {after:?}");
    }
    until("what becomes of the other path", secs(20), || (agent.logged("sink_taken_over") > 0).then_some(()));
    throughout("the file is there all the time", millis(500), || world.out("linked.token").exists());
    assert_eq!(agent.logged("sink_mended"), 0);
    assert_eq!(world.read("kept.token"), world.read("kept-new.token"));
    assert!(world.sim.accepts(ANY, &world.read("back.token")), "it came back in time");
    until("the deletion of what was only meant for a moment", secs(20), || {
        (!world.out("back-new.token").exists()).then_some(())
    });
    assert_eq!(world.sim.requests(), requests);
}

#[test]
fn a_changed_state_directory_is_refused_and_the_old_configuration_runs_on() {
    let world = World::living(secs(600));
    let config = world.one(ANY);
    let agent = world.start(&config);
    agent.until_well();
    let mut moved = config.clone();
    moved["agent"]["state_dir"] = json!(world.path("elsewhere"));
    moved["accounts"]["b"] = world.account(ANY, "b");
    world.write(&moved);
    let status = agent.until("the refusal", secs(5), |status| !status["config"]["error"].is_null());
    let error = status["config"]["error"].as_str().unwrap();
    assert!(error.contains("state_dir") && error.contains("restart"), "{error}");
    assert_eq!(names(&status), ["a"]);
    assert!(!world.path("elsewhere").exists());
    let plan = world.renewd(&["plan"]);
    assert_eq!(plan.status.code(), Some(78), "{plan:?}");
    assert!(String::from_utf8_lossy(&plan.stdout).contains("x refuse all of it: agent.state_dir"));
    world.write(&config);
    agent.until("no error", secs(5), |status| status["config"]["error"].is_null());
}

#[test]
fn another_identity_is_issued_anew_and_another_password_alone_is_not() {
    let world = World::living(secs(600));
    let mut config =
        world.config(["client", "password"].map(|name| (name.to_owned(), world.account(ANY, name))));
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("client.token");
    config["accounts"]["client"]["credentials"]["client_id"] = "id-another".into();
    config["accounts"]["password"]["credentials"]["client_secret"] = "Zanotherpassword2".into();
    world.canaries.add("Zanotherpassword2");
    world.write(&config);
    let status = agent.until("the second generation", secs(5), |status| {
        generation(status, "client") == 2 && is_well(account(status, "client"))
    });
    assert_eq!(generation(&status, "password"), 1);
    assert_ne!(world.read("client.token"), token);
    throughout("three requests", millis(500), || world.sim.requests() == 3);
}

#[test]
fn an_account_that_leaves_and_returns_keeps_its_token_and_its_count() {
    let world = World::living(secs(600));
    let config =
        world.config(["a", "b"].map(|name| (name.to_owned(), world.account(Provider::PortOne, name))));
    let agent = world.start(&config);
    agent.until_well();
    let mut without = config.clone();
    without["accounts"].as_object_mut().unwrap().remove("b");
    world.write(&without);
    agent.until("the removal", secs(5), |status| names(status) == ["a"]);
    world.write(&config);
    let status = agent.until("the return", secs(5), |status| names(status) == ["a", "b"] && all_well(status));
    assert_eq!(generation(&status, "b"), 1);
    assert_eq!(world.sim.requests(), 2);
    assert_eq!(agent.renew("b").0, 200, "its refresh token is there as well");
    assert_eq!(world.sim.stats().providers["portone"].operations["refresh"].len(), 1);
}

#[test]
fn a_removed_account_with_a_request_in_flight_does_not_lose_its_refresh_token() {
    let world = World::living(secs(600));
    let config =
        world.config(["a", "b"].map(|name| (name.to_owned(), world.account(Provider::PortOne, name))));
    let agent = world.start(&config);
    agent.until_well();
    let key = world.identity(Provider::PortOne, "b");
    world.sim.fault(&format!("portone:refresh/{key}=delay:3s"));
    agent.signal(rustix::process::Signal::USR1);
    until("the request in flight", secs(5), || (world.sim.requests_of(&key) == 2).then_some(()));
    let mut without = config.clone();
    without["accounts"].as_object_mut().unwrap().remove("b");
    world.write(&without);
    agent.until("the removal", secs(5), |status| names(status) == ["a"]);
    world.write(&config);
    world.sim.clear();
    agent.until("the return", secs(10), |status| names(status) == ["a", "b"] && all_well(status));
    assert_eq!(agent.renew("b").0, 200);
    let stats = world.sim.stats();
    let b = &stats.providers["portone"].operations["refresh"][&key];
    assert_eq!(b.dead_refresh_tokens, 0, "{b:?}");
}

#[test]
fn an_empty_configuration_runs_and_a_document_without_accounts_is_refused() {
    let world = World::new();
    let mut config = world.config([]);
    let agent = world.start(&config);
    let status = agent.until("an answer", secs(5), |_| true);
    assert!(names(&status).is_empty());
    config.as_object_mut().unwrap().remove("accounts");
    world.write(&config);
    agent.until("an error", secs(5), |status| !status["config"]["error"].is_null());
    config["accounts"] = json!({ "a": world.account(ANY, "a") });
    world.write(&config);
    let status =
        agent.until("the first account", secs(5), |status| names(status) == ["a"] && all_well(status));
    assert_eq!(class(&status, "a"), "");
    assert!(Path::new(&world.out("a.token")).exists());
}
