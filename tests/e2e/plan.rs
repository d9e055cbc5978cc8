//! `renewd plan` beside a running agent says what the reload then does.

use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{World, secs};

#[test]
fn plan_says_what_the_reload_does_and_then_that_nothing_is_left_to_do() {
    let world = World::living(secs(600));
    let names = ["a", "gone", "other", "same"];
    let mut config = world.config(names.map(|name| (name.to_owned(), world.account(Provider::Kiwoom, name))));
    config["accounts"]["gone"]["sinks"] =
        json!([{ "file": { "path": world.out("gone.token"), "on_remove": "delete" } }]);
    let template = |text: &str| json!([{ "path": world.out("app.env"), "inline": text }]);
    config["templates"] = template("A={{ accounts.a.access_token }}\n");
    let agent = world.start(&config);
    agent.until_well();

    config["accounts"].as_object_mut().unwrap().remove("gone");
    config["accounts"]["a"]["verify"] =
        json!({ "url": format!("{}/whoami", world.sim.base_url(Provider::Kiwoom, 1)) });
    config["accounts"]["a"]["sinks"][0] = json!({ "file": { "path": world.out("a.token"), "mode": "0640" } });
    config["accounts"]["other"]["credentials"]["appkey"] = "somebody-else".into();
    config["accounts"]["new"] = world.account(Provider::Bizppurio, "new");
    config["templates"] = template("B={{ accounts.a.access_token }}\n");
    let next = world.put("next.yaml", &config.to_string());
    let out = |name: &str| world.out(name).display().to_string();
    let plan = || {
        let mut run = world.run();
        run.config.clone_from(&next);
        let output = run.finish(&["plan"]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.windows(8).any(|words| words == b"warning:"));
        String::from_utf8(output.stdout).unwrap()
    };
    let said = plan();
    for words in [
        "~ a      ".to_owned(),
        "keep its token; change verify\n".to_owned(),
        format!("    ~ write file:{} anew: mode\n", out("a.token")),
        "remove it; its state is kept for 30 days\n".to_owned(),
        format!("    - delete file:{} 10 s later (on_remove: delete)\n", out("gone.token")),
        "add it and ask for a token\n".to_owned(),
        format!("    + write file:{}\n", out("new.token")),
        "ask anew: credentials.appkey is another\n".to_owned(),
        format!("~ write template:{} anew: text; made from a\n", out("app.env")),
    ] {
        assert!(said.contains(&words), "{words}\nin:\n{said}");
    }
    assert_eq!(said.lines().count(), 9, "{said}");

    world.write(&config);
    agent.until("the reload", secs(20), |status| {
        status["config"]["generation"] == 2 && generation_of(status, "other") == 2
    });
    agent.until_well();
    assert!(world.read("app.env").starts_with("B="));
    assert_eq!(generation_of(&agent.status(), "a"), 1, "its token was kept");
    let said = plan();
    assert!(said.lines().all(|line| line.starts_with("= ")), "{said}");
    assert_eq!(said.lines().count(), 5, "{said}");
}

fn generation_of(status: &Value, name: &str) -> u64 {
    let accounts = status["accounts"].as_array().unwrap();
    let account = accounts.iter().find(|account| account["name"] == name);
    account.map_or(0, |account| account["generation"].as_u64().unwrap())
}
