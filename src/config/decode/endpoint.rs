//! Where an account's requests go: URLs, host, and how hard that host may be pressed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use url::Url;

use super::scalar::Refusal;
use super::{Fields, Report, template, urls};
use crate::config::definition::{Definition, Operation, Param};
use crate::config::model::{Limit, Limits};
use crate::domain::host_port;

/// URLs that were rendered before: accounts of one provider mostly share them.
#[derive(Default)]
pub(super) struct Endpoints {
    known: HashMap<Key, Endpoint>,
}

/// The definition's address, base URL, environment, params.
type Key = (usize, String, String, Vec<String>);

/// Where one account's requests go.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) issue: Option<Url>,
    pub(super) refresh: Option<Url>,
    pub(super) host: String,
}

impl Endpoints {
    /// The account's URLs; `None` where they cannot be made (reported).
    pub(super) fn of(
        &mut self,
        report: &mut Report,
        fields: &Fields<'_, '_>,
        definition: &Arc<Definition>,
        environment: &str,
        base_url: Option<&Url>,
        params: &BTreeMap<String, String>,
    ) -> Option<Endpoint> {
        let key: Key = (
            Arc::as_ptr(definition).addr(),
            base_url.map(|url| url.as_str().to_owned()).unwrap_or_default(),
            environment.to_owned(),
            params.values().cloned().collect(),
        );
        if let Some(endpoint) = self.known.get(&key) {
            return Some(endpoint.clone());
        }
        let values = minijinja::context! {
            params => params,
            environment => environment,
            base_url => base_url.map(|url| url.as_str().trim_end_matches('/')).unwrap_or_default(),
        };
        let mut render = |operation: Option<&Operation>| match operation {
            None => Some(None),
            Some(operation) => url(report, fields, definition, operation, base_url, &values).map(Some),
        };
        let issue = render(definition.issue.as_ref());
        let refresh = render(definition.refresh.as_ref());
        let (issue, refresh) = (issue?, refresh?);
        let host = issue.as_ref().or(refresh.as_ref()).map(host_port)?;
        let endpoint = Endpoint { issue, refresh, host };
        self.known.insert(key, endpoint.clone());
        Some(endpoint)
    }
}

impl Endpoint {
    /// The configuration's limit of the host, lowered by the definition. Where the host is named with `rate: off`,
    /// the definition's rate is set aside too.
    pub(super) fn limit(&self, limits: &Limits, definition: &Definition) -> Limit {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let named = limits.hosts.get(&self.host).or_else(|| limits.hosts.get(name));
        let base = *named.unwrap_or(&limits.default);
        let own = definition.limits;
        let period = match named {
            Some(Limit { period: None, .. }) => None,
            _ => base.period.max(own.period),
        };
        Limit {
            period,
            burst: own.burst.map_or(base.burst, |burst| burst.min(base.burst)),
            concurrency: own.concurrency.map_or(base.concurrency, |most| most.min(base.concurrency)),
        }
    }
}

fn url(
    report: &mut Report,
    fields: &Fields<'_, '_>,
    definition: &Definition,
    operation: &Operation,
    base_url: Option<&Url>,
    values: &minijinja::Value,
) -> Option<Url> {
    let text = operation.request.url.as_str();
    let made = match text.contains('{') {
        true => template::render(text, values),
        false => Ok(text.to_owned()),
    };
    let whole = made.and_then(|made| match (made.starts_with('/'), base_url) {
        (false, _) => urls::endpoint(&made),
        (true, Some(base)) => urls::endpoint(&urls::join(base, &made)),
        (true, None) => Err(Refusal::because(format!("`{}` needs `base_url`", definition.name))
            .with_hint("add `base_url: https://HOST`")),
    });
    match whole {
        Ok(url) => Some(url),
        Err(Refusal { message, hint }) => {
            let given = |name: &str| fields.node("params").is_some_and(|node| node.entry(name).is_some());
            let unset = |param: &Param| param.required && !given(&param.name);
            if fields.has("base_url") && base_url.is_none()
                || definition.params.iter().any(|param| unset(param) && uses(text, &param.name))
            {
                return None;
            }
            let place = culprit(fields, text);
            let message =
                message.unwrap_or_else(|| "what is given does not make the URL of a token API".to_owned());
            report.error(place, message).hint = hint;
            None
        }
    }
}

/// The place of what the account gave to the URL.
fn culprit(fields: &Fields<'_, '_>, template: &str) -> crate::config::tree::Place {
    let given = fields.node("params").and_then(|node| node.entries()).unwrap_or_default();
    let used = given.iter().find(|entry| uses(template, &entry.key));
    match used {
        Some(entry) => entry.node.place,
        None => fields.place_of(if fields.has("base_url") { "base_url" } else { "provider" }),
    }
}

fn uses(template: &str, param: &str) -> bool {
    template.contains(&format!("params.{param}"))
}
