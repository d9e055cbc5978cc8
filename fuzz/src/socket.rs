//! Requests to the control socket and to `listen` of a whole agent in this process, which keeps an account of the simulator.
//!
//! The input is a line `DOOR` and what is sent there. Doors are `socket` and `listen`, where the rest is a request in short
//! (`METHOD PATH`, headers, an empty line, the body), and `socket-raw` and `listen-raw`, where it is sent byte by byte as
//! it stands.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use renewd::config::model::Config;
use renewd::config::{Watched, load};
use renewd::provider::catalog;
use renewd::runtime::{self, Options};
use renewd::simulator::{self, Provider, Simulator};
use renewd::sink::trial;
use serde_json::Value;
use tokio::net::TcpListener;

use super::place::Place;
use super::words::{CANARY, tame_lines};

/// An answer that does not wait for anything is there by then, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who waits for another token is not waited for.
const WAITS: Duration = Duration::from_millis(8);
/// So often the agent's health and its audit log are looked at.
const LOOK: usize = 64;

static AGENT: LazyLock<Agent> = LazyLock::new(Agent::start);
static INPUTS: AtomicUsize = AtomicUsize::new(0);

/// One input of the target.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (door, rest) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let agent = &*AGENT;
    let tcp = door.starts_with(b"listen");
    if door.ends_with(b"-raw") {
        // Whoever sends no more gets no more: the end of what is sent ends the wait.
        let answer = agent.talk(tcp, rest, true);
        agent.fits(tcp, &String::from_utf8_lossy(rest), &answer);
    } else {
        let (request, waits) = spelt_out(rest);
        let answer = agent.talk(tcp, &request, waits);
        agent.fits(tcp, &String::from_utf8_lossy(rest), &answer);
    }
    if INPUTS.fetch_add(1, Ordering::Relaxed) % LOOK == LOOK - 1 {
        agent.is_well();
    }
}

/// A request as HTTP writes it, and whether it may wait for something to happen.
fn spelt_out(short: &[u8]) -> (Vec<u8>, bool) {
    let (head, body) = match short.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&short[..at], &short[at + 2..]),
        None => (short, &short[short.len()..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut request = first.to_vec();
    request.extend_from_slice(b" HTTP/1.1\r\nConnection: close\r\n");
    let (mut host, mut length, mut stays) = (false, false, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let line = line.to_ascii_lowercase();
        host |= line.starts_with(b"host:");
        length |= line.starts_with(b"content-length:") || line.starts_with(b"transfer-encoding:");
        stays |= line.starts_with(b"connection:");
        request.extend_from_slice(&line);
        request.extend_from_slice(b"\r\n");
    }
    if !host {
        request.extend_from_slice(b"host: localhost\r\n");
    }
    if !length && !body.is_empty() {
        request.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    let asks = |words: &[u8]| first.windows(words.len()).any(|part| part == words);
    let waits = length || stays || asks(b"after") || asks(b"renew") || asks(b"%") || !first.contains(&b' ');
    (request, waits)
}

/// The agent, for as long as the process lives.
struct Agent {
    place: Place,
    port: u16,
}

impl Agent {
    fn start() -> Self {
        let place = Place::new();
        let (told, port) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = place.path("");
        std::thread::Builder::new()
            .name("agent".to_owned())
            .spawn(move || runtime.block_on(live(folder, told)))
            .expect("a thread");
        let agent = Self { place, port: port.recv().expect("the agent starts") };
        let listens = |agent: &Self| TcpStream::connect((Ipv4Addr::LOCALHOST, agent.port)).is_ok();
        while !agent.place.path("token").exists() || !listens(&agent) {
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    /// What is answered to these bytes, as far as it comes in time.
    fn talk(&self, tcp: bool, request: &[u8], leaves: bool) -> Vec<u8> {
        if tcp {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("it listens");
            stream.set_read_timeout(Some(if leaves { WAITS } else { PATIENCE })).expect("a timeout");
            exchange(stream, request, leaves, |stream| stream.shutdown(Shutdown::Write))
        } else {
            let stream = UnixStream::connect(self.place.path("renewd.sock")).expect("it listens");
            stream.set_read_timeout(Some(if leaves { WAITS } else { PATIENCE })).expect("a timeout");
            exchange(stream, request, leaves, |stream| stream.shutdown(Shutdown::Write))
        }
    }

    fn get(&self, tcp: bool, path: &str) -> Vec<u8> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.talk(tcp, request.as_bytes(), false)
    }

    /// Every answer is a whole one of HTTP, and a token is given to nobody but who asks for it where he may.
    fn fits(&self, tcp: bool, request: &str, answer: &[u8]) {
        if answer.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(answer);
        let status = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
        let status: u16 = status
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .unwrap_or_else(|| panic!("{request:?}: no answer of HTTP: {text:?}"));
        assert!(status < 500 || [502, 503, 504].contains(&status), "{request:?}: {text}");
        let asks = request.contains("token") || request.contains('%');
        let token = std::fs::read_to_string(self.place.path("token")).unwrap_or_default();
        // The fuzzer sees what is compared with what, and so comes to know both; the page repeats what is searched for.
        let tells = |secret: &str| !secret.is_empty() && text.contains(secret) && !request.contains(secret);
        assert!(!tells(&token) || (!tcp && asks), "a token for {request:?}");
        assert!(!tells(CANARY), "a credential for {request:?}: {text}");
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return };
        assert!(tame_lines(&head.replace("\r\n", "\n")), "{head:?}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_one = length.is_some_and(|length| length.parse() == Ok(body.len()));
        if is_one && !body.is_empty() && head.contains("content-type: application/json") {
            let document: Value = serde_json::from_str(body).expect("a body in JSON");
            assert!(status < 400 || document.is_object(), "{document}");
        }
    }

    /// It lives, is asked in vain by nobody, and its audit log is a row of JSON documents.
    fn is_well(&self) {
        for (tcp, path) in [(true, "/livez"), (false, "/v1/status")] {
            let answer = self.get(tcp, path);
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer));
        }
        let log = self.place.path("audit.jsonl");
        let lines = std::fs::read(&log).unwrap_or_default();
        let whole = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in lines[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let entry: Value = serde_json::from_slice(line).expect("a line of the audit log");
            assert!(entry.is_object() && !String::from_utf8_lossy(line).contains(CANARY));
        }
        if whole > 1 << 20 {
            std::fs::File::options()
                .write(true)
                .open(log)
                .and_then(|file| file.set_len(0))
                .expect("it is ours");
        }
    }
}

fn exchange<S: Read + Write>(
    mut stream: S,
    request: &[u8],
    leaves: bool,
    shut: impl FnOnce(&S) -> std::io::Result<()>,
) -> Vec<u8> {
    // Whoever is answered before he has said all may find the door closed.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let mut part = [0; 16 * 1024];
    let mut shut = leaves.then_some(shut);
    loop {
        match stream.read(&mut part) {
            Ok(0) => return answer,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                match shut.take() {
                    Some(shut) => drop(shut(&stream)),
                    None => {
                        assert!(leaves, "no answer to {:?}", String::from_utf8_lossy(request));
                        return answer;
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return answer,
        }
    }
}

/// The vendor and the agent, until the process ends.
async fn live(folder: PathBuf, told: mpsc::Sender<u16>) {
    let simulator =
        Simulator::new(simulator::Options { lifetime: Duration::from_secs(600), ..Default::default() });
    let vendor = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = vendor.local_addr().expect("an address");
    tokio::spawn(async move { simulator.serve(vendor, std::future::pending()).await });
    // Another one may take it meanwhile, which is rare.
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let port = port.as_ref().map_or(0, SocketAddr::port);
    let text = configuration(&folder.display().to_string(), address, port);
    let file = folder.join("renewd.yaml");
    super::place::write(&file, text.as_bytes());
    let read = move || -> Result<Config, String> {
        let loaded = load(&file, &|_| None, catalog::texts(), &trial::attempt);
        loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
    };
    let config = read().expect("it is a configuration");
    let options = Options { loader: Arc::new(read), watched: Arc::new(Watched::default), log: None };
    told.send(port).expect("somebody waits");
    let (_quiet, signals) = tokio::sync::mpsc::channel(1);
    let ended = runtime::run(config, options, signals).await;
    panic!("the agent has ended: {ended:?}");
}

fn configuration(folder: &str, vendor: SocketAddr, port: u16) -> String {
    let folder = folder.trim_end_matches('/');
    let base_url = Simulator::base_url(vendor, Provider::OAuthClientCredentials);
    format!(
        "agent:\n  state_dir: {folder}/state\n  socket: {folder}/renewd.sock\n  listen: 127.0.0.1:{port}\n  audit: {folder}/audit.jsonl\n\
         limits: {{ hosts: {{ \"{vendor}\": {{ rate: off, concurrency: 64 }} }} }}\n\
         accounts:\n  messaging:\n    provider: oauth2-client-credentials\n    base_url: {base_url}/token\n\
         \x20   credentials: {{ client_id: me, client_secret: {CANARY} }}\n    sinks: [file: {folder}/token]\n"
    )
}
