//! What a reload would change: the configuration as it is in the file, held against the one that runs.

use std::collections::{BTreeMap, HashMap};

use super::{Fate, Row, Step, id_of, made_from};
use crate::cli::screen::{Line, Tone, sanitise};
use crate::config::model::{Account, Config};
use crate::domain::AccountId;
use crate::observe::status::{AccountStatus, Status};
use crate::runtime::{AccountMakeup, Makeup, TargetMakeup, changed};

/// Where state is kept unless the configuration or the environment, which is another for the agent, says otherwise.
const USUAL_STATE_DIR: &str = "/var/lib/renewd";

/// What the running agent told.
pub(super) struct Running {
    pub(super) status: Status,
    /// `None`: it told the status alone.
    pub(super) makeup: Option<Makeup>,
}

/// Whose each sink is, by its id.
struct Owners<'a> {
    before: HashMap<&'a str, &'a str>,
    after: HashMap<String, &'a str>,
}

impl Running {
    /// A row for each account, in order of name.
    pub(super) fn accounts(&self, config: &Config) -> Vec<Row> {
        let (new, owners) = (self.makeup_of(config), self.owners(config));
        let mut running: BTreeMap<&AccountId, &AccountStatus> =
            self.status.accounts.iter().map(|account| (&account.name, account)).collect();
        let mut rows: Vec<Row> = Vec::new();
        for account in config.accounts.values() {
            let makeup = new.accounts.get(&account.name).cloned().unwrap_or_default();
            let old = running.remove(&account.name);
            let steps = self.sinks(old, &account.name, &makeup, &owners);
            rows.push(match old {
                None => Row::new(Fate::Added, account, "add it and ask for a token".to_owned(), steps),
                Some(old) => self.account(old, account, &makeup, steps),
            });
        }
        rows.extend(running.into_values().map(|old| Row {
            fate: Fate::Removed,
            account: old.name.to_string(),
            provider: sanitise(&old.provider),
            host: String::new(),
            words: "remove it; its state is kept for 30 days".to_owned(),
            steps: self.sinks(Some(old), &old.name, &AccountMakeup::default(), &owners),
        }));
        rows.sort_by(|one, other| one.account.cmp(&other.account));
        rows
    }

    /// An account that is there before and after.
    fn account(&self, old: &AccountStatus, new: &Account, makeup: &AccountMakeup, steps: Vec<Step>) -> Row {
        let before = self.makeup.as_ref().and_then(|makeup| makeup.accounts.get(&old.name));
        let (mut belongs, mut parts) = match before {
            Some(before) => {
                (changed(&before.identity, &makeup.identity), changed(&before.parts, &makeup.parts))
            }
            None => (Vec::new(), Vec::new()),
        };
        // One that comes from elsewhere now may still be the same.
        belongs.retain(|part| {
            makeup.identity.contains_key(part)
                && before.is_some_and(|before| before.identity.contains_key(part))
        });
        let doubtful = parts.iter().find_map(|part| {
            let known = new.provider.credential(part.strip_prefix("credentials.")?)?;
            match (known.identity, known.owns_refresh) {
                (true, _) => Some(format!("; ask anew if {part} is another")),
                (_, true) => Some(format!("; log in at once if {part} is another")),
                _ => None,
            }
        });
        let another = old.provider != new.provider.name;
        let granted = before.filter(|before| !before.grant.is_empty()).map(|before| {
            let reseeded = parts.iter().any(|part| is_seed(new, part));
            refresh_token(changed(&before.grant, &makeup.grant).is_empty() && !another, reseeded)
        });
        let granted = granted.filter(|_| another || !belongs.is_empty()).unwrap_or_default();
        if another {
            // What another provider brings along goes without saying.
            parts.retain(|part| ["http", "on_change", "verify"].contains(&part.as_str()));
        }
        let change = if parts.is_empty() { String::new() } else { format!("; change {}", parts.join(", ")) };
        let (fate, words) = match (another, belongs.is_empty()) {
            (true, _) => (Fate::Moved, format!("ask anew: its provider was `{}`", sanitise(&old.provider))),
            (false, false) => {
                let verb = if belongs.len() == 1 { "is" } else { "are" };
                (Fate::Moved, format!("ask anew: {} {verb} another", belongs.join(", ")))
            }
            (false, true) if parts.is_empty() && steps.is_empty() => {
                (Fate::Kept, "keep its token".to_owned())
            }
            (false, true) => (Fate::Changed, "keep its token".to_owned()),
        };
        let doubtful = doubtful.filter(|_| fate == Fate::Changed).unwrap_or_default();
        Row::new(fate, new, words + granted + &change + &doubtful, steps)
    }

    /// What becomes of an account's sinks; one that stays as it is is not worth a line.
    fn sinks(
        &self,
        old: Option<&AccountStatus>,
        name: &AccountId,
        new: &AccountMakeup,
        owners: &Owners<'_>,
    ) -> Vec<Step> {
        let known = self.makeup.as_ref().and_then(|makeup| makeup.accounts.get(name));
        let held: Vec<&str> = old.iter().flat_map(|old| &old.sinks).map(|sink| sink.sink.as_str()).collect();
        let mut steps = Vec::new();
        for (id, sink) in &new.sinks {
            steps.extend(match (held.contains(&id.as_str()), owners.before.get(id.as_str())) {
                (false, Some(other)) => {
                    Some(Step::new(Fate::Moved, format!("write {id}, which was a sink of `{other}`")))
                }
                (false, None) => Some(Step::new(Fate::Added, format!("write {id}"))),
                (true, _) => {
                    known.and_then(|known| known.sinks.get(id)).and_then(|before| again(id, before, sink))
                }
            });
        }
        for id in held.into_iter().filter(|id| !new.sinks.contains_key(*id)) {
            steps.push(match owners.after.get(id) {
                Some(other) => Step::new(Fate::Removed, format!("hand {id} over to `{other}`")),
                None => leaves(id, known.and_then(|known| known.sinks.get(id))),
            });
        }
        steps
    }

    /// What becomes of each template.
    pub(super) fn templates(&self, config: &Config) -> Vec<Step> {
        let new = self.makeup_of(config);
        let mut steps: Vec<Step> = config
            .templates
            .iter()
            .map(|template| {
                let id = id_of(template);
                let names = made_from(template);
                let is_known = self.status.templates.iter().any(|old| old.path == template.path);
                let before = self.makeup.as_ref().map(|makeup| makeup.templates.get(&id));
                match (is_known, before, new.templates.get(&id)) {
                    (false, ..) => Step::new(Fate::Added, format!("write {id}, made from {names}")),
                    (true, Some(Some(before)), Some(after)) => again(&id, before, after)
                        .map(|step| Step { words: format!("{}; made from {names}", step.words), ..step })
                        .unwrap_or_else(|| Step::new(Fate::Kept, format!("keep {id}, made from {names}"))),
                    (true, ..) => {
                        let words =
                            format!("keep {id}, or write it anew where it has changed; made from {names}");
                        Step::new(Fate::Kept, words)
                    }
                }
            })
            .collect();
        for old in &self.status.templates {
            if config.templates.iter().all(|template| template.path != old.path) {
                let id = format!("template:{}", old.path.display());
                let known = self.makeup.as_ref().and_then(|makeup| makeup.templates.get(&id));
                steps.push(leaves(&id, known));
            }
        }
        steps
    }

    /// What becomes of the agent itself and its server.
    pub(super) fn agent(&self, config: &Config) -> Vec<Line> {
        let Some(makeup) = &self.makeup else { return Vec::new() };
        let mut lines = Vec::new();
        for part in changed(&makeup.parts, &self.makeup_of(config).parts) {
            let (tone, words) = match part.as_str() {
                // The agent was found at its socket.
                "agent.socket" => continue,
                "agent.state_dir" if !self.refuses(config) => continue,
                "agent.state_dir" => {
                    (Tone::Bad, "x refuse all of it: agent.state_dir changes only with a restart".to_owned())
                }
                "agent.log.format" => {
                    (Tone::Dim, "= keep agent.log.format, which changes only with a restart".to_owned())
                }
                "vault" => (Tone::Warn, "~ change vault: all that stands there is looked at anew".to_owned()),
                part => (Tone::Warn, format!("~ change {part}")),
            };
            lines.push(Line::new().with(tone, words));
        }
        lines
    }

    /// Whether a reload would change nothing, as the state directory is another one.
    pub(super) fn refuses(&self, config: &Config) -> bool {
        let Some(makeup) = &self.makeup else { return false };
        let parts = changed(&makeup.parts, &self.makeup_of(config).parts);
        // The agent's may come from its environment, which is not ours.
        config.agent.state_dir.as_os_str() != USUAL_STATE_DIR
            && parts.iter().any(|part| part == "agent.state_dir")
    }

    fn owners<'a>(&'a self, config: &'a Config) -> Owners<'a> {
        let before = self.status.accounts.iter().flat_map(|account| {
            account.sinks.iter().map(move |sink| (sink.sink.as_str(), account.name.as_str()))
        });
        let after = config
            .accounts
            .values()
            .flat_map(|account| account.sinks.iter().map(move |sink| (sink.id(), account.name.as_str())));
        Owners { before: before.collect(), after: after.collect() }
    }

    fn makeup_of(&self, config: &Config) -> Makeup {
        Makeup::of(config, self.makeup.as_ref().map_or(0, |makeup| makeup.seed))
    }
}

/// What becomes of the refresh token of an account that cannot log in, where its access token is another's.
fn refresh_token(goes_on: bool, reseeded: bool) -> &'static str {
    match (goes_on, reseeded) {
        (_, true) => ", with the new `refresh_token`; the stored one is kept aside for 30 days",
        (true, false) => ", with the refresh token that it has",
        (false, false) => {
            "; its refresh token is kept aside for 30 days, so it needs a fresh `refresh_token`, or its settings back"
        }
    }
}

fn is_seed(account: &Account, part: &str) -> bool {
    let known = part.strip_prefix("credentials.").and_then(|name| account.provider.credential(name));
    known.is_some_and(|credential| credential.refresh_seed)
}

/// What becomes of a target that stays; nothing where it is the same.
fn again(id: &str, before: &TargetMakeup, after: &TargetMakeup) -> Option<Step> {
    let (look, mut parts) = (changed(&before.look, &after.look), changed(&before.parts, &after.parts));
    match (look.is_empty(), parts.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Step::new(Fate::Changed, format!("keep {id}; change {}", parts.join(", ")))),
        (false, _) => {
            parts.splice(0..0, look);
            Some(Step::new(Fate::Moved, format!("write {id} anew: {}", parts.join(", "))))
        }
    }
}

/// What becomes of a target that leaves.
fn leaves(id: &str, known: Option<&TargetMakeup>) -> Step {
    let words = match known.and_then(|known| known.delete_on_remove) {
        Some(true) => format!("delete {id} 10 s later (on_remove: delete)"),
        Some(false) => format!("leave {id} where it is (on_remove: keep)"),
        None => format!("leave {id}, or delete it, as its on_remove says"),
    };
    Step::new(Fate::Removed, words)
}
