//! `renewd status`: how each account stands, for people and for scripts.

mod detail;
mod feed;
mod layout;
mod live;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod verdict;
mod words;

use self::table::Notes;
use super::args::{Globals, StatusArgs};
use super::client::Agent;
use super::exit::Exit;
use super::out;
use super::report::{self, Failure};
use super::screen::{Line, Look, Tone, sanitise_json};
use super::suggest::unknown_account;
use crate::domain::AccountId;
use crate::observe::status::{AccountStatus, Status};

pub(super) use self::live::{View, show};
pub(super) use self::verdict::{template_complaints, undelivered};
pub(super) use self::words::{relative, span, waits};

/// Asks the running agent and shows its answer.
pub(super) async fn status(args: StatusArgs, globals: &Globals) -> Result<Exit, Failure> {
    let agent = Agent::locate(globals)?;
    if args.watch {
        return live::watch(&agent, args.account, args.json, globals).await;
    }
    let text = agent.status_text().await.map_err(|trouble| trouble.into_failure(globals))?;
    if args.json && args.account.is_none() && !args.check {
        out::print(&with_newline(text))?;
        return Ok(Exit::Done);
    }
    let status = super::client::read(&text).map_err(|trouble| trouble.into_failure(globals))?;
    let look = Look::of_stdout();
    match (&args.account, args.json) {
        (None, true) => out::print(&with_newline(text))?,
        (Some(name), true) => out::print(&account_document(&text, find(&status, name)?)?)?,
        (Some(name), false) => {
            out::print(&page(&detail::lines(find(&status, name)?, status.now, look), look))?
        }
        (None, false) => out::print(&page(&overview(&status, look), look))?,
    }
    if let (None, Some(error), false) =
        (&args.account, &status.config.error, look.is_terminal() || args.check)
    {
        report::warn(&format!("the configuration as it is now is refused: {error}"));
    }
    if args.check { check(&status, args.account.as_ref()) } else { Ok(Exit::Done) }
}

/// The whole table: headings, a row an account with its notes, the templates; on a terminal with the header.
pub(super) fn overview(status: &Status, look: Look) -> Vec<Line> {
    let mut lines = Vec::new();
    if look.is_terminal() {
        lines = table::header(status, look);
        lines.push(Line::new());
    }
    if status.accounts.is_empty() {
        lines.push(
            Line::new().with(Tone::Dim, "no accounts yet: name one under `accounts:` in the configuration"),
        );
    } else {
        let (headings, blocks) = table::accounts(&status.accounts, status.now, look, Notes::Whole);
        lines.push(headings);
        lines.extend(blocks.into_iter().flat_map(|block| block.lines));
    }
    let templates = table::templates(&status.templates, status.now, look, Notes::Whole);
    if !templates.is_empty() {
        lines.push(Line::new());
        lines.push(Line::new().with(Tone::Dim, if look.is_terminal() { "  TEMPLATE" } else { "TEMPLATE" }));
        lines.extend(templates.into_iter().flat_map(|block| block.lines));
    }
    if !look.is_terminal() {
        // Elsewhere they stand in the header.
        let away = table::away(status, look);
        lines.extend((!away.is_empty()).then(Line::new));
        lines.extend(away);
    }
    lines
}

/// Lines as they are printed.
pub(super) fn page(lines: &[Line], look: Look) -> String {
    lines.iter().flat_map(|line| [line.render(look), "\n".to_owned()]).collect()
}

fn check(status: &Status, account: Option<&AccountId>) -> Result<Exit, Failure> {
    let complaints = match account {
        Some(name) => verdict::account_complaints(find(status, name)?, status.now),
        None => verdict::complaints(status),
    };
    for complaint in &complaints {
        out::complain(&format!("{complaint}\n"));
    }
    Ok(if complaints.is_empty() { Exit::Done } else { Exit::Failed })
}

fn find<'a>(status: &'a Status, name: &AccountId) -> Result<&'a AccountStatus, Failure> {
    status.accounts.iter().find(|account| account.name == *name).ok_or_else(|| unknown_account(name, status))
}

/// The account's own part of the document, with every field that the agent sent.
fn account_document(text: &str, account: &AccountStatus) -> Result<String, Failure> {
    let document: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let accounts = document["accounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let own = accounts.iter().find(|own| own["name"] == account.name.as_str());
    own.map(|own| with_newline(own.to_string()))
        .ok_or_else(|| Failure::new(Exit::Internal, "the account went missing"))
}

/// What the agent sent, for another program or for a terminal: whoever has put a socket in its place steers neither.
fn with_newline(text: String) -> String {
    let mut text = sanitise_json(&text);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
