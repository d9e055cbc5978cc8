use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::core::Plan;
use crate::core::plan::tests::plan;
use crate::domain::{BootInstant, ErrorInfo, Generation, TokenMeta};

fn name() -> AccountId {
    AccountId::new("a").unwrap()
}

fn at(second: i64) -> Now {
    Now { wall: Timestamp::from_secs(second), boot: BootInstant(0) }
}

fn configured(names: &[&str], restored: Restored) -> Event {
    let names = names.iter().map(|name| AccountId::new(name).unwrap());
    let accounts: BTreeMap<_, _> = names.map(|name| (name, plan())).collect();
    let restored = accounts.keys().map(|name| (name.clone(), restored.clone())).collect();
    let plan = Plan { accounts, templates: Vec::new() };
    Event::Configured { plan, restored, touched: BTreeSet::new(), marks: BTreeMap::new() }
}

fn begun(second: i64, restored: Restored) -> History {
    let mut history = History::default();
    history.event(&configured(&["a"], restored), at(second));
    history
}

fn stored(issued: i64, expires: i64) -> Restored {
    let (issued_at, expires_at) = (Timestamp::from_secs(issued), Timestamp::from_secs(expires));
    let token = TokenMeta { generation: Generation(1), issued_at, expires_at };
    Restored { token: Some(token), ..Restored::default() }
}

fn renewed(until: i64) -> Effect {
    let (expires_at, renew_at) = (Timestamp::from_secs(until), Timestamp::from_secs(until));
    let note =
        Note::Renewed { account: name(), generation: Generation(2), expires_at, renew_at, healed: false };
    Effect::Say(note)
}

fn failing(class: ErrorClass) -> Effect {
    let (message, next) = ("no".to_owned(), Timestamp::from_secs(0));
    Effect::Say(Note::Failing { account: name(), class, message, next, attempt: 1, news: true })
}

fn expired(second: i64) -> Effect {
    Effect::Say(Note::Expired { account: name(), at: Timestamp::from_secs(second) })
}

fn gaps(history: &History, second: i64) -> Vec<(u32, u32)> {
    let record = history.of("a").unwrap();
    record.gaps(Timestamp::from_secs(second)).map(|gap| (gap.from.0, gap.to.0)).collect()
}

fn marks(history: &History) -> Vec<(u32, u16, What)> {
    history.of("a").unwrap().marks().map(|mark| (mark.at.0, mark.times, mark.what)).collect()
}

fn valid_since(history: &History, second: i64) -> Option<i64> {
    let since = history.of("a").unwrap().valid_since(Timestamp::from_secs(second));
    since.map(Timestamp::as_secs)
}

#[test]
fn renewals_in_time_are_one_stretch() {
    let mut history = begun(1_000, Restored::default());
    for (second, until) in [(1_001, 1_060), (1_040, 1_100), (1_080, 1_140)] {
        history.effect(&renewed(until), at(second));
    }
    assert!(gaps(&history, 1_100).is_empty(), "a start is no outage");
    assert_eq!(valid_since(&history, 1_100), Some(1_001));
    let kinds = [(1_001, 1, What::Issued), (1_040, 1, What::Renewed), (1_080, 1, What::Renewed)];
    assert_eq!(marks(&history), kinds);
}

#[test]
fn a_first_token_that_is_long_in_coming_is_missed() {
    let mut history = begun(1_000, Restored::default());
    assert_eq!(gaps(&history, 1_100), [(1_000, 1_100)]);
    history.effect(&renewed(2_000), at(1_200));
    assert_eq!((gaps(&history, 1_300), valid_since(&history, 1_300)), (vec![(1_000, 1_200)], Some(1_200)));
}

#[test]
fn a_stored_token_has_been_valid_since_it_was_issued() {
    let history = begun(1_000, stored(400, 1_600));
    assert_eq!((valid_since(&history, 1_000), gaps(&history, 1_000)), (Some(400), Vec::new()));
    assert_eq!(marks(&history), [(400, 1, What::Issued)]);
    let dead = begun(1_000, stored(400, 900));
    assert_eq!((valid_since(&dead, 1_000), gaps(&dead, 1_000)), (None, vec![(900, 1_000)]));
    let error =
        ErrorInfo { class: ErrorClass::Transient, message: "no".into(), at: Timestamp::from_secs(950) };
    let failed = begun(1_000, Restored { error: Some(error), ..stored(400, 900) });
    assert_eq!(marks(&failed)[1], (950, 1, What::Failed(ErrorClass::Transient)));
}

#[test]
fn an_outage_is_a_gap_from_the_end_of_the_token_until_the_next_one() {
    let mut history = begun(1_000, stored(900, 1_060));
    for second in [1_040, 1_050, 1_059] {
        history.effect(&failing(ErrorClass::Transient), at(second));
    }
    history.effect(&expired(1_060), at(1_060));
    history.effect(&failing(ErrorClass::Transient), at(1_070));
    assert_eq!(gaps(&history, 1_080), [(1_060, 1_080)], "it lasts");
    history.effect(&renewed(1_200), at(1_090));
    assert_eq!((gaps(&history, 1_100), valid_since(&history, 1_100)), (vec![(1_060, 1_090)], Some(1_090)));
    let said = [
        (900, 1, What::Issued),
        (1_040, 3, What::Failed(ErrorClass::Transient)),
        (1_060, 1, What::Expired),
        (1_070, 1, What::Failed(ErrorClass::Transient)),
        (1_090, 1, What::Issued),
    ];
    assert_eq!(marks(&history), said);
}

#[test]
fn another_identity_ends_the_stretch_and_an_account_that_leaves_is_forgotten() {
    let mut history = begun(1_000, stored(900, 2_000));
    history.effect(&Effect::Disown { account: name() }, at(1_100));
    assert_eq!((valid_since(&history, 1_110), gaps(&history, 1_110)), (None, vec![(1_100, 1_110)]));
    history.event(&configured(&["b"], Restored::default()), at(1_200));
    assert!(history.of("a").is_none() && history.of("b").is_some());
    history.effect(&Effect::Say(Note::Removed { account: AccountId::new("b").unwrap() }), at(1_201));
    assert_eq!(history, History::default());
}

#[test]
fn an_account_that_stays_keeps_its_past_through_a_reload() {
    let mut history = begun(1_000, stored(900, 2_000));
    history.effect(&failing(ErrorClass::Config), at(1_010));
    let before = history.clone();
    history.event(&configured(&["a"], Restored::default()), at(1_200));
    assert_eq!(history, before);
}

#[test]
fn a_record_is_small_and_points_nowhere() {
    assert!(size_of::<Record>() <= 200, "{}", size_of::<Record>());
    fn copies<T: Copy>() {}
    copies::<Record>(); // so it owns nothing that could grow
}

#[derive(Debug, Clone)]
enum Step {
    Renew(i64),
    Same(i64),
    Fail(ErrorClass),
    Expire,
    Disown,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (-100_i64..5_000).prop_map(Step::Renew),
        (-100_i64..5_000).prop_map(Step::Same),
        prop::sample::select(ErrorClass::ALL.to_vec()).prop_map(Step::Fail),
        Just(Step::Expire),
        Just(Step::Disown),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_and_however_clocks_jump_the_past_is_bounded_and_in_order(
        steps in prop::collection::vec((step(), -3_000_i64..3_000), 0..200),
    ) {
        let mut second = 1_000_000;
        let mut history = begun(second, Restored::default());
        for (step, pause) in steps {
            second = (second + pause).max(0);
            let effect = match step {
                Step::Renew(life) => renewed(second + life),
                Step::Same(life) => Effect::Say(Note::Unchanged {
                    account: name(),
                    expires_at: Timestamp::from_secs(second + life),
                    next: Timestamp::from_secs(second),
                }),
                Step::Fail(class) => failing(class),
                Step::Expire => expired(second),
                Step::Disown => Effect::Disown { account: name() },
            };
            prop_assert!(History::concerns(&effect));
            history.effect(&effect, at(second));
            let gaps = gaps(&history, second);
            prop_assert!(gaps.len() <= GAPS + 1 && marks(&history).len() <= MARKS);
            prop_assert!(gaps.iter().all(|(from, to)| from < to), "{gaps:?}");
            prop_assert!(gaps.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{gaps:?}");
        }
    }
}
