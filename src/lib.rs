//! renewd keeps short-lived API tokens fresh.

pub mod atomic;
pub mod cli;
pub mod config;
pub mod core;
pub mod domain;
pub mod observe;
pub mod provider;
pub mod runtime;
pub mod secrets;
pub mod simulator;
pub mod sink;
pub mod store;
