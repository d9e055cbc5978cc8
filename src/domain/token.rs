use std::time::Duration;

use super::{AccountId, Generation, Secret, Timestamp};

/// What the engine knows of a token: everything but the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TokenMeta {
    /// The count of the account's tokens, this one included.
    pub generation: Generation,
    /// Taken before the request was sent.
    pub issued_at: Timestamp,
    /// By our own wall clock, corrected for the provider's.
    pub expires_at: Timestamp,
}

impl TokenMeta {
    /// The token's whole life, `L` in the renewal policy.
    #[must_use]
    pub fn lifetime(&self) -> Duration {
        self.expires_at.since(self.issued_at)
    }
}

/// A token as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Instants and generation.
    pub meta: TokenMeta,
    /// Printable ASCII without spaces, 1 to 16,384 characters.
    pub access_token: Secret,
    /// `Bearer` unless the provider says otherwise.
    pub token_type: String,
    /// Other fields that the provider's definition publishes, in its order.
    pub extra: Vec<(String, serde_json::Value)>,
}

impl Token {
    /// What an `Authorization` header begins with (RFC 9110, section 11.1); `None` where the type is not one word.
    /// Many providers answer `bearer` and then want to see `Bearer`.
    #[must_use]
    pub fn scheme(&self) -> Option<&str> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match self.token_type.as_str() {
            bearer if bearer.eq_ignore_ascii_case("bearer") => Some("Bearer"),
            other => (!other.is_empty() && other.bytes().all(word)).then_some(other),
        }
    }
}

/// The token document of the contract: `json` files, templates, the socket.
#[derive(Debug, Clone, Copy)]
pub struct TokenDocument<'a> {
    /// Whose token it is.
    pub account: &'a AccountId,
    /// The name of the provider's definition.
    pub provider: &'a str,
    /// The token.
    pub token: &'a Token,
}

impl TokenDocument<'_> {
    /// The names of its fields, in the order of the contract. Whoever offers or checks such a name takes it from here.
    pub const FIELDS: [&'static str; 9] = [
        "account",
        "provider",
        "access_token",
        "token_type",
        "issued_at",
        "expires_at",
        "expires_at_unix",
        "generation",
        "extra",
    ];

    /// The document's fields as JSON, in the order of the contract.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let Token { meta, access_token, token_type, extra } = self.token;
        let extra: serde_json::Map<String, serde_json::Value> = extra.iter().cloned().collect();
        serde_json::json!({
            "account": self.account,
            "provider": self.provider,
            "access_token": access_token.expose(),
            "token_type": token_type,
            "issued_at": meta.issued_at,
            "expires_at": meta.expires_at,
            "expires_at_unix": meta.expires_at.as_secs(),
            "generation": meta.generation,
            "extra": extra,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Generation;

    #[test]
    fn the_document_has_the_fields_that_are_told_in_their_order() {
        let at = Timestamp::from_secs(1_800_000_000);
        let token = Token {
            meta: TokenMeta { generation: Generation(7), issued_at: at, expires_at: at },
            access_token: Secret::from("abc"),
            token_type: "Bearer".to_owned(),
            extra: Vec::new(),
        };
        let account = AccountId::new("one").unwrap();
        let document = TokenDocument { account: &account, provider: "p", token: &token }.to_json();
        let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, TokenDocument::FIELDS);
    }
}
