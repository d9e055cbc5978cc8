//! The engine in virtual time: a made-up world of accounts, hosts and outages around the very engine that runs in
//! the agent. `renewd simulate` shows what comes out; the tests hold the promises against it.

mod scenario;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

pub use self::scenario::{Fault, Scenario};
use super::effect::{Effect, Issue, Note, Schedule};
use super::event::{Event, FailureMeta, IssuedMeta, Restored};
use super::plan::{AccountPlan, Plan};
use super::tally::Tally;
pub use super::tally::{Report, Request, Verdict};
use super::{Admission, Engine, admit};
use crate::config::definition::OldToken;
use crate::domain::{AccountId, BootInstant, ErrorClass, Generation, Now, Timestamp, TokenMeta};

/// The agent looks at both clocks at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(15);
/// When the world begins: 2025-01-01.
const START: Now =
    Now { wall: Timestamp::from_millis_const(1_735_689_600_000), boot: BootInstant(100_000_000) };

/// Lets the world of `scenario` happen. The same scenario always gives the same report.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    while world.step() {}
    world.report()
}

/// The engine and what surrounds it.
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    pub(super) engine: Engine,
    pub(super) accounts: Vec<Stored>,
    /// Milliseconds since the beginning.
    pub(super) at: u64,
    /// What someone has added to the wall clock.
    offset: i64,
    /// The agent's sleep ends.
    wake: Option<u64>,
    coming: BinaryHeap<Reverse<(u64, u64, Coming)>>,
    count: u64,
    /// Counts the agent's lives: a reply to an earlier one is nobody's.
    life: u32,
    tally: Tally,
}

/// What the store and the provider know of an account.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) name: Option<AccountId>,
    host: u32,
    pub(super) token: Option<TokenMeta>,
    generation: Generation,
    schedule: Schedule,
    /// When the current token really ends, in milliseconds since the beginning.
    pub(super) ends: Option<u64>,
    /// By the wall clock, when the next request was to leave.
    due: Option<Timestamp>,
}

/// What will happen by itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    Step(i64),
    Suspend(u64),
    Restart,
    NewCredentials,
    Reply {
        life: u32,
        account: u32,
        epoch: u64,
        sent: u64,
        sent_wall: Timestamp,
        verdict: Verdict,
        keep: bool,
    },
}

impl<'a> World<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let accounts = (0..scenario.accounts).map(|index| Stored {
            name: AccountId::new(&format!("a{index:07}")).ok(),
            host: index % scenario.hosts.max(1),
            ..Stored::default()
        });
        let mut world = Self {
            scenario,
            engine: Engine::new(scenario.seed),
            accounts: accounts.collect(),
            at: 0,
            offset: 0,
            wake: None,
            coming: BinaryHeap::new(),
            count: 0,
            life: 0,
            tally: Tally::new(scenario),
        };
        scenario.steps.iter().for_each(|(at, by)| world.comes(millis(*at), Coming::Step(*by)));
        scenario
            .suspends
            .iter()
            .for_each(|(at, span)| world.comes(millis(*at), Coming::Suspend(millis(*span))));
        scenario.restarts.iter().for_each(|at| world.comes(millis(*at), Coming::Restart));
        scenario.new_credentials.iter().for_each(|at| world.comes(millis(*at), Coming::NewCredentials));
        world.configure();
        world
    }

    /// Both clocks as the agent reads them.
    pub(super) fn now(&self) -> Now {
        let wall = START.wall.as_millis().saturating_add_unsigned(self.at).saturating_add(self.offset);
        Now { wall: Timestamp::from_millis(wall), boot: BootInstant(START.boot.0 + self.at) }
    }

    /// Goes on to the next thing that happens; false at the end of the world.
    pub(super) fn step(&mut self) -> bool {
        let coming = self.coming.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
        let next = coming.min(self.wake.unwrap_or(u64::MAX));
        if next > millis(self.scenario.duration) {
            self.at = millis(self.scenario.duration);
            return false;
        }
        self.at = self.at.max(next);
        if next < coming {
            self.handle(Event::Tick);
        } else if let Some(Reverse((_, _, coming))) = self.coming.pop() {
            self.happen(coming);
        }
        true
    }

    pub(super) fn report(mut self) -> Report {
        let at = self.at;
        for stored in &self.accounts {
            self.tally.ends(stored.ends, at);
        }
        self.tally.report(at)
    }

    fn comes(&mut self, at: u64, coming: Coming) {
        self.count += 1;
        self.coming.push(Reverse((at, self.count, coming)));
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Step(by) => self.offset += by,
            Coming::Suspend(span) => {
                self.at += span;
                self.wake = self.wake.map(|wake| wake + span); // the sleep's clock stands still, too
            }
            Coming::Restart => {
                self.engine = Engine::new(self.scenario.seed);
                self.life += 1;
                self.configure();
            }
            Coming::NewCredentials => {
                for index in 0..self.accounts.len() {
                    if let Some(account) = self.accounts[index].name.clone() {
                        let change = super::CredentialChange::Secret;
                        self.handle(Event::CredentialChanged { account, change });
                    }
                }
            }
            Coming::Reply { life, account, epoch, sent, sent_wall, verdict, keep } => {
                if life == self.life {
                    self.reply(account, epoch, (sent, sent_wall), verdict, keep);
                }
            }
        }
    }

    fn configure(&mut self) {
        let hosts: Vec<Arc<str>> =
            (0..self.scenario.hosts.max(1)).map(|host| format!("host{host}:443").into()).collect();
        let provider: Arc<str> = "simulated".into();
        let mut plan = Plan::default();
        let mut restored = BTreeMap::new();
        for stored in &self.accounts {
            let Some(name) = stored.name.clone() else { continue };
            let account = AccountPlan {
                provider: provider.clone(),
                identity: Some(1),
                owner: None,
                host: hosts[stored.host as usize].clone(),
                limit: self.scenario.limit,
                lead: self.scenario.lead,
                calendar: None,
                min_interval: Duration::ZERO,
                documented_interval: false,
                reuse_window: None,
                timeout: Duration::from_secs(30),
                old_token: self.scenario.old_token,
                can_issue: true,
                can_refresh: false,
                single_use: false,
                targets: Vec::new(),
                hooks: Vec::new(),
                verify: false,
            };
            plan.accounts.insert(name.clone(), account);
            let Schedule { attempt, rejected, next_try, last_request, error } = stored.schedule.clone();
            let (token, generation) = (stored.token, stored.generation);
            let account = Restored {
                token,
                age: None,
                generation,
                refresh: None,
                attempt,
                rejected,
                next_try,
                last_request,
                error,
                owner: None,
                unverified: None,
                untried: false,
            };
            restored.insert(name, account);
        }
        self.handle(Event::Configured { plan, restored, touched: BTreeSet::new(), marks: BTreeMap::new() });
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        self.tally.events += 1;
        for effect in self.engine.handle(event, now) {
            match effect {
                Effect::Issue(issue) => self.ask(issue, now),
                Effect::Remember { account, schedule } => {
                    if let Some(stored) = self.accounts.get_mut(index(&account)) {
                        stored.schedule = schedule;
                    }
                }
                Effect::Say(
                    Note::Renewed { account, renew_at: due, .. }
                    | Note::Unchanged { account, next: due, .. }
                    | Note::Failing { account, next: due, .. },
                ) => {
                    if let Some(stored) = self.accounts.get_mut(index(&account)) {
                        stored.due = Some(due);
                    }
                }
                _ => {}
            }
        }
        let sleep = self.engine.next_wake(now).map_or(LONGEST_SLEEP, |wake| wake.min(LONGEST_SLEEP));
        // Without a clock that jumps, the looks in between show nothing.
        let dull = self.scenario.steps.is_empty() && self.scenario.suspends.is_empty();
        self.wake =
            if dull { self.engine.next_wake(now) } else { Some(sleep) }.map(|span| self.at + millis(span));
    }

    fn ask(&mut self, issue: Issue, now: Now) {
        let number = index(&issue.account);
        let Some(stored) = self.accounts.get_mut(number) else { return };
        stored.schedule = issue.intent;
        let down = self
            .scenario
            .outages
            .iter()
            .any(|(start, length)| (millis(*start)..millis(*start + *length)).contains(&self.at));
        let silent = stored.host == 0 && (number as u32) / self.scenario.hosts.max(1) < self.scenario.silent;
        let slow = self.scenario.latency > issue.timeout;
        let (verdict, takes) = match self.scenario.fault {
            _ if silent || slow => (Verdict::Fault, issue.timeout),
            _ if !down => (Verdict::Token, self.scenario.latency),
            Fault::Unavailable => (Verdict::Fault, self.scenario.latency),
            Fault::Silent => (Verdict::Fault, issue.timeout),
            Fault::Throttled(_) => (Verdict::Throttled, self.scenario.latency),
            Fault::Rejected => (Verdict::Rejected, self.scenario.latency),
        };
        let lateness = stored.due.take().filter(|_| !silent).map(|due| now.wall.since(due));
        let host = stored.host;
        self.tally.request(Request { at: self.at, account: number as u32, verdict }, host, lateness);
        let (life, account) = (self.life, number as u32);
        let reply = Coming::Reply {
            life,
            account,
            epoch: issue.epoch,
            sent: self.at,
            sent_wall: now.wall,
            verdict,
            keep: issue.keep_longer,
        };
        self.comes(self.at + millis(takes), reply);
    }

    fn reply(&mut self, number: u32, epoch: u64, sent: (u64, Timestamp), verdict: Verdict, keep: bool) {
        let Some(account) = self.accounts[number as usize].name.clone() else { return };
        let failure = |class, message: &str| FailureMeta::new(class, message.to_owned());
        let event = match verdict {
            Verdict::Token => {
                let meta = self.grant(number, sent, keep);
                Event::Issued { account, epoch, meta }
            }
            Verdict::Fault => {
                let failure =
                    FailureMeta { host_fault: true, ..failure(ErrorClass::Transient, "unavailable") };
                Event::Failed { account, epoch, failure }
            }
            Verdict::Throttled => {
                let wait = match self.scenario.fault {
                    Fault::Throttled(wait) => Some(wait),
                    _ => None,
                };
                let failure = failure(ErrorClass::Throttled, "too many requests");
                let failure = FailureMeta { wait, host_pause: true, ..failure };
                Event::Failed { account, epoch, failure }
            }
            Verdict::Rejected => {
                Event::Failed { account, epoch, failure: failure(ErrorClass::Rejected, "refused") }
            }
        };
        self.handle(event);
    }

    /// The provider's token, put into the store.
    fn grant(&mut self, number: u32, (sent, sent_wall): (u64, Timestamp), keep: bool) -> IssuedMeta {
        let now = self.now();
        let life = self.scenario.lifetime;
        let stored = &mut self.accounts[number as usize];
        let same_until = (life / 10).min(Duration::from_secs(60));
        let same = self.scenario.old_token == OldToken::SameUntil
            && stored.ends.is_some_and(|ends| ends > sent + millis(same_until));
        let expires_at = match (same, stored.ends) {
            (true, Some(ends)) => sent_wall.plus(Duration::from_millis(ends - sent)),
            _ => sent_wall.plus(life),
        };
        let current = stored.token.map(|token| (token, same));
        let admission = admit(current, expires_at, keep, now.wall);
        if admission == Admission::Promoted {
            stored.generation = stored.generation.next();
            stored.token =
                Some(TokenMeta { generation: stored.generation, issued_at: sent_wall, expires_at });
            let ends = if same { stored.ends } else { Some(sent + millis(life)) };
            self.tally.renewed(stored.ends, self.at);
            stored.ends = ends;
        }
        stored.schedule = Schedule { last_request: stored.schedule.last_request, ..Schedule::default() };
        let token = stored.token.unwrap_or(TokenMeta {
            generation: stored.generation,
            issued_at: sent_wall,
            expires_at,
        });
        IssuedMeta { token, admission, refresh: None, owner: None, unverified: None }
    }
}

/// The accounts' names are their numbers.
fn index(account: &AccountId) -> usize {
    account.as_str().get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4)
}
