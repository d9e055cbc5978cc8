//! A stand-in of the agent at its socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{renewd, told};

/// Answers as an agent would, from a table; ends with the test's process.
pub(crate) struct StubAgent {
    pub(crate) folder: tempfile::TempDir,
}

impl StubAgent {
    pub(crate) fn new(answer: fn(&str, &str) -> (u16, Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("renewd.sock")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || serve(stream.unwrap(), answer));
            }
        });
        Self { folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("renewd.sock")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        told(renewd(arguments).arg("--socket").arg(self.socket()).output().unwrap())
    }
}

/// One request a connection.
pub(crate) fn serve(mut stream: UnixStream, answer: fn(&str, &str) -> (u16, Value)) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (status, body) = answer(words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes());
}

pub(crate) fn account(name: &str, sink: &str) -> Value {
    json!({"name": name, "provider": "bizppurio", "state": "fresh", "generation": 7,
           "issued_at": "2026-03-01T09:38:00Z", "expires_at": "2026-03-01T10:38:00Z",
           "renew_at": "2026-03-01T10:12:00Z", "attempt": 0, "error": null,
           "sinks": [{"sink": format!("file:/run/renewd/{name}.token"), "state": sink, "generation": 7,
                      "written_at": "2026-03-01T09:38:01Z", "error": null}]})
}

pub(crate) fn status(accounts: &[Value]) -> Value {
    json!({"version": "0.1.0", "now": "2026-03-01T10:00:00Z",
           "config": {"path": "/etc/renewd/renewd.yaml", "generation": 1, "loaded_at": "2026-03-01T09:00:00Z",
                      "error": null},
           "accounts": accounts, "templates": [], "of_a_later_version": true})
}

/// One account that is well, and one whose sink is not written.
pub(crate) fn usual(method: &str, path: &str) -> (u16, Value) {
    match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/v1/status") => {
            (200, status(&[account("messaging", "written"), account("shop", "unwritten")]))
        }
        ("GET", "/v1/accounts/messaging/token") => (
            200,
            json!({"account": "messaging", "provider": "bizppurio", "access_token": "tok-1", "token_type": "Bearer",
                   "issued_at": "2026-03-01T09:38:00Z", "expires_at": "2026-03-01T10:38:00Z",
                   "expires_at_unix": 1_772_361_480, "generation": 7, "extra": {}}),
        ),
        ("GET", "/v1/accounts/shop/token") => {
            (403, json!({"error": {"message": "not for you", "hint": "join the group `app`"}}))
        }
        ("POST", "/v1/accounts/messaging/renew") => {
            (200, json!({"account": "messaging", "generation": 8, "expires_at": "2026-03-01T11:00:00Z"}))
        }
        ("POST", "/v1/accounts/shop/renew") => {
            let error = json!({"class": "transient", "message": "HTTP 503", "at": "2026-03-01T10:00:00Z"});
            (502, json!({"account": "shop", "error": error}))
        }
        _ => (404, json!({"error": {"message": "no such path"}})),
    }
}
