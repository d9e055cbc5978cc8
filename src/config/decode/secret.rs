//! Secrets and where they come from. No message here repeats a value.

use super::fields::{Fields, wrong_type};
use super::scalar::Refusal;
use super::{Report, paths, vault};
use crate::config::model::SecretSource;
use crate::config::shape::{Kind, SECRET};
use crate::config::tree::{Entry, Value};
use crate::config::words;
use crate::domain::Secret;

/// A secret's text, or exactly one of its sources.
pub(super) fn secret(report: &mut Report, entry: &Entry<'_>) -> Option<SecretSource> {
    let node = &entry.node;
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => {
            report
                .error(node.place, "a secret is missing here")
                .hint("write it, or `{ file: /run/secrets/NAME }`; quote it where the word itself is meant");
            None
        }
        Value::Scalar(scalar) if scalar.text.is_empty() => {
            report.error(node.place, "an empty secret");
            None
        }
        Value::Scalar(scalar) => {
            if is_variable(&scalar.text) {
                report
                    .warn(node.place, "this secret looks like a variable, and is taken as it is written")
                    .hint("one from the environment is `{ env: NAME }`");
            }
            Some(SecretSource::Inline(Secret::from(&*scalar.text)))
        }
        Value::Sequence(_) => {
            wrong_type(report, node, &Kind::Secret);
            None
        }
        Value::Mapping(entries) => {
            let unknown = entries.iter().find(|entry| SECRET.field(&entry.key).is_none());
            if let Some(unknown) = unknown {
                let known = SECRET.fields.iter().map(|field| field.key);
                report.error(unknown.place, "an unknown source of a secret").hint(words::suggest(
                    &unknown.key,
                    known,
                    "a secret is the text itself, or exactly one of",
                ));
                return None;
            }
            let fields = Fields::read(report, &SECRET, node, entry.place)?;
            source(report, &fields)
        }
    }
}

fn source(report: &mut Report, fields: &Fields<'_, '_>) -> Option<SecretSource> {
    let mut given: Vec<&Entry<'_>> =
        SECRET.fields.iter().filter_map(|field| fields.entry(field.key)).collect();
    given.sort_by_key(|entry| entry.place.start);
    match given[..] {
        [_] => {}
        [] => {
            report
                .error(
                    fields.place,
                    "a secret has exactly one of `env`, `file`, `credential`, `command` and `vault`",
                )
                .hint("write it, or one of these, as in `{ file: /run/secrets/NAME }`");
            return None;
        }
        [_, second, ..] => {
            let sources = words::list(given.iter().map(|entry| &*entry.key));
            report
                .error(second.place, format!("a secret has exactly one source, and here are {sources}"))
                .hint("keep the one where it is, and remove the rest");
            return None;
        }
    }
    if fields.has("env") {
        return fields.parsed(report, "env", variable).map(SecretSource::Env);
    }
    if fields.has("file") {
        return fields.parsed(report, "file", paths::absolute).map(SecretSource::File);
    }
    if fields.has("credential") {
        return fields.parsed(report, "credential", credential).map(SecretSource::Credential);
    }
    if fields.has("vault") {
        return vault::key(report, fields).map(SecretSource::Vault);
    }
    if fields.node("command").is_some_and(|node| node.scalar().is_some()) {
        no_argv(report, fields);
        return None;
    }
    argv(report, fields, "command").map(SecretSource::Command)
}

/// Reports a command line where a list is wanted.
pub(super) fn no_argv(report: &mut Report, fields: &Fields<'_, '_>) {
    report
        .error(
            fields.place_of("command"),
            "expected a list of the program and its arguments, found a single value",
        )
        .hint("write `command: [PROGRAM, ARGUMENT]`; no shell is involved");
}

/// A program and its arguments, as the list under `key`.
pub(super) fn argv(report: &mut Report, fields: &Fields<'_, '_>, key: &str) -> Option<Vec<String>> {
    let errors = report.errors.len();
    let argv: Vec<String> = fields.texts(report, key).into_iter().map(|(text, _)| text.to_owned()).collect();
    if report.errors.len() > errors {
        return None;
    }
    let place = fields.place_of(key);
    let program = match argv.first() {
        None => {
            if fields.node(key).is_some_and(|node| node.items().is_some()) {
                report.error(place, "an empty command");
            }
            return None;
        }
        Some(program) => program,
    };
    if argv.iter().any(|word| word.contains('\0')) {
        report.error(place, "a NUL character in a command");
        return None;
    }
    if program.starts_with("~/") {
        report.error(place, "`~` is not expanded in a command").hint("write the home folder out");
        return None;
    }
    if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
        report
            .error(place, "the program's path is relative")
            .hint("write the whole path, or a name to find in `PATH`");
        return None;
    }
    if program.contains(' ') && argv.len() == 1 {
        report
            .error(place, "one word that holds a whole command line")
            .hint("write every argument as an item of its own: [prog, --flag, value]; no shell is involved");
        return None;
    }
    Some(argv)
}

/// `$NAME` or `${NAME}`, as shells write it.
fn is_variable(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().next().is_some_and(|first| first.is_ascii_uppercase()) && name.bytes().all(fits)
}

fn variable(text: &str) -> Result<String, Refusal> {
    let fits = text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("not the name of an environment variable").with_hint(
            "give the variable's name without `$`; the secret itself stands directly after the key",
        )),
    }
}

fn credential(text: &str) -> Result<String, Refusal> {
    let fits = !text.is_empty()
        && text.len() <= 255
        && !matches!(text, "." | "..")
        && !text.contains('/')
        && !text.chars().any(char::is_control);
    match fits {
        true => Ok(text.to_owned()),
        false => {
            Err(Refusal::because("not the name of a systemd credential")
                .with_hint("give its name, not its path"))
        }
    }
}
