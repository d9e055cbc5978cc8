//! What is logged, and how: changed at run time, and for the journal.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex};

use renewd::simulator::Provider;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{World, free_port, generation, http_get, is_well, secs, until};

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

/// A pipe that has room for 4 KiB more.
fn nearly_full() -> (PipeReader, PipeWriter) {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok_and(|written| written > 0) {}
    fcntl_setfl(&writer, flags).unwrap();
    reader.read_exact(&mut [0; 4096]).unwrap();
    (reader, writer)
}

#[test]
fn standard_error_that_nobody_reads_holds_nothing_up() {
    let world = World::living(secs(10));
    world.write(&world.one(ANY));
    let (mut reader, writer) = nearly_full();
    let mut agent = world.run().start_into(&["run", "--log-level", "trace"], writer);
    agent.until_well();
    for _ in 0..20 {
        assert_eq!(agent.renew("a").0, 200);
    }
    let before = generation(&agent.status(), "a");
    agent.until("a token that comes by itself", secs(30), |status| generation(status, "a") > before);
    assert!(world.sim.accepts(ANY, world.read("a.token").trim()));
    agent.signal(Signal::HUP);
    agent.signal(Signal::TERM);
    let status = agent.ends_within(secs(5)).expect("an end within 5 s");
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    reader.read_to_string(&mut log).unwrap();
    assert!(log.contains("renewd has started") && !log.contains("renewd has stopped"), "it was full: {log}");
}

#[test]
fn lines_that_find_no_room_are_counted_and_said_once_standard_error_is_read_again() {
    let world = World::living(secs(600));
    let names: Vec<String> = (0..200).map(|number| format!("a{number}")).collect();
    let accounts = names.iter().map(|name| (name.clone(), world.account(ANY, name)));
    let (mut config, port) = (world.config(accounts), free_port());
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    world.write(&config);
    let (mut reader, writer) = nearly_full();
    let agent = world.run().start_into(&["run", "--log-level", "trace"], writer);
    let dropped = || {
        let (_, page) = until("the metrics", secs(10), || http_get(port, "/metrics", "localhost"));
        let name = "renewd_log_lines_dropped_total ";
        page.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok()).expect(name)
    };
    let renewed = |times: u64| {
        agent.until("every account renewed", secs(60), |status| {
            let accounts = status["accounts"].as_array().unwrap();
            accounts.iter().all(|account| account["generation"] == times && is_well(account))
        });
    };
    let mut times = 1;
    while dropped() == 0 {
        renewed(times);
        agent.signal(Signal::USR1);
        times += 1;
        assert!(times < 50, "the queue has no end");
    }
    renewed(times); // nothing more happens while it is read

    let seen = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&seen);
    let reads = std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Some(count) = reader.read(&mut part).ok().filter(|count| *count > 0) {
            to.lock().unwrap().extend_from_slice(&part[..count]);
        }
    });
    let events = |event: &str| -> Vec<Value> {
        let text = String::from_utf8(seen.lock().unwrap().clone()).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter(|line| !line.is_empty());
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event).collect()
    };
    let told = until("the line that says so", secs(30), || events("log_lost").pop());
    assert_eq!(told["level"], "ERROR");
    assert_eq!(told["lost"], dropped(), "{told}");
    assert_eq!(agent.renew("a0").0, 200);
    agent.stop();
    reads.join().unwrap();
    assert_eq!((events("log_lost").len(), events("started").len(), events("stopped").len()), (1, 1, 1));
    eprintln!("{} lines dropped, {} bytes read afterwards", told["lost"], seen.lock().unwrap().len());
}

#[test]
fn what_is_said_last_is_written_and_in_order() {
    let world = World::living(secs(600));
    let mut config = world.one(ANY);
    config["agent"]["log"] = json!({ "level": "trace" });
    world.write(&config);
    let said = String::from_utf8(world.renewd(&["once"]).stderr).unwrap();
    assert!(said.lines().last().unwrap().contains("\"event\":\"done\""), "{said}");
    config["accounts"]["a"]["credentials"]["client_secret"] = json!("wrong");
    world.write(&config);
    std::fs::remove_dir_all(world.path("state")).unwrap();
    let said = String::from_utf8(world.renewd(&["once"]).stderr).unwrap();
    let (log, words) = said.split_once("\nerror: ").expect("the words for a person");
    assert!(words.contains("rejected") && !words.contains("\"event\""), "the last of all: {said}");
    assert!(log.lines().all(|line| line.starts_with('{')) && log.contains("renewal_failed"), "{said}");
    // What ends the start.
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.put("state", "no folder");
    let said = String::from_utf8(world.renewd(&["run"]).stderr).unwrap();
    assert!(said.lines().any(|line| line.starts_with("error: ")), "{said}");
}
