//! Which parts of a file may be printed. Only what the shape knows and calls public is shown: a secret under a
//! misspelt key, in a wrong place or in a file that cannot be parsed stays hidden.

use std::collections::HashMap;
use std::ops::Range;

use super::{Node, Place, Value};
use crate::config::shape::{self, Kind, Show};

/// The longest line that is printed whole, in terminal columns.
const WIDTH: usize = 120;
const HIDDEN: &str = "***";

/// The scalars of one file, each with whether it may be shown.
pub(crate) struct Mask<'a> {
    text: &'a str,
    spans: Vec<(Range<usize>, bool)>,
    parsed: bool,
}

/// Whether a key of the user's own choosing may hold a secret.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    const WORDS: [&str; 12] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "key",
        "credential",
        "authorization",
        "cookie",
        "assertion",
        "signature",
        "pin",
    ];
    WORDS.iter().any(|word| key.contains(word)) && !key.ends_with("_url") && !key.ends_with("_uri")
}

impl<'a> Mask<'a> {
    /// `lost` are keys that the tree has not: they stood a second time.
    pub(super) fn new(
        text: &'a str,
        root: Option<&Node<'_>>,
        kind: &'static Kind,
        lost: impl Iterator<Item = Place>,
    ) -> Self {
        if std::ptr::eq(kind, &raw const shape::TEMPLATE_SOURCE) {
            return Self { text, spans: template(text, 0).collect(), parsed: true };
        }
        let mut spans = HashMap::new();
        if let Some(root) = root {
            let file = root.place.file;
            Walk { file, text, spans: &mut spans }.node(root, Some(kind), None);
        }
        for place in lost {
            let key = text.get(place.start as usize..place.end as usize).unwrap_or_default();
            spans.insert((place.start, place.end), is_word(key.trim_matches(['"', '\''])));
        }
        let mut spans: Vec<_> =
            spans.into_iter().map(|((start, end), shown)| (start as usize..end as usize, shown)).collect();
        spans.sort_by_key(|(span, _)| (span.start, span.end));
        Self { text, spans, parsed: root.is_some() }
    }

    /// The line as it may be shown, and the terminal column of `offset` in it.
    pub(super) fn line(&self, line: Range<usize>, offset: usize) -> Option<(String, usize)> {
        let mut shown = Shown { out: String::new(), caret: None, offset };
        if self.parsed {
            self.known_line(line, &mut shown);
        } else {
            unknown_line(self.text.get(line.clone())?, line.start, &mut shown);
        }
        let Shown { out, caret, .. } = shown;
        let out = out.trim_end();
        if out.trim().is_empty() {
            return None;
        }
        Some(window(out, caret.unwrap_or_else(|| width(out))))
    }

    fn known_line(&self, line: Range<usize>, shown: &mut Shown) {
        let mut at = line.start;
        let first = self.spans.partition_point(|(span, _)| span.end <= line.start);
        for (span, visible) in &self.spans[first..] {
            if span.start >= line.end {
                break;
            }
            let (start, end) = (span.start.max(at), span.end.min(line.end));
            if start >= end && span.start != span.end {
                continue;
            }
            if self.gap(at..start, shown) {
                return;
            }
            let part = &self.text[start..end];
            match *visible || part.trim().is_empty() {
                true => shown.text(part, start),
                false => shown.hidden(start..end),
            }
            at = end.max(at);
        }
        self.gap(at..line.end, shown);
    }

    /// What stands between scalars: punctuation, anchors, a comment (left out; then `true`).
    fn gap(&self, range: Range<usize>, shown: &mut Shown) -> bool {
        let Some(text) = self.text.get(range.clone()) else { return false };
        let mut name = false;
        for (index, c) in text.char_indices() {
            let at = range.start + index;
            match c {
                '#' => return true,
                '&' | '*' | '!' => name = true,
                _ if " \t\r-:,?[]{}|><+".contains(c) => name = false,
                _ if name && (c.is_alphanumeric() || c == '_') => {}
                // Not in the tree, such as the value of a key that stood a second time.
                _ => {
                    shown.hidden(at..range.end);
                    return false;
                }
            }
            shown.text(&text[index..index + c.len_utf8()], at);
        }
        false
    }
}

/// A template that begins at byte `start` of its file: what stands between `{{` and `}}` may be shown, but for its
/// quoted words, and the name that it is written to (`NAME=`, `"name": `); nothing else.
fn template(text: &str, start: usize) -> impl Iterator<Item = (Range<usize>, bool)> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find("{{").into_iter().chain(text[at..].find("{%")).min() {
        let open = at + open;
        let close = if text[open..].starts_with("{{") { "}}" } else { "%}" };
        let end = text[open + 2..].find(close).map_or(text.len(), |length| open + 2 + length + 2);
        let lead = open - name_before(&text[at..open]);
        spans.extend([(at..lead, false), (lead..open, true)]);
        let mut from = open;
        let (mut quote, mut name) = (None, false);
        for (index, c) in text[open..end].char_indices().map(|(index, c)| (open + index, c)) {
            match quote {
                None if c == '"' || c == '\'' => {
                    spans.push((from..index, true));
                    (quote, name, from) = (Some(c), text[..index].ends_with('['), index);
                }
                Some(mark) if c == mark => {
                    spans.push((from..index + 1, name && is_word(&text[from + 1..index])));
                    (quote, from) = (None, index + 1);
                }
                _ => {}
            }
        }
        spans.push((from..end, quote.is_none()));
        at = end;
    }
    let is_closing = text[at..].chars().all(|c| " \t\r\n\"'\\},;)]".contains(c));
    spans.push((at..text.len(), is_closing && at > 0));
    spans.retain(|(span, _)| !span.is_empty());
    spans.into_iter().map(move |(span, shown)| (start + span.start..start + span.end, shown))
}

/// How many bytes before a value name what it is: `NAME=` or `"name": ` at the beginning of a line or an entry. No word
/// that something else precedes: it may be a part of a URL or of a header.
fn name_before(text: &str) -> usize {
    const LONGEST: usize = 40;
    let line = &text[text.rfind('\n').map_or(0, |newline| newline + 1)..];
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let Some(before) = line.trim_end_matches([' ', '"', '\'', '\\']).strip_suffix(['=', ':']) else {
        return 0;
    };
    let before = before.trim_end_matches(['"', '\'', '\\']);
    let lead = before.trim_end_matches(is_name);
    let name = &before[lead.len()..];
    let lead = lead.trim_end().strip_suffix("export").unwrap_or(lead);
    let fits = name.len() <= LONGEST && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match fits && lead.chars().all(|c| " \t\"'\\{[,-".contains(c)) {
        true => line.len(),
        false => 0,
    }
}

/// A line of a file that could not be parsed: a known key may be shown, nothing else.
fn unknown_line(line: &str, start: usize, shown: &mut Shown) {
    let body = line.trim_start_matches([' ', '-']);
    let indent = line.len() - body.len();
    shown.text(&line[..indent], start);
    let key = body.split(':').next().unwrap_or_default();
    let after = body[key.len()..].strip_prefix(':');
    match after {
        Some(value) if shape::knows_key(key) && (value.is_empty() || value.starts_with([' ', '\r'])) => {
            shown.text(&body[..=key.len()], start + indent);
            if !value.trim().is_empty() {
                shown.text(" ", start + indent + key.len() + 1);
                shown.hidden(start + indent + key.len() + 2..start + line.len());
            }
        }
        _ if body.trim().is_empty() || body.starts_with('#') => shown.out.clear(),
        _ => shown.hidden(start + indent..start + line.len()),
    }
}

struct Shown {
    out: String,
    caret: Option<usize>,
    offset: usize,
}

impl Shown {
    fn text(&mut self, text: &str, start: usize) {
        for (index, c) in text.char_indices() {
            self.mark(start + index);
            match c {
                '\t' => self.out.push(' '),
                '\r' => {}
                c if c.is_control() || is_invisible(c) => self.out.push('\u{fffd}'),
                c => self.out.push(c),
            }
        }
    }

    fn hidden(&mut self, range: Range<usize>) {
        if self.offset < range.end.max(range.start + 1) {
            self.mark(self.offset.max(range.start));
        }
        self.out.push_str(HIDDEN);
    }

    fn mark(&mut self, at: usize) {
        if self.caret.is_none() && at >= self.offset {
            self.caret = Some(width(&self.out));
        }
    }
}

struct Walk<'m> {
    file: u32,
    text: &'m str,
    spans: &'m mut HashMap<(u32, u32), bool>,
}

impl Walk<'_> {
    /// `name` is the nearest key of the user's own choosing.
    fn node(&mut self, node: &Node<'_>, kind: Option<&'static Kind>, name: Option<&str>) {
        let kind = kind.and_then(|kind| kind.fitting(node));
        match &node.value {
            Value::Scalar(_) if matches!(kind, Some(Kind::Scalar(kind)) if kind.show == Show::Braces) => {
                let Place { file, start, end } = node.place;
                let hidden = name.is_some_and(sounds_secret) || file != self.file;
                let part = self.text.get(start as usize..end as usize).filter(|_| !hidden);
                let Some(part) = part else { return self.add(node.place, false) };
                for (span, shown) in template(part, start as usize) {
                    let (start, end) = (span.start as u32, span.end as u32);
                    self.add(Place { file, start, end }, shown);
                }
            }
            Value::Scalar(scalar) => {
                let shown = match kind {
                    Some(Kind::Scalar(scalar_kind)) => permits(scalar_kind.show, &scalar.text),
                    Some(Kind::Choice(..)) => is_word(&scalar.text),
                    Some(Kind::Json) => permits(Show::Plain, &scalar.text),
                    _ => false,
                };
                self.add(node.place, shown && !name.is_some_and(sounds_secret));
            }
            Value::Sequence(items) => {
                let kind = match kind {
                    Some(Kind::List(item) | Kind::OneOrList(item)) => Some(*item),
                    Some(Kind::Json) => kind,
                    _ => None,
                };
                for (index, item) in items.iter().enumerate() {
                    match (kind, item.scalar()) {
                        (Some(Kind::Scalar(kind)), Some(program))
                            if index == 0 && kind.show == Show::Argument && is_program(&program.text) =>
                        {
                            self.add(item.place, true);
                        }
                        _ => self.node(item, kind, name),
                    }
                }
            }
            Value::Mapping(entries) => {
                for entry in entries.iter() {
                    let (shown, kind, name) = match kind {
                        Some(Kind::Secret) => (shape::SECRET.field(&entry.key).is_some(), None, None),
                        Some(Kind::Section(shape)) => {
                            (is_word(&entry.key), shape.field(&entry.key).map(|field| &field.kind), None)
                        }
                        // A lone word among secrets may be one that has lost its key.
                        Some(Kind::Map(_, Kind::Secret)) if entry.node.is_null() => (false, None, None),
                        Some(Kind::Map(_, value)) => (is_word(&entry.key), Some(*value), Some(&*entry.key)),
                        Some(Kind::Json) => (is_word(&entry.key), kind, Some(&*entry.key)),
                        _ => (is_word(&entry.key), None, None),
                    };
                    self.add(entry.place, shown);
                    self.node(&entry.node, kind, name);
                }
            }
        }
    }

    /// Of two opinions on one place (an alias may reach it twice) the stricter counts.
    fn add(&mut self, place: Place, shown: bool) {
        if place.file == self.file {
            self.spans.entry((place.start, place.end)).and_modify(|known| *known &= shown).or_insert(shown);
        }
    }
}

fn permits(show: Show, text: &str) -> bool {
    match show {
        Show::Plain => !(text.contains("://") && text.contains(['@', '?', '#'])),
        Show::Pointer => {
            text.starts_with('/')
                && text.len() <= 128
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.~".contains(&byte))
        }
        Show::Argument => is_option(text) || is_path(text),
        Show::Braces | Show::Never => false,
    }
}

/// The name of a program, to be found in `PATH`.
fn is_program(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-+".contains(&byte);
    text.len() <= 32 && text.bytes().all(fits) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// `-x` or `--long-option`, without anything that may be its value.
fn is_option(text: &str) -> bool {
    let long = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match text.strip_prefix("--") {
        Some(name) => name.len() <= 32 && long(name),
        None => {
            text.len() == 2 && text.starts_with('-') && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        }
    }
}

/// A whole path of more than one part.
fn is_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    text.starts_with('/') && text.len() <= 128 && text[1..].contains('/') && text.bytes().all(fits)
}

/// Short and made of the characters of names: a key or a choice, hardly a secret.
fn is_word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_alphanumeric() || "_.-:/ <[]*".contains(c))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The part of a long line that holds the caret.
fn window(line: &str, caret: usize) -> (String, usize) {
    if width(line) <= WIDTH {
        return (line.to_owned(), caret.min(width(line)));
    }
    let from = caret.saturating_sub(WIDTH / 2);
    let (mut out, mut column, mut skipped) = (String::new(), 0, 0);
    for c in line.chars() {
        if column < from {
            skipped = column + char_width(c);
        } else if column < from + WIDTH {
            out.push(c);
        }
        column += char_width(c);
    }
    let cut = column > from + WIDTH;
    let lead = if skipped > 0 { "..." } else { "" };
    (format!("{lead}{out}{}", if cut { "..." } else { "" }), lead.len() + caret.saturating_sub(skipped))
}

fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Two terminal columns for Korean, Chinese, Japanese and most emoji.
fn char_width(c: char) -> usize {
    match c {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}
