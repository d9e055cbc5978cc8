//! File sinks: contents, modes, and what stands in their way.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, account, generation, is_root, is_well, millis, secs, skip, throughout, until};

const ANY: Provider = Provider::OAuthClientCredentials;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn sink<'a>(status: &'a Value, name: &str, number: usize) -> &'a Value {
    &account(status, name)["sinks"][number]
}

#[test]
fn files_have_the_mode_and_group_that_were_asked_for_also_after_a_renewal() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let mut sinks = vec![
        json!({ "file": world.out("short") }),
        json!({ "file": { "path": world.out("wide"), "mode": "0640" } }),
        json!({ "file": { "path": world.out("narrow"), "mode": "0400" } }),
        json!({ "file": { "path": world.out("deep/er/file"), "mode": "0640" } }),
    ];
    if is_root() {
        sinks.push(json!({ "file": { "path": world.out("group"), "mode": "0640", "owner": "root", "group": "daemon" } }));
        sinks.push(json!({ "file": { "path": world.out("number"), "owner": "65534", "group": "65534" } }));
    }
    config["accounts"]["a"]["sinks"] = Value::Array(sinks);
    let agent = world.start(&config);
    agent.until_well();
    for round in 0..2 {
        assert_eq!(mode(&world.out("short")), 0o600);
        assert_eq!(mode(&world.out("wide")), 0o640);
        assert_eq!(mode(&world.out("narrow")), 0o400);
        assert_eq!(mode(&world.out("deep/er/file")), 0o640);
        if is_root() {
            let group = std::fs::metadata(world.out("group")).unwrap();
            assert_eq!((group.uid(), group.gid(), group.mode() & 0o7777), (0, 1, 0o640));
            let number = std::fs::metadata(world.out("number")).unwrap();
            assert_eq!((number.uid(), number.gid()), (65534, 65534));
        }
        if round == 0 {
            agent.renew("a");
            agent.until("the second generation everywhere", secs(5), |status| {
                generation(status, "a") == 2 && is_well(account(status, "a"))
            });
        }
    }
}

#[test]
fn curl_reads_the_header_file_as_it_is() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let file = world.out("a.header");
    config["accounts"]["a"]["sinks"] = json!([{ "file": { "path": file, "content": "header" } }]);
    let agent = world.start(&config);
    agent.until_well();
    let url = format!("http://{}/{ANY}/whoami", world.sim.address(1));
    let output =
        Command::new("curl").args(["-s", "-f", "-H", &format!("@{}", file.display()), &url]).output();
    let Ok(output) = output else { return skip("curl_reads_the_header_file_as_it_is", "there is no curl") };
    assert!(output.status.success(), "{output:?}");
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reply["account"], "id-a");
}

#[test]
fn templates_are_escaped_for_their_ending_and_have_the_documents_fields_and_filters() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    // A value that needs quotes everywhere, as the provider publishes it.
    let scope = r#"it's "a" $(scope) & more"#;
    config["accounts"]["a"]["params"] = json!({ "scope": scope });
    let template =
        |name: &str, template: &str| json!({ "file": { "path": world.out(name), "template": template } });
    config["accounts"]["a"]["sinks"] = json!([
        template("a.env", "TOKEN={{ access_token }}\nSCOPE={{ extra.scope }}\nGENERATION={{ generation }}\n"),
        template("a.sh", "SCOPE={{ extra.scope }}\nprintf %s \"$SCOPE\"\n"),
        template(
            "a.json",
            "{\"scope\": {{ extra.scope }}, \"until\": {{ expires_at_unix }}, \"who\": {{ account }}}"
        ),
        template("a.yaml", "scope: {{ extra.scope }}\ntoken: {{ access_token }}\n"),
        template(
            "a.txt",
            "{{ access_token | sha256 }} {{ account | b64encode }} {{ expires_at | datetime('%Y', 'Asia/Seoul') }} {{ provider }}"
        ),
    ]);
    let agent = world.start(&config);
    agent.until_well();
    let token = world.canary_token("a", &agent);
    assert!(world.read("a.env").starts_with(&format!("TOKEN={token}\nSCOPE=")));
    let sourced = format!(". '{}'; printf %s \"$SCOPE\"", world.out("a.env").display());
    for argument in [vec!["-c", &sourced], vec![world.out("a.sh").to_str().unwrap()]] {
        let output = Command::new("sh").args(&argument).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), scope, "{argument:?}");
    }
    let parsed: Value = serde_json::from_str(&world.read("a.json")).unwrap();
    assert_eq!((&parsed["scope"], &parsed["who"]), (&json!(scope), &json!("a")));
    assert!(parsed["until"].is_number());
    // A double-quoted YAML scalar of these characters is a JSON string too.
    let yaml = world.read("a.yaml");
    let quoted = yaml.lines().next().unwrap().strip_prefix("scope: ").unwrap();
    assert_eq!(serde_json::from_str::<String>(quoted).unwrap(), scope);
    let text = world.read("a.txt");
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!((words[0].len(), words[1], words[3]), (64, "YQ==", "oauth2-client-credentials"));
    assert!(words[2].parse::<u32>().unwrap() > 2020);
}

#[test]
fn a_template_with_an_undefined_name_fails_that_sink_alone_or_is_refused() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": { "path": world.out("bad.env"), "template": "X={{ acces_token }}\n" } },
        { "file": world.out("good.token") },
    ]);
    world.write(&config);
    let output = world.renewd(&["once"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 78)), "{said}");
    assert!(said.contains("acces_token"), "{said}");
    assert!(!world.out("bad.env").exists());
}

#[test]
fn in_place_keeps_the_inode_and_replace_makes_a_new_one() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": { "path": world.out("in-place"), "write": "in-place", "content": "json" } },
        { "file": { "path": world.out("replaced") } },
    ]);
    let agent = world.start(&config);
    agent.until_well();
    let inodes = || ["in-place", "replaced"].map(|name| std::fs::metadata(world.out(name)).unwrap().ino());
    let before = inodes();
    // Longer than what follows: the rest of it may not stay.
    let mut old = world.read("in-place");
    old.push_str(&" ".repeat(4000));
    std::fs::write(world.out("in-place"), old).unwrap();
    agent.renew("a");
    agent.until("the second generation", secs(5), |status| {
        generation(status, "a") == 2 && is_well(account(status, "a"))
    });
    let after = inodes();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    let text = world.read("in-place");
    assert_eq!(text.trim_end().len() + 1, text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["generation"], 2);
}

#[test]
fn an_expired_token_stays_or_is_removed_as_asked_and_comes_back() {
    let world = World::living(secs(4));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": { "path": world.out("kept") } },
        { "file": { "path": world.out("removed"), "when_expired": "remove" } },
    ]);
    let agent = world.start(&config);
    agent.until_well();
    world.sim.fault("*=503");
    agent.until("the end of the token", secs(10), |status| account(status, "a")["state"] == "expired");
    until("the removal", secs(2), || (!world.out("removed").exists()).then_some(()));
    assert!(world.out("kept").exists());
    let gone = format!("file:{} is removed, as its token has ended", world.out("removed").display());
    let status = agent.until("the removal in the status", secs(2), |status| {
        sink(status, "a", 1)["removed"] == true && sink(status, "a", 0)["removed"] == false
    });
    assert_eq!(sink(&status, "a", 1)["state"], "unwritten");
    let said = world.renewd(&["wait", "--timeout", "1s"]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains(&gone) && !said.contains("not yet written"), "{said}");
    world.sim.clear();
    assert_eq!(agent.renew("a").0, 200); // by itself it would be within the minute
    agent.until("its return", secs(5), |status| is_well(account(status, "a")));
    assert!(world.out("removed").exists());
    assert_eq!(sink(&agent.status(), "a", 1)["removed"], false);
}

#[test]
fn what_stands_in_a_sinks_way_is_told_others_go_on_and_it_heals_alone() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    let names = ["folder", "fifo", "foreign-link", "dangling/file", "good"];
    config["accounts"]["a"]["sinks"] = names.iter().map(|name| json!({ "file": world.out(name) })).collect();
    std::fs::create_dir(world.out("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(world.out("fifo")).status().unwrap().success());
    std::fs::write(world.path("victim"), "do not touch").unwrap();
    symlink(world.path("victim"), world.out("foreign-link")).unwrap();
    // A file where a folder must be.
    std::fs::write(world.out("dangling"), "").unwrap();
    if is_root() {
        std::os::unix::fs::lchown(world.out("foreign-link"), Some(65534), Some(65534)).unwrap();
    }
    let failing = if is_root() { vec![0, 1, 2, 3] } else { vec![0, 1, 3] };
    let agent = world.start(&config);
    let status = agent.until("the good one, and errors of the others", secs(5), |status| {
        let failed = |number: &&usize| sink(status, "a", **number)["state"] == "failed";
        sink(status, "a", 4)["state"] == "written" && failing.iter().filter(failed).count() == failing.len()
    });
    assert_eq!(account(&status, "a")["state"], "fresh");
    let words = ["folder", "FIFO", "symbolic link", "dangling"];
    for number in &failing {
        let message = sink(&status, "a", *number)["error"]["message"].as_str().unwrap();
        assert!(message.contains(words[*number]) && message.contains("out/"), "{message}");
    }
    let requests = world.sim.requests();
    std::fs::remove_dir(world.out("folder")).unwrap();
    ["fifo", "foreign-link", "dangling"]
        .iter()
        .for_each(|name| std::fs::remove_file(world.out(name)).unwrap());
    agent.until("healing", secs(15), |status| is_well(account(status, "a")));
    for name in names {
        assert!(world.sim.accepts(ANY, &world.read(name)), "{name}");
    }
    if is_root() {
        assert_eq!(std::fs::read_to_string(world.path("victim")).unwrap(), "do not touch");
    }
    assert_eq!(world.sim.requests(), requests, "no request for a sink's sake");
}

#[test]
fn a_link_of_our_own_is_followed_and_stays_a_link() {
    let world = World::living(secs(600));
    std::fs::create_dir(world.path("real")).unwrap();
    symlink(world.path("real/token"), world.out("a.token")).unwrap();
    let agent = world.start(&world.one(ANY));
    agent.until_well();
    assert!(std::fs::symlink_metadata(world.out("a.token")).unwrap().is_symlink());
    let token = std::fs::read_to_string(world.path("real/token")).unwrap();
    assert!(world.sim.accepts(ANY, &token));
}

#[test]
fn a_folder_of_a_stranger_is_refused_and_one_open_to_all_is_warned_about() {
    let name = "a_folder_of_a_stranger_is_refused_and_one_open_to_all_is_warned_about";
    if !is_root() {
        return skip(name, "only root can make another user's folder");
    }
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    for folder in ["stranger", "open"] {
        std::fs::create_dir(world.path(folder)).unwrap();
    }
    std::os::unix::fs::chown(world.path("stranger"), Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(world.path("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    config["accounts"]["a"]["sinks"] =
        json!([{ "file": world.path("stranger/token") }, { "file": world.path("open/token") }]);
    let agent = world.start(&config);
    let status = agent.until("both verdicts", secs(5), |status| {
        sink(status, "a", 0)["state"] == "failed" && sink(status, "a", 1)["state"] == "written"
    });
    let message = sink(&status, "a", 0)["error"]["message"].as_str().unwrap();
    assert!(message.contains("uid 65534"), "{message}");
    assert!(!world.path("stranger/token").exists());
    assert_eq!(agent.logged("sink_warning"), 1);
    std::os::unix::fs::chown(world.path("stranger"), Some(0), Some(0)).unwrap();
    agent.until("healing", secs(10), |status| is_well(account(status, "a")));
}

#[test]
fn a_read_only_folder_fails_its_sink_and_heals_alone() {
    let name = "a_read_only_folder_fails_its_sink_and_heals_alone";
    if !is_root() {
        return skip(name, "the agent must be run as another user than root");
    }
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] =
        json!([{ "file": world.out("a.token") }, { "file": world.path("locked/b.token") }]);
    world.write(&config);
    std::fs::create_dir(world.path("locked")).unwrap();
    world.give_to(65534);
    std::os::unix::fs::chown(world.path("locked"), Some(65534), Some(65534)).unwrap();
    std::fs::set_permissions(world.path("locked"), std::fs::Permissions::from_mode(0o555)).unwrap();
    std::fs::set_permissions(world.config_path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let agent = world.run().by_user(65534).start();
    let status = agent.until("the failure", secs(5), |status| {
        sink(status, "a", 1)["state"] == "failed" && sink(status, "a", 0)["state"] == "written"
    });
    let message = sink(&status, "a", 1)["error"]["message"].as_str().unwrap();
    assert!(message.contains("locked") && message.to_lowercase().contains("permi"), "{message}");
    std::fs::set_permissions(world.path("locked"), std::fs::Permissions::from_mode(0o755)).unwrap();
    agent.until("healing", secs(15), |status| is_well(account(status, "a")));
    assert_eq!(mode(&world.path("locked/b.token")), 0o600);
}

/// A small file system of its own, unmounted with the test.
pub(crate) struct Small(pub(crate) PathBuf);

impl Small {
    pub(crate) fn mount(path: PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k,mode=0755", "renewd-e2e"])
            .arg(&path)
            .output();
        done.is_ok_and(|done| done.status.success()).then(|| Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_leaves_the_old_token_whole_and_heals_alone() {
    let name = "a_full_disk_leaves_the_old_token_whole_and_heals_alone";
    let world = World::living(secs(600));
    let Some(small) = Small::mount(world.path("small")) else {
        return skip(name, "mounting a tmpfs is not permitted");
    };
    let mut config = world.one(ANY);
    config["accounts"]["a"]["sinks"] =
        json!([{ "file": small.0.join("a.token") }, { "file": world.out("b.token") }]);
    let agent = world.start(&config);
    agent.until_well();
    let old = std::fs::read(small.0.join("a.token")).unwrap();
    let full = std::fs::write(small.0.join("ballast"), vec![0; 1 << 20]);
    assert!(full.is_err(), "the disk is full");
    agent.renew("a");
    let status = agent.until("the failure", secs(5), |status| {
        sink(status, "a", 0)["state"] == "failed" && sink(status, "a", 1)["generation"] == 2
    });
    let message = sink(&status, "a", 0)["error"]["message"].as_str().unwrap();
    assert!(message.contains("space") || message.contains("full"), "{message}");
    throughout("the old token", millis(500), || std::fs::read(small.0.join("a.token")).unwrap() == old);
    std::fs::remove_file(small.0.join("ballast")).unwrap();
    agent.until("healing", secs(15), |status| is_well(account(status, "a")));
    assert_eq!(std::fs::read_to_string(small.0.join("a.token")).unwrap(), world.read("b.token"));
}

#[test]
fn a_sink_that_someone_changes_or_removes_is_right_again_after_the_next_renewal() {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(ANY));
    agent.until_well();
    std::fs::write(world.out("a.token"), "meddled").unwrap();
    agent.renew("a");
    agent.until("the second generation", secs(5), |status| sink(status, "a", 0)["generation"] == 2);
    assert!(world.sim.accepts(ANY, &world.read("a.token")));
    std::fs::remove_file(world.out("a.token")).unwrap();
    agent.renew("a");
    until("the file", secs(5), || std::fs::read_to_string(world.out("a.token")).ok());
}
