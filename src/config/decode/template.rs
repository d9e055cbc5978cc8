//! Templates: that they parse, and that they name only what there will be.

use std::collections::HashMap;
use std::path::Path;

use minijinja::{Environment, UndefinedBehavior};

use super::Report;
use super::jinja::{self, Fault, Root, Uses};
use super::scalar::Refusal;
use super::sources::Files;
use crate::config::definition::Definition;
use crate::config::model::{Flaw, Sees, Trial, TryOut};
use crate::config::tree::{Node, Place};
use crate::config::words;
use crate::domain::AccountId;

/// The longest template.
const MAX_TEMPLATE: usize = 256 << 10;
/// The longest `{{ ... }}` or `{% ... %}`: longer ones could exhaust the stack of the template parser.
const MAX_EXPRESSION: usize = 1 << 10;
/// The most `{% ... %}`, for the same reason.
const MAX_STATEMENTS: usize = 200;

/// Checks templates of sinks; those seen before cost a look-up.
pub(crate) struct Templates<'a> {
    files: Files<'a>,
    try_out: &'a TryOut,
    /// What was read of those without a fault, by their texts.
    good: HashMap<String, Uses>,
    /// What came of rendering, by text, ending of the path and provider.
    tried: HashMap<(String, String, String), Option<Flaw>>,
}

/// Whose sink a template is: `None` where its provider is not known.
pub(super) type Owner<'o> = Option<(&'o AccountId, &'o Definition)>;

impl<'a> Templates<'a> {
    /// Before the first; `try_out` renders.
    pub(crate) fn new(files: Files<'a>, try_out: &'a TryOut) -> Self {
        Self { files, try_out, good: HashMap::new(), tried: HashMap::new() }
    }

    /// Checks the template at `node`, which makes the file `path` (a field or key without one). Whether it can be one.
    pub(super) fn sink(
        &mut self,
        report: &mut Report,
        node: &Node<'_>,
        text: &str,
        path: Option<&Path>,
        owner: Owner<'_>,
    ) -> bool {
        let place = |offset| self.files.place(node, text, offset);
        if !self.good.contains_key(text) {
            let uses = match uses(text, MAX_TEMPLATE, Root::Document) {
                Ok(uses) => uses,
                Err(wrong) => {
                    wrong.tell(report, place);
                    return false;
                }
            };
            if !uses.faults.is_empty() {
                for Fault { offset, message, hint, .. } in uses.faults {
                    report.error(place(offset), message).hint(hint);
                }
                return false;
            }
            self.good.insert(text.to_owned(), uses);
        }
        if let Some(offset) = one_brace(text) {
            report.warn(place(offset), ONE_BRACE.0).hint(ONE_BRACE.1);
        }
        if let (Some((name, definition)), Some(uses)) = (owner, self.good.get(text))
            && is_template(text)
        {
            let ending = path.and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            let ending = ending.rsplit_once('.').map(|(_, ending)| ending.to_owned()).unwrap_or_default();
            let known = (text.to_owned(), ending, definition.name.clone());
            let trial = Trial { text, path, sees: Sees::One(name, definition) };
            let flaw = self.tried.entry(known).or_insert_with(|| (self.try_out)(&trial));
            return flaw.as_ref().is_none_or(|flaw| !told(report, uses, flaw, place));
        }
        true
    }
}

/// Tells what came of a rendering: an error only where it must come to that. Whether it is one.
pub(super) fn told(report: &mut Report, uses: &Uses, flaw: &Flaw, place: impl Fn(usize) -> Place) -> bool {
    let certain = flaw.certain && !uses.depends(flaw.offset);
    let at = place(flaw.offset);
    let finding = match certain {
        true => report.error(at, format!("this cannot be rendered: {}", flaw.what)),
        false => report.warn(at, format!("this may not be rendered, depending on the token: {}", flaw.what)),
    };
    finding.hint.clone_from(&flaw.hint);
    certain
}

/// A template that is none.
pub(super) struct Wrong {
    /// The byte at which it goes wrong.
    offset: usize,
    refusal: Refusal,
}

impl Wrong {
    /// What the parser says, at what it stumbles over: else at the line's beginning.
    fn syntax(text: &str, error: &minijinja::Error) -> Self {
        let line = error.line().unwrap_or(1).saturating_sub(1);
        let offset = match error.detail() {
            Some("unexpected end of string") => open_quote(text),
            _ => error.range().map(|range| range.start.min(text.trim_end().len())),
        };
        let offset = offset.unwrap_or_else(|| text.split_inclusive('\n').take(line).map(str::len).sum());
        Self { offset, refusal: not_valid("", error) }
    }

    /// Tells it at its place.
    pub(super) fn tell(self, report: &mut Report, place: impl Fn(usize) -> Place) {
        let Self { offset, refusal: Refusal { message, hint } } = self;
        report.error(place(offset), message.unwrap_or_default()).hint = hint;
    }
}

/// What a template of at most so many bytes names.
pub(super) fn uses(text: &str, most: usize, root: Root) -> Result<Uses, Wrong> {
    if !is_template(text) {
        return Ok(Uses::default());
    }
    if text.len() > most {
        let refusal = Refusal::because(format!("a template of more than {} KiB", most >> 10));
        return Err(Wrong { offset: 0, refusal });
    }
    within_bounds(text)?;
    let syntax = |error| Wrong::syntax(text, &error);
    environment().template_from_str(text).map_err(syntax)?;
    jinja::uses(text, root).map_err(syntax)
}

/// Where a value has one brace in place of two: `{ access_token }`. `${access_token}` is a shell's own.
pub(super) fn one_brace(text: &str) -> Option<usize> {
    let is_value = |(at, _): &(usize, &str)| {
        let (before, inner) = (&text[..*at], &text[at + 1..]);
        let Some((word, after)) = inner.split_once('}') else { return false };
        let name = word.split(['|', '.', '[']).next().unwrap_or_default().trim();
        !before.ends_with(['{', '$']) && !after.starts_with('}') && jinja::is_known(name)
    };
    text.match_indices('{').find(is_value).map(|(at, _)| at)
}

/// What is said of [`one_brace`], and what to do.
pub(super) const ONE_BRACE: (&str, &str) =
    ("one brace: this stands in the file as it is", "a value has two, as in `{{ access_token }}`");

/// Whether there is anything to render.
fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Checks that `text` parses and uses only variables that are `known`; `names` are those for the hint.
pub(super) fn check(
    text: &str,
    known: impl Fn(&str) -> bool,
    names: &mut dyn Iterator<Item = &str>,
) -> Result<(), Refusal> {
    if !is_template(text) {
        return Ok(());
    }
    if text.len() > MAX_TEMPLATE {
        return Err(Refusal::because("a template of more than 256 KiB"));
    }
    within_bounds(text).map_err(|wrong| wrong.refusal)?;
    let environment = environment();
    let template = environment.template_from_str(text).map_err(|error| syntax(&error))?;
    let mut used: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    used.sort();
    match used.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<&str> = names.collect();
            Err(Refusal::because(format!("the template uses {}, which does not exist", words::echo(name)))
                .with_hint(words::suggest(name, names.into_iter(), "there are")))
        }
    }
}

/// Renders a URL's template.
pub(super) fn render(text: &str, values: &minijinja::Value) -> Result<String, Refusal> {
    environment().render_str(text, values).map_err(|error| syntax(&error))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_debug(false); // else errors carry values, in debug builds
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(100_000));
    environment
}

fn syntax(error: &minijinja::Error) -> Refusal {
    let line =
        error.line().filter(|line| *line > 1).map(|line| format!(" on its line {line}")).unwrap_or_default();
    not_valid(&line, error)
}

fn not_valid(line: &str, error: &minijinja::Error) -> Refusal {
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Refusal::because(format!("the template is not valid{line}{detail}"))
}

/// Refuses expressions that are too long, and statements that would read other templates.
fn within_bounds(text: &str) -> Result<(), Wrong> {
    let (mut rest, mut statements) = (text, 0);
    while let Some(open) = rest.find('{') {
        rest = &rest[open..];
        let close = match rest.get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            _ => {
                rest = &rest[1..];
                continue;
            }
        };
        let inner = &rest[2..];
        let inner = &inner[..end_of(inner, close)];
        let wrong = |message: String| {
            Err(Wrong { offset: text.len() - rest.len(), refusal: Refusal::because(message) })
        };
        if inner.len() > MAX_EXPRESSION && close != "#}" {
            return wrong("an expression of more than 1 KiB in a template".to_owned());
        }
        statements += usize::from(close == "%}");
        if statements > MAX_STATEMENTS {
            return wrong(format!("a template with more than {MAX_STATEMENTS} statements"));
        }
        let word = inner.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
        if close == "%}" && ["include", "extends", "import", "from", "block"].contains(&word) {
            return wrong(format!("`{word}` in a template: there are no other templates to read"));
        }
        rest = &rest[2 + inner.len()..];
    }
    Ok(())
}

/// Where a quote stands that is not closed, in an expression or statement.
fn open_quote(text: &str) -> Option<usize> {
    let (mut at, mut close, mut quote) = (0, None, None);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.chars().next().map_or(1, char::len_utf8);
        at += match (close, quote) {
            (None, _) => {
                close = [("{{", "}}"), ("{%", "%}")].into_iter().find(|(open, _)| rest.starts_with(open));
                if close.is_some() { 2 } else { length }
            }
            (Some(_), Some((mark, _))) => {
                quote = quote.filter(|_| !rest.starts_with(mark));
                if rest.starts_with('\\') { 2 } else { length }
            }
            (Some((_, end)), None) => {
                quote = ['"', '\''].iter().find(|mark| rest.starts_with(**mark)).map(|mark| (*mark, at));
                close = close.filter(|_| !rest.starts_with(end));
                length
            }
        };
    }
    quote.map(|(_, at)| at)
}

/// Where `close` stands, outside of quotes; the whole length where it does not.
fn end_of(inner: &str, close: &str) -> usize {
    if close == "#}" {
        return inner.find(close).unwrap_or(inner.len());
    }
    let (mut quote, mut escaped) = (None, false);
    for (index, c) in inner.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if inner[index..].starts_with(close) => return index,
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    inner.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::parse;

    #[test]
    fn a_sink_template_sees_the_token_document() {
        let errors = |text: &str| {
            let node = parse(0, "x", &mut Report::default()).unwrap();
            let mut report = Report::default();
            let mut templates = Templates::new(Files::default(), &|_| None);
            assert_eq!(templates.sink(&mut report, &node, text, None, None), report.errors.is_empty());
            report.errors.len()
        };
        for good in [
            "plain",
            "TOKEN={{ access_token }}\n",
            "{{ extra.instance_url }}",
            "{% for key in extra %}{{ key }}{% endfor %}",
            "{% if generation > 1 %}{{ account }}{% endif %}",
            "{{ expires_at|datetime('%Y', 'Asia/Seoul') }}{{ extra|json }}",
        ] {
            assert_eq!(errors(good), 0, "{good}");
        }
        for bad in [
            "{{ acess_token }}",
            "{{ access_token.x }}",
            "{{ access_token|safe }}",
            "{{ accounts.a.access_token }}",
            "{{",
            "{% include 'x' %}",
            "{{ a b }}",
        ] {
            assert!(errors(bad) > 0, "{bad}");
        }
    }

    #[test]
    fn hostile_templates_cost_an_error_and_no_stack() {
        let deep = [
            format!("{{{{ a{} }}}}", ".a".repeat(100_000)),
            format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
            format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
            format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
            "{% if true %}".repeat(10_000),
            format!("{{{{ '}}}}'{} }}}}", "+1".repeat(100_000)),
            format!("{{{{ \"\\\"}}}}\"{} }}}}", "+1".repeat(100_000)),
            format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(20_000)),
            format!("{{% if a %}}{}{{% endif %}}", "{% elif a %}".repeat(190)),
            format!("{{{{ a{} }}}}", ".a".repeat(500)),
            format!("{{{{ a{} }}}}", "[1]".repeat(330)),
            format!("{{{{ a{} }}}}", "|a".repeat(500)),
            format!("{{{{ {}1 }}}}", "not ".repeat(250)),
            format!("{{{{ 1{} }}}}", "+1".repeat(500)),
            format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(80)),
        ];
        for text in deep {
            let _ = uses(&text, MAX_TEMPLATE, Root::Document);
        }
    }
}
