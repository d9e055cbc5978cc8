//! The YAML parser's complaints in words for people. They never quote the text: it may be a secret.

use granit_parser::{ErrorKind, ScanError};

use super::Place;
use super::bracket::unclosed;
use super::build::Fault;
use super::quote::last_begun;

/// The complaint as a fault at its place. What is before byte `read` was in order; a `{` or `[` may stand open at byte
/// `bracket`.
pub(super) fn fault(file: u32, text: &str, read: usize, bracket: Option<usize>, error: &ScanError) -> Fault {
    let offset = error.marker().byte_offset().filter(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let at = |start: usize| {
        let start = u32::try_from(start).unwrap_or(0);
        Place { file, start, end: start }
    };
    if let Some((start, hint)) = open_quote(text, read, offset, error.kind()) {
        return Fault { place: at(start), message: "a quote is not closed".to_owned(), hint: Some(hint) };
    }
    // What is open at the end is placed at its bracket.
    let at_end = matches!(
        error.kind(),
        ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
    );
    let open = match at_end {
        true if text[offset..].starts_with(['{', '[']) => Some((offset, text.len())),
        true => bracket.map(|start| (start, text.len())),
        false => bracket.map(|start| (start, offset)),
    };
    if let Some((start, message, hint)) = open.and_then(|(start, end)| unclosed(text, start, end)) {
        return Fault { place: at(start), message, hint: Some(hint) };
    }
    let (message, hint) = words(error.kind());
    let hint = match cause(text, offset, error.kind()) {
        Some(Cause::LacksSpace(start)) => {
            let hint = "without it the key and its value are one word to YAML".to_owned();
            return Fault { place: at(start), message: NO_SPACE.to_owned(), hint: Some(hint) };
        }
        Some(Cause::Hint(hint)) => Some(hint),
        None if hint == Some(TEMPLATE) && has_variable(text, offset) => Some(VARIABLE.to_owned()),
        None => hint.map(str::to_owned),
    };
    let place = if message == TAB { at(tab(text, offset)) } else { at(offset) };
    Fault { place, message: message.to_owned(), hint }
}

/// The tab that is meant: the parser may stop before the line that it begins.
fn tab(text: &str, offset: usize) -> usize {
    let is_led_by_tab = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    let line_start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    if is_led_by_tab(&text[line_start..]) {
        return offset;
    }
    let lines = text[offset..].match_indices('\n').map(|(newline, _)| offset + newline + 1);
    let found = lines.into_iter().find(|start| is_led_by_tab(&text[*start..]));
    found.map_or(offset, |start| start + text[start..].find('\t').unwrap_or(0))
}

/// Where the quote began whose end is missing, and what to do. The parser stops at the first line that cannot belong to
/// the value, or after the next quote, which it takes for the end.
fn open_quote(text: &str, read: usize, offset: usize, kind: &ErrorKind) -> Option<(usize, String)> {
    use ErrorKind as K;
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let (start, mark, goes_on) = match kind {
        // These are placed at the quote.
        K::UnclosedQuotedScalar | K::DocumentIndicatorInQuotedScalar => {
            (offset, text.get(offset..)?.chars().next()?, "up to the end of the file".to_owned())
        }
        K::InvalidQuotedScalarIndent
        | K::UnknownQuotedScalarEscape
        | K::InvalidTrailingDoubleQuotedScalar
        | K::InvalidTrailingSingleQuotedScalar => {
            let quote = last_begun(text, read, offset)?;
            // What stands on one line is another mistake.
            text[quote.start..offset].contains('\n').then_some(())?;
            (quote.start, quote.mark, format!("to line {}", line(offset)))
        }
        _ => return None,
    };
    Some((
        start,
        format!("close it with `{mark}` where the value ends; as it stands, the value goes on {goes_on}"),
    ))
}

/// What to do about a NUL byte, which the parser takes for the end of the text.
pub(super) const NUL: &str = "is it a text file, saved as UTF-8, and whole?";

/// What a misplaced key comes from.
enum Cause {
    /// A `:` right before this byte has no space after it.
    LacksSpace(usize),
    /// Something else, in words.
    Hint(String),
}

/// What the lines around a misplaced key show of the cause: the parser stops where it can no longer go on, often a line
/// below the mistake.
fn cause(text: &str, offset: usize, kind: &ErrorKind) -> Option<Cause> {
    use ErrorKind as K;
    let is_colon = matches!(kind, K::MappingValueNotAllowed | K::InvalidColonPlacement);
    let is_key = matches!(
        kind,
        K::SimpleKeyExpected
            | K::InvalidSimpleKey
            | K::InvalidIndentation
            | K::MappingKeyNotAllowed
            | K::ExpectedBlockMappingKey
    );
    if !is_colon && !is_key {
        return None;
    }
    let before = text.get(..offset)?;
    let (above, begun) = before.rsplit_once('\n').unwrap_or(("", before));
    let rest = text.get(offset..)?.lines().next().unwrap_or_default();
    let line = format!("{begun}{rest}");
    let (above_start, above) = last_content(above);
    for (which, line) in [("this line", line.as_str()), ("the line above", above)] {
        if let Some(named) = misplaced_space(line) {
            return Some(Cause::Hint(format!("{which} has {named} where YAML wants a space")));
        }
    }
    // A `:` inside of a value, with the key before it.
    if is_colon && begun.contains(": ") {
        return None;
    }
    for (start, line) in [(above_start, above), (before.len() - begun.len(), line.as_str())] {
        if let Some(colon) = line.find(':').filter(|_| lacks_space(line)) {
            return Some(Cause::LacksSpace(start + colon + 1));
        }
    }
    let is_deeper = indentation(&line) > indentation(above) && !above.trim_end().ends_with(':');
    (is_colon && is_deeper && above.contains(": ")).then(|| {
        Cause::Hint(
            "this line begins further right than the one above, which has its value: keys of one mapping begin in one column"
                .to_owned(),
        )
    })
}

/// Whether a shell's `${NAME}` stands in that line before it, or right there.
fn has_variable(text: &str, offset: usize) -> bool {
    let before = text[..offset].rsplit('\n').next().unwrap_or_default();
    before.contains("${") || (before.ends_with('$') && text[offset..].starts_with('{'))
}

/// The last line that is neither empty nor a comment, and where it begins.
fn last_content(text: &str) -> (usize, &str) {
    let mut end = text.len();
    loop {
        let start = text[..end].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &text[start..end];
        match line.trim().is_empty() || line.trim_start().starts_with('#') {
            false => return (start, line),
            true if start == 0 => return (0, ""),
            true => end = start - 1,
        }
    }
}

/// The name of a character that looks like a space and is none in YAML; of a tab, which is one in places, too.
pub(crate) fn strange_space(c: char) -> Option<String> {
    match c {
        ' ' | '\r' | '\n' => None,
        '\t' => Some("a tab".to_owned()),
        '\u{a0}' => Some("a no-break space (U+00A0)".to_owned()),
        '\u{3000}' => Some("a full-width space (U+3000)".to_owned()),
        '\u{200b}' | '\u{feff}' => Some(format!("the invisible character U+{:04X}", u32::from(c))),
        c if c.is_whitespace() => Some(format!("the space U+{:04X}", u32::from(c))),
        _ => None,
    }
}

/// The first of those where the line begins or, but for a tab, right after its first `:`.
fn misplaced_space(line: &str) -> Option<String> {
    let is_blank = |c: &char| *c == ' ' || strange_space(*c).is_some();
    let value = line.split_once(':').map_or("", |(_, value)| value);
    let value = value.chars().take_while(is_blank).filter(|c| *c != '\t');
    line.chars().take_while(is_blank).chain(value).find_map(strange_space)
}

/// Whether the line looks like `key:value`.
fn lacks_space(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("- ").unwrap_or(line);
    let is_key =
        |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    line.split_once(':').is_some_and(|(key, value)| {
        is_key(key)
            && !value.is_empty()
            && !value.starts_with(char::is_whitespace)
            && !value.starts_with("//")
    })
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn words(kind: &ErrorKind) -> (&'static str, Option<&'static str>) {
    use ErrorKind as K;
    match kind {
        K::RecursionLimitExceeded => ("nested too deeply", None),
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabInPlainScalar
        | K::TabAtBlockScalarStart => (TAB, Some("indent with spaces")),
        K::InvalidIndentation | K::InvalidFlowScalarIndent | K::InvalidBlockScalarIndent => {
            ("the indentation does not fit the lines above", Some("keys of one mapping begin in one column"))
        }
        K::InvalidQuotedScalarIndent => {
            ("a quoted value goes on here without indentation", Some("is a quote above not closed?"))
        }
        K::UnclosedFlowCollection { .. }
        | K::UnexpectedEofFlowSequence
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping => ("a `{` or `[` is not closed", Some(TEMPLATE)),
        K::MismatchedFlowCollectionEnd { .. } | K::MisplacedFlowCollectionEnd => {
            ("a closing bracket that was not opened here", Some(TEMPLATE))
        }
        K::ExpectedFlowMappingSeparator | K::FlowMappingValueAdjacentCollection => {
            ("a `,` or `}` is missing", Some(TEMPLATE))
        }
        K::ExpectedFlowSequenceSeparator => ("a `,` or `]` is missing", Some(TEMPLATE)),
        K::MappingValueNotAllowed | K::InvalidColonPlacement => (
            "a `:` where no key can stand",
            Some(
                "quote values that contain `: `; write one key a line, with a value or a deeper block below it",
            ),
        ),
        K::MappingKeyNotAllowed => ("a key where none can stand", Some("check the indentation of this line")),
        K::ExpectedBlockMappingKey => {
            ("a key is expected here", Some("check the indentation of this line and of the one above"))
        }
        K::SimpleKeyExpected | K::InvalidSimpleKey => ("a `:` after the key is missing", None),
        K::InvalidMappingValueWhitespace => (NO_SPACE, None),
        K::ExpectedBlockSequenceEntry
        | K::BlockEntryInFlowCollection
        | K::BlockSequenceEntryNotAllowed
        | K::InvalidBlockEntryWhitespace => {
            ("a `-` of a list stands wrong here", Some("list items align below each other"))
        }
        K::UnknownAnchor => {
            ("an alias whose anchor is not defined above", Some("text that begins with `*` needs quotes"))
        }
        K::UndeclaredTagHandle | K::ExpectedTagBang | K::MissingTagUri | K::InvalidTagTerminator => {
            ("a YAML tag that means nothing here", Some("text that begins with `!` needs quotes"))
        }
        K::UnexpectedCharacter { .. } => (
            "a character that cannot begin a value",
            Some("text that begins with `@`, `` ` `` or `%` needs quotes"),
        ),
        K::UnknownQuotedScalarEscape => (
            "a `\\` followed by a character that means nothing",
            Some("in double quotes write `\\\\` for one `\\`"),
        ),
        K::InvalidTrailingDoubleQuotedScalar | K::InvalidTrailingSingleQuotedScalar => {
            ("text after a closing quote", Some("quote the whole value, or none of it"))
        }
        K::CommentNotSeparated => ("a space before the `#` is missing", None),
        K::ExpectedDocumentStart | K::InvalidDocumentEnd => {
            ("text that belongs to nothing", Some("check the indentation"))
        }
        K::BomInsideDocument => ("a byte-order mark in the middle of the text", None),
        K::ExpectedNodeContent => ("a value is expected here", None),
        _ => ("this is not valid YAML", None),
    }
}

const NO_SPACE: &str = "a space after the `:` is missing";
const TAB: &str = "a tab where YAML wants spaces";
const VARIABLE: &str =
    "variables such as `${NAME}` are not expanded: a secret from the environment is `{ env: NAME }`";
const TEMPLATE: &str = "a template needs quotes, as in \"{{ access_token }}\"";
