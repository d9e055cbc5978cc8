//! The tables as JSON Schema, for editors.

use serde_json::{Map, Value, json};

use super::shape::{self, Field, Json, Kind, MAIN, SECRET, ScalarKind, Shape};

/// JSON Schema (draft 2020-12) of the main file.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for section in shape::all().iter().filter(|section| !std::ptr::eq(**section, &raw const MAIN)) {
        definitions.insert(name(section), object(section));
    }
    definitions.insert("secret".to_owned(), secret());
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("renewd configuration"));
    if let Value::Object(main) = object(&MAIN) {
        schema.extend(main);
    }
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

fn name(section: &Shape) -> String {
    section.name.to_owned()
}

fn object(section: &Shape) -> Value {
    let known = || section.fields.iter().filter(|field| !matches!(field.kind, Kind::Refused(_)));
    let properties: Map<String, Value> =
        known().map(|field| (field.key.to_owned(), property(field))).collect();
    let required: Vec<&str> = known().filter(|field| field.required).map(|field| field.key).collect();
    let mut object = json!({
        "type": "object",
        "description": section.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn property(field: &Field) -> Value {
    let mut value = of(&field.kind);
    if let Value::Object(value) = &mut value {
        let description = match field.default {
            "" => field.doc.to_owned(),
            default => format!("{} Default: {default}.", field.doc),
        };
        value.insert("description".to_owned(), json!(description));
    }
    value
}

fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Scalar(kind) => scalar(kind),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Secret => json!({ "$ref": "#/$defs/secret" }),
        Kind::Section(section) => json!({ "$ref": format!("#/$defs/{}", section.name) }),
        Kind::Map(_, value) => json!({ "type": "object", "additionalProperties": of(value) }),
        Kind::List(item) => json!({ "type": "array", "items": of(item) }),
        Kind::OneOrList(item) => {
            json!({ "anyOf": [of(item), { "type": "array", "items": of(item), "minItems": 1 }] })
        }
        Kind::Either(kinds) => json!({ "anyOf": kinds.iter().map(of).collect::<Vec<_>>() }),
        Kind::Json => json!({}),
        Kind::Refused(_) => json!(false),
    }
}

fn scalar(kind: &ScalarKind) -> Value {
    match kind.json {
        Json::Text => json!({ "type": ["string", "number", "boolean"] }),
        Json::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Json::Number(pattern) => json!({ "type": ["string", "integer"], "pattern": pattern }),
        Json::Integer(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Json::Bool => json!({ "type": "boolean" }),
    }
}

fn secret() -> Value {
    let mut long = object(&SECRET);
    long["minProperties"] = json!(1);
    long["maxProperties"] = json!(1);
    json!({ "description": SECRET.doc, "anyOf": [{ "type": ["string", "number", "boolean"] }, long] })
}

#[cfg(test)]
mod tests {
    use super::schema;

    #[test]
    fn every_reference_leads_somewhere() {
        let schema = schema();
        let text = schema.to_string();
        let names = text.split("#/$defs/").skip(1).filter_map(|rest| rest.split('"').next());
        for name in names {
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_schema_knows_the_contract_and_nothing_that_is_refused() {
        let schema = schema();
        assert_eq!(schema["required"], serde_json::json!(["accounts"]));
        assert_eq!(schema["properties"]["accounts"]["additionalProperties"]["$ref"], "#/$defs/accounts.NAME");
        assert_eq!(schema["$defs"]["accounts.NAME"]["required"], serde_json::json!(["provider"]));
        assert!(schema["$defs"]["agent"]["properties"].get("audit").is_some());
    }
}
