//! The filters and tests of templates.
//!
//! Each takes text (what is no text counts as JSON) and gives plain text, which is then escaped like any value,
//! except where the filter is the target's own way to write it (`json` in `.json` and `.yaml`, `sh` and `env` in
//! `.env` and `.sh`). They are written here, and not the engine's own, because those keep text that counts as escaped
//! so: `x | sh | replace("'", "")` would take a value's quotes away. `safe`, `debug` and their like are left out.

use std::borrow::Cow;

use base64::Engine;
use minijinja::value::{Rest, Value};
use minijinja::{Environment, Error, ErrorKind, State};
use ring::digest::{SHA256, digest};

use super::escape::{Escape, Refusal, yaml_from_json};
use super::template::{json, quote, refuse, target, text_of};

pub(super) fn add(engine: &mut Environment<'static>, escape: Escape) {
    engine.add_filter("b64encode", |value: Value| {
        Ok::<_, Error>(base64::engine::general_purpose::STANDARD.encode(text_of(&value)?.as_bytes()))
    });
    engine.add_filter("sha256", |value: Value| {
        let hash = digest(&SHA256, text_of(&value)?.as_bytes());
        Ok::<_, Error>(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    engine.add_filter("json", move |state: &State<'_, '_>, value: Value| {
        let text = json(&value)?;
        Ok::<_, Error>(match target(escape, state) {
            Escape::Json => Value::from_safe_string(text),
            Escape::Yaml => Value::from_safe_string(yaml_from_json(&text)),
            Escape::Text | Escape::Env | Escape::Shell => Value::from(text),
        })
    });
    engine.add_filter("sh", move |state: &State<'_, '_>, value: Value| {
        quote_for(Escape::Shell, target(escape, state), &value)
    });
    engine.add_filter("env", move |state: &State<'_, '_>, value: Value| {
        quote_for(Escape::Env, target(escape, state), &value)
    });
    engine.add_filter("datetime", datetime);
    engine.add_filter("upper", |value: Value| Ok::<_, Error>(text_of(&value)?.to_uppercase()));
    engine.add_filter("lower", |value: Value| Ok::<_, Error>(text_of(&value)?.to_lowercase()));
    engine.add_filter("trim", |value: Value| Ok::<_, Error>(text_of(&value)?.trim().to_owned()));
    engine.add_filter("replace", |value: Value, from: Cow<'_, str>, to: Cow<'_, str>| {
        Ok::<_, Error>(text_of(&value)?.replace(&*from, &to))
    });
    engine.add_filter("urlencode", |value: Value| Ok::<_, Error>(urlencode(&text_of(&value)?)));
    engine.add_filter("length", |value: Value| {
        value.len().ok_or_else(|| Error::from(ErrorKind::InvalidOperation))
    });
    engine.add_filter("join", join);
    engine.add_filter("default", |value: Value, other: Rest<Value>| {
        if value.is_undefined() { other.first().cloned().unwrap_or_else(|| Value::from("")) } else { value }
    });
    engine.add_test("defined", |value: Value| !value.is_undefined());
    engine.add_test("undefined", |value: Value| value.is_undefined());
    engine.add_test("none", |value: Value| value.is_none());
}

/// `sh` and `env`: quoted, and final where that is how the target (or a target without a way of its own) writes it.
fn quote_for(filter: Escape, target: Escape, value: &Value) -> Result<Value, Error> {
    let text = text_of(value)?;
    Ok(match target {
        // Of the two only a shell script can hold a line break within quotes.
        Escape::Shell => Value::from_safe_string(quote(filter, &text)?),
        Escape::Env => Value::from_safe_string(quote(Escape::Env, &text)?),
        Escape::Text => {
            quote(Escape::Text, &text)?;
            Value::from_safe_string(quote(filter, &text)?)
        }
        Escape::Json | Escape::Yaml => Value::from(quote(filter, &text)?),
    })
}

fn join(values: Value, separator: Option<Cow<'_, str>>) -> Result<String, Error> {
    let mut parts = Vec::new();
    for value in values.try_iter()? {
        parts.push(text_of(&value)?.into_owned());
    }
    Ok(parts.join(separator.as_deref().unwrap_or_default()))
}

/// All but RFC 3986's unreserved characters, as in a component of a query.
fn urlencode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn datetime(value: Value, format: Option<&str>, timezone: Option<&str>) -> Result<String, Error> {
    let instant = match value.as_i64() {
        Some(seconds) => jiff::Timestamp::from_second(seconds).ok(),
        None => value.as_str().and_then(|text| text.parse().ok()),
    };
    let instant: jiff::Timestamp = instant.ok_or_else(|| refuse(Refusal::NotATime))?;
    let zoned = instant.in_tz(timezone.unwrap_or("UTC")).map_err(|_| refuse(Refusal::UnknownZone))?;
    let format = format.unwrap_or("%Y-%m-%dT%H:%M:%S%:z");
    jiff::fmt::strtime::format(format, &zoned).map_err(|_| refuse(Refusal::BadFormat))
}
