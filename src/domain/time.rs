use std::fmt;
use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC. Serialised as RFC 3339.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Milliseconds of the boot-time clock, which goes on during suspend and never jumps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct BootInstant(pub u64);

/// Both clocks, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now {
    /// The wall clock; may jump.
    pub wall: Timestamp,
    /// The boot-time clock; does not.
    pub boot: BootInstant,
}

/// An instant on both clocks. It is reached as soon as either clock says so, so that neither a step of the wall
/// clock nor a suspend can make a token outlive its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline {
    /// The instant by the wall clock.
    pub wall: Timestamp,
    /// The instant by the boot-time clock.
    pub boot: BootInstant,
}

/// Years 0001 to 9999: what RFC 3339 can print.
const PRINTABLE: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_207_200_000;

impl Timestamp {
    /// From milliseconds since the epoch; clamped to the years that RFC 3339 can print.
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(*PRINTABLE.start(), *PRINTABLE.end()))
    }

    /// From milliseconds within the printable years, for constants.
    #[must_use]
    pub const fn from_millis_const(millis: i64) -> Self {
        assert!(millis >= *PRINTABLE.start() && millis <= *PRINTABLE.end());
        Self(millis)
    }

    /// From seconds since the epoch.
    #[must_use]
    pub fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// `self + span`, clamped.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(span)))
    }

    /// `self - span`, clamped.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_sub(millis(span)))
    }

    /// `self - earlier`, zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `self - other` in milliseconds, with its sign.
    #[must_use]
    pub fn offset_from(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, with milliseconds where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self::from_millis(instant.as_millisecond()))
    }
}

impl BootInstant {
    /// `self + span`, saturating.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// `self - earlier`, zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Now {
    /// The instant `span` from now on both clocks.
    #[must_use]
    pub fn after(self, span: Duration) -> Deadline {
        Deadline { wall: self.wall.plus(span), boot: self.boot.plus(span) }
    }

    /// The instant that the wall clock calls `at`; already reached where `at` is past.
    #[must_use]
    pub fn at_wall(self, at: Timestamp) -> Deadline {
        Deadline { wall: at, boot: self.boot.plus(at.since(self.wall)) }
    }

    /// This instant as a deadline: reached at once.
    #[must_use]
    pub fn at_once(self) -> Deadline {
        Deadline { wall: self.wall, boot: self.boot }
    }
}

impl Deadline {
    /// Whether either clock has reached it.
    #[must_use]
    pub fn reached(self, now: Now) -> bool {
        now.wall >= self.wall || now.boot >= self.boot
    }

    /// The time left until the first of the two clocks reaches it.
    #[must_use]
    pub fn left(self, now: Now) -> Duration {
        self.wall.since(now.wall).min(self.boot.since(now.boot))
    }

    /// The time since both clocks have reached it; a step of the wall clock alone does not count.
    #[must_use]
    pub fn passed(self, now: Now) -> Duration {
        now.wall.since(self.wall).min(now.boot.since(self.boot))
    }

    /// The earlier of two, clock by clock.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), boot: self.boot.min(other.boot) }
    }

    /// The later of two, clock by clock.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        Self { wall: self.wall.max(other.wall), boot: self.boot.max(other.boot) }
    }
}

impl From<Deadline> for Now {
    /// The instant at which both clocks have come as far as the deadline.
    fn from(deadline: Deadline) -> Self {
        Self { wall: deadline.wall, boot: deadline.boot }
    }
}

/// A duration in words of at most two units: `1h 30m`, `45s`, `120ms`.
#[must_use]
pub fn human_duration(span: Duration) -> String {
    let total = span.as_secs();
    let (days, hours, minutes, seconds) = (total / 86_400, total / 3600 % 24, total / 60 % 60, total % 60);
    let two = |big: u64, big_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{big_unit}"),
        _ => format!("{big}{big_unit} {small}{small_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) if total == 0 => format!("{}ms", span.as_millis()),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, "m", seconds, "s"),
        (0, _, _) => two(hours, "h", minutes, "m"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A span as a person says it, the shorter the nearer: `45s`, `4m 10s`, `38m`, `1h 30m`, `23h`, `2d 5h`, `12d`.
#[must_use]
pub fn span(span: Duration) -> String {
    let total = span.as_secs();
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit} {small}{small_unit}"),
    };
    match total {
        0 if !span.is_zero() => "<1s".to_owned(),
        0..60 => format!("{total}s"),
        60..600 => two(total / 60, "m", total % 60, "s"),
        600..3600 => format!("{}m", total / 60),
        3600..36_000 => two(total / 3600, "h", total % 3600 / 60, "m"),
        36_000..86_400 => format!("{}h", total / 3600),
        86_400..864_000 => two(total / 86_400, "d", total % 86_400 / 3600, "h"),
        _ => format!("{}d", total / 86_400),
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_when_either_clock_says_so() {
        let now = Now { wall: Timestamp::from_secs(1_000), boot: BootInstant(50_000) };
        let due = now.after(Duration::from_secs(10));
        let back = Now { wall: Timestamp::from_secs(10), boot: BootInstant(60_000) };
        let ahead = Now { wall: Timestamp::from_secs(9_000), boot: BootInstant(50_001) };
        assert!(!due.reached(now));
        assert!(due.reached(back));
        assert!(due.reached(ahead));
        assert_eq!(due.left(now), Duration::from_secs(10));
        assert_eq!(due.passed(ahead), Duration::ZERO);
        assert_eq!(due.passed(Now::from(now.after(Duration::from_secs(12)))), Duration::from_secs(2));
    }

    #[test]
    fn timestamps_print_as_rfc_3339_and_read_back() {
        let at = Timestamp::from_millis(1_568_694_883_250);
        assert_eq!(at.to_string(), "2019-09-17T04:34:43.25Z");
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
    }

    #[test]
    fn extremes_stay_printable() {
        for at in [Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN)] {
            assert!(!at.plus(Duration::MAX).to_string().contains("ms"));
            assert!(!at.minus(Duration::MAX).to_string().contains("ms"));
        }
    }

    #[test]
    fn durations_read_as_words() {
        let cases =
            [(0, "0ms"), (45, "45s"), (90, "1m 30s"), (600, "10m"), (5_400, "1h 30m"), (180_000, "2d 2h")];
        for (secs, words) in cases {
            assert_eq!(human_duration(Duration::from_secs(secs)), words);
        }
    }
}
