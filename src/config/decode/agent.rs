//! `agent:` and `limits:`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fields::wrong_type;
use super::hook::alerts;
use super::scalar::Refusal;
use super::{Fields, Report, paths, scalar, urls};
use crate::config::model::{Agent, Audit, Limit, Limits, Log, LogFormat, LogLevel, Socket};
use crate::config::shape::{AGENT, AUDIT, HOST, LIMITS, LOG, SOCKET};
use crate::config::tree::Value;

const GRACE: Duration = Duration::from_secs(20);
const GRACE_BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9478);
/// What fits a Unix socket's address.
const SOCKET_PATH: usize = 107;

/// The agent itself; `env` reads environment variables.
pub(crate) fn agent(
    report: &mut Report,
    main: &Fields<'_, '_>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Agent {
    let fields = main.section(report, "agent", &AGENT);
    let fields = fields.as_ref();
    let state_dir = fields.and_then(|fields| fields.parsed(report, "state_dir", paths::folder));
    let listen = fields.and_then(|fields| fields.parsed(report, "listen", listen));
    let grace = fields
        .and_then(|fields| fields.duration_within(report, "shutdown_grace", GRACE_BOUNDS, "from 1 s to 1 h"));
    let default_socket =
        folder_of(env, "RUNTIME_DIRECTORY").unwrap_or_else(|| "/run/renewd".into()).join("renewd.sock");
    Agent {
        state_dir: state_dir
            .or_else(|| folder_of(env, "STATE_DIRECTORY"))
            .unwrap_or_else(|| "/var/lib/renewd".into()),
        socket: socket(report, fields, default_socket),
        listen: listen.unwrap_or(Some(LISTEN)),
        shutdown_grace: grace.unwrap_or(GRACE),
        log: log(report, fields),
        audit: audit(report, fields),
        alerts: fields.map(|fields| alerts(report, fields)).unwrap_or_default(),
    }
}

/// systemd gives a list where a unit has several; the first is ours.
fn folder_of(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<PathBuf> {
    let value = env(name)?;
    let first = value.split(':').next()?;
    first.starts_with('/').then(|| PathBuf::from(first))
}

fn socket(report: &mut Report, agent: Option<&Fields<'_, '_>>, default: PathBuf) -> Option<Socket> {
    let plain = |path| Socket { path, mode: 0o660, group: None };
    let Some((agent, node)) = agent.and_then(|agent| agent.node("socket").map(|node| (agent, node))) else {
        return Some(plain(default));
    };
    match &node.value {
        Value::Scalar(_) => {
            let given = |text: &str| match text {
                "off" => Ok(None),
                path => socket_path(path).map(Some),
            };
            agent.parsed(report, "socket", given).flatten().map(plain)
        }
        Value::Mapping(_) => {
            let fields = agent.section(report, "socket", &SOCKET)?;
            let mode = fields.parsed(report, "mode", scalar::mode).unwrap_or(0o660);
            if mode & 0o007 != 0 {
                report
                    .warn(fields.place_of("mode"), "every user of this machine may read the agent's status")
                    .hint("use \"0660\" and `group`");
            }
            Some(Socket {
                path: fields.parsed(report, "path", socket_path).unwrap_or(default),
                mode,
                group: fields.parsed(report, "group", scalar::principal),
            })
        }
        Value::Sequence(_) => {
            if let Some(field) = AGENT.field("socket") {
                wrong_type(report, node, &field.kind);
            }
            None
        }
    }
}

/// Off unless a path is given.
fn audit(report: &mut Report, agent: Option<&Fields<'_, '_>>) -> Option<Audit> {
    let plain = |path| Audit { path, mode: 0o600, group: None };
    let agent = agent?;
    let node = agent.node("audit")?;
    match &node.value {
        Value::Scalar(_) => {
            let given = |text: &str| match text {
                "off" => Ok(None),
                path => paths::absolute(path).map(Some),
            };
            agent.parsed(report, "audit", given).flatten().map(plain)
        }
        Value::Mapping(_) => {
            let fields = agent.section(report, "audit", &AUDIT)?;
            let mode = fields.parsed(report, "mode", scalar::mode).unwrap_or(0o600);
            if mode & 0o002 != 0 {
                report.warn(fields.place_of("mode"), "every user of this machine may change what was noted");
            }
            let path = fields.parsed(report, "path", paths::absolute);
            let group = fields.parsed(report, "group", scalar::principal);
            Some(Audit { path: path?, mode, group })
        }
        Value::Sequence(_) => {
            if let Some(field) = AGENT.field("audit") {
                wrong_type(report, node, &field.kind);
            }
            None
        }
    }
}

fn socket_path(text: &str) -> Result<PathBuf, Refusal> {
    let path = paths::absolute(text)?;
    match path.as_os_str().len() <= SOCKET_PATH {
        true => Ok(path),
        false => Err(Refusal::because(format!("a socket's path has {SOCKET_PATH} bytes at most"))),
    }
}

fn listen(text: &str) -> Result<Option<SocketAddr>, Refusal> {
    if text == "off" {
        return Ok(None);
    }
    if let Ok(address) = text.parse() {
        return Ok(Some(address));
    }
    let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
    Err(match (port, text) {
        (Some(port), _) if text.starts_with("localhost:") => {
            Refusal::EXPECTED.with_hint(format!("write `127.0.0.1:{port}`"))
        }
        (Some(port), _) => Refusal::EXPECTED.with_hint(format!(
            "an IP address and a port: `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every interface"
        )),
        (None, _) => Refusal::EXPECTED.with_hint("an IP address and a port"),
    })
}

fn log(report: &mut Report, agent: Option<&Fields<'_, '_>>) -> Log {
    const LEVELS: [(&str, LogLevel); 5] = [
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    const FORMATS: [(&str, LogFormat); 3] =
        [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let plain = Log { level: LogLevel::Info, format: LogFormat::Auto };
    let Some(fields) = agent.and_then(|agent| agent.section(report, "log", &LOG)) else { return plain };
    Log {
        level: fields.choice(report, "level", &LEVELS).unwrap_or(plain.level),
        format: fields.choice(report, "format", &FORMATS).unwrap_or(plain.format),
    }
}

/// How hard any one provider host may be pressed.
pub(crate) fn limits(report: &mut Report, main: &Fields<'_, '_>) -> Limits {
    let Some(fields) = main.section(report, "limits", &LIMITS) else { return Limits::default() };
    let default = limit(report, &fields, Limit::default());
    let mut hosts = BTreeMap::new();
    for entry in fields.map(report, "hosts") {
        let key = match urls::host_key(&entry.key) {
            Ok(key) => key,
            Err(Refusal { message, hint }) => {
                let finding = report.error(entry.place, message.unwrap_or_default());
                finding.hint(hint.unwrap_or_else(|| "as in \"api.example.com:443\"".to_owned()));
                continue;
            }
        };
        let Some(own) = Fields::read(report, &HOST, &entry.node, entry.place) else { continue };
        let value = limit(report, &own, default);
        if hosts.insert(key, value).is_some() {
            report.error(entry.place, "this host stands twice");
        }
    }
    Limits { default, hosts }
}

fn limit(report: &mut Report, fields: &Fields<'_, '_>, base: Limit) -> Limit {
    Limit {
        period: fields.parsed(report, "rate", scalar::rate).unwrap_or(base.period),
        burst: fields.count(report, "burst").unwrap_or(base.burst),
        concurrency: fields.count(report, "concurrency").unwrap_or(base.concurrency),
    }
}

/// The main file's folder, absolute: what `include` is relative to.
pub(crate) fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or_else(|| "/".into())
}
