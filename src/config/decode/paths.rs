//! Paths on this machine.

use std::path::{Component, Path, PathBuf};

use super::scalar::Refusal;

/// An absolute path of a file or folder: no `..`, no `/` at the end, nothing a terminal could stumble over.
pub(super) fn absolute(text: &str) -> Result<PathBuf, Refusal> {
    let refuse = |message: &str, hint: &str| Err(Refusal::because(message).with_hint(hint));
    if text.starts_with('~') {
        return refuse("`~` is not expanded in a path", "write the home folder out, as in `/home/me/...`");
    }
    if !text.starts_with('/') {
        return refuse("the path is relative", "write the whole path, from `/` on");
    }
    if text.chars().any(|c| c.is_control() || reorders(c)) {
        return refuse("a control character in a path", "check its quotes");
    }
    let path = Path::new(text);
    if path.components().any(|part| part == Component::ParentDir) {
        return refuse("a path with `..`", "write the path without it");
    }
    if text.ends_with('/') || text.ends_with("/.") {
        return refuse("the path ends in `/`", "name the file itself");
    }
    if text.len() > 4095 || path.components().any(|part| part.as_os_str().len() > 255) {
        return refuse("the path is too long", "4095 bytes in all and 255 for each part are the most");
    }
    Ok(path.components().collect())
}

/// What has a terminal show a line in another order, or as two.
pub(crate) fn reorders(symbol: char) -> bool {
    matches!(symbol, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same for a folder, which may end in `/`.
pub(super) fn folder(text: &str) -> Result<PathBuf, Refusal> {
    match text.trim_end_matches('/') {
        "" => absolute(text),
        trimmed => absolute(trimmed),
    }
}
