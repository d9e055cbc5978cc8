//! What is counted: plain data, no locks. The loop alone writes it; a scrape takes a shared copy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::descriptions::{
    CLOCK_SKEW, Description, HOOK_RUNS, LOG_DROPPED, RENEWAL_DURATION, RENEWAL_LATENESS, RENEWALS, REQUESTS,
    SINK_WRITE_DURATION, SINK_WRITES, THROTTLED,
};
use crate::domain::{AccountId, ErrorClass};

/// The values of a series' labels, in the order of its description.
pub(super) type Labels = Vec<Arc<str>>;

/// Every counter and histogram, and the one gauge that no state of the engine holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters {
    /// By name, then by labels.
    series: BTreeMap<&'static str, BTreeMap<Labels, f64>>,
    /// Seconds.
    pub(super) renewal_duration: Histogram,
    /// Seconds.
    pub(super) renewal_lateness: Histogram,
    /// Seconds.
    pub(super) sink_write_duration: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            series: [(LOG_DROPPED.name, [(Vec::new(), 0.0)].into())].into(),
            renewal_duration: Histogram::new(&[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0]),
            renewal_lateness: Histogram::new(&[
                0.01, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 3600.0,
            ]),
            sink_write_duration: Histogram::new(&[
                0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ]),
        }
    }
}

impl Counters {
    /// An attempt to get a token has ended.
    pub(super) fn renewal(
        &mut self,
        account: &AccountId,
        provider: &Arc<str>,
        outcome: Result<(), ErrorClass>,
    ) {
        let result = outcome.map_or_else(ErrorClass::as_str, |()| "ok");
        self.add(&RENEWALS, vec![account.as_str().into(), provider.clone(), result.into()], 1.0);
    }

    /// A request has ended, with that HTTP status where there was one.
    pub(super) fn request(&mut self, provider: &Arc<str>, status: Option<u16>, throttled: bool) {
        let code: Arc<str> = match status {
            Some(code @ 100..=599) => code.to_string().into(),
            Some(_) => "other".into(),
            None => "none".into(),
        };
        self.add(&REQUESTS, vec![provider.clone(), code], 1.0);
        if throttled {
            self.add(&THROTTLED, vec![provider.clone()], 1.0);
        }
    }

    /// A sink was written, or could not be.
    pub(super) fn sink_write(&mut self, account: &str, sink: &Arc<str>, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.add(&SINK_WRITES, vec![account.into(), sink.clone(), result.into()], 1.0);
    }

    /// A sink is there, not written yet.
    pub(super) fn begin_sink(&mut self, account: &str, sink: &Arc<str>) {
        self.add(&SINK_WRITES, vec![account.into(), sink.clone(), "ok".into()], 0.0);
    }

    /// A hook of that kind has run, or failed.
    pub(super) fn hook_run(&mut self, kind: &'static str, ok: bool) {
        let result = if ok { "ok" } else { "failed" };
        self.add(&HOOK_RUNS, vec![kind.into(), result.into()], 1.0);
    }

    /// Lines of the log that were dropped since the start.
    pub(in crate::observe) fn log_lines_dropped(&mut self, lines: u64) {
        #[expect(clippy::cast_precision_loss, reason = "nobody loses 2^53 lines")]
        let lines = lines as f64;
        self.series.entry(LOG_DROPPED.name).or_default().insert(Vec::new(), lines);
    }

    /// A provider's clock against ours.
    pub(super) fn clock_skew(&mut self, provider: &Arc<str>, offset_ms: i64) {
        #[expect(clippy::cast_precision_loss, reason = "a clock 285,000 years off may round")]
        let seconds = offset_ms as f64 / 1000.0;
        self.series.entry(CLOCK_SKEW.name).or_default().insert(vec![provider.clone()], seconds);
    }

    /// An account is there: what goes well with it begins at 0, so that the first success is an increase.
    pub(super) fn begin_account<'a>(
        &mut self,
        account: &AccountId,
        provider: &Arc<str>,
        sinks: impl Iterator<Item = &'a Arc<str>>,
    ) {
        let name: Arc<str> = account.as_str().into();
        self.add(&RENEWALS, vec![name.clone(), provider.clone(), "ok".into()], 0.0);
        self.add(&THROTTLED, vec![provider.clone()], 0.0);
        for sink in sinks {
            self.add(&SINK_WRITES, vec![name.clone(), sink.clone(), "ok".into()], 0.0);
        }
    }

    /// Forgets the series of accounts, providers and sinks that are in the configuration no more.
    pub(super) fn retain(
        &mut self,
        account: impl Fn(&str, &str) -> bool,
        provider: impl Fn(&str) -> bool,
        sink: impl Fn(&str, &str) -> bool,
    ) {
        for (name, series) in &mut self.series {
            series.retain(|labels, _| match labels.as_slice() {
                [name_of, of, _] if *name == RENEWALS.name => account(name_of, of),
                [name_of, path, _] if *name == SINK_WRITES.name => sink(name_of, path),
                _ if *name == HOOK_RUNS.name => true,
                [of, ..] => provider(of),
                [] => true,
            });
        }
    }

    /// The series of a counter, or of the clocks' gauge.
    pub(super) fn series(&self, description: &Description) -> impl Iterator<Item = (&Labels, f64)> {
        self.series.get(description.name).into_iter().flatten().map(|(labels, value)| (labels, *value))
    }

    /// The histogram of that name.
    pub(super) fn histogram(&self, description: &Description) -> Option<&Histogram> {
        [
            (&RENEWAL_DURATION, &self.renewal_duration),
            (&RENEWAL_LATENESS, &self.renewal_lateness),
            (&SINK_WRITE_DURATION, &self.sink_write_duration),
        ]
        .into_iter()
        .find_map(|(known, histogram)| (known.name == description.name).then_some(histogram))
    }

    fn add(&mut self, description: &Description, labels: Labels, count: f64) {
        *self.series.entry(description.name).or_default().entry(labels).or_insert(0.0) += count;
    }
}

/// Observations by size.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    /// Seconds at most, in ascending order.
    #[must_use]
    pub fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    pub(super) fn observe(&mut self, span: Duration) {
        let seconds = span.as_secs_f64();
        let first = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(first) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Bounds with the count of all observations up to them.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }

    pub(super) fn total(&self) -> (u64, f64) {
        (self.count, self.sum)
    }
}
