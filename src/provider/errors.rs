//! What a failing exchange means: the definition's own error rules first, then what HTTP says by itself.

use std::time::Duration;

use super::expiry;
use super::json::{self, Document};
use super::response::{OperationKind, RawReply, Reading};
use crate::config::definition::{BodyTest, ErrorRule, Unit, WaitHint};
use crate::domain::{ErrorClass, Secret, Timestamp};

/// No provider's wish to wait is obeyed for longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Why an exchange brought no token, in words that hold no secret, body or URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the next step.
    pub class: ErrorClass,
    /// One line for a person; ends with the hint where there is one.
    pub message: String,
    /// The provider wants to be left alone for that long; an hour at most.
    pub wait: Option<Duration>,
    /// The HTTP status, where a reply came.
    pub status: Option<u16>,
    /// The host is in trouble (transport failure or 5xx): counts towards its breaker.
    pub host_fault: bool,
    /// HTTP 429: every account of the host should wait.
    pub host_pause: bool,
    /// The provider may have acted on the request all the same: a single-use refresh token may be spent.
    pub ambiguous: bool,
    /// The reply is JSON, as the provider itself answers and a gateway before it seldom does.
    pub own_words: bool,
    /// A new refresh token that came although the access token cannot be used: it must be kept.
    pub refresh_token: Option<Secret>,
}

impl Failure {
    /// Something on our side is missing or wrong; nothing was sent.
    pub(super) fn config(message: impl Into<String>) -> Self {
        Self {
            class: ErrorClass::Config,
            message: message.into(),
            wait: None,
            status: None,
            host_fault: false,
            host_pause: false,
            ambiguous: false,
            own_words: false,
            refresh_token: None,
        }
    }

    /// No whole reply came.
    pub(super) fn transport(message: impl Into<String>, ambiguous: bool) -> Self {
        Self { class: ErrorClass::Transient, host_fault: true, ambiguous, ..Self::config(message) }
    }

    /// A reply came.
    pub(super) fn reply(reading: &Reading<'_>, reply: &RawReply, class: ErrorClass, message: String) -> Self {
        Self {
            class,
            wait: asked_wait(reading, reply),
            status: Some(reply.status),
            host_fault: reply.status >= 500,
            host_pause: reply.status == 429,
            // A refusal is an answer; these two are not. They also cover 409 while an earlier attempt is under way.
            ambiguous: matches!(class, ErrorClass::Transient | ErrorClass::Malformed),
            ..Self::config(message)
        }
    }

    pub(super) fn keeping(mut self, refresh_token: Option<Secret>) -> Self {
        self.refresh_token = refresh_token;
        self
    }
}

/// A reply that the success test refused.
pub(super) fn refused(reading: &Reading<'_>, reply: &RawReply, document: Option<&Document>) -> Failure {
    let failure =
        by_rule(reading, reply, document, |_| true).unwrap_or_else(|| by_status(reading, reply, document));
    Failure { own_words: document.is_some(), ..failure }
}

/// A reply that passed the success test and yet has no token.
pub(super) fn without_token(reading: &Reading<'_>, reply: &RawReply, document: &Document) -> Failure {
    by_rule(reading, reply, Some(document), |rule| rule.body.is_some()).unwrap_or_else(|| {
        let class = match reading.kind {
            OperationKind::Refresh if says_invalid_grant(document) => ErrorClass::Relogin,
            _ => reading.operation.missing_token,
        };
        Failure::reply(reading, reply, class, format!("the reply (HTTP {}) has no token", reply.status))
    })
}

/// The first of the definition's rules that fits.
fn by_rule(
    reading: &Reading<'_>,
    reply: &RawReply,
    document: Option<&Document>,
    eligible: impl Fn(&ErrorRule) -> bool,
) -> Option<Failure> {
    let rule =
        reading.operation.errors.iter().find(|rule| eligible(rule) && fits(rule, reply.status, document))?;
    let code = match &rule.body {
        // The definition's author has written this value down: it is no secret.
        Some(test) if !test.values.is_empty() => document.and_then(|document| document.text(&test.at)),
        _ => error_code(reading, document),
    };
    let message = sentence(rule.class, reply.status, code.as_deref(), &rule.hint);
    let mut failure = Failure::reply(reading, reply, rule.class, message);
    failure.wait = failure.wait.max(rule.wait.map(|wait| wait.min(LONGEST_WAIT)));
    Some(failure)
}

fn fits(rule: &ErrorRule, status: u16, document: Option<&Document>) -> bool {
    let status_fits = rule.status.is_empty() || rule.status.iter().any(|pattern| pattern.matches(status));
    status_fits && rule.body.as_ref().is_none_or(|test| passes(test, document))
}

/// Whether a field has one of the values, compared as text; null is absent, no values mean any.
pub(super) fn passes(test: &BodyTest, document: Option<&Document>) -> bool {
    match document.and_then(|document| document.at(&test.at)) {
        None => test.or_absent,
        Some(value) => {
            json::text(value).is_some_and(|text| test.values.is_empty() || test.values.contains(&text))
        }
    }
}

/// What HTTP says where the definition does not.
fn by_status(reading: &Reading<'_>, reply: &RawReply, document: Option<&Document>) -> Failure {
    use ErrorClass::{Malformed, Rejected, Relogin, Throttled, Transient};
    let (class, hint) = match reply.status {
        300..=399 => {
            let message = format!("the reply is {} (HTTP {})", redirect(reply), reply.status);
            return Failure::reply(reading, reply, Malformed, message);
        }
        400..=499 if reading.kind == OperationKind::Refresh && document.is_some_and(says_invalid_grant) => {
            (Relogin, "")
        }
        429 => (Throttled, ""),
        408 | 425 | 500.. => (Transient, ""),
        401 | 403 if reading.definition.allow_list => {
            (Rejected, "check the credentials, and register this host's public address with the vendor")
        }
        401 | 403 => (Rejected, "check the credentials"),
        400..=499 => (Rejected, "check base URL, credentials and params"),
        _ => (Malformed, "this is not the success that the definition expects"),
    };
    let code = error_code(reading, document);
    Failure::reply(reading, reply, class, sentence(class, reply.status, code.as_deref(), hint))
}

/// `error` of RFC 6749 section 5.2.
fn says_invalid_grant(document: &Document) -> bool {
    document.text("/error").as_deref() == Some("invalid_grant")
}

fn redirect(reply: &RawReply) -> &'static str {
    match reply.header("location") {
        Some(to) if to.trim_ascii().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) => {
            "a redirect to plain http; redirects are not followed, check the base URL"
        }
        _ => "a redirect; redirects are not followed, give the final address as the base URL",
    }
}

fn sentence(class: ErrorClass, status: u16, code: Option<&str>, hint: &str) -> String {
    let what = match class {
        ErrorClass::Rejected => "the provider refuses the request",
        ErrorClass::Throttled => "the provider asks for patience",
        ErrorClass::Transient => "the provider cannot answer now",
        ErrorClass::Malformed => "the reply makes no sense",
        ErrorClass::Relogin => "the provider no longer accepts the refresh token",
        ErrorClass::Config => "the request cannot be made",
    };
    let code = code.map(|code| format!(", code {code}")).unwrap_or_default();
    let colon = if hint.is_empty() { "" } else { ": " };
    format!("{what} (HTTP {status}{code}){colon}{hint}")
}

/// The provider's own code, from where the error rules look for it; only what cannot be anything else than a code is
/// shown, and nothing that was sent: up to 10 letters and digits, or a lower- or upper-case word such as `invalid_client`.
fn error_code(reading: &Reading<'_>, document: Option<&Document>) -> Option<String> {
    let document = document?;
    let tests = reading.operation.errors.iter().filter_map(|rule| rule.body.as_ref());
    let code = tests.chain(&reading.operation.success.body).find_map(|test| document.text(&test.at))?;
    let short = code.len() <= 10 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let word =
        |letter: fn(&u8) -> bool| code.len() <= 40 && code.bytes().all(|byte| letter(&byte) || byte == b'_');
    let shown = short || word(u8::is_ascii_lowercase) || word(u8::is_ascii_uppercase);
    (shown && !repeats(reading, &code) && !code.is_empty()).then_some(code)
}

/// Whether a text of the reply holds something that was sent.
pub(super) fn repeats(reading: &Reading<'_>, text: &str) -> bool {
    let repeats = |secret: &str| {
        (text.len() >= 4 && secret.contains(text)) || (!secret.is_empty() && text.contains(secret))
    };
    reading.secrets.iter().any(|secret| repeats(secret.expose()))
}

/// The longest of `Retry-After` (RFC 9110 section 10.2.3) and the definition's own headers; junk is ignored.
fn asked_wait(reading: &Reading<'_>, reply: &RawReply) -> Option<Duration> {
    let provider_now = reply.header("date").and_then(expiry::http_date).unwrap_or(reading.received_at);
    let retry_after = reply.headers("retry-after").filter_map(|text| retry_after(text, provider_now));
    let hints = reading.operation.wait.iter().flat_map(|hint| {
        reply
            .headers(&hint.header)
            .filter_map(|text| Some(whole_seconds(text, hint.unit)?.clamp(hint.min, longest(hint))))
    });
    let wait = retry_after.chain(hints).max()?.min(LONGEST_WAIT);
    (!wait.is_zero()).then_some(wait)
}

fn longest(hint: &WaitHint) -> Duration {
    hint.max.max(hint.min)
}

fn retry_after(text: &str, provider_now: Timestamp) -> Option<Duration> {
    whole_seconds(text, Unit::Seconds).or_else(|| Some(expiry::http_date(text)?.since(provider_now)))
}

/// A number that is not negative, rounded up to whole seconds.
fn whole_seconds(text: &str, unit: Unit) -> Option<Duration> {
    let millis = json::number_text_millis(text.trim_ascii(), unit).filter(|millis| *millis >= 0)?;
    let millis = u64::try_from(millis).unwrap_or(u64::MAX);
    Some(Duration::from_secs(millis.div_ceil(1000)))
}
