//! HTTP over the control socket and over TCP, by hand: what is tested is not ours on both ends.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// One exchange: the status and the JSON body (`null` where there is none).
pub(crate) fn call(socket: &Path, method: &str, path: &str, body: &str) -> io::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(90)))?;
    let length = body.len();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: renewd\r\nConnection: close\r\n{kind}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    parse(&reply).ok_or_else(|| io::Error::other("no whole reply"))
}

fn parse(reply: &[u8]) -> Option<(u16, Value)> {
    let split = reply.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(reply.get(..split)?).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = reply.get(split + 4..)?;
    match body {
        [] => Some((status, Value::Null)),
        body => Some((status, serde_json::from_slice(body).ok()?)),
    }
}

/// A port that nobody listens on; another one may take it, which is rare.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A `GET` of what listens on this port, as `host`: the status and the body.
pub(crate) fn http_get(port: u16, path: &str, host: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
