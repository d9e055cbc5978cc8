//! The state directory as a start finds it: an account's file, the installation's, the marks of hooks.
//!
//! The input is a line `KIND WORDS...` and the file's content. Kinds are `account`, `installation` and `marks`; with the
//! word `sealed` the content gets the checksum that it would have, with `canary` what is found in it must stay there.

use std::path::Path;
use std::sync::LazyLock;

use renewd::domain::AccountId;
use renewd::store::{Durability, OpenError, Record, Store, Unreadable};
use ring::digest::{SHA256, digest};

use super::place::{Place, write};
use super::words::{hides, tame};

const ACCOUNT: &str = "messaging";
const GOOD: &[u8] = br#"{"schema":1,"account":"messaging","provider":"kis","identity":"00000000000000000000000000000000","generation":0}"#;

static PLACE: LazyLock<Place> = LazyLock::new(Place::new);

/// One input of the target.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let head = String::from_utf8_lossy(&data[..end]);
    let mut content = data.get(end + 1..).unwrap_or_default().to_vec();
    if head.contains("sealed") {
        seal(&mut content);
    }
    match head.split(' ').next() {
        Some("installation") => installation(&content),
        Some("marks") => marks(&content),
        _ => account(&content),
    }
}

/// As the store itself ends a file.
fn seal(content: &mut Vec<u8>) {
    content.pop_if(|last| *last == b'}');
    let sum: String = digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    content.extend_from_slice(format!(",\"sha256\":\"{sum}\"}}\n").as_bytes());
}

fn open() -> Result<Store, OpenError> {
    Store::open(&PLACE.path("state"))
}

fn id() -> AccountId {
    AccountId::new(ACCOUNT).expect("a name")
}

fn account(content: &[u8]) {
    let store = open().expect("nothing is wrong with the directory");
    let file = store.file_of(&id());
    write(&file, content);
    match store.restore(&id()) {
        Err(error) => is_left_or_moved(&error, &file, content),
        Ok(record) => {
            let record = record.expect("there is a file");
            assert_eq!(record.account, id());
            assert!(record.current.as_ref().is_none_or(|token| token.meta.generation <= record.generation));
            let written = rewrite(&store, &file);
            drop(store);
            let store = open().expect("it was released");
            let again = store.restore(&id()).expect("what was written is whole").expect("it is there");
            same(&record, &again);
            assert_eq!(rewrite(&store, &file), written, "written again it is the same");
        }
    }
    let _ = std::fs::remove_file(file);
}

#[track_caller]
fn same(one: &Record, other: &Record) {
    assert_eq!(one, other, "what was read and written is read again");
    let tokens =
        |record: &Record| record.current.as_ref().map(|token| token.access_token.expose().to_owned());
    assert_eq!(tokens(one), tokens(other));
}

/// Writes the record that is in memory, and gives the file.
fn rewrite(store: &Store, file: &Path) -> Vec<u8> {
    store.update_blocking(&id(), Durability::Durable, |_| {}).expect("it can be written");
    std::fs::read(file).expect("it is there")
}

/// A corrupt file is kept aside, a newer one where it is; neither is repeated.
fn is_left_or_moved(error: &Unreadable, file: &Path, content: &[u8]) {
    let said = format!("{error} {error:?}");
    assert!(tame(&error.to_string()) && hides(&said), "{said}");
    match error {
        Unreadable::Corrupt { moved_to, .. } => {
            assert!(error.is_absent() && !file.exists());
            assert_eq!(std::fs::read(moved_to).expect("it is kept"), content);
        }
        Unreadable::Newer { found, known, .. } => {
            assert!(!error.is_absent() && found > known);
            assert_eq!(std::fs::read(file).expect("it is left alone"), content);
        }
        Unreadable::Files(error) => panic!("nothing is wrong with the disk: {error}"),
    }
}

fn installation(content: &[u8]) {
    drop(open());
    let file = PLACE.path("state/installation");
    write(&file, content);
    match open() {
        Ok(store) => {
            let (seed, mark) = (store.seed(), store.fingerprint(&[b"x"]));
            for notice in store.notices() {
                assert!(hides(&format!("{notice} {notice:?}")), "{notice}");
            }
            drop(store);
            let again = open().expect("what was made is whole");
            assert_eq!(
                (again.seed(), again.fingerprint(&[b"x"])),
                (seed, mark),
                "it stays the same installation"
            );
            assert!(again.notices().is_empty(), "nothing is to be mended twice: {:?}", again.notices());
        }
        Err(OpenError::Newer { found, known, .. }) => {
            assert!(found > known);
            assert_eq!(std::fs::read(&file).expect("it is left alone"), content);
            std::fs::remove_file(&file).expect("it is ours");
        }
        Err(error) => panic!("nothing is wrong with the directory: {error}"),
    }
}

fn marks(content: &[u8]) {
    drop(open());
    write(&PLACE.path("state/marks.json"), content);
    let store = open().expect("marks are only a cache");
    let mut marks = store.marks();
    store.mark("template:/run/renewd/app.env", 7).expect("it can be written");
    marks.insert("template:/run/renewd/app.env".to_owned(), 7);
    assert_eq!(store.marks(), marks);
    write(&store.file_of(&id()), GOOD);
    drop(store);
    let store = open().expect("it was released");
    assert_eq!(store.marks(), marks, "what was written is read again");
    assert!(store.restore(&id()).expect("it is whole").is_some(), "marks are nothing to the accounts");
    let _ = std::fs::remove_file(store.file_of(&id()));
}
