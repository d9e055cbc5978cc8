//! renewd keeps short-lived API tokens fresh.

pub mod atomic;
pub mod config;
pub mod domain;
pub mod observe;
pub mod secrets;
pub mod sink;
pub mod store;
