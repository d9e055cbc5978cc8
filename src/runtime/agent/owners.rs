//! Keys that refresh tokens belong to: with another one the account logs in at once, and its token stays until that has
//! succeeded (docs/decisions/0011).

use std::collections::BTreeMap;

use super::super::credentials::Probe;
use super::super::issue::is_foreign;
use super::Agent;
use crate::core::{CredentialChange, Event};
use crate::domain::{AccountId, ErrorClass};

impl Agent {
    /// Takes what came of an exchange. One that left with the key before is not the last word: its refresh token is not
    /// for use, and where it went well a login with the new key is due all the same.
    pub(super) fn landed(&mut self, mut event: Event) {
        let owed = match &mut event {
            Event::Issued { account, meta, .. } if self.is_foreign(account) => {
                meta.refresh = None;
                self.owes_login(account).then(|| account.clone())
            }
            Event::Failed { account, failure, .. } if self.is_foreign(account) => {
                failure.refresh = None;
                None
            }
            _ => None,
        };
        let refused = match &event {
            Event::Failed { account, failure, .. } if failure.class == ErrorClass::Rejected => {
                Some(account.clone())
            }
            _ => None,
        };
        self.apply(event);
        // What was refused may not be what stands there, before or since: nobody may have seen it change.
        if let Some(account) = refused.filter(|account| !self.was_tried(account)) {
            self.look_at_secrets(|known| known.name == account);
        }
        if let Some(account) = owed {
            self.apply(Event::CredentialChanged { account, change: CredentialChange::Owner });
        }
    }

    /// Those whose key has changed since they last logged in, and was not tried yet.
    pub(super) fn log_in_with_other_keys(&mut self, before: &BTreeMap<AccountId, Probe>) {
        let other = |(name, probe): &(&AccountId, &Probe)| {
            probe.owner.is_some() && before.get(*name).is_none_or(|before| before.owner != probe.owner)
        };
        let names = self.running.probes.iter().filter(other).map(|(name, _)| name);
        let owing: Vec<AccountId> = names.filter(|name| self.owes_login(name)).cloned().collect();
        for account in owing {
            self.apply(Event::CredentialChanged { account, change: CredentialChange::Owner });
        }
    }

    fn is_foreign(&self, account: &AccountId) -> bool {
        let owner = self.running.probes.get(account).and_then(|probe| probe.owner);
        owner.is_some() && self.shared.store.latest(account).is_some_and(|record| is_foreign(&record, owner))
    }

    /// Once tried, in vain, the key has the backoff of every other failure.
    pub(super) fn owes_login(&self, account: &AccountId) -> bool {
        self.is_foreign(account) && !self.was_tried(account)
    }

    /// Whether the last request was made with the credentials that the last look saw.
    fn was_tried(&self, account: &AccountId) -> bool {
        let content = self.running.probes.get(account).and_then(|probe| probe.content);
        let record = self.shared.store.latest(account);
        record.is_some_and(|record| content.is_some() && record.credentials == content)
    }
}
