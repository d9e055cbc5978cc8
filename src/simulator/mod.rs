//! Stand-ins of the built-in vendors' token APIs, on one listener, with short lives and faults on demand.
//!
//! Each vendor lives under a prefix: its base URL is `http://ADDR/<provider>`, followed by the vendor's own paths
//! ([`Provider::operations`]); for `rcs-biz-center` the prefix stands for `/api/1.1`. Beside them there are
//!
//! - `GET /<provider>/whoami` with `Authorization: Bearer TOKEN`: 200 while the token holds, else 401. A token holds
//!   until the end that the vendor declared, whole seconds included, and not a moment longer; faults that spoil the
//!   declaration do not change what the token lives.
//! - `GET /_simulator/stats`: [`Stats`] as JSON.
//! - `POST /_simulator/fault` with `{"provider": "portone", "fault": "503:5s"}`: the forms of [`FaultRule`] around
//!   its `=`; `"fault": null` ends it. `POST /_simulator/clear` ends all.
//!
//! Any credentials are accepted that are not empty, except a secret that is exactly `wrong`: that one is rejected in
//! the vendor's own words. [`Options::credentials`] pins them.
//!
//! The simulator imports nothing else of renewd: what it says of a vendor comes from the vendor's documents and not
//! from the definitions that are tested against it.

mod body;
mod clock;
mod fault;
mod handle;
mod ledger;
mod options;
mod provider;
mod rule;
mod signer;
mod spoil;
mod stats;
#[cfg(test)]
mod tests;
mod vendor;
mod wire;
mod world;

use std::{
    fmt,
    future::{Future, IntoFuture},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use jiff::Timestamp;
use ring::digest;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use fault::{BodyFault, ExpiryFault, Fault, FaultError, Redirect, Refused, TokenFault, Wait};
pub use options::{Credential, OldToken, Options, Rotation, VendorLimits};
pub use provider::{Operation, Provider, UnknownProvider};
pub use rule::{FaultRule, Target};
pub use stats::{AccountStats, ProviderStats, Seen, Stats};

use ledger::Standing;
use world::World;

/// After the shutdown, connections have this long to end by themselves.
const GRACE: Duration = Duration::from_millis(500);

/// A handle on the simulated vendors; clones share them.
#[derive(Clone)]
pub struct Simulator {
    world: Arc<Mutex<World>>,
}

impl Simulator {
    /// The vendors, as yet unasked. Windows of faults count from now.
    pub fn new(options: Options) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(options, clock::now()))) }
    }

    /// Every path of the simulator. Behind a listener other than [`Simulator::serve`]'s a reset is a body that
    /// breaks off, `endless-headers` does nothing, and every client has one address.
    pub fn router(&self) -> Router {
        Router::new().fallback(handle::handle).with_state(self.clone())
    }

    /// Serves until `shutdown` resolves, then ends every connection within half a second. What the vendors know
    /// stays: serving again is the end of an outage.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn serve<F>(&self, listener: TcpListener, shutdown: F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let closing = CancellationToken::new();
        let tcp = wire::Tcp { listener, closing: closing.clone() };
        let service = self.router().into_make_service_with_connect_info::<wire::Peer>();
        let closed = closing.clone();
        let server = axum::serve(tcp, service).with_graceful_shutdown(async move {
            shutdown.await;
            closing.cancel();
        });
        tokio::select! {
            result = server.into_future() => result,
            () = async { closed.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
        }
    }

    /// The vendors as they are at this moment, going on by themselves: what is asked of the one, the other does not know.
    /// Requests that are under way stay with the one.
    #[must_use]
    pub fn branch(&self) -> Self {
        let mut world = self.world().clone();
        world.keys.finish_all();
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The base URL of a provider on a listener's address.
    pub fn base_url(address: std::net::SocketAddr, provider: Provider) -> String {
        format!("http://{address}/{provider}")
    }

    /// What was counted since the start or the last [`Simulator::reset_stats`].
    pub fn stats(&self) -> Stats {
        self.world().counter.stats()
    }

    /// Forgets the counts and the journal.
    pub fn reset_stats(&self) {
        self.world().counter.reset();
    }

    /// The latest 100,000 token requests in the order in which they ended.
    pub fn journal(&self) -> Vec<Seen> {
        self.world().counter.journal()
    }

    /// Whether a reader's request with this token would pass now; not counted.
    pub fn accepts(&self, provider: Provider, token: &str) -> bool {
        self.accepted_until(provider, token).is_some()
    }

    /// The end, by the machine's clock, of a token that the vendor accepts now.
    pub fn accepted_until(&self, provider: Provider, token: &str) -> Option<Timestamp> {
        match self.world().ledger.standing(provider, token, clock::now()) {
            Standing::Valid { expires_at, .. } => Some(expires_at),
            Standing::Expired | Standing::Revoked | Standing::Unknown => None,
        }
    }

    /// Takes a token from its holder before its time. False where it was never issued.
    pub fn revoke(&self, provider: Provider, token: &str) -> bool {
        let now = clock::now();
        self.world().ledger.revoke(provider, token, now)
    }

    /// Ends every refresh token of an account, as a person does who withdraws a consent.
    pub fn revoke_refresh_tokens(&self, provider: Provider, account: &str) {
        self.world().ledger.end_refresh_of(provider, account);
    }

    /// From now on the vendor accepts these credentials only; `None` accepts any again.
    pub fn set_credentials(&self, provider: Provider, credentials: Option<Vec<Credential>>) {
        let mut world = self.world();
        match credentials {
            Some(credentials) => world.options.credentials.insert(provider, credentials),
            None => world.options.credentials.remove(&provider),
        };
    }

    /// From now on this fault hits the target, before the rules of the options; `None` ends what was set for it.
    pub fn set_fault(&self, target: impl Into<Target>, fault: Option<Fault>) {
        let target = target.into();
        match fault {
            Some(fault) => self.set_rule(FaultRule::always(target, fault)),
            None => self.world().unset(&target),
        }
    }

    /// As [`Simulator::set_fault`], with a window or a count.
    pub fn set_rule(&self, rule: FaultRule) {
        self.world().set_rule(rule);
    }

    /// Ends every fault, those of the options too.
    pub fn clear(&self) {
        self.world().clear_faults();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic inside leaves counts that are off by one at worst.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

/// The account name of a secret that has none beside it (`portone`): `key-` and eight hexadecimal digits of its
/// SHA-256, so that no count shows a secret.
pub fn identity_of_secret(secret: &str) -> String {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().take(4).fold("key-".to_owned(), |name, byte| format!("{name}{byte:02x}"))
}
