//! `renewd providers`: the built-in token APIs and their definitions.

use super::args::ProvidersArgs;
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::screen::{Line, Look, Tone, pad, width, wrap};
use super::settings;
use super::suggest::{listed, nearest};
use crate::config::definition::Definition;
use crate::domain::human_duration;
use crate::provider::catalog;

/// Prints the table, or one's definition as it is.
pub(super) fn providers(args: &ProvidersArgs) -> Result<Exit, Failure> {
    match &args.name {
        Some(name) => out::print(text(name)?)?,
        None => {
            let look = Look::of_stdout();
            let lines = table(&settings::builtin()?, look);
            out::print(&lines.iter().map(|line| line.render(look) + "\n").collect::<String>())?;
        }
    }
    Ok(Exit::Done)
}

/// The definition's text; an unknown name is a usage error.
fn text(name: &str) -> Result<&'static str, Failure> {
    let found = catalog::texts().iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text).ok_or_else(|| unknown(name))
}

/// No built-in provider is called that.
pub(super) fn unknown(name: &str) -> Failure {
    let names = || catalog::texts().iter().map(|(known, _)| *known);
    let failure = Failure::new(Exit::Usage, format!("there is no built-in provider `{name}`"));
    match nearest(name, names()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("there are {}; `renewd providers` tells more", listed(names()))),
    }
}

/// A provider a paragraph on a terminal too narrow for all of it; a row of columns elsewhere.
fn table(definitions: &[Definition], look: Look) -> Vec<Line> {
    let rows: Vec<[String; 5]> = definitions.iter().map(row).collect();
    let headings = ["PROVIDER", "TITLE", "TOKEN LIVES", "ENVIRONMENTS", "CREDENTIALS"];
    let mut columns = headings.map(width);
    for row in &rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            *column = width(cell).max(*column);
        }
    }
    let whole = columns.iter().sum::<usize>() + 2 * (columns.len() - 1);
    if look.width.is_some_and(|room| whole > room) {
        return rows.iter().flat_map(|row| paragraph(row, &headings, look)).collect();
    }
    let line = |cells: [&str; 5], tones: [Tone; 5]| {
        let mut line = Line::new();
        for ((cell, tone), column) in cells.into_iter().zip(tones).zip(columns) {
            line.push(tone, pad(cell, column + 2));
        }
        line.without_end()
    };
    let tones = [Tone::Strong, Tone::Plain, Tone::Plain, Tone::Plain, Tone::Plain];
    let mut lines = vec![line(headings, [Tone::Dim; 5])];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str), tones)));
    lines
}

fn paragraph(row: &[String; 5], headings: &[&str; 5], look: Look) -> Vec<Line> {
    const LABELS: usize = 14;
    let [name, title, facts @ ..] = row;
    let mut lines = vec![Line::new().with(Tone::Strong, name).with(Tone::Plain, format!("  {title}"))];
    let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(LABELS + 2));
    for (fact, heading) in facts.iter().zip(&headings[2..]) {
        for (index, text) in wrap(fact, room).into_iter().enumerate() {
            let label = if index == 0 { heading.to_lowercase() } else { String::new() };
            lines.push(
                Line::new().with(Tone::Dim, format!("  {}", pad(&label, LABELS))).with(Tone::Plain, text),
            );
        }
    }
    lines.push(Line::new());
    match look.width {
        Some(columns) => lines.into_iter().map(|line| line.cut(columns, look)).collect(),
        None => lines,
    }
}

fn row(definition: &Definition) -> [String; 5] {
    let names = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(", ") };
    let environments = definition.environments.iter().map(|environment| environment.name.clone());
    let optional = |name: &str, optional: bool| if optional { format!("[{name}]") } else { name.to_owned() };
    let credentials = definition.credentials.iter().map(|each| optional(&each.name, each.optional));
    [
        definition.name.clone(),
        definition.title.clone(),
        definition.life.map_or_else(|| "as it says".to_owned(), human_duration),
        names(environments.collect()),
        names(credentials.collect()),
    ]
}
