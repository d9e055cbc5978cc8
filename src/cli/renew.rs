//! `renewd renew`: a new token now, and a line an account on how that went.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::args::{Globals, RenewArgs};
use super::client::{Agent, Renewal, Trouble};
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::screen::{Line, Look, Tone, pad, sanitise, width};
use super::status::{relative, span};
use super::suggest::unknown_account;
use crate::domain::{AccountId, Timestamp};
use crate::observe::status::Status;

/// The agent paces requests itself; this only bounds our connections.
const AT_ONCE: usize = 256;

/// Asks the running agent to renew, waits, and tells the outcome of each account as it comes.
pub(super) async fn renew(args: RenewArgs, globals: &Globals) -> Result<Exit, Failure> {
    let agent = Agent::locate(globals)?;
    let status = agent.status().await.map_err(|trouble| trouble.into_failure(globals))?;
    let accounts = if args.all { all(&status) } else { known(args.accounts, &status)? };
    let widest = accounts.iter().map(|account| width(account.as_str())).max().unwrap_or(0);
    let look = Look::of_stdout();
    let mut outcomes = stream::iter(accounts)
        .map(|account| async {
            let outcome = agent.renew(&account, args.timeout).await;
            (account, outcome)
        })
        .buffer_unordered(AT_ONCE);
    let mut exit = Exit::Done;
    while let Some((account, outcome)) = outcomes.next().await {
        if let Err(trouble @ Trouble::Unreachable { .. }) = outcome {
            return Err(trouble.into_failure(globals));
        }
        exit = worse(exit, exit_of(&outcome));
        out::print(&format!(
            "{}\n",
            line(&account, widest, &outcome, status.now, args.timeout, look).render(look)
        ))?;
    }
    Ok(exit)
}

fn all(status: &Status) -> Vec<AccountId> {
    status.accounts.iter().map(|account| account.name.clone()).collect()
}

/// The accounts once each; none is asked when one of them does not exist.
fn known(mut names: Vec<AccountId>, status: &Status) -> Result<Vec<AccountId>, Failure> {
    names.sort();
    names.dedup();
    match names.iter().find(|name| status.accounts.iter().all(|account| account.name != **name)) {
        Some(unknown) => Err(unknown_account(unknown, status)),
        None => Ok(names),
    }
}

/// An account that is held back is as it should be: nothing failed.
fn exit_of(outcome: &Result<Renewal, Trouble>) -> Exit {
    match outcome {
        Ok(Renewal::Renewed { .. } | Renewal::Held { .. }) => Exit::Done,
        Ok(Renewal::Unfinished) => Exit::Unavailable,
        Ok(Renewal::Failed(_)) | Err(_) => Exit::Failed,
    }
}

fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Done, other) => other,
        (Exit::Unavailable, Exit::Failed) => Exit::Failed,
        (one, _) => one,
    }
}

fn line(
    account: &AccountId,
    widest: usize,
    outcome: &Result<Renewal, Trouble>,
    asked_at: Timestamp,
    timeout: Duration,
    look: Look,
) -> Line {
    let (tone, sign, text) = match outcome {
        Ok(Renewal::Renewed { generation, expires_at }) => (
            Tone::Good,
            look.either("●", "*"),
            format!("renewed: generation {generation}, expires {}", whole(*expires_at)),
        ),
        Ok(Renewal::Held { not_before, reason }) => {
            let when = relative(*not_before, asked_at);
            let text = format!("held back until {} ({when}): {}", whole(*not_before), sanitise(reason));
            (Tone::Note, look.either("○", "o"), text)
        }
        Ok(Renewal::Failed(error)) => (
            Tone::Bad,
            look.either("✗", "x"),
            format!("failed: {}: {}", error.class, sanitise(&error.message)),
        ),
        Ok(Renewal::Unfinished) => {
            let text =
                format!("no outcome after {}; the agent goes on: `renewd status {account}`", span(timeout));
            (Tone::Warn, look.either("▲", "!"), text)
        }
        Err(trouble) => (Tone::Bad, look.either("✗", "x"), format!("failed: {}", sanitise(&trouble.words()))),
    };
    let mut line = Line::new();
    if look.is_terminal() {
        line.push(tone, format!("{sign} "));
    }
    line.with(Tone::Strong, pad(account.as_str(), widest)).with(Tone::Plain, "  ").with(tone, text)
}

/// To the second.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs())
}
