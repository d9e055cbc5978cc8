//! The real binary against the stand-ins, from outside: what a person sees who runs `renewd`.
//!
//! Each test has a folder, a simulator and agents of its own ([`support::World`]), waits for conditions with a
//! deadline and never for time alone. Whatever an agent logs, at trace, is searched for every secret and token
//! when the test ends. Longer forms: `RENEWD_LONG=600` (seconds under short lives), `RENEWD_KILLS=200`,
//! `RENEWD_ACCOUNTS=1000`, `RENEWD_WRONG=180`, `RENEWD_OUTAGE_ACCOUNTS=200`, `RENEWD_ROTATIONS=1000`,
//! `RENEWD_MUTATIONS=10000`, `RENEWD_COMPOSED=10000`, `RENEWD_HOOK_FAILURES=10`, `RENEWD_HOOK_OUTPUT=1000000000`, `RENEWD_INJECTIONS=2000`, `RENEWD_STATES=2000`, `RENEWD_VENDORS=10`, `RENEWD_PHASES=100`, `RENEWD_TERMS=500`, `RENEWD_RACES=100000`, `RENEWD_MEMORY_ACCOUNTS=1000`, `RENEWD_SOAK=3600` with `RENEWD_SOAK_ACCOUNTS=500`, with
//! nextest's profile `long`; `RENEWD_BINARY` names another build to test.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests read clocks, write files and fail loudly"
)]

mod alerts;
mod audit;
mod clocks;
mod composed;
mod config_errors;
mod control;
mod crash;
mod cron;
mod doors;
mod drift;
mod exec;
mod faults;
mod hooks;
mod injected;
mod kept;
mod keys;
mod leaks;
mod limits;
mod listen;
mod logging;
mod machine;
mod memory;
mod mended;
mod notify;
mod once;
mod others;
mod page;
mod plan;
mod power;
mod reload;
mod restart;
mod run;
mod secrets;
mod signals;
mod sinks;
mod soak;
mod state;
mod support;
mod templates;
mod vault;
mod vendors;
mod verify;
mod words;
