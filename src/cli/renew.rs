//! `renewd renew`: a new token now, and a line an account on how that went.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::args::{Globals, RenewArgs};
use super::client::{Agent, Renewal, Trouble, Undelivered};
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::screen::{Line, Look, Tone, pad, sanitise, width};
use super::status::{relative, span, waits};
use super::suggest::unknown_account;
use crate::domain::{AccountId, ErrorInfo, Timestamp, Waiting, WaitsFor};
use crate::observe::status::Status;
use crate::runtime::clock;

/// The agent paces requests itself; this only bounds our connections.
const AT_ONCE: usize = 256;

/// What has no outcome after this long may be waiting for something: a person is told for what.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const NEXT_LOOK: Duration = Duration::from_secs(1);
/// Of many accounts that wait for the same, the first say enough.
const NAMED: usize = 5;

/// Asks the running agent to renew, waits, and tells the outcome of each account as it comes.
pub(super) async fn renew(args: RenewArgs, globals: &Globals) -> Result<Exit, Failure> {
    let agent = Agent::locate(globals)?;
    let status = agent.status().await.map_err(|trouble| trouble.into_failure(globals))?;
    let accounts = if args.all { all(&status) } else { known(args.accounts, &status)? };
    let widest = accounts.iter().map(|account| width(account.as_str())).max().unwrap_or(0);
    let look = Look::of_stdout();
    let mut delays = Delays::of(&accounts);
    let began = clock::now().boot;
    let mut outcomes = stream::iter(accounts)
        .map(|account| async {
            // Who has waited for a place among those has less to wait for the agent.
            let left = args.timeout.saturating_sub(clock::now().boot.since(began));
            let outcome = agent.renew(&account, left).await;
            (account, outcome)
        })
        .buffer_unordered(AT_ONCE);
    let mut exit = Exit::Done;
    let mut look_again = pin!(sleep(FIRST_LOOK));
    loop {
        let (account, outcome) = tokio::select! {
            ended = outcomes.next() => match ended {
                Some(ended) => ended,
                None => break,
            },
            () = look_again.as_mut() => {
                // Where that goes wrong, the renewals themselves say so.
                if let Ok(status) = agent.status().await {
                    delays.tell(&status);
                }
                look_again.set(sleep(NEXT_LOOK));
                continue;
            }
        };
        delays.over(&account);
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

/// Accounts without an outcome, and what has been said of their waiting.
struct Delays(BTreeMap<AccountId, Option<Waiting>>);

impl Delays {
    fn of(accounts: &[AccountId]) -> Self {
        Self(accounts.iter().map(|account| (account.clone(), None)).collect())
    }

    fn over(&mut self, account: &AccountId) {
        self.0.remove(account);
    }

    /// Says on standard error why accounts wait, and until when: a line for all that wait for the same.
    fn tell(&mut self, status: &Status) {
        for (waiting, accounts) in self.news(status) {
            let names: Vec<&str> = accounts.iter().map(AccountId::as_str).take(NAMED).collect();
            let more = accounts.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            out::complain(&format!("{}{more}: {}\n", names.join(", "), waits(&waiting, status.now)));
        }
    }

    /// What has not been said yet. That the next try of a host has begun, so that its end is open, is no news.
    fn news(&mut self, status: &Status) -> Vec<(Waiting, Vec<AccountId>)> {
        let mut news: Vec<(Waiting, Vec<AccountId>)> = Vec::new();
        for account in &status.accounts {
            let (Some(waiting), Some(said)) = (&account.waiting, self.0.get_mut(&account.name)) else {
                continue;
            };
            if waiting.what == WaitsFor::Backoff {
                continue; // it has just failed, which its outcome says
            }
            let known = said.as_ref().is_some_and(|said| {
                said.what == waiting.what && (said.until == waiting.until || waiting.until.is_none())
            });
            if known {
                continue;
            }
            *said = Some(waiting.clone());
            match news.iter_mut().find(|(known, _)| known == waiting) {
                Some((_, accounts)) => accounts.push(account.name.clone()),
                None => news.push((waiting.clone(), vec![account.name.clone()])),
            }
        }
        news
    }
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
        Ok(Renewal::Undelivered { .. } | Renewal::Failed(_)) | Err(_) => Exit::Failed,
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
        Ok(Renewal::Renewed { generation, expires_at, unverified }) => {
            let text = format!("renewed: generation {generation}, expires {}", whole(*expires_at));
            match unverified {
                None => (Tone::Good, look.either("●", "*"), text),
                Some(error) => (
                    Tone::Warn,
                    look.either("▲", "!"),
                    format!("{text}; delivered, but {}", not_verified(error)),
                ),
            }
        }
        Ok(Renewal::Undelivered { generation, sinks, unverified }) => {
            let said = sinks.iter().map(|sink| undelivered(sink, asked_at));
            let said: Vec<String> = said.chain(unverified.iter().map(not_verified)).collect();
            let text = format!("renewed: generation {generation}; {}", said.join("; "));
            (Tone::Warn, look.either("▲", "!"), text)
        }
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

/// `not verified: malformed: HTTP 401`: it was delivered because there was none better.
fn not_verified(error: &ErrorInfo) -> String {
    format!("not verified: {}: {}", error.class, sanitise(&error.message))
}

/// `vault:secret/a is not yet written: Vault is sealed`.
fn undelivered(sink: &Undelivered, asked_at: Timestamp) -> String {
    let name = sanitise(&sink.sink);
    match (&sink.error, sink.writing_since) {
        (Some(error), _) => format!("{name} is not yet written: {}", sanitise(&error.message)),
        (None, Some(since)) if since < asked_at => {
            format!(
                "{name} is not yet written: a write has been under way for {}",
                span(asked_at.since(since))
            )
        }
        (None, Some(_)) => format!("{name} is not yet written: the write gets no answer"),
        (None, None) => format!("{name} is not yet written"),
    }
}

/// To the second.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, status_of};

    #[test]
    fn waiting_is_said_once_for_all_that_wait_for_the_same_and_again_when_it_takes_longer() {
        let waiting = |what, until: Option<i64>| {
            let host = Some("api.example.com:443".to_owned());
            Some(Waiting { what, until: until.map(Timestamp::from_secs), host })
        };
        let status = |waitings: [Option<Waiting>; 4]| {
            let accounts = ["a", "b", "c", "d"].into_iter().zip(waitings);
            let account = |(name, waiting)| crate::observe::status::AccountStatus {
                waiting,
                ..account(name, "portone")
            };
            status_of(accounts.map(account).collect())
        };
        let names = |news: Vec<(Waiting, Vec<AccountId>)>| -> Vec<String> {
            let name = |(waiting, accounts): (Waiting, Vec<AccountId>)| {
                let accounts: Vec<&str> = accounts.iter().map(AccountId::as_str).collect();
                format!("{}: {:?}", accounts.join(" "), waiting.what)
            };
            news.into_iter().map(name).collect()
        };
        let (host, limit) = (WaitsFor::Host, WaitsFor::Limit);
        let mut delays = Delays::of(&["a", "b", "c"].map(|name| AccountId::new(name).unwrap()));
        let first = status([
            waiting(host, Some(9)),
            waiting(limit, None),
            waiting(host, Some(9)),
            waiting(host, Some(9)),
        ]);
        assert_eq!(names(delays.news(&first)), ["a c: Host", "b: Limit"]);
        assert!(delays.news(&first).is_empty());
        delays.over(&AccountId::new("c").unwrap());
        let later = status([waiting(host, None), waiting(host, Some(30)), waiting(host, Some(30)), None]);
        assert_eq!(names(delays.news(&later)), ["b: Host"], "a's host is being tried");
        let longer = status([waiting(host, Some(30)), waiting(host, Some(30)), None, None]);
        assert_eq!(names(delays.news(&longer)), ["a: Host"]);
        let failed = status([waiting(WaitsFor::Backoff, Some(60)), None, None, None]);
        assert!(delays.news(&failed).is_empty(), "its outcome says it");
    }

    #[test]
    fn a_renewal_that_worked_is_none_that_failed_whatever_its_sinks_did() {
        let at = Timestamp::from_secs;
        let error = ErrorInfo {
            class: crate::domain::ErrorClass::Transient,
            message: "Vault is sealed".to_owned(),
            at: at(0),
        };
        let of = |sink: &str, error, writing_since: Option<i64>| Undelivered {
            sink: sink.to_owned(),
            error,
            writing_since: writing_since.map(at),
        };
        let outcome = Ok(Renewal::Undelivered {
            generation: crate::domain::Generation(2),
            sinks: vec![of("vault:secret/a", Some(error), None), of("file:/nfs/a", None, Some(91))],
            unverified: None,
        });
        let name = AccountId::new("a").unwrap();
        let line = line(&name, 1, &outcome, at(100), Duration::from_secs(30), Look::plain());
        assert_eq!(
            line.render(Look::plain()),
            "a  renewed: generation 2; vault:secret/a is not yet written: Vault is sealed; file:/nfs/a is not yet \
             written: a write has been under way for 9s"
        );
        assert_eq!(exit_of(&outcome), Exit::Failed);
    }

    #[test]
    fn a_token_that_was_delivered_unverified_is_said_to_be_and_is_no_failure() {
        let at = Timestamp::from_secs;
        let class = crate::domain::ErrorClass::Malformed;
        let why = ErrorInfo { class, message: "`verify.url` answers HTTP 401".to_owned(), at: at(0) };
        let (generation, expires_at) = (crate::domain::Generation(2), at(1_700_000_000));
        let outcome = Ok(Renewal::Renewed { generation, expires_at, unverified: Some(why) });
        let name = AccountId::new("a").unwrap();
        let line = line(&name, 1, &outcome, at(100), Duration::from_secs(30), Look::plain());
        assert_eq!(
            line.render(Look::plain()),
            "a  renewed: generation 2, expires 2023-11-14T22:13:20Z; delivered, but not verified: malformed: \
             `verify.url` answers HTTP 401"
        );
        assert_eq!(exit_of(&outcome), Exit::Done);
    }
}
