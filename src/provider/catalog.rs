//! The built-in definitions, in the very language that users have for their own.

/// Name and YAML text of each, sorted by name.
#[must_use]
pub fn texts() -> &'static [(&'static str, &'static str)] {
    &[]
}
