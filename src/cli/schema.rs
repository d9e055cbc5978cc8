//! `renewd schema`: the JSON Schema of the configuration, for editors.

use super::exit::Exit;
use super::out;
use super::report::Failure;
use crate::config;

/// Prints it.
pub(super) fn schema() -> Result<Exit, Failure> {
    out::print(&format!("{:#}\n", config::schema()))?;
    Ok(Exit::Done)
}
