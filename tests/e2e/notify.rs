//! What a service manager hears.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use renewd::simulator::Provider;
use rustix::process::Signal;

use crate::support::{World, generation, millis, secs, until};

const ANY: Provider = Provider::Kiwoom;

/// Listens where a service manager would.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(millis(50))).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Waits for a message with such a line among those that came since the last `forget`.
    #[track_caller]
    fn hears(&mut self, wanted: &str, within: Duration) -> String {
        until(wanted, within, || {
            let mut buffer = [0; 4096];
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
            let has = |text: &&String| text.lines().any(|line| line.starts_with(wanted));
            self.heard.iter().find(has).cloned()
        })
    }

    fn forget(&mut self) {
        self.heard.clear();
    }
}

#[test]
fn ready_comes_with_the_first_delivery_reloads_are_announced_and_the_end_too() {
    let world = World::living(secs(600));
    world.sim.fault("*=delay:700ms");
    let mut config = world.one(ANY);
    world.write(&config);
    let mut manager = Manager::at(&world.path("notify"));
    let path = world.path("notify").to_str().unwrap().to_owned();
    let mut agent = world.run().env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "30000000").start();
    manager.hears("READY=1", secs(10));
    assert!(world.sim.accepts(ANY, &world.read("a.token")), "delivered before it is ready");
    manager.hears("STATUS=", secs(5));
    manager.hears("WATCHDOG=1", secs(16));
    manager.forget();
    world.sim.clear();
    config["accounts"]["b"] = world.account(ANY, "b");
    world.write(&config);
    agent.signal(Signal::HUP);
    let text = manager.hears("RELOADING=1", secs(5));
    assert!(text.contains("MONOTONIC_USEC="), "{text}");
    manager.hears("READY=1", secs(5));
    agent.signal(Signal::TERM);
    manager.hears("STOPPING=1", secs(5));
    assert_eq!(agent.ends_within(secs(5)).and_then(|status| status.code()), Some(0));
}

#[test]
fn ready_does_not_wait_for_what_fails() {
    let world = World::living(secs(600));
    world.sim.fault("*=503");
    world.write(&world.one(ANY));
    let mut manager = Manager::at(&world.path("notify"));
    let agent = world.run().env("NOTIFY_SOCKET", world.path("notify").to_str().unwrap()).start();
    manager.hears("READY=1", secs(10));
    agent.stop();
}

#[test]
fn an_idle_agent_answers_a_watchdog_that_is_shorter_than_its_sleep() {
    let world = World::living(secs(600));
    world.write(&world.one(ANY));
    let mut manager = Manager::at(&world.path("notify"));
    let path = world.path("notify").to_str().unwrap().to_owned();
    let agent = world.run().env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "4000000").start();
    manager.hears("READY=1", secs(10));
    for _ in 0..3 {
        manager.forget();
        manager.hears("WATCHDOG=1", secs(4));
    }
    agent.stop();
}

#[test]
fn a_refused_configuration_stands_in_the_sentence_with_its_place_and_leaves_it_again() {
    let world = World::living(secs(600));
    let config = world.one(ANY);
    world.write(&config);
    let mut manager = Manager::at(&world.path("notify"));
    let agent = world.run().env("NOTIFY_SOCKET", world.path("notify").to_str().unwrap()).start();
    manager.hears("STATUS=1 fresh", secs(10));
    manager.forget();
    world.write_text("accounts: 7\n");
    let said = manager.hears("STATUS=1 fresh; the configuration file has errors", secs(5));
    assert!(said.contains("renewd.yaml:1:11: "), "{said}");
    assert_eq!(said.lines().filter(|line| !line.contains('=')).count(), 0, "one line: {said}");
    manager.forget();
    world.write(&config);
    let said = manager.hears("STATUS=1 fresh", secs(5));
    assert!(!said.contains("errors"), "{said}");
    agent.stop();
}

/// A manager whose queue is full: one that hangs, or that has crashed and keeps its socket.
#[test]
fn a_manager_that_does_not_listen_holds_nothing_up_and_hears_later_that_it_is_ready() {
    let world = World::living(secs(4));
    world.write(&world.one(ANY));
    let mut manager = Manager::at(&world.path("notify"));
    let filler = UnixDatagram::unbound().unwrap();
    filler.set_nonblocking(true).unwrap();
    while filler.send_to(b"X=1", world.path("notify")).is_ok() {}
    let path = world.path("notify").to_str().unwrap().to_owned();
    let mut agent = world.run().env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "300000").start();
    agent.until("three renewals", secs(30), |status| generation(status, "a") > 3);
    assert!(world.sim.accepts(ANY, &world.read("a.token")));
    agent.signal(Signal::HUP);
    agent.until("one more", secs(30), |status| generation(status, "a") > 4);
    // It listens again: what it missed comes in its order.
    manager.hears("RELOADING=1", secs(10));
    let at = |manager: &Manager, line: &str| {
        manager.heard.iter().position(|text| text.lines().any(|said| said.starts_with(line)))
    };
    assert!(at(&manager, "READY=1") < at(&manager, "RELOADING=1"), "{:?}", manager.heard);
    manager.hears("STATUS=1 fresh", secs(10));
    manager.hears("WATCHDOG=1", secs(10));
    while filler.send_to(b"X=1", world.path("notify")).is_ok() {}
    agent.signal(Signal::TERM);
    assert_eq!(agent.ends_within(secs(5)).and_then(|status| status.code()), Some(0));
}
