//! `on_change:`, `verify:` and `agent.alerts`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::scalar::Refusal;
use super::{Fields, Report, paths, secret, urls};
use crate::config::model::{Alert, Hook, HookSignal, Verify};
use crate::config::shape::{
    ALERT, ALERT_COMMAND, ALERT_WEBHOOK, COMMAND, HOOK, HOOK_SIGNAL, Shape, VERIFY, WEBHOOK,
};
use crate::config::tree::{Node, Value};
use crate::config::words;
use crate::domain::AlertLevel;

const EXCHANGE: Duration = Duration::from_secs(10);
const EXCHANGE_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
const PROGRAM: Duration = Duration::from_secs(30);
const PROGRAM_BOUNDS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));

const LEVELS: [AlertLevel; 3] = [AlertLevel::Warn, AlertLevel::Critical, AlertLevel::Recovered];

const SIGNALS: [(&str, HookSignal); 8] = [
    ("HUP", HookSignal::Hup),
    ("INT", HookSignal::Int),
    ("QUIT", HookSignal::Quit),
    ("USR1", HookSignal::Usr1),
    ("USR2", HookSignal::Usr2),
    ("TERM", HookSignal::Term),
    ("WINCH", HookSignal::Winch),
    ("CONT", HookSignal::Cont),
];

/// Who is told of a change.
pub(super) fn hooks(report: &mut Report, owner: &Fields<'_, '_>) -> Vec<Hook> {
    if let Some(node) = owner.node("on_change").filter(|node| node.scalar().is_some() && !node.is_null()) {
        report
            .error(node.place, format!("expected a list, found {}", node.what()))
            .hint("write each as an item, as in `- command: [PROGRAM, ARGUMENT]`");
        return Vec::new();
    }
    owner.items(report, "on_change").iter().filter_map(|item| hook(report, item)).collect()
}

fn hook(report: &mut Report, item: &Node<'_>) -> Option<Hook> {
    let fields = Fields::read(report, &HOOK, item, item.place)?;
    match fields.only(report, "a hook has exactly one of `signal`, `command` and `webhook`")? {
        "signal" => {
            if let Some(node) = fields.node("signal").filter(|node| node.scalar().is_some()) {
                report
                    .error(node.place, format!("expected a mapping, found {}", node.what()))
                    .hint("write `signal: { pid_file: PATH, signal: HUP }`");
                return None;
            }
            let fields = fields.section(report, "signal", &HOOK_SIGNAL)?;
            let pid_file: Option<PathBuf> = fields.parsed(report, "pid_file", paths::absolute);
            let signal = match fields.has("signal") {
                true => fields.parsed(report, "signal", signal),
                false => Some(HookSignal::Hup),
            };
            Some(Hook::Signal { pid_file: pid_file?, signal: signal? })
        }
        "command" => command(report, &fields, &COMMAND).0,
        _ => webhook(report, &fields, &WEBHOOK).0,
    }
}

/// A program, and its long form where it has one.
fn command<'t, 's>(
    report: &mut Report,
    owner: &Fields<'t, 's>,
    shape: &'static Shape,
) -> (Option<Hook>, Option<Fields<'t, 's>>) {
    match owner.node("command").map(|node| &node.value) {
        Some(Value::Scalar(_)) => {
            secret::no_argv(report, owner);
            (None, None)
        }
        Some(Value::Mapping(_)) => {
            let Some(fields) = owner.section(report, "command", shape) else { return (None, None) };
            let argv = secret::argv(report, &fields, "argv");
            let timeout = fields.duration_within(report, "timeout", PROGRAM_BOUNDS, "from 100 ms to 1 h");
            let hook = argv.map(|argv| Hook::Command { argv, timeout: timeout.unwrap_or(PROGRAM) });
            (hook, Some(fields))
        }
        _ => {
            let argv = secret::argv(report, owner, "command");
            (argv.map(|argv| Hook::Command { argv, timeout: PROGRAM }), None)
        }
    }
}

fn webhook<'t, 's>(
    report: &mut Report,
    owner: &Fields<'t, 's>,
    shape: &'static Shape,
) -> (Option<Hook>, Option<Fields<'t, 's>>) {
    if let Some(node) = owner.node("webhook").filter(|node| node.scalar().is_some()) {
        report
            .error(node.place, format!("expected a mapping, found {}", node.what()))
            .hint("write `webhook: { url: URL }`");
        return (None, None);
    }
    let Some(fields) = owner.section(report, "webhook", shape) else { return (None, None) };
    let url = fields.parsed(report, "url", urls::outward);
    let timeout = exchange(report, &fields);
    (url.map(|url| Hook::Webhook { url, timeout }), Some(fields))
}

/// Who is told of what goes wrong.
pub(super) fn alerts(report: &mut Report, agent: &Fields<'_, '_>) -> Vec<Alert> {
    agent.items(report, "alerts").iter().filter_map(|item| alert(report, item)).collect()
}

fn alert(report: &mut Report, item: &Node<'_>) -> Option<Alert> {
    let fields = Fields::read(report, &ALERT, item, item.place)?;
    let (hook, own) = match fields.only(report, "an alert has exactly one of `webhook` and `command`")? {
        "command" => command(report, &fields, &ALERT_COMMAND),
        _ => webhook(report, &fields, &ALERT_WEBHOOK),
    };
    let at = own.filter(|own| own.has("at")).map(|own| levels(report, &own));
    Some(Alert { hook: hook?, at: at.unwrap_or_else(|| LEVELS.into()) })
}

fn levels(report: &mut Report, fields: &Fields<'_, '_>) -> BTreeSet<AlertLevel> {
    fields.not_empty(report, "at");
    let mut levels = BTreeSet::new();
    for (text, node) in fields.texts(report, "at") {
        match LEVELS.iter().find(|level| level.as_str() == text) {
            Some(level) if levels.insert(*level) => {}
            Some(_) => {
                report.error(node.place, "this level stands twice");
            }
            None => {
                let names = LEVELS.iter().map(|level| level.as_str());
                report.error(node.place, "expected `warn`, `critical` or `recovered`").hint(words::suggest(
                    text,
                    names,
                    "there are",
                ));
            }
        }
    }
    levels
}

/// How a new token is tried.
pub(super) fn verify(report: &mut Report, account: &Fields<'_, '_>) -> Option<Verify> {
    let node = account.node("verify")?;
    match &node.value {
        Value::Scalar(_) => {
            let given = |text: &str| match text {
                "off" => Ok(None),
                url => urls::outward(url).map(Some),
            };
            let url = account.parsed(report, "verify", given)??;
            Some(Verify { url, expect: vec![200], timeout: EXCHANGE })
        }
        _ => {
            let fields = account.section(report, "verify", &VERIFY)?;
            let url = fields.parsed(report, "url", urls::outward);
            let expect = expected(report, &fields);
            let timeout = exchange(report, &fields);
            Some(Verify { url: url?, expect, timeout })
        }
    }
}

fn expected(report: &mut Report, fields: &Fields<'_, '_>) -> Vec<u16> {
    if !fields.has("expect") {
        return vec![200];
    }
    fields.not_empty(report, "expect");
    let mut statuses = Vec::new();
    for (text, node) in fields.texts(report, "expect") {
        match text.parse::<u16>() {
            Ok(status) if statuses.contains(&status) => {
                report.error(node.place, "this status stands twice");
            }
            Ok(status @ 200..=499) => statuses.push(status),
            Ok(500..=599) => {
                report
                    .error(node.place, "a status from 500 on says nothing of the token: it is tried again")
                    .hint("statuses from 200 to 499 can be expected");
            }
            _ => {
                report
                    .error(node.place, "expected an HTTP status such as `200`")
                    .hint("statuses from 200 to 499 can be expected");
            }
        }
    }
    statuses
}

fn exchange(report: &mut Report, fields: &Fields<'_, '_>) -> Duration {
    fields.duration_within(report, "timeout", EXCHANGE_BOUNDS, "from 100 ms to 1 min").unwrap_or(EXCHANGE)
}

fn signal(text: &str) -> Result<HookSignal, Refusal> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    match SIGNALS.iter().find(|(known, _)| *known == name) {
        Some((_, signal)) => Ok(*signal),
        None => Err(Refusal::EXPECTED.with_hint(words::suggest(
            name,
            SIGNALS.iter().map(|(known, _)| *known),
            "there are",
        ))),
    }
}
