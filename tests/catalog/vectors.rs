use renewd::config::definition::Definition;
use renewd::domain::{Secret, Timestamp};
use renewd::provider::{OperationKind, RawReply, catalog};
use serde_json::Value;

use super::{built_in, parsed, read_at};

const VECTORS: &str = include_str!("vectors.json");

/// Providers that are not built in: a user would declare them like this, in the very same language.
const DECLARED: [(&str, &str); 6] = [
    (
        "github-app",
        "issue: { request: { method: POST, url: '{{ base_url }}' }, \
         response: { token: /token, expiry: [{ rfc3339: /expires_at }] } }",
    ),
    (
        "docker-registry",
        "issue: { request: { method: GET, url: '{{ base_url }}' }, response: { token: [/token, /access_token], \
         expiry: [{ lifetime: /expires_in }, { fixed: 60s }] } }",
    ),
    (
        "naver-works",
        "issue: { request: { method: POST, url: '{{ base_url }}' }, response: { token: /access_token, \
         refresh_token: /refresh_token, expiry: [{ lifetime: /expires_in }] } }",
    ),
    (
        "kakao",
        "credentials: { refresh_token: { refresh_seed: true } }\nrefresh: { request: { method: POST, url: '{{ base_url }}' }, response: { token: /access_token, \
         refresh_token: /refresh_token, refresh_lifetime: /refresh_token_expires_in, \
         expiry: [{ lifetime: /expires_in }] } }",
    ),
    (
        "wechat",
        "issue: { request: { method: POST, url: '{{ base_url }}' }, response: { token: /access_token, \
         success: { body: [{ at: /errcode, values: [0], or_absent: true }] }, expiry: [{ lifetime: /expires_in }], \
         errors: [{ at: /errcode, values: [40001], class: rejected }] } }",
    ),
    (
        "naver-commerce",
        "issue: { request: { method: POST, url: '{{ base_url }}' }, response: { token: /access_token, \
         expiry: [{ lifetime: /expires_in }], \
         errors: [{ at: /code, values: [GW.QUOTA_LIMIT], class: throttled, wait: 1h }] } }",
    ),
];

#[test]
fn every_vector_reads_as_it_says() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 22);
    for vector in &vectors {
        check(vector);
    }
}

fn check(vector: &Value) {
    let name = vector["n"].as_str().unwrap();
    let definition = definition(vector["provider"].as_str().unwrap());
    let kind = match vector["op"].as_str() {
        None | Some("issue") => OperationKind::Issue,
        Some("refresh") => OperationKind::Refresh,
        Some(other) => panic!("{name}: {other}"),
    };
    let half_life = definition.life.map_or(1_800, |life| life.as_secs() / 2);
    let t0 = match vector["exp"].as_i64() {
        Some(expiry) => Timestamp::from_secs(expiry - i64::try_from(half_life).unwrap()),
        None => Timestamp::from_secs(1_700_000_000),
    };
    let result = read_at(&definition, kind, t0, &reply(vector));
    if let Some(class) = vector["err"].as_str() {
        let failure = result.expect_err(name);
        assert_eq!(failure.class.as_str(), class, "{name}: {}", failure.message);
        if let Some(wait) = vector["wait"].as_u64() {
            assert!(failure.wait.is_some_and(|told| told.as_secs() >= wait), "{name}: {:?}", failure.wait);
        }
        return;
    }
    let issued = result.unwrap_or_else(|failure| panic!("{name}: {}", failure.message));
    let expected = match &vector["exp"] {
        Value::String(span) => t0.as_secs() + span.strip_prefix('+').unwrap().parse::<i64>().unwrap(),
        absolute => absolute.as_i64().unwrap(),
    };
    assert_eq!(issued.expires_at.as_secs(), expected, "{name}");
    assert_eq!(issued.warnings, Vec::<String>::new(), "{name}");
    match vector["keep_refresh"].as_bool() {
        Some(true) => assert_eq!(issued.refresh_token, None, "{name}"),
        _ => {
            assert_eq!(issued.refresh_token.as_ref().map(Secret::expose), new_refresh_token(vector), "{name}")
        }
    }
}

fn definition(name: &str) -> Definition {
    if catalog::texts().iter().any(|(known, _)| *known == name) {
        return built_in(name);
    }
    let (_, text) = DECLARED.iter().find(|(known, _)| *known == name).expect(name);
    parsed(name, &format!("title: {name}\n{text}\n"))
}

fn reply(vector: &Value) -> RawReply {
    let headers = vector["h"].as_object().into_iter().flatten();
    RawReply {
        status: u16::try_from(vector["s"].as_u64().unwrap()).unwrap(),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        body: vector["raw"]
            .as_str()
            .map_or_else(|| vector["b"].to_string(), str::to_owned)
            .into_bytes()
            .into(),
    }
}

fn new_refresh_token(vector: &Value) -> Option<&str> {
    let pointers = ["/refresh_token", "/refreshToken", "/data/refreshToken", "/data/0/refreshToken"];
    pointers.iter().find_map(|pointer| vector["b"].pointer(pointer)?.as_str())
}

#[test]
fn bent_vectors_never_panic_and_never_yield_a_bad_token() {
    let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
    let t0 = Timestamp::from_secs(1_500_000_000);
    for vector in &vectors {
        let definition = definition(vector["provider"].as_str().unwrap());
        let kind = if definition.issue.is_some() { OperationKind::Issue } else { OperationKind::Refresh };
        let original = reply(vector);
        for at in 0..original.body.len() {
            let cut = original.body[..at].to_vec();
            let bent = [b'"', b'\n', b'0', b'9', b'}', 0xff].map(|byte| {
                let mut body = original.body.to_vec();
                body[at] = byte;
                body
            });
            for body in bent.into_iter().chain([cut]) {
                let shown = String::from_utf8_lossy(&body).into_owned();
                let reply = RawReply {
                    status: original.status,
                    headers: original.headers.clone(),
                    body: body.into(),
                };
                match read_at(&definition, kind, t0, &reply) {
                    Ok(issued) => {
                        let token = issued.access_token.expose();
                        assert!(
                            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()),
                            "{shown}"
                        );
                        assert!(issued.expires_at > t0, "{shown}");
                    }
                    Err(failure) => {
                        assert!(!failure.message.contains(['\n', '"', '{']), "{}", failure.message)
                    }
                }
            }
        }
    }
}
