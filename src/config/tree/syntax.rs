//! The YAML parser's complaints in words for people. They never quote the text: it may be a secret.

use granit_parser::{ErrorKind, ScanError};

use super::Place;
use super::build::Fault;

/// The complaint as a fault at its place.
pub(super) fn fault(file: u32, error: &ScanError) -> Fault {
    let offset = error.marker().byte_offset().and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0);
    let (message, hint) = words(error.kind());
    Fault { place: Place { file, start: offset, end: offset }, message: message.to_owned(), hint }
}

fn words(kind: &ErrorKind) -> (&'static str, Option<&'static str>) {
    use ErrorKind as K;
    match kind {
        K::RecursionLimitExceeded => ("nested too deeply", None),
        K::TabNotAllowed
        | K::TabInBlockIndentation
        | K::TabInIndentation
        | K::TabInPlainScalar
        | K::TabAtBlockScalarStart => ("a tab where YAML wants spaces", Some("indent with spaces")),
        K::InvalidIndentation | K::InvalidFlowScalarIndent | K::InvalidBlockScalarIndent => {
            ("the indentation does not fit the lines above", Some("keys of one mapping begin in one column"))
        }
        K::InvalidQuotedScalarIndent => {
            ("a quoted value goes on here without indentation", Some("is a quote above not closed?"))
        }
        K::UnclosedQuotedScalar => ("a quote is not closed", None),
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
        K::InvalidMappingValueWhitespace => ("a space after the `:` is missing", None),
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

const TEMPLATE: &str = "a template needs quotes, as in \"{{ access_token }}\"";
