//! `templates:` through the agent: several accounts in one file, folders that flip, hooks that are told.

use std::fs;

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, generation, replace, secs, throughout, until};

/// Three accounts, and what is made from them.
fn config(world: &World, templates: Value) -> Value {
    let accounts =
        ["a", "b", "c"].map(|name| (name.to_owned(), world.account(Provider::OAuthClientCredentials, name)));
    let mut config = world.config(accounts);
    config["templates"] = templates;
    config
}

fn env_of(world: &World) -> Vec<(String, String)> {
    let text = fs::read_to_string(world.out("app.env")).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

const THREE: &str =
    "A={{ accounts.a.access_token }}\nB={{ accounts.b.access_token }}\nC={{ accounts.c.access_token }}\n";

#[test]
fn a_file_of_three_accounts_follows_each_of_them_and_its_hook_runs_once_a_change() {
    let world = World::living(secs(600));
    let told = world.path("told");
    let tell = format!("echo \"$RENEWD_TEMPLATE $RENEWD_ACCOUNTS\" >> {}", told.display());
    let agent = world.start(&config(
        &world,
        json!([{ "path": world.out("app.env"), "inline": THREE, "mode": "0640",
                 "on_change": [{ "command": ["/bin/sh", "-c", tell] }] }]),
    ));
    agent.until_well();
    let tokens = || ["a", "b", "c"].map(|name| world.read(&format!("{name}.token")));
    let is_current = || env_of(&world).into_iter().map(|(_, value)| value).eq(tokens());
    until("the file", secs(10), || is_current().then_some(()));
    let lines = || fs::read_to_string(&told).unwrap_or_default().lines().count();
    until("the hook", secs(10), || (lines() == 1).then_some(()));
    let words = format!("{} a b c\n", world.out("app.env").display());
    assert_eq!(fs::read_to_string(&told).unwrap(), words);

    assert_eq!(agent.renew("b").0, 200);
    until("the new one", secs(10), || is_current().then_some(()));
    until("the hook again", secs(10), || (lines() == 2).then_some(()));
    throughout("once", secs(1), || lines() == 2);
    let status = agent.status();
    assert_eq!(status["templates"][0]["state"], "written");
    assert_eq!(status["templates"][0]["path"], world.out("app.env").to_str().unwrap());

    // A restart writes nothing and tells nobody.
    agent.stop();
    let agent = world.run().start();
    agent.until_well();
    throughout("nobody is told again", secs(2), || lines() == 2);
    agent.stop();
}

#[test]
fn a_template_waits_for_an_account_that_has_no_token_yet() {
    let world = World::living(secs(600));
    world.sim.fault("oauth2-client-credentials/id-c=503");
    let agent = world.start(&config(&world, json!([{ "path": world.out("app.env"), "inline": THREE }])));
    agent.until("two", secs(10), |status| generation(status, "a") == 1 && generation(status, "b") == 1);
    throughout("no half file", secs(2), || !world.out("app.env").exists());
    assert_eq!(agent.status()["templates"][0]["state"], "unwritten");
    agent.stop();
}

#[test]
fn a_changed_source_is_rendered_anew_and_a_broken_one_changes_nothing() {
    let world = World::living(secs(600));
    let source = world.put("app.env.j2", THREE);
    let agent = world.start(&config(&world, json!([{ "path": world.out("app.env"), "source": source }])));
    agent.until_well();
    until("the file", secs(10), || (env_of(&world).len() == 3).then_some(()));
    replace(&source, "ONLY={{ accounts.a.access_token }}\n");
    until("the new text", secs(10), || (env_of(&world).len() == 1).then_some(()));
    replace(&source, "ONLY={{ accounts.nobody.access_token }}\n");
    let status = agent.until("the error", secs(10), |status| !status["config"]["error"].is_null());
    let error = status["config"]["error"].as_str().unwrap();
    assert!(error.contains("app.env.j2:1:"), "{error}");
    assert_eq!(env_of(&world).len(), 1);
    replace(&source, THREE);
    until("the mended text", secs(10), || (env_of(&world).len() == 3).then_some(()));
    assert_eq!(world.sim.requests(), 3);
    agent.stop();
}

#[test]
fn a_folder_flips_as_one_and_is_deleted_when_it_leaves() {
    let world = World::living(secs(600));
    let folder = world.path("set");
    let files = json!({ "token": "{{ accounts.a.access_token }}", "both.json": "[{{ accounts.a.access_token }},{{ accounts.b.access_token }}]" });
    let mut with = config(&world, json!([{ "directory": folder, "files": files, "on_remove": "delete" }]));
    let agent = world.start(&with);
    agent.until_well();
    let both =
        || -> Option<Vec<String>> { serde_json::from_slice(&fs::read(folder.join("both.json")).ok()?).ok() };
    until("both", secs(10), || (both()? == [world.read("a.token"), world.read("b.token")]).then_some(()));
    let first = fs::read_link(folder.join("..data")).unwrap();
    assert_eq!(agent.renew("a").0, 200);
    until("the flip", secs(10), || (fs::read_link(folder.join("..data")).ok()? != first).then_some(()));
    assert_eq!(fs::read_to_string(folder.join("token")).unwrap(), world.read("a.token"));
    with["templates"] = json!([]);
    world.write(&with);
    until("its end", secs(30), || (!folder.join("token").exists()).then_some(()));
    agent.stop();
}
