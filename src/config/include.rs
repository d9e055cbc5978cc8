//! `include:`: from patterns to files.

use std::io;
use std::path::{Path, PathBuf};

use super::decode::reorders;

/// What a pattern leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Matches {
    /// Existing files, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// The folders that were looked through: a new file there may match.
    pub(super) folders: Vec<PathBuf>,
}

/// Resolves a pattern relative to `folder`. `*` and `?` stand for any characters of one name; hidden files and
/// editors' leftovers never match.
///
/// # Errors
/// What is wrong, in words: a folder that cannot be read, a file that is not there.
pub(super) fn resolve(folder: &Path, pattern: &str) -> Result<Matches, String> {
    if pattern.contains("**") {
        return Err("`**` is not supported: name each folder".to_owned());
    }
    if pattern.starts_with("~/") {
        return Err("`~` is not expanded: write the home folder out".to_owned());
    }
    let mut found = Matches::default();
    let mut reached = vec![folder.to_owned()];
    let mut wild = false;
    let parts: Vec<&str> = pattern.split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        match (index, *part) {
            (0, "") => reached = vec![PathBuf::from("/")],
            (_, "" | ".") => {}
            (_, part) if is_wild(part) => {
                wild = true;
                let mut next = Vec::new();
                for folder in reached {
                    next.extend(list(&folder, part)?);
                    found.folders.push(folder);
                }
                reached = next;
            }
            (_, part) => reached.iter_mut().for_each(|path| path.push(part)),
        }
    }
    for path in reached {
        match std::fs::metadata(&path) {
            Ok(about) if about.is_file() => found.files.push(path),
            Ok(_) if wild => {}
            Ok(about) if about.is_dir() => {
                return Err("this is a folder; write a pattern such as `FOLDER/*.yaml`".to_owned());
            }
            Ok(_) => return Err("this is not a regular file".to_owned()),
            Err(_) if wild => {}
            Err(error) => return Err(format!("there is no such file: {}", reason(&error))),
        }
    }
    found.files.sort();
    Ok(found)
}

/// The entries of a folder that match; a folder that is not there has none.
fn list(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(format!("{} cannot be read: {}", folder.display(), reason(&error))),
    };
    let mut matching = Vec::new();
    for entry in entries {
        let entry =
            entry.map_err(|error| format!("{} cannot be read: {}", folder.display(), reason(&error)))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let leftover = name.starts_with(['.', '#']) || name.ends_with('~');
        if !leftover && matches(pattern, name) {
            if name.chars().any(|c| c.is_control() || reorders(c)) {
                let (folder, name) = (folder.display(), name.escape_debug());
                return Err(format!("{folder} has a file `{name}`: control characters are not for names"));
            }
            matching.push(folder.join(name));
        }
    }
    matching.sort();
    Ok(matching)
}

fn is_wild(part: &str) -> bool {
    part.contains(['*', '?'])
}

/// Shell matching with `*` and `?`; time is at most the product of the lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// An I/O error in words, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "not found".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_within_a_name() {
        for (pattern, name, expected) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?*", "한", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn hidden_files_and_leftovers_never_match() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yaml", ".a.yaml.swp.yaml", "..data.yaml", "c.yaml~", "#a.yaml"] {
            std::fs::File::create(folder.path().join(name)).unwrap();
        }
        std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
        let found = resolve(folder.path(), "*.yaml*").unwrap();
        assert_eq!(found.files, [folder.path().join("a.yaml"), folder.path().join("b.yaml")]);
        assert_eq!(found.folders, [folder.path()]);
    }

    #[test]
    fn a_name_that_would_steer_a_terminal_is_refused_by_what_it_looks_like() {
        for name in ["\u{1b}[2J.yaml", "a\nb.yaml", "\u{9b}31m.yaml", "\u{202e}lmay.a.yaml"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::File::create(folder.path().join(name)).unwrap();
            let said = resolve(folder.path(), "*.yaml").unwrap_err();
            assert!(said.contains("control characters") && !said.contains(name), "{said:?}");
            assert!(!said.contains(|c: char| c.is_control() || reorders(c)), "{said:?}");
            assert_eq!(resolve(folder.path(), "*.yml").unwrap().files, Vec::<PathBuf>::new());
        }
    }

    #[test]
    fn a_name_without_wildcards_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        assert!(resolve(folder.path(), "missing.yaml").is_err());
        assert_eq!(resolve(folder.path(), "missing/*.yaml").unwrap().files, Vec::<PathBuf>::new());
        assert!(resolve(folder.path(), ".").is_err());
        assert!(resolve(folder.path(), "**/*.yaml").is_err());
    }
}
