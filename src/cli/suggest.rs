//! "Did you mean ...": the nearest of some names.

use super::exit::Exit;
use super::report::Failure;
use crate::domain::AccountId;
use crate::observe::status::Status;

/// The failure for an account that the running agent does not have.
pub(super) fn unknown_account(name: &AccountId, status: &Status) -> Failure {
    let names = || status.accounts.iter().map(|account| account.name.as_str());
    let failure = Failure::new(Exit::Failed, format!("the agent has no account `{name}`"));
    match nearest(name.as_str(), names()) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint(format!("it has {}", listed(names()))),
    }
}

/// The name that takes the fewest edits, at most a third of its letters.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|name| (edits(wanted, name), name)).min_by_key(|(edits, _)| *edits);
    near.filter(|(edits, name)| *edits <= name.len().max(3) / 3).map(|(_, name)| name)
}

/// The first names of many, in one line.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".to_owned(),
        few if few <= SHOWN => names.join(", "),
        many => format!("{} and {} more", names[..SHOWN].join(", "), many - SHOWN),
    }
}

/// Levenshtein's distance.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (down, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], down + 1);
        for (across, symbol) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *symbol);
            diagonal = row[across + 1];
            row[across + 1] = replaced.min(diagonal + 1).min(row[across] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_name_and_another_word_does_not() {
        let names = ["messaging", "payments", "kis"];
        for (wanted, found) in
            [("mesaging", Some("messaging")), ("kiss", Some("kis")), ("vault", None), ("", None)]
        {
            assert_eq!(nearest(wanted, names.into_iter()), found, "{wanted}");
        }
    }

    #[test]
    fn a_long_list_is_shortened() {
        assert_eq!(listed(["a", "b"].into_iter()), "a, b");
        assert_eq!(listed(["x"; 10].into_iter()), "x, x, x, x, x, x, x, x and 2 more");
    }
}
