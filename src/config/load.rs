//! Reading files and putting a configuration together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, retry_on_intr};

use super::decode::{
    Accounts, Catalog, Fields, Report, Sources, Templates, Whole, agent, check_provider_name, cross_check,
    definition, folder, limits, template_files, templates, vault,
};
use super::definition::Definition;
use super::include;
use super::model::{Config, TryOut};
use super::placed::{PlacedSecret, placed};
use super::problem::{Problem, Problems};
use super::shape::{DEFAULTS, INCLUDED, INCLUDED_FILE, MAIN, MAIN_FILE, PROVIDER_FILE, TEMPLATE_SOURCE};
use super::tree::{Node, Origin, Place, Source, parse, render};
use super::writers;

/// The largest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// A configuration that can run, and what is doubtful about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// In the order of files and lines.
    pub warnings: Vec<Problem>,
}

impl Loaded {
    /// Adds what is doubtful about who may write its files.
    pub(super) fn with_writers(mut self) -> Self {
        self.warnings.extend(writers::doubts(&self.config));
        self
    }
}

/// Which files a configuration is made from, as far as they can be told: also of one with mistakes, so that whoever
/// watches it sees it mended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watched {
    /// The main file, those that `include` finds and those that templates are read from, absolute.
    pub files: Vec<PathBuf>,
    /// Folders in which a pattern of `include` may match a new file.
    pub include_folders: Vec<PathBuf>,
}

/// Reads the configuration of `path` with everything that it includes. `env` reads environment variables
/// (`STATE_DIRECTORY`, `RUNTIME_DIRECTORY`); `builtin` are the catalogue's names and texts; `try_out` renders each
/// template once, with made-up values.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load(
    path: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
    try_out: &TryOut,
) -> Result<Loaded, Problems> {
    let bytes = read(path).map_err(|problem| Problems(vec![problem]))?;
    put_together(path, bytes, env, builtin, try_out).map(Loaded::with_writers)
}

/// The same with the main file's text given; `include` is relative to `path`. No template is rendered.
///
/// # Errors
/// Everything that is wrong, in all files.
pub fn load_text(
    path: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
) -> Result<Loaded, Problems> {
    put_together(path, text.as_bytes().to_vec(), env, builtin, &|_| None)
}

/// Reads a provider's definition: the mapping that stands under `providers: NAME:`, or a file of the catalogue.
/// `label` names the text in messages.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_definition(name: &str, label: &str, text: &str) -> Result<Definition, Problems> {
    let source = Source::of_text(label.to_owned(), text.to_owned());
    let mut report = Report::default();
    let root = parse(0, &source.text, &mut report);
    let decoded = match &root {
        Some(root) => definition(&mut report, name, root, Place { end: 0, ..root.place }),
        None => None,
    };
    if root.is_none() && report.errors.is_empty() {
        report.error(Place::default(), "the definition is empty");
    }
    let origin = Origin { source: &source, root: root.as_ref(), kind: &PROVIDER_FILE };
    match decoded {
        Some(definition) if report.errors.is_empty() => Ok(definition),
        _ => Err(Problems(render(report.errors, &[origin]))),
    }
}

/// Tells what to watch for the configuration of `path`; never fails.
#[must_use]
pub fn watched(path: &Path) -> Watched {
    let main = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut watched = Watched { files: vec![main], include_folders: Vec::new() };
    let Some(source) = read(path).and_then(|bytes| Source::new(path, bytes)).ok() else { return watched };
    let mut report = Report::default();
    let root = parse(0, &source.text, &mut report);
    let fields = root.as_ref().and_then(|root| Fields::read(&mut report, &MAIN, root, root.place));
    if let Some(fields) = fields {
        includes(&mut report, &fields, path, &mut watched);
    }
    let mut sources: Vec<PathBuf> =
        root.iter().flat_map(|root| template_files(root, &folder(path))).collect();
    for file in &watched.files[1..] {
        let source = read(file).and_then(|bytes| Source::new(file, bytes)).ok();
        let Some(source) = source.filter(|source| source.text.contains("templates")) else { continue };
        let root = parse(0, &source.text, &mut report);
        sources.extend(root.iter().flat_map(|root| template_files(root, &folder(file))));
    }
    watched.add(sources);
    watched
}

impl Watched {
    /// Adds files that are not there yet.
    fn add(&mut self, files: Vec<PathBuf>) {
        let mut known: HashSet<PathBuf> = self.files.iter().cloned().collect();
        self.files.extend(files.into_iter().filter(|file| known.insert(file.clone())));
    }
}

pub(super) fn put_together(
    path: &Path,
    bytes: Vec<u8>,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
    try_out: &TryOut,
) -> Result<Loaded, Problems> {
    gather(path, bytes, env, builtin, try_out, &mut Vec::new())
}

pub(super) fn gather(
    path: &Path,
    bytes: Vec<u8>,
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
    try_out: &TryOut,
    secrets: &mut Vec<PlacedSecret>,
) -> Result<Loaded, Problems> {
    let source = Source::new(path, bytes).map_err(|problem| Problems(vec![problem]))?;
    let mut report = Report::default();
    let root = parse(0, &source.text, &mut report);
    let top = match &root {
        Some(root) if !root.is_null() => {
            Fields::read(&mut report, &MAIN, root, Place { end: 0, ..root.place })
        }
        _ if !report.errors.is_empty() => None,
        _ => {
            report
                .error(Place::default(), "the file is empty: `accounts` is missing")
                .hint("`renewd init` writes a configuration to start from; `accounts: {}` means none yet");
            None
        }
    };

    let main = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut watched = Watched { files: vec![main], include_folders: Vec::new() };
    if let Some(top) = &top {
        includes(&mut report, top, path, &mut watched);
    }
    let (sources, mut unread) = read_included(path, &watched.files[1..]);
    let mut roots = Vec::new();
    for (index, source) in (1..).zip(&sources) {
        roots.push(parse(index, &source.text, &mut report));
    }
    let mut parts: Vec<Fields<'_, '_>> = top.into_iter().collect();
    for root in roots.iter().flatten().filter(|root| !root.is_null()) {
        parts.extend(Fields::read(&mut report, &INCLUDED, root, root.place));
    }

    let texts = [&source].into_iter().chain(&sources).map(|source| source.text.as_str());
    let files = watched.files.clone();
    let mut templates = Sources::new(path, files.iter().map(PathBuf::as_path).zip(texts).collect());
    let config = decode(&mut report, &parts, env, builtin, watched, &mut templates, try_out);
    let mut origins = vec![Origin { source: &source, root: root.as_ref(), kind: &MAIN_FILE }];
    let included = sources.iter().zip(&roots);
    origins.extend(included.map(|(source, root)| Origin {
        source,
        root: root.as_ref(),
        kind: &INCLUDED_FILE,
    }));
    origins.extend(templates.templates.iter().map(|template| Origin {
        source: &template.source,
        root: None,
        kind: &TEMPLATE_SOURCE,
    }));
    secrets.extend(placed(std::mem::take(&mut report.secrets), &origins));
    match config {
        Some(config) if report.errors.is_empty() && unread.is_empty() => {
            Ok(Loaded { config, warnings: render(report.warnings, &origins) })
        }
        _ => {
            let mut problems = render(report.errors, &origins);
            problems.append(&mut unread);
            Err(Problems(problems))
        }
    }
}

/// `None` only where the main file has no mapping to read.
fn decode<'a>(
    report: &mut Report,
    parts: &[Fields<'a, 'a>],
    env: &dyn Fn(&str) -> Option<String>,
    builtin: &[(&str, &str)],
    mut watched: Watched,
    sources: &mut Sources<'_>,
    try_out: &TryOut,
) -> Option<Config> {
    let top = parts.first()?;
    let agent = agent(report, top, env);
    let limits = limits(report, top);
    let vault = vault(report, top);
    let defaults: Option<&Node<'_>> = top.entry("defaults").map(|entry| {
        Fields::read(report, &DEFAULTS, &entry.node, entry.place);
        &entry.node
    });
    let catalog = Catalog::new(own_definitions(report, parts), builtin);
    let defaults = defaults.filter(|node| node.entries().is_some());
    let mut accounts = Accounts::new(
        &limits,
        defaults,
        catalog,
        Templates::new(sources.files.clone(), try_out),
        env("POD_NAMESPACE"),
    );
    let mut names: HashMap<&str, Place> = HashMap::new();
    for part in parts {
        for entry in part.map(report, "accounts") {
            match names.get(&*entry.key) {
                Some(first) => {
                    report.error(entry.place, "this account stands twice").other(*first);
                }
                None => {
                    names.insert(&entry.key, entry.place);
                    accounts.add(report, entry);
                }
            }
        }
    }
    accounts.finish(report);
    let is_unread = |part: &Fields<'_, '_>| match part.node("accounts") {
        Some(node) => node.entries().is_none(),
        None => part.is_misspelt("accounts"),
    };
    let known = (!parts.iter().any(is_unread)).then_some(&names);
    let templates = templates(report, parts, sources, known, &accounts.resolved, try_out);
    let read: Vec<PathBuf> = sources.templates.iter().map(|template| template.path.clone()).collect();
    let whole = Whole {
        accounts: &accounts,
        templates: &templates,
        agent: &agent,
        vault: vault.as_deref(),
        has_vault: top.has("vault"),
        files: &watched.files,
        sources: read.clone(),
    };
    cross_check(report, &whole);
    watched.add(read);
    let resolved = std::mem::take(&mut accounts.resolved);
    drop(accounts);
    Some(Config {
        path: watched.files.first().cloned().unwrap_or_default(),
        files: watched.files,
        include_folders: watched.include_folders,
        agent,
        limits,
        vault,
        accounts: resolved.into_iter().map(|one| (one.account.name.clone(), one.account)).collect(),
        templates: templates.into_iter().map(|(target, _)| Arc::new(target)).collect(),
    })
}

fn own_definitions(
    report: &mut Report,
    parts: &[Fields<'_, '_>],
) -> BTreeMap<String, Option<Arc<Definition>>> {
    let mut own = BTreeMap::new();
    let mut places: HashMap<&str, Place> = HashMap::new();
    for part in parts {
        for entry in part.map(report, "providers") {
            if let Some(first) = places.get(&*entry.key) {
                report.error(entry.place, "this provider stands twice").other(*first);
                continue;
            }
            places.insert(&entry.key, entry.place);
            if check_provider_name(report, entry) {
                let decoded = definition(report, &entry.key, &entry.node, entry.place);
                own.insert(entry.key.to_string(), decoded.map(Arc::new));
            }
        }
    }
    own
}

/// Adds the files and folders of `include` to what is watched.
fn includes(report: &mut Report, top: &Fields<'_, '_>, path: &Path, watched: &mut Watched) {
    let folder = folder(path);
    for (pattern, node) in top.texts(report, "include") {
        match include::resolve(&folder, pattern) {
            Ok(found) => {
                if found.files.is_empty() {
                    let missing = found.folders.first().filter(|folder| !folder.is_dir());
                    report.warn(node.place, "this pattern matches no file").hint(match missing {
                        Some(folder) => format!("there is no folder {}", folder.display()),
                        None => {
                            "an empty folder may be meant; names that begin with `.` or `#` or end with `~` \
                                 never match"
                                .to_owned()
                        }
                    });
                }
                for file in found.files {
                    if !watched.files.contains(&file) {
                        watched.files.push(file);
                    }
                }
                for folder in found.folders {
                    if !watched.include_folders.contains(&folder) {
                        watched.include_folders.push(folder);
                    }
                }
            }
            Err(why) => {
                report.error(node.place, why);
            }
        }
    }
}

/// The included files in order. One that cannot be read is a problem and an empty text in its place.
fn read_included(main: &Path, files: &[PathBuf]) -> (Vec<Source>, Vec<Problem>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    let folder = folder(main);
    for file in files {
        let label = match (main.parent(), file.strip_prefix(&folder)) {
            (Some(parent), Ok(relative)) => parent.join(relative),
            _ => file.clone(),
        };
        let source = read(file).and_then(|bytes| Source::new(&label, bytes)).unwrap_or_else(|problem| {
            problems.push(problem);
            Source::of_text(String::new(), String::new())
        });
        sources.push(source);
    }
    (sources, problems)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |error: &std::io::Error| {
        Problem::of_file(path, format!("the file cannot be read: {}", include::reason(error)))
    };
    // Neither a FIFO's other end nor a terminal is waited for, also one that comes into the file's place just now.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match retry_on_intr(|| open(path, flags, Mode::empty())) {
        Ok(file) => File::from(file),
        Err(Errno::NXIO) => return Err(Problem::of_file(path, "the configuration is not a regular file")),
        Err(errno) => return Err(failed(&errno.into())),
    };
    let about = file.metadata().map_err(|error| failed(&error))?;
    if !about.is_file() {
        let what = if about.is_dir() { "a folder" } else { "not a regular file" };
        return Err(Problem::of_file(path, format!("the configuration is {what}")));
    }
    let too_large = || Problem::of_file(path, "the file has more than 64 MiB");
    if about.len() > MAX_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}
