//! The definitions that accounts may name: the user's own, and the built-in ones, parsed when first used.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::config::definition::Definition;
use crate::config::load::parse_definition;

/// Definitions by name.
pub(crate) struct Catalog<'a> {
    /// `None`: it is there and has errors, which were reported.
    own: BTreeMap<String, Option<Arc<Definition>>>,
    builtin: BTreeMap<&'a str, &'a str>,
    parsed: HashMap<&'a str, Result<Arc<Definition>, String>>,
}

/// What a name leads to.
pub(super) enum Found {
    Definition(Arc<Definition>),
    /// It has errors that were reported at their own places.
    Broken,
    /// A built-in one has errors: a fault of this program.
    Fault(String),
    Unknown,
}

impl<'a> Catalog<'a> {
    /// The user's own on top of the built-in ones.
    pub(crate) fn new(
        own: BTreeMap<String, Option<Arc<Definition>>>,
        builtin: &'a [(&'a str, &'a str)],
    ) -> Self {
        Self { own, builtin: builtin.iter().copied().collect(), parsed: HashMap::new() }
    }

    pub(super) fn find(&mut self, name: &str) -> Found {
        if let Some(own) = self.own.get(name) {
            return own.clone().map_or(Found::Broken, Found::Definition);
        }
        let Some((name, text)) = self.builtin.get_key_value(name) else { return Found::Unknown };
        let parse = || match parse_definition(name, &format!("<built-in {name}>"), text) {
            Ok(definition) => Ok(Arc::new(definition)),
            Err(problems) => Err(problems.to_string()),
        };
        match self.parsed.entry(name).or_insert_with(parse) {
            Ok(definition) => Found::Definition(definition.clone()),
            Err(problems) => Found::Fault(problems.clone()),
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        let own = self.own.keys().map(String::as_str).filter(|name| !self.builtin.contains_key(name));
        self.builtin.keys().copied().chain(own).collect()
    }
}
