//! The secrets that a configuration names, and where: whoever reads them tells what is missing at its place.

use std::collections::HashMap;
use std::path::Path;

use super::decode::{Named, Report};
use super::load::{Loaded, gather, read};
use super::model::{SecretSource, TryOut};
use super::problem::{Problem, Problems};
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
    /// It says who asks (an account or client id), and is not for the owner alone.
    pub public: bool,
}

/// [`load`](super::load) together with the secrets that the configuration names, also one with mistakes, as far as they can
/// be told: so that those that are missing are told together with the mistakes. The files are read once.
pub fn load_with_secrets(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
    try_out: &TryOut,
) -> (Result<Loaded, Problems>, Vec<PlacedSecret>) {
    let mut found = Vec::new();
    let loaded = read(path)
        .map_err(|problem| Problems(vec![problem]))
        .and_then(|bytes| gather(path, bytes, env, builtin, try_out, &mut found))
        .map(Loaded::with_writers);
    (loaded, found)
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
        let Named { source, longest, public, .. } = named.remove(&place.message)?;
        Some(PlacedSecret { place, source, longest, public })
    };
    render(findings.warnings, origins).into_iter().filter_map(with_source).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Write;

    use super::load_with_secrets;

    #[test]
    fn mistakes_and_secrets_are_told_from_one_reading() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"accounts:\n  a: { provider: none, credentials: { key: { env: X } }, x: y }\n")
            .unwrap();
        let readings = Cell::new(0);
        let env = |name: &str| {
            readings.set(readings.get() + usize::from(name == "STATE_DIRECTORY"));
            None
        };
        let (loaded, secrets) = load_with_secrets(file.path(), &env, &[], &|_| None);
        let lines: Vec<usize> = loaded.unwrap_err().0.iter().map(|problem| problem.line).collect();
        let named: Vec<&str> = secrets.iter().map(|secret| secret.place.message.as_str()).collect();
        assert_eq!((lines, named), (vec![2, 2], vec!["account `a`, credential `key`"]));
        assert_eq!(readings.get(), 1);
    }
}
