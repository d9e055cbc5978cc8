//! The writer: nothing waits for it, nothing is lost unsaid.

use super::*;
use crate::runtime::doors::Doors;

const ENTRY: Entry = Entry::ConfigRefused;

fn audit(doors: &mut Doors) -> Audit {
    let audit = Audit::default();
    audit.start(doors.add("agent.audit", RETRY));
    audit
}

fn at(path: &Path) -> Option<Settings> {
    Some(Settings { path: path.to_owned(), mode: 0o600, group: None })
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn the_last_lines_are_written_before_the_end_into_the_place_that_they_are_for() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("new/one.jsonl"), dir.path().join("other.jsonl"));
    let audit = audit(&mut Doors::default());
    audit.record(&ENTRY); // off still
    audit.place(at(&one));
    (0..3).for_each(|_| audit.record(&ENTRY));
    audit.place(at(&other));
    (0..2).for_each(|_| audit.record(&ENTRY));
    audit.end().await;
    assert_eq!((lines(&one), lines(&other)), (3, 2));
    audit.place(None);
    audit.record(&ENTRY);
    audit.end().await;
    assert_eq!((lines(&one), lines(&other)), (3, 2));
}

#[tokio::test]
async fn a_rotated_file_is_made_anew_and_a_line_is_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let audit = audit(&mut Doors::default());
    audit.place(at(&path));
    audit.record(&ENTRY);
    audit.end().await;
    std::fs::rename(&path, dir.path().join("audit.jsonl.1")).unwrap();
    audit.record(&ENTRY);
    audit.end().await;
    assert_eq!((lines(&path), lines(&dir.path().join("audit.jsonl.1"))), (1, 1));
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[tokio::test]
async fn what_finds_no_room_while_the_file_cannot_be_written_is_counted_and_said_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::create_dir(&path).unwrap(); // where the file belongs
    let mut doors = Doors::default();
    let audit = audit(&mut doors);
    audit.place(at(&path));
    (0..ROOM + 7).for_each(|_| audit.record(&ENTRY));
    audit.end().await;
    let shut = doors.shut().next().unwrap();
    assert_eq!(shut.head(), format!("agent.audit cannot be written at {}", path.display()));
    std::fs::remove_dir(&path).unwrap();
    audit.reopen();
    audit.end().await;
    assert!(doors.shut().next().is_none());
    assert_eq!(lines(&path), ROOM + 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.trim_end().ends_with(r#""event":"lost","count":7}"#), "{:?}", text.lines().last());
    audit.record(&ENTRY);
    audit.end().await;
    assert_eq!(lines(&path), ROOM + 2);
}
