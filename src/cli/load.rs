//! The configuration as commands read it.

use std::path::Path;

use super::exit::Exit;
use super::report::Failure;
use crate::config::{self, Loaded, Problems};
use crate::provider::catalog;

/// Reads the configuration of `path` with the built-in definitions.
pub(super) fn read(path: &Path) -> Result<Loaded, Problems> {
    config::load(path, &|name| std::env::var(name).ok(), catalog::texts())
}

/// The same for a command that cannot go on without it.
pub(super) fn required(path: &Path) -> Result<Loaded, Failure> {
    read(path).map_err(|problems| {
        let count = problems.0.len();
        let message = match count {
            1 => "the configuration cannot be used".to_owned(),
            _ => format!("the configuration cannot be used, {count} problems"),
        };
        problems
            .0
            .iter()
            .fold(Failure::new(Exit::Config, message), |failure, problem| failure.cause(problem.to_string()))
    })
}
