//! `renewd check`: is the configuration right, and are the secrets there? Issues nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::{CheckArgs, Globals};
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::counted;
use super::{online, out, settings};
use crate::config::model::{Account, Config, Hook, SecretSource, Sink, VaultAuth};
use crate::domain::Secret;
use crate::hook::{self, Absent};
use crate::secrets;
use crate::sink::file::SinkError;
use crate::sink::owner;

/// Tells everything that is wrong or doubtful on standard error, or `ok` on standard output.
pub(super) async fn check(args: CheckArgs, globals: &Globals) -> Result<Exit, Failure> {
    let loaded = settings::load(globals)?;
    report::warnings(&loaded.warnings);
    let config = loaded.config;
    let mut findings = secrets_of(&config).await;
    if !args.online {
        findings.extend(names_of(&config)); // which `--online` looks for too, and more strictly
    }
    findings.extend(programs_of(&config, &secrets::process_environment));
    findings.iter().for_each(Finding::tell);
    if findings.iter().any(|finding| finding.is_error) {
        return Ok(Exit::Config);
    }
    if args.online && !online::check(&config, globals).await {
        return Ok(Exit::Failed);
    }
    out::print(&summary(&config))?;
    Ok(Exit::Done)
}

/// What there is, and what each template is made from.
fn summary(config: &Config) -> String {
    let sinks: usize = config.accounts.values().map(|account| account.sinks.len()).sum();
    let mut text = format!("ok: {}, {}", counted(config.accounts.len(), "account"), counted(sinks, "sink"));
    if !config.templates.is_empty() {
        text.push_str(&format!(", {}", counted(config.templates.len(), "template")));
    }
    text.push('\n');
    for template in &config.templates {
        let names = super::suggest::listed(template.accounts.iter().map(crate::domain::AccountId::as_str));
        text.push_str(&format!("{} is made from {names}\n", template.path.display()));
    }
    text
}

/// What is to be said of an account's secrets, or of names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    is_error: bool,
    message: String,
    hint: Option<&'static str>,
}

impl Finding {
    fn error(message: String, hint: Option<&'static str>) -> Self {
        Self { is_error: true, message, hint }
    }

    fn warning(message: String, hint: Option<&'static str>) -> Self {
        Self { is_error: false, message, hint }
    }

    fn tell(&self) {
        report::finding(self.is_error, &self.message, self.hint);
    }
}

/// Reads every secret from its source; commands run once, however many accounts name them.
async fn secrets_of(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut commands: Vec<(&SecretSource, Result<Secret, secrets::SecretError>)> = Vec::new();
    let mut rivals = Rivals::default();
    for account in config.accounts.values() {
        let mut values = BTreeMap::new();
        for (credential, source) in &account.credentials {
            // Needs a login: `--online` tries it.
            if matches!(source, SecretSource::Vault(_)) {
                continue;
            }
            let known =
                commands.iter().find(|(known, _)| *known == source).map(|(_, outcome)| outcome.clone());
            let outcome = match known {
                Some(outcome) => outcome,
                None => secrets::resolve(source, &secrets::process_environment).await,
            };
            if matches!(source, SecretSource::Command(_)) {
                commands.push((source, outcome.clone()));
            }
            if let Some(warning) = secrets::warning(source, &secrets::process_environment) {
                findings.push(Finding::warning(format!("account `{}`: {warning}", account.name), None));
            }
            match outcome {
                Ok(secret) => {
                    findings.extend(too_long(account, credential, &secret));
                    values.insert(credential.as_str(), secret);
                }
                Err(error) => findings.push(Finding::error(
                    format!("account `{}`, credential `{credential}`: {error}", account.name),
                    error.hint(),
                )),
            }
        }
        findings.extend(rivals.meet(account, values));
    }
    if let Some(vault) = &config.vault {
        findings.extend(login(&vault.auth).await);
    }
    findings
}

/// The secrets and files of the login to Vault.
async fn login(auth: &VaultAuth) -> Vec<Finding> {
    let mut findings = Vec::new();
    let secrets: Vec<(&str, &SecretSource)> = match auth {
        VaultAuth::Token(token) => vec![("token", token)],
        VaultAuth::AppRole { role_id, secret_id, .. } => {
            [("role_id", Some(role_id)), ("secret_id", secret_id.as_ref())]
                .into_iter()
                .filter_map(|(name, source)| Some((name, source?)))
                .collect()
        }
        VaultAuth::Kubernetes { jwt, .. } | VaultAuth::Jwt { jwt, .. } => vec![("jwt", jwt)],
        VaultAuth::Cert { cert_file, key_file, .. } => {
            for file in [cert_file, key_file] {
                if let Err(error) = std::fs::File::open(file) {
                    let message = format!("`vault.auth`: {} cannot be read: {error}", file.display());
                    findings.push(Finding::error(message, None));
                }
            }
            Vec::new()
        }
    };
    for (name, source) in secrets {
        if let Some(warning) = secrets::warning(source, &secrets::process_environment) {
            findings.push(Finding::warning(format!("`vault.auth`: {warning}"), None));
        }
        if let Err(error) = secrets::resolve(source, &secrets::process_environment).await {
            findings.push(Finding::error(format!("`vault.auth`, `{name}`: {error}"), error.hint()));
        }
    }
    findings
}

/// Users and groups that this machine does not know: a configuration may be for another one, so these are warnings.
fn names_of(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |whose: String, owner: Option<&str>, group: Option<&str>| {
        let unknown = owner::unknown(owner, group).into_iter();
        findings.extend(unknown.map(|error| Finding::warning(format!("{whose}: {error}"), error.hint())));
    };
    for account in config.accounts.values() {
        for sink in account.sinks.iter().filter_map(Sink::file) {
            let whose = format!("account `{}`, sink file:{}", account.name, sink.path.display());
            look(whose, sink.owner.as_deref(), sink.group.as_deref());
        }
    }
    for template in &config.templates {
        let whose = format!("template {}", template.path.display());
        look(whose, template.owner.as_deref(), template.group.as_deref());
    }
    let group = config.agent.socket.as_ref().and_then(|socket| socket.group.as_deref());
    if let Some(group) = group.filter(|group| owner::group_id(group).is_none()) {
        let error = SinkError::UnknownName { kind: "group", name: group.to_owned() };
        findings.push(Finding::warning(format!("agent.socket: {error}"), error.hint()));
    }
    findings
}

/// Programs of hooks that are not there, each once: the configuration may be for another machine, so these are warnings.
fn programs_of(config: &Config, environment: &hook::Environment) -> Vec<Finding> {
    let accounts = config.accounts.values().map(|each| (format!("account `{}`", each.name), &each.on_change));
    let templates = config.templates.iter();
    let templates = templates.map(|each| (format!("template {}", each.path.display()), &each.on_change));
    let mut programs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (whose, hooks) in accounts.chain(templates) {
        for hook in hooks {
            if let Hook::Command { argv, .. } = hook
                && let Some(program) = argv.first()
            {
                programs.entry(program).or_default().push(whose.clone());
            }
        }
    }
    let finding = |(program, whose): (&str, Vec<String>)| {
        let (what, hint) = match hook::absent(program, environment)? {
            Absent::Missing => ("does not exist", "is the path right?"),
            Absent::NotExecutable => (
                "cannot be run by this user",
                "`chmod +x`, and this user must be able to search the folders above it",
            ),
            Absent::NotInPath => (
                "is in no folder of PATH",
                "name it with its whole path: hooks get the agent's own PATH, which may be another than a shell's",
            ),
        };
        let more = match whose.len() {
            1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        let message = format!("{}{more}, hook command:{program}: the program {what}", whose.first()?);
        Some(Finding::warning(message, Some(hint)))
    };
    programs.into_iter().filter_map(finding).collect()
}

fn too_long(account: &Account, credential: &str, secret: &Secret) -> Option<Finding> {
    let most = account.provider.credential(credential)?.max_length?;
    let length = secret.expose().chars().count();
    (length > most).then(|| {
        let message = format!(
            "account `{}`, credential `{credential}` has {length} characters, {most} at most",
            account.name
        );
        Finding::error(message, Some("is it another value of the same page at the vendor?"))
    })
}

/// Accounts whose logins end each other's refresh token.
#[derive(Default)]
struct Rivals<'a>(Vec<(&'a Arc<Account>, BTreeMap<&'a str, Secret>)>);

impl<'a> Rivals<'a> {
    /// A warning where another account has the same credentials at the same place. Where even the sources are the
    /// same, the configuration's own warnings have said so already.
    fn meet(&mut self, account: &'a Arc<Account>, values: BTreeMap<&'a str, Secret>) -> Option<Finding> {
        if !account.provider.refresh_single_use || values.is_empty() {
            return None;
        }
        let same = |other: &Account, theirs: &BTreeMap<&str, Secret>| {
            other.provider.name == account.provider.name && other.host == account.host && *theirs == values
        };
        let rival = self.0.iter().find(|(other, theirs)| same(other, theirs)).map(|(other, _)| *other);
        self.0.push((account, values));
        let rival = rival.filter(|rival| rival.credentials != account.credentials)?;
        let message = format!(
            "accounts `{}` and `{}` have the same credentials: each login ends the other's refresh token",
            rival.name, account.name
        );
        Some(Finding::warning(message, Some("one account can have several sinks")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_each_template_is_made_from() {
        let text = "accounts:\n  a: { provider: portone, credentials: { apiSecret: x }, sinks: [file: /run/a] }\n  \
                    b: { provider: portone, credentials: { apiSecret: y } }\ntemplates:\n  \
                    - { path: /run/one, inline: \"{{ accounts.b.access_token }}\" }\n  \
                    - { path: /run/all, inline: \"{% for name in accounts %}{{ accounts[name].account }}{% endfor %}\" }\n";
        let path = std::path::Path::new("/etc/renewd/renewd.yaml");
        let loaded = crate::config::load_text(path, text, &|_| None, crate::provider::catalog::texts());
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        insta::assert_snapshot!(summary(&config), @r#"
        ok: 2 accounts, 1 sink, 2 templates
        /run/one is made from b
        /run/all is made from a, b
        "#);
    }

    #[test]
    fn programs_of_hooks_that_are_not_there_are_warned_of_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::File::create(at("plain")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", at("shell")).unwrap();
        let hook = |program: &str| format!("command: [\"{program}\", --key=hunter2]");
        let programs = ["shell", "/bin/sh", &at("plain"), &at("none"), "no-such-program"];
        let account = "provider: portone, credentials: { apiSecret: x }";
        let text = format!(
            "accounts:\n  a: {{ {account}, on_change: [{}] }}\n  b: {{ {account}, on_change: [{}] }}\n",
            programs.map(hook).join(", "),
            hook(&at("none")),
        );
        let path = std::path::Path::new("/etc/renewd/renewd.yaml");
        let loaded = crate::config::load_text(path, &text, &|_| None, crate::provider::catalog::texts());
        let config = loaded.unwrap_or_else(|problems| panic!("{problems}")).config;
        let folder = dir.path().as_os_str().to_owned();
        let findings = programs_of(&config, &move |name| (name == "PATH").then(|| folder.clone()));
        assert!(findings.iter().all(|finding| !finding.is_error && finding.hint.is_some()));
        let told: Vec<String> = findings.into_iter().map(|finding| finding.message).collect();
        let expected = [
            format!("account `a` and 1 more, hook command:{}: the program does not exist", at("none")),
            format!("account `a`, hook command:{}: the program cannot be run by this user", at("plain")),
            "account `a`, hook command:no-such-program: the program is in no folder of PATH".to_owned(),
        ];
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn a_login_whose_secret_is_missing_is_an_error() {
        let auth = VaultAuth::Cert {
            cert_file: "/nonexistent/c.pem".into(),
            key_file: "/nonexistent/k.pem".into(),
            name: None,
            mount: "cert".to_owned(),
        };
        assert_eq!(login(&auth).await.iter().filter(|finding| finding.is_error).count(), 2);
        let token = VaultAuth::Token(SecretSource::File("/nonexistent/token".into()));
        let findings = login(&token).await;
        assert!(findings[0].is_error && findings[0].message.starts_with("`vault.auth`, `token`: "));
    }
}
