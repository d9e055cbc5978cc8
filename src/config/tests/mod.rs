//! Whole configurations: what loads, what is refused and in which words.

mod delivery;
mod examples;
mod files;
mod hostile;
mod masking;
mod refused;
mod schema;
mod secrets;
mod trial;

use std::path::Path;

use super::load::put_together;
use super::{Loaded, Problems};

/// Two definitions that most tests use in place of the catalogue.
const BUILTIN: [(&str, &str); 2] = [("bizppurio", BIZPPURIO), ("rotating", ROTATING)];

const BIZPPURIO: &str = r#"
title: 비즈뿌리오 메시지 (Bizppurio messaging)
docs: https://biztech.gitbook.io/webapi
environments: { production: https://api.bizppurio.com, staging: https://dev-api.bizppurio.com }
credentials:
  account: { identity: true, max_length: 20 }
  password: {}
params:
  scope: { default: "" }
  kind: { one_of: [a, b], default: a }
life: 24h
allow_list: true
idle_timeout: 3s
issue:
  request:
    path: /v1/token
    headers: { Content-type: application/json; charset=utf-8 }
    basic: { username: "{{ credentials.account }}", password: "{{ credentials.password }}" }
  response:
    token: /accesstoken
    token_type: /type
    expiry:
      - { datetime: /expired, format: "%Y%m%d%H%M%S", zone: Asia/Seoul }
      - { fixed: 24h }
    errors:
      - { at: /code, values: [3003, 3010], class: rejected, hint: register this host's public address with the vendor }
      - { status: [429, 5xx], class: transient, wait: 60s }
    wait: [{ header: RateLimit-Reset, unit: s, min: 1s, max: 60s }]
"#;

const ROTATING: &str = r#"
params: { token_url: { required: true, description: where tokens are asked for } }
credentials: { client_id: { identity: true }, refresh_token: { refresh_seed: true } }
limits: { rate: 10/m, burst: 2, concurrency: 1 }
response: { token: /access_token, refresh_token: /refresh_token, expiry: [{ lifetime: /expires_in }] }
refresh:
  request:
    url: "{{ params.token_url }}"
    form: { grant_type: refresh_token, refresh_token: "{{ refresh_token }}" }
"#;

fn load(text: &str) -> Result<Loaded, Problems> {
    let path = Path::new("/etc/renewd/renewd.yaml");
    put_together(path, text.as_bytes().to_vec(), &|_| None, &BUILTIN, &crate::sink::trial::attempt)
}

/// What is printed for a configuration that is refused, else its warnings.
fn said(text: &str) -> String {
    match load(text) {
        Ok(loaded) => Problems(loaded.warnings).to_string(),
        Err(problems) => problems.to_string(),
    }
}

/// One line for each mistake: `LINE:COLUMN: message (hint)`.
fn brief(text: &str) -> String {
    let problems = match load(text) {
        Ok(_) => return "nothing".to_owned(),
        Err(Problems(problems)) => problems,
    };
    let line = |problem: super::Problem| {
        let hint = problem.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}:{}: {}{hint}", problem.line, problem.column, problem.message)
    };
    problems.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Compares printed text with what is expected, which begins and ends with a line break for legibility.
fn same(printed: &str, expected: &str) {
    let expected = expected.strip_prefix('\n').unwrap_or(expected);
    let expected = expected.strip_suffix('\n').unwrap_or(expected);
    assert!(printed == expected, "printed:\n{printed}\n\nexpected:\n{expected}");
}
