//! Templates: that they parse, and that they name only what there will be.

use std::collections::HashSet;

use minijinja::{Environment, UndefinedBehavior};

use super::jinja::{self, Fault, Root, Uses};
use super::scalar::Refusal;
use crate::config::words;

/// The longest template.
const MAX_TEMPLATE: usize = 256 << 10;
/// The longest `{{ ... }}` or `{% ... %}`: longer ones could exhaust the stack of the template parser.
const MAX_EXPRESSION: usize = 1 << 10;
/// The most `{% ... %}`, for the same reason.
const MAX_STATEMENTS: usize = 200;

/// Checks templates; those seen before cost a look-up.
#[derive(Default)]
pub(crate) struct Templates {
    sinks: HashSet<String>,
}

impl Templates {
    /// Checks the template of a sink.
    pub(super) fn sink(&mut self, text: &str) -> Result<(), Refusal> {
        if self.sinks.contains(text) {
            return Ok(());
        }
        let uses = uses(text, MAX_TEMPLATE, Root::Document).map_err(|wrong| wrong.refusal)?;
        if let Some(Fault { message, hint, .. }) = uses.faults.into_iter().next() {
            return Err(Refusal::because(message).with_hint(hint));
        }
        self.sinks.insert(text.to_owned());
        Ok(())
    }
}

/// A template that is none.
pub(super) struct Wrong {
    /// The line, from 1.
    pub(super) line: usize,
    pub(super) refusal: Refusal,
}

/// What a template of at most so many bytes names.
pub(super) fn uses(text: &str, most: usize, root: Root) -> Result<Uses, Wrong> {
    let wrong = |refusal| Wrong { line: 1, refusal };
    if !is_template(text) {
        return Ok(Uses::default());
    }
    if text.len() > most {
        return Err(wrong(Refusal::because(format!("a template of more than {} KiB", most >> 10))));
    }
    within_bounds(text).map_err(wrong)?;
    let syntax = |error| Wrong { line: minijinja::Error::line(&error).unwrap_or(1), refusal: syntax(&error) };
    environment().template_from_str(text).map_err(syntax)?;
    jinja::uses(text, root).map_err(syntax)
}

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
    within_bounds(text)?;
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
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(100_000));
    environment
}

fn syntax(error: &minijinja::Error) -> Refusal {
    let line =
        error.line().filter(|line| *line > 1).map(|line| format!(" on its line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Refusal::because(format!("the template is not valid{line}{detail}"))
}

/// Refuses expressions that are too long, and statements that would read other templates.
fn within_bounds(text: &str) -> Result<(), Refusal> {
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
        if inner.len() > MAX_EXPRESSION && close != "#}" {
            return Err(Refusal::because("an expression of more than 1 KiB in a template"));
        }
        statements += usize::from(close == "%}");
        if statements > MAX_STATEMENTS {
            return Err(Refusal::because(format!("a template with more than {MAX_STATEMENTS} statements")));
        }
        let word = inner.trim_start_matches(['-', '+']).split_whitespace().next().unwrap_or_default();
        if close == "%}" && ["include", "extends", "import", "from", "block"].contains(&word) {
            return Err(Refusal::because(format!(
                "`{word}` in a template: there are no other templates to read"
            )));
        }
        rest = &rest[2 + inner.len()..];
    }
    Ok(())
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

    #[test]
    fn a_sink_template_sees_the_token_document() {
        let mut templates = Templates::default();
        for good in [
            "plain",
            "TOKEN={{ access_token }}\n",
            "{{ extra.instance_url }}",
            "{% for key in extra %}{{ key }}{% endfor %}",
            "{% if generation > 1 %}{{ account }}{% endif %}",
            "{{ expires_at|datetime('%Y', 'Asia/Seoul') }}{{ extra|json }}",
        ] {
            assert_eq!(templates.sink(good), Ok(()), "{good}");
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
            assert!(templates.sink(bad).is_err(), "{bad}");
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
            let _ = Templates::default().sink(&text);
        }
    }
}
