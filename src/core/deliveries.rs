//! How templates, servers and hooks behave, one event after the other.

mod away;
mod hooks;
mod late;
mod marks;
mod mended;
mod owing;
mod servers;
mod templates;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::behaviour::{id, target};
use super::plan::tests::plan;
use super::*;
use crate::domain::TokenMeta;
use crate::domain::{
    AccountId, BootInstant, ErrorClass, Generation, HookState, Lack, Now, SinkState, Timestamp,
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const DEBOUNCE: Duration = Duration::from_millis(250);

struct Bench {
    engine: Engine,
    now: Now,
    plan: Plan,
    issues: Vec<Issue>,
    writes: Vec<(TargetId, u64)>,
    hooks: Vec<(SetId, HookId, u64, u64)>,
    /// What the last hook was told of where its mark stands.
    named: Vec<TargetId>,
    marked: Vec<(SetId, u64)>,
    said: Vec<Note>,
    knocks: Vec<(TargetId, AccountId)>,
}

impl Bench {
    fn new(accounts: &[(&str, AccountPlan)], templates: Vec<TemplatePlan>) -> Self {
        Self::restored(accounts, templates, BTreeMap::new(), BTreeMap::new())
    }

    fn restored(
        accounts: &[(&str, AccountPlan)],
        templates: Vec<TemplatePlan>,
        restored: BTreeMap<AccountId, Restored>,
        marks: BTreeMap<SetId, u64>,
    ) -> Self {
        let now = Now { wall: Timestamp::from_secs(1_700_000_000), boot: BootInstant(50_000_000) };
        let plan = Plan {
            accounts: accounts.iter().map(|(name, plan)| (id(name), plan.clone())).collect(),
            templates,
        };
        let mut bench = Self {
            engine: Engine::new(7),
            now,
            plan,
            issues: Vec::new(),
            writes: Vec::new(),
            hooks: Vec::new(),
            named: Vec::new(),
            marked: Vec::new(),
            said: Vec::new(),
            knocks: Vec::new(),
        };
        bench.configure(restored, marks);
        bench
    }

    fn configure(&mut self, restored: BTreeMap<AccountId, Restored>, marks: BTreeMap<SetId, u64>) {
        let (plan, touched) = (self.plan.clone(), BTreeSet::new());
        self.handle(Event::Configured { plan, restored, touched, marks });
    }

    fn handle(&mut self, event: Event) {
        for effect in self.engine.handle(event, self.now) {
            match effect {
                Effect::Issue(issue) => self.issues.push(issue),
                Effect::Deliver { target, revision } | Effect::Withdraw { target, revision } => {
                    self.writes.push((target, revision));
                }
                Effect::Notify { set, hook, revision, mark, targets } => {
                    self.named = targets;
                    self.hooks.push((set, hook, revision, mark));
                }
                Effect::Marked { set, mark } => self.marked.push((set, mark)),
                Effect::Say(note) => self.said.push(note),
                Effect::Knock { server, account } => self.knocks.push((server, account)),
                _ => {}
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span).into();
        self.handle(Event::Tick);
    }

    /// The account's request ends with a token of that life; gives its generation.
    fn grant(&mut self, name: &str, life: Duration) -> u64 {
        let at = self.issues.iter().position(|issue| issue.account.as_str() == name).unwrap();
        let issue = self.issues.remove(at);
        let generation = issue.generation;
        let token = TokenMeta { generation, issued_at: self.now.wall, expires_at: self.now.wall.plus(life) };
        let meta = IssuedMeta {
            token,
            admission: Admission::Promoted,
            refresh: None,
            owner: None,
            unverified: None,
        };
        self.handle(Event::Issued { account: issue.account, epoch: issue.epoch, meta });
        generation.0
    }

    fn renew(&mut self, name: &str) -> u64 {
        self.handle(Event::Asked { account: id(name) });
        self.grant(name, HOUR)
    }

    fn fail(&mut self, name: &str) {
        let at = self.issues.iter().position(|issue| issue.account.as_str() == name).unwrap();
        let issue = self.issues.remove(at);
        let failure = FailureMeta::new(ErrorClass::Malformed, "no".to_owned());
        self.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    }

    fn take_write(&mut self, name: &str) -> (TargetId, u64) {
        let at = self.writes.iter().position(|(target, _)| **target == *name);
        self.writes.remove(at.unwrap_or_else(|| panic!("{name} is not written: {:?}", self.writes)))
    }

    fn write(&mut self, name: &str, held: &[u64], print: u64) {
        let (target, revision) = self.take_write(name);
        let held = Some(held.iter().map(|held| Generation(*held)).collect());
        self.handle(Event::Delivered { target, revision, held, written: true, print });
    }

    fn unchanged(&mut self, name: &str, held: &[u64]) {
        let (target, revision) = self.take_write(name);
        let held = Some(held.iter().map(|held| Generation(*held)).collect());
        self.handle(Event::Delivered { target, revision, held, written: false, print: 0 });
    }

    fn refuse(&mut self, name: &str, server_away: bool) {
        let (target, revision) = self.take_write(name);
        let message = if server_away { "connection refused" } else { "permission denied" }.to_owned();
        self.handle(Event::Undelivered {
            target,
            revision,
            message,
            server_away,
            class: ErrorClass::Transient,
        });
    }

    /// The only hook that runs ends; gives the mark that it was told.
    fn hook(&mut self, result: Result<(), String>) -> u64 {
        assert_eq!(self.hooks.len(), 1, "{:?}", self.hooks);
        let (set, hook, revision, mark) = self.hooks.remove(0);
        let class = ErrorClass::Transient;
        let result = result.map_err(|message| HookFailure { class, message });
        self.handle(Event::Notified { set, hook, revision, result });
        mark
    }

    fn named(&self) -> Vec<&str> {
        self.named.iter().map(|target| &**target).collect()
    }

    fn template(&self) -> TemplateView<'_> {
        self.engine.templates(self.now).next().unwrap()
    }

    fn until_write(&mut self) -> Duration {
        let began = self.now.boot;
        while self.writes.is_empty() {
            let span = self.engine.next_wake(self.now).unwrap().max(Duration::from_millis(1));
            self.pass(span);
        }
        self.now.boot.since(began)
    }
}

fn template(members: &[&str], hooks: HookId) -> TemplatePlan {
    let members = members.iter().map(|name| id(name)).collect();
    TemplatePlan { target: target("t"), members, hooks: (0..hooks).collect() }
}

fn with(targets: &[&str], hooks: HookId) -> AccountPlan {
    let targets = targets.iter().map(|name| target(name)).collect();
    AccountPlan { targets, hooks: (0..hooks).collect(), ..plan() }
}

fn on_vault(name: &str) -> TargetPlan {
    let (server, compare_every) = (Some("vault".into()), Some(Duration::from_secs(600)));
    TargetPlan { server, compare_every, ..target(name) }
}

/// So many accounts with a token and a vault sink each, whose first writes are out or wait.
fn vault_of(count: usize) -> Bench {
    let names: Vec<String> = (0..count).map(|number| format!("a{number:03}")).collect();
    let limit = crate::config::model::Limit { period: None, burst: 1, concurrency: 1_000 };
    let account = |name: &str| AccountPlan { targets: vec![on_vault(name)], limit, ..plan() };
    let accounts: Vec<(&str, AccountPlan)> =
        names.iter().map(|name| (name.as_str(), account(name))).collect();
    let mut bench = Bench::new(&accounts, Vec::new());
    for (number, name) in names.iter().enumerate() {
        bench.grant(name, HOUR * 9 + SECOND * u32::try_from(number).unwrap());
    }
    bench
}

fn stored(ends_in: i64) -> Restored {
    let issued_at = Timestamp::from_secs(1_700_000_000 - 4_000);
    let expires_at = Timestamp::from_secs(1_700_000_000 + ends_in);
    let token = TokenMeta { generation: Generation(4), issued_at, expires_at };
    Restored { token: Some(token), generation: Generation(4), ..Restored::default() }
}

fn account_set(name: &str) -> SetId {
    SetId::Account(id(name))
}

#[test]
fn what_readers_hold_is_known_after_a_failed_write_until_something_else_stands_there() {
    let mut bench = Bench::new(&[("a", with(&["f"], 0))], Vec::new());
    bench.grant("a", HOUR);
    bench.write("f", &[1], 1);
    let first = bench.now.wall.plus(HOUR);
    bench.pass(SECOND * 600);
    bench.renew("a");
    bench.refuse("f", false);
    let seen = |bench: &Bench| {
        let view = bench.engine.view("a", bench.now).unwrap();
        let held = view.targets[0].held.map(|held| (held.token.expires_at, held.left, held.outdated));
        (view.targets[0].state, view.targets[0].generation, held)
    };
    let left = HOUR - SECOND * 600;
    assert_eq!(seen(&bench), (SinkState::Failed, Some(Generation(1)), Some((first, left, true))));
    bench.handle(Event::TargetLost { target: "f".into() });
    assert_eq!(seen(&bench), (SinkState::Failed, None, None), "nobody knows any more");
    bench.until_write();
    bench.write("f", &[2], 1);
    let second = first.plus(SECOND * 600);
    let (state, generation, held) = seen(&bench);
    assert_eq!((state, generation), (SinkState::Written, Some(Generation(2))));
    assert!(held.is_some_and(|(end, _, outdated)| end == second && !outdated), "{held:?}");
}
