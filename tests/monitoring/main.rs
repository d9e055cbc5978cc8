//! Alert rules, dashboard and example configuration in `deploy/`: they ask for nothing that an agent does not show, promtool
//! understands them, each alert fires and clears, and leads to a page that is there. `scripts/prometheus` plays all of it
//! with a real Prometheus.
//!
//! promtool is the one on `PATH` or in `.cache/prometheus`, where `scripts/test` puts it; without it those tests are
//! skipped and say so, and with `CI=true` they fail.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail loudly, and print for the test runner"
)]

mod dashboard;
mod promql;
mod rules;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML or JSON file of `deploy/`.
#[track_caller]
fn parsed(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text at a key; empty where there is none.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The list at a key; empty where there is none.
fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// What promtool says to these arguments, and whether it is content; `None` where there is no promtool, and the test is
/// then noted as skipped.
fn promtool(test: &str, args: &[&str]) -> Option<(bool, String)> {
    let fetched: PathBuf = root().join(".cache/prometheus/promtool");
    let programs = [Path::new("promtool"), &fetched];
    let folder = root().join("deploy/prometheus");
    let output = programs
        .iter()
        .find_map(|program| Command::new(program).args(args).current_dir(&folder).output().ok());
    let Some(output) = output else {
        skip(test, "there is no promtool: scripts/prometheus --tools");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn skip(test: &str, reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} may not be skipped: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(skips) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut skips = std::fs::File::options().append(true).create(true).open(skips).unwrap();
        skips.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}
