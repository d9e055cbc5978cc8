//! Turns what passes the choke point into counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Counters;
use crate::core::{Effect, Event, Plan, TargetId};
use crate::domain::{AccountId, BootInstant, ErrorClass, Now};
use crate::observe::Exchange;

/// Counts, with what it must remember for that.
#[derive(Debug, Default)]
pub(in crate::observe) struct Recorder {
    counters: Arc<Counters>,
    /// The provider of each account in the configuration.
    providers: BTreeMap<AccountId, Arc<str>>,
    /// The account of each sink in the configuration; none of a template.
    sinks: BTreeMap<TargetId, Option<AccountId>>,
    /// When each request that is out began; at most one an account.
    asking: BTreeMap<AccountId, BootInstant>,
    /// When each write that is under way began; at most one a sink.
    writing: BTreeMap<TargetId, BootInstant>,
}

impl Recorder {
    /// What has been counted so far. Cheap: the counts are copied only if they change while someone holds them.
    pub(in crate::observe) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    pub(in crate::observe) fn event(&mut self, event: &Event, now: Now) {
        match event {
            Event::Configured { plan, .. } => self.configured(plan),
            Event::Issued { account, .. } => self.renewal(account, Ok(())),
            Event::Failed { account, failure, .. } => self.renewal(account, Err(failure.class)),
            Event::Delivered { target, written, .. } => self.delivered(target, Some(*written), now),
            Event::Undelivered { target, .. } => self.delivered(target, None, now),
            _ => {}
        }
    }

    pub(in crate::observe) fn effect(&mut self, effect: &Effect, now: Now) {
        match effect {
            Effect::Issue(order) => {
                self.asking.insert(order.account.clone(), now.boot);
                Arc::make_mut(&mut self.counters).renewal_lateness.observe(order.late);
            }
            Effect::Deliver { target, .. } | Effect::Withdraw { target, .. } => {
                self.writing.insert(target.clone(), now.boot);
            }
            _ => {}
        }
    }

    /// Gives how long it took, where its beginning was seen.
    pub(in crate::observe) fn exchange(&mut self, exchange: &Exchange<'_>, now: Now) -> Option<Duration> {
        let began = self.asking.remove(exchange.account);
        let took = began.map(|began| now.boot.since(began));
        if let Some(provider) = self.providers.get(exchange.account).filter(|_| exchange.asked) {
            let counters = Arc::make_mut(&mut self.counters);
            counters.request(provider, exchange.status, exchange.outcome == Err(ErrorClass::Throttled));
            if let Some(offset_ms) = exchange.clock_offset_ms {
                counters.clock_skew(provider, offset_ms);
            }
            if let Some(took) = took {
                counters.renewal_duration.observe(took);
            }
        }
        took
    }

    pub(in crate::observe) fn hook_run(&mut self, kind: &'static str, ok: bool) {
        Arc::make_mut(&mut self.counters).hook_run(kind, ok);
    }

    fn configured(&mut self, plan: &Plan) {
        let accounts = plan.accounts.iter();
        self.providers = accounts.clone().map(|(name, plan)| (name.clone(), plan.provider.clone())).collect();
        self.sinks = accounts
            .clone()
            .flat_map(|(name, plan)| {
                plan.targets.iter().map(|target| (target.id.clone(), Some(name.clone())))
            })
            .chain(plan.templates.iter().map(|template| (template.target.id.clone(), None)))
            .collect();
        let used: BTreeSet<&str> = self.providers.values().map(AsRef::as_ref).collect();
        let counters = Arc::make_mut(&mut self.counters);
        counters.retain(
            |account, provider| self.providers.get(account).is_some_and(|of| **of == *provider),
            |provider| used.contains(provider),
            |account, sink| self.sinks.get(sink).is_some_and(|of| label(of) == account),
        );
        for template in &plan.templates {
            counters.begin_sink("", &template.target.id);
        }
        for (name, plan) in accounts {
            counters.begin_account(name, &plan.provider, plan.targets.iter().map(|target| &target.id));
        }
    }

    /// Also of a request whose task has panicked, which no exchange tells of.
    fn renewal(&mut self, account: &AccountId, outcome: Result<(), ErrorClass>) {
        self.asking.remove(account);
        if let Some(provider) = self.providers.get(account) {
            Arc::make_mut(&mut self.counters).renewal(account, provider, outcome);
        }
    }

    /// `written`: `None` where it failed, `false` where there was nothing to do.
    fn delivered(&mut self, target: &TargetId, written: Option<bool>, now: Now) {
        let began = self.writing.remove(target);
        let Some(account) = self.sinks.get(target).filter(|_| written != Some(false)) else { return };
        let counters = Arc::make_mut(&mut self.counters);
        counters.sink_write(label(account), target, written.is_some());
        if let Some(began) = began {
            counters.sink_write_duration.observe(now.boot.since(began));
        }
    }
}

/// The `account` of a sink's series.
fn label(account: &Option<AccountId>) -> &str {
    account.as_ref().map_or("", AccountId::as_str)
}
