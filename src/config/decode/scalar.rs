//! The notations of single values. None of them repeats the value in its refusal: it may be a secret in a wrong place.

use std::time::Duration;

use crate::config::definition::StatusPattern;
use crate::config::model::Lead;

/// Why a value was not taken; without a message: "expected ...", as the table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Refusal {
    pub(super) const EXPECTED: Self = Self { message: None, hint: None };

    pub(super) fn because(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), hint: None }
    }

    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The longest duration that makes sense anywhere here.
const TEN_YEARS: Duration = Duration::from_secs(3650 * 86_400);

/// `90s`, `10m`, `1h30m`, `2d`; the units are `ms`, `s`, `m`, `h`, `d` and `w`.
pub(crate) fn duration(text: &str) -> Result<Duration, Refusal> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::EXPECTED.with_hint("the unit is missing: `s`, `m`, `h`, `d`, `w` or `ms`"));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_lowercase).count();
        let (number, unit) = (&rest[..digits], &rest[digits..digits + letters]);
        rest = &rest[digits + letters..];
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(no_duration(text)),
        };
        if number.is_empty() {
            return Err(no_duration(text));
        }
        let span = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis));
        total = span
            .and_then(|span| total.checked_add(Duration::from_millis(span)))
            .filter(|total| *total <= TEN_YEARS)
            .ok_or_else(|| Refusal::because("a duration of more than ten years"))?;
    }
    match text.is_empty() {
        true => Err(Refusal::EXPECTED),
        false => Ok(total),
    }
}

/// What is wrong with it, as far as can be said without saying it.
fn no_duration(text: &str) -> Refusal {
    Refusal::EXPECTED.with_hint(match text {
        _ if text.contains(char::is_whitespace) => "write it without spaces",
        _ if text.starts_with('-') => "it cannot be negative",
        _ if text.contains(['.', ',']) => "whole numbers only: one and a half hours are `1h30m`",
        _ => "a number and its unit: `s`, `m`, `h`, `d`, `w` or `ms`",
    })
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Refusal::EXPECTED),
    }
}

/// A whole number from 1 to 100,000.
pub(crate) fn count(text: &str) -> Result<u32, Refusal> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse::<u32>().ok()).flatten();
    number.filter(|number| (1..=100_000).contains(number)).ok_or(Refusal::EXPECTED)
}

/// `10m`, or `20%` with up to three decimals.
pub(crate) fn lead(text: &str) -> Result<Lead, Refusal> {
    let Some(share) = text.strip_suffix('%') else {
        return match duration(text)? {
            Duration::ZERO => Err(Refusal::because("a lead of nothing would renew after the expiry")),
            time => Ok(Lead::Time(time)),
        };
    };
    let (whole, decimals) = share.split_once('.').unwrap_or((share, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return Err(Refusal::EXPECTED);
    }
    let whole = whole.parse::<u32>().ok().filter(|whole| *whole <= 1_000);
    let decimals = format!("{decimals:0<3}").parse::<u32>().ok();
    let thousandths = whole.zip(decimals).map(|(whole, decimals)| whole * 1_000 + decimals);
    match thousandths.filter(|share| (1..100_000).contains(share)) {
        Some(share) => Ok(Lead::Share(share)),
        None => Err(Refusal::because("a share must be more than 0% and less than 100%")),
    }
}

/// `5/s` as the time between two; `None` for `off`.
pub(crate) fn rate(text: &str) -> Result<Option<Duration>, Refusal> {
    if text == "off" {
        return Ok(None);
    }
    let (number, unit) = text.split_once('/').ok_or(Refusal::EXPECTED)?;
    let number = number.trim_end();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::EXPECTED);
    }
    let unit = match unit.trim_start() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3_600),
        "d" => Duration::from_secs(86_400),
        _ => return Err(Refusal::EXPECTED),
    };
    match number.parse::<u32>() {
        Ok(number @ 1..=1_000_000) => Ok(Some(unit / number)),
        Ok(0) => Err(Refusal::because("a rate of nothing would never ask").with_hint("`off` means no limit")),
        _ => Err(Refusal::because("a rate of more than 1000000").with_hint("`off` means no limit")),
    }
}

/// Permission bits in octal: `0640`, `640` or `0o640`.
pub(crate) fn mode(text: &str) -> Result<u32, Refusal> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0')).unwrap_or(text);
    if !matches!(digits.len(), 3..=5) || !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return Err(Refusal::EXPECTED.with_hint(
            "a digit from 0 to 7 each for the owner, the group and all others: 4 is read, 2 is write",
        ));
    }
    match u32::from_str_radix(digits, 8) {
        Ok(bits @ 0..=0o777) => Ok(bits),
        _ => Err(Refusal::because("setuid, setgid and sticky bits make no sense here")),
    }
}

/// A user or group: a name, or a number.
pub(crate) fn principal(text: &str) -> Result<String, Refusal> {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-@$".contains(&byte);
    let fits = text.len() <= 64
        && text.bytes().all(name)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_');
    let number = text.bytes().all(|byte| byte.is_ascii_digit());
    match fits && (!number || text.parse::<u32>().is_ok_and(|id| id < u32::MAX)) {
        true => Ok(text.to_owned()),
        false => Err(Refusal::EXPECTED),
    }
}

/// `401` or `5xx`.
pub(crate) fn status(text: &str) -> Result<StatusPattern, Refusal> {
    if let Some(class) = text.strip_suffix("xx") {
        return match class.parse::<u8>() {
            Ok(class @ 1..=5) if text.len() == 3 => Ok(StatusPattern::Class(class)),
            _ => Err(Refusal::EXPECTED),
        };
    }
    match text.parse::<u16>() {
        Ok(code @ 100..=599) if text.len() == 3 => Ok(StatusPattern::Exact(code)),
        _ => Err(Refusal::EXPECTED),
    }
}

/// RFC 6901, without the empty pointer.
pub(crate) fn pointer(text: &str) -> Result<String, Refusal> {
    if !text.starts_with('/') {
        return Err(Refusal::EXPECTED.with_hint("it begins with `/`"));
    }
    let bad_escape = text.split('~').skip(1).any(|after| !after.starts_with(['0', '1']));
    if bad_escape || text.chars().any(char::is_control) {
        return Err(Refusal::because("in a JSON pointer, `~` is written `~0` and `/` in a name `~1`"));
    }
    Ok(text.to_owned())
}

/// A name of one to 64 of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit.
pub(crate) fn name(text: &str) -> Result<String, Refusal> {
    let tail = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    match first && text.len() <= 64 && text.bytes().all(tail) {
        true => Ok(text.to_owned()),
        false => Err(Refusal::because("a name is 1 to 64 of `A-Z a-z 0-9 . _ -`")),
    }
}

/// Text without control characters, of at most so many characters.
pub(crate) fn printable(most: usize) -> impl FnOnce(&str) -> Result<String, Refusal> {
    move |text| {
        if text.chars().any(char::is_control) {
            return Err(Refusal::because(
                "a control character or a line break in text that must be one line",
            ));
        }
        match text.chars().count() <= most {
            true => Ok(text.to_owned()),
            false => Err(Refusal::because(format!("more than {most} characters"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units() {
        let cases =
            [("90s", 90), ("10m", 600), ("1h30m", 5_400), ("2d", 172_800), ("1w", 604_800), ("0s", 0)];
        for (text, secs) in cases {
            assert_eq!(duration(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in
            ["", "90", "s", "1.5h", "-1s", "1h 30m", "1H", "1y", "99999999999999999999s", "4000d", "1é"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn leads_are_times_or_shares() {
        assert_eq!(lead("10m"), Ok(Lead::Time(Duration::from_secs(600))));
        assert_eq!(lead("20%"), Ok(Lead::Share(20_000)));
        assert_eq!(lead("12.5%"), Ok(Lead::Share(12_500)));
        assert_eq!(lead("0.001%"), Ok(Lead::Share(1)));
        assert_eq!(lead("99.999%"), Ok(Lead::Share(99_999)));
        for bad in ["0%", "100%", "0s", "%", "-5%", "5.%", "1.2345%", "1000000000000%", "20"] {
            assert!(lead(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_counts_per_unit() {
        assert_eq!(rate("5/s"), Ok(Some(Duration::from_millis(200))));
        assert_eq!(rate("10/m"), Ok(Some(Duration::from_secs(6))));
        assert_eq!(rate("100/h"), Ok(Some(Duration::from_secs(36))));
        assert_eq!(rate("off"), Ok(None));
        for bad in ["", "5", "0/s", "/s", "5/", "5/y", "-1/s", "1.5/s", "99999999/s"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_octal_however_they_are_written() {
        for text in ["0640", "640", "0o640"] {
            assert_eq!(mode(text), Ok(0o640), "{text}");
        }
        for bad in ["", "0", "64", "0649", "4755", "01777", "rw-r-----", "-640"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pointers_begin_with_a_slash_and_escape_well() {
        for good in ["/a", "/a/0/b", "/a~1b", "/"] {
            assert!(pointer(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "a/b", "/a~b", "/a~"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn statuses_are_codes_or_hundreds() {
        assert_eq!(status("401"), Ok(StatusPattern::Exact(401)));
        assert_eq!(status("5xx"), Ok(StatusPattern::Class(5)));
        for bad in ["", "99", "600", "6xx", "xx", "0401", "+41", "4x"] {
            assert!(status(bad).is_err(), "{bad}");
        }
    }
}
