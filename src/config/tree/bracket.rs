//! Where a `{` or `[` was opened that is not closed: a parser goes on through the lines below, and stops far from it.

/// The bracket that is open at byte `start` where the parser has stopped at byte `stopped`, what to say of it, and what
/// to do. `None` where it may as well be open rightly: what is in it begins further right than its line, and only its end
/// may stand as far left.
pub(super) fn unclosed(text: &str, start: usize, stopped: usize) -> Option<(usize, String, String)> {
    let (opens, closes) = match text.get(start..)?.chars().next()? {
        // Two are a template without quotes, which is told otherwise.
        '{' if !text[start..].starts_with("{{") => ('{', '}'),
        '[' => ('[', ']'),
        _ => return None,
    };
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let depth = indentation(&text[line_start..]);
    let last = text.get(stopped..)?.find('\n').map_or(text.len(), |length| stopped + length);
    let below = text.get(start..last)?.lines().skip(1);
    let left_it = below
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .any(|line| indentation(line) <= depth && !line.trim_start().starts_with(['}', ']']));
    let goes_on = match (left_it, text.get(stopped..)?.trim().is_empty()) {
        (_, true) => "up to the end of the file".to_owned(),
        (true, false) => format!("to line {}", line_of(stopped)),
        (false, false) => return None,
    };
    Some((
        start,
        format!("a `{opens}` is not closed"),
        format!("close it with `{closes}` where it ends; as it stands, it goes on {goes_on}"),
    ))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use super::unclosed;

    #[test]
    fn a_bracket_is_open_when_a_line_below_begins_as_far_left_as_its_own() {
        let said = |text: &str, stop: &str| {
            let found = unclosed(text, text.find(['{', '[']).unwrap(), text.find(stop).unwrap());
            found.map(|(_, message, _)| message)
        };
        let open = |mark: &str| Some(format!("a `{mark}` is not closed"));
        assert_eq!(said("a: { b: 1,\nc:\n  d: 2\n", ": 2"), open("{"));
        assert_eq!(said("  - [ a,\n  # x\n\n  - b: 2\n", ": 2"), open("["));
        assert_eq!(said("a: {\n  b: 1\n  c: 2\n}\n", "c: 2"), None, "a comma is missing");
        assert_eq!(said("a: {\n  b: [1\n}\n", "}"), None, "another bracket closes");
        assert_eq!(said("a: {{ b }}\nc: 1\n", "c: 1"), None, "a template");
        assert_eq!(unclosed("a: { b: 1\n", 3, 10).map(|(start, ..)| start), Some(3));
    }
}
