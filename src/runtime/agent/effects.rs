//! Effects begin as tasks here, and their ends come back as events.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::Id;
use tokio::time::timeout;

use super::super::deliver::{self, Delivered, Outlet, Removal};
use super::super::issue::{self, Exchange};
use super::super::notify::{self, Notifier};
use super::super::verify::{self, Try};
use super::super::{clock, credentials, restore};
use super::chores::HANGS;
use super::{Agent, Done};
use crate::config::model::Account;
use crate::core::{self, Effect, Event, FailureMeta, HookFailure, Operation, SetId};
use crate::domain::{AccountId, ErrorClass};
use crate::observe;
use crate::sink::file::Tenure;
use crate::store::{Durability, Saving};

impl Agent {
    pub(super) fn begin_effect(&mut self, effect: Effect) {
        let (shared, servers) = (Arc::clone(&self.shared), self.servers.clone());
        match effect.clone() {
            Effect::Issue(order) => {
                let Some(account) = self.account(&order.account) else { return };
                let spends = order.operation == Operation::Refresh && account.provider.refresh_single_use;
                let end = spends.then(|| clock::timer_after(order.timeout + restore::MARGIN));
                let task = self.tasks.spawn(async move {
                    Done::Exchange(issue::issue(shared, servers, account, order).await)
                });
                self.spending.extend(end.map(|end| (task.id(), end)));
                self.about.insert(task.id(), effect);
            }
            Effect::Verify { account, epoch, generation, protected } => {
                let Some(account) = self.account(&account) else { return };
                let (end, ending) = oneshot::channel();
                self.verifying.insert(account.name.clone(), end);
                let order = Try { epoch, generation, protected, ending };
                let task = self
                    .tasks
                    .spawn(async move { Done::Exchange(verify::verify(shared, account, order).await) });
                self.about.insert(task.id(), effect);
            }
            Effect::EndVerify { account, ending } => {
                let end = self.verifying.remove(&account);
                let _ = end.map(|end| end.send(ending)); // it may have ended just now
            }
            Effect::Deliver { target, revision } => {
                let Some(outlet) = self.outlets.get(&target).cloned() else { return };
                let tenure = self.drift.tenure(&target);
                self.drift.begun(&target);
                let task = self.tasks.spawn(async move {
                    Done::Delivery(deliver::deliver(shared, servers, outlet, target, revision, tenure).await)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Withdraw { target, revision } => {
                let Some(outlet) = self.outlets.get(&target).cloned() else { return };
                let tenure = self.drift.tenure(&target);
                self.drift.begun(&target);
                let task = self.tasks.spawn(async move {
                    Done::Delivery(deliver::withdraw(shared, servers, outlet, target, revision, tenure).await)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Retire { target, delete } => {
                let tenure = self.drift.tenure(&target);
                self.drift.forget(&target);
                let Some(outlet) = self.outlets.remove(&target).filter(|_| delete) else { return };
                let kept = self.drift.places();
                self.tasks.spawn(async move {
                    Done::Deleted(target, deliver::delete(shared, servers, outlet, tenure, kept).await)
                });
            }
            Effect::Notify { set, hook, revision, targets, .. } => {
                let Some(notifier) = self.notifier(&set) else { return };
                let run = notify::Run { set, hook, revision, targets };
                let task = self.tasks.spawn(async move {
                    let (kind, event) = notify::notify(shared, servers, notifier, run).await;
                    Done::Notified(kind, event)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Marked { set: SetId::Account(account), mark } => {
                self.save(account, move |record| record.notified = Some(mark));
            }
            Effect::Marked { set: SetId::Template(template), mark } => {
                let task = self.tasks.spawn_blocking(move || {
                    Done::Marked(shared.store.mark(&template, mark).map_err(|error| error.to_string()))
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Remember { account, schedule } => {
                self.save(account, move |record| record.schedule = restore::schedule(schedule));
            }
            Effect::Forget { account } => {
                let now = clock::wall();
                self.save(account, move |record| record.removed_at = Some(now));
            }
            Effect::Disown { account } | Effect::DropRefresh { account } => {
                let configured = self.account(&account);
                let probe = self.running.probes.get(&account);
                let claim = configured.and_then(|configured| probe?.claim(&configured));
                if let Some(claim) = claim {
                    let now = clock::wall();
                    self.save(account, move |record| {
                        record.settle(&claim, now);
                    });
                }
            }
            Effect::Knock { server, account } => {
                let account = self.account(&account);
                let task = self.tasks.spawn(async move {
                    let answers = match account {
                        Some(account) => credentials::vault_answers(&account, servers.keys.as_deref()).await,
                        None => false,
                    };
                    Done::Knocked(server, answers)
                });
                self.about.insert(task.id(), effect);
            }
            Effect::Say(_) => {}
        }
    }

    pub(super) fn save(&mut self, account: AccountId, change: impl FnOnce(&mut crate::store::Record)) {
        if self.shared.store.latest(&account).is_none() {
            return; // nothing was ever stored: there is nothing to keep
        }
        let saving = self.shared.store.update(&account, Durability::Cached, change);
        self.await_saved(account, saving);
    }

    /// Hears of a write that fails. Of one that hangs the tick speaks, for all.
    pub(super) fn await_saved(&mut self, account: AccountId, saving: Saving) {
        self.tasks.spawn(async move {
            let saved = timeout(HANGS, saving).await.unwrap_or(Ok(()));
            Done::Saved(account, saved.map_err(|error| error.worded()))
        });
    }

    fn notifier(&self, set: &SetId) -> Option<Notifier> {
        match set {
            SetId::Account(account) => self.account(account).map(Notifier::Account),
            SetId::Template(template) => match self.outlets.get(template)? {
                Outlet::Template(template) => Some(Notifier::Template(Arc::clone(template))),
                Outlet::Sink(..) => None,
            },
        }
    }

    pub(super) fn account(&self, name: &AccountId) -> Option<Arc<Account>> {
        self.running.config.as_ref()?.accounts.get(name).cloned()
    }

    pub(super) async fn done(&mut self, done: Result<(Id, Done), tokio::task::JoinError>) {
        let (id, done) = match done {
            Ok(done) => done,
            Err(error) => return self.failed_task(error.id()),
        };
        self.spending.remove(&id);
        if let Some(Effect::Verify { account, .. }) = self.about.remove(&id) {
            self.verifying.remove(&account);
        }
        match done {
            Done::Exchange(exchange) => {
                self.exchanged(&exchange);
                self.landed(exchange.event);
            }
            Done::Delivery(delivered) => self.delivered(delivered),
            Done::Looked(suspicions, whole) => {
                for target in self.drift.found(suspicions, whole, clock::now().boot) {
                    self.apply(Event::TargetLost { target });
                }
            }
            Done::Deleted(target, result) => {
                match &result {
                    Ok(Removal::TakenOver) => self.observer.taken_over(&target),
                    Ok(removal) => self.observer.deleted(&target, Ok(*removal == Removal::Deleted)),
                    Err(error) => self.observer.deleted(&target, Err(error)),
                }
                self.keep_deleted(&target, &result);
            }
            Done::Notified(kind, event) => {
                if let Event::Notified { result, .. } = &event {
                    self.observer.hook_ran(kind, result.is_ok());
                }
                self.apply(event);
            }
            Done::Knocked(server, answers) => self.apply(Event::Knocked { server, answers }),
            Done::Maintained(result) => {
                self.maintaining = false;
                self.observer.maintained(&result);
            }
            Done::Marked(Ok(())) => {}
            Done::Marked(Err(error)) => self.observer.not_marked(&error),
            Done::Saved(account, Err(error)) => self.observer.not_saved(&account, &error),
            Done::Saved(_, Ok(())) => {}
            Done::Flushed(errors) => {
                self.flushing = None;
                if std::mem::take(&mut self.hangs) {
                    self.observer.state_answers();
                }
                self.observer.flushed(&errors);
            }
            Done::Purged(result) => self.observer.purged(&result),
            Done::Loaded(result, since) => self.loaded(*result, since).await,
            Done::Probed(account, probe) => self.probed(account, probe),
            Done::Alerted(told) => self.told(told),
        }
    }

    fn delivered(&mut self, Delivered { event, warnings, look, tenure, displaced }: Delivered) {
        if let Event::Delivered { target, .. } | Event::Undelivered { target, .. } = &event {
            self.observer.warnings(target, &warnings);
            self.drift.ended(target);
        }
        if let Event::Delivered { target, written, .. } = &event {
            if tenure == Tenure::Ours {
                self.drift.settled(target);
            }
            if self.drift.delivered(target, look, *written, clock::now().boot) || displaced {
                self.observer.mended(target, displaced);
            }
        }
        self.keep_delivered(&event);
        self.apply(event);
    }

    fn exchanged(&mut self, exchange: &Exchange) {
        let (account, outcome) = match &exchange.event {
            Event::Issued { account, .. } | Event::Candidate { account, .. } => (account, Ok(())),
            Event::Failed { account, failure, .. } => (account, Err(failure.class)),
            _ => return,
        };
        let seen = observe::Exchange {
            account,
            asked: exchange.asked,
            status: exchange.status,
            outcome,
            clock_offset_ms: exchange.clock_offset_ms,
            warnings: &exchange.warnings,
        };
        self.observer.exchange(&seen, clock::now());
    }

    /// A task has panicked or was cancelled: its account or target goes on as after any other failure.
    fn failed_task(&mut self, id: Id) {
        let message = "internal fault, see the log".to_owned();
        self.spending.remove(&id);
        match self.about.remove(&id) {
            Some(
                Effect::Issue(core::Issue { account, epoch, .. }) | Effect::Verify { account, epoch, .. },
            ) => {
                let failure = FailureMeta::new(ErrorClass::Transient, message);
                self.apply(Event::Failed { account, epoch, failure });
            }
            Some(Effect::Deliver { target, revision, .. } | Effect::Withdraw { target, revision }) => {
                self.drift.ended(&target);
                let class = ErrorClass::Config;
                self.apply(Event::Undelivered { target, revision, message, server_away: false, class });
            }
            Some(Effect::Notify { set, hook, revision, .. }) => {
                let failure = HookFailure { class: ErrorClass::Transient, message };
                self.apply(Event::Notified { set, hook, revision, result: Err(failure) });
            }
            Some(Effect::Knock { server, .. }) => self.apply(Event::Knocked { server, answers: false }),
            _ => tracing::error!(event = "internal_fault", "a task has failed"),
        }
    }
}
