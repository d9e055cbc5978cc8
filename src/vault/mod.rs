//! The client of a Vault or OpenBao server: one login that all share, its lease, and the key-value engines.
//! Imports `domain`, `tls` and `config::model`.
//!
//! The only user of the Vault library (vaultrs): it gives the requests, which this room sends itself (decision 0030).
//!
//! **Architecture invariants:** a newer token there is never replaced by an older one of ours where the stamps tell; no
//! error holds a secret or the server's own words; the token goes to no host that the configuration does not vouch for.

mod causes;
mod client;
mod error;
mod fields;
mod kv;
mod lease;
mod login;
mod session;
mod settle;
mod transport;

use std::sync::Arc;

use serde::Deserialize;

use crate::domain::{BootInstant, Secret};

pub use client::{Counts, KeyReading, VaultClient};
pub use error::{Method, VaultError};
pub use fields::Fields;
pub use login::Resolve;
pub use settle::{Outcome, Put, Stamp};

/// The boot-time clock, given by the caller.
pub type Clock = Arc<dyn Fn() -> BootInstant + Send + Sync>;

/// A secret of a reply, which is wiped when dropped.
fn zeroizing_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
