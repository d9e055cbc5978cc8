//! Delivery into Kubernetes Secrets: server-side apply with the field manager `renewd`. The only user of the
//! Kubernetes library. Imports `domain` and `config::model`.
//!
//! A Secret carries, beside its keys, three annotations (`renewd.io/account`, `renewd.io/generation`,
//! `renewd.io/issued-at`), by which two agents agree on whose token is newer. What others own in it is theirs: nothing
//! is ever forced. A write is tied to the version that was read before it, so an older token cannot follow a newer one.
//!
//! Of the library only what knows configuration, credentials and TLS is used. Replies are read here: the library's own
//! reader logs a body that it cannot read, and a body is a Secret. Its log targets (`kube_client`, `kube_core`) are off
//! (`observe::log`): they tell whole URLs, and every failed request again.

mod access;
mod cluster;
mod error;
mod exchange;
mod memory;
mod object;
mod stamp;
mod words;

pub use access::Origin;
pub use cluster::{Cluster, Put, Removed, Written};
pub use error::{Conflict, KubeError, Verb};
pub use stamp::Stamp;

/// Who owns the fields that renewd writes.
pub const FIELD_MANAGER: &str = "renewd";

/// The most that the values of a Secret may hold together, in bytes.
pub const LARGEST: usize = 1 << 20;
