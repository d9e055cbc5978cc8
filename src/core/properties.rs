//! Whatever happens in whatever order, the invariants of [`super::watch`] hold.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::behaviour::id;
use super::plan::tests::plan;
use super::watch::{Outcome, Watch, Write};
use super::{AccountPlan, CredentialChange, Event, FailureMeta, HookId, Plan, TargetPlan, TemplatePlan};
use crate::config::definition::OldToken;
use crate::config::model::{Calendar, Lead, Limit};
use crate::domain::{ErrorClass, Generation};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Configure(Vec<Option<AccountPlan>>, Vec<TemplatePlan>, u8),
    Reload,
    Answer(usize, Outcome),
    Stale(usize, u64, bool),
    Write(usize, Write),
    Notified(usize, bool),
    StaleWrite(usize, u64),
    Asked(usize),
    Invalidated(usize, u64),
    Credential(usize, CredentialChange),
    Calendar(i64),
    TargetLost(usize),
    Reprieve,
    Pass(Duration),
    PassToWake,
    SetClock(i64),
    Shutdown,
}

fn calendar() -> Calendar {
    Calendar { expression: "0 0 4 * * *".to_owned(), timezone: "UTC".to_owned() }
}

fn plans() -> impl Strategy<Value = AccountPlan> {
    let secs = |secs: &'static [u64]| prop::sample::select(secs).prop_map(Duration::from_secs);
    let period = prop::sample::select(vec![None, Some(200_000), Some(333_333), Some(1_500)]);
    let limit = (period, 1..4_u32, 1..4_u32).prop_map(|(period, burst, concurrency)| Limit {
        period: period.map(Duration::from_micros),
        burst,
        concurrency,
    });
    let lead = prop_oneof![
        3 => Just(None),
        1 => secs(&[1, 60, 4_000]).prop_map(|span| Some(Lead::Time(span))),
        1 => (1..99_999_u32).prop_map(|share| Some(Lead::Share(share))),
    ];
    let old_token =
        prop::sample::select(vec![OldToken::Independent, OldToken::KillsOld, OldToken::SameUntil]);
    let calls = prop::sample::select(vec![(true, false), (true, true), (false, true)]);
    let targets = prop::collection::vec((0..2_u64, any::<bool>(), any::<bool>()), 0..4);
    let targets = (targets, hooks());
    let identity = prop::sample::select(vec![None, Some(1), Some(1), Some(2)]);
    let owner = prop::sample::select(vec![None, None, Some(1), Some(2)]);
    let reuse = prop::option::weighted(0.2, secs(&[1, 60]));
    let vendor = (old_token, any::<bool>(), reuse);
    let who = ((identity, owner), prop::sample::select(vec!["x:1", "y:1"]), any::<bool>(), calls);
    (who, limit, lead, secs(&[0, 0, 60, 30_000]), vendor, targets, any::<bool>()).prop_map(
        |(
            ((identity, owner), host, single_use, calls),
            limit,
            lead,
            min_interval,
            vendor,
            (targets, hooks),
            cron,
        )| {
            AccountPlan {
                identity,
                owner,
                host: host.into(),
                limit,
                lead,
                calendar: cron.then(calendar),
                min_interval,
                old_token: vendor.0,
                documented_interval: vendor.1,
                reuse_window: vendor.2,
                can_issue: calls.0,
                can_refresh: calls.1,
                single_use,
                targets: (targets.into_iter().enumerate())
                    .map(|(number, (look, remove_expired, delete_on_remove))| TargetPlan {
                        id: number.to_string().as_str().into(),
                        look,
                        remove_expired,
                        delete_on_remove,
                        server: (number > 1).then(|| "vault".into()),
                        compare_every: (number > 1).then_some(Duration::from_secs(600)),
                    })
                    .collect(),
                hooks,
                ..plan()
            }
        },
    )
}

/// Some come, some go, and they change places.
fn hooks() -> impl Strategy<Value = Vec<HookId>> {
    prop::sample::select(vec![vec![], vec![], vec![0], vec![1], vec![0, 1], vec![1, 0], vec![2, 0]])
}

/// Some name accounts that are not configured.
fn templates() -> impl Strategy<Value = Vec<TemplatePlan>> {
    let members = prop::sample::subsequence(NAMES.to_vec(), 1..4);
    let template = (members, 0..2_u64, any::<bool>(), hooks());
    prop::collection::vec(template, 0..3).prop_map(|templates| {
        let made = templates.into_iter().enumerate();
        made.map(|(number, (members, look, delete_on_remove, hooks))| TemplatePlan {
            target: TargetPlan { look, delete_on_remove, ..super::behaviour::target(&format!("t{number}")) },
            members: members.into_iter().map(id).collect(),
            hooks,
        })
        .collect()
    })
}

fn writes() -> impl Strategy<Value = Write> {
    prop::sample::select(vec![Write::Works, Write::Works, Write::Works, Write::Fails, Write::ServerAway])
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let life = prop::sample::select(vec![1_u64, 5, 10, 600, 3_600, 400_000]).prop_map(Duration::from_secs);
    let wait = prop::sample::select(vec![None, None, Some(0), Some(90), Some(1_000_000_000)]);
    let wait = wait.prop_map(|secs| secs.map(Duration::from_secs));
    prop_oneof![
        3 => life.prop_map(Outcome::Token),
        1 => Just(Outcome::Same),
        4 => (prop::sample::select(ErrorClass::ALL.to_vec()), wait).prop_map(|(class, wait)| Outcome::Failure(class, wait)),
        2 => Just(Outcome::Failure(ErrorClass::Transient, None)),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let credential = prop_oneof![
        Just(CredentialChange::Secret),
        Just(CredentialChange::Seed),
        (1..3_u128).prop_map(CredentialChange::Owner),
        (1..3_u128).prop_map(|identity| CredentialChange::Identity(identity, Box::default())),
        Just(CredentialChange::Missing("no file".to_owned())),
    ];
    let step = prop::sample::select(vec![-3_600, 3_600, 30, -30, 86_400 * 3_650, -86_400 * 3_650]);
    prop_oneof![
        4 => (prop::collection::vec(prop::option::weighted(0.7, plans()), 4), templates(), any::<u8>())
            .prop_map(|(plans, templates, touched)| Step::Configure(plans, templates, touched)),
        1 => Just(Step::Reload),
        12 => (any::<usize>(), outcomes()).prop_map(|(which, outcome)| Step::Answer(which, outcome)),
        1 => (0..4_usize, 0..9_u64, any::<bool>()).prop_map(|(who, epoch, good)| Step::Stale(who, epoch, good)),
        10 => (any::<usize>(), writes()).prop_map(|(which, how)| Step::Write(which, how)),
        4 => (any::<usize>(), prop::bool::weighted(0.7)).prop_map(|(which, works)| Step::Notified(which, works)),
        1 => (0..3_usize, 0..9_u64).prop_map(|(which, revision)| Step::StaleWrite(which, revision)),
        1 => (0..4_usize).prop_map(Step::Asked),
        1 => (0..4_usize, 0..4_u64).prop_map(|(who, generation)| Step::Invalidated(who, generation)),
        2 => (0..4_usize, credential).prop_map(|(who, change)| Step::Credential(who, change)),
        1 => (-90_000..90_000_i64).prop_map(Step::Calendar),
        1 => (0..3_usize).prop_map(Step::TargetLost),
        1 => Just(Step::Reprieve),
        3 => (0..5_000_u64).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        1 => (0..9_000_u64).prop_map(|secs| Step::Pass(Duration::from_secs(secs))),
        12 => Just(Step::PassToWake),
        2 => step.prop_map(Step::SetClock),
    ]
}

/// Targets are distinct over the whole configuration; some move from one account to another.
fn distinct(plans: Vec<Option<AccountPlan>>, templates: Vec<TemplatePlan>) -> Plan {
    let mut seen = BTreeSet::new();
    let named = NAMES.iter().zip(plans).filter_map(|(name, plan)| Some((id(name), plan?)));
    let accounts = named
        .map(|(name, mut plan)| {
            plan.targets.retain(|target| seen.insert(target.id.clone()));
            (name, plan)
        })
        .collect();
    Plan { accounts, templates }
}

fn play(watch: &mut Watch, step: Step) {
    match step {
        Step::Configure(plans, templates, touched) => {
            let touched = (0..4).filter(|bit| touched >> bit & 1 == 1).map(|bit: usize| id(NAMES[bit]));
            watch.configure(distinct(plans, templates), touched.collect());
        }
        Step::Reload => watch.reload(),
        Step::Answer(which, outcome) => watch.answer(which, outcome),
        Step::Stale(who, epoch, good) => {
            let account = id(NAMES[who]);
            if watch.issues.iter().any(|(issue, _)| issue.epoch == epoch) {
                return;
            }
            let failure = FailureMeta::new(ErrorClass::Rejected, "no".to_owned());
            let token = watch.store.values().find_map(|stored| stored.token).filter(|_| good);
            let event = match token {
                Some(token) => {
                    let meta = super::IssuedMeta {
                        token,
                        admission: super::Admission::Promoted,
                        refresh: None,
                        owner: None,
                        unverified: None,
                    };
                    Event::Issued { account, epoch, meta }
                }
                None => Event::Failed { account, epoch, failure },
            };
            nothing_follows(watch, event);
        }
        Step::Write(which, how) => watch.write(which, how),
        Step::Notified(which, works) => watch.notify(which, works),
        Step::StaleWrite(which, revision) => {
            let target: super::TargetId = which.to_string().as_str().into();
            if watch.writes.iter().any(|(id, out, _)| *id == target && *out == revision) {
                return;
            }
            let held = Some(vec![Generation(99)]);
            nothing_follows(watch, Event::Delivered { target, revision, held, written: true, print: 0 });
        }
        Step::Asked(who) => {
            watch.handle(Event::Asked { account: id(NAMES[who]) });
        }
        Step::Invalidated(who, generation) => {
            watch.handle(Event::Invalidated { account: id(NAMES[who]), generation: Generation(generation) });
        }
        Step::Credential(who, change) => {
            let account = id(NAMES[who]);
            match (watch.plan.accounts.get_mut(&account), &change) {
                // A reload finds it, too.
                (Some(plan), CredentialChange::Identity(new, _)) => plan.identity = Some(*new),
                (Some(plan), CredentialChange::Owner(new)) => plan.owner = Some(*new),
                _ => {}
            }
            watch.handle(Event::CredentialChanged { account, change });
        }
        Step::Calendar(offset) => {
            let scheduled = watch.now.wall.as_millis() + offset * 1000;
            let scheduled = crate::domain::Timestamp::from_millis(scheduled);
            watch.handle(Event::CalendarFired { calendar: calendar(), scheduled });
        }
        Step::TargetLost(which) => {
            watch.handle(Event::TargetLost { target: which.to_string().as_str().into() });
        }
        Step::Reprieve => {
            watch.handle(Event::Reprieve);
        }
        Step::Pass(span) => watch.pass(span),
        Step::PassToWake => watch.pass_to_wake(),
        Step::SetClock(secs) => watch.step_wall(secs),
        Step::Shutdown => watch.shut_down(),
    }
}

fn nothing_follows(watch: &mut Watch, event: Event) {
    watch.handle(Event::Tick);
    let before = watch.engine.clone();
    assert_eq!(watch.handle(event), 0);
    assert_eq!(before, watch.engine);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_invariants_hold_whatever_happens(
        seed in any::<u64>(),
        first in prop::collection::vec(prop::option::weighted(0.9, plans()), 4),
        templates in templates(),
        steps in prop::collection::vec(steps(), 1..120),
        end in prop::collection::vec(steps(), 0..20),
    ) {
        let mut watch = Watch::new(seed);
        play(&mut watch, Step::Configure(first, templates, 0));
        steps.into_iter().for_each(|step| play(&mut watch, step));
        play(&mut watch, Step::Shutdown);
        end.into_iter().for_each(|step| play(&mut watch, step));
    }

    /// However it began, an engine whose provider and sinks work again comes to rest with everything fresh.
    #[test]
    fn everything_is_fresh_and_delivered_again_once_all_works(
        seed in any::<u64>(),
        first in prop::collection::vec(prop::option::weighted(0.9, plans()), 4),
        templates in templates(),
        steps in prop::collection::vec(steps(), 1..60),
    ) {
        let mut watch = Watch::new(seed);
        play(&mut watch, Step::Configure(first, templates, 0));
        steps.into_iter().for_each(|step| play(&mut watch, step));
        for name in NAMES {
            watch.handle(Event::CredentialChanged { account: id(name), change: CredentialChange::Secret });
        }
        let until = watch.now.boot.plus(Duration::from_secs(16 * 3_600));
        while watch.now.boot < until {
            while !watch.issues.is_empty() {
                watch.answer(0, Outcome::Token(Duration::from_secs(40_000)));
            }
            while !watch.writes.is_empty() {
                watch.write(0, Write::Works);
            }
            while !watch.runs.is_empty() {
                watch.notify(0, true);
            }
            let span = watch.engine.next_wake(watch.now).unwrap_or(Duration::from_secs(9_999));
            watch.pass(span.max(Duration::from_millis(1)));
        }
        while watch.engine.is_busy() {
            watch.answer(0, Outcome::Token(Duration::from_secs(40_000)));
            watch.write(0, Write::Works);
            watch.notify(0, true);
            watch.pass(Duration::from_millis(250)); // hooks are told
        }
        let on_server = |view: &super::AccountView<'_>| {
            view.alive && view.targets.iter().any(|target| **target.id == *"2")
        };
        if watch.engine.views(watch.now).any(|view| on_server(&view)) {
            prop_assert_eq!(watch.engine.servers(watch.now).count(), 0);
        }
        for template in watch.engine.templates(watch.now) {
            let now = watch.now;
            let lives = |name: &crate::domain::AccountId| {
                watch.engine.view(name.as_str(), now).is_some_and(|view| view.alive)
            };
            if template.members.iter().all(lives) {
                prop_assert_eq!(template.state, crate::domain::SinkState::Written, "{:?}", template);
            }
        }
        for (id, set) in &watch.engine.sets {
            // What nobody can renew is not written where that failed before its end, and not told where that came late: a
            // target or a hook may owe it for ever.
            let ended = |name: &crate::domain::AccountId| {
                watch.engine.view(name.as_str(), watch.now).is_some_and(|view| !view.alive)
            };
            let owes = !set.owing.is_empty() || set.late;
            let owed = matches!(id, super::SetId::Account(name) if ended(name)) && owes;
            prop_assert!(set.noted == set.due.0 || owed, "{:?} {:?}", id, set);
        }
        for view in watch.engine.views(watch.now) {
            if watch.plan.accounts[view.name].can_issue {
                prop_assert!(view.alive && view.error.is_none(), "{view:?}");
                let noted = watch.engine.sets.get(&super::SetId::Account(view.name.clone())).map(|set| set.noted);
                prop_assert!(noted.is_none_or(|noted| Some(noted) == view.token.map(|token| token.generation.0)));
                for target in &view.targets {
                    prop_assert_eq!(target.generation, view.token.map(|token| token.generation));
                }
            }
        }
    }
}
