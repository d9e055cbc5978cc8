//! What is logged, and how: changed at run time, and for the journal.

use std::os::unix::fs::MetadataExt;

use renewd::simulator::Provider;
use serde_json::json;

use crate::support::{World, secs, until};

const ANY: Provider = Provider::OAuthClientCredentials;

#[test]
fn the_level_follows_the_configuration_of_a_running_agent() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    world.write(&config);
    let agent = world.run().start_with(&["run"]);
    agent.until_well();
    agent.renew("a");
    let has = |level: &str| agent.log().contains(&format!("\"level\":\"{level}\""));
    assert!(has("INFO") && !has("DEBUG") && !has("TRACE"));
    let mut change = |level: &str, generation: u64| {
        config["agent"]["log"] = json!({ "level": level });
        world.write(&config);
        agent.until("the new level", secs(10), |status| status["config"]["generation"] == generation);
    };
    change("trace", 2);
    until("all of it", secs(5), || {
        agent.renew("a");
        (agent.logged("exchange") > 0 && has("TRACE")).then_some(())
    });
    change("error", 3);
    let quiet = until("the last line of before", secs(5), || {
        let before = agent.log();
        agent.renew("a");
        (agent.log() == before).then_some(before)
    });
    agent.renew("a");
    assert_eq!(agent.log(), quiet);
}

#[test]
fn in_the_journal_each_line_has_its_priority() {
    for format in ["json", "text"] {
        let world = World::living(secs(600));
        let mut config = world.config(["a", "b"].map(|name| (name.to_owned(), world.account(ANY, name))));
        config["accounts"]["b"]["credentials"]["client_secret"] = json!("wrong");
        config["agent"]["log"] = json!({ "format": format });
        world.write(&config);
        let run = world.run();
        std::fs::File::create(&run.log).unwrap();
        let about = std::fs::metadata(&run.log).unwrap();
        let stream = format!("{}:{}", about.dev(), about.ino());
        let agent = run.env("JOURNAL_STREAM", stream).start_with(&["run", "--log-level", "debug"]);
        until("a failure", secs(10), || agent.log().contains("renewal failed").then_some(()));
        world.write_text("accounts:\n  a: {}\n  b: {}\n"); // two mistakes: a message of several lines
        until("the refusal", secs(10), || agent.log().contains("refused").then_some(()));
        let log = agent.log();
        agent.stop();
        for line in log.lines() {
            let wanted = match line {
                _ if line.contains("ERROR") => "<3>",
                _ if line.contains("WARN") => "<4>",
                _ if line.contains("INFO") => "<6>",
                _ if line.contains("DEBUG") => "<7>",
                _ => "<3>", // the mistakes
            };
            assert!(line.starts_with(wanted), "{line}");
        }
        assert!(["<3>", "<6>", "<7>"].iter().all(|priority| log.contains(priority)), "{log}");
        // Elsewhere, where the name is merely handed down, there is none.
        world.write(&config);
        let agent = world.run().env("JOURNAL_STREAM", "1:2").start_with(&["run"]);
        until("a line", secs(10), || agent.log().contains("renewd has started").then_some(()));
        assert!(!agent.log().contains("<6>"));
    }
}
