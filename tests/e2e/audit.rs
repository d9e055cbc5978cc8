//! `agent.audit`: who took or forced what, what was delivered where, and that nothing waits for it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use renewd::simulator::Provider;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sinks::Small;
use crate::support::{World, all_well, free_port, http_get, is_root, secs, skip, until};

const ANY: Provider = Provider::OAuthClientCredentials;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn who_took_or_forced_what_and_what_was_delivered_where_is_noted_without_a_token() {
    let world = World::living(secs(600));
    let path = world.path("log/audit.jsonl");
    let mut config = world.one(ANY);
    config["agent"]["audit"] = json!(path);
    config["agent"]["socket"] = json!({ "path": world.path("run/renewd.sock"), "mode": "0666" });
    config["accounts"]["a"]["on_change"] = json!([{ "command": ["/bin/true"] }]);
    let template = json!({ "path": world.out("all.env"), "inline": "T={{ accounts.a.access_token }}" });
    config["templates"] = json!([template]);
    let agent = world.start(&config);
    agent.until_well();
    let token = world.canary_token("a", &agent);
    until("the first token's hook", secs(5), || (of(&lines(&path), "hook_ran").len() == 1).then_some(()));
    assert_eq!(agent.renew("a").0, 200);
    assert_eq!(agent.post("/v1/accounts/a/invalidate", r#"{"generation":1}"#).0, 200);
    assert_eq!(agent.post("/v1/reload", "").0, 200);
    assert_eq!(agent.get("/v1/accounts/no%20name/token").0, 404);
    agent.get("/v1/status");
    agent.signal(Signal::HUP);
    let noted = until("all of it", secs(5), || {
        let noted = lines(&path);
        let hooks = of(&noted, "hook_ran").len();
        (of(&noted, "signal").len() == 1 && hooks >= 2).then_some(noted)
    });
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);

    let own = json!({
        "uid": rustix::process::geteuid().as_raw(),
        "gid": rustix::process::getegid().as_raw(),
        "pid": std::process::id(),
    });
    for (event, answer, account, generation) in [
        ("token_read", 200, json!("a"), json!(1)),
        ("renew", 200, json!("a"), json!(2)),
        ("invalidate", 200, json!("a"), json!(1)),
        ("reload", 200, Value::Null, json!(1)),
    ] {
        let deed = of(&noted, event)[0];
        let said = (&deed["outcome"], &deed["answer"], &deed["account"], &deed["generation"]);
        assert_eq!(said, (&json!("allowed"), &json!(answer), &account, &generation), "{deed}");
        for (key, value) in own.as_object().unwrap() {
            assert_eq!(deed["peer"][key], *value, "{deed}");
        }
        assert!(!deed["peer"]["process"].as_str().unwrap().is_empty(), "{deed}");
        assert!(deed["time"].as_str().unwrap().ends_with('Z'), "{deed}");
    }
    let unknown = of(&noted, "token_read")[1];
    assert_eq!((&unknown["answer"], &unknown["account"]), (&json!(404), &Value::Null), "{unknown}");
    assert_eq!(of(&noted, "started")[0]["pid"], json!(agent.pid()));
    let issued: Vec<&Value> = of(&noted, "issued").iter().map(|line| &line["generation"]).collect();
    assert_eq!(issued, [1, 2]);
    for target in [
        format!("file:{}", world.out("a.token").display()),
        format!("template:{}", world.out("all.env").display()),
    ] {
        let delivered = of(&noted, "delivered");
        let tokens: Vec<&Value> = delivered
            .iter()
            .filter(|line| line["target"] == target.as_str())
            .map(|line| &line["tokens"])
            .collect();
        let held = |generation: u64| json!([{ "account": "a", "generation": generation }]);
        assert_eq!(tokens, [&held(1), &held(2)], "{target}");
    }
    assert_eq!(of(&noted, "hook_ran")[0]["hook"], "command:/bin/true");

    // Rotated as logrotate does it: nothing is lost, and the next line makes the file anew.
    std::fs::rename(&path, path.with_extension("1")).unwrap();
    agent.renew("a");
    let after =
        until("the new file", secs(5), || Some(lines(&path)).filter(|after| !of(after, "renew").is_empty()));
    assert_eq!(of(&after, "renew")[0]["generation"], 3);
    agent.stop();
    assert_eq!(lines(&path).last().unwrap()["event"], "stopped");
    let all =
        std::fs::read_to_string(&path).unwrap() + &std::fs::read_to_string(path.with_extension("1")).unwrap();
    assert!(!all.contains(&token), "a token");
    assert_eq!(world.canaries.found_in(&all), [""; 0]);
}

#[test]
fn who_may_not_is_noted_as_denied() {
    const STRANGER: u32 = 65534;
    if !is_root() {
        return skip("who_may_not_is_noted_as_denied", "it needs root to be somebody else");
    }
    let world = World::living(secs(600));
    let path = world.path("audit.jsonl");
    let mut config = world.one(ANY);
    config["agent"]["audit"] = json!(path);
    config["agent"]["socket"] = json!({ "path": world.path("run/renewd.sock"), "mode": "0666" });
    let agent = world.start(&config);
    agent.until_well();
    std::fs::set_permissions(world.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    for words in [["token", "a"], ["renew", "a"]] {
        let socket = world.path("run/renewd.sock");
        let mut command = world.run().by_user(STRANGER).command(&[]);
        let output = command.arg("--socket").arg(socket).args(words).output().unwrap();
        assert!(!output.status.success(), "{output:?}");
    }
    let noted = until("both", secs(5), || {
        let noted = lines(&path);
        (of(&noted, "token_read").len() + of(&noted, "renew").len() == 2).then_some(noted)
    });
    for event in ["token_read", "renew"] {
        let deed = of(&noted, event)[0];
        assert_eq!((&deed["outcome"], &deed["answer"]), (&json!("denied"), &json!(403)), "{deed}");
        assert_eq!(
            (&deed["peer"]["uid"], &deed["peer"]["process"]),
            (&json!(STRANGER), &json!("renewd")),
            "{deed}"
        );
        assert_eq!(deed["generation"], Value::Null);
    }
    assert_eq!(of(&noted, "issued").len(), 1, "nothing was forced");
}

#[test]
fn an_audit_log_that_cannot_be_written_is_said_once_holds_up_nothing_and_is_made_up_for() {
    let world = World::living(secs(600));
    let path = world.path("audit.jsonl");
    std::fs::create_dir(&path).unwrap(); // where the file belongs
    let mut config = world.one(ANY);
    config["agent"]["audit"] = json!(path);
    let agent = world.start(&config);
    let status = agent.until("word of it", secs(10), |status| {
        all_well(status) && status["listeners"][0]["name"] == "agent.audit"
    });
    let message = status["listeners"][0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("is a folder, not a regular file"), "{message}");
    let table = String::from_utf8(world.renewd(&["status"]).stdout).unwrap();
    assert!(table.contains("agent.audit cannot be written at"), "{table}");
    (0..3).for_each(|_| assert_eq!(agent.renew("a").0, 200));
    assert_eq!(agent.logged("audit_failed"), 1);
    std::fs::remove_dir(&path).unwrap();
    agent.until("its return", secs(12), |status| status["listeners"] == json!([]));
    let noted = lines(&path);
    assert_eq!((of(&noted, "started").len(), of(&noted, "renew").len()), (1, 3), "none is lost");
    assert_eq!(agent.logged("audit_back"), 1);

    // A reload moves it, and turns it off.
    let other = world.path("other.jsonl");
    config["agent"]["audit"] = json!({ "path": other, "mode": "0640" });
    world.write(&config);
    until("the other file", secs(10), || (!of(&lines(&other), "configured").is_empty()).then_some(()));
    let mode = std::fs::metadata(&other).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    config["agent"]["audit"] = json!("off");
    world.write(&config);
    agent.until("the third configuration", secs(10), |status| status["config"]["generation"] == 3);
    let before = lines(&other).len();
    agent.renew("a");
    agent.stop();
    assert_eq!(lines(&other).len(), before);
}

#[test]
fn a_full_file_system_under_the_audit_log_is_said_delays_no_token_and_heals_without_a_gap() {
    let name = "a_full_file_system_under_the_audit_log_is_said_delays_no_token_and_heals_without_a_gap";
    let world = World::living(secs(600));
    let Some(small) = Small::mount(world.path("small")) else {
        return skip(name, "mounting a tmpfs is not permitted");
    };
    let (path, port) = (small.0.join("audit.jsonl"), free_port());
    let mut config = world.one(ANY);
    config["agent"]["audit"] = json!(path);
    config["agent"]["listen"] = json!(format!("127.0.0.1:{port}"));
    let agent = world.start(&config);
    agent.until_well();
    until("the first lines", secs(5), || (!of(&lines(&path), "delivered").is_empty()).then_some(()));
    assert!(std::fs::write(small.0.join("ballast"), vec![0; 1 << 20]).is_err(), "the disk is full");

    // The file's last page has room for some lines.
    let mut renewals = 0;
    let status = until("word of it", secs(20), || {
        assert_eq!(agent.renew("a").0, 200);
        renewals += 1;
        Some(agent.status()).filter(|status| status["listeners"][0]["name"] == "agent.audit")
    });
    let message = status["listeners"][0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("no space left") || message.contains("No space left"), "{message}");
    for _ in 0..3 {
        assert_eq!(agent.renew("a").0, 200);
        renewals += 1;
    }
    let status = agent.until_well();
    assert_eq!(status["accounts"][0]["generation"], renewals + 1, "tokens are renewed and delivered");
    let check = world.renewd(&["status", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8(check.stderr).unwrap();
    assert!(said.contains("agent.audit cannot be written at"), "{said}");
    let (answer, ready) = http_get(port, "/readyz", "localhost").unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(answer, 200, "nobody is kept from a token: {ready}");
    assert!(ready["warnings"].to_string().contains("agent.audit cannot be written at"), "{ready}");
    assert_eq!(agent.logged("audit_failed"), 1);

    std::fs::remove_file(small.0.join("ballast")).unwrap();
    agent.until("its return", secs(12), |status| status["listeners"] == json!([]));
    assert_eq!(agent.logged("audit_back"), 1);
    assert_eq!(world.renewd(&["status", "--check"]).status.code(), Some(0));
    agent.stop();
    // A line that the full disk cut off is followed by the whole of it.
    let text = std::fs::read_to_string(&path).unwrap();
    let mut all: Vec<&str> = text.lines().collect();
    all.dedup(); // where only the end of a line was cut off, it counted as not written
    let whole: Vec<Value> = all.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(all.len() - whole.len() <= 5, "more than a cut line a try: {text}");
    let issued: Vec<u64> =
        of(&whole, "issued").iter().map(|line| line["generation"].as_u64().unwrap()).collect();
    assert_eq!(issued, (1..=renewals + 1).collect::<Vec<_>>(), "each once, in order");
    assert_eq!((of(&whole, "renew").len() as u64, of(&whole, "lost").len()), (renewals, 0));
    assert_eq!(world.canaries.found_in(&text), [""; 0]);
}
