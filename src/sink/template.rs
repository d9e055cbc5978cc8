//! Jinja templates whose values are escaped for the target: see [`Escape`].
//!
//! Strict about undefined names; fuel bounds the work; [`filters`] has the filters.
//! The engine's own copies of values are not cleared from memory; the rendered result is.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior};
use zeroize::Zeroizing;

use super::escape::{Escape, Refusal, yaml_from_json};
use super::filters;

/// The most instructions that one rendering may take.
const FUEL: u64 = 200_000;

/// Deep enough for any template that a person writes, shallow enough for a worker's stack.
const DEPTH: usize = 64;

/// The largest result.
const LARGEST: usize = 1 << 20;

const NAME: &str = "template";

/// What is said where a value is to blame that is no text, no number, no list.
pub(super) const WRONG_KIND: &str = "a value of the wrong kind for what is done with it";

/// A template that is known to parse.
#[derive(Debug)]
pub struct Template {
    engine: Environment<'static>,
}

/// What is wrong with a template. Holds names and words of the template, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct TemplateError {
    /// In the template, from 1.
    pub line: usize,
    /// The first byte of what is wrong, where that is known.
    pub offset: Option<usize>,
    /// In words.
    pub what: String,
}

impl Template {
    /// Parses `source`.
    ///
    /// # Errors
    /// [`TemplateError`] where it is no Jinja template, or uses an unknown filter.
    pub fn parse(source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let mut engine = engine(escape);
        engine.add_template_owned(NAME, source.to_owned()).map_err(|error| explain(&error, None))?;
        Ok(Self { engine })
    }

    /// Parses `source` for the file `path`.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn for_path(source: &str, path: &Path) -> Result<Self, TemplateError> {
        Self::parse(source, Escape::for_path(path))
    }

    /// Renders it with the names of `context`: see [`context`](super::context).
    ///
    /// # Errors
    /// [`TemplateError`]: an undefined name, a value that the target cannot hold, too much work or output.
    pub(super) fn render(&self, context: &Value) -> Result<Zeroizing<Vec<u8>>, TemplateError> {
        let explain = |error| explain(&error, Some((self, context)));
        let template = self.engine.get_template(NAME).map_err(explain)?;
        let mut result = Limited(Zeroizing::new(Vec::with_capacity(4096)));
        template.render_captured_to(context.clone(), &mut result).map_err(explain)?;
        Ok(result.0)
    }

    /// The names that it uses, as in `accounts.messaging.access_token`, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let template = self.engine.get_template(NAME);
        let mut names: Vec<_> = template
            .map(|template| template.undeclared_variables(true).into_iter().collect())
            .unwrap_or_default();
        names.sort();
        names
    }
}

/// The lines (from 1) where a value stands directly in quotes, as in `"{{ access_token }}"`: it brings its own
/// where it needs them, so `check` warns.
#[must_use]
pub fn quoted_values(source: &str) -> Vec<usize> {
    let quoted = |line: &str| ["\"{{", "'{{"].iter().any(|quote| line.contains(quote));
    source.lines().zip(1..).filter(|(line, _)| quoted(line)).map(|(_, number)| number).collect()
}

/// A buffer that leaves no copies behind when it grows, and that ends an endless output.
struct Limited(Zeroizing<Vec<u8>>);

impl std::io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let wanted = self.0.len() + bytes.len();
        if wanted > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * wanted));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn engine(escape: Escape) -> Environment<'static> {
    let mut engine = Environment::empty();
    engine.set_debug(false); // else errors carry values, in debug builds
    // The default delimiters always build.
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        engine.set_syntax(syntax);
    }
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(DEPTH);
    // Custom for every target, so that captured blocks count as already escaped.
    engine.set_auto_escape_callback(move |_| AutoEscape::Custom("target".into()));
    engine.set_formatter(move |out, state, value| write_value(target(escape, state), out, value));
    filters::add(&mut engine, escape);
    engine
}

/// `{% autoescape false %}` switches quoting off, never the refusal of line breaks.
pub(super) fn target(escape: Escape, state: &State<'_, '_>) -> Escape {
    if matches!(state.auto_escape(), AutoEscape::Custom(_)) { escape } else { Escape::Text }
}

fn write_value(target: Escape, out: &mut Output<'_>, value: &Value) -> Result<(), minijinja::Error> {
    let failed = |_| minijinja::Error::from(ErrorKind::WriteFailure);
    if value.is_safe() {
        return out.write_str(value.as_str().unwrap_or_default()).map_err(failed);
    }
    let text = match (target, value.kind()) {
        (_, ValueKind::Undefined) => return Err(ErrorKind::UndefinedError.into()),
        (Escape::Json | Escape::Yaml, ValueKind::String) => quote(target, &text_of(value)?)?,
        (Escape::Json, _) => json(value)?,
        (Escape::Yaml, _) => yaml_from_json(&json(value)?),
        (_, ValueKind::Number | ValueKind::Bool) => value.to_string(),
        _ => quote(target, &text_of(value)?)?,
    };
    out.write_str(&text).map_err(failed)
}

pub(super) fn quote(escape: Escape, text: &str) -> Result<String, minijinja::Error> {
    escape.quote(text).map_err(refuse)
}

/// The value as text: a string's own, nothing for `none`, JSON for what is composed.
pub(super) fn text_of(value: &Value) -> Result<Cow<'_, str>, minijinja::Error> {
    match value.kind() {
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        ValueKind::None => Ok("".into()),
        ValueKind::String => Ok(value.as_str().unwrap_or_default().into()),
        ValueKind::Number | ValueKind::Bool => Ok(value.to_string().into()),
        _ => json(value).map(Cow::Owned),
    }
}

pub(super) fn json(value: &Value) -> Result<String, minijinja::Error> {
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    serde_json::to_string(value).map_err(|_| refuse(Refusal::NotJson))
}

pub(super) fn refuse(refusal: Refusal) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, "refused").with_source(refusal)
}

/// The engine's error without its details, some of which carry values.
fn explain(error: &minijinja::Error, rendered: Option<(&Template, &Value)>) -> TemplateError {
    let refusal = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Refusal>());
    let detail = error.detail().unwrap_or("it cannot be parsed");
    let what = match error.kind() {
        _ if refusal.is_some() => refusal.map(ToString::to_string).unwrap_or_default(),
        // These details are made of the template's own words.
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction => detail.to_owned(),
        ErrorKind::UndefinedError => {
            match rendered.and_then(|(template, context)| template.missing(context, error.range())) {
                Some(name) if name.ends_with("refresh_token") => {
                    format!("`{name}` is not defined: the provider gave no refresh token with this token")
                }
                Some(name) => format!("`{name}` is not defined"),
                None => "a name is not defined".to_owned(),
            }
        }
        ErrorKind::OutOfFuel => "it takes too many steps (a loop?)".to_owned(),
        ErrorKind::WriteFailure => format!("it makes more than {} KiB", LARGEST / 1024),
        ErrorKind::TooManyArguments => "a filter or test with too many arguments".to_owned(),
        ErrorKind::MissingArgument => "a filter or test that lacks an argument".to_owned(),
        ErrorKind::InvalidOperation => WRONG_KIND.to_owned(),
        kind => kind.to_string(),
    };
    TemplateError { line: error.line().unwrap_or(1), offset: error.range().map(|range| range.start), what }
}

impl Template {
    /// The name that `context` lacks: the one at that place, else the first.
    fn missing(&self, context: &Value, at: Option<Range<usize>>) -> Option<String> {
        let look = |at: Value, key: &str| at.get_attr(key).ok().filter(|found| !found.is_undefined());
        let is_missing = |name: &String| name.split('.').try_fold(context.clone(), look).is_none();
        let template = self.engine.get_template(NAME).ok();
        let there = template.as_ref().and_then(|template| template.source().get(at?)).unwrap_or_default();
        let mut names = self.names();
        names.retain(is_missing);
        let is_there = |name: &&String| !there.is_empty() && name.ends_with(there);
        names.iter().find(is_there).or(names.first()).cloned()
    }
}
