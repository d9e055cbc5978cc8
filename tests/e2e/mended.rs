//! What a person does once the cause is mended: it is used at once, and what is told is the try that followed.

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::hooks::Inbox;
use crate::sinks::Small;
use crate::support::{World, account, free_port, is_well, secs, skip, until};

const ANY: Provider = Provider::OAuthClientCredentials;

#[test]
fn a_full_disk_is_told_beforehand_and_renew_uses_a_mended_one_at_once() {
    let name = "a_full_disk_is_told_beforehand_and_renew_uses_a_mended_one_at_once";
    let world = World::living(secs(3_600));
    let Some(small) = Small::mount(world.path("small")) else {
        return skip(name, "mounting a tmpfs is not permitted");
    };
    let (token, ballast) = (small.0.join("a.token"), small.0.join("ballast"));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] = json!([{ "file": token }, { "file": world.out("b.token") }]);
    world.write(&config);
    let check = || {
        let output = world.renewd(&["check", "--online"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (exit, said) = check();
    assert_eq!(exit, Some(0), "{said}");
    assert!(std::fs::write(&ballast, vec![0; 1 << 20]).is_err(), "the disk is full");
    let names = || std::fs::read_dir(&small.0).unwrap().count();
    let (exit, said) = check();
    assert_eq!((exit, names()), (Some(1), 1), "{said}");
    let words =
        format!("error: sink file:{}: cannot write `{}`: no space left", token.display(), token.display());
    assert!(said.contains(&words) && said.contains("df -h FOLDER"), "{said}");

    let agent = world.start(&config);
    agent.until("the failure", secs(5), |status| account(status, "a")["sinks"][0]["state"] == "failed");
    let renew = || {
        let output = world.renewd(&["renew", "a"]);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    // Each tries, so that the pause grows to half a minute and more.
    for _ in 0..6 {
        let (exit, said) = renew();
        assert_eq!(exit, Some(1), "{said}");
        assert!(said.contains("a.token is not yet written") && said.contains("no space left"), "{said}");
    }
    std::fs::remove_file(&ballast).unwrap();
    let (exit, said) = renew();
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("renewed: generation 8, expires"), "{said}");
    assert_eq!(std::fs::read_to_string(&token).unwrap(), world.read("b.token"));
    assert!(is_well(account(&agent.status(), "a")));
    agent.stop();
}

#[test]
fn hup_runs_hooks_that_have_failed_at_once() {
    let world = World::living(secs(3_600));
    let (port, go, tries) = (free_port(), world.path("go"), world.path("tries"));
    let script = format!("echo x >> {}; [ -e {} ]", tries.display(), go.display());
    let mut config = world.one(ANY);
    config["accounts"]["a"]["on_change"] = json!([
        { "command": ["/bin/sh", "-c", script] },
        { "webhook": { "url": format!("http://127.0.0.1:{port}/rotated") } },
    ]);
    let agent = world.start(&config);
    let hooks = |status: &Value| account(status, "a")["hooks"].as_array().unwrap().clone();
    let wait = |status: &Value| hooks(status).iter().all(|hook| hook["next"].is_string());
    let count = || std::fs::read_to_string(&tries).unwrap_or_default().lines().count();
    // Each HUP runs them, so that the pause grows to half a minute and more.
    for _ in 0..6 {
        agent.until("the failures", secs(10), wait);
        let before = count();
        agent.signal(Signal::HUP);
        until("another run", secs(70), || (count() > before).then_some(()));
    }
    agent.until("the failures", secs(10), wait);
    world.put("go", "");
    let inbox = Inbox::at(([127, 0, 0, 1], port).into());
    agent.signal(Signal::HUP);
    agent.until("the successes", secs(10), |status| hooks(status).iter().all(|hook| hook["state"] == "told"));
    assert_eq!(inbox.bodies().len(), 1);
    agent.stop();
}
