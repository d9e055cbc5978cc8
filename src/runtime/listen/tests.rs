use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::domain::{BootInstant, Timestamp};
use crate::observe::health::Readiness;
use crate::observe::metrics::Scrape;
use crate::observe::sample;
use crate::observe::status::Status;
use crate::page::Page;
use crate::runtime::clock;
use crate::runtime::doors::Doors;
use crate::runtime::handle::Request;

const READY: Readiness = Readiness { ready: true, reasons: Vec::new(), warnings: Vec::new() };

#[tokio::test]
async fn each_path_answers_with_its_kind() {
    let address = site(Answers::Well).await;
    let livez = get(address, "/livez").await;
    assert!(livez.starts_with("HTTP/1.1 200") && livez.ends_with(r#"{"alive":true}"#), "{livez}");
    let readyz = get(address, "/readyz").await;
    assert!(
        readyz.starts_with("HTTP/1.1 200") && readyz.ends_with(r#"{"ready":true,"reasons":[]}"#),
        "{readyz}"
    );
    let metrics = get(address, "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4\r\n"), "{metrics}");
    assert!(metrics.contains("\nrenewd_build_info{version=\"0.1.0\"} 1\n"), "{metrics}");
    let status = get(address, "/api/v1/status").await;
    assert!(status.contains("content-type: application/json\r\n"), "{status}");
    assert!(status.ends_with("\r\n\r\n{\"version\":\"1\"}\n"), "as `status --json` prints it: {status}");
}

#[tokio::test]
async fn the_page_for_people_is_html_under_a_strict_policy_also_where_something_is_missing() {
    for (answers, path, code, words) in [
        (Answers::Well, "/?q=x", "200", "All is well"),
        (Answers::Well, "/?account=%3Cb%3E", "404", "No account <bdi>&lt;b&gt;</bdi>"),
        (Answers::Busy, "/", "503", "No status: the agent is starting or does not answer"),
    ] {
        let page = get(site(answers).await, path).await;
        assert!(page.starts_with(&format!("HTTP/1.1 {code}")) && page.contains(words), "{page}");
        assert!(page.contains("content-type: text/html; charset=utf-8\r\n"), "{page}");
        assert!(page.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{page}");
    }
}

#[tokio::test]
async fn an_account_that_is_not_ready_says_why_and_an_unknown_one_is_not_found() {
    let address = site(Answers::Well).await;
    let known = get(address, "/readyz/known").await;
    assert!(known.starts_with("HTTP/1.1 503"), "{known}");
    assert!(known.ends_with(r#"{"ready":false,"reasons":[{"reason":"too old"}]}"#), "{known}");
    let unknown = get(address, "/readyz/un%22known").await;
    assert!(
        unknown.starts_with("HTTP/1.1 404") && unknown.contains(r#"no account `un\\\"known`"#),
        "{unknown}"
    );
}

#[tokio::test]
async fn other_paths_are_not_found_and_name_the_paths_that_are() {
    let address = site(Answers::Well).await;
    for path in ["/index.html", "/readyz/", "/metrics/x", "/v1/accounts/a/token"] {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("/readyz/ACCOUNT"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn nothing_but_get_and_head_is_allowed() {
    let address = site(Answers::Well).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        for path in ["/livez", "/metrics", "/"] {
            let answer = talk(address, &format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"), "{answer}");
        }
    }
    let head = talk(address, "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn on_loopback_a_foreign_host_is_turned_away() {
    let address = site(Answers::Well).await;
    for request in [
        "GET /api/v1/status HTTP/1.1\r\nHost: evil.example:9478\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /livez HTTP/1.1\r\nHost: \r\n\r\n",
    ] {
        let answer = talk(address, request).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{request}: {answer}");
    }
    for host in ["localhost", "127.0.0.1:9478", "[::1]:1", &address.to_string()] {
        let answer = talk(address, &format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    let old_checker = talk(address, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(old_checker.contains(" 200 "), "{old_checker}");
}

#[tokio::test]
async fn elsewhere_the_host_is_not_looked_at() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (handle, requests, _revisions) = Handle::new();
    tokio::spawn(pretend(requests));
    tokio::spawn(serve(listener, Limits::USUAL, handle, Heartbeat::new(clock::now().boot)));
    let request = "GET /livez HTTP/1.1\r\nHost: renewd.monitoring.svc\r\n\r\n";
    let answer = talk(SocketAddr::from(([127, 0, 0, 1], port)), request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn every_answer_forbids_sniffing_and_storing() {
    let address = site(Answers::Well).await;
    for path in ["/livez", "/metrics", "/nowhere"] {
        let answer = get(address, path).await;
        assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{answer}");
        assert!(answer.contains("cache-control: no-store\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn http_2_is_not_spoken_so_that_a_connection_is_one_request() {
    let address = site(Answers::Well).await;
    let opening = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(timeout(Duration::from_secs(5), talk(address, opening)).await.unwrap(), "");
}

#[tokio::test]
async fn liveness_answers_while_the_loop_is_busy() {
    let address = site(Answers::Busy).await;
    let livez = timeout(Duration::from_secs(1), get(address, "/livez")).await.unwrap();
    assert!(livez.starts_with("HTTP/1.1 200"), "{livez}");
    let readyz = get(address, "/readyz").await;
    assert!(readyz.starts_with("HTTP/1.1 503") && readyz.contains("does not answer"), "{readyz}");
    let metrics = get(address, "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 503"), "{metrics}");
}

#[tokio::test]
async fn a_stalled_loop_fails_liveness_and_a_silent_one_that_can_be_woken_does_not() {
    let stalled = get(site(Answers::Stalled).await, "/livez").await;
    assert!(stalled.starts_with("HTTP/1.1 503"), "{stalled}");
    assert!(stalled.contains(r#"{"alive":false,"reason":"the scheduler has not turned for "#), "{stalled}");
    let woken = get(site(Answers::Woken).await, "/livez").await;
    assert!(woken.starts_with("HTTP/1.1 200"), "{woken}");
}

#[tokio::test]
async fn slow_and_endless_visitors_lose_their_places_to_others() {
    let limits = Limits {
        places: 2,
        request_within: Duration::from_millis(300),
        answer_within: Duration::from_millis(300),
        longest_request: 1024,
    };
    let address = site_with(Answers::Well, limits).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nHost: local").await.unwrap();
    let _silent = TcpStream::connect(address).await.unwrap();
    let patient = timeout(Duration::from_secs(5), get(address, "/livez")).await.unwrap();
    assert!(patient.starts_with("HTTP/1.1 200"), "{patient}");
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(5), slow.read_to_end(&mut rest)).await.unwrap();
    let endless = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(4_096));
    assert!(!talk(address, &endless).await.contains(" 200 "));
}

#[tokio::test]
async fn the_address_is_followed_and_a_taken_port_waited_for() {
    let (handle, requests, _revisions) = Handle::new();
    tokio::spawn(pretend(requests));
    let mut doors = Doors::default();
    let door = doors.add("agent.listen", RETRY);
    let listening = Listening::start(handle, Heartbeat::new(clock::now().boot), door);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listening.at(Some(taken.local_addr().unwrap()));
    let (one, other) = (free().await, free().await);
    for (address, closed) in [(one, None), (other, Some(one))] {
        listening.at(Some(address));
        listening.at(Some(address));
        assert!(eventually(address).await.starts_with("HTTP/1.1 200"));
        if let Some(closed) = closed {
            assert!(TcpStream::connect(closed).await.is_err());
        }
    }
    listening.at(None);
    let closed = async { while TcpStream::connect(other).await.is_ok() {} };
    timeout(Duration::from_secs(5), closed).await.unwrap();
    listening.at(Some(one));
    assert!(eventually(one).await.starts_with("HTTP/1.1 200"));
    drop(listening);
    let closed = async { while TcpStream::connect(one).await.is_ok() {} };
    timeout(Duration::from_secs(5), closed).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_told_and_tried_again_while_the_address_before_goes_on() {
    let (handle, requests, _revisions) = Handle::new();
    tokio::spawn(pretend(requests));
    let mut doors = Doors::default();
    let door = doors.add("agent.listen", Duration::from_millis(100));
    let listening = Listening::start(handle, Heartbeat::new(clock::now().boot), door);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (before, wanted) = (free().await, taken.local_addr().unwrap());
    listening.at(Some(before));
    assert!(eventually(before).await.starts_with("HTTP/1.1 200"));
    assert_eq!(doors.shut().count(), 0);
    listening.at(Some(wanted));
    let told = async {
        loop {
            match doors.shut().next() {
                Some(shut) => break shut,
                None => sleep(Duration::from_millis(1)).await,
            }
        }
    };
    let told = timeout(Duration::from_secs(5), told).await.unwrap();
    assert_eq!(told.head(), format!("agent.listen cannot be had at {wanted}"));
    assert_eq!(told.meanwhile, Some(before.to_string()));
    assert!(get(before, "/livez").await.starts_with("HTTP/1.1 200"));
    drop(taken);
    assert!(eventually(wanted).await.starts_with("HTTP/1.1 200"));
    assert!(TcpStream::connect(before).await.is_err());
    assert_eq!(doors.shut().count(), 0);
}

#[test]
fn an_address_that_is_open_to_more_does_not_outlive_its_configuration() {
    let goes_on = |before: &str, wanted: &str| may_go_on(before.parse().unwrap(), wanted.parse().unwrap());
    assert!(goes_on("127.0.0.1:1", "127.0.0.1:2"));
    assert!(goes_on("127.0.0.1:1", "0.0.0.0:2"));
    assert!(goes_on("0.0.0.0:1", "0.0.0.0:2"));
    assert!(!goes_on("0.0.0.0:1", "127.0.0.1:2"), "it was to be closed to others");
    assert!(!goes_on("127.0.0.1:1", "0.0.0.0:1"), "it stands in the way");
}

/// How the loop behind the server behaves.
enum Answers {
    Well,
    /// It turns, but has no time.
    Busy,
    /// It has not turned for long, and does not.
    Stalled,
    /// It has not turned for long, but does when it is asked.
    Woken,
}

async fn site(answers: Answers) -> SocketAddr {
    site_with(answers, Limits::USUAL).await
}

async fn site_with(answers: Answers, limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, requests, revisions) = Handle::new();
    let turned = match answers {
        Answers::Well | Answers::Busy => clock::now().boot,
        Answers::Stalled | Answers::Woken => BootInstant(0),
    };
    match answers {
        Answers::Well | Answers::Woken => tokio::spawn(pretend(requests)),
        Answers::Busy | Answers::Stalled => tokio::spawn(async move {
            let _held = (requests, revisions);
            std::future::pending().await
        }),
    };
    tokio::spawn(serve(listener, limits, handle, Heartbeat::new(turned)));
    address
}

/// A loop that knows the account `known`, which is not ready.
async fn pretend(mut requests: mpsc::Receiver<Request>) {
    while let Some(request) = requests.recv().await {
        match request {
            Request::Ready(None, reply) => drop(reply.send(Some(READY))),
            Request::Ready(Some(name), reply) => {
                drop(reply.send((name == "known").then(|| Readiness::not("too old"))));
            }
            Request::Status(reply) => drop(reply.send(r#"{"version":"1"}"#.to_owned())),
            Request::Scrape(reply) => {
                drop(reply.send(Scrape { status: nothing(), counters: Arc::default() }));
            }
            Request::Page(reply) => drop(reply.send(Page { status: nothing(), history: Arc::default() })),
            Request::Peek(_, reply) => drop(reply.send(None)),
            _ => {}
        }
    }
}

/// A status without accounts.
fn nothing() -> Status {
    sample::status(Timestamp::from_secs(10_000), Vec::new())
}

async fn get(address: SocketAddr, path: &str) -> String {
    talk(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n")).await
}

async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // one that is cut off answers what it has
    String::from_utf8(answer).unwrap()
}

async fn eventually(address: SocketAddr) -> String {
    let up = async { while TcpStream::connect(address).await.is_err() {} };
    timeout(Duration::from_secs(5), up).await.unwrap();
    get(address, "/livez").await
}

async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
