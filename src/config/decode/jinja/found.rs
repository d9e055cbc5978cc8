//! What a template may name, and what was found in one's text.

use std::collections::BTreeMap;

use crate::domain::TokenDocument;

/// The fields of the token document, and the refresh token for whoever names it.
pub(super) const FIELDS: [&str; TokenDocument::FIELDS.len() + 1] = {
    let mut fields = ["refresh_token"; TokenDocument::FIELDS.len() + 1];
    let (document, _) = fields.split_at_mut(TokenDocument::FIELDS.len());
    document.copy_from_slice(&TokenDocument::FIELDS);
    fields
};

/// Whether a template can begin with that name.
pub(crate) fn is_known(name: &str) -> bool {
    name == "accounts" || FIELDS.contains(&name)
}

/// Which names a template begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    /// A sink's: the token document's fields.
    Document,
    /// One of `templates`: `accounts`.
    Accounts,
}

/// What a template names.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// It may look up any account; where it first does so.
    pub(crate) all: Option<usize>,
    /// The accounts that it names, each with the first byte of the place where it does so first.
    pub(crate) accounts: BTreeMap<String, usize>,
    /// What cannot be right, in the order of the text.
    pub(crate) faults: Vec<Fault>,
    /// What is not rendered every time: branches, the other side of an `or`, the body of a loop that may have no round.
    pub(super) conditional: Vec<(usize, usize)>,
    /// A name is bound there, so that what follows hangs on it too.
    pub(super) binds: bool,
}

impl Uses {
    /// Whether the byte at `offset` may not be rendered, or not always with the same values.
    pub(crate) fn depends(&self, offset: usize) -> bool {
        self.binds || self.conditional.iter().any(|(from, to)| (*from..*to).contains(&offset))
    }
}

/// Something that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The first byte of its place in the template.
    pub(crate) offset: usize,
    pub(crate) message: String,
    pub(crate) hint: String,
    /// The account whose document it is about.
    pub(crate) account: Option<String>,
}
