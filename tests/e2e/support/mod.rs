//! What every test stands on.

mod agent;
mod browser;
mod canaries;
mod disk;
mod reader;
mod sim;
mod socket;
mod tracer;
mod world;

use std::time::{Duration, Instant};

pub(crate) use agent::{Agent, Run, binary};
pub(crate) use browser::{Browser, axe};
pub(crate) use canaries::Canaries;
pub(crate) use disk::{Disk, Tree};
pub(crate) use reader::Reader;
pub(crate) use sim::Sim;
pub(crate) use socket::{call, free_port, http_get};
pub(crate) use tracer::{Call, Tracer, Verdict, Watch, can_trace};
pub(crate) use world::{World, replace};

use serde_json::Value;

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks for a while and fails as soon as it is not so.
#[track_caller]
pub(crate) fn throughout(what: &str, span: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < span {
        assert!(holds(), "{what}: not after {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A number from the environment: how long the long forms are.
pub(crate) fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Notes that a test cannot run here, and why; with `CI=true` that is a failure.
#[track_caller]
pub(crate) fn skip(test: &str, reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} cannot run: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An account of a status document.
#[track_caller]
pub(crate) fn account<'a>(status: &'a Value, name: &str) -> &'a Value {
    let accounts = status["accounts"].as_array().unwrap();
    accounts.iter().find(|account| account["name"] == name).unwrap_or_else(|| panic!("no account {name}"))
}

/// `state` of an account.
#[track_caller]
pub(crate) fn state<'a>(status: &'a Value, name: &str) -> &'a str {
    account(status, name)["state"].as_str().unwrap()
}

/// `error.class` of an account, or nothing.
#[track_caller]
pub(crate) fn class<'a>(status: &'a Value, name: &str) -> &'a str {
    account(status, name)["error"]["class"].as_str().unwrap_or_default()
}

/// `generation` of an account.
#[track_caller]
pub(crate) fn generation(status: &Value, name: &str) -> u64 {
    account(status, name)["generation"].as_u64().unwrap()
}

/// Whether every account is fresh and every sink written.
pub(crate) fn all_well(status: &Value) -> bool {
    status["accounts"].as_array().unwrap().iter().all(is_well)
}

/// Whether this account is fresh and all its sinks are written.
pub(crate) fn is_well(account: &Value) -> bool {
    account["state"] == "fresh"
        && account["sinks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|sink| sink["state"] == "written" && sink["generation"] == account["generation"])
}
