//! An account's last and next hours as a picture, which also has words.

use super::html::{Html, Percent, html};
use super::judge;
use super::query::Span;
use crate::domain::{Timestamp, span};
use crate::observe::history::{Mark, Record, What};
use crate::observe::status::AccountStatus;

/// What a picture shows: as far back as ahead, `now` in the middle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    now: Timestamp,
    span: Span,
}

impl Window {
    pub(super) fn new(now: Timestamp, span: Span) -> Self {
        Self { now, span }
    }

    fn half(self) -> i64 {
        i64::from(self.span.secs()) * 1000
    }

    /// Where that instant is; at the edge where it is outside.
    fn place(self, at: Timestamp) -> Percent {
        let half = self.half();
        let offset = at.offset_from(self.now).clamp(-half, half) + half;
        Percent(u32::try_from(offset * 100_000 / (2 * half)).unwrap_or(0))
    }

    fn shows(self, at: Timestamp) -> bool {
        at.offset_from(self.now).abs() <= self.half()
    }

    /// A stretch of a kind; nothing where it is outside, and never too narrow to be seen.
    fn bar(self, to: &mut Html, kind: Bar, from: Timestamp, until: Timestamp) {
        let (Percent(from), Percent(until)) = (self.place(from), self.place(until));
        if until <= from {
            return;
        }
        let width = (until - from).max(300);
        let x = Percent(from.min(100_000 - width));
        match kind {
            Bar::Valid => html!(to, "<rect class=\"v\" y=\"8\" height=\"12\" x=\"" {x}),
            Bar::Ahead => html!(to, "<rect class=\"f\" y=\"8\" height=\"12\" x=\"" {x}),
            Bar::Gap => html!(to, "<rect class=\"g\" y=\"8\" height=\"12\" x=\"" {x}),
            Bar::Failing => html!(to, "<rect class=\"x\" y=\"22\" height=\"3\" x=\"" {x}),
        }
        html!(to, "\" width=\"" {Percent(width)} "\"/>");
    }
}

#[derive(Debug, Clone, Copy)]
enum Bar {
    Valid,
    Ahead,
    Gap,
    Failing,
}

/// The picture.
pub(super) fn draw(to: &mut Html, account: &AccountStatus, past: Option<&Record>, window: Window) {
    let now = window.now;
    html!(to, "<div class=\"tw\"><svg class=\"t\" role=\"img\" aria-label=\"" {words(account, past, window)} "\">");
    if let Some(past) = past {
        let mut from = past.since();
        for gap in past.gaps(now) {
            window.bar(to, Bar::Valid, from, gap.from.into());
            window.bar(to, Bar::Gap, gap.from.into(), gap.to.into());
            from = gap.to.into();
        }
        if judge::is_alive(account, now) {
            window.bar(to, Bar::Valid, from, now);
        }
    }
    if let Some(end) = account.expires_at.filter(|end| *end > now) {
        window.bar(to, Bar::Ahead, now, end);
        match window.shows(end) {
            true => html!(to, "<use href=\"#e\" x=\"" {window.place(end)} "\"/>"),
            false => html!(to, "<use href=\"#o\" x=\"100%\"/>"),
        }
    }
    for mark in past.iter().flat_map(|past| past.marks()) {
        draw_mark(to, mark, window);
    }
    if let Some(next) = account.renew_at.filter(|next| *next >= now && window.shows(*next)) {
        html!(to, "<use href=\"#n\" x=\"" {window.place(next)} "\"/>");
    }
    html!(to, "</svg></div>");
}

fn draw_mark(to: &mut Html, mark: Mark, window: Window) {
    let (first, last): (Timestamp, Timestamp) = (mark.at.into(), mark.last.into());
    let failed = matches!(mark.what, What::Failed(_));
    if failed && mark.times > 1 {
        window.bar(to, Bar::Failing, first, last);
    }
    if !window.shows(last) {
        return;
    }
    match mark.what {
        What::Issued | What::Renewed => html!(to, "<use href=\"#r\" x=\"" {window.place(last)} "\"/>"),
        What::Unchanged => html!(to, "<use href=\"#u\" x=\"" {window.place(last)} "\"/>"),
        What::Expired => {}
        What::Failed(_) => {
            html!(to, "<use href=\"#x\" x=\"" {window.place(last)} "\"><title>" {happened(mark, window.now)} "</title></use>");
        }
    }
}

/// The scale above the pictures.
pub(super) fn axis(to: &mut Html, window: Window) {
    let (whole, half) = (window.span.name(), window.span.half_name());
    html!(to, "<div class=\"tw\" aria-hidden=\"true\"><svg class=\"ax\"><text x=\"0\" y=\"11\">−" {whole}
        "</text><text x=\"25%\" y=\"11\" class=\"m\">−" {half}
        "</text><text x=\"50%\" y=\"11\" class=\"m w\">now</text><text x=\"75%\" y=\"11\" class=\"m\">+" {half}
        "</text><text x=\"100%\" y=\"11\" class=\"z\">+" {whole} "</text></svg></div>");
}

/// `failed 3 times (transient), 12s ago`.
pub(super) fn happened(mark: Mark, now: Timestamp) -> String {
    let what = match mark.what {
        What::Issued => "issued".to_owned(),
        What::Renewed => "renewed".to_owned(),
        What::Unchanged => format!("the provider gave the same token again{}", times(mark.times)),
        What::Failed(class) => format!("failed{} ({class})", times(mark.times)),
        What::Expired => "ended without a successor".to_owned(),
    };
    let first = judge::ago(mark.at.into(), now);
    match mark.last > mark.at {
        true => format!("{what}, from {first} until {}", judge::ago(mark.last.into(), now)),
        false => format!("{what}, {first}"),
    }
}

fn times(times: u16) -> String {
    if times > 1 { format!(" {times} times") } else { String::new() }
}

/// The picture for those who do not see it.
fn words(account: &AccountStatus, past: Option<&Record>, window: Window) -> String {
    let now = window.now;
    let mut words = String::from("Timeline: ");
    match past.and_then(|past| past.valid_since(now)) {
        Some(since) if judge::is_alive(account, now) && !judge::refused(account, now) => {
            words.push_str(&format!("valid without a break for {}, ", span(now.since(since))));
        }
        _ => {}
    }
    words.push_str(&judge::left(account, now));
    words.push_str(", ");
    words.push_str(&judge::next(account, now));
    let Some(past) = past else { return words };
    let within = |at: Timestamp| window.shows(at) && at <= now;
    let gaps = past.gaps(now).filter(|gap| within(gap.to.into())).count();
    let (mut renewals, mut failures) = (0, 0);
    for mark in past.marks().filter(|mark| within(mark.last.into())) {
        match mark.what {
            What::Issued | What::Renewed => renewals += 1,
            What::Failed(_) => failures += usize::from(mark.times),
            What::Unchanged | What::Expired => {}
        }
    }
    let counts = [(renewals, "renewal"), (failures, "failure"), (gaps, "time without a token")];
    let counts =
        counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| match (count, word) {
            (count, "time without a token") if count > 1 => format!("{count} times without a token"),
            (count, word) => judge::counted(count, word),
        });
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        words.push_str(&format!("; in the last {}: {}", window.span.name(), counts.join(", ")));
    }
    words
}
