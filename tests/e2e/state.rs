//! State that is corrupt, newer, locked or cannot be written.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    World, account, all_well, class, free_port, generation, http_get, is_root, is_well, secs, skip, state,
    throughout, until,
};

#[test]
fn a_corrupt_state_file_is_moved_aside_and_its_account_alone_is_issued_anew() {
    let world = World::living(secs(600));
    let names = ["flipped", "truncated", "empty", "other", "well"];
    let config = world.config(names.map(|name| (name.to_owned(), world.account(Provider::PortOne, name))));
    let agent = world.start(&config);
    agent.until_well();
    agent.stop();
    let file = |name: &str| world.path("state/accounts").join(format!("{name}.json"));
    let content = std::fs::read(file("flipped")).unwrap();
    let mut flipped = content.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(file("flipped"), flipped).unwrap();
    std::fs::write(file("truncated"), &std::fs::read(file("truncated")).unwrap()[..middle]).unwrap();
    std::fs::write(file("empty"), "").unwrap();
    std::fs::write(file("other"), content).unwrap();

    world.sim.reset_stats();
    let agent = world.start(&config);
    agent.until_well();
    throughout("four requests", secs(1), || world.sim.requests() == 4);
    assert_eq!(generation(&agent.status(), "well"), 1);
    for name in &names[..4] {
        let aside = world.path("state/accounts").join(format!("{name}.json.corrupt-1"));
        assert!(aside.exists(), "{name}");
        assert!(agent.log().contains(aside.to_str().unwrap()), "said: {name}");
    }
}

#[test]
fn a_state_file_of_a_newer_version_is_left_alone_and_says_so() {
    let world = World::living(secs(600));
    let config = world
        .config(["newer", "well"].map(|name| (name.to_owned(), world.account(Provider::Bizppurio, name))));
    let agent = world.start(&config);
    agent.until_well();
    agent.stop();
    let file = world.path("state/accounts/newer.json");
    // A file without a checksum is taken as one that was written by hand.
    let text = std::fs::read_to_string(&file).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document.as_object_mut().unwrap().remove("sha256");
    document["schema"] = 99.into();
    std::fs::write(&file, document.to_string()).unwrap();
    let newer = std::fs::read(&file).unwrap();

    world.sim.reset_stats();
    let agent = world.start(&config);
    let status = agent.until("a word on it beside the other account", secs(10), |status| {
        is_well(account(status, "well")) && class(status, "newer") == "config"
    });
    let told = account(&status, "newer")["error"]["message"].as_str().unwrap();
    assert!(told.contains("schema 99") && told.contains("newer"), "{status}");
    // A token that can be kept nowhere is not asked for.
    assert_eq!((state(&status, "newer"), world.sim.requests()), ("pending", 0));
    assert_eq!(std::fs::read(&file).unwrap(), newer, "it is left alone");
}

#[test]
fn an_installation_of_a_newer_version_is_refused_clearly() {
    let world = World::living(secs(600));
    let config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    agent.stop();
    let mut files = std::fs::read_dir(world.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let installation = files.find(|path| path.is_file() && !path.ends_with("lock")).unwrap();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&installation).unwrap()).unwrap();
    document.as_object_mut().unwrap().remove("sha256");
    document["schema"] = 99.into();
    std::fs::write(&installation, document.to_string()).unwrap();
    let output = world.renewd(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("schema 99") && said.contains("hint:"), "{said}");
}

#[test]
fn state_that_cannot_be_written_spends_no_refresh_token_and_holds_nobody_else_up() {
    let name = "state_that_cannot_be_written_spends_no_refresh_token_and_holds_nobody_else_up";
    if !is_root() {
        return skip(name, "the agent must be run as another user than root");
    }
    let world = World::living(secs(20));
    let config = world.config([
        ("cached".to_owned(), world.account(Provider::Bizppurio, "cached")),
        ("single".to_owned(), world.account(Provider::PortOne, "single")),
    ]);
    world.write(&config);
    world.give_to(65534);
    std::fs::set_permissions(world.config_path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let agent = world.run().by_user(65534).start();
    agent.until_well();
    let accounts = world.path("state/accounts");
    std::fs::set_permissions(&accounts, std::fs::Permissions::from_mode(0o500)).unwrap();
    let key = world.identity(Provider::PortOne, "single");
    let before = world.sim.requests_of(&key);
    // A token without a refresh token is a cache: it is renewed and delivered all the same.
    assert_eq!(agent.renew("cached").0, 200);
    agent.until("its delivery", secs(5), |status| {
        generation(status, "cached") == 2 && is_well(account(status, "cached"))
    });
    let (status, reply) = agent.renew("single");
    assert_eq!((status, reply["error"]["class"].as_str()), (502, Some("config")), "{reply}");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(message.contains("not spent"), "{message}");
    assert_eq!(world.sim.requests_of(&key), before);
    assert_eq!((state(&agent.status(), "single"), class(&agent.status(), "single")), ("retrying", "config"));
    assert!(world.sim.accepts(Provider::PortOne, &world.read("single.token")));

    std::fs::set_permissions(&accounts, std::fs::Permissions::from_mode(0o700)).unwrap();
    agent.until("healing", secs(40), all_well);
    until("the cached one's state on disk", secs(20), || {
        let text = std::fs::read_to_string(accounts.join("cached.json")).ok()?;
        let document: Value = serde_json::from_str(&text).ok()?;
        (document["generation"].as_u64()? >= 2).then_some(())
    });
    let stats = world.sim.stats();
    let refresh = &stats.providers["portone"].operations["refresh"][&key];
    assert_eq!(refresh.dead_refresh_tokens, 0);
}

#[test]
fn state_is_for_the_owner_alone() {
    let world = World::living(secs(600));
    std::fs::create_dir(world.path("state")).unwrap();
    std::fs::set_permissions(world.path("state"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let agent = world.start(&world.one(Provider::PortOne));
    agent.until_well();
    let mode = |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("state"), mode("state/accounts"), mode("state/accounts/a.json")), (0o700, 0o700, 0o600));
}

#[test]
fn a_state_directory_of_a_stranger_is_refused_with_a_hint() {
    if !is_root() {
        return skip("a_state_directory_of_a_stranger_is_refused_with_a_hint", "only root can make one");
    }
    let world = World::living(secs(600));
    std::fs::create_dir(world.path("state")).unwrap();
    std::os::unix::fs::chown(world.path("state"), Some(65534), Some(65534)).unwrap();
    world.write(&world.one(Provider::PortOne));
    let output = world.renewd(&["run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("65534") && said.contains("hint:"), "{said}");
    assert_eq!(world.sim.requests(), 0);
}

/// One account whose refresh token can be used once, and one whose token is a cache.
fn both_kinds(world: &World) -> Value {
    world.config([
        ("cached".to_owned(), world.account(Provider::Bizppurio, "cached")),
        ("single".to_owned(), world.account(Provider::PortOne, "single")),
    ])
}

#[test]
fn a_state_directory_that_is_removed_or_moved_is_made_anew_and_stays_locked() {
    let world = World::living(secs(3600));
    let agent = world.start(&both_kinds(&world));
    agent.until_well();
    let requests = world.sim.requests();
    std::fs::remove_dir_all(world.path("state")).unwrap();
    until("a new one", secs(15), || (agent.logged("state_dir_back") == 1).then_some(()));
    let mode = |name: &str| std::fs::metadata(world.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("state"), mode("state/accounts")), (0o700, 0o700));
    assert_eq!((mode("state/accounts/cached.json"), mode("state/accounts/single.json")), (0o600, 0o600));
    let second = world.renewd(&["once"]);
    assert_eq!(second.status.code(), Some(75), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(world.sim.requests(), requests, "nobody was asked again");
    std::fs::rename(world.path("state"), world.path("aside")).unwrap();
    // What has to be durable does not wait for the next look.
    assert_eq!(agent.renew("single").0, 200);
    assert!(world.path("state/accounts/single.json").exists());
    until("that is said", secs(15), || (agent.logged("state_dir_back") == 2).then_some(()));
    throughout("each is said once", secs(6), || agent.logged("state_dir_back") == 2);
    agent.stop();
    let requests = world.sim.requests();
    let agent = world.run().start();
    let status = agent.until_well();
    assert_eq!((generation(&status, "single"), generation(&status, "cached")), (2, 1));
    assert_eq!(world.sim.requests(), requests, "the next start finds everything");
}

#[test]
fn a_state_directory_that_cannot_be_had_again_is_said_everywhere_and_spends_no_refresh_token() {
    let world = World::living(secs(3600));
    let mut config = both_kinds(&world);
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let agent = world.start(&config);
    agent.until_well();
    let readyz = || {
        let (code, body) = http_get(port, "/readyz", "localhost")?;
        Some((code, serde_json::from_str::<Value>(&body).ok()?))
    };
    until("no warning", secs(5), || readyz().filter(|(_, body)| body["warnings"].is_null()));
    std::fs::rename(world.path("state"), world.path("aside")).unwrap();
    std::fs::write(world.path("state"), "no directory").unwrap();
    let (code, body) =
        until("a warning", secs(15), || readyz().filter(|(_, body)| !body["warnings"].is_null()));
    let said = body["warnings"][0]["reason"].as_str().unwrap();
    assert_eq!(code, 200);
    assert!(
        said.starts_with("agent.state_dir cannot be had at ") && said.contains("nothing is saved"),
        "{said}"
    );
    let status = agent.status();
    assert_eq!((&status["state_dir"]["name"], &status["listeners"]), (&json!("agent.state_dir"), &json!([])));
    let table = world.renewd(&["status", "--check"]);
    assert_eq!(table.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&table.stdout).contains("agent.state_dir cannot be had at "));
    let requests = world.sim.requests();
    let (code, reply) = agent.renew("single");
    let message = reply["error"]["message"].as_str().unwrap();
    assert!(code == 502 && message.contains("not spent") && message.contains("hint:"), "{message}");
    assert_eq!(world.sim.requests(), requests);
    assert_eq!(agent.renew("cached").0, 200, "what can be asked for again goes on");
    let aloud = |log: &str| {
        let said = log.lines().filter(|line| line.contains("state_dir_lost"));
        said.filter(|line| !line.contains("still not to be had")).count() // which is for those who debug
    };
    throughout("it is said once", secs(6), || aloud(&agent.log()) == 1);
    std::fs::remove_file(world.path("state")).unwrap();
    until("a new one", secs(15), || (agent.logged("state_dir_back") == 1).then_some(()));
    until("no warning", secs(5), || readyz().filter(|(_, body)| body["warnings"].is_null()));
    assert_eq!(agent.status()["state_dir"], Value::Null);
    assert_eq!(agent.renew("single").0, 200);
    agent.until("both", secs(10), all_well);
}

/// An ext4 of its own at `state` in the agent's mount namespace, which can be frozen.
struct Disk {
    path: std::path::PathBuf,
    agent: i32,
}

impl Disk {
    fn wrapper(world: &World) -> Option<Vec<String>> {
        let (image, state) = (world.path("disk.img"), world.path("state"));
        std::fs::create_dir_all(&state).unwrap();
        std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image).status();
        let mount = format!("mount -o loop '{}' '{}' && exec \"$@\"", image.display(), state.display());
        let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
        let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").stderr(Stdio::null()).status();
        let works = made.is_ok_and(|status| status.success()) && tried.is_ok_and(|status| status.success());
        works.then(|| wrapper.map(str::to_owned).to_vec())
    }

    fn fsfreeze(&self, how: &str) -> bool {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.agent);
        let done = Command::new("nsenter").args([&namespace, "fsfreeze", how]).arg(&self.path).status();
        done.is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever writes to it could not even be killed.
        self.fsfreeze("--unfreeze");
    }
}

#[test]
fn while_the_disk_of_the_state_hangs_accounts_that_log_in_are_renewed_and_others_spend_nothing() {
    let test = "while_the_disk_of_the_state_hangs_accounts_that_log_in_are_renewed_and_others_spend_nothing";
    const LOGS_IN: Provider = Provider::OAuthClientCredentials;
    const SPENDS: Provider = Provider::OAuthRefreshToken;
    let world = World::living(secs(10));
    let Some(wrapper) = is_root().then(|| Disk::wrapper(&world)).flatten() else {
        return skip(test, "no file system can be mounted");
    };
    let accounts = [("one", LOGS_IN), ("two", LOGS_IN), ("spends", SPENDS)];
    let accounts = accounts.map(|(name, kind)| (name.to_owned(), world.account(kind, name)));
    let mut config = world.config(accounts);
    config["agent"]["shutdown_grace"] = "2s".into();
    world.write(&config);
    let mut run = world.run();
    run.wrapper = wrapper;
    let mut agent = run.start();
    let before = agent.until_well();
    let disk = Disk { path: world.path("state"), agent: agent.pid() };
    if !disk.fsfreeze("--freeze") {
        return skip(test, "its file system cannot be frozen");
    }
    let names = ["one", "two"];
    let token = |name: &str| world.sim.accepts(LOGS_IN, &world.read(&format!("{name}.token")));
    until("renewals of those that log in", secs(60), || {
        assert!(names.iter().all(|name| token(name)), "{}", agent.status());
        let status = agent.status();
        let renewed = |name: &&str| generation(&status, name) >= generation(&before, name) + 4;
        (names.iter().all(renewed) && agent.logged("state_hangs") == 1).then_some(())
    });
    assert!(disk.fsfreeze("--unfreeze"));
    agent.until("all of them", secs(60), all_well);
    until("its word", secs(20), || (agent.logged("state_answers") == 1).then_some(()));
    let operations = &world.sim.stats().providers[SPENDS.name()].operations["refresh"];
    assert_eq!(operations[&world.identity(SPENDS, "spends")].dead_refresh_tokens, 0);

    // Nor does it hold up the end: what it has not taken by then is named. (The kernel keeps who writes until it goes on.)
    assert!(disk.fsfreeze("--freeze"));
    assert_eq!(agent.renew("one").0, 200);
    agent.signal(Signal::TERM);
    until("the end", secs(20), || (agent.logged("stopped") == 1).then_some(()));
    assert_eq!(agent.logged("state_not_durable"), 1);
    assert!(disk.fsfreeze("--unfreeze"));
    assert!(agent.ends_within(secs(20)).is_some());
}
