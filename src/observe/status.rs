//! What `status --json`, `/api/v1/status` and the socket's `GET /v1/status` answer. Names are part of the contract.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::{AccountId, ErrorInfo, Generation, Timestamp, span};
pub use crate::domain::{AccountState, Awaited, HookState, Lack, SinkState, Waiting, WaitsFor};

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// The agent's own clock when it answered; what times "left" are counted from.
    pub now: Timestamp,
    /// The configuration it runs.
    pub config: ConfigStatus,
    /// In order of name.
    pub accounts: Vec<AccountStatus>,
    /// In the configuration's order.
    pub templates: Vec<TemplateStatus>,
    /// Servers that cannot be delivered to; empty where all is well.
    #[serde(default)]
    pub servers: Vec<ServerStatus>,
    /// What the agent should have and has not: where it is reached, its audit log, those who take its alerts; empty where
    /// all is well.
    #[serde(default, rename = "listeners")]
    pub places: Vec<PlaceStatus>,
    /// The state directory, where it was lost and cannot be made anew: nothing is saved; `None` where all is well.
    #[serde(default)]
    pub state_dir: Option<PlaceStatus>,
}

/// The configuration that the agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// The main file.
    pub path: PathBuf,
    /// 1 at start, counts successful reloads.
    pub generation: u64,
    /// When that one was loaded.
    pub loaded_at: Timestamp,
    /// Why the file as it is now is not running; `None` when it is.
    pub error: Option<String>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name.
    pub name: AccountId,
    /// Its provider's name.
    pub provider: String,
    /// Where it stands.
    pub state: AccountState,
    /// Count of its tokens; 0 before the first.
    pub generation: Generation,
    /// Of the current token.
    pub issued_at: Option<Timestamp>,
    /// Of the current token.
    pub expires_at: Option<Timestamp>,
    /// When the agent will next ask the provider; `None` while it is asking or where it has stopped.
    pub renew_at: Option<Timestamp>,
    /// What keeps the agent from asking although it wants to; `None` where nothing does.
    #[serde(default)]
    pub waiting: Option<Waiting>,
    /// The provider has given a new token, which is being tried (`verify`).
    #[serde(default)]
    pub verifying: bool,
    /// Why the current token is not known to work, where it was tried in vain and is delivered all the same.
    #[serde(default)]
    pub unverified: Option<ErrorInfo>,
    /// Failed attempts since the last success.
    pub attempt: u32,
    /// The last failure, `None` once healed.
    pub error: Option<ErrorInfo>,
    /// In the configuration's order.
    pub sinks: Vec<SinkStatus>,
    /// In the configuration's order.
    #[serde(default)]
    pub hooks: Vec<HookStatus>,
    /// Where the credentials come from, while the provider refuses them; those alone that do not stand in the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialStatus>,
}

/// A credential that is refused, and never what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialStatus {
    /// The vendor's name.
    pub name: String,
    /// A file's path, or another place in words.
    pub source: String,
    /// When the running agent saw its content change; `None` where it has not.
    pub changed_at: Option<Timestamp>,
}

/// One sink of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// `file:PATH`.
    pub sink: String,
    /// Where it stands.
    pub state: SinkState,
    /// The generation that it holds, also after a failed write; `None` where none is known.
    pub generation: Option<Generation>,
    /// The end of the token that it holds; `None` where that is not known.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When it was last written.
    pub written_at: Option<Timestamp>,
    /// The last failure, `None` once healed.
    pub error: Option<ErrorInfo>,
    /// The server that it waits for, where that is away: `error` is the server's then.
    #[serde(default)]
    pub server: Option<String>,
    /// Since when it is being written, where that takes longer than 5 s.
    #[serde(default)]
    pub writing_since: Option<Timestamp>,
    /// When one that has failed by itself is tried again; `None` while it is.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// Nothing stands there because the token has ended (`when_expired: remove`).
    #[serde(default)]
    pub removed: bool,
}

/// One template of several accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateStatus {
    /// File or directory.
    pub path: PathBuf,
    /// Where it stands.
    pub state: SinkState,
    /// When it was last written.
    pub written_at: Option<Timestamp>,
    /// The last failure, `None` once healed.
    pub error: Option<ErrorInfo>,
    /// Since when it is being written, where that takes longer than 5 s.
    #[serde(default)]
    pub writing_since: Option<Timestamp>,
    /// When one that has failed by itself is tried again; `None` while it is.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// The end of what it holds: of the token that ends first among those that have a successor, or among all.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// The accounts that keep it from being written.
    #[serde(default)]
    pub waits_for: Vec<Awaited>,
    /// In the configuration's order.
    #[serde(default)]
    pub hooks: Vec<HookStatus>,
}

impl SinkStatus {
    /// The end of the token that its readers have while there is a newer one (`newest`) that cannot be written; `None` where
    /// they have the newest, and where it is not known what they have.
    #[must_use]
    pub fn outdated(&self, newest: Generation) -> Option<Timestamp> {
        let outdated = self.generation.is_some_and(|held| held < newest);
        self.expires_at.filter(|_| outdated && self.state != SinkState::Written)
    }
}

impl TemplateStatus {
    /// As [`SinkStatus::outdated`], where it fails or does not come to an end.
    #[must_use]
    pub fn outdated(&self) -> Option<Timestamp> {
        let ails = self.state == SinkState::Failed || self.writing_since.is_some();
        self.expires_at.filter(|_| ails)
    }
}

/// `readers hold a token that ended 1m 18s ago` or `... that ends in 12s`.
#[must_use]
pub fn readers_hold(end: Timestamp, now: Timestamp) -> String {
    if end > now {
        format!("readers hold a token that ends in {}", span(end.since(now)))
    } else {
        format!("readers hold a token that ended {} ago", span(now.since(end)))
    }
}

/// One hook of an account or a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookStatus {
    /// `command:PROGRAM`, `webhook:HOST` or `signal:PID_FILE`.
    pub hook: String,
    /// Where it stands.
    pub state: HookState,
    /// The last failure, `None` once healed.
    pub error: Option<ErrorInfo>,
    /// When one that has failed is tried again; `None` while it runs.
    pub next: Option<Timestamp>,
    /// Since when it runs; `None` where it does not.
    #[serde(default)]
    pub running_since: Option<Timestamp>,
}

/// A server that sinks stand on, and that is away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// `vault` or `kubernetes`.
    pub name: String,
    /// Where it stands.
    pub state: ServerState,
    /// Since when.
    pub since: Timestamp,
    /// The last failure.
    pub error: ErrorInfo,
    /// When it is tried again; `None` while it is, in the past where nothing waits for it.
    #[serde(default)]
    pub next: Option<Timestamp>,
}

/// Where a server stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It is not reached, is sealed, or refuses the login: all that stands on it waits.
    Away,
}

/// A place of the agent's own that it should have and cannot: where it listens, keeps its state or its audit log, or sends
/// its alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// `agent.listen`, `agent.socket`, `agent.audit`, `agent.alerts` or `agent.state_dir`.
    pub name: String,
    /// The address or path that is wanted.
    pub address: String,
    /// Since when.
    pub since: Timestamp,
    /// The last failure.
    pub error: ErrorInfo,
    /// When it is tried again.
    pub next: Timestamp,
    /// The address of the configuration before, where that one goes on meanwhile.
    #[serde(default)]
    pub meanwhile: Option<String>,
}

impl PlaceStatus {
    /// `agent.listen cannot be had at 127.0.0.1:9478`.
    #[must_use]
    pub fn head(&self) -> String {
        format!("{} {}", self.name, self.lack())
    }

    /// What is wrong, without its name.
    #[must_use]
    pub fn lack(&self) -> String {
        let words = match self.name.as_str() {
            "agent.audit" => "cannot be written at",
            "agent.alerts" => "are not taken by",
            _ => "cannot be had at",
        };
        format!("{words} {}", self.address)
    }

    /// `Address already in use (os error 98); 127.0.0.1:9000 goes on meanwhile`.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.meanwhile {
            Some(meanwhile) => format!("{}; {meanwhile} goes on meanwhile", self.error.message),
            None => self.error.message.clone(),
        }
    }
}
