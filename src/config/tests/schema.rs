//! The JSON Schema takes every example. Patterns are left out: they would need an engine of their own.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::config::decode::Report;
use crate::config::schema;
use crate::config::tree::{Node, Scalar, Value, parse};

#[test]
fn the_schema_takes_every_example() {
    let schema = schema();
    let mut found = Vec::new();
    yaml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"), &mut found);
    let mut taken = 0;
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.starts_with("# fragment") || text.lines().any(|line| line.starts_with("apiVersion")) {
            continue;
        }
        let root = parse(0, &text, &mut Report::default()).unwrap();
        taken += 1;
        assert_eq!(refusal(&root, &schema, &schema), None, "{}", path.display());
    }
    assert!(taken >= 18, "{taken}");
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let schema = schema();
    for text in [
        "agent: {}",
        "accounts: []",
        "accounts: { a: { provider: x, sinks: [{ vault: [] }] } }",
        "accounts: { a: { provider: x, on_change: [{ signal: { signal: HUP } }] } }",
        "accounts: { a: { provider: x, verify: { expect: [200] } } }",
        "accounts: {}\nvault: { address: \"https://v\" }",
        "accounts: {}\ntemplates: [{ path: /x, inlin: y }]",
        "accounts: {}\ntemplates: [{ directory: /x, files: { a: [] } }]",
    ] {
        let root = parse(0, text, &mut Report::default()).unwrap();
        assert!(refusal(&root, &schema, &schema).is_some(), "{text}");
    }
}

fn yaml_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => yaml_files(&path, found),
            false if path.extension().is_some_and(|ending| ending == "yaml") => found.push(path),
            false => {}
        }
    }
}

/// What the schema has against the node, with the keys that lead there.
fn refusal(node: &Node<'_>, schema: &Json, root: &Json) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return refusal(node, &root["$defs"][name.trim_start_matches("#/$defs/")], root);
    }
    if schema == &Json::Bool(false) {
        return Some("nothing may stand here".to_owned());
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let refusals: Vec<String> = any.iter().map_while(|one| refusal(node, one, root)).collect();
        return (refusals.len() == any.len()).then(|| refusals.join(", and "));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Json::String(kind) => vec![kind],
        Json::Array(kinds) => kinds.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let kind = kind(node);
    let fits = kinds.is_empty() || kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    if !fits {
        return Some(format!("{kind} where {kinds:?} is meant"));
    }
    match &node.value {
        Value::Scalar(scalar) => scalar_refusal(scalar, schema),
        Value::Sequence(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("[{index}]: {}", refusal(item, &schema["items"], root)?))),
        Value::Mapping(entries) => {
            let missing = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
            if let Some(key) = missing.into_iter().find(|key| node.entry(key).is_none()) {
                return Some(format!("`{key}` is missing"));
            }
            entries.iter().find_map(|entry| {
                let own = schema["properties"].get(&*entry.key).unwrap_or(&schema["additionalProperties"]);
                Some(format!(".{}: {}", &*entry.key, refusal(&entry.node, own, root)?))
            })
        }
    }
}

fn scalar_refusal(scalar: &Scalar<'_>, schema: &Json) -> Option<String> {
    if let Some(words) = schema["enum"].as_array() {
        let known = words.iter().any(|word| word.as_str() == Some(&scalar.text));
        return (!known).then(|| format!("`{}` is none of {words:?}", &*scalar.text));
    }
    let (least, most) = (schema["minimum"].as_i64()?, schema["maximum"].as_i64()?);
    let number: i64 = scalar.text.parse().ok()?;
    (number < least || number > most).then(|| format!("{number} is not from {least} to {most}"))
}

/// The JSON type that a YAML reader takes the node for.
fn kind(node: &Node<'_>) -> &'static str {
    match &node.value {
        Value::Sequence(_) => "array",
        Value::Mapping(_) => "object",
        Value::Scalar(scalar) if scalar.is_null() => "null",
        Value::Scalar(scalar) if !scalar.plain => "string",
        Value::Scalar(scalar) if matches!(&*scalar.text, "true" | "false") => "boolean",
        Value::Scalar(scalar) if scalar.text.parse::<i64>().is_ok() => "integer",
        Value::Scalar(scalar) if scalar.text.parse::<f64>().is_ok() => "number",
        Value::Scalar(_) => "string",
    }
}
