//! Every state that a small engine can reach in a few events, breadth first: two accounts on one host, a target each,
//! one request at a time. The invariants of [`super::watch`] hold in each.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::behaviour::{id, target};
use super::plan::tests::plan;
use super::watch::{Outcome, Watch, Write};
use super::{AccountPlan, CredentialChange, Event, Plan};
use crate::config::model::Limit;
use crate::domain::{ErrorClass, Generation};

/// Everything that may happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Answer(Outcome),
    Write(Write),
    Notified(bool),
    ToWake,
    ClockBack,
    ClockAhead,
    Asked,
    Invalidated,
    NewPassword,
    OtherIdentity,
    Lost,
    Remove,
    Restore,
    Enrich,
    Reload,
    Shutdown,
}

const TOKEN: Step = Step::Answer(Outcome::Token(Duration::from_secs(30)));
const CANDIDATE: Step = Step::Answer(Outcome::Candidate);
const FAULT: Step = Step::Answer(Outcome::Failure(ErrorClass::Transient, None));
const THROTTLED: Step = Step::Answer(Outcome::Failure(ErrorClass::Throttled, Some(Duration::from_secs(9))));
const REFUSED: Step = Step::Answer(Outcome::Failure(ErrorClass::Rejected, None));
const UNSENT: Step = Step::Answer(Outcome::Failure(ErrorClass::Config, None));

fn accounts(names: &[&str]) -> Plan {
    let limit = Limit { period: Some(Duration::from_secs(1)), burst: 1, concurrency: 1 };
    let targets = |name: &str| vec![super::TargetPlan { remove_expired: true, ..target(name) }];
    let account = |name| AccountPlan { limit, targets: targets(name), ..plan() };
    Plan { accounts: names.iter().map(|name| (id(name), account(name))).collect(), ..Plan::default() }
}

/// The same with a template of both, whose hook is told, and all that `a` has on a server, and a hook for it.
fn richer(names: &[&str]) -> Plan {
    let mut plan = accounts(names);
    if let Some(account) = plan.accounts.get_mut(&id("a")) {
        account.hooks = vec![0];
        account.targets[0].server = Some("vault".into());
        account.targets[0].compare_every = Some(Duration::from_secs(600));
    }
    let members = vec![id("a"), id("b")];
    plan.templates.push(super::TemplatePlan { target: target("both"), members, hooks: vec![0] });
    plan
}

fn play(watch: &mut Watch, step: Step) {
    let account = id("a");
    match step {
        Step::Answer(outcome) => watch.answer(0, outcome),
        Step::Write(how) => watch.write(0, how),
        Step::Notified(works) => watch.notify(0, works),
        Step::ToWake => watch.pass_to_wake(),
        Step::ClockBack => watch.step_wall(-3_600),
        Step::ClockAhead => watch.step_wall(3_600),
        Step::Asked => drop(watch.handle(Event::Asked { account })),
        Step::Invalidated => drop(watch.handle(Event::Invalidated { account, generation: Generation(1) })),
        Step::NewPassword => {
            watch.handle(Event::CredentialChanged { account, change: CredentialChange::Secret });
        }
        Step::OtherIdentity => {
            if let Some(plan) = watch.plan.accounts.get_mut(&account) {
                plan.identity = Some(2);
            }
            let change = CredentialChange::Identity(2, Box::default());
            watch.handle(Event::CredentialChanged { account, change });
        }
        Step::Lost => drop(watch.handle(Event::TargetLost { target: "a".into() })),
        Step::Remove => watch.configure(accounts(&["b"]), BTreeSet::new()),
        Step::Restore => watch.configure(accounts(&["a", "b"]), BTreeSet::new()),
        Step::Enrich => watch.configure(richer(&["a", "b"]), BTreeSet::new()),
        Step::Reload => watch.reload(),
        Step::Shutdown => watch.shut_down(),
    }
}

fn fingerprint(watch: &Watch) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{watch:?}").hash(&mut hasher);
    hasher.finish()
}

/// Explores what `steps` can make of the engine, up to so many states; gives the depth that was reached.
fn explore(plan: &Plan, steps: &[Step], states: usize) -> usize {
    let mut first = Watch::new(7);
    first.configure(plan.clone(), BTreeSet::new());
    let mut seen = HashSet::from([fingerprint(&first)]);
    let mut level = vec![first];
    let mut depth = 0;
    while seen.len() < states && !level.is_empty() {
        depth += 1;
        let mut next = Vec::new();
        for (state, step) in level.iter().flat_map(|state| steps.iter().map(move |step| (state, step))) {
            let mut after = state.clone();
            play(&mut after, *step);
            if seen.insert(fingerprint(&after)) {
                play(&mut after.clone(), Step::Reload);
                next.push(after);
            }
            if seen.len() >= states {
                break;
            }
        }
        level = next;
    }
    depth
}

#[test]
fn the_invariants_hold_wherever_answers_and_failures_lead() {
    let steps =
        [TOKEN, Step::Answer(Outcome::Same), FAULT, THROTTLED, REFUSED, UNSENT, Step::ToWake, Step::Asked];
    assert!(explore(&accounts(&["a", "b"]), &steps, 3_000) >= 5);
}

#[test]
fn the_invariants_hold_wherever_verifications_lead() {
    let answers = [TOKEN, CANDIDATE, FAULT, UNSENT, Step::ToWake, Step::Asked];
    let changes = [Step::Remove, Step::Restore, Step::OtherIdentity, Step::NewPassword];
    assert!(explore(&accounts(&["a", "b"]), &[&answers[..], &changes].concat(), 3_000) >= 5);
}

#[test]
fn the_invariants_hold_wherever_writes_reloads_and_shutdown_lead() {
    let write = [TOKEN, Step::Write(Write::Works), Step::Write(Write::Fails), Step::Lost, Step::ToWake];
    let reload = [Step::Remove, Step::Restore, Step::OtherIdentity, Step::Shutdown];
    assert!(explore(&accounts(&["a", "b"]), &[&write[..], &reload].concat(), 3_000) >= 5);
}

#[test]
fn the_invariants_hold_wherever_clocks_and_credentials_lead() {
    let clocks =
        [TOKEN, FAULT, REFUSED, Step::Write(Write::Works), Step::ToWake, Step::ClockBack, Step::ClockAhead];
    let people = [Step::Asked, Step::Invalidated, Step::NewPassword];
    assert!(explore(&accounts(&["a", "b"]), &[&clocks[..], &people].concat(), 3_000) >= 5);
}

#[test]
fn the_invariants_hold_wherever_templates_servers_and_hooks_lead() {
    let (works, fails) = (Step::Write(Write::Works), Step::Write(Write::Fails));
    let writes = [TOKEN, FAULT, works, fails, Step::Write(Write::ServerAway), Step::ToWake];
    let hooks = [Step::Notified(true), Step::Notified(false), Step::Restore, Step::Enrich, Step::Shutdown];
    assert!(explore(&richer(&["a", "b"]), &[&writes[..], &hooks].concat(), 2_000) >= 5);
}
