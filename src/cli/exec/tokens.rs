use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::cli::args::Globals;
use crate::cli::client::{self, Agent, Silence, Trouble};
use crate::cli::exit::Exit;
use crate::cli::report::{self, Failure};
use crate::cli::status::span;
use crate::cli::suggest::unknown_account;
use crate::domain::AccountId;

/// Token documents by account.
pub(super) type Tokens = BTreeMap<AccountId, Value>;

/// Between two looks at an agent that has no token yet, or is not there.
const PAUSE: Duration = Duration::from_millis(250);

/// After so long without a token a person is told what is waited for.
const SILENT: Duration = Duration::from_secs(1);

/// How long one question for a newer token stays open.
const OPEN: Duration = Duration::from_secs(30);

/// Before the agent is asked again that was not there or had no token: it may be restarting.
const LATER: Duration = Duration::from_secs(1);

/// A living token of each account, waited for until `limit`.
///
/// # Errors
/// 75 where the time is up, at once where waiting helps nobody: an unknown account, or a user who may not.
pub(super) async fn first(
    agent: &Agent,
    accounts: &[AccountId],
    limit: Duration,
    globals: &Globals,
) -> Result<Tokens, Failure> {
    let last: RefCell<Option<(&AccountId, Trouble)>> = RefCell::new(None);
    let all = async {
        let mut tokens = Tokens::new();
        for account in accounts {
            loop {
                match agent.token_text(account).await.and_then(|text| client::read::<Value>(&text)) {
                    Ok(document) => {
                        tokens.insert(account.clone(), document);
                        last.take();
                        break;
                    }
                    Err(trouble) if is_final(&trouble) => {
                        return Err(explained(trouble, agent, account, globals).await);
                    }
                    Err(trouble) => last.replace(Some((account, trouble))),
                };
                sleep(PAUSE).await;
            }
        }
        Ok(tokens)
    };
    let told = async {
        tokio::pin!(all);
        if let Ok(done) = tokio::time::timeout(SILENT, &mut all).await {
            return done;
        }
        let lack = last.borrow().as_ref().map(|(_, trouble)| trouble.words());
        let lack = lack.unwrap_or_else(|| "the agent has not answered yet".to_owned());
        report::note(&format!("{lack}; waiting, {} at most", span(limit)), globals);
        all.await
    };
    match tokio::time::timeout(limit, told).await {
        Ok(done) => done,
        Err(_) => Err(match last.take() {
            Some((_, trouble @ Trouble::Unreachable { .. })) => trouble.into_failure(globals),
            Some((account, trouble)) => no_token(account, limit).cause(trouble.words()),
            None => {
                Failure::new(Exit::Unavailable, format!("the agent has not answered after {}", span(limit)))
            }
        }),
    }
}

fn no_token(account: &AccountId, limit: Duration) -> Failure {
    Failure::new(Exit::Unavailable, format!("`{account}` has no living token after {}", span(limit)))
        .hint(format!("see `renewd status {account}`, or allow more with --timeout"))
}

/// Whether waiting would not help.
fn is_final(trouble: &Trouble) -> bool {
    match trouble {
        // 409: there is no token yet; 503: the agent is ending, and another may begin.
        Trouble::Refused { status, .. } => !matches!(status, 409 | 503),
        Trouble::Unreachable { why, .. } => *why == Silence::Forbidden,
        Trouble::Garbled(_) => true,
    }
}

/// An unknown account is told with the names that there are.
async fn explained(trouble: Trouble, agent: &Agent, account: &AccountId, globals: &Globals) -> Failure {
    if matches!(trouble, Trouble::Refused { status: 404, .. })
        && let Ok(status) = agent.status().await
        && status.accounts.iter().all(|known| known.name != *account)
    {
        return unknown_account(account, &status);
    }
    trouble.into_failure(globals)
}

/// From now on every other token than these, as they come.
pub(super) fn watch(agent: &Agent, tokens: &Tokens) -> mpsc::Receiver<(AccountId, Value)> {
    let (sender, receiver) = mpsc::channel(16);
    for (account, document) in tokens {
        tokio::spawn(follow(agent.clone(), account.clone(), document.clone(), sender.clone()));
    }
    receiver
}

/// One account's. An agent that is away or has nothing to give is asked again, quietly: the command goes on.
async fn follow(
    agent: Agent,
    account: AccountId,
    mut current: Value,
    sender: mpsc::Sender<(AccountId, Value)>,
) {
    // Another agent may count anew: after an interruption the token itself is compared.
    let mut is_same_agent = true;
    loop {
        let after = current["generation"].as_u64().filter(|_| is_same_agent);
        let text = agent.token_after(&account, after, OPEN).await;
        match text.and_then(|text| text.map(|text| client::read::<Value>(&text)).transpose()) {
            Ok(Some(next)) if next["access_token"] != current["access_token"] => {
                is_same_agent = true;
                current = next;
                if sender.send((account.clone(), current.clone())).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Ok(Some(same)) => {
                // The same token under another number, or an agent that does not know how to wait.
                let told_at_once = is_same_agent && same["generation"] == current["generation"];
                is_same_agent = true;
                current = same;
                if told_at_once {
                    sleep(LATER).await;
                }
            }
            Err(_) => {
                is_same_agent = false;
                sleep(LATER).await;
            }
        }
    }
}
