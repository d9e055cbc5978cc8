//! A definition as a user writes it under `providers:`, and replies read with whatever parses.

use renewd::config::{Problem, Problems, parse_definition};
use renewd::provider::{OperationKind, RawReply};

use super::reply::{self, Exchange};
use super::words::{hides, tame, tame_lines};

const LABEL: &str = "fuzzed.yaml";

/// Replies of the usual shapes; a definition may find its fields in any of them.
const REPLIES: &[(u16, &str)] = &[
    (
        200,
        r#"{"access_token":"A.b-c","token":"A","token_type":"bearer","expires_in":3600,"refresh_token":"R","scope":"x"}"#,
    ),
    (
        200,
        r#"{"code":"200","data":[{"accessToken":"A","expiresIn":1800000000,"refreshToken":"R"}],"ok":true}"#,
    ),
    (
        201,
        r#"{"session":{"key":"k","endsAt":"2030-01-01T00:00:00Z","region":null},"expired":"20301110185520","now":1700000000}"#,
    ),
    (401, r#"{"error":"invalid_client","code":3007,"message":"x"}"#),
    (503, "<html>"),
];

/// One input of the target.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if !hides(text) {
        return; // it is looked for in what comes of the replies
    }
    match parse_definition("fuzzed", LABEL, text) {
        Err(problems) => says_where(&problems, text, &[LABEL]),
        Ok(definition) => {
            assert_eq!(parse_definition("fuzzed", LABEL, text).ok().as_ref(), Some(&definition));
            assert!(definition.issue.is_some() || definition.refresh.is_some());
            let exchange = Exchange::usual(&definition);
            for (status, body) in REPLIES {
                let header = ("Retry-After".to_owned(), "7".to_owned());
                let reply = RawReply {
                    status: *status,
                    headers: vec![header],
                    body: body.as_bytes().to_vec().into(),
                };
                for kind in [OperationKind::Issue, OperationKind::Refresh] {
                    reply::check(&definition, kind, &exchange, &reply);
                }
            }
        }
    }
}

/// Each problem names one of `files` and a place in the text, in words that no terminal obeys.
pub fn says_where(problems: &Problems, text: &str, files: &[&str]) {
    assert!(!problems.0.is_empty(), "refused without a word");
    problems.0.iter().for_each(|problem| is_placed(problem, text, files));
    assert!(tame_lines(&problems.to_string()), "{problems}");
}

/// As [`says_where`], of one.
pub fn is_placed(problem: &Problem, text: &str, files: &[&str]) {
    let Problem { file, line, column, message, hint, source_line, caret } = problem;
    if !files.iter().any(|known| file == known) {
        assert!(text.contains("source"), "a strange file: {problem:?}");
        return; // a template's, which this is not the text of
    }
    assert!(tame(message), "{problem:?}");
    assert!(hint.as_deref().is_none_or(tame), "{problem:?}");
    // A document may end, and so be at fault, behind its last line.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    assert!(*line <= lines + 1, "behind the end ({lines} lines): {problem:?}");
    if *line == 0 {
        assert!(source_line.is_none(), "{problem:?}");
    } else {
        assert!(*column >= 1, "{problem:?}");
    }
    if let Some(shown) = source_line {
        assert!(shown.is_empty() || tame(shown), "{problem:?}");
        assert!(*caret <= 4 * shown.chars().count() + 4, "the caret is beside the line: {problem:?}");
    }
}
