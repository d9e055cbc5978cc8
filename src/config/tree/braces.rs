//! Which part of a template may be printed.

use std::ops::Range;

use super::harmless::is_word;

/// A template that begins at byte `start` of its file: what stands between `{{` and `}}` may be shown, but for its
/// quoted words, and the name that it is written to (`NAME=`, `"name": `); nothing else.
pub(super) fn template(text: &str, start: usize) -> impl Iterator<Item = (Range<usize>, bool)> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find("{{").into_iter().chain(text[at..].find("{%")).min() {
        let open = at + open;
        let close = if text[open..].starts_with("{{") { "}}" } else { "%}" };
        let end = text[open + 2..].find(close).map_or(text.len(), |length| open + 2 + length + 2);
        let lead = open - name_before(&text[at..open]);
        let is_blank = text[at..lead].chars().all(|c| " \t\r\n\"'".contains(c));
        spans.extend([(at..lead, is_blank), (lead..open, true)]);
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
