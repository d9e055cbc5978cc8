//! Reads a reply: success or failure, the token, its end. Pure: the same reply at the same instant means the same.

use std::collections::BTreeMap;

use serde_json::Value;
use zeroize::Zeroizing;

use super::coding;
use super::errors::{self, Failure};
use super::expiry::{self, Expiry, NoExpiry, ProviderClock, Told};
use super::json::{self, Document};
use crate::config::definition::{Definition, Operation, Unit};
use crate::domain::{ErrorClass, Secret, Timestamp};

/// The longest token and the longest extra field that are taken.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Which of the two operations a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Log in with the credentials.
    Issue,
    /// Renew with a refresh token.
    Refresh,
}

/// A whole reply.
pub struct RawReply {
    /// HTTP status.
    pub status: u16,
    /// Header names (any case) and values.
    pub headers: Vec<(String, String)>,
    /// The body as it came: `Content-Encoding` says how it is coded.
    pub body: Zeroizing<Vec<u8>>,
}

/// What a reply is read with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Whose reply it is.
    pub definition: &'a Definition,
    /// Which of the definition's two it answers.
    pub kind: OperationKind,
    /// That one.
    pub operation: &'a Operation,
    /// The account's.
    pub params: &'a BTreeMap<String, String>,
    /// Before the request was sent.
    pub t0: Timestamp,
    /// After the reply was read.
    pub received_at: Timestamp,
    /// Whether it may be a stored reply, sent again for its idempotency key.
    pub repeated: bool,
    /// What was sent: never shown, even where the provider repeats it.
    pub secrets: &'a [&'a Secret],
}

/// A token fresh from the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Printable ASCII without spaces, 1 to 16,384 characters.
    pub access_token: Secret,
    /// `Bearer` unless the provider says otherwise.
    pub token_type: String,
    /// `None`: keep the one there was.
    pub refresh_token: Option<Secret>,
    /// Where a refresh token came and its life is told or documented.
    pub refresh_expires_at: Option<Timestamp>,
    /// By our own clock; later than both `t0` and the receipt.
    pub expires_at: Timestamp,
    /// What the definition publishes beside, in its order.
    pub extra: Vec<(String, Value)>,
    /// Oddities that did no harm, in words without secrets.
    pub warnings: Vec<String>,
    /// By how many milliseconds the provider's clock is ahead of ours, where it tells its time.
    pub clock_offset_ms: Option<i64>,
    /// The HTTP status.
    pub status: u16,
}

/// Reads a reply.
///
/// # Errors
/// [`Failure`] where it brings no token that can be used.
pub fn read(reading: &Reading<'_>, reply: &RawReply) -> Result<Issued, Failure> {
    let Reading { operation, .. } = *reading;
    let body = coding::decoded(reply).map(|body| json::parse(&body));
    if !operation.success.status.iter().any(|pattern| pattern.matches(reply.status)) {
        let document = body.as_ref().ok().and_then(|document| document.as_ref().ok());
        // "Accepted", "partial content": something was done all the same, whatever the definition knows of such a status.
        let done = document.filter(|_| (200..300).contains(&reply.status));
        let refresh_token = done.and_then(|document| refresh_token(reading, document, &mut Vec::new()));
        return Err(errors::refused(reading, reply, document).keeping(refresh_token));
    }
    let document = body.map_err(|undecoded| malformed(reading, reply, &undecoded.words(reading)))?;
    // As good as a success without a token.
    let document = document.map_err(|not_json| {
        let words = format!("{} (HTTP {})", not_json.words(), reply.status);
        Failure::reply(reading, reply, operation.missing_token, words)
    })?;
    if !operation.success.body.iter().all(|test| errors::passes(test, Some(&document))) {
        return Err(errors::refused(reading, reply, Some(&document)));
    }

    // From here on the provider has done something: a refresh token that came is kept whatever else is wrong.
    let mut warnings = Vec::new();
    let refresh_token = refresh_token(reading, &document, &mut warnings);
    match access_token(reading, reply, &document).and_then(|token| {
        let expiry = expiry(reading, reply, &document, &token)?;
        Ok((token, expiry))
    }) {
        Err(failure) => Err(Failure { own_words: true, ..failure.keeping(refresh_token) }),
        Ok((access_token, (expiry, clock))) => {
            warnings.extend(expiry.warning);
            Ok(Issued {
                access_token,
                token_type: token_type(reading, &document, &mut warnings),
                refresh_expires_at: refresh_token.as_ref().and_then(|_| refresh_expiry(reading, &document)),
                refresh_token,
                expires_at: expiry.at,
                extra: extra(reading, &document, &mut warnings),
                warnings,
                clock_offset_ms: clock.map(|clock| clock.offset_ms),
                status: reply.status,
            })
        }
    }
}

fn access_token(reading: &Reading<'_>, reply: &RawReply, document: &Document) -> Result<Secret, Failure> {
    if document.duplicate_keys {
        return Err(malformed(reading, reply, "the reply names a JSON key twice"));
    }
    match document.first(&reading.operation.token) {
        None => Err(errors::without_token(reading, reply, document)),
        Some(Value::String(token)) if token.is_empty() => {
            Err(errors::without_token(reading, reply, document))
        }
        Some(Value::String(token)) => match flaw(token) {
            None => Ok(Secret::from(token.as_str())),
            Some(flaw) => Err(malformed(reading, reply, &format!("the reply's token {flaw}"))),
        },
        Some(_) => Err(malformed(reading, reply, "the reply's token is not a string")),
    }
}

/// What keeps a text from being a token; never trimmed or mended in silence.
fn flaw(token: &str) -> Option<&'static str> {
    if token.len() > LONGEST_TOKEN {
        Some("is longer than 16 KiB")
    } else if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("holds spaces, control characters or other characters that no token may hold")
    } else {
        None
    }
}

/// Spent as it is, and only where it came from: any text without control characters (RFC 6749 appendix A.17 has spaces, too).
/// An unusable one is as good as none: the next login or the old one may still work.
fn refresh_token(reading: &Reading<'_>, document: &Document, warnings: &mut Vec<String>) -> Option<Secret> {
    match document.first(&reading.operation.refresh_token)? {
        Value::String(token) if token.is_empty() => None,
        Value::String(token) if token.len() <= LONGEST_TOKEN && !token.contains(char::is_control) => {
            Some(Secret::from(token.as_str()))
        }
        _ => {
            warnings.push("the reply's refresh token cannot be used and is ignored".to_owned());
            None
        }
    }
}

fn expiry(
    reading: &Reading<'_>,
    reply: &RawReply,
    document: &Document,
    access_token: &Secret,
) -> Result<(Expiry, Option<ProviderClock>), Failure> {
    let Reading { definition, operation, params, t0, received_at, repeated, .. } = *reading;
    let clock = ProviderClock::read(document.first(&operation.clock), reply.header("date"), t0, received_at);
    let told = Told {
        operation,
        params,
        life: definition.life,
        document,
        access_token: access_token.expose(),
        t0,
        received_at,
        clock,
        repeated,
    };
    match expiry::read(&told) {
        Ok(expiry) => Ok((expiry, clock)),
        // Told to have ended between the request and its reply: one that came late, or a clock that has jumped meanwhile. Nothing is
        // wrong with the next one, and this one is over, whatever its key.
        Err(NoExpiry::Past(at)) if at > reading.t0 => Err(Failure {
            class: ErrorClass::Transient,
            ambiguous: false,
            ..malformed(reading, reply, &format!("the reply's token ended before the reply was here ({at})"))
        }),
        Err(NoExpiry::Past(at)) => {
            let words = format!("the reply's token has already expired ({at}): check this host's clock");
            Err(malformed(reading, reply, &words))
        }
        Err(NoExpiry::Unknown) => {
            Err(malformed(reading, reply, "the reply tells no expiry that makes sense"))
        }
    }
}

/// RFC 6749 section 7.1: case-insensitive; what is no `token` of RFC 9110 cannot stand in a header.
fn token_type(reading: &Reading<'_>, document: &Document, warnings: &mut Vec<String>) -> String {
    const BEARER: &str = "Bearer";
    let told = document.first(&reading.operation.token_type).and_then(json::text).unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if told.is_empty() || told.eq_ignore_ascii_case(BEARER) {
        BEARER.to_owned()
    } else if told.len() <= 40 && told.bytes().all(fits) {
        told
    } else {
        warnings.push("the reply's token type cannot be used; Bearer is".to_owned());
        BEARER.to_owned()
    }
}

/// The life in the reply where it makes sense (seconds, up to 10 years), else the documented one.
fn refresh_expiry(reading: &Reading<'_>, document: &Document) -> Option<Timestamp> {
    const TEN_YEARS_MS: i128 = 3_653 * 86_400_000;
    let told = document.first(&reading.operation.refresh_lifetime);
    let told = told
        .and_then(|value| json::millis(value, Unit::Seconds))
        .filter(|ms| (1..=TEN_YEARS_MS).contains(ms));
    let told = told.and_then(|ms| u64::try_from(ms).ok()).map(std::time::Duration::from_millis);
    Some(reading.t0.plus(told.or(reading.definition.refresh_life)?))
}

fn extra(reading: &Reading<'_>, document: &Document, warnings: &mut Vec<String>) -> Vec<(String, Value)> {
    let mut fields = Vec::new();
    for (name, pointer) in &reading.operation.extra {
        match document.at(pointer) {
            None => {}
            Some(value) if value.to_string().len() > LONGEST_TOKEN => {
                warnings.push(format!("the reply's field `{name}` is longer than 16 KiB and is left out"));
            }
            Some(value) => fields.push((name.clone(), value.clone())),
        }
    }
    fields
}

fn malformed(reading: &Reading<'_>, reply: &RawReply, words: &str) -> Failure {
    Failure::reply(reading, reply, ErrorClass::Malformed, format!("{words} (HTTP {})", reply.status))
}

impl RawReply {
    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Every value of a header.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests;
