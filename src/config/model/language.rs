//! What templates may say, and what is known of one before there is a token: shared by who reads and who renders.

use std::path::Path;

use crate::config::definition::Definition;
use crate::domain::AccountId;

/// The filters of templates, sorted. `sink::filters` makes them.
pub const FILTERS: [&str; 14] = [
    "b64encode",
    "datetime",
    "default",
    "env",
    "join",
    "json",
    "length",
    "lower",
    "replace",
    "sh",
    "sha256",
    "trim",
    "upper",
    "urlencode",
];

/// The tests of templates (`is defined`), sorted. `sink::filters` makes them.
pub const TESTS: [&str; 3] = ["defined", "none", "undefined"];

/// A template, and what it will see as far as the configuration tells.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Its text.
    pub text: &'a str,
    /// The file that it makes, whose ending says how values are escaped; `None` for a field or key.
    pub path: Option<&'a Path>,
    /// Whose tokens.
    pub sees: Sees<'a>,
}

/// Whose tokens a template sees.
#[derive(Debug, Clone, Copy)]
pub enum Sees<'a> {
    /// One account's, as the fields of its document.
    One(&'a AccountId, &'a Definition),
    /// These accounts', as `accounts.NAME`.
    Several(&'a [(&'a AccountId, &'a Definition)]),
}

/// Why a template could not be rendered with made-up values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The first byte of its place in the template.
    pub offset: usize,
    /// What is wrong; holds no value.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// It does not depend on what stands in a reply, nor on a token's number.
    pub certain: bool,
}

/// Renders a template once with made-up values: `None` where that works. What renders stands above the configuration, so
/// whoever loads one hands it in.
pub type TryOut = dyn Fn(&Trial<'_>) -> Option<Flaw>;
