//! What a visitor wants to see: `/?q=shop&state=trouble&sort=name&group=provider&page=2`. What makes no sense is as if
//! it were not there.

use url::form_urlencoded;

use crate::domain::AccountState;

/// The longest text that is looked for, in characters.
const LONGEST: usize = 100;
/// So many accounts a page, unless all are asked for.
const ROWS: usize = 200;

/// From the address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Looked for in names of accounts, providers and sinks; empty: everything.
    pub(super) text: String,
    pub(super) state: Option<Wanted>,
    pub(super) sort: Sort,
    pub(super) grouped: bool,
    pub(super) part: Part,
    pub(super) span: Option<Span>,
    /// One account with all that is known of it.
    pub(super) account: Option<String>,
    /// It does not follow what happens.
    pub(super) paused: bool,
}

/// Which accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those where something is wrong.
    Trouble,
    State(AccountState),
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Sort {
    /// The worst first, among them what ends first.
    #[default]
    Urgency,
    Name,
    Expiry,
    Next,
}

/// Which of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// From 0.
    Page(usize),
    All,
}

/// How far the timelines reach to each side of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Span {
    Minutes2,
    Minutes10,
    Hour,
    Hours6,
    Day,
    Week,
}

impl Query {
    /// From what stands behind the `?`.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            match &*name {
                "q" => query.text = value.trim().chars().take(LONGEST).collect(),
                "state" => query.state = Wanted::named(&value),
                "sort" => query.sort = Sort::named(&value),
                "group" => query.grouped = value == "provider",
                "page" => query.part = Part::named(&value),
                "span" => query.span = Span::named(&value),
                "account" => {
                    query.account = (!value.is_empty()).then(|| value.chars().take(LONGEST).collect())
                }
                "live" => query.paused = value == "off",
                _ => {}
            }
        }
        query
    }

    /// The address of this view, to be escaped.
    pub(super) fn address(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        let mut pair = |name: &str, value: &str| {
            if !value.is_empty() {
                pairs.append_pair(name, value);
            }
        };
        pair("q", &self.text);
        pair("state", self.state.map_or("", Wanted::name));
        pair("sort", if self.sort == Sort::default() { "" } else { self.sort.name() });
        pair("group", if self.grouped { "provider" } else { "" });
        pair(
            "page",
            &match self.part {
                Part::Page(0) => String::new(),
                Part::Page(number) => (number + 1).to_string(),
                Part::All => "all".to_owned(),
            },
        );
        pair("span", self.span.map_or("", Span::name));
        pair("account", self.account.as_deref().unwrap_or_default());
        pair("live", if self.paused { "off" } else { "" });
        let pairs = pairs.finish();
        if pairs.is_empty() { "/".to_owned() } else { format!("/?{pairs}") }
    }

    /// Which rows of so many are shown, and on how many pages they are.
    pub(super) fn rows(&self, count: usize) -> (std::ops::Range<usize>, usize) {
        let pages = count.div_ceil(ROWS).max(1);
        match self.part {
            Part::All => (0..count, pages),
            Part::Page(number) => {
                let first = number.min(pages - 1) * ROWS;
                (first..count.min(first + ROWS), pages)
            }
        }
    }

    /// The page that is shown where there are so many; `None`: all at once.
    pub(super) fn page(&self, pages: usize) -> Option<usize> {
        match self.part {
            Part::Page(number) => Some(number.min(pages - 1)),
            Part::All => None,
        }
    }
}

impl Wanted {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Trouble, "needing attention"),
        (Self::State(AccountState::Fresh), "fresh"),
        (Self::State(AccountState::Pending), "pending"),
        (Self::State(AccountState::Retrying), "retrying"),
        (Self::State(AccountState::Rejected), "rejected"),
        (Self::State(AccountState::Expired), "expired"),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::State(state) => state.as_str(),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().map(|(wanted, _)| *wanted).find(|wanted| wanted.name() == name)
    }
}

impl Sort {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::Urgency, "most urgent first"),
        (Self::Name, "by name"),
        (Self::Expiry, "by time left"),
        (Self::Next, "by next renewal"),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Urgency => "urgency",
            Self::Name => "name",
            Self::Expiry => "expiry",
            Self::Next => "next",
        }
    }

    fn named(name: &str) -> Self {
        Self::ALL.iter().map(|(sort, _)| *sort).find(|sort| sort.name() == name).unwrap_or_default()
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::Page(0)
    }
}

impl Part {
    /// People count from 1.
    fn named(name: &str) -> Self {
        match name {
            "all" => Self::All,
            _ => Self::Page(name.parse::<usize>().unwrap_or(1).saturating_sub(1)),
        }
    }
}

impl Span {
    pub(super) const ALL: [(Self, &'static str); 6] = [
        (Self::Minutes2, "2 minutes"),
        (Self::Minutes10, "10 minutes"),
        (Self::Hour, "an hour"),
        (Self::Hours6, "6 hours"),
        (Self::Day, "a day"),
        (Self::Week, "a week"),
    ];

    /// In seconds, to one side.
    pub(super) fn secs(self) -> u32 {
        match self {
            Self::Minutes2 => 120,
            Self::Minutes10 => 600,
            Self::Hour => 3_600,
            Self::Hours6 => 21_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Minutes2 => "2m",
            Self::Minutes10 => "10m",
            Self::Hour => "1h",
            Self::Hours6 => "6h",
            Self::Day => "1d",
            Self::Week => "7d",
        }
    }

    /// Words for places on the axis: both ends and halfway.
    pub(super) fn half_name(self) -> &'static str {
        match self {
            Self::Minutes2 => "1m",
            Self::Minutes10 => "5m",
            Self::Hour => "30m",
            Self::Hours6 => "3h",
            Self::Day => "12h",
            Self::Week => "3d 12h",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().map(|(span, _)| *span).find(|span| span.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_as_it_was_written() {
        for raw in [
            "",
            "q=sh%26op+%3Cb%3E&state=trouble&sort=name&group=provider&page=3&span=6h&live=off",
            "state=expired&page=all",
            "account=a.b-c",
        ] {
            let query = Query::parse(raw);
            let address = query.address();
            assert_eq!(address.trim_start_matches("/?").trim_start_matches('/'), raw);
            assert_eq!(Query::parse(address.split_once('?').map_or("", |(_, raw)| raw)), query);
        }
    }

    #[test]
    fn what_makes_no_sense_is_as_if_it_were_not_there() {
        let nonsense = "state=<b>&sort=&group=x&page=-1&span=9y&account=&x=y&%ff=%ff&&&=&page";
        assert_eq!(Query::parse(nonsense), Query::default());
        let long = format!("q={}", "x".repeat(10_000));
        assert_eq!(Query::parse(&long).text.len(), LONGEST);
        let far = Query::parse("page=18446744073709551615");
        assert_eq!(far.rows(450), (400..450, 3));
    }

    #[test]
    fn rows_come_in_pages_and_an_empty_one_is_the_first() {
        assert_eq!(Query::default().rows(0), (0..0, 1));
        assert_eq!(Query::default().rows(200), (0..200, 1));
        assert_eq!(Query::parse("page=2").rows(201), (200..201, 2));
        assert_eq!(Query::parse("page=all").rows(1_000), (0..1_000, 5));
    }
}
