//! What is kept of other settings, and that it comes back.

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn mark(number: u8) -> Fingerprint {
    serde_json::from_str(&format!("\"{number:032x}\"")).unwrap()
}

fn at(day: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000).plus(DAY * u32::try_from(day).unwrap())
}

fn claim(identity: u8, grant: Option<u8>, seed: u8) -> Claim {
    Claim {
        identity: mark(identity),
        grant: grant.map(mark),
        seed: Some(mark(seed)),
        provider: "oauth".into(),
    }
}

fn slot(text: &str, seed: u8) -> RefreshSlot {
    RefreshSlot { token: text.into(), issued_at: at(0), expires_at: None, seed: Some(mark(seed)) }
}

/// In its seventh generation, with the refresh token that came of seed 9.
fn holding(claim: &Claim) -> Record {
    Record {
        grant: claim.grant,
        refresh: Some(slot("rotated", 9)),
        current: Some(token(7, "access")),
        generation: Generation(7),
        ..Record::new(id("a"), "oauth".into(), claim.identity)
    }
}

fn refresh(record: &Record) -> Option<&str> {
    record.refresh.as_ref().map(|slot| slot.token.expose())
}

fn access(record: &Record) -> Option<&str> {
    record.current.as_ref().map(|token| token.access_token.expose())
}

/// No vendor of this test hands out a seed as a refresh token.
fn rotated(_: &RefreshSlot) -> Fingerprint {
    mark(0)
}

#[test]
fn other_settings_of_the_same_client_go_on_with_its_refresh_token_and_ask_anew() {
    let (old, new) = (claim(1, Some(5), 9), claim(2, Some(5), 9));
    let mut record = holding(&old);
    assert_eq!(record.settle(&new, at(0)), Settled::Carried);
    assert_eq!((refresh(&record), access(&record)), (Some("rotated"), None));
    assert_eq!((record.identity, record.generation), (mark(2), Generation(7)));
    let once = record.clone();
    assert_eq!(record.settle(&new, at(1)), Settled::Same);
    assert_eq!(record, once, "again, it changes nothing");
    assert_eq!(record.settle(&old, at(0)), Settled::Carried);
    assert_eq!(
        (refresh(&record), access(&record)),
        (Some("rotated"), Some("access")),
        "nobody asked meanwhile"
    );
}

#[test]
fn an_access_token_does_not_come_back_once_another_was_asked_for() {
    let (old, new) = (claim(1, Some(5), 9), claim(2, Some(5), 9));
    for asked in [
        (|record: &mut Record| record.generation = Generation(8)) as fn(&mut Record),
        |record| record.candidate = Some(token(8, "untried")),
        |record| {
            record.intent = Some(Intent {
                attempt: 1,
                operation: IntentKind::Refresh,
                refresh: None,
                idempotency_key: String::new(),
                at: at(0),
            })
        },
    ] {
        let mut record = holding(&old);
        record.settle(&new, at(0));
        asked(&mut record);
        record.settle(&old, at(0));
        assert_eq!((refresh(&record), access(&record)), (Some("rotated"), None));
    }
}

#[test]
fn a_refresh_token_of_another_client_is_kept_and_counts_again_with_its_settings() {
    let (old, new, third) = (claim(1, Some(5), 9), claim(2, Some(6), 9), claim(3, Some(5), 9));
    let mut record = holding(&old);
    assert_eq!(record.settle(&new, at(0)), Settled::PutAside);
    assert_eq!((refresh(&record), access(&record)), (None, None));
    assert!(record.has_spent(mark(9), rotated), "its seed is not sent for the other client");
    assert!(!record.has_spent(mark(9), |_| mark(9)), "unless the vendor hands out the same for ever");
    assert!(!record.has_spent(mark(8), rotated));
    assert!(record.is_precious());
    let mut back = record.clone();
    assert_eq!(back.settle(&old, at(3)), Settled::TakenBack);
    assert_eq!((refresh(&back), access(&back)), (Some("rotated"), Some("access")));
    assert!(!back.has_spent(mark(9), rotated));
    assert_eq!(record.settle(&third, at(3)), Settled::TakenBack, "the same client, and another scope");
    assert_eq!((refresh(&record), access(&record)), (Some("rotated"), None));
}

#[test]
fn records_without_a_grant_find_their_refresh_token_by_their_identity() {
    let (old, new) = (claim(1, None, 9), claim(2, None, 9));
    let mut record = holding(&old);
    assert_eq!(record.settle(&new, at(0)), Settled::PutAside);
    assert_eq!(record.settle(&claim(1, Some(5), 9), at(0)), Settled::TakenBack);
    assert_eq!((refresh(&record), record.grant), (Some("rotated"), Some(mark(5))));
}

#[test]
fn another_seed_puts_the_stored_token_aside_and_the_first_one_brings_it_back() {
    let (old, new) = (claim(1, Some(5), 9), claim(1, Some(5), 8));
    let mut record = holding(&old);
    assert_eq!(record.settle(&new, at(0)), Settled::PutAside);
    assert_eq!(
        (refresh(&record), access(&record)),
        (None, Some("access")),
        "the access token is ours as before"
    );
    assert_eq!(record.settle(&new, at(0)), Settled::Same);
    record.refresh = Some(slot("of the new one", 8));
    assert_eq!(record.settle(&old, at(0)), Settled::TakenBack);
    assert_eq!(refresh(&record), Some("rotated"));
    assert!(record.has_spent(mark(8), rotated));
}

#[test]
fn a_refresh_token_that_comes_after_the_settings_have_changed_is_kept() {
    let (old, same_client, other) = (claim(1, Some(5), 9), claim(2, Some(5), 9), claim(3, Some(6), 9));
    let mut record = holding(&old);
    record.settle(&same_client, at(0));
    record.take_refresh(&old, slot("newer", 9));
    assert_eq!(refresh(&record), Some("newer"));
    record.settle(&other, at(0));
    record.take_refresh(&old, slot("newest", 9));
    assert_eq!((refresh(&record), record.aside.refresh.len()), (None, 1));
    record.settle(&old, at(0));
    assert_eq!(refresh(&record), Some("newest"));
}

#[test]
fn what_is_kept_survives_a_restart_and_is_forgotten_after_its_time_but_not_the_spent_seed() {
    let (_folder, store) = store();
    let (old, new) = (claim(1, Some(5), 9), claim(2, Some(6), 9));
    store
        .update_blocking(&id("a"), Durability::Durable, |record| {
            *record = holding(&old);
            record.settle(&new, at(0));
        })
        .unwrap();
    let before = store.latest(&id("a")).unwrap();
    assert_eq!((before.aside.refresh.len(), before.aside.token.is_some()), (1, true));
    let store = reopen(store);
    assert_eq!(store.restore(&id("a")).unwrap(), Some(before));
    for days in [60, 29, 30] {
        assert_eq!(store.purge_older_than(at(days), DAY * 30).unwrap(), []);
        assert_eq!(store.latest(&id("a")).unwrap().aside.refresh.len(), 1, "{days}");
    }
    assert_eq!(store.purge_older_than(at(31), DAY * 30).unwrap(), []);
    let store = reopen(store);
    let record = store.restore(&id("a")).unwrap().unwrap();
    assert_eq!(record.aside, Aside::default());
    assert!(record.has_spent(mark(9), rotated));
}

#[test]
fn edits_without_end_keep_the_newest_few() {
    let mut record = holding(&claim(0, None, 9));
    for round in 1..100 {
        record.settle(&claim(round, None, 9), at(0));
        record.refresh = Some(slot(&format!("token {round}"), 9));
    }
    assert_eq!(record.aside.refresh.len(), 8);
    assert_eq!(record.aside.refresh.last().unwrap().slot.token.expose(), "token 98");
}
