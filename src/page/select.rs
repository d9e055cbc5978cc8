//! Which accounts a page shows, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::judge::{self, Tone};
use super::query::{Query, Sort, Span, Wanted};
use crate::domain::Timestamp;
use crate::observe::status::AccountStatus;

/// An account, judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) account: &'a AccountStatus,
    pub(super) tone: Tone,
}

/// What a page shows of all accounts.
#[derive(Debug)]
pub(super) struct Selection<'a> {
    /// Those of this page, in order.
    pub(super) rows: Vec<Seen<'a>>,
    /// Those that match, on whichever page.
    pub(super) matching: usize,
    pub(super) pages: usize,
    /// How many match of each provider, and how many of them need a person.
    pub(super) providers: BTreeMap<&'a str, (usize, usize)>,
}

/// Every account, judged.
pub(super) fn judged(accounts: &[AccountStatus], now: Timestamp) -> Vec<Seen<'_>> {
    accounts.iter().map(|account| Seen { account, tone: judge::tone(account, now) }).collect()
}

impl<'a> Selection<'a> {
    pub(super) fn of(all: &[Seen<'a>], query: &Query) -> Self {
        let text = query.text.to_lowercase();
        let matches = |seen: &&Seen<'_>| is_wanted(seen, query.state) && holds(seen.account, &text);
        let mut rows: Vec<Seen<'a>> = all.iter().filter(matches).copied().collect();
        let mut providers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for seen in &rows {
            let (count, trouble) = providers.entry(&seen.account.provider).or_default();
            *count += 1;
            *trouble += usize::from(seen.tone.is_trouble());
        }
        sort(&mut rows, query.sort);
        if query.grouped {
            rows.sort_by(|one, other| one.account.provider.cmp(&other.account.provider));
        }
        let matching = rows.len();
        let (shown, pages) = query.rows(matching);
        rows.truncate(shown.end);
        rows.drain(..shown.start);
        Self { rows, matching, pages, providers }
    }
}

fn is_wanted(seen: &Seen<'_>, wanted: Option<Wanted>) -> bool {
    match wanted {
        None => true,
        Some(Wanted::Trouble) => seen.tone.is_trouble(),
        Some(Wanted::State(state)) => seen.account.state == state,
    }
}

fn holds(account: &AccountStatus, text: &str) -> bool {
    let holds = |place: &str| place.to_lowercase().contains(text);
    text.is_empty()
        || holds(account.name.as_str())
        || holds(&account.provider)
        || account.sinks.iter().any(|sink| holds(&sink.sink))
}

/// Accounts come in order of name, which decides between equals.
fn sort(rows: &mut [Seen<'_>], by: Sort) {
    // Without an end: no token, which is as urgent as one that has ended.
    let end = |seen: &Seen<'_>| seen.account.expires_at;
    match by {
        Sort::Urgency => rows.sort_by_key(|seen| {
            // Who cannot be given the newest token comes before what merely fails.
            let served = judge::served_until(seen.account);
            (Reverse(seen.tone), served.is_none(), served.or(end(seen)))
        }),
        Sort::Name => {}
        Sort::Expiry => rows.sort_by_key(end),
        Sort::Next => rows.sort_by_key(|seen| (seen.account.renew_at.is_none(), seen.account.renew_at)),
    }
}

/// The accounts that are asked for next, soonest first.
pub(super) fn next<'a>(all: &[Seen<'a>], now: Timestamp, most: usize) -> Vec<(&'a AccountStatus, Timestamp)> {
    let due = |seen: &Seen<'a>| Some((seen.account, seen.account.renew_at.filter(|at| *at > now)?));
    let mut next: Vec<_> = all.iter().filter_map(due).collect();
    if next.len() > most {
        next.select_nth_unstable_by_key(most, |(_, at)| *at);
        next.truncate(most);
    }
    next.sort_by_key(|(account, at)| (*at, &account.name));
    next
}

/// How far timelines reach: as far as a usual token lives, six hours at most.
pub(super) fn span(accounts: &[AccountStatus]) -> Span {
    let life = |account: &AccountStatus| Some(account.expires_at?.since(account.issued_at?).as_secs());
    let mut lives: Vec<u64> = accounts.iter().filter_map(life).collect();
    let middle = lives.len() / 2;
    if lives.is_empty() {
        return Span::Hour;
    }
    let (_, usual, _) = lives.select_nth_unstable(middle);
    let reaches = |span: &Span| u64::from(span.secs()) >= *usual;
    [Span::Minutes2, Span::Minutes10, Span::Hour].into_iter().find(reaches).unwrap_or(Span::Hours6)
}
