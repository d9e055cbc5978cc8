//! What comes of an exchange that left with other credentials than the last look has seen.

use super::super::credentials::origin;
use super::Agent;
use crate::config::model::SecretSource;
use crate::core::Event;
use crate::domain::{AccountId, ErrorClass};
use crate::observe::audit::Entry;
use crate::observe::status::CredentialStatus;

impl Agent {
    /// Takes what came of an exchange. What was refused may not be what stands there, before or since: nobody may have
    /// seen it change.
    pub(super) fn landed(&mut self, event: Event) {
        let refused = match &event {
            Event::Failed { account, failure, .. } if failure.class == ErrorClass::Rejected => {
                Some(account.clone())
            }
            _ => None,
        };
        self.apply(event);
        if let Some(account) = refused.filter(|account| !self.was_tried(account)) {
            self.look_at_secrets(|known| known.name == account);
        }
    }

    /// Says which credentials were found to have other content: what they are refused or taken for from now on.
    pub(super) fn note_changes(&self, account: &AccountId, credentials: &[String]) {
        let Some(known) = self.account(account) else { return };
        for credential in credentials {
            let Some(source) = known.credentials.get(credential).and_then(origin) else { continue };
            self.observer.credential_changed(account, credential, &source);
            self.record(&Entry::CredentialChanged {
                account: account.clone(),
                credential: credential.clone(),
                source,
            });
        }
    }

    /// Where the credentials come from that a provider refuses, and when they were seen to change.
    pub(in crate::runtime) fn refused_credentials(&self, account: &AccountId) -> Vec<CredentialStatus> {
        let Some(known) = self.account(account) else { return Vec::new() };
        let changed = self.running.probes.get(account).map(|probe| &probe.changed);
        let status = |(name, source): (&String, &SecretSource)| {
            let changed_at = changed.and_then(|changed| changed.get(name)).copied();
            Some(CredentialStatus { name: name.clone(), source: origin(source)?, changed_at })
        };
        known.credentials.iter().filter_map(status).collect()
    }

    /// Whether the last request was made with the credentials that the last look saw.
    fn was_tried(&self, account: &AccountId) -> bool {
        let content = self.running.probes.get(account).and_then(|probe| probe.content);
        let record = self.shared.store.latest(account);
        record.is_some_and(|record| content.is_some() && record.credentials == content)
    }
}
