//! Token APIs as data: a definition's request is rendered, sent, and its reply read.
//!
//! ```text
//! Call -> request (pure) -> client (the only I/O) -> response (pure) -> Issued | Failure
//! ```
//!
//! Nothing here retries, keeps a token or reads a clock: the engine decides, the store holds, the runtime tells the time.
//! Imports `domain`, `config::model` and `config::definition` only.

pub mod catalog;
mod causes;
mod client;
mod coding;
mod errors;
mod expiry;
mod json;
mod request;
mod response;
#[cfg(test)]
mod testing;
mod tls;
mod verify;

pub use client::{Call, Clients};
pub use errors::Failure;
pub use response::{Issued, OperationKind, RawReply, Reading, read};
pub use tls::config as tls_config;
pub use verify::Unverified;
