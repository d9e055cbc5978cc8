//! Renders a definition's request. Pure: nonce, time and key come in. A field whose value comes out empty is left out,
//! so that one definition serves, say, both ways of OAuth client authentication.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use reqwest::Method;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use serde_json::Value;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::errors::Failure;
use super::json;
use crate::config::definition::{self, Basic, Body, Definition, Request};
use crate::domain::{Secret, Timestamp};

const AGENT: &str = concat!("renewd/", env!("CARGO_PKG_VERSION"));
const JSON: &str = "application/json; charset=utf-8";
const FORM: &str = "application/x-www-form-urlencoded";

/// What templates may name.
pub(super) struct Scope<'a> {
    pub(super) definition: &'a Definition,
    pub(super) credentials: &'a BTreeMap<String, Secret>,
    pub(super) params: &'a BTreeMap<String, String>,
    /// Empty where there is none.
    pub(super) base_url: &'a str,
    pub(super) environment: &'a str,
    pub(super) refresh_token: Option<&'a Secret>,
    pub(super) access_token: Option<&'a Secret>,
    pub(super) idempotency_key: &'a str,
    pub(super) nonce: &'a str,
    pub(super) uuid: &'a str,
    pub(super) now: Timestamp,
}

/// A request ready to be sent; full of secrets, hence without `Debug`.
pub(super) struct Rendered {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// `None` where the request has none.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

type Text = Zeroizing<String>;

/// Renders `request` for `url`, which the configuration has already made from base URL and params.
///
/// # Errors
/// A `config` failure where a template names something unknown, or a value cannot stand where it should.
pub(super) fn render(request: &Request, url: &Url, scope: &Scope<'_>) -> Result<Rendered, Failure> {
    let renderer = Renderer { scope, context: OnceCell::new() };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let body = renderer.body(&request.body, request.method, &mut headers)?;
    if let Some(basic) = &request.basic
        && let Some(value) = renderer.basic(basic)?
    {
        headers.insert(AUTHORIZATION, header_value("Authorization", &value)?);
    }
    for (name, value) in renderer.fields(&request.headers)? {
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::config(format!("`{name}` is no header name")))?;
        if scope.refresh_token.is_some_and(|token| is_worn(token.expose())) && is_worn(&value) {
            return Err(Failure::config(format!(
                "header `{name}` cannot hold the refresh token: the spaces at its ends get lost on the way"
            )));
        }
        headers.insert(key, header_value(name, &value)?);
    }
    let method = match request.method {
        definition::Method::Get => Method::GET,
        definition::Method::Post => Method::POST,
        definition::Method::Put => Method::PUT,
    };
    Ok(Rendered { method, url: renderer.url(url, &request.query)?, headers, body })
}

struct Renderer<'a> {
    scope: &'a Scope<'a>,
    /// Made only for templates that are more than one name, because its copies of secrets cannot be wiped.
    context: OnceCell<minijinja::Value>,
}

impl Renderer<'_> {
    fn body(
        &self,
        body: &Body,
        method: definition::Method,
        headers: &mut HeaderMap,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match body {
            Body::Empty => {
                // RFC 9110 section 8.6 wants it of a POST, some servers insist (411), hyper leaves it out.
                if method != definition::Method::Get {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                Ok(None)
            }
            Body::Form(fields) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
                Ok(Some(Zeroizing::new(form(&self.fields(fields)?).into_bytes())))
            }
            Body::Json(template) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
                let mut value =
                    self.json("json", template)?.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
                // Room enough that growing leaves no copies behind.
                let mut bytes = Zeroizing::new(Vec::with_capacity(4 * 1024));
                let written = serde_json::to_writer(&mut *bytes, &value);
                json::wipe(&mut value);
                written.map_err(|_| Failure::config("the request's JSON cannot be written"))?;
                Ok(Some(bytes))
            }
        }
    }

    /// `None` where it comes out empty.
    fn json(&self, field: &str, template: &Value) -> Result<Option<Value>, Failure> {
        Ok(Some(match template {
            Value::String(template) => match self.text(field, template)? {
                text if text.is_empty() => return Ok(None),
                text => Value::String(text.as_str().to_owned()),
            },
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.json(field, item).transpose());
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().filter_map(|(name, value)| {
                    self.json(name, value).map(|value| value.map(|value| (name.clone(), value))).transpose()
                });
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
            plain => plain.clone(),
        }))
    }

    /// RFC 7617; with RFC 6749 section 2.3.1's form encoding where the definition wants that.
    fn basic(&self, basic: &Basic) -> Result<Option<Text>, Failure> {
        let encode = |text: Text| {
            if basic.form_encoded {
                Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>())
            } else {
                text
            }
        };
        let username = encode(self.text("basic.username", &basic.username)?);
        if username.is_empty() {
            return Ok(None);
        }
        if username.contains(':') {
            return Err(Failure::config(
                "the Basic username holds a colon, which would end it (RFC 7617 section 2)",
            ));
        }
        let password = encode(self.text("basic.password", &basic.password)?);
        let pair = Zeroizing::new([username.as_str(), password.as_str()].join(":"));
        let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
        Ok(Some(Zeroizing::new(["Basic ", encoded.as_str()].concat())))
    }

    fn url(&self, url: &Url, query: &[(String, String)]) -> Result<Url, Failure> {
        let mut url = url.clone();
        let fields = self.fields(query)?;
        if !fields.is_empty() {
            url.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name, value.as_str())));
        }
        Ok(url)
    }

    fn fields<'t>(&self, templates: &'t [(String, String)]) -> Result<Vec<(&'t str, Text)>, Failure> {
        let mut fields = Vec::with_capacity(templates.len());
        for (name, template) in templates {
            let value = self.text(name, template)?;
            if !value.is_empty() {
                fields.push((name.as_str(), value));
            }
        }
        Ok(fields)
    }

    fn text(&self, field: &str, template: &str) -> Result<Text, Failure> {
        if !["{{", "{%", "{#"].iter().any(|mark| template.contains(mark)) {
            return Ok(Zeroizing::new(template.to_owned()));
        }
        if let Some(value) = sole_name(template).and_then(|name| self.scope.value(name)) {
            return Ok(Zeroizing::new(value.to_owned()));
        }
        let context = self.context.get_or_init(|| self.scope.context());
        let rendered = JINJA.template_from_str(template).and_then(|template| template.render(context));
        // The error's own text may quote values.
        rendered.map(Zeroizing::new).map_err(|error| {
            let why = match error.kind() {
                ErrorKind::UndefinedError => "names something that is not there",
                ErrorKind::SyntaxError => "is no valid template",
                _ => "cannot be rendered",
            };
            Failure::config(format!("the definition's request field `{field}` {why}"))
        })
    }
}

impl<'a> Scope<'a> {
    /// What a plain name stands for; `None` leaves it to the template engine and its words.
    fn value(&self, name: &str) -> Option<&'a str> {
        match name.split_once('.') {
            Some(("credentials", name)) => self.credential(name),
            Some(("params", name)) => self.params.get(name).map(String::as_str),
            Some(_) => None,
            None => match name {
                "refresh_token" => Some(self.refresh_token.map_or("", Secret::expose)),
                "access_token" => Some(self.access_token.map_or("", Secret::expose)),
                "base_url" => Some(self.base_url),
                "environment" => Some(self.environment),
                "idempotency_key" => Some(self.idempotency_key),
                "nonce" => Some(self.nonce),
                "uuid" => Some(self.uuid),
                _ => None,
            },
        }
    }

    /// Empty where it is optional and not given.
    fn credential(&self, name: &str) -> Option<&'a str> {
        let given = self.credentials.get(name).map(Secret::expose);
        given.or_else(|| self.definition.credential(name).map(|_| ""))
    }

    fn context(&self) -> minijinja::Value {
        use minijinja::Value;
        let declared = self.definition.credentials.iter().map(|credential| credential.name.as_str());
        let names = declared.chain(self.credentials.keys().map(String::as_str));
        let credentials = names.map(|name| (name, self.credential(name).unwrap_or_default()));
        let params = self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let plain =
            ["refresh_token", "access_token", "base_url", "environment", "idempotency_key", "nonce", "uuid"];
        let plain = plain.map(|name| (name, Value::from(self.value(name).unwrap_or_default())));
        Value::from_pairs(plain.into_iter().chain([
            ("credentials", Value::from_pairs(credentials)),
            ("params", Value::from_pairs(params)),
            ("now_unix", Value::from(self.now.as_secs())),
            ("now_millis", Value::from(self.now.as_millis())),
        ]))
    }
}

/// The name in `{{ name }}`, which needs no engine and leaves no copies.
fn sole_name(template: &str) -> Option<&str> {
    let name = template.strip_prefix("{{")?.strip_suffix("}}")?.trim_matches(' ');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    name.bytes().all(plain).then_some(name)
}

fn form(fields: &[(&str, Text)]) -> String {
    let room = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
    form.extend_pairs(fields.iter().map(|(name, value)| (name, value.as_str())));
    form.finish()
}

/// Whether it begins or ends with what no header's value keeps there.
fn is_worn(value: &str) -> bool {
    value.starts_with([' ', '\t']) || value.ends_with([' ', '\t'])
}

/// Refuses what would begin another header: line ends, other controls, and anything outside of ASCII.
fn header_value(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    // http itself would let bytes beyond ASCII pass.
    let valid =
        Some(value).filter(|value| value.is_ascii()).and_then(|value| HeaderValue::from_str(value).ok());
    let mut value = valid.ok_or_else(|| {
        Failure::config(format!(
            "header `{name}` would hold a line end or another character that no header may"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Strict about unknown names; values go in as they are.
static JINJA: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_debug(false); // else errors carry values, in debug builds
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(100_000));
    environment
});

#[cfg(test)]
mod tests;
