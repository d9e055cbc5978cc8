//! A state directory that is removed, moved or taken while the agent runs.

use super::*;

/// The directory is taken away under the agent.
fn taken_away(store: &Store) {
    std::fs::remove_dir_all(store.path()).unwrap();
}

#[test]
fn a_directory_that_was_removed_is_made_anew_with_all_that_was_in_it() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    store
        .update_blocking(&id("b"), Durability::Cached, |record| record.current = Some(token(1, "x")))
        .unwrap();
    store.mark("template:/one", 7).unwrap();
    let (before, seed) = (store.snapshot(&id("a")).unwrap(), store.seed());
    let print = store.fingerprint(&[b"one"]);
    assert_eq!(store.look(), Seen::InPlace);
    taken_away(&store);
    assert_eq!(
        store.look(),
        Seen::Anew {
            what: "the state directory was removed or moved by someone else",
            accounts: 2,
            failed: Vec::new()
        }
    );
    assert_eq!(store.look(), Seen::InPlace, "said once");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(store.path()), mode(&store.path().join("accounts"))), (0o700, 0o700));
    assert_eq!((mode(&store.file_of(&id("a"))), mode(&store.path().join("installation"))), (0o600, 0o600));
    assert!(matches!(Store::open(store.path()).unwrap_err(), OpenError::Locked { .. }), "under our lock");
    let store = reopen(store);
    assert_eq!((store.seed(), store.fingerprint(&[b"one"])), (seed, print), "it is the same installation");
    assert_eq!(store.restore(&id("a")).unwrap(), Some(before));
    assert!(store.restore(&id("b")).unwrap().is_some());
    assert_eq!(store.marks().len(), 1);
}

#[test]
fn whatever_is_taken_out_of_the_directory_is_put_back() {
    for name in ["lock", "accounts", "installation"] {
        let (_folder, store) = store();
        store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
        let path = store.path().join(name);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        let seen = store.look();
        assert!(
            matches!(&seen, Seen::Anew { what, accounts: 1, .. } if what.contains(name)),
            "{name}: {seen:?}"
        );
        assert_eq!(store.look(), Seen::InPlace, "{name}");
        assert!(matches!(Store::open(store.path()).unwrap_err(), OpenError::Locked { .. }), "{name}");
        assert!(reopen(store).restore(&id("a")).unwrap().is_some(), "{name}");
    }
}

#[test]
fn a_directory_that_was_moved_and_comes_back_is_taken_again_as_it_is_now() {
    let (folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    let aside = folder.path().join("aside");
    std::fs::rename(store.path(), &aside).unwrap();
    assert!(matches!(store.look(), Seen::Anew { accounts: 1, .. }));
    store.update_blocking(&id("a"), Durability::Cached, |record| record.generation = Generation(9)).unwrap();
    drop(Store::open(&aside).expect("its lock was given up"));
    taken_away(&store);
    std::fs::rename(&aside, store.path()).unwrap();
    assert!(matches!(store.look(), Seen::Anew { accounts: 1, .. }));
    assert_eq!(reopen(store).restore(&id("a")).unwrap().unwrap().generation, Generation(9));
}

#[test]
fn what_has_to_be_durable_is_not_written_to_a_directory_that_nobody_will_find() {
    let (folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    std::fs::rename(store.path(), folder.path().join("aside")).unwrap();
    store.update_blocking(&id("a"), Durability::Durable, |record| record.schedule.attempt = 8).unwrap();
    assert!(store.file_of(&id("a")).exists(), "the directory was made anew before the write");
    assert!(matches!(store.look(), Seen::Anew { .. }), "and that is told");
    assert_eq!(reopen(store).restore(&id("a")).unwrap().unwrap().schedule.attempt, 8);
}

#[test]
fn where_another_agent_has_come_nothing_is_written_until_it_has_gone() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Cached, fill).unwrap();
    taken_away(&store);
    let other = Store::open(store.path()).unwrap();
    other.update_blocking(&id("a"), Durability::Cached, |record| record.generation = Generation(1)).unwrap();
    let file = std::fs::read(store.file_of(&id("a"))).unwrap();
    for _ in 0..2 {
        let Seen::Lost(lost) = store.look() else { panic!("it is the other's") };
        assert!(matches!(lost.cause, OpenError::Locked { .. }), "{lost}");
    }
    for durability in [Durability::Durable, Durability::Precious, Durability::Cached] {
        let error =
            store.update_blocking(&id("a"), durability, |record| record.schedule.attempt = 8).unwrap_err();
        assert!(matches!(error, StoreError::Lost { .. }), "{error}");
        assert!(error.worded().contains("hint: one agent at a time"), "{}", error.worded());
    }
    assert_eq!(std::fs::read(store.file_of(&id("a"))).unwrap(), file, "the other's is left alone");
    drop(other);
    assert!(matches!(store.look(), Seen::Anew { accounts: 1, .. }));
    assert!(store.dirty().is_empty());
    let seed = store.seed();
    let store = reopen(store);
    assert_eq!(store.seed(), seed, "the installation is ours again");
    assert_eq!(store.restore(&id("a")).unwrap().unwrap().schedule.attempt, 8);
}
