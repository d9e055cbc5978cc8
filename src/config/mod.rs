//! Configuration: text to a spanned tree, the tree to a validated model; all problems at once.
//! Imports `domain` only.

pub mod definition;
pub mod model;
