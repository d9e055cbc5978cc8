//! What only shows when all accounts are known: files with two writers, accounts that end each other's tokens.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::account::Accounts;
use super::{Report, Resolved};
use crate::config::model::{Account, Agent, SecretSource};
use crate::config::tree::Place;

/// Sinks by their paths; paths are normal, so that equal text means equal files.
type Written<'a> = HashMap<&'a str, (&'a str, Place)>;

/// Checks everything across accounts; `files` are those that the configuration was read from.
pub(crate) fn check(report: &mut Report, accounts: &Accounts<'_>, agent: &Agent, files: &[PathBuf]) {
    let written = writers(report, accounts);
    guarded(report, accounts, &written, agent, files);
    rivals(report, &accounts.resolved);
}

/// Two sinks may not write one file, nor one use as a folder what another writes as a file.
fn writers<'a>(report: &mut Report, accounts: &'a Accounts<'_>) -> Written<'a> {
    let mut written: Written<'a> = HashMap::with_capacity(accounts.sinks.len());
    for (account, path, place) in &accounts.sinks {
        let Some(path) = path.to_str() else { continue };
        match written.get(path) {
            Some((first, other)) => {
                let message = match *first == account.as_str() {
                    true => format!("two sinks of `{account}` write this file"),
                    false => format!("`{first}` and `{account}` both write this file"),
                };
                report.error(*place, message).other(*other);
            }
            None => {
                written.insert(path, (account.as_str(), *place));
            }
        }
    }
    let mut folders: HashMap<&str, Option<(&str, Place)>> = HashMap::new();
    for (_, path, place) in &accounts.sinks {
        let Some((folder, _)) = path.to_str().and_then(|path| path.rsplit_once('/')) else { continue };
        let above = folders.entry(folder).or_insert_with(|| {
            let mut above = Path::new(folder).ancestors().filter_map(Path::to_str);
            above.find_map(|folder| written.get(folder).copied())
        });
        if let Some((first, other)) = above {
            report.error(*place, format!("this needs a folder where `{first}` writes a file")).other(*other);
        }
    }
    written
}

/// Files that no sink may replace.
fn guarded(
    report: &mut Report,
    accounts: &Accounts<'_>,
    written: &Written<'_>,
    agent: &Agent,
    files: &[PathBuf],
) {
    let state_dir = agent.state_dir.to_str().unwrap_or_default();
    for (path, (_, place)) in written {
        if path.strip_prefix(state_dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            report
                .error(*place, "a sink inside the state directory")
                .hint("readers need a folder of their own, such as `/run/renewd`");
        }
    }
    let mut guard = |path: &Path, why: &str| {
        if let Some((_, place)) = path.to_str().and_then(|path| written.get(path)) {
            report.error(*place, why);
        }
    };
    for file in files {
        guard(file, "a sink would overwrite the configuration");
    }
    if let Some(socket) = &agent.socket {
        guard(&socket.path, "a sink would overwrite the control socket");
    }
    for Resolved { account, .. } in &accounts.resolved {
        let secrets = account.credentials.values().filter_map(|source| match source {
            SecretSource::File(path) => Some(path),
            _ => None,
        });
        let identity = account.http.client_identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        for path in secrets.chain(identity).chain(&account.http.ca_file) {
            guard(path, "a sink would overwrite a file that is read for a secret or a certificate");
        }
    }
}

/// Accounts that log in with the same credentials where one refresh token ends the other.
fn rivals(report: &mut Report, resolved: &[Resolved]) {
    let mut groups: HashMap<(&str, &str, u64), Vec<&Resolved>> = HashMap::new();
    for one in resolved {
        let account = &one.account;
        if account.provider.refresh.is_none() || !account.provider.refresh_single_use {
            continue;
        }
        let group = groups.entry((&account.provider.name, &account.host, fingerprint(account))).or_default();
        match group.iter().find(|other| other.account.credentials == account.credentials) {
            Some(first) => {
                let (a, b, provider) = (&first.account.name, &account.name, &account.provider.name);
                report
                    .warn(
                        one.place,
                        format!("`{a}` and `{b}` use the same `{provider}` credentials: they end each other's refresh token"),
                    )
                    .hint("use one account with several sinks, or credentials of their own")
                    .other(first.place);
            }
            None => group.push(one),
        }
    }
}

/// Equal for accounts with equal credentials; never leaves this function's caller.
fn fingerprint(account: &Account) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, source) in &account.credentials {
        name.hash(&mut hasher);
        match source {
            SecretSource::Inline(secret) => (0, secret.expose()).hash(&mut hasher),
            SecretSource::Env(name) => (1, name).hash(&mut hasher),
            SecretSource::File(path) => (2, path).hash(&mut hasher),
            SecretSource::Credential(name) => (3, name).hash(&mut hasher),
            SecretSource::Command(argv) => (4, argv).hash(&mut hasher),
            SecretSource::Vault(key) => (5, key).hash(&mut hasher),
        }
    }
    hasher.finish()
}
