//! What a new configuration changes: a pure difference of two plans. Accounts and targets that are the same are not
//! touched at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::account::{Account, Phase};
use super::effect::{Effect, Note};
use super::engine::{Engine, Key};
use super::event::Restored;
use super::host::Host;
use super::plan::{AccountPlan, Plan, SetId};
use super::set::hooks_of;
use crate::config::model::Limit;
use crate::domain::{AccountId, Now};

impl Engine {
    pub(super) fn configure(
        &mut self,
        plan: Plan,
        mut restored: BTreeMap<AccountId, Restored>,
        touched: &BTreeSet<AccountId>,
        marks: &BTreeMap<SetId, u64>,
        now: Now,
    ) {
        // Nobody leaves by half of a configuration: an account that is still to be changed might ask as it was.
        self.held_back = Some(self.plan_hosts(&plan));
        let gone: Vec<AccountId> =
            self.accounts.keys().filter(|name| !plan.accounts.contains_key(*name)).cloned().collect();
        for name in gone {
            self.remove(&name);
        }
        self.leave_targets(&plan, now);
        let hooks = hooks_of(&plan);
        for (name, account) in plan.accounts {
            if self.accounts.contains_key(&name) {
                self.change(&name, account, restored.remove(&name), touched.contains(&name), now);
            } else {
                self.add(&name, account, restored.remove(&name).unwrap_or_default(), now);
            }
        }
        self.plan_templates(plan.templates, now);
        self.plan_sets(&hooks, marks, now);
        self.forget_servers();
        for host in self.held_back.take().unwrap_or_default() {
            self.pump(&host, now);
        }
        let used: BTreeSet<&str> = self.accounts.values().map(|account| &*account.plan.host).collect();
        let (hosts, timers) = (&mut self.hosts, &mut self.timers);
        hosts.retain(|name, host| {
            let keep = !host.is_idle(now) || used.contains(&**name);
            if !keep {
                timers.clear(&Key::Host(name.clone()));
            }
            keep
        });
    }

    fn add(&mut self, name: &AccountId, plan: AccountPlan, restored: Restored, now: Now) {
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        let targets = plan.targets.clone();
        let mut account = Account::new(plan, epoch, restored, now);
        if self.flights.contains_key(name) {
            account.phase = Phase::Asking; // waits for its predecessor's request
        }
        self.accounts.insert(name.clone(), account);
        self.say(Note::Added { account: name.clone() });
        self.begin(name, now);
        self.plan_targets(name, &targets, now);
    }

    fn change(
        &mut self,
        name: &AccountId,
        mut plan: AccountPlan,
        restored: Option<Restored>,
        touched: bool,
        now: Now,
    ) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        plan.identity = plan.identity.or(account.plan.identity); // missing is not another
        plan.owner = plan.owner.or(account.plan.owner);
        let rekeyed = std::mem::replace(&mut account.plan.owner, plan.owner) != plan.owner;
        if account.plan == plan {
            self.mended(name, rekeyed, touched, now);
            return;
        }
        self.say(Note::Changed { account: name.clone() });
        let Some(account) = self.accounts.get_mut(name) else { return };
        let mut moves = false;
        if let (Phase::Queued(place), true) = (account.phase, account.plan.host != plan.host)
            && let Some(host) = self.hosts.get_mut(&account.plan.host)
        {
            host.unqueue(name, place);
            (account.phase, moves) = (Phase::Idle, true);
        }
        let old = std::mem::replace(&mut account.plan, plan);
        account.unverified = account.unverified.take().filter(|_| account.plan.verify);
        let targets = account.plan.targets.clone();
        let known = (old.identity, account.plan.identity);
        if matches!(known, (Some(before), Some(after)) if before != after) {
            self.renounce_for(name, restored.unwrap_or_default(), now);
        } else {
            self.reschedule(name, &old, now);
            if moves {
                self.enqueue(name, now);
            }
            self.mended(name, rekeyed, touched, now);
        }
        self.plan_targets(name, &targets, now);
    }

    fn mended(&mut self, name: &AccountId, rekeyed: bool, touched: bool, now: Now) {
        match (rekeyed, touched) {
            (true, _) => self.rekeyed(name, now),
            (false, true) => self.forgive(name, now),
            (false, false) => {}
        }
    }

    /// The schedule may have changed.
    fn reschedule(&mut self, name: &AccountId, old: &AccountPlan, now: Now) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        if let Some(last) = account.last_request {
            account.asked_at(last.min(now.wall), now);
        }
        if account.plan.host != old.host {
            account.failing_since = None;
        }
        let waits = self.timers.at(&Key::Ask(name.clone())).is_some();
        let fresh = account.error.is_none() && account.live_token(now).is_some();
        let eased = account.plan.min_interval < old.min_interval;
        let same = account.plan.lead == old.lead && account.plan.min_interval == old.min_interval;
        if fresh && waits && !same {
            self.schedule_renewal(name, now);
        } else if !fresh && waits && eased {
            // Its deadline may be the old interval's; what else forbids asking is looked at again.
            self.timers.clear(&Key::Ask(name.clone()));
            self.enqueue(name, now); // or when its predecessor's request has ended
        }
    }

    fn remove(&mut self, name: &AccountId) {
        let Some(account) = self.accounts.remove(name) else { return };
        self.unqueue(name, &account);
        self.timers.clear(&Key::Ask(name.clone()));
        self.timers.clear(&Key::Expiry(name.clone()));
        self.say(Note::Removed { account: name.clone() });
        self.effects.push(Effect::Forget { account: name.clone() });
    }

    /// The identity has changed under a running agent: the tokens are not ours any more, but for what is stored of this one.
    pub(super) fn renounce_for(&mut self, name: &AccountId, restored: Restored, now: Now) {
        let Some(old) = self.accounts.get(name).cloned() else { return };
        self.unqueue(name, &old);
        let epoch = self.next_epoch;
        self.next_epoch += 1;
        let restored = Restored { generation: old.generation.max(restored.generation), ..restored };
        let restored_token = restored.token;
        let mut account = Account::new(old.plan, epoch, restored, now);
        account.finished = old.finished;
        if self.flights.contains_key(name) {
            account.phase = Phase::Asking;
        }
        self.accounts.insert(name.clone(), account);
        self.timers.clear(&Key::Expiry(name.clone()));
        if restored_token.is_none() {
            self.effects.push(Effect::Disown { account: name.clone() });
        }
        self.begin(name, now);
        self.drive_targets(name, now); // those that waited for a server with the old token have nothing to write
    }

    /// Sets the first deadlines of an account.
    fn begin(&mut self, name: &AccountId, now: Now) {
        let Some(account) = self.accounts.get(name) else { return };
        let inherited = account.next_try.map(|at| now.at_wall(at));
        let live = account.live_token(now).is_some();
        if let Some(held) = account.token.filter(|held| held.lives(now)) {
            self.timers.set(Key::Expiry(name.clone()), held.expiry);
        }
        match inherited {
            Some(next) => self.ask_at(name, next),
            // One that waits to be tried may have ended the living one.
            None if live && !account.is_foreign() && !account.untried => {
                self.schedule_renewal(name, now);
            }
            None => self.ask_at(name, now.at_once()),
        }
    }

    fn unqueue(&mut self, name: &AccountId, account: &Account) {
        if let (Phase::Queued(place), Some(host)) = (account.phase, self.hosts.get_mut(&account.plan.host)) {
            host.unqueue(name, place);
        }
    }

    /// A host's limit is the strictest of what its accounts bring. Gives the hosts whose limit is another now.
    fn plan_hosts(&mut self, plan: &Plan) -> BTreeSet<Arc<str>> {
        let mut limits: BTreeMap<_, Limit> = BTreeMap::new();
        for account in plan.accounts.values() {
            let limit = account.limit;
            limits
                .entry(account.host.clone())
                .and_modify(|strictest| {
                    strictest.period = strictest.period.max(limit.period);
                    strictest.burst = strictest.burst.min(limit.burst);
                    strictest.concurrency = strictest.concurrency.min(limit.concurrency);
                })
                .or_insert(limit);
        }
        let mut changed = BTreeSet::new();
        for (name, limit) in limits {
            match self.hosts.get_mut(&name) {
                Some(host) if host.limit == limit => {}
                Some(host) => {
                    host.limit = limit;
                    changed.insert(name);
                }
                None => self.hosts.insert(name, Host::new(limit)),
            }
        }
        changed
    }
}
