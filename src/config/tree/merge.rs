//! `<<:` and `defaults:`: what a mapping takes from another.

use std::collections::HashSet;

use super::{Entry, Node, Value};
use crate::config::decode::Report;

/// Adds what the values of `<<` have and the mapping has not; of several the first counts.
pub(super) fn merge_keys<'s>(
    mut entries: Vec<Entry<'s>>,
    merges: &[Node<'s>],
    report: &mut Report,
) -> Vec<Entry<'s>> {
    for merge in merges {
        match &merge.value {
            Value::Mapping(from) => add_missing(&mut entries, from),
            Value::Sequence(list) => {
                for item in list.iter() {
                    match &item.value {
                        Value::Mapping(from) => add_missing(&mut entries, from),
                        _ => {
                            report.error(item.place, "`<<` merges mappings only");
                        }
                    }
                }
            }
            Value::Scalar(_) => {
                report.error(merge.place, "`<<` merges mappings only");
            }
        }
    }
    entries
}

/// `over` on top of `under`: keys of both are merged where both are mappings and `levels` are left, else `over` wins.
pub(crate) fn overlay<'s>(under: &Node<'s>, over: &Node<'s>, levels: u32) -> Node<'s> {
    let (Value::Mapping(below), Value::Mapping(above)) = (&under.value, &over.value) else {
        return over.clone();
    };
    let mut entries: Vec<Entry<'s>> = above.to_vec();
    if levels > 1 {
        for entry in &mut entries {
            if let Some(lower) = below.iter().find(|lower| *lower.key == *entry.key) {
                entry.node = overlay(&lower.node, &entry.node, levels - 1);
            }
        }
    }
    add_missing(&mut entries, below);
    Node { place: over.place, value: Value::Mapping(entries.into()) }
}

fn add_missing<'s>(entries: &mut Vec<Entry<'s>>, from: &[Entry<'s>]) {
    if entries.len().saturating_mul(from.len()) <= 256 {
        for entry in from {
            if entries.iter().all(|own| *own.key != *entry.key) {
                entries.push(entry.clone());
            }
        }
        return;
    }
    let missing: Vec<Entry<'s>> = {
        let own: HashSet<&str> = entries.iter().map(|entry| &*entry.key).collect();
        from.iter().filter(|entry| !own.contains(&*entry.key)).cloned().collect()
    };
    entries.extend(missing);
}
