//! The effect `Notify`: one hook of a set is run. What it is told are names and times, and every target of the set,
//! also one that could not be written.

use std::path::PathBuf;
use std::sync::Arc;

use super::servers::Servers;
use super::shared::Shared;
use crate::config::model::{Account, Hook, TemplateTarget};
use crate::core::{Event, SetId};
use crate::domain::AccountId;
use crate::hook::{Notice, Renewed, Subject};

/// Whose hook it is, as the configuration has it.
#[derive(Debug, Clone)]
pub(crate) enum Notifier {
    Account(Arc<Account>),
    Template(Arc<TemplateTarget>),
}

impl Notifier {
    /// Its hook of that number.
    pub(crate) fn hook(&self, number: usize) -> Option<&Hook> {
        match self {
            Self::Account(account) => account.on_change.get(number),
            Self::Template(template) => template.on_change.get(number),
        }
    }

    fn notice(&self, shared: &Shared) -> Option<Notice> {
        let renewed = |account: &AccountId| {
            let record = shared.store.snapshot(account)?;
            let meta = record.current.as_ref()?.meta;
            Some(Renewed { account: account.clone(), provider: record.provider.clone(), meta })
        };
        Some(match self {
            Self::Account(account) => Notice {
                subject: Subject::Account(renewed(&account.name)?),
                targets: account.sinks.iter().map(crate::config::model::Sink::id).collect(),
            },
            Self::Template(template) => {
                let path: PathBuf = template.path.clone();
                let targets = vec![format!("template:{}", path.display())];
                let accounts = template.accounts.iter().map(renewed).collect::<Option<_>>()?;
                Notice { subject: Subject::Template { path, accounts }, targets }
            }
        })
    }
}

/// Runs it once; gives its kind for the metrics, and what the engine is to know.
pub(crate) async fn notify(
    shared: Arc<Shared>,
    servers: Servers,
    notifier: Notifier,
    set: SetId,
    hook: usize,
    revision: u64,
) -> (&'static str, Event) {
    let Some(configured) = notifier.hook(hook) else {
        let result = Err("the hook is not in the configuration any more".to_owned());
        return ("command", Event::Notified { set, hook, revision, result });
    };
    let result = match notifier.notice(&shared) {
        Some(notice) => servers.hooks.run(configured, &notice).await.map_err(|error| match error.hint() {
            Some(hint) => format!("{error}; hint: {hint}"),
            None => error.to_string(),
        }),
        None => Err("no token is stored".to_owned()),
    };
    (crate::hook::kind(configured), Event::Notified { set, hook, revision, result })
}
