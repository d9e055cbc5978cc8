//! The log: one sentence for each note of the engine, with stable event names and fields.

use std::fmt::{Debug, Display, Write as _};
use std::io::IsTerminal;
use std::time::Duration;

use tracing::field::Field;
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Registry, fmt, reload};

use super::journal::Stderr;
use super::stderr;
use crate::core::{HookId, Note, SetId};
use crate::domain::{ErrorClass, human_duration};

/// The least severity that is written: `error`, `warn`, `info`, `debug` or `trace`.
pub type Level = str;

/// Changes the level of a running agent.
#[derive(Debug, Clone)]
pub struct LevelHandle(reload::Handle<EnvFilter, Registry>);

impl LevelHandle {
    /// From now on.
    pub fn set(&self, level: &Level) {
        if let Ok(filter) = filter(level) {
            let _ = self.0.reload(filter); // only fails when the subscriber is gone
        }
    }
}

/// Starts the log on standard error: text or JSON lines; `None`: text on a terminal, JSON lines elsewhere. Where that is
/// the journal, each line begins with its priority. A thread of its own writes: whoever reads may stall.
///
/// # Errors
/// Where a log was started before.
pub fn init(level: &Level, json: Option<bool>) -> Result<LevelHandle, TryInitError> {
    let terminal = std::io::stderr().is_terminal();
    let filter = filter(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    stderr::start();
    let registry = tracing_subscriber::registry().with(filter);
    if json.unwrap_or(!terminal) {
        let lines = fmt::layer().json().flatten_event(true).with_target(false).with_current_span(false);
        registry.with(lines.with_span_list(false).with_writer(Stderr::new())).try_init()?;
    } else {
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text =
            fmt::layer().with_target(false).with_ansi(colour).fmt_fields(fmt::format::debug_fn(in_text));
        registry.with(text.with_writer(Stderr::new())).try_init()?;
    }
    Ok(LevelHandle(handle))
}

/// A field as it stands in text: the sentence first, then ` name=value`. The event's name is for programs, which read JSON.
fn in_text(to: &mut fmt::format::Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    match field.name() {
        "message" => write!(to, "{}", Printable(value)),
        "event" => Ok(()),
        name if to.has_ansi_escapes() => write!(to, " \x1b[2m{name}=\x1b[0m{}", spelt(value)),
        name => write!(to, " {name}={}", spelt(value)),
    }
}

/// A value in the one spelling that it has, whether it was given as text or to be displayed: in quotes only where it
/// would not be told from what stands beside it.
fn spelt(value: &dyn Debug) -> String {
    let given = format!("{value:?}");
    let is_plain = |text: &str| {
        let marks = |symbol: char| symbol.is_whitespace() || symbol.is_control() || "\"\\=".contains(symbol);
        !text.is_empty() && !text.contains(marks)
    };
    let inside = given.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(inside) if is_plain(inside) => inside.to_owned(),
        Some(inside) if is_quoted(inside) => given,
        None if is_plain(&given) => given,
        _ => format!("{given:?}"),
    }
}

/// Whether it can stand between two quotes as it is: every quote in it is escaped, and nothing steers a terminal.
fn is_quoted(inside: &str) -> bool {
    let mut escaped = false;
    let stands = inside.chars().all(|symbol| {
        let stands = escaped || symbol != '"';
        escaped = symbol == '\\' && !escaped;
        stands && !symbol.is_control()
    });
    stands && !escaped
}

/// Nothing that could steer a terminal; line breaks stay.
struct Printable<'a>(&'a dyn Debug);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for symbol in format!("{:?}", self.0).chars() {
            match symbol {
                '\n' => f.write_char(symbol)?,
                _ if symbol.is_control() => write!(f, "{}", symbol.escape_default())?,
                _ => f.write_char(symbol)?,
            }
        }
        Ok(())
    }
}

/// Libraries that hold secrets in their messages stay silent at every level.
fn filter(level: &Level) -> Result<EnvFilter, ParseError> {
    const SILENT: &str = "vaultrs=off,rustify=off,kube_client=off,kube_core=off";
    EnvFilter::try_new(format!("warn,{SILENT},renewd={level}"))
}

/// Gives the note its sentence; `hook` is the name of a set's hook.
pub(super) fn say<'a>(note: &Note, hook: impl Fn(&SetId, HookId) -> &'a str) {
    match note {
        Note::Added { account } => tracing::debug!(event = "account_added", %account, "account added"),
        Note::Changed { account } => tracing::info!(event = "account_changed", %account, "account changed"),
        Note::Removed { account } => tracing::info!(event = "account_removed", %account, "account removed"),
        Note::Renewed { account, generation, expires_at, renew_at, healed } => {
            let words = if *healed { "renewed, after failures" } else { "renewed" };
            tracing::info!(event = "renewed", %account, generation = generation.0, %expires_at, %renew_at, "{words}");
        }
        Note::Unchanged { account, expires_at, next } => tracing::info!(
            event = "unchanged", %account, %expires_at, %next,
            "the provider gave the same token, or a shorter one, again"
        ),
        Note::Failing { account, class, message, next, attempt, news } => {
            failing(account.as_str(), *class, message, &next.to_string(), *attempt, *news);
        }
        Note::Expired { account, at } => {
            tracing::error!(event = "expired", %account, %at, "the token has expired")
        }
        Note::LeadCut { account, lifetime } => tracing::warn!(
            event = "lead_cut", %account,
            "renew.before is not shorter than the token's life of {}: half the life is used",
            human_duration(*lifetime)
        ),
        Note::Relogin { account, message } => {
            tracing::info!(event = "relogin", %account, error = message, "the refresh token is dead: logging in again");
        }
        Note::Delivered { target, account, generation, written, healed } => {
            let words = put(*written, *healed);
            tracing::info!(event = "sink_written", sink = %target, %account, generation = generation.0, "{words}");
        }
        Note::Composed { target, written, healed } => {
            let words = put(*written, *healed);
            tracing::info!(event = "template_written", template = %target, "{words}");
        }
        Note::Withdrawn { target, account } => {
            tracing::warn!(event = "sink_withdrawn", sink = %target, %account, "removed, as the token has expired");
        }
        Note::Undelivered { target, message, next, news: true } => {
            tracing::error!(event = "sink_failed", sink = %target, error = message, %next, "cannot be written");
        }
        Note::Undelivered { target, message, next, news: false } => {
            tracing::debug!(event = "sink_failed", sink = %target, error = message, %next, "still cannot be written");
        }
        Note::ServerAway { server, message, next, news: true } => {
            tracing::error!(event = "server_away", %server, error = message, %next, "nothing can be delivered to {}: its sinks wait", called(server));
        }
        Note::ServerAway { server, message, next, news: false } => {
            tracing::debug!(event = "server_away", %server, error = message, %next, "still nothing can be delivered to {}", called(server));
        }
        Note::ServerBack { server, away } => tracing::info!(
            event = "server_back", %server, "{} takes deliveries again, after {}", called(server), human_duration(*away)
        ),
        Note::HookRan { set, hook: which, healed } => {
            let words = if *healed { "a hook has run, after failures" } else { "a hook has run" };
            let ((account, template), hook) = (whose(set), hook(set, *which));
            tracing::info!(event = "hook_ran", account, template, hook, "{words}");
        }
        Note::HookFailed { set, hook: which, message, next, news } => {
            let ((account, template), hook, error) = (whose(set), hook(set, *which), message);
            match news {
                true => {
                    tracing::error!(event = "hook_failed", account, template, hook, error, %next, "a hook has failed");
                }
                false => {
                    tracing::debug!(event = "hook_failed", account, template, hook, error, %next, "a hook still fails");
                }
            }
        }
        Note::HostPaused { host, until } => {
            tracing::warn!(event = "host_paused", %host, %until, "the provider asks all accounts of this host to wait");
        }
        Note::HostDown { host, until, news: true } => {
            tracing::warn!(event = "host_down", %host, %until, "the host fails: one request at a time tries it from now on");
        }
        Note::HostDown { host, until, news: false } => {
            tracing::debug!(event = "host_down", %host, %until, "the host still fails");
        }
        Note::HostBack { host } => tracing::info!(event = "host_back", %host, "the host answers again"),
    }
}

fn put(written: bool, healed: bool) -> &'static str {
    match (written, healed) {
        (true, false) => "written",
        (true, true) => "written, after failures",
        (false, _) => "can be written again, after failures; what stands there is right",
    }
}

/// The agent stops, and waits `at_most` so long for a hook that runs.
pub(super) fn hook_awaited(set: &SetId, hook: &str, at_most: Duration) {
    let ((account, template), at_most) = (whose(set), human_duration(at_most));
    tracing::info!(
        event = "hook_awaited",
        account,
        template,
        hook,
        at_most,
        "stopping waits for a hook that still runs"
    );
}

/// A server as people call it.
fn called(server: &str) -> &str {
    match server {
        "vault" => "Vault",
        "kubernetes" => "the Kubernetes API",
        other => other,
    }
}

/// Whose hooks: the account's or the template's, each a field of its own.
fn whose(set: &SetId) -> (Option<&str>, Option<&str>) {
    match set {
        SetId::Account(account) => (Some(account.as_str()), None),
        SetId::Template(target) => (None, Some(target)),
    }
}

/// The first failure of a kind is said aloud, those after it only at `debug`.
fn failing(account: &str, class: ErrorClass, message: &str, next: &str, attempt: u32, news: bool) {
    // Nothing was tried: a secret's source is missing.
    let attempt = (attempt > 0 && class != ErrorClass::Config).then_some(attempt);
    match (class, news) {
        (_, false) => {
            tracing::debug!(event = "renewal_failed", account, %class, error = message, next, attempt, "still failing");
        }
        (ErrorClass::Transient | ErrorClass::Throttled, true) => {
            tracing::warn!(event = "renewal_failed", account, %class, error = message, next, attempt, "renewal failed");
        }
        (_, true) => {
            tracing::error!(event = "renewal_failed", account, %class, error = message, next, attempt, "renewal failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    use crate::domain::AccountId;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines as text, without a time.
    fn told(say: impl FnOnce()) -> String {
        let written = Written::default();
        let to = written.clone();
        let text = fmt::layer().with_target(false).with_ansi(false).without_time();
        let text = text.fmt_fields(fmt::format::debug_fn(in_text)).with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(text), say);
        String::from_utf8(written.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_field_has_one_spelling_in_text_and_an_error_is_a_field_of_its_own() {
        let account = AccountId::new("pay").unwrap();
        let lines = told(|| {
            let relogin = Note::Relogin {
                account: account.clone(),
                message: "the provider no longer accepts the refresh token (HTTP 401)".to_owned(),
            };
            say(&relogin, |_, _| "");
            failing(account.as_str(), ErrorClass::Transient, "HTTP \"503\"", "now", 2, true);
            failing(account.as_str(), ErrorClass::Config, "no such file", "now", 2, true);
            tracing::info!(%account, sink = %"file:/run/a b", empty = "", count = 3, error = %"one\ntwo", "said");
            tracing::info!(account = "pay", sink = "file:/run/a b", steers = %"\u{1b}[2J", path = "C:\\x", "said");
        });
        insta::assert_snapshot!(lines, @r#"
         INFO the refresh token is dead: logging in again account=pay error="the provider no longer accepts the refresh token (HTTP 401)"
         WARN renewal failed account=pay class=transient error="HTTP \"503\"" next=now attempt=2
        ERROR renewal failed account=pay class=config error="no such file" next=now
         INFO said account=pay sink="file:/run/a b" empty="" count=3 error="one\ntwo"
         INFO said account=pay sink="file:/run/a b" steers="\u{1b}[2J" path="C:\\x"
        "#);
    }

    #[test]
    fn a_hook_has_the_name_that_the_status_gives_it_and_stands_beside_what_it_belongs_to() {
        let sets =
            [SetId::Account(AccountId::new("pay").unwrap()), SetId::Template("template:/run/env".into())];
        let lines = told(|| {
            let mut observer = crate::observe::Observer::new();
            let names = [(7, "command:/bin/sh".to_owned()), (3, "command:/bin/sh#2".to_owned())];
            observer.call_hooks(sets.iter().map(|set| (set.clone(), names.clone().into())).collect());
            for (set, hook) in sets.iter().zip([7, 3]) {
                say(&Note::HookRan { set: set.clone(), hook, healed: false }, |set, hook| {
                    observer.hook(set, hook)
                });
            }
        });
        insta::assert_snapshot!(lines, @"
        INFO a hook has run account=pay hook=command:/bin/sh
        INFO a hook has run template=template:/run/env hook=command:/bin/sh#2
        ");
    }
}
