//! The Kubernetes room against an API server: a double of it, or the real one that `scripts/kubernetes-real` starts and
//! names in `RENEWD_TEST_KUBERNETES`. The same tests run against both; those in `faults.rs` need the double, and the
//! ignored ones the real server.

#![cfg(feature = "kubernetes")]
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests fail as tests do, and live in real time"
)]

mod access;
mod double;
mod faults;
mod owners;
mod refused;
mod room;
mod writes;
