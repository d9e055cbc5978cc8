//! What a configuration is made of, part by part, as fingerprints: by them `renewd plan` tells what a reload changes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::config::definition::Definition;
use crate::config::model::{
    Account, Config, Content, OnRemove, SecretSource, Sink, TemplateForm, TemplateTarget,
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
        let agent = &config.agent;
        let parts = [
            maker.part("agent.state_dir", &agent.state_dir),
            maker.part("agent.socket", &agent.socket),
            maker.part("agent.listen", &agent.listen),
            maker.part("agent.shutdown_grace", &agent.shutdown_grace),
            maker.part("agent.log.level", &agent.log.level),
            maker.part("agent.log.format", &agent.log.format),
            maker.part("vault", &config.vault),
        ];
        let accounts = config.accounts.values().map(|one| (one.name.clone(), maker.account(one)));
        let accounts = accounts.collect();
        let template = |one: &std::sync::Arc<TemplateTarget>| {
            (format!("template:{}", one.path.display()), maker.template(one))
        };
        let templates = config.templates.iter().map(template).collect();
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

    fn account(&mut self, account: &Account) -> AccountMakeup {
        let identifies = |name: &str| account.provider.credential(name).is_some_and(|known| known.identity);
        let mut identity: Parts = [
            self.part("provider", &account.provider.name),
            self.part("base_url", &account.base_url),
            self.part("environment", &account.environment),
            self.part("params", &account.params),
        ]
        .into();
        let mut parts: Parts = [
            self.part("renew", &account.renew),
            self.part("http", &account.http),
            self.part("verify", &account.verify),
            self.part("limits", &account.limit),
            self.part("on_change", &account.on_change),
            self.part("credentials", &account.credentials.keys()),
        ]
        .into();
        parts.insert("the provider's definition".to_owned(), self.definition(&account.provider));
        for (name, source) in &account.credentials {
            let (key, print) = self.part(&format!("credentials.{name}"), source);
            match source {
                SecretSource::Inline(secret) => {
                    let marked = format!("{}/{name}={}", account.name, secret.expose());
                    let print = self.print(marked.as_bytes());
                    if identifies(name) { &mut identity } else { &mut parts }.insert(key, print);
                }
                // What stands there is compared by the agent itself, whenever it changes.
                _ => drop(parts.insert(key, print)),
            }
        }
        let sinks = account.sinks.iter().map(|sink| (sink.id(), self.sink(sink))).collect();
        AccountMakeup { identity, parts, sinks }
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
        let (look, on_remove) = match sink {
            Sink::File(file) => {
                let form = match &file.content {
                    Content::Template(text) => self.part("template", text),
                    bare => self.part("content", bare),
                };
                let look = [
                    form,
                    self.part("mode", &file.mode),
                    self.part("owner", &file.owner),
                    self.part("group", &file.group),
                    self.part("write", &file.write),
                    self.part("when_expired", &file.when_expired),
                ];
                (look.into(), file.on_remove)
            }
            Sink::Vault(vault) => {
                ([self.part("fields", &vault.fields), self.part("kv", &vault.kv)].into(), vault.on_remove)
            }
            Sink::Kubernetes(secret) => ([self.part("keys", &secret.keys)].into(), secret.on_remove),
        };
        self.target(look, Parts::new(), on_remove)
    }

    fn template(&self, template: &TemplateTarget) -> TargetMakeup {
        let mut look: Parts = [
            self.part("mode", &template.mode),
            self.part("owner", &template.owner),
            self.part("group", &template.group),
        ]
        .into();
        match &template.form {
            TemplateForm::File { text, write } => {
                look.extend([self.part("text", &text.text), self.part("write", write)]);
            }
            TemplateForm::Directory(files) => {
                look.extend([self.part("files", &files.keys())]);
                look.extend(
                    files.iter().map(|(name, text)| self.part(&format!("text of {name}"), &text.text)),
                );
            }
        }
        self.target(look, [self.part("on_change", &template.on_change)].into(), template.on_remove)
    }

    fn target(&self, look: Parts, mut parts: Parts, on_remove: OnRemove) -> TargetMakeup {
        parts.extend([self.part("on_remove", &on_remove)]);
        TargetMakeup { look, parts, delete_on_remove: Some(on_remove == OnRemove::Delete) }
    }
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
mod tests {
    use super::*;
    use crate::config;
    use crate::provider::catalog;

    fn makeup(text: &str) -> Makeup {
        let loaded = config::load_text("/etc/renewd.yaml".as_ref(), text, &|_| None, catalog::texts());
        Makeup::of(&loaded.unwrap_or_else(|problems| panic!("{problems}")).config, 7)
    }

    fn account(rest: &str) -> AccountMakeup {
        let text = format!("accounts: {{ a: {{ provider: bizppurio, {rest} }} }}");
        makeup(&text).accounts.into_values().next().unwrap()
    }

    #[test]
    fn each_part_that_differs_is_named_and_what_a_token_belongs_to_apart() {
        let old = account("credentials: { account: one, password: x }");
        assert_eq!(old, account("credentials: { account: one, password: x }"));
        let password = account("credentials: { account: one, password: y }");
        assert_eq!(changed(&old.parts, &password.parts), ["credentials.password"]);
        assert_eq!(changed(&old.identity, &password.identity), [""; 0]);
        let other = account("credentials: { account: two, password: x }");
        assert_eq!(changed(&old.identity, &other.identity), ["credentials.account"]);
        assert_eq!(changed(&old.parts, &other.parts), [""; 0]);
        let more =
            "verify: { url: \"https://h.example.com/me\" }, renew: { before: 5m }, on_change: [command: [a]]";
        let more = account(&format!("credentials: {{ account: one, password: x }}, {more}"));
        assert_eq!(changed(&old.parts, &more.parts), ["on_change", "renew", "verify"]);
    }

    #[test]
    fn what_is_told_holds_no_secret_and_comes_back_as_it_was() {
        let told = account(
            "credentials: { account: one, password: hunter2 }, on_change: [webhook: { url: \"https://h.example.com/hunter2\" }]",
        );
        let text = serde_json::to_string(&told).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(serde_json::from_str::<AccountMakeup>(&text).unwrap(), told);
    }
}
