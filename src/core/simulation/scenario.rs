//! What a simulated world is made of.

use std::time::Duration;

use crate::config::definition::OldToken;
use crate::config::model::{Lead, Limit};

/// What a run of the world is made of. Spans count from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// How many accounts.
    pub accounts: u32,
    /// Over how many hosts they are spread evenly; at least 1.
    pub hosts: u32,
    /// The life of every token.
    pub lifetime: Duration,
    /// How long the world goes on.
    pub duration: Duration,
    /// What is left out of the busiest minutes at the beginning.
    pub warm_up: Duration,
    /// When the hosts fail, and for how long; in order, not overlapping.
    pub outages: Vec<(Duration, Duration)>,
    /// How they fail then.
    pub fault: Fault,
    /// From request to answer.
    pub latency: Duration,
    /// How hard a host may be pressed.
    pub limit: Limit,
    /// The installation.
    pub seed: u64,
    /// What a renewal does to the token before.
    pub old_token: OldToken,
    /// The user's lead, where there is one.
    pub lead: Option<Lead>,
    /// So many accounts of the first host never get an answer.
    pub silent: u32,
    /// When the agent is killed and started again at once.
    pub restarts: Vec<Duration>,
    /// When the wall clock is set, and by how many milliseconds.
    pub steps: Vec<(Duration, i64)>,
    /// When the machine is suspended, and for how long.
    pub suspends: Vec<(Duration, Duration)>,
    /// When every account's credentials change.
    pub new_credentials: Vec<Duration>,
    /// Whether the report lists every request.
    pub record: bool,
}

/// How a host fails during an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Connections are refused, or 5xx comes at once.
    Unavailable,
    /// Nothing ever answers.
    Silent,
    /// 429 with that wait.
    Throttled(Duration),
    /// The credentials are refused.
    Rejected,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            accounts: 1,
            hosts: 1,
            lifetime: Duration::from_secs(3600),
            duration: Duration::from_secs(86_400),
            warm_up: Duration::from_secs(7_200),
            outages: Vec::new(),
            fault: Fault::Unavailable,
            latency: Duration::from_millis(100),
            limit: Limit::default(),
            seed: 1,
            old_token: OldToken::KillsOld,
            lead: None,
            silent: 0,
            restarts: Vec::new(),
            steps: Vec::new(),
            suspends: Vec::new(),
            new_credentials: Vec::new(),
            record: false,
        }
    }
}
