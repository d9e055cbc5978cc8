use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::stand_in::{GOOD, account, exchange, http, plain, serve, serve_streams};
use super::*;
use crate::config::definition::{Body, Credential};
use crate::config::model::Verify;
use crate::domain::{Generation, Token, TokenMeta};
use crate::provider::Unverified;
use crate::provider::testing::{definition, operation};

#[tokio::test]
async fn a_request_is_sent_as_rendered_and_its_reply_read() {
    let (address, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    let account = plain(&format!("http://{address}/v1/token"));
    let issued = exchange(&Clients::new(), &account).await.unwrap();
    assert_eq!(issued.access_token.expose(), "A");
    let request = &seen.requests()[0];
    assert!(request.starts_with("POST /v1/token HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"id\":\"s3cr3t-id\"}"), "{request}");
    for header in [
        "accept: application/json\r\n",
        "content-type: application/json; charset=utf-8\r\n",
        "user-agent: renewd/",
    ] {
        assert!(request.contains(header), "{request}");
    }
}

#[tokio::test]
async fn a_post_without_a_body_says_so() {
    let (address, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    let mut operation = operation();
    operation.request.body = Body::Empty;
    exchange(&Clients::new(), &account(definition(operation), &format!("http://{address}/"))).await.unwrap();
    assert!(seen.requests()[0].contains("content-length: 0\r\n"), "{}", seen.requests()[0]);
}

#[tokio::test]
async fn connections_are_reused_and_dropped_when_idle() {
    let (address, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    let mut definition = definition(operation());
    definition.idle_timeout = Duration::from_millis(200);
    let account = account(definition, &format!("http://{address}/"));
    let clients = Clients::new();
    exchange(&clients, &account).await.unwrap();
    exchange(&clients, &account).await.unwrap();
    assert_eq!(seen.connections().len(), 1);
    tokio::time::sleep(Duration::from_millis(400)).await;
    exchange(&clients, &account).await.unwrap();
    assert_eq!(seen.connections().len(), 2);
}

#[tokio::test]
async fn compressed_replies_are_read() {
    // gzip of GOOD.
    let body = include_bytes!("testdata/good.gz");
    for coding in ["gzip", "GZIP", "x-gzip"] {
        let head = format!("Content-Encoding: {coding}\r\n");
        let (address, seen) = serve(move |out| out.write_all(&http("200 OK", &head, body)));
        assert!(exchange(&Clients::new(), &plain(&format!("http://{address}/"))).await.is_ok(), "{coding}");
        assert!(seen.requests()[0].contains("accept-encoding: gzip\r\n"));
    }
}

#[tokio::test]
async fn bad_replies_end_soon_and_are_named() {
    type Answer = fn(&mut dyn std::io::Write) -> std::io::Result<()>;
    let cases: [(&str, Answer, ErrorClass, &str); 10] = [
        (
            "an endless body",
            |out| {
                out.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                loop {
                    out.write_all(&[b' '; 8192])?;
                }
            },
            ErrorClass::Malformed,
            "the reply is longer than 256 KiB (HTTP 200)",
        ),
        (
            "a gzip bomb",
            |out| {
                out.write_all(&http(
                    "200 OK",
                    "Content-Encoding: gzip\r\n",
                    include_bytes!("testdata/bomb.gz"),
                ))
            },
            ErrorClass::Malformed,
            "the reply is longer than 256 KiB (HTTP 200)",
        ),
        (
            "broken gzip",
            |out| out.write_all(&http("200 OK", "Content-Encoding: gzip\r\n", GOOD.as_bytes())),
            ErrorClass::Malformed,
            "the reply's body cannot be decoded (HTTP 200)",
        ),
        (
            "endless headers",
            |out| {
                out.write_all(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    out.write_all(b"X-Header: and one more\r\n")?;
                }
            },
            ErrorClass::Malformed,
            "the reply's headers are too large",
        ),
        (
            "broken chunks",
            |out| out.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            ErrorClass::Malformed,
            "the reply's body cannot be decoded",
        ),
        (
            "no HTTP",
            |out| out.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            ErrorClass::Malformed,
            "the reply is not HTTP",
        ),
        (
            "no reply",
            |_| Err(std::io::ErrorKind::Other.into()),
            ErrorClass::Transient,
            "the connection was closed without a reply",
        ),
        (
            "a body that breaks off",
            |out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"access_token\": \"A\"")?;
                Err(std::io::ErrorKind::Other.into())
            },
            ErrorClass::Transient,
            "the connection was closed in the middle",
        ),
        (
            "a byte a while",
            |out| {
                out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")?;
                loop {
                    out.write_all(b" ")?;
                    std::thread::sleep(Duration::from_millis(50));
                }
            },
            ErrorClass::Transient,
            "no whole reply within 1s",
        ),
        (
            "silence",
            |_| {
                std::thread::sleep(Duration::from_secs(10));
                Ok(())
            },
            ErrorClass::Transient,
            "no whole reply within 1s",
        ),
    ];
    for (name, answer, class, words) in cases {
        let (address, _) = serve(answer);
        let mut account = plain(&format!("http://{address}/?key=s3cr3t"));
        account.http.timeout = Duration::from_secs(1);
        let run = tokio::time::timeout(Duration::from_secs(4), exchange(&Clients::new(), &account)).await;
        let failure = run.expect(name).unwrap_err();
        let words = match words.contains("(HTTP ") {
            true => words.to_owned(),
            false => format!("{address}: {words}"),
        };
        assert_eq!((failure.class, failure.message), (class, words), "{name}");
        assert!(failure.ambiguous, "{name}: it may have reached the provider");
    }
}

#[tokio::test]
async fn a_reset_after_the_request_is_ambiguous() {
    // Closing with unread bytes resets.
    let (address, _) = serve_streams(|mut stream, _| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
    });
    let failure = exchange(&Clients::new(), &plain(&format!("http://{address}/"))).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message),
        (ErrorClass::Transient, format!("{address}: the connection was reset"))
    );
    assert!(failure.ambiguous && failure.host_fault);
}

#[tokio::test]
async fn a_refused_connection_is_not_ambiguous() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = exchange(&Clients::new(), &plain(&format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    let words = format!("127.0.0.1:{port}: connection refused");
    assert_eq!((failure.class, failure.message), (ErrorClass::Transient, words));
    assert!(!failure.ambiguous && failure.host_fault);
}

#[tokio::test]
async fn a_failure_names_the_place_and_the_proxy_on_the_way_and_nothing_else_of_a_url() {
    let unused = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut account = plain("https://user:s3cr3t@renewd-test.invalid/s3cr3t?key=s3cr3t");
    let failure = exchange(&Clients::new(), &account).await.unwrap_err();
    assert!(failure.message.starts_with("renewd-test.invalid:443: "), "{}", failure.message);
    let proxy = unused();
    account.http.proxy = Some(format!("http://user:s3cr3t@{proxy}/s3cr3t").parse().unwrap());
    let failure = exchange(&Clients::new(), &account).await.unwrap_err();
    let words = format!("renewd-test.invalid:443 (by the proxy {proxy}): connection refused");
    assert_eq!(failure.message, words);

    let away = unused();
    let url = format!("http://user:s3cr3t@{away}/s3cr3t?key=s3cr3t").parse().unwrap();
    let verify = Verify { url, expect: vec![200], timeout: Duration::from_secs(5) };
    let token = Token {
        meta: TokenMeta {
            generation: Generation(1),
            issued_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(1),
        },
        access_token: Secret::from("A"),
        token_type: "Bearer".to_owned(),
        extra: Vec::new(),
    };
    let unverified = Clients::new().verify(&plain("http://127.0.0.1:1/"), &verify, &token).await.unwrap_err();
    let Unverified::Unanswered(failure) = unverified else { panic!("{unverified:?}") };
    let words = format!("the new token could not be verified: {away}: connection refused");
    assert_eq!(failure.message, words);
}

#[tokio::test]
async fn a_connection_that_never_stands_is_not_ambiguous() {
    // A listener whose queue is full answers no more connections.
    let listener =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let listener = TcpListener::from(listener);
    let address = listener.local_addr().unwrap();
    let _queued: Vec<_> = (0..4)
        .map_while(|_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok())
        .collect();
    let mut account = plain(&format!("http://{address}/"));
    account.http.timeout = Duration::from_millis(900);
    let failure = exchange(&Clients::new(), &account).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message),
        (ErrorClass::Transient, format!("{address}: timed out while connecting"))
    );
    assert!(!failure.ambiguous && failure.host_fault);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (elsewhere, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let location = format!("Location: http://{elsewhere}/\r\n");
        let (address, _) = serve(move |out| out.write_all(&http(status, &location, b"")));
        let failure = exchange(&Clients::new(), &plain(&format!("http://{address}/"))).await.unwrap_err();
        assert_eq!(failure.class, ErrorClass::Malformed);
        assert!(failure.message.contains("redirects are not followed"), "{}", failure.message);
    }
    assert_eq!(seen.connections().len(), 0);
}

#[tokio::test]
async fn a_pooled_connection_that_the_provider_has_closed_is_not_used() {
    let count = AtomicUsize::new(0);
    let (address, seen) = serve(move |out| {
        count.fetch_add(1, Ordering::SeqCst);
        out.write_all(&http("200 OK", "", GOOD.as_bytes()))?;
        Err(std::io::ErrorKind::Other.into())
    });
    let (clients, account) = (Clients::new(), plain(&format!("http://{address}/")));
    for _ in 0..3 {
        exchange(&clients, &account).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen.connections().len(), 3);
}

#[tokio::test]
async fn credentials_travel_in_the_clear_on_this_host_only() {
    for url in ["http://api.example/token", "http://10.0.0.1/token", "ftp://localhost/"] {
        let failure = exchange(&Clients::new(), &plain(url)).await.unwrap_err();
        assert_eq!(failure.class, ErrorClass::Config, "{url}");
    }
}

#[tokio::test]
async fn empty_and_overlong_credentials_are_never_sent() {
    let (address, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    for (name, max_length, words) in [
        ("other", None, "credential `other` is empty"),
        ("id", Some(3), "credential `id` is longer than the 3 characters it can have"),
    ] {
        let mut definition = definition(operation());
        definition.credentials = vec![Credential {
            name: name.to_owned(),
            identity: false,
            optional: false,
            max_length,
            refresh_seed: false,
            owns_refresh: false,
            description: String::new(),
        }];
        let failure =
            exchange(&Clients::new(), &account(definition, &format!("http://{address}/"))).await.unwrap_err();
        assert_eq!((failure.class, failure.message.as_str()), (ErrorClass::Config, words));
    }
    assert_eq!(seen.connections().len(), 0);
}

#[tokio::test]
async fn a_proxy_and_a_source_address_are_used_where_configured() {
    let (proxy, seen) = serve(|out| out.write_all(&http("200 OK", "", GOOD.as_bytes())));
    let mut proxied = plain("http://localhost:1/token");
    proxied.http.proxy = Some(format!("http://{proxy}").parse().unwrap());
    proxied.http.source_address = Some("127.0.0.2".parse().unwrap());
    exchange(&Clients::new(), &proxied).await.unwrap();
    assert!(seen.requests()[0].starts_with("POST http://localhost:1/token HTTP/1.1\r\n"));
    assert_eq!(seen.connections()[0].ip().to_string(), "127.0.0.2");

    let mut elsewhere = plain(&format!("http://{proxy}/"));
    elsewhere.http.source_address = Some("192.0.2.7".parse().unwrap());
    let failure = exchange(&Clients::new(), &elsewhere).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.message.as_str()),
        (ErrorClass::Config, "http.source_address 192.0.2.7 is not one of this host's")
    );
}

#[test]
fn an_exchange_may_run_on_any_thread() {
    fn sendable<T: Send>(_: T) {}
    let (clients, account) = (Clients::new(), plain("http://localhost/"));
    sendable(exchange(&clients, &account));
}

#[test]
fn nonces_differ_and_uuids_have_their_version() {
    let clients = Clients::new();
    let ((nonce, uuid), (other, _)) = (clients.nonce().unwrap(), clients.nonce().unwrap());
    assert_ne!(nonce, other);
    assert_eq!((nonce.len(), uuid.len(), &uuid[14..15]), (32, 36, "4"));
    assert!("89ab".contains(&uuid[19..20]));
}
