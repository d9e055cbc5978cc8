use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use zeroize::Zeroizing;

use super::super::directory::{Files, clean, paths_of, put, remove};
use super::super::file::{Outcome, SinkError};
use super::target;
use crate::atomic::Error;
use crate::config::model::{TemplateForm, TemplateTarget};

/// A set in a folder of its own, which is removed with the first of the two.
fn folder() -> (tempfile::TempDir, TemplateTarget) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join("set");
    (folder, target(&path, TemplateForm::Directory(BTreeMap::new())))
}

pub(super) fn files(files: &[(&str, &str)]) -> Files {
    let file = |(name, text): &(&str, &str)| ((*name).to_owned(), Zeroizing::new(text.as_bytes().to_vec()));
    files.iter().map(file).collect()
}

fn outcome(target: &TemplateTarget, set: &[(&str, &str)]) -> Outcome {
    put(target, &files(set)).unwrap().outcome
}

/// What a reader sees under the public names that open.
pub(super) fn seen(folder: &Path) -> BTreeMap<String, String> {
    let names = names(folder).into_iter().filter(|name| !name.starts_with(".."));
    names.filter_map(|name| Some((name.clone(), std::fs::read_to_string(folder.join(&name)).ok()?))).collect()
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sets(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with("..renewd")).collect()
}

fn same(seen: &BTreeMap<String, String>, expected: &[(&str, &str)]) -> bool {
    seen.iter().map(|(name, text)| (name.as_str(), text.as_str())).eq(expected.iter().copied())
}

fn write(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[test]
fn a_set_appears_changes_and_vanishes() {
    let (_folder, target) = folder();
    let path = &target.path;
    assert_eq!(outcome(&target, &[("a", "1"), ("b", "1")]), Outcome::Written);
    assert!(same(&seen(path), &[("a", "1"), ("b", "1")]));
    assert_eq!(outcome(&target, &[("b", "2"), ("c", "2")]), Outcome::Written);
    assert!(same(&seen(path), &[("b", "2"), ("c", "2")]), "{:?}", names(path));
    assert_eq!(std::fs::read_link(path.join("c")).unwrap(), Path::new("..data/c"));
    assert!(path.join("a").symlink_metadata().is_err(), "its link went too");
    assert!(remove(&target).unwrap());
    assert_eq!(names(path), [""; 0], "all but the folder");
    assert!(!remove(&target).unwrap());
}

/// Makes every set look as if it had been made a minute earlier than it was.
fn age(folder: &Path) {
    for set in sets(folder) {
        let set = std::fs::File::open(folder.join(set)).unwrap();
        let made = set.metadata().unwrap().modified().unwrap();
        set.set_modified(made - std::time::Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn the_set_before_stays_for_its_readers_until_the_next_flip() {
    let (_folder, target) = folder();
    for round in 0..5 {
        outcome(&target, &[("a", &round.to_string())]);
        age(&target.path);
        assert_eq!(sets(&target.path).len(), usize::min(round + 1, 2), "flips a minute apart");
    }
    let data = target.path.join("..data").canonicalize().unwrap();
    outcome(&target, &[("a", "next")]);
    assert_eq!(std::fs::read_to_string(data.join("a")).unwrap(), "4");
    age(&target.path);
    outcome(&target, &[("a", "after")]);
    assert!(!data.exists());
}

#[test]
fn of_flips_in_quick_succession_some_sets_stay_and_not_all() {
    let (_folder, target) = folder();
    for round in 0..80 {
        outcome(&target, &[("a", &round.to_string())]);
    }
    assert_eq!(sets(&target.path).len(), 65, "the current one and 64 before it");
    age(&target.path);
    outcome(&target, &[("a", "last")]);
    assert_eq!(sets(&target.path).len(), 2);
}

#[test]
fn of_sets_that_a_coarse_clock_cannot_tell_apart_the_current_one_is_the_newest() {
    for round in 0..8 {
        let (_folder, target) = folder();
        for round in 0..8 {
            outcome(&target, &[("a", &round.to_string())]);
        }
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        for set in sets(&target.path) {
            std::fs::File::open(target.path.join(set)).unwrap().set_modified(moment).unwrap();
        }
        outcome(&target, &[("a", "last")]);
        let left = sets(&target.path).len();
        // All but the one that is replaced now were replaced a minute ago.
        assert_eq!(left, 2, "round {round}");
    }
}

#[test]
fn a_set_that_is_right_is_left_untouched() {
    let (_folder, target) = folder();
    let set = [("a", "1"), ("b", "2")];
    outcome(&target, &set);
    let look = || {
        let states = ["a", "b", "..data", ""].map(|name| {
            let found = target.path.join(name).symlink_metadata().unwrap();
            (found.ino(), found.ctime(), found.ctime_nsec())
        });
        (states, names(&target.path))
    };
    let before = look();
    assert_eq!(outcome(&target, &set), Outcome::Unchanged);
    assert_eq!(look(), before);
}

#[test]
fn drift_is_mended() {
    let (_folder, target) = folder();
    let set = [("a", "1"), ("b", "2")];
    let at = |name: &str| target.path.join(name);
    let drifts: [(&str, &dyn Fn()); 9] = [
        ("a link is gone", &|| std::fs::remove_file(at("a")).unwrap()),
        ("a link says something else", &|| {
            std::fs::remove_file(at("a")).unwrap();
            symlink("/etc/passwd", at("a")).unwrap();
        }),
        ("..data is gone", &|| std::fs::remove_file(at("..data")).unwrap()),
        ("..data leads nowhere", &|| {
            std::fs::remove_file(at("..data")).unwrap();
            symlink("..renewd.0", at("..data")).unwrap();
        }),
        ("..data leads elsewhere", &|| {
            std::fs::remove_file(at("..data")).unwrap();
            symlink("/etc", at("..data")).unwrap();
        }),
        ("the content is another", &|| write(&at("..data/a"), "x")),
        ("the mode is another", &|| {
            std::fs::set_permissions(at("..data/a"), PermissionsExt::from_mode(0o644)).unwrap();
        }),
        ("the set cannot be searched", &|| {
            std::fs::set_permissions(at("..data/"), PermissionsExt::from_mode(0o700)).unwrap();
        }),
        ("there is one more file", &|| write(&at("..data/c"), "x")),
    ];
    for (what, drift) in drifts {
        outcome(&target, &set);
        drift();
        assert_eq!(outcome(&target, &set), Outcome::Written, "{what}");
        assert!(same(&seen(&target.path), &set), "{what}");
        assert_eq!(outcome(&target, &set), Outcome::Unchanged, "{what}");
    }
}

#[test]
fn what_somebody_else_put_there_is_refused_and_kept() {
    let set = [("a", "1"), ("b", "1")];
    for name in ["a", "..data"] {
        let (_folder, target) = folder();
        std::fs::create_dir(&target.path).unwrap();
        let path = target.path.join(name);
        write(&path, "theirs");
        let error = put(&target, &files(&set)).unwrap_err();
        assert_eq!(error, SinkError::Occupied { path: path.clone(), kind: "regular file" });
        assert!(error.to_string().contains("is a regular file where a link") && error.hint().is_some());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(names(&target.path), [name], "nothing else was made");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let error = put(&target, &files(&set)).unwrap_err();
        assert_eq!(error, SinkError::Occupied { path, kind: "folder" });
    }
    let (_folder, target) = folder();
    std::fs::create_dir_all(target.path.join("..2026_01_01")).unwrap();
    write(&target.path.join("..2026_01_01/a"), "kubelet's");
    symlink("..2026_01_01", target.path.join("..data")).unwrap();
    symlink("..data/a", target.path.join("a")).unwrap();
    let error = put(&target, &files(&set)).unwrap_err();
    assert_eq!(error, SinkError::ForeignSet(target.path.join("..data")));
    assert!(!remove(&target).unwrap());
    assert!(same(&seen(&target.path), &[("a", "kubelet's")]));
}

#[test]
fn files_beside_the_set_are_nobodys_business() {
    let (_folder, target) = folder();
    std::fs::create_dir(&target.path).unwrap();
    write(&target.path.join("README"), "theirs");
    symlink("README", target.path.join("link")).unwrap();
    outcome(&target, &[("a", "1")]);
    outcome(&target, &[("b", "2")]);
    assert!(remove(&target).unwrap());
    assert_eq!(names(&target.path), ["README", "link"]);
}

#[test]
fn names_that_are_no_plain_names_are_refused() {
    let (_folder, target) = folder();
    for name in ["", ".", "..", ".a", "..data", "a/b", "/a", "a\0b"] {
        let error = put(&target, &files(&[(name, "x")])).unwrap_err();
        assert_eq!(error, SinkError::FileName(name.to_owned()));
    }
    assert!(!target.path.exists());
}

#[test]
fn modes_owners_and_groups_are_right_before_the_flip() {
    let (_folder, mut target) = folder();
    target.mode = 0o640;
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        (target.owner, target.group) = (Some("12345".into()), Some("12346".into()));
    }
    assert_eq!(outcome(&target, &[("a", "1")]), Outcome::Written);
    let found = std::fs::metadata(target.path.join("a")).unwrap();
    assert_eq!(found.mode() & 0o7777, 0o640);
    assert!(!is_root || (found.uid(), found.gid()) == (12_345, 12_346));
    for folder in ["", "..data/"] {
        let found = std::fs::metadata(target.path.join(folder)).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o755, "whatever the umask, readers of another group get through");
    }
    assert_eq!(outcome(&target, &[("a", "1")]), Outcome::Unchanged);
}

#[test]
fn a_set_group_id_folder_gives_its_group_to_every_set() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_folder, mut target) = folder();
    target.mode = 0o640;
    std::fs::create_dir(&target.path).unwrap();
    std::os::unix::fs::chown(&target.path, None, Some(12_346)).unwrap();
    std::fs::set_permissions(&target.path, PermissionsExt::from_mode(0o2750)).unwrap();
    for text in ["1", "2"] {
        assert_eq!(outcome(&target, &[("a", text)]), Outcome::Written);
        assert_eq!(std::fs::metadata(target.path.join("a")).unwrap().gid(), 12_346);
        assert_eq!(std::fs::metadata(target.path.join("..data/")).unwrap().mode() & 0o7777, 0o2755);
        assert_eq!(outcome(&target, &[("a", text)]), Outcome::Unchanged);
    }
}

#[test]
fn a_strangers_folder_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_folder, target) = folder();
    std::fs::create_dir(&target.path).unwrap();
    std::os::unix::fs::chown(&target.path, Some(12_345), None).unwrap();
    let error = put(&target, &files(&[("a", "1")])).unwrap_err();
    assert!(matches!(error, SinkError::Files(Error::ForeignFolder { uid: 12_345, .. })), "{error}");
}

#[test]
fn a_set_that_cannot_be_made_leaves_the_old_one_and_nothing_else() {
    let (_folder, target) = folder();
    outcome(&target, &[("a", "1")]);
    let before = names(&target.path);
    let long = "n".repeat(300);
    put(&target, &files(&[("a", "2"), (&long, "2")])).unwrap_err();
    // Something stands where the link is made: the set is whole, but cannot be published.
    write(&target.path.join("..data_tmp"), "");
    put(&target, &files(&[("a", "2")])).unwrap_err();
    std::fs::remove_file(target.path.join("..data_tmp")).unwrap();
    assert_eq!(names(&target.path), before);
    assert!(same(&seen(&target.path), &[("a", "1")]));
}

#[test]
fn what_a_killed_agent_left_is_cleaned_and_the_set_before_kept() {
    let (_folder, target) = folder();
    outcome(&target, &[("a", "1")]);
    outcome(&target, &[("a", "2")]);
    for half in ["..renewd-tmp.0", "..renewd-tmp.1"] {
        std::fs::create_dir(target.path.join(half)).unwrap();
        write(&target.path.join(half).join("a"), "half");
    }
    symlink("..renewd.9", target.path.join("..data_tmp")).unwrap();
    std::fs::create_dir(target.path.join("..renewd.9")).unwrap();
    assert_eq!(clean([&target]), 4, "two half sets, a link, and the older of two that are not current");
    assert_eq!(sets(&target.path).len(), 2);
    assert!(same(&seen(&target.path), &[("a", "2")]));
    assert_eq!(clean([&target]), 0);
    assert_eq!(outcome(&target, &[("a", "2")]), Outcome::Unchanged);
}

#[test]
fn a_set_that_another_agent_is_filling_is_not_cleaned() {
    let (_folder, target) = folder();
    outcome(&target, &[("a", "1")]);
    let folder = crate::atomic::Folder::open(&target.path).unwrap();
    let filling = folder.make_folder("..renewd-tmp.0".as_ref(), 0o755).unwrap();
    assert_eq!(clean([&target]), 0);
    drop(filling);
    assert_eq!(clean([&target]), 1);
}

#[test]
fn paths_to_watch_are_the_flip_the_links_and_the_files() {
    let text = crate::config::model::TemplateText { source: None, text: String::new() };
    let form = TemplateForm::Directory(BTreeMap::from([("a".to_owned(), text)]));
    let paths: Vec<PathBuf> = paths_of(&target(Path::new("/run/set"), form));
    assert_eq!(paths, ["/run/set/..data", "/run/set/a", "/run/set/..data/a"].map(PathBuf::from));
}

#[test]
fn readers_in_a_tight_loop_never_see_a_mixture() {
    let (_folder, target) = folder();
    let names = ["a", "b", "c"];
    let set = |text: &str| files(&names.map(|name| (name, text)));
    put(&target, &set("0")).unwrap();
    let stop = AtomicBool::new(false);
    let flips = 400;
    std::thread::scope(|scope| {
        let reader = || {
            let (mut looks, mut changes, mut last) = (0_u32, 0_u32, String::new());
            while !stop.load(Ordering::Relaxed) {
                // As a careful reader does: the set's folder is opened once, its files through it.
                let set = rustix::fs::open(
                    target.path.join("..data"),
                    rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
                    rustix::fs::Mode::empty(),
                )
                .unwrap();
                let texts = names.map(|name| {
                    let flags = rustix::fs::OFlags::CLOEXEC;
                    let file = rustix::fs::openat(&set, name, flags, rustix::fs::Mode::empty());
                    let mut text = String::new();
                    std::fs::File::from(file.unwrap()).read_to_string(&mut text).unwrap();
                    text
                });
                let [a, b, c] = texts;
                assert!(!a.is_empty() && a == b && b == c, "mixed: {a} {b} {c}");
                changes += u32::from(a != last);
                last = a;
                looks += 1;
                // And as everybody else: every public name always opens, and is never partial.
                let text = std::fs::read_to_string(target.path.join("b"));
                assert!(text.is_ok_and(|text| text.parse::<u32>().is_ok_and(|number| number <= flips)));
            }
            (looks, changes)
        };
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(reader)).collect();
        for flip in 1..=flips {
            put(&target, &set(&flip.to_string())).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            let (looks, changes) = reader.join().unwrap();
            assert!(looks > 10 && changes > 2, "{looks} looks, {changes} changes");
        }
    });
}
