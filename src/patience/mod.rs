//! How long is waited for what may never come: a reply ([`within`]), a file ([`answered`], [`read`]). Imports nothing.

mod exchange;
mod file;

pub use exchange::within;
pub use file::{Silent, answered, read};
