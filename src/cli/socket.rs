//! Where the running agent listens.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::exit::Exit;
use super::report::Failure;
use super::settings;

/// The socket's place without any word about it (the contract's).
const DEFAULT: &str = "/run/renewd/renewd.sock";

/// The socket: `--socket` or `RENEWD_SOCKET`, else what the configuration says, else the default.
/// A configuration that cannot be read does not hide the running agent.
///
/// # Errors
/// The configuration switches the socket off.
pub(super) fn locate(globals: &Globals) -> Result<PathBuf, Failure> {
    let config = settings::config_path(globals);
    resolve(globals.socket.clone(), settings::declared_socket(&config), std::env::var_os("RUNTIME_DIRECTORY"))
        .ok_or_else(|| {
            Failure::new(Exit::Unavailable, format!("{} switches the socket off", config.display()))
                .hint("take `socket: off` out of its `agent:` section, or name the socket of another agent with --socket")
        })
}

/// What a configuration says of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declared {
    /// Nothing, or it cannot be read.
    Nothing,
    /// `off`.
    Off,
    /// This place.
    At(PathBuf),
}

fn resolve(
    named: Option<PathBuf>,
    declared: Declared,
    runtime_directory: Option<OsString>,
) -> Option<PathBuf> {
    match (named.filter(|path| !path.as_os_str().is_empty()), declared) {
        (Some(path), _) | (None, Declared::At(path)) => Some(path),
        (None, Declared::Off) => None,
        (None, Declared::Nothing) => Some(by_default(runtime_directory)),
    }
}

/// systemd may name several runtime directories, divided by colons: the first is the agent's.
fn by_default(runtime_directory: Option<OsString>) -> PathBuf {
    let first = runtime_directory.and_then(|all| std::env::split_paths(&all).next());
    match first.filter(|path| path.is_absolute()) {
        Some(folder) => folder.join("renewd.sock"),
        None => Path::new(DEFAULT).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_configuration_and_that_over_the_default() {
        let at = |path: &str| Some(PathBuf::from(path));
        let declared = || Declared::At("/cfg.sock".into());
        assert_eq!(resolve(at("/opt.sock"), declared(), None), at("/opt.sock"));
        assert_eq!(resolve(at("/opt.sock"), Declared::Off, None), at("/opt.sock"));
        assert_eq!(resolve(at(""), declared(), None), at("/cfg.sock"));
        assert_eq!(resolve(None, Declared::Off, None), None);
        assert_eq!(resolve(None, Declared::Nothing, Some("/run/a:/run/b".into())), at("/run/a/renewd.sock"));
        assert_eq!(resolve(None, Declared::Nothing, Some("".into())), at(DEFAULT));
        assert_eq!(resolve(None, Declared::Nothing, None), at(DEFAULT));
    }
}
