//! Where secrets come from, and that their changes are noticed.

use std::os::unix::fs::symlink;

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{
    World, account, class, generation, is_well, millis, replace, secs, state, throughout, until,
};

const ANY: Provider = Provider::Bizppurio;
const GOOD: &str = "Zg00d-pa55word-0001";

#[test]
fn a_refused_account_is_tried_within_5_s_of_its_secrets_change() {
    let world = World::living(secs(600));
    let mut config = world
        .config(["file", "kubelet", "credential"].map(|name| (name.to_owned(), world.account(ANY, name))));
    world.canaries.add(GOOD);
    let plain = world.put("plain/password", "wrong\n");
    // A kubelet's mount: everything behind a link that is swapped.
    let mount = world.path("mount");
    world.put("mount/..one/password", "wrong");
    symlink("..one", mount.join("..data")).unwrap();
    symlink("..data/password", mount.join("password")).unwrap();
    world.put("credentials/password", "wrong");
    config["accounts"]["file"]["credentials"]["password"] = json!({ "file": plain });
    config["accounts"]["kubelet"]["credentials"]["password"] = json!({ "file": mount.join("password") });
    config["accounts"]["credential"]["credentials"]["password"] = json!({ "credential": "password" });
    world.write(&config);
    let agent = world.run().env("CREDENTIALS_DIRECTORY", world.path("credentials").to_str().unwrap()).start();
    let names = ["file", "kubelet", "credential"];
    agent.until("three rejections", secs(10), |status| {
        names.iter().all(|name| state(status, name) == "rejected")
    });
    assert_eq!(world.sim.requests(), 3);

    replace(&plain, GOOD);
    replace(&world.path("credentials/password"), &format!("{GOOD}\n"));
    world.put("mount/..two/password", GOOD);
    symlink("..two", mount.join("..data_tmp")).unwrap();
    std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    agent.until("fresh tokens", secs(5), |status| names.iter().all(|name| is_well(account(status, name))));
    throughout("six requests", millis(500), || world.sim.requests() == 6);

    // Of an account that is well, a changed password asks for nothing.
    replace(&plain, "Zg00d-pa55word-0002");
    throughout("six requests still", secs(2), || world.sim.requests() == 6);
}

#[test]
fn a_changed_secret_is_recorded_by_name_and_place_and_a_refused_one_tells_where_it_comes_from() {
    let world = World::living(secs(600));
    let audit = world.path("audit.jsonl");
    let mut config = world.one(ANY);
    world.canaries.add(GOOD);
    let password = world.put("password", GOOD);
    config["agent"]["audit"] = json!(audit);
    config["accounts"]["a"]["credentials"]["password"] = json!({ "file": password });
    let agent = world.start(&config);
    agent.until_well();
    replace(&password, GOOD); // the same again is no change
    replace(&password, "wrong");
    until("the change", secs(5), || (agent.logged("credential_changed") == 1).then_some(()));
    let line = until("its line", secs(5), || {
        let noted = std::fs::read_to_string(&audit).ok()?;
        noted
            .lines()
            .find(|line| line.contains("credential_changed") && line.ends_with('}'))
            .map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["account"], "a");
    assert_eq!((&line["credential"], &line["source"]), (&json!("password"), &json!(password)));
    assert_eq!(line.as_object().unwrap().len(), 5, "nothing else, no hash: {line}");
    assert!(account(&agent.status(), "a").get("credentials").is_none(), "nobody has refused it yet");

    assert_eq!(agent.renew("a").0, 502);
    let status = agent.status();
    let told = &account(&status, "a")["credentials"];
    assert_eq!(
        (told[0]["name"].as_str(), &told[0]["source"]),
        (Some("password"), &json!(password)),
        "{told}"
    );
    assert!(told[0]["changed_at"].is_string() && told.as_array().unwrap().len() == 1, "{told}");
    replace(&password, GOOD);
    agent.until("no more of it", secs(5), |status| account(status, "a").get("credentials").is_none());
    assert_eq!(agent.logged("credential_changed"), 2);
}

#[test]
fn a_rewritten_secret_with_the_same_content_is_no_reason_to_try_again() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let password = world.put("password", "wrong");
    config["accounts"]["a"]["credentials"]["password"] = json!({ "file": password });
    let agent = world.start(&config);
    agent.until("a rejection", secs(10), |status| state(status, "a") == "rejected");
    for _ in 0..3 {
        replace(&password, "wrong");
        throughout("one request", millis(900), || world.sim.requests() == 1);
    }
}

#[test]
fn a_mistake_that_was_tried_and_is_mended_at_once_is_tried_again_within_5_s() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let password = world.put("password", GOOD);
    config["accounts"]["a"]["credentials"]["password"] = json!({ "file": password });
    let agent = world.start(&config);
    agent.until_well();
    for round in 1..4 {
        replace(&password, "wrong");
        let (code, body) = agent.renew("a");
        assert_eq!((code, body["error"]["class"].as_str()), (502, Some("rejected")), "{body}");
        replace(&password, GOOD);
        agent.until("a fresh token", secs(5), |status| {
            is_well(account(status, "a")) && generation(status, "a") == round + 1
        });
    }
}

#[test]
fn a_missing_source_is_that_accounts_affair_alone_and_works_once_it_appears() {
    let world = World::living(secs(600));
    let names = ["good", "file", "folder", "variable"];
    let mut config = world.config(names.map(|name| (name.to_owned(), world.account(ANY, name))));
    let (file, folder) = (world.path("late-password"), world.path("late-folder/password"));
    config["accounts"]["file"]["credentials"]["password"] = json!({ "file": file });
    config["accounts"]["folder"]["credentials"]["password"] = json!({ "file": folder });
    config["accounts"]["variable"]["credentials"]["password"] = json!({ "env": "RENEWD_E2E_ABSENT" });
    let agent = world.start(&config);
    let status = agent.until("the good one, and errors of the others", secs(10), |status| {
        let config = |name: &&&str| class(status, name) == "config";
        is_well(account(status, "good")) && names[1..].iter().filter(config).count() == 3
    });
    for (name, part) in
        [("file", "late-password"), ("folder", "late-folder"), ("variable", "RENEWD_E2E_ABSENT")]
    {
        let message = account(&status, name)["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
        assert_eq!(state(&status, name), "pending");
    }
    assert_eq!(world.sim.requests(), 1, "nothing is asked without credentials");
    std::fs::write(&file, GOOD).unwrap();
    agent.until("the account of the late file", secs(5), |status| is_well(account(status, "file")));
    world.put("late-folder/password", GOOD);
    agent.until("the account of the late folder", secs(35), |status| is_well(account(status, "folder")));

    // Its loss is told, harms no token, and heals.
    let token = world.read("file.token");
    std::fs::remove_file(&file).unwrap();
    let status = agent.until("the loss", secs(5), |status| class(status, "file") == "config");
    assert_eq!((state(&status, "file"), generation(&status, "file")), ("retrying", 1));
    std::fs::write(&file, GOOD).unwrap();
    agent.until("the return", secs(5), |status| is_well(account(status, "file")));
    assert_eq!(world.read("file.token"), token);
    assert_eq!(world.sim.requests(), 3);
}

#[test]
fn secrets_come_from_scalars_variables_files_credentials_and_commands() {
    let world = World::living(secs(600));
    world.canaries.add(GOOD);
    let known =
        |name: &str| renewd::simulator::Credential { account: format!("id-{name}"), secret: GOOD.to_owned() };
    let names = ["scalar", "env", "file", "credential", "command"];
    world.sim.set_credentials(ANY, Some(names.map(known).to_vec()));
    let mut config = world.config(names.map(|name| (name.to_owned(), world.account(ANY, name))));
    // One trailing newline is dropped, whichever the system writes.
    let file = world.put("password", &format!("{GOOD}\r\n"));
    world.put("credentials/bizppurio.password", &format!("{GOOD}\n"));
    let sources = [
        json!(GOOD),
        json!({ "env": "RENEWD_E2E_PASSWORD" }),
        json!({ "file": file }),
        json!({ "credential": "bizppurio.password" }),
        json!({ "command": ["/bin/cat", file] }),
    ];
    for (name, source) in names.into_iter().zip(sources) {
        config["accounts"][name]["credentials"]["password"] = source;
    }
    world.write(&config);
    let agent = world
        .run()
        .env("RENEWD_E2E_PASSWORD", GOOD)
        .env("CREDENTIALS_DIRECTORY", world.path("credentials").to_str().unwrap())
        .start();
    agent.until_well();
    assert_eq!(world.sim.stats().providers["bizppurio"].granted, 5);
}

#[test]
fn a_command_that_fails_hangs_or_talks_too_much_is_that_accounts_affair() {
    let world = World::living(secs(600));
    let names = ["good", "fails", "missing", "talks", "hangs"];
    let mut config = world.config(names.map(|name| (name.to_owned(), world.account(ANY, name))));
    let mut set = |name: &str, argv: &[&str]| {
        config["accounts"][name]["credentials"]["password"] = json!({ "command": argv })
    };
    set("fails", &["/bin/sh", "-c", "echo Zsecret-on-stdout; echo Zsecret-on-stderr >&2; exit 3"]);
    set("missing", &["/nowhere/at/all"]);
    set("talks", &["/bin/sh", "-c", "yes"]);
    let sleeps = format!("sleep 7{}", std::process::id());
    set("hangs", &["/bin/sh", "-c", &format!("{sleeps} & {sleeps}")]);
    ["Zsecret-on-stdout", "Zsecret-on-stderr"].into_iter().for_each(|text| world.canaries.add(text));
    let agent = world.start(&config);
    agent.until("the good one", secs(5), |status| is_well(account(status, "good")));
    let status = agent.until("errors of the others", secs(20), |status| {
        names[1..].iter().all(|name| class(status, name) == "config")
    });
    assert!(!status.to_string().contains("Zsecret"));
    assert_eq!(world.sim.requests(), 1);
    agent.stop();
    let left = std::process::Command::new("pgrep").args(["-f", &sleeps]).output();
    if let Ok(left) = left {
        assert!(left.stdout.is_empty(), "its processes are gone: {}", String::from_utf8_lossy(&left.stdout));
    }
}

#[test]
fn an_identity_that_comes_from_a_file_and_changes_is_issued_anew() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let id = world.put("account", "one");
    config["accounts"]["a"]["credentials"]["account"] = json!({ "file": id });
    let agent = world.start(&config);
    agent.until_well();
    let token = world.read("a.token");
    replace(&id, "two");
    let status = agent.until("the second generation", secs(5), |status| {
        generation(status, "a") == 2 && is_well(account(status, "a"))
    });
    assert_eq!(generation(&status, "a"), 2);
    let now = until("another token", secs(2), || Some(world.read("a.token")).filter(|now| *now != token));
    assert!(world.sim.accepts(ANY, &now));
    assert_eq!((world.sim.requests_of("one"), world.sim.requests_of("two")), (1, 1));
}
