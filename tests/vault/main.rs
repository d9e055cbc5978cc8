//! The Vault client against a real OpenBao server, which `scripts/test` fetches into `.cache/bao`; where it is missing,
//! these tests are skipped and say so, and with `CI=true` they fail.

#![expect(
    clippy::unwrap_used,
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

mod auth;
mod bao;
mod client;
mod faults;
mod kv;
mod redirects;
mod review;
mod signer;
