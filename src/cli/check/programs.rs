//! The programs of hooks and alerts.

use std::collections::BTreeMap;

use super::Finding;
use crate::config::model::{Config, Hook};
use crate::hook::{self, Absent};

/// Programs of hooks that are not there, each once: the configuration may be for another machine, so these are warnings.
pub(super) fn programs_of(config: &Config, environment: &hook::Environment) -> Vec<Finding> {
    let accounts = config.accounts.values().map(|each| (format!("account `{}`", each.name), &each.on_change));
    let templates = config.templates.iter();
    let templates = templates.map(|each| (format!("template {}", each.path.display()), &each.on_change));
    let mut programs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let of_all = accounts
        .chain(templates)
        .flat_map(|(whose, hooks)| hooks.iter().map(move |hook| (whose.clone(), hook)));
    let alerts = config.agent.alerts.iter().map(|alert| ("agent.alerts".to_owned(), &alert.hook));
    for (whose, hook) in of_all.chain(alerts) {
        if let Hook::Command { argv, .. } = hook
            && let Some(program) = argv.first()
        {
            programs.entry(program).or_default().push(whose);
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

#[cfg(test)]
mod tests {
    use super::*;

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
            "agent: {{ alerts: [{}] }}\naccounts:\n  a: {{ {account}, on_change: [{}] }}\n  b: {{ {account}, on_change: [{}] }}\n",
            hook("no-such-pager"),
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
            "agent.alerts, hook command:no-such-pager: the program is in no folder of PATH".to_owned(),
            "account `a`, hook command:no-such-program: the program is in no folder of PATH".to_owned(),
        ];
        assert_eq!(told, expected);
    }
}
