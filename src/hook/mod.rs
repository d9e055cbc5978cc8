//! Tells others that a new token is in place: a signal, a command, a POST. Imports `domain` and `config::model`.
//!
//! What is told are names and times, never a token: [`Notice`] has none. Nothing here retries, debounces or decides
//! when: the engine does. Every run ends by itself, whatever the other side does: a command's process group is
//! killed, its output drained and dropped, a webhook's reply not read to its end.

mod command;
mod error;
mod notice;
mod output;
mod signal;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;

use crate::config::model::Hook;

pub use command::{Absent, absent};
pub use error::{CommandTrouble, HookError, PidFileTrouble, ProcessTrouble, WebhookTrouble};
pub use notice::{Alarm, Notice, Renewed, Subject};
pub use signal::number;

/// Looks up an environment variable of the agent: of these a command sees `PATH`, `HOME` and `LANG`.
pub type Environment = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// Runs hooks. Cheap to clone; wants a tokio runtime.
#[derive(Clone)]
pub struct Runner {
    http: reqwest::Client,
    environment: Arc<Environment>,
}

impl Runner {
    /// With the TLS that webhooks are to use and the agent's environment.
    ///
    /// # Errors
    /// The HTTP client cannot be made: a fault of the build.
    pub fn new(tls: rustls::ClientConfig, environment: Arc<Environment>) -> Result<Self, reqwest::Error> {
        Ok(Self { http: webhook::client(tls)?, environment })
    }

    /// Runs one hook once. Dropping the future ends what it has begun.
    ///
    /// # Errors
    /// [`HookError`]: who was not told, and why.
    pub async fn run(&self, hook: &Hook, notice: &Notice) -> Result<(), HookError> {
        match hook {
            Hook::Signal { pid_file, signal } => signal::send(pid_file, *signal).await,
            Hook::Command { argv, timeout } => {
                command::run(argv, *timeout, notice, self.environment.as_ref()).await
            }
            Hook::Webhook { url, timeout } => webhook::post(&self.http, url, *timeout, notice).await,
        }
    }
}

/// What the hooks of one `on_change` are called where people read of them: by what stands in the configuration, which is
/// `command:PROGRAM`, `webhook:HOST`, `signal:PID_FILE`; from the second of one name on with `#2`, `#3` ... behind it.
/// Arguments and paths of URLs may hold secrets.
#[must_use]
pub fn names(hooks: &[Hook]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let numbered = |hook: &Hook| {
        let name = name(hook);
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}#{count}") }
    };
    hooks.iter().map(numbered).collect()
}

fn name(hook: &Hook) -> String {
    let kind = kind(hook);
    match hook {
        Hook::Signal { pid_file, .. } => format!("{kind}:{}", pid_file.display()),
        Hook::Command { argv, .. } => format!("{kind}:{}", argv.first().map_or("", String::as_str)),
        Hook::Webhook { url, .. } => format!("{kind}:{}", webhook::host_of(url)),
    }
}

/// The hook's kind, as the metrics label it.
#[must_use]
pub fn kind(hook: &Hook) -> &'static str {
    match hook {
        Hook::Signal { .. } => "signal",
        Hook::Command { .. } => "command",
        Hook::Webhook { .. } => "webhook",
    }
}
