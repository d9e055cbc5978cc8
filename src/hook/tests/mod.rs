//! Against real processes and real sockets.

mod command;
mod signal;
mod webhook;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Environment, HookError, Notice, Renewed, Runner, Subject};
use crate::config::model::Hook;
use crate::domain::{AccountId, Generation, Timestamp, TokenMeta};

/// As the agent makes it, with an environment of our own.
fn runner(environment: Arc<Environment>) -> Runner {
    Runner::new(crate::provider::tls_config(None, None).unwrap(), environment).unwrap()
}

/// A runner that hands on this process's environment where it may.
fn usual() -> Runner {
    runner(Arc::new(|name| std::env::var_os(name)))
}

async fn run(hook: &Hook) -> Result<(), HookError> {
    usual().run(hook, &notice()).await
}

fn renewed(account: &str, generation: u64, expires_at: i64) -> Renewed {
    Renewed {
        account: AccountId::new(account).unwrap(),
        provider: "bizppurio".to_owned(),
        meta: TokenMeta {
            generation: Generation(generation),
            issued_at: Timestamp::from_secs(1_772_358_000),
            expires_at: Timestamp::from_secs(expires_at),
        },
    }
}

/// Of an account with two targets.
fn notice() -> Notice {
    Notice {
        subject: Subject::Account(renewed("messaging", 7, 1_772_361_600)),
        targets: vec!["file:/run/my app/token".to_owned(), "vault:secret/tokens/messaging".to_owned()],
    }
}

/// Of a template of two accounts.
fn template_notice() -> Notice {
    let accounts = vec![renewed("messaging", 7, 1_772_361_600), renewed("shop", 2, 1_772_360_000)];
    Notice {
        subject: Subject::Template { path: "/run/renewd/app.env".into(), accounts },
        targets: vec!["template:/run/renewd/app.env".to_owned()],
    }
}

/// Waits until it is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: not within 10 s");
}

/// State and parent of a process, as /proc tells them; `None` for one that is gone.
fn process(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut after = stat.rsplit_once(") ")?.1.split(' ');
    Some((after.next()?.chars().next()?, after.next()?.parse().ok()?))
}

fn pid_in(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[test]
fn hooks_are_named_by_what_the_configuration_says_and_each_has_a_name_of_its_own() {
    let command = |argv: &[&str]| Hook::Command {
        argv: argv.iter().map(ToString::to_string).collect(),
        timeout: Duration::ZERO,
    };
    let webhook = |url: &str| Hook::Webhook { url: url.parse().unwrap(), timeout: Duration::ZERO };
    let hooks = [
        command(&["sh", "-c", "s3cr3t"]),
        webhook("https://user:s3cr3t@h.example.com/s3cr3t"),
        command(&["sh", "-c", "other"]),
        webhook("http://127.0.0.1:9000/rotated"),
        command(&["sh"]),
    ];
    let names =
        ["command:sh", "webhook:h.example.com", "command:sh#2", "webhook:127.0.0.1:9000", "command:sh#3"];
    assert_eq!(super::names(&hooks), names);
}
