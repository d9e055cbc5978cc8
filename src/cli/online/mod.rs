//! `renewd check --online`: names, connections and TLS of the hosts (token APIs, `verify.url`, webhooks), the login at
//! Vault and what stands there, Kubernetes Secrets, and what this machine has to give. Not one request to a provider, to
//! a `verify.url` or to a webhook, and nothing is made that stays or has a name.

#[cfg(feature = "kubernetes")]
mod kubernetes;
mod machine;
mod vault;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::args::Globals;
use super::out;
use super::report;
use crate::config::model::{Account, Config, Hook};
use crate::provider;

/// For a name, for a connection, and for a handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries everything once; says on standard error what it finds. Whether all is well.
pub(super) async fn check(config: &Config, globals: &Globals) -> bool {
    let mut hosts = tokio::task::JoinSet::new();
    for (host, users) in hosts_of(config) {
        hosts.spawn(async move {
            let outcome = reach(&host).await;
            (host, users, outcome)
        });
    }
    let mut well = true;
    while let Some(done) = hosts.join_next().await {
        let Ok((host, users, outcome)) = done else {
            well = false;
            continue;
        };
        let name = host.name();
        let users = super::suggest::listed(users.iter().map(String::as_str));
        match (outcome, host.purpose) {
            (Ok(words), Purpose::Tokens) => out::complain(&format!("{name}: {words}\n")),
            (Ok(words), purpose) => {
                let what = purpose.what();
                out::complain(&format!("{name} ({what} {users}): {words}; nothing was asked of it\n"));
            }
            (Err(Trouble { message, hint }), purpose) => {
                well = false;
                report::finding(true, &format!("{name} ({} {users}): {message}", purpose.what()), hint);
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
    purpose: Purpose,
    /// Roots in place of the system's.
    ca_file: Option<PathBuf>,
    /// What is shown to it.
    identity: Option<(PathBuf, PathBuf)>,
}

/// What it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    /// The token API.
    Tokens,
    /// `verify.url`.
    Verify,
    /// A hook's.
    Webhook,
}

impl Purpose {
    fn what(self) -> &'static str {
        match self {
            Self::Tokens => "accounts",
            Self::Verify => "verify.url of",
            Self::Webhook => "a webhook of",
        }
    }
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

/// Each host with those that it matters to.
fn hosts_of(config: &Config) -> BTreeMap<Host, Vec<String>> {
    let mut hosts: BTreeMap<Host, Vec<String>> = BTreeMap::new();
    let mut add = |host: Host, user: &str| {
        let users = hosts.entry(host).or_default();
        if users.last().is_none_or(|last| last != user) {
            users.push(user.to_owned());
        }
    };
    for account in config.accounts.values() {
        for host in hosts_of_account(account) {
            add(host, account.name.as_str());
        }
        for host in webhooks(&account.on_change) {
            add(host, account.name.as_str());
        }
    }
    for template in &config.templates {
        for host in webhooks(&template.on_change) {
            add(host, &format!("template {}", template.path.display()));
        }
    }
    for alert in &config.agent.alerts {
        for host in webhooks(std::slice::from_ref(&alert.hook)) {
            add(host, "agent.alerts");
        }
    }
    hosts
}

fn hosts_of_account(account: &Account) -> Vec<Host> {
    let http = &account.http;
    let verify = account.verify.iter().map(|verify| (&verify.url, Purpose::Verify));
    let urls = account.issue_url.iter().chain(&account.refresh_url).map(|url| (url, Purpose::Tokens));
    let hosts = urls.chain(verify).filter_map(|(url, purpose)| {
        let (url, is_proxy) = http.proxy.as_ref().map_or((url, false), |proxy| (proxy, true));
        let host = host(url, purpose)?;
        let (ca_file, identity) = (http.ca_file.clone(), http.client_identity.clone());
        Some(Host { is_proxy, ca_file, identity, ..host })
    });
    hosts.collect()
}

/// Webhooks know neither an account's proxy nor its roots.
fn webhooks(hooks: &[Hook]) -> impl Iterator<Item = Host> {
    hooks.iter().filter_map(|hook| match hook {
        Hook::Webhook { url, .. } => host(url, Purpose::Webhook),
        Hook::Signal { .. } | Hook::Command { .. } => None,
    })
}

fn host(url: &url::Url, purpose: Purpose) -> Option<Host> {
    let name = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let (port, tls) = (url.port_or_known_default()?, url.scheme() == "https");
    Some(Host { name, port, tls, is_proxy: false, purpose, ca_file: None, identity: None })
}

async fn reach(host: &Host) -> Result<String, Trouble> {
    let looked_up =
        tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host.name.as_str(), host.port))).await;
    let dns = match host.purpose {
        Purpose::Tokens => DNS,
        Purpose::Verify | Purpose::Webhook => DNS_ELSEWHERE,
    };
    let addresses: Vec<SocketAddr> = match looked_up {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return Err(trouble(format!("the name is not found: {error}"), dns)),
        Err(_) => return Err(trouble("the name server does not answer in time".to_owned(), dns)),
    };
    let host = host.clone();
    let tried = tokio::task::spawn_blocking(move || connect(&host, &addresses)).await;
    tried.unwrap_or_else(|_| Err(Trouble { message: "the try itself failed".to_owned(), hint: None }))
}

const DNS: &str = "look at /etc/resolv.conf and at the spelling of `base_url`";
const DNS_ELSEWHERE: &str = "look at /etc/resolv.conf and at the spelling of the URL";
const FIREWALL: &str = "is there a firewall or a proxy on the way? `http: { proxy: ... }` names one";
const PLAIN: &str = "name the port that does; `http://` is for servers on this machine";
const REACH: &str = "does it listen there? is there a firewall on the way?";
const PUBLIC: &str = "webhooks trust the system's certificates alone; a wrong clock spoils this too";
const TRUST: &str = "a host of your own needs `http: { ca_file: ... }`; a wrong clock spoils this too";

fn trouble(message: String, hint: &'static str) -> Trouble {
    Trouble { message, hint: Some(hint) }
}

/// Connects to the first address that answers, and shakes hands.
fn connect(host: &Host, addresses: &[SocketAddr]) -> Result<String, Trouble> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(address, PATIENCE) {
            Ok(stream) if host.tls => return handshake(host, stream),
            Ok(_) => return Ok("answers".to_owned()),
            Err(error) => last = error,
        }
    }
    let hint = if host.purpose == Purpose::Webhook { REACH } else { FIREWALL };
    Err(trouble(format!("no connection: {last}"), hint))
}

/// What the handshake failed of: only a certificate that nobody here trusts has to do with `ca_file`.
fn tls_trouble(host: &Host, error: &io::Error) -> Trouble {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(_)) => {
            trouble("the server does not speak TLS on this port".to_owned(), PLAIN)
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            let hint = if host.purpose == Purpose::Webhook { PUBLIC } else { TRUST };
            trouble(format!("TLS fails: {error}"), hint)
        }
        _ => Trouble { message: format!("TLS fails: {error}"), hint: None },
    }
}

fn handshake(host: &Host, mut stream: TcpStream) -> Result<String, Trouble> {
    let ours = |message: String| Trouble { message, hint: None };
    let config = provider::tls_config(host.ca_file.as_deref(), host.identity.as_ref())
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
    done.map_err(|error| tls_trouble(host, &error))?;
    let version = match tls.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    tls.send_close_notify();
    let _ = tls.complete_io(&mut stream); // a courtesy
    Ok(format!("answers, {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn what_verifies_and_who_is_told_is_reached_too_each_in_its_own_way() {
        let text = "accounts:\n  a:\n    provider: portone\n    credentials: { apiSecret: x }\n    \
                    base_url: https://one.example.com\n    http: { proxy: \"http://proxy.example.com:3128\" }\n    \
                    verify: { url: \"https://v.example.com/me\" }\n    \
                    on_change: [webhook: { url: \"https://h.example.com/secret\" }]\n  \
                    b: { provider: portone, credentials: { apiSecret: y }, base_url: https://two.example.com, \
                    verify: { url: \"https://v.example.com:8443/me\" } }\ntemplates:\n  \
                    - { path: /run/x, inline: \"{{ accounts.a.access_token }}\", \
                    on_change: [webhook: { url: \"https://h.example.com/other\" }] }\n";
        let path = std::path::Path::new("/etc/renewd.yaml");
        let loaded = config::load_text(path, text, &|_| None, provider::catalog::texts());
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        let told = |(host, users): (Host, Vec<String>)| {
            format!("{} ({} {})\n", host.name(), host.purpose.what(), users.join(", "))
        };
        let hosts: String = hosts_of(&config).into_iter().map(told).collect();
        insta::assert_snapshot!(hosts, @r"
        h.example.com:443 (a webhook of a, template /run/x)
        proxy proxy.example.com:3128 (accounts a)
        proxy proxy.example.com:3128 (verify.url of a)
        two.example.com:443 (accounts b)
        v.example.com:8443 (verify.url of b)
        ");
    }
}
