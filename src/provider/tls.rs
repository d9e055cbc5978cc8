//! The TLS side of an account's `http:`.

use std::path::{Path, PathBuf};

use rustls::ClientConfig;

use super::errors::Failure;
use crate::tls::{self, Fields};

const FIELDS: Fields =
    Fields { ca_file: "http.ca_file", cert_file: "http.client_cert_file", key_file: "http.client_key_file" };

/// The configuration for an account's own roots and identity, or the shared one.
///
/// # Errors
/// A file that is missing or is not what it should be.
pub fn config(
    ca_file: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, Failure> {
    tls::config(ca_file, identity, FIELDS).map_err(Failure::config)
}
