//! A mapping read against its table: unknown, refused and missing keys are reported, the rest is typed.

use std::time::Duration;

use super::{Report, scalar};
use crate::config::shape::{Field, Kind, Shape};
use crate::config::tree::{self, Entry, Node, Place, Value};
use crate::config::words;

/// The values of a mapping by the keys of its [`Shape`].
pub(crate) struct Fields<'t, 's> {
    shape: &'static Shape,
    /// Where the mapping, or its key, stands.
    pub(crate) place: Place,
    found: Vec<Option<&'t Entry<'s>>>,
    /// It had a key that the shape has not; reported.
    foreign: bool,
    /// Keys of the shape that a misspelt one was meant to be: what follows from their absence need not be said.
    meant: Vec<&'static str>,
}

impl<'t, 's> Fields<'t, 's> {
    /// Reads `node` as a mapping of that shape; `place` is where a missing key is reported.
    pub(crate) fn read(
        report: &mut Report,
        shape: &'static Shape,
        node: &'t Node<'s>,
        place: Place,
    ) -> Option<Self> {
        let Some(entries) = node.entries() else {
            let finding = not_a_mapping(report, node);
            if finding.hint.is_none() {
                finding.hint(format!("the keys of {} are {}", shape.title(), known(shape)));
            }
            return None;
        };
        let mut found = vec![None; shape.fields.len()];
        let mut foreign = false;
        let mut meant = Vec::new();
        for entry in entries {
            match shape.index(&entry.key) {
                Some(index) => match &shape.fields[index].kind {
                    Kind::Refused(why) => {
                        report.error(entry.place, format!("`{}` {why}", &*entry.key));
                    }
                    _ => found[index] = Some(entry),
                },
                None => {
                    foreign = true;
                    meant.extend(unknown(report, shape, entry, entries));
                }
            }
        }
        for (field, entry) in shape.fields.iter().zip(&found) {
            if field.required && entry.is_none() && !meant.contains(&field.key) {
                let mut doc = field.doc.chars();
                let doc: String =
                    doc.next().map(char::to_lowercase).into_iter().flatten().chain(doc).collect();
                report
                    .error(place, format!("`{}` is missing in {}", field.key, shape.title()))
                    .hint(format!("add `{}`: {doc}", field.key));
            }
        }
        Some(Self { shape, place, found, foreign, meant })
    }

    /// The entry of a key of the shape.
    pub(crate) fn entry(&self, key: &str) -> Option<&'t Entry<'s>> {
        let index = self.shape.index(key);
        debug_assert!(index.is_some(), "{key} is not a key of {}", self.shape.name);
        index.and_then(|index| self.found[index])
    }

    /// Whether a key was misspelt: then what is missing may be that one.
    pub(super) fn has_foreign_keys(&self) -> bool {
        self.foreign
    }

    /// The only key that was given; `message` where it is none or several. A key that is no such was reported before.
    pub(super) fn only(&self, report: &mut Report, message: &str) -> Option<&'static str> {
        let mut given = self.shape.fields.iter().zip(&self.found).filter(|(_, entry)| entry.is_some());
        match (given.next(), given.next()) {
            (Some((field, _)), None) => Some(field.key),
            (None, _) if self.foreign => None,
            _ => {
                report.error(self.place, message);
                None
            }
        }
    }

    /// The value of a key of the shape.
    pub(crate) fn node(&self, key: &str) -> Option<&'t Node<'s>> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Whether the key was given.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether the key seems to stand there misspelt, which has been reported.
    pub(crate) fn is_misspelt(&self, key: &str) -> bool {
        self.entry(key).is_none() && self.meant.contains(&key)
    }

    /// The place of a key's value, else of the mapping.
    pub(crate) fn place_of(&self, key: &str) -> Place {
        self.node(key).map_or(self.place, |node| node.place)
    }

    /// The value as text: anything that is not nothing, a list or a mapping.
    pub(crate) fn text(&self, report: &mut Report, key: &str) -> Option<&'t str> {
        let node = self.node(key)?;
        text(report, node, &self.field(key)?.kind)
    }

    /// The value read by `parse`; what it answers instead is the message.
    pub(crate) fn parsed<T>(
        &self,
        report: &mut Report,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, scalar::Refusal>,
    ) -> Option<T> {
        let text = self.text(report, key)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let kind = &self.field(key)?.kind;
                refuse(report, self.node(key)?, kind, refusal);
                None
            }
        }
    }

    /// A duration.
    pub(crate) fn duration(&self, report: &mut Report, key: &str) -> Option<Duration> {
        self.parsed(report, key, scalar::duration)
    }

    /// A duration within bounds that are named in words.
    pub(crate) fn duration_within(
        &self,
        report: &mut Report,
        key: &str,
        (least, most): (Duration, Duration),
        words: &str,
    ) -> Option<Duration> {
        let value = self.duration(report, key)?;
        if value < least || value > most {
            report.error(self.place_of(key), format!("`{key}` must be {words}"));
            return None;
        }
        Some(value)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, report: &mut Report, key: &str) -> Option<bool> {
        self.parsed(report, key, scalar::boolean)
    }

    /// A whole number from 1 to 100,000.
    pub(crate) fn count(&self, report: &mut Report, key: &str) -> Option<u32> {
        self.parsed(report, key, scalar::count)
    }

    /// One of a choice's words, as what it stands for.
    pub(crate) fn choice<T: Copy>(&self, report: &mut Report, key: &str, values: &[(&str, T)]) -> Option<T> {
        let text = self.text(report, key)?;
        let value = values.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if value.is_none() {
            let near = words::did_you_mean(text, values.iter().map(|(word, _)| *word));
            let expected = self.field(key)?.kind.words();
            let finding = report.error(self.place_of(key), format!("`{key}` must be {expected}"));
            if let Some(near) = near {
                finding.hint(near);
            }
        }
        value
    }

    /// The items of a list, or the only one where one may stand alone.
    pub(crate) fn items(&self, report: &mut Report, key: &str) -> &'t [Node<'s>] {
        let (Some(node), Some(field)) = (self.node(key), self.field(key)) else { return &[] };
        match (&node.value, &field.kind) {
            (Value::Sequence(items), _) => items,
            (Value::Scalar(_), Kind::OneOrList(Kind::Scalar(_))) if !node.is_null() => {
                std::slice::from_ref(node)
            }
            _ => {
                wrong_type(report, node, &field.kind);
                &[]
            }
        }
    }

    /// Reports a list that is there and has nothing in it.
    pub(super) fn not_empty(&self, report: &mut Report, key: &str) {
        if self.node(key).and_then(Node::items).is_some_and(<[_]>::is_empty) {
            report.error(self.place_of(key), format!("`{key}` is an empty list"));
        }
    }

    /// The items of a list of single values.
    pub(crate) fn texts(&self, report: &mut Report, key: &str) -> Vec<(&'t str, &'t Node<'s>)> {
        let Some(item) = self.field(key).and_then(|field| item_kind(&field.kind)) else { return Vec::new() };
        let items = self.items(report, key);
        items.iter().filter_map(|node| text(report, node, item).map(|text| (text, node))).collect()
    }

    /// The entries of a mapping with keys of the user's choosing.
    pub(crate) fn map(&self, report: &mut Report, key: &str) -> &'t [Entry<'s>] {
        let Some(node) = self.node(key) else { return &[] };
        match node.entries() {
            Some(entries) => entries,
            None => {
                let finding = not_a_mapping(report, node);
                if node.is_null() {
                    finding.hint(format!("`{key}: {{}}` means none"));
                } else if finding.hint.is_none()
                    && let Some(form) = self.field(key).and_then(|field| by_name(key, &field.kind))
                {
                    finding.hint(form);
                }
                &[]
            }
        }
    }

    /// A mapping of single values with keys of the user's choosing.
    pub(crate) fn text_map(&self, report: &mut Report, key: &str) -> Vec<(&'t Entry<'s>, &'t str)> {
        let Some(Field { kind: Kind::Map(_, value), .. }) = self.field(key) else { return Vec::new() };
        let entries = self.map(report, key);
        entries
            .iter()
            .filter_map(|entry| text(report, &entry.node, value).map(|text| (entry, text)))
            .collect()
    }

    /// A section below this one.
    pub(crate) fn section(&self, report: &mut Report, key: &str, shape: &'static Shape) -> Option<Self> {
        let entry = self.entry(key)?;
        Self::read(report, shape, &entry.node, entry.place)
    }

    fn field(&self, key: &str) -> Option<&'static Field> {
        self.shape.field(key)
    }
}

/// What a list of that kind holds.
fn item_kind(kind: &'static Kind) -> Option<&'static Kind> {
    match kind {
        Kind::List(item) | Kind::OneOrList(item) => Some(item),
        Kind::Either(kinds) => kinds.iter().find_map(item_kind),
        _ => None,
    }
}

/// How a mapping with keys of the user's choosing is written.
fn by_name(key: &str, kind: &Kind) -> Option<String> {
    let Kind::Map(name, of) = kind else { return None };
    let (value, none) = match of {
        Kind::Secret => ("{ file: /run/secrets/NAME }", String::new()),
        Kind::Scalar(_) => ("VALUE", String::new()),
        _ => ("{ ... }", format!("; `{key}: {{}}` means none")),
    };
    Some(format!("each stands below by its name: `{key}: {{ {name}: {value} }}`{none}"))
}

/// A node as text; `kind` tells what was expected.
pub(super) fn text<'t>(report: &mut Report, node: &'t Node<'_>, kind: &Kind) -> Option<&'t str> {
    match &node.value {
        Value::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
        _ => {
            wrong_type(report, node, kind);
            None
        }
    }
}

pub(super) fn wrong_type(report: &mut Report, node: &Node<'_>, kind: &Kind) {
    let finding = report.error(node.place, format!("expected {}, found {}", kind.words(), node.what()));
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() && !scalar.text.is_empty() => {
            finding.hint("quote it where the word itself is meant");
        }
        Value::Mapping(entries) if looks_like_template(entries) => {
            finding.hint("a template needs quotes, as in \"{{ access_token }}\"");
        }
        Value::Sequence(_) if matches!(kind, Kind::Scalar(_) | Kind::Choice(_) | Kind::Secret) => {
            finding.hint("one value, without `[` and `]` or `- `");
        }
        Value::Mapping(_) if matches!(kind, Kind::List(_)) => {
            finding.hint("each item of a list begins with `- `");
        }
        _ => {}
    }
}

fn not_a_mapping<'r>(report: &'r mut Report, node: &Node<'_>) -> &'r mut super::Finding {
    let finding = report.error(node.place, format!("expected a mapping, found {}", node.what()));
    if node.scalar().is_some_and(|scalar| scalar.plain && scalar.text.contains(':')) {
        finding.hint("is a space after the `:` missing?");
    }
    finding
}

fn refuse(report: &mut Report, node: &Node<'_>, kind: &Kind, refusal: scalar::Refusal) {
    let scalar::Refusal { message, hint } = refusal;
    let message = message.unwrap_or_else(|| format!("expected {}", kind.words()));
    let finding = report.error(node.place, message);
    if let Some(hint) = hint {
        finding.hint(hint);
    }
}

/// `{{ x }}` without quotes is a mapping whose only key is a mapping: the parser refuses it; `{ x }` is one without value.
fn looks_like_template(entries: &[Entry<'_>]) -> bool {
    matches!(entries, [only] if only.node.is_null())
}

/// Reports it; the key that it was meant to be, where one is near enough.
fn unknown(
    report: &mut Report,
    shape: &'static Shape,
    entry: &Entry<'_>,
    beside: &[Entry<'_>],
) -> Option<&'static str> {
    let keys =
        || shape.fields.iter().filter(|field| !matches!(field.kind, Kind::Refused(_))).map(|field| field.key);
    let hint = strange_space(&entry.key)
        .or_else(|| below(shape, &entry.key, beside))
        .or_else(|| misplaced(shape, entry))
        .unwrap_or_else(|| words::suggest(&entry.key, keys(), "the keys here are"));
    let near = words::nearest(&entry.key, keys());
    let is_account = shape.field("provider").is_some_and(|field| field.required);
    let hint = match is_account && near.is_none() {
        true => format!("{hint}; a password or key of the vendor's stands under `credentials`"),
        false => hint,
    };
    report
        .error(entry.place, format!("unknown key {} in {}", words::echo(&entry.key), shape.title()))
        .hint(hint);
    near
}

/// An account where only sections stand.
fn misplaced(shape: &'static Shape, entry: &Entry<'_>) -> Option<String> {
    let is_account =
        || entry.node.entries().is_some_and(|below| below.iter().any(|field| *field.key == *"provider"));
    (shape.field("accounts").is_some() && is_account())
        .then(|| "an account stands under `accounts:`, and begins further right than that".to_owned())
}

/// The space in a key that YAML takes for a letter.
fn strange_space(key: &str) -> Option<String> {
    let named = key.chars().find_map(tree::strange_space)?;
    Some(format!("the key holds {named} where YAML wants a space"))
}

/// Where the key belongs, if it is one of a section beside it, or of the only section that has it and is required.
fn below(shape: &'static Shape, key: &str, beside: &[Entry<'_>]) -> Option<String> {
    let inner = |kind: &'static Kind| match kind {
        Kind::Section(inner) => Some(*inner),
        Kind::Either(kinds) => kinds.iter().find_map(|kind| match kind {
            Kind::Section(inner) => Some(*inner),
            _ => None,
        }),
        _ => None,
    };
    let is_there = |field: &Field| field.required || beside.iter().any(|entry| *entry.key == *field.key);
    let (above, inner) = shape
        .fields
        .iter()
        .filter(|field| is_there(field))
        .filter_map(|field| Some((field.key, inner(&field.kind)?)))
        .find(|(_, inner)| inner.field(key).is_some())?;
    let needed = inner.fields.iter().filter(|field| field.required && field.key != key);
    let keys: String = needed.map(|field| format!("{}: ..., ", field.key)).collect();
    Some(format!("it belongs under `{above}`: `{above}: {{ {keys}{key}: ... }}`"))
}

fn known(shape: &'static Shape) -> String {
    words::list(
        shape.fields.iter().filter(|field| !matches!(field.kind, Kind::Refused(_))).map(|field| field.key),
    )
}
