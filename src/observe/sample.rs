//! Made-up views and documents for tests: all is well in each, and a test spoils what it is about.

use std::time::Duration;

use super::status::{AccountStatus, ConfigStatus, SinkStatus, Status, TemplateStatus};
use crate::core::{AccountView, TargetId, TargetView};
use crate::domain::{AccountId, AccountState, Generation, SinkState, Timestamp, TokenMeta};

/// An agent that answers at `now`, with a configuration of two hours ago.
pub(crate) fn status(now: Timestamp, accounts: Vec<AccountStatus>) -> Status {
    Status {
        version: "0.1.0".to_owned(),
        now,
        config: ConfigStatus {
            path: "/etc/renewd/renewd.yaml".into(),
            generation: 3,
            loaded_at: now.minus(Duration::from_secs(7_200)),
            error: None,
        },
        accounts,
        templates: Vec::new(),
        servers: Vec::new(),
        places: Vec::new(),
        state_dir: None,
    }
}

/// A fresh account whose token is written to its file as soon as it was issued.
pub(crate) fn account(name: &str, provider: &str, token: TokenMeta, renew_at: Timestamp) -> AccountStatus {
    AccountStatus {
        name: AccountId::new(name).unwrap(),
        provider: provider.to_owned(),
        state: AccountState::Fresh,
        generation: token.generation,
        issued_at: Some(token.issued_at),
        expires_at: Some(token.expires_at),
        renew_at: Some(renew_at),
        waiting: None,
        verifying: false,
        unverified: None,
        attempt: 0,
        error: None,
        sinks: vec![sink(&format!("file:/run/renewd/{name}.token"), token.generation, token.issued_at)],
        hooks: Vec::new(),
        credentials: Vec::new(),
    }
}

/// A sink that holds that generation.
pub(crate) fn sink(name: &str, generation: Generation, written_at: Timestamp) -> SinkStatus {
    SinkStatus {
        sink: name.to_owned(),
        state: SinkState::Written,
        generation: Some(generation),
        expires_at: None,
        written_at: Some(written_at),
        error: None,
        server: None,
        writing_since: None,
        next: None,
        removed: false,
    }
}

/// A template that is written.
pub(crate) fn template(path: &str, written_at: Option<Timestamp>) -> TemplateStatus {
    TemplateStatus {
        path: path.into(),
        state: SinkState::Written,
        written_at,
        error: None,
        writing_since: None,
        next: None,
        expires_at: None,
        waits_for: Vec::new(),
        hooks: Vec::new(),
    }
}

/// The engine's view of a fresh account that has not asked for its token yet.
pub(crate) fn account_view(name: &AccountId) -> AccountView<'_> {
    AccountView {
        name,
        provider: "test",
        state: AccountState::Fresh,
        generation: Generation(7),
        token: None,
        alive: true,
        renew_at: None,
        held_until: None,
        waiting: None,
        asking: false,
        verifying: false,
        untried: false,
        unverified: None,
        attempt: 0,
        error: None,
        lacks: None,
        finished: 1,
        calendar: None,
        left: Duration::ZERO,
        lead: Duration::from_secs(1_200),
        targets: Vec::new(),
        hooks: Vec::new(),
    }
}

/// The engine's view of a sink in that state.
pub(crate) fn target_view(id: &TargetId, state: SinkState) -> TargetView<'_> {
    TargetView {
        id,
        state,
        generation: None,
        written_at: None,
        error: None,
        waits_for: None,
        slow_since: None,
        next: None,
        removed: false,
        held: None,
    }
}
