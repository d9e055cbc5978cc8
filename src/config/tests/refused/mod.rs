//! What is refused: every mistake at its place, with what to do about it.

mod accounts;
mod definitions;
mod delivery;
mod files;
mod forms;
mod newcomers;
mod templates;

use super::brief;

/// A name, what is written, and what is said: `LINE:COLUMN: message (hint)`, a line for each mistake.
type Case = (&'static str, &'static str, &'static str);

#[test]
fn every_mistake_is_reported_at_its_place_with_a_hint() {
    let cases = [
        files::CASES,
        forms::CASES,
        newcomers::CASES,
        accounts::CASES,
        definitions::CASES,
        delivery::CASES,
        templates::CASES,
    ]
    .concat();
    let mut wrong = Vec::new();
    for (what, text, expected) in cases {
        let said = brief(text);
        if said != expected.trim_matches('\n') {
            wrong.push(format!("{what}:\n{said}\n\nexpected:{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
