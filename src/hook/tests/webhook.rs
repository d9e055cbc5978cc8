use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use url::Url;

use super::{HookError, Runner, notice, run, template_notice, usual};
use crate::config::model::Hook;
use crate::hook::{WebhookTrouble, kind};

const LONG: Duration = Duration::from_secs(10);

fn hook(url: &str, limit: Duration) -> Hook {
    Hook::Webhook { url: Url::parse(url).unwrap(), timeout: limit }
}

fn trouble(ended: Result<(), HookError>) -> WebhookTrouble {
    match ended {
        Err(HookError::Webhook { trouble, .. }) => trouble,
        other => panic!("{other:?}"),
    }
}

/// Answers each request with these bytes; gives the requests that it saw, heads and bodies.
fn server(answer: &'static str) -> (SocketAddr, mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = seen.send(request(&mut stream));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, requests)
}

fn request(stream: &mut (impl Read + Write)) -> (String, Value) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn names_and_times_are_posted_as_json_and_no_token() {
    let (address, requests) = server("HTTP/1.1 204 No Content\r\n\r\n");
    run(&hook(&format!("http://{address}/rotated?key=v"), LONG)).await.unwrap();
    let (head, body) = requests.recv().unwrap();
    assert!(head.starts_with("post /rotated?key=v http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    let expected = json!({
        "event": "renewed", "account": "messaging", "provider": "bizppurio",
        "issued_at": "2026-03-01T09:40:00Z", "expires_at": "2026-03-01T10:40:00Z",
        "expires_at_unix": 1_772_361_600, "generation": 7,
        "targets": ["file:/run/my app/token", "vault:secret/tokens/messaging"],
    });
    assert_eq!(body, expected);

    usual().run(&hook(&format!("http://{address}/"), LONG), &template_notice()).await.unwrap();
    let (_, body) = requests.recv().unwrap();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["event", "template", "expires_at", "expires_at_unix", "accounts", "targets"]);
    assert_eq!(
        (&body["template"], &body["expires_at"]),
        (&json!("/run/renewd/app.env"), &json!("2026-03-01T10:13:20Z"))
    );
    assert_eq!(body["accounts"][1]["account"], "shop");
    assert_eq!(kind(&hook("http://127.0.0.1/", LONG)), "webhook");
}

#[tokio::test]
async fn only_a_2xx_is_a_success_and_redirects_are_not_followed() {
    let (address, requests) = server("HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n");
    let error = run(&hook(&format!("http://{address}/hook-secret"), LONG)).await.unwrap_err();
    assert_eq!(error.to_string(), format!("the webhook at {address} answers with status 503"));
    requests.recv().unwrap();

    let (target, reached) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let answer = format!("HTTP/1.1 307 There\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
    let (address, _requests) = server(answer.leak());
    let error = run(&hook(&format!("http://{address}/"), LONG)).await.unwrap_err();
    assert!(error.hint().unwrap().contains("redirects are not followed"));
    assert_eq!(trouble(Err(error)), WebhookTrouble::Status(307));
    assert!(reached.try_recv().is_err());
}

#[tokio::test]
async fn a_reply_without_an_end_is_not_listened_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let written = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut written = 0_usize;
        while let Ok(more) = stream.write(&[b'x'; 4096]) {
            written += more;
        }
        written
    });
    run(&hook(&format!("http://{address}/"), LONG)).await.unwrap();
    // The runtime must go on turning to close the connection.
    let written = tokio::task::spawn_blocking(move || written.join().unwrap()).await.unwrap();
    assert!(written < 64 << 20, "{written} bytes before the connection was closed");
}

#[tokio::test]
async fn a_server_that_is_silent_or_away_is_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let limit = Duration::from_millis(200);
    let late = run(&hook(&format!("http://{address}/"), limit)).await;
    assert_eq!(trouble(late), WebhookTrouble::TooSlow(limit));
    drop(silent);
    assert_eq!(trouble(run(&hook(&format!("http://{address}/"), LONG)).await), WebhookTrouble::Refused);
    let closing = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closing.local_addr().unwrap();
    let server = std::thread::spawn(move || request(&mut closing.accept().unwrap().0));
    assert_eq!(trouble(run(&hook(&format!("http://{address}/"), LONG)).await), WebhookTrouble::Broken);
    server.join().unwrap();
}

#[tokio::test]
async fn nothing_goes_over_a_network_in_the_clear() {
    let refused = run(&hook("http://user:s3cr3t@192.0.2.1/s3cr3t?key=s3cr3t", LONG)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the webhook at 192.0.2.1:80 would be reached in the clear");
    assert_eq!(refused.hint(), Some("use https, or http to this machine"));
    assert_eq!(trouble(Err(refused)), WebhookTrouble::NotPrivate);
}

/// Serves TLS with that certificate of the client's test data, `count` times.
fn tls_server(name: &str) -> SocketAddr {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provider/client/testdata");
    let file = |ending: &str| data.join(format!("{name}.{ending}"));
    let chain = CertificateDer::pem_file_iter(file("pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream: rustls::StreamOwned<_, TcpStream> =
                rustls::StreamOwned::new(connection, stream.unwrap());
            let mut byte = [0];
            if stream.read(&mut byte).is_ok() {
                request(&mut stream);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_certificate_that_cannot_be_trusted_is_refused_and_a_good_one_is_not() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/provider/client/testdata");
    let tls = crate::provider::tls_config(Some(&data.join("ca.pem")), None).unwrap();
    let runner = Runner::new(tls, Arc::new(|_| None)).unwrap();
    let good = tls_server("good");
    let url = |address: SocketAddr| format!("https://localhost:{}/", address.port());
    runner.run(&hook(&url(good), LONG), &notice()).await.unwrap();
    assert_eq!(trouble(run(&hook(&url(good), LONG)).await), WebhookTrouble::Certificate);
    for bad in ["selfsigned", "expired", "other"] {
        let refused = runner.run(&hook(&url(tls_server(bad)), LONG), &notice()).await;
        assert_eq!(trouble(refused), WebhookTrouble::Certificate, "{bad}");
    }
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plain.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let mut stream = plain.accept().unwrap().0;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let refused = runner.run(&hook(&url(address), LONG), &notice()).await;
    assert_eq!(trouble(refused), WebhookTrouble::Tls);
    server.join().unwrap();
}
