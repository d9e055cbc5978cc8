//! What no single server does on command: a standby that redirects, replies that are no Vault's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use renewd::config::model::{Vault, VaultAuth, VaultKey};
use renewd::vault::VaultError;

use crate::client::{inline, with};

/// Requests' heads as they came.
type Seen = Arc<Mutex<Vec<String>>>;

/// Answers each request by its path.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while stream.read_line(&mut head).is_ok_and(|read| read > 2) {}
            let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
            noted.lock().unwrap().push(head);
            let _ = stream.get_mut().write_all(answer(&path).as_bytes());
            let _ = stream.get_ref().shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    (port, seen)
}

fn reply(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn active(path: &str) -> String {
    match path {
        "/v1/auth/token/lookup-self" => reply("200 OK", "", r#"{"data":{"ttl":0,"renewable":false}}"#),
        "/v1/secret/data/a" => reply(
            "200 OK",
            "",
            r#"{"data":{"data":{"key":"value"},"metadata":{"version":3,"custom_metadata":null}}}"#,
        ),
        _ => reply("403 Forbidden", "", r#"{"errors":["permission denied"]}"#),
    }
}

fn settings(port: u16) -> Vault {
    Vault {
        address: format!("http://127.0.0.1:{port}").parse().unwrap(),
        namespace: None,
        ca_file: None,
        auth: VaultAuth::Token(inline("s.secret")),
    }
}

async fn read(port: u16) -> Result<String, VaultError> {
    let key = VaultKey {
        mount: "secret".into(),
        path: "a".into(),
        key: "key".into(),
        kv: renewd::config::model::KvVersion::V2,
    };
    with(settings(port)).read_key(&key).await.map(|reading| reading.secret.expose().to_owned())
}

#[tokio::test]
async fn a_standby_is_followed_to_its_leader_for_one_hop() {
    let (leader, _) = serve(active);
    let (standby, seen) = serve(move |path| {
        reply("307 Temporary Redirect", &format!("Location: http://127.0.0.1:{leader}{path}\r\n"), "")
    });
    assert_eq!(read(standby).await.unwrap(), "value");
    assert!(seen.lock().unwrap().len() >= 2);
    let (circle, _) = serve(move |path| {
        reply("307 Temporary Redirect", &format!("Location: http://127.0.0.1:{standby}{path}\r\n"), "")
    });
    assert_eq!(read(circle).await, Err(VaultError::Elsewhere));
}

#[tokio::test]
async fn a_token_goes_to_no_other_host_and_no_other_path() {
    let (other, caught) = serve(active);
    for location in [
        format!("http://localhost.example:{other}/v1/auth/token/lookup-self"),
        "https://example.com/v1/auth/token/lookup-self".to_owned(),
        "http://192.0.2.1/v1/auth/token/lookup-self".to_owned(),
        format!("http://127.0.0.1:{other}/elsewhere"),
        format!("http://user@127.0.0.1:{other}/v1/auth/token/lookup-self"),
        "//[".to_owned(),
    ] {
        let (standby, _) =
            serve(move |_| reply("307 Temporary Redirect", &format!("Location: {location}\r\n"), ""));
        assert_eq!(read(standby).await, Err(VaultError::Elsewhere));
    }
    assert_eq!(caught.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn replies_that_are_no_vaults_are_told_and_bounded() {
    let large = format!(r#"{{"data":{{"ttl":0,"pad":"{}"}}}}"#, "x".repeat(2 << 20));
    let health = r#"{"initialized":true,"sealed":false,"standby":true}"#;
    for (answer, expected) in [
        (reply("200 OK", "", &large), VaultError::Malformed("it is longer than 1 MiB")),
        (reply("200 OK", "", "<html>"), VaultError::Malformed("the token's look-up says no duration")),
        (reply("502 Bad Gateway", "", "<html>"), VaultError::Failing(502)),
        (reply("503 Service Unavailable", "", health), VaultError::Standby),
        (
            reply(
                "500 Error",
                "",
                r#"{"errors":["local node not active but active cluster node not found"]}"#,
            ),
            VaultError::Standby,
        ),
        (
            reply("429 Too Many Requests", "Retry-After: 1000000000\r\n", "{}"),
            VaultError::RateLimited { wait: Some(std::time::Duration::from_secs(3600)) },
        ),
        (String::new(), VaultError::NotReached("the connection broke")),
    ] {
        let (port, seen) = serve(move |_| answer.clone());
        assert_eq!(read(port).await, Err(expected));
        let heads = seen.lock().unwrap().concat();
        assert!(heads.contains("x-vault-token: s.secret"), "{heads}");
        for head in heads.split("GET ").filter(|head| head.starts_with("/v1/sys/health")) {
            assert!(!head.contains("s.secret"));
        }
    }
}
