//! The columns of the table of accounts: how wide each is, and which are left out where there is no room.

use super::table::trimmed;
use super::words;
use crate::cli::screen::{Line, Look, Tone, fit, pad, sanitise, width};
use crate::domain::Timestamp;
use crate::observe::status::AccountStatus;

/// An account's name is never cut below this, and below the next one only where nothing else is left to give up.
pub(super) const SHORTEST_NAME: usize = 10;
const LONG_NAME: usize = 24;
/// A provider's name is not cut below this: rather left out.
const LONG_PROVIDER: usize = 16;
pub(super) const GAP: usize = 2;

/// What a row shows, from roomy to narrow. Failed sinks are told below the row in any case.
const SHAPES: [Shape; 10] = [
    Shape { cut_names: false, provider: true, bar: 12, next: true, sinks: Sinks::Words },
    Shape { cut_names: false, provider: true, bar: 8, next: true, sinks: Sinks::Words },
    Shape { cut_names: true, provider: true, bar: 5, next: true, sinks: Sinks::Words },
    Shape { cut_names: true, provider: true, bar: 5, next: true, sinks: Sinks::Count },
    Shape { cut_names: true, provider: false, bar: 8, next: true, sinks: Sinks::Words },
    Shape { cut_names: true, provider: false, bar: 5, next: true, sinks: Sinks::Words },
    Shape { cut_names: true, provider: false, bar: 5, next: true, sinks: Sinks::Count },
    Shape { cut_names: true, provider: false, bar: 0, next: true, sinks: Sinks::Count },
    Shape { cut_names: true, provider: false, bar: 5, next: false, sinks: Sinks::Count },
    Shape { cut_names: true, provider: false, bar: 0, next: false, sinks: Sinks::None },
];

#[derive(Debug, Clone, Copy)]
struct Shape {
    cut_names: bool,
    provider: bool,
    bar: usize,
    next: bool,
    sinks: Sinks,
}

#[derive(Debug, Clone, Copy)]
enum Sinks {
    /// `2/2 written`
    Words,
    /// `2/2`
    Count,
    None,
}

/// The cells of one row, not yet cut.
pub(super) struct Row {
    tone: Tone,
    sign: &'static str,
    name: String,
    provider: String,
    state: &'static str,
    life: u64,
    left: String,
    next: String,
    sinks: (Tone, String),
}

impl Row {
    pub(super) fn of(account: &AccountStatus, now: Timestamp, look: Look) -> Self {
        let (tone, sign) = words::account_sign(account.state, look);
        Self {
            tone,
            sign,
            name: account.name.to_string(),
            provider: sanitise(&account.provider),
            state: account.state.as_str(),
            life: words::life_left(account, now),
            left: words::left(account, now),
            next: words::next(account, now),
            sinks: words::sinks(account),
        }
    }
}

impl Row {
    /// `2/2` of `2/2 written`.
    fn sinks_short(&self) -> &str {
        self.sinks.1.split(' ').next().unwrap_or_default()
    }
}

/// How wide each column is; 0 where there is no room for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    sign: usize,
    name: usize,
    provider: usize,
    state: usize,
    bar: usize,
    left: usize,
    next: usize,
    sinks: usize,
    sinks_short: usize,
}

impl Layout {
    pub(super) fn of(rows: &[Row], look: Look) -> Self {
        let widest = |heading: &str, cell: fn(&Row) -> &str| {
            rows.iter().map(|row| width(cell(row))).max().unwrap_or(0).max(width(heading))
        };
        let mut layout = Self {
            sign: 0,
            name: widest("ACCOUNT", |row| &row.name),
            provider: widest("PROVIDER", |row| &row.provider),
            state: widest("STATE", |row| row.state),
            bar: 0,
            left: widest("LEFT", |row| &row.left),
            next: widest("NEXT", |row| &row.next),
            sinks: widest("SINKS", |row| &row.sinks.1),
            sinks_short: widest("SINKS", |row| row.sinks_short()),
        };
        if let Some(columns) = look.width {
            layout.sign = 1;
            layout.fit(columns);
        }
        layout
    }

    /// Takes the first of [`SHAPES`] that fits, with long names cut where that is all it takes.
    fn fit(&mut self, columns: usize) {
        let whole = self.clone();
        for shape in SHAPES {
            *self = Self { bar: shape.bar, ..whole.clone() };
            if !shape.provider {
                self.provider = 0;
            }
            if !shape.next {
                self.next = 0;
            }
            match shape.sinks {
                Sinks::Words => {}
                Sinks::Count => self.sinks = self.sinks_short,
                Sinks::None => self.sinks = 0,
            }
            if self.total() <= columns || shape.cut_names && self.cut_names(columns) {
                return;
            }
        }
        let excess = self.total().saturating_sub(columns);
        self.name -= excess.min(self.name.saturating_sub(SHORTEST_NAME));
    }

    /// Cuts account and provider names where that alone makes the row fit.
    fn cut_names(&mut self, columns: usize) -> bool {
        let excess = self.total().saturating_sub(columns);
        let of_name = excess.min(self.name.saturating_sub(LONG_NAME));
        let of_provider = (excess - of_name).min(self.provider.saturating_sub(LONG_PROVIDER));
        let enough = of_name + of_provider == excess;
        if enough {
            self.name -= of_name;
            self.provider -= of_provider;
        }
        enough
    }

    fn total(&self) -> usize {
        let left = if self.bar == 0 { self.left } else { self.bar + 1 + self.left };
        let columns = [self.sign, self.name, self.provider, self.state, left, self.next, self.sinks];
        let shown = columns.iter().filter(|columns| **columns > 0).count();
        let gaps = GAP * shown.saturating_sub(1);
        // One column only stands between the sign and the name.
        columns.iter().sum::<usize>() + gaps - self.sign
    }

    pub(super) fn headings(&self, look: Look) -> Line {
        let mut line = Line::new();
        let bar = if self.bar == 0 { 0 } else { self.bar + 1 };
        let cells = [
            ("ACCOUNT", self.name),
            ("PROVIDER", self.provider),
            ("STATE", self.state),
            ("LEFT", bar + self.left),
            ("NEXT", self.next),
            ("SINKS", self.sinks),
        ];
        line.push(Tone::Plain, " ".repeat(self.sign * 2));
        for (heading, columns) in cells {
            if columns > 0 {
                line.push(Tone::Dim, pad(heading, columns + GAP));
            }
        }
        trimmed(line, look)
    }

    pub(super) fn row(&self, row: &Row, look: Look) -> Line {
        let mark = look.either("…", "~");
        let mut line = Line::new();
        let cell = |line: &mut Line, tone: Tone, text: &str, columns: usize| {
            if columns > 0 {
                line.push(tone, fit(text, columns, mark));
                line.push(Tone::Plain, " ".repeat(columns.saturating_sub(width(text)) + GAP));
            }
        };
        if self.sign > 0 {
            line.push(row.tone, row.sign);
            line.push(Tone::Plain, " ");
        }
        cell(&mut line, Tone::Strong, &row.name, self.name);
        cell(&mut line, Tone::Dim, &row.provider, self.provider);
        cell(&mut line, row.tone, row.state, self.state);
        if self.bar > 0 {
            let (full, rest) = words::bar(row.life, self.bar, look);
            line.push(row.tone, full);
            line.push(Tone::Dim, rest);
            line.push(Tone::Plain, " ");
        }
        cell(&mut line, Tone::Plain, &row.left, self.left);
        cell(&mut line, Tone::Plain, &row.next, self.next);
        let sinks = if width(&row.sinks.1) <= self.sinks { &row.sinks.1 } else { row.sinks_short() };
        cell(&mut line, row.sinks.0, sinks, self.sinks);
        trimmed(line, look)
    }
}
