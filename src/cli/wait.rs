//! `renewd wait`: returns once accounts are fresh and delivered.

use std::time::Duration;

use super::args::{Globals, WaitArgs};
use super::client::Agent;
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::counted;
use super::settings;
use super::status::{span, template_complaints, undelivered};
use super::suggest::unknown_account;
use crate::domain::AccountId;
use crate::observe::status::Status;

const PAUSE: Duration = Duration::from_millis(250);

/// Of many things that are missing, the first say enough.
const TOLD: usize = 20;

/// Looks at the agent, which need not be running yet, until all is delivered or the time is up.
pub(super) async fn wait(args: WaitArgs, globals: &Globals) -> Result<Exit, Failure> {
    let agent = Agent::locate(globals)?;
    let mut last = Look::Never;
    let delivered = async {
        loop {
            last = match agent.status().await {
                Ok(status) => {
                    if let Some(name) = unknown(&status, &args.accounts)
                        && !is_coming(name, &status, globals)
                    {
                        return Err(unknown_account(name, &status));
                    }
                    match missing(&status, &args.accounts) {
                        nothing if nothing.is_empty() => return Ok(status.accounts.len()),
                        missing => Look::Missing(missing),
                    }
                }
                Err(trouble) => Look::Failed(trouble.into_failure(globals)),
            };
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(args.timeout, delivered).await {
        Ok(Err(unknown)) => Err(unknown),
        Ok(Ok(all)) => {
            let count = if args.accounts.is_empty() { all } else { args.accounts.len() };
            let verb = if count == 1 { "is" } else { "are" };
            let words = format!("{} {verb} fresh and delivered", counted(count, "account"));
            report::note(&words, globals);
            Ok(Exit::Done)
        }
        Err(_) => Err(last.into_failure(args.timeout)),
    }
}

/// What the last look showed.
enum Look {
    Never,
    Missing(Vec<String>),
    Failed(Failure),
}

impl Look {
    fn into_failure(self, timeout: Duration) -> Failure {
        let up = format!("not fresh and delivered after {}", span(timeout));
        match self {
            Self::Never => {
                Failure::new(Exit::Unavailable, up).cause("the agent has not answered in that time")
            }
            Self::Missing(what) => {
                let more = what.len().saturating_sub(TOLD);
                let failure =
                    what.into_iter().take(TOLD).fold(Failure::new(Exit::Unavailable, up), Failure::cause);
                if more > 0 { failure.cause(format!("and {more} more: `renewd status`")) } else { failure }
            }
            Self::Failed(failure) => failure,
        }
    }
}

/// The first name that the agent does not have: no time brings it.
fn unknown<'a>(status: &Status, names: &'a [AccountId]) -> Option<&'a AccountId> {
    names.iter().find(|name| status.accounts.iter().all(|account| account.name != **name))
}

/// Whether the agent's configuration names the account by now, so that a reload is about to bring it.
fn is_coming(name: &AccountId, status: &Status, globals: &Globals) -> bool {
    let config = settings::reload(globals).ok().filter(|config| config.path == status.config.path);
    config.is_some_and(|config| config.accounts.contains_key(name))
}

/// What is not yet as it should be; without names every account and template counts.
fn missing(status: &Status, names: &[AccountId]) -> Vec<String> {
    if names.is_empty() {
        let accounts = status.accounts.iter().flat_map(|account| undelivered(account, status.now));
        return accounts.chain(template_complaints(status)).collect();
    }
    let of = |name: &AccountId| match status.accounts.iter().find(|account| account.name == *name) {
        Some(account) => undelivered(account, status.now),
        None => vec![format!("{name}: the agent has not taken it up from the configuration yet")],
    };
    names.iter().flat_map(of).collect()
}
