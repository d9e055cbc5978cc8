//! The TLS side of an account's `http:`.

use std::path::{Path, PathBuf};

use rustls::ClientConfig;

use super::errors::Failure;
use crate::config::model::Http;
use crate::tls::{Fields, Files};

const FIELDS: Fields =
    Fields { ca_file: "http.ca_file", cert_file: "http.client_cert_file", key_file: "http.client_key_file" };

/// An account's own roots and identity.
pub(super) fn files(http: &Http) -> Files<'_> {
    Files { ca_file: http.ca_file.as_deref(), identity: http.client_identity.as_ref(), fields: FIELDS }
}

/// The configuration for an account's own roots and identity, or the shared one. Blocks for the files.
///
/// # Errors
/// A file that is missing or is not what it should be.
pub fn config(
    ca_file: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<ClientConfig, Failure> {
    Files { ca_file, identity, fields: FIELDS }.config_now().map_err(Failure::config)
}
