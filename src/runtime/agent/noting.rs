//! The audit log's entries, where the loop knows of them.

use super::super::audit::RETRY;
use super::super::deliver::{Outlet, Removal};
use super::Agent;
use crate::config::model::Config;
use crate::core::{Effect, Event, TargetId};
use crate::observe::audit::{Entry, Held};

impl Agent {
    /// Keeps the entry, where there is an audit log.
    pub(super) fn record(&self, entry: &Entry) {
        self.audit.record(entry);
    }

    /// From now on the audit log is where that configuration wants it.
    pub(super) fn keep_audit(&mut self, config: &Config) {
        let wanted = config.agent.audit.clone();
        if wanted.is_some() && !self.audit.has_writer() {
            self.audit.start(self.doors.add("agent.audit", RETRY));
        }
        self.audit.place(wanted);
    }

    /// The agent has begun.
    pub(super) fn record_start(&self) {
        let (pid, uid) = (std::process::id(), rustix::process::geteuid().as_raw());
        self.record(&Entry::Started { version: env!("CARGO_PKG_VERSION"), pid, uid });
    }

    /// What a note says that is to be kept.
    pub(super) fn keep(&self, effect: &Effect) {
        if let Effect::Say(note) = effect
            && self.audit.is_on()
            && let Some(entry) = Entry::of(note, |set, hook| self.observer.hook(set, hook))
        {
            self.record(&entry);
        }
    }

    /// What was written, and what was taken away.
    pub(super) fn keep_delivered(&self, event: &Event) {
        let Event::Delivered { target, held, written: true, .. } = event else { return };
        if !self.audit.is_on() {
            return;
        }
        let accounts = match self.outlets.get(target) {
            Some(Outlet::Sink(account, _)) => std::slice::from_ref(account),
            Some(Outlet::Template(template)) => &template.accounts,
            None => &[],
        };
        self.record(&match held {
            None => Entry::Withdrawn { target: target.to_string() },
            Some(generations) => {
                let held = accounts.iter().zip(generations);
                let held = held
                    .map(|(account, generation)| Held { account: account.clone(), generation: *generation });
                Entry::Delivered { target: target.to_string(), tokens: held.collect() }
            }
        });
    }

    /// What was deleted with its sink.
    pub(super) fn keep_deleted(&self, target: &TargetId, result: &Result<Removal, String>) {
        let target = target.to_string();
        match result {
            Ok(Removal::Deleted) => self.record(&Entry::Deleted { target }),
            Ok(Removal::Nothing | Removal::TakenOver) => {}
            Err(error) => self.record(&Entry::NotDeleted { target, error: error.clone() }),
        }
    }
}
