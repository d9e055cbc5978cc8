//! Targets: places that a token is delivered to. Level-triggered: each is driven towards what it should hold, alone,
//! one write in flight, so that an older write never follows a newer.

use std::time::Duration;

use super::effect::{Effect, Note};
use super::engine::{Engine, Key};
use super::plan::{TargetId, TargetPlan, hash};
use crate::domain::{AccountId, ErrorClass, ErrorInfo, Generation, Now, Timestamp};

/// How long after its sink has left the configuration something is deleted, in case that was half an edit.
const SECOND_THOUGHT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) plan: TargetPlan,
    pub(super) account: AccountId,
    /// Counts its effects; an event of an older one is a no-op.
    pub(super) revision: u64,
    pub(super) holds: Holds,
    pub(super) in_flight: bool,
    /// What is in flight was made for another look, or may have been undone since: it proves nothing.
    pub(super) doubted: bool,
    pub(super) failures: u32,
    pub(super) written_at: Option<Timestamp>,
    pub(super) error: Option<ErrorInfo>,
    /// It has left the configuration.
    pub(super) leaving: bool,
}

/// What a target holds, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Unknown,
    Generation(Generation),
    Nothing,
}

impl Target {
    pub(super) fn new(plan: TargetPlan, account: AccountId) -> Self {
        Self {
            plan,
            account,
            revision: 0,
            holds: Holds::Unknown,
            in_flight: false,
            doubted: false,
            failures: 0,
            written_at: None,
            error: None,
            leaving: false,
        }
    }
}

impl Engine {
    /// Brings every target of the account closer to what it should hold.
    pub(super) fn drive_targets(&mut self, account: &AccountId, now: Now) {
        let Some(known) = self.accounts.get(account) else { return };
        let ids: Vec<TargetId> = known.plan.targets.iter().map(|plan| plan.id.clone()).collect();
        for id in ids {
            self.drive(&id, now);
        }
    }

    /// Starts what the target needs, unless something is in flight or waits for its retry.
    pub(super) fn drive(&mut self, id: &TargetId, now: Now) {
        let Some(wish) = self.wish(id, now) else { return };
        let Some(target) = self.targets.get_mut(id) else { return };
        if target.in_flight || self.timers.at(&Key::Target(id.clone())).is_some() {
            return;
        }
        let effect = match wish {
            Holds::Generation(wanted) if !matches!(target.holds, Holds::Generation(held) if held >= wanted) => {
                Some(Effect::Deliver { target: id.clone(), revision: target.revision + 1 })
            }
            Holds::Nothing if target.holds != Holds::Nothing => {
                Some(Effect::Withdraw { target: id.clone(), revision: target.revision + 1 })
            }
            _ => None,
        };
        if let Some(effect) = effect {
            target.revision += 1;
            target.in_flight = true;
            self.effects.push(effect);
        }
    }

    pub(super) fn delivered(
        &mut self,
        id: &TargetId,
        revision: u64,
        held: Option<Generation>,
        written: bool,
        now: Now,
    ) {
        let Some(target) = self.targets.get_mut(id) else { return };
        if !target.in_flight || target.revision != revision {
            return;
        }
        let healed = target.error.is_some();
        target.in_flight = false;
        target.failures = 0;
        target.error = None;
        target.holds = match held {
            _ if std::mem::take(&mut target.doubted) => Holds::Unknown,
            Some(generation) => Holds::Generation(generation),
            None => Holds::Nothing,
        };
        let account = target.account.clone();
        match held {
            Some(generation) => {
                if written || target.written_at.is_none() {
                    target.written_at = Some(now.wall);
                }
                if written || healed {
                    self.say(Note::Delivered { target: id.clone(), account, generation, healed });
                }
            }
            None if written => self.say(Note::Withdrawn { target: id.clone(), account }),
            None => {}
        }
        self.after_flight(id, now);
    }

    pub(super) fn undelivered(&mut self, id: &TargetId, revision: u64, message: String, now: Now) {
        let Some(target) = self.targets.get_mut(id) else { return };
        if !target.in_flight || target.revision != revision {
            return;
        }
        target.in_flight = false;
        target.doubted = false;
        target.holds = Holds::Unknown;
        let news = target.error.as_ref().is_none_or(|error| error.message != message);
        let step = Duration::from_secs(1) * 2_u32.saturating_pow(target.failures.min(6));
        target.failures = target.failures.saturating_add(1);
        target.error = Some(ErrorInfo { class: ErrorClass::Config, message: message.clone(), at: now.wall });
        // Up to a tenth later, so that many targets of one full disk do not knock together.
        let tenths = hash(self.seed, id.as_bytes()) % 100;
        let pause = step
            .min(Duration::from_secs(60))
            .mul_f64(1.0 + f64::from(u32::try_from(tenths).unwrap_or(0)) / 1000.0);
        let pause = pause.min(Duration::from_secs(60));
        if !target.leaving {
            self.timers.set(Key::Target(id.clone()), now.after(pause));
        }
        self.say(Note::Undelivered { target: id.clone(), message, next: now.wall.plus(pause), news });
        self.after_flight(id, now);
    }

    pub(super) fn target_lost(&mut self, id: &TargetId, now: Now) {
        if let Some(target) = self.targets.get_mut(id) {
            target.holds = Holds::Unknown;
            target.doubted = target.in_flight;
            self.drive(id, now);
        }
    }

    /// The sinks that the account's plan names are there, with their present look.
    pub(super) fn plan_targets(&mut self, account: &AccountId, plans: &[TargetPlan], now: Now) {
        for plan in plans {
            match self.targets.get_mut(&plan.id) {
                Some(target) if target.plan == *plan && target.account == *account && !target.leaving => {}
                Some(target) => {
                    // Another look, another account, or back within the second thought: look at it anew.
                    target.plan = plan.clone();
                    target.account = account.clone();
                    target.holds = Holds::Unknown;
                    target.doubted = target.in_flight;
                    target.leaving = false;
                    self.timers.clear(&Key::Retire(plan.id.clone()));
                    self.timers.clear(&Key::Target(plan.id.clone()));
                }
                None => {
                    self.targets.insert(plan.id.clone(), Target::new(plan.clone(), account.clone()));
                }
            }
            self.drive(&plan.id, now);
        }
    }

    /// The target is in the configuration no more.
    pub(super) fn leave_target(&mut self, id: &TargetId, now: Now) {
        let Some(target) = self.targets.get_mut(id).filter(|target| !target.leaving) else { return };
        target.leaving = true;
        self.timers.clear(&Key::Target(id.clone()));
        if target.plan.delete_on_remove {
            self.timers.set(Key::Retire(id.clone()), now.after(SECOND_THOUGHT));
        } else {
            self.retire(id);
        }
    }

    /// The second thought is over.
    pub(super) fn retire(&mut self, id: &TargetId) {
        let Some(target) = self.targets.get(id).filter(|target| target.leaving) else { return };
        if target.in_flight {
            return; // comes again when the write has ended
        }
        let delete = target.plan.delete_on_remove;
        self.targets.remove(id);
        self.effects.push(Effect::Retire { target: id.clone(), delete });
    }

    fn after_flight(&mut self, id: &TargetId, now: Now) {
        let leaves = self.targets.get(id).is_some_and(|target| target.leaving);
        if leaves && self.timers.at(&Key::Retire(id.clone())).is_none() {
            self.retire(id);
        } else if !leaves {
            self.drive(id, now);
        }
    }

    /// What the target should hold; `None`: it is well as it is.
    fn wish(&self, id: &TargetId, now: Now) -> Option<Holds> {
        let target = self.targets.get(id).filter(|target| !target.leaving)?;
        let account = self.accounts.get(&target.account)?;
        match (account.live_token(now), account.token) {
            (Some(token), _) => Some(Holds::Generation(token.generation)),
            (None, Some(_)) if target.plan.remove_expired => Some(Holds::Nothing),
            (None, _) => None,
        }
    }
}
