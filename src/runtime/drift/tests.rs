use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

type Deed = fn(&Path);

fn at(secs: u64) -> BootInstant {
    BootInstant(secs * 1000)
}

fn sight(path: &Path) -> Sight {
    Sight::after_write(vec![path.to_owned()], None)
}

fn told(drift: &mut Drift, path: &Path, now: BootInstant) -> bool {
    drift.delivered(&"file:one".into(), Some(sight(path)), true, now)
}

fn suspects(drift: &mut Drift, now: BootInstant) -> usize {
    let listed = drift.sweep(now).expect("a sweep is due");
    drift.found(suspicious(listed), true, now).len()
}

#[test]
fn whatever_happens_to_a_delivered_file_is_suspicious_once_until_it_is_delivered_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let deeds: [(&str, Deed); 5] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        // Of another length: within one tick of the clock an inode's times do not move.
        ("changed", |path| {
            std::io::Write::write_all(&mut fs::File::create(path).unwrap(), b"another").unwrap();
        }),
        ("another mode", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o604)).unwrap()),
        ("another file", |path| {
            fs::File::create(path.with_extension("new")).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("a link", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", path).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        let mut drift = Drift::new(at(0));
        let _ = fs::remove_file(&path);
        fs::File::create(&path).unwrap();
        assert!(!told(&mut drift, &path, at(0)), "{what}: nothing was mended by the first delivery");
        assert_eq!(suspects(&mut drift, at(60)), 0, "{what}: not yet");
        deed(&path);
        assert_eq!(suspects(&mut drift, at(120)), 1, "{what}");
        assert!(told(&mut drift, &path, at(121)), "{what} is mended");
        assert!(!told(&mut drift, &path, at(122)), "{what} is mended once");
    }
}

#[test]
fn a_sweep_is_made_once_a_minute_and_one_at_a_time() {
    let mut drift = Drift::new(at(0));
    assert!(drift.sweep(at(59)).is_none());
    assert!(drift.sweep(at(60)).is_some());
    assert!(drift.sweep(at(200)).is_none(), "the first has not ended");
    assert!(drift.found(Vec::new(), true, at(201)).is_empty());
    assert!(drift.sweep(at(201)).is_some());
}

#[test]
fn what_was_delivered_while_a_look_was_under_way_is_no_suspect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::File::create(&path).unwrap();
    let mut drift = Drift::new(at(0));
    told(&mut drift, &path, at(0));
    let listed = drift.sweep(at(60)).expect("a sweep is due");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let seen = suspicious(listed);
    told(&mut drift, &path, at(60)); // our own write
    assert!(drift.found(seen, true, at(60)).is_empty());
}

#[test]
fn what_is_seen_while_a_write_of_ours_is_under_way_is_looked_at_again_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::File::create(&path).unwrap();
    let mut drift = Drift::new(at(0));
    let target: TargetId = "file:one".into();
    told(&mut drift, &path, at(0));
    drift.begun(&target);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap(); // our own write
    let listed = drift.touched(&BTreeSet::from([path.clone()]));
    assert!(drift.found(suspicious(listed), false, at(1)).is_empty());
    assert!(drift.overdue(at(1)).is_empty(), "it is still being written");
    drift.ended(&target);
    assert!(!told(&mut drift, &path, at(1)), "it mended nothing");
    let again = drift.overdue(at(2));
    assert_eq!(again.len(), 1);
    assert!(drift.found(suspicious(again), false, at(2)).is_empty(), "it stands as we wrote it");
}

#[test]
fn a_file_that_vanishes_before_it_was_looked_at_is_suspicious() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let mut drift = Drift::new(at(0));
    drift.delivered(&"file:one".into(), Some(sight(&path)), true, at(0));
    assert_eq!(suspects(&mut drift, at(60)), 1);
}

#[test]
fn a_target_that_was_just_mended_is_left_alone_for_ten_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let mut drift = Drift::new(at(0));
    let spoil = |path: &Path| {
        let _ = fs::remove_file(path);
        fs::File::create(path).map(drop).unwrap();
    };
    spoil(&path);
    told(&mut drift, &path, at(0));
    spoil(&path);
    let listed = drift.touched(&BTreeSet::from([path.clone()]));
    assert_eq!(drift.found(suspicious(listed), false, at(1)).len(), 1);
    assert!(told(&mut drift, &path, at(1)));
    spoil(&path);
    let again = drift.touched(&BTreeSet::from([path.clone()]));
    assert!(drift.found(suspicious(again), false, at(2)).is_empty());
    assert!(drift.overdue(at(10)).is_empty());
    assert_eq!(drift.new_folders(at(10)).map(|wanted| wanted.folders.len()), Some(1));
    assert_eq!(drift.next_wake(at(10)), Some(Duration::from_secs(1)));
    let again = drift.overdue(at(12));
    assert_eq!(drift.found(suspicious(again), false, at(12)).len(), 1, "but not for ever");
}

#[tokio::test]
async fn a_deed_in_a_watched_folder_is_reported_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let (lookout, mut touched) = Lookout::start();
    lookout.set(Wanted { folders: BTreeSet::from([dir.path().to_path_buf()]), only: true });
    let path = dir.path().join("token");
    let seen = timeout(Duration::from_secs(10), async {
        loop {
            fs::File::create(&path).unwrap(); // until the watch stands
            match timeout(Duration::from_millis(500), touched.recv()).await {
                Ok(Some(paths)) if paths.contains(&path) => break,
                Ok(None) => panic!("the lookout lives"),
                _ => continue,
            }
        }
    });
    seen.await.expect("within 10 s");
}

/// A set as `sink::directory` lays it out, and the target that it is.
fn set(dir: &Path, name: &str) -> Vec<PathBuf> {
    fs::create_dir(dir.join(name)).unwrap();
    fs::File::create(dir.join(name).join("a")).unwrap();
    let _ = fs::remove_file(dir.join("..data"));
    std::os::unix::fs::symlink(name, dir.join("..data")).unwrap();
    if !dir.join("a").is_symlink() {
        std::os::unix::fs::symlink("..data/a", dir.join("a")).unwrap();
    }
    ["..data", "a", "..data/a"].map(|name| dir.join(name)).into()
}

#[test]
fn a_set_is_suspicious_where_a_link_a_file_or_its_folder_is_another_and_a_neighbour_is_no_concern() {
    let deeds: [(&str, Deed); 5] = [
        ("a file's mode", |dir| {
            fs::set_permissions(dir.join("a"), fs::Permissions::from_mode(0o604)).unwrap();
        }),
        ("a name", |dir| fs::remove_file(dir.join("a")).unwrap()),
        ("a file too many", |dir| fs::File::create(dir.join("..data/b")).map(drop).unwrap()),
        ("the flip", |dir| fs::remove_file(dir.join("..data")).unwrap()),
        ("all of it", |dir| fs::remove_dir_all(dir).unwrap()),
    ];
    for (what, deed) in deeds {
        let outside = tempfile::tempdir().unwrap();
        let dir = outside.path().join("set");
        fs::create_dir(&dir).unwrap();
        let mut drift = Drift::new(at(0));
        let seen = Sight::after_write(set(&dir, "..renewd.1"), None);
        drift.delivered(&"template:set".into(), Some(seen), true, at(0));
        fs::File::create(dir.join("somebody-elses")).unwrap();
        fs::create_dir(dir.join("..renewd.0")).unwrap();
        assert_eq!(suspects(&mut drift, at(60)), 0, "{what}: not yet");
        deed(&dir);
        assert_eq!(suspects(&mut drift, at(120)), 1, "{what}");
    }
}

#[test]
fn each_delivery_of_a_set_asks_for_its_folders_to_be_watched_anew_once_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let folders = || BTreeSet::from([dir.path().to_path_buf(), dir.path().join("..data")]);
    let target: TargetId = "template:set".into();
    let mut drift = Drift::new(at(0));
    let deliver = |drift: &mut Drift, name: &str, now| {
        let seen = Sight::after_write(set(dir.path(), name), None);
        drift.delivered(&target, Some(seen), true, now)
    };
    deliver(&mut drift, "..renewd.1", at(1));
    let wanted = drift.new_folders(at(1)).expect("new ones");
    assert_eq!((wanted.folders, wanted.only), (folders(), false));
    assert!(drift.new_folders(at(5)).is_none(), "nothing has happened since");
    deliver(&mut drift, "..renewd.2", at(5));
    deliver(&mut drift, "..renewd.3", at(5));
    assert!(drift.new_folders(at(5)).is_some());
    deliver(&mut drift, "..renewd.4", at(5));
    assert!(drift.new_folders(at(5)).is_none(), "once a second");
    assert_eq!(drift.next_wake(at(5)), Some(Duration::from_secs(1)), "and then by itself");
    assert!(drift.new_folders(at(6)).is_some());
    assert_eq!(drift.next_wake(at(6)), None);
    assert_eq!(suspects(&mut drift, at(60)), 0);
    let wanted = drift.new_folders(at(60)).expect("with each sweep");
    assert_eq!((wanted.folders, wanted.only), (folders(), true));
    for deed in ["..data/a", "..data/too-many", "a", "..data"] {
        assert_eq!(drift.touched(&BTreeSet::from([dir.path().join(deed)])).len(), 1, "{deed}");
    }
    assert!(drift.touched(&BTreeSet::from([dir.path().join("somebody-elses")])).is_empty());
    assert_eq!(drift.touched(&folders()).len(), 1);
    assert!(drift.touched(&BTreeSet::from([dir.path().join("..data_tmp")])).is_empty());
}

#[tokio::test]
async fn the_watch_follows_a_flip_and_a_folder_that_was_made_again() {
    let outside = tempfile::tempdir().unwrap();
    let dir = outside.path().join("set");
    fs::create_dir(&dir).unwrap();
    let (lookout, mut touched) = Lookout::start();
    let wanted = || Wanted { folders: BTreeSet::from([dir.clone(), dir.join("..data")]), only: false };
    for name in ["..renewd.1", "..renewd.2", "again"] {
        if name == "again" {
            fs::remove_dir_all(&dir).unwrap();
            fs::create_dir(&dir).unwrap();
        }
        set(&dir, name);
        lookout.set(wanted());
        let seen = timeout(Duration::from_secs(10), async {
            for mode in [0o604, 0o600].into_iter().cycle() {
                // Until the watch stands.
                fs::set_permissions(dir.join(name).join("a"), fs::Permissions::from_mode(mode)).unwrap();
                match timeout(Duration::from_millis(500), touched.recv()).await {
                    Ok(Some(paths)) if paths.contains(&dir.join("..data/a")) => break,
                    Ok(None) => panic!("the lookout lives"),
                    _ => continue,
                }
            }
        });
        seen.await.unwrap_or_else(|_| panic!("{name}: within 10 s"));
    }
}
