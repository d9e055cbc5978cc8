//! Which targets there are: what a new configuration adds, changes and takes away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::effect::Effect;
use super::engine::{Engine, Key};
use super::plan::{Plan, TargetId, TargetPlan, TemplatePlan, unit};
use super::target::{Holds, Target};
use crate::domain::{AccountId, Now};

/// How long after its sink has left the configuration something is deleted, in case that was half an edit.
const SECOND_THOUGHT: Duration = Duration::from_secs(10);

impl Engine {
    /// Those that the new configuration does not name leave.
    pub(super) fn leave_targets(&mut self, plan: &Plan, now: Now) {
        let sinks = plan.accounts.values().flat_map(|account| &account.targets);
        let templates = plan.templates.iter().map(|template| &template.target);
        let kept: BTreeSet<&TargetId> = sinks.chain(templates).map(|target| &target.id).collect();
        let left: Vec<TargetId> = self.targets.keys().filter(|id| !kept.contains(*id)).cloned().collect();
        for id in left {
            self.leave_target(&id, now);
        }
    }

    /// The sinks that the account's plan names are there, with their present look.
    pub(super) fn plan_targets(&mut self, account: &AccountId, plans: &[TargetPlan], now: Now) {
        for plan in plans {
            self.plan_target(plan, std::slice::from_ref(account), false, now);
        }
    }

    pub(super) fn plan_templates(&mut self, templates: Vec<TemplatePlan>, now: Now) {
        let mut by_account = BTreeMap::<AccountId, Vec<TargetId>>::new();
        for template in &templates {
            for member in &template.members {
                by_account.entry(member.clone()).or_default().push(template.target.id.clone());
            }
        }
        self.templates_of = by_account;
        for template in &templates {
            self.plan_target(&template.target, &template.members, true, now);
        }
        self.templates = templates.into_iter().map(|template| template.target.id).collect();
    }

    fn plan_target(&mut self, plan: &TargetPlan, members: &[AccountId], template: bool, now: Now) {
        let id = &plan.id;
        match self.targets.get_mut(id) {
            Some(target) if target.plan == *plan && target.members == members && !target.leaving => {}
            Some(target) => {
                // Another look, other members, or back within the second thought: look at it anew.
                target.holds = Holds::Unknown;
                target.tokens = Vec::new();
                target.doubted = target.in_flight;
                target.leaving = false;
                (target.members, target.template) = (members.to_vec(), template);
                self.unqueue_target(id); // by the old plan's server
                if let Some(target) = self.targets.get_mut(id) {
                    target.plan = plan.clone();
                }
                self.timers.clear(&Key::Retire(id.clone()));
                self.timers.clear(&Key::Target(id.clone()));
                self.plan_compare(plan, now);
            }
            None => {
                self.targets.insert(id.clone(), Target::new(plan.clone(), members, template));
                self.plan_compare(plan, now);
            }
        }
        self.drive(id, now);
    }

    /// The first comparison, spread evenly.
    fn plan_compare(&mut self, plan: &TargetPlan, now: Now) {
        match plan.compare_every {
            Some(every) => {
                let first = every.mul_f64(unit(self.seed, &plan.id, "compare", 0));
                self.timers.set(Key::Compare(plan.id.clone()), now.after(first));
            }
            None => self.timers.clear(&Key::Compare(plan.id.clone())),
        }
    }

    /// The target is in the configuration no more.
    fn leave_target(&mut self, id: &TargetId, now: Now) {
        let Some(target) = self.targets.get_mut(id).filter(|target| !target.leaving) else { return };
        target.leaving = true;
        let delete = target.plan.delete_on_remove;
        self.unqueue_target(id);
        self.timers.clear(&Key::Target(id.clone()));
        self.timers.clear(&Key::Compare(id.clone()));
        if delete {
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
        if self.held_back.is_none() {
            self.forget_servers(); // else once the whole configuration is taken
        }
    }

    /// Servers on which nothing stands any more are forgotten.
    pub(super) fn forget_servers(&mut self) {
        if self.servers.is_empty() {
            return;
        }
        let targets = self.targets.values();
        let used: BTreeSet<Arc<str>> =
            targets.flat_map(|target| [&target.plan.server, &target.via]).flatten().cloned().collect();
        let gone: Vec<Arc<str>> = self.servers.keys().filter(|name| !used.contains(*name)).cloned().collect();
        for name in gone {
            self.servers.remove(&name);
            self.timers.clear(&Key::Server(name));
        }
    }
}
