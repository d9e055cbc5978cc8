//! The files of templates, and where in all files a template's words stand.

use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::scalar::Refusal;
use crate::config::include::reason;
use crate::config::tree::{Node, Place, Source, Text};

/// The largest template.
pub(super) const MAX_SOURCE: usize = 1 << 20;

/// The configuration's files in order: where they are, and their texts.
#[derive(Clone, Default)]
pub(crate) struct Files<'a>(Vec<(&'a Path, &'a str)>);

/// The configuration's files, and the templates that they name; each template's file is read once.
pub(crate) struct Sources<'a> {
    /// The main file as the user named it.
    main: &'a Path,
    /// The configuration's files.
    pub(crate) files: Files<'a>,
    /// The templates' files; their places count on from those of `files`.
    pub(crate) templates: Vec<TemplateSource>,
}

/// A template's file that was read, or could not be.
pub(crate) struct TemplateSource {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name for messages, and its text; empty where it could not be read.
    pub(crate) source: Source,
    refusal: Option<Refusal>,
}

/// Where a template's text stands.
#[derive(Clone, Copy)]
pub(super) enum Stand<'n> {
    /// In a file of its own, by its index.
    File(u32),
    /// In the configuration.
    Inline(&'n Node<'n>),
}

impl<'a> Sources<'a> {
    /// Before any template was read.
    pub(crate) fn new(main: &'a Path, files: Vec<(&'a Path, &'a str)>) -> Self {
        Self { main, files: Files(files), templates: Vec::new() }
    }

    /// The template's file that `written` names in the configuration's file of that index.
    pub(super) fn read(&mut self, file: u32, written: &str) -> Result<(u32, &TemplateSource), Refusal> {
        let folder = self.files.0.get(file as usize).and_then(|(path, _)| path.parent());
        let path = locate(folder.unwrap_or(Path::new("/")), written)?;
        let known = self.templates.iter().position(|known| known.path == path);
        let at = known.unwrap_or_else(|| {
            let (text, refusal) = match text_of(&path) {
                Ok(text) => (text, None),
                Err(refusal) => (String::new(), Some(refusal)),
            };
            let source = Source::of_text(self.label(&path), text);
            self.templates.push(TemplateSource { path, source, refusal });
            self.templates.len() - 1
        });
        let template = &self.templates[at];
        match &template.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(((self.files.0.len() + at) as u32, template)),
        }
    }

    /// Relative to the main file's folder as the user named it, where it is below.
    fn label(&self, path: &Path) -> String {
        let folder = self.files.0.first().and_then(|(main, _)| main.parent());
        let relative = folder.and_then(|folder| path.strip_prefix(folder).ok());
        match (self.main.parent(), relative) {
            (Some(parent), Some(relative)) => parent.join(relative).display().to_string(),
            _ => path.display().to_string(),
        }
    }

    /// The place of the template's byte `offset`; that of the whole text where it cannot be told.
    pub(super) fn place(&self, stand: Stand<'_>, text: &str, offset: usize) -> Place {
        match stand {
            Stand::File(file) => at(file, offset),
            Stand::Inline(node) => self.files.place(node, text, offset),
        }
    }
}

impl Files<'_> {
    /// The place of byte `offset` of the text that stands at `node`; that of the whole where it cannot be told.
    pub(super) fn place(&self, node: &Node<'_>, text: &str, offset: usize) -> Place {
        self.within(node, text, offset).unwrap_or(node.place)
    }

    fn within(&self, node: &Node<'_>, text: &str, offset: usize) -> Option<Place> {
        let (_, file) = self.0.get(node.place.file as usize)?;
        if let Text::Borrowed(part) = &node.scalar()?.text {
            let start = part.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
            return (start + part.len() <= file.len()).then(|| at(node.place.file, start + offset));
        }
        // A block: its lines stand in the file one below the other, indented.
        let before = text.get(..offset)?;
        let number = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let wanted = text.lines().nth(number)?;
        let start = node.place.start as usize;
        let block = file.get(start..)?;
        let skipped = usize::from(block.starts_with(['|', '>']));
        let line = block.split_inclusive('\n').nth(number + skipped)?;
        let from = start + (line.as_ptr().addr() - block.as_ptr().addr());
        let indent = line.trim_end_matches(['\n', '\r']).strip_suffix(wanted.trim_end_matches('\r'))?;
        indent.trim().is_empty().then(|| at(node.place.file, from + indent.len() + column))
    }
}

/// The files that the templates in a tree name, read or not; for whoever watches them. `folder` is that of the file.
pub(crate) fn template_files(root: &Node<'_>, folder: &Path) -> Vec<PathBuf> {
    let source = |node: &Node<'_>| {
        let written = node.entry("source")?.node.scalar()?.text.to_string();
        locate(folder, &written).ok()
    };
    let mut found = Vec::new();
    let items = root.entry("templates").and_then(|entry| entry.node.items()).unwrap_or_default();
    for item in items {
        found.extend(source(item));
        let files = item.entry("files").and_then(|entry| entry.node.entries()).unwrap_or_default();
        found.extend(files.iter().filter_map(|entry| source(&entry.node)));
    }
    found
}

/// The path without `..`, as far as its text tells: to compare it with others.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

fn locate(folder: &Path, written: &str) -> Result<PathBuf, Refusal> {
    if written.is_empty() || written.ends_with('/') {
        return Err(Refusal::because("not a file's path").with_hint("name the template's file itself"));
    }
    if written.chars().any(char::is_control) {
        return Err(Refusal::because("a control character in a path").with_hint("check its quotes"));
    }
    Ok(folder.join(written).components().collect())
}

fn text_of(path: &Path) -> Result<String, Refusal> {
    let failed = |error: &std::io::Error| {
        Refusal::because(format!("the template cannot be read: {}", reason(error)))
            .with_hint("`source` is relative to the file that it stands in")
    };
    let about = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "not a regular file" };
        return Err(Refusal::because(format!("the template is {what}")));
    }
    let too_large = || Refusal::because("the template has more than 1 MiB");
    if about.len() > MAX_SOURCE as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAX_SOURCE as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() > MAX_SOURCE {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        Refusal::because(format!("byte {valid} of the template is not UTF-8 text"))
            .with_hint("save the file as UTF-8")
    })
}

fn at(file: u32, offset: usize) -> Place {
    let offset = u32::try_from(offset).unwrap_or(u32::MAX);
    Place { file, start: offset, end: offset }
}
