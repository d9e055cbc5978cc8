//! `renewd token`: an account's token, for other programs.

use serde::Deserialize;

use super::args::{Globals, TokenArgs};
use super::client::{self, Agent, Trouble};
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::screen::sanitise_json;
use super::suggest::unknown_account;
use crate::domain::AccountId;

/// Asks the running agent for the token that it holds; no provider is asked.
pub(super) async fn token(args: TokenArgs, globals: &Globals) -> Result<Exit, Failure> {
    #[derive(Deserialize)]
    struct Bare {
        access_token: String,
    }
    let agent = Agent::locate(globals)?;
    let document = match agent.token_text(&args.account).await {
        Ok(document) => document,
        Err(trouble) => return Err(explained(trouble, &agent, &args.account, globals).await),
    };
    match args.json {
        true => out::print(&format!("{}\n", sanitise_json(document.trim_end())))?,
        false => {
            let Bare { access_token } =
                client::read(&document).map_err(|trouble| trouble.into_failure(globals))?;
            // As every token that the agent takes.
            if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
                let trouble = Trouble::Garbled("the token is not printable ASCII".to_owned());
                return Err(trouble.into_failure(globals));
            }
            out::print(&format!("{access_token}\n"))?;
        }
    }
    Ok(Exit::Done)
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
