//! Who is to be told of what goes wrong, and when, purely: what is wrong goes in, with the time; messages come out. Each
//! trouble is told once, when it begins and when it gets worse, and its end to whoever was told of its beginning.

mod message;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use message::{Item, Message};
pub use trouble::{
    Facts, Subject, Trouble, of_account, of_config, of_hook, of_place, of_server, of_template,
};

use crate::domain::{AlertLevel, BootInstant, ErrorClass, Now, Timestamp};

/// What begins within this of each other goes into one message.
const GATHERED: Duration = Duration::from_secs(2);
/// And this much passes between two messages to the same.
const PAUSE: Duration = Duration::from_secs(15);
/// After a failure, doubling to [`LONGEST_PAUSE`]: as long as there is something to tell, it is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is wrong, and who knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    cases: BTreeMap<Subject, Case>,
    tellers: Vec<Teller>,
}

/// Something that is wrong, or will be if it lasts; without a level it is not over, but nothing new either.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    since: Now,
    level: Option<AlertLevel>,
    facts: Facts,
}

/// Somebody who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Teller {
    at: BTreeSet<AlertLevel>,
    /// What was told of, and as what; until its end was told, too.
    told: BTreeMap<Subject, Told>,
    /// What is on its way.
    sending: Option<Vec<(Subject, Told)>>,
    /// Since when there is something to tell.
    begun: Option<BootInstant>,
    /// Not before.
    next: Option<BootInstant>,
    failures: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    level: AlertLevel,
    since: Timestamp,
    /// The classes of failure that were told: another one is news, each once.
    causes: BTreeSet<ErrorClass>,
}

impl Alerts {
    /// From now on these are told, by their place, each of its levels. `kept`: for each its place before, where it is the same
    /// as one that was there, which knows what it was told.
    pub fn tell(&mut self, tellers: impl IntoIterator<Item = (BTreeSet<AlertLevel>, Option<usize>)>) {
        let mut before: Vec<Option<Teller>> =
            std::mem::take(&mut self.tellers).into_iter().map(Some).collect();
        let teller = |(at, place): (BTreeSet<AlertLevel>, Option<usize>)| {
            let known = place.and_then(|place| before.get_mut(place)).and_then(Option::take);
            Teller { at, ..known.unwrap_or_default() }
        };
        self.tellers = tellers.into_iter().map(teller).collect();
        if self.tellers.is_empty() {
            self.cases.clear();
        }
    }

    /// Whether anybody is told anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tellers.is_empty()
    }

    /// Whether something waits for its message.
    #[must_use]
    pub fn is_pressing(&self) -> bool {
        self.tellers.iter().any(|teller| teller.begun.is_some())
    }

    /// All that is wrong at this time. `well` says how a subject stands that is not wrong any more; `None` where it is not
    /// there any more. Gives what is to be sent, by the teller's place: each ends in [`Alerts::ended`].
    pub fn look(
        &mut self,
        troubles: impl Iterator<Item = Trouble>,
        well: impl Fn(&Subject) -> Option<Facts>,
        now: Now,
    ) -> Vec<(usize, Message)> {
        let mut before = std::mem::take(&mut self.cases);
        for Trouble { subject, levels, facts } in troubles {
            let since = before.remove(&subject).map_or(now, |case| case.since);
            let lasted = now.boot.since(since.boot);
            let level = levels.iter().filter(|(after, _)| lasted >= *after).map(|(_, level)| *level).max();
            self.cases.insert(subject, Case { since, level, facts });
        }
        let cases = &self.cases;
        let tellers = self.tellers.iter_mut().enumerate();
        tellers.filter_map(|(place, teller)| Some((place, teller.turn(cases, &well, now)?))).collect()
    }

    /// A message was taken, or was not. Gives when that one is told more at the earliest.
    pub fn ended(&mut self, place: usize, taken: bool, now: BootInstant) -> Option<BootInstant> {
        let teller = self.tellers.get_mut(place)?;
        let sent = teller.sending.take()?;
        if !taken {
            let doubled = FIRST_PAUSE.saturating_mul(1 << teller.failures.min(10));
            teller.next = Some(now.plus(doubled.min(LONGEST_PAUSE)));
            teller.failures = teller.failures.saturating_add(1);
            return teller.next;
        }
        (teller.failures, teller.next) = (0, Some(now.plus(PAUSE)));
        for (subject, told) in sent {
            match told.level {
                AlertLevel::Recovered => teller.told.remove(&subject),
                _ => {
                    let known = teller.told.remove(&subject);
                    teller.told.insert(subject, told.after(known))
                }
            };
        }
        teller.next
    }
}

impl Told {
    /// What is known after this, and before it that.
    fn after(mut self, known: Option<Self>) -> Self {
        if let Some(known) = known {
            self.level = self.level.max(known.level);
            self.causes.extend(known.causes);
        }
        self
    }
}

impl Teller {
    fn turn(
        &mut self,
        cases: &BTreeMap<Subject, Case>,
        well: &impl Fn(&Subject) -> Option<Facts>,
        now: Now,
    ) -> Option<Message> {
        if self.sending.is_some() {
            return None;
        }
        let mut items = self.ends(cases, well);
        items.extend(self.beginnings(cases));
        if items.is_empty() {
            self.begun = None;
            return None;
        }
        let begun = *self.begun.get_or_insert(now.boot);
        let gathered = now.boot.since(begun) >= GATHERED;
        if !gathered || self.next.is_some_and(|next| next > now.boot) {
            return None;
        }
        self.begun = None;
        let told = |item: &Item| {
            let causes = item.facts.class.into_iter().collect();
            (item.subject.clone(), Told { level: item.level, since: item.since, causes })
        };
        self.sending = Some(items.iter().map(told).collect());
        Some(Message::of(items, now.wall))
    }

    /// What it was told of and is over. Where that is not wanted, or what it is about is gone, it is forgotten.
    fn ends(
        &mut self,
        cases: &BTreeMap<Subject, Case>,
        well: &impl Fn(&Subject) -> Option<Facts>,
    ) -> Vec<Item> {
        let lasts = |subject: &Subject| cases.contains_key(subject);
        let over: Vec<(Subject, Told)> = self
            .told
            .iter()
            .filter(|(subject, _)| !lasts(subject))
            .map(|(subject, told)| (subject.clone(), told.clone()))
            .collect();
        let mut items = Vec::new();
        for (subject, Told { since, .. }) in over {
            match well(&subject).filter(|_| self.at.contains(&AlertLevel::Recovered)) {
                Some(facts) => items.push(Item { subject, level: AlertLevel::Recovered, since, facts }),
                None => {
                    self.told.remove(&subject);
                }
            }
        }
        items
    }

    /// What it does not know, knows as less bad than it is, or as having another cause.
    fn beginnings(&self, cases: &BTreeMap<Subject, Case>) -> impl Iterator<Item = Item> {
        cases.iter().filter_map(|(subject, Case { since, level, facts })| {
            let level = (*level)?;
            let known = self.told.get(subject).is_some_and(|told| {
                told.level >= level && facts.class.is_none_or(|class| told.causes.contains(&class))
            });
            let item = || Item { subject: subject.clone(), level, since: since.wall, facts: facts.clone() };
            (!known && self.at.contains(&level)).then(item)
        })
    }
}

#[cfg(test)]
mod tests;
