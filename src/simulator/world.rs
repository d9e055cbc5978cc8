//! Everything that the vendors remember, behind the simulator's one lock.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    clock::{later, millis_between},
    fault::Fault,
    ledger::Ledger,
    options::Options,
    provider::{Operation, Provider},
    rule::{FaultRule, Target},
    signer::Signer,
    stats::Counter,
    vendor::{Call, Keys},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The vendors' state.
#[derive(Clone)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) ledger: Ledger,
    pub(super) signer: Signer,
    pub(super) counter: Counter,
    pub(super) keys: Keys,
    turn: u64,
    /// Set while running; these go before `options.faults`.
    set: Vec<FaultRule>,
    started: Timestamp,
    napi: HashMap<IpAddr, VecDeque<Timestamp>>,
    kis: HashMap<String, Timestamp>,
}

impl World {
    pub(super) fn new(options: Options, started: Timestamp) -> Self {
        Self {
            ledger: Ledger::new(options.seed),
            signer: Signer::new(options.seed),
            counter: Counter::default(),
            keys: Keys::default(),
            turn: 0,
            set: Vec::new(),
            started,
            napi: HashMap::new(),
            kis: HashMap::new(),
            options,
        }
    }

    /// Counts the requests that reach a vendor.
    pub(super) fn next_turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// The fault that hits this request, counted off where its rule counts.
    pub(super) fn take_fault(
        &mut self,
        provider: Provider,
        operation: Operation,
        account: &str,
        now: Timestamp,
    ) -> Option<Fault> {
        let since_start = Duration::from_millis(millis_between(self.started, now));
        let rule = self
            .set
            .iter_mut()
            .chain(&mut self.options.faults)
            .find(|rule| rule.is_on(since_start) && rule.target.hits(provider, operation, account))?;
        if let Some(remaining) = &mut rule.remaining {
            *remaining -= 1;
        }
        Some(rule.fault.clone())
    }

    /// Puts a rule before all others, in place of a former one for the same target.
    pub(super) fn set_rule(&mut self, rule: FaultRule) {
        self.unset(&rule.target);
        self.set.insert(0, rule);
    }

    /// Ends what was set for this target; rules from the start stay.
    pub(super) fn unset(&mut self, target: &Target) {
        self.set.retain(|rule| rule.target != *target);
    }

    /// Ends every fault, those from the start too.
    pub(super) fn clear_faults(&mut self) {
        self.set.clear();
        self.options.faults.clear();
    }

    /// How long the caller has to wait where the vendor's own limit is on and reached.
    pub(super) fn over_the_vendors_limit(&mut self, call: &Call, account: Option<&str>) -> Option<Duration> {
        match call.provider {
            Provider::BizppurioNapi => {
                let limit = usize::try_from(self.options.limits.napi_per_minute?).ok()?;
                let address = call.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                let window = self.napi.entry(address).or_default();
                while window.front().is_some_and(|first| later(*first, MINUTE) <= call.now) {
                    window.pop_front();
                }
                if window.len() < limit {
                    window.push_back(call.now);
                    return None;
                }
                let free = window.front().map_or(call.now, |first| later(*first, MINUTE));
                Some(Duration::from_millis(millis_between(call.now, free)))
            }
            Provider::Kis => {
                let interval = self.options.limits.kis_interval?;
                let account = account?;
                let last = self.kis.get(account).copied();
                match last.map(|last| later(last, interval)) {
                    Some(free) if free > call.now => {
                        Some(Duration::from_millis(millis_between(call.now, free)))
                    }
                    _ => {
                        self.kis.insert(account.to_owned(), call.now);
                        None
                    }
                }
            }
            _ => None,
        }
    }
}

/// How far a fault puts the vendor's clock ahead.
pub(super) fn skew_of(fault: Option<&Fault>) -> SignedDuration {
    match fault {
        Some(Fault::Clock(by)) => *by,
        _ => SignedDuration::ZERO,
    }
}
