//! The provider layer's only I/O: one exchange, bounded in time and size. Retries nothing, follows nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::ClientConfig;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::coding::{GZIP, LARGEST_BODY};
use super::errors::Failure;
use super::request::{self, Rendered, Scope};
use super::response::{self, Issued, OperationKind, RawReply, Reading};
use super::{causes, tls};
use crate::config::definition::Definition;
use crate::config::model::{Account, Http};
use crate::domain::{ErrorClass, Secret, Timestamp};
use crate::patience;
use crate::tls::Stamps;

/// Name lookup, TCP and TLS together, at most; two thirds of the account's timeout where that is less, so that a
/// connection that never stood is told from a request that may have arrived.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One request to be made.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// For whom.
    pub account: &'a Account,
    /// Which of the definition's two.
    pub operation: OperationKind,
    /// Resolved, by the vendor's own names; a refresh seed may be missing.
    pub credentials: &'a BTreeMap<String, Secret>,
    /// The one to spend, for a refresh.
    pub refresh_token: Option<&'a Secret>,
    /// The current one, where there is one.
    pub access_token: Option<&'a Secret>,
    /// The same for every try of one intent; 16 to 256 ASCII characters without quotes suit every vendor.
    pub idempotency_key: &'a str,
    /// Whether that key may have been answered before, so that the reply may be the stored one of that time.
    pub repeated: bool,
    /// For the whole exchange, connect to last byte.
    pub timeout: Duration,
    /// The wall clock.
    pub now: &'a (dyn Fn() -> Timestamp + Send + Sync),
}

/// HTTP clients, one for each distinct way of reaching a provider.
pub struct Clients {
    by_transport: Mutex<HashMap<Transport, (Stamps, reqwest::Client)>>,
    random: SystemRandom,
}

/// What two accounts must have in common to share connections; the timeout is that of connecting, then that of idling.
type Transport = (Http, Duration);

impl Clients {
    /// None yet: each is made when first needed.
    #[must_use]
    pub fn new() -> Self {
        Self { by_transport: Mutex::new(HashMap::new()), random: SystemRandom::new() }
    }

    /// Sends one request and reads its reply.
    ///
    /// # Errors
    /// [`Failure`] where no token comes of it.
    pub async fn exchange(&self, call: Call<'_>) -> Result<Issued, Failure> {
        let Account { provider: definition, params, .. } = call.account;
        let (operation, url) = match call.operation {
            OperationKind::Issue => (&definition.issue, &call.account.issue_url),
            OperationKind::Refresh => (&definition.refresh, &call.account.refresh_url),
        };
        let (Some(operation), Some(url)) = (operation, url) else {
            return Err(Failure::config("the provider's definition has no such operation"));
        };
        private(url)?;
        check_credentials(definition, call.credentials)?;
        let client = self.client(&call.account.http, definition.idle_timeout).await?;

        let (nonce, uuid) = self.nonce()?;
        let t0 = (call.now)();
        let rendered = request::render(
            &operation.request,
            url,
            &Scope {
                definition,
                credentials: call.credentials,
                params,
                base_url: call.account.base_url.as_ref().map_or("", Url::as_str).trim_end_matches('/'),
                environment: &call.account.environment,
                refresh_token: call.refresh_token,
                access_token: call.access_token,
                idempotency_key: call.idempotency_key,
                nonce: &nonce,
                uuid: &uuid,
                now: t0,
            },
        )?;
        let place = causes::place(&rendered.url, &call.account.http);
        let sent = send(&client, rendered, &call, &place);
        let reply = patience::within(call.timeout, sent)
            .await
            .unwrap_or_else(|| Err(causes::late(&place, call.timeout)))?;
        let secrets: Vec<&Secret> =
            call.credentials.values().chain(call.refresh_token).chain(call.access_token).collect();
        let reading = Reading {
            definition,
            kind: call.operation,
            operation,
            params,
            t0,
            received_at: (call.now)(),
            repeated: call.repeated,
            secrets: &secrets,
        };
        response::read(&reading, &reply)
    }

    /// The one for that way. Its files may hang: nobody else's client waits for them.
    pub(super) async fn client(
        &self,
        http: &Http,
        idle_timeout: Duration,
    ) -> Result<reqwest::Client, Failure> {
        let connect_timeout = CONNECT_TIMEOUT.min(http.timeout * 2 / 3);
        let transport = (Http { timeout: connect_timeout, ..http.clone() }, idle_timeout);
        let files = tls::files(http);
        let stamps = files.stamps().await.map_err(Failure::config)?;
        if let Some((made_from, client)) = self.clients().get(&transport)
            && *made_from == stamps
        {
            return Ok(client.clone());
        }
        let config = files.config().await.map_err(Failure::config)?;
        let mut clients = self.clients();
        match clients.get(&transport) {
            // Another account's request has made it meanwhile: connections are shared.
            Some((made_from, client)) if *made_from == stamps => Ok(client.clone()),
            _ => {
                let client = build(&transport, config)?;
                clients.insert(transport, (stamps, client.clone()));
                Ok(client)
            }
        }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Transport, (Stamps, reqwest::Client)>> {
        self.by_transport.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// 32 hexadecimal characters, and a version 4 UUID (RFC 9562 section 5.4).
    fn nonce(&self) -> Result<(String, String), Failure> {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes).map_err(|_| Failure::config("the system gives no random numbers"))?;
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
        let hex = |bytes: &[u8]| {
            bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect::<String>()
        };
        let (nonce, uuid) = bytes.split_at_mut(16);
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let uuid = [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].map(hex).join("-");
        Ok((hex(nonce), uuid))
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new()
    }
}

fn build((http, idle_timeout): &Transport, tls: ClientConfig) -> Result<reqwest::Client, Failure> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        // On 307 and 308 reqwest would send the body, and thus the credentials, to wherever the reply says.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(http.timeout)
        .pool_idle_timeout(*idle_timeout)
        .pool_max_idle_per_host(32)
        .tcp_nodelay(true)
        // Above the largest body, far below reqwest's megabytes.
        .http2_initial_stream_window_size(512 * 1024)
        .http2_initial_connection_window_size(1024 * 1024)
        .http2_max_header_list_size(64 * 1024)
        .local_address(http.source_address)
        .referer(false)
        // Bodies are decoded where replies are read.
        .gzip(false);
    builder = match &http.proxy {
        // HTTP_PROXY and its kin are somebody else's configuration.
        None => builder.no_proxy(),
        Some(url) => builder.proxy(
            reqwest::Proxy::all(url.clone()).map_err(|_| Failure::config("http.proxy cannot be used"))?,
        ),
    };
    builder.build().map_err(|_| Failure::config("the HTTP client cannot be set up"))
}

async fn send(
    client: &reqwest::Client,
    rendered: Rendered,
    call: &Call<'_>,
    place: &str,
) -> Result<RawReply, Failure> {
    let Rendered { method, url, mut headers, body } = rendered;
    headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static(GZIP));
    let http = &call.account.http;
    let mut request = client.request(method, url).headers(headers);
    if let Some(mut body) = body {
        request = request.body(std::mem::take(&mut *body));
    }
    let failed = |error: reqwest::Error| causes::failure(&error, place, http.source_address);
    let mut response = request.send().await.map_err(failed)?;

    let status = response.status().as_u16();
    let too_large = || Failure {
        class: ErrorClass::Malformed,
        host_fault: status >= 500,
        host_pause: status == 429,
        status: Some(status),
        ..Failure::transport(format!("the reply is longer than 256 KiB (HTTP {status})"), true)
    };
    let headers = response.headers().iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect();
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(too_large());
        }
        append(&mut body, &chunk);
    }
    Ok(RawReply { status, headers, body })
}

/// Grows by moving to a new buffer, so that the old one is wiped.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let wanted = body.len() + chunk.len();
    if wanted > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.next_power_of_two().max(8 * 1024)));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

/// Credentials go over TLS, or stay on this host.
pub(super) fn private(url: &Url) -> Result<(), Failure> {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && local) {
        Ok(())
    } else {
        Err(Failure::config("the token API must be reached by https (by http on this host only)"))
    }
}

/// What an empty file or a wrong secret looks like, before the provider counts it as a failed login.
fn check_credentials(definition: &Definition, given: &BTreeMap<String, Secret>) -> Result<(), Failure> {
    for credential in &definition.credentials {
        let name = &credential.name;
        let value = given.get(name).map_or("", Secret::expose);
        if value.is_empty() && !credential.optional && !credential.refresh_seed {
            return Err(Failure::config(format!("credential `{name}` is empty")));
        }
        if let Some(max) = credential.max_length.filter(|max| value.chars().count() > *max) {
            return Err(Failure::config(format!(
                "credential `{name}` is longer than the {max} characters it can have"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
