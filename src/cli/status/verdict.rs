//! Whether all is well: the reasons of `status --check`, and what `wait` still waits for.

use super::words;
use crate::cli::screen::sanitise;
use crate::domain::{Awaited, ErrorInfo, Timestamp};
use crate::observe::status::{AccountState, AccountStatus, HookStatus, SinkState, SinkStatus, Status};

/// Why not all is well; empty when it is: every account fresh, every sink and template written, no hook failing, the
/// configuration running as it is in the file, the agent listening where that says and able to save its state.
pub(crate) fn complaints(status: &Status) -> Vec<String> {
    let config = status.config.error.iter().map(|error| config_complaint(error));
    let accounts =
        status.accounts.iter().flat_map(|account| of_account(account, status.now, Away::SaidElsewhere));
    let servers = status
        .servers
        .iter()
        .map(|server| format!("{}: {}", words::server(server, status.now), told(&server.error, status.now)));
    let hooks = status.templates.iter().flat_map(|template| {
        hook_complaints(&sanitise(&template.path.to_string_lossy()), &template.hooks, status.now)
    });
    let places = status
        .state_dir
        .iter()
        .chain(&status.places)
        .map(|place| format!("{}: {}", words::place(place, status.now), sanitise(&place.reason())));
    let served = accounts.chain(template_complaints(status)).chain(hooks).chain(servers);
    config.chain(served).chain(places).collect()
}

/// One problem of one line stands beside the words, more stand below, line by line, as `check` tells them.
fn config_complaint(error: &str) -> String {
    let head = "configuration: the file as it is now is refused:";
    match error.lines().count() {
        0 | 1 => format!("{head} {}", sanitise(error)),
        _ => {
            head.to_owned() + &error.lines().map(|line| format!("\n  {}", sanitise(line))).collect::<String>()
        }
    }
}

/// Whether it is said elsewhere why a server is away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Away {
    SaidHere,
    SaidElsewhere,
}

/// The same of one account.
pub(crate) fn account_complaints(account: &AccountStatus, now: Timestamp) -> Vec<String> {
    of_account(account, now, Away::SaidHere)
}

fn of_account(account: &AccountStatus, now: Timestamp, away: Away) -> Vec<String> {
    let state = (account.state != AccountState::Fresh).then(|| state_complaint(account, now));
    let hooks = hook_complaints(account.name.as_str(), &account.hooks, now);
    let unverified = account.unverified.iter();
    let unverified =
        unverified.map(|error| format!("{} is not verified: {}", account.name, told(error, now)));
    state.into_iter().chain(unverified).chain(sink_complaints(account, now, away)).chain(hooks).collect()
}

/// What keeps the account from being "fresh and delivered": a valid token, and every sink holding this very one.
pub(crate) fn undelivered(account: &AccountStatus, now: Timestamp) -> Vec<String> {
    let valid = matches!(account.state, AccountState::Fresh | AccountState::Retrying);
    let state = (!valid).then(|| state_complaint(account, now));
    state.into_iter().chain(sink_complaints(account, now, Away::SaidHere)).collect()
}

/// What keeps the templates from being delivered.
pub(crate) fn template_complaints(status: &Status) -> impl Iterator<Item = String> {
    status.templates.iter().filter(|template| template.state != SinkState::Written).map(|template| {
        let path = sanitise(&template.path.to_string_lossy());
        match &template.error {
            Some(error) => format!("{path} failed: {}", told(error, status.now)),
            None => match Awaited::words(&template.waits_for) {
                Some(words) => format!("{path} is not yet written: {words}"),
                None => format!("{path} is not yet written"),
            },
        }
    })
}

/// Hooks that fail. The token is where it should be, so `wait` and `/readyz` do not mind them.
fn hook_complaints(whose: &str, hooks: &[HookStatus], now: Timestamp) -> Vec<String> {
    let failing = hooks.iter().filter_map(|hook| Some((hook, hook.error.as_ref()?)));
    failing
        .map(|(hook, error)| format!("{whose}: hook {} failed: {}", sanitise(&hook.hook), told(error, now)))
        .collect()
}

/// `shop is retrying: connection reset (transient, 12s ago)`.
fn state_complaint(account: &AccountStatus, now: Timestamp) -> String {
    let head = format!("{} is {}", account.name, account.state.as_str());
    match &account.error {
        Some(error) => format!("{head}: {}", told(error, now)),
        None if account.verifying => format!("{head}: the new token is being verified"),
        None if account.renew_at.is_none() => format!("{head}: the provider is being asked"),
        None => head,
    }
}

fn sink_complaints(account: &AccountStatus, now: Timestamp, away: Away) -> Vec<String> {
    let stale = |sink: &SinkStatus| sink.generation.is_some_and(|held| held < account.generation);
    let held_back = account.sinks.iter().filter(|sink| sink.state != SinkState::Written || stale(sink));
    held_back
        .map(|sink| {
            let head = format!("{}: {}", account.name, sanitise(&sink.sink));
            let readers = words::outdated(sink, account.generation, now);
            let readers = readers.map(|said| format!("; {said}")).unwrap_or_default();
            let said = match (&sink.error, sink.state) {
                _ if sink.writing_since.is_some()
                    || (sink.server.is_some() && away == Away::SaidElsewhere) =>
                {
                    format!("{head} {}", words::held_up(sink, now).unwrap_or_default())
                }
                (Some(error), _) => format!("{head} failed: {}", told(error, now)),
                (None, SinkState::Failed) => format!("{head} failed"),
                (None, SinkState::Unwritten) if sink.removed => {
                    format!("{head} is removed, as its token has ended")
                }
                (None, SinkState::Unwritten) => format!("{head} is not yet written"),
                (None, SinkState::Written) => format!("{head} still holds the token before"),
            };
            said + &readers
        })
        .collect()
}

fn told(error: &ErrorInfo, now: Timestamp) -> String {
    format!("{} ({}, {})", sanitise(&error.message), error.class, words::ago(error.at, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, at, sink, status_of};
    use crate::domain::Generation;
    use crate::observe::status::AccountState;

    #[test]
    fn a_problem_of_several_lines_keeps_them() {
        let error =
            "a.yaml:3:5: unknown key `sink`\n  3 |     sink: []\n    |     ^\n  hint: did you mean `sinks`?";
        insta::assert_snapshot!(config_complaint(error), @r"
        configuration: the file as it is now is refused:
          a.yaml:3:5: unknown key `sink`
            3 |     sink: []
              |     ^
            hint: did you mean `sinks`?
        ");
    }

    #[test]
    fn nothing_is_complained_of_when_all_is_well() {
        assert_eq!(complaints(&status_of(vec![account("messaging", "bizppurio")])), Vec::<String>::new());
    }

    #[test]
    fn a_retrying_account_is_not_well_but_delivered() {
        let retrying = AccountStatus { state: AccountState::Retrying, ..account("shop", "portone") };
        assert_eq!(account_complaints(&retrying, at(0)), ["shop is retrying"]);
        assert_eq!(undelivered(&retrying, at(0)), Vec::<String>::new());
    }

    #[test]
    fn a_sink_that_was_removed_with_its_token_is_not_called_not_yet_written() {
        let gone =
            SinkStatus { removed: true, ..sink("file:/run/renewd/shop.token", SinkState::Unwritten, None) };
        let ended =
            AccountStatus { state: AccountState::Expired, sinks: vec![gone], ..account("shop", "portone") };
        assert_eq!(
            undelivered(&ended, at(0)),
            ["shop is expired", "shop: file:/run/renewd/shop.token is removed, as its token has ended"]
        );
        assert_eq!(words::sinks(&ended).1, "0/1 written, 1 removed");
    }

    #[test]
    fn a_sink_that_holds_the_token_before_is_not_delivered() {
        let renewed = AccountStatus { generation: Generation(8), ..account("shop", "portone") };
        assert_eq!(
            undelivered(&renewed, at(0)),
            ["shop: file:/run/renewd/shop.token still holds the token before"]
        );
    }
}
