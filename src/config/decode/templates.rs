//! `templates:`: files made from several accounts' tokens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::jinja::{Fault, Root, Uses};
use super::scalar::Refusal;
use super::sources::{MAX_SOURCE, Sources, Stand};
use super::template::{ONE_BRACE, one_brace, told, uses};
use super::{Fields, Report, Resolved, hook, paths, scalar, sink};
use crate::config::definition::Definition;
use crate::config::model::{Sees, TemplateForm, TemplateTarget, TemplateText, Trial, TryOut, WriteMode};
use crate::config::shape::{TEMPLATE_FILE, TEMPLATE_TARGET};
use crate::config::tree::{Node, Place, Value};
use crate::config::words;
use crate::domain::AccountId;

/// A template target and the place of its path.
pub(crate) type Made = (TemplateTarget, Place);

/// Decodes all items of all files. `names` are all accounts that are written somewhere, unless they could not be read;
/// `resolved` are those without errors.
pub(crate) fn templates<'n>(
    report: &mut Report,
    parts: &[Fields<'n, 'n>],
    sources: &mut Sources<'_>,
    names: Option<&HashMap<&str, Place>>,
    resolved: &[Resolved],
    try_out: &TryOut,
) -> Vec<Made> {
    let none = HashMap::new();
    let (names, is_complete) = (names.unwrap_or(&none), names.is_some());
    let mut decoder = Decoder { sources, names, is_complete, resolved, try_out };
    let mut made = Vec::new();
    for part in parts {
        for item in part.items(report, "templates") {
            made.extend(decoder.target(report, item));
        }
    }
    made
}

struct Decoder<'d, 's> {
    sources: &'d mut Sources<'s>,
    names: &'d HashMap<&'d str, Place>,
    /// Otherwise a name that is not among `names` may be right.
    is_complete: bool,
    resolved: &'d [Resolved],
    try_out: &'d TryOut,
}

/// The accounts that the texts of one target name.
#[derive(Default)]
struct Needed<'n> {
    /// The texts themselves: where each stands, the name of its file, what was found in it.
    texts: Vec<(Stand<'n>, String, PathBuf, Uses)>,
    all: bool,
    accounts: BTreeSet<AccountId>,
    /// A value in them seems to have one brace.
    one_brace: bool,
    /// Something of it could not be read, so that "none" means nothing.
    broken: bool,
}

impl Decoder<'_, '_> {
    fn target<'n>(&mut self, report: &mut Report, item: &'n Node<'n>) -> Option<Made> {
        let fields = Fields::read(report, &TEMPLATE_TARGET, item, item.place)?;
        let mut needed = Needed::default();
        let (path_key, form) = match (fields.has("path"), fields.has("directory")) {
            (true, false) => ("path", self.file(report, &fields, &mut needed)),
            (false, true) => ("directory", self.directory(report, &fields, &mut needed)),
            (true, true) => {
                report.error(fields.place, "a template has `path` or `directory`, not both");
                return None;
            }
            (false, false) if fields.has_foreign_keys() => return None,
            (false, false) => {
                report
                    .error(fields.place, "a template without a target")
                    .hint("add `path: FILE`, or `directory: FOLDER` with `files`");
                return None;
            }
        };
        let path = match path_key {
            "path" => fields.parsed(report, path_key, paths::absolute),
            _ => fields.parsed(report, path_key, paths::folder),
        };
        let mode = sink::mode(report, &fields);
        let owner = fields.parsed(report, "owner", scalar::principal);
        let group = fields.parsed(report, "group", scalar::principal);
        let on_remove = sink::on_remove(report, &fields);
        let on_change = hook::hooks(report, &fields);
        let accounts: Vec<AccountId> = match needed.all {
            true => self.resolved.iter().map(|one| one.account.name.clone()).collect(),
            false => needed.accounts.iter().cloned().collect(),
        };
        if accounts.is_empty() && !needed.broken && (!needed.all || self.names.is_empty()) {
            let finding = report.error(fields.place_of(path_key), "the template names no account");
            match needed.one_brace {
                true => finding.hint("a value has two braces, as in `{{ accounts.NAME.access_token }}`"),
                false => finding.hint(
                    "name one, as in `{{ accounts.NAME.access_token }}`; renewd writes what changes with a token",
                ),
            };
        }
        self.try_out(report, &needed, &accounts);
        let place = fields.place_of(path_key);
        let target =
            TemplateTarget { path: path?, form: form?, accounts, mode, owner, group, on_remove, on_change };
        Some((target, place))
    }

    fn file<'n>(
        &mut self,
        report: &mut Report,
        fields: &Fields<'n, 'n>,
        needed: &mut Needed<'n>,
    ) -> Option<TemplateForm> {
        if let Some(entry) = fields.entry("files") {
            report.error(entry.place, "`files` goes with `directory`").hint("give `source` or `inline` here");
        }
        let write = sink::write_mode(report, fields);
        let ending = fields.node("path").and_then(Node::scalar).map(|scalar| scalar.text.to_string());
        let text = self.text(report, fields, Path::new(&ending.unwrap_or_default()), needed)?;
        Some(TemplateForm::File { text, write })
    }

    fn directory<'n>(
        &mut self,
        report: &mut Report,
        fields: &Fields<'n, 'n>,
        needed: &mut Needed<'n>,
    ) -> Option<TemplateForm> {
        for key in ["source", "inline"] {
            if let Some(entry) = fields.entry(key) {
                report
                    .error(entry.place, format!("`{key}` goes with `path`"))
                    .hint("the templates of a `directory` stand under `files`");
            }
        }
        if fields.choice(
            report,
            "write",
            &[("replace", WriteMode::Replace), ("in-place", WriteMode::InPlace)],
        ) == Some(WriteMode::InPlace)
        {
            report
                .error(fields.place_of("write"), "a `directory` is always replaced: its files change as one");
        }
        if !fields.has("files") {
            needed.broken = true;
            report
                .error(fields.place, "`files` is missing beside `directory`")
                .hint("add `files: { NAME: \"{{ accounts.NAME.access_token }}\" }`");
            return None;
        }
        let mut files = BTreeMap::new();
        let errors = report.errors.len();
        for entry in fields.map(report, "files") {
            if let Err(Refusal { message, hint }) = file_name(&entry.key) {
                report.error(entry.place, message.unwrap_or_default()).hint = hint;
            }
            let name = Path::new(&*entry.key);
            let text = match &entry.node.value {
                Value::Scalar(_) => self.inline(report, &entry.node, name, needed),
                _ => match Fields::read(report, &TEMPLATE_FILE, &entry.node, entry.place) {
                    Some(own) => self.text(report, &own, name, needed),
                    None => None,
                },
            };
            needed.broken |= text.is_none();
            files.extend(text.map(|text| (entry.key.to_string(), text)));
        }
        if files.is_empty() && report.errors.len() == errors {
            needed.broken = true;
            report.error(fields.place_of("files"), "a `directory` without files");
        }
        Some(TemplateForm::Directory(files))
    }

    /// `source` or `inline`; `name` is where it goes, for the target's ending.
    fn text<'n>(
        &mut self,
        report: &mut Report,
        fields: &Fields<'n, 'n>,
        name: &Path,
        needed: &mut Needed<'n>,
    ) -> Option<TemplateText> {
        needed.broken = true;
        match (fields.node("source"), fields.node("inline")) {
            (Some(_), Some(_)) => {
                report.error(fields.place, "give `source` or `inline`, not both");
                None
            }
            (None, Some(node)) => {
                needed.broken = false;
                self.inline(report, node, name, needed)
            }
            (Some(node), None) => {
                let written = fields.text(report, "source")?;
                match self.sources.read(node.place.file, written) {
                    Err(Refusal { message, hint }) => {
                        report.error(node.place, message.unwrap_or_default()).hint = hint;
                        None
                    }
                    Ok((file, template)) => {
                        needed.broken = false;
                        let (path, text) = (template.path.clone(), template.source.text.clone());
                        self.check(report, Stand::File(file), &text, name, needed);
                        Some(TemplateText { source: Some(path), text })
                    }
                }
            }
            (None, None) if fields.has_foreign_keys() => None,
            (None, None) => {
                report
                    .error(fields.place, "a template without a text")
                    .hint("add `source: FILE`, or `inline: |` and the text below it");
                None
            }
        }
    }

    fn inline<'n>(
        &mut self,
        report: &mut Report,
        node: &'n Node<'n>,
        name: &Path,
        needed: &mut Needed<'n>,
    ) -> Option<TemplateText> {
        let text = match node.scalar() {
            Some(scalar) if !scalar.is_null() => scalar.text.to_string(),
            _ => {
                needed.broken = true;
                super::fields::wrong_type(report, node, &crate::config::shape::TEMPLATE_SOURCE);
                return None;
            }
        };
        self.check(report, Stand::Inline(node), &text, name, needed);
        Some(TemplateText { source: None, text })
    }

    fn check<'n>(
        &mut self,
        report: &mut Report,
        stand: Stand<'n>,
        text: &str,
        name: &Path,
        needed: &mut Needed<'n>,
    ) {
        if let Some(offset) = sink::quotes_twice(name, text) {
            let (message, hint) = sink::QUOTES_TWICE;
            report.warn(self.sources.place(stand, text, offset), message).hint(hint);
        }
        if let Some(offset) = one_brace(text) {
            needed.one_brace = true;
            report.warn(self.sources.place(stand, text, offset), ONE_BRACE.0).hint(ONE_BRACE.1);
        }
        let uses = match uses(text, MAX_SOURCE, Root::Accounts) {
            Ok(uses) => uses,
            Err(wrong) => {
                needed.broken = true;
                wrong.tell(report, |offset| self.sources.place(stand, text, offset));
                return;
            }
        };
        needed.broken |= !self.is_complete || !uses.faults.is_empty();
        for Fault { offset, message, hint, account } in &uses.faults {
            // Of an account that is not there, that is said once, below.
            if account.as_ref().is_some_and(|account| !self.names.contains_key(account.as_str())) {
                continue;
            }
            report.error(self.sources.place(stand, text, *offset), message).hint(hint);
        }
        needed.all |= uses.all.is_some();
        for (account, offset) in &uses.accounts {
            match AccountId::new(account).ok().filter(|_| self.names.contains_key(account.as_str())) {
                Some(id) => {
                    needed.accounts.insert(id);
                }
                None if !self.is_complete => {}
                None => {
                    needed.broken = true;
                    let place = self.sources.place(stand, text, *offset);
                    let message = format!("there is no account {}", words::echo(account));
                    report.error(place, message).hint(self.meant(account));
                }
            }
        }
        needed.texts.push((stand, text.to_owned(), name.to_owned(), uses));
    }

    /// Renders each text once, where all accounts that it sees are right.
    fn try_out(&self, report: &mut Report, needed: &Needed<'_>, accounts: &[AccountId]) {
        let known = self.resolved.iter().map(|one| (&one.account.name, &*one.account.provider));
        let members: Vec<(&AccountId, &Definition)> = match needed.all {
            true => known.collect(),
            false => known.filter(|(name, _)| accounts.contains(name)).collect(),
        };
        let wanted = if needed.all { self.names.len() } else { accounts.len() };
        if needed.broken || members.len() != wanted {
            return;
        }
        for (stand, text, name, uses) in &needed.texts {
            let trial = Trial { text, path: Some(name), sees: Sees::Several(&members) };
            if let Some(flaw) = (self.try_out)(&trial) {
                told(report, uses, &flaw, |offset| self.sources.place(*stand, text, offset));
            }
        }
    }

    /// What an account that is not configured was meant to be.
    fn meant(&self, account: &str) -> String {
        let mut names: Vec<&str> = self.names.keys().copied().collect();
        names.sort_unstable();
        let longer =
            |name: &&&str| name.strip_prefix(account).is_some_and(|rest| rest.starts_with(['-', '.']));
        match names.iter().find(longer) {
            Some(name) => format!("a name with `-` or `.` is written `accounts[\"{name}\"]`"),
            None if names.is_empty() => "there are no accounts".to_owned(),
            None => words::suggest(account, names.into_iter(), "the accounts are"),
        }
    }
}

fn file_name(text: &str) -> Result<(), Refusal> {
    let refuse = |hint: &str| Err(Refusal::because("not the name of a file in the folder").with_hint(hint));
    match text {
        _ if text.is_empty() || text.chars().any(char::is_control) => refuse("a name, as in `token`"),
        _ if text.contains('/') => refuse("a set of files has no folders below it"),
        _ if text.starts_with('.') => refuse("a leading `.` is kept for the links of the set itself"),
        _ if text.len() > 255 => refuse("255 bytes are the most"),
        _ => Ok(()),
    }
}
