//! When a token ends. The definition declares how that is told; nothing is guessed from a number's size.
//!
//! Relative lives count from `t0`, the instant before the request was sent. Absolute ends are the provider's words, so
//! they are moved by the distance of the two clocks where that is more than 5 s.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::fmt::{rfc2822, strtime::BrokenDownTime};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::json::{self, Document};
use crate::config::definition::{ExpiryRule, Operation, Unit};
use crate::domain::{Timestamp, human_duration};

/// Clocks that differ by less are taken for equal: `Date` counts whole seconds and replies take time.
const TOLERATED_SKEW_MS: i64 = 5_000;

/// An end further away than this is a mistake (milliseconds read as seconds, 2^63, the year 9999).
const PLAUSIBLE_MS: i64 = 3_653 * 86_400_000;

/// No provider keeps a reply for longer to send it again (PortOne: 3 h); a JWT that ended before that is a mistake.
const STORED_REPLY: Duration = Duration::from_secs(86_400);

/// The years 2000 to 2100: a provider whose clock is outside has none.
const PLAUSIBLE_CLOCK_MS: std::ops::Range<i128> = 946_684_800_000..4_102_444_800_000;

/// What the end of a token is read from.
pub(super) struct Told<'a> {
    pub(super) operation: &'a Operation,
    pub(super) params: &'a BTreeMap<String, String>,
    /// The documented life: caps, never lengthens.
    pub(super) life: Option<Duration>,
    pub(super) document: &'a Document,
    pub(super) access_token: &'a str,
    pub(super) t0: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) clock: Option<ProviderClock>,
    /// Whether this may be a stored reply, sent again for its idempotency key.
    pub(super) repeated: bool,
}

/// A token's end by our own clock.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) at: Timestamp,
    pub(super) warning: Option<String>,
}

/// Why a reply's end cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoExpiry {
    /// It declares this end, which is past.
    Past(Timestamp),
    /// It tells none that makes sense, and none is documented.
    Unknown,
}

/// The provider's clock against ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProviderClock {
    /// By how many milliseconds it is ahead, at least; 0 where its time lies between sending and receiving.
    pub(super) offset_ms: i64,
    /// By how many it is ahead at most: what absolute ends are moved by, so that an error makes them earlier.
    correction_ms: i64,
}

/// One rule's answer.
enum Answer {
    Absent,
    /// It is there but cannot be meant.
    Implausible,
    /// Milliseconds from `t0`.
    In(i128),
    /// Milliseconds since the epoch by the provider's clock.
    At(i128),
}

/// Goes through the rules in order; the first plausible answer counts.
pub(super) fn read(told: &Told<'_>) -> Result<Expiry, NoExpiry> {
    let mut implausible = false;
    for rule in &told.operation.expiry {
        let at = match answer(rule, told) {
            Answer::Absent => continue,
            Answer::Implausible => None,
            Answer::In(span) => Some(span.saturating_add(told.t0.as_millis().into())),
            Answer::At(instant) => {
                Some(instant.saturating_sub(told.clock.map_or(0, ProviderClock::correction).into()))
            }
        };
        let latest = i128::from(told.t0.as_millis()) + i128::from(PLAUSIBLE_MS);
        let Some(at) = at.filter(|at| *at <= latest) else {
            implausible = true;
            continue;
        };
        let at = Timestamp::from_millis(i64::try_from(at).unwrap_or(i64::MIN));
        if at > told.t0.max(told.received_at) {
            return capped(at, told);
        }
        // Reading a JWT informs and never vetoes a new token; what the reply itself declares does. One that was over before it was asked
        // for tells of clocks; one that ended on its way ended. In the answer to a repeated key a JWT that is over shows that the
        // token is not new (docs/decisions/0025).
        let on_its_way = at > told.t0;
        let sent_again = told.repeated && told.clock.is_some() && at.plus(STORED_REPLY) > told.t0;
        if !matches!(rule, ExpiryRule::Jwt { .. }) || on_its_way || sent_again {
            return Err(NoExpiry::Past(at));
        }
    }
    let at = told.life.map(|life| told.t0.plus(life)).ok_or(NoExpiry::Unknown)?;
    if at <= told.received_at {
        return Err(NoExpiry::Past(at));
    }
    let what = if implausible { "an expiry that cannot be meant" } else { "no expiry" };
    Ok(Expiry { at, warning: Some(format!("the reply tells {what}; the documented life is used")) })
}

/// A later end than the documented life allows is cut to it, aloud where it is later by more than 1/24 (a `life` of
/// 24 h warns beyond 25 h). Where that life was over before the reply was read, as after a suspend, there is no end to
/// come.
fn capped(at: Timestamp, told: &Told<'_>) -> Result<Expiry, NoExpiry> {
    let Some(life) = told.life else { return Ok(Expiry { at, warning: None }) };
    let said = at.since(told.t0);
    if said <= life {
        return Ok(Expiry { at, warning: None });
    }
    let at = told.t0.plus(life);
    if at <= told.received_at {
        return Err(NoExpiry::Past(at));
    }
    let warning = (said > life + life / 24).then(|| {
        let (said, life) = (human_duration(said), human_duration(life));
        format!("the reply tells a life of {said}, but {life} is documented and used")
    });
    Ok(Expiry { at, warning })
}

fn answer(rule: &ExpiryRule, told: &Told<'_>) -> Answer {
    let field = |at: &str, read: &dyn Fn(&Value) -> Option<Answer>| match told.document.at(at) {
        None => Answer::Absent,
        Some(value) => read(value).unwrap_or(Answer::Implausible),
    };
    match rule {
        ExpiryRule::Lifetime { at, unit } => field(at, &|value| json::millis(value, *unit).map(Answer::In)),
        ExpiryRule::Epoch { at, unit } => field(at, &|value| json::millis(value, *unit).map(Answer::At)),
        ExpiryRule::DateTime { at, format, zone } => {
            field(at, &|value| civil(&json::text(value)?, format, zone).map(Answer::At))
        }
        ExpiryRule::Rfc3339 { at } => field(at, &|value| {
            let instant: jiff::Timestamp = value.as_str()?.trim_ascii().parse().ok()?;
            Some(Answer::At(instant.as_millisecond().into()))
        }),
        ExpiryRule::Jwt { claim } => match jwt_claim(told.access_token, claim) {
            None => Answer::Absent,
            Some(instant) => Answer::At(instant),
        },
        ExpiryRule::Fixed(life) => span(*life),
        ExpiryRule::Param(name) => match told.params.get(name).map(String::as_str) {
            None | Some("") => Answer::Absent,
            Some(text) => duration(text).map_or(Answer::Implausible, span),
        },
    }
}

fn span(life: Duration) -> Answer {
    Answer::In(i128::try_from(life.as_millis()).unwrap_or(i128::MAX))
}

/// A civil time in a zone; the format's own offset wins where it has one.
fn civil(text: &str, format: &str, zone: &str) -> Option<i128> {
    let parsed = BrokenDownTime::parse(format, text.trim_ascii()).ok()?;
    let instant = if parsed.offset().is_some() {
        parsed.to_timestamp().ok()?
    } else {
        let zone = if zone.is_empty() { TimeZone::UTC } else { TimeZone::get(zone).ok()? };
        zone.to_timestamp(parsed.to_datetime().ok()?).ok()?
    };
    Some(instant.as_millisecond().into())
}

/// A NumericDate claim (RFC 7519 section 2) of a token read as a JWT, unverified. The vendors' own samples hold broken
/// JSON, so whatever does not read is simply not there.
fn jwt_claim(token: &str, claim: &str) -> Option<i128> {
    let payload = token.split('.').nth(1)?.trim_end_matches('=');
    let claims = json::parse(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let pointer = format!("/{}", claim.replace('~', "~0").replace('/', "~1"));
    json::millis(claims.at(&pointer)?, Unit::Seconds)
}

/// `90s`, `10m`, `1h30m`, `2d`, `500ms`: the configuration's durations, in a param.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim_ascii();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len()));
        let number: u64 = number.parse().ok()?;
        let part = match unit.trim_ascii() {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3_600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!total.is_zero()).then_some(total)
}

impl ProviderClock {
    /// From the definition's `clock` field where there is one, else from the `Date` header (RFC 9110 section 6.6.1).
    pub(super) fn read(
        field: Option<&Value>,
        date: Option<&str>,
        t0: Timestamp,
        received_at: Timestamp,
    ) -> Option<Self> {
        let field = field.and_then(|value| json::millis(value, Unit::Seconds));
        let date = || date.and_then(http_date).map(|at| at.as_millis().into());
        let theirs = field.filter(|at| PLAUSIBLE_CLOCK_MS.contains(at)).or_else(date)?;
        let theirs = i64::try_from(theirs).ok().filter(|at| PLAUSIBLE_CLOCK_MS.contains(&i128::from(*at)))?;
        let (sent, received) = (t0.as_millis(), received_at.max(t0).as_millis());
        // Theirs counts whole seconds: it may be 999 ms more.
        let offset_ms = if theirs > received {
            theirs - received
        } else if theirs.saturating_add(999) < sent {
            theirs.saturating_add(999) - sent
        } else {
            0
        };
        Some(Self { offset_ms, correction_ms: theirs - sent })
    }

    fn correction(self) -> i64 {
        if self.offset_ms.abs() > TOLERATED_SKEW_MS { self.correction_ms } else { 0 }
    }
}

/// An HTTP date (RFC 9110 section 5.6.7, the preferred form).
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let parser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let instant = parser.parse_timestamp(text.trim_ascii()).ok()?;
    Some(Timestamp::from_millis(instant.as_millisecond()))
}

#[cfg(test)]
mod tests;
