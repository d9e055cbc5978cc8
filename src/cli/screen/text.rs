//! Text from outside, measured in columns.

use std::fmt::Write as _;

/// Makes text from outside harmless on a terminal: one line, and nothing that moves, colours, hides or reorders.
/// White space becomes a space, other controls become visible (`\x1b`), invisible formatting is dropped.
#[must_use]
pub(in crate::cli) fn sanitise(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\t' | '\n' | '\r' => clean.push(' '),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' => {
                let _ = write!(clean, "\\x{:02x}", u32::from(symbol));
            }
            _ if is_invisible(symbol) => {}
            _ => clean.push(symbol),
        }
    }
    clean
}

/// The same for a JSON document, which keeps its meaning: what could steer a terminal is escaped, as it may be in a string;
/// elsewhere it has no business in JSON.
#[must_use]
pub(in crate::cli) fn sanitise_json(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\t' | '\n' | '\r' => clean.push(symbol),
            _ if symbol.is_control() || is_invisible(symbol) => {
                for unit in symbol.encode_utf16(&mut [0; 2]) {
                    let _ = write!(clean, "\\u{unit:04x}");
                }
            }
            _ => clean.push(symbol),
        }
    }
    clean
}

/// Line and paragraph separators, zero-width and bidirectional formatting, tags: they only serve to deceive here.
fn is_invisible(symbol: char) -> bool {
    matches!(symbol,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 account`, `2 accounts`.
#[must_use]
pub(in crate::cli) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// The columns that `text` takes: two for what East Asian scripts write wide, none for marks that combine.
#[must_use]
pub(in crate::cli) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// After Unicode's EastAsianWidth.txt (W and F) and the common combining blocks.
fn columns(symbol: char) -> usize {
    match symbol {
        ' '..='~' => 1,
        '\u{300}'..='\u{36f}'
        | '\u{1160}'..='\u{11ff}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{e0100}'..='\u{e01ef}' => 0,
        _ if symbol.is_control() || is_invisible(symbol) => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{231a}'..='\u{231b}'
        | '\u{2329}'..='\u{232a}'
        | '\u{23e9}'..='\u{23ec}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{33ff}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{a000}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97f}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{16fe0}'..='\u{18aff}'
        | '\u{1b000}'..='\u{1b2ff}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{1fa70}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// `text` in at most `columns`: what does not fit ends in `mark` (`…`).
#[must_use]
pub(in crate::cli) fn fit(text: &str, columns: usize, mark: &str) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(width(mark));
    let mut kept = head(text, room).to_owned();
    if width(mark) <= columns {
        kept += mark;
    }
    kept
}

/// `text` followed by spaces up to `columns`.
#[must_use]
pub(in crate::cli) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// `text` in lines of at most `columns` (of at least 8), broken between words where there is a gap.
#[must_use]
pub(in crate::cli) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) > columns && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut rest = word;
        while width(rest) > columns {
            let first = head(rest, columns);
            rest = &rest[first.len()..];
            lines.push(first.to_owned());
        }
        line += rest;
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The longest beginning of `text` that takes at most `room` columns.
fn head(text: &str, room: usize) -> &str {
    let mut taken = 0;
    for (at, symbol) in text.char_indices() {
        taken += columns(symbol);
        if taken > room {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangul_and_han_take_two_columns_and_marks_none() {
        for (text, columns) in
            [("abc", 3), ("한글", 4), ("東京", 4), ("e\u{301}", 1), ("ﾊﾝ", 2), ("●✓", 2), ("😀", 2)]
        {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn a_wide_letter_is_never_cut_in_half() {
        assert_eq!(fit("인증 실패", 6, "…"), "인증 …");
        assert_eq!(fit("인증 실패", 4, "…"), "인…");
        assert_eq!(fit("short", 5, "…"), "short");
        assert_eq!(fit("short", 0, "…"), "");
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let hostile = "a\x1b[2J\u{202e}b\u{9b}31m\r\nc\u{200b}d\u{7f}";
        assert_eq!(sanitise(hostile), "a\\x1b[2Jb\\x9b31m  cd\\x7f");
    }

    #[test]
    fn json_from_outside_cannot_either_and_means_the_same() {
        let hostile = "{\"a\": \"\u{9b}2J\u{202e}b\u{7f}\u{e0041}한글\"}\n";
        let clean = sanitise_json(hostile);
        assert_eq!(clean, "{\"a\": \"\\u009b2J\\u202eb\\u007f\\udb40\\udc41한글\"}\n");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(hostile), value(&clean));
        assert_eq!(sanitise_json("\x1b[2J"), "\\u001b[2J");
    }

    #[test]
    fn long_text_is_broken_between_words_and_long_words_anywhere() {
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("aaaaaaaaaaaa b", 8), ["aaaaaaaa", "aaaa b"]);
        assert_eq!(wrap("", 8), [""]);
    }
}
