//! `renewd init`: a configuration to start from, made from the provider's own definition.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use super::args::InitArgs;
use super::exit::Exit;
use super::out;
use super::report::Failure;
use super::{providers, settings};
use crate::config::definition::{Definition, ExpiryRule, Param};
use crate::domain::human_duration;

/// Where the examples' secrets are.
const SECRETS: &str = "/etc/renewd/secrets";

/// Prints it, or writes it to a file that does not exist yet.
pub(super) fn init(args: &InitArgs) -> Result<Exit, Failure> {
    let definitions = settings::builtin()?;
    let definition = definitions.iter().find(|each| each.name == args.provider);
    let text = text(definition.ok_or_else(|| providers::unknown(&args.provider))?);
    match &args.output {
        None => out::print(&text)?,
        Some(path) => {
            write_new(path, &text).map_err(|error| refusal(path, &error))?;
            out::complain(&format!(
                "wrote {0}; next: put your credentials in place, then `renewd check --config {0}`\n",
                path.display()
            ));
        }
    }
    Ok(Exit::Done)
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Why that failed, for people.
pub(super) fn refusal(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::new(Exit::Failed, format!("{} exists already", path.display()))
                .hint("choose another name, or print to standard output by leaving `--output` out")
        }
        _ => Failure::new(Exit::Failed, format!("cannot write {}", path.display())).because(error),
    }
}

/// The configuration: whatever must be said is there, whatever may be said stands beside it as a comment.
fn text(definition: &Definition) -> String {
    let name = &definition.name;
    let mut text = format!(
        "# renewd keeps this account's token fresh and delivers it to the sinks below.\n\
         #   renewd check    is it right?      renewd once    issue, deliver, exit\n\
         #   renewd run      the agent         renewd status  how it stands\n\
         # `renewd providers {name}` prints what renewd knows of {}.\n\n\
         accounts:\n\
         \x20 {name}:  # a name of your own: a-z, 0-9, `.`, `_`, `-`\n\
         \x20   provider: {name}\n",
        definition.title
    );
    environments(&mut text, definition);
    credentials(&mut text, definition);
    params(&mut text, definition);
    let life = definition
        .life
        .map(|life| format!("; a token of it lives {}", human_duration(life)))
        .unwrap_or_default();
    let _ = write!(
        text,
        "    # renew:\n\
         \x20   #   before: 20%            # how long before the end: a time or a share of the life{life}\n\
         \x20   #   cron: \"0 0 4 * * *\"    # rotate at these times too (seconds first)\n\
         \x20   #   timezone: Asia/Seoul\n\
         \x20   sinks:\n\
         \x20     - file: /run/renewd/{name}.token  # the bare token, mode 0600\n\
         \x20     # - file: {{ path: /run/renewd/{name}.header, content: header, mode: \"0640\", group: app }}  # for curl -H @FILE\n\
         \x20     # - file: {{ path: /run/renewd/{name}.json, content: json }}  # with expiry and generation\n\
         \x20     # - file: {{ path: /run/renewd/{name}.env, template: \"TOKEN={{{{ access_token }}}}\\n\" }}\n\
         \x20   # verify: https://api.example.com/me  # try a new token before delivering it\n\
         \x20   # on_change:\n\
         \x20   #   - command: [systemctl, reload, app]  # once the token is in all its sinks\n\n\
         # agent:\n\
         #   state_dir: /var/lib/renewd\n\
         #   socket: /run/renewd/renewd.sock\n\
         #   listen: 127.0.0.1:9478   # health and metrics; never a token\n\n\
         # include: [accounts.d/*.yaml]\n"
    );
    text
}

fn environments(text: &mut String, definition: &Definition) {
    if definition.environments.is_empty() {
        if !definition.params.iter().any(is_url) {
            text.push_str("    base_url: https://api.example.com\n");
        }
        return;
    }
    for (index, environment) in definition.environments.iter().enumerate() {
        let default = if index == definition.default_environment { ", the default" } else { "" };
        let _ =
            writeln!(text, "    # environment: {}  # {}{default}", environment.name, environment.base_url);
    }
}

fn credentials(text: &mut String, definition: &Definition) {
    if definition.credentials.is_empty() {
        return;
    }
    text.push_str(
        "    # Each is the text itself, or { file: PATH }, { env: NAME }, { credential: NAME } (systemd's) or\n\
         \x20   # { command: [PROGRAM, ARGUMENT] }.\n\
         \x20   credentials:\n",
    );
    for credential in &definition.credentials {
        let comment = if credential.optional { "# " } else { "" };
        let file = format!("{SECRETS}/{}-{}", definition.name, credential.name);
        let _ = write!(text, "      {comment}{}: {{ file: {file} }}", credential.name);
        describe(text, &credential.description);
    }
}

fn params(text: &mut String, definition: &Definition) {
    let given = |param: &Param| param.required || is_url(param);
    if definition.params.is_empty() {
        return;
    }
    let comment = if definition.params.iter().any(given) { "" } else { "# " };
    let _ = writeln!(text, "    {comment}params:");
    for param in &definition.params {
        let comment = if given(param) { "" } else { "# " };
        let value = match (param.one_of.first(), param.default.is_empty()) {
            _ if is_url(param) => "https://auth.example.com/oauth2/token".to_owned(),
            _ if is_duration(param, definition) => "1h".to_owned(),
            (_, false) => quoted(&param.default),
            (Some(first), true) => quoted(first),
            (None, true) => quoted("..."),
        };
        let _ = write!(text, "      {comment}{}: {value}", param.name);
        describe(text, &param.description);
    }
}

/// The token endpoint's own URL: where an API has no base URL, it is what must be given.
fn is_url(param: &Param) -> bool {
    param.name == "token_url"
}

/// It says how long a token lives.
fn is_duration(param: &Param, definition: &Definition) -> bool {
    let operations = definition.issue.iter().chain(&definition.refresh);
    let mut rules = operations.flat_map(|operation| &operation.expiry);
    rules.any(|rule| matches!(rule, ExpiryRule::Param(name) if *name == param.name))
}

fn describe(text: &mut String, description: &str) {
    match description.is_empty() {
        true => text.push('\n'),
        false => {
            let _ = writeln!(text, "  # {}", description.replace('\n', " "));
        }
    }
}

/// As a YAML scalar that stays text.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::catalog;

    #[test]
    fn what_it_prints_loads_for_every_provider() {
        for definition in settings::builtin().unwrap() {
            let text = text(&definition);
            let loaded = crate::config::load_text(
                Path::new("/etc/renewd/renewd.yaml"),
                &text,
                &|_| None,
                catalog::texts(),
            );
            let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!(loaded.warnings, [], "{text}");
            assert!(text.lines().all(|line| line.len() < 160), "{text}");
        }
    }

    #[test]
    fn every_commented_line_is_right_too() {
        for definition in settings::builtin().unwrap() {
            let text = text(&definition);
            let mut environments = 0;
            let uncommented: String = text
                .lines()
                .map(|line| match line.trim_start().strip_prefix("# ") {
                    // One environment at a time; prose and what names other files stays a comment.
                    Some(rest) if rest.starts_with("environment:") => {
                        environments += 1;
                        if environments == 1 { line.replacen("# ", "", 1) } else { line.to_owned() }
                    }
                    Some(rest) if rest.contains("Each is") || rest.starts_with('{') || rest.starts_with("include") => line.to_owned(),
                    Some(rest) if line.starts_with('#') && !rest.starts_with(' ') && !rest.starts_with("agent") => line.to_owned(),
                    Some(_) if line.starts_with("#   renewd") => line.to_owned(),
                    Some(rest) if rest.contains("group: app") => line.replacen("# ", "", 1).replace(", group: app", ""),
                    Some(_) => line.replacen("# ", "", 1),
                    None => line.to_owned(),
                } + "\n")
                .collect();
            let loaded = crate::config::load_text(
                Path::new("/etc/renewd/renewd.yaml"),
                &uncommented,
                &|_| None,
                catalog::texts(),
            );
            assert!(loaded.is_ok(), "{}\n{uncommented}", loaded.unwrap_err());
        }
    }

    #[test]
    fn an_existing_file_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("renewd.yaml");
        write_new(&path, "first").unwrap();
        let error = write_new(&path, "second").unwrap_err();
        assert_eq!(refusal(&path, &error).exit(), Exit::Failed);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    }
}
