//! A flip that is killed at each of its system calls in turn, by strace.

use std::path::Path;
use std::process::{Command, Stdio};

use super::super::directory::{clean, put};
use super::directory::{files, names, seen};
use super::target;
use crate::config::model::TemplateForm;

const OLD: [(&str, &str); 2] = [("a", "old"), ("b", "old")];
const NEW: [(&str, &str); 2] = [("b", "new"), ("c", "new")];

/// Everything that changes something on a disk, and some before it.
const CALLS: [&str; 10] = [
    "mkdirat",
    "symlinkat",
    "renameat",
    "renameat2",
    "unlinkat",
    "fsync",
    "pwrite64",
    "fchmod",
    "flock",
    "readlinkat",
];

/// Names the folder in the process that is to be killed.
const FOLDER: &str = "RENEWD_TEST_FLIP";

#[test]
fn the_flip_that_is_killed_at_each_system_call() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    put(&target(folder.as_ref(), TemplateForm::Directory([].into())), &files(&NEW)).unwrap();
}

#[test]
fn killed_at_any_system_call_a_flip_leaves_the_old_set_or_the_new_one_whole() {
    const NAME: &str = "killed_at_any_system_call_a_flip_leaves_the_old_set_or_the_new_one_whole";
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        return skip(NAME, "there is no strace, or it may not trace");
    }
    let (mut old, mut new) = (0, 0);
    for call in CALLS {
        for count in 1.. {
            let at = format!("{call} {count}");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().canonicalize().unwrap().join("set");
            let target = target(&path, TemplateForm::Directory([].into()));
            put(&target, &files(&OLD)).unwrap();
            let ended = flip_until(&path, call, count);
            let found = seen(&path);
            let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
            if ended {
                assert_eq!(found, NEW);
                break;
            }
            match found.as_slice() {
                found if *found == OLD => old += 1,
                found if *found == NEW => new += 1,
                found => panic!("killed at {at}: {found:?}"),
            }
            // The next agent finishes it, and leaves the current set and at most two before it.
            clean([&target]);
            put(&target, &files(&NEW)).unwrap();
            assert!(seen(&path).iter().map(|(name, text)| (name.as_str(), text.as_str())).eq(NEW), "{at}");
            let left = names(&path);
            let sets = left.iter().filter(|name| name.starts_with("..renewd.")).count();
            assert!(sets <= 3 && left.len() == sets + 3, "{at}: {left:?}");
        }
    }
    assert!(old >= 15 && new >= 3, "{old} with the old set, {new} with the new one");
}

/// Flips in a process that is killed at its `count`th such call; whether it ended unharmed.
fn flip_until(folder: &Path, call: &str, count: u32) -> bool {
    let ended = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=KILL:when={count}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "sink::tests::killed::the_flip_that_is_killed_at_each_system_call"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ended.unwrap().success()
}

fn skip(test: &str, reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} may not be skipped: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        std::io::Write::write_all(&mut list, format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}
