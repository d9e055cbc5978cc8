//! `renewd plan`: what `run` would do at its start; against a running agent, what a reload would change.

mod changes;

use std::collections::{BTreeMap, BTreeSet};

use self::changes::Running;
use super::args::Globals;
use super::client::{Agent, Trouble};
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::{Line, Look, Tone, counted, fit, pad, sanitise, width};
use super::status::relative;
use super::suggest::listed;
use super::{out, settings, socket};
use crate::config::model::{Account, Config, Hook, Sink, TemplateTarget};
use crate::core::{AccountPlan, lead};
use crate::domain::{AccountId, Timestamp, TokenMeta};
use crate::runtime::clock;
use crate::store::Store;

/// Prints a row an account with what becomes of its sinks, a row a template, and what it comes to.
pub(super) async fn plan(globals: &Globals) -> Result<Exit, Failure> {
    let loaded = settings::load(globals)?;
    report::warnings(&loaded.warnings);
    let config = loaded.config;
    let running = running(globals).await?;
    let now = clock::wall();
    let (heading, rows, templates, rest) = match &running {
        Some(running) => {
            (against(running), running.accounts(&config), running.templates(&config), running.agent(&config))
        }
        None => {
            let rows = starts(&config, now);
            let templates = composed_first(&config, &rows);
            (alone(&config), rows, templates, Vec::new())
        }
    };
    let look = Look::of_stdout();
    out::complain(&format!("{heading}\n"));
    let mut text: String = lines(&rows, look).iter().map(|line| line.render(look) + "\n").collect();
    let rest = rest.into_iter().chain(hooks(&config));
    let lines = templates.iter().map(|step| step.line(0)).chain(rest);
    text.extend(lines.map(|line| line.render(look) + "\n"));
    out::print(&text)?;
    out::complain(&format!("{}\n", summary(&rows, &templates)));
    match running.is_some_and(|running| running.refuses(&config)) {
        true => Ok(Exit::Config),
        false => Ok(Exit::Done),
    }
}

/// What the running agent says; nothing where none answers, or its socket is switched off.
async fn running(globals: &Globals) -> Result<Option<Running>, Failure> {
    let Ok(socket) = socket::locate(globals) else { return Ok(None) };
    let agent = Agent::at(&socket)?;
    let status = match agent.status().await {
        Ok(status) => status,
        Err(Trouble::Unreachable { .. }) => return Ok(None),
        Err(trouble) => return Err(trouble.into_failure(globals)),
    };
    let told = match agent.makeup().await {
        Ok(makeup) if status.version == env!("CARGO_PKG_VERSION") => Ok(makeup),
        Ok(_) => Err("it is of another version".to_owned()),
        Err(Trouble::Refused { status: 404, .. }) => Err("it is of an older version".to_owned()),
        Err(trouble) => Err(trouble.words()),
    };
    let makeup = told.map_err(|why| {
        report::warn(&format!(
            "the agent tells no more than names, so changes within what it has are not seen: {why}"
        ));
    });
    Ok(Some(Running { status, makeup: makeup.ok() }))
}

fn against(running: &Running) -> String {
    let config = &running.status.config;
    let path = config.path.display();
    format!("against the running agent ({path}, generation {}); a reload would:", config.generation)
}

fn alone(config: &Config) -> String {
    format!(
        "no agent is running; with the state in {}, `renewd run` would:",
        config.agent.state_dir.display()
    )
}

/// What becomes of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Added,
    Removed,
    Moved,
    Changed,
    Asked,
    Kept,
}

impl Fate {
    fn look(self) -> (Tone, &'static str) {
        match self {
            Self::Added => (Tone::Good, "+"),
            Self::Removed => (Tone::Bad, "-"),
            Self::Moved | Self::Changed => (Tone::Warn, "~"),
            Self::Asked => (Tone::Note, ">"),
            Self::Kept => (Tone::Dim, "="),
        }
    }
}

struct Row {
    fate: Fate,
    account: String,
    provider: String,
    host: String,
    words: String,
    /// What becomes of its sinks, as far as it is worth a line.
    steps: Vec<Step>,
}

impl Row {
    fn new(fate: Fate, account: &Account, words: String, steps: Vec<Step>) -> Self {
        let (name, provider) = (account.name.to_string(), account.provider.name.clone());
        Self { fate, account: name, provider, host: account.host.clone(), words, steps }
    }
}

/// What becomes of a sink or a template.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    fate: Fate,
    words: String,
}

impl Step {
    fn new(fate: Fate, words: impl Into<String>) -> Self {
        Self { fate, words: words.into() }
    }

    fn line(&self, indent: usize) -> Line {
        let (tone, sign) = self.fate.look();
        Line::new().with(tone, format!("{}{sign} {}", " ".repeat(indent), sanitise(&self.words)))
    }
}

/// At a start without an agent: who is asked at once, and who keeps what is stored.
fn starts(config: &Config, now: Timestamp) -> Vec<Row> {
    let stored = stored(config);
    let row = |account: &Account| {
        let sinks = account.sinks.iter().map(Sink::id);
        let written = |id| Step::new(Fate::Asked, format!("write {id}"));
        let looked_at = |id| Step::new(Fate::Kept, format!("keep {id}, or write it where it differs"));
        match stored.get(&account.name) {
            Some((token, renew_at)) if token.expires_at > now => {
                let next = if *renew_at > now {
                    format!("renews {}", relative(*renew_at, now))
                } else {
                    "renews now".to_owned()
                };
                let words = format!("keep its token, which ends {}; {next}", relative(token.expires_at, now));
                Row::new(Fate::Kept, account, words, sinks.map(looked_at).collect())
            }
            stored => {
                let ended = if stored.is_some() { ": the stored one has ended" } else { "" };
                Row::new(
                    Fate::Asked,
                    account,
                    format!("ask for a token{ended}"),
                    sinks.map(written).collect(),
                )
            }
        }
    };
    config.accounts.values().map(|account| row(account)).collect()
}

/// What becomes of each template at a start: one whose accounts keep their tokens may be right already.
fn composed_first(config: &Config, rows: &[Row]) -> Vec<Step> {
    let kept: BTreeSet<&str> =
        rows.iter().filter(|row| row.fate == Fate::Kept).map(|row| row.account.as_str()).collect();
    let step = |template: &TemplateTarget| {
        let (id, names) = (id_of(template), made_from(template));
        match template.accounts.iter().all(|account| kept.contains(account.as_str())) {
            true => {
                Step::new(Fate::Kept, format!("keep {id}, or write it where it differs; made from {names}"))
            }
            false => Step::new(Fate::Asked, format!("write {id}, made from {names}")),
        }
    };
    config.templates.iter().map(|template| step(template)).collect()
}

fn id_of(template: &TemplateTarget) -> String {
    format!("template:{}", template.path.display())
}

fn made_from(template: &TemplateTarget) -> String {
    listed(template.accounts.iter().map(AccountId::as_str))
}

/// The stored tokens that belong to the accounts as they are configured, with the time of their renewal. Nothing
/// where there is no state yet, or it cannot be read by this user.
fn stored(config: &Config) -> BTreeMap<AccountId, (TokenMeta, Timestamp)> {
    let state_dir = &config.agent.state_dir;
    if !state_dir.join("installation").exists() {
        return BTreeMap::new();
    }
    let store = match Store::open(state_dir) {
        Ok(store) => store,
        Err(error) => {
            report::warn(&format!("what is stored is not known: {error}"));
            return BTreeMap::new();
        }
    };
    let recall = |account: &Account| {
        let record = store.restore(&account.name).ok()??;
        let token = record.current.as_ref().filter(|_| record.provider == account.provider.name)?.meta;
        let (lead, _) =
            lead(store.seed(), &account.name, &AccountPlan::new(account, None, None, Vec::new()), &token);
        Some((account.name.clone(), (token, token.expires_at.minus(lead))))
    };
    config.accounts.values().filter_map(|account| recall(account)).collect()
}

fn lines(rows: &[Row], look: Look) -> Vec<Line> {
    let widest = |cell: fn(&Row) -> &str| rows.iter().map(|row| width(cell(row))).max().unwrap_or(0);
    let (account, provider, host) =
        (widest(|row| &row.account), widest(|row| &row.provider), widest(|row| &row.host));
    let cut = |line: Line| match look.width {
        Some(columns) => line.cut(columns, look),
        None => line,
    };
    let line = |row: &Row| {
        let (tone, sign) = row.fate.look();
        let line = Line::new()
            .with(tone, format!("{sign} "))
            .with(Tone::Strong, pad(&row.account, account + 2))
            .with(Tone::Dim, pad(&row.provider, provider + 2))
            .with(Tone::Dim, pad(&fit(&row.host, host, ""), host + 2))
            .with(tone, &row.words);
        std::iter::once(cut(line)).chain(row.steps.iter().map(|step| cut(step.line(4)))).collect::<Vec<_>>()
    };
    rows.iter().flat_map(line).collect()
}

/// A line for each account and template that has hooks: whom it tells.
fn hooks(config: &Config) -> Vec<Line> {
    let accounts = config.accounts.values().map(|account| (account.name.to_string(), &account.on_change));
    let templates = config
        .templates
        .iter()
        .map(|template| (format!("template:{}", template.path.display()), &template.on_change));
    let told = accounts.chain(templates).filter(|(_, hooks)| !hooks.is_empty());
    let line = |(name, hooks): (String, &Vec<Hook>)| {
        let whom: Vec<String> = hooks.iter().map(hook).collect();
        Line::new().with(Tone::Dim, sanitise(&format!("! when {name} changes: {}", whom.join("; "))))
    };
    told.map(line).collect()
}

/// A hook without what may be secret: a program's arguments, a URL's path.
fn hook(hook: &Hook) -> String {
    match hook {
        Hook::Signal { pid_file, signal } => {
            format!(
                "signal {} to the process of {}",
                format!("{signal:?}").to_uppercase(),
                pid_file.display()
            )
        }
        Hook::Command { argv, .. } => format!("run {}", argv.first().map_or("", String::as_str)),
        Hook::Webhook { url, .. } => format!("post to {}", url.origin().ascii_serialization()),
    }
}

fn summary(rows: &[Row], templates: &[Step]) -> String {
    let count = |fates: &[Fate]| rows.iter().filter(|row| fates.contains(&row.fate)).count();
    let requests = count(&[Fate::Added, Fate::Moved, Fate::Asked]);
    let removed = count(&[Fate::Removed]);
    let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let counts = [
        Some(format!("{requests} asked at once")),
        Some(format!("{} kept", count(&[Fate::Kept]))),
        some(count(&[Fate::Changed]), "changed"),
        some(removed, "removed"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let mut text = format!("{}: {}", counted(rows.len() - removed, "account"), counts.join(", "));
    if !templates.is_empty() {
        let count = |fates: &[Fate]| templates.iter().filter(|step| fates.contains(&step.fate)).count();
        let gone = count(&[Fate::Removed]);
        let counts = [
            Some(format!("{} written", count(&[Fate::Added, Fate::Moved, Fate::Asked]))),
            Some(format!("{} kept", count(&[Fate::Kept]))),
            some(count(&[Fate::Changed]), "changed"),
            some(gone, "removed"),
        ];
        let counts: Vec<String> = counts.into_iter().flatten().collect();
        text += &format!("; {}: {}", counted(templates.len() - gone, "template"), counts.join(", "));
    }
    text
}

#[cfg(test)]
mod tests;
