//! renewd keeps short-lived API tokens fresh.

pub mod cli;
pub mod config;
pub mod core;
pub mod domain;
pub mod observe;
pub mod provider;
pub mod simulator;
