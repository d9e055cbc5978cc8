//! Where a quote began: a parser that misses its end stops somewhere below, at the first line that cannot belong to it.

/// A quoted value as far as one can see without a parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    /// The byte of its first quote.
    pub(super) start: usize,
    /// `"` or `'`.
    pub(super) mark: char,
}

/// The last quoted value that begins in `from..to`, where what is before `from` has been read.
pub(super) fn last_begun(text: &str, from: usize, to: usize) -> Option<Quote> {
    let (mut at, mut found) = (from, None);
    while let Some(c) = text.get(at..to)?.chars().next() {
        let rest = &text[at..to];
        at += match c {
            '"' | '\'' => {
                found = Some(Quote { start: at, mark: c });
                let Some(length) = closed(rest, c) else { break };
                length
            }
            c if c.is_whitespace() => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            // An anchor or a tag; a value may follow.
            '&' | '!' => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            ',' | '[' | ']' | '{' | '}' => 1,
            '-' | '?' | ':' if rest[1..].is_empty() || rest[1..].starts_with(char::is_whitespace) => 1,
            _ => plain(rest),
        };
    }
    found
}

/// The length of a quoted value with its quotes.
fn closed(text: &str, mark: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if mark == '"' => drop(chars.next()),
            c if c == mark && mark == '\'' && chars.peek().is_some_and(|(_, next)| *next == mark) => {
                chars.next();
            }
            c if c == mark => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of a value without quotes: up to the end of its line, a comment, or what ends a key or an item.
fn plain(text: &str) -> usize {
    let ends = |at: usize, c: char| {
        let after = &text[at + c.len_utf8()..];
        let before_space = after.is_empty() || after.starts_with(char::is_whitespace);
        c == '\n' || (matches!(c, ':' | ',') && before_space) || (c == ' ' && after.starts_with('#'))
    };
    text.char_indices().skip(1).find(|(at, c)| ends(*at, *c)).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::{Quote, last_begun};

    #[test]
    fn the_quote_that_is_open_is_told_from_those_in_values_comments_and_keys() {
        let cases = [
            ("a: \"x\n", Some((3, '"'))),
            ("a: 'it''s\n", Some((3, '\''))),
            ("a: \"x \\\" y\n", Some((3, '"'))),
            ("\"key\": \"x\n", Some((7, '"'))),
            ("a: it's\n# it's\nb: 'x\n", Some((18, '\''))),
            ("- &name \"x\n", Some((8, '"'))),
            ("a: { b: 1, c: \"x }\n", Some((14, '"'))),
            ("a: it's 5\" long\n", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(start, mark)| Quote { start, mark });
            assert_eq!(last_begun(text, 0, text.len()), expected, "{text}");
        }
    }
}
