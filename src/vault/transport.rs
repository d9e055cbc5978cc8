//! One exchange with the server: bounded in size, no proxies, no redirects but the one hop from a standby to its
//! leader. Every fault of the server as a whole ends here; a [`Reply`] is one about the request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use rustify::endpoint::Endpoint;
use rustify::enums::RequestMethod;
use serde::Deserialize;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{VaultError, causes};
use crate::config::model::{Vault, VaultAuth};
use crate::domain::Secret;
use crate::patience;
use crate::tls::{self, Stamps};

/// The largest reply that is read.
const LARGEST: usize = 1 << 20;

/// Name lookup, TCP and TLS together, at most.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A request, its reply included. A server that hangs is known to do so after this; one that needs longer cannot be
/// written to.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest `Retry-After` that is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

const FIELDS: tls::Fields = tls::Fields {
    ca_file: "vault.ca_file",
    cert_file: "vault.auth.cert.cert_file",
    key_file: "vault.auth.cert.key_file",
};

/// The way to one server.
pub(super) struct Transport {
    settings: Arc<Vault>,
    client: Mutex<Option<(Stamps, reqwest::Client)>>,
}

/// What is asked: vaultrs' request without its way of sending it.
pub(super) struct Request {
    method: reqwest::Method,
    path: String,
    body: Zeroizing<Vec<u8>>,
    namespaced: bool,
}

/// A whole answer.
struct Answer {
    status: reqwest::StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

/// An answer below 500 that is no 429 and no redirect.
pub(super) struct Reply {
    pub(super) status: u16,
    body: Zeroizing<Vec<u8>>,
}

/// The `errors` of a refusal; looked at, never shown.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Health {
    initialized: bool,
    sealed: bool,
    #[serde(default)]
    standby: bool,
}

impl Request {
    /// vaultrs' shape of a request.
    pub(super) fn of(endpoint: &impl Endpoint) -> Result<Self, VaultError> {
        let unusable = |_| VaultError::Malformed("the request cannot be made");
        let method = match endpoint.method() {
            RequestMethod::GET => reqwest::Method::GET,
            RequestMethod::DELETE => reqwest::Method::DELETE,
            _ => reqwest::Method::POST,
        };
        let body = endpoint.body().map_err(unusable)?.unwrap_or_default();
        Ok(Self { method, path: endpoint.path(), body: Zeroizing::new(body), namespaced: true })
    }

    /// What vaultrs has no right shape for.
    pub(super) fn get(path: String) -> Self {
        let body = Zeroizing::default();
        Self { method: reqwest::Method::GET, path, body, namespaced: true }
    }

    /// The same with a JSON body.
    pub(super) fn post(path: String, body: &serde_json::Value) -> Self {
        let body = Zeroizing::new(body.to_string().into_bytes());
        Self { method: reqwest::Method::POST, path, body, namespaced: true }
    }
}

impl Reply {
    /// 200 to 299.
    pub(super) fn good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The whole reply as JSON.
    pub(super) fn json<'r, T: Deserialize<'r>>(&'r self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether one of the server's own errors (or warnings) holds these words.
    pub(super) fn says(&self, words: &str) -> bool {
        let errors = self.json::<Refusal>().map(|refusal| refusal.errors).unwrap_or_default();
        errors.iter().any(|error| error.contains(words))
    }
}

impl Transport {
    pub(super) fn new(settings: Arc<Vault>) -> Self {
        Self { settings, client: Mutex::new(None) }
    }

    /// Asks once.
    ///
    /// # Errors
    /// What is the server's fault, or that of the way to it.
    pub(super) async fn send(&self, request: &Request, token: Option<&Secret>) -> Result<Reply, VaultError> {
        let client = self.client().await?;
        let headers = self.headers(request, token)?;
        let url = self.url(&request.path)?;
        let mut answer = exchange(&client, request, url.clone(), headers.clone()).await?;
        if answer.status.is_redirection() {
            let leader = self.leader(&url, &answer.headers)?;
            answer = exchange(&client, request, leader, headers).await?;
        }
        if answer.status.is_redirection() {
            return Err(VaultError::Elsewhere);
        }
        let retry_after = retry_after(&answer.headers);
        let status = answer.status.as_u16();
        let reply = Reply { status, body: answer.body };
        match status {
            429 => Err(VaultError::RateLimited { wait: retry_after }),
            500.. => Err(self.health(&client, status, &reply).await),
            // What an uninitialised server answers depends on the path.
            400 if reply.says("not initialized") => Err(VaultError::NotInitialised),
            404 if reply.says("namespace not found") => Err(VaultError::NoNamespace),
            _ => Ok(reply),
        }
    }

    /// Why it fails: `sys/health` tells sealed from standby, without a token.
    async fn health(&self, client: &reqwest::Client, status: u16, reply: &Reply) -> VaultError {
        if reply.says("active cluster node not found") {
            return VaultError::Standby;
        }
        let request = Request { namespaced: false, ..Request::get("sys/health".into()) };
        let look = async {
            let url = self.url(&request.path).ok()?;
            let answer = exchange(client, &request, url, HeaderMap::new()).await.ok()?;
            Reply { status, body: answer.body }.json::<Health>()
        };
        match look.await {
            Some(Health { initialized: false, .. }) => VaultError::NotInitialised,
            Some(Health { sealed: true, .. }) => VaultError::Sealed,
            Some(Health { standby: true, .. }) => VaultError::Standby,
            _ => VaultError::Failing(status),
        }
    }

    /// Where a standby sends us: followed only for the very same request, and only to a node that this client's own
    /// rules vouch for. Over TLS that is `vault.ca_file`, which is the cluster's, or the configured name itself; on this
    /// machine another port of it.
    fn leader(&self, asked: &Url, headers: &HeaderMap) -> Result<Url, VaultError> {
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let target = location.and_then(|location| asked.join(location).ok()).ok_or(VaultError::Elsewhere)?;
        let same_request = target.path() == asked.path() && target.query() == asked.query();
        let vouched = match (asked.scheme(), target.scheme()) {
            ("https", "https") => self.settings.ca_file.is_some() || target.host() == asked.host(),
            ("http", "http") => local(asked) && local(&target),
            _ => false,
        };
        if same_request && vouched && target.username().is_empty() && target.password().is_none() {
            Ok(target)
        } else {
            Err(VaultError::Elsewhere)
        }
    }

    fn url(&self, path: &str) -> Result<Url, VaultError> {
        let mut url = self.settings.address.clone();
        let bad_path = || VaultError::Setup("a path in Vault cannot have empty, `.` or `..` parts".into());
        // vaultrs' own paths begin with a slash or even with a tab.
        let parts: Vec<&str> = path.trim().trim_matches('/').split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..") || part.contains(char::is_control)) {
            return Err(bad_path());
        }
        url.path_segments_mut().map_err(|()| bad_path())?.clear().push("v1").extend(parts);
        Ok(url)
    }

    fn headers(&self, request: &Request, token: Option<&Secret>) -> Result<HeaderMap, VaultError> {
        let value = |text: &str, what: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| VaultError::Setup(format!("{what} cannot be sent as it is")))
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        if let (true, Some(namespace)) = (request.namespaced, &self.settings.namespace) {
            headers.insert("x-vault-namespace", value(namespace, "vault.namespace")?);
        }
        if let Some(token) = token {
            let mut token = value(token.expose(), "Vault's token")?;
            token.set_sensitive(true);
            headers.insert("x-vault-token", token);
        }
        Ok(headers)
    }

    /// Its files may hang: nothing is held meanwhile.
    async fn client(&self) -> Result<reqwest::Client, VaultError> {
        let identity = match &self.settings.auth {
            VaultAuth::Cert { cert_file, key_file, .. } => Some((cert_file.clone(), key_file.clone())),
            _ => None,
        };
        let ca_file = self.settings.ca_file.as_deref();
        let files = tls::Files { ca_file, identity: identity.as_ref(), fields: FIELDS };
        let stamps = files.stamps().await.map_err(VaultError::Setup)?;
        if let Some((made_from, client)) = self.held().as_ref()
            && *made_from == stamps
        {
            return Ok(client.clone());
        }
        let tls = files.config().await.map_err(VaultError::Setup)?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // reqwest would send the token along.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .http2_max_header_list_size(64 * 1024)
            .build()
            .map_err(|_| VaultError::Setup("the HTTP client for Vault cannot be set up".into()))?;
        *self.held() = Some((stamps, client.clone()));
        Ok(client)
    }

    fn held(&self) -> MutexGuard<'_, Option<(Stamps, reqwest::Client)>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request and its whole answer. What came while this process stood still counts: a login may have spent a secret id
/// that is good for one.
async fn exchange(
    client: &reqwest::Client,
    request: &Request,
    url: Url,
    headers: HeaderMap,
) -> Result<Answer, VaultError> {
    let mut builder = client.request(request.method.clone(), url).headers(headers);
    if !request.body.is_empty() {
        builder = builder.header("content-type", "application/json").body(request.body.to_vec());
    }
    let asking = async {
        let mut response = builder.send().await.map_err(|error| causes::error(&error))?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Answer { status: response.status(), headers, body: read(response).await? })
    };
    patience::within(TIMEOUT, asking).await.unwrap_or(Err(VaultError::TooSlow(TIMEOUT)))
}

/// The body against the cap, in buffers that are wiped.
async fn read(mut response: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let mut body = Zeroizing::new(Vec::with_capacity(8 << 10));
    while let Some(chunk) = response.chunk().await.map_err(|error| causes::error(&error))? {
        let wanted = body.len() + chunk.len();
        if wanted > LARGEST {
            return Err(VaultError::Malformed("it is longer than 1 MiB"));
        }
        if wanted > body.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(wanted.next_power_of_two()));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Vault sends seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
