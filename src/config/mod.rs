//! Configuration: text to a spanned tree, the tree to a validated model; all problems at once.
//! Imports `domain` only.
//!
//! ```text
//! load      files -> tree (positions) -> decode (against shape, all mistakes collected) -> model
//! shape     one table a section: keys, types, defaults, meaning; also feeds schema, reference and masking
//! writers   who else may write the files
//! ```

mod decode;
pub mod definition;
mod include;
mod load;
pub mod model;
mod placed;
mod problem;
mod reference;
mod schema;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod words;
mod writers;

pub use load::{Loaded, Watched, load, load_text, parse_definition, watched};
pub use placed::{PlacedSecret, load_with_secrets};
pub use problem::{Problem, Problems};
pub use reference::reference_markdown;
pub use schema::schema;
