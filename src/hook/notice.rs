use std::path::PathBuf;

use serde_json::{Value, json};

use crate::domain::{AccountId, Timestamp, TokenMeta};

/// What a hook is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What is new.
    pub subject: Subject,
    /// Where it was written, by the contract's names: `file:PATH` ...
    pub targets: Vec<String>,
}

/// What is new: an account's token, or a template made from several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An account's token.
    Account(Renewed),
    /// A template's file or folder.
    Template {
        /// Which.
        path: PathBuf,
        /// What it was made from, in the order in which it names them.
        accounts: Vec<Renewed>,
    },
    /// Something goes wrong, or is well again.
    Alarm(Alarm),
}

/// An alert, as it is told. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// For a webhook.
    pub document: Value,
    /// For a command.
    pub variables: Vec<(&'static str, String)>,
}

/// A token without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// Whose.
    pub account: AccountId,
    /// The name of the provider's definition.
    pub provider: String,
    /// Generation and times.
    pub meta: TokenMeta,
}

impl Notice {
    /// Of an alert.
    #[must_use]
    pub fn of_alarm(alarm: Alarm) -> Self {
        Self { subject: Subject::Alarm(alarm), targets: Vec::new() }
    }

    /// The variables of a command: those of an account, or those of a template.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = match &self.subject {
            Subject::Account(Renewed { account, provider, meta }) => vec![
                ("RENEWD_ACCOUNT", account.to_string()),
                ("RENEWD_PROVIDER", provider.clone()),
                ("RENEWD_GENERATION", meta.generation.to_string()),
                ("RENEWD_ISSUED_AT", meta.issued_at.to_string()),
                ("RENEWD_EXPIRES_AT", meta.expires_at.to_string()),
            ],
            Subject::Template { path, accounts } => {
                let names: Vec<&str> = accounts.iter().map(|renewed| renewed.account.as_str()).collect();
                let mut all = vec![
                    ("RENEWD_TEMPLATE", path.display().to_string()),
                    ("RENEWD_ACCOUNTS", names.join(" ")),
                ];
                all.extend(first_end(accounts).map(|end| ("RENEWD_EXPIRES_AT", end.to_string())));
                all
            }
            Subject::Alarm(alarm) => return alarm.variables.clone(),
        };
        // A line each: a path may hold anything but a line break.
        all.push(("RENEWD_TARGETS", self.targets.join("\n")));
        all
    }

    /// The body of a webhook: the token document without its secrets, and what became of it.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({ "event": "renewed" });
        match &self.subject {
            Subject::Account(renewed) => merge(&mut body, renewed.document()),
            Subject::Template { path, accounts } => {
                let end = first_end(accounts);
                let documents: Vec<Value> = accounts.iter().map(Renewed::document).collect();
                let template = json!({
                    "template": path.display().to_string(),
                    "expires_at": end,
                    "expires_at_unix": end.map(Timestamp::as_secs),
                    "accounts": documents,
                });
                merge(&mut body, template);
            }
            Subject::Alarm(alarm) => return alarm.document.clone(),
        }
        merge(&mut body, json!({ "targets": self.targets }));
        body
    }
}

impl Renewed {
    fn document(&self) -> Value {
        let Self { account, provider, meta } = self;
        json!({
            "account": account,
            "provider": provider,
            "issued_at": meta.issued_at,
            "expires_at": meta.expires_at,
            "expires_at_unix": meta.expires_at.as_secs(),
            "generation": meta.generation,
        })
    }
}

/// When the first of them ends.
fn first_end(accounts: &[Renewed]) -> Option<Timestamp> {
    accounts.iter().map(|renewed| renewed.meta.expires_at).min()
}

fn merge(body: &mut Value, more: Value) {
    if let (Value::Object(body), Value::Object(more)) = (body, more) {
        body.extend(more);
    }
}
