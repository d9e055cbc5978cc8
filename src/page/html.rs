//! HTML as a buffer that takes markup only from the program's own text: whatever comes from elsewhere is escaped, as
//! there is no way to put it in otherwise.

use std::fmt::Write as _;

/// A page in the making.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// What may stand between markup, in an element or in a quoted attribute.
pub(super) trait Put {
    /// Escaped.
    fn put(&self, to: &mut Html);
}

/// Markup as it is written, values in braces: `html!(to, "<b>" {name} "</b>")`.
macro_rules! html {
    (@ $to:expr, {$value:expr}) => { $crate::page::html::Put::put(&$value, $to) };
    (@ $to:expr, $markup:literal) => { $to.raw($markup) };
    ($to:expr, $($part:tt)*) => {{ $( $crate::page::html::html!(@ $to, $part); )* }};
}
pub(super) use html;

/// No more than so many characters of it, and how many more there are.
pub(super) struct Cut<'a>(pub(super) &'a str, pub(super) usize);

/// Of several lines, which stay.
pub(super) struct Lines<'a>(pub(super) &'a str, pub(super) usize);

/// A place in percent of the width, from thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Percent(pub(super) u32);

impl Html {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(String::with_capacity(bytes))
    }

    /// The program's own markup: nothing else lives that long.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Escaped.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        text.chars().for_each(|symbol| self.symbol(symbol));
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }

    fn symbol(&mut self, symbol: char) {
        match symbol {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            '\t' | '\n' | '\r' => self.0.push(' '),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => {
                let _ = write!(self.0, "\\x{:02x}", u32::from(symbol));
            }
            _ if is_invisible(symbol) => {
                let _ = write!(self.0, "\\u{{{:x}}}", u32::from(symbol));
            }
            _ => self.0.push(symbol),
        }
    }
}

/// Line and paragraph separators, zero-width and bidirectional formatting, tags: they only serve to deceive here, and
/// are shown for what they are.
fn is_invisible(symbol: char) -> bool {
    matches!(symbol,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

impl Put for str {
    fn put(&self, to: &mut Html) {
        to.text(self);
    }
}

impl Put for String {
    fn put(&self, to: &mut Html) {
        to.text(self);
    }
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, to: &mut Html) {
        (**self).put(to);
    }
}

impl Put for usize {
    fn put(&self, to: &mut Html) {
        let _ = write!(to.0, "{self}");
    }
}

impl Put for u64 {
    fn put(&self, to: &mut Html) {
        let _ = write!(to.0, "{self}");
    }
}

impl Put for Percent {
    fn put(&self, to: &mut Html) {
        let Self(thousandths) = self;
        let (whole, hundredths) = (thousandths / 1000, thousandths % 1000 / 10);
        let _ = match hundredths {
            0 => write!(to.0, "{whole}%"),
            _ => write!(to.0, "{whole}.{hundredths:02}%"),
        };
    }
}

impl Put for Cut<'_> {
    fn put(&self, to: &mut Html) {
        let Self(text, most) = *self;
        text.chars().take(most).for_each(|symbol| to.symbol(symbol));
        more(text, most, to);
    }
}

impl Put for Lines<'_> {
    fn put(&self, to: &mut Html) {
        let Self(text, most) = *self;
        for symbol in text.chars().take(most) {
            match symbol {
                '\n' => to.0.push('\n'),
                _ => to.symbol(symbol),
            }
        }
        more(text, most, to);
    }
}

fn more(text: &str, most: usize, to: &mut Html) {
    let rest = text.chars().skip(most).count();
    if rest > 0 {
        html!(to, "… (" {rest} " more characters)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &impl Put) -> String {
        let mut to = Html::default();
        value.put(&mut to);
        to.finish()
    }

    #[test]
    fn text_cannot_become_markup_in_an_element_or_in_an_attribute() {
        let shown = shown(&r#"</p><script>alert('1')</script>" onload="x"&amp;"#);
        assert!(!shown.contains(['<', '>', '"', '\'']), "{shown}");
        assert_eq!(
            shown,
            "&lt;/p&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; onload=&quot;x&quot;&amp;amp;"
        );
    }

    #[test]
    fn what_hides_or_reorders_text_is_shown_for_what_it_is() {
        assert_eq!(shown(&"a\u{202e}b\u{200b}c\0d\u{1b}[2J"), r"a\u{202e}b\u{200b}c\x00d\x1b[2J");
        assert_eq!(shown(&"two\r\nlines\tand 한국어 é"), "two  lines and 한국어 é");
        assert_eq!(shown(&Lines("one\n  two\u{85}", 100)), "one\n  two\\x85");
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let long = "é<".repeat(5_120);
        let cut = shown(&Cut(&long, 4));
        assert_eq!(cut, "é&lt;é&lt;… (10236 more characters)");
        assert_eq!(shown(&Cut("short", 5)), "short");
    }

    #[test]
    fn places_are_printed_in_few_bytes() {
        for (thousandths, printed) in [(0, "0%"), (50_000, "50%"), (33_333, "33.33%"), (100_000, "100%")] {
            assert_eq!(shown(&Percent(thousandths)), printed);
        }
    }
}
