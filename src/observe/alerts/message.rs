//! What is sent: a text for people, and the same as fields (docs/alerts.md).

use serde_json::{Value, json};

use super::{Facts, Subject};
use crate::domain::{AlertLevel, Timestamp, span};

/// The most that a message tells one by one.
const MOST_ITEMS: usize = 50;
/// And of these, as lines of the text.
const MOST_LINES: usize = 10;
/// The longest words of an item, in characters.
const LONGEST: usize = 400;

/// Several things that begin, get worse or end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The worst of them.
    pub level: AlertLevel,
    /// The worst first.
    pub items: Vec<Item>,
    /// When it was made.
    pub at: Timestamp,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is about.
    pub subject: Subject,
    /// How bad it is.
    pub level: AlertLevel,
    /// When it began.
    pub since: Timestamp,
    /// How it stands.
    pub facts: Facts,
}

impl Message {
    pub(super) fn of(mut items: Vec<Item>, at: Timestamp) -> Self {
        items.sort_by(|one, other| (other.level, &one.subject).cmp(&(one.level, &other.subject)));
        Self { level: items.first().map_or(AlertLevel::Recovered, |worst| worst.level), items, at }
    }

    /// For people: a line that counts, and a line each of the first.
    #[must_use]
    pub fn text(&self, host: &str) -> String {
        let counts: Vec<String> =
            self.counts().into_iter().map(|(level, count)| format!("{count} {}", level.as_str())).collect();
        let mut text = format!("renewd on {}: {}", plain(host), counts.join(", "));
        for item in self.items.iter().take(MOST_LINES) {
            let hint =
                item.facts.hint.as_ref().map(|hint| format!(" (hint: {})", plain(hint))).unwrap_or_default();
            let (level, name) = (item.level.as_str(), plain(item.subject.name()));
            let then = item.then(self.at);
            text.push_str(&format!("\n- {level}: {name}: {}{hint}{then}", plain(&item.facts.message)));
        }
        let more = self.items.len().saturating_sub(MOST_LINES);
        if more > 0 {
            text.push_str(&format!("\n- and {more} more: `renewd status` has them all"));
        }
        text
    }

    /// The body of a webhook. `text` stands where Slack, Mattermost and Teams look for it.
    #[must_use]
    pub fn document(&self, host: &str) -> Value {
        let counts: serde_json::Map<String, Value> = self
            .counts()
            .into_iter()
            .map(|(level, count)| (level.as_str().to_owned(), count.into()))
            .collect();
        let items: Vec<Value> = self.items.iter().take(MOST_ITEMS).map(Item::document).collect();
        json!({
            "event": "alert",
            "text": self.text(host),
            "level": self.level,
            "host": host,
            "at": self.at,
            "counts": counts,
            "alerts": items,
            "omitted": self.items.len().saturating_sub(MOST_ITEMS),
        })
    }

    /// The variables of a command.
    #[must_use]
    pub fn variables(&self, host: &str) -> Vec<(&'static str, String)> {
        let names = self.items.iter().take(MOST_ITEMS).map(|item| item.subject.name());
        vec![
            ("RENEWD_ALERT_LEVEL", self.level.as_str().to_owned()),
            ("RENEWD_ALERT_COUNT", self.items.len().to_string()),
            ("RENEWD_ALERT_NAMES", names.collect::<Vec<_>>().join("\n")),
            ("RENEWD_ALERT_TEXT", self.text(host)),
            ("RENEWD_ALERT_JSON", self.document(host).to_string()),
        ]
    }

    /// The worst first, none that are not there.
    fn counts(&self) -> Vec<(AlertLevel, usize)> {
        let count = |level| self.items.iter().filter(|item| item.level == level).count();
        let all = [AlertLevel::Critical, AlertLevel::Warn, AlertLevel::Recovered];
        all.into_iter().map(|level| (level, count(level))).filter(|(_, count)| *count > 0).collect()
    }
}

impl Item {
    /// `; next try in 12s; see `renewd status a``: of what is over nothing.
    fn then(&self, now: Timestamp) -> String {
        if self.level == AlertLevel::Recovered {
            return String::new();
        }
        let next = self.facts.next.map(|next| match next > now {
            true => format!("; next try in {}", span(next.since(now))),
            false => "; next try now".to_owned(),
        });
        format!("{}; see `{}`", next.unwrap_or_default(), self.command())
    }

    fn command(&self) -> String {
        plain(&self.facts.command.clone().unwrap_or_else(|| self.subject.command()))
    }

    fn document(&self) -> Value {
        let Self { subject, level, since, facts } = self;
        let Facts { message, hint, class, provider, generation, expires_at, next, .. } = facts;
        let told = *level != AlertLevel::Recovered;
        let see = || told.then(|| format!("see `{}`", self.command()));
        json!({
            "level": level,
            "subject": subject.kind(),
            "name": subject.name(),
            "message": plain(message),
            "hint": hint.as_deref().map(plain).or_else(see),
            "class": class,
            "since": since,
            "provider": provider,
            "generation": generation,
            "expires_at": expires_at,
            "next": next,
        })
    }
}

/// On one line, not too long, and nothing that a chat would take for a mention or a link.
fn plain(text: &str) -> String {
    let cut = text.chars().nth(LONGEST).is_some();
    let visible = |symbol: char| match symbol {
        '<' => '‹',
        '>' => '›',
        symbol if symbol.is_control() => ' ',
        symbol => symbol,
    };
    text.chars().take(LONGEST).map(visible).chain(cut.then_some('…')).collect()
}
