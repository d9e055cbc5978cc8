//! Where tokens are delivered to, and what stands there. Imports `domain`, `config::model` and `atomic`.
//!
//! Everything here blocks on the file system (never on a FIFO or another process): the runtime calls it on its
//! blocking pool.

pub mod compose;
pub mod content;
pub mod context;
pub mod directory;
pub mod fields;
pub mod file;
pub mod filters;
pub mod owner;
pub mod template;
pub mod trial;

mod escape;
mod place;

pub use context::Member;
pub use escape::{Escape, Refusal};
pub use place::Place;

#[cfg(test)]
mod tests;
