//! **Architecture invariant:** the only reader of clocks.

use std::os::unix::fs::MetadataExt;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::domain::{BootId, BootInstant, Now, Timestamp};

/// Both clocks, now.
#[must_use]
pub fn now() -> Now {
    Now { wall: wall(), boot: boot() }
}

/// The wall clock, now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one room for it")]
pub fn wall() -> Timestamp {
    let now = SystemTime::now();
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(match now.duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    })
}

/// The instant after that span on the clock that timers run by.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one room for it")]
pub fn timer_after(span: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + span
}

/// The boot that [`now`] counts from; `None` where the system does not say (no `/proc`).
#[must_use]
pub fn boot_id() -> Option<BootId> {
    static THIS: LazyLock<Option<BootId>> = LazyLock::new(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = std::fs::metadata("/proc/self/ns/time").map_or(0, |found| found.ino());
        Some(id.parse::<BootId>().ok()?.within(namespace))
    });
    *THIS
}

fn boot() -> BootInstant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    BootInstant(secs.unwrap_or(0).saturating_mul(1000).saturating_add(nanos.unwrap_or(0) / 1_000_000))
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_clocks_run() {
        let (one, other) = (super::now(), super::now());
        assert!(other.boot >= one.boot && one.boot.0 > 0);
        assert!(one.wall.as_secs() > 1_600_000_000);
    }
}
