//! What a configuration may say: one table a section, with the type, default and meaning of every key.
//!
//! These tables are the only place that knows the keys. The decoder's unknown-key checks, the JSON Schema, the
//! reference page and the masking of source lines all read them, so that they cannot drift apart.

mod account;
mod delivery;
mod main;
mod provider;
mod scalar;
mod vault;

use std::sync::OnceLock;

use super::tree::{Node, Value};

pub(crate) use account::{ACCOUNT, DEFAULTS, FILE, HTTP, RENEW, SECRET, SINK};
pub(crate) use delivery::{
    COMMAND, HOOK, HOOK_SIGNAL, KUBERNETES_SINK, TEMPLATE_FILE, TEMPLATE_TARGET, VAULT_KEY, VAULT_SINK,
    VERIFY, WEBHOOK,
};
pub(crate) use main::{
    AGENT, ALERT, ALERT_COMMAND, ALERT_WEBHOOK, AUDIT, HOST, INCLUDED, LIMITS, LOG, MAIN, SOCKET,
};
pub(crate) use provider::{
    BASIC, BODY_TEST, CREDENTIAL, ERROR, EXPIRY, OPERATION, OWN_LIMITS, PARAM, PROVIDER, REFRESH_TOKEN,
    REQUEST, RESPONSE, SUCCESS, WAIT,
};
pub(crate) use scalar::{Json, ScalarKind, Show};
pub(crate) use vault::{APPROLE, CERT, JWT, KUBERNETES_AUTH, VAULT, VAULT_AUTH};

/// A mapping with a fixed set of keys.
#[derive(Debug)]
pub(crate) struct Shape {
    /// Where it stands, as in `accounts.NAME.renew`; `NAME` is of the user's choosing.
    pub(crate) name: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its keys.
    pub(crate) fields: &'static [Field],
}

/// One key of a [`Shape`].
#[derive(Debug)]
pub(crate) struct Field {
    /// The key.
    pub(crate) key: &'static str,
    /// What its value is.
    pub(crate) kind: Kind,
    /// What holds where it is left out, in words; empty: nothing.
    pub(crate) default: &'static str,
    /// Must be given.
    pub(crate) required: bool,
    /// What it does, in a sentence.
    pub(crate) doc: &'static str,
}

/// The type of a value.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One value of a known notation.
    Scalar(&'static ScalarKind),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A secret, or where it comes from.
    Secret,
    /// A mapping with fixed keys.
    Section(&'static Shape),
    /// A mapping with keys of the user's choosing (what they name, what they hold).
    Map(&'static str, &'static Kind),
    /// A list.
    List(&'static Kind),
    /// A list, or its only item.
    OneOrList(&'static Kind),
    /// Any of these, told apart by whether it is a value, a list or a mapping.
    Either(&'static [Kind]),
    /// Anything, passed on as JSON.
    Json,
    /// A key that is known but refused: what is said of it (after the key's name).
    Refused(&'static str),
}

/// The main file as a whole.
pub(crate) static MAIN_FILE: Kind = Kind::Section(&MAIN);
/// An included file as a whole.
pub(crate) static INCLUDED_FILE: Kind = Kind::Section(&INCLUDED);
/// A template's file as a whole.
pub(crate) static TEMPLATE_SOURCE: Kind = Kind::Scalar(&scalar::TEXT_TEMPLATE);
/// A file of the catalogue as a whole.
pub(crate) static PROVIDER_FILE: Kind = Kind::Section(&PROVIDER);

impl Shape {
    /// The field of that key.
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Its place in the table, for keys that stand there.
    pub(crate) fn index(&self, key: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.key == key)
    }

    /// How messages call it: the last part of its name.
    pub(crate) fn title(&self) -> String {
        if self.name.contains(' ') {
            return self.name.to_owned();
        }
        let mut parts = self.name.rsplit('.');
        if let (Some("NAME" | "HOST"), Some(all)) = (parts.next(), parts.next()) {
            let one = all.trim_end_matches('s');
            let article = if one.starts_with('a') { "an" } else { "a" };
            return format!("{article} {one}");
        }
        let own = |part: &&str| part.bytes().any(|byte| byte.is_ascii_lowercase());
        format!("`{}`", self.name.rsplit('.').find(own).unwrap_or(self.name))
    }
}

impl Kind {
    /// What is expected, in words: `a duration such as `90s``.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Scalar(kind) => kind.words.to_owned(),
            Self::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("one of {}", words.join(", "))
            }
            Self::Secret => "a secret or one of `env`, `file`, `credential`, `command`, `vault`".to_owned(),
            Self::Section(_) | Self::Map(..) => "a mapping".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::OneOrList(item) => format!("{} or a list of such", item.words()),
            Self::Either(kinds) => kinds.iter().map(Self::words).collect::<Vec<_>>().join(", or "),
            Self::Json => "any value".to_owned(),
            Self::Refused(_) => "nothing".to_owned(),
        }
    }

    /// Itself, or the alternative that a node of this form can be; `None` where the form does not fit.
    pub(crate) fn fitting(&'static self, node: &Node<'_>) -> Option<&'static Self> {
        let fits = match (self, &node.value) {
            (Self::Either(kinds), _) => return kinds.iter().find_map(|kind| kind.fitting(node)),
            (Self::OneOrList(item), value) if !matches!(value, Value::Sequence(_)) => {
                return item.fitting(node);
            }
            (Self::Json, _)
            | (Self::Secret, Value::Scalar(_) | Value::Mapping(_))
            | (Self::Scalar(_) | Self::Choice(_), Value::Scalar(_))
            | (Self::Section(_) | Self::Map(..), Value::Mapping(_))
            | (Self::List(_) | Self::OneOrList(_), Value::Sequence(_)) => true,
            _ => false,
        };
        fits.then_some(self)
    }

    /// The sections that it leads to.
    pub(crate) fn sections(&self, visit: &mut dyn FnMut(&'static Shape)) {
        match self {
            Self::Section(shape) => visit(shape),
            Self::Map(_, kind) | Self::List(kind) | Self::OneOrList(kind) => kind.sections(visit),
            Self::Either(kinds) => kinds.iter().for_each(|kind| kind.sections(visit)),
            Self::Secret => visit(&SECRET),
            Self::Scalar(_) | Self::Choice(_) | Self::Json | Self::Refused(_) => {}
        }
    }
}

/// Every section that can be reached from the main file, itself first, each once, in the order of the tables.
pub(crate) fn all() -> &'static [&'static Shape] {
    static ALL: OnceLock<Vec<&'static Shape>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut found: Vec<&'static Shape> = Vec::new();
        visit(&MAIN, &mut found);
        found
    })
}

/// Whether it is a key of any section: such a word is no secret.
pub(crate) fn knows_key(key: &str) -> bool {
    all().iter().any(|shape| shape.field(key).is_some())
}

fn visit(shape: &'static Shape, found: &mut Vec<&'static Shape>) {
    if found.iter().any(|known| std::ptr::eq(*known, shape)) {
        return;
    }
    found.push(shape);
    for field in shape.fields {
        field.kind.sections(&mut |inner| visit(inner, found));
    }
}

const fn field(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Field {
    Field { key, kind, default, required: false, doc }
}

const fn required(key: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { key, kind, default: "", required: true, doc }
}

const fn refused(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, default: "", required: false, doc: "" }
}
