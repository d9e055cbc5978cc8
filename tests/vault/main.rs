//! The Vault client, and the agent with it, against a real OpenBao server, which `scripts/test` fetches into `.cache/bao`;
//! where it is missing, these tests are skipped and say so, and with `CI=true` they fail. Longer form:
//! `RENEWD_VAULT_ACCOUNTS=200` (a minute's outage; `RENEWD_VAULT_OUTAGE=3600` an hour's), with nextest's profile `long`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests fail as tests do, print for the test runner, and live in real time"
)]

/// The test's own server, with key-value engines at `secret` (version 2) and `kv1`; where there is no OpenBao, the test
/// ends here and is noted as skipped.
macro_rules! bao {
    ($listener:expr) => {{
        fn here() {}
        let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
        let test = test.trim_end_matches("::{{closure}}");
        let Some(bao) = $crate::bao::Bao::start(test, $listener).await else { return };
        bao
    }};
    () => {
        bao!($crate::bao::Listener::Plain)
    };
}

/// As [`bao!`], with an agent's world around it.
macro_rules! bench {
    ($listener:expr, $options:expr) => {{
        fn here() {}
        let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
        let Some(bench) = $crate::bench::Bench::start(test, $listener, $options) else { return };
        bench
    }};
    () => {
        bench!(
            $crate::bao::Listener::Plain,
            renewd::simulator::Options::with_lifetime($crate::support::secs(600))
        )
    };
}

mod agent;
mod auth;
mod bao;
mod bench;
mod client;
mod faults;
mod kv;
mod leaks;
mod online;
mod outage;
mod redirects;
mod review;
mod secrets;
mod signer;
#[expect(dead_code, unused_imports, reason = "the rest of it is for tests/e2e")]
#[path = "../e2e/support/mod.rs"]
mod support;
mod troubles;
