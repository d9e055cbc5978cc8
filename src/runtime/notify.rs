//! The effect `Notify`: one hook of a set is run. What it is told are names and times, and the targets that hold what
//! is new, as the engine knows them.

use std::sync::Arc;

use super::restore::hook_ids;
use super::servers::Servers;
use super::shared::Shared;
use crate::config::model::{Account, Hook, TemplateTarget};
use crate::core::{Event, HookFailure, HookId, SetId, TargetId};
use crate::domain::{AccountId, ErrorClass};
use crate::hook::{Notice, Renewed, Subject};
use crate::store::Store;

/// Whose hook it is, as the configuration has it.
#[derive(Debug, Clone)]
pub(crate) enum Notifier {
    Account(Arc<Account>),
    Template(Arc<TemplateTarget>),
}

impl Notifier {
    fn hook(&self, id: HookId, store: &Store) -> Option<&Hook> {
        let hooks = match self {
            Self::Account(account) => &account.on_change,
            Self::Template(template) => &template.on_change,
        };
        let place = hook_ids(hooks, store).iter().position(|known| *known == id)?;
        hooks.get(place)
    }

    fn notice(&self, shared: &Shared, targets: &[TargetId]) -> Option<Notice> {
        let renewed = |account: &AccountId| {
            let record = shared.store.snapshot(account)?;
            let meta = record.current.as_ref()?.meta;
            Some(Renewed { account: account.clone(), provider: record.provider.clone(), meta })
        };
        let subject = match self {
            Self::Account(account) => Subject::Account(renewed(&account.name)?),
            Self::Template(template) => {
                let accounts = template.accounts.iter().map(renewed).collect::<Option<_>>()?;
                Subject::Template { path: template.path.clone(), accounts }
            }
        };
        Some(Notice { subject, targets: targets.iter().map(ToString::to_string).collect() })
    }
}

/// The run that the engine wants.
pub(crate) struct Run {
    pub(crate) set: SetId,
    pub(crate) hook: HookId,
    pub(crate) revision: u64,
    /// Where what is new stands.
    pub(crate) targets: Vec<TargetId>,
}

/// Runs it once; gives its kind for the metrics, and what the engine is to know.
pub(crate) async fn notify(
    shared: Arc<Shared>,
    servers: Servers,
    notifier: Notifier,
    run: Run,
) -> (&'static str, Event) {
    let Run { set, hook, revision, targets } = run;
    let failed =
        |message: &str| Err(HookFailure { class: ErrorClass::Transient, message: message.to_owned() });
    let Some(configured) = notifier.hook(hook, &shared.store) else {
        let result = failed("the hook is not in the configuration any more");
        return ("command", Event::Notified { set, hook, revision, result });
    };
    let result = match notifier.notice(&shared, &targets) {
        Some(notice) => servers.hooks.run(configured, &notice).await.map_err(|error| HookFailure {
            class: error.class(),
            message: match error.hint() {
                Some(hint) => format!("{error}; hint: {hint}"),
                None => error.to_string(),
            },
        }),
        None => failed("no token is stored"),
    };
    (crate::hook::kind(configured), Event::Notified { set, hook, revision, result })
}
