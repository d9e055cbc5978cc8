//! The control socket from outside.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use renewd::domain::TokenDocument;
use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{
    Agent, World, account, binary, free_port, generation, http_get, is_root, millis, secs, skip, throughout,
    until,
};

#[test]
fn the_status_has_the_contracts_fields() {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    let status = agent.until_well();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in ["version", "config", "accounts", "templates"] {
        assert!(keys(&status).contains(&key.to_owned()), "{key}");
    }
    assert_eq!(keys(&status["config"]), ["path", "generation", "loaded_at", "error"]);
    let a = account(&status, "a");
    let expected = [
        "name",
        "provider",
        "state",
        "generation",
        "issued_at",
        "expires_at",
        "renew_at",
        "waiting",
        "verifying",
        "unverified",
        "attempt",
        "error",
        "sinks",
        "hooks",
    ];
    assert_eq!(keys(a), expected);
    let expected = [
        "sink",
        "state",
        "generation",
        "expires_at",
        "written_at",
        "error",
        "server",
        "writing_since",
        "next",
        "removed",
    ];
    assert_eq!(keys(&a["sinks"][0]), expected);
    assert_eq!(a["sinks"][0]["sink"], format!("file:{}", world.out("a.token").display()));
    assert_eq!(status["config"]["path"], world.config_path().to_str().unwrap());
    assert_eq!((&a["attempt"], &a["error"]), (&json!(0), &Value::Null));
    let renew_at: jiff::Timestamp = a["renew_at"].as_str().unwrap().parse().unwrap();
    let expires_at: jiff::Timestamp = a["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(renew_at < expires_at);
}

#[test]
fn the_token_document_has_exactly_the_contracts_fields() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::OAuthClientCredentials);
    config["accounts"]["a"]["params"] = json!({ "scope": "send read" });
    config["accounts"]["a"]["sinks"] =
        json!([{ "file": { "path": world.out("a.json"), "content": "json" } }]);
    let agent = world.start(&config);
    agent.until_well();
    let (status, document) = agent.get("/v1/accounts/a/token");
    assert_eq!(status, 200);
    let keys: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, TokenDocument::FIELDS.iter().collect::<Vec<_>>());
    assert_eq!(document["token_type"], "Bearer");
    assert_eq!(document["generation"], 1);
    assert_eq!(document["extra"], json!({ "scope": "send read" }));
    let expires_at: jiff::Timestamp = document["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(document["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(document["expires_at_unix"], expires_at.as_second());
    let in_file: Value = serde_json::from_str(&world.read("a.json")).unwrap();
    assert_eq!(in_file, document);
}

#[test]
fn everyone_who_can_connect_reads_the_status_but_only_the_permitted_take_or_force_tokens() {
    let name = "everyone_who_can_connect_reads_the_status_but_only_the_permitted_take_or_force_tokens";
    if !is_root() {
        return skip(name, "only root can become another user");
    }
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["agent"]["socket"] = json!({ "path": world.path("run/renewd.sock"), "mode": "0666" });
    let agent = world.start(&config);
    agent.until_well();
    std::fs::set_permissions(world.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(world.path("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let requests = world.sim.requests();

    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let as_nobody = |method: &str, path: &str| curl(&nobody, agent.socket(), method, path);
    assert_eq!(as_nobody("GET", "/v1/status").0, 200);
    let post = ["/v1/accounts/a/renew", "/v1/accounts/a/invalidate", "/v1/reload"];
    let denied = post.map(|path| ("POST", path)).into_iter().chain([("GET", "/v1/accounts/a/token")]);
    for (method, path) in denied {
        let (status, body) = as_nobody(method, path);
        assert_eq!(status, 403, "{method} {path}");
        assert!(!body.contains(&world.read("a.token")));
    }
    // The socket's group is root's here: its members may, whoever they are.
    let member = ["--reuid=65534", "--regid=0", "--clear-groups"];
    assert_eq!(curl(&member, agent.socket(), "GET", "/v1/accounts/a/token").0, 200);
    assert_eq!(world.sim.requests(), requests);
    assert_eq!(agent.get("/v1/accounts/a/token").0, 200);
}

/// Over the socket as another user: status and body.
fn curl(who: &[&str], socket: &Path, method: &str, path: &str) -> (u16, String) {
    let output = Command::new("setpriv")
        .args(who)
        .args(["curl", "-s", "-S", "-X", method, "-w", "\n%{http_code}", "--unix-socket"])
        .arg(socket)
        .args(["-d", if method == "POST" { "{\"generation\":1}" } else { "" }])
        .args(if method == "GET" { &["-G"][..] } else { &[] })
        .arg(format!("http://renewd{path}"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (body, status) =
        said.rsplit_once('\n').unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn invalidating_an_older_generation_does_nothing_and_the_current_one_is_renewed() {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    agent.until_well();
    assert_eq!(agent.renew("a").0, 200);
    agent.until("the second generation", secs(5), |status| generation(status, "a") == 2);
    world.sim.reset_stats();
    assert_eq!(agent.post("/v1/accounts/a/invalidate", "{\"generation\":1}").0, 200);
    assert_eq!(agent.post("/v1/accounts/a/invalidate", "{\"generation\":7}").0, 200);
    throughout("no request", millis(500), || world.sim.requests() == 0);
    assert_eq!(agent.post("/v1/accounts/a/invalidate", "{\"generation\":2}").0, 200);
    agent.until("the third generation", secs(5), |status| generation(status, "a") == 3);
    assert_eq!(agent.post("/v1/accounts/a/invalidate", "{}").0, 400);
    assert_eq!(agent.post("/v1/accounts/b/invalidate", "{\"generation\":1}").0, 404);
}

#[test]
fn a_reload_over_the_socket_answers_with_the_generation_or_with_what_is_wrong() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    assert_eq!(agent.post("/v1/reload", ""), (200, json!({ "generation": 1 })));
    config["accounts"]["b"] = world.account(Provider::Bizppurio, "b");
    world.write(&config);
    let (status, body) = agent.post("/v1/reload", "");
    assert_eq!((status, &body["generation"]), (200, &json!(2)));
    world.write_text("accounts: [\n");
    let (status, body) = agent.post("/v1/reload", "");
    assert_eq!(status, 422);
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("{}:", world.config_path().display())), "{message}");
}

#[test]
fn a_renewal_that_min_interval_holds_back_says_until_when() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["accounts"]["a"]["renew"]["min_interval"] = "5m".into();
    let agent = world.start(&config);
    agent.until_well();
    let (status, body) = agent.renew("a");
    assert_eq!(status, 202, "{body}");
    let until: jiff::Timestamp = body["not_before"].as_str().unwrap().parse().unwrap();
    let left = until.as_second() - jiff::Timestamp::now().as_second();
    assert!((280..=300).contains(&left), "{left}");
    assert_eq!(world.sim.requests(), 1);
    agent.stop();

    // Durable: a restart does not forget when it asked.
    let agent = world.run().start();
    agent.until_well();
    assert_eq!(agent.renew("a").0, 202);
    assert_eq!(world.sim.requests(), 1);
}

#[test]
fn a_renewal_that_fails_says_why_and_unknown_paths_and_accounts_are_404() {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    agent.until_well();
    world.sim.fault("bizppurio=503");
    let (status, body) = agent.renew("a");
    assert_eq!((status, &body["error"]["class"]), (502, &json!("transient")), "{body}");
    for path in ["/v1/accounts/b/token", "/v1/nothing", "/v1/accounts/..%2f/token"] {
        assert_eq!(agent.get(path).0, 404, "{path}");
    }
    assert_eq!(agent.renew("b").0, 404);
}

#[test]
fn the_socket_has_its_mode_and_is_gone_after_the_end_and_a_stale_one_is_replaced() {
    let world = World::living(secs(600));
    let config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    let mode = std::fs::metadata(agent.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    agent.kill();
    assert!(world.path("run/renewd.sock").exists(), "nobody was there to remove it");
    let agent = world.run().start();
    agent.until_well();
    agent.stop();
    assert!(!world.path("run/renewd.sock").exists());
}

/// How often it is looked after, and time to spare.
const LOOKED_AFTER: std::time::Duration = secs(15);

#[test]
fn a_socket_that_someone_removes_comes_back_as_it_was_also_with_its_folder() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    let path = world.path("run/renewd.sock");
    let group = if is_root() { 65_534 } else { rustix::process::getegid().as_raw() };
    config["agent"]["socket"] = json!({ "path": path, "mode": "0600", "group": group.to_string() });
    let agent = world.start(&config);
    agent.until_well();
    let look = || {
        let there = std::fs::symlink_metadata(&path).ok()?;
        there.file_type().is_socket().then_some((there.mode() & 0o7777, there.gid()))
    };
    assert_eq!(look(), Some((0o600, group)));
    for round in 1..=2 {
        match round {
            1 => std::fs::remove_file(&path).unwrap(),
            _ => std::fs::remove_dir_all(world.path("run")).unwrap(),
        }
        until("the socket", LOOKED_AFTER, || agent.try_status());
        assert_eq!(look(), Some((0o600, group)));
        assert_eq!(agent.logged("socket_back"), round);
    }
    let (code, body) = agent.renew("a");
    assert_eq!(code, 200, "{body}");
    assert_eq!(agent.logged("socket_lost"), 0);
    agent.stop();
    assert!(!path.exists());
}

#[test]
fn a_strangers_socket_in_its_place_is_not_taken_and_a_second_run_does_not_point_at_it() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    let port = free_port();
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    let path = world.path("run/renewd.sock");
    let agent = world.start(&config);
    agent.until_well();
    let second = || {
        let output = world.renewd(&["run"]);
        assert_eq!(output.status.code(), Some(75));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = second();
    assert!(said.contains("`renewd renew ACCOUNT` has it renew now"), "{said}");

    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "in the way").unwrap();
    until("a word in the log", LOOKED_AFTER, || (agent.logged("socket_lost") == 1).then_some(()));
    assert!(agent.log().contains("it exists and is no socket"), "{}", agent.log());
    let (code, body) = http_get(port, "/readyz", "localhost").unwrap();
    assert_eq!(code, 200, "{body}");
    assert!(body.contains(&format!("agent.socket cannot be had at {}", path.display())), "{body}");
    let said = second();
    assert!(said.contains(&format!("nobody answers at {}", path.display())), "{said}");
    assert!(said.contains(&format!("`kill -USR1 {}` has it renew now", agent.pid())), "{said}");
    assert!(!said.contains("`renewd renew ACCOUNT`") && !said.contains("`renewd wait`"), "{said}");

    std::fs::remove_file(&path).unwrap();
    let stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
    until("another word", LOOKED_AFTER, || (agent.logged("socket_lost") == 2).then_some(()));
    assert!(agent.log().contains("another agent answers there"), "{}", agent.log());
    drop(stranger);
    until("the socket", LOOKED_AFTER, || agent.try_status());
    assert_eq!((agent.logged("socket_lost"), agent.logged("socket_back")), (2, 1));
    let (_, body) = http_get(port, "/readyz", "localhost").unwrap();
    assert!(!body.contains("agent.socket"), "{body}");

    std::fs::remove_file(&path).unwrap();
    let _stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
    agent.stop();
    assert!(path.exists(), "what is not its own stays");
}

#[test]
fn a_socket_in_a_strangers_folder_is_refused_and_one_that_everybody_may_write_to_is_told() {
    let test = "a_socket_in_a_strangers_folder_is_refused";
    if !is_root() {
        return skip(test, "only root can make one");
    }
    let world = World::living(secs(600));
    let socket = world.path("run/renewd.sock");
    std::fs::create_dir(world.path("run")).unwrap();
    std::os::unix::fs::chown(world.path("run"), Some(65_534), None).unwrap();
    world.write(&world.one(Provider::Bizppurio));
    let words = format!(
        "cannot listen on {}: the folder `{}` belongs to uid 65534, who could swap what is in it",
        socket.display(),
        world.path("run").display()
    );
    for command in [&["run"][..], &["check", "--online"]] {
        let output = world.renewd(command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&words), "{said}");
        assert!(said.contains("hint: use a folder that root or the agent's own user owns"), "{said}");
    }
    assert!(!socket.exists());
    assert_eq!(world.sim.requests(), 0);

    std::os::unix::fs::chown(world.path("run"), Some(0), None).unwrap();
    std::fs::set_permissions(world.path("run"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = world.renewd(&["check", "--online"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("warning: agent.socket: every user may put files into the folder"), "{said}");
    let agent = world.run().start();
    agent.until_well();
    assert_eq!(agent.logged("socket_warning"), 1);
    agent.stop();
}

/// Two accounts of a host with limits, which fails until its breaker opens. `renew` is past each account's own pause.
fn shut(world: &World) -> Agent {
    let agent = world.start(&world.config(["a", "b"].map(|name| {
        let mut account = world.account(Provider::Bizppurio, name);
        account["base_url"] = world.sim.base_url(Provider::Bizppurio, 3).into();
        (name.to_owned(), account)
    })));
    agent.until_well();
    world.sim.stop();
    for name in ["a", "b", "a", "b", "a"] {
        let (status, body) = agent.renew(name);
        assert_eq!((status, &body["error"]["class"]), (502, &json!("transient")), "{body}");
    }
    until("the open breaker", secs(5), || (agent.logged("host_down") >= 1).then_some(()));
    agent
}

#[test]
fn a_renewal_that_waits_for_its_host_says_so_at_once_and_reports_the_new_try() {
    let world = World::living(secs(600));
    let agent = shut(&world);

    let socket = world.path("run/renewd.sock");
    let mut command = Command::new(binary());
    command.args(["renew", "a", "--timeout", "60s", "--socket"]).arg(&socket);
    let mut renew =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let asked = std::time::Instant::now();
    BufReader::new(renew.stderr.take().unwrap()).read_line(&mut said).unwrap();
    let host = format!("127.0.0.3:{}", world.sim.address(3).port());
    assert!(said.starts_with("a: waits until 20"), "{said}");
    assert!(said.ends_with(&format!("its host {host} does not answer as it should\n")), "{said}");
    assert!(asked.elapsed() < secs(3), "{:?}", asked.elapsed());
    let status = agent.status();
    let a = account(&status, "a");
    assert_eq!((&a["waiting"]["for"], &a["waiting"]["host"]), (&json!("host"), &json!(host)));
    assert_eq!(a["waiting"]["until"], a["renew_at"]);
    assert_eq!(a["state"], "retrying", "its token lives on");
    let b = account(&status, "b");
    assert_eq!((&b["waiting"]["for"], &b["waiting"]["host"]), (&json!("host"), &json!(host)));
    assert_eq!(b["waiting"]["until"], b["renew_at"], "the end of a pause of its own");
    let table = world.renewd(&["status"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains(&format!("its host {host} does not answer as it should")), "{table}");

    world.sim.resume();
    let output = renew.wait_with_output().unwrap();
    let reported = String::from_utf8(output.stdout).unwrap();
    assert!(reported.starts_with("a  renewed: generation 2, expires "), "{reported}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(account(&agent.status(), "a")["waiting"], Value::Null);
}

#[test]
fn a_renewal_that_is_still_waiting_when_the_time_is_up_says_for_what() {
    let world = World::living(secs(600));
    let agent = shut(&world);
    let (status, body) = agent.post("/v1/accounts/a/renew?timeout=1", "");
    assert_eq!(status, 504, "{body}");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("not ended yet: its host 127.0.0.3:"), "{message}");
}
