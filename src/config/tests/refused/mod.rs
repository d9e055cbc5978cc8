//! What is refused: every mistake at its place, with what to do about it.

mod accounts;
mod definitions;
mod files;

use super::brief;

/// A name, what is written, and what is said: `LINE:COLUMN: message (hint)`, a line for each mistake.
type Case = (&'static str, &'static str, &'static str);

#[test]
fn every_mistake_is_reported_at_its_place_with_a_hint() {
    let cases = [files::CASES, accounts::CASES, definitions::CASES].concat();
    for (what, text, expected) in cases {
        let said = brief(text);
        assert!(said == expected.trim_matches('\n'), "{what}:\n{said}\n\nexpected:{expected}");
    }
}
