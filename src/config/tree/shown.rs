//! A source line as a terminal shows it: what is hidden, where the caret stands, what of a long line is left.

use std::ops::Range;

/// The longest line that is printed whole, in terminal columns.
const WIDTH: usize = 120;
const HIDDEN: &str = "***";

/// A line that is being put together.
pub(super) struct Shown {
    out: String,
    caret: Option<usize>,
    offset: usize,
}

impl Shown {
    /// Nothing yet; the caret belongs at byte `offset` of the file.
    pub(super) fn new(offset: usize) -> Self {
        Self { out: String::new(), caret: None, offset }
    }

    /// The line with the caret's column; `None` where there is nothing to see.
    pub(super) fn finish(self) -> Option<(String, usize)> {
        let out = self.out.trim_end();
        (!out.trim().is_empty()).then(|| window(out, self.caret.unwrap_or_else(|| width(out))))
    }

    /// Shows `text`, which begins at byte `start` of the file. A tab is an arrow: it must be told from a space.
    pub(super) fn text(&mut self, text: &str, start: usize) {
        for (index, c) in text.char_indices() {
            self.mark(start + index);
            match c {
                '\t' => self.out.push('→'),
                '\r' => {}
                c if c.is_control() || is_invisible(c) => self.out.push('\u{fffd}'),
                c => self.out.push(c),
            }
        }
    }

    /// Hides those bytes of the file.
    pub(super) fn hidden(&mut self, range: Range<usize>) {
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
