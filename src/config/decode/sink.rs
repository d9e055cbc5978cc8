//! `sinks:` of an account.

use std::path::Path;

use super::template::{Owner, Templates};
use super::{Fields, Report, paths, scalar, server};
use crate::config::model::{Content, FileSink, OnRemove, Sink, WhenExpired, WriteMode};
use crate::config::shape::{FILE, SINK};
use crate::config::tree::{Node, Place, Value};

/// Where the token goes, each with the place of its path or name.
pub(super) fn sinks(
    report: &mut Report,
    account: &Fields<'_, '_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
    pod_namespace: Option<&str>,
) -> Vec<(Sink, Place)> {
    let Some(node) = account.node("sinks") else { return Vec::new() };
    let Some(items) = node.items() else {
        report
            .error(node.place, format!("expected a list, found {}", node.what()))
            .hint("write each sink as an item: `- file: /run/renewd/NAME.token`");
        return Vec::new();
    };
    items.iter().filter_map(|item| sink(report, item, templates, owner, pod_namespace)).collect()
}

fn sink(
    report: &mut Report,
    item: &Node<'_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
    pod_namespace: Option<&str>,
) -> Option<(Sink, Place)> {
    if item.scalar().is_some() {
        report
            .error(item.place, format!("expected a mapping, found {}", item.what()))
            .hint("write `- file: PATH`");
        return None;
    }
    let fields = Fields::read(report, &SINK, item, item.place)?;
    if item.entries().is_some_and(<[_]>::is_empty) {
        report.error(item.place, "a sink without a target").hint("write `- file: PATH`");
        return None;
    }
    match fields.only(report, "a sink has exactly one target")? {
        "file" => file_sink(report, &fields, templates, owner),
        "vault" => server::in_vault(report, &fields, templates, owner),
        _ => server::in_kubernetes(report, &fields, templates, owner, pod_namespace),
    }
}

fn file_sink(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
) -> Option<(Sink, Place)> {
    let entry = fields.entry("file")?;
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
            file(report, &fields, templates, owner).map(|sink| (Sink::File(sink), place))
        }
        Value::Sequence(_) => {
            report.error(entry.node.place, "expected a path or a mapping, found a list");
            None
        }
    }
}

const PRIVATE: u32 = 0o600;

fn file(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
) -> Option<FileSink> {
    let path = fields.parsed(report, "path", paths::absolute);
    let content = content(report, fields, path.as_deref(), templates, owner);
    let mode = mode(report, fields);
    let write = write_mode(report, fields);
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
        on_remove: on_remove(report, fields),
    };
    Some(sink)
}

/// `write:`; a doubtful one is warned of.
pub(super) fn write_mode(report: &mut Report, fields: &Fields<'_, '_>) -> WriteMode {
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
    write
}

/// `on_remove:`.
pub(super) fn on_remove(report: &mut Report, fields: &Fields<'_, '_>) -> OnRemove {
    fields
        .choice(report, "on_remove", &[("keep", OnRemove::Keep), ("delete", OnRemove::Delete)])
        .unwrap_or(OnRemove::Keep)
}

fn content(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    path: Option<&Path>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
) -> Content {
    const WORDS: [(&str, &Content); 3] =
        [("token", &Content::Token), ("header", &Content::Header), ("json", &Content::Json)];
    let is_template = |node: &Node<'_>| node.scalar().is_some_and(|scalar| scalar.text.contains("{{"));
    let choice = match fields.node("content").is_some_and(is_template) {
        true => {
            report
                .error(fields.place_of("content"), "`content` must be one of `token`, `header`, `json`")
                .hint("a text of your own is `template: ...` in its place");
            None
        }
        false => fields.choice(report, "content", &WORDS),
    };
    let template = fields.text(report, "template").filter(|text| {
        let node = fields.node("template");
        node.is_some_and(|node| templates.sink(report, node, text, path, owner))
    });
    if fields.has("content") && fields.has("template") {
        report.error(fields.place_of("template"), "give `content` or `template`, not both");
    }
    if let (Some(template), Some(path)) = (template, path)
        && quotes_twice(path, template).is_some()
    {
        report.warn(fields.place_of("template"), QUOTES_TWICE.0).hint(QUOTES_TWICE.1);
    }
    match template {
        Some(template) => Content::Template(template.to_owned()),
        None => choice.cloned().unwrap_or(Content::Token),
    }
}

/// What is said of [`quotes_twice`], and what to do.
pub(super) const QUOTES_TWICE: (&str, &str) = (
    "quotes around a value that brings its own where it needs them",
    "in `.env` files write NAME={{ access_token }} without quotes",
);

/// Where a template of a `.env` file has quotes around a value.
pub(super) fn quotes_twice(path: &Path, template: &str) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    name.ends_with(".env").then(|| template.find("\"{{"))?
}

/// `mode:`, 0600 unless said; a doubtful one is warned of.
pub(super) fn mode(report: &mut Report, fields: &Fields<'_, '_>) -> u32 {
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
