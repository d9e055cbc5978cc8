//! What can go wrong on purpose, and how a flag says it.

use std::{fmt, str::FromStr, time::Duration};

use jiff::SignedDuration;

use super::clock::{duration_text, parse_duration};

/// A fault of a token API. As a flag (`--fault TARGET=FAULT`, see [`super::FaultRule`]) it is one of:
///
/// | flag | effect | vendor acts? |
/// | --- | --- | --- |
/// | `400` ... `599` | that status, a short text body (`502`: HTML) | no |
/// | `429:5s`, `503:5s` | and `Retry-After` in seconds | no |
/// | `429:date` `429:junk` `429:huge` | `Retry-After` as a date 5 s ahead, as `soon`, as 10^9 | no |
/// | `rejected` `throttled` `busy` `address` | the vendor's own words for wrong credentials (or a dead refresh token), too many requests, an overload, an unregistered client address | no |
/// | `error-in-200` | as `rejected`, with HTTP 200 | no |
/// | `html` | 200 with a login page | no |
/// | `redirect` `redirect:http` `redirect:URL` | 307 to another host, to plain http on this one, to URL | no |
/// | `hang` `hang-after` | the request is read, never answered | no / yes |
/// | `reset-before` `reset` | connection reset once the request was read | no / yes |
/// | `delay:5s` | answered at once inside, the reply arrives that much later | yes |
/// | `clock:+10m` `clock:-90s` | the vendor's clock is off: `Date` and every absolute time | yes |
/// | `empty` `truncated` `duplicate-keys` | a spoilt body | yes |
/// | `token-empty` `token-null` `token-missing` `token-number` `token-newline` `token-control` `token-huge` | a token nobody can use (`token-huge`: 10 MiB) | yes |
/// | `token-same` | the account's previous token once more, with its old expiry | yes |
/// | `refresh-missing` | no refresh token in the reply, although it rotated | yes |
/// | `expiry-zero` `expiry-negative` `expiry-missing` `expiry-text` `expiry-float` `expiry-ms` `expiry-9999` `expiry-2^63` `expiry-past` `expiry-sooner` | the declared expiry: 0, -1, absent, of the other type (text for a number and back), with `.0`, a thousandfold, year 9999, 2^63, an hour ago, after a tenth of the life. What the token really lives stays | yes |
/// | `body-huge` `body-endless` `gzip-bomb` | 100 MB, without an end, 10 GB out of 64 MB of gzip | yes |
/// | `slow-body` `slow-body:100ms` | a byte every second, or so often | yes |
/// | `endless-headers` | header lines without an end | yes |
///
/// "Vendor acts" tells whether a token was issued (and a refresh token spent) although the client saw a fault.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A status that a gateway sends before the vendor sees the request.
    Status {
        /// 400 to 599.
        code: u16,
        /// The `Retry-After` header.
        wait: Option<Wait>,
    },
    /// The vendor's own refusal.
    Refused(Refused),
    /// The vendor's words for wrong credentials under HTTP 200.
    ErrorInOk,
    /// 200 with a page of HTML.
    Html,
    /// 307 elsewhere.
    Redirect(Redirect),
    /// Read and never answered; `after`: the vendor has issued the token all the same.
    Hang {
        /// Whether the vendor acted.
        after: bool,
    },
    /// Read and then reset; `after`: the vendor has issued the token all the same.
    Reset {
        /// Whether the vendor acted.
        after: bool,
    },
    /// The reply comes later.
    Delay(Duration),
    /// The vendor's clock is this much ahead.
    Clock(SignedDuration),
    /// The body is spoilt as a text.
    Body(BodyFault),
    /// The token in the reply is spoilt.
    Token(TokenFault),
    /// The reply has no refresh token.
    RefreshMissing,
    /// The declared expiry is spoilt.
    Expiry(ExpiryFault),
}

/// The form of a `Retry-After` header (RFC 9110 section 10.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Seconds, rounded up.
    Seconds(Duration),
    /// An HTTP date five seconds ahead.
    Date,
    /// Neither a number nor a date.
    Junk,
    /// 10^9 seconds.
    Huge,
}

/// Why a vendor refuses in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Wrong credentials; for a refresh a dead refresh token.
    Rejected,
    /// Too many requests.
    Throttled,
    /// Overloaded.
    Busy,
    /// The client's address is not registered.
    Address,
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// `https://redirected.invalid/`
    OtherHost,
    /// The same host and path with `http://`.
    PlainHttp,
    /// Any URL; it holds no `@` and no `#`.
    To(String),
}

/// How a body is spoilt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a line of the table above")]
pub enum BodyFault {
    Empty,
    Truncated,
    DuplicateKeys,
    Huge,
    Endless,
    GzipBomb,
    EndlessHeaders,
    Slow(Duration),
}

/// How a token is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a line of the table above")]
pub enum TokenFault {
    Empty,
    Null,
    Missing,
    Number,
    Newline,
    Control,
    Huge,
    Same,
}

/// How an expiry is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is a line of the table above")]
pub enum ExpiryFault {
    Zero,
    Negative,
    Missing,
    Text,
    Float,
    Milliseconds,
    Year9999,
    TwoPow63,
    Past,
    Sooner,
}

/// Faults without an argument.
const PLAIN: &[(&str, Fault)] = &[
    ("rejected", Fault::Refused(Refused::Rejected)),
    ("throttled", Fault::Refused(Refused::Throttled)),
    ("busy", Fault::Refused(Refused::Busy)),
    ("address", Fault::Refused(Refused::Address)),
    ("error-in-200", Fault::ErrorInOk),
    ("html", Fault::Html),
    ("redirect", Fault::Redirect(Redirect::OtherHost)),
    ("redirect:http", Fault::Redirect(Redirect::PlainHttp)),
    ("hang", Fault::Hang { after: false }),
    ("hang-after", Fault::Hang { after: true }),
    ("reset", Fault::Reset { after: true }),
    ("reset-before", Fault::Reset { after: false }),
    ("empty", Fault::Body(BodyFault::Empty)),
    ("truncated", Fault::Body(BodyFault::Truncated)),
    ("duplicate-keys", Fault::Body(BodyFault::DuplicateKeys)),
    ("body-huge", Fault::Body(BodyFault::Huge)),
    ("body-endless", Fault::Body(BodyFault::Endless)),
    ("gzip-bomb", Fault::Body(BodyFault::GzipBomb)),
    ("endless-headers", Fault::Body(BodyFault::EndlessHeaders)),
    ("slow-body", Fault::Body(BodyFault::Slow(Duration::from_secs(1)))),
    ("token-empty", Fault::Token(TokenFault::Empty)),
    ("token-null", Fault::Token(TokenFault::Null)),
    ("token-missing", Fault::Token(TokenFault::Missing)),
    ("token-number", Fault::Token(TokenFault::Number)),
    ("token-newline", Fault::Token(TokenFault::Newline)),
    ("token-control", Fault::Token(TokenFault::Control)),
    ("token-huge", Fault::Token(TokenFault::Huge)),
    ("token-same", Fault::Token(TokenFault::Same)),
    ("refresh-missing", Fault::RefreshMissing),
    ("expiry-zero", Fault::Expiry(ExpiryFault::Zero)),
    ("expiry-negative", Fault::Expiry(ExpiryFault::Negative)),
    ("expiry-missing", Fault::Expiry(ExpiryFault::Missing)),
    ("expiry-text", Fault::Expiry(ExpiryFault::Text)),
    ("expiry-float", Fault::Expiry(ExpiryFault::Float)),
    ("expiry-ms", Fault::Expiry(ExpiryFault::Milliseconds)),
    ("expiry-9999", Fault::Expiry(ExpiryFault::Year9999)),
    ("expiry-2^63", Fault::Expiry(ExpiryFault::TwoPow63)),
    ("expiry-past", Fault::Expiry(ExpiryFault::Past)),
    ("expiry-sooner", Fault::Expiry(ExpiryFault::Sooner)),
];

/// Faults with an argument, as people are told of them.
const WITH_ARGUMENT: &str = "400..599, 429:5s, 429:date, 429:junk, 429:huge, redirect:URL, delay:5s, clock:+10m, clock:-10m, slow-body:100ms";

impl Fault {
    /// The names of every fault, for help texts and for tests that try them all.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PLAIN.iter().map(|(name, _)| *name).chain(WITH_ARGUMENT.split(", "))
    }
}

/// A flag that names no fault, no target or no window.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// No `=` in the flag.
    #[error(
        "`{0}` is no fault rule; write TARGET=FAULT, such as `portone=503`, `*=429:5s`, `bizppurio/acme=hang#3` or `portone:refresh=reset@10s..25s`"
    )]
    Shape(String),
    /// The fault is unknown.
    #[error("`{0}` is no fault; there are {plain}, {WITH_ARGUMENT}", plain = PLAIN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))]
    Fault(String),
    /// The provider is unknown.
    #[error(transparent)]
    Provider(#[from] super::provider::UnknownProvider),
    /// Neither `issue` nor `refresh`.
    #[error("`{0}` is no operation; there are issue, refresh")]
    Operation(String),
    /// The part after `@` or `#`.
    #[error(
        "`{0}` is no window; write `@FROM..TO`, `@FROM..` or `@..TO` in time since the start, or `#COUNT` for the first requests"
    )]
    Window(String),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || FaultError::Fault(text.to_owned());
        if let Some((_, fault)) = PLAIN.iter().find(|(name, _)| *name == text) {
            return Ok(fault.clone());
        }
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        if let Ok(code @ 400..=599) = name.parse() {
            let wait = match argument {
                None => None,
                Some("date") => Some(Wait::Date),
                Some("junk") => Some(Wait::Junk),
                Some("huge") => Some(Wait::Huge),
                Some(duration) => Some(Wait::Seconds(parse_duration(duration).ok_or_else(unknown)?)),
            };
            return Ok(Self::Status { code, wait });
        }
        let argument = argument.ok_or_else(unknown)?;
        let duration = |text| parse_duration(text).ok_or_else(unknown);
        match name {
            "delay" => Ok(Self::Delay(duration(argument)?)),
            "slow-body" => Ok(Self::Body(BodyFault::Slow(duration(argument)?))),
            "redirect" if url::Url::parse(argument).is_ok() => {
                Ok(Self::Redirect(Redirect::To(argument.to_owned())))
            }
            "clock" => {
                let (behind, size) = match (argument.strip_prefix('-'), argument.strip_prefix('+')) {
                    (Some(size), _) => (true, size),
                    (None, Some(size)) => (false, size),
                    (None, None) => (false, argument),
                };
                let by = SignedDuration::try_from(duration(size)?).map_err(|_| unknown())?;
                Ok(Self::Clock(if behind { -by } else { by }))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = PLAIN.iter().find(|(_, fault)| fault == self) {
            return f.write_str(name);
        }
        match self {
            Self::Status { code, wait: None } => write!(f, "{code}"),
            Self::Status { code, wait: Some(Wait::Date) } => write!(f, "{code}:date"),
            Self::Status { code, wait: Some(Wait::Junk) } => write!(f, "{code}:junk"),
            Self::Status { code, wait: Some(Wait::Huge) } => write!(f, "{code}:huge"),
            Self::Status { code, wait: Some(Wait::Seconds(wait)) } => {
                write!(f, "{code}:{}", duration_text(*wait))
            }
            Self::Delay(by) => write!(f, "delay:{}", duration_text(*by)),
            Self::Clock(by) => {
                let sign = if by.is_negative() { '-' } else { '+' };
                write!(f, "clock:{sign}{}", duration_text(by.unsigned_abs()))
            }
            Self::Body(BodyFault::Slow(each)) => write!(f, "slow-body:{}", duration_text(*each)),
            Self::Redirect(Redirect::To(url)) => write!(f, "redirect:{url}"),
            // The rest is in PLAIN; a test holds it.
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_written_as_it_is_read() {
        let examples = ["503:5s", "429:date", "429:junk", "429:huge", "404", "redirect:http://x.test/t"];
        let more = ["delay:250ms", "clock:+10m", "clock:-90s", "slow-body:100ms"];
        for name in PLAIN.iter().map(|(name, _)| *name).chain(examples).chain(more) {
            let fault: Fault = name.parse().unwrap();
            assert_eq!(fault.to_string(), name);
        }
    }
}
