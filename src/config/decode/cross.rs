//! What only shows when everything is known: places with two writers, files that nothing may replace, what needs
//! Vault, accounts that end each other's tokens.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::account::{Accounts, Target, Written};
use super::templates::Made;
use super::{Report, Resolved, sources};
use crate::config::model::{Account, Agent, SecretSource, TemplateForm, Vault, VaultAuth};
use crate::config::tree::Place;

/// All that is checked against each other.
pub(crate) struct Whole<'w> {
    /// The accounts, also those with errors as far as they could be read.
    pub(crate) accounts: &'w Accounts<'w>,
    /// The templates.
    pub(crate) templates: &'w [Made],
    /// The agent.
    pub(crate) agent: &'w Agent,
    /// The server, where it could be read.
    pub(crate) vault: Option<&'w Vault>,
    /// Whether there is a `vault` section at all.
    pub(crate) has_vault: bool,
    /// The files that the configuration was read from.
    pub(crate) files: &'w [PathBuf],
    /// The templates' own files.
    pub(crate) sources: Vec<PathBuf>,
}

/// Who writes a path.
#[derive(Clone, Copy)]
struct Writer<'a> {
    /// `None`: a template.
    account: Option<&'a str>,
    place: Place,
    /// A set of files, not one.
    is_folder: bool,
}

impl Writer<'_> {
    fn noun(&self) -> &'static str {
        if self.account.is_some() { "a sink" } else { "a template" }
    }

    fn name(&self) -> String {
        self.account.map_or_else(|| "a template".to_owned(), |account| format!("`{account}`"))
    }
}

/// Writers by their paths; paths are normal, so that equal text means equal files.
type Writers<'a> = HashMap<&'a str, Writer<'a>>;

/// Checks everything against everything.
pub(crate) fn check(report: &mut Report, whole: &Whole<'_>) {
    let writers = writers(report, whole);
    servers(report, &whole.accounts.sinks);
    guarded(report, whole, &writers);
    needs_vault(report, whole);
    rivals(report, &whole.accounts.resolved);
}

/// Two may not write one file, nor one use as a folder what another writes as a file, nor write into a folder whose
/// files change as one.
fn writers<'a>(report: &mut Report, whole: &'a Whole<'_>) -> Writers<'a> {
    let sinks = whole.accounts.sinks.iter().filter_map(|sink| match &sink.target {
        Target::File(path) => {
            let writer = Writer { account: Some(sink.account.as_str()), place: sink.place, is_folder: false };
            Some((path.to_str()?, writer))
        }
        Target::Vault(_) | Target::Kubernetes(_) => None,
    });
    let templates = whole.templates.iter().filter_map(|(target, place)| {
        let is_folder = matches!(target.form, TemplateForm::Directory(_));
        Some((target.path.to_str()?, Writer { account: None, place: *place, is_folder }))
    });
    let all: Vec<(&str, Writer<'_>)> = sinks.chain(templates).collect();
    let mut writers: Writers<'_> = HashMap::with_capacity(all.len());
    for (path, writer) in &all {
        match writers.get(path) {
            Some(first) => {
                let what = if first.is_folder || writer.is_folder { "this folder" } else { "this file" };
                report.error(writer.place, both(first, writer, what)).other(first.place);
            }
            None => {
                writers.insert(path, *writer);
            }
        }
    }
    let mut folders: HashMap<&str, Option<Writer<'_>>> = HashMap::new();
    for (path, writer) in &all {
        let Some((folder, _)) = path.rsplit_once('/') else { continue };
        let above = folders.entry(folder).or_insert_with(|| above(folder, &writers));
        let Some(above) = above else { continue };
        let name = above.name();
        match above.is_folder {
            true => report
                .error(writer.place, "this lies in the folder of a template, whose files change as one")
                .hint("choose a folder of its own"),
            false => report.error(writer.place, format!("this needs a folder where {name} writes a file")),
        }
        .other(above.place);
    }
    writers
}

fn both(first: &Writer<'_>, second: &Writer<'_>, what: &str) -> String {
    match (first.account, second.account) {
        (Some(one), Some(other)) if one == other => format!("two sinks of `{one}` write {what}"),
        (None, None) => format!("two templates write {what}"),
        _ => format!("{} and {} both write {what}", first.name(), second.name()),
    }
}

/// Who writes a folder or one above it.
fn above<'a>(folder: &str, writers: &Writers<'a>) -> Option<Writer<'a>> {
    let mut above = Path::new(folder).ancestors().filter_map(Path::to_str);
    above.find_map(|folder| writers.get(folder).copied())
}

/// Two sinks may not write one secret.
fn servers(report: &mut Report, sinks: &[Written]) {
    let mut written: HashMap<&str, &Written> = HashMap::new();
    for sink in sinks {
        let (id, what) = match &sink.target {
            Target::File(_) => continue,
            Target::Vault(id) => (id, "this secret in Vault"),
            Target::Kubernetes(id) => (id, "this Secret"),
        };
        match written.get(id.as_str()) {
            Some(first) => {
                let writer = |sink: &'_ Written| (sink.account.to_string(), sink.place);
                let ((one, other), place) = ((writer(first).0, writer(sink).0), sink.place);
                let message = match one == other {
                    true => format!("two sinks of `{one}` write {what}"),
                    false => format!("`{one}` and `{other}` both write {what}"),
                };
                report.error(place, message).other(first.place);
            }
            None => {
                written.insert(id, sink);
            }
        }
    }
}

/// Files that nothing may replace.
fn guarded(report: &mut Report, whole: &Whole<'_>, writers: &Writers<'_>) {
    let Whole { accounts, agent, .. } = whole;
    let state_dir = agent.state_dir.to_str().unwrap_or_default();
    for (path, writer) in writers {
        if path.strip_prefix(state_dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            report
                .error(writer.place, format!("{} inside the state directory", writer.noun()))
                .hint("readers need a folder of their own, such as `/run/renewd`");
        }
    }
    let has_folders = writers.values().any(|writer| writer.is_folder);
    let mut guard = |path: &Path, what: &str| {
        let Some(path) = path.to_str() else { return };
        if let Some(writer) = writers.get(path) {
            report.error(writer.place, format!("{} would overwrite {what}", writer.noun()));
        } else if has_folders && let Some(writer) = above(path, writers).filter(|above| above.is_folder) {
            report
                .error(writer.place, format!("the folder of a template holds {what}"))
                .hint("choose a folder of its own: its files change as one");
        }
    };
    if !writers.contains_key(state_dir) {
        guard(&agent.state_dir, "the state directory");
    }
    for file in whole.files {
        guard(file, "the configuration");
    }
    for file in &whole.sources {
        guard(&sources::plain(file), "the source of a template");
    }
    if let Some(socket) = &agent.socket {
        guard(&socket.path, "the control socket");
    }
    if let Some(audit) = &agent.audit {
        guard(&audit.path, "the audit log");
    }
    const READ: &str = "a file that is read for a secret or a certificate";
    for Resolved { account, .. } in &accounts.resolved {
        let identity = account.http.client_identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        let files = account.credentials.values().filter_map(file_of);
        for path in files.chain(identity).chain(&account.http.ca_file) {
            guard(path, READ);
        }
    }
    if let Some(vault) = whole.vault {
        login_files(vault).into_iter().for_each(|path| guard(path, READ));
    }
}

fn file_of(source: &SecretSource) -> Option<&PathBuf> {
    match source {
        SecretSource::File(path) => Some(path),
        _ => None,
    }
}

/// The files that are read to log in.
fn login_files(vault: &Vault) -> Vec<&PathBuf> {
    let login: Vec<&PathBuf> = match &vault.auth {
        VaultAuth::Token(token) => file_of(token).into_iter().collect(),
        VaultAuth::AppRole { role_id, secret_id, .. } => {
            file_of(role_id).into_iter().chain(secret_id.as_ref().and_then(file_of)).collect()
        }
        VaultAuth::Kubernetes { jwt, .. } | VaultAuth::Jwt { jwt, .. } => file_of(jwt).into_iter().collect(),
        VaultAuth::Cert { cert_file, key_file, .. } => vec![cert_file, key_file],
    };
    login.into_iter().chain(&vault.ca_file).collect()
}

/// What is in Vault needs a server, and is not both read and written.
fn needs_vault(report: &mut Report, whole: &Whole<'_>) {
    let accounts = whole.accounts;
    let vault = |sink: &&Written| matches!(sink.target, Target::Vault(_));
    if !whole.has_vault {
        let sinks = accounts.sinks.iter().filter(vault).map(|sink| sink.place);
        for place in sinks.chain(accounts.vault_keys.iter().map(|(_, place)| *place)) {
            report
                .error(place, "there is no `vault` section, which says where Vault is and how to log in")
                .hint("add `vault: { address: https://HOST:8200, auth: { ... } }` to the main file");
        }
    }
    let read: HashSet<String> =
        accounts.vault_keys.iter().map(|(key, _)| format!("vault:{}/{}", key.mount, key.path)).collect();
    for sink in accounts.sinks.iter().filter(|_| !read.is_empty()) {
        if let Target::Vault(id) = &sink.target
            && read.contains(id)
        {
            report.error(sink.place, "a sink would overwrite a secret that an account reads");
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
