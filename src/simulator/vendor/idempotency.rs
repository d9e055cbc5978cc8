//! PortOne's `Idempotency-Key` (its API overview; IETF draft-ietf-httpapi-idempotency-key-header): a retry with the
//! same key gets the stored reply, for three hours.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use ring::digest;
use serde_json::json;

use super::{Answer, Call};
use crate::simulator::{
    clock::later,
    provider::{Operation, Provider},
    world::World,
};

const KEPT: Duration = Duration::from_secs(3 * 3_600);

/// The keys that were seen.
#[derive(Clone, Debug, Default)]
pub(in crate::simulator) struct Keys(HashMap<Key, Entry>);

/// A key within its operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::simulator) struct Key {
    operation: Operation,
    key: String,
}

#[derive(Clone, Debug)]
struct Entry {
    body: Vec<u8>,
    at: Timestamp,
    answer: Option<Answer>,
    in_flight: bool,
}

/// What a request's key means.
pub(super) enum Entered {
    /// No key, or a vendor without keys.
    Unasked,
    /// A new one: the reply is to be stored.
    First(Key),
    /// The stored reply, or an error.
    Answered(Answer),
}

impl Keys {
    /// Keeps the reply; the request stays in flight until [`Keys::finish`].
    pub(super) fn store(&mut self, key: &Key, answer: &Answer) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.answer = Some(answer.clone());
        }
    }

    /// The reply went out, or its client left.
    pub(in crate::simulator) fn finish(&mut self, key: &Key) {
        if let Some(entry) = self.0.get_mut(key) {
            entry.in_flight = false;
        }
    }

    /// All clients left.
    pub(in crate::simulator) fn finish_all(&mut self) {
        self.0.values_mut().for_each(|entry| entry.in_flight = false);
    }
}

pub(super) fn enter(world: &mut World, call: &Call) -> Entered {
    if call.provider != Provider::PortOne || !call.headers.contains_key("idempotency-key") {
        return Entered::Unasked;
    }
    let Some(key) = call.header("idempotency-key").and_then(key_of) else {
        return refused(400, "INVALID_REQUEST", "Idempotency-Key: 16 to 256 characters in quotes");
    };
    let key = Key { operation: call.operation, key };
    let body = digest::digest(&digest::SHA256, &call.body).as_ref().to_vec();
    let keys = &mut world.keys.0;
    keys.retain(|_, entry| later(entry.at, KEPT) > call.now);
    match keys.get(&key) {
        None => {
            keys.insert(key.clone(), Entry { body, at: call.now, answer: None, in_flight: true });
            Entered::First(key)
        }
        Some(entry) if entry.body != body => {
            refused(400, "INVALID_REQUEST", "Idempotency-Key: used with another request")
        }
        Some(Entry { in_flight: false, answer: Some(answer), .. }) => Entered::Answered(answer.clone()),
        Some(_) => refused(409, "IDEMPOTENCY_OUTSTANDING_REQUEST", "The first request is still under way"),
    }
}

fn refused(status: u16, kind: &str, message: &str) -> Entered {
    Entered::Answered(Answer::refused(status, json!({"type": kind, "message": message})))
}

/// The key inside its quotes. The vendor's page shows bare ones of `[A-Za-z0-9_-]` too, so both are read.
fn key_of(header: &str) -> Option<String> {
    let quoted = header.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let allowed = |key: &str| match quoted {
        Some(_) => key.chars().all(|c| (' '..='~').contains(&c) && c != '"' && c != '\\'),
        None => key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
    };
    let key = quoted.unwrap_or(header);
    ((16..=256).contains(&key.len()) && allowed(key)).then(|| key.to_owned())
}
