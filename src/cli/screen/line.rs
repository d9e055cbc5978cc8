use super::{Look, Tone, fit, width};

/// A stretch of text in one tone. Its text is harmless: whoever makes one of text from outside sanitises it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Span {
    /// What stands there.
    pub(in crate::cli) text: String,
    /// In which tone.
    pub(in crate::cli) tone: Tone,
}

/// One line, measured before it is painted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cli) struct Line(Vec<Span>);

impl Line {
    /// An empty line.
    #[must_use]
    pub(in crate::cli) fn new() -> Self {
        Self::default()
    }

    /// Adds a stretch.
    #[must_use]
    pub(in crate::cli) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.push(tone, text);
        self
    }

    /// Adds a stretch.
    pub(in crate::cli) fn push(&mut self, tone: Tone, text: impl Into<String>) {
        self.0.push(Span { text: text.into(), tone });
    }

    /// Adds another line's stretches.
    pub(in crate::cli) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Its columns.
    #[must_use]
    pub(in crate::cli) fn width(&self) -> usize {
        self.0.iter().map(|span| width(&span.text)).sum()
    }

    /// At most `columns` of it, ending in an ellipsis where something is missing.
    #[must_use]
    pub(in crate::cli) fn cut(self, columns: usize, look: Look) -> Self {
        if self.width() <= columns {
            return self;
        }
        let mark = look.either("…", "~");
        let mut kept = Self::new();
        let mut room = columns;
        for span in self.0 {
            let taken = width(&span.text);
            if taken < room {
                room -= taken;
                kept.0.push(span);
                continue;
            }
            let text = format!("{}{mark}", fit(&span.text, room.saturating_sub(width(mark)), ""));
            kept.push(span.tone, if room == 0 { String::new() } else { text });
            break;
        }
        kept
    }

    /// The line without the spaces at its end.
    #[must_use]
    pub(in crate::cli) fn without_end(mut self) -> Self {
        while let Some(last) = self.0.last_mut() {
            last.text.truncate(last.text.trim_end().len());
            if !last.text.is_empty() {
                break;
            }
            self.0.pop();
        }
        self
    }

    /// The line as it is written, without an end of line.
    #[must_use]
    pub(in crate::cli) fn render(&self, look: Look) -> String {
        self.0.iter().map(|span| look.paint(span.tone, &span.text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_shows_that_it_is_cut() {
        let line = Line::new().with(Tone::Plain, "한글 ").with(Tone::Bad, "failed");
        for (columns, expected) in [(11, "한글 failed"), (8, "한글 fa…"), (5, "한글…"), (4, "한…"), (1, "…")]
        {
            assert_eq!(line.clone().cut(columns, Look::plain()).render(Look::plain()), expected, "{columns}");
        }
    }
}
