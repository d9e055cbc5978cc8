//! What stands in a Vault secret or a Kubernetes Secret: the contract's `fields:` and `keys:`.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::content::{RenderError, printable};
use super::context::Member;
use super::escape::Escape;
use super::template::Template;

/// The value of a field or key. Its `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub enum Field {
    /// What a template makes, and every text of the token document.
    Text(Zeroizing<String>),
    /// What is no text in the token document: `expires_at_unix`, `generation`, `extra`.
    Json(serde_json::Value),
}

/// The value of each field or key.
///
/// `templates` are those that the sink names; without them the fields are the token document's. Vault keeps JSON, so
/// there a number stays a number and `extra` a mapping ([`Field::to_json`]); a Kubernetes Secret keeps bytes, so there
/// both are written as JSON ([`Field::to_bytes`]). A template always makes text, of values as they are; one with a line
/// break or control character is refused, as in a file of no known kind.
///
/// # Errors
/// [`RenderError`], with the name of the field and never a value.
pub fn render(
    templates: Option<&BTreeMap<String, String>>,
    member: Member<'_>,
) -> Result<BTreeMap<String, Field>, RenderError> {
    printable(member.document)?;
    match templates {
        Some(templates) => templates
            .iter()
            .map(|(name, source)| rendered(source, member, name).map(|field| (name.clone(), field)))
            .collect(),
        None => Ok(document(member)),
    }
}

impl Field {
    /// As Vault keeps it. The copy is not cleared from memory.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Json(value) => value.clone(),
        }
    }

    /// As a Kubernetes Secret keeps it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Json(value) => value.to_string().into_bytes(),
        })
    }
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn rendered(source: &str, member: Member<'_>, name: &str) -> Result<Field, RenderError> {
    let placed = |error| RenderError::In { place: format!("template of `{name}`"), error };
    let template = Template::parse(source, Escape::Text).map_err(placed)?;
    let content = template.render(&member.context(source)).map_err(placed)?;
    // Text in, text out: a template engine has no other output.
    Ok(Field::Text(Zeroizing::new(String::from_utf8_lossy(&content).into_owned())))
}

fn document(member: Member<'_>) -> BTreeMap<String, Field> {
    let serde_json::Value::Object(fields) = member.document.to_json() else { return BTreeMap::new() };
    let field = |value| match value {
        serde_json::Value::String(text) => Field::Text(Zeroizing::new(text)),
        other => Field::Json(other),
    };
    fields.into_iter().map(|(name, value)| (name, field(value))).collect()
}
