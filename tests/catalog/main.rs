//! The built-in definitions against the vendors' facts: the shared vectors, what each error means, and what is sent.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod errors;
mod requests;
mod vectors;

use std::collections::BTreeMap;

use renewd::config::definition::Definition;
use renewd::domain::Timestamp;
use renewd::provider::{Failure, Issued, OperationKind, RawReply, Reading, catalog, read};

/// The built-in definition of that name.
fn built_in(name: &str) -> Definition {
    let (_, text) = catalog::texts().iter().find(|(known, _)| *known == name).expect(name);
    parsed(name, text)
}

fn parsed(name: &str, text: &str) -> Definition {
    match renewd::config::parse_definition(name, &format!("{name}.yaml"), text) {
        Ok(definition) => definition,
        Err(problems) => panic!("{problems}"),
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> RawReply {
    RawReply {
        status,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: body.as_bytes().to_vec().into(),
    }
}

/// Reads a reply that was sent for and received at `t0`.
fn read_at(
    definition: &Definition,
    kind: OperationKind,
    t0: Timestamp,
    reply: &RawReply,
) -> Result<Issued, Failure> {
    let operation = match kind {
        OperationKind::Issue => definition.issue.as_ref(),
        OperationKind::Refresh => definition.refresh.as_ref(),
    };
    let operation = operation.expect("the definition has that operation");
    let params: BTreeMap<_, _> =
        definition.params.iter().map(|param| (param.name.clone(), param.default.clone())).collect();
    read(
        &Reading {
            definition,
            kind,
            operation,
            params: &params,
            t0,
            received_at: t0,
            repeated: false,
            secrets: &[],
        },
        reply,
    )
}

#[test]
fn every_definition_parses_cites_its_source_and_takes_the_contracts_credentials() {
    let contract: [(&str, &[&str]); 10] = [
        ("bizppurio", &["account", "password"]),
        ("bizppurio-napi", &["bizId", "apiKey"]),
        ("bizppurio-rcs", &["bizId", "apiKey"]),
        ("kis", &["appkey", "appsecret"]),
        ("kiwoom", &["appkey", "secretkey"]),
        ("oauth2-client-credentials", &["client_id", "client_secret"]),
        ("oauth2-refresh-token", &["client_id", "client_secret", "refresh_token"]),
        ("portone", &["apiSecret"]),
        ("portone-v1", &["imp_key", "imp_secret"]),
        ("rcs-biz-center", &["clientId", "clientSecret"]),
    ];
    assert_eq!(
        catalog::texts().iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        contract.map(|(name, _)| name)
    );
    for (name, credentials) in contract {
        let definition = built_in(name);
        let names: Vec<_> =
            definition.credentials.iter().map(|credential| credential.name.as_str()).collect();
        assert_eq!(names, credentials, "{name}");
        assert!(
            definition.credentials.iter().any(|credential| credential.identity || credential.owns_refresh),
            "{name}: whose token is it?"
        );
        assert!(!definition.docs.is_empty(), "{name}");
        assert!(!definition.title.is_empty(), "{name}");
        let default = definition.environments.get(definition.default_environment).map(|it| it.name.as_str());
        assert_eq!(default.is_none(), name.starts_with("oauth2-"), "{name}");
        assert!(default.is_none_or(|default| default == "production"), "{name}");
    }
}

#[test]
fn documented_lives_and_limits_are_the_vendors() {
    let secs = |span: Option<std::time::Duration>| span.map(|span| span.as_secs());
    for (name, life, refresh_life, min_interval) in [
        ("bizppurio", Some(86_400), None, None),
        ("bizppurio-napi", Some(14_400), Some(604_800), None),
        ("bizppurio-rcs", Some(3_600), None, None),
        ("kis", Some(86_400), None, Some(60)),
        ("portone", Some(1_800), Some(86_400), None),
        ("portone-v1", Some(1_800), None, None),
        ("rcs-biz-center", Some(3_600), None, None),
        ("oauth2-client-credentials", None, None, None),
    ] {
        let definition = built_in(name);
        assert_eq!(
            (secs(definition.life), secs(definition.refresh_life), secs(definition.min_interval)),
            (life, refresh_life, min_interval),
            "{name}"
        );
    }
    assert!(built_in("bizppurio").idle_timeout.as_secs() < 4, "the vendor closes idle connections after 4 s");
    assert!(built_in("portone").refresh_single_use);
    assert!(built_in("oauth2-refresh-token").refresh_single_use);
    assert!(!built_in("bizppurio-napi").refresh_single_use);
    assert!(built_in("bizppurio").allow_list && built_in("rcs-biz-center").allow_list);
    assert_eq!(built_in("bizppurio-napi").limits.period, Some(std::time::Duration::from_secs(6)));
}

#[test]
fn accounts_of_every_definition_load_and_know_their_urls() {
    let text = "
accounts:
  bizppurio: { provider: bizppurio, credentials: { account: a, password: p } }
  bizppurio-staging: { provider: bizppurio, environment: staging, credentials: { account: a, password: p } }
  napi: { provider: bizppurio-napi, credentials: { bizId: a, apiKey: p } }
  rcs: { provider: bizppurio-rcs, credentials: { bizId: a, apiKey: p } }
  center: { provider: rcs-biz-center, credentials: { clientId: a, clientSecret: p } }
  portone: { provider: portone, credentials: { apiSecret: p } }
  portone-v1: { provider: portone-v1, credentials: { imp_key: a, imp_secret: p } }
  kis: { provider: kis, environment: virtual, credentials: { appkey: a, appsecret: p } }
  kiwoom: { provider: kiwoom, base_url: http://127.0.0.1:9/x, credentials: { appkey: a, secretkey: p } }
  client:
    provider: oauth2-client-credentials
    credentials: { client_id: a, client_secret: p }
    params: { token_url: https://id.example/oauth/token, scope: send read }
  client-base:
    provider: oauth2-client-credentials
    base_url: https://id.example/oauth2/token
    credentials: { client_id: a, client_secret: p }
  public: { provider: oauth2-refresh-token, credentials: { client_id: a, refresh_token: r }, params: { token_url: https://id.example/t } }
";
    let path = std::path::Path::new("/etc/renewd/renewd.yaml");
    let loaded = renewd::config::load_text(path, text, &|_| None, catalog::texts());
    let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
    for (name, issue, refresh) in [
        ("bizppurio", "https://api.bizppurio.com/v1/token", ""),
        ("bizppurio-staging", "https://dev-api.bizppurio.com/v1/token", ""),
        ("napi", "https://napi.bizppurio.com/token/refresh", "https://napi.bizppurio.com/token/access"),
        (
            "rcs",
            "https://rapi.bizppurio.com/rcsapi/v1/token",
            "https://rapi.bizppurio.com/rcsapi/v1/refresh_token",
        ),
        ("center", "https://api.rcsbizcenter.com/api/1.1/token", ""),
        ("portone", "https://api.portone.io/login/api-secret", "https://api.portone.io/token/refresh"),
        ("portone-v1", "https://api.iamport.kr/users/getToken", ""),
        ("kis", "https://openapivts.koreainvestment.com:29443/oauth2/tokenP", ""),
        ("kiwoom", "http://127.0.0.1:9/x/oauth2/token", ""),
        ("client", "https://id.example/oauth/token", ""),
        ("client-base", "https://id.example/oauth2/token", ""),
        ("public", "", "https://id.example/t"),
    ] {
        let account = &config.accounts[name];
        let text = |url: &Option<url::Url>| url.as_ref().map_or_else(String::new, ToString::to_string);
        assert_eq!(
            (text(&account.issue_url), text(&account.refresh_url)),
            (issue.to_owned(), refresh.to_owned())
        );
    }
}
