use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

type Deed = fn(&Path);

fn at(secs: u64) -> BootInstant {
    BootInstant(secs * 1000)
}

fn told(drift: &mut Drift, path: &Path, now: BootInstant) -> bool {
    let seen = look(path).map(|look| (path.to_owned(), look));
    drift.delivered(&"file:one".into(), seen, true, now)
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
        ("changed", |path| fs::write(path, "another").unwrap()),
        ("another mode", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap()),
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
    drift.delivered(&"file:one".into(), Some((path.clone(), after_write(&path))), true, at(0));
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
    let again = drift.overdue(at(12));
    assert_eq!(drift.found(suspicious(again), false, at(12)).len(), 1, "but not for ever");
}

#[tokio::test]
async fn a_deed_in_a_watched_folder_is_reported_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let (lookout, mut touched) = Lookout::start();
    lookout.set(BTreeSet::from([dir.path().to_path_buf()]));
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
