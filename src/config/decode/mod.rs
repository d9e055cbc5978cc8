//! From the tree to the model. Every mistake is noted and decoding goes on, so that all are reported at once.

mod account;
mod agent;
mod catalog;
mod cross;
mod endpoint;
mod fields;
mod hook;
mod http;
mod jinja;
mod operation;
mod paths;
mod provider;
mod renew;
mod response;
mod scalar;
mod secret;
mod server;
mod sink;
mod sources;
mod template;
mod templates;
mod urls;
mod vault;

use super::model::SecretSource;
use super::tree::Place;

pub(crate) use account::{Accounts, Resolved};
pub(crate) use agent::{agent, folder, limits};
pub(crate) use catalog::Catalog;
pub(crate) use cross::{Whole, check as cross_check};
pub(crate) use fields::Fields;
pub(crate) use paths::reorders;
pub(crate) use provider::{check_name as check_provider_name, definition};
pub(crate) use sources::{Sources, template_files};
pub(crate) use template::Templates;
pub(crate) use templates::templates;
pub(crate) use vault::vault;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// With any of these the configuration is refused.
    pub(crate) errors: Vec<Finding>,
    /// These do not refuse it.
    pub(crate) warnings: Vec<Finding>,
    /// The secrets that are named, whatever else is wrong.
    pub(crate) secrets: Vec<Named>,
}

/// A secret that the configuration names.
#[derive(Debug)]
pub(crate) struct Named {
    /// Where its source stands.
    pub(crate) place: Place,
    /// Which it is, in words; no two are the same.
    pub(crate) what: String,
    /// Where it comes from.
    pub(crate) source: SecretSource,
    /// The most characters that the vendor takes.
    pub(crate) longest: Option<usize>,
    /// It says who asks, and is not for the owner alone.
    pub(crate) public: bool,
}

/// One finding at its place.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// Where.
    pub(crate) place: Place,
    /// What.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// The other place that has to do with it.
    pub(crate) other: Option<Place>,
}

impl Report {
    /// Notes an error.
    pub(crate) fn error(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        push(&mut self.errors, place, message.into())
    }

    /// Notes a warning.
    pub(crate) fn warn(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        push(&mut self.warnings, place, message.into())
    }

    /// Notes a secret.
    pub(crate) fn secret(
        &mut self,
        place: Place,
        what: String,
        source: &SecretSource,
        longest: Option<usize>,
        public: bool,
    ) {
        self.secrets.push(Named { place, what, source: source.clone(), longest, public });
    }
}

impl Finding {
    /// Adds what to do about it.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the other place that has to do with it.
    pub(crate) fn other(&mut self, place: Place) -> &mut Self {
        self.other = Some(place);
        self
    }
}

fn push(list: &mut Vec<Finding>, place: Place, message: String) -> &mut Finding {
    let index = list.len();
    list.push(Finding { place, message, hint: None, other: None });
    &mut list[index]
}
