//! Targets: what tokens are delivered to, made from one account or several. Level-triggered: each is driven towards
//! what it should hold, alone, one write in flight, so that an older write never follows a newer.

use std::sync::Arc;
use std::time::Duration;

use super::account::Held;
use super::effect::{Effect, Note};
use super::engine::{Engine, Key};
use super::plan::{TargetId, TargetPlan, hash};
use super::retry::longest_before_a_write;
use crate::domain::{AccountId, ErrorClass, ErrorInfo, Generation, Now, Timestamp};

/// A write that has been under way for longer is said to be, and nobody waits for it.
const SLOW: Duration = Duration::from_secs(5);
/// The longest pause between two tries at a server.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) plan: TargetPlan,
    /// The accounts that it is made from: one for a sink.
    pub(super) members: Vec<AccountId>,
    /// It is an item of `templates:`, not a sink.
    pub(super) template: bool,
    /// Counts its effects; an event of an older one is a no-op.
    pub(super) revision: u64,
    pub(super) holds: Holds,
    /// What its last delivery put there, a token each member; empty where that is not known. A failed write changes nothing.
    pub(super) tokens: Vec<Held>,
    pub(super) in_flight: bool,
    /// Since when.
    pub(super) begun: Option<Now>,
    /// The server at which what is in flight has a place.
    pub(super) via: Option<Arc<str>>,
    /// What is in flight was made for another look, or may have been undone since: it proves nothing.
    pub(super) doubted: bool,
    /// It is to be looked at, although it should hold what it holds.
    pub(super) checking: bool,
    /// Its place among those that wait for its server.
    pub(super) queued: Option<Turn>,
    pub(super) failures: u32,
    /// Failures in a row by its server's fault.
    pub(super) missed: u32,
    /// The first member's generation at the last failure.
    pub(super) failed: Generation,
    pub(super) written_at: Option<Timestamp>,
    pub(super) error: Option<ErrorInfo>,
    /// It has left the configuration.
    pub(super) leaving: bool,
}

/// Whose turn it is at a server: those that have not failed there first, then by the nearest expiry.
pub(super) type Turn = (u32, Timestamp);

/// What a target holds, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holds {
    Unknown,
    /// Of each member.
    Generations(Vec<Generation>),
    Nothing,
}

/// What brings a target to where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Deliver,
    Withdraw,
}

impl Target {
    pub(super) fn new(plan: TargetPlan, members: &[AccountId], template: bool) -> Self {
        Self {
            plan,
            members: members.to_vec(),
            template,
            revision: 0,
            holds: Holds::Unknown,
            tokens: Vec::new(),
            in_flight: false,
            begun: None,
            via: None,
            doubted: false,
            checking: false,
            queued: None,
            failures: 0,
            missed: 0,
            failed: Generation::NONE,
            written_at: None,
            error: None,
            leaving: false,
        }
    }

    /// Since when it is being written, where that takes long.
    pub(super) fn slow_since(&self, now: Now) -> Option<Timestamp> {
        self.begun.filter(|begun| now.boot.since(begun.boot) >= SLOW).map(|begun| begun.wall)
    }

    /// What it holds, where that is known and of its present members.
    pub(super) fn held(&self) -> Option<&[Generation]> {
        match &self.holds {
            Holds::Generations(held) if held.len() == self.members.len() => Some(held),
            Holds::Generations(_) | Holds::Unknown | Holds::Nothing => None,
        }
    }
}

impl Engine {
    /// Brings everything that is made from the account closer to what it should hold.
    pub(super) fn drive_targets(&mut self, account: &AccountId, now: Now) {
        let Some(known) = self.accounts.get(account) else { return };
        let ids: Vec<TargetId> = known.plan.targets.iter().map(|plan| plan.id.clone()).collect();
        for id in ids {
            self.drive(&id, now);
        }
        self.drive_templates(account, now);
        self.publish_account(account, now);
    }

    /// The same for templates alone.
    pub(super) fn drive_templates(&mut self, account: &AccountId, now: Now) {
        if let Some(ids) = self.templates_of.get(account) {
            for id in ids.clone() {
                self.drive(&id, now);
            }
        }
    }

    /// Starts what the target needs, unless something is in flight, waits for its retry or for its server.
    pub(super) fn drive(&mut self, id: &TargetId, now: Now) {
        let Some(target) = self.targets.get(id).filter(|target| !target.in_flight) else { return };
        let Some(step) = self.step(target, now) else {
            if target.queued.is_some() {
                self.unqueue_target(id);
            }
            return;
        };
        if self.timers.at(&Key::Target(id.clone())).is_some() {
            return; // it has failed
        }
        match target.plan.server.clone() {
            Some(server) => self.wait_at(&server, id, now),
            None => self.take_step(id, step, now),
        }
    }

    pub(super) fn take_step(&mut self, id: &TargetId, step: Step, now: Now) {
        let Some(target) = self.targets.get_mut(id) else { return };
        target.revision += 1;
        target.in_flight = true;
        target.begun = Some(now);
        if target.plan.server.is_some() || !self.sets.is_empty() {
            self.timers.set(Key::Slow(id.clone()), now.after(SLOW));
        }
        target.checking = false;
        let (target, revision) = (id.clone(), target.revision);
        self.effects.push(match step {
            Step::Deliver => Effect::Deliver { target, revision },
            Step::Withdraw => Effect::Withdraw { target, revision },
        });
    }

    pub(super) fn delivered(
        &mut self,
        id: &TargetId,
        revision: u64,
        held: Option<Vec<Generation>>,
        written: bool,
        print: u64,
        now: Now,
    ) {
        let Some((target, via)) = self.landed(id, revision) else { return };
        let doubted = std::mem::take(&mut target.doubted);
        let healed = target.error.take().is_some();
        (target.failures, target.missed) = (0, 0);
        let first = held.as_ref().and_then(|held| held.first().copied());
        target.holds = match held {
            _ if doubted => Holds::Unknown,
            Some(generations) => Holds::Generations(generations),
            None => Holds::Nothing,
        };
        let (template, account) = (target.template, target.members.first().cloned());
        if first.is_some() && (written || target.written_at.is_none()) {
            target.written_at = Some(now.wall);
        }
        self.note_held(id);
        match (first, account) {
            (Some(_), _) if template && (written || healed) => {
                self.say(Note::Composed { target: id.clone(), written, healed });
            }
            (Some(generation), Some(account)) if !template && (written || healed) => {
                self.say(Note::Delivered { target: id.clone(), account, generation, written, healed });
            }
            (None, Some(account)) if written => self.say(Note::Withdrawn { target: id.clone(), account }),
            _ => {}
        }
        if let Some(server) = &via {
            self.server_answers(server, id, now);
        }
        self.after_flight(id, via.as_ref(), now);
        if !doubted {
            self.arrived(id, print, now);
        }
    }

    pub(super) fn undelivered(
        &mut self,
        id: &TargetId,
        revision: u64,
        message: String,
        server_away: Option<ErrorClass>,
        now: Now,
    ) {
        let Some((_, via)) = self.landed(id, revision) else { return };
        let Some(target) = self.targets.get_mut(id) else { return };
        let doubted = std::mem::take(&mut target.doubted);
        let token =
            target.members.first().and_then(|member| self.accounts.get(member)).and_then(|known| known.token);
        target.failed = token.map_or(target.failed, |held| held.meta.generation);
        match (&via, server_away) {
            (Some(server), Some(class)) => {
                if doubted {
                    target.holds = Holds::Unknown;
                }
                target.checking = true; // what was sent may have arrived
                target.missed = target.missed.saturating_add(1);
                self.server_fails(server, id, class, message, now);
            }
            _ => {
                target.holds = Holds::Unknown;
                self.target_fails(id, message, now);
                if let Some(server) = &via {
                    self.server_answers(server, id, now);
                }
            }
        }
        self.after_flight(id, via.as_ref(), now);
        self.publish_set_of(id, now);
    }

    /// The target itself cannot be written: it is tried again alone.
    fn target_fails(&mut self, id: &TargetId, message: String, now: Now) {
        let Some(target) = self.targets.get_mut(id) else { return };
        let news = target.error.as_ref().is_none_or(|error| error.message != message);
        let step = Duration::from_secs(1) * 2_u32.saturating_pow(target.failures.min(6));
        target.failures = target.failures.saturating_add(1);
        target.error = Some(ErrorInfo { class: ErrorClass::Config, message: message.clone(), at: now.wall });
        // Up to a tenth later, so that many targets of one full disk do not knock together.
        let tenths = hash(self.seed, id.as_bytes()) % 100;
        let longest = self.longest_pause(id, now);
        let pause = step.min(longest).mul_f64(1.0 + f64::from(u32::try_from(tenths).unwrap_or(0)) / 1000.0);
        let pause = pause.min(longest);
        if self.targets.get(id).is_some_and(|target| !target.leaving) {
            self.timers.set(Key::Target(id.clone()), now.after(pause));
        }
        self.say(Note::Undelivered { target: id.clone(), message, next: now.wall.plus(pause), news });
    }

    /// The longest pause before the target is tried again: on this machine the lives of its tokens bound it.
    fn longest_pause(&self, id: &TargetId, now: Now) -> Duration {
        let local = self.targets.get(id).filter(|target| target.plan.server.is_none());
        let members = local.into_iter().flat_map(|target| &target.members);
        let known = members.filter_map(|member| self.accounts.get(member));
        known.map(|account| longest_before_a_write(account.alive(now))).min().unwrap_or(LONGEST_PAUSE)
    }

    /// The pauses of what has failed and is made from the account are over: whoever calls drives it then.
    pub(super) fn hurry_targets(&mut self, account: &AccountId, concerns: fn(&Target) -> bool) {
        let Some(known) = self.accounts.get(account) else { return };
        let templates = self.templates_of.get(account).into_iter().flatten();
        let ids = known.plan.targets.iter().map(|plan| &plan.id).chain(templates);
        let concerned = |id: &&TargetId| self.targets.get(*id).is_some_and(concerns);
        let ids: Vec<TargetId> = ids.filter(concerned).cloned().collect();
        for id in ids {
            self.timers.clear(&Key::Target(id));
        }
    }

    /// Those that are under way are looked at once they have been so for long.
    pub(super) fn time_writes(&mut self) {
        for (id, target) in self.targets.iter() {
            if let Some(begun) = target.begun {
                self.timers.set(Key::Slow(id.clone()), begun.after(SLOW));
            }
        }
    }

    /// Ends the flight of that revision; `None` where the result is nobody's any more.
    fn landed(&mut self, id: &TargetId, revision: u64) -> Option<(&mut Target, Option<Arc<str>>)> {
        let target = self.targets.get_mut(id)?;
        if !target.in_flight || target.revision != revision {
            return None;
        }
        (target.in_flight, target.begun) = (false, None);
        self.timers.clear(&Key::Slow(id.clone()));
        let via = target.via.take();
        if let Some(server) = via.as_ref().and_then(|name| self.servers.get_mut(name)) {
            server.in_flight = server.in_flight.saturating_sub(1);
        }
        Some((target, via))
    }

    pub(super) fn target_lost(&mut self, id: &TargetId, now: Now) {
        if let Some(target) = self.targets.get_mut(id) {
            target.holds = Holds::Unknown;
            target.tokens = Vec::new();
            target.doubted = target.in_flight;
            self.drive(id, now);
        }
    }

    /// It is time to compare the target with what we wrote, unless it is being written anyhow.
    pub(super) fn compare(&mut self, id: &TargetId, now: Now) {
        let Some(target) = self.targets.get_mut(id).filter(|target| !target.leaving) else { return };
        let Some(every) = target.plan.compare_every else { return };
        self.timers.set(Key::Compare(id.clone()), now.after(every));
        if !self.stopping && !target.in_flight {
            target.checking = true;
            self.drive(id, now);
        }
    }

    /// `via`: the server at which it had its place, which may not be its plan's any more.
    fn after_flight(&mut self, id: &TargetId, via: Option<&Arc<str>>, now: Now) {
        let Some(target) = self.targets.get(id) else { return };
        let moved = via.is_some_and(|via| target.plan.server.as_ref() != Some(via));
        let leaves = target.leaving;
        if leaves && self.timers.at(&Key::Retire(id.clone())).is_none() {
            self.retire(id);
        } else if !leaves {
            self.drive(id, now);
        }
        if moved {
            self.forget_servers();
        }
    }

    /// What the target needs; `None`: it is well as it is, or nothing better can be made.
    ///
    /// It is written when a member's token is newer than what it holds, every member has one, at least one of them
    /// lives, and the renewal of each ended one has failed in this life of the agent: until then a good one is near.
    pub(super) fn step(&self, target: &Target, now: Now) -> Option<Step> {
        if target.leaving {
            return None;
        }
        let held = target.held().filter(|_| !target.checking);
        let (mut newer, mut alive, mut hopes) = (held.is_none(), false, false);
        for (place, member) in target.members.iter().enumerate() {
            let account = self.accounts.get(member)?;
            let token = account.token?;
            let lives = token.lives(now);
            alive |= lives;
            hopes |= !lives && !account.has_failed(now);
            newer |= held.is_some_and(|held| held[place] < token.meta.generation);
        }
        match alive {
            true if newer && !hopes => Some(Step::Deliver),
            false if target.plan.remove_expired && target.holds != Holds::Nothing => Some(Step::Withdraw),
            _ => None,
        }
    }
}
