//! A provider's reply, read with each built-in definition and with one that uses every mechanism.
//!
//! The input is text: a line `PROVIDER OPERATION STATUS WORDS...`, headers, an empty line, the body. Of the words
//! `sent=SECONDS`, `took=MILLISECONDS`, `lifetime=TEXT` and `repeated` count; a provider or operation of another name is
//! one of them all the same, so that no mutation is wasted.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use renewd::config::definition::{Definition, Operation};
use renewd::config::parse_definition;
use renewd::domain::{Secret, Timestamp};
use renewd::provider::{Failure, Issued, OperationKind, RawReply, Reading, catalog, read};
use serde_json::Value;

use super::words::{CANARY, hides, tame};

const EVERYTHING: &str = include_str!("everything.yaml");
const HOUR: Duration = Duration::from_secs(3_600);
const TEN_YEARS: Duration = Duration::from_secs(3_653 * 86_400);

static DEFINITIONS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let texts = catalog::texts().iter().copied().chain([("everything", EVERYTHING)]);
    texts.map(|(name, text)| parse_definition(name, name, text).expect(name)).collect()
});

/// One input of the target.
pub fn run(data: &[u8]) {
    if let Some((definition, kind, exchange, reply)) = understand(data) {
        check(definition, kind, &exchange, &reply);
    }
}

/// When and how a request was made.
pub struct Exchange {
    pub t0: Timestamp,
    pub received_at: Timestamp,
    pub repeated: bool,
    pub params: BTreeMap<String, String>,
}

impl Exchange {
    /// An ordinary one.
    pub fn usual(definition: &Definition) -> Self {
        let t0 = Timestamp::from_secs(1_700_000_000);
        let params = definition.params.iter().map(|param| (param.name.clone(), param.default.clone()));
        Self {
            t0,
            received_at: t0.plus(Duration::from_millis(200)),
            repeated: false,
            params: params.collect(),
        }
    }
}

fn understand(data: &[u8]) -> Option<(&'static Definition, OperationKind, Exchange, RawReply)> {
    let (head, body) = match data.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (data, &data[data.len()..]),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let definition = one_of(&DEFINITIONS, words.next()?);
    let refreshes = words.next().is_some_and(|word| word.starts_with('r'));
    let kind = match (&definition.issue, &definition.refresh) {
        (Some(_), Some(_)) if refreshes => OperationKind::Refresh,
        (Some(_), _) => OperationKind::Issue,
        (None, _) => OperationKind::Refresh,
    };
    let status = words.next().and_then(|word| word.parse().ok()).unwrap_or(200);
    let mut exchange = Exchange::usual(definition);
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            // Years 1970 to 2100, steps of the clock of a century.
            ("sent", at) => exchange.t0 = Timestamp::from_secs(number(at)?.rem_euclid(4_102_444_800)),
            ("took", span) => {
                let span = number(span)?.clamp(-3_155_760_000_000, 3_155_760_000_000);
                exchange.received_at = Timestamp::from_millis(exchange.t0.as_millis() + span);
            }
            ("lifetime", text) => drop(exchange.params.insert("lifetime".to_owned(), text.to_owned())),
            ("repeated", _) => exchange.repeated = true,
            _ => {}
        }
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Some((definition, kind, exchange, RawReply { status, headers, body: body.to_vec().into() }))
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn one_of(definitions: &'static [Definition], name: &str) -> &'static Definition {
    let sum: usize = name.bytes().map(usize::from).sum();
    let known = definitions.iter().find(|definition| definition.name == name);
    known.unwrap_or(&definitions[sum % definitions.len()])
}

/// Reads the reply and looks at everything that comes of it.
pub fn check(definition: &Definition, kind: OperationKind, exchange: &Exchange, reply: &RawReply) {
    let operation = match kind {
        OperationKind::Issue => &definition.issue,
        OperationKind::Refresh => &definition.refresh,
    };
    let Some(operation) = operation else { return };
    let sent = Secret::from(CANARY);
    let secrets = [&sent];
    let Exchange { t0, received_at, repeated, ref params } = *exchange;
    let reading =
        Reading { definition, kind, operation, params, t0, received_at, repeated, secrets: &secrets };
    let result = read(&reading, reply);
    assert_eq!(result, read(&reading, reply), "the same reply at the same instant means the same");
    match &result {
        Ok(issued) => fits(definition, operation, exchange, reply, issued),
        Err(failure) => says_little(operation, reply, failure),
    }
    keeps_quiet(&reading, reply);
}

fn is_token(secret: &Secret) -> bool {
    let token = secret.expose();
    (1..=16 * 1024).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Spent as it is, where it came from: it may have spaces.
fn is_refresh_token(secret: &Secret) -> bool {
    let token = secret.expose();
    (1..=16 * 1024).contains(&token.len()) && !token.contains(char::is_control)
}

fn fits(
    definition: &Definition,
    operation: &Operation,
    exchange: &Exchange,
    reply: &RawReply,
    issued: &Issued,
) {
    let Exchange { t0, received_at, .. } = *exchange;
    assert!(is_token(&issued.access_token), "the token is printable");
    assert!(issued.refresh_token.as_ref().is_none_or(is_refresh_token), "the refresh token is one line");
    assert!(issued.expires_at > t0 && issued.expires_at > received_at, "the end is to come: {issued:?}");
    assert!(
        issued.expires_at <= t0.plus(TEN_YEARS.max(definition.life.unwrap_or_default())),
        "a plausible end"
    );
    if let Some(life) = definition.life {
        assert!(issued.expires_at <= t0.plus(life), "no longer than documented");
    }
    if let Some(end) = issued.refresh_expires_at {
        assert!(issued.refresh_token.is_some(), "an end of a refresh token that did not come");
        assert!(end > t0 && end <= t0.plus(TEN_YEARS.max(definition.refresh_life.unwrap_or_default())));
    }
    let of_a_type = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!((1..=40).contains(&issued.token_type.len()) && issued.token_type.bytes().all(of_a_type));
    assert!(operation.success.status.iter().any(|pattern| pattern.matches(reply.status)));
    assert_eq!(issued.status, reply.status);
    for (name, value) in &issued.extra {
        assert!(operation.extra.iter().any(|(known, _)| known == name), "a field that nobody asked for");
        assert!(!value.is_null() && value.to_string().len() <= 16 * 1024);
    }
    for warning in &issued.warnings {
        assert!(tame(warning), "a warning for one line: {warning:?}");
    }
    let mask = format!("{:?} {:?}", issued.access_token, issued.refresh_token);
    assert!(mask.matches("***").count() == 1 + usize::from(issued.refresh_token.is_some()));
}

fn says_little(operation: &Operation, reply: &RawReply, failure: &Failure) {
    assert_eq!(failure.status, Some(reply.status));
    assert_eq!(failure.host_fault, reply.status >= 500);
    assert_eq!(failure.host_pause, reply.status == 429);
    assert!(failure.wait.is_none_or(|wait| !wait.is_zero() && wait <= HOUR), "{:?}", failure.wait);
    assert!(failure.refresh_token.as_ref().is_none_or(is_refresh_token));
    let declared = operation.errors.iter().flat_map(|rule| {
        let values =
            rule.body.iter().flat_map(|test| &test.values).map(String::len).max().unwrap_or_default();
        [rule.hint.len() + values]
    });
    let room = 400 + declared.max().unwrap_or_default();
    assert!(tame(&failure.message) && failure.message.len() <= room, "one line: {:?}", failure.message);
    // The provider's own code is all that a message may repeat, and only what cannot be anything else.
    let marked = format!("(HTTP {}, code ", reply.status);
    if let Some((_, rest)) = failure.message.split_once(&marked) {
        let code = &rest[..rest.find("): ").or(rest.rfind(')')).expect("it is closed")];
        let short = code.len() <= 10 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let word =
            |fits: fn(&u8) -> bool| code.len() <= 40 && code.bytes().all(|byte| fits(&byte) || byte == b'_');
        let tests = operation.errors.iter().filter_map(|rule| rule.body.as_ref());
        let declared = tests.flat_map(|test| &test.values).any(|value| value == code);
        let shown = short || word(u8::is_ascii_lowercase) || word(u8::is_ascii_uppercase) || declared;
        assert!(shown && !code.is_empty(), "{code:?} may be more than a code");
    }
}

/// Puts what must not be shown in the place of each of the body's texts, one after the other, and into each header.
fn keeps_quiet(reading: &Reading<'_>, reply: &RawReply) {
    let Ok(mut document) = serde_json::from_slice::<Value>(&reply.body) else { return };
    let texts = count(&document);
    for index in 0..texts.min(8) {
        let before = exchange_text(&mut document, &mut { index }, Value::from(CANARY));
        let body = document.to_string().into_bytes().into();
        says_nothing(reading, &RawReply { status: reply.status, headers: reply.headers.clone(), body });
        if let Some(before) = before {
            exchange_text(&mut document, &mut { index }, before);
        }
    }
    let headers =
        reply.headers.iter().map(|(name, value)| (name.clone(), format!("{value}{CANARY}"))).collect();
    says_nothing(reading, &RawReply { status: reply.status, headers, body: reply.body.clone() });
}

fn says_nothing(reading: &Reading<'_>, reply: &RawReply) {
    match read(reading, reply) {
        Ok(issued) => assert!(issued.warnings.iter().all(|warning| hides(warning)), "{:?}", issued.warnings),
        Err(failure) => assert!(hides(&format!("{failure:?}")), "{failure:?}"),
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Puts `new` in the place of the text of that number; gives what stood there.
fn exchange_text(value: &mut Value, index: &mut usize, new: Value) -> Option<Value> {
    match value {
        Value::String(_) if *index == 0 => Some(std::mem::replace(value, new)),
        Value::String(_) => {
            *index -= 1;
            None
        }
        Value::Array(items) => items.iter_mut().find_map(|item| exchange_text(item, index, new.clone())),
        Value::Object(fields) => {
            fields.values_mut().find_map(|field| exchange_text(field, index, new.clone()))
        }
        _ => None,
    }
}
