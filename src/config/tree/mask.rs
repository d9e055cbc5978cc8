//! Which parts of a file may be printed. Hidden is whatever may hold a secret: a secret under a misspelt key, in a wrong
//! place or in a file that cannot be parsed stays hidden. What the shape calls public is shown, and so is what is too
//! narrow a notation to be a secret ([`harmless`](super::harmless)).

use std::collections::HashMap;
use std::ops::Range;

use super::Node;
use super::braces::template;
use super::shown::Shown;
use super::unparsed;
use super::walk::Walk;
use crate::config::shape::{self, Kind};

/// The scalars of one file, each with whether it may be shown.
pub(crate) struct Mask<'a> {
    text: &'a str,
    spans: Vec<(Range<usize>, bool)>,
    parsed: bool,
}

impl<'a> Mask<'a> {
    pub(super) fn new(text: &'a str, root: Option<&Node<'_>>, kind: &'static Kind) -> Self {
        if std::ptr::eq(kind, &raw const shape::TEMPLATE_SOURCE) {
            return Self { text, spans: template(text, 0).collect(), parsed: true };
        }
        let mut spans = HashMap::new();
        if let Some(root) = root {
            Walk { file: root.place.file, text, spans: &mut spans }.root(root, kind);
        }
        let mut spans: Vec<_> =
            spans.into_iter().map(|((start, end), shown)| (start as usize..end as usize, shown)).collect();
        spans.sort_by_key(|(span, shown)| (span.start, std::cmp::Reverse(span.end), *shown));
        // What one opinion hides as a whole, another does not show in part.
        let mut hidden = 0;
        spans.retain(|(span, shown)| {
            let is_left = span.start >= hidden;
            if is_left && !shown {
                hidden = span.end;
            }
            is_left
        });
        Self { text, spans, parsed: root.is_some() }
    }

    /// The line as it may be shown, and the terminal column of `offset` in it.
    pub(super) fn line(&self, line: Range<usize>, offset: usize) -> Option<(String, usize)> {
        let mut shown = Shown::new(offset);
        if self.parsed {
            self.known_line(line, &mut shown);
        } else {
            unparsed::line(self.text, line, &mut shown)?;
        }
        shown.finish()
    }

    fn known_line(&self, line: Range<usize>, shown: &mut Shown) {
        let mut at = line.start;
        let first = self.spans.partition_point(|(span, _)| span.end <= line.start);
        for (span, visible) in &self.spans[first..] {
            if span.start >= line.end {
                break;
            }
            let (start, end) = (span.start.max(at), span.end.min(line.end));
            // Shown already, or as with a text block without a line (`key: |`), which is said to be where the next key begins.
            if start > end || (start == end && span.start != span.end) {
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
                // Not in the tree, such as a mapping merged with `<<`.
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
