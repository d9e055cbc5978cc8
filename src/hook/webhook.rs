use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::{Host, Url};

use super::{HookError, Notice, WebhookTrouble};
use crate::domain::host_port;
use crate::tls::chain;

/// A connection that does not stand by then is given up, so that the exchange has a chance.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of a reply is read before the connection is closed: its status has said all.
const READ: usize = 4 << 10;

/// The client of all webhooks: no redirects, no proxy from the environment, no connection kept.
pub(super) fn client(tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(0)
        .http2_max_header_list_size(64 * 1024)
        .no_proxy()
        .referer(false)
        .user_agent(concat!("renewd/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Posts the notice; any 2xx is a success.
pub(super) async fn post(
    client: &reqwest::Client,
    url: &Url,
    limit: Duration,
    notice: &Notice,
) -> Result<(), HookError> {
    let failed = |trouble| HookError::Webhook { place: host_port(url), trouble };
    if !is_private(url) {
        return Err(failed(WebhookTrouble::NotPrivate));
    }
    let request = client
        .post(url.clone())
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(notice.body().to_string())
        .timeout(limit);
    let mut response = request.send().await.map_err(|error| failed(meaning(&error, limit)))?;
    let status = response.status();
    // A server that is cut off in the middle of its reply complains; one that talks for ever is not listened to.
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read >= READ {
            break;
        }
    }
    if status.is_success() { Ok(()) } else { Err(failed(WebhookTrouble::Status(status.as_u16()))) }
}

/// Over TLS, or not over a network.
fn is_private(url: &Url) -> bool {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The HTTP stack's own words may hold the whole URL.
fn meaning(error: &reqwest::Error, limit: Duration) -> WebhookTrouble {
    if error.is_timeout() {
        return WebhookTrouble::TooSlow(limit);
    }
    for cause in chain(error) {
        match cause.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => return WebhookTrouble::Certificate,
            Some(_) => return WebhookTrouble::Tls,
            None => {}
        }
        if cause.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::ConnectionRefused) {
            return WebhookTrouble::Refused;
        }
    }
    match (error.is_dns(), error.is_connect()) {
        (true, _) => WebhookTrouble::Unresolved,
        (false, true) => WebhookTrouble::Unreachable,
        (false, false) => WebhookTrouble::Broken,
    }
}
