//! The Kubernetes room against an API server: a double of it, or the real one that `scripts/kubernetes-real` starts and
//! names in `RENEWD_TEST_KUBERNETES`. The same tests run against both; those in `faults.rs` need the double, and the
//! ignored ones the real server. `agent.rs` runs the real binary; its longer forms: `RENEWD_OUTAGE=90` (seconds),
//! `RENEWD_OUTAGE_ACCOUNTS=200`, `RENEWD_OUTAGE_LIFETIME=30`, `RENEWD_COMPARE=1` (waits for the 10-minute comparison). `pod.rs` runs it as in a pod, with TLS before
//! the double. `deploy.rs` sends what `deploy/` renders to to the real server.

#![cfg(feature = "kubernetes")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests fail as tests do, and live in real time"
)]

mod access;
mod agent;
mod deploy;
mod double;
mod faults;
mod gate;
mod owners;
mod pod;
mod refused;
mod room;
mod stage;
#[expect(dead_code, unused_imports, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/support/mod.rs"]
mod support;
mod tls;
#[expect(dead_code, reason = "the rest of it is for tests/deploy")]
#[path = "../deploy/tools.rs"]
mod tools;
mod writes;
