//! What each definition sends, as a stand-in on a loopback port sees it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use renewd::config::definition::Definition;
use renewd::config::model::{Account, Http, Limit, Renew};
use renewd::domain::{AccountId, Secret, Timestamp};
use renewd::provider::{Call, Clients, OperationKind};

use super::built_in;
use OperationKind::{Issue, Refresh};

/// Sends one request and gives it back as text, head and body; whatever the reply, it is not looked at.
fn sent(name: &str, kind: OperationKind, credentials: &[(&str, &str)], params: &[(&str, &str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a request");
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut buffer).expect("bytes");
            request.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&request).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                if read == 0 || body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                    let _ = stream.write_all(b"HTTP/1.1 500 Later\r\nContent-Length: 0\r\n\r\n");
                    return text;
                }
            }
        }
    });
    let account = account(built_in(name), &base, kind, params);
    let secret = |(name, value): &(&str, &str)| ((*name).to_owned(), Secret::from(*value));
    let credentials: BTreeMap<_, _> = credentials.iter().map(secret).collect();
    let (refresh_token, access_token) = (Secret::from("R-1"), Secret::from("A-1"));
    let refreshing = kind == Refresh;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clients = Clients::new();
    let failure = runtime.block_on(clients.exchange(Call {
        account: &account,
        operation: kind,
        credentials: &credentials,
        refresh_token: refreshing.then_some(&refresh_token),
        access_token: refreshing.then_some(&access_token),
        idempotency_key: "0123456789abcdef",
        repeated: false,
        timeout: Duration::from_secs(5),
        now: &|| Timestamp::from_secs(1_700_000_000),
    }));
    assert_eq!(failure.expect_err("500").status, Some(500), "{name}");
    server.join().expect("the stand-in")
}

/// As the configuration would make it.
fn account(definition: Definition, base: &str, kind: OperationKind, params: &[(&str, &str)]) -> Account {
    let operation = match kind {
        Issue => definition.issue.as_ref(),
        Refresh => definition.refresh.as_ref(),
    };
    let path = operation.expect("that operation").request.url.clone();
    let url = if path.starts_with('/') { format!("{base}{path}") } else { format!("{base}/token") };
    let url = Some(url.parse().expect("a URL"));
    let mut all: BTreeMap<_, _> =
        definition.params.iter().map(|param| (param.name.clone(), param.default.clone())).collect();
    all.extend(params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Account {
        name: AccountId::new("test").expect("a name"),
        provider: Arc::new(definition),
        environment: String::new(),
        base_url: Some(base.parse().expect("a URL")),
        issue_url: url.clone(),
        refresh_url: url,
        host: String::new(),
        limit: Limit::default(),
        credentials: BTreeMap::new(),
        params: all,
        renew: Renew { before: None, cron: None, min_interval: Duration::ZERO },
        http: Http {
            timeout: Duration::from_secs(5),
            proxy: None,
            ca_file: None,
            client_identity: None,
            source_address: None,
        },
        verify: None,
        sinks: vec![],
        on_change: vec![],
    }
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").expect("a head").1
}

#[test]
fn json_vendors_get_their_fields() {
    for (name, kind, credentials, line, expected) in [
        (
            "bizppurio-rcs",
            Issue,
            &[("bizId", "me"), ("apiKey", "k")][..],
            "/rcsapi/v1/token",
            r#"{"bizId":"me","apiKey":"k"}"#,
        ),
        (
            "bizppurio-rcs",
            Refresh,
            &[("bizId", "me"), ("apiKey", "k")],
            "/rcsapi/v1/refresh_token",
            r#"{"accessToken":"A-1","refreshToken":"R-1"}"#,
        ),
        (
            "rcs-biz-center",
            Issue,
            &[("clientId", "me"), ("clientSecret", "k")],
            "/token",
            r#"{"clientId":"me","clientSecret":"k"}"#,
        ),
        ("portone", Issue, &[("apiSecret", "k")], "/login/api-secret", r#"{"apiSecret":"k"}"#),
        ("portone", Refresh, &[("apiSecret", "k")], "/token/refresh", r#"{"refreshToken":"R-1"}"#),
        (
            "bizppurio-napi",
            Issue,
            &[("bizId", "me"), ("apiKey", "k")],
            "/token/refresh",
            r#"{"bizId":"me","apiKey":"k"}"#,
        ),
        (
            "bizppurio-napi",
            Refresh,
            &[("bizId", "me"), ("apiKey", "k")],
            "/token/access",
            r#"{"refreshToken":"R-1"}"#,
        ),
        (
            "portone-v1",
            Issue,
            &[("imp_key", "me"), ("imp_secret", "k")],
            "/users/getToken",
            r#"{"imp_key":"me","imp_secret":"k"}"#,
        ),
        (
            "kiwoom",
            Issue,
            &[("appkey", "me"), ("secretkey", "k")],
            "/oauth2/token",
            r#"{"grant_type":"client_credentials","appkey":"me","secretkey":"k"}"#,
        ),
        (
            "kis",
            Issue,
            &[("appkey", "me"), ("appsecret", "k")],
            "/oauth2/tokenP",
            r#"{"grant_type":"client_credentials","appkey":"me","appsecret":"k"}"#,
        ),
    ] {
        let request = sent(name, kind, credentials, &[]);
        assert!(request.starts_with(&format!("POST {line} HTTP/1.1\r\n")), "{request}");
        assert!(request.to_lowercase().contains("\r\ncontent-type: application/json;"), "{request}");
        assert_eq!(body(&request), expected);
        let key = request.contains("\r\nidempotency-key: \"0123456789abcdef\"\r\n");
        assert_eq!(key, name == "portone", "{request}");
    }
}

#[test]
fn bizppurio_gets_basic_and_no_body() {
    let request = sent("bizppurio", Issue, &[("account", "acme"), ("password", "p:w")], &[]);
    assert!(request.starts_with("POST /v1/token HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nauthorization: Basic YWNtZTpwOnc=\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-type: application/json; charset=utf-8\r\n"), "{request}");
    assert!(request.contains("\r\ncontent-length: 0\r\n"), "{request}");
    assert_eq!(body(&request), "");
}

#[test]
fn oauth_clients_say_who_they_are_in_the_header_or_in_the_body() {
    let client = &[("client_id", "id:1"), ("client_secret", "s+1")][..];
    let basic = sent("oauth2-client-credentials", Issue, client, &[("scope", "a b")]);
    // base64 of `id%3A1:s%2B1`, RFC 6749 section 2.3.1.
    assert!(basic.contains("\r\nauthorization: Basic aWQlM0ExOnMlMkIx\r\n"), "{basic}");
    assert_eq!(body(&basic), "grant_type=client_credentials&scope=a+b");
    let params = &[("client_auth", "body"), ("audience", "https://api"), ("resource", "urn:x")];
    let in_body = sent("oauth2-client-credentials", Issue, client, params);
    assert!(!in_body.contains("authorization:"), "{in_body}");
    assert_eq!(
        body(&in_body),
        "grant_type=client_credentials&audience=https%3A%2F%2Fapi&resource=urn%3Ax&client_id=id%3A1&client_secret=s%2B1"
    );
}

#[test]
fn refresh_tokens_are_sent_with_or_without_a_client_secret() {
    let confidential =
        sent("oauth2-refresh-token", Refresh, &[("client_id", "me"), ("client_secret", "k")], &[]);
    assert!(confidential.contains("\r\nauthorization: Basic bWU6aw==\r\n"), "{confidential}");
    assert_eq!(body(&confidential), "grant_type=refresh_token&refresh_token=R-1");
    let public = sent("oauth2-refresh-token", Refresh, &[("client_id", "me")], &[]);
    assert!(!public.contains("authorization:"), "{public}");
    assert_eq!(body(&public), "grant_type=refresh_token&refresh_token=R-1&client_id=me");
}
