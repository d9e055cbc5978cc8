//! The configuration as commands see it: where it is, what it says, what the command line says over it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::args::Globals;
use super::exit::Exit;
use super::report::{self, Failure};
use super::socket::Declared;
use crate::config::definition::Definition;
use crate::config::model::{Config, Socket};
use crate::config::{self, Loaded, PlacedSecret, Problems};
use crate::provider::catalog;
use crate::sink;

/// The configuration's place without any word about it (the contract's).
const DEFAULT: &str = "/etc/renewd/renewd.yaml";
/// To whoever has no configuration yet, or one elsewhere.
const WHERE: &str = "name yours with --config FILE or RENEWD_CONFIG; `renewd init --provider NAME > FILE` writes one to start from";
/// A file up to this many bytes is read whole in no time, and so its mistakes are seen.
const SHORT: usize = 256 << 10;
/// Of a socket that only the command line names.
const SOCKET_MODE: u32 = 0o660;

/// `--config` or `RENEWD_CONFIG`, else the default.
pub(super) fn config_path(globals: &Globals) -> PathBuf {
    let named = globals.config.clone().filter(|path| !path.as_os_str().is_empty());
    named.unwrap_or_else(|| Path::new(DEFAULT).to_owned())
}

/// Reads the configuration and puts `--socket` over it.
///
/// # Errors
/// With exit status 78, all problems being told already.
pub(super) fn load(globals: &Globals) -> Result<Loaded, Failure> {
    let path = config_path(globals);
    told(read(&path), &path, globals)
}

/// The same with the secrets that the configuration names, and their places; also where it has mistakes.
pub(super) fn load_with_secrets(globals: &Globals) -> (Result<Loaded, Failure>, Vec<PlacedSecret>) {
    let path = config_path(globals);
    let (loaded, secrets) =
        config::load_with_secrets(&path, &environment, catalog::texts(), &sink::trial::attempt);
    (told(loaded.and_then(|loaded| servable(&path, loaded)), &path, globals), secrets)
}

fn told(loaded: Result<Loaded, Problems>, path: &Path, globals: &Globals) -> Result<Loaded, Failure> {
    let loaded = loaded.map_err(|mut problems| {
        if let ([problem], false) = (problems.0.as_mut_slice(), path.exists()) {
            problem.hint = Some(WHERE.to_owned());
        }
        report::problems(&problems.0)
    })?;
    Ok(Loaded { config: overridden(loaded.config, globals), ..loaded })
}

/// Reads the configuration anew, as a reload does; problems come as text for people.
pub(super) fn reload(globals: &Globals) -> Result<Loaded, String> {
    let loaded = read(&config_path(globals)).map_err(|problems| problems.to_string())?;
    Ok(Loaded { config: overridden(loaded.config, globals), ..loaded })
}

fn read(path: &Path) -> Result<Loaded, Problems> {
    servable(path, config::load(path, &environment, catalog::texts(), &sink::trial::attempt)?)
}

/// What this build can serve, as it is.
fn servable(path: &Path, loaded: Loaded) -> Result<Loaded, Problems> {
    #[cfg(feature = "kubernetes")]
    let _ = path;
    #[cfg(not(feature = "kubernetes"))]
    left_out(path, &loaded.config)?;
    Ok(loaded)
}

/// Sinks that this build cannot serve are refused before anything runs.
#[cfg(not(feature = "kubernetes"))]
fn left_out(path: &Path, config: &Config) -> Result<(), Problems> {
    use crate::config::Problem;
    use crate::config::model::Sink;

    const HINT: &str = "build it with the cargo feature `kubernetes`, which is on unless it is turned off";
    let mut problems = Vec::new();
    for account in config.accounts.values() {
        let is_one = |sink: &&Sink| matches!(sink, Sink::Kubernetes(_));
        problems.extend(account.sinks.iter().filter(is_one).map(|sink| {
            let message = format!(
                "account `{}`, sink {}: this renewd was built without Kubernetes",
                account.name,
                sink.id()
            );
            Problem::of_file(path, message).with_hint(HINT)
        }));
    }
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

fn overridden(mut config: Config, globals: &Globals) -> Config {
    if let Some(path) = globals.socket.clone().filter(|path| !path.as_os_str().is_empty()) {
        config.agent.socket = Some(match config.agent.socket {
            Some(socket) => Socket { path, ..socket },
            None => Socket { path, mode: SOCKET_MODE, group: None },
        });
    }
    config
}

/// What the file at `path` says under `agent.socket`.
///
/// Where it has an `agent:` section, that alone is read, so that neither ten thousand accounts nor a mistake in one of
/// them stand between a person and the running agent.
pub(super) fn declared_socket(path: &Path) -> Declared {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Declared::Unknown("is not there".to_owned());
        }
        Err(error) => return Declared::Unknown(format!("cannot be read ({error})")),
    };
    let alone = |section: &str| {
        let text = format!("accounts: {{}}\n{section}");
        config::load_text(path, &text, &environment, &[])
    };
    let loaded = match agent_section(&text) {
        Some(section) => alone(&section).or_else(|problems| match socket_entry(&section) {
            Some(entry) => alone(&entry),
            None => Err(problems),
        }),
        None if text.len() <= SHORT || is_flow(&text) => read(path),
        None => return Declared::Nothing,
    };
    match loaded.map(|loaded| loaded.config.agent.socket) {
        Ok(Some(socket)) => Declared::At(socket.path),
        Ok(None) => Declared::Off,
        Err(_) => Declared::Unknown("has mistakes (`renewd check` tells which)".to_owned()),
    }
}

/// The lines of the top-level `agent:` key, in block style.
fn agent_section(text: &str) -> Option<String> {
    let belongs = |line: &&str| line.is_empty() || line.starts_with([' ', '\t', '#', '}', ']']);
    let mut lines = text.lines().skip_while(|line| !line.starts_with("agent:"));
    let first = lines.next()?;
    Some(std::iter::once(first).chain(lines.take_while(belongs)).flat_map(|line| [line, "\n"]).collect())
}

/// The section with nothing but its `socket:` entry, in block style.
fn socket_entry(section: &str) -> Option<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut lines = section.lines().skip(1).skip_while(|line| !line.trim_start().starts_with("socket:"));
    let first = lines.next()?;
    let below = lines.take_while(|line| line.trim().is_empty() || depth(line) > depth(first));
    Some(["agent:", first].into_iter().chain(below).flat_map(|line| [line, "\n"]).collect())
}

/// Whether the document is one mapping in braces, as in JSON.
fn is_flow(text: &str) -> bool {
    text.lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with(['#', '-', '%']))
        .is_some_and(|line| line.starts_with('{'))
}

/// The built-in definitions, in order of name.
///
/// # Errors
/// Never in a build that has passed its tests.
pub(super) fn builtin() -> Result<Vec<Definition>, Failure> {
    let broken = |problems: Problems| {
        Failure::new(Exit::Internal, "a built-in definition is broken").cause(problems.to_string())
    };
    let parse = |(name, text): &(&str, &str)| config::parse_definition(name, name, text).map_err(broken);
    catalog::texts().iter().map(parse).collect()
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn declared(text: &str) -> Declared {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        declared_socket(file.path())
    }

    #[test]
    fn a_mistake_in_an_account_does_not_hide_the_socket() {
        let text = "accounts:\n  a: { provder: x }\nagent:\n  # ours\n  socket: /run/mine.sock\n\n  log: { level: debug }\nlimits: 7\n";
        assert_eq!(declared(text), Declared::At("/run/mine.sock".into()));
    }

    #[test]
    fn the_socket_is_found_in_each_style() {
        let at = || Declared::At("/run/mine.sock".into());
        assert_eq!(declared("agent: { socket: /run/mine.sock }\naccounts: {}\n"), at());
        assert_eq!(
            declared("agent:\n  socket: { path: /run/mine.sock, mode: \"0600\" }\naccounts: {}\n"),
            at()
        );
        assert_eq!(declared("{\"agent\": {\"socket\": \"/run/mine.sock\"}, \"accounts\": {}}"), at());
        assert_eq!(declared("agent:\n  socket: off\naccounts: {}\n"), Declared::Off);
        assert!(matches!(declared("accounts: {}\n"), Declared::At(_)), "the default");
    }

    #[test]
    fn a_mistake_beside_the_socket_does_not_hide_it() {
        let at = || Declared::At("/run/mine.sock".into());
        assert_eq!(declared("agent:\n  lisen: off\n  socket: /run/mine.sock\n  log: 7\n"), at());
        let long = "agent:\n  socket:\n    path: /run/mine.sock\n    mode: \"0600\"\n  lisen: off\n";
        assert_eq!(declared(long), at());
        let wrong = declared("agent:\n  lisen: off\n  socket: mine.sock\n");
        assert!(matches!(wrong, Declared::Unknown(_)));
    }

    #[test]
    fn a_file_that_does_not_tell_the_socket_is_told_apart_from_one_that_is_silent() {
        let unknown = |words: &str| Declared::Unknown(words.to_owned());
        let broken = || unknown("has mistakes (`renewd check` tells which)");
        assert_eq!(declared("agent: [\n"), broken());
        assert_eq!(declared("agnet: { socket: /run/mine.sock }\naccounts: {}\n"), broken());
        assert_eq!(declared_socket(Path::new("/nonexistent")), unknown("is not there"));
        let account = |n: u32| format!("  account-{n}: {{ provider: kis }}\n");
        let long = format!("accounts:\n{}", (0..9_000).map(account).collect::<String>());
        assert_eq!(declared(&long), Declared::Nothing, "mistakes among many accounts are not looked for");
    }

    #[cfg(not(feature = "kubernetes"))]
    #[test]
    fn a_build_without_kubernetes_refuses_its_sinks_by_name() {
        let text = "accounts:\n  a: { provider: portone, credentials: { apiSecret: x }, sinks: [file: /run/a, \
                    kubernetes: { secret: s, namespace: n }] }\n";
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let problems = read(file.path()).unwrap_err();
        assert_eq!(problems.0.len(), 1);
        let words = "account `a`, sink kubernetes:n/s: this renewd was built without Kubernetes";
        assert_eq!(problems.0[0].message, words);
    }

    #[test]
    fn every_built_in_definition_parses() {
        assert_eq!(builtin().unwrap().len(), catalog::texts().len());
    }
}
