//! Durations as people write them: `90s`, `10m`, `1h30m`, `2d`.

use std::time::Duration;

/// Reads whole numbers with units, the large unit first, each once: `d`, `h`, `m`, `s`, `ms`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let wrong = || "a duration is a number with a unit, like `90s`, `10m`, `1h30m` or `2d`".to_owned();
    let mut rest = text.trim();
    let mut units = UNITS.as_slice();
    let mut total: u64 = 0;
    while !rest.is_empty() || total == 0 && units.len() == UNITS.len() {
        let digits = rest.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(rest.len());
        let count: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|symbol: char| symbol.is_ascii_digit()).unwrap_or(rest.len());
        let at = units.iter().position(|(unit, _)| *unit == &rest[..letters]).ok_or_else(wrong)?;
        let millis = count.checked_mul(units[at].1).ok_or_else(wrong)?;
        total = total.checked_add(millis).ok_or_else(wrong)?;
        rest = &rest[letters..];
        units = &units[at + 1..];
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("250ms", 250),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "90",
            "s",
            "-1s",
            "1.5h",
            "30m1h",
            "1m1m",
            "1x",
            "99999999999999999999s",
            "9999999999999999d",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
