//! A token API on a loopback port that misbehaves as a test wants it to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Call, Clients};
use crate::config::definition::Definition;
use crate::config::model::{Account, Http, Limit, Renew};
use crate::domain::{AccountId, Secret, Timestamp};
use crate::provider::testing::{T0, definition, operation};
use crate::provider::{Failure, Issued, OperationKind};

pub(super) const GOOD: &str = r#"{"access_token": "A", "expires_in": 3600}"#;

/// Requests as they came, over all connections; `connections` counts those.
#[derive(Clone, Default)]
pub(super) struct Seen {
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Seen {
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> Vec<SocketAddr> {
        self.connections.lock().unwrap().clone()
    }
}

/// A reply with a body and its length.
pub(super) fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Answers every request of every connection with what `answer` writes; `Err` ends the connection.
pub(super) fn serve(
    answer: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
) -> (SocketAddr, Seen) {
    serve_streams(move |mut stream, seen| {
        while let Some(request) = read_request(&mut stream) {
            seen.requests.lock().unwrap().push(request);
            if answer(&mut stream).is_err() {
                break;
            }
        }
    })
}

/// Hands every connection to `handle`.
pub(super) fn serve_streams(handle: impl Fn(TcpStream, &Seen) + Send + Sync + 'static) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let (handle, shared) = (Arc::new(handle), seen.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            shared.connections.lock().unwrap().push(stream.peer_addr().unwrap());
            let (handle, shared) = (Arc::clone(&handle), shared.clone());
            std::thread::spawn(move || handle(stream, &shared));
        }
    });
    (address, seen)
}

/// Head and body of one request; `None` where the peer is gone.
pub(super) fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
    }
}

pub(super) fn testdata(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/client/testdata")).join(name)
}

/// An account whose `issue` goes to `url`.
pub(super) fn account(definition: Definition, url: &str) -> Account {
    let url = url.parse().unwrap();
    Account {
        name: AccountId::new("test").unwrap(),
        provider: Arc::new(definition),
        environment: String::new(),
        base_url: None,
        host: crate::domain::host_port(&url),
        issue_url: Some(url),
        refresh_url: None,
        limit: Limit::default(),
        credentials: BTreeMap::new(),
        params: BTreeMap::new(),
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

/// The plain definition's account.
pub(super) fn plain(url: &str) -> Account {
    account(definition(operation()), url)
}

/// One exchange; `id` is the credential that the plain definition sends.
pub(super) async fn exchange(clients: &Clients, account: &Account) -> Result<Issued, Failure> {
    let credentials = BTreeMap::from([("id".to_owned(), Secret::from("s3cr3t-id"))]);
    let result = clients
        .exchange(Call {
            account,
            operation: OperationKind::Issue,
            credentials: &credentials,
            refresh_token: None,
            access_token: None,
            idempotency_key: "0123456789abcdef",
            repeated: false,
            timeout: account.http.timeout,
            now: &|| Timestamp::from_secs(T0),
        })
        .await;
    if let Err(failure) = &result {
        assert!(
            !failure.message.contains("s3cr3t") && !failure.message.contains("://"),
            "{}",
            failure.message
        );
    }
    result
}
