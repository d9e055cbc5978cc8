//! A file's text, and findings in it made into problems with line, column and a masked source line.

use std::path::Path;

use super::mask::Mask;
use super::{Node, Place};
use crate::config::decode::Finding;
use crate::config::problem::Problem;
use crate::config::shape::Kind;

/// Longer lines are not shown, in bytes.
const MAX_LINE: usize = 4096;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name for messages.
    pub(crate) label: String,
    /// Its text without a byte-order mark.
    pub(crate) text: String,
}

/// A file together with what its text means: needed to tell what may be shown of it.
pub(crate) struct Origin<'a> {
    /// The file.
    pub(crate) source: &'a Source,
    /// Its tree; `None` where it could not be parsed.
    pub(crate) root: Option<&'a Node<'a>>,
    /// What the tree should look like.
    pub(crate) kind: &'static Kind,
}

impl Source {
    /// Takes a file's bytes.
    ///
    /// # Errors
    /// A problem with the place of the first byte that is not UTF-8.
    pub(crate) fn new(label: &Path, bytes: Vec<u8>) -> Result<Self, Problem> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::of_text(label.display().to_string(), text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let (line, column) = position(&before, before.len());
                let mut problem = Problem::of_file(label, format!("byte {valid} is not UTF-8 text"))
                    .with_hint("save the file as UTF-8");
                (problem.line, problem.column) = (line, column);
                Err(problem)
            }
        }
    }

    /// Takes a text.
    pub(crate) fn of_text(label: String, mut text: String) -> Self {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Self { label, text }
    }

    /// The line of a place, counted from 1.
    pub(crate) fn line(&self, place: Place) -> usize {
        position(&self.text, place.start as usize).0
    }
}

/// Findings as problems, in the order of files and lines, each said once.
pub(crate) fn render(mut findings: Vec<Finding>, origins: &[Origin<'_>]) -> Vec<Problem> {
    findings.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
    findings.dedup_by(|a, b| a.place == b.place && a.message == b.message);
    let mut problems = Vec::with_capacity(findings.len());
    let mut rest = findings.as_slice();
    while let Some(first) = rest.first() {
        let file = first.place.file;
        let (here, later) = rest.split_at(rest.partition_point(|finding| finding.place.file == file));
        rest = later;
        if let Some(origin) = origins.get(file as usize) {
            render_file(here, origin, origins, &mut problems);
        }
    }
    problems
}

/// Walks the findings of one file and its lines together, so that many findings in a long file stay cheap.
fn render_file(
    findings: &[Finding],
    origin: &Origin<'_>,
    origins: &[Origin<'_>],
    problems: &mut Vec<Problem>,
) {
    let text = origin.source.text.as_str();
    let mask = Mask::new(text, origin.root, origin.kind);
    let (mut line, mut line_start, mut column, mut seen) = (1, 0, 1, 0);
    for finding in findings {
        let offset = floor_boundary(text, finding.place.start as usize).max(seen);
        for c in text[seen..offset].chars() {
            seen += c.len_utf8();
            column += 1;
            if c == '\n' {
                (line, line_start, column) = (line + 1, seen, 1);
            }
        }
        let shown = line_end(text, line_start, offset).and_then(|end| mask.line(line_start..end, offset));
        let mut message = finding.message.clone();
        if let Some(place) = finding.other {
            message.push_str(&elsewhere(place, finding.place.file, origins));
        }
        problems.push(Problem {
            file: origin.source.label.clone(),
            line,
            column,
            message,
            hint: finding.hint.clone(),
            caret: shown.as_ref().map_or(0, |(_, caret)| *caret),
            source_line: shown.map(|(line, _)| line),
        });
    }
}

/// The end of the line, where it is short enough to be shown.
fn line_end(text: &str, line_start: usize, offset: usize) -> Option<usize> {
    let limit = floor_boundary(text, line_start + MAX_LINE);
    let end = text[line_start..limit].find('\n').map_or(limit, |length| line_start + length);
    (offset <= end && (end < limit || limit == text.len())).then_some(end)
}

/// ` (first on line 3)`, with the file's name where it is another one.
fn elsewhere(place: Place, file: u32, origins: &[Origin<'_>]) -> String {
    match origins.get(place.file as usize) {
        None => String::new(),
        Some(origin) if place.file == file => format!(" (first on line {})", origin.source.line(place)),
        Some(origin) => format!(" (first in {}, line {})", origin.source.label, origin.source.line(place)),
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor_boundary(text, offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.bytes().filter(|byte| *byte == b'\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}
