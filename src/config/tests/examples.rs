//! What loads, and as what.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{BUILTIN, load, said, same};
use crate::config::model::{
    Calendar, Content, Lead, Limit, LogFormat, LogLevel, OnRemove, SecretSource, Sink, WhenExpired, WriteMode,
};
use crate::config::{load_text, parse_definition};
use crate::domain::Secret;

/// The contract's own example without the sections that are not built yet.
const CONTRACT: &str = r#"
include: [accounts.d/*.yaml]        # more files with accounts/templates/providers; relative to this file

agent:
  state_dir: /var/lib/renewd        # default: $STATE_DIRECTORY, else this
  socket: /run/renewd/renewd.sock   # default: $RUNTIME_DIRECTORY/renewd.sock; `off` disables; or { path, mode, group }
  listen: 127.0.0.1:9478            # health, metrics, status page; never serves a token; `off` disables
  shutdown_grace: 20s
  log: { level: info, format: auto }    # auto = text on a terminal, JSON lines elsewhere (journald fields ok)

limits:                             # how hard any one provider host may be pressed (not Vault or Kubernetes); a definition may lower it
  rate: 5/s
  burst: 10
  concurrency: 4
  hosts: { "127.0.0.1:9999": { rate: off, concurrency: 256 } }

defaults:                           # merged into every account that does not say otherwise
  renew: { before: 20% }

accounts:
  messaging:                        # the account's name: [a-z0-9][a-z0-9._-]{0,62}
    provider: bizppurio             # built in, or one under `providers:`
    base_url: https://api.bizppurio.com
    credentials:                    # the vendor's own names for them
      account: 00123
      password: { file: /run/secrets/bizppurio }
    params: { scope: "send read" }  # what a definition asks for beside secrets: scope, audience, tenant, token_url ...
    renew:
      before: 10m                   # lead time, or a share of the lifetime; default: see promises.md, an hour at most
      cron: "0 0 4 * * *"           # rotate at these times too
      timezone: Asia/Seoul
      min_interval: 60s             # never ask more often than this, also across restarts; default: the definition's, else none
    http: { timeout: 30s, proxy: http://proxy:3128, ca_file: /etc/ca.pem, client_cert_file: /etc/c.pem, client_key_file: /etc/k.pem, source_address: 192.0.2.7 }
    sinks:
      - file: /run/renewd/messaging.token              # short form: the bare token, mode 0600
      - file: { path: /run/renewd/messaging.json, content: json, mode: "0640", owner: root, group: app }

providers:                          # declared like the built-in ones, in the very same language
  my-api:
    life: 1h
    issue: { request: { url: "https://my.example.com/token" }, response: { token: /token } }
"#;

#[test]
fn the_contracts_example_loads() {
    let loaded = load(CONTRACT).unwrap_or_else(|problems| panic!("{problems}"));
    let warned: Vec<&str> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(warned, ["this pattern matches no file"], "its `accounts.d` is not there");
    let config = loaded.config;
    assert_eq!(config.path, Path::new("/etc/renewd/renewd.yaml"));
    assert_eq!(config.include_folders, [PathBuf::from("/etc/renewd/accounts.d")]);
    assert_eq!(config.agent.listen, Some("127.0.0.1:9478".parse().unwrap()));
    assert_eq!(config.agent.shutdown_grace, Duration::from_secs(20));
    assert_eq!((config.agent.log.level, config.agent.log.format), (LogLevel::Info, LogFormat::Auto));
    let named = config.limits.hosts["127.0.0.1:9999"];
    assert_eq!(named, Limit { period: None, burst: 10, concurrency: 256 });

    let account = &config.accounts["messaging"];
    assert_eq!(account.provider.name, "bizppurio");
    assert_eq!(account.environment, "");
    assert_eq!(account.issue_url.as_ref().map(url::Url::as_str), Some("https://api.bizppurio.com/v1/token"));
    assert_eq!(account.host, "api.bizppurio.com:443");
    assert_eq!(account.limit, Limit::default());
    assert_eq!(account.credentials["account"], SecretSource::Inline(Secret::from("00123")));
    assert_eq!(account.credentials["password"], SecretSource::File("/run/secrets/bizppurio".into()));
    assert_eq!((account.params["scope"].as_str(), account.params["kind"].as_str()), ("send read", "a"));
    assert_eq!(account.renew.before, Some(Lead::Time(Duration::from_secs(600))));
    let calendar = Calendar { expression: "0 0 4 * * *".to_owned(), timezone: "Asia/Seoul".to_owned() };
    assert_eq!(account.renew.cron, Some(calendar));
    assert_eq!(account.http.source_address, Some("192.0.2.7".parse().unwrap()));
    assert_eq!(account.http.client_identity, Some(("/etc/c.pem".into(), "/etc/k.pem".into())));
    let Sink::File(short) = &account.sinks[0] else { panic!("a file") };
    assert_eq!((short.mode, &short.content, short.write), (0o600, &Content::Token, WriteMode::Replace));
    assert_eq!((short.when_expired, short.on_remove), (WhenExpired::Keep, OnRemove::Keep));
    let Sink::File(long) = &account.sinks[1] else { panic!("a file") };
    assert_eq!((long.mode, &long.content), (0o640, &Content::Json));
    assert_eq!((long.owner.as_deref(), long.group.as_deref()), (Some("root"), Some("app")));
}

#[test]
fn the_smallest_configurations_load() {
    for text in ["accounts: {}", "\u{feff}accounts: {}\r\n", "# nothing yet\n---\naccounts: {}\n...\n"] {
        let loaded = load(text).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(loaded.config.accounts.is_empty());
        let agent = loaded.config.agent;
        assert_eq!(agent.state_dir, Path::new("/var/lib/renewd"));
        assert_eq!(
            agent.socket.map(|socket| (socket.path, socket.mode)),
            Some(("/run/renewd/renewd.sock".into(), 0o660))
        );
    }
}

#[test]
fn systemds_directories_are_the_defaults_and_off_means_none() {
    let env = |name: &str| match name {
        "STATE_DIRECTORY" => Some("/var/lib/private/renewd:/var/lib/other".to_owned()),
        "RUNTIME_DIRECTORY" => Some("/run/private/renewd".to_owned()),
        _ => None,
    };
    let of = |text: &str| load_text(Path::new("renewd.yaml"), text, &env, &BUILTIN).unwrap().config.agent;
    let agent = of("accounts: {}");
    assert_eq!(agent.state_dir, Path::new("/var/lib/private/renewd"));
    assert_eq!(agent.socket.unwrap().path, Path::new("/run/private/renewd/renewd.sock"));
    let agent = of("accounts: {}\nagent: { socket: off, listen: off, state_dir: /srv/state/ }");
    assert_eq!((agent.socket, agent.listen, agent.state_dir), (None, None, "/srv/state".into()));
}

#[test]
fn scalars_are_taken_as_written_where_text_is_meant() {
    let text = "accounts:\n  a:\n    provider: bizppurio\n    credentials: { account: no, password: \"a\\u0062c\" }\n    \
                params: { scope: 1e3 }\n";
    let config = load(text).unwrap_or_else(|problems| panic!("{problems}")).config;
    let account = &config.accounts["a"];
    assert_eq!(account.credentials["account"], SecretSource::Inline(Secret::from("no")));
    assert_eq!(account.credentials["password"], SecretSource::Inline(Secret::from("abc")));
    assert_eq!(account.params["scope"], "1e3");
    assert_eq!(account.environment, "production");
}

#[test]
fn defaults_fill_in_what_an_account_does_not_say() {
    let text = r#"
defaults:
  provider: bizppurio
  environment: staging
  credentials: { account: { env: ACCOUNT }, password: { file: /run/secrets/p } }
  renew: { before: 20%, timezone: Asia/Seoul }
  http: { timeout: 5s }
accounts:
  a: {}
  b: { base_url: "http://127.0.0.1:8080/api/1.1", renew: { cron: "0 0 4 * * *" }, credentials: { password: { env: P } } }
"#;
    let config = load(text).unwrap_or_else(|problems| panic!("{problems}")).config;
    let (a, b) = (&config.accounts["a"], &config.accounts["b"]);
    assert_eq!(a.issue_url.as_ref().map(url::Url::as_str), Some("https://dev-api.bizppurio.com/v1/token"));
    assert_eq!((a.environment.as_str(), b.environment.as_str()), ("staging", "staging"));
    assert_eq!(b.issue_url.as_ref().map(url::Url::as_str), Some("http://127.0.0.1:8080/api/1.1/v1/token"));
    assert_eq!(b.host, "127.0.0.1:8080");
    assert_eq!(b.renew.before, Some(Lead::Share(20_000)));
    assert_eq!(b.renew.cron.as_ref().map(|cron| cron.timezone.as_str()), Some("Asia/Seoul"));
    assert_eq!(b.credentials["account"], SecretSource::Env("ACCOUNT".to_owned()));
    assert_eq!(b.credentials["password"], SecretSource::Env("P".to_owned()));
    assert_eq!(b.http.timeout, Duration::from_secs(5));
    assert!(std::sync::Arc::ptr_eq(&a.provider, &b.provider));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "accounts:\n  a: &a\n    provider: bizppurio\n    credentials: &c { account: x, password: y }\n  b:\n    \
                <<: *a\n    environment: staging\n  c: { <<: [{ environment: staging }, *a], credentials: *c }\n";
    let config = load(text).unwrap_or_else(|problems| panic!("{problems}")).config;
    let environments: Vec<_> = config.accounts.values().map(|account| account.environment.as_str()).collect();
    assert_eq!(environments, ["production", "staging", "staging"]);
}

#[test]
fn a_definition_lowers_the_limits_of_its_host() {
    let account = |limits: &str| {
        let text = format!(
            "limits: {limits}\naccounts:\n  a:\n    provider: rotating\n    credentials: {{ client_id: x, refresh_token: y }}\n    \
             params: {{ token_url: \"https://id.example.com/token\" }}\n"
        );
        load(&text).unwrap_or_else(|problems| panic!("{problems}")).config.accounts["a"].limit
    };
    let limit = |millis: Option<u64>, burst, concurrency| Limit {
        period: millis.map(Duration::from_millis),
        burst,
        concurrency,
    };
    assert_eq!(account("{}"), limit(Some(6_000), 2, 1));
    assert_eq!(account("{ rate: 1/m }"), limit(Some(60_000), 2, 1));
    assert_eq!(
        account("{ hosts: { id.example.com: { rate: 1/h, burst: 1 } } }"),
        limit(Some(3_600_000), 1, 1)
    );
    assert_eq!(account("{ hosts: { \"id.example.com:443\": { rate: off } } }"), limit(None, 2, 1));
    assert_eq!(account("{ rate: off }"), limit(Some(6_000), 2, 1));
}

#[test]
fn operations_take_what_they_do_not_say_from_the_definition() {
    let definition = parse_definition(
        "two",
        "two.yaml",
        r#"
credentials: { id: { identity: true }, secret: {} }
life: 30m
refresh_token: { life: 1d }
environments: { test: "https://t.example.com", live: "https://l.example.com" }
default_environment: live
response:
  token: [/accessToken, /data/0/accessToken]
  refresh_token: /refreshToken
  expiry: [{ jwt: exp }, { fixed: 30m }]
  success: { body: [{ at: /code, values: [200, "0000"], or_absent: true }] }
issue:
  request: { path: /login, json: { id: "{{ credentials.id }}", n: 1, on: true, none: null, text: "1", list: [a, 2.5] } }
refresh:
  request: { path: /refresh, form: { token: "{{ refresh_token }}" } }
  response: { missing_token: relogin, errors: [{ status: 4xx, class: relogin }] }
"#,
    )
    .unwrap_or_else(|problems| panic!("{problems}"));
    let (issue, refresh) = (definition.issue.unwrap(), definition.refresh.unwrap());
    assert_eq!(issue.token, ["/accessToken", "/data/0/accessToken"]);
    assert_eq!((issue.token, issue.expiry, issue.success), (refresh.token, refresh.expiry, refresh.success));
    assert_eq!((issue.missing_token.as_str(), refresh.missing_token.as_str()), ("malformed", "relogin"));
    assert_eq!((issue.errors.len(), refresh.errors.len()), (0, 1));
    assert!(definition.refresh_single_use);
    assert_eq!(definition.default_environment, 1);
    let json = serde_json::json!({
        "id": "{{ credentials.id }}", "n": 1, "on": true, "none": null, "text": "1", "list": ["a", 2.5]
    });
    assert_eq!(issue.request.body, crate::config::definition::Body::Json(json));
}

#[test]
fn doubtful_things_are_warnings() {
    let text = r#"
accounts:
  a: &a
    provider: rotating
    credentials: { client_id: x, refresh_token: { file: /run/r } }
    params: { token_url: "https://id.example.com/token" }
    sinks:
      - file: { path: /run/renewd/a.env, template: "T=\"{{ access_token }}\"", mode: "0644", write: in-place }
  b: { <<: *a, sinks: [] }
"#;
    same(
        &said(text),
        r#"
/etc/renewd/renewd.yaml:8:52: quotes around a value that brings its own where it needs them
  8 |       - file: { path: /run/renewd/a.env, template: "T=\"{{ access_token }}\"", mode: "0644", write: in-place }
    |                                                    ^
  hint: in `.env` files write NAME={{ access_token }} without quotes
/etc/renewd/renewd.yaml:8:86: anyone on this machine can read the token
  8 |       - file: { path: /run/renewd/a.env, template: "T=\"{{ access_token }}\"", mode: "0644", write: in-place }
    |                                                                                      ^
  hint: use "0640" and a group
/etc/renewd/renewd.yaml:8:101: an in-place file cannot promise whole reads: a reader may see half a token
  8 |       - file: { path: /run/renewd/a.env, template: "T=\"{{ access_token }}\"", mode: "0644", write: in-place }
    |                                                                                                     ^
  hint: use `replace` unless the file itself is a mount point
/etc/renewd/renewd.yaml:9:3: `a` and `b` use the same `rotating` credentials: they end each other's refresh token (first on line 3)
  9 |   b: { <<: *a, sinks: [] }
    |   ^
  hint: use one account with several sinks, or credentials of their own
"#,
    );
}
