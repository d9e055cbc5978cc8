//! A configuration's text as a tree whose every node knows where it stands.
//!
//! Derived deserialisation stops at the first mistake and loses positions; a tree lets the decoder report all of
//! them. Scalars keep the text that was written: `00123` and `no` mean themselves wherever text is meant.

mod braces;
mod bracket;
mod build;
mod harmless;
mod mask;
mod merge;
mod quote;
mod shown;
mod source;
mod syntax;
mod unparsed;
mod walk;

use std::ops::Deref;
use std::rc::Rc;

pub(crate) use build::parse;
pub(crate) use merge::overlay;
pub(crate) use source::{Origin, Source, render};
pub(crate) use syntax::strange_space;

/// A stretch of bytes in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Place {
    /// Index of the file.
    pub(crate) file: u32,
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
}

/// A value and its place. Cloning shares the children.
#[derive(Debug, Clone)]
pub(crate) struct Node<'s> {
    /// Where it stands.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Value<'s>,
}

/// The three things that YAML knows.
#[derive(Debug, Clone)]
pub(crate) enum Value<'s> {
    /// Text, a number, a boolean, nothing: told apart by whoever reads it.
    Scalar(Scalar<'s>),
    /// A list.
    Sequence(Rc<[Node<'s>]>),
    /// Keys are distinct; merge keys are already merged.
    Mapping(Rc<[Entry<'s>]>),
}

/// A scalar as written, escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scalar<'s> {
    /// The text.
    pub(crate) text: Text<'s>,
    /// Neither quoted, nor a block, nor tagged as text: only such a one can be a number, a boolean or nothing.
    pub(crate) plain: bool,
}

/// One `key: value` of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'s> {
    /// The key's text.
    pub(crate) key: Text<'s>,
    /// Where the key stands.
    pub(crate) place: Place,
    /// Its value.
    pub(crate) node: Node<'s>,
    /// Where the key stands again, and what it has there: a mistake, kept for the sake of its line.
    pub(crate) again: Option<Rc<[(Place, Node<'s>)]>>,
}

/// Text borrowed from the file where it stands there word for word, else shared.
#[derive(Debug, Clone)]
pub(crate) enum Text<'s> {
    /// A part of the file.
    Borrowed(&'s str),
    /// Made by resolving escapes or folding lines.
    Shared(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'s> Node<'s> {
    /// The scalar, where it is one.
    pub(crate) fn scalar(&self) -> Option<&Scalar<'s>> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The items, where it is a list.
    pub(crate) fn items(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, where it is a mapping.
    pub(crate) fn entries(&self) -> Option<&[Entry<'s>]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of that key, where it is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry<'s>> {
        self.entries()?.iter().find(|entry| &*entry.key == key)
    }

    /// Whether nothing was written, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.scalar().is_some_and(Scalar::is_null)
    }

    /// What was found, for messages; never the value itself.
    pub(crate) fn what(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) if scalar.is_null() => "nothing",
            Value::Scalar(scalar) if scalar.text.is_empty() => "empty text",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}

impl Scalar<'_> {
    /// Whether nothing was written, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}
