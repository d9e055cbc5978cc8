//! Who wins where a secret holds something else than what we would write. Pure.

use serde_json::{Map, Value};

use super::Fields;
use crate::domain::{Generation, Timestamp};

/// Which token a document is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The account's generation.
    pub generation: Generation,
    /// When the provider issued it.
    pub issued_at: Timestamp,
}

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// What was done.
    pub outcome: Outcome,
    /// The version that stands there now; `None` in key-value version 1.
    pub version: Option<u64>,
    /// Whether somebody else had written since we did.
    pub foreign: bool,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stands there now.
    Written,
    /// It stood there already; nothing was written.
    Unchanged,
    /// A newer token stands there, which was left alone.
    NewerThere,
}

/// A stamp as far as a secret has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Found {
    pub(super) generation: Option<u64>,
    /// Milliseconds.
    pub(super) issued_at: Option<i64>,
}

/// The names under which a stamp stands in `custom_metadata`, where the fields have none.
pub(super) const GENERATION: &str = "renewd_generation";
pub(super) const ISSUED_AT: &str = "renewd_issued_at";
/// The version that the stamp is about: the metadata belong to the secret, and stay when another writes.
pub(super) const VERSION: &str = "renewd_version";

/// Whether what stands there is a newer token than ours.
///
/// `issued_at` decides, as between agents whose state was lost the generations count different things; within one
/// second, and where one side has no time, the generation does. What has no stamp is no token of ours: it is
/// replaced.
pub(super) fn is_newer(there: Found, ours: Stamp) -> bool {
    let seconds = |millis: i64| millis.div_euclid(1000);
    let by_time = there.issued_at.map(|theirs| seconds(theirs).cmp(&seconds(ours.issued_at.as_millis())));
    let by_count = there.generation.map(|theirs| theirs.cmp(&ours.generation.0));
    match (by_time, by_count) {
        (Some(order), count) if order.is_eq() => count.is_some_and(std::cmp::Ordering::is_gt),
        (Some(order), _) => order.is_gt(),
        (None, count) => count.is_some_and(std::cmp::Ordering::is_gt),
    }
}

impl Found {
    /// Of the fields `generation` and `issued_at`, number or text.
    pub(super) fn in_fields(fields: &Fields) -> Self {
        Self {
            generation: fields.get("generation").and_then(number),
            issued_at: fields.get("issued_at").and_then(Value::as_str).and_then(instant),
        }
    }

    /// Of the metadata, where they are about `version`.
    pub(super) fn in_metadata(metadata: &Map<String, Value>, version: u64) -> Self {
        if metadata.get(VERSION).and_then(number) != Some(version) {
            return Self::default();
        }
        Self {
            generation: metadata.get(GENERATION).and_then(number),
            issued_at: metadata.get(ISSUED_AT).and_then(Value::as_str).and_then(instant),
        }
    }

    /// Both halves.
    pub(super) fn whole(self) -> bool {
        self.generation.is_some() && self.issued_at.is_some()
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn instant(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Stamp =
        Stamp { generation: Generation(5), issued_at: Timestamp::from_millis_const(1_000_000) };

    fn found(generation: Option<u64>, issued_at: Option<i64>) -> Found {
        Found { generation, issued_at }
    }

    #[test]
    fn the_newer_token_wins_whatever_the_other_counts() {
        for (there, newer) in [
            (found(Some(6), Some(1_060_000)), true),
            (found(Some(4), Some(940_000)), false),
            // Another agent's count, or ours before the state was lost.
            (found(Some(90), Some(940_000)), false),
            (found(Some(1), Some(1_060_000)), true),
            // Documents say whole seconds or milliseconds.
            (found(Some(6), Some(1_000_900)), true),
            (found(Some(5), Some(1_000_900)), false),
            (found(Some(6), None), true),
            (found(Some(5), None), false),
            (found(None, Some(1_060_000)), true),
            (found(None, None), false),
        ] {
            assert_eq!(is_newer(there, OURS), newer, "{there:?}");
        }
    }

    #[test]
    fn metadata_of_another_version_say_nothing() {
        let metadata = serde_json::json!({
            "renewd_generation": "7", "renewd_issued_at": "1970-01-01T00:16:40Z", "renewd_version": "3", "owner": "x"
        });
        let metadata = metadata.as_object().unwrap();
        assert_eq!(Found::in_metadata(metadata, 3), found(Some(7), Some(1_000_000)));
        assert_eq!(Found::in_metadata(metadata, 4), Found::default());
    }
}
