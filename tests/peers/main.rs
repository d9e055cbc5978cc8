//! renewd against servers that other people wrote: an OpenAPI validator with the vendors' own documents, a certified
//! OAuth 2.0 server, and a mock server of many manners. `scripts/test` installs them into `.cache/peers`; where they are
//! missing, these tests are skipped and say so, and with `CI=true` they fail.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "helpers of tests fail as tests do, print for the test runner, and live in real time"
)]

/// The test's own [`room::Room`]; where the peers are not installed, the test ends here and is noted as skipped.
macro_rules! room {
    () => {{
        fn here() {}
        let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
        let Some(room) = $crate::room::Room::open(test) else { return };
        room
    }};
}

mod agent;
mod consumers;
mod http;
mod oauth2_mock_server;
mod oidc_provider;
mod prism;
mod reader;
mod room;
mod server;

use std::time::{Duration, Instant};

/// Polls until `look` gives something; panics with `what` when that takes longer than `limit`.
#[track_caller]
fn wait<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
