//! A template rendered with made-up values: what can never work is told before there is a token.
//!
//! What is certain of a token document is made up once. What stands in a reply's own fields (`extra`) nobody knows, so a
//! template that reads them is rendered with values of each kind, and is at fault only where none of them does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use minijinja::value::{Enumerator, Object, Serde, Value};

use super::context;
use super::escape::{Escape, Refusal};
use super::template::{Template, TemplateError, WRONG_KIND};
use crate::config::definition::Definition;
use crate::config::model::{Flaw, Sees, Trial};
use crate::domain::{AccountId, Generation, Secret, Timestamp, Token, TokenDocument, TokenMeta};

/// Plainly no token.
const TOKEN: &str = "made-up-access-token";
const REFRESH_TOKEN: &str = "made-up-refresh-token";
/// 2026-01-01T00:00:00Z.
const ISSUED_AT: i64 = 1_767_225_600;
const LIFE: i64 = 3_600;

/// What a reply's field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text that is also a time.
    Text,
    /// A number that is also a time.
    Number,
    /// A mapping that has every key, each a mapping of the kind.
    Mapping,
}

const KINDS: [Kind; 3] = [Kind::Text, Kind::Number, Kind::Mapping];

/// Renders the template; `None` where that works.
///
/// A first token and a later one are tried, for templates that tell them apart.
#[must_use]
pub fn attempt(trial: &Trial<'_>) -> Option<Flaw> {
    let escape = trial.path.map_or(Escape::Text, Escape::for_path);
    let template = match Template::parse(trial.text, escape) {
        Ok(template) => template,
        Err(error) => return Some(flaw(trial, error, true)),
    };
    let first = with_generation(trial, &template, Generation(1));
    let later = with_generation(trial, &template, Generation(2));
    match (first, later) {
        (None, None) => None,
        (Some(one), Some(other)) => Some(Flaw { certain: one.certain && other.certain, ..one }),
        (Some(one), None) | (None, Some(one)) => Some(Flaw { certain: false, ..one }),
    }
}

/// Where it read nothing of a reply's own, the first failure is certain. Else all kinds of value must fail in one place
/// for the same reason, and even then another reply may do.
fn with_generation(trial: &Trial<'_>, template: &Template, generation: Generation) -> Option<Flaw> {
    let mut found: Option<TemplateError> = None;
    for kind in KINDS {
        let read = Arc::new(AtomicBool::new(false));
        let error = template.render(&values(trial, generation, kind, &read)).err()?;
        if !read.load(Ordering::Relaxed) {
            return Some(flaw(trial, error, true));
        }
        match &found {
            Some(before) if *before != error => return None,
            _ => found = Some(error),
        }
    }
    // A reply may hold a value within which there is the right one.
    let is_of_value = |what: &str| what == WRONG_KIND || what == Refusal::NotATime.to_string();
    found.filter(|error| !is_of_value(&error.what)).map(|error| flaw(trial, error, false))
}

fn flaw(trial: &Trial<'_>, error: TemplateError, certain: bool) -> Flaw {
    let lines_before = trial.text.split_inclusive('\n').take(error.line.saturating_sub(1));
    let line = lines_before.map(str::len).sum::<usize>();
    let offset = error.offset.unwrap_or(line);
    let dot = trial.text.get(offset..).is_some_and(|rest| rest.starts_with('.'));
    let hint = error.what.contains("extra.").then(|| published(trial)).flatten();
    Flaw { offset: offset + usize::from(dot), what: error.what, hint, certain }
}

/// Which fields of a reply there are, where it is one account's.
fn published(trial: &Trial<'_>) -> Option<String> {
    let definition = match trial.sees {
        Sees::One(_, definition) => definition,
        Sees::Several([(_, definition)]) => *definition,
        Sees::Several(_) => return None,
    };
    let fields = extra(definition);
    Some(match fields.is_empty() {
        true => format!("`{}` publishes no further fields of its replies", definition.name),
        false => format!(
            "of its replies `{}` publishes {}",
            definition.name,
            fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ")
        ),
    })
}

fn values(trial: &Trial<'_>, generation: Generation, kind: Kind, read: &Arc<AtomicBool>) -> Value {
    let member = |name: &AccountId, definition: &Definition| {
        let fields = extra(definition).into_iter().map(|field| (field, reply(kind))).collect();
        member(name, definition, generation, Value::from_object(Extra { fields, read: read.clone() }))
    };
    match trial.sees {
        Sees::One(name, definition) => member(name, definition),
        Sees::Several(members) => {
            let accounts: BTreeMap<String, Value> = members
                .iter()
                .map(|(name, definition)| (name.as_str().to_owned(), member(name, definition)))
                .collect();
            Value::from(BTreeMap::from([("accounts".to_owned(), Value::from(accounts))]))
        }
    }
}

fn member(name: &AccountId, definition: &Definition, generation: Generation, extra: Value) -> Value {
    let token = Token {
        meta: TokenMeta {
            generation,
            issued_at: Timestamp::from_secs(ISSUED_AT),
            expires_at: Timestamp::from_secs(ISSUED_AT + LIFE),
        },
        access_token: Secret::from(TOKEN),
        token_type: "Bearer".to_owned(),
        extra: Vec::new(),
    };
    let document = TokenDocument { account: name, provider: &definition.name, token: &token };
    let mut fields: BTreeMap<String, Value> = match document.to_json() {
        serde_json::Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key, Value::from(Serde(value)))).collect()
        }
        _ => BTreeMap::new(),
    };
    fields.insert("extra".to_owned(), extra);
    let operations = [&definition.issue, &definition.refresh].into_iter().flatten();
    let refreshes = operations.into_iter().any(|operation| !operation.refresh_token.is_empty());
    context::of(Value::from(fields), refreshes.then(|| Value::from(REFRESH_TOKEN)))
}

/// The names of a reply's fields that the definition publishes.
fn extra(definition: &Definition) -> Vec<String> {
    let operations = [&definition.issue, &definition.refresh].into_iter().flatten();
    let mut names: Vec<String> =
        operations.flat_map(|operation| &operation.extra).map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

fn reply(kind: Kind) -> Value {
    match kind {
        Kind::Text => Value::from("2026-01-01T00:00:00Z"),
        Kind::Number => Value::from(ISSUED_AT),
        Kind::Mapping => Value::from_object(Anything),
    }
}

/// `extra`, which notes that something was read of it that is there.
#[derive(Debug)]
struct Extra {
    fields: BTreeMap<String, Value>,
    read: Arc<AtomicBool>,
}

impl Object for Extra {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = match key.as_str() {
            Some(key) => self.fields.get(key).cloned(),
            None => None,
        };
        if found.is_some() {
            self.read.store(true, Ordering::Relaxed);
        }
        found
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.read.store(true, Ordering::Relaxed);
        Enumerator::Values(self.fields.keys().map(|key| Value::from(key.as_str())).collect())
    }
}

/// Has every key.
#[derive(Debug)]
struct Anything;

impl Object for Anything {
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from_object(Self))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Empty
    }
}
