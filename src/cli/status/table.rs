//! The table of accounts: a row each, and a line below for each thing that is wrong.

use super::layout::{GAP, Layout, Row, SHORTEST_NAME};
use super::words;
use crate::cli::screen::{Line, Look, Tone, pad, sanitise, width, wrap};
use crate::domain::{Awaited, ErrorInfo, Timestamp};
use crate::observe::status::{
    AccountState, AccountStatus, HookStatus, SinkStatus, Status, TemplateStatus, readers_hold,
};

/// How much of what is wrong is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notes {
    /// Everything, in as many lines as it takes.
    Whole,
    /// One line each: the screen is redrawn and has an end.
    OneLine,
}

/// A row and what stands below it; kept together when a screen is too short for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Whether something is wrong here.
    pub(super) ailing: bool,
    /// The row, then the notes.
    pub(super) lines: Vec<Line>,
}

/// Agent, configuration, and how many accounts are in which state.
pub(super) fn header(status: &Status, look: Look) -> Vec<Line> {
    let config = &status.config;
    let dim = |text: String| Line::new().with(Tone::Dim, text);
    let about = vec![
        Line::new().with(Tone::Strong, format!("renewd {}", sanitise(&status.version))),
        dim(sanitise(&config.path.to_string_lossy())),
        dim(format!("generation {}", config.generation)),
        dim(format!("loaded {}", words::ago(config.loaded_at, status.now))),
    ];
    let mut lines = flow(about, look.either(" · ", " - "), look);
    if let Some(error) = &config.error {
        let sign = look.either("▲", "!");
        let said =
            format!("{sign} the file as it is now is refused; generation {} goes on:", config.generation);
        lines.push(Line::new().with(Tone::Warn, said));
        let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(4));
        for line in error.lines().flat_map(|line| wrap_keeping_indent(&sanitise(line), room)) {
            lines.push(Line::new().with(Tone::Plain, format!("    {line}")));
        }
    }
    lines.extend(flow(tally(status, look), "   ", look));
    lines.extend(away(status, look));
    fitted(lines, look)
}

/// `● 3 fresh`, `▲ 1 retrying`: the states that there are.
fn tally(status: &Status, look: Look) -> Vec<Line> {
    let counts = AccountState::ALL
        .into_iter()
        .map(|state| (state, status.accounts.iter().filter(|account| account.state == state).count()));
    let part = |(state, count): (AccountState, usize)| {
        let (tone, sign) = words::account_sign(state, look);
        Line::new().with(tone, format!("{sign} {count} {}", state.as_str()))
    };
    counts.filter(|(_, count)| *count > 0).map(part).collect()
}

/// Puts parts beside each other, on as many lines as they take.
fn flow(parts: Vec<Line>, gap: &str, look: Look) -> Vec<Line> {
    let columns = look.width.unwrap_or(usize::MAX);
    let mut lines: Vec<Line> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.width() + width(gap) + part.width() <= columns => {
                line.push(Tone::Dim, gap);
                line.append(part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// The headings and a block an account.
pub(super) fn accounts(
    accounts: &[AccountStatus],
    now: Timestamp,
    look: Look,
    notes: Notes,
) -> (Line, Vec<Block>) {
    let rows: Vec<Row> = accounts.iter().map(|account| Row::of(account, now, look)).collect();
    let layout = Layout::of(&rows, look);
    let blocks = accounts.iter().zip(&rows).map(|(account, row)| {
        let mut lines = vec![layout.row(row, look)];
        let mut below = Vec::new();
        if let Some(error) = &account.error {
            below.extend(note(
                &words::error_head(error, account.attempt, now),
                Tone::Warn,
                error,
                look,
                notes,
            ));
        }
        if let Some(origins) = words::origins(account, now) {
            let line = Line::new().with(Tone::Dim, corner(look)).with(Tone::Note, origins);
            below.extend(fitted(vec![line], look));
        }
        if let Some(waiting) = words::waiting(account, now) {
            let line = Line::new().with(Tone::Dim, corner(look)).with(Tone::Note, waiting);
            below.extend(fitted(vec![line], look));
        }
        if let Some(error) = &account.unverified {
            let head = format!("not verified {}", words::ago(error.at, now));
            below.extend(note(&head, Tone::Warn, error, look, notes));
        }
        for sink in words::ailing(&account.sinks) {
            below.extend(readers(words::outdated(sink, account.generation, now), &sink.sink, look));
            below.extend(sink_notes(sink, now, look, notes));
        }
        below.extend(hook_notes(&account.hooks, now, look, notes));
        let ailing = account.state != AccountState::Fresh
            || account.error.is_some()
            || account.unverified.is_some()
            || words::ailing(&account.sinks).next().is_some()
            || account.hooks.iter().any(|hook| hook.error.is_some());
        lines.extend(below);
        Block { ailing, lines }
    });
    (layout.headings(look), blocks.collect())
}

/// The templates of several accounts, a block each; nothing where there are none.
pub(super) fn templates(
    templates: &[TemplateStatus],
    now: Timestamp,
    look: Look,
    notes: Notes,
) -> Vec<Block> {
    let paths: Vec<String> = templates.iter().map(|each| sanitise(&each.path.to_string_lossy())).collect();
    let widest = paths.iter().map(|path| width(path)).max().unwrap_or(0);
    let columns = look.width.map_or(widest, |all| widest.min(all.saturating_sub(30).max(SHORTEST_NAME)));
    let block = |(template, path): (&TemplateStatus, &String)| {
        let (tone, sign, word) = words::sink_sign(template.state, look);
        let mut row = Line::new();
        if look.is_terminal() {
            row.push(tone, format!("{sign} "));
        }
        row.push(Tone::Plain, pad(&fit_start(path, columns, look), columns + GAP));
        row.push(tone, pad(word, 9 + GAP));
        row.push(Tone::Dim, template.written_at.map(|at| words::ago(at, now)).unwrap_or_default());
        let mut lines = vec![row];
        let outdated = template.outdated().map(|end| readers_hold(end, now));
        lines.extend(readers(outdated, "", look));
        if let Some(error) = &template.error {
            let head = words::error_head(error, 0, now) + &words::again(template.next, now);
            lines.extend(note(&head, Tone::Warn, error, look, notes));
        }
        if let Some(since) = template.writing_since {
            let said = words::slow(since, now);
            lines.push(Line::new().with(Tone::Dim, corner(look)).with(Tone::Warn, said));
        }
        if let Some(waits) = Awaited::words(&template.waits_for) {
            lines.push(Line::new().with(Tone::Dim, corner(look)).with(Tone::Note, sanitise(&waits)));
        }
        lines.extend(hook_notes(&template.hooks, now, look, notes));
        let ailing = template.error.is_some()
            || template.writing_since.is_some()
            || template.hooks.iter().any(|hook| hook.error.is_some());
        Block { ailing, lines: fitted(lines, look) }
    };
    templates.iter().zip(&paths).map(block).collect()
}

/// The servers that are away, the agent's own places that it cannot have, and why; nothing where there are none.
pub(super) fn away(status: &Status, look: Look) -> Vec<Line> {
    let now = status.now;
    let servers = status.servers.iter().map(|server| {
        let said = format!("{}: {}", words::server(server, now), sanitise(&server.error.message));
        (Tone::Bad, look.either("✗ ", "x "), said)
    });
    let places = status.state_dir.iter().chain(&status.places).map(|place| {
        let said = format!("{}: {}", words::place(place, now), sanitise(&place.reason()));
        (Tone::Warn, look.either("▲ ", "! "), said)
    });
    let lines = servers.chain(places).flat_map(|(tone, sign, said)| {
        let sign = if look.is_terminal() { sign } else { "" };
        let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(width(sign)));
        let lines = wrap(&said, room).into_iter().enumerate();
        lines.map(move |(row, text)| {
            let start = if row == 0 { sign.to_owned() } else { " ".repeat(width(sign)) };
            Line::new().with(tone, start).with(Tone::Plain, text)
        })
    });
    fitted(lines.collect(), look)
}

/// `FILE: readers hold a token that ended 1m 18s ago`: what matters most, so it comes first.
fn readers(said: Option<String>, name: &str, look: Look) -> Option<Line> {
    let said = said.map(|said| if name.is_empty() { said } else { format!("{}: {said}", sanitise(name)) })?;
    Some(trimmed(Line::new().with(Tone::Dim, corner(look)).with(Tone::Bad, said), look))
}

/// `FILE failed:` and the error, as the lines below a row; of one that waits for a server only that.
fn sink_notes(status: &SinkStatus, now: Timestamp, look: Look, notes: Notes) -> Vec<Line> {
    let sink = sanitise(&status.sink);
    if let Some(said) = words::held_up(status, now) {
        let line = Line::new().with(Tone::Dim, corner(look)).with(Tone::Bad, format!("{sink} {said}"));
        return fitted(vec![line], look);
    }
    match &status.error {
        Some(error) => {
            let again = words::again(status.next, now);
            let head = format!("{sink} failed {} ({}){again}", words::ago(error.at, now), error.class);
            note(&head, Tone::Bad, error, look, notes)
        }
        None => fitted(vec![Line::new().with(Tone::Bad, format!("{}{sink} failed", corner(look)))], look),
    }
}

/// The hooks that fail, and when each is tried again.
fn hook_notes(hooks: &[HookStatus], now: Timestamp, look: Look, notes: Notes) -> Vec<Line> {
    let failing = hooks.iter().filter_map(|hook| Some((hook, hook.error.as_ref()?)));
    let of = |(hook, error): (&HookStatus, &ErrorInfo)| {
        note(&words::hook_head(hook, error, now), Tone::Warn, error, look, notes)
    };
    failing.flat_map(of).collect()
}

/// `└ HEAD: MESSAGE`, on further lines under its beginning where it is long.
pub(super) fn note(head: &str, tone: Tone, error: &ErrorInfo, look: Look, notes: Notes) -> Vec<Line> {
    let corner = corner(look);
    let message = sanitise(&error.message);
    let whole =
        Line::new().with(Tone::Dim, corner).with(tone, head).with(Tone::Plain, format!(": {message}"));
    let Some(columns) = look.width.filter(|columns| whole.width() > *columns) else { return vec![whole] };
    if notes == Notes::OneLine {
        return vec![whole.cut(columns, look)];
    }
    let indent = width(corner);
    let mut rest = wrap(&format!("{head}: {message}"), columns.saturating_sub(indent)).into_iter();
    let first = rest.next().unwrap_or_default();
    let mut line = Line::new().with(Tone::Dim, corner);
    match first.strip_prefix(head) {
        Some(tail) => {
            line.push(tone, head);
            line.push(Tone::Plain, tail);
        }
        None => line.push(tone, first),
    }
    let mut lines = vec![line];
    lines.extend(rest.map(|text| Line::new().with(Tone::Plain, format!("{}{text}", " ".repeat(indent)))));
    lines
}

fn corner(look: Look) -> &'static str {
    match look.is_terminal() {
        true => look.either("  └ ", "  \\ "),
        false => "    ",
    }
}

/// What is still too long is cut; spaces at the end are nothing to look at.
pub(super) fn trimmed(line: Line, look: Look) -> Line {
    let line = line.without_end();
    match look.width {
        Some(columns) => line.cut(columns, look),
        None => line,
    }
}

fn fitted(lines: Vec<Line>, look: Look) -> Vec<Line> {
    lines.into_iter().map(|line| trimmed(line, look)).collect()
}

/// The end of a path says more than its beginning.
fn fit_start(path: &str, columns: usize, look: Look) -> String {
    if width(path) <= columns {
        return path.to_owned();
    }
    let mark = look.either("…", "~");
    let mut tail = path;
    while width(tail) + width(mark) > columns {
        let mut letters = tail.chars();
        letters.next();
        tail = letters.as_str();
    }
    format!("{mark}{tail}")
}

/// A source line of a configuration error keeps its indentation: it points at a column.
fn wrap_keeping_indent(line: &str, columns: usize) -> Vec<String> {
    if width(line) <= columns || line.starts_with(' ') { vec![line.to_owned()] } else { wrap(line, columns) }
}

#[cfg(test)]
mod tests;
