use std::fmt;
use std::sync::Arc;

/// The name of an account: `[a-z0-9][a-z0-9._-]{0,62}`.
///
/// The pattern keeps a name usable as a file name, a metric label and a part of a URL path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

/// A name that does not fit `[a-z0-9][a-z0-9._-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an account name: 1 to 63 of a-z, 0-9, `.`, `_`, `-`, beginning with a letter or digit")]
pub struct InvalidAccountId;

impl AccountId {
    /// Checks `name` against the pattern.
    ///
    /// # Errors
    /// [`InvalidAccountId`] where the pattern does not fit.
    pub fn new(name: &str) -> Result<Self, InvalidAccountId> {
        let head = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let tail = |byte: u8| head(byte) || matches!(byte, b'.' | b'_' | b'-');
        match name.as_bytes() {
            [first, rest @ ..] if head(*first) && rest.len() <= 62 && rest.iter().all(|byte| tail(*byte)) => {
                Ok(Self(name.into()))
            }
            _ => Err(InvalidAccountId),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for AccountId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for AccountId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for AccountId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::AccountId;

    #[test]
    fn names_follow_the_pattern() {
        for good in ["a", "0", "messaging", "my-app", "a.b_c-d", &"x".repeat(63)] {
            assert_eq!(AccountId::new(good).map(|id| id.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "A", "-a", ".a", "a/b", "a b", "ä", &"x".repeat(64)] {
            assert!(AccountId::new(bad).is_err(), "{bad:?}");
        }
    }
}
