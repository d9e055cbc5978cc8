//! What the simulator counts: how politely and how rightly it was asked.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    clock::millis_between,
    provider::{Operation, Provider},
};

/// The journal keeps this many of the latest requests.
const JOURNAL: usize = 100_000;

/// Counts since the start. Providers that were never asked are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Token requests of all providers.
    pub requests: u64,
    /// The most token requests that arrived within any second, over all providers.
    pub peak_per_second: usize,
    /// The most token requests that were in flight at once, over all providers.
    pub peak_in_flight: usize,
    /// By provider.
    pub providers: BTreeMap<&'static str, ProviderStats>,
}

/// Counts of one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProviderStats {
    /// Token requests.
    pub requests: u64,
    /// Those that were answered with a token.
    pub granted: u64,
    /// Those that the vendor refused by itself.
    pub refused: u64,
    /// Those that a fault hit.
    pub faulted: u64,
    /// Those that arrived while another of the same account was in flight.
    pub overlapping: u64,
    /// The most that arrived within any second.
    pub peak_per_second: usize,
    /// The most that were in flight at once.
    pub peak_in_flight: usize,
    /// Readers' requests with a token that holds.
    pub probes_accepted: u64,
    /// Readers' requests with a token that does not: expired, revoked, unknown or none.
    pub probes_rejected: u64,
    /// By operation (`issue`, `refresh`) and account; `unknown` where the request names none.
    pub operations: BTreeMap<&'static str, BTreeMap<String, AccountStats>>,
}

/// Counts of one operation of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccountStats {
    /// Token requests.
    pub requests: u64,
    /// Answered with a token.
    pub granted: u64,
    /// Refused by the vendor itself.
    pub refused: u64,
    /// Hit by a fault.
    pub faulted: u64,
    /// Arrived while another of this account was in flight.
    pub overlapping: u64,
    /// Refused because the credentials are wrong.
    pub bad_credentials: u64,
    /// Refused because the refresh token was spent, replaced, expired or never issued.
    pub dead_refresh_tokens: u64,
    /// The least time between two requests, in milliseconds.
    pub shortest_gap_ms: Option<u64>,
}

/// One token request, entered once it was answered or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it arrived.
    pub at: Timestamp,
    /// Which vendor.
    pub provider: Provider,
    /// What it asked for.
    pub operation: Operation,
    /// Who asked.
    pub account: String,
    /// The HTTP status; `None` where no answer went out.
    pub status: Option<u16>,
    /// Whether a token was handed out.
    pub granted: bool,
    /// The fault that hit it, as a flag says it.
    pub fault: Option<String>,
}

/// How a request ended inside the vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Granted,
    BadCredentials,
    DeadRefreshToken,
    OtherRefusal,
}

/// The running counts behind [`Stats`].
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    stats: Stats,
    window: VecDeque<Timestamp>,
    windows: HashMap<Provider, VecDeque<Timestamp>>,
    in_flight: usize,
    in_flight_of: HashMap<Provider, usize>,
    in_flight_by: HashMap<(Provider, String), usize>,
    last: HashMap<(Provider, Operation, String), Timestamp>,
    journal: VecDeque<Seen>,
}

impl Counter {
    pub(super) fn stats(&self) -> Stats {
        self.stats.clone()
    }

    pub(super) fn journal(&self) -> Vec<Seen> {
        self.journal.iter().cloned().collect()
    }

    /// Forgets the counts, not what is in flight.
    pub(super) fn reset(&mut self) {
        self.stats = Stats::default();
        self.window.clear();
        self.windows.clear();
        self.last.clear();
        self.journal.clear();
    }

    /// A token request arrived. Every call is followed by one of [`Counter::left`].
    pub(super) fn arrived(
        &mut self,
        provider: Provider,
        operation: Operation,
        account: &str,
        faulted: bool,
        at: Timestamp,
    ) {
        self.in_flight += 1;
        let of_provider = self.in_flight_of.entry(provider).or_default();
        *of_provider += 1;
        let by_account = self.in_flight_by.entry((provider, account.to_owned())).or_default();
        *by_account += 1;
        let overlapping = u64::from(*by_account > 1);
        let faulted = u64::from(faulted);

        self.stats.requests += 1;
        self.stats.peak_in_flight = self.stats.peak_in_flight.max(self.in_flight);
        self.stats.peak_per_second = self.stats.peak_per_second.max(within_a_second(&mut self.window, at));
        let per_second = within_a_second(self.windows.entry(provider).or_default(), at);
        let key = (provider, operation, account.to_owned());
        let gap = self.last.insert(key, at).map(|last| millis_between(last, at));

        let stats = self.stats.providers.entry(provider.name()).or_default();
        stats.requests += 1;
        stats.overlapping += overlapping;
        stats.faulted += faulted;
        stats.peak_in_flight = stats.peak_in_flight.max(*of_provider);
        stats.peak_per_second = stats.peak_per_second.max(per_second);
        let account = account_stats(stats, operation, account);
        account.requests += 1;
        account.overlapping += overlapping;
        account.faulted += faulted;
        account.shortest_gap_ms = match (account.shortest_gap_ms, gap) {
            (Some(shortest), Some(gap)) => Some(shortest.min(gap)),
            (shortest, gap) => shortest.or(gap),
        };
    }

    /// The vendor decided.
    pub(super) fn decided(
        &mut self,
        provider: Provider,
        operation: Operation,
        account: &str,
        outcome: Outcome,
    ) {
        let stats = self.stats.providers.entry(provider.name()).or_default();
        let granted = u64::from(outcome == Outcome::Granted);
        stats.granted += granted;
        stats.refused += 1 - granted;
        let account = account_stats(stats, operation, account);
        account.granted += granted;
        account.refused += 1 - granted;
        account.bad_credentials += u64::from(outcome == Outcome::BadCredentials);
        account.dead_refresh_tokens += u64::from(outcome == Outcome::DeadRefreshToken);
    }

    /// The request was answered, or its client left.
    pub(super) fn left(&mut self, seen: Seen) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(count) = self.in_flight_of.get_mut(&seen.provider) {
            *count = count.saturating_sub(1);
        }
        let key = (seen.provider, seen.account.clone());
        if let Some(count) = self.in_flight_by.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.in_flight_by.remove(&key);
            }
        }
        if self.journal.len() == JOURNAL {
            self.journal.pop_front();
        }
        self.journal.push_back(seen);
    }

    /// A reader used a token.
    pub(super) fn probed(&mut self, provider: Provider, accepted: bool) {
        let stats = self.stats.providers.entry(provider.name()).or_default();
        stats.probes_accepted += u64::from(accepted);
        stats.probes_rejected += u64::from(!accepted);
    }
}

fn account_stats<'a>(
    stats: &'a mut ProviderStats,
    operation: Operation,
    account: &str,
) -> &'a mut AccountStats {
    stats.operations.entry(operation.name()).or_default().entry(account.to_owned()).or_default()
}

/// Adds `at` and tells how many fell into the second that ends with it.
fn within_a_second(window: &mut VecDeque<Timestamp>, at: Timestamp) -> usize {
    window.push_back(at);
    while window.front().is_some_and(|first| millis_between(*first, at) >= 1_000) {
        window.pop_front();
    }
    window.len()
}
