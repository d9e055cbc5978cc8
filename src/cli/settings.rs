//! The configuration as commands see it.

use std::path::{Path, PathBuf};

use super::args::Globals;
use super::socket::Declared;

/// The configuration's place without any word about it (the contract's).
const DEFAULT: &str = "/etc/renewd/renewd.yaml";

/// `--config` or `RENEWD_CONFIG`, else the default.
pub(super) fn config_path(globals: &Globals) -> PathBuf {
    let named = globals.config.clone().filter(|path| !path.as_os_str().is_empty());
    named.unwrap_or_else(|| Path::new(DEFAULT).to_owned())
}

/// What the file at `path` says under `agent.socket`.
pub(super) fn declared_socket(_path: &Path) -> Declared {
    Declared::Nothing
}
