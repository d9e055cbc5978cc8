//! From parser events to the tree, within budgets: a hostile file costs an error, never the memory or the stack.

use std::borrow::Cow;
use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::merge::merge_keys;
use super::syntax::{self, NUL};
use super::{Entry, Node, Place, Scalar, Text, Value};
use crate::config::decode::Report;

/// Levels of nesting, aliases followed. A real configuration has about ten.
const MAX_DEPTH: u32 = 64;
/// The longest single value.
const MAX_SCALAR: usize = 1 << 20;
/// Aliases may stand for that many nodes beside the file's own.
const ALIAS_NODES: u64 = 250_000;
/// And for that many bytes of text beside eight times the file's own.
const ALIAS_BYTES: u64 = 64 << 20;

/// Parses one document. `None`: there is none, or it cannot be read (then `report` says why).
pub(crate) fn parse<'s>(file: u32, text: &'s str, report: &mut Report) -> Option<Node<'s>> {
    let options = granit_parser::options! {
        emit_comments: false,
        block_nesting_limit: MAX_DEPTH as usize,
        flow_nesting_limit: MAX_DEPTH as usize,
    };
    if let Some(at) = text.find('\0').and_then(|at| u32::try_from(at).ok()) {
        report.error(Place { file, start: at, end: at }, "a NUL byte").hint(NUL);
        return None;
    }
    let parser = Parser::new_from_str_with_options(text, options);
    match Builder::new(file, text, report).run(parser) {
        Ok(root) => root,
        Err(Fault { place, message, hint }) => {
            let finding = report.error(place, message);
            if let Some(hint) = hint {
                finding.hint(hint);
            }
            None
        }
    }
}

/// The mistake that ends the reading of a file.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// What a finished node costs when an alias repeats it.
#[derive(Clone, Copy, Default)]
struct Cost {
    depth: u32,
    nodes: u64,
    bytes: u64,
}

impl Cost {
    fn add(&mut self, child: Self) {
        self.depth = self.depth.max(child.depth);
        self.nodes = self.nodes.saturating_add(child.nodes);
        self.bytes = self.bytes.saturating_add(child.bytes);
    }
}

struct Frame<'s> {
    place: Place,
    anchor: usize,
    cost: Cost,
    open: Open<'s>,
}

enum Open<'s> {
    Sequence(Vec<Node<'s>>),
    Mapping { entries: Vec<Entry<'s>>, merges: Vec<Node<'s>>, key: Option<(Text<'s>, Place, bool)> },
}

struct Builder<'s, 'r> {
    file: u32,
    text: &'s str,
    report: &'r mut Report,
    stack: Vec<Frame<'s>>,
    anchors: HashMap<usize, (Node<'s>, Cost)>,
    root: Option<Node<'s>>,
    left: Cost,
}

impl<'s, 'r> Builder<'s, 'r> {
    fn new(file: u32, text: &'s str, report: &'r mut Report) -> Self {
        let length = text.len() as u64;
        let left = Cost {
            depth: MAX_DEPTH,
            nodes: ALIAS_NODES.saturating_add(length / 2),
            bytes: ALIAS_BYTES.saturating_add(length.saturating_mul(8)),
        };
        Self { file, text, report, stack: Vec::new(), anchors: HashMap::new(), root: None, left }
    }

    fn run(mut self, parser: Parser<'s, StrInput<'s>>) -> Result<Option<Node<'s>>, Fault> {
        let (mut documents, mut read) = (0, 0);
        for next in parser {
            let (event, span) =
                next.map_err(|error| syntax::fault(self.file, self.text, read, self.open_bracket(), &error))?;
            let place = self.place(&span);
            read = read.max(place.end as usize);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return fault(place, "a second document begins here; a file holds one", None);
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(place, text, style, anchor, tag.as_deref())?
                }
                Event::SequenceStart(_, anchor, tag) => {
                    check_tag(place, tag.as_deref(), "seq")?;
                    self.open(place, anchor, Open::Sequence(Vec::new()))?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    check_tag(place, tag.as_deref(), "map")?;
                    self.open(
                        place,
                        anchor,
                        Open::Mapping { entries: Vec::new(), merges: Vec::new(), key: None },
                    )?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(place)?,
                Event::Alias(id) => self.alias(place, id)?,
                _ => {}
            }
        }
        Ok(self.root)
    }

    /// Where the innermost `{` or `[` stands that is open.
    fn open_bracket(&self) -> Option<usize> {
        let starts = self.stack.iter().rev().map(|frame| frame.place.start as usize);
        starts
            .into_iter()
            .find(|start| self.text.get(*start..).is_some_and(|text| text.starts_with(['{', '['])))
    }

    fn place(&self, span: &Span) -> Place {
        let offset = |bytes: Option<usize>| bytes.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0);
        Place {
            file: self.file,
            start: offset(span.start.byte_offset()),
            end: offset(span.end.byte_offset()),
        }
    }

    fn scalar(
        &mut self,
        place: Place,
        text: Cow<'s, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), Fault> {
        if text.len() > MAX_SCALAR {
            return fault(place, "a value of more than 1 MiB", None);
        }
        let as_text = match tag {
            None => false,
            Some(tag) => match tag.core_suffix() {
                Some("str") => true,
                Some("bool" | "int" | "float" | "null") => false,
                _ => return unknown_tag(place),
            },
        };
        let plain = matches!(style, ScalarStyle::Plain) && !as_text;
        let cost = Cost { depth: 0, nodes: 1, bytes: text.len() as u64 };
        let text = match text {
            Cow::Borrowed(text) => Text::Borrowed(text),
            Cow::Owned(text) => Text::Shared(text.into()),
        };
        self.finish(Node { place, value: Value::Scalar(Scalar { text, plain }) }, anchor, cost)
    }

    fn open(&mut self, place: Place, anchor: usize, open: Open<'s>) -> Result<(), Fault> {
        if self.stack.len() >= MAX_DEPTH as usize {
            return too_deep(place);
        }
        self.stack.push(Frame { place, anchor, cost: Cost { depth: 0, nodes: 1, bytes: 0 }, open });
        Ok(())
    }

    fn close(&mut self, end: Place) -> Result<(), Fault> {
        let Some(Frame { mut place, anchor, mut cost, open }) = self.stack.pop() else { return Ok(()) };
        place.end = end.end.max(place.end);
        cost.depth += 1;
        let value = match open {
            Open::Sequence(items) => Value::Sequence(items.into()),
            Open::Mapping { entries, merges, .. } => {
                Value::Mapping(merge_keys(distinct(entries, self.report), &merges, self.report).into())
            }
        };
        self.finish(Node { place, value }, anchor, cost)
    }

    fn alias(&mut self, place: Place, id: usize) -> Result<(), Fault> {
        let Some((node, cost)) = self.anchors.get(&id) else {
            return fault(place, "an alias of the value that it stands in", None);
        };
        let (node, cost) = (node.clone(), *cost);
        if self.stack.len() as u64 + u64::from(cost.depth) > u64::from(MAX_DEPTH) {
            return too_deep(place);
        }
        match (self.left.nodes.checked_sub(cost.nodes), self.left.bytes.checked_sub(cost.bytes)) {
            (Some(nodes), Some(bytes)) => self.left = Cost { nodes, bytes, ..self.left },
            _ => return fault(place, "aliases repeat too much: the file would grow without bound", None),
        }
        self.finish(node, 0, cost)
    }

    /// Puts a finished node where it belongs: into the open list or mapping, or at the root.
    fn finish(&mut self, node: Node<'s>, anchor: usize, cost: Cost) -> Result<(), Fault> {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), cost));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.cost.add(cost);
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { entries, merges, key } => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((text, _, true)) if &*text == "<<" => merges.push(node),
                Some((text, place, _)) => entries.push(Entry { key: text, place, node, again: None }),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node<'_>) -> Result<(Text<'_>, Place, bool), Fault> {
    match node.value {
        Value::Scalar(scalar) if scalar.is_null() => {
            fault(node.place, "a key is missing before the `:`", None)
        }
        Value::Scalar(scalar) => Ok((scalar.text, node.place, scalar.plain)),
        _ => fault(node.place, "a list or a mapping cannot be a key", Some(BRACES_HINT)),
    }
}

/// Reports every key that stands a second time; the first one counts.
fn distinct<'s>(entries: Vec<Entry<'s>>, report: &mut Report) -> Vec<Entry<'s>> {
    let repeated: Vec<(usize, usize)> = if entries.len() <= 8 {
        let first =
            |index: usize| entries[..index].iter().position(|entry| *entry.key == *entries[index].key);
        (0..entries.len()).filter_map(|index| first(index).map(|first| (index, first))).collect()
    } else {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
        let mut repeated = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match seen.get(&*entry.key) {
                Some(first) => repeated.push((index, *first)),
                None => {
                    seen.insert(&entry.key, index);
                }
            }
        }
        repeated
    };
    if repeated.is_empty() {
        return entries;
    }
    let mut again: HashMap<usize, Vec<(Place, Node<'s>)>> = HashMap::new();
    let mut left: Vec<Option<Entry<'s>>> = entries.into_iter().map(Some).collect();
    for (index, first) in repeated {
        let Some(second) = left[index].take() else { continue };
        if let Some(Some(entry)) = left.get(first) {
            report.error(second.place, "this key stands twice").other(entry.place);
        }
        again.entry(first).or_default().push((second.place, second.node));
    }
    for (first, lost) in again {
        if let Some(Some(entry)) = left.get_mut(first) {
            entry.again = Some(lost.into());
        }
    }
    left.into_iter().flatten().collect()
}

fn check_tag(place: Place, tag: Option<&Tag>, expected: &str) -> Result<(), Fault> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) => unknown_tag(place),
        _ => Ok(()),
    }
}

fn unknown_tag<T>(place: Place) -> Result<T, Fault> {
    fault(
        place,
        "a YAML tag that means nothing here",
        Some("remove the word that begins with `!`, or quote it"),
    )
}

fn too_deep<T>(place: Place) -> Result<T, Fault> {
    fault(place, &format!("nested more than {MAX_DEPTH} levels deep"), None)
}

const BRACES_HINT: &str = "text that begins with `{` or `[` needs quotes, as in \"{{ access_token }}\"";

fn fault<T>(place: Place, message: &str, hint: Option<&'static str>) -> Result<T, Fault> {
    Err(Fault { place, message: message.to_owned(), hint: hint.map(str::to_owned) })
}
