use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{AccountId, Generation, Timestamp};

const ACCOUNT: &str = "renewd.io/account";
const GENERATION: &str = "renewd.io/generation";
const ISSUED_AT: &str = "renewd.io/issued-at";

/// A token that claims to be issued further ahead of the API server's clock was issued by a broken clock.
const SKEW: Duration = Duration::from_secs(300);

/// Which token stands in a Secret: what its annotations say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Whose token it is.
    pub account: AccountId,
    /// Which one of the account's.
    pub generation: Generation,
    /// When it was issued; between agents whose state was lost it decides which is newer.
    pub issued_at: Timestamp,
}

impl Stamp {
    /// The annotations that say it.
    pub(super) fn annotations(&self) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            (ACCOUNT, self.account.to_string()),
            (GENERATION, self.generation.to_string()),
            (ISSUED_AT, self.issued_at.to_string()),
        ])
    }
}

/// What a Secret's annotations say of the token in it; any of it may be missing or junk.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// As written there, perhaps no name at all.
    pub(super) account: Option<String>,
    token: Option<(Timestamp, Generation)>,
}

impl Seen {
    pub(super) fn read(annotations: &BTreeMap<String, String>) -> Self {
        let issued_at = annotations.get(ISSUED_AT).and_then(|text| {
            serde_json::from_value::<Timestamp>(serde_json::Value::String(text.clone())).ok()
        });
        let generation = annotations.get(GENERATION).and_then(|text| text.parse().ok()).map(Generation);
        Self { account: annotations.get(ACCOUNT).cloned(), token: issued_at.zip(generation) }
    }

    /// Whether a newer token than `ours` stands there. `now` is the API server's clock, where it told it.
    pub(super) fn newer_than(&self, ours: &Stamp, now: Option<Timestamp>) -> bool {
        let Some((issued_at, generation)) = self.token else { return false };
        let plausible = now.is_none_or(|now| issued_at <= now.plus(SKEW));
        plausible && (issued_at, generation) > (ours.issued_at, ours.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, Stamp};
    use crate::domain::{AccountId, Generation, Timestamp};

    fn stamp(generation: u64, issued_at: i64) -> Stamp {
        Stamp {
            account: AccountId::new("shop").unwrap(),
            generation: Generation(generation),
            issued_at: Timestamp::from_secs(issued_at),
        }
    }

    fn seen(stamp: &Stamp) -> Seen {
        Seen::read(&stamp.annotations().into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    #[test]
    fn the_later_issued_token_is_newer_and_the_generation_decides_within_an_instant() {
        let now = Some(Timestamp::from_secs(10_000));
        for (there, ours, newer) in [
            (stamp(2, 1000), stamp(1, 900), true),
            (stamp(1, 1000), stamp(1, 1000), false),
            (stamp(2, 1000), stamp(1, 1000), true),
            (stamp(1, 1000), stamp(2, 1000), false),
            // The state was lost: a first generation again, issued later.
            (stamp(500, 900), stamp(1, 1000), false),
            (stamp(1, 1000), stamp(500, 900), true),
        ] {
            assert_eq!(seen(&there).newer_than(&ours, now), newer, "{there:?} {ours:?}");
        }
    }

    #[test]
    fn a_token_from_the_future_does_not_hold_its_place() {
        let ours = stamp(8, 1000);
        let there = seen(&stamp(7, 1000 + 3600));
        assert!(!there.newer_than(&ours, Some(Timestamp::from_secs(1010))));
        assert!(there.newer_than(&ours, Some(Timestamp::from_secs(4400))));
        assert!(there.newer_than(&ours, None));
    }

    #[test]
    fn junk_in_the_annotations_is_no_newer_token() {
        let mut annotations: std::collections::BTreeMap<String, String> =
            stamp(9, 9000).annotations().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        annotations.insert("renewd.io/issued-at".to_owned(), "soon".to_owned());
        assert!(!Seen::read(&annotations).newer_than(&stamp(1, 1), None));
    }
}
