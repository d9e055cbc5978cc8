//! Health, metrics and status over TCP, for probes and scrapers; never a token. The agent does not depend on it: where
//! the port is taken, tokens stay fresh and the port is tried again.

mod doorkeeper;
mod routes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::doorkeeper::{Doorkeeper, Limits};
use super::doors::Door;
use super::handle::{Handle, Heartbeat};
use super::http1::Http1;

/// How long after a failure to listen it is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(15);

/// The server, wherever it is wanted. It ends when this is dropped.
pub(crate) struct Listening {
    wanted: watch::Sender<Option<SocketAddr>>,
}

impl Listening {
    /// Serves nowhere yet.
    pub(crate) fn start(handle: Handle, heartbeat: Heartbeat, door: Door) -> Self {
        let (wanted, follower) = watch::channel(None);
        tokio::spawn(follow(follower, handle, heartbeat, door));
        Self { wanted }
    }

    /// From now on at this address, or nowhere. The same one again changes nothing.
    pub(crate) fn at(&self, address: Option<SocketAddr>) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, address) != address);
    }
}

/// Serves at the address that is wanted, until nobody wants any more. Where that one cannot be had, the one before
/// goes on, unless it is open to more.
async fn follow(
    mut wanted: watch::Receiver<Option<SocketAddr>>,
    handle: Handle,
    heartbeat: Heartbeat,
    door: Door,
) {
    let mut open: Option<SocketAddr> = None;
    let mut server = JoinSet::new();
    loop {
        let address = *wanted.borrow_and_update();
        let mut fails = false;
        if address == open {
            let _ = door.well();
        } else {
            if let Some(before) = open
                && address.is_none_or(|address| !may_go_on(before, address))
            {
                server.shutdown().await;
                open = None;
            }
            match address {
                None => _ = door.well(),
                Some(address) => match TcpListener::bind(address).await {
                    Ok(listener) => {
                        server.shutdown().await;
                        server.spawn(serve(listener, Limits::USUAL, handle.clone(), heartbeat.clone()));
                        open = Some(address);
                        let _ = door.well();
                    }
                    Err(error) => {
                        fails = true;
                        complain(&door, address, &error, open);
                    }
                },
            }
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            Some(_) = server.join_next() => open = None,
            () = sleep(door.retry), if fails => {}
        }
    }
}

/// Whether the server at `before` may stay until `wanted` can be had: it is not in its way, and not open to more.
fn may_go_on(before: SocketAddr, wanted: SocketAddr) -> bool {
    before.port() != wanted.port() && (before.ip().is_loopback() || before.ip() == wanted.ip())
}

async fn serve(listener: TcpListener, limits: Limits, handle: Handle, heartbeat: Heartbeat) {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return tracing::error!(event = "listen_failed", %error, "the listener has no address"),
    };
    tracing::info!(event = "listening", %address, "health and metrics are served");
    let site = routes::Site { handle, heartbeat, loopback: address.ip().is_loopback() };
    let visitors = Http1(Doorkeeper::new(listener, limits));
    if let Err(error) = axum::serve(visitors, routes::routes(site)).await {
        tracing::error!(event = "listen_failed", %address, %error, "health and metrics are not served any more");
    }
}

/// Aloud once for each reason.
fn complain(door: &Door, address: SocketAddr, error: &std::io::Error, meanwhile: Option<SocketAddr>) {
    let before = meanwhile.as_ref().map(|before| before as &dyn std::fmt::Display);
    if !door.fails(&address, error, before) {
        return tracing::debug!(event = "listen_failed", %address, %error, "still cannot listen there");
    }
    match meanwhile {
        Some(before) => tracing::error!(
            event = "listen_failed", %address, %error, %before,
            "cannot listen at `agent.listen`: health and metrics are served at the address before; trying again every 15 s. \
             Name another address there, or `off` to do without"
        ),
        None => tracing::error!(
            event = "listen_failed", %address, %error,
            "cannot listen at `agent.listen`: tokens stay fresh, but no health or metrics are served; trying again every 15 s. \
             Name another address there, or `off` to do without"
        ),
    }
}
