//! What the audit log says: one line of JSON for each deed, with stable names (docs/audit.md). No token, no secret.

use serde::Serialize;

use crate::core::{HookId, Note, SetId};
use crate::domain::{AccountId, Generation, Timestamp};

/// A deed. The name of the variant is the line's `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/audit.md has each of them and its fields")]
pub enum Entry {
    Started { version: &'static str, pid: u32, uid: u32 },
    Stopped { drained: bool },
    Signal { signal: &'static str },
    Configured { generation: u64 },
    ConfigRefused,
    TokenRead(Deed),
    Renew(Deed),
    Invalidate(Deed),
    Reload(Deed),
    ConfigRead(Deed),
    CredentialChanged { account: AccountId, credential: String, source: String },
    Issued { account: AccountId, generation: Generation, expires_at: Timestamp },
    Delivered { target: String, tokens: Vec<Held> },
    DeliveryFailed { target: String, error: String },
    Withdrawn { target: String },
    Deleted { target: String },
    NotDeleted { target: String, error: String },
    ServerAway { server: String, error: String },
    ServerBack { server: String },
    HookRan(Told),
    HookFailed(Told),
    AlertSent { to: String, alerts: usize },
    AlertFailed { to: String, alerts: usize, error: String },
    Lost { count: u64 },
}

/// Something that was asked for over the socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// Whether the user may.
    pub outcome: Outcome,
    /// The HTTP status of the answer; `None` where whoever asked has not waited for it.
    pub answer: Option<u16>,
    /// Whose token, where the request names an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Of the token that was taken, made or called bad; of the configuration after a reload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Who.
    pub peer: Peer,
}

/// Whether someone may do what he asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Outcome {
    Allowed,
    Denied,
}

/// Who is at the other end of the socket, as the system says; `None` where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Process.
    pub pid: Option<i32>,
    /// What that process calls itself.
    pub process: Option<String>,
}

/// A token that stands in a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub generation: Generation,
}

/// A hook that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Whose, where it is an account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// Of which template, where it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// By the name that the status gives it.
    pub hook: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    /// What is to be kept of a note, if anything; `hook` names a hook. What was delivered the runtime tells itself: a note
    /// does not know what a template was made from.
    pub fn of<'a>(note: &'a Note, hook: impl Fn(&'a SetId, HookId) -> &'a str) -> Option<Self> {
        let told = |set: &'a SetId, which: HookId, error: Option<&str>| {
            let (account, template) = match set {
                SetId::Account(account) => (Some(account.clone()), None),
                SetId::Template(target) => (None, Some(target.to_string())),
            };
            Told { account, template, hook: hook(set, which).to_owned(), error: error.map(str::to_owned) }
        };
        Some(match note {
            Note::Renewed { account, generation, expires_at, .. } => {
                Self::Issued { account: account.clone(), generation: *generation, expires_at: *expires_at }
            }
            Note::Undelivered { target, message, news: true, .. } => {
                Self::DeliveryFailed { target: target.to_string(), error: message.clone() }
            }
            Note::ServerAway { server, message, news: true, .. } => {
                Self::ServerAway { server: server.to_string(), error: message.clone() }
            }
            Note::ServerBack { server, .. } => Self::ServerBack { server: server.to_string() },
            Note::HookRan { set, hook, .. } => Self::HookRan(told(set, *hook, None)),
            Note::HookFailed { set, hook, message, news: true, .. } => {
                Self::HookFailed(told(set, *hook, Some(message)))
            }
            _ => return None,
        })
    }

    /// The line, without its end.
    #[must_use]
    pub fn line(&self, time: Timestamp) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: Timestamp,
            #[serde(flatten)]
            entry: &'a Entry,
        }
        serde_json::to_string(&Line { time, entry: self }).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_time_and_its_event() {
        let account = AccountId::new("pay").ok();
        let peer =
            Peer { uid: Some(1000), gid: Some(100), pid: Some(42), process: Some("curl \"\n".to_owned()) };
        let deed = Deed { outcome: Outcome::Allowed, answer: Some(200), account, generation: Some(7), peer };
        let time = Timestamp::from_secs(1_700_000_000);
        insta::assert_snapshot!(Entry::TokenRead(deed).line(time), @r#"{"time":"2023-11-14T22:13:20Z","event":"token_read","outcome":"allowed","answer":200,"account":"pay","generation":7,"peer":{"uid":1000,"gid":100,"pid":42,"process":"curl \"\n"}}"#);
        insta::assert_snapshot!(Entry::ConfigRefused.line(time), @r#"{"time":"2023-11-14T22:13:20Z","event":"config_refused"}"#);
    }
}
