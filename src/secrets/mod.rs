//! Resolves secret sources: a scalar, an environment variable, a file, a systemd credential, a command.
//! Imports `domain`, `patience` and `config::model`.
//!
//! Secrets are resolved when they are used; [`version`] tells cheaply whether a file-like source has changed since.
//! No message holds anything of a secret, nor what a command printed.

mod command;
mod error;
mod file;

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::config::model::SecretSource;
use crate::domain::Secret;
use crate::patience::{self, Silent};

pub use error::{Place, Problem, SecretError};
pub use file::{SecretWarning, SourceVersion};

/// The largest secret, in bytes.
pub const LARGEST: usize = 64 << 10;

/// Looks up an environment variable: [`process_environment`], or a test's own.
pub type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// The environment of this process.
#[must_use]
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The secret as its source holds it now.
///
/// Of a file's, a credential's or a command's output one trailing newline (`\n` or `\r\n`) is dropped. A secret is
/// UTF-8 text of 1 byte to 64 KiB without control characters. A command has 10 s and gets no environment but
/// `PATH`, `HOME` and `LANG`, a file 5 s. Wants a tokio runtime.
///
/// # Errors
/// [`SecretError`] says which source and what is wrong with it.
pub async fn resolve(source: &SecretSource, environment: &Environment) -> Result<Secret, SecretError> {
    match source {
        SecretSource::Inline(secret) => match problem_of(secret.expose()) {
            None => Ok(secret.clone()),
            Some(problem) => Err(Place::Configuration.with(problem)),
        },
        SecretSource::Env(name) => {
            let place = || Place::Variable(name.clone());
            let value = environment(name).ok_or_else(|| place().with(Problem::NotSet))?;
            let value = Zeroizing::new(value.into_encoded_bytes());
            accept(&value).map_err(|problem| place().with(problem))
        }
        SecretSource::File(path) => read(Place::File(path.clone()), path.clone()).await,
        SecretSource::Credential(name) => {
            let place = Place::Credential(name.clone());
            match file::credential(name, environment) {
                Ok(path) => read(place, path).await,
                Err(problem) => Err(place.with(problem)),
            }
        }
        SecretSource::Command(argv) => {
            let place = || Place::Command(argv.first().cloned().unwrap_or_default());
            let output = command::run(argv, environment, command::TIMEOUT).await;
            let output = output.map_err(|problem| place().with(problem))?;
            accept(without_newline(&output)).map_err(|problem| place().with(problem))
        }
        // Only the runtime has a client.
        SecretSource::Vault(key) => {
            Err(Place::Vault(format!("{}/{}", key.mount, key.path), key.key.clone()).with(Problem::Elsewhere))
        }
    }
}

/// The files whose change may change the secret; watch their folders, and the folders of what links among them
/// lead to. None for a scalar, a variable or a command.
#[must_use]
pub fn watch_paths(source: &SecretSource, environment: &Environment) -> Vec<PathBuf> {
    file::path_of(source, environment).into_iter().collect()
}

/// What can be told of a source without reading it; two that differ mean that the secret may have changed.
/// A variable or a command is always the same. Blocks for a few system calls.
#[must_use]
pub fn version(source: &SecretSource, environment: &Environment) -> SourceVersion {
    file::path_of(source, environment).map_or(SourceVersion::Constant, |path| file::version(&path))
}

/// What works but should not stay so: a secret's file that every user can read or write. Blocks for a few system
/// calls.
#[must_use]
pub fn warning(source: &SecretSource, environment: &Environment) -> Option<SecretWarning> {
    file::path_of(source, environment).and_then(|path| file::warning(&path))
}

async fn read(place: Place, path: PathBuf) -> Result<Secret, SecretError> {
    let looked_at = path.clone();
    let read = move || {
        let content = file::read(&looked_at)?;
        accept(without_newline(&content))
    };
    match patience::answered(&path, read).await {
        Ok(secret) => secret.map_err(|problem| place.with(problem)),
        Err(Silent) => Err(place.with(Problem::Silent)),
    }
}

fn without_newline(content: &[u8]) -> &[u8] {
    match content.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => content,
    }
}

/// The bytes as a secret, in one exact allocation.
fn accept(content: &[u8]) -> Result<Secret, Problem> {
    if content.len() > LARGEST {
        return Err(Problem::TooLarge);
    }
    let text = std::str::from_utf8(content).map_err(|_| Problem::NotText)?;
    match problem_of(text) {
        None => Ok(Secret::from(text)),
        Some(problem) => Err(problem),
    }
}

fn problem_of(text: &str) -> Option<Problem> {
    if text.is_empty() {
        Some(Problem::Empty)
    } else if text.starts_with('\u{feff}') {
        Some(Problem::ByteOrderMark)
    } else {
        text.contains(char::is_control).then_some(Problem::ControlCharacter)
    }
}

#[cfg(test)]
mod tests;
