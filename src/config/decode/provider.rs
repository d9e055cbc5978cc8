//! A provider's definition, from `providers:` or from the catalogue.

use std::time::Duration;

use super::operation::{Scope, operation};
use super::{Fields, Report, scalar, urls};
use crate::config::definition::{Credential, Definition, Environment, LimitOverride, OldToken, Param};
use crate::config::shape::{CREDENTIAL, OPERATION, OWN_LIMITS, PARAM, PROVIDER, REFRESH_TOKEN, RESPONSE};
use crate::config::tree::{Entry, Node, Place};
use crate::config::words;

const IDLE: Duration = Duration::from_secs(20);
const LINE: usize = 300;

/// The definition, where it has no error.
pub(crate) fn definition(
    report: &mut Report,
    name: &str,
    node: &Node<'_>,
    place: Place,
) -> Option<Definition> {
    let errors = report.errors.len();
    let fields = Fields::read(report, &PROVIDER, node, place)?;
    let environments = environments(report, &fields);
    let credentials: Vec<Credential> =
        fields.map(report, "credentials").iter().filter_map(|entry| credential(report, entry)).collect();
    let params: Vec<Param> =
        fields.map(report, "params").iter().filter_map(|entry| param(report, entry)).collect();
    let life = fields.duration(report, "life");
    if life == Some(Duration::ZERO) {
        report.error(fields.place_of("life"), "a life of nothing");
    }
    let common = fields.section(report, "response", &RESPONSE);
    let scope = Scope { credentials: &credentials, params: &params, life, common: common.as_ref() };
    let [issue, refresh] = ["issue", "refresh"].map(|key| {
        let own = fields.section(report, key, &OPERATION)?;
        operation(report, &own, &scope)
    });
    if !fields.has("issue") && !fields.has("refresh") {
        report.error(place, "a definition needs `issue`, `refresh` or both");
    }
    if !fields.has("issue") && fields.has("refresh") && !credentials.iter().any(|one| one.refresh_seed) {
        report
            .error(fields.place_of("refresh"), "`refresh` without `issue` needs a first refresh token")
            .hint("mark the credential that holds it with `refresh_seed: true`");
    }
    if let Some(owner) = credentials.iter().find(|one| one.owns_refresh)
        && !(fields.has("issue") && fields.has("refresh"))
    {
        let message = format!("`{}` owns no refresh token here", owner.name);
        report
            .error(fields.place_of("credentials"), message)
            .hint("`owns_refresh` is for a provider with `issue` and `refresh`");
    }
    let refresh_token = fields.section(report, "refresh_token", &REFRESH_TOKEN);
    let (single_use, refresh_life) = match &refresh_token {
        Some(own) => (own.boolean(report, "single_use"), own.duration(report, "life")),
        None => (None, None),
    };
    let definition = Definition {
        name: name.to_owned(),
        title: fields.parsed(report, "title", scalar::printable(LINE)).unwrap_or_else(|| name.to_owned()),
        docs: docs(report, &fields),
        default_environment: default_environment(report, &fields, &environments),
        environments,
        life,
        old_token: old_token(report, &fields),
        refresh_single_use: single_use.unwrap_or_else(|| fields.has("refresh")),
        refresh_life,
        reuse_window: fields.duration(report, "reuse_window"),
        min_interval: fields.duration(report, "min_interval"),
        allow_list: fields.boolean(report, "allow_list").unwrap_or(false),
        limits: own_limits(report, &fields),
        idle_timeout: fields.duration(report, "idle_timeout").unwrap_or(IDLE),
        issue,
        refresh,
        credentials,
        params,
    };
    (report.errors.len() == errors).then_some(definition)
}

/// A provider's name, checked.
pub(crate) fn check_name(report: &mut Report, entry: &Entry<'_>) -> bool {
    let fits = scalar::name(&entry.key).is_ok() && !entry.key.bytes().any(|byte| byte.is_ascii_uppercase());
    if !fits {
        report.error(entry.place, "not a provider's name: 1 to 64 of `a-z 0-9 . _ -`");
    }
    fits
}

fn docs(report: &mut Report, fields: &Fields<'_, '_>) -> Vec<String> {
    let mut docs = Vec::new();
    for (text, node) in fields.texts(report, "docs") {
        match urls::web(text) {
            Ok(_) => docs.push(text.to_owned()),
            Err(_) => {
                report.error(node.place, "expected the URL of a page");
            }
        }
    }
    docs
}

fn environments(report: &mut Report, fields: &Fields<'_, '_>) -> Vec<Environment> {
    let mut environments = Vec::new();
    for (entry, text) in fields.text_map(report, "environments") {
        if !known_name(report, entry) {
            continue;
        }
        match urls::base(text) {
            Ok(base_url) => environments.push(Environment { name: entry.key.to_string(), base_url }),
            Err(refusal) => {
                let message = refusal.message.unwrap_or_else(|| "expected a URL".to_owned());
                report.error(entry.node.place, message).hint = refusal.hint;
            }
        }
    }
    environments
}

fn default_environment(report: &mut Report, fields: &Fields<'_, '_>, environments: &[Environment]) -> usize {
    let position = |name: &str| environments.iter().position(|environment| environment.name == name);
    let Some(name) = fields.text(report, "default_environment") else {
        return position("production").unwrap_or(0);
    };
    position(name).unwrap_or_else(|| {
        let names = environments.iter().map(|environment| environment.name.as_str());
        report
            .error(fields.place_of("default_environment"), "not one of `environments`")
            .hint(words::suggest(name, names, "there are"));
        0
    })
}

fn credential(report: &mut Report, entry: &Entry<'_>) -> Option<Credential> {
    let named = known_name(report, entry);
    let fields = Fields::read(report, &CREDENTIAL, &entry.node, entry.place)?;
    let credential = Credential {
        name: entry.key.to_string(),
        identity: fields.boolean(report, "identity").unwrap_or(false),
        optional: fields.boolean(report, "optional").unwrap_or(false),
        max_length: fields.count(report, "max_length").and_then(|most| usize::try_from(most).ok()),
        refresh_seed: fields.boolean(report, "refresh_seed").unwrap_or(false),
        owns_refresh: fields.boolean(report, "owns_refresh").unwrap_or(false),
        description: fields.parsed(report, "description", scalar::printable(LINE)).unwrap_or_default(),
    };
    named.then_some(credential)
}

fn param(report: &mut Report, entry: &Entry<'_>) -> Option<Param> {
    let named = known_name(report, entry);
    let fields = Fields::read(report, &PARAM, &entry.node, entry.place)?;
    let param = Param {
        name: entry.key.to_string(),
        required: fields.boolean(report, "required").unwrap_or(false),
        default: fields.text(report, "default").unwrap_or_default().to_owned(),
        one_of: fields.texts(report, "one_of").into_iter().map(|(text, _)| text.to_owned()).collect(),
        description: fields.parsed(report, "description", scalar::printable(LINE)).unwrap_or_default(),
    };
    fields.not_empty(report, "one_of");
    if !param.default.is_empty() && !param.one_of.is_empty() && !param.one_of.contains(&param.default) {
        report.error(fields.place_of("default"), "the default is not one of `one_of`");
    }
    named.then_some(param)
}

fn known_name(report: &mut Report, entry: &Entry<'_>) -> bool {
    let refusal = scalar::name(&entry.key).err();
    if let Some(message) = refusal.as_ref().and_then(|refusal| refusal.message.clone()) {
        report.error(entry.place, message);
    }
    refusal.is_none()
}

fn old_token(report: &mut Report, fields: &Fields<'_, '_>) -> OldToken {
    const WORDS: [(&str, OldToken); 4] = [
        ("independent", OldToken::Independent),
        ("kills_old", OldToken::KillsOld),
        ("same_until", OldToken::SameUntil),
        ("extends", OldToken::Extends),
    ];
    fields.choice(report, "old_token", &WORDS).unwrap_or(OldToken::KillsOld)
}

fn own_limits(report: &mut Report, fields: &Fields<'_, '_>) -> LimitOverride {
    let Some(own) = fields.section(report, "limits", &OWN_LIMITS) else { return LimitOverride::default() };
    LimitOverride {
        period: own.parsed(report, "rate", scalar::rate).flatten(),
        burst: own.count(report, "burst"),
        concurrency: own.count(report, "concurrency"),
    }
}
