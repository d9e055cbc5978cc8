use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use super::*;
use crate::domain::{Generation, Secret, Timestamp, Token, TokenMeta};

mod aside;
mod installation;
mod lost;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("state")).unwrap();
    (folder, store)
}

fn reopen(store: Store) -> Store {
    let path = store.path().to_owned();
    drop(store);
    Store::open(&path).unwrap()
}

fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn token(generation: u64, text: &str) -> Token {
    let at = Timestamp::from_secs(1_800_000_000);
    Token {
        meta: TokenMeta {
            generation: Generation(generation),
            issued_at: at,
            expires_at: at.plus(Duration::from_secs(3600)),
        },
        access_token: Secret::from(text),
        token_type: "Bearer".into(),
        // The number has as many digits as there can be.
        extra: vec![
            ("zone".into(), "kr".into()),
            ("a".into(), serde_json::json!([1, null, 123_456_789.123_456_79])),
        ],
    }
}

fn fill(record: &mut Record) {
    let at = Timestamp::from_millis(1_800_000_000_123);
    record.provider = "portone".into();
    record.schedule.attempt = 3;
    record.schedule.next_try = Some(at);
    record.refresh = Some(RefreshSlot {
        token: "refresh-secret".into(),
        issued_at: at,
        expires_at: Some(at),
        seed: Some(Fingerprint::default()),
    });
    record.current = Some(token(7, "access-secret"));
    record.candidate = Some(token(8, "candidate-secret"));
    record.generation = Generation(8);
    record.intent = Some(Intent {
        attempt: 3,
        operation: IntentKind::Refresh,
        refresh: None,
        idempotency_key: "key-1".into(),
        at,
    });
}

/// Makes every write of this account fail: its file is a folder.
fn break_writes(store: &Store, account: &AccountId) {
    std::fs::create_dir(store.file_of(account)).unwrap();
}

fn mend_writes(store: &Store, account: &AccountId) {
    std::fs::remove_dir(store.file_of(account)).unwrap();
}

#[test]
fn a_record_survives_a_restart_unchanged() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Durable, fill).unwrap();
    let before = store.snapshot(&id("a")).unwrap();
    let store = reopen(store);
    assert_eq!(store.snapshot(&id("a")), None, "nothing is in memory before it is restored");
    assert_eq!(store.restore(&id("a")).unwrap(), Some(before));
    assert_eq!(store.restore(&id("b")).unwrap(), None);
    assert_eq!(store.stored().unwrap(), [id("a")]);
}

#[test]
fn directories_and_files_are_for_the_owner_alone() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!(mode(&store.path().join("accounts")), 0o700);
    assert_eq!(mode(&store.file_of(&id("a"))), 0o600);
    assert_eq!(mode(&store.path().join("installation")), 0o600);
}

#[test]
fn a_directory_open_to_others_is_closed_and_said() {
    let (_folder, store) = store();
    let path = store.path().to_owned();
    drop(store);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.notices(), [Notice::ModeMended { path: path.clone(), was: 0o755 }]);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_second_agent_is_refused_and_told_who_holds_the_directory() {
    let (_folder, store) = store();
    let error = Store::open(store.path()).unwrap_err();
    assert_eq!(error, OpenError::Locked { path: store.path().to_owned(), pid: Some(std::process::id()) });
    reopen(store);
}

#[test]
fn a_strangers_directory_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(12_345), None).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Files(atomic::Error::ForeignFolder { uid: 12_345, .. })), "{error}");
    assert!(error.hint().unwrap().contains("as the user that owns it"));
}

#[test]
fn leftovers_of_a_killed_agent_are_removed_at_the_start() {
    let (_folder, store) = store();
    let leftover = store.path().join("accounts/.renewd-tmp.a.json.0123456789abcdef");
    std::fs::File::create(&leftover).unwrap();
    let store = reopen(store);
    assert_eq!(store.notices(), [Notice::LeftoversRemoved(1)]);
    assert!(!leftover.exists());
}

#[test]
fn a_state_file_cut_at_any_byte_is_absent_never_wrong() {
    let (_folder, store) = store();
    let account = id("a");
    store.update_blocking(&account, Durability::Durable, fill).unwrap();
    let record = store.snapshot(&account).unwrap();
    let whole = std::fs::read(store.file_of(&account)).unwrap();
    for length in 0..whole.len() {
        assert!(
            matches!(wire::decode(&whole[..length], &account), Err(wire::Broken::Corrupt(_))),
            "{length}"
        );
    }
    assert_eq!(wire::decode(&whole, &account).unwrap(), *record);
    let mut store = store;
    for length in (0..whole.len()).step_by(97) {
        std::io::Write::write_all(
            &mut std::fs::File::create(store.file_of(&account)).unwrap(),
            &whole[..length],
        )
        .unwrap();
        store = reopen(store);
        let error = store.restore(&account).unwrap_err();
        assert!(error.is_absent(), "cut at {length}: {error}");
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(!store.file_of(&account).exists());
        assert_eq!(store.restore(&account).unwrap(), None, "and from then on it is absent");
        store.update_blocking(&account, Durability::Cached, fill).unwrap();
    }
    let names = std::fs::read_dir(store.path().join("accounts")).unwrap();
    let aside = names
        .filter(|name| name.as_ref().unwrap().file_name().to_string_lossy().starts_with("a.json.corrupt-"));
    assert_eq!(aside.count(), 3, "the newest three are kept");
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let record = {
        let mut record = Record::new(id("a"), String::new(), Fingerprint::default());
        fill(&mut record);
        record
    };
    let whole = wire::encode(&record);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.to_vec();
            flipped[at] ^= 1 << bit;
            if let Ok(read) = wire::decode(&flipped, &id("a")) {
                assert_eq!(read, record, "byte {at}, bit {bit}");
            }
        }
    }
}

#[test]
fn a_newer_schema_is_left_alone_and_never_written_over() {
    let (_folder, store) = store();
    let newer = br#"{"schema":2,"account":"a","what":"is this"}"#;
    std::io::Write::write_all(&mut std::fs::File::create(store.file_of(&id("a"))).unwrap(), newer).unwrap();
    let error = store.restore(&id("a")).unwrap_err();
    assert!(matches!(error, Unreadable::Newer { found: 2, known: 1, .. }));
    assert!(!error.is_absent());
    let refused = store.update_blocking(&id("a"), Durability::Cached, fill).unwrap_err();
    assert!(matches!(refused, StoreError::Blocked { .. }));
    assert_eq!(std::fs::read(store.file_of(&id("a"))).unwrap(), newer);
    std::fs::remove_file(store.file_of(&id("a"))).unwrap();
    assert_eq!(store.restore(&id("a")).unwrap(), None, "once it is gone, the account goes on");
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
}

#[test]
fn a_file_of_another_account_is_not_taken() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Durable, fill).unwrap();
    std::fs::copy(store.file_of(&id("a")), store.file_of(&id("b"))).unwrap();
    assert!(store.restore(&id("b")).unwrap_err().is_absent());
}

#[test]
fn a_fifo_in_place_of_a_state_file_is_an_error_and_no_wait() {
    let (_folder, store) = store();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        store.file_of(&id("a")),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    assert!(matches!(store.restore(&id("a")), Err(Unreadable::Files(_))));
}

#[test]
fn a_durable_change_that_cannot_be_written_is_taken_back() {
    let (_folder, store) = store();
    let account = id("a");
    store.restore(&account).unwrap();
    break_writes(&store, &account);
    let error = store.update_blocking(&account, Durability::Durable, fill).unwrap_err();
    assert!(error.to_string().contains("folder, not a regular file"), "{error}");
    assert_eq!((store.snapshot(&account), store.latest(&account)), (None, None));
    assert!(store.dirty().is_empty());
}

#[test]
fn a_precious_change_that_cannot_be_written_is_kept_hidden_until_it_can() {
    let (_folder, store) = store();
    let account = id("a");
    store.update_blocking(&account, Durability::Durable, |record| record.provider = "old".into()).unwrap();
    std::fs::remove_file(store.file_of(&account)).unwrap();
    break_writes(&store, &account);
    assert!(store.update_blocking(&account, Durability::Precious, fill).is_err());
    assert_eq!(store.snapshot(&account).unwrap().provider, "old", "sinks do not see it");
    assert_eq!(store.latest(&account).unwrap().refresh.as_ref().unwrap().token.expose(), "refresh-secret");
    assert_eq!(store.dirty(), std::slice::from_ref(&account));
    let cached = store.update_blocking(&account, Durability::Cached, |record| record.schedule.attempt = 9);
    assert!(cached.is_err());
    assert_eq!(store.snapshot(&account).unwrap().schedule.attempt, 0, "what comes on top waits with it");
    assert_eq!(store.flush_dirty().unwrap_err().len(), 1);
    mend_writes(&store, &account);
    store.flush_dirty().unwrap();
    assert!(store.dirty().is_empty());
    let seen = store.snapshot(&account).unwrap();
    assert_eq!((seen.provider.as_str(), seen.schedule.attempt), ("portone", 9));
    let store = reopen(store);
    assert_eq!(store.restore(&account).unwrap(), Some(seen));
}

#[test]
fn a_cached_change_is_seen_at_once_even_where_the_disk_refuses() {
    let (_folder, store) = store();
    let account = id("a");
    store.restore(&account).unwrap();
    break_writes(&store, &account);
    let change = |record: &mut Record| record.current = Some(token(1, "t"));
    assert!(store.update_blocking(&account, Durability::Cached, change).is_err());
    assert!(store.snapshot(&account).unwrap().current.is_some());
    assert_eq!(store.dirty(), [account]);
}

#[test]
fn an_update_before_the_restore_does_not_lose_what_is_stored() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Durable, fill).unwrap();
    let store = reopen(store);
    store.update_blocking(&id("a"), Durability::Cached, |record| record.schedule.attempt += 1).unwrap();
    let record = store.snapshot(&id("a")).unwrap();
    assert_eq!(record.schedule.attempt, 4);
    assert!(record.refresh.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_take_effect_in_the_order_of_their_calls() {
    let (_folder, store) = store();
    let account = id("a");
    let saving: Vec<_> = (1..=300_u32)
        .map(|attempt| {
            let durability = [Durability::Cached, Durability::Durable, Durability::Precious];
            let durability = durability[attempt as usize % 3];
            store.update(&account, durability, move |record| {
                assert_eq!(record.schedule.attempt, attempt - 1);
                record.schedule.attempt = attempt;
            })
        })
        .collect();
    for (saving, attempt) in saving.into_iter().zip(1..) {
        saving.await.unwrap();
        assert!(store.snapshot(&account).unwrap().schedule.attempt >= attempt);
    }
    let store = reopen(store);
    assert_eq!(store.restore(&account).unwrap().unwrap().schedule.attempt, 300);
}

#[test]
fn saving_may_move_between_threads() {
    fn sent<T: Send>() {}
    sent::<Saving>();
    sent::<Store>();
}

#[tokio::test]
async fn a_dropped_save_is_written_all_the_same() {
    let (_folder, store) = store();
    drop(store.update(&id("a"), Durability::Durable, fill));
    store.update(&id("b"), Durability::Durable, fill).await.unwrap();
    while !store.dirty().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(reopen(store).restore(&id("a")).unwrap().is_some());
}

#[test]
fn removed_accounts_are_kept_for_their_time() {
    let (_folder, store) = store();
    let day = Duration::from_secs(86_400);
    let removed = Timestamp::from_secs(1_800_000_000);
    store
        .update_blocking(&id("gone"), Durability::Cached, |record| record.removed_at = Some(removed))
        .unwrap();
    store.update_blocking(&id("here"), Durability::Cached, fill).unwrap();
    let store = reopen(store);
    let age = day * 30;
    let look = |days| store.purge_older_than(removed.plus(day * days), age).unwrap();
    // A clock that is two months ahead at a start, and right at the next.
    for days in [60, 1, 29, 60, 1, 30, 30] {
        assert_eq!(look(days), [], "{days}");
    }
    assert_eq!(look(31), [id("gone")], "found old a day before, too");
    assert_eq!(store.stored().unwrap(), [id("here")]);
    assert_eq!(store.snapshot(&id("gone")), None);
    store.update_blocking(&id("gone"), Durability::Cached, fill).unwrap();
    assert_eq!(store.snapshot(&id("gone")).unwrap().removed_at, None, "it may come back afresh");
}

#[test]
fn fingerprints_and_seed_outlive_a_restart_and_differ_between_installations() {
    let (_one, first) = store();
    let (_two, other) = store();
    let mark = first.fingerprint(&[b"ab", b"c"]);
    assert_ne!(mark, first.fingerprint(&[b"a", b"bc"]));
    assert_ne!(mark, first.fingerprint(&[b"abc"]));
    assert_ne!(mark, other.fingerprint(&[b"ab", b"c"]));
    assert_ne!(first.seed(), other.seed());
    let seed = first.seed();
    let first = reopen(first);
    assert_eq!((first.fingerprint(&[b"ab", b"c"]), first.seed()), (mark, seed));
    let json = serde_json::to_string(&mark).unwrap();
    assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), mark);
}

#[test]
fn debug_and_errors_show_no_token() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    let text = format!("{:?} {store:?}", store.snapshot(&id("a")));
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("***"));
}

#[test]
fn thousands_of_accounts_are_read_quickly() {
    let (_folder, store) = store();
    let names: Vec<_> = (0..2_000).map(|number| id(&format!("account-{number}"))).collect();
    for name in &names {
        store
            .update_blocking(name, Durability::Cached, |record| record.current = Some(token(1, "t")))
            .unwrap();
    }
    let store = reopen(store);
    #[expect(clippy::disallowed_methods, reason = "a test that measures")]
    let begin = std::time::Instant::now();
    for name in &names {
        assert!(store.restore(name).unwrap().is_some());
    }
    let took = begin.elapsed();
    println!("2,000 records in {took:?}");
    // A release build reads 10,000 in 0.2 s; this one is neither that nor alone on the machine.
    assert!(took < Duration::from_secs(10), "{took:?}");
}
