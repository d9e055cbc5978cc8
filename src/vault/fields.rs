use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::domain::Secret;

/// The fields of a secret, as they stand there. `Debug` names them only; their texts are wiped when dropped.
#[derive(Clone, PartialEq, Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// A token document, or rendered fields.
    #[must_use]
    pub fn new(fields: Map<String, Value>) -> Self {
        Self(fields)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// As a request carries them: a copy that whoever takes it has to wipe.
    pub(super) fn to_value(&self) -> Value {
        Value::Object(self.0.clone())
    }

    /// Their content, for a keyed fingerprint: the same whatever their order.
    pub(super) fn canonical(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let ordered: BTreeMap<&String, &Value> = self.0.iter().collect();
        // No map with text keys fails to serialise.
        zeroize::Zeroizing::new(serde_json::to_vec(&ordered).unwrap_or_default())
    }
}

impl From<&BTreeMap<String, Secret>> for Fields {
    fn from(fields: &BTreeMap<String, Secret>) -> Self {
        let pair = |(name, value): (&String, &Secret)| (name.clone(), Value::from(value.expose()));
        Self(fields.iter().map(pair).collect())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

/// Clears every text in it.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_fields_and_shows_no_value() {
        let fields = Fields::from(&BTreeMap::from([("token".to_owned(), Secret::from("hunter2"))]));
        assert_eq!(format!("{fields:?}"), r#"{"token"}"#);
    }
}
