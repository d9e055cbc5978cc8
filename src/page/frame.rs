//! The document around what is shown: head, landmarks, the form, shapes.

use super::View;
use super::html::{Html, html};
use super::judge::Tone;
use super::query::{Query, Sort, Span, Wanted};
use super::summary::{self, Verdict};
use crate::domain::Timestamp;
use crate::observe::status::AccountStatus;

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");

/// An account's row with its picture.
const BYTES_A_ROW: usize = 1_500;
/// Seconds between two looks, and where tokens live shorter than [`SHORT_LIFE`] seconds.
const EVERY: usize = 5;
const EVERY_SHORT: usize = 2;
const SHORT_LIFE: u64 = 120;

/// The whole document.
pub(super) fn page(view: &View<'_>, verdict: &Verdict, content: impl FnOnce(&mut Html)) -> String {
    let shown = view.query.rows(view.all.len()).0.len();
    let mut page = Html::with_capacity(30_000 + shown * BYTES_A_ROW);
    let to = &mut page;
    let every = if view.status.accounts.iter().any(lives_shortly) { EVERY_SHORT } else { EVERY };
    head(to, &verdict.title(), verdict.tone, (!view.query.paused).then_some(every));
    html!(to, "<header><p class=\"brand\"><a href=\"/\">renewd</a> <small>" {&view.status.version} "</small></p>");
    html!(
        to,
        "<p id=\"stale\" role=\"alert\" hidden></p></header><main id=\"main\" tabindex=\"-1\"><div id=\"top\">"
    );
    summary::draw(to, view, verdict);
    html!(to, "</div>");
    form(to, view.query);
    html!(to, "<div id=\"live\" data-every=\"");
    match view.query.paused {
        true => html!(to, "0"),
        false => html!(to, { every }),
    }
    html!(to, "\">");
    content(to);
    html!(to, "</div><div id=\"rest\" class=\"cards\">");
    summary::draw_rest(to, view, verdict);
    html!(to, "</div></main>");
    foot(to, view);
    html!(to, "<script>");
    to.raw(SCRIPT);
    html!(to, "</script></body></html>\n");
    page.finish()
}

/// The page where the loop does not answer.
#[must_use]
pub fn silent(reason: &str) -> String {
    let mut page = Html::default();
    let to = &mut page;
    head(to, "No answer – renewd", Tone::Bad, Some(EVERY));
    html!(
        to,
        "<header><p class=\"brand\"><a href=\"/\">renewd</a></p></header><main id=\"main\" tabindex=\"-1\"><section class=\"verdict bad\">"
    );
    html!(to, "<svg class=\"i big bad\" aria-hidden=\"true\"><use href=\"#i-bad\"/></svg><div><h1 id=\"verdict\">No status: "
        {reason} "</h1><p>It is asked again by itself. <a href=\"/livez\">/livez</a> tells whether the scheduler turns, the log tells more.</p></div></section>");
    html!(to, "</main></body></html>\n");
    page.finish()
}

fn lives_shortly(account: &AccountStatus) -> bool {
    let life = account.issued_at.zip(account.expires_at).map(|(from, to)| to.since(from));
    life.is_some_and(|life| life.as_secs() < SHORT_LIFE)
}

fn head(to: &mut Html, title: &str, tone: Tone, every: Option<usize>) {
    html!(to, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" {title} "</title>");
    html!(
        to,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">"
    );
    html!(to, "<meta name=\"robots\" content=\"noindex\">");
    icon(to, tone);
    if let Some(every) = every {
        // Seldom enough that a page can be read: whoever reads on may pause it.
        html!(to, "<noscript><meta http-equiv=\"refresh\" content=\"" {every * 6} "\"></noscript>");
    }
    html!(to, "<style>");
    to.raw(STYLE);
    html!(to, "</style></head><body><a class=\"skip\" href=\"#main\">Skip to content</a>");
    shapes(to);
}

/// The state in the window's tab: the same shapes as in the page.
fn icon(to: &mut Html, tone: Tone) {
    let _ = match tone {
        Tone::Good => to.raw(r##"<link rel="icon" id="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%231a7f47'/%3E%3Cpath d='M4.5 8.2l2.4 2.4 4.6-4.8' fill='none' stroke='white' stroke-width='1.8'/%3E%3C/svg%3E">"##),
        Tone::Calm => to.raw(r##"<link rel="icon" id="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%235b6673' stroke-width='2'/%3E%3C/svg%3E">"##),
        Tone::Warn => to.raw(r##"<link rel="icon" id="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1l7.5 14H.5z' fill='%23c77700'/%3E%3C/svg%3E">"##),
        Tone::Bad => to.raw(r##"<link rel="icon" id="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M5 .5h6L15.5 5v6L11 15.500H5L.5 11V5z' fill='%23c0262d'/%3E%3Cpath d='M5 5l6 6M11 5l-6 6' stroke='white' stroke-width='2'/%3E%3C/svg%3E">"##),
    };
}

/// Drawn once, used by name. A place in percent moves them; their own middle is at 0.
fn shapes(to: &mut Html) {
    to.raw(concat!(
        r##"<svg class="shapes" width="0" height="0" aria-hidden="true"><defs>"##,
        r##"<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hb" width="6" height="6"/><rect class="hl" width="2.5" height="6"/></pattern>"##,
        r##"<symbol id="i-good" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.500" fill="currentColor"/><path class="ink" d="M4.500 8.200l2.400 2.400 4.600-4.800"/></symbol>"##,
        r##"<symbol id="i-calm" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6.200" fill="none" stroke="currentColor" stroke-width="2.200"/></symbol>"##,
        r##"<symbol id="i-warn" viewBox="0 0 16 16"><path d="M8 .8l7.600 14.200H.4z" fill="currentColor"/><path class="ink" d="M8 5.500v5M8 11.800v1.600"/></symbol>"##,
        r##"<symbol id="i-bad" viewBox="0 0 16 16"><path d="M5 .5h6l4.500 4.500v6l-4.500 4.500h-6L.5 11V5z" fill="currentColor"/><path class="ink" d="M5 5l6 6M11 5l-6 6"/></symbol>"##,
        r##"<g id="r"><path class="mr" d="M0 3v17"/><circle class="mrc" cy="3.500" r="3.500"/></g>"##,
        r##"<g id="u"><path class="mr" d="M0 3v17"/><circle class="mu" cy="3.500" r="2.500"/></g>"##,
        r##"<g id="x"><path class="mxb" d="M-4 19.500l8 8M4 19.500l-8 8"/><path class="mx" d="M-4 19.500l8 8M4 19.500l-8 8"/></g>"##,
        r##"<g id="n"><path class="mn" d="M0 8l-4.500-7h9z"/></g>"##,
        r##"<g id="e"><path class="me" d="M-3 5h3v18h-3"/></g>"##,
        r##"<g id="o"><path class="me" d="M-7 9l5 5-5 5"/></g>"##,
        r##"</defs></svg>"##,
    ));
}

fn form(to: &mut Html, query: &Query) {
    html!(to, "<form id=\"filter\" action=\"/\" method=\"get\" role=\"search\" aria-label=\"Accounts\"");
    if query.account.is_some() {
        html!(to, " hidden");
    }
    html!(to, "><p><label for=\"q\">Find</label><input id=\"q\" name=\"q\" type=\"search\" maxlength=\"100\" autocomplete=\"off\" placeholder=\"account, provider or sink\" value=\"" {&query.text} "\"></p>");
    html!(
        to,
        "<p><label for=\"state\">State</label><select id=\"state\" name=\"state\"><option value=\"\">any</option>"
    );
    for (wanted, words) in Wanted::ALL {
        option(to, wanted.name(), words, query.state == Some(wanted));
    }
    html!(to, "</select></p><p><label for=\"sort\">Order</label><select id=\"sort\" name=\"sort\">");
    for (sort, words) in Sort::ALL {
        option(to, sort.name(), words, query.sort == sort);
    }
    html!(to, "</select></p><p><label for=\"group\">Group</label><select id=\"group\" name=\"group\">");
    option(to, "", "none", !query.grouped);
    option(to, "provider", "by provider", query.grouped);
    html!(
        to,
        "</select></p><p><label for=\"span\">Timelines</label><select id=\"span\" name=\"span\"><option value=\"\">as tokens live</option>"
    );
    for (span, words) in Span::ALL {
        option(to, span.name(), words, query.span == Some(span));
    }
    html!(to, "</select></p>");
    if query.paused {
        html!(to, "<input type=\"hidden\" name=\"live\" value=\"off\">");
    }
    html!(to, "<p><button id=\"show\">Show</button></p></form>");
}

fn option(to: &mut Html, value: &'static str, words: &'static str, selected: bool) {
    html!(to, "<option value=\"" {value} "\"");
    if selected {
        html!(to, " selected");
    }
    html!(to, ">" {words} "</option>");
}

fn foot(to: &mut Html, view: &View<'_>) {
    let at = Timestamp::from_secs(view.now.as_secs()).to_string();
    let other = Query { paused: !view.query.paused, ..view.query.clone() };
    html!(to, "<footer id=\"foot\"><p>As of <time id=\"now\" datetime=\"" {&at} "\">" {&at} "</time> by the agent’s clock. ");
    html!(to, "<a id=\"pause\" href=\"" {other.address()} "\">");
    match view.query.paused {
        true => html!(to, "Follow again"),
        false => html!(to, "Pause"),
    }
    html!(
        to,
        "</a></p><nav aria-label=\"For programs\"><ul role=\"list\"><li><a href=\"/readyz\">readiness</a></li><li><a href=\"/livez\">liveness</a></li><li><a href=\"/metrics\">metrics</a></li><li><a href=\"/api/v1/status\">status as JSON</a></li></ul></nav></footer>"
    );
}
