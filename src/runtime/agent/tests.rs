//! The loop's end.

use super::*;
use crate::core::SetId;
use crate::provider::Clients;
use crate::store::Store;

fn agent(state: &std::path::Path) -> (Agent, Inbox) {
    let (shared, servers) =
        (Shared::new(Store::open(state).unwrap(), Clients::new()), Servers::new().unwrap());
    let loader = Loader {
        load: Arc::new(|| Err("there is none".to_owned())),
        watched: Arc::new(|| panic!("nothing is watched")),
    };
    let inbox = Inbox { signals: mpsc::channel(1).1, requests: mpsc::channel(1).1 };
    (Agent::new(shared, servers, loader, watch::channel(0).0, Observer::new()), inbox)
}

#[tokio::test]
async fn the_agent_does_not_end_before_what_a_templates_hooks_were_told_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, mut inbox) = agent(dir.path());
    for mark in [7, 8] {
        agent.begin_effect(Effect::Marked { set: SetId::Template("template:/run/app.env".into()), mark });
    }
    assert!(agent.drain(&mut inbox, Duration::ZERO).await);
    assert!(agent.tasks.is_empty(), "joined, not merely begun");
    let content = std::fs::read_to_string(dir.path().join("marks.json")).unwrap();
    assert!(content.contains(r#""template:/run/app.env":8"#), "{content}");
}

#[tokio::test]
async fn the_service_manager_hears_one_line_of_a_broken_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let (mut agent, _inbox) = agent(dir.path());
    assert_eq!(agent.sentence(clock::now()), "no accounts");
    agent.config_error = Some("a.yaml:1:1: unknown\tkey\n  1 | STATUS=x".to_owned());
    let door = agent.doors.add("agent.listen", Duration::from_secs(15));
    door.fails(&"127.0.0.1:9478", &"Address already in use", None);
    assert_eq!(
        agent.sentence(clock::now()),
        "no accounts; agent.listen cannot be had at 127.0.0.1:9478; the configuration file has errors, the one \
             before runs on: a.yaml:1:1: unknown key"
    );
    agent.config_error = Some("x".repeat(1000));
    assert!(agent.sentence(clock::now()).chars().count() < 400);
}
