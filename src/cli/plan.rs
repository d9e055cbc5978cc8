//! `renewd plan`: what `run` would do at its start; against a running agent, what a reload would change.

use std::collections::BTreeMap;
use std::path::Path;

use super::args::Globals;
use super::client::{Agent, Trouble};
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::{Line, Look, Tone, counted, fit, pad, sanitise, width};
use super::status::relative;
use super::suggest::listed;
use super::{out, settings, socket};
use crate::config::model::{Account, Config, Hook};
use crate::core::{AccountPlan, lead};
use crate::domain::{AccountId, Timestamp, TokenMeta};
use crate::observe::status::{AccountStatus, Status};
use crate::runtime::clock;
use crate::store::Store;

/// Prints a row an account, and what it comes to.
pub(super) async fn plan(globals: &Globals) -> Result<Exit, Failure> {
    let loaded = settings::load(globals)?;
    report::warnings(&loaded.warnings);
    let config = loaded.config;
    let running = running(globals).await?;
    let now = clock::wall();
    let (heading, rows) = match &running {
        Some(status) => (against(status), changes(&config, status)),
        None => (alone(&config), starts(&config, now)),
    };
    let look = Look::of_stdout();
    out::complain(&format!("{heading}\n"));
    let mut text: String = lines(&rows, look).iter().map(|line| line.render(look) + "\n").collect();
    text.extend(templates(&config, running.as_ref()).iter().map(|line| line.render(look) + "\n"));
    text.extend(hooks(&config).iter().map(|line| line.render(look) + "\n"));
    out::print(&text)?;
    out::complain(&format!("{}\n", summary(&rows)));
    Ok(Exit::Done)
}

/// What the running agent says; nothing where none answers, or its socket is switched off.
async fn running(globals: &Globals) -> Result<Option<Status>, Failure> {
    let Ok(socket) = socket::locate(globals) else { return Ok(None) };
    match Agent::at(&socket)?.status().await {
        Ok(status) => Ok(Some(status)),
        Err(Trouble::Unreachable { .. }) => Ok(None),
        Err(trouble) => Err(trouble.into_failure(globals)),
    }
}

fn against(status: &Status) -> String {
    let path = status.config.path.display();
    format!("against the running agent ({path}, generation {}); a reload would:", status.config.generation)
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
    Asked,
    Kept,
}

struct Row {
    fate: Fate,
    account: String,
    provider: String,
    host: String,
    words: String,
}

impl Row {
    fn new(fate: Fate, account: &Account, words: String) -> Self {
        let (name, provider) = (account.name.to_string(), account.provider.name.clone());
        Self { fate, account: name, provider, host: account.host.clone(), words }
    }
}

/// At a start without an agent: who is asked at once, and who keeps what is stored.
fn starts(config: &Config, now: Timestamp) -> Vec<Row> {
    let stored = stored(config);
    let row = |account: &Account| match stored.get(&account.name) {
        Some((token, renew_at)) if token.expires_at > now => {
            let next = if *renew_at > now {
                format!("renews {}", relative(*renew_at, now))
            } else {
                "renews now".to_owned()
            };
            let ends = relative(token.expires_at, now);
            Row::new(Fate::Kept, account, format!("keep its token, which ends {ends}; {next}"))
        }
        Some(_) => Row::new(Fate::Asked, account, "ask for a token: the stored one has ended".to_owned()),
        None => Row::new(Fate::Asked, account, "ask for a token".to_owned()),
    };
    config.accounts.values().map(|account| row(account)).collect()
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
        let (lead, _) = lead(store.seed(), &account.name, &AccountPlan::new(account, None), &token);
        Some((account.name.clone(), (token, token.expires_at.minus(lead))))
    };
    config.accounts.values().filter_map(|account| recall(account)).collect()
}

/// At a reload: what differs from what runs, as far as the agent tells.
fn changes(config: &Config, status: &Status) -> Vec<Row> {
    let mut running: BTreeMap<&AccountId, &AccountStatus> =
        status.accounts.iter().map(|account| (&account.name, account)).collect();
    let mut rows: Vec<Row> = Vec::new();
    for account in config.accounts.values() {
        rows.push(match running.remove(&account.name) {
            None => Row::new(Fate::Added, account, "add it and ask for a token".to_owned()),
            Some(old) if old.provider != account.provider.name => {
                let words = format!("ask anew: its provider was `{}`", sanitise(&old.provider));
                Row::new(Fate::Moved, account, words)
            }
            Some(old) => Row::new(Fate::Kept, account, sinks_changed(account, old)),
        });
    }
    rows.extend(running.into_values().map(|old| Row {
        fate: Fate::Removed,
        account: old.name.to_string(),
        provider: sanitise(&old.provider),
        host: String::new(),
        words: "remove it; its state is kept for 30 days".to_owned(),
    }));
    rows.sort_by(|one, other| one.account.cmp(&other.account));
    rows
}

fn sinks_changed(account: &Account, old: &AccountStatus) -> String {
    let new: Vec<String> = account.sinks.iter().map(crate::config::model::Sink::id).collect();
    let added = new.iter().filter(|id| old.sinks.iter().all(|sink| sink.sink != **id));
    let removed = old.sinks.iter().filter(|sink| !new.contains(&sink.sink));
    let added = added.map(|id| format!("write {id}"));
    let removed = removed.map(|sink| format!("leave {}", sanitise(&sink.sink)));
    let changes: Vec<String> = added.chain(removed).collect();
    match changes.is_empty() {
        true => "keep its token".to_owned(),
        false => format!("keep its token; {}", changes.join("; ")),
    }
}

fn lines(rows: &[Row], look: Look) -> Vec<Line> {
    let widest = |cell: fn(&Row) -> &str| rows.iter().map(|row| width(cell(row))).max().unwrap_or(0);
    let (account, provider, host) =
        (widest(|row| &row.account), widest(|row| &row.provider), widest(|row| &row.host));
    let line = |row: &Row| {
        let (tone, sign) = match row.fate {
            Fate::Added => (Tone::Good, "+"),
            Fate::Removed => (Tone::Bad, "-"),
            Fate::Moved => (Tone::Warn, "~"),
            Fate::Asked => (Tone::Note, ">"),
            Fate::Kept => (Tone::Dim, "="),
        };
        let line = Line::new()
            .with(tone, format!("{sign} "))
            .with(Tone::Strong, pad(&row.account, account + 2))
            .with(Tone::Dim, pad(&row.provider, provider + 2))
            .with(Tone::Dim, pad(&fit(&row.host, host, ""), host + 2))
            .with(tone, &row.words);
        match look.width {
            Some(columns) => line.cut(columns, look),
            None => line,
        }
    };
    rows.iter().map(line).collect()
}

/// A line a template: what becomes of it, and what it is made from.
fn templates(config: &Config, running: Option<&Status>) -> Vec<Line> {
    let known =
        |path: &Path| running.is_some_and(|status| status.templates.iter().any(|old| old.path == path));
    let mut lines: Vec<Line> = Vec::new();
    for template in &config.templates {
        let names = listed(template.accounts.iter().map(AccountId::as_str));
        let (tone, words) = match known(&template.path) {
            true => (Tone::Dim, "= keep"),
            false => (Tone::Good, "+ write"),
        };
        let words = format!("{words} template:{}, made from {names}", template.path.display());
        lines.push(Line::new().with(tone, sanitise(&words)));
    }
    let gone = running.into_iter().flat_map(|status| &status.templates);
    for old in gone.filter(|old| config.templates.iter().all(|template| template.path != old.path)) {
        let words = format!("- leave template:{}", old.path.display());
        lines.push(Line::new().with(Tone::Bad, sanitise(&words)));
    }
    lines
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

fn summary(rows: &[Row]) -> String {
    let count = |fates: &[Fate]| rows.iter().filter(|row| fates.contains(&row.fate)).count();
    let requests = count(&[Fate::Added, Fate::Moved, Fate::Asked]);
    let (kept, removed) = (count(&[Fate::Kept]), count(&[Fate::Removed]));
    let gone = if removed > 0 { format!(", {removed} removed") } else { String::new() };
    let accounts = counted(rows.len() - removed, "account");
    format!("{accounts}: {requests} asked at once, {kept} kept{gone}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::provider::catalog;

    fn config(accounts: &str) -> Config {
        let text = format!("agent: {{ state_dir: /nonexistent/renewd }}\naccounts:\n{accounts}");
        let loaded = config::load_text("/etc/renewd.yaml".as_ref(), &text, &|_| None, catalog::texts());
        loaded.unwrap_or_else(|problems| panic!("{problems}")).config
    }

    fn told(rows: &[Row]) -> String {
        lines(rows, Look::plain()).iter().map(|line| line.render(Look::plain()) + "\n").collect()
    }

    const KIS: &str = "kis, credentials: { appkey: a, appsecret: b }";
    const PORTONE: &str = "portone, credentials: { apiSecret: a }";

    #[test]
    fn without_state_every_account_asks() {
        let config = config(&format!("  a: {{ provider: {KIS} }}\n  b: {{ provider: {PORTONE} }}\n"));
        let rows = starts(&config, Timestamp::from_secs(0));
        insta::assert_snapshot!(told(&rows), @r#"
    > a  kis      openapi.koreainvestment.com:9443  ask for a token
    > b  portone  api.portone.io:443                ask for a token
    "#);
        assert_eq!(summary(&rows), "2 accounts: 2 asked at once, 0 kept");
    }

    fn running_template(path: &str) -> crate::observe::status::TemplateStatus {
        crate::observe::status::TemplateStatus {
            path: path.into(),
            state: crate::domain::SinkState::Written,
            written_at: None,
            error: None,
            writing_since: None,
        }
    }

    #[test]
    fn templates_and_hooks_are_listed_without_what_may_be_secret() {
        let mut status = crate::cli::status::tests::status_of(Vec::new());
        let hooks = "[command: [/usr/bin/reload, --key=hunter2], webhook: { url: \"https://h.example.com/hunter2\" }]";
        let config = config(&format!(
            "  a: {{ provider: {KIS}, on_change: {hooks} }}\n\
             templates:\n  - {{ path: /run/x, inline: \"{{{{ accounts.a.access_token }}}}\", on_change: [signal: {{ pid_file: /run/p }}] }}\n"
        ));
        let told = |status: Option<&Status>| {
            let lines = [templates(&config, status), super::hooks(&config)].concat();
            lines.iter().map(|line| line.render(Look::plain()) + "\n").collect::<String>()
        };
        insta::assert_snapshot!(told(None), @r#"
    + write template:/run/x, made from a
    ! when a changes: run /usr/bin/reload; post to https://h.example.com
    ! when template:/run/x changes: signal HUP to the process of /run/p
    "#);
        status.templates = ["/run/x", "/run/old"].map(running_template).into();
        insta::assert_snapshot!(told(Some(&status)), @r#"
    = keep template:/run/x, made from a
    - leave template:/run/old
    ! when a changes: run /usr/bin/reload; post to https://h.example.com
    ! when template:/run/x changes: signal HUP to the process of /run/p
    "#);
    }

    #[test]
    fn a_reload_adds_removes_moves_and_keeps() {
        use crate::cli::status::tests::{account, status_of};
        let sinks = "sinks: [ { file: /run/renewd/same.token }, { file: /run/renewd/more.json } ]";
        let config = config(&format!(
            "  added: {{ provider: {KIS} }}\n  moved: {{ provider: {PORTONE} }}\n  same: {{ provider: {KIS}, {sinks} }}\n"
        ));
        let status = status_of(vec![account("gone", "kis"), account("moved", "kis"), account("same", "kis")]);
        let rows = changes(&config, &status);
        insta::assert_snapshot!(told(&rows), @r#"
    + added  kis      openapi.koreainvestment.com:9443  add it and ask for a token
    - gone   kis                                        remove it; its state is kept for 30 days
    ~ moved  portone  api.portone.io:443                ask anew: its provider was `kis`
    = same   kis      openapi.koreainvestment.com:9443  keep its token; write file:/run/renewd/more.json
    "#);
        assert_eq!(summary(&rows), "3 accounts: 2 asked at once, 1 kept, 1 removed");
    }
}
