//! What a configuration is made of, part by part, as fingerprints: by them `renewd plan` tells what a reload changes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::config::definition::Definition;
use crate::config::model::{
    Account, Agent, Config, Content, FileSink, KubernetesSink, Log, OnRemove, SecretSource, Sink,
    TemplateForm, TemplateTarget, TemplateText, Vault, VaultAuth, VaultSink,
};
use crate::domain::AccountId;

/// Fingerprints by the part's name in the configuration.
pub type Parts = BTreeMap<String, u16>;

/// A configuration as `GET /v1/config` on the socket tells it; it is for those who may have the tokens.
///
/// Some parts are secret: passwords that stand in the configuration, paths of webhooks. So of each part it tells 16 bits,
/// always the same: one change in 65,536 goes unseen, and nobody finds a secret by them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Makeup {
    /// Fingerprints of other seeds cannot be compared.
    pub seed: u64,
    /// Of `agent:`, `vault:`.
    pub parts: Parts,
    /// By name.
    pub accounts: BTreeMap<AccountId, AccountMakeup>,
    /// By `template:PATH`.
    pub templates: BTreeMap<String, TargetMakeup>,
}

/// An account's parts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountMakeup {
    /// What a token belongs to: where one of them is another, the token is another's.
    pub identity: Parts,
    /// What a refresh token belongs to, of an account that cannot log in; empty for others.
    #[serde(default)]
    pub grant: Parts,
    /// The rest, but for the sinks.
    pub parts: Parts,
    /// By id.
    pub sinks: BTreeMap<String, TargetMakeup>,
}

/// A sink's or a template's parts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetMakeup {
    /// What it looks like: it is written again where one of them is another.
    pub look: Parts,
    /// The rest.
    pub parts: Parts,
    /// It is deleted when it leaves the configuration; `None` where that is not known.
    pub delete_on_remove: Option<bool>,
}

impl Makeup {
    /// Of that configuration, with fingerprints under `seed`.
    #[must_use]
    pub fn of(config: &Config, seed: u64) -> Self {
        let mut maker = Maker { seed, definitions: HashMap::new() };
        // Everything is taken apart by name here and below: a setting that is added has to find its part. What files
        // it was read from is no part of it, and limits are each account's.
        let Config { path: _, files: _, include_folders: _, agent, limits: _, vault, accounts, templates } =
            config;
        let Agent { state_dir, socket, listen, shutdown_grace, log: Log { level, format }, audit, alerts } =
            agent;
        let parts = [
            maker.part("agent.state_dir", state_dir),
            maker.part("agent.socket", socket),
            maker.part("agent.listen", listen),
            maker.part("agent.shutdown_grace", shutdown_grace),
            maker.part("agent.log.level", level),
            maker.part("agent.log.format", format),
            maker.part("agent.audit", audit),
            maker.part("agent.alerts", alerts),
            maker.vault(vault.as_deref()),
        ];
        let accounts = accounts.values().map(|one| (one.name.clone(), maker.account(one)));
        let accounts = accounts.collect();
        let template = |one: &std::sync::Arc<TemplateTarget>| {
            (format!("template:{}", one.path.display()), maker.template(one))
        };
        let templates = templates.iter().map(template).collect();
        Self { seed, parts: parts.into(), accounts, templates }
    }
}

struct Maker {
    seed: u64,
    /// One definition serves many accounts.
    definitions: HashMap<*const Definition, u16>,
}

impl Maker {
    fn print(&self, bytes: &[u8]) -> u16 {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.seed.to_be_bytes());
        context.update(bytes);
        context.finish().as_ref().iter().take(2).fold(0, |sum, byte| sum << 8 | u16::from(*byte))
    }

    fn part(&self, name: &str, value: &dyn Debug) -> (String, u16) {
        (name.to_owned(), self.print(format!("{name}={value:?}").as_bytes()))
    }

    /// The server with its login; the secrets that stand there count with their content.
    fn vault(&self, vault: Option<&Vault>) -> (String, u16) {
        let secrets = match vault.map(|Vault { address: _, namespace: _, ca_file: _, auth }| auth) {
            None | Some(VaultAuth::Cert { cert_file: _, key_file: _, name: _, mount: _ }) => [None, None],
            Some(VaultAuth::Token(token)) => [Some(token), None],
            Some(VaultAuth::AppRole { role_id, secret_id, mount: _ }) => [Some(role_id), secret_id.as_ref()],
            Some(
                VaultAuth::Kubernetes { role: _, jwt, mount: _ } | VaultAuth::Jwt { role: _, jwt, mount: _ },
            ) => [Some(jwt), None],
        };
        // The `Debug` of a secret is a mask.
        let content = secrets.map(|source| match source {
            Some(SecretSource::Inline(secret)) => Some(secret.expose()),
            _ => None,
        });
        ("vault".to_owned(), self.print(format!("{vault:?} {content:?}").as_bytes()))
    }

    fn account(&mut self, account: &Account) -> AccountMakeup {
        let Account {
            name: account_name,
            provider,
            environment,
            base_url,
            // These follow from the others.
            issue_url: _,
            refresh_url,
            host: _,
            limit,
            credentials,
            params,
            renew,
            http,
            verify,
            sinks,
            on_change,
        } = account;
        let identifies = |name: &str| provider.credential(name).is_some_and(|known| known.identity);
        let mut identity: Parts = [
            self.part("provider", &provider.name),
            self.part("base_url", base_url),
            self.part("environment", environment),
            self.part("params", params),
        ]
        .into();
        let mut grant = Parts::new();
        if provider.issue.is_none() {
            grant.extend([
                self.part("provider", &provider.name),
                self.part("the token endpoint", &refresh_url.as_ref().map(url::Url::as_str)),
            ]);
        }
        let mut parts: Parts = [
            self.part("renew", renew),
            self.part("http", http),
            self.part("verify", verify),
            self.part("limits", limit),
            self.part("on_change", on_change),
            self.part("credentials", &credentials.keys()),
        ]
        .into();
        parts.insert("the provider's definition".to_owned(), self.definition(provider));
        for (name, source) in credentials {
            let (key, print) = self.part(&format!("credentials.{name}"), source);
            match source {
                SecretSource::Inline(secret) => {
                    let marked = format!("{account_name}/{name}={}", secret.expose());
                    let print = self.print(marked.as_bytes());
                    if identifies(name) && !grant.is_empty() {
                        grant.insert(key.clone(), print);
                    }
                    if identifies(name) { &mut identity } else { &mut parts }.insert(key, print);
                }
                // What stands there is compared by the agent itself, whenever it changes.
                _ => drop(parts.insert(key, print)),
            }
        }
        let sinks = sinks.iter().map(|sink| (sink.id(), self.sink(sink))).collect();
        AccountMakeup { identity, grant, parts, sinks }
    }

    fn definition(&mut self, definition: &std::sync::Arc<Definition>) -> u16 {
        if let Some(known) = self.definitions.get(&std::sync::Arc::as_ptr(definition)) {
            return *known;
        }
        let print = self.print(format!("{definition:?}").as_bytes());
        self.definitions.insert(std::sync::Arc::as_ptr(definition), print);
        print
    }

    fn sink(&self, sink: &Sink) -> TargetMakeup {
        // Where it stands is its id.
        let (look, on_remove) = match sink {
            Sink::File(file) => {
                let FileSink { path: _, content, mode, owner, group, write, when_expired, on_remove } = file;
                let form = match content {
                    Content::Template(text) => self.part("template", text),
                    bare => self.part("content", bare),
                };
                let look = [
                    form,
                    self.part("mode", mode),
                    self.part("owner", owner),
                    self.part("group", group),
                    self.part("write", write),
                    self.part("when_expired", when_expired),
                ];
                (look.into(), on_remove)
            }
            Sink::Vault(VaultSink { mount: _, path: _, kv, fields, on_remove }) => {
                ([self.part("fields", fields), self.part("kv", kv)].into(), on_remove)
            }
            Sink::Kubernetes(KubernetesSink { secret: _, namespace: _, keys, on_remove }) => {
                ([self.part("keys", keys)].into(), on_remove)
            }
        };
        self.target(look, Parts::new(), *on_remove)
    }

    fn template(&self, template: &TemplateTarget) -> TargetMakeup {
        // The accounts are those that the text names.
        let TemplateTarget { path: _, form, accounts: _, mode, owner, group, on_remove, on_change } =
            template;
        let mut look: Parts =
            [self.part("mode", mode), self.part("owner", owner), self.part("group", group)].into();
        match form {
            TemplateForm::File { text, write } => {
                look.extend([self.part("text", written(text)), self.part("write", write)]);
            }
            TemplateForm::Directory(files) => {
                look.extend([self.part("files", &files.keys())]);
                look.extend(
                    files.iter().map(|(name, text)| self.part(&format!("text of {name}"), written(text))),
                );
            }
        }
        self.target(look, [self.part("on_change", on_change)].into(), *on_remove)
    }

    fn target(&self, look: Parts, mut parts: Parts, on_remove: OnRemove) -> TargetMakeup {
        parts.extend([self.part("on_remove", &on_remove)]);
        TargetMakeup { look, parts, delete_on_remove: Some(on_remove == OnRemove::Delete) }
    }
}

/// What a template says, wherever it stands.
fn written(TemplateText { source: _, text }: &TemplateText) -> &String {
    text
}

/// The names of the parts that differ, or that one has and the other has not. Nothing where one has none at all: that one
/// is not known.
#[must_use]
pub fn changed(before: &Parts, after: &Parts) -> Vec<String> {
    if before.is_empty() || after.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<String> = after
        .iter()
        .filter(|(name, print)| before.get(*name) != Some(print))
        .map(|(name, _)| name.clone())
        .collect();
    names.extend(before.keys().filter(|name| !after.contains_key(*name)).cloned());
    names
}

#[cfg(test)]
mod tests;
