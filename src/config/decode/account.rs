//! One account: defaults merged in, its provider resolved, everything checked.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::catalog::{Catalog, Found};
use super::endpoint::Endpoints;
use super::renew::{Calendars, is_duration, renew};
use super::template::Templates;
use super::{Fields, Report, hook, http, scalar, secret, sink, urls};
use crate::config::definition::{Definition, ExpiryRule};
use crate::config::model::{Account, Limits, SecretSource, Sink, VaultKey};
use crate::config::shape::ACCOUNT;
use crate::config::tree::{Entry, Node, Place, Value, overlay};
use crate::config::words;
use crate::domain::AccountId;

/// Decodes accounts one after the other; what many of them share is made once.
pub(crate) struct Accounts<'a> {
    limits: &'a Limits,
    defaults: Option<&'a Node<'a>>,
    catalog: Catalog<'a>,
    calendars: Calendars,
    templates: Templates<'a>,
    endpoints: Endpoints,
    /// Where the entries of `defaults` stand that some account's provider knows, and those that none did so far.
    fitting: HashSet<Place>,
    misfits: BTreeMap<Place, (String, String)>,
    /// `$POD_NAMESPACE`.
    pod_namespace: Option<String>,
    /// Every sink, also of accounts with errors: for the checks across accounts.
    pub(crate) sinks: Vec<Written>,
    /// Every secret that comes from Vault, with its place.
    pub(crate) vault_keys: Vec<(VaultKey, Place)>,
    /// The accounts without errors.
    pub(crate) resolved: Vec<Resolved>,
}

/// What a sink writes.
pub(crate) struct Written {
    /// Whose sink it is.
    pub(crate) account: AccountId,
    /// Where to.
    pub(crate) target: Target,
    /// Where that stands.
    pub(crate) place: Place,
}

/// Where a sink writes.
pub(crate) enum Target {
    /// A file.
    File(PathBuf),
    /// A secret in Vault, by the sink's id.
    Vault(String),
    /// A Kubernetes Secret, by the sink's id.
    Kubernetes(String),
}

/// An account without errors.
pub(crate) struct Resolved {
    /// The account.
    pub(crate) account: Arc<Account>,
    /// Where its name stands.
    pub(crate) place: Place,
}

impl<'a> Accounts<'a> {
    /// Before the first account.
    pub(crate) fn new(
        limits: &'a Limits,
        defaults: Option<&'a Node<'a>>,
        catalog: Catalog<'a>,
        templates: Templates<'a>,
        pod_namespace: Option<String>,
    ) -> Self {
        Self {
            limits,
            defaults,
            catalog,
            calendars: Calendars::default(),
            templates,
            endpoints: Endpoints::default(),
            fitting: HashSet::new(),
            misfits: BTreeMap::new(),
            pod_namespace,
            sinks: Vec::new(),
            vault_keys: Vec::new(),
            resolved: Vec::new(),
        }
    }

    /// Decodes one account.
    pub(crate) fn add(&mut self, report: &mut Report, entry: &Entry<'_>) {
        let Ok(name) = AccountId::new(&entry.key) else {
            report
                .error(entry.place, "not an account's name")
                .hint("1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit");
            return;
        };
        let errors = report.errors.len();
        let merged = self.merged(&entry.node);
        let account = self.decode(report, &name, &merged, entry.place);
        if let Some(account) = account
            && report.errors.len() == errors
        {
            self.resolved.push(Resolved { account: Arc::new(account), place: entry.place });
        }
    }

    /// After the last account: what `defaults` gives that no account's provider takes.
    pub(crate) fn finish(&mut self, report: &mut Report) {
        for (place, (message, hint)) in std::mem::take(&mut self.misfits) {
            if !self.fitting.contains(&place) {
                report.error(place, message).hint(hint);
            }
        }
    }

    /// The account on top of the defaults. An account's `environment` sets aside the defaults' `base_url`, its
    /// `verify` all of the defaults'.
    fn merged<'n>(&self, own: &Node<'n>) -> Node<'n>
    where
        'a: 'n,
    {
        let Some(defaults) = self.defaults else { return own.clone() };
        let mut merged = overlay(defaults, own, 2);
        let Value::Mapping(entries) = &merged.value else { return merged };
        let own_place = own.entry("base_url").is_none() && own.entry("environment").is_some();
        let own_verify = own.entry("verify").filter(|_| defaults.entry("verify").is_some());
        if own_place || own_verify.is_some() {
            let stays = |entry: &&Entry<'n>| !own_place || &*entry.key != "base_url";
            let whole = |entry: &Entry<'n>| match own_verify {
                Some(own) if *entry.key == *own.key => own.clone(),
                _ => entry.clone(),
            };
            merged.value = Value::Mapping(entries.iter().filter(stays).map(whole).collect());
        }
        merged
    }

    fn decode(
        &mut self,
        report: &mut Report,
        name: &AccountId,
        node: &Node<'_>,
        place: Place,
    ) -> Option<Account> {
        let fields = Fields::read(report, &ACCOUNT, node, place)?;
        let definition = self.definition(report, &fields);
        let known = definition.as_deref();

        let credentials = self.credentials(report, name, &fields, known);
        let params = self.params(report, &fields, known);
        let (environment, base_url) = target(report, &fields, known);
        let defaults = self.defaults.map(|defaults| defaults.place);
        let inherited = move |place: Place| within(defaults, place);
        let renew = renew(report, &fields, known, &mut self.calendars, &inherited);
        let http = http::http(report, &fields);
        let verify = hook::verify(report, &fields);
        let on_change = hook::hooks(report, &fields);
        let owner = known.map(|definition| (name, definition));
        let sinks = sink::sinks(report, &fields, &mut self.templates, owner, self.pod_namespace.as_deref());
        for (sink, place) in &sinks {
            let target = match sink {
                Sink::File(file) => Target::File(file.path.clone()),
                Sink::Vault(_) => Target::Vault(sink.id()),
                Sink::Kubernetes(_) => Target::Kubernetes(sink.id()),
            };
            self.sinks.push(Written { account: name.clone(), target, place: *place });
        }

        let provider = definition.clone()?;
        if base_url.is_none() && fields.has("environment") && !provider.environments.is_empty() {
            return None;
        }
        let reach =
            self.endpoints.of(report, &fields, &provider, &environment, base_url.as_ref(), &params)?;
        let limit = reach.limit(self.limits, &provider);
        Some(Account {
            name: name.clone(),
            environment,
            base_url,
            issue_url: reach.issue,
            refresh_url: reach.refresh,
            host: reach.host,
            limit,
            credentials,
            params,
            renew,
            http,
            verify,
            sinks: sinks.into_iter().map(|(sink, _)| sink).collect(),
            on_change,
            provider,
        })
    }

    fn definition(&mut self, report: &mut Report, fields: &Fields<'_, '_>) -> Option<Arc<Definition>> {
        let name = fields.text(report, "provider")?;
        let place = fields.place_of("provider");
        match self.catalog.find(name) {
            Found::Definition(definition) => Some(definition),
            Found::Broken => None,
            Found::Fault(problems) => {
                report.error(place, format!("the built-in definition is broken:\n{problems}"));
                None
            }
            Found::Unknown => {
                let hint = words::suggest(name, self.catalog.names().into_iter(), "there are");
                report.error(place, format!("unknown provider {}", words::echo(name))).hint(hint);
                None
            }
        }
    }

    fn credentials(
        &mut self,
        report: &mut Report,
        name: &AccountId,
        fields: &Fields<'_, '_>,
        definition: Option<&Definition>,
    ) -> BTreeMap<String, SecretSource> {
        let mut credentials = BTreeMap::new();
        let mut misspelt = Vec::new();
        let entries = fields.map(report, "credentials");
        for entry in entries {
            let source = secret::secret(report, entry);
            let known = definition.and_then(|definition| definition.credential(&entry.key));
            if let (Some(source), true) = (&source, known.is_some() || definition.is_none()) {
                let what = format!("account `{name}`, credential {}", words::echo(&entry.key));
                let longest = known.and_then(|known| known.max_length);
                let public = known.is_none_or(|known| known.identity);
                report.secret(entry.node.place, what, source, longest, public);
            }
            let Some(definition) = definition else { continue };
            let Some(known) = known else {
                let names = definition.credentials.iter().map(|known| known.name.as_str());
                let near = words::nearest(&entry.key, names.clone());
                // A lone word may be a secret that has lost its key.
                let lone = entry.node.is_null() && near.is_none();
                let word = if lone { "this one".to_owned() } else { words::echo(&entry.key) };
                let message = format!("`{}` has no credential {word}", definition.name);
                let hint = words::suggest(&entry.key, names, "its credentials are");
                let is_told = self.unknown(report, entry.place, message, hint);
                misspelt.extend(near.filter(|_| is_told));
                continue;
            };
            self.fitting.insert(entry.place);
            if let (Some(SecretSource::Inline(secret)), Some(most)) = (&source, known.max_length)
                && secret.expose().chars().count() > most
            {
                report.error(entry.node.place, format!("`{}` has {most} characters at most", known.name));
            }
            if let Some(SecretSource::Vault(key)) = &source {
                self.vault_keys.push((key.clone(), entry.node.place));
            }
            if let Some(source) = source {
                credentials.insert(known.name.clone(), source);
            }
        }
        let unreadable = fields.is_misspelt("credentials")
            || fields.node("credentials").is_some_and(|node| node.entries().is_none());
        for known in definition.map(|definition| definition.credentials.as_slice()).unwrap_or_default() {
            let is_there = entries.iter().any(|entry| *entry.key == *known.name);
            // What was misspelt has been told with the right name.
            if !unreadable && !known.optional && !is_there && !misspelt.contains(&known.name.as_str()) {
                let place = fields.entry("credentials").map_or(fields.place, |entry| entry.place);
                let form = format!("{}: {{ file: /run/secrets/NAME }}", known.name);
                let form = match fields.has("credentials") {
                    true => format!("add it under `credentials`, as in `{form}`"),
                    false => format!("add `credentials: {{ {form} }}`"),
                };
                report.error(place, format!("credential `{}` is missing", known.name)).hint(
                    match known.description.as_str() {
                        "" => form,
                        vendors_word => format!("{form} ({vendors_word})"),
                    },
                );
            }
        }
        credentials
    }

    fn params(
        &mut self,
        report: &mut Report,
        fields: &Fields<'_, '_>,
        definition: Option<&Definition>,
    ) -> BTreeMap<String, String> {
        let given = fields.text_map(report, "params");
        let mut params = BTreeMap::new();
        let mut misspelt = Vec::new();
        let Some(definition) = definition else { return params };
        for (entry, text) in given {
            let Some(known) = definition.param(&entry.key) else {
                let names = definition.params.iter().map(|known| known.name.as_str());
                let message = format!("`{}` has no param {}", definition.name, words::echo(&entry.key));
                let near = words::nearest(&entry.key, names.clone());
                let hint = words::suggest(&entry.key, names, "its params are");
                let is_told = self.unknown(report, entry.place, message, hint);
                misspelt.extend(near.filter(|_| is_told));
                continue;
            };
            self.fitting.insert(entry.place);
            let told_by = |rule: &ExpiryRule| matches!(rule, ExpiryRule::Param(name) if *name == known.name);
            let operations = [&definition.issue, &definition.refresh].into_iter().flatten();
            if !known.one_of.is_empty() && !known.one_of.iter().any(|one| one == text) {
                let allowed = words::list(known.one_of.iter().map(String::as_str));
                report.error(entry.node.place, format!("param `{}` must be one of {allowed}", known.name));
            } else if text.chars().any(char::is_control) {
                report.error(entry.node.place, "a control character or a line break in a param");
            } else if !text.is_empty()
                && operations.flat_map(|operation| &operation.expiry).any(told_by)
                && !is_duration(text)
            {
                report.error(entry.node.place, "expected a duration such as `90s`, `10m` or `1h30m`");
            }
            params.insert(known.name.clone(), text.to_owned());
        }
        for known in &definition.params {
            let value = params.entry(known.name.clone()).or_insert_with(|| known.default.clone());
            let given = fields.node("params").is_some_and(|node| {
                node.entry(&known.name)
                    .is_some_and(|entry| entry.node.scalar().is_none_or(|s| !s.text.is_empty()))
            });
            let is_misspelt = fields.is_misspelt("params") || misspelt.contains(&known.name.as_str());
            if known.required && value.is_empty() && !given && !is_misspelt {
                let place = fields.entry("params").map_or(fields.place, |entry| entry.place);
                let finding = report.error(place, format!("param `{}` is missing", known.name));
                finding.hint(match known.description.as_str() {
                    "" => format!("add it under `params`, as in `{}: VALUE`", known.name),
                    description => description.to_owned(),
                });
            }
        }
        params
    }

    /// A name that the provider does not know: an error, but in `defaults` only where no account's provider does. Whether
    /// it is told for certain.
    fn unknown(&mut self, report: &mut Report, place: Place, message: String, hint: String) -> bool {
        let inherited = within(self.defaults.map(|defaults| defaults.place), place);
        if inherited {
            self.misfits.entry(place).or_insert((message, hint));
        } else {
            report.error(place, message).hint(hint);
        }
        !inherited
    }
}

/// The environment's name and the base URL. Where both are given, `base_url` says where, and the environment is
/// part of what a stored token belongs to.
fn target(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    definition: Option<&Definition>,
) -> (String, Option<url::Url>) {
    let base_url = fields.parsed(report, "base_url", urls::base);
    let environment = fields.parsed(report, "environment", scalar::name);
    let Some(definition) = definition else { return (String::new(), base_url) };
    if fields.has("base_url") && !fields.has("environment") {
        return (String::new(), base_url);
    }
    let environments = &definition.environments;
    let chosen = match &environment {
        None => environments.get(definition.default_environment),
        Some(name) => {
            let chosen = environments.iter().find(|environment| environment.name == *name);
            if chosen.is_none() {
                let names = environments.iter().map(|environment| environment.name.as_str());
                let place = fields.place_of("environment");
                let finding = report
                    .error(place, format!("`{}` has no environment {}", definition.name, words::echo(name)));
                match environments.is_empty() {
                    true => finding.hint("it is told where the API is by `base_url` or a param"),
                    false => finding.hint(words::suggest(name, names, "its environments are")),
                };
            }
            chosen
        }
    };
    match chosen {
        Some(environment) => {
            (environment.name.clone(), base_url.or_else(|| Some(environment.base_url.clone())))
        }
        None => (String::new(), base_url),
    }
}

fn within(outer: Option<Place>, inner: Place) -> bool {
    outer.is_some_and(|outer| {
        outer.file == inner.file && outer.start <= inner.start && inner.start < outer.end
    })
}
