//! What a template sees of an account.

use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Serde, Value};

use crate::domain::{Secret, TokenDocument};

/// The field that is there only for whoever names it.
const REFRESH_TOKEN: &str = "refresh_token";

/// One account that something is made from.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its token.
    pub document: TokenDocument<'a>,
    /// The refresh token that belongs to it, where there is one.
    ///
    /// It reaches a sink only where a template names it, as `refresh_token`: neither the document as a whole nor a
    /// loop over its fields shows it.
    pub refresh_token: Option<&'a Secret>,
}

impl<'a> From<&TokenDocument<'a>> for Member<'a> {
    fn from(document: &TokenDocument<'a>) -> Self {
        Self { document: *document, refresh_token: None }
    }
}

impl Member<'_> {
    /// The fields at top level, for a template of `source`.
    pub(super) fn context(&self, source: &str) -> Value {
        let refresh_token = self.refresh_token.filter(|_| names_refresh_token(source));
        let refresh_token = refresh_token.map(|secret| Value::from(secret.expose()));
        of(Value::from(Serde(self.document.to_json())), refresh_token)
    }
}

/// A document's fields, and its refresh token.
pub(super) fn of(document: Value, refresh_token: Option<Value>) -> Value {
    Value::from_object(Fields { document, refresh_token })
}

/// Whether a template names a refresh token: only then need one be at hand.
fn names_refresh_token(source: &str) -> bool {
    source.contains(REFRESH_TOKEN)
}

/// The document's fields, and the refresh token for whoever asks for it by name.
struct Fields {
    document: Value,
    refresh_token: Option<Value>,
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str() {
            Some(REFRESH_TOKEN) => self.refresh_token.clone(),
            _ => self.document.get_item(key).ok().filter(|value| !value.is_undefined()),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.document.try_iter().into_iter().flatten().collect())
    }
}
