//! The secrets that a configuration names, and where: whoever reads them tells what is missing at its place.

use std::collections::HashMap;
use std::path::Path;

use super::decode::{Named, Report};
use super::load::{gather, read};
use super::model::SecretSource;
use super::problem::Problem;
use super::tree::{Origin, render};

/// A secret that a configuration names, and where.
#[derive(Debug, Clone)]
pub struct PlacedSecret {
    /// Its place and line; the message says which secret it is.
    pub place: Problem,
    /// Where it comes from.
    pub source: SecretSource,
    /// The most characters that the vendor takes.
    pub longest: Option<usize>,
}

/// The secrets that a configuration names, also one with mistakes, as far as they can be told: so that those that are
/// missing are told together with the mistakes. Never fails.
#[must_use]
pub fn secrets(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
) -> Vec<PlacedSecret> {
    let mut found = Vec::new();
    if let Ok(bytes) = read(path) {
        // Mistakes are told by `load`.
        let _ = gather(path, bytes, env, builtin, &|_| None, &mut found);
    }
    found
}

/// Each with its line, as findings are.
pub(super) fn placed(secrets: Vec<Named>, origins: &[Origin<'_>]) -> Vec<PlacedSecret> {
    let mut findings = Report::default();
    for secret in &secrets {
        findings.warn(secret.place, secret.what.as_str());
    }
    let mut named: HashMap<String, Named> =
        secrets.into_iter().map(|secret| (secret.what.clone(), secret)).collect();
    let with_source = |place: Problem| {
        let Named { source, longest, .. } = named.remove(&place.message)?;
        Some(PlacedSecret { place, source, longest })
    };
    render(findings.warnings, origins).into_iter().filter_map(with_source).collect()
}
