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
use tokio::time::sleep;

use self::doorkeeper::{Doorkeeper, Limits};
use super::handle::{Handle, Heartbeat};

/// How long after a failure to listen it is tried again.
const RETRY: Duration = Duration::from_secs(15);

/// The server, wherever it is wanted. It ends when this is dropped.
pub(crate) struct Listening {
    wanted: watch::Sender<Option<SocketAddr>>,
}

impl Listening {
    /// Serves nowhere yet.
    pub(crate) fn start(handle: Handle, heartbeat: Heartbeat) -> Self {
        let (wanted, follower) = watch::channel(None);
        tokio::spawn(follow(follower, handle, heartbeat));
        Self { wanted }
    }

    /// From now on at this address, or nowhere. The same one again changes nothing.
    pub(crate) fn at(&self, address: Option<SocketAddr>) {
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, address) != address);
    }
}

/// Serves at the address that is wanted, until nobody wants any more.
async fn follow(mut wanted: watch::Receiver<Option<SocketAddr>>, handle: Handle, heartbeat: Heartbeat) {
    let mut complaint = String::new();
    loop {
        let address = *wanted.borrow_and_update();
        let serving = async {
            let Some(address) = address else { return std::future::pending().await };
            match TcpListener::bind(address).await {
                Ok(listener) => {
                    complaint.clear();
                    serve(listener, Limits::USUAL, handle.clone(), heartbeat.clone()).await;
                }
                Err(error) => {
                    complain(&mut complaint, address, &error.to_string());
                    sleep(RETRY).await;
                }
            }
        };
        // Dropping the server closes its socket before the next one is bound: it may be the same port.
        let changed = tokio::select! {
            () = serving => Ok(()),
            changed = wanted.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn serve(listener: TcpListener, limits: Limits, handle: Handle, heartbeat: Heartbeat) {
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return tracing::error!(event = "listen_failed", %error, "the listener has no address"),
    };
    tracing::info!(event = "listening", %address, "health and metrics are served");
    let site = routes::Site { handle, heartbeat, loopback: address.ip().is_loopback() };
    if let Err(error) = axum::serve(Doorkeeper::new(listener, limits), routes::routes(site)).await {
        tracing::error!(event = "listen_failed", %address, %error, "health and metrics are not served any more");
    }
}

/// Aloud once for each reason.
fn complain(said: &mut String, address: SocketAddr, error: &str) {
    let complaint = format!("{address}: {error}");
    if *said == complaint {
        tracing::debug!(event = "listen_failed", %address, error, "still cannot listen there");
    } else {
        tracing::error!(
            event = "listen_failed", %address, error,
            "cannot listen at `agent.listen`: tokens stay fresh, but no health or metrics are served; trying again every 15 s. \
             Name another address there, or `off` to do without"
        );
        *said = complaint;
    }
}
