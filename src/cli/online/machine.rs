//! What this machine has to give: the sinks' places, the state directory, the socket and the port.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use crate::atomic::Warning;
use crate::cli::args::Globals;
use crate::cli::{client, out, report};
use crate::config::model::{Config, Sink, TemplateTarget};
use crate::observe::status::Status;
use crate::runtime;
use crate::sink::file::{SinkError, Tenure};
use crate::sink::{compose, directory, file};
use crate::store::Store;

/// For the answer of whoever has the port.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at everything as this user; says on standard error what it finds. Whether all is well.
pub(super) async fn check(config: &Config, globals: &Globals) -> bool {
    let mut obstacles = sinks(config);
    shared_places(config);
    if let Err(error) = Store::could_open(&config.agent.state_dir) {
        obstacles.push(Obstacle::new(format!("agent.state_dir: {error}"), error.hint()));
    }
    if let Some(socket) = &config.agent.socket {
        const ELSEWHERE: &str = "name another place with `agent.socket`, or `socket: off`";
        let name = |what: &dyn Display| format!("agent.socket: {what}");
        match runtime::could_bind(socket) {
            Ok(warning) => {
                warning.iter().for_each(|warning| report::finding(false, &name(warning), Some(ELSEWHERE)));
            }
            Err(errors) => obstacles.extend(
                errors.iter().map(|error| Obstacle::new(name(error), error.hint.or(Some(ELSEWHERE)))),
            ),
        }
    }
    if let Some(audit) = &config.agent.audit
        && let Err(error) = runtime::could_write(&audit.path)
    {
        obstacles.push(Obstacle::new(format!("agent.audit: {error}"), None));
    }
    let is_about_files = !obstacles.is_empty();
    if let Some(address) = config.agent.listen {
        obstacles.extend(port(address).await);
    }
    for Obstacle { message, hint } in &obstacles {
        report::finding(true, message, *hint);
    }
    if is_about_files {
        let user = rustix::process::geteuid().as_raw();
        let config = globals.config.as_ref().map(|path| format!(" --config {}", path.display()));
        let command = format!("sudo -u renewd renewd check --online{}", config.unwrap_or_default());
        report::note(&format!("tried as uid {user}; as the agent's user: `{command}`"), globals);
    }
    obstacles.is_empty()
}

struct Obstacle {
    message: String,
    hint: Option<&'static str>,
}

impl Obstacle {
    fn new(message: String, hint: Option<&'static str>) -> Self {
        Self { message, hint }
    }
}

fn sinks(config: &Config) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let sinks = config.accounts.values().flat_map(|account| &account.sinks).filter_map(Sink::file);
    let sinks = sinks.map(|sink| (format!("sink file:{}", sink.path.display()), file::could_put(sink)));
    let templates = config.templates.iter();
    let templates =
        templates.map(|template| (format!("template {}", template.path.display()), could_put(template)));
    for (name, outcome) in sinks.chain(templates) {
        match outcome {
            Ok(warnings) => warnings
                .iter()
                .for_each(|warning| report::finding(false, &format!("{name}: {warning}"), None)),
            Err(errors) => obstacles.extend(
                errors.into_iter().map(|error| Obstacle::new(format!("{name}: {error}"), error.hint())),
            ),
        }
    }
    obstacles
}

/// Two that come to one place by a linked folder would write over each other for ever, and no path tells.
fn shared_places(config: &Config) {
    let sinks = config.accounts.values().flat_map(|account| &account.sinks).filter_map(Sink::file);
    let sinks = sinks.map(|sink| (&sink.path, file::place_of(sink, Tenure::Unknown)));
    let templates = config.templates.iter().map(|template| {
        let place = match compose::file_of(template) {
            Some(sink) => file::place_of(&sink, Tenure::Unknown),
            None => directory::place_of(template),
        };
        (&template.path, place)
    });
    let mut first = HashMap::new();
    for (path, place) in sinks.chain(templates) {
        // What cannot be looked at was said above.
        let Ok(Some(place)) = place else { continue };
        if let Some(other) = first.insert(place, path) {
            let (path, other) = (path.display(), other.display());
            let message = format!("`{other}` and `{path}` are one and the same place");
            report::finding(
                false,
                &message,
                Some("a link leads from one to the other: give each a place of its own"),
            );
        }
    }
}

fn could_put(template: &TemplateTarget) -> Result<Vec<Warning>, Vec<SinkError>> {
    match compose::file_of(template) {
        Some(file) => file::could_put(&file),
        None => directory::could_put(template),
    }
}

/// Whether the port is free or has a running renewd on it.
async fn port(address: SocketAddr) -> Option<Obstacle> {
    let error = match TcpListener::bind(address) {
        Ok(_) => return None,
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::AddrInUse && is_renewd(address).await {
        out::complain(&format!("{address}: a running renewd answers\n"));
        return None;
    }
    let words = match error.kind() {
        io::ErrorKind::AddrInUse => "something that is no renewd has this port".to_owned(),
        _ => error.to_string(),
    };
    let hint =
        "name another address with `agent.listen`; `off` serves nowhere. `ss -ltnp` shows who has which port";
    Some(Obstacle::new(format!("agent.listen: cannot listen on {address}: {words}"), Some(hint)))
}

/// Whether it answers as `/api/v1/status` does.
async fn is_renewd(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}/api/v1/status", SocketAddr::new(ip, address.port()));
    let asked = async {
        let client = reqwest::Client::builder()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        client::body(client.get(url).timeout(PATIENCE).send().await?).await
    };
    matches!(asked.await, Ok(Some(body)) if serde_json::from_slice::<Status>(&body).is_ok())
}
