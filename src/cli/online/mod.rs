//! `renewd check --online`: names, connections and TLS of the hosts, the login at Vault and what stands there, Kubernetes
//! Secrets, and what this machine has to give. Not one request to a provider, and nothing is made.

#[cfg(feature = "kubernetes")]
mod kubernetes;
mod machine;
mod vault;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::args::Globals;
use super::out;
use super::report;
use crate::config::model::{Account, Config, Http};
use crate::provider;

/// For a name, for a connection, and for a handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries everything once; says on standard error what it finds. Whether all is well.
pub(super) async fn check(config: &Config, globals: &Globals) -> bool {
    let mut hosts = tokio::task::JoinSet::new();
    for (host, (http, accounts)) in hosts_of(config) {
        hosts.spawn(async move {
            let outcome = reach(&host, &http).await;
            (host, accounts, outcome)
        });
    }
    let mut well = true;
    while let Some(done) = hosts.join_next().await {
        let Ok((host, accounts, outcome)) = done else {
            well = false;
            continue;
        };
        match outcome {
            Ok(words) => out::complain(&format!("{}: {words}\n", host.name())),
            Err(trouble) => {
                well = false;
                let who = super::suggest::listed(accounts.iter().map(String::as_str));
                let Trouble { message, hint } = trouble;
                report::finding(true, &format!("{} (accounts {who}): {message}", host.name()), hint);
            }
        }
    }
    let vault = vault::check(config).await;
    #[cfg(feature = "kubernetes")]
    let well = kubernetes::check(config).await && well;
    machine::check(config, globals).await && vault && well
}

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    name: String,
    port: u16,
    tls: bool,
    /// A proxy connects to the host itself: its own reach is all that can be tried without a request.
    is_proxy: bool,
}

impl Host {
    fn name(&self) -> String {
        let kind = if self.is_proxy { "proxy " } else { "" };
        format!("{kind}{}:{}", self.name, self.port)
    }
}

struct Trouble {
    message: String,
    hint: Option<&'static str>,
}

/// Each host with one of the ways to it, and the accounts that it matters to.
fn hosts_of(config: &Config) -> BTreeMap<Host, (Http, Vec<String>)> {
    let mut hosts: BTreeMap<Host, (Http, Vec<String>)> = BTreeMap::new();
    for account in config.accounts.values() {
        for host in hosts_of_account(account) {
            let (_, accounts) = hosts.entry(host).or_insert_with(|| (account.http.clone(), Vec::new()));
            accounts.push(account.name.to_string());
        }
    }
    hosts
}

fn hosts_of_account(account: &Account) -> Vec<Host> {
    let host = |url: &url::Url, is_proxy: bool| {
        let name = url.host_str()?.trim_matches(['[', ']']).to_owned();
        Some(Host { name, port: url.port_or_known_default()?, tls: url.scheme() == "https", is_proxy })
    };
    if let Some(proxy) = &account.http.proxy {
        return host(proxy, true).into_iter().collect();
    }
    let mut hosts: Vec<Host> =
        account.issue_url.iter().chain(&account.refresh_url).filter_map(|url| host(url, false)).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}

async fn reach(host: &Host, http: &Http) -> Result<String, Trouble> {
    let looked_up =
        tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.name.as_str(), host.port))).await;
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(trouble(format!("the name is not found: {error}"), DNS)),
        Err(_) => return Err(trouble("the name server does not answer in time".to_owned(), DNS)),
    };
    let (host, http) = (host.clone(), http.clone());
    let tried = tokio::task::spawn_blocking(move || connect(&host, &http, &addresses)).await;
    tried.unwrap_or_else(|_| Err(Trouble { message: "the try itself failed".to_owned(), hint: None }))
}

const DNS: &str = "look at /etc/resolv.conf and at the spelling of `base_url`";
const FIREWALL: &str = "is there a firewall or a proxy on the way? `http: { proxy: ... }` names one";
const PLAIN: &str = "name the port that does; `http://` is for servers on this machine";
const TRUST: &str = "a host of your own needs `http: { ca_file: ... }`; a wrong clock spoils this too";

fn trouble(message: String, hint: &'static str) -> Trouble {
    Trouble { message, hint: Some(hint) }
}

/// Connects to the first address that answers, and shakes hands.
fn connect(host: &Host, http: &Http, addresses: &[SocketAddr]) -> Result<String, Trouble> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) if host.tls => return handshake(host, http, stream),
            Ok(_) => return Ok("answers".to_owned()),
            Err(error) => last = error,
        }
    }
    Err(trouble(format!("no connection: {last}"), FIREWALL))
}

/// What the handshake failed of: only a certificate that nobody here trusts has to do with `ca_file`.
fn tls_trouble(error: &io::Error) -> Trouble {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => {
            trouble("the server does not speak TLS on this port".to_owned(), PLAIN)
        }
        Some(rustls::Error::InvalidCertificate(_)) => trouble(format!("TLS fails: {error}"), TRUST),
        _ => Trouble { message: format!("TLS fails: {error}"), hint: None },
    }
}

fn handshake(host: &Host, http: &Http, mut stream: TcpStream) -> Result<String, Trouble> {
    let ours = |message: String| Trouble { message, hint: None };
    let config = provider::tls_config(http.ca_file.as_deref(), http.client_identity.as_ref())
        .map_err(|failure| ours(failure.message))?;
    let name = ServerName::try_from(host.name.clone()).map_err(|error| ours(error.to_string()))?;
    let mut tls =
        rustls::ClientConnection::new(Arc::new(config), name).map_err(|error| ours(error.to_string()))?;
    let limited =
        stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    let done = limited.and_then(|()| {
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(())
    });
    done.map_err(|error| tls_trouble(&error))?;
    let version = match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    tls.send_close_notify();
    let _ = tls.complete_io(&mut stream); // a courtesy
    Ok(format!("answers, {version}"))
}
