//! An operation of a definition: what is sent.

use std::time::Duration;

use super::fields::text;
use super::response::response;
use super::scalar::Refusal;
use super::{Fields, Report, template};
use crate::config::definition::{Basic, Body, Credential, Method, Operation, Param, Request};
use crate::config::shape::{BASIC, Kind, REQUEST, RESPONSE};
use crate::config::tree::{Node, Value};

/// What the templates and the replies of a definition may refer to.
pub(super) struct Scope<'a> {
    pub(super) credentials: &'a [Credential],
    pub(super) params: &'a [Param],
    pub(super) life: Option<Duration>,
    /// The definition's own `response`.
    pub(super) common: Option<&'a Fields<'a, 'a>>,
}

/// What templates know beside `credentials.*` and `params.*`.
const VALUES: [&str; 9] = [
    "base_url",
    "environment",
    "refresh_token",
    "access_token",
    "idempotency_key",
    "nonce",
    "uuid",
    "now_unix",
    "now_millis",
];
/// And of these, what a URL may use: hosts are known before anything is sent.
const URL_VALUES: [&str; 2] = ["base_url", "environment"];

/// One call of the token API.
pub(super) fn operation(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    scope: &Scope<'_>,
) -> Option<Operation> {
    let request = fields.section(report, "request", &REQUEST).and_then(|own| request(report, &own, scope));
    let own = fields.section(report, "response", &RESPONSE);
    let reply = response(report, own.as_ref(), scope, fields.place);
    Some(Operation { request: request?, ..reply? })
}

impl Scope<'_> {
    fn check(&self, text: &str) -> Result<(), Refusal> {
        self.names(text, &VALUES, true)
    }

    fn check_url(&self, text: &str) -> Result<(), Refusal> {
        self.names(text, &URL_VALUES, false)
    }

    fn names(&self, text: &str, values: &[&str], credentials: bool) -> Result<(), Refusal> {
        let known = |name: &str| match name.split_once('.') {
            Some(("credentials", inner)) => {
                credentials && self.credentials.iter().any(|one| one.name == inner)
            }
            Some(("params", inner)) => self.params.iter().any(|one| one.name == inner),
            Some(_) => false,
            None => values.contains(&name) || name == "params" || (credentials && name == "credentials"),
        };
        let own =
            self.credentials.iter().filter(|_| credentials).map(|one| format!("credentials.{}", one.name));
        let names: Vec<String> = own
            .chain(self.params.iter().map(|one| format!("params.{}", one.name)))
            .chain(values.iter().map(|value| (*value).to_owned()))
            .collect();
        template::check(text, known, &mut names.iter().map(String::as_str))
    }
}

fn request(report: &mut Report, fields: &Fields<'_, '_>, scope: &Scope<'_>) -> Option<Request> {
    const METHODS: [(&str, Method); 3] = [("GET", Method::Get), ("POST", Method::Post), ("PUT", Method::Put)];
    let method = fields.choice(report, "method", &METHODS).unwrap_or(Method::Post);
    let path =
        fields.parsed(report, "path", |text| match text.starts_with('/') && !text.contains(['#', '\\']) {
            true => scope.check_url(text).map(|()| text.to_owned()),
            false => Err(Refusal::EXPECTED.with_hint("a whole URL is given as `url`")),
        });
    let url = fields.parsed(report, "url", |text| match text.starts_with('/') {
        true => Err(Refusal::because("a path in place of a whole URL").with_hint("give it as `path`")),
        false => scope.check_url(text).map(|()| text.to_owned()),
    });
    if fields.has("path") == fields.has("url") {
        report.error(fields.place, "a request has exactly one of `path` and `url`");
    }
    let basic = fields.section(report, "basic", &BASIC).map(|own| Basic {
        username: value(report, &own, "username", scope),
        password: value(report, &own, "password", scope),
        form_encoded: own.boolean(report, "form_encoded").unwrap_or(false),
    });
    let headers = values(report, fields, "headers", scope);
    check_headers(report, fields);
    let query = values(report, fields, "query", scope);
    let body = body(report, fields, scope, method);
    Some(Request { method, url: path.or(url)?, headers, query, basic, body })
}

fn body(report: &mut Report, fields: &Fields<'_, '_>, scope: &Scope<'_>, method: Method) -> Body {
    if fields.has("json") && fields.has("form") {
        report.error(fields.place_of("form"), "a request has `json` or `form`, not both");
    }
    for key in ["json", "form"] {
        if method == Method::Get && fields.has(key) {
            report.error(fields.place_of(key), "a GET request has no body");
        }
    }
    if let Some(node) = fields.node("json") {
        return Body::Json(json(report, node, scope));
    }
    match fields.has("form") {
        true => Body::Form(values(report, fields, "form", scope)),
        false => Body::Empty,
    }
}

fn value(report: &mut Report, fields: &Fields<'_, '_>, key: &str, scope: &Scope<'_>) -> String {
    fields.parsed(report, key, |text| scope.check(text).map(|()| text.to_owned())).unwrap_or_default()
}

fn values(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    key: &str,
    scope: &Scope<'_>,
) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for (entry, text) in fields.text_map(report, key) {
        match scope.check(text) {
            Ok(()) => values.push((entry.key.to_string(), text.to_owned())),
            Err(Refusal { message, hint }) => {
                report.error(entry.node.place, message.unwrap_or_default()).hint = hint
            }
        }
    }
    values
}

fn check_headers(report: &mut Report, fields: &Fields<'_, '_>) {
    for entry in fields.node("headers").and_then(Node::entries).unwrap_or_default() {
        if !is_header(&entry.key) {
            report.error(entry.place, "not the name of a header");
        }
        if ["host", "content-length", "transfer-encoding", "connection"]
            .contains(&entry.key.to_ascii_lowercase().as_str())
        {
            report.error(entry.place, "this header is made from the request itself");
        }
        if entry.node.scalar().is_some_and(|scalar| scalar.text.chars().any(char::is_control)) {
            report.error(entry.node.place, "a header's value is one line");
        }
    }
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_header(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The node as JSON: plain scalars are what JSON would read in them, quoted ones text, and text a template.
fn json(report: &mut Report, node: &Node<'_>, scope: &Scope<'_>) -> serde_json::Value {
    use serde_json::Value as Json;
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Json::Null,
        Value::Scalar(scalar) => {
            let literal = scalar.plain.then(|| serde_json::from_str::<Json>(&scalar.text).ok()).flatten();
            if let Some(literal @ (Json::Bool(_) | Json::Number(_))) = literal {
                return literal;
            }
            let Some(text) = text(report, node, &Kind::Json) else { return Json::Null };
            if let Err(Refusal { message, hint }) = scope.check(text) {
                report.error(node.place, message.unwrap_or_default()).hint = hint;
            }
            Json::String(text.to_owned())
        }
        Value::Sequence(items) => items.iter().map(|item| json(report, item, scope)).collect(),
        Value::Mapping(entries) => Json::Object(
            entries.iter().map(|entry| (entry.key.to_string(), json(report, &entry.node, scope))).collect(),
        ),
    }
}
