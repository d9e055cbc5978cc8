//! The stand-ins in this process, on a port of their own.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Mutex;

use renewd::simulator::{FaultRule, Options, Provider, Simulator};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A simulator on every loopback address: `127.0.0.1`, `127.0.0.2` ... are different hosts to an agent.
pub(crate) struct Sim {
    simulator: Simulator,
    runtime: Runtime,
    port: u16,
    serving: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Sim {
    pub(crate) fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(TcpListener::bind("0.0.0.0:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let sim = Self { simulator: Simulator::new(options), runtime, port, serving: Mutex::default() };
        sim.serve(listener);
        sim
    }

    /// Others in the place of stand-ins that have stopped.
    pub(crate) fn in_place_of(former: &Self, simulator: Simulator) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let sim = Self { simulator, runtime: runtime.unwrap(), port: former.port, serving: Mutex::default() };
        sim.resume();
        sim
    }

    /// Where host number `host` is: 1 unless a test needs several.
    pub(crate) fn address(&self, host: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, host], self.port))
    }

    /// `base_url` of an account; the whole token URL for OAuth 2.0.
    pub(crate) fn base_url(&self, provider: Provider, host: u8) -> String {
        let base = Simulator::base_url(self.address(host), provider);
        match provider {
            Provider::OAuthClientCredentials | Provider::OAuthRefreshToken => format!("{base}/token"),
            _ => base,
        }
    }

    /// An outage begins: connections end and new ones are refused.
    pub(crate) fn stop(&self) {
        if let Some((end, task)) = self.serving.lock().unwrap().take() {
            let _ = end.send(());
            self.runtime.block_on(task).unwrap();
        }
    }

    /// The outage is over.
    pub(crate) fn resume(&self) {
        let listener = self.runtime.block_on(TcpListener::bind(("0.0.0.0", self.port))).unwrap();
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let (end, ended) = oneshot::channel::<()>();
        let simulator = self.simulator.clone();
        let task = self.runtime.spawn(async move {
            let until = async {
                let _ = ended.await;
            };
            simulator.serve(listener, until).await.unwrap();
        });
        *self.serving.lock().unwrap() = Some((end, task));
    }

    /// Sets a fault as a flag says it: `TARGET=FAULT`.
    #[track_caller]
    pub(crate) fn fault(&self, rule: &str) {
        self.simulator.set_rule(rule.parse::<FaultRule>().unwrap());
    }

    /// Token requests so far, of all accounts.
    pub(crate) fn requests(&self) -> u64 {
        self.simulator.stats().requests
    }

    /// Token requests so far that named this identity.
    pub(crate) fn requests_of(&self, identity: &str) -> u64 {
        let stats = self.simulator.stats();
        let operations = stats.providers.values().flat_map(|provider| provider.operations.values());
        operations.filter_map(|accounts| accounts.get(identity)).map(|account| account.requests).sum()
    }
}

impl Deref for Sim {
    type Target = Simulator;

    fn deref(&self) -> &Simulator {
        &self.simulator
    }
}
