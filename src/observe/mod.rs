//! What the outside sees of the agent: status, metrics, health, log.

pub mod status;
