//! What stands in `deploy/` and the `Dockerfile`: every manifest is known to the Kubernetes API of today and passes Pod Security
//! "restricted", the overlays and the chart render to what they promise, and the pods run as they are written, in containers
//! that hold the image's files and nothing else.
//!
//! kubectl and Helm come from `scripts/kubernetes-tools`, runc from Debian (`scripts/test` sees to both); where they cannot be
//! had, these tests are skipped and say so, and with `CI=true` they fail.

#![cfg(feature = "kubernetes")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests fail as tests do, print for the test runner, and live in real time"
)]

mod chart;
mod image;
mod kustomize;
mod oci;
mod pods;
mod restricted;
mod scripts;
#[expect(dead_code, unused_imports, reason = "the rest of it is for tests/e2e")]
#[path = "../e2e/support/mod.rs"]
mod support;
mod tools;
mod typed;
