//! Commands that end by themselves, and their exit statuses.

use std::process::{Command, Stdio};

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, binary, millis, secs, throughout, until};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn once_issues_delivers_and_exits_0_and_a_second_one_sends_nothing() {
    let world = World::living(secs(600));
    let config =
        world.config(Provider::ALL.map(|one| (one.name().to_owned(), world.account(one, one.name()))));
    world.write(&config);
    let output = world.renewd(&["once", "--timeout", "30s"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for provider in Provider::ALL {
        assert!(world.sim.accepts(provider, &world.read(&format!("{provider}.token"))), "{provider}");
    }
    let requests = world.sim.requests();
    assert_eq!(world.renewd(&["once"]).status.code(), Some(0));
    assert_eq!(world.sim.requests(), requests);
}

#[test]
fn once_exits_1_and_names_what_failed() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["accounts"]["bad"] = world.account(Provider::Kiwoom, "bad");
    config["accounts"]["bad"]["credentials"]["secretkey"] = "wrong".into();
    world.write(&config);
    let output = world.renewd(&["once"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("bad") && said.contains("rejected"), "{said}");
    assert!(output.stdout.is_empty());
    assert!(world.sim.accepts(Provider::Bizppurio, &world.read("a.token")), "the good one is delivered");
}

#[test]
fn once_names_every_sink_and_template_that_failed() {
    let world = World::living(secs(600));
    world.put("out/file", "");
    let mut config = world.one(Provider::Bizppurio);
    config["accounts"]["b"] = world.account(Provider::Kiwoom, "b");
    let (first, second) = (world.out("file/first"), world.out("file/second"));
    config["accounts"]["a"]["sinks"] =
        json!([{ "file": first }, { "file": world.out("good") }, { "file": second }]);
    let template = world.out("file/template");
    config["templates"] = json!([{ "path": template, "inline": "{{ accounts.a.access_token }}" }]);
    world.write(&config);
    let output = world.renewd(&["once"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: 1 of 2 accounts and 1 of 1 template are not fresh and delivered\n"),
        "{said}"
    );
    for words in [
        format!("  caused by: a: file:{}: ", first.display()),
        format!("  caused by: a: file:{}: ", second.display()),
        format!("  caused by: template:{}: ", template.display()),
    ] {
        assert!(said.contains(&words), "{words}\nin:\n{said}");
    }
    assert_eq!(said.matches("caused by:").count(), 3, "{said}");
}

#[test]
fn an_unwritten_template_says_which_account_it_waits_for() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    config["accounts"]["bad"] = world.account(Provider::Kiwoom, "bad");
    config["accounts"]["bad"]["credentials"]["secretkey"] = "wrong".into();
    let inline = "A={{ accounts.a.access_token }}\nB={{ accounts.bad.access_token }}\n";
    config["templates"] = serde_json::json!([{ "path": world.out("app.env"), "inline": inline }]);
    world.write(&config);
    let output = world.renewd(&["once"]);
    assert_eq!(output.status.code(), Some(1));
    let words = "waits for `bad`: no token yet";
    let said = text(&output.stderr);
    assert!(said.contains(&format!("template:{}: {words}", world.out("app.env").display())), "{said}");
    let agent = world.run().start();
    let status = agent.until("the refusal", secs(20), |status| status["accounts"][1]["state"] == "rejected");
    let waits = serde_json::json!([{ "account": "bad", "reason": "no_token" }]);
    assert_eq!(status["templates"][0]["waits_for"], waits);
    let output = world.renewd(&["wait", "--timeout", "1s"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(75) && said.contains(words), "{said}");
    assert!(text(&world.renewd(&["status"]).stdout).contains(words));
    agent.stop();
}

#[test]
fn once_exits_75_when_time_runs_out() {
    let world = World::living(secs(600));
    world.sim.fault("*=hang");
    let mut config = world.one(Provider::Bizppurio);
    config["agent"]["shutdown_grace"] = "1s".into();
    world.write(&config);
    let start = std::time::Instant::now();
    let output = world.renewd(&["once", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(75), "{}", text(&output.stderr));
    assert!(start.elapsed() < secs(4), "{:?}", start.elapsed());
}

#[test]
fn once_and_a_second_agent_exit_75_while_an_agent_holds_the_state_directory() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    // Another socket, the same state directory.
    config["agent"]["socket"] = json!(world.path("run/second.sock"));
    let other = world.put("second.yaml", &config.to_string());
    for command in ["once", "run"] {
        let mut run = world.run();
        run.config.clone_from(&other);
        let output = run.finish(&[command]);
        assert_eq!(output.status.code(), Some(75), "{command}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(said.contains("state directory") && said.contains("hint:"), "{said}");
        assert!(said.contains(&agent.pid().to_string()), "names the process: {said}");
        assert!(said.contains("another socket, `--socket`") && said.contains("`kill -USR1"), "{said}");
        // At its own socket it can be asked.
        let said = text(&world.run().finish(&[command]).stderr);
        assert!(said.contains("`renewd renew ACCOUNT`") && said.contains("`renewd wait`"), "{said}");
    }
    assert_eq!(world.sim.requests(), 1);
    agent.until_well();
}

#[test]
fn status_tells_0_and_with_check_1_unless_all_is_well() {
    let world = World::living(secs(600));
    let config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    assert_eq!(world.renewd(&["status"]).status.code(), Some(0));
    assert_eq!(world.renewd(&["status", "--check"]).status.code(), Some(0));
    let output = world.renewd(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["accounts"][0]["state"], "fresh");
    let shown = text(&world.renewd(&["status"]).stdout);
    assert!(shown.contains('a') && shown.contains("fresh") && !shown.contains('\x1b'), "{shown}");

    world.sim.fault("*=500");
    agent.renew("a");
    let output = world.renewd(&["status", "--check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("transient") || text(&output.stderr).contains('a'));
    assert_eq!(world.renewd(&["status"]).status.code(), Some(0));
    assert_eq!(world.renewd(&["status", "nobody"]).status.code(), Some(1));
    agent.stop();
    let output = world.renewd(&["status"]);
    assert_eq!(output.status.code(), Some(75));
    assert!(text(&output.stderr).contains("renewd run"), "the way to start it");
}

#[test]
fn token_prints_the_token_and_fails_where_none_lives() {
    let world = World::living(secs(3));
    let mut config = world.one(Provider::OAuthClientCredentials);
    config["accounts"]["never"] = world.account(Provider::Kiwoom, "never");
    world.sim.fault("kiwoom=503");
    let agent = world.start(&config);
    agent.until("a token", secs(10), |status| crate::support::state(status, "a") == "fresh");
    let printed = text(&world.renewd(&["token", "a"]).stdout);
    assert!(printed.ends_with('\n'));
    assert!(world.sim.accepts(Provider::OAuthClientCredentials, printed.trim_end()));
    let document: Value = serde_json::from_slice(&world.renewd(&["token", "a", "--json"]).stdout).unwrap();
    assert_eq!(document["account"], "a");

    assert_eq!(agent.get("/v1/accounts/never/token").0, 409);
    let output = world.renewd(&["token", "never"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && text(&output.stderr).contains("pending"), "{}", text(&output.stderr));
    world.sim.fault("oauth2-client-credentials=503");
    agent.until("the end of the token", secs(10), |status| crate::support::state(status, "a") == "expired");
    assert_eq!(agent.get("/v1/accounts/a/token").0, 409);
    assert_eq!(world.renewd(&["token", "nobody"]).status.code(), Some(1));
    assert_eq!(world.renewd(&["token", "NOT-A-NAME"]).status.code(), Some(2));
}

#[test]
fn wait_may_come_before_the_agent_and_returns_when_all_is_delivered() {
    let world = World::living(secs(600));
    world.write(&world.one(Provider::Bizppurio));
    let mut waiting = Command::new(binary())
        .args(["wait", "--timeout", "30s"])
        .env("RENEWD_CONFIG", world.config_path())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    throughout("it waits", millis(600), || waiting.try_wait().unwrap().is_none());
    world.sim.fault("*=delay:1s");
    let agent = world.run().start();
    let status = until("the end of `wait`", secs(20), || waiting.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    assert!(world.sim.accepts(Provider::Bizppurio, &world.read("a.token")));
    agent.stop();
    let output = world.renewd(&["wait", "--timeout", "1s"]);
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn wait_knows_an_account_that_the_agent_is_about_to_take_up_and_no_other() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::Bizppurio);
    let agent = world.start(&config);
    agent.until_well();
    config["accounts"]["late"] = world.account(Provider::Kiwoom, "late");
    world.write(&config);
    let output = world.renewd(&["wait", "late", "--timeout", "30s"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(world.sim.accepts(Provider::Kiwoom, &world.read("late.token")));
    let output = world.renewd(&["wait", "lat", "--timeout", "1h"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did you mean `late`?"), "{}", text(&output.stderr));
}

#[test]
fn renew_all_reports_every_account_and_exits_1_where_one_fails() {
    let world = World::living(secs(600));
    let names = ["a", "b", "c"];
    let mut config = world.config(names.map(|name| (name.to_owned(), world.account(Provider::Kiwoom, name))));
    config["accounts"]["c"]["renew"]["min_interval"] = "1h".into();
    let agent = world.start(&config);
    agent.until_well();
    let output = world.renewd(&["renew", "--all"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(said.lines().count(), 3);
    assert_eq!(said.matches("generation 2").count(), 2, "{said}");
    assert!(said.contains("held back"), "{said}");
    world.sim.fault("kiwoom/id-b=500");
    let output = world.renewd(&["renew", "a", "b"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("generation 3"));
    assert_eq!(world.renewd(&["renew", "nobody"]).status.code(), Some(1));
    assert_eq!(world.renewd(&["renew"]).status.code(), Some(2));
}

#[test]
fn a_broken_configuration_does_not_hide_the_running_agent() {
    let world = World::living(secs(600));
    let agent = world.start(&world.one(Provider::Bizppurio));
    agent.until_well();
    world.write_text("accounts: [\n");
    let socket = agent.socket().to_str().unwrap().to_owned();
    let output = world.renewd(&["--socket", &socket, "status", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = world.run().env("RENEWD_SOCKET", socket).finish(&["status"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
