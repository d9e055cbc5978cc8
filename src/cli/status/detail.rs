//! One account, with everything that the agent says of it.

use super::words;
use crate::cli::screen::{Line, Look, Tone, pad, sanitise, wrap};
use crate::domain::{ErrorClass, ErrorInfo, Generation, Timestamp};
use crate::observe::status::{AccountStatus, HookStatus, SinkStatus};

const LABELS: usize = 12;
const CELLS: usize = 24;

/// The account's own page.
pub(super) fn lines(account: &AccountStatus, now: Timestamp, look: Look) -> Vec<Line> {
    let (tone, sign) = words::account_sign(account.state, look);
    let mut title = Line::new();
    if look.is_terminal() {
        title.push(tone, format!("{sign} "));
    }
    let mut lines = vec![
        title
            .with(Tone::Strong, account.name.as_str())
            .with(Tone::Plain, "  ")
            .with(tone, account.state.as_str()),
        field("provider").with(Tone::Plain, sanitise(&account.provider)),
        field("generation").with(Tone::Plain, generation(account.generation)),
        life(account, now, look),
        field("issued").with(Tone::Plain, instant(account.issued_at, now)),
        field("expires").with(Tone::Plain, instant(account.expires_at, now)),
        renewal(account, now),
    ];
    if let Some(waiting) = &account.waiting {
        let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(LABELS + 2));
        let said = words::waits(waiting, now);
        let said = said.trim_start_matches("waits").trim_start_matches([':', ' ']);
        let labels = std::iter::once("waits").chain(std::iter::repeat(""));
        let text = wrap(said, room).into_iter().zip(labels);
        lines.extend(text.map(|(line, label)| field(label).with(Tone::Note, line)));
    }
    // What is missing on this side has kept the provider from being asked.
    let asked = account.error.as_ref().is_none_or(|error| error.class != ErrorClass::Config);
    if account.attempt > 0 && asked {
        let times = if account.attempt == 1 { "attempt" } else { "attempts" };
        let said = format!("{} failed {times} since the last success", account.attempt);
        lines.push(field("retries").with(Tone::Warn, said));
    }
    if let Some(error) = &account.error {
        lines.extend(error_lines("error", error, now, look));
    }
    if let Some(origins) = words::origins(account, now) {
        let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(LABELS + 2));
        let labels = std::iter::once("credentials").chain(std::iter::repeat(""));
        let texts = wrap(&origins, room).into_iter();
        lines.extend(labels.zip(texts).map(|(label, text)| field(label).with(Tone::Plain, text)));
    }
    if let Some(error) = &account.unverified {
        lines.extend(error_lines("verified", error, now, look));
    }
    lines.push(Line::new());
    lines.extend(sinks(&account.sinks, account.generation, now, look));
    lines.extend(hooks(&account.hooks, now, look));
    match look.width {
        Some(columns) => lines.into_iter().map(|line| line.cut(columns, look)).collect(),
        None => lines,
    }
}

fn life(account: &AccountStatus, now: Timestamp, look: Look) -> Line {
    let mut line = field("life");
    if look.is_terminal() && account.expires_at.is_some() {
        let (full, rest) = words::bar(words::life_left(account, now), CELLS, look);
        line.push(words::account_sign(account.state, look).0, full);
        line.push(Tone::Dim, rest);
        line.push(Tone::Plain, " ");
    }
    line.push(Tone::Plain, words::left(account, now));
    if let (Some(start), Some(end)) = (account.issued_at, account.expires_at) {
        line.push(Tone::Dim, format!(" of {}", words::whole_span(end.since(start))));
    }
    line
}

fn renewal(account: &AccountStatus, now: Timestamp) -> Line {
    match account.renew_at {
        Some(_) => field("renewal").with(Tone::Plain, instant(account.renew_at, now)),
        None => field("renewal").with(Tone::Note, words::next(account, now)),
    }
}

fn error_lines(label: &str, error: &ErrorInfo, now: Timestamp, look: Look) -> Vec<Line> {
    let head = match label {
        "verified" => format!("no, tried {}", words::ago(error.at, now)),
        _ => format!("{}, {}", error.class, words::ago(error.at, now)),
    };
    let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(LABELS + 2));
    let text = wrap(&sanitise(&error.message), room).into_iter();
    let mut lines = vec![field(label).with(Tone::Warn, head)];
    lines.extend(text.map(|line| field("").with(Tone::Plain, line)));
    lines
}

fn sinks(sinks: &[SinkStatus], current: Generation, now: Timestamp, look: Look) -> Vec<Line> {
    if sinks.is_empty() {
        return vec![Line::new().with(Tone::Dim, "no sinks: the token is to be had over the socket alone")];
    }
    let mut lines = vec![Line::new().with(Tone::Dim, "SINKS")];
    for sink in sinks {
        let (tone, sign, word) = words::sink_sign(sink.state, look);
        let word = if sink.removed { "removed" } else { word };
        let mut line = Line::new().with(Tone::Plain, "  ");
        if look.is_terminal() {
            line.push(tone, format!("{sign} "));
        }
        line.push(tone, word);
        line.push(Tone::Plain, format!("  {}", sanitise(&sink.sink)));
        lines.push(line);
        let holds = match sink.generation {
            Some(held) if held < current => Some(format!("holds generation {held} of {current}")),
            Some(held) => Some(format!("holds generation {held}")),
            None => None,
        };
        let written = sink.written_at.map(|at| format!("written {}", instant(Some(at), now)));
        let removed =
            sink.removed.then(|| "removed, as its token has ended (when_expired: remove)".to_owned());
        let facts: Vec<String> = removed.into_iter().chain(holds).chain(written).collect();
        if !facts.is_empty() {
            lines.push(Line::new().with(Tone::Dim, format!("      {}", facts.join(", "))));
        }
        if let Some(said) = words::outdated(sink, current, now) {
            lines.push(Line::new().with(Tone::Bad, format!("      {said}")));
        }
        if let Some(since) = sink.writing_since {
            let said = format!("      {}", words::slow(since, now));
            lines.push(Line::new().with(Tone::Warn, said));
        }
        if let Some(error) = &sink.error {
            let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(6));
            let (ago, again) = (words::ago(error.at, now), words::again(sink.next, now));
            let said = format!("{} {ago}{again}: {}", error.class, sanitise(&error.message));
            lines.extend(
                wrap(&said, room)
                    .into_iter()
                    .map(|text| Line::new().with(Tone::Warn, format!("      {text}"))),
            );
        }
    }
    lines
}

fn hooks(hooks: &[HookStatus], now: Timestamp, look: Look) -> Vec<Line> {
    if hooks.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::new(), Line::new().with(Tone::Dim, "HOOKS")];
    for hook in hooks {
        let (tone, sign, word) = words::hook_sign(hook, look);
        let mut line = Line::new().with(Tone::Plain, "  ");
        if look.is_terminal() {
            line.push(tone, format!("{sign} "));
        }
        line.push(tone, word);
        line.push(Tone::Plain, format!("  {}", sanitise(&hook.hook)));
        lines.push(line);
        if let Some(error) = &hook.error {
            let room = look.width.map_or(usize::MAX, |columns| columns.saturating_sub(6));
            let said = format!("{}: {}", words::hook_head(hook, error, now), sanitise(&error.message));
            let said = wrap(&said, room).into_iter();
            lines.extend(said.map(|text| Line::new().with(Tone::Warn, format!("      {text}"))));
        }
        if let Some(since) = hook.running_since {
            let said = format!("      running since {}", instant(Some(since), now));
            lines.push(Line::new().with(Tone::Dim, said));
        }
    }
    lines
}

fn field(label: &str) -> Line {
    Line::new().with(Tone::Dim, format!("  {}", pad(label, LABELS)))
}

fn generation(generation: Generation) -> String {
    if generation == Generation::NONE { "none yet".to_owned() } else { generation.to_string() }
}

/// `2026-03-01T10:00:00Z (in 38m)`.
fn instant(at: Option<Timestamp>, now: Timestamp) -> String {
    match at {
        Some(at) => format!("{} ({})", Timestamp::from_secs(at.as_secs()), words::relative(at, now)),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::{account, at, error, status_of};
    use crate::domain::{Waiting, WaitsFor};
    use crate::observe::status::{CredentialStatus, HookState};

    fn said(account: AccountStatus) -> String {
        let now = status_of(Vec::new()).now;
        let lines = lines(&account, now, Look::plain());
        lines.iter().map(|line| line.render(Look::plain()) + "\n").collect()
    }

    #[test]
    fn a_hook_that_runs_is_said_to_and_since_when() {
        let hook = |state, error, running| HookStatus {
            hook: "command:/bin/reload".to_owned(),
            state,
            error,
            next: None,
            running_since: running,
        };
        let hooks = vec![
            hook(HookState::Untold, None, Some(at(-10))),
            hook(HookState::Failed, Some(error(ErrorClass::Transient, "status 1", 12)), Some(at(-2))),
            hook(HookState::Untold, None, None),
        ];
        let said = said(AccountStatus { hooks, ..account("pay", "portone") });
        insta::assert_snapshot!(said.split_once("HOOKS").unwrap().1, @"
        running  command:/bin/reload
            running since 2026-03-01T09:59:50Z (10s ago)
        failed  command:/bin/reload
            hook command:/bin/reload failed 12s ago (transient), again now: status 1
            running since 2026-03-01T09:59:58Z (2s ago)
        untold  command:/bin/reload
        ");
    }

    #[test]
    fn refused_credentials_are_told_with_their_places_and_when_they_have_changed() {
        let credential = |name: &str, source: &str, changed_at| CredentialStatus {
            name: name.to_owned(),
            source: source.to_owned(),
            changed_at,
        };
        let credentials = vec![
            credential("client_id", "environment variable ID", None),
            credential("client_secret", "/etc/renewd/secrets/x", Some(at(-120))),
        ];
        let refused = AccountStatus {
            error: Some(error(ErrorClass::Rejected, "no", 12)),
            credentials,
            ..account("pay", "portone")
        };
        let expected = "`client_id` from environment variable ID; `client_secret` from /etc/renewd/secrets/x, changed 2m ago";
        let said = said(refused);
        assert!(said.contains(&format!("  credentials {expected}\n")), "{said}");
    }

    #[test]
    fn what_an_account_waits_for_is_said_with_its_end() {
        let of = |what, until: Option<i64>| {
            let waiting =
                Waiting { what, until: until.map(at), host: Some("api.example.com:443".to_owned()) };
            let said = said(AccountStatus { waiting: Some(waiting), ..account("pay", "portone") });
            said.lines().find(|line| line.starts_with("  waits")).unwrap_or_default().to_owned()
        };
        let seen =
            [of(WaitsFor::Host, Some(9)), of(WaitsFor::Host, None), of(WaitsFor::MinInterval, Some(60))];
        insta::assert_snapshot!(seen.join("\n"), @r"
        waits       until 2026-03-01T10:00:09Z (in 9s): its host api.example.com:443 does not answer as it should
        waits       its host api.example.com:443 does not answer as it should
        waits       until 2026-03-01T10:01:00Z (in 1m): its min_interval is not over
        ");
        assert!(!said(account("pay", "portone")).contains("waits"), "it has nothing to wait for");
    }

    #[test]
    fn where_nothing_could_be_asked_no_attempts_are_counted() {
        let of = |class| AccountStatus {
            attempt: 2,
            error: Some(error(class, "no such file", 12)),
            ..account("pay", "portone")
        };
        assert!(said(of(ErrorClass::Transient)).contains("2 failed attempts"));
        assert!(!said(of(ErrorClass::Config)).contains("attempt"));
        let now = status_of(Vec::new()).now;
        let head = |class| words::error_head(&error(class, "no such file", 12), 2, now);
        assert_eq!(head(ErrorClass::Transient), "transient 12s ago, attempt 2");
        assert_eq!(head(ErrorClass::Config), "config 12s ago");
    }
}
