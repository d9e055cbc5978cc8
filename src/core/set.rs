//! Sets: what hooks wait for. All sinks of one account, or one template; its *mark* is the token's generation, or a
//! fingerprint of the content. Once a mark is published each hook is told of it, alone, one run in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effect::{Effect, Note};
use super::engine::{Engine, Key};
use super::event::HookFailure;
use super::plan::{HookId, Plan, SetId, TargetId, hash, unit};
use crate::domain::{ErrorInfo, Generation, Now, Timestamp};

/// Hooks run so long after a set is published, in case something follows.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// The longest pause between two tries of a hook.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A mark, and how often it has been published before: once more where a target comes late.
pub(super) type Published = (u64, u32);

/// The set of an account, or a template, that has hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) hooks: Vec<Hook>,
    /// What the hooks are to know.
    pub(super) due: Published,
    /// What has been noted durably; 0 where nothing was.
    pub(super) noted: u64,
    /// What a template holds; 0 where that is not known.
    print: u64,
    /// Targets that had failed when the mark was published.
    pub(super) owing: BTreeSet<TargetId>,
    /// One of those has been written since: the hooks are to know.
    pub(super) late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) id: HookId,
    /// What it knows; `None` while it runs or has failed.
    pub(super) told: Option<Published>,
    failures: u32,
    pub(super) error: Option<ErrorInfo>,
}

/// A hook's run that is out, also of a set that has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) revision: u64,
    /// `None` where the hook, or its set, has left since.
    pub(super) published: Option<Published>,
    /// Since when it runs.
    pub(super) since: Timestamp,
}

/// By set and hook.
pub(super) type Runs = BTreeMap<(SetId, HookId), Run>;

impl Set {
    fn hook(&mut self, id: HookId) -> Option<&mut Hook> {
        self.hooks.iter_mut().find(|hook| hook.id == id)
    }
}

impl Hook {
    fn new(id: HookId, told: Option<Published>) -> Self {
        Self { id, told, failures: 0, error: None }
    }
}

impl Engine {
    /// The sets of the new configuration are there; those that are the same are not touched.
    pub(super) fn plan_sets(
        &mut self,
        hooks: &BTreeMap<SetId, Vec<HookId>>,
        marks: &BTreeMap<SetId, u64>,
        now: Now,
    ) {
        let first = self.sets.is_empty() && !hooks.is_empty();
        let gone: Vec<SetId> = self.sets.keys().filter(|id| !hooks.contains_key(id)).cloned().collect();
        for id in gone {
            self.drop_set(&id);
        }
        for (id, planned) in hooks {
            // A target that has left owes nothing, nor does one that is another account's by now.
            let owes = |target: &TargetId| {
                self.set_of(target).as_ref() == Some(id)
                    && self.targets.get(target).is_some_and(|target| !target.leaving)
            };
            let owing = self
                .sets
                .get(id)
                .map(|set| set.owing.iter().filter(|target| owes(target)).cloned().collect());
            match self.sets.get_mut(id) {
                Some(set) => {
                    // A mark that is noted is not news to a new hook.
                    let told = (set.noted == set.due.0).then_some(set.due);
                    let mut before = std::mem::take(&mut set.hooks);
                    let mut added = Vec::new();
                    for hook in planned {
                        let known = before.iter().position(|known| known.id == *hook);
                        set.hooks.push(match known {
                            Some(place) => before.swap_remove(place),
                            None => {
                                added.push(*hook);
                                Hook::new(*hook, told)
                            }
                        });
                    }
                    set.owing = owing.unwrap_or_default();
                    before.iter().for_each(|hook| self.drop_hook(id, hook.id));
                    added.into_iter().for_each(|hook| self.run_hook(id, hook, now));
                    self.note_mark(id);
                }
                None => {
                    let noted = marks.get(id).copied().unwrap_or(0);
                    let (due, owing) = ((noted, 0), BTreeSet::new());
                    let hooks = planned.iter().map(|hook| Hook::new(*hook, Some(due))).collect();
                    self.sets.insert(id.clone(), Set { hooks, due, noted, print: 0, owing, late: false });
                }
            }
            self.publish(id, now);
        }
        if first {
            self.time_writes(); // nobody wanted to know until now how long they take
        }
    }

    /// Whether a hook has still to be told of something for the first time; one that fails is tried again by itself.
    #[must_use]
    pub fn owes_hooks(&self) -> bool {
        let untold =
            |set: &Set| set.hooks.iter().any(|hook| hook.failures == 0 && hook.told != Some(set.due));
        self.sets.iter().any(|(id, set)| untold(set) || self.timers.at(&Key::Notify(id.clone())).is_some())
    }

    fn drop_set(&mut self, id: &SetId) {
        let Some(set) = self.sets.remove(id) else { return };
        self.timers.clear(&Key::Notify(id.clone()));
        set.hooks.iter().for_each(|hook| self.drop_hook(id, hook.id));
    }

    fn drop_hook(&mut self, id: &SetId, hook: HookId) {
        let key = (id.clone(), hook);
        if let Some(run) = self.runs.get_mut(&key) {
            run.published = None;
        }
        self.timers.clear(&Key::Hook(key.0, hook));
    }

    /// The target holds what it should, or a withdrawal has ended.
    pub(super) fn arrived(&mut self, target: &TargetId, print: u64, now: Now) {
        if self.sets.is_empty() {
            return;
        }
        let Some(id) = self.set_of(target) else { return };
        let Some(set) = self.sets.get_mut(&id) else { return };
        match id {
            SetId::Template(_) if print != 0 => set.print = print,
            SetId::Template(_) => {}
            SetId::Account(_) => {
                let mark = Generation(set.due.0);
                let held = self.targets.get(target).and_then(|target| target.held());
                if held.is_some_and(|held| held.iter().all(|held| *held >= mark)) {
                    set.late |= set.owing.remove(target);
                }
            }
        }
        self.publish(&id, now);
    }

    pub(super) fn publish_set_of(&mut self, target: &TargetId, now: Now) {
        if !self.sets.is_empty()
            && let Some(id) = self.set_of(target)
        {
            self.publish(&id, now);
        }
    }

    pub(super) fn publish_account(&mut self, account: &crate::domain::AccountId, now: Now) {
        if !self.sets.is_empty() {
            self.publish(&SetId::Account(account.clone()), now);
        }
    }

    /// Where there is something to be told, the hooks run soon.
    pub(super) fn publish(&mut self, id: &SetId, now: Now) {
        let key = Key::Notify(id.clone());
        if !self.stopping && self.timers.at(&key).is_none() && self.news(id, now).is_some() {
            self.timers.set(key, now.after(DEBOUNCE));
        }
    }

    /// What the hooks are told now is the newest.
    pub(super) fn notify(&mut self, id: &SetId, now: Now) {
        let Some((mark, owing)) = self.news(id, now).filter(|_| !self.stopping) else { return };
        let Some(set) = self.sets.get_mut(id) else { return };
        let round = if set.due.0 == mark { set.due.1.saturating_add(1) } else { 0 };
        (set.due, set.owing, set.late) = ((mark, round), owing, false);
        let due = set.due;
        let untold: Vec<HookId> =
            set.hooks.iter().filter(|hook| hook.told != Some(due)).map(|hook| hook.id).collect();
        for hook in untold {
            self.timers.clear(&Key::Hook(id.clone(), hook)); // the retry of an older mark
            self.run_hook(id, hook, now);
        }
        self.note_mark(id);
    }

    /// Runs the hook, unless it knows all, runs already or the agent stops.
    pub(super) fn run_hook(&mut self, set_id: &SetId, id: HookId, now: Now) {
        let run = (set_id.clone(), id);
        let Some(set) = self.sets.get_mut(set_id).filter(|_| !self.stopping) else { return };
        let (due, Some(hook)) = (set.due, set.hook(id)) else { return };
        if hook.told == Some(due) || self.runs.contains_key(&run) {
            return;
        }
        hook.told = None;
        let revision = self.next_epoch;
        self.next_epoch += 1;
        self.runs.insert(run, Run { revision, published: Some(due), since: now.wall });
        let (set, mark, targets) = (set_id.clone(), due.0, self.holders(set_id, due.0));
        self.effects.push(Effect::Notify { set, hook: id, revision, mark, targets });
    }

    /// Hooks that wait to be tried again run now.
    pub(super) fn hurry_hooks(&mut self, now: Now) {
        let hooks = self.sets.iter().flat_map(|(id, set)| set.hooks.iter().map(move |hook| (id, hook.id)));
        let waiting: Vec<(SetId, HookId)> = hooks
            .filter(|(id, hook)| self.timers.at(&Key::Hook((*id).clone(), *hook)).is_some())
            .map(|(id, hook)| (id.clone(), hook))
            .collect();
        for (id, hook) in waiting {
            self.timers.clear(&Key::Hook(id.clone(), hook));
            self.run_hook(&id, hook, now);
        }
    }

    /// The targets of the set that hold what the mark stands for, as far as we know.
    fn holders(&self, id: &SetId, mark: u64) -> Vec<TargetId> {
        let held = |target: &TargetId| self.targets.get(target).and_then(|target| target.held());
        match id {
            SetId::Account(name) => {
                let targets = self.accounts.get(name).into_iter().flat_map(|account| &account.plan.targets);
                let holds = |held: &[Generation]| held.iter().all(|held| held.0 >= mark);
                targets.filter(|plan| held(&plan.id).is_some_and(holds)).map(|plan| plan.id.clone()).collect()
            }
            SetId::Template(target) => {
                let print = self.sets.get(id).map(|set| set.print);
                let holds = print == Some(mark) && held(target).is_some();
                holds.then(|| target.clone()).into_iter().collect()
            }
        }
    }

    pub(super) fn notified(
        &mut self,
        id: &SetId,
        which: HookId,
        revision: u64,
        result: Result<(), HookFailure>,
        now: Now,
    ) {
        let key = (id.clone(), which);
        if self.runs.get(&key).is_none_or(|run| run.revision != revision) {
            return;
        }
        let published = self.runs.remove(&key).and_then(|run| run.published);
        let Some(set) = self.sets.get_mut(id) else { return };
        let (due, Some(hook)) = (set.due, set.hook(which)) else { return };
        if let Some(published) = published {
            match result {
                Ok(()) => {
                    hook.told = Some(published);
                    hook.failures = 0;
                    let healed = hook.error.take().is_some();
                    self.say(Note::HookRan { set: id.clone(), hook: which, healed });
                }
                Err(failure) if published == due => return self.hook_fails(id, which, failure, now),
                Err(_) => hook.failures = 0, // the newer mark is told at once
            }
        }
        self.run_hook(id, which, now);
        self.note_mark(id);
    }

    fn hook_fails(&mut self, id: &SetId, which: HookId, failure: HookFailure, now: Now) {
        let Some(hook) = self.sets.get_mut(id).and_then(|set| set.hook(which)) else { return };
        let HookFailure { class, message } = failure;
        let news = hook.error.as_ref().is_none_or(|error| error.message != message);
        hook.error = Some(ErrorInfo { class, message: message.clone(), at: now.wall });
        let step = (Duration::from_secs(1) * 2_u32.saturating_pow(hook.failures.min(6))).min(LONGEST_PAUSE);
        hook.failures = hook.failures.saturating_add(1);
        let name = match id {
            SetId::Account(account) => account.as_str(),
            SetId::Template(target) => target,
        };
        let pause = step.mul_f64(1.0 - unit(self.seed, name, "hook", hash(0, &which.to_le_bytes())) / 10.0);
        self.timers.set(Key::Hook(id.clone(), which), now.after(pause));
        let next = now.wall.plus(pause);
        self.say(Note::HookFailed { set: id.clone(), hook: which, message, next, news });
    }

    /// Once all hooks know the mark and no target is owing, it is noted.
    fn note_mark(&mut self, id: &SetId) {
        let Some(set) = self.sets.get_mut(id) else { return };
        let told = set.hooks.iter().all(|hook| hook.told == Some(set.due));
        if told && set.owing.is_empty() && !set.late && set.noted != set.due.0 {
            set.noted = set.due.0;
            self.effects.push(Effect::Marked { set: id.clone(), mark: set.noted });
        }
    }

    /// A mark that the hooks are not told of yet, and the targets that fail meanwhile or take long; `None` also while a target is
    /// still being written, or where nothing has been.
    fn news(&self, id: &SetId, now: Now) -> Option<(u64, BTreeSet<TargetId>)> {
        let set = self.sets.get(id)?;
        let SetId::Account(name) = id else {
            return (set.print != 0 && set.print != set.due.0).then(|| (set.print, BTreeSet::new()));
        };
        let account = self.accounts.get(name)?;
        let generation = account.live_token(now)?.generation;
        if generation.0 == set.due.0 && !set.late {
            return None;
        }
        let (mut owing, mut current) = (BTreeSet::new(), account.plan.targets.is_empty());
        for plan in &account.plan.targets {
            let target = self.targets.get(&plan.id)?;
            if target.held().is_some_and(|held| held.iter().all(|held| *held >= generation)) {
                current = true;
            } else if target.failed >= generation
                || target.slow_since(now).is_some()
                || self.waits_for_return(&plan.id)
            {
                owing.insert(plan.id.clone());
            } else {
                return None;
            }
        }
        current.then_some((generation.0, owing))
    }

    /// The set that the target belongs to.
    pub(super) fn set_of(&self, id: &TargetId) -> Option<SetId> {
        let target = self.targets.get(id)?;
        match target.template {
            true => Some(SetId::Template(id.clone())),
            false => target.members.first().cloned().map(SetId::Account),
        }
    }
}

/// The hooks of each set of the plan that has any.
pub(super) fn hooks_of(plan: &Plan) -> BTreeMap<SetId, Vec<HookId>> {
    let accounts = plan.accounts.iter().map(|(name, plan)| (SetId::Account(name.clone()), &plan.hooks));
    let templates = plan.templates.iter().map(|plan| (SetId::Template(plan.target.id.clone()), &plan.hooks));
    let some = accounts.chain(templates).filter(|(_, hooks)| !hooks.is_empty());
    some.map(|(set, hooks)| (set, hooks.clone())).collect()
}
