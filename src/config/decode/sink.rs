//! `sinks:` of an account.

use std::path::Path;

use super::template::Templates;
use super::{Fields, Report, paths, scalar};
use crate::config::model::{Content, FileSink, OnRemove, Sink, WhenExpired, WriteMode};
use crate::config::shape::{FILE, SINK};
use crate::config::tree::{Node, Place, Value};

/// Where the token goes, each with the place of its path.
pub(super) fn sinks(
    report: &mut Report,
    account: &Fields<'_, '_>,
    templates: &mut Templates,
) -> Vec<(Sink, Place)> {
    let Some(node) = account.node("sinks") else { return Vec::new() };
    let Some(items) = node.items() else {
        report
            .error(node.place, format!("expected a list, found {}", node.what()))
            .hint("write each sink as an item: `- file: /run/renewd/NAME.token`");
        return Vec::new();
    };
    items.iter().filter_map(|item| sink(report, item, templates)).collect()
}

fn sink(report: &mut Report, item: &Node<'_>, templates: &mut Templates) -> Option<(Sink, Place)> {
    if item.scalar().is_some() {
        report
            .error(item.place, format!("expected a mapping, found {}", item.what()))
            .hint("write `- file: PATH`");
        return None;
    }
    let errors = report.errors.len();
    let fields = Fields::read(report, &SINK, item, item.place)?;
    let Some(entry) = fields.entry("file") else {
        if report.errors.len() == errors {
            report.error(item.place, "a sink without a target").hint("write `- file: PATH`");
        }
        return None;
    };
    if item.entries().is_some_and(|entries| entries.len() > 1) && report.errors.len() == errors {
        report.error(item.place, "a sink has exactly one target");
    }
    match &entry.node.value {
        Value::Scalar(_) => {
            let path = fields.parsed(report, "file", paths::absolute)?;
            let sink = FileSink {
                path,
                content: Content::Token,
                mode: PRIVATE,
                owner: None,
                group: None,
                write: WriteMode::Replace,
                when_expired: WhenExpired::Keep,
                on_remove: OnRemove::Keep,
            };
            Some((Sink::File(sink), entry.node.place))
        }
        Value::Mapping(_) => {
            let fields = fields.section(report, "file", &FILE)?;
            let place = fields.place_of("path");
            file(report, &fields, templates).map(|sink| (Sink::File(sink), place))
        }
        Value::Sequence(_) => {
            report.error(entry.node.place, "expected a path or a mapping, found a list");
            None
        }
    }
}

const PRIVATE: u32 = 0o600;

fn file(report: &mut Report, fields: &Fields<'_, '_>, templates: &mut Templates) -> Option<FileSink> {
    let path = fields.parsed(report, "path", paths::absolute);
    let content = content(report, fields, path.as_deref(), templates);
    let mode = mode(report, fields);
    let write = fields
        .choice(report, "write", &[("replace", WriteMode::Replace), ("in-place", WriteMode::InPlace)])
        .unwrap_or(WriteMode::Replace);
    if write == WriteMode::InPlace {
        report
            .warn(
                fields.place_of("write"),
                "an in-place file cannot promise whole reads: a reader may see half a token",
            )
            .hint("use `replace` unless the file itself is a mount point");
    }
    let sink = FileSink {
        path: path?,
        content,
        mode,
        owner: fields.parsed(report, "owner", scalar::principal),
        group: fields.parsed(report, "group", scalar::principal),
        write,
        when_expired: fields
            .choice(report, "when_expired", &[("keep", WhenExpired::Keep), ("remove", WhenExpired::Remove)])
            .unwrap_or(WhenExpired::Keep),
        on_remove: fields
            .choice(report, "on_remove", &[("keep", OnRemove::Keep), ("delete", OnRemove::Delete)])
            .unwrap_or(OnRemove::Keep),
    };
    Some(sink)
}

fn content(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    path: Option<&Path>,
    templates: &mut Templates,
) -> Content {
    const WORDS: [(&str, &Content); 3] =
        [("token", &Content::Token), ("header", &Content::Header), ("json", &Content::Json)];
    let choice = fields.choice(report, "content", &WORDS);
    let template = fields.parsed(report, "template", |text| templates.sink(text).map(|()| text.to_owned()));
    if fields.has("content") && fields.has("template") {
        report.error(fields.place_of("template"), "give `content` or `template`, not both");
    }
    if let (Some(template), Some(path)) = (&template, path)
        && path.extension().is_some_and(|extension| extension == "env")
        && template.contains("\"{{")
    {
        report
            .warn(
                fields.place_of("template"),
                "quotes around a value that brings its own where it needs them",
            )
            .hint("in `.env` files write NAME={{ access_token }} without quotes");
    }
    match template {
        Some(template) => Content::Template(template),
        None => choice.cloned().unwrap_or(Content::Token),
    }
}

fn mode(report: &mut Report, fields: &Fields<'_, '_>) -> u32 {
    let Some(mode) = fields.parsed(report, "mode", scalar::mode) else { return PRIVATE };
    let place = fields.place_of("mode");
    if mode & 0o002 != 0 {
        report
            .error(place, "anyone on this machine could replace the token")
            .hint("use \"0640\" and a group");
    } else if mode & 0o004 != 0 {
        report.warn(place, "anyone on this machine can read the token").hint("use \"0640\" and a group");
    }
    mode
}
