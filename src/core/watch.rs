//! An engine under watch, for tests: after every event each invariant of the engine is looked at.

mod delivery;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::account::Phase;
use super::engine::{Engine, Flight, Key};
use super::plan::{HookId, Plan, SetId, TargetId};
use super::{
    Admission, Effect, Ending, Event, FailureMeta, Issue, IssuedMeta, Operation, RefreshMeta, Restored,
    Schedule,
};
use crate::domain::{AccountId, BootInstant, ErrorClass, Generation, Now, Timestamp, TokenMeta};

/// Nothing but a token's life or the user's `min_interval` may make an account wait longer than this.
const LONGEST: Duration = Duration::from_secs(7 * 3600);

/// The engine with what surrounds it: requests that are out, writes that are out, the store, the sinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch {
    pub(super) engine: Engine,
    pub(super) now: Now,
    pub(super) issues: Vec<(Issue, Now)>,
    /// Target, revision, and of whom; of nobody where it takes the token away.
    pub(super) writes: Vec<(TargetId, u64, Vec<AccountId>)>,
    /// Hooks that run: set, place, revision, mark.
    pub(super) runs: Vec<(SetId, HookId, u64, u64)>,
    /// What each hook knows, unless it has failed since.
    told: BTreeMap<(SetId, HookId), u64>,
    noted: BTreeMap<SetId, u64>,
    pub(super) plan: Plan,
    pub(super) stopped: bool,
    pub(super) store: BTreeMap<AccountId, Stored>,
    /// What each target holds: of each member whose, of which identity, and the generation.
    sinks: BTreeMap<TargetId, Vec<(AccountId, Option<u128>, Generation)>>,
}

/// How a write ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    Works,
    Fails,
    ServerAway,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stored {
    pub(super) token: Option<TokenMeta>,
    /// When the token really ends.
    ends: BootInstant,
    generation: Generation,
    refresh: Option<RefreshMeta>,
    owner: Option<u128>,
    schedule: Schedule,
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A new token, which is to be tried first.
    Candidate,
    /// A new token with that life.
    Token(Duration),
    /// The same token again, where there is one; else a new one of a minute.
    Same,
    /// A failure, the vendor's wish, and whether it counts against the host.
    Failure(ErrorClass, Option<Duration>),
}

impl Watch {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            engine: Engine::new(seed),
            now: Now { wall: Timestamp::from_secs(1_700_000_000), boot: BootInstant(50_000_000) },
            issues: Vec::new(),
            writes: Vec::new(),
            runs: Vec::new(),
            told: BTreeMap::new(),
            noted: BTreeMap::new(),
            plan: Plan::default(),
            stopped: false,
            store: BTreeMap::new(),
            sinks: BTreeMap::new(),
        }
    }

    pub(super) fn handle(&mut self, event: Event) -> usize {
        let before = self.engine.clone();
        let effects = self.engine.handle(event, self.now);
        let count = effects.len();
        for effect in effects {
            self.take(effect, &before);
        }
        self.check();
        count
    }

    pub(super) fn configure(&mut self, plan: Plan, touched: BTreeSet<AccountId>) {
        let restored = plan.accounts.iter().filter_map(|(name, plan)| {
            let stored = self.store.get(name)?;
            let ours = self.plan.accounts.get(name).is_none_or(|old| old.identity == plan.identity);
            let Schedule { attempt, rejected, next_try, last_request, error } = stored.schedule.clone();
            let (token, refresh) = (stored.token.filter(|_| ours), stored.refresh.filter(|_| ours));
            let generation = stored.generation;
            Some((
                name.clone(),
                Restored {
                    token,
                    generation,
                    refresh,
                    attempt,
                    rejected,
                    next_try,
                    last_request,
                    error,
                    owner: stored.owner,
                    ..Restored::default()
                },
            ))
        });
        let restored = restored.collect();
        let hooks = super::set::hooks_of(&plan);
        self.told.retain(|(set, hook), _| hooks.get(set).is_some_and(|hooks| hooks.contains(hook)));
        self.plan = plan.clone();
        let marks = self.noted.clone();
        self.handle(Event::Configured { plan, restored, touched, marks });
    }

    /// The same plan once more is no event at all.
    pub(super) fn reload(&mut self) {
        self.handle(Event::Tick);
        let before = self.engine.clone();
        let (plan, restored, touched) = (self.plan.clone(), BTreeMap::new(), BTreeSet::new());
        assert_eq!(
            self.handle(Event::Configured { plan, restored, touched, marks: BTreeMap::new() }),
            0,
            "effects of the same plan"
        );
        let mut after = self.engine.clone();
        for (name, host) in before.hosts.iter().filter(|(_, host)| host.is_idle(self.now)) {
            after.hosts.insert(name.clone(), host.clone());
        }
        assert_eq!(before, after, "the same plan changes nothing but hosts that nobody uses");
    }

    /// A request that is out ends.
    pub(super) fn answer(&mut self, which: usize, outcome: Outcome) {
        if self.issues.is_empty() {
            return;
        }
        let which = which % self.issues.len();
        let Issue { account, epoch, generation, .. } = self.issues[which].0.clone();
        let current = self.engine.accounts.get(&account).is_some_and(|current| current.epoch == epoch);
        if outcome == Outcome::Candidate && current {
            if self.stopped {
                self.issues.remove(which); // it is tried at the next start
            }
            self.handle(Event::Candidate { account, epoch, asked: true });
            return;
        }
        let (_, left) = self.issues.remove(which);
        let before = self.engine.accounts.get(&account).cloned();
        let event = match outcome {
            Outcome::Failure(class, wait) => {
                let stored = self.store.entry(account.clone()).or_default();
                let refresh = stored.refresh.filter(|_| class != ErrorClass::Relogin);
                stored.refresh = refresh;
                let host_fault = class == ErrorClass::Transient;
                let host_pause = class == ErrorClass::Throttled;
                let failure = FailureMeta {
                    wait,
                    host_fault,
                    host_pause,
                    refresh,
                    ..FailureMeta::new(class, "no".into())
                };
                Event::Failed { account: account.clone(), epoch, failure }
            }
            Outcome::Candidate => Event::Candidate { account: account.clone(), epoch, asked: true },
            Outcome::Token(_) | Outcome::Same => {
                let meta = self.issued(&account, generation, left, outcome, current);
                Event::Issued { account: account.clone(), epoch, meta }
            }
        };
        self.handle(event);
        if !current && let (Some(before), Some(after)) = (before, self.engine.accounts.get(&account)) {
            assert_eq!((before.token, before.generation), (after.token, after.generation), "a stale result");
            // Its successor may go on, and find that it has nothing to ask with.
            let failed = after.error != before.error || after.attempt != before.attempt;
            assert!(!failed || after.operation(self.now).is_none(), "a stale result: {before:?} {after:?}");
        }
    }

    fn issued(
        &mut self,
        account: &AccountId,
        generation: Generation,
        left: Now,
        outcome: Outcome,
        current: bool,
    ) -> IssuedMeta {
        let stored = self.store.entry(account.clone()).or_default();
        let life = match outcome {
            Outcome::Token(life) => life,
            _ => Duration::from_secs(60),
        };
        let (token, admission) = match stored.token.filter(|_| outcome == Outcome::Same) {
            Some(token) => (token, Admission::Same),
            None => (
                TokenMeta { generation, issued_at: left.wall, expires_at: left.wall.plus(life) },
                Admission::Promoted,
            ),
        };
        let owner = self.plan.accounts.get(account).and_then(|plan| plan.owner);
        if current {
            if admission == Admission::Promoted {
                assert!(generation > stored.generation, "generations strictly increase");
                stored.ends = left.boot.plus(life);
                stored.generation = generation;
                stored.token = Some(token);
            }
            stored.schedule = Schedule { last_request: stored.schedule.last_request, ..Schedule::default() };
            (stored.refresh, stored.owner) = (Some(RefreshMeta { expires_at: None }), owner);
        }
        IssuedMeta { token, admission, refresh: stored.refresh, owner, unverified: None }
    }

    /// Both clocks go on.
    pub(super) fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span).into();
        self.handle(Event::Tick);
    }

    pub(super) fn pass_to_wake(&mut self) {
        if let Some(span) = self.engine.next_wake(self.now) {
            self.pass(span);
        }
    }

    pub(super) fn step_wall(&mut self, secs: i64) {
        self.now.wall = Timestamp::from_millis(self.now.wall.as_millis().saturating_add(secs * 1000));
        self.handle(Event::Tick);
    }

    pub(super) fn shut_down(&mut self) {
        self.stopped = true;
        self.handle(Event::Shutdown);
    }

    fn take(&mut self, effect: Effect, before: &Engine) {
        match effect {
            Effect::Issue(issue) => {
                assert!(!self.stopped, "nothing is issued after shutdown");
                assert!(self.plan.accounts.contains_key(&issue.account), "only accounts of the plan ask");
                let out = self.issues.iter().any(|(other, _)| other.account == issue.account);
                assert!(!out, "one request an account: {issue:?}");
                assert!(!issue.timeout.is_zero() && issue.timeout <= Duration::from_secs(30));
                assert!(issue.intent.attempt > 0 && issue.intent.last_request == Some(self.now.wall));
                if issue.operation == Operation::Refresh {
                    let account = self.engine.accounts.get(&issue.account).unwrap();
                    assert!(account.refresh.is_some(), "nothing to spend");
                    assert!(!account.is_foreign() || !account.plan.can_issue, "spent under another key");
                }
                self.store.entry(issue.account.clone()).or_default().schedule = issue.intent.clone();
                self.issues.push((issue, self.now));
            }
            Effect::Remember { account, schedule } => {
                self.store.entry(account).or_default().schedule = schedule;
            }
            Effect::Disown { account } => {
                let stored = self.store.entry(account).or_default();
                (stored.token, stored.refresh) = (None, None);
            }
            Effect::DropRefresh { account } => self.store.entry(account).or_default().refresh = None,
            Effect::Deliver { target, revision } => {
                assert!(!self.writes.iter().any(|(other, ..)| *other == target), "one write a target");
                let members = self.engine.targets.get(&target).unwrap().members.clone();
                assert!(!members.is_empty());
                self.writes.push((target, revision, members));
            }
            Effect::Withdraw { target, revision } => {
                assert!(!self.writes.iter().any(|(other, ..)| *other == target), "one write a target");
                assert!(!self.engine.targets.get(&target).unwrap().template);
                self.writes.push((target, revision, Vec::new()));
            }
            Effect::Notify { set, hook, revision, mark, targets } => {
                self.told_of(set, hook, revision, mark, &targets);
            }
            Effect::Marked { set, mark } => self.marked(set, mark),
            Effect::Retire { target, .. } => {
                assert!(before.targets.contains_key(&target) && !self.engine.targets.contains_key(&target));
                assert!(!self.writes.iter().any(|(other, ..)| *other == target), "retired amid a write");
                self.sinks.remove(&target);
            }
            Effect::Verify { account, epoch, generation, protected } => {
                assert!(!self.stopped, "nothing is tried after shutdown");
                let lives = self.engine.view(account.as_str(), self.now).is_some_and(|view| view.alive);
                assert_eq!(lives, protected);
                let out = self.issues.iter().find(|(issue, _)| issue.account == account);
                let (issue, _) = out.expect("only what was issued is tried");
                assert_eq!((issue.epoch, issue.generation), (epoch, generation));
            }
            Effect::Knock { .. } => assert!(!self.stopped, "nobody knocks after shutdown"),
            Effect::EndVerify { account, ending } => {
                assert!(self.engine.flights.get(&account).is_some_and(|flight| flight.verifying));
                let lives = self.engine.view(account.as_str(), self.now).is_some_and(|view| view.alive);
                assert_eq!(ending, if self.stopped { Ending::Keep } else { Ending::Use });
                assert!(self.stopped || !lives, "a living token is protected");
            }
            Effect::Forget { .. } | Effect::Say(_) => {}
        }
    }

    /// Everything that must be true between two events.
    fn check(&self) {
        let engine = &self.engine;
        let names = |issues: &[(Issue, Now)]| -> BTreeSet<AccountId> {
            issues.iter().map(|(issue, _)| issue.account.clone()).collect()
        };
        assert_eq!(engine.flights.keys().cloned().collect::<BTreeSet<_>>(), names(&self.issues), "flights");
        assert!(engine.accounts.keys().eq(self.plan.accounts.keys()));
        let busy = [self.issues.is_empty(), self.writes.is_empty(), self.runs.is_empty()].contains(&false);
        assert_eq!(engine.is_busy(), busy);
        assert_ne!(engine.next_wake(self.now), Some(Duration::ZERO), "what is due has been done");
        engine.accounts.keys().for_each(|name| self.check_account(name));
        engine.targets.keys().for_each(|target| self.check_target(target));
        for (name, host) in engine.hosts.iter() {
            let at = |flight: &&Flight| flight.host == *name && !flight.verifying;
            let flights = || engine.flights.values().filter(at);
            let stalled = flights().filter(|flight| flight.stalled).count();
            assert_eq!((host.active as usize, host.stalled as usize), (flights().count() - stalled, stalled));
            assert!(host.active <= host.limit.concurrency.max(4), "places");
            for (account, place) in host.queued() {
                let known = engine.accounts.get(account).unwrap();
                assert_eq!((known.phase, &known.plan.host), (Phase::Queued(place), name), "queue entries");
            }
            if host.queued().next().is_some() && !self.stopped {
                let timer = engine.timers.at(&Key::Host(name.clone())).is_some();
                assert!(timer || flights().next().is_some(), "a queue that nobody looks at: {name}");
            }
        }
        self.check_servers();
        self.check_sets();
        for key in engine.timers.keys() {
            let known = match key {
                Key::Ask(name) => engine
                    .accounts
                    .get(name)
                    .is_some_and(|account| !matches!(account.phase, Phase::Queued(_))),
                Key::Expiry(name) => engine.accounts.contains_key(name),
                Key::Stall(name) => engine.flights.get(name).is_some_and(|flight| !flight.verifying),
                Key::Host(name) => engine.hosts.contains_key(name),
                Key::Target(id) => engine.targets.get(id).is_some_and(|target| !target.leaving),
                Key::Slow(id) => engine.targets.get(id).is_some_and(|target| target.in_flight),
                Key::Retire(id) => engine.targets.get(id).is_some_and(|target| target.leaving),
                Key::Compare(id) => engine.targets.get(id).is_some_and(|target| !target.leaving),
                Key::Server(name) => engine.servers.get(name).is_some_and(|server| server.away.is_some()),
                Key::Knock(name) => engine.knocking.contains_key(name),
                Key::Notify(set) => engine.sets.contains_key(set),
                Key::Hook(set, hook) => {
                    engine.sets.get(set).is_some_and(|set| set.hooks.iter().any(|known| known.id == *hook))
                }
            };
            assert!(known, "a timer of nothing: {key:?}");
        }
    }

    fn check_account(&self, name: &AccountId) {
        let engine = &self.engine;
        let account = engine.accounts.get(name).unwrap();
        let ask = engine.timers.at(&Key::Ask(name.clone()));
        match account.phase {
            Phase::Asking => assert!(engine.flights.contains_key(name), "{name} asks nobody"),
            Phase::Queued(place) => {
                let host = engine.hosts.get(&account.plan.host).unwrap();
                assert!(host.queued().any(|queued| queued == (name, place)), "{name} is in no queue");
                assert_eq!(ask, None);
            }
            Phase::Idle => assert!(ask.is_some() || self.stopped, "{name} has no deadline"),
        }
        assert_eq!(account.phase == Phase::Asking, engine.flights.contains_key(name));
        let life = account.token.map_or(Duration::ZERO, |held| held.meta.lifetime());
        let longest = LONGEST.max(life).max(account.plan.min_interval);
        let waits = ask.map_or(Duration::ZERO, |deadline| deadline.left(self.now));
        assert!(waits <= longest, "{name} waits {waits:?}");
        let view = engine.view(name.as_str(), self.now).unwrap();
        assert_eq!(view.asking, account.phase == Phase::Asking);
        if view.alive {
            assert!(engine.timers.at(&Key::Expiry(name.clone())).is_some(), "{name} would not expire");
            let held = account.token.unwrap();
            if let Some(stored) = self.store.get(name).filter(|_| held.known) {
                assert!(stored.ends > self.now.boot, "{name} seems to live");
            }
        }
        assert!(account.token.is_none_or(|held| held.meta.generation <= account.generation));
    }
}
