//! What is counted while a simulated world goes on, and what is made of it in the end.

use std::collections::VecDeque;
use std::time::Duration;

use super::simulation::Scenario;

/// What a run of the world came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Requests that left.
    pub requests: u64,
    /// Those that did not bring a token.
    pub failures: u64,
    /// New tokens, the first ones included.
    pub renewals: u64,
    /// Most requests to one host in any second.
    pub peak_per_host_second: usize,
    /// Most requests in a minute (over all hosts) by the mean minute, after the warm-up; 0 where that is no time.
    pub busiest_minute: f64,
    /// The same with spans of ten minutes.
    pub busiest_ten_minutes: f64,
    /// How long after its due time a request left: half, 99%, all of them were no later (in steps of about 6%).
    /// Accounts that never get an answer are not counted.
    pub lateness: [Duration; 3],
    /// Seconds that an account's last token was past its end, summed over accounts.
    pub expired_seconds: f64,
    /// How often an account's token ended before the next one came.
    pub expiries: u64,
    /// For each outage, how long after its end the last expired account had a token again.
    pub recoveries: Vec<Duration>,
    /// Accounts whose token is past its end, or that never had one, when the world ends.
    pub left_expired: u64,
    /// Events that the engine has taken.
    pub events: u64,
    /// Every request in order, where the scenario wants them.
    pub log: Vec<Request>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Milliseconds since the beginning.
    pub at: u64,
    /// The account's number.
    pub account: u32,
    /// How it will end.
    pub verdict: Verdict,
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// With a token.
    Token,
    /// With a transport failure, 5xx or no answer.
    Fault,
    /// With 429.
    Throttled,
    /// With a refusal of the credentials.
    Rejected,
}

const MINUTE: u64 = 60_000;
/// Each power of two of milliseconds is divided into so many steps.
const STEPS: u64 = 16;

#[derive(Debug)]
pub(super) struct Tally {
    requests: u64,
    failures: u64,
    renewals: u64,
    pub(super) events: u64,
    /// The last second's requests, by host.
    seconds: Vec<VecDeque<u64>>,
    peak: usize,
    minutes: Vec<u32>,
    lateness: Vec<u64>,
    expired_millis: u64,
    expiries: u64,
    left_expired: u64,
    outage_ends: Vec<u64>,
    recoveries: Vec<Duration>,
    warm: u64,
    log: Option<Vec<Request>>,
}

impl Tally {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let ends = scenario.outages.iter().map(|(start, length)| millis(*start + *length));
        Self {
            requests: 0,
            failures: 0,
            renewals: 0,
            events: 0,
            seconds: vec![VecDeque::new(); scenario.hosts.max(1) as usize],
            peak: 0,
            minutes: Vec::new(),
            lateness: Vec::new(),
            expired_millis: 0,
            expiries: 0,
            left_expired: 0,
            outage_ends: ends.collect(),
            recoveries: vec![Duration::ZERO; scenario.outages.len()],
            warm: millis(scenario.warm_up),
            log: scenario.record.then(Vec::new),
        }
    }

    /// A request leaves for `host`, so much later than it was due.
    pub(super) fn request(&mut self, request: Request, host: u32, lateness: Option<Duration>) {
        self.requests += 1;
        self.failures += u64::from(request.verdict != Verdict::Token);
        if let Some(second) = self.seconds.get_mut(host as usize) {
            while second.front().is_some_and(|first| first + 1000 <= request.at) {
                second.pop_front();
            }
            second.push_back(request.at);
            self.peak = self.peak.max(second.len());
        }
        count(&mut self.minutes, request.at / MINUTE);
        if let Some(late) = lateness {
            count(&mut self.lateness, step(millis(late)));
        }
        if let Some(log) = &mut self.log {
            log.push(request);
        }
    }

    /// A new token comes at `at` for an account whose last one ended, or will end, at `ends`.
    pub(super) fn renewed(&mut self, ends: Option<u64>, at: u64) {
        self.renewals += 1;
        let expired = ends.map_or(0, |ends| at.saturating_sub(ends));
        self.expired_millis += expired;
        self.expiries += u64::from(expired > 0);
        if expired > 0 || ends.is_none() {
            let over = self.outage_ends.iter().rposition(|end| *end <= at);
            if let Some((recovery, end)) =
                over.map(|over| (&mut self.recoveries[over], self.outage_ends[over]))
            {
                *recovery = (*recovery).max(Duration::from_millis(at - end));
            }
        }
    }

    /// The world ends at `at` for an account whose token ends, or has ended, at `ends`.
    pub(super) fn ends(&mut self, ends: Option<u64>, at: u64) {
        let expired = ends.map_or(0, |ends| at.saturating_sub(ends));
        self.expired_millis += expired;
        self.expiries += u64::from(expired > 0);
        self.left_expired += u64::from(expired > 0 || ends.is_none());
    }

    pub(super) fn report(self, at: u64) -> Report {
        // Whole minutes only, quiet ones at the end included.
        let mut minutes = self.minutes;
        minutes.resize(usize::try_from(at / MINUTE).unwrap_or(0), 0);
        let warm = usize::try_from(self.warm.div_ceil(MINUTE)).unwrap_or(0).min(minutes.len());
        let steady = &minutes[warm..];
        Report {
            requests: self.requests,
            failures: self.failures,
            renewals: self.renewals,
            peak_per_host_second: self.peak,
            busiest_minute: busiest(steady, 1),
            busiest_ten_minutes: busiest(steady, 10),
            lateness: [500, 990, 1000].map(|permille| quantile(&self.lateness, permille)),
            expired_seconds: Duration::from_millis(self.expired_millis).as_secs_f64(),
            expiries: self.expiries,
            recoveries: self.recoveries,
            left_expired: self.left_expired,
            events: self.events,
            log: self.log.unwrap_or_default(),
        }
    }
}

fn busiest(minutes: &[u32], span: usize) -> f64 {
    let sums: Vec<u32> = minutes.chunks_exact(span).map(|chunk| chunk.iter().sum()).collect();
    let total: u64 = sums.iter().map(|sum| u64::from(*sum)).sum();
    match sums.iter().max() {
        #[expect(clippy::cast_precision_loss, reason = "counts far under 2^52")]
        Some(most) if total > 0 => f64::from(*most) * sums.len() as f64 / total as f64,
        _ => 0.0,
    }
}

fn count<N: Copy + Default + std::ops::AddAssign + From<u8>>(counts: &mut Vec<N>, at: u64) {
    let Ok(at) = usize::try_from(at) else { return };
    if counts.len() <= at {
        counts.resize(at + 1, N::default());
    }
    counts[at] += N::from(1);
}

/// Steps of a millisecond at first, then 16 to each doubling.
fn step(late: u64) -> u64 {
    if late < STEPS {
        return late;
    }
    let doublings = u64::from(late.ilog2()) - u64::from(STEPS.ilog2());
    (doublings + 1) * STEPS + (late >> doublings) - STEPS
}

/// The upper end of a step, in milliseconds.
fn end_of(step: u64) -> u64 {
    if step < STEPS {
        return step;
    }
    let doublings = step / STEPS - 1;
    ((step % STEPS + STEPS + 1) << doublings) - 1
}

fn quantile(counts: &[u64], permille: u64) -> Duration {
    let total: u64 = counts.iter().sum();
    let mut seen = 0;
    for (step, count) in counts.iter().enumerate() {
        seen += count;
        if seen * 1000 >= total * permille && seen > 0 {
            return Duration::from_millis(end_of(step as u64));
        }
    }
    Duration::ZERO
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_what_falls_into_it_within_a_sixteenth() {
        for late in (0..5_000).chain((5_000..90_000_000).step_by(9_999)) {
            let end = end_of(step(late));
            assert!(end >= late && end <= late + late / 16, "{late}: {end}");
        }
    }

    #[test]
    fn a_quantile_is_the_first_step_that_covers_its_share() {
        let mut counts = Vec::new();
        (0..100).for_each(|late| count::<u64>(&mut counts, step(late)));
        assert_eq!(quantile(&counts, 500), Duration::from_millis(49));
        assert_eq!(quantile(&counts, 1000), Duration::from_millis(99));
        assert_eq!(quantile(&[], 500), Duration::ZERO);
    }

    #[test]
    fn a_report_tells_of_requests_late_ones_expired_tokens_and_recoveries() {
        let secs = Duration::from_secs;
        let outages = vec![(secs(10), secs(20)), (secs(100), secs(10))];
        let scenario = Scenario { hosts: 2, outages, warm_up: secs(61), record: true, ..Scenario::default() };
        let mut tally = Tally::new(&scenario);
        let asked = [(0, 0), (999, 0), (1_000, 0), (1_000, 1), (130_000, 0), (130_000, 1), (240_000, 0)];
        for (number, (at, host)) in asked.into_iter().enumerate() {
            let verdict = if number == 1 { Verdict::Fault } else { Verdict::Token };
            let late = (number > 0).then(|| Duration::from_millis(number as u64));
            tally.request(Request { at, account: 0, verdict }, host, late);
        }
        for (ends, at) in
            [(None, 0), (Some(25_000), 31_000), (Some(29_000), 30_500), (Some(120_000), 110_500)]
        {
            tally.renewed(ends, at);
        }
        tally.renewed(None, 112_000);
        for ends in [Some(300_000), Some(239_000), None] {
            tally.ends(ends, 240_000);
        }
        let report = tally.report(240_000);
        assert_eq!((report.requests, report.failures, report.renewals), (7, 1, 5));
        assert_eq!(report.peak_per_host_second, 2, "within less than a second");
        assert_eq!(report.lateness, [3, 6, 6].map(Duration::from_millis));
        assert_eq!((report.expired_seconds, report.expiries, report.left_expired), (8.5, 3, 2));
        assert_eq!(report.recoveries, [secs(1), secs(2)]);
        assert_eq!((report.busiest_minute, report.busiest_ten_minutes), (2.0, 0.0), "of two whole ones");
        assert_eq!(report.log.len(), 7);
    }

    #[test]
    fn the_busiest_minute_is_measured_by_the_mean_one() {
        assert_eq!(busiest(&[1, 1, 4, 2], 1), 2.0);
        assert_eq!(busiest(&[1, 1, 4, 2], 2), 1.5);
        assert_eq!(busiest(&[], 1), 0.0);
        assert_eq!(busiest(&[0, 0], 1), 0.0, "nothing was asked");
    }

    #[test]
    fn a_token_that_comes_in_time_is_no_recovery_and_one_that_lives_to_the_end_is_not_expired() {
        let secs = Duration::from_secs;
        let outages = vec![(secs(1), secs(9))];
        let mut tally = Tally::new(&Scenario { outages, ..Scenario::default() });
        tally.renewed(Some(60_000), 50_000);
        tally.renewed(Some(60_000), 60_000);
        tally.ends(Some(240_000), 240_000);
        tally.ends(Some(240_001), 240_000);
        tally.ends(Some(239_999), 240_000);
        let report = tally.report(240_000);
        assert_eq!(report.recoveries, [Duration::ZERO]);
        assert_eq!((report.expiries, report.left_expired, report.expired_seconds), (1, 1, 0.001));
    }

    #[test]
    fn a_share_of_nothing_takes_no_time() {
        assert_eq!(quantile(&[0, 0], 500), Duration::ZERO);
        assert_eq!(quantile(&[0, 2], 0), Duration::from_millis(1), "the first that came");
    }

    #[test]
    fn a_span_too_long_to_count_is_far_from_overflowing() {
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::MAX), u64::MAX / 4);
    }
}
