//! Time: the simulator's one reading of the clock, and the forms in which vendors write an instant.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimePrinter, tz::TimeZone};

/// The machine's clock. Everything else takes `now` as an argument.
#[expect(
    clippy::disallowed_methods,
    reason = "a vendor has a clock of its own; the agent's is runtime::clock"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// `at + by`, held at the ends of the calendar.
pub(super) fn later(at: Timestamp, by: Duration) -> Timestamp {
    shifted(at, SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX))
}

/// `at + by` for a `by` of either sign, held at the ends of the calendar.
pub(super) fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(at)
}

/// The instant without its fraction of a second: what a vendor that counts in seconds declares and keeps.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The instant without what is below a millisecond.
pub(super) fn whole_millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// A wall-clock time in Seoul (UTC+9 all the year), in a `strftime` format.
pub(super) fn seoul(at: Timestamp, format: &str) -> String {
    let zone = TimeZone::fixed(jiff::tz::offset(9));
    at.to_zoned(zone).strftime(format).to_string()
}

/// An instant as the HTTP `Date` header has it (RFC 9110 section 5.6.7); `None` outside its range of years.
pub(super) fn http_date(at: Timestamp) -> Option<String> {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// Whole milliseconds from `from` to `to`, 0 where the clock went back.
pub(super) fn millis_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

/// `250ms`, `5s`, `10m`, `1h30m`, `2d`; `None` for anything else.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let milliseconds = match rest.get(..unit)? {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(milliseconds)?))?;
        rest = rest.get(unit..)?;
    }
    (!text.is_empty()).then_some(total)
}

/// The inverse of [`parse_duration`]: one unit, the largest that holds it whole.
pub(super) fn duration_text(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms > 0 && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_the_same() {
        for (text, ms) in [("250ms", 250), ("5s", 5_000), ("90s", 90_000), ("2d", 172_800_000)] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(ms));
            assert_eq!(parse_duration(&duration_text(duration)).unwrap(), duration);
        }
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5_400)));
        for wrong in ["", "5", "s", "5x", "-5s", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn seoul_is_nine_hours_ahead() {
        let at = Timestamp::from_second(1_605_002_120).unwrap();
        assert_eq!(seoul(at, "%Y%m%d%H%M%S"), "20201110185520");
    }
}
