//! What happened between two looks at the agent, as lines for people.

use super::words;
use crate::cli::screen::{Line, Look, Tone, pad, sanitise};
use crate::domain::{AccountId, Generation, Timestamp};
use crate::observe::status::{AccountState, AccountStatus, SinkState, SinkStatus, Status};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Happening {
    /// When, by the agent's clock.
    at: Timestamp,
    tone: Tone,
    /// Whose; `None`: the agent's own.
    pub(super) account: Option<AccountId>,
    text: String,
}

impl Happening {
    /// Whose it is, in a word.
    pub(super) fn who(&self) -> &str {
        self.account.as_ref().map_or("configuration", AccountId::as_str)
    }

    /// `12:00:03  ● messaging  token 8, lives 1h`; instants are UTC, names take `columns`.
    pub(super) fn line(&self, columns: usize, look: Look) -> Line {
        let sign = match self.tone {
            Tone::Good => look.either("●", "*"),
            Tone::Warn => look.either("▲", "!"),
            Tone::Bad => look.either("✗", "x"),
            Tone::Plain | Tone::Dim | Tone::Strong | Tone::Note => look.either("○", "o"),
        };
        let line = Line::new()
            .with(Tone::Dim, format!("{}  ", clock(self.at)))
            .with(self.tone, format!("{sign} "))
            .with(Tone::Strong, pad(self.who(), columns))
            .with(Tone::Plain, format!("  {}", self.text));
        match look.width {
            Some(columns) => line.cut(columns, look),
            None => line,
        }
    }
}

fn in_order(mut all: Vec<Happening>) -> Vec<Happening> {
    all.sort_by_key(|each| each.at);
    all
}

/// The difference of two looks, in the order of time.
pub(super) fn happenings(before: &Status, after: &Status) -> Vec<Happening> {
    let mut all = configuration(before, after);
    for account in &after.accounts {
        match before.accounts.iter().find(|old| old.name == account.name) {
            Some(old) => all.extend(of_account(old, account, after.now)),
            None => all.push(about(account, after.now, Tone::Note, "added".to_owned())),
        }
    }
    for old in &before.accounts {
        if after.accounts.iter().all(|account| account.name != old.name) {
            all.push(about(old, after.now, Tone::Note, "removed".to_owned()));
        }
    }
    in_order(all)
}

/// How an agent stood that had only just read its configuration, and had no state.
pub(super) fn before_all(status: &Status) -> Status {
    let unborn = |account: &AccountStatus| AccountStatus {
        state: AccountState::Pending,
        generation: Generation(0),
        issued_at: None,
        expires_at: None,
        waiting: None,
        unverified: None,
        attempt: 0,
        error: None,
        sinks: account
            .sinks
            .iter()
            .map(|sink| SinkStatus {
                sink: sink.sink.clone(),
                state: SinkState::Unwritten,
                generation: None,
                expires_at: None,
                written_at: None,
                error: None,
                server: None,
                writing_since: None,
                next: None,
                removed: false,
            })
            .collect(),
        ..account.clone()
    };
    Status { accounts: status.accounts.iter().map(unborn).collect(), ..status.clone() }
}

/// What the first look tells: nothing happened yet, but what is wrong is worth a line.
pub(super) fn beginnings(status: &Status) -> Vec<Happening> {
    let first = |account: &AccountStatus| {
        let error = account.error.as_ref()?;
        let text = format!("{}: {}", error.class, sanitise(&error.message));
        Some(Happening { at: error.at, ..about(account, status.now, Tone::Warn, text) })
    };
    in_order(status.accounts.iter().filter_map(first).collect())
}

fn configuration(before: &Status, after: &Status) -> Vec<Happening> {
    let say = |tone, text| Happening { at: after.now, tone, account: None, text };
    let reloaded = (after.config.generation > before.config.generation)
        .then(|| say(Tone::Good, format!("reloaded, generation {}", after.config.generation)));
    let broken = after.config.error.as_ref().filter(|_| before.config.error != after.config.error);
    let refused = broken.map(|error| say(Tone::Warn, format!("refused: {}", sanitise(error))));
    reloaded.into_iter().chain(refused).collect()
}

fn of_account(old: &AccountStatus, new: &AccountStatus, now: Timestamp) -> Vec<Happening> {
    let mut all = Vec::new();
    if new.generation > old.generation {
        all.push(renewed(old, new, now));
    }
    if let Some(error) = new.error.as_ref().filter(|_| new.error != old.error) {
        let next =
            new.renew_at.map(|at| format!("; next try {}", words::relative(at, now))).unwrap_or_default();
        let tone = if new.state == AccountState::Retrying { Tone::Warn } else { Tone::Bad };
        let text = format!("{}: {}{next}", error.class, sanitise(&error.message));
        all.push(Happening { at: error.at, ..about(new, now, tone, text) });
    }
    if new.state == AccountState::Expired && old.state != AccountState::Expired {
        all.push(about(new, now, Tone::Bad, "the token has expired".to_owned()));
    }
    for sink in &new.sinks {
        let before = old.sinks.iter().find(|known| known.sink == sink.sink).map(|known| known.state);
        let name = sanitise(&sink.sink);
        match (before, sink.state) {
            (Some(SinkState::Failed), SinkState::Written) => {
                all.push(about(new, now, Tone::Good, format!("{name} written again")));
            }
            (Some(SinkState::Unwritten | SinkState::Written), SinkState::Failed) => {
                let why = sink
                    .error
                    .as_ref()
                    .map(|error| format!(": {}", sanitise(&error.message)))
                    .unwrap_or_default();
                all.push(about(new, now, Tone::Bad, format!("{name} failed{why}")));
            }
            _ => {}
        }
    }
    all
}

fn renewed(old: &AccountStatus, new: &AccountStatus, now: Timestamp) -> Happening {
    let at = new.issued_at.unwrap_or(now);
    let life = match new.expires_at {
        Some(end) => format!(", lives {}", words::whole_span(end.since(at))),
        None => String::new(),
    };
    let after = match (old.generation.0, old.attempt) {
        (0, 0) if new.generation.0 == 1 => " (the first)".to_owned(),
        (_, 0) => String::new(),
        (_, 1) => ", recovered after a failure".to_owned(),
        (_, failures) => format!(", recovered after {failures} failures"),
    };
    Happening { at, ..about(new, now, Tone::Good, format!("token {}{life}{after}", new.generation)) }
}

fn about(account: &AccountStatus, at: Timestamp, tone: Tone, text: String) -> Happening {
    Happening { at, tone, account: Some(account.name.clone()), text }
}

/// The time of day in UTC.
fn clock(at: Timestamp) -> String {
    let second = at.as_secs().rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, at, error, sink, status_of};
    use crate::domain::ErrorClass;

    fn said(before: &AccountStatus, after: &AccountStatus) -> Vec<String> {
        let (before, mut after) = (status_of(vec![before.clone()]), status_of(vec![after.clone()]));
        after.now = at(1);
        let lines = happenings(&before, &after).into_iter().map(|each| each.line(4, Look::plain()));
        lines.map(|line| line.render(Look::plain())).collect()
    }

    #[test]
    fn a_renewal_is_told_with_its_life() {
        let before = account("shop", "portone");
        let after = AccountStatus {
            generation: Generation(8),
            issued_at: Some(at(0)),
            expires_at: Some(at(10)),
            ..before.clone()
        };
        assert_eq!(said(&before, &after), ["10:00:00  ● shop  token 8, lives 10s"]);
    }

    #[test]
    fn who_was_there_from_the_start_is_told_of_tokens_that_came_before_the_first_look() {
        let first = AccountStatus {
            generation: Generation(1),
            issued_at: Some(at(0)),
            expires_at: Some(at(12)),
            ..account("shop", "portone")
        };
        let second = AccountStatus { generation: Generation(2), ..first.clone() };
        let none = AccountStatus {
            state: AccountState::Pending,
            generation: Generation(0),
            issued_at: None,
            expires_at: None,
            ..account("none", "kis")
        };
        for (found, words) in [(first, "token 1, lives 12s (the first)"), (second, "token 2, lives 12s")] {
            let status = status_of(vec![none.clone(), found]);
            let told: Vec<String> = happenings(&before_all(&status), &status)
                .into_iter()
                .map(|each| each.line(4, Look::plain()).render(Look::plain()))
                .collect();
            assert_eq!(told, [format!("10:00:00  ● shop  {words}")]);
        }
    }

    #[test]
    fn a_failure_is_told_once_and_the_recovery_too() {
        let well = account("shop", "portone");
        let failing = AccountStatus {
            state: AccountState::Retrying,
            attempt: 1,
            error: Some(error(ErrorClass::Transient, "503", 0)),
            renew_at: Some(at(4)),
            ..well.clone()
        };
        assert_eq!(said(&well, &failing), ["10:00:00  ▲ shop  transient: 503; next try in 3s"]);
        assert_eq!(said(&failing, &failing), Vec::<String>::new());
        let healed = AccountStatus { generation: Generation(8), issued_at: Some(at(1)), ..well };
        assert_eq!(
            said(&failing, &healed),
            ["10:00:01  ● shop  token 8, lives 37m, recovered after a failure"]
        );
    }

    #[test]
    fn a_sink_that_fails_and_heals_is_told() {
        let well = account("shop", "portone");
        let broken = sink(
            "file:/run/renewd/shop.token",
            SinkState::Failed,
            Some(error(ErrorClass::Config, "no space left", 0)),
        );
        let failing = AccountStatus { sinks: vec![broken], ..well.clone() };
        assert_eq!(
            said(&well, &failing),
            ["10:00:01  ✗ shop  file:/run/renewd/shop.token failed: no space left"]
        );
        assert_eq!(said(&failing, &well), ["10:00:01  ● shop  file:/run/renewd/shop.token written again"]);
    }

    #[test]
    fn accounts_come_and_go_and_the_configuration_speaks_for_itself() {
        let before = status_of(vec![account("kis", "kis")]);
        let mut after = status_of(vec![account("shop", "portone")]);
        after.config.generation = 4;
        let lines = happenings(&before, &after)
            .into_iter()
            .map(|each| each.line(13, Look::plain()).render(Look::plain()));
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "10:00:00  ● configuration  reloaded, generation 4",
                "10:00:00  ○ shop           added",
                "10:00:00  ○ kis            removed"
            ]
        );
    }
}
