//! `renewd check`: is the configuration right, and are the secrets there? Issues nothing.

mod programs;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use self::programs::programs_of;
use super::args::{CheckArgs, Globals};
use super::exit::Exit;
use super::report::{self, Failure};
use super::screen::counted;
use super::{online, out, settings};
use crate::config::model::{Account, Config, SecretSource, Sink, VaultAuth};
use crate::config::{PlacedSecret, Problem};
use crate::domain::Secret;
use crate::secrets::{self, SecretError};
use crate::sink::file::SinkError;
use crate::sink::owner;

/// Tells everything that is wrong or doubtful on standard error, or `ok` on standard output. What is wrong with the
/// configuration and what is wrong with its secrets is told at once.
pub(super) async fn check(args: CheckArgs, globals: &Globals) -> Result<Exit, Failure> {
    let (loaded, named) = settings::load_with_secrets(globals);
    let read = read(named).await;
    if let Ok(loaded) = &loaded {
        report::warnings(&loaded.warnings);
    }
    report::warnings(&read.warnings);
    let missing = (!read.errors.is_empty()).then(|| report::problems(&read.errors));
    let config = loaded?.config;
    let mut findings = rivals(&config, &read.values);
    if let Some(vault) = &config.vault {
        findings.extend(certificates(&vault.auth));
    }
    if !args.online {
        findings.extend(names_of(&config)); // which `--online` looks for too, and more strictly
    }
    findings.extend(programs_of(&config, &secrets::process_environment));
    findings.iter().for_each(Finding::tell);
    if let Some(missing) = missing {
        return Err(missing);
    }
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

/// What came of reading secrets.
#[derive(Debug, Default)]
struct Read {
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// By which secret it is, in words.
    values: HashMap<String, Secret>,
}

/// Reads every secret from its source; commands run once, however many accounts name them.
async fn read(secrets: Vec<PlacedSecret>) -> Read {
    let mut read = Read { warnings: super::exposed::warnings(&secrets), ..Read::default() };
    let mut commands: Vec<(SecretSource, Result<Secret, SecretError>)> = Vec::new();
    for PlacedSecret { place, source, longest, .. } in secrets {
        // Needs a login: `--online` tries it.
        if matches!(source, SecretSource::Vault(_)) {
            continue;
        }
        let known = commands.iter().find(|(known, _)| *known == source).map(|(_, outcome)| outcome.clone());
        let outcome = match known {
            Some(outcome) => outcome,
            None => secrets::resolve(&source, &secrets::process_environment).await,
        };
        if let Some(warning) = secrets::warning(&source, &secrets::process_environment) {
            read.warnings.push(said(&place, &format!(": {warning}"), Some(&warning.hint())));
        }
        match &outcome {
            Ok(secret) => {
                read.errors.extend(too_long(&place, longest, secret));
                read.warnings.extend(padded(&place, secret));
                read.values.insert(place.message.clone(), secret.clone());
            }
            Err(error) => read.errors.push(said(&place, &format!(": {error}"), error.hint())),
        }
        if matches!(source, SecretSource::Command(_)) {
            commands.push((source, outcome));
        }
    }
    read
}

/// Something about the secret at that place.
fn said(place: &Problem, words: &str, hint: Option<&str>) -> Problem {
    let message = format!("{}{words}", place.message);
    Problem { message, hint: hint.map(str::to_owned), ..place.clone() }
}

fn too_long(place: &Problem, longest: Option<usize>, secret: &Secret) -> Option<Problem> {
    let most = longest?;
    let length = secret.expose().chars().count();
    let words = format!(" has {length} characters, {most} at most");
    (length > most).then(|| said(place, &words, Some("is it another value of the same page at the vendor?")))
}

/// A space at an end is part of the secret, and seldom meant.
fn padded(place: &Problem, secret: &Secret) -> Option<Problem> {
    let text = secret.expose();
    let words = match (text.starts_with(char::is_whitespace), text.ends_with(char::is_whitespace)) {
        (true, true) => " begins and ends with a space",
        (true, false) => " begins with a space",
        (false, true) => " ends with a space",
        (false, false) => return None,
    };
    Some(said(
        place,
        words,
        Some("it is sent as part of the secret; remove it unless the vendor's secret has it"),
    ))
}

/// The files of a login to Vault by certificate.
fn certificates(auth: &VaultAuth) -> Vec<Finding> {
    let VaultAuth::Cert { cert_file, key_file, .. } = auth else { return Vec::new() };
    let missing = |file: &PathBuf| {
        let error = std::fs::File::open(file).err()?;
        Some(Finding::error(format!("`vault.auth`: {} cannot be read: {error}", file.display()), None))
    };
    [cert_file, key_file].into_iter().filter_map(missing).collect()
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
    let socket = config.agent.socket.as_ref().and_then(|socket| socket.group.as_deref());
    let audit = config.agent.audit.as_ref().and_then(|audit| audit.group.as_deref());
    for (key, group) in [("agent.socket", socket), ("agent.audit", audit)] {
        if let Some(group) = group.filter(|group| owner::group_id(group).is_none()) {
            let error = SinkError::UnknownName { kind: "group", name: group.to_owned() };
            findings.push(Finding::warning(format!("{key}: {error}"), error.hint()));
        }
    }
    findings
}

/// What is said of accounts that have the same credentials.
fn rivals(config: &Config, values: &HashMap<String, Secret>) -> Vec<Finding> {
    let mut rivals = Rivals::default();
    let value = |account: &Account, credential: &str| {
        values.get(&format!("account `{}`, credential `{credential}`", account.name)).cloned()
    };
    let mut findings = Vec::new();
    for account in config.accounts.values() {
        let names = account.credentials.keys().map(String::as_str);
        let theirs = names.filter_map(|name| Some((name, value(account, name)?))).collect();
        findings.extend(rivals.meet(account, theirs));
    }
    findings
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

    #[tokio::test]
    async fn a_login_whose_secret_is_missing_is_an_error() {
        let auth = VaultAuth::Cert {
            cert_file: "/nonexistent/c.pem".into(),
            key_file: "/nonexistent/k.pem".into(),
            name: None,
            mount: "cert".to_owned(),
        };
        assert_eq!(certificates(&auth).iter().filter(|finding| finding.is_error).count(), 2);
        let text = "accounts: {}\nvault: { address: \"https://v\", auth: { token: { file: /nonexistent/token } } }\n";
        let said = told(text).await;
        let words = ":2:47: `vault.auth`, `token`: the secret file `/nonexistent/token` is missing";
        assert!(said.contains(words), "{said}");
    }

    /// What is said of the secrets of a configuration.
    async fn told(text: &str) -> String {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let texts = crate::provider::catalog::texts();
        let (_, named) = crate::config::load_with_secrets(file.path(), &|_| None, texts, &|_| None);
        let read = read(named).await;
        crate::config::Problems([read.errors, read.warnings].concat()).to_string()
    }

    #[tokio::test]
    async fn a_missing_secret_is_told_at_its_place_beside_other_mistakes() {
        let text = "accounts:\n  a:\n    provider: kis\n    credentials: { appkey: { env: RENEWD_NO_SUCH }, appsecret: { file: /nonexistent/s } }\n    \
                    renew: { befor: 1m }\n  b: { provider: nobody, credentials: { x: { command: [/nonexistent/c] } } }\n";
        let said = told(text).await;
        for words in [
            ":4:28: account `a`, credential `appkey`: the environment variable `RENEWD_NO_SUCH` is not set",
            ":4:64: account `a`, credential `appsecret`: the secret file `/nonexistent/s` is missing",
            ":6:44: account `b`, credential `x`: the secret's command `/nonexistent/c` cannot be started",
        ] {
            assert!(said.contains(words), "{words}\n\n{said}");
        }
    }

    #[tokio::test]
    async fn a_secret_file_that_everybody_can_read_comes_with_the_command_that_mends_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::File::create(&secret).unwrap().set_permissions(PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let text = format!(
            "accounts:\n  a: {{ provider: kis, credentials: {{ appkey: {{ file: {} }} }} }}\n",
            secret.display()
        );
        let said = told(&text).await;
        assert!(said.contains("every user can read the secret file"), "{said}");
        assert!(said.contains(&format!("hint: chmod 600 {}", secret.display())), "{said}");
    }

    #[tokio::test]
    async fn a_space_at_an_end_of_a_secret_is_warned_of_and_a_line_end_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        let text = format!(
            "accounts:\n  a: {{ provider: kis, credentials: {{ appkey: {{ file: {} }} }} }}\n",
            secret.display()
        );
        for (content, words) in [
            ("hunter2 \r\n", Some("account `a`, credential `appkey` ends with a space\n")),
            (" hunter2\n", Some("account `a`, credential `appkey` begins with a space\n")),
            ("\u{a0}hunter2 ", Some("account `a`, credential `appkey` begins and ends with a space\n")),
            ("hunter 2\r\n", None),
            ("hunter2\n", None),
        ] {
            use std::io::Write;
            std::fs::File::create(&secret).unwrap().write_all(content.as_bytes()).unwrap();
            let said = told(&text).await;
            assert_eq!(said.contains("a space"), words.is_some(), "{content:?}: {said}");
            assert!(words.is_none_or(|words| said.contains(words)), "{content:?}: {said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }
}
