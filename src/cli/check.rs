//! `renewd check`: is the configuration right, and are the secrets there? Issues nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::{CheckArgs, Globals};
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::counted;
use super::{online, out, settings};
use crate::config::model::{Account, Config, SecretSource, Sink};
use crate::domain::Secret;
use crate::secrets;
use crate::sink::file::SinkError;
use crate::sink::owner;

/// Tells everything that is wrong or doubtful on standard error, or `ok` on standard output.
pub(super) async fn check(args: CheckArgs, globals: &Globals) -> Result<Exit, Failure> {
    let loaded = settings::load(globals)?;
    report::warnings(&loaded.warnings);
    let config = loaded.config;
    let mut findings = secrets_of(&config).await;
    if !args.online {
        findings.extend(names_of(&config)); // which `--online` looks for too, and more strictly
    }
    findings.iter().for_each(Finding::tell);
    if findings.iter().any(|finding| finding.is_error) {
        return Ok(Exit::Config);
    }
    if args.online && !online::check(&config, globals).await {
        return Ok(Exit::Failed);
    }
    let sinks: usize = config.accounts.values().map(|account| account.sinks.len()).sum();
    out::print(&format!("ok: {}, {}\n", counted(config.accounts.len(), "account"), counted(sinks, "sink")))?;
    Ok(Exit::Done)
}

/// What is to be said of an account's secrets, or of names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    is_error: bool,
    message: String,
    hint: Option<&'static str>,
}

impl Finding {
    fn error(message: String, hint: Option<&'static str>) -> Self {
        Self { is_error: true, message, hint }
    }

    fn warning(message: String, hint: Option<&'static str>) -> Self {
        Self { is_error: false, message, hint }
    }

    fn tell(&self) {
        report::finding(self.is_error, &self.message, self.hint);
    }
}

/// Reads every secret from its source; commands run once, however many accounts name them.
async fn secrets_of(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut commands: Vec<(&SecretSource, Result<Secret, secrets::SecretError>)> = Vec::new();
    let mut rivals = Rivals::default();
    for account in config.accounts.values() {
        let mut values = BTreeMap::new();
        for (credential, source) in &account.credentials {
            let known =
                commands.iter().find(|(known, _)| *known == source).map(|(_, outcome)| outcome.clone());
            let outcome = match known {
                Some(outcome) => outcome,
                None => secrets::resolve(source, &secrets::process_environment).await,
            };
            if matches!(source, SecretSource::Command(_)) {
                commands.push((source, outcome.clone()));
            }
            if let Some(warning) = secrets::warning(source, &secrets::process_environment) {
                findings.push(Finding::warning(format!("account `{}`: {warning}", account.name), None));
            }
            match outcome {
                Ok(secret) => {
                    findings.extend(too_long(account, credential, &secret));
                    values.insert(credential.as_str(), secret);
                }
                Err(error) => findings.push(Finding::error(
                    format!("account `{}`, credential `{credential}`: {error}", account.name),
                    error.hint(),
                )),
            }
        }
        findings.extend(rivals.meet(account, values));
    }
    findings
}

/// Users and groups that this machine does not know: a configuration may be for another one, so these are warnings.
fn names_of(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for account in config.accounts.values() {
        for Sink::File(sink) in &account.sinks {
            findings.extend(owner::unknown(sink).into_iter().map(|error| {
                let message =
                    format!("account `{}`, sink file:{}: {error}", account.name, sink.path.display());
                Finding::warning(message, error.hint())
            }));
        }
    }
    let group = config.agent.socket.as_ref().and_then(|socket| socket.group.as_deref());
    if let Some(group) = group.filter(|group| owner::group_id(group).is_none()) {
        let error = SinkError::UnknownName { kind: "group", name: group.to_owned() };
        findings.push(Finding::warning(format!("agent.socket: {error}"), error.hint()));
    }
    findings
}

fn too_long(account: &Account, credential: &str, secret: &Secret) -> Option<Finding> {
    let most = account.provider.credential(credential)?.max_length?;
    let length = secret.expose().chars().count();
    (length > most).then(|| {
        let message = format!(
            "account `{}`, credential `{credential}` has {length} characters, {most} at most",
            account.name
        );
        Finding::error(message, Some("is it another value of the same page at the vendor?"))
    })
}

/// Accounts whose logins end each other's refresh token.
#[derive(Default)]
struct Rivals<'a>(Vec<(&'a Arc<Account>, BTreeMap<&'a str, Secret>)>);

impl<'a> Rivals<'a> {
    /// A warning where another account has the same credentials at the same place. Where even the sources are the
    /// same, the configuration's own warnings have said so already.
    fn meet(&mut self, account: &'a Arc<Account>, values: BTreeMap<&'a str, Secret>) -> Option<Finding> {
        if !account.provider.refresh_single_use || values.is_empty() {
            return None;
        }
        let same = |other: &Account, theirs: &BTreeMap<&str, Secret>| {
            other.provider.name == account.provider.name && other.host == account.host && *theirs == values
        };
        let rival = self.0.iter().find(|(other, theirs)| same(other, theirs)).map(|(other, _)| *other);
        self.0.push((account, values));
        let rival = rival.filter(|rival| rival.credentials != account.credentials)?;
        let message = format!(
            "accounts `{}` and `{}` have the same credentials: each login ends the other's refresh token",
            rival.name, account.name
        );
        Some(Finding::warning(message, Some("one account can have several sinks")))
    }
}
