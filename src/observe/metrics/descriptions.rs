//! The one table of all metrics: exposition and reference are made from it.

/// What a metric is and how it is spoken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Description {
    /// The full name, prefix and unit included.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// In the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence without an end mark.
    pub help: &'static str,
    /// What is counted or measured.
    pub unit: &'static str,
}

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only goes up, from 0 at the agent's start.
    Counter,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The name in a `# TYPE` line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Every metric, in the order of the scrape.
pub const DESCRIPTIONS: &[Description] = &[
    BUILD_INFO,
    CONFIG_SUCCESSFUL,
    CONFIG_LOADED,
    ACCOUNT_STATE,
    TOKEN_EXPIRATION,
    TOKEN_RENEWAL,
    TOKEN_GENERATION,
    SINK_SUCCESS,
    SINK_WRITING,
    CLOCK_SKEW,
    RENEWALS,
    REQUESTS,
    THROTTLED,
    SINK_WRITES,
    HOOK_RUNS,
    LOG_DROPPED,
    RENEWAL_DURATION,
    RENEWAL_LATENESS,
    SINK_WRITE_DURATION,
];

pub(super) const BUILD_INFO: Description = Description {
    name: "renewd_build_info",
    kind: Kind::Gauge,
    labels: &["version"],
    help: "Always 1; the label names the running version",
    unit: "",
};
pub(super) const CONFIG_SUCCESSFUL: Description = Description {
    name: "renewd_config_last_reload_successful",
    kind: Kind::Gauge,
    labels: &[],
    help: "1 while the configuration file as it was last read is the one that runs, 0 while it has errors and the one \
           before runs on",
    unit: "0 or 1",
};
pub(super) const CONFIG_LOADED: Description = Description {
    name: "renewd_config_last_reload_success_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the configuration that runs was loaded",
    unit: "Unix time, s",
};
pub(super) const ACCOUNT_STATE: Description = Description {
    name: "renewd_account_state",
    kind: Kind::Gauge,
    labels: &["account", "provider", "state"],
    help: "1 for the state that the account is in, 0 for the others",
    unit: "0 or 1",
};
pub(super) const TOKEN_EXPIRATION: Description = Description {
    name: "renewd_token_expiration_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["account", "provider"],
    help: "When the account's current token ends; absent before the first token",
    unit: "Unix time, s",
};
pub(super) const TOKEN_RENEWAL: Description = Description {
    name: "renewd_token_renewal_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["account", "provider"],
    help: "When the provider will next be asked, be it a renewal or a retry; absent while it is being asked",
    unit: "Unix time, s",
};
pub(super) const TOKEN_GENERATION: Description = Description {
    name: "renewd_token_generation",
    kind: Kind::Gauge,
    labels: &["account", "provider"],
    help: "Count of the account's tokens, also across restarts; 0 before the first",
    unit: "tokens",
};
pub(super) const SINK_SUCCESS: Description = Description {
    name: "renewd_sink_last_success_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["account", "sink"],
    help: "When the sink was last written, or first found to hold what it should; absent before. A template (`sink` is `template:PATH`) has an empty account",
    unit: "Unix time, s",
};
pub(super) const SINK_WRITING: Description = Description {
    name: "renewd_sink_write_start_timestamp_seconds",
    kind: Kind::Gauge,
    labels: &["account", "sink"],
    help: "When the write to the sink began that is under way, where that takes longer than 5 s; absent otherwise. A template has an empty account",
    unit: "Unix time, s",
};
pub(super) const CLOCK_SKEW: Description = Description {
    name: "renewd_clock_skew_seconds",
    kind: Kind::Gauge,
    labels: &["provider"],
    help: "The provider's clock minus ours, as its last reply that names a time has it",
    unit: "s",
};
pub(super) const RENEWALS: Description = Description {
    name: "renewd_renewals_total",
    kind: Kind::Counter,
    labels: &["account", "provider", "result"],
    help: "Attempts to get a token: ok, or the error's class",
    unit: "attempts",
};
pub(super) const REQUESTS: Description = Description {
    name: "renewd_provider_requests_total",
    kind: Kind::Counter,
    labels: &["provider", "code"],
    help: "Requests to the provider by HTTP status; none where no reply came",
    unit: "requests",
};
pub(super) const THROTTLED: Description = Description {
    name: "renewd_throttled_total",
    kind: Kind::Counter,
    labels: &["provider"],
    help: "Replies by which the provider asked for patience",
    unit: "replies",
};
pub(super) const SINK_WRITES: Description = Description {
    name: "renewd_sink_writes_total",
    kind: Kind::Counter,
    labels: &["account", "sink", "result"],
    help: "Writes to the sink: ok or failed; one that found the sink as it should be does not count",
    unit: "writes",
};
pub(super) const HOOK_RUNS: Description = Description {
    name: "renewd_hook_runs_total",
    kind: Kind::Counter,
    labels: &["kind", "result"],
    help: "Runs of on_change hooks: ok or failed",
    unit: "runs",
};
pub(super) const LOG_DROPPED: Description = Description {
    name: "renewd_log_lines_dropped_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Lines of the log that standard error did not take in time, or not at all",
    unit: "lines",
};
pub(super) const RENEWAL_DURATION: Description = Description {
    name: "renewd_renewal_duration_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "From the start of a request to the end of its reply, which is durable by then where it must be",
    unit: "s",
};
pub(super) const RENEWAL_LATENESS: Description = Description {
    name: "renewd_renewal_lateness_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "From the instant at which a request was due to its start: what it waited for its host's limits or breaker",
    unit: "s",
};
pub(super) const SINK_WRITE_DURATION: Description = Description {
    name: "renewd_sink_write_duration_seconds",
    kind: Kind::Histogram,
    labels: &[],
    help: "From the decision to write a sink to the end of the write, the wait for a free writer included",
    unit: "s",
};
