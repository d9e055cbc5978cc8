//! Through the tree together with what the shape says of it: which scalars may be shown.

use std::collections::HashMap;

use super::braces::template;
use super::harmless::{
    fits, fits_anywhere, has_more_than_path, is_path, is_secret, is_switch, is_word, origin_of_url,
    sounds_secret,
};
use super::{Node, Place, Scalar, Value};
use crate::config::shape::{self, Kind, ScalarKind, Shape, Show};
use crate::config::words::nearest;

pub(super) struct Walk<'m> {
    pub(super) file: u32,
    pub(super) text: &'m str,
    pub(super) spans: &'m mut HashMap<(u32, u32), bool>,
}

/// What is known of a value.
#[derive(Clone, Copy)]
enum Trust<'k> {
    /// What the shape wants there.
    Known(&'static Kind),
    /// What was meant, as a misspelt key or a wrong form tells.
    Meant(&'static Kind),
    /// It stands under this key, wherever that belongs.
    Under(&'k str),
    /// It is a secret, or stands where one should.
    Secret,
}

impl Walk<'_> {
    /// Notes every scalar of the file.
    pub(super) fn root(&mut self, node: &Node<'_>, kind: &'static Kind) {
        self.node(node, Trust::Known(kind), None);
    }

    /// `name` is the nearest key of the user's own choosing.
    fn node(&mut self, node: &Node<'_>, trust: Trust<'_>, name: Option<&str>) {
        let trust = match trust {
            Trust::Known(kind) => match kind.fitting(node) {
                Some(kind) => Trust::Known(kind),
                None if is_secret(kind) => Trust::Secret,
                None => Trust::Meant(kind),
            },
            other => other,
        };
        match &node.value {
            Value::Scalar(scalar) => match (trust, name.is_some_and(sounds_secret)) {
                (Trust::Known(Kind::Scalar(kind)), hidden) => self.scalar(node.place, scalar, kind, hidden),
                (trust, hidden) if hidden || !trust.permits(&scalar.text) => self.add(node.place, false),
                _ => self.first_line(node.place),
            },
            Value::Sequence(items) => self.items(items, trust, name),
            Value::Mapping(entries) => {
                for entry in entries.iter() {
                    self.entry(entry.place, &entry.node, &entry.key, trust);
                    for (place, node) in entry.again.iter().flat_map(|again| again.iter()) {
                        self.entry(*place, node, &entry.key, trust);
                    }
                }
            }
        }
    }

    fn items(&mut self, items: &[Node<'_>], trust: Trust<'_>, name: Option<&str>) {
        let trust = match trust {
            Trust::Known(Kind::List(item) | Kind::OneOrList(item)) => Trust::Known(item),
            Trust::Meant(Kind::List(item) | Kind::OneOrList(item)) => Trust::Meant(item),
            other => other,
        };
        for (index, item) in items.iter().enumerate() {
            match (trust, item.scalar()) {
                (Trust::Known(Kind::Scalar(kind)), Some(program))
                    if index == 0 && kind.show == Show::Argument && is_program(&program.text) =>
                {
                    self.add(item.place, true);
                }
                _ => self.node(item, trust, name),
            }
        }
    }

    fn entry(&mut self, place: Place, node: &Node<'_>, key: &str, trust: Trust<'_>) {
        let (shown, trust, name) = match trust {
            Trust::Known(Kind::Secret) => (shape::SECRET.field(key).is_some(), Trust::Secret, None),
            Trust::Secret => (shape::knows_key(key), Trust::Secret, None),
            Trust::Known(Kind::Section(shape)) => {
                let field = shape.field(key);
                (
                    is_word(key),
                    field.map_or_else(|| unknown(shape, key), |field| Trust::Known(&field.kind)),
                    None,
                )
            }
            Trust::Meant(Kind::Section(shape)) => {
                let field = shape.field(key);
                (is_word(key), field.map_or_else(|| unknown(shape, key), |field| meant(&field.kind)), None)
            }
            // A lone word among secrets may be one that has lost its key.
            Trust::Known(Kind::Map(_, Kind::Secret)) if node.is_null() => (false, Trust::Secret, None),
            Trust::Known(Kind::Map(_, value)) => (is_word(key), Trust::Known(value), Some(key)),
            Trust::Known(Kind::Json) => (is_word(key), trust, Some(key)),
            Trust::Meant(Kind::Map(_, value)) => (is_word(key), meant(value), Some(key)),
            _ => (is_word(key), elsewhere(key), None),
        };
        self.add(place, shown);
        self.node(node, trust, name);
    }

    /// One of a known notation. `hidden`: its name is a secret's.
    fn scalar(&mut self, place: Place, scalar: &Scalar<'_>, kind: &ScalarKind, hidden: bool) {
        let Place { file, start, end } = place;
        // Of a template the braces alone are shown, whatever it is called.
        let hidden = (hidden && kind.show != Show::Braces) || file != self.file;
        let part = self.text.get(start as usize..end as usize).filter(|_| !hidden);
        let Some(part) = part else { return self.add(place, false) };
        let text = &*scalar.text;
        match kind.show {
            Show::Braces => {
                for (span, shown) in template(part, start as usize) {
                    let (start, end) = (span.start as u32, span.end as u32);
                    self.add(Place { file, start, end }, shown);
                }
            }
            Show::Host if is_switch(text) => self.add(place, true),
            Show::Host => match origin_of_url(text).and_then(|length| Some(part.find(text)? + length)) {
                Some(length) => self.parts(place, part, length),
                None => self.add(place, false),
            },
            Show::Plain if is_url(kind) && has_more_than_path(text) => self.add(place, false),
            show if permits(show, text) => self.first_line(place),
            _ => self.add(place, false),
        }
    }

    /// Shows a scalar. Further lines are more than the value that was meant, such as a password that lost its key.
    fn first_line(&mut self, place: Place) {
        let part = self.text.get(place.start as usize..place.end as usize).unwrap_or_default();
        self.parts(place, part, part.find('\n').unwrap_or(part.len()));
    }

    /// Shows so many bytes of a scalar, and the rest where nothing is in it.
    fn parts(&mut self, place: Place, part: &str, shown: usize) {
        let rest = part.get(shown..).unwrap_or_default();
        if rest.trim_matches(['/', '"', '\'']).is_empty() {
            return self.add(place, true);
        }
        let middle = place.start + shown as u32;
        self.add(Place { end: middle, ..place }, true);
        self.add(Place { start: middle, ..place }, false);
    }

    /// Of two opinions on one place (an alias may reach it twice) the stricter counts.
    fn add(&mut self, place: Place, shown: bool) {
        if place.file == self.file {
            self.spans.entry((place.start, place.end)).and_modify(|known| *known &= shown).or_insert(shown);
        }
    }
}

impl Trust<'_> {
    /// Whether a value may be shown, but for those of a known notation.
    fn permits(self, text: &str) -> bool {
        match self {
            Self::Known(Kind::Choice(..)) => is_word(text),
            Self::Known(Kind::Json) => permits(Show::Plain, text),
            Self::Meant(kind) => is_switch(text) || fits(kind, text, true),
            Self::Under(key) => is_switch(text) || fits_anywhere(key, text),
            Self::Known(_) | Self::Secret => false,
        }
    }
}

/// What stands under a key that the section has not.
fn unknown<'k>(shape: &'static Shape, key: &'k str) -> Trust<'k> {
    let near = nearest(key, shape.fields.iter().map(|field| field.key)).and_then(|near| shape.field(near));
    match near {
        Some(field) if is_secret(&field.kind) => meant(&field.kind),
        Some(field) if !shape::knows_key(key) && !sounds_secret(key) && !sounds_secret(field.key) => {
            meant(&field.kind)
        }
        _ => elsewhere(key),
    }
}

fn meant(kind: &'static Kind) -> Trust<'static> {
    // The shape's own rules for secrets are the strictest.
    if is_secret(kind) { Trust::Known(kind) } else { Trust::Meant(kind) }
}

/// What stands under a key whose section is not known.
fn elsewhere(key: &str) -> Trust<'_> {
    let mut kinds = shape::all().iter().filter_map(|shape| shape.field(key)).map(|field| &field.kind);
    match kinds.find(|kind| is_secret(kind)) {
        Some(kind) => Trust::Known(kind),
        None if sounds_secret(key) => Trust::Secret,
        None => Trust::Under(key),
    }
}

fn is_url(kind: &ScalarKind) -> bool {
    matches!(kind.json, shape::Json::Pattern(pattern) if pattern.contains("://"))
}

fn permits(show: Show, text: &str) -> bool {
    match show {
        Show::Plain => {
            let has_user = text.split_once('@').is_some_and(|(user, _)| user.contains(':'));
            let has_more = text.contains("://") && text.contains(['@', '?', '#']);
            !has_user && !has_more
        }
        Show::Pointer => {
            text.starts_with('/')
                && text.len() <= 128
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_-.~".contains(&byte))
        }
        Show::Argument => is_option(text) || is_path(text),
        Show::Braces | Show::Host | Show::Never => false,
    }
}

/// The name of a program, to be found in `PATH`.
fn is_program(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-+".contains(&byte);
    text.len() <= 32 && text.bytes().all(fits) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// `-x` or `--long-option`, without anything that may be its value.
fn is_option(text: &str) -> bool {
    let long = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    match text.strip_prefix("--") {
        Some(name) => name.len() <= 32 && long(name),
        None => {
            text.len() == 2 && text.starts_with('-') && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        }
    }
}
