//! The list of accounts.

use super::View;
use super::html::{Cut, Html, html};
use super::judge::{self, Tone, ago, counted, hint};
use super::query::{Part, Query, Wanted};
use super::select::{Seen, Selection};
use super::timeline;
use crate::domain::{ErrorClass, ErrorInfo, Timestamp};
use crate::observe::status::{AccountState, AccountStatus, HookStatus, readers_hold};

/// Where no more than so many accounts are shown, each tells its sinks.
const ROOMY: usize = 25;
/// The longest message in a list, in characters.
const MESSAGE: usize = 600;

/// All that match, page by page.
pub(super) fn list(to: &mut Html, view: &View<'_>, selection: &Selection<'_>) {
    html!(to, "<section aria-labelledby=\"accounts\"><h2 id=\"accounts\">Accounts</h2>");
    chips(to, view);
    if selection.rows.is_empty() {
        nothing(to, view);
    } else {
        html!(to, "<div class=\"row axis\">");
        timeline::axis(to, view.window);
        html!(to, "</div>");
        let roomy = selection.rows.len() <= ROOMY;
        let same = |one: &Seen<'_>, other: &Seen<'_>| {
            !view.query.grouped || one.account.provider == other.account.provider
        };
        for rows in selection.rows.chunk_by(same) {
            if let (true, Some(first)) = (view.query.grouped, rows.first()) {
                group(to, &first.account.provider, selection);
            }
            html!(to, "<ul class=\"rows\" role=\"list\">");
            rows.iter().for_each(|seen| row(to, view, *seen, roomy));
            html!(to, "</ul>");
        }
        pages(to, view.query, selection);
        legend(to);
    }
    html!(to, "</section>");
}

/// How many are in each state; each leads to those.
fn chips(to: &mut Html, view: &View<'_>) {
    let count = |wanted: Wanted| match wanted {
        Wanted::Trouble => view.all.iter().filter(|seen| seen.tone.is_trouble()).count(),
        Wanted::State(state) => view.all.iter().filter(|seen| seen.account.state == state).count(),
    };
    let chip = |to: &mut Html, state: Option<Wanted>, words: &'static str, count: usize| {
        let there = Query { state, part: Part::default(), ..view.query.clone() };
        html!(to, "<li><a href=\"" {there.address()} "\"");
        if view.query.state == state {
            html!(to, " aria-current=\"true\"");
        }
        html!(to, ">");
        if let Some(Wanted::State(state)) = state {
            sign(to, state);
        }
        html!(to, {words} " <b>" {count} "</b></a></li>");
    };
    html!(to, "<ul class=\"chips\" role=\"list\">");
    chip(to, None, "all", view.all.len());
    for (wanted, words) in Wanted::ALL {
        let count = count(wanted);
        if count > 0 || view.query.state == Some(wanted) {
            chip(to, Some(wanted), words, count);
        }
    }
    html!(to, "</ul>");
}

fn nothing(to: &mut Html, view: &View<'_>) {
    let all = Query { span: view.query.span, paused: view.query.paused, ..Query::default() };
    match view.all.is_empty() {
        true => html!(to, "<p class=\"none\">No accounts are configured.</p>"),
        false => html!(to, "<p class=\"none\">No account matches. <a href=\"" {all.address()} "\">Show all "
            {view.all.len()} "</a></p>"),
    }
}

fn group(to: &mut Html, provider: &str, selection: &Selection<'_>) {
    let (count, trouble) = selection.providers.get(provider).copied().unwrap_or_default();
    html!(to, "<h3 class=\"group\"><bdi>" {provider} "</bdi> <small>" {counted(count, "account")});
    if trouble > 0 {
        html!(to, ", " {trouble} " needing attention");
    }
    html!(to, "</small></h3>");
}

/// One account.
pub(super) fn row(to: &mut Html, view: &View<'_>, seen: Seen<'_>, roomy: bool) {
    let Seen { account, tone } = seen;
    let now = view.now;
    let there = Query { account: Some(account.name.to_string()), ..view.query.clone() };
    let name = account.name.as_str();
    html!(to, "<li id=\"a-" {name} "\" class=\"row " {tone.class()} "\">");
    to.raw(if view.query.grouped { "<h4>" } else { "<h3>" });
    html!(to, "<a href=\"" {there.address()} "\">" {name} "</a>");
    to.raw(if view.query.grouped { "</h4>" } else { "</h3>" });
    if !view.query.grouped {
        html!(to, "<p class=\"p\"><bdi>" {&account.provider} "</bdi></p>");
    }
    html!(to, "<p class=\"s " {judge::state_tone(account).class()} "\">");
    sign(to, account.state);
    html!(to, {account.state.as_str()} "</p><p class=\"l\">" {judge::left(account, now)} "</p><p class=\"n\">"
        {judge::next(account, now)} "</p><p class=\"k\">" {judge::sinks(account, now)} "</p>");
    timeline::draw(to, account, view.past(name), view.window);
    troubles(to, account, tone, now, roomy);
    html!(to, "</li>");
}

/// What is wrong, in words; and where there is room, each sink.
fn troubles(to: &mut Html, account: &AccountStatus, tone: Tone, now: Timestamp, roomy: bool) {
    if !tone.is_trouble() && account.waiting.is_none() && !roomy {
        return;
    }
    html!(to, "<div class=\"why\">");
    own_troubles(to, account, now);
    for sink in account.sinks.iter().filter(|sink| judge::ails(sink)) {
        html!(to, "<p class=\"e\"><code>" {Cut(&sink.sink, MESSAGE)} "</code> " {judge::sink(sink, account, now)} "</p>");
        readers(to, sink.outdated(account.generation), now);
        if let (Some(error), None) = (&sink.error, &sink.server) {
            error_words(to, error, 0, now);
        }
    }
    hooks(to, &account.hooks, now);
    for sink in account.sinks.iter().filter(|sink| roomy && !judge::ails(sink)) {
        html!(to, "<p class=\"d\"><code>" {Cut(&sink.sink, MESSAGE)} "</code> " {judge::sink(sink, account, now)} "</p>");
    }
    html!(to, "</div>");
}

/// What readers have who cannot have the newest token.
pub(super) fn readers(to: &mut Html, outdated: Option<Timestamp>, now: Timestamp) {
    if let Some(end) = outdated {
        html!(to, "<p class=\"e\"><b>" {readers_hold(end, now)} "</b></p>");
    }
}

/// Those that fail.
pub(super) fn hooks(to: &mut Html, hooks: &[HookStatus], now: Timestamp) {
    for (hook, error) in hooks.iter().filter_map(|hook| Some((hook, hook.error.as_ref()?))) {
        html!(to, "<p class=\"e\">Hook <code>" {Cut(&hook.hook, MESSAGE)} "</code> " {judge::hook(hook, now)} "</p>");
        error_words(to, error, 0, now);
    }
}

/// Why its renewal fails, what it waits for, and whether its token is known to work.
pub(super) fn own_troubles(to: &mut Html, account: &AccountStatus, now: Timestamp) {
    if let Some(error) = &account.error {
        error_words(to, error, account.attempt, now);
    }
    if let Some(waiting) = judge::waiting(account, now) {
        html!(to, "<p>" {waiting} "</p>");
    }
    if let Some(error) = &account.unverified {
        html!(to, "<p class=\"e\">The token is not known to work.</p>");
        error_words(to, error, 0, now);
    }
}

/// `The host does not answer. transient, 12s ago, attempt 3`, and the hint.
pub(super) fn error_words(to: &mut Html, error: &ErrorInfo, attempt: u32, now: Timestamp) {
    let (message, hint) = hint(&error.message);
    html!(to, "<p class=\"e\"><bdi>" {Cut(message, MESSAGE)} "</bdi> <small>" {error.class.as_str()} ", " {ago(error.at, now)});
    if attempt > 1 && error.class != ErrorClass::Config {
        html!(to, ", attempt " {u64::from(attempt)});
    }
    html!(to, "</small></p>");
    if let Some(hint) = hint {
        html!(to, "<p class=\"h\">Hint: <bdi>" {Cut(hint, MESSAGE)} "</bdi></p>");
    }
}

/// A shape for each state, beside its word.
pub(super) fn sign(to: &mut Html, state: AccountState) {
    let _ = match state {
        AccountState::Fresh => {
            to.raw("<svg class=\"i good\" aria-hidden=\"true\"><use href=\"#i-good\"/></svg>")
        }
        AccountState::Pending => {
            to.raw("<svg class=\"i calm\" aria-hidden=\"true\"><use href=\"#i-calm\"/></svg>")
        }
        AccountState::Retrying => {
            to.raw("<svg class=\"i warn\" aria-hidden=\"true\"><use href=\"#i-warn\"/></svg>")
        }
        AccountState::Rejected | AccountState::Expired => {
            to.raw("<svg class=\"i bad\" aria-hidden=\"true\"><use href=\"#i-bad\"/></svg>")
        }
    };
}

fn pages(to: &mut Html, query: &Query, selection: &Selection<'_>) {
    let Selection { matching, pages, .. } = *selection;
    if pages == 1 {
        return;
    }
    let at = |part: Part| Query { part, ..query.clone() }.address();
    html!(to, "<nav class=\"pages\" aria-label=\"Pages of accounts\"><p>" {matching} " accounts, page");
    let shown = query.page(pages);
    for number in 0..pages {
        let current = shown == Some(number);
        // The first, the last, and those around this one.
        let near = shown.is_some_and(|page| page.abs_diff(number) <= 3);
        if !(near || number == 0 || number + 1 == pages) {
            continue;
        }
        html!(to, " <a href=\"" {at(Part::Page(number))} "\"");
        if current {
            html!(to, " aria-current=\"page\"");
        }
        html!(to, ">" {number + 1} "</a>");
    }
    html!(to, " <a href=\"" {at(Part::All)} "\"");
    if query.part == Part::All {
        html!(to, " aria-current=\"page\"");
    }
    html!(to, ">all</a></p></nav>");
}

/// What the pictures' signs mean.
pub(super) fn legend(to: &mut Html) {
    html!(to, "<div class=\"legend\"><h3>Reading the timelines</h3><dl>");
    html!(
        to,
        "<div><dt><svg class=\"lg\"><rect class=\"v\" y=\"8\" height=\"12\" width=\"100%\"/></svg></dt><dd>a token was valid</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><rect class=\"f\" y=\"8\" height=\"12\" width=\"100%\"/></svg></dt><dd>it will be, without a renewal</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><rect class=\"g\" y=\"8\" height=\"12\" width=\"100%\"/></svg></dt><dd>there was none</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><use href=\"#r\" x=\"50%\"/></svg></dt><dd>issued or renewed</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><use href=\"#x\" x=\"50%\" y=\"-9\"/></svg></dt><dd>failed</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><use href=\"#u\" x=\"50%\"/></svg></dt><dd>the same token again</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><use href=\"#n\" x=\"50%\"/></svg></dt><dd>the provider is asked next</dd></div>"
    );
    html!(
        to,
        "<div><dt><svg class=\"lg\"><use href=\"#e\" x=\"50%\"/></svg></dt><dd>the token ends</dd></div>"
    );
    html!(to, "</dl></div>");
}
