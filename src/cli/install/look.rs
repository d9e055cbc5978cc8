//! What stands where a file is to be written, and how that is told.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::difference::difference;
use super::files::Wanted;
use crate::cli::screen::{counted, sanitise};

/// A file, and what is in its place.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) file: Wanted,
    /// With the root.
    pub(super) path: PathBuf,
    pub(super) found: Found,
}

/// What is in a file's place.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// The very file.
    Same,
    /// Another text.
    Differs(Vec<u8>),
    /// A file of the administrator's own, whatever is in it.
    Kept,
    /// Nobody knows.
    Unreadable(io::Error),
}

impl Look {
    pub(super) fn new(file: Wanted, root: &Path) -> Self {
        let path = root.join(&file.path);
        let found = match (file.group, std::fs::read(&path)) {
            (_, Err(error)) if error.kind() == ErrorKind::NotFound => Found::Missing,
            (Some(_), _) => Found::Kept,
            (None, Ok(content)) if content == file.text.as_bytes() => Found::Same,
            (None, Ok(content)) => Found::Differs(content),
            (None, Err(error)) => Found::Unreadable(error),
        };
        Self { file, path, found }
    }

    /// A line, with what would be written below it: the whole of a new file only where that is asked for.
    pub(super) fn told(&self, whole: bool) -> String {
        let path = self.path.display();
        let below = |text: &str| {
            text.lines()
                .map(|line| format!("    {}\n", sanitise(line)).replace("    \n", "\n"))
                .collect::<String>()
        };
        match &self.found {
            Found::Missing => {
                let lines = counted(self.file.text.lines().count(), "line");
                let text = if whole { below(&self.file.text) } else { String::new() };
                format!("+ {path}  new, {lines}, mode {:o}\n{text}", self.file.mode)
            }
            Found::Same => format!("= {path}  as it should be\n"),
            Found::Kept => format!("= {path}  is there and stays as it is\n"),
            Found::Differs(former) => {
                let former = String::from_utf8_lossy(former);
                format!("~ {path}  differs:\n{}", below(&difference(&former, &self.file.text)))
            }
            Found::Unreadable(error) => format!("? {path}  cannot be read: {error}\n"),
        }
    }
}
