//! Sinks on servers: secrets in Vault, Kubernetes Secrets.

use std::collections::BTreeMap;

use super::scalar::Refusal;
use super::sink::on_remove;
use super::template::{Owner, Templates};
use super::{Fields, Report, vault};
use crate::config::model::{KubernetesSink, KvVersion, OnRemove, Sink, VaultSink};
use crate::config::shape::{KUBERNETES_SINK, VAULT_SINK};
use crate::config::tree::{Place, Value};

/// A secret in Vault, with the place of its path.
pub(super) fn in_vault(
    report: &mut Report,
    sink: &Fields<'_, '_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
) -> Option<(Sink, Place)> {
    let node = sink.node("vault")?;
    if let Value::Scalar(_) = node.value {
        let (mount, path) = sink.parsed(report, "vault", vault::target)?;
        vault::doubt(report, node.place, &path, KvVersion::V2);
        let plain = VaultSink { mount, path, kv: KvVersion::V2, fields: None, on_remove: OnRemove::Keep };
        return Some((Sink::Vault(plain), node.place));
    }
    let fields = sink.section(report, "vault", &VAULT_SINK)?;
    let mount = fields.parsed(report, "mount", vault::place);
    let kv = vault::kv(report, &fields);
    let path = vault::path(report, &fields, "path", kv);
    let written = written(report, &fields, "fields", templates, owner, vault::field_name);
    let on_remove = on_remove(report, &fields);
    let sink = VaultSink { mount: mount?, path: path?, kv, fields: written, on_remove };
    Some((Sink::Vault(sink), fields.place_of("path")))
}

/// A Kubernetes Secret, with the place of its name.
pub(super) fn in_kubernetes(
    report: &mut Report,
    sink: &Fields<'_, '_>,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
    pod_namespace: Option<&str>,
) -> Option<(Sink, Place)> {
    let fields = sink.section(report, "kubernetes", &KUBERNETES_SINK)?;
    let secret = fields.parsed(report, "secret", subdomain);
    let namespace = match fields.has("namespace") {
        true => fields.parsed(report, "namespace", label),
        false => pod_namespace_of(report, &fields, pod_namespace),
    };
    let keys = written(report, &fields, "keys", templates, owner, key);
    let on_remove = on_remove(report, &fields);
    let sink = KubernetesSink { secret: secret?, namespace: namespace?, keys, on_remove };
    Some((Sink::Kubernetes(sink), fields.place_of("secret")))
}

fn pod_namespace_of(report: &mut Report, fields: &Fields<'_, '_>, given: Option<&str>) -> Option<String> {
    const HINT: &str = "add `namespace`, or set `POD_NAMESPACE` from the downward API (`metadata.namespace`)";
    match given.map(label) {
        Some(Ok(namespace)) => Some(namespace),
        Some(Err(_)) => {
            report.error(fields.place, "`$POD_NAMESPACE` is not the name of a namespace").hint(HINT);
            None
        }
        None => {
            report.error(fields.place, "no `namespace`, and `$POD_NAMESPACE` is not set").hint(HINT);
            None
        }
    }
}

/// What is written: a template for each field or key; `None` where nothing is said.
fn written(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    key: &str,
    templates: &mut Templates<'_>,
    owner: Owner<'_>,
    name: impl Fn(&str) -> Result<String, Refusal>,
) -> Option<BTreeMap<String, String>> {
    fields.node(key)?;
    let mut written = BTreeMap::new();
    let errors = report.errors.len();
    for (entry, text) in fields.text_map(report, key) {
        match name(&entry.key) {
            Ok(name) => {
                written.insert(name, text.to_owned());
            }
            Err(Refusal { message, hint }) => {
                let finding = report.error(entry.place, message.unwrap_or_default());
                finding.hint = hint;
            }
        }
        templates.sink(report, &entry.node, text, None, owner);
    }
    if written.is_empty() && report.errors.len() == errors {
        report
            .error(fields.place_of(key), format!("`{key}` is empty: nothing would be written"))
            .hint("leave it out to write the token document's fields");
    }
    Some(written)
}

/// A DNS-1123 label, as Kubernetes checks namespaces.
fn label(text: &str) -> Result<String, Refusal> {
    match is_label(text) && text.len() <= 63 {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("not the name of a namespace")
            .with_hint("1 to 63 of `a-z 0-9 -`, with a letter or a digit at both ends")),
    }
}

/// A DNS-1123 subdomain, as Kubernetes checks the names of Secrets.
fn subdomain(text: &str) -> Result<String, Refusal> {
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("not the name of a Secret").with_hint(
            "1 to 253 of `a-z 0-9 - .`, with a letter or a digit at both ends and around each `.`",
        )),
    }
}

fn is_label(text: &str) -> bool {
    let end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    end(bytes.first())
        && end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// A key of a Secret's data, as Kubernetes checks it.
fn key(text: &str) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let reserved = text == "." || text.starts_with("..");
    match !text.is_empty() && text.len() <= 253 && text.bytes().all(fits) && !reserved {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("not a key of a Secret")
            .with_hint("1 to 253 of `A-Z a-z 0-9 - _ .`, neither `.` nor beginning with `..`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_as_kubernetes_does() {
        let long = "a".repeat(64);
        for good in ["a", "0", "my-app", "a1-2b"] {
            assert!(label(good).is_ok() && subdomain(good).is_ok() && key(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a b", "가", &long] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(subdomain("a.b-c.d").is_ok() && subdomain(&long).is_ok());
        for bad in ["", ".", "a.", ".a", "a..b", "a.-b", "A.b", "a/b", &"a".repeat(254)] {
            assert!(subdomain(bad).is_err(), "{bad}");
        }
        for good in ["TOKEN", ".dockerconfigjson", "tls.crt", "_", "-"] {
            assert!(key(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..data", "a/b", "a b", &"a".repeat(254)] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
