//! Replies as JSON: parsed with an eye on duplicate keys, read by RFC 6901 pointers, wiped when dropped.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use zeroize::Zeroize;

use crate::config::definition::Unit;

/// A reply's body. Its strings are cleared from memory when it is dropped.
pub(super) struct Document {
    root: Value,
    /// Some object names a key twice. RFC 8259 section 4 leaves open which of the two counts, so two readers of one
    /// reply could see two tokens.
    pub(super) duplicate_keys: bool,
}

/// Why a body is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotJson {
    Empty,
    Markup,
    Truncated,
    Other,
}

/// Parses a body. At most 128 levels (serde_json's own bound); a byte order mark is skipped (RFC 8259 section 8.1).
pub(super) fn parse(body: &[u8]) -> Result<Document, NotJson> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let duplicates = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let parsed = Strict { duplicates: &duplicates }.deserialize(&mut deserializer);
    match parsed.and_then(|root| deserializer.end().map(|()| root)) {
        Ok(root) => Ok(Document { root, duplicate_keys: duplicates.get() }),
        Err(error) => Err(match body.trim_ascii_start().first() {
            None => NotJson::Empty,
            Some(b'<') => NotJson::Markup,
            Some(_) if error.is_eof() => NotJson::Truncated,
            Some(_) => NotJson::Other,
        }),
    }
}

impl Document {
    /// The value at a pointer; `None` where it is absent or null.
    pub(super) fn at(&self, pointer: &str) -> Option<&Value> {
        self.root.pointer(pointer).filter(|value| !value.is_null())
    }

    /// The first of the pointers that leads to something.
    pub(super) fn first<'a>(&'a self, pointers: &[String]) -> Option<&'a Value> {
        pointers.iter().find_map(|pointer| self.at(pointer))
    }

    /// The scalar at a pointer, as text.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        self.at(pointer).and_then(text)
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(&mut self.root);
    }
}

impl NotJson {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Empty => "the reply is empty",
            Self::Markup => "the reply is HTML, not JSON",
            Self::Truncated => "the reply is JSON that breaks off",
            Self::Other => "the reply is not JSON",
        }
    }
}

/// A scalar as text, so that `200`, `200.0` and `"200"` compare equal; `None` for null, arrays and objects.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                format!("{float:.0}")
            }
            _ => number.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number, or a number in a string, as milliseconds; saturating, `None` where it is no number.
pub(super) fn millis(value: &Value, unit: Unit) -> Option<i128> {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), ..) => Some(whole_millis(whole.into(), unit)),
            (_, Some(whole), _) => Some(whole_millis(whole.into(), unit)),
            (.., Some(float)) => float_millis(float, unit),
            _ => None,
        },
        Value::String(text) => number_text_millis(text.trim_ascii(), unit),
        _ => None,
    }
}

/// As [`millis`], of a decimal text: an optional sign, digits, at most one point.
pub(super) fn number_text_millis(text: &str, unit: Unit) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let decimal = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !decimal {
        return None;
    }
    match text.parse::<i128>() {
        Ok(whole) => Some(whole_millis(whole, unit)),
        Err(_) => float_millis(text.parse().ok()?, unit),
    }
}

fn whole_millis(whole: i128, unit: Unit) -> i128 {
    match unit {
        Unit::Seconds => whole.saturating_mul(1000),
        Unit::Millis => whole,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and what is that large is implausible anyway"
)]
fn float_millis(float: f64, unit: Unit) -> Option<i128> {
    let factor = match unit {
        Unit::Seconds => 1000.0,
        Unit::Millis => 1.0,
    };
    float.is_finite().then_some((float * factor) as i128)
}

/// Clears every string.
pub(super) fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Builds a [`Value`] as serde_json does (the last of equal keys wins) and takes note of equal keys.
#[derive(Clone, Copy)]
struct Strict<'a> {
    duplicates: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if let Some(mut earlier) = object.insert(key, fields.next_value_seed(self)?) {
                self.duplicates.set(true);
                wipe(&mut earlier);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicate_keys_are_noticed_at_any_depth() {
        for (body, duplicates) in [
            (r#"{"a": 1, "b": {"a": 2}}"#, false),
            (r#"{"a": 1, "a": 1}"#, true),
            (r#"{"x": [{"a": 1, "\u0061": 2}]}"#, true),
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap().duplicate_keys, duplicates, "{body}");
        }
    }

    #[test]
    fn what_is_no_json_is_named() {
        let cases: [(&[u8], NotJson); 7] = [
            (b"", NotJson::Empty),
            (b" \r\n", NotJson::Empty),
            (b"<html>", NotJson::Markup),
            (b"{\"a\": ", NotJson::Truncated),
            (b"{} {}", NotJson::Other),
            (b"\xff\xfe", NotJson::Other),
            (b"ok", NotJson::Other),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(body).err(), Some(expected), "{body:?}");
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
        assert!(parse(b"\xef\xbb\xbf{}").is_ok(), "a byte order mark is skipped");
    }

    #[test]
    fn numbers_and_strings_compare_as_text() {
        for (value, expected) in [
            (json!(200), Some("200")),
            (json!(200.0), Some("200")),
            (json!("0000"), Some("0000")),
            (json!(true), Some("true")),
            (json!(1.5), Some("1.5")),
            (json!(null), None),
            (json!([]), None),
        ] {
            assert_eq!(text(&value).as_deref(), expected);
        }
    }

    #[test]
    fn numbers_are_read_from_numbers_and_strings() {
        for (value, expected) in [
            (json!(3600), Some(3_600_000)),
            (json!(3600.0), Some(3_600_000)),
            (json!("3600"), Some(3_600_000)),
            (json!("3600.5"), Some(3_600_500)),
            (json!(-1), Some(-1000)),
            (json!(9_223_372_036_854_775_808_u64), Some(9_223_372_036_854_775_808_000)),
            (json!("1".repeat(400)), None),
            (json!("inf"), None),
            (json!("1e3"), None),
            (json!("+5"), None),
            (json!("soon"), None),
            (json!(""), None),
            (json!(true), None),
        ] {
            assert_eq!(millis(&value, Unit::Seconds), expected, "{value}");
        }
    }
}
