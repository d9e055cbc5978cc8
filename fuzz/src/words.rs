//! What every target holds of what is said to people.

/// A text that is put where a secret stands, and looked for where none may be.
pub const CANARY: &str = "hq7Zx9vWk2Jp5Tn";

/// Whether a text shows nothing of [`CANARY`], not even its beginning.
pub fn hides(text: &str) -> bool {
    !text.contains(&CANARY[..8])
}

/// Whether a text is one line without anything that a terminal or a log would take for more than text.
pub fn tame(text: &str) -> bool {
    !text.is_empty() && !text.contains(|letter: char| letter.is_control() || is_invisible(letter))
}

/// Whether what a person is shown over several lines holds nothing else that a terminal obeys.
pub fn tame_lines(text: &str) -> bool {
    text.split('\n').all(|line| line.is_empty() || tame(line))
}

/// Line separators, and what turns the direction of writing.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
