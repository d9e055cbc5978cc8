//! How the engine behaves, one event after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod edges;
mod hosts;
mod keys;
mod reloads;
mod returns;
mod stored;
mod verification;
mod wishes;

use super::plan::tests::plan;
use super::*;
use crate::config::model::{Calendar, Limit};
use crate::domain::{
    AccountId, AccountState, BootInstant, ErrorClass, Generation, Now, Timestamp, TokenMeta,
};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn id(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

pub(super) fn target(path: &str) -> TargetPlan {
    TargetPlan {
        id: path.into(),
        look: 0,
        remove_expired: false,
        delete_on_remove: false,
        server: None,
        compare_every: None,
    }
}

/// An engine, both clocks, and what is out.
#[derive(Clone)]
struct Bench {
    engine: Engine,
    now: Now,
    issues: Vec<Issue>,
    /// Deliveries and withdrawals.
    writes: Vec<(TargetId, u64)>,
    others: Vec<Effect>,
}

impl Bench {
    fn new(accounts: &[(&str, AccountPlan)]) -> Self {
        Self::restored(accounts, BTreeMap::new())
    }

    fn restored(accounts: &[(&str, AccountPlan)], restored: BTreeMap<AccountId, Restored>) -> Self {
        let now = Now { wall: Timestamp::from_secs(1_700_000_000), boot: BootInstant(50_000_000) };
        let (issues, writes, others) = (Vec::new(), Vec::new(), Vec::new());
        let mut bench = Self { engine: Engine::new(7), now, issues, writes, others };
        bench.configure(accounts, restored);
        bench
    }

    fn configure(&mut self, accounts: &[(&str, AccountPlan)], restored: BTreeMap<AccountId, Restored>) {
        let accounts = accounts.iter().map(|(name, plan)| (id(name), plan.clone())).collect();
        let plan = Plan { accounts, ..Plan::default() };
        let (touched, marks) = (BTreeSet::new(), BTreeMap::new());
        self.handle(Event::Configured { plan, restored, touched, marks });
    }

    fn handle(&mut self, event: Event) {
        for effect in self.engine.handle(event, self.now) {
            match effect {
                Effect::Issue(issue) => self.issues.push(issue),
                Effect::Deliver { target, revision, .. } | Effect::Withdraw { target, revision } => {
                    self.writes.push((target, revision));
                }
                other => self.others.push(other),
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span).into();
        self.handle(Event::Tick);
    }

    fn step_wall(&mut self, secs: i64) {
        self.now.wall = Timestamp::from_millis(self.now.wall.as_millis() + secs * 1000);
        self.handle(Event::Tick);
    }

    /// The only request that is out ends with a token of `life` from when it is answered.
    fn grant(&mut self, life: Duration) -> TokenMeta {
        let sent = self.now.wall;
        self.grant_sent(sent, life)
    }

    fn grant_sent(&mut self, issued_at: Timestamp, life: Duration) -> TokenMeta {
        let issue = self.issues.pop().unwrap();
        let token = TokenMeta { generation: issue.generation, issued_at, expires_at: issued_at.plus(life) };
        let meta = IssuedMeta {
            token,
            admission: Admission::Promoted,
            refresh: None,
            owner: None,
            unverified: None,
        };
        self.handle(Event::Issued { account: issue.account, epoch: issue.epoch, meta });
        token
    }

    fn same(&mut self, token: TokenMeta) {
        let issue = self.issues.pop().unwrap();
        let meta =
            IssuedMeta { token, admission: Admission::Same, refresh: None, owner: None, unverified: None };
        self.handle(Event::Issued { account: issue.account, epoch: issue.epoch, meta });
    }

    fn fail(&mut self, class: ErrorClass) {
        let issue = self.issues.pop().unwrap();
        let failure = FailureMeta {
            host_fault: class == ErrorClass::Transient,
            ..FailureMeta::new(class, class.to_string())
        };
        self.handle(Event::Failed { account: issue.account, epoch: issue.epoch, failure });
    }

    fn write(&mut self, held: u64) {
        let (target, revision) = self.writes.pop().unwrap();
        self.handle(Event::Delivered {
            target,
            revision,
            held: Some(vec![Generation(held)]),
            written: true,
            print: 0,
        });
    }

    fn view(&self, name: &str) -> AccountView<'_> {
        self.engine.view(name, self.now).unwrap()
    }

    /// How long until the account is asked for.
    fn next_ask(&self, name: &str) -> Duration {
        self.view(name).renew_at.unwrap().since(self.now.wall)
    }
}

#[test]
fn a_token_is_asked_for_renewed_at_its_lead_and_expires_on_either_clock() {
    let mut bench = Bench::new(&[("a", plan())]);
    assert_eq!(bench.view("a").state, AccountState::Pending);
    bench.grant(HOUR);
    assert_eq!(bench.view("a").state, AccountState::Fresh);
    let ask = bench.next_ask("a");
    assert!(ask >= HOUR - Duration::from_secs(1_440) && ask <= HOUR - Duration::from_secs(960), "{ask:?}");
    bench.pass(ask);
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.view("a").state, AccountState::Retrying);
    bench.step_wall(3_600);
    assert_eq!(bench.view("a").state, AccountState::Expired);
}

#[test]
fn a_clock_set_back_while_the_request_is_out_does_not_lengthen_the_tokens_life() {
    let mut bench = Bench::new(&[("a", plan())]);
    let sent = bench.now.wall;
    bench.step_wall(-10 * 365 * 86_400);
    bench.pass(Duration::from_secs(5));
    bench.grant_sent(sent, HOUR);
    assert!(bench.view("a").alive);
    assert!(bench.next_ask("a") < HOUR);
    bench.pass(HOUR - Duration::from_secs(5));
    assert!(!bench.view("a").alive);
}

#[test]
fn the_same_token_again_after_the_clock_was_set_back_keeps_its_end() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(HOUR);
    bench.step_wall(-30 * 86_400);
    bench.pass(Duration::from_secs(3_000));
    bench.same(token);
    assert!(bench.view("a").alive);
    assert!(bench.next_ask("a") <= Duration::from_secs(151));
    bench.pass(Duration::from_secs(600));
    assert!(!bench.view("a").alive);
}

#[test]
fn a_stored_token_from_the_future_lives_for_its_life_at_most_and_is_renewed_at_once() {
    let issued_at = Timestamp::from_secs(1_700_000_000 + 40 * 86_400);
    let token = TokenMeta { generation: Generation(4), issued_at, expires_at: issued_at.plus(HOUR) };
    let stored = Restored { token: Some(token), generation: Generation(4), ..Restored::default() };
    let mut bench = Bench::restored(&[("a", plan())], [(id("a"), stored)].into());
    assert_eq!(bench.issues.len(), 1);
    bench.fail(ErrorClass::Transient);
    bench.pass(HOUR);
    assert!(!bench.view("a").alive);
}

#[test]
fn the_same_token_near_its_end_is_asked_for_once_a_second_at_most() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(Duration::from_secs(10));
    bench.handle(Event::Asked { account: id("a") });
    bench.pass(Duration::from_millis(9_990));
    bench.same(token);
    let next = bench.next_ask("a");
    assert!(next >= Duration::from_secs(1) && next <= Duration::from_millis(1_010), "{next:?}");
}

#[test]
fn a_failure_of_another_kind_does_not_forget_refusals() {
    let mut bench = Bench::new(&[("a", plan())]);
    for _ in 0..3 {
        bench.fail(ErrorClass::Rejected);
        bench.pass(bench.next_ask("a"));
        bench.fail(ErrorClass::Transient);
        bench.pass(bench.next_ask("a"));
    }
    bench.fail(ErrorClass::Rejected);
    assert!(bench.next_ask("a") >= Duration::from_secs(1_800), "{:?}", bench.next_ask("a"));
}

#[test]
fn a_readers_complaint_counts_once_a_generation() {
    let mut bench = Bench::new(&[("a", plan())]);
    let token = bench.grant(HOUR);
    let complaint = |generation| Event::Invalidated { account: id("a"), generation: Generation(generation) };
    bench.handle(complaint(0));
    assert!(bench.issues.is_empty());
    bench.handle(complaint(1));
    bench.same(token);
    for _ in 0..5 {
        bench.handle(complaint(1));
    }
    assert!(bench.issues.is_empty(), "the vendor insists on that token");
}

#[test]
fn a_readers_complaint_does_not_hammer_a_provider_that_refuses() {
    let mut bench = Bench::new(&[("a", plan())]);
    bench.grant(HOUR);
    bench.handle(Event::Asked { account: id("a") });
    bench.fail(ErrorClass::Rejected);
    for _ in 0..5 {
        bench.handle(Event::Invalidated { account: id("a"), generation: Generation(1) });
    }
    assert!(bench.issues.is_empty());
}

#[test]
fn a_calendar_fires_again_after_the_clock_was_set_back() {
    let calendar = Calendar { expression: "0 0 4 * * *".to_owned(), timezone: "UTC".to_owned() };
    let mut bench = Bench::new(&[("a", AccountPlan { calendar: Some(calendar.clone()), ..plan() })]);
    bench.grant(20 * HOUR);
    let fire = |bench: &mut Bench| {
        let (calendar, scheduled) = (calendar.clone(), bench.now.wall);
        bench.handle(Event::CalendarFired { calendar, scheduled });
    };
    bench.pass(Duration::from_secs(60));
    bench.step_wall(365 * 86_400);
    bench.grant(20 * HOUR);
    bench.pass(Duration::from_secs(60));
    fire(&mut bench);
    bench.grant(20 * HOUR);
    fire(&mut bench);
    assert!(bench.issues.is_empty(), "it has been served");
    bench.step_wall(-365 * 86_400);
    bench.pass(Duration::from_secs(60));
    fire(&mut bench);
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn an_account_that_comes_back_while_its_old_request_is_out_uses_its_stored_token() {
    let mut bench = Bench::new(&[("a", plan())]);
    let (old, issued_at) = (bench.issues.pop().unwrap(), bench.now.wall);
    bench.configure(&[], BTreeMap::new());
    let token = TokenMeta { generation: Generation(4), issued_at, expires_at: issued_at.plus(HOUR) };
    let stored = Restored { token: Some(token), generation: Generation(4), ..Restored::default() };
    bench.configure(&[("a", plan())], [(id("a"), stored)].into());
    let token = TokenMeta { generation: Generation(1), ..token };
    let meta =
        IssuedMeta { token, admission: Admission::Promoted, refresh: None, owner: None, unverified: None };
    bench.handle(Event::Issued { account: id("a"), epoch: old.epoch, meta });
    assert!(bench.issues.is_empty());
    let view = bench.view("a");
    assert_eq!((view.generation, view.finished, view.asking), (Generation(4), 0, false));
    bench.pass(HOUR);
    assert_eq!(bench.issues.len(), 1);
}

#[test]
fn another_account_under_the_same_name_waits_for_the_old_request() {
    let mut bench = Bench::new(&[("a", plan())]);
    let other = AccountPlan { identity: Some(2), ..plan() };
    bench.configure(&[("a", other)], BTreeMap::new());
    assert_eq!(bench.issues.len(), 1);
    bench.fail(ErrorClass::Rejected);
    assert_eq!(bench.issues.len(), 1, "the new one's own");
    assert_eq!(bench.view("a").error, None);
}

#[test]
fn a_target_that_changes_its_look_while_it_is_written_is_written_again() {
    let account = |look| AccountPlan { targets: vec![TargetPlan { look, ..target("t") }], ..plan() };
    let mut bench = Bench::new(&[("a", account(1))]);
    bench.grant(HOUR);
    bench.configure(&[("a", account(2))], BTreeMap::new());
    assert_eq!(bench.writes.len(), 1, "one at a time");
    bench.write(1);
    assert_eq!(bench.writes.len(), 1, "once more with the new look");
    bench.write(1);
    assert!(bench.writes.is_empty());
    bench.handle(Event::TargetLost { target: "t".into() });
    bench.handle(Event::TargetLost { target: "t".into() });
    bench.write(1);
    assert_eq!(bench.writes.len(), 1, "it was lost while it was written");
}

#[test]
fn a_target_that_holds_a_newer_generation_than_was_asked_for_is_left_alone() {
    let mut bench = Bench::new(&[("a", AccountPlan { targets: vec![target("t")], ..plan() })]);
    bench.grant(HOUR);
    bench.write(2);
    assert!(bench.writes.is_empty());
}

#[test]
fn reloading_accounts_away_and_back_is_no_way_around_the_rate() {
    let names: Vec<String> = (0..30).map(|number| format!("a{number}")).collect();
    let accounts: Vec<(&str, AccountPlan)> = names.iter().map(|name| (name.as_str(), plan())).collect();
    let mut bench = Bench::new(&[]);
    let mut left = 0;
    for _ in 0..10 {
        bench.configure(&accounts, BTreeMap::new());
        while !bench.issues.is_empty() {
            left += 1;
            bench.fail(ErrorClass::Malformed);
        }
        bench.configure(&[], BTreeMap::new());
    }
    assert_eq!(left, 10);
}

#[test]
fn a_failed_refresh_falls_back_to_a_login_within_one_attempt() {
    let account = AccountPlan { can_refresh: true, min_interval: HOUR, ..plan() };
    let stored = Restored { refresh: Some(RefreshMeta { expires_at: None }), ..Restored::default() };
    let mut bench = Bench::restored(&[("a", account)], [(id("a"), stored)].into());
    assert_eq!(bench.issues[0].operation, Operation::Refresh);
    bench.fail(ErrorClass::Relogin);
    assert_eq!(bench.issues[0].operation, Operation::Issue);
    assert_eq!(bench.view("a").attempt, 0);
    bench.fail(ErrorClass::Transient);
    assert_eq!(bench.view("a").attempt, 1);
    assert!(bench.next_ask("a") >= HOUR - Duration::from_secs(1), "min_interval");
}

#[test]
fn nothing_is_asked_after_shutdown_but_what_is_out_is_delivered() {
    let account = AccountPlan { targets: vec![target("t")], ..plan() };
    let mut bench = Bench::new(&[("a", account), ("b", plan()), ("c", plan())]);
    assert_eq!(bench.issues.len(), 3);
    bench.handle(Event::Shutdown);
    bench.fail(ErrorClass::Config);
    assert_eq!(bench.view("c").attempt, 0, "it was never sent");
    bench.fail(ErrorClass::Transient);
    bench.grant(HOUR);
    assert_eq!(bench.writes.len(), 1);
    bench.write(1);
    assert!(!bench.engine.is_busy());
    for _ in 0..10 {
        bench.pass(HOUR);
        bench.handle(Event::Asked { account: id("a") });
    }
    assert!(bench.issues.is_empty());
}
