//! The simulator over real HTTP.

mod faults;
mod vendors;

use std::{net::SocketAddr, sync::Once, time::Duration};

use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Operation, Options, Provider, Simulator};

/// A running simulator and a client.
struct Bench {
    simulator: Simulator,
    address: SocketAddr,
    client: Client,
}

impl Bench {
    async fn start(options: Options) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // Another test of this process may have been first.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let simulator = Simulator::new(options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = simulator.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(3))
            .build()
            .unwrap();
        Self { simulator, address, client }
    }

    async fn with_lifetime(seconds: u64) -> Self {
        Self::start(Options::with_lifetime(Duration::from_secs(seconds))).await
    }

    fn url(&self, provider: Provider, path: &str) -> String {
        format!("{}/{path}", Simulator::base_url(self.address, provider))
    }

    /// A rightful request for a token by credentials.
    fn issue(&self, provider: Provider, account: &str, secret: &str) -> RequestBuilder {
        let (path, _) = provider.operations()[0];
        let request = self.client.post(self.url(provider, path));
        match provider {
            Provider::Bizppurio => request
                .basic_auth(account, Some(secret))
                .header("content-type", "application/json; charset=utf-8"),
            Provider::BizppurioRcs | Provider::BizppurioNapi => {
                request.json(&json!({"bizId": account, "apiKey": secret}))
            }
            Provider::RcsBizCenter => request.json(&json!({"clientId": account, "clientSecret": secret})),
            Provider::PortOne => request.json(&json!({"apiSecret": secret})),
            Provider::PortOneV1 => request.json(&json!({"imp_key": account, "imp_secret": secret})),
            Provider::OAuthClientCredentials => {
                request.basic_auth(account, Some(secret)).form(&[("grant_type", "client_credentials")])
            }
            Provider::OAuthRefreshToken => request.basic_auth(account, Some(secret)).form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", &format!("seed-{account}-{secret}")),
            ]),
            Provider::Kiwoom => request
                .json(&json!({"grant_type": "client_credentials", "appkey": account, "secretkey": secret})),
            Provider::Kis => request
                .json(&json!({"grant_type": "client_credentials", "appkey": account, "appsecret": secret})),
        }
    }

    async fn whoami(&self, provider: Provider, token: &str) -> u16 {
        let request = self.client.get(self.url(provider, "whoami")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    }
}

async fn reply(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn token_of(provider: Provider, body: &Value) -> Option<&str> {
    let places: &[&str] = match provider {
        Provider::Bizppurio => &["/accesstoken"],
        Provider::BizppurioRcs => &["/data/accessToken", "/data/0/accessToken"],
        Provider::BizppurioNapi => &["/data/accessToken"],
        Provider::RcsBizCenter | Provider::PortOne => &["/accessToken"],
        Provider::PortOneV1 => &["/response/access_token"],
        Provider::Kiwoom => &["/token"],
        Provider::OAuthClientCredentials | Provider::OAuthRefreshToken | Provider::Kis => &["/access_token"],
    };
    places.iter().find_map(|place| body.pointer(place)?.as_str())
}

#[tokio::test]
async fn every_vendor_issues_a_token_that_its_readers_may_use_until_it_ends() {
    let bench = Bench::with_lifetime(2).await;
    let mut tokens = Vec::new();
    for provider in Provider::ALL {
        let (status, body) = reply(bench.issue(provider, "acme", "key")).await;
        assert_eq!(status, 200, "{provider}: {body}");
        let token = token_of(provider, &body).unwrap_or_else(|| panic!("{provider}: {body}")).to_owned();
        assert!(bench.simulator.accepts(provider, &token), "{provider}");
        assert_eq!(bench.whoami(provider, &token).await, 200, "{provider}");
        assert_eq!(bench.whoami(provider, "another").await, 401, "{provider}");
        tokens.push((provider, token));
    }
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    for (provider, token) in tokens {
        // Its expiry is declared nowhere, so a shorter life would be a lie.
        let holds = provider == Provider::BizppurioNapi;
        assert_eq!(bench.simulator.accepts(provider, &token), holds, "{provider}");
    }
}

#[tokio::test]
async fn the_secret_wrong_is_rejected_in_every_vendors_own_words() {
    let bench = Bench::with_lifetime(60).await;
    for (provider, status, place, expected) in [
        (Provider::Bizppurio, 400, "/code", "3007"),
        (Provider::BizppurioRcs, 401, "/code", "401"),
        (Provider::BizppurioNapi, 200, "/code", "401"),
        (Provider::RcsBizCenter, 401, "/error/code", "61006"),
        (Provider::PortOne, 401, "/type", "UNAUTHORIZED"),
        (Provider::PortOneV1, 401, "/code", "-1"),
        (Provider::OAuthClientCredentials, 401, "/error", "invalid_client"),
        (Provider::OAuthRefreshToken, 401, "/error", "invalid_client"),
        (Provider::Kiwoom, 200, "/return_code", "8001"),
        (Provider::Kis, 403, "/error_code", "EGW00105"),
    ] {
        let (was, body) = reply(bench.issue(provider, "acme", "wrong")).await;
        let said = body.pointer(place).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        assert_eq!((was, said.as_deref()), (status, Some(expected)), "{provider}: {body}");
        assert_eq!(token_of(provider, &body), None);
    }
    let stats = bench.simulator.stats();
    assert_eq!(stats.providers["kis"].operations["issue"]["acme"].bad_credentials, 1);
}

#[tokio::test]
async fn counts_tell_overlaps_gaps_peaks_and_probes_without_a_secret() {
    let bench = Bench::with_lifetime(60).await;
    bench.simulator.set_fault(Provider::PortOne, Some("delay:200ms".parse().unwrap()));
    let asked = || bench.issue(Provider::PortOne, "", "a-very-secret-secret").send();
    let (one, two) = tokio::join!(asked(), asked());
    assert_eq!((one.unwrap().status().as_u16(), two.unwrap().status().as_u16()), (200, 200));
    assert_eq!(bench.whoami(Provider::PortOne, "nothing").await, 401);

    let url = format!("http://{}/_simulator/stats", bench.address);
    let (_, stats) = reply(bench.client.get(url)).await;
    let portone = &stats["providers"]["portone"];
    assert_eq!(portone["requests"], 2);
    assert_eq!(portone["overlapping"], 1);
    assert_eq!(portone["peak_in_flight"], 2);
    assert_eq!(portone["peak_per_second"], 2);
    assert_eq!(portone["probes_rejected"], 1);
    let account = super::identity_of_secret("a-very-secret-secret");
    assert_eq!(portone["operations"]["issue"][&account]["granted"], 2);
    assert!(!stats.to_string().contains("very-secret"));

    let journal = bench.simulator.journal();
    assert_eq!(journal.len(), 2);
    assert!(journal.iter().all(|seen| seen.operation == Operation::Issue && seen.status == Some(200)));
}

#[tokio::test]
async fn a_stopped_simulator_lets_go_of_its_clients_and_remembers_its_tokens() {
    let bench = Bench::with_lifetime(60).await;
    let (_, body) = reply(bench.issue(Provider::Kis, "acme", "key")).await;
    let token = token_of(Provider::Kis, &body).unwrap().to_owned();
    bench.simulator.set_fault(Provider::Kiwoom, Some("hang".parse().unwrap()));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = bench.simulator.clone();
    let task = tokio::spawn(async move {
        let shutdown = async move { drop(stopped.await) };
        server.serve(listener, shutdown).await
    });
    let other = Bench { address, simulator: bench.simulator.clone(), client: bench.client.clone() };
    let hanging = tokio::spawn(other.issue(Provider::Kiwoom, "acme", "key").send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(1), task).await.unwrap().unwrap().unwrap();
    assert!(hanging.await.unwrap().is_err());
    assert!(other.client.get(other.url(Provider::Kis, "whoami")).send().await.is_err());
    assert_eq!(bench.whoami(Provider::Kis, &token).await, 200);
}

#[tokio::test]
async fn a_branch_knows_what_was_and_nothing_of_what_comes() {
    let bench = Bench::with_lifetime(60).await;
    let (_, first) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    let branch = bench.simulator.branch();
    let (_, second) = reply(bench.issue(Provider::PortOne, "", "secret")).await;
    let known = |simulator: &Simulator| {
        [&first, &second]
            .map(|body| simulator.accepts(Provider::PortOne, body["accessToken"].as_str().unwrap()))
    };
    assert_eq!((known(&bench.simulator), known(&branch)), ([true, true], [true, false]));
    assert_eq!((bench.simulator.stats().requests, branch.stats().requests), (2, 1));
}

#[tokio::test]
async fn unknown_paths_methods_and_providers_are_told_apart() {
    let bench = Bench::with_lifetime(60).await;
    let get = |path: &str| bench.client.get(format!("http://{}/{path}", bench.address)).send();
    assert_eq!(get("bizppurio/v1/token").await.unwrap().status(), 405);
    assert_eq!(get("bizppurio/v2/token").await.unwrap().status(), 404);
    assert_eq!(get("nobody/token").await.unwrap().status(), 404);
    assert!(bench.simulator.stats().providers.is_empty());
}
