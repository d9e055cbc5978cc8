//! One account with all that is known of it.

use super::View;
use super::html::{Cut, Html, html};
use super::judge::{self, ago, counted, relative};
use super::query::Query;
use super::rows::{error_words, hooks, legend, own_troubles, readers, sign};
use super::select::Seen;
use super::timeline;
use crate::domain::Timestamp;
use crate::observe::history::{Gap, Record};
use crate::observe::status::AccountStatus;

const LONG: usize = 2_000;

/// Whether there is such an account.
pub(super) fn draw(to: &mut Html, view: &View<'_>, name: &str) -> bool {
    let back = Query { account: None, ..view.query.clone() };
    html!(to, "<section aria-labelledby=\"account\"><p><a href=\"" {back.address()} "\">All accounts</a></p>");
    let found = view.all.iter().find(|seen| seen.account.name.as_str() == name);
    match found {
        Some(seen) => account(to, view, *seen),
        None => html!(to, "<h2 id=\"account\">No account <bdi>" {name} "</bdi> is configured</h2>"),
    }
    html!(to, "</section>");
    found.is_some()
}

fn account(to: &mut Html, view: &View<'_>, seen: Seen<'_>) {
    let Seen { account, tone } = seen;
    let (name, now) = (account.name.as_str(), view.now);
    html!(to, "<h2 id=\"account\">" {name} "</h2><div class=\"one " {tone.class()} "\"><p class=\"s " {judge::state_tone(account).class()} "\">");
    sign(to, account.state);
    html!(to, {account.state.as_str()} ", " {judge::left(account, now)} ", " {judge::next(account, now)} "</p>");
    timeline::axis(to, view.window);
    timeline::draw(to, account, view.past(name), view.window);
    own_troubles(to, account, now);
    html!(to, "<dl class=\"facts\"><div><dt>Provider</dt><dd><bdi>" {&account.provider} "</bdi></dd></div>");
    html!(to, "<div><dt>Generation</dt><dd>" {account.generation.0} "</dd></div>");
    let instants =
        [("Issued", account.issued_at), ("Ends", account.expires_at), ("Asks next", account.renew_at)];
    for (what, at) in instants {
        if let Some(at) = at {
            html!(to, "<div><dt>" {what} "</dt><dd>");
            instant(to, at, now);
            html!(to, "</dd></div>");
        }
    }
    // Nobody is told so whose readers have been left with an ended one.
    let valid = judge::is_alive(account, now) && !judge::refused(account, now);
    if let Some(since) = view.past(name).and_then(|past| past.valid_since(now)).filter(|_| valid) {
        html!(to, "<div><dt>Valid without a break since</dt><dd>");
        instant(to, since, now);
        html!(to, "</dd></div>");
    }
    html!(to, "</dl><h3>Sinks</h3>");
    if account.sinks.is_empty() {
        html!(to, "<p>None is configured: the token is had over the socket.</p>");
    }
    for sink in &account.sinks {
        let class = if judge::ails(sink) { "e" } else { "d" };
        html!(to, "<p class=\"" {class} "\"><code>" {Cut(&sink.sink, LONG)} "</code> " {judge::sink(sink, account, now)} "</p>");
        readers(to, sink.outdated(account.generation), now);
        if let Some(error) = &sink.error {
            error_words(to, error, 0, now);
        }
    }
    if !account.hooks.is_empty() {
        html!(to, "<h3>Hooks</h3>");
        for hook in account.hooks.iter().filter(|hook| hook.error.is_none()) {
            html!(to, "<p class=\"d\"><code>" {Cut(&hook.hook, LONG)} "</code> " {judge::hook(hook, now)} "</p>");
        }
        hooks(to, &account.hooks, now);
    }
    if let Some(past) = view.past(name) {
        happened(to, account, past, now);
    }
    html!(to, "</div>");
    legend(to);
}

/// The newest first.
fn happened(to: &mut Html, account: &AccountStatus, past: &Record, now: Timestamp) {
    html!(to, "<h3>What has happened</h3><ul>");
    for sink in &account.sinks {
        if let Some(end) = sink.outdated(account.generation).filter(|end| *end <= now) {
            html!(to, "<li>" {ago(end, now)} ": what <code>" {Cut(&sink.sink, LONG)} "</code> holds ended without being replaced</li>");
        }
    }
    for mark in past.marks().rev() {
        html!(to, "<li>" {timeline::happened(mark, now)} "</li>");
    }
    html!(to, "</ul>");
    let gaps: Vec<Gap> = past.gaps(now).collect();
    html!(to, "<p>");
    match gaps.len() {
        0 => html!(to, "The agent always had a valid token"),
        count => html!(to, {counted(count, "time")} " without a valid token"),
    }
    html!(to, " since ");
    instant(to, past.since(), now);
    html!(to, ".</p>");
}

/// `2026-01-01T00:00:00Z (3m ago)`.
fn instant(to: &mut Html, at: Timestamp, now: Timestamp) {
    let at = Timestamp::from_secs(at.as_secs());
    let printed = at.to_string();
    html!(to, "<time datetime=\"" {&printed} "\">" {&printed} "</time> (" {relative(at, now)} ")");
}
