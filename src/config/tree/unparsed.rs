//! What may be printed of a line of a file that could not be parsed: nobody knows what stands where, so a key must be
//! known, and a value fit wherever that key can stand.

use std::ops::Range;

use super::harmless::{fits_anywhere, is_secret, is_switch, sounds_secret};
use super::shown::Shown;
use crate::config::shape::{self, Kind};

/// Puts the line into `shown`; `None` where there is nothing to see.
pub(super) fn line(text: &str, range: Range<usize>, shown: &mut Shown) -> Option<()> {
    let line = text.get(range.clone())?;
    let body = line.trim_start_matches([' ', '\t', '-']);
    if body.trim().is_empty() || body.starts_with('#') {
        return None;
    }
    let mut at = range.start + (line.len() - body.len());
    shown.text(&line[..line.len() - body.len()], range.start);
    let (key, after) = body.split_once(':').unwrap_or((body, ""));
    let value = after.trim_start();
    let has_space = value.is_empty() || after != value;
    let is_key = shape::knows_key(key) || (has_space && is_own_name(text, range.start, key, value));
    if key.len() == body.len() || !is_key {
        shown.hidden(at..range.end);
        return Some(());
    }
    let lead = key.len() + 1 + (after.len() - value.len());
    shown.text(&body[..lead], at);
    at += lead;
    let bare = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
    match bare.is_empty() || (has_space && is_harmless(key, bare)) {
        true => shown.text(bare, at),
        false => shown.hidden(at..range.end),
    }
    Some(())
}

fn is_harmless(key: &str, value: &str) -> bool {
    // The quote may be the one that is not closed.
    let text =
        value.strip_prefix(['"', '\'']).map_or(value, |text| text.strip_suffix(['"', '\'']).unwrap_or(text));
    let mut kinds = kinds(key);
    matches!(text, "{}" | "[]")
        || !text.is_empty()
            && (fits_anywhere(key, text) || (is_switch(text) && !sounds_secret(key) && !kinds.any(is_secret)))
}

/// Whether a key of the user's own choosing may stand there: above it, at the head of its mapping, is a key such as
/// `accounts`. Where the mapping has secrets, a word without a value may be one.
fn is_own_name(text: &str, line_start: usize, key: &str, value: &str) -> bool {
    const FAR: usize = 32;
    if !is_name(key) {
        return false;
    }
    let above = text[..line_start].lines().rev().filter(|line| !line.trim().is_empty());
    for (distance, line) in above.take(FAR).enumerate() {
        let Some((head, after)) = line.trim_start_matches([' ', '\t', '-']).split_once(':') else {
            return false;
        };
        let after = after.trim();
        if after.is_empty() {
            let lone = value.is_empty() && kinds(head).any(is_secret);
            return !lone && kinds(head).any(|kind| matches!(kind, Kind::Map(..)));
        }
        // Another of the same mapping, as far as one can see; this may be the second line of its value, unless it is
        // called as secrets are.
        let is_one_line = !after.contains(['"', '\'', '|', '>', '{', '[', '\\']);
        if !is_name(head) || !is_one_line || (distance == 0 && !sounds_secret(key)) {
            return false;
        }
    }
    false
}

fn kinds(key: &str) -> impl Iterator<Item = &'static Kind> {
    shape::all().iter().filter_map(move |shape| shape.field(key)).map(|field| &field.kind)
}

fn is_name(key: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !key.is_empty() && key.len() <= 40 && key.bytes().all(fits)
}
