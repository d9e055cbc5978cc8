//! Where tokens are delivered to, and what stands there. Imports `domain`, `config::model` and `atomic`.
//!
//! Everything here blocks on the file system (never on a FIFO or another process): the runtime calls it on its
//! blocking pool.

pub mod content;
pub mod file;
pub mod owner;
pub mod template;

mod escape;

pub use escape::{Escape, Refusal};

#[cfg(test)]
mod tests;
