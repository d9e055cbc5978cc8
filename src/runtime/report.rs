//! The status document, made from the engine's views.

use super::agent::Agent;
use super::calendar;
use crate::core::{AccountView, HookView, ServerView, SetId, TargetView, TemplateView};
use crate::domain::{ErrorClass, Now};
use crate::observe::status::{
    AccountStatus, ConfigStatus, HookStatus, ServerState, ServerStatus, SinkStatus, Status, TemplateStatus,
};

/// How everything stands.
pub(crate) fn status(agent: &Agent, now: Now) -> Status {
    let path = agent.config().map(|config| config.path.clone()).unwrap_or_default();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: now.wall,
        config: ConfigStatus {
            path,
            generation: agent.generation,
            loaded_at: agent.loaded_at,
            error: agent.config_error.clone(),
        },
        accounts: agent.engine.views(now).map(|view| account(agent, view, now)).collect(),
        templates: agent.engine.templates(now).map(|view| template(agent, view)).collect(),
        servers: agent.engine.servers(now).map(server).collect(),
        places: agent.doors.shut().collect(),
        state_dir: agent.home.shut().next(),
    }
}

fn server(view: ServerView<'_>) -> ServerStatus {
    let ServerView { name, since, next, error } = view;
    ServerStatus { name: name.to_owned(), state: ServerState::Away, since, error: error.clone(), next }
}

fn template(agent: &Agent, view: TemplateView<'_>) -> TemplateStatus {
    let path = view.id.strip_prefix("template:").unwrap_or(view.id);
    TemplateStatus {
        path: path.into(),
        state: view.state,
        written_at: view.written_at,
        error: view.error.cloned(),
        writing_since: view.slow_since,
        next: view.next,
        expires_at: view.held.map(|held| held.token.expires_at),
        waits_for: view.waits_for,
        hooks: hooks(agent, &SetId::Template(view.id.clone()), view.hooks),
    }
}

/// Each by the name that the log gives it, too.
fn hooks(agent: &Agent, set: &SetId, views: Vec<HookView<'_>>) -> Vec<HookStatus> {
    let status = |view: HookView<'_>| HookStatus {
        hook: agent.observer.hook(set, view.id).to_owned(),
        state: view.state,
        error: view.error.cloned(),
        next: view.next,
        running_since: view.running_since,
    };
    views.into_iter().map(status).collect()
}

fn account(agent: &Agent, view: AccountView<'_>, now: Now) -> AccountStatus {
    let fires = view.calendar.and_then(|calendar| calendar::next(calendar, now.wall));
    let renew_at = view.renew_at.map(|at| fires.map_or(at, |fires| fires.min(at)));
    AccountStatus {
        name: view.name.clone(),
        provider: view.provider.to_owned(),
        state: view.state,
        generation: view.generation,
        issued_at: view.token.map(|token| token.issued_at),
        expires_at: view.token.map(|token| token.expires_at),
        renew_at,
        waiting: view.waiting,
        verifying: view.verifying,
        unverified: view.unverified.cloned(),
        attempt: view.attempt,
        error: view.error.cloned(),
        sinks: view.targets.into_iter().map(sink).collect(),
        hooks: hooks(agent, &SetId::Account(view.name.clone()), view.hooks),
        credentials: match view.error {
            Some(error) if error.class == ErrorClass::Rejected => agent.refused_credentials(view.name),
            _ => Vec::new(),
        },
    }
}

fn sink(view: TargetView<'_>) -> SinkStatus {
    SinkStatus {
        sink: view.id.to_string(),
        state: view.state,
        generation: view.generation,
        expires_at: view.held.map(|held| held.token.expires_at),
        written_at: view.written_at,
        error: view.error.cloned(),
        server: view.waits_for.map(str::to_owned),
        writing_since: view.slow_since,
        next: view.next,
        removed: view.removed,
    }
}
