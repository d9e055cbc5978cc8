//! Where the running agent listens.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::exit::Exit;
use super::report::{self, Failure};
use super::settings;

/// The socket's place without any word about it (the contract's).
const DEFAULT: &str = "/run/renewd/renewd.sock";

/// The socket: `--socket` or `RENEWD_SOCKET`, else what the configuration says, else the default.
/// A configuration that cannot be read does not hide the running agent; which socket is then asked is told, and why.
///
/// # Errors
/// The configuration switches the socket off.
pub(super) fn locate(globals: &Globals) -> Result<PathBuf, Failure> {
    if let Some(named) = globals.socket.clone().filter(|path| !path.as_os_str().is_empty()) {
        return Ok(named);
    }
    let config = settings::config_path(globals);
    let declared = settings::declared_socket(&config);
    let doubt = match &declared {
        Declared::Unknown(why) => Some(why.clone()),
        _ => None,
    };
    let socket = resolve(declared, std::env::var_os("RUNTIME_DIRECTORY")).ok_or_else(|| {
        Failure::new(Exit::Unavailable, format!("{} switches the socket off", config.display())).hint(
            "take `socket: off` out of its `agent:` section, or name the socket of another agent with --socket",
        )
    })?;
    if let Some(why) = doubt {
        let words = format!(
            "asking at {}, the default, as {} {why}; --socket names another",
            socket.display(),
            config.display()
        );
        report::note(&words, globals);
    }
    Ok(socket)
}

/// How to come by an agent that answers. One that runs may have lost its configuration since, or somebody has broken it:
/// it then runs on with the one before, at a socket that nothing tells any more.
pub(super) fn way_in(globals: &Globals) -> String {
    let named = globals.config.as_deref().filter(|config| !config.as_os_str().is_empty());
    let config = settings::config_path(globals);
    let asked_blindly = globals.socket.as_deref().is_none_or(|path| path.as_os_str().is_empty());
    if asked_blindly && config.exists() && matches!(settings::declared_socket(&config), Declared::Unknown(_))
    {
        let option = named.map_or_else(String::new, |config| format!(" --config {}", config.display()));
        return format!(
            "`renewd check{option}` tells what is wrong with the file; an agent that runs goes on with the one before: name its \
             socket with --socket; if none runs, mend the file and start one with `renewd run{option}` or `systemctl start renewd`"
        );
    }
    match named {
        Some(config) if !config.exists() && globals.socket.is_none() => format!(
            "if the agent runs, name its socket with --socket, which {} does not tell, as it is not there; if not, start it \
             with `renewd run --config FILE` or `systemctl start renewd`",
            config.display()
        ),
        named => {
            let config = named.map_or_else(|| "FILE".to_owned(), |config| config.display().to_string());
            format!(
                "start it with `renewd run --config {config}` or `systemctl start renewd`; if it runs elsewhere, name its \
                 socket with --socket"
            )
        }
    }
}

/// What a configuration says of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Declared {
    /// Nothing.
    Nothing,
    /// Nobody knows: what is wrong with it, in words that follow its name.
    Unknown(String),
    /// `off`.
    Off,
    /// This place.
    At(PathBuf),
}

fn resolve(declared: Declared, runtime_directory: Option<OsString>) -> Option<PathBuf> {
    match declared {
        Declared::At(path) => Some(path),
        Declared::Off => None,
        Declared::Nothing | Declared::Unknown(_) => Some(by_default(runtime_directory)),
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

    fn put(path: &Path, text: &str) {
        let written = std::fs::File::create(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.unwrap();
    }

    #[test]
    fn the_configuration_wins_over_the_default() {
        let at = |path: &str| Some(PathBuf::from(path));
        assert_eq!(resolve(Declared::At("/cfg.sock".into()), Some("/run/a".into())), at("/cfg.sock"));
        assert_eq!(resolve(Declared::Off, None), None);
        assert_eq!(resolve(Declared::Nothing, Some("/run/a:/run/b".into())), at("/run/a/renewd.sock"));
        assert_eq!(resolve(Declared::Nothing, Some("".into())), at(DEFAULT));
        assert_eq!(resolve(Declared::Unknown("is broken".to_owned()), None), at(DEFAULT));
    }

    #[test]
    fn the_option_wins_over_the_configuration_unless_it_is_empty() {
        let globals = |socket: &str| Globals { socket: Some(socket.into()), ..Globals::default() };
        assert_eq!(locate(&globals("/opt.sock")).unwrap(), PathBuf::from("/opt.sock"));
        assert_ne!(locate(&globals("")).unwrap(), PathBuf::new());
    }

    #[test]
    fn nobody_is_told_to_start_an_agent_on_a_configuration_that_is_not_there() {
        let way = |config: &Path| way_in(&Globals { config: Some(config.to_owned()), ..Globals::default() });
        let gone = way(Path::new("/nonexistent/renewd.yaml"));
        assert!(gone.starts_with("if the agent runs, name its socket with --socket"), "{gone}");
        assert!(!gone.contains("--config /nonexistent"), "{gone}");
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("renewd.yaml");
        put(&config, "accounts: {}\n");
        assert!(way(&config).starts_with("start it with `renewd run --config /"));
    }

    #[test]
    fn a_broken_configuration_is_to_be_checked_before_an_agent_is_started_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("renewd.yaml");
        put(&config, "accounts: {}\nagnet: {}\n");
        let globals = Globals { config: Some(config.clone()), ..Globals::default() };
        let way = way_in(&globals);
        let order = ["`renewd check --config /", "--socket", "mend the file", "`renewd run --config /"];
        let places = order.map(|words| way.find(words).unwrap_or_else(|| panic!("{words}: {way}")));
        assert!(places.is_sorted(), "{way}");
        let named = Globals { socket: Some("/nonexistent/renewd.sock".into()), ..globals };
        assert!(way_in(&named).starts_with("start it with"), "whoever names the socket does not ask blindly");
    }
}
