//! As much HTTP as asking a local server takes: version 1.0, one request a connection, the body is all that follows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The reply's status and JSON.
pub(crate) fn get(base: &str, path: &str) -> (u16, Value) {
    exchange(base, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}

/// Posts a form, with an `Authorization` header.
pub(crate) fn post_form(base: &str, path: &str, authorization: &str, form: &str) -> (u16, Value) {
    let length = form.len();
    exchange(
        base,
        &format!(
            "POST {path} HTTP/1.0\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
        ),
    )
}

fn exchange(base: &str, request: &str) -> (u16, Value) {
    let address = base.strip_prefix("http://").expect("a plain local server");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").expect("a whole reply");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
