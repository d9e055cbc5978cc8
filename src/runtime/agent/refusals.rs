//! What comes of an exchange that left with other credentials than the last look has seen.

use super::Agent;
use crate::core::Event;
use crate::domain::{AccountId, ErrorClass};

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

    /// Whether the last request was made with the credentials that the last look saw.
    fn was_tried(&self, account: &AccountId) -> bool {
        let content = self.running.probes.get(account).and_then(|probe| probe.content);
        let record = self.shared.store.latest(account);
        record.is_some_and(|record| content.is_some() && record.credentials == content)
    }
}
