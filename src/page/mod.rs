//! The status page for people: from the status document and the history to one HTML page that needs nothing else. Pure:
//! the same status gives the same page. Without JavaScript it is loaded anew, with it, it follows.
//!
//! Markup comes from this program's own text only (`html`); whatever else is shown is escaped, also what a provider or
//! a visitor has written.

mod detail;
mod frame;
mod html;
mod judge;
mod policy;
mod query;
mod rows;
mod select;
mod summary;
#[cfg(test)]
mod tests;
mod timeline;

use std::sync::Arc;

pub use self::frame::silent;
pub use self::policy::headers;
pub use self::query::Query;
use self::select::{Seen, Selection};
use self::summary::Verdict;
use self::timeline::Window;
use crate::domain::Timestamp;
use crate::observe::history::{History, Record};
use crate::observe::status::Status;

/// All that a page shows, as of one instant. Taken by the loop, rendered elsewhere.
#[derive(Debug, Clone)]
pub struct Page {
    /// How everything stands.
    pub status: Status,
    /// What has happened of late.
    pub history: Arc<History>,
}

/// A page as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole document.
    pub html: String,
    /// Whether there is what was asked for: an account that is looked at may have left.
    pub found: bool,
}

impl Page {
    /// As this visitor wants to see it.
    #[must_use]
    pub fn render(&self, query: &Query) -> Rendered {
        let status = &self.status;
        let now = status.now;
        let span = query.span.unwrap_or_else(|| select::span(&status.accounts));
        let all = select::judged(&status.accounts, now);
        let window = Window::new(now, span);
        let view = View { status, history: &self.history, all, query, now, window };
        let verdict = Verdict::of(&view);
        let mut found = true;
        let html = frame::page(&view, &verdict, |to| match &query.account {
            Some(name) => found = detail::draw(to, &view, name),
            None => rows::list(to, &view, &Selection::of(&view.all, query)),
        });
        Rendered { html, found }
    }
}

/// What the parts of a page are drawn from.
struct View<'a> {
    status: &'a Status,
    history: &'a History,
    all: Vec<Seen<'a>>,
    query: &'a Query,
    now: Timestamp,
    window: Window,
}

impl View<'_> {
    fn past(&self, account: &str) -> Option<&Record> {
        self.history.of(account)
    }
}
