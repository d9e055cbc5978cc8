//! What renewd knows to stand in a Secret: so that a comparison asks for its version, and for no value.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::stamp::Stamp;
use crate::config::model::KubernetesSink;
use crate::domain::Secret;

/// By namespace and name.
pub(super) struct Memory {
    key: hmac::Key,
    known: Mutex<HashMap<(String, String), Known>>,
}

/// A keyed fingerprint of what a Secret is to hold.
#[derive(Clone, Copy)]
pub(super) struct Print(hmac::Tag);

/// The version in which a Secret held just this.
struct Known {
    version: String,
    print: Print,
}

impl Memory {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without random numbers TLS would fail before anything is compared with this.
        let _ = SystemRandom::new().fill(&mut key);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), known: Mutex::default() }
    }

    pub(super) fn print(&self, data: &BTreeMap<String, Secret>, stamp: &Stamp) -> Print {
        let mut context = hmac::Context::with_key(&self.key);
        let mut add = |text: &str| {
            context.update(&text.len().to_le_bytes());
            context.update(text.as_bytes());
        };
        for (name, value) in stamp.annotations() {
            add(name);
            add(&value);
        }
        for (key, value) in data {
            add(key);
            add(value.expose());
        }
        Print(context.sign())
    }

    /// The version in which the Secret held just this, where that is the last that is known of it.
    pub(super) fn version(&self, sink: &KubernetesSink, print: Print) -> Option<String> {
        let all = self.lock();
        let known = all.get(&place(sink)).filter(|known| known.print.0.as_ref() == print.0.as_ref())?;
        Some(known.version.clone())
    }

    pub(super) fn remember(&self, sink: &KubernetesSink, print: Print, version: String) {
        self.lock().insert(place(sink), Known { version, print });
    }

    pub(super) fn forget(&self, sink: &KubernetesSink) {
        self.lock().remove(&place(sink));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(sink: &KubernetesSink) -> (String, String) {
    (sink.namespace.clone(), sink.secret.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::OnRemove;
    use crate::domain::{AccountId, Generation, Timestamp};

    fn stamp(generation: u64) -> Stamp {
        Stamp {
            account: AccountId::new("shop").unwrap(),
            generation: Generation(generation),
            issued_at: Timestamp::from_secs(0),
        }
    }

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), Secret::from(*value))).collect()
    }

    #[test]
    fn a_version_is_known_of_just_this_content_and_stamp() {
        let sink = KubernetesSink {
            secret: "s".into(),
            namespace: "n".into(),
            keys: None,
            on_remove: OnRemove::Keep,
        };
        let memory = Memory::new();
        let print = |entries: &[(&str, &str)], generation| memory.print(&data(entries), &stamp(generation));
        let ours = print(&[("a", "bc"), ("d", "e")], 1);
        assert_eq!(memory.version(&sink, ours), None);
        memory.remember(&sink, ours, "7".into());
        assert_eq!(memory.version(&sink, print(&[("a", "bc"), ("d", "e")], 1)), Some("7".into()));
        for other in [
            print(&[("a", "bc"), ("d", "e")], 2),
            print(&[("a", "bc")], 1),
            print(&[("a", "b"), ("cd", "e")], 1),
            print(&[("a", "bc"), ("d", "f")], 1),
        ] {
            assert_eq!(memory.version(&sink, other), None);
        }
        let elsewhere = KubernetesSink { namespace: "m".into(), ..sink.clone() };
        assert_eq!(memory.version(&elsewhere, ours), None);
        memory.forget(&sink);
        assert_eq!(memory.version(&sink, ours), None);
    }
}
