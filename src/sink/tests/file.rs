use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::super::file::{Outcome, SinkError, Tenure, clean_leftovers, folders_of, place_of, put, remove};
use super::{Content, FileSink, WriteMode, sink};
use crate::atomic::{Error, Warning};

/// A sink in a folder of its own, which is removed with the first of the two.
fn file(name: &str) -> (tempfile::TempDir, FileSink) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().join(name);
    let sink = sink(path.to_str().unwrap(), Content::Token);
    (folder, sink)
}

fn outcome(sink: &FileSink, content: &str) -> Outcome {
    put(sink, content.as_bytes(), Tenure::Unknown).unwrap().outcome
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_place_is_the_same_by_whatever_path_and_another_under_another_name_or_in_another_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().canonicalize().unwrap();
    for folder in ["real", "other"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    symlink("real", root.join("link")).unwrap();
    symlink("real/token", root.join("file")).unwrap();
    let of = |path: &str| sink(root.join(path).to_str().unwrap(), Content::Token);
    let place = |path: &str, tenure| place_of(&of(path), tenure).unwrap();
    let real = put(&of("real/token"), b"x", Tenure::Unknown).unwrap().place;
    for path in ["real/token", "link/token", "other/../link/token", "file"] {
        assert_eq!(place(path, Tenure::Unknown), Some(real), "{path}");
    }
    for path in ["real/other", "other/token"] {
        assert_ne!(place(path, Tenure::Unknown), Some(real), "{path}");
    }
    assert_ne!(place("file", Tenure::Ours), Some(real), "the link itself");
    assert_eq!(place("nowhere/token", Tenure::Ours), None);
}

#[test]
fn a_file_that_is_right_is_left_untouched() {
    for write in [WriteMode::Replace, WriteMode::InPlace] {
        let (_folder, mut sink) = file("token");
        sink.write = write;
        assert_eq!(outcome(&sink, "one"), Outcome::Written);
        let before = std::fs::metadata(&sink.path).unwrap();
        assert_eq!(outcome(&sink, "one"), Outcome::Unchanged);
        let after = std::fs::metadata(&sink.path).unwrap();
        assert_eq!((before.ino(), before.ctime_nsec()), (after.ino(), after.ctime_nsec()));
        assert_eq!(outcome(&sink, "two"), Outcome::Written);
        assert_eq!(outcome(&sink, "tw"), Outcome::Written);
        assert_eq!(read(&sink.path), "tw");
    }
}

#[test]
fn a_wrong_mode_owner_or_group_is_mended() {
    let (_folder, mut sink) = file("token");
    outcome(&sink, "x");
    set_mode(&sink.path, 0o644);
    assert_eq!(outcome(&sink, "x"), Outcome::Written);
    assert_eq!(std::fs::metadata(&sink.path).unwrap().mode() & 0o7777, 0o600);
    if !is_root() {
        return;
    }
    std::os::unix::fs::chown(&sink.path, Some(12_345), Some(12_345)).unwrap();
    assert_eq!(outcome(&sink, "x"), Outcome::Written, "ours where nobody else is asked for");
    (sink.owner, sink.group) = (Some("12345".into()), Some("daemon".into()));
    assert_eq!(outcome(&sink, "x"), Outcome::Written);
    assert_eq!(outcome(&sink, "x"), Outcome::Unchanged);
    let found = std::fs::metadata(&sink.path).unwrap();
    assert_eq!((found.uid(), found.gid()), (12_345, 1));
}

#[test]
fn a_name_that_nobody_has_is_a_clear_error() {
    let (_folder, mut sink) = file("token");
    sink.group = Some("no-such-group".into());
    let error = put(&sink, b"x", Tenure::Unknown).unwrap_err();
    assert_eq!(error.to_string(), "there is no group `no-such-group` on this machine");
    assert!(!sink.path.exists());
}

#[test]
fn missing_folders_are_made_for_everybody_to_read_through() {
    let (_folder, sink) = file("a/b/token");
    outcome(&sink, "x");
    for folder in sink.path.ancestors().skip(1).take(2) {
        assert_eq!(std::fs::metadata(folder).unwrap().mode() & 0o7777, 0o755);
    }
}

#[test]
fn a_folder_open_to_all_is_warned_about_and_served() {
    let (folder, sink) = file("token");
    set_mode(folder.path(), 0o777);
    let put = put(&sink, b"x", Tenure::Unknown).unwrap();
    assert_eq!(put.warnings, [Warning::WorldWritableFolder(sink.path.parent().unwrap().into())]);
    assert_eq!(read(&sink.path), "x");
}

#[test]
fn a_link_of_ours_is_written_through_and_removed_through() {
    for write in [WriteMode::Replace, WriteMode::InPlace] {
        let (folder, mut sink) = file("link");
        sink.write = write;
        symlink("real", &sink.path).unwrap();
        assert_eq!(outcome(&sink, "x"), Outcome::Written);
        assert_eq!(outcome(&sink, "x"), Outcome::Unchanged);
        assert_eq!(read(&folder.path().join("real")), "x");
        assert!(remove(&sink, Tenure::Unknown).unwrap());
        assert!(sink.path.symlink_metadata().unwrap().is_symlink());
        assert!(!remove(&sink, Tenure::Unknown).unwrap());
    }
}

#[test]
fn a_link_that_comes_into_a_place_of_ours_is_replaced_and_what_it_names_stays() {
    for write in [WriteMode::Replace, WriteMode::InPlace] {
        let (folder, mut sink) = file("token");
        sink.write = write;
        let theirs = folder.path().join("theirs");
        std::fs::File::create(&theirs).unwrap();
        set_mode(&theirs, 0o644);
        let first = put(&sink, b"x", Tenure::Unknown).unwrap();
        assert_eq!((first.tenure, first.displaced), (Tenure::Ours, false));
        let bend = || {
            let _ = std::fs::remove_file(&sink.path);
            symlink(&theirs, &sink.path).unwrap();
        };
        bend();
        let mended = put(&sink, b"x", first.tenure).unwrap();
        assert_eq!((mended.outcome, mended.displaced), (Outcome::Written, true));
        assert!(sink.path.symlink_metadata().unwrap().is_file());
        assert_eq!(read(&sink.path), "x");
        let again = put(&sink, b"x", first.tenure).unwrap();
        assert_eq!((again.outcome, again.displaced), (Outcome::Unchanged, false));
        bend();
        assert!(remove(&sink, Tenure::Ours).unwrap());
        assert!(sink.path.symlink_metadata().is_err(), "the link is taken away");
        let found = std::fs::metadata(&theirs).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (0, 0o644), "and what it names stays");
    }
}

#[test]
fn a_strangers_link_in_a_place_of_ours_is_replaced_too() {
    if !is_root() {
        return;
    }
    let (_folder, sink) = file("token");
    symlink("/etc/hostname", &sink.path).unwrap();
    std::os::unix::fs::lchown(&sink.path, Some(12_345), None).unwrap();
    assert!(matches!(
        put(&sink, b"x", Tenure::Unknown).unwrap_err(),
        SinkError::Files(Error::ForeignLink { uid: 12_345, .. })
    ));
    assert!(put(&sink, b"x", Tenure::Ours).unwrap().displaced);
    assert_eq!(read(&sink.path), "x");
}

#[test]
fn in_place_keeps_the_inode() {
    let (_folder, mut sink) = file("token");
    sink.write = WriteMode::InPlace;
    outcome(&sink, "first");
    let inode = std::fs::metadata(&sink.path).unwrap().ino();
    outcome(&sink, "2");
    assert_eq!((std::fs::metadata(&sink.path).unwrap().ino(), read(&sink.path)), (inode, "2".into()));
}

#[test]
fn nothing_waits_for_a_fifo() {
    for write in [WriteMode::Replace, WriteMode::InPlace] {
        let (_folder, mut sink) = file("fifo");
        sink.write = write;
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &sink.path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        // Once without anybody at the other end, once with a reader and a writer.
        let mut ends = None;
        for _ in 0..2 {
            let expected = SinkError::Files(Error::NotAFile { path: sink.path.clone(), kind: "FIFO" });
            assert_eq!(put(&sink, b"x", Tenure::Unknown).unwrap_err(), expected);
            assert_eq!(remove(&sink, Tenure::Unknown).unwrap_err(), expected);
            let both = || std::fs::File::options().read(true).write(true).open(&sink.path).unwrap();
            ends.get_or_insert_with(both);
        }
    }
}

#[test]
fn removing_what_is_not_there_is_fine() {
    let (_folder, sink) = file("no/such/token");
    assert!(!remove(&sink, Tenure::Unknown).unwrap());
    outcome(&sink, "x");
    assert!(remove(&sink, Tenure::Unknown).unwrap());
    assert!(!sink.path.exists());
}

#[test]
fn leftovers_are_cleaned_where_the_sinks_write() {
    let (folder, sink) = file("link");
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path().join("token"), &sink.path).unwrap();
    for place in [folder.path(), elsewhere.path()] {
        std::fs::File::create(place.join(".renewd-tmp.token.1")).unwrap();
    }
    let cleaned: Vec<usize> = folders_of(&sink).iter().map(|folder| clean_leftovers(folder)).collect();
    assert_eq!(cleaned, [1, 1]);
    assert_eq!(clean_leftovers(Path::new("/nonexistent")), 0);
}

#[test]
fn a_busy_in_place_file_is_emptied_instead_of_unlinked() {
    let (folder, mut sink) = file("token");
    sink.write = WriteMode::InPlace;
    let outside = folder.path().join("outside");
    for path in [&outside, &sink.path] {
        std::fs::File::create(path).unwrap();
    }
    let run = |program: &str, args: &[&Path]| {
        std::process::Command::new(program).args(args).status().is_ok_and(|status| status.success())
    };
    if !run("mount", &[Path::new("--bind"), &outside, &sink.path]) {
        eprintln!("skipped: a_busy_in_place_file_is_emptied_instead_of_unlinked (no mount here)");
        return;
    }
    let written = put(&sink, b"x", Tenure::Unknown);
    let through = read(&outside);
    let removed = remove(&sink, Tenure::Unknown);
    let replaced = put(&FileSink { write: WriteMode::Replace, ..sink.clone() }, b"y", Tenure::Unknown);
    assert!(run("umount", &[&sink.path]));
    assert_eq!((written.unwrap().outcome, through.as_str()), (Outcome::Written, "x"));
    assert_eq!((removed.unwrap(), read(&outside).as_str()), (true, ""));
    assert!(replaced.unwrap_err().hint().unwrap().contains("in-place"));
}
