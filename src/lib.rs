//! renewd keeps short-lived API tokens fresh: it issues once, renews shortly before expiry and delivers atomically.
//! `docs/architecture.md` is the design; this is the tour.
//!
//! One token's way:
//!
//! 1. [`config`] reads files into a validated model, all problems at once.
//! 2. [`core`] decides. An event goes in, effects come out; it knows no secret, no clock and no file.
//! 3. [`runtime`] owns that engine in one loop, runs its effects and turns their ends into events.
//! 4. [`secrets`] are read when they are used; [`provider`] asks the token API, which is a definition in YAML.
//! 5. [`store`] holds tokens, alone, and makes a single-use refresh token durable before anyone sees its reply.
//! 6. [`sink`] renders and delivers, with [`atomic`], which replaces a file whole or not at all; [`vault`] keeps the
//!    login at a Vault or OpenBao server and writes secrets there, `kubernetes` (a cargo feature) applies Secrets.
//! 7. [`hook`] tells others once a token is in all its sinks: a signal, a command, a POST.
//! 8. [`observe`] sees every event and effect pass and makes log, metrics, health and status of them; [`page`] shows
//!    them to people.
//!
//! [`simulator`] plays the vendors, [`cli`] is the command line, [`domain`] has the words.
//!
//! Who may import whom (held by `tests/architecture.rs`): `domain`, `patience` and `atomic` nothing, `tls` [`patience`]; `config` and
//! `simulator` only `domain`; `core` `domain` and the configuration's model; `provider`, `secrets`, `sink`, `vault`,
//! `kubernetes` and `hook` the same, never each other (`sink` also `atomic`, who speaks HTTP also [`tls`], who waits also `patience`); `store`
//! `domain` and `atomic`; `observe` `domain` and `core`; `page` `domain` and `observe`; `runtime` all of them; `cli`
//! everything.
//!
//! Invariants that hold everywhere: at most one request an account is out; an older token never follows a newer one
//! in a target; a bad configuration changes nothing; no secret is in an error, a log line, a metric or the engine.

pub mod atomic;
pub mod cli;
pub mod config;
pub mod core;
pub mod domain;
pub mod hook;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod observe;
pub mod page;
pub mod patience;
pub mod provider;
pub mod runtime;
pub mod secrets;
pub mod simulator;
pub mod sink;
pub mod store;
pub mod tls;
pub mod vault;
