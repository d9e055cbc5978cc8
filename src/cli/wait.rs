//! `renewd wait`: returns once accounts are fresh and delivered.

use std::time::Duration;

use super::args::{Globals, WaitArgs};
use super::client::Agent;
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::counted;
use super::settings;
use super::status::{span, template_complaints, undelivered};
use super::suggest::{listed, unknown_account};
use crate::domain::AccountId;
use crate::observe::status::{AccountState, AccountStatus, Status};

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
                        nothing if nothing.is_empty() => return Ok(status),
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
        Ok(Ok(status)) => {
            report::note(&arrived(&status, &args.accounts), globals);
            Ok(Exit::Done)
        }
        Err(_) => Err(last.into_failure(args.timeout)),
    }
}

/// What was waited for is there, in words. A token that lives while its renewal fails is good enough for those who wait, but
/// not fresh.
fn arrived(status: &Status, names: &[AccountId]) -> String {
    let concerned = |account: &&AccountStatus| names.is_empty() || names.contains(&account.name);
    let accounts: Vec<&AccountStatus> = status.accounts.iter().filter(concerned).collect();
    let count = counted(accounts.len(), "account");
    let retrying = || accounts.iter().filter(|account| account.state == AccountState::Retrying);
    let which = || listed(retrying().map(|account| account.name.as_str()));
    match (accounts.len(), retrying().count()) {
        (1, 0) => format!("{count} is fresh and delivered"),
        (_, 0) => format!("{count} are fresh and delivered"),
        (1, _) => format!("{count} has a living token, delivered, but is retrying: `renewd status` says why"),
        (_, 1) => format!(
            "{count} have living tokens, delivered, but 1 is retrying ({}): `renewd status` says why",
            which()
        ),
        (_, many) => format!(
            "{count} have living tokens, delivered, but {many} are retrying ({}): `renewd status` says why",
            which()
        ),
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
    let config = settings::reload(globals).ok().map(|loaded| loaded.config);
    let config = config.filter(|config| config.path == status.config.path);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, status_of};

    #[test]
    fn what_lives_but_is_retrying_is_not_called_fresh() {
        let retrying = |name| AccountStatus { state: AccountState::Retrying, ..account(name, "portone") };
        let status = status_of(vec![account("a", "portone"), retrying("b"), retrying("c")]);
        let names =
            |names: &[&str]| names.iter().map(|name| AccountId::new(name).unwrap()).collect::<Vec<_>>();
        let said = [&[][..], &["a"], &["a", "b"], &["c"]].map(|wanted| arrived(&status, &names(wanted)));
        insta::assert_snapshot!(said.join("\n"), @"
        3 accounts have living tokens, delivered, but 2 are retrying (b, c): `renewd status` says why
        1 account is fresh and delivered
        2 accounts have living tokens, delivered, but 1 is retrying (b): `renewd status` says why
        1 account has a living token, delivered, but is retrying: `renewd status` says why
        ");
    }
}
