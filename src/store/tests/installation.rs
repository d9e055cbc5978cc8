//! The installation's id and key: kept twice, and what becomes of refresh tokens where both are lost.

use super::*;

fn files(store: &Store) -> [PathBuf; 2] {
    ["installation", "installation.copy"].map(|name| store.path().join(name))
}

fn damage(path: &Path, content: &[u8]) {
    std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), content).unwrap();
}

#[test]
fn a_damaged_or_missing_installation_costs_nothing_as_there_is_a_copy() {
    let (_folder, mut store) = store();
    let (mark, seed) = (store.fingerprint(&[b"x"]), store.seed());
    let whole = std::fs::read(&files(&store)[0]).unwrap();
    let mut damages: Vec<Option<Vec<u8>>> = vec![None, Some(Vec::new()), Some(vec![b'x'; 10_000])];
    damages.extend((0..whole.len()).step_by(13).map(|length| Some(whole[..length].to_vec())));
    damages.extend((0..whole.len()).step_by(7).map(|at| {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        Some(flipped)
    }));
    for (number, content) in damages.iter().enumerate() {
        for (which, file) in files(&store).into_iter().enumerate() {
            match content {
                Some(content) => damage(&file, content),
                None => std::fs::remove_file(&file).unwrap(),
            }
            store = reopen(store);
            assert_eq!(
                (store.fingerprint(&[b"x"]), store.seed()),
                (mark, seed),
                "damage {number} of {which}"
            );
            let said = matches!(store.notices(), [Notice::InstallationMended { moved_to }] if moved_to.is_some() == content.is_some());
            assert!(said == (which == 0), "{:?}", store.notices());
            assert_eq!(
                files(&store).map(|file| std::fs::read(file).unwrap()),
                [whole.clone(), whole.clone()]
            );
        }
    }
}

#[test]
fn a_directory_of_an_older_version_gets_its_copy_without_a_word() {
    let (_folder, store) = store();
    store.update_blocking(&id("a"), Durability::Durable, fill).unwrap();
    let (mark, record) = (store.fingerprint(&[b"x"]), store.latest(&id("a")));
    std::fs::remove_file(&files(&store)[1]).unwrap();
    let store = reopen(store);
    assert_eq!((store.notices(), store.fingerprint(&[b"x"])), (&[][..], mark));
    assert!(files(&store)[1].exists());
    assert_eq!(store.restore(&id("a")).unwrap(), record);
}

#[test]
fn where_both_are_lost_no_refresh_token_is_written_over_and_its_seed_is_known_to_be_spent() {
    let (_folder, store) = store();
    let configured = Secret::from("the first refresh token");
    for name in ["a", "b"] {
        store
            .update_blocking(&id(name), Durability::Durable, |record| {
                fill(record);
                record.refresh = record.refresh.take().filter(|_| name == "a");
            })
            .unwrap();
    }
    let before = [id("a"), id("b")].map(|account| std::fs::read(store.file_of(&account)).unwrap());
    let mark = store.fingerprint(&[b"x"]);
    files(&store).iter().for_each(|file| damage(file, b"x"));
    let store = reopen(store);
    assert_eq!(store.notices(), [Notice::InstallationReplaced { orphans: 1 }]);
    assert_ne!(store.fingerprint(&[b"x"]), mark);
    let aside = store.path().join("accounts/a.json.orphan-1");
    assert_eq!(std::fs::read(&aside).unwrap(), before[0]);
    assert_eq!(std::fs::metadata(&aside).unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read(store.file_of(&id("b"))).unwrap(), before[1], "a cache is issued anew");
    let store = reopen(store);
    assert_eq!(store.notices(), [], "said once");
    let record = store.restore(&id("a")).unwrap().unwrap();
    assert_eq!((record.generation, &record.refresh, &record.current), (Generation(8), &None, &None));
    let seed = store.seed_mark(&configured);
    let claim =
        Claim { identity: store.fingerprint(&[b"i"]), grant: None, seed: Some(seed), provider: "p".into() };
    let settled = |claim: &Claim| {
        let mut record = Record::clone(&record);
        record.settle(claim, Timestamp::from_secs(1_800_000_000));
        record.has_spent(seed, |slot| store.seed_mark(&slot.token))
    };
    assert!(settled(&claim));
    let same = Claim { seed: Some(store.seed_mark(&"refresh-secret".into())), ..claim };
    assert!(!settled(&same), "the vendor hands out the same for ever");
}
