//! Times and states in words, and the bar of life.

use std::time::Duration;

use crate::cli::screen::{Look, Tone, sanitise};
use crate::domain::{ErrorClass, ErrorInfo, Generation, Timestamp};
use crate::observe::status::{
    AccountState, AccountStatus, CredentialStatus, HookState, HookStatus, PlaceStatus, ServerStatus,
    SinkState, SinkStatus, Waiting, WaitsFor, readers_hold,
};

pub(in crate::cli) use crate::domain::span;

/// The same of a whole life, to the nearest second: a vendor's 12 s are 11.9 s by the time they have arrived.
pub(super) fn whole_span(life: Duration) -> String {
    span(life.saturating_add(Duration::from_millis(500)))
}

/// Where refused credentials come from: `` `password` from /etc/renewd/secrets/x, changed 2m ago``.
pub(super) fn origins(account: &AccountStatus, now: Timestamp) -> Option<String> {
    let one = |credential: &CredentialStatus| {
        let changed = credential.changed_at.map(|at| format!(", changed {}", ago(at, now)));
        let (name, source) = (sanitise(&credential.name), sanitise(&credential.source));
        format!("`{name}` from {source}{}", changed.unwrap_or_default())
    };
    let all: Vec<String> = account.credentials.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// `3m ago`, or `just now`; also where the agent's clock has been set back since.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at) {
        short if short < Duration::from_secs(1) => "just now".to_owned(),
        long => format!("{} ago", span(long)),
    }
}

/// `in 12m` or `3m ago`.
pub(in crate::cli) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", span(at.since(now))) } else { ago(at, now) }
}

/// The token's life in words: `38m left`, `ended 3m ago`, `no token`.
pub(super) fn left(account: &AccountStatus, now: Timestamp) -> String {
    match account.expires_at {
        None => "no token".to_owned(),
        Some(end) if end > now => format!("{} left", span(end.since(now))),
        Some(end) => format!("ended {}", ago(end, now)),
    }
}

/// When the provider is asked next, in words.
pub(super) fn next(account: &AccountStatus, now: Timestamp) -> String {
    match account.renew_at {
        Some(at) if at > now => format!("in {}", span(at.since(now))),
        Some(_) => "due now".to_owned(),
        None if account.verifying => "verifying".to_owned(),
        None if has_stopped(account) => "stopped".to_owned(),
        None => "asking now".to_owned(),
    }
}

/// What the account waits for although it is due: `waits until ... (in 9s): its host ...`. Not where it is only its turn:
/// that is a matter of seconds, and "due now" says it.
pub(super) fn waiting(account: &AccountStatus, now: Timestamp) -> Option<String> {
    let waiting = account.waiting.as_ref().filter(|waiting| waiting.what != WaitsFor::Limit)?;
    Some(waits(waiting, now))
}

/// `waits until 2026-01-01T00:00:09Z (in 9s): its host api.example.com:443 does not answer as it should`.
pub(in crate::cli) fn waits(waiting: &Waiting, now: Timestamp) -> String {
    let until = |until: Timestamp| {
        format!(" until {} ({})", Timestamp::from_secs(until.as_secs()), relative(until, now))
    };
    format!("waits{}: {}", waiting.until.map(until).unwrap_or_default(), sanitise(&waiting.reason()))
}

/// Without a next time the agent is asking, or it needs a person: a dead refresh token and no credentials.
fn has_stopped(account: &AccountStatus) -> bool {
    let needs_a_person = |error: &ErrorInfo| matches!(error.class, ErrorClass::Relogin | ErrorClass::Config);
    account.state != AccountState::Fresh && account.error.as_ref().is_some_and(needs_a_person)
}

/// The share of its life that the token still has, in thousandths.
pub(super) fn life_left(account: &AccountStatus, now: Timestamp) -> u64 {
    let (Some(start), Some(end)) = (account.issued_at, account.expires_at) else { return 0 };
    let whole = end.since(start).as_millis();
    let left = end.since(now).as_millis().min(whole);
    match whole {
        0 => 0,
        _ => u64::try_from(left * 1000 / whole).unwrap_or(1000),
    }
}

/// A bar of `cells` columns, and its remainder: `███▌` and `░░░░`.
pub(super) fn bar(thousandths: u64, cells: usize, look: Look) -> (String, String) {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let cells = u64::try_from(cells).unwrap_or(0);
    let eighths = (thousandths.min(1000) * cells * 8).div_ceil(1000);
    let (full, part) = match look.unicode {
        true => (eighths / 8, EIGHTHS[usize::try_from(eighths % 8).unwrap_or(0)]),
        false => (eighths.div_ceil(8), ""),
    };
    let used = full + u64::from(!part.is_empty());
    let times = |text: &str, count: u64| text.repeat(usize::try_from(count).unwrap_or(0));
    (times(look.either("█", "#"), full) + part, times(look.either("░", "."), cells - used))
}

/// The tone and the symbol of a state; the word stands beside it.
pub(super) fn account_sign(state: AccountState, look: Look) -> (Tone, &'static str) {
    match state {
        AccountState::Pending => (Tone::Note, look.either("○", "o")),
        AccountState::Fresh => (Tone::Good, look.either("●", "*")),
        AccountState::Retrying => (Tone::Warn, look.either("▲", "!")),
        AccountState::Rejected | AccountState::Expired => (Tone::Bad, look.either("✗", "x")),
    }
}

/// The tone, the symbol and the word of a sink's state.
pub(super) fn sink_sign(state: SinkState, look: Look) -> (Tone, &'static str, &'static str) {
    match state {
        SinkState::Unwritten => (Tone::Note, look.either("○", "o"), "unwritten"),
        SinkState::Written => (Tone::Good, look.either("✓", "+"), "written"),
        SinkState::Failed => (Tone::Bad, look.either("✗", "x"), "failed"),
    }
}

/// The tone, the symbol and the word of a hook's state, or of its run.
pub(super) fn hook_sign(hook: &HookStatus, look: Look) -> (Tone, &'static str, &'static str) {
    match hook.state {
        HookState::Untold if hook.running_since.is_some() => (Tone::Note, look.either("○", "o"), "running"),
        HookState::Untold => (Tone::Note, look.either("○", "o"), "untold"),
        HookState::Told => (Tone::Good, look.either("✓", "+"), "told"),
        HookState::Failed => (Tone::Bad, look.either("✗", "x"), "failed"),
    }
}

/// `2/2 written`, or `0/1 written, 1 removed` once the token has ended; and how well that is.
pub(super) fn sinks(account: &AccountStatus) -> (Tone, String) {
    let of = |state| account.sinks.iter().filter(|sink| sink.state == state).count();
    let (all, written) = (account.sinks.len(), of(SinkState::Written));
    let tone = match () {
        () if of(SinkState::Failed) > 0 => Tone::Bad,
        () if written < all => Tone::Note,
        () => Tone::Plain,
    };
    match all {
        0 => (Tone::Dim, "none".to_owned()),
        _ => match account.sinks.iter().filter(|sink| sink.removed).count() {
            0 => (tone, format!("{written}/{all} written")),
            removed => (tone, format!("{written}/{all} written, {removed} removed")),
        },
    }
}

/// `transient 12s ago, attempt 3`. What is missing on this side (`config`) kept the provider from being asked: no attempt.
pub(super) fn error_head(error: &ErrorInfo, attempt: u32, now: Timestamp) -> String {
    let head = format!("{} {}", error.class, ago(error.at, now));
    let asked = attempt > 1 && error.class != ErrorClass::Config;
    if asked { format!("{head}, attempt {attempt}") } else { head }
}

/// `hook command:systemctl failed 3s ago (transient), again in 4s`.
pub(super) fn hook_head(hook: &HookStatus, error: &ErrorInfo, now: Timestamp) -> String {
    let head = format!("hook {} failed {} ({})", sanitise(&hook.hook), ago(error.at, now), error.class);
    match hook.next {
        Some(next) if next > now => format!("{head}, again {}", relative(next, now)),
        _ => format!("{head}, again now"),
    }
}

/// Sinks that a person should hear of: failed ones, others that carry an error, and those whose write takes long.
pub(super) fn ailing(sinks: &[SinkStatus]) -> impl Iterator<Item = &SinkStatus> {
    let ails = |sink: &&SinkStatus| {
        sink.state == SinkState::Failed || sink.error.is_some() || sink.writing_since.is_some()
    };
    sinks.iter().filter(ails)
}

/// `vault is away, for 12s, again in 4s`; where this side's configuration is what is missing nothing is away, but
/// `kubernetes cannot be used, again in 4s`.
pub(super) fn server(server: &ServerStatus, now: Timestamp) -> String {
    let (name, again) = (sanitise(&server.name), again(server.next, now));
    match server.error.class {
        ErrorClass::Config => format!("{name} cannot be used{again}"),
        _ => format!("{name} is away, for {}{again}", span(now.since(server.since))),
    }
}

/// `agent.listen cannot be had at 127.0.0.1:9478, for 12s, again in 4s`.
pub(super) fn place(place: &PlaceStatus, now: Timestamp) -> String {
    let (head, again) = (sanitise(&place.head()), again(Some(place.next), now));
    format!("{head}, for {}{again}", span(now.since(place.since)))
}

/// `, again in 4s`; nothing while it is being tried, or about to be.
pub(super) fn again(next: Option<Timestamp>, now: Timestamp) -> String {
    next.filter(|next| *next > now).map(|next| format!(", again {}", relative(next, now))).unwrap_or_default()
}

/// `waits for vault` or `cannot be written without kubernetes` (why stands with the servers), or `is being written for
/// 12s, without an end so far`.
pub(super) fn held_up(sink: &SinkStatus, now: Timestamp) -> Option<String> {
    match (&sink.server, sink.writing_since) {
        (_, Some(since)) => Some(slow(since, now)),
        (Some(server), None) => {
            let class = sink.error.as_ref().map(|error| error.class);
            let verb =
                if class == Some(ErrorClass::Config) { "cannot be written without" } else { "waits for" };
            Some(format!("{verb} {}", sanitise(server)))
        }
        (None, None) => None,
    }
}

/// `readers hold a token that ended 1m 18s ago`, where they cannot have the newest one.
pub(super) fn outdated(sink: &SinkStatus, newest: Generation, now: Timestamp) -> Option<String> {
    sink.outdated(newest).map(|end| readers_hold(end, now))
}

/// `is being written for 12s, without an end so far`.
pub(super) fn slow(since: Timestamp, now: Timestamp) -> String {
    format!("is being written for {}, without an end so far", span(now.since(since)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_few_words() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (250, "4m 10s"),
            (2300, "38m"),
            (5400, "1h 30m"),
            (82_800, "23h"),
            (190_800, "2d 5h"),
            (1_100_000, "12d"),
        ];
        for (secs, words) in cases {
            assert_eq!(span(Duration::from_secs(secs)), words);
        }
    }

    #[test]
    fn what_an_account_waits_for_is_said_with_its_end_but_a_mere_turn_is_not() {
        let at = Timestamp::from_secs;
        let host = || Some("api.example.com:443".to_owned());
        let waiting = |what, until: Option<i64>, host| Some(Waiting { what, until: until.map(at), host });
        let of = |waiting| {
            let account = crate::cli::status::tests::account("a", "portone");
            super::waiting(&AccountStatus { waiting, ..account }, at(1_700_000_000))
        };
        let said = [
            waiting(WaitsFor::Host, Some(1_700_000_009), host()),
            waiting(WaitsFor::Host, None, host()),
            waiting(WaitsFor::Vendor, Some(1_700_000_090), host()),
            waiting(WaitsFor::Vendor, Some(1_700_000_090), None),
            waiting(WaitsFor::MinInterval, Some(1_700_000_060), None),
            waiting(WaitsFor::Backoff, Some(1_700_000_031), None),
        ];
        insta::assert_snapshot!(said.map(|waiting| of(waiting).unwrap()).join("\n"), @r"
        waits until 2023-11-14T22:13:29Z (in 9s): its host api.example.com:443 does not answer as it should
        waits: its host api.example.com:443 does not answer as it should
        waits until 2023-11-14T22:14:50Z (in 1m 30s): the vendor asks all accounts of api.example.com:443 to wait
        waits until 2023-11-14T22:14:50Z (in 1m 30s): the vendor asks it to wait
        waits until 2023-11-14T22:14:20Z (in 1m): its min_interval is not over
        waits until 2023-11-14T22:13:51Z (in 31s): the pause after its last failure is not over
        ");
        assert_eq!(of(waiting(WaitsFor::Limit, None, host())), None);
    }

    #[test]
    fn a_bar_shrinks_by_eighths_and_keeps_its_width() {
        let look = Look::plain();
        assert_eq!(bar(1000, 4, look), ("████".to_owned(), String::new()));
        assert_eq!(bar(625, 4, look), ("██▌".to_owned(), "░".to_owned()));
        assert_eq!(bar(1, 4, look), ("▏".to_owned(), "░░░".to_owned()));
        assert_eq!(bar(0, 4, look), (String::new(), "░░░░".to_owned()));
        let ascii = Look { unicode: false, ..look };
        assert_eq!(bar(625, 4, ascii), ("###".to_owned(), ".".to_owned()));
    }
}
