//! The real binary: commands that end, and an agent that runs.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use serde_json::Value;

use super::room::Room;
use super::{secs, wait};

/// Writes the configuration: `accounts` is what stands below `accounts:`, `more` is further top-level keys.
pub(crate) fn configure(room: &Room, accounts: &str, more: &str) {
    let (state, socket) = (room.path("state"), room.path("socket"));
    let text = format!(
        "agent:\n  state_dir: {}\n  socket: {}\n  listen: off\n  log: {{ level: debug, format: json }}\n{more}\n\
         accounts:\n{accounts}",
        state.display(),
        socket.display(),
    );
    room.write("renewd.yaml", &text);
}

/// Runs a command to its end.
pub(crate) fn renewd(room: &Room, words: &[&str]) -> Output {
    command(room).args(words).stdin(Stdio::null()).output().expect("renewd starts")
}

/// `renewd once --timeout LIMIT`: its exit status and what it says.
pub(crate) fn once(room: &Room, limit: &str) -> (Option<i32>, String) {
    let output = renewd(room, &["once", "--timeout", limit]);
    let said = String::from_utf8(output.stderr).unwrap();
    room.write("once.log", &said);
    (output.status.code(), said)
}

fn command(room: &Room) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renewd"));
    command.arg("--config").arg(room.path("renewd.yaml"));
    command
}

/// `renewd run`, killed when dropped.
pub(crate) struct Agent<'r> {
    room: &'r Room,
    child: Child,
}

impl<'r> Agent<'r> {
    /// Starts it and waits until it answers.
    pub(crate) fn start(room: &'r Room) -> Self {
        let log = File::options().append(true).create(true).open(room.path("renewd.log")).unwrap();
        let child = command(room)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("renewd starts");
        let mut agent = Self { room, child };
        wait("the agent answers", secs(30), || {
            assert!(agent.child.try_wait().unwrap().is_none(), "the agent has ended: see its log");
            agent.ask()
        });
        agent
    }

    /// One account of `status --json`.
    pub(crate) fn account(&self, name: &str) -> Value {
        let status = self.ask().expect("the agent answers");
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().find(|account| account["name"] == name).expect("the account is there").clone()
    }

    /// How many tokens the account has had.
    pub(crate) fn generation(&self, name: &str) -> u64 {
        self.account(name)["generation"].as_u64().unwrap_or(0)
    }

    /// Waits until the account has had that many tokens, and never sees it with an error.
    #[track_caller]
    pub(crate) fn stays_fresh_until(&self, name: &str, generation: u64) {
        wait(&format!("token {generation} of {name}"), secs(120), || {
            let account = self.account(name);
            assert_eq!(account["error"], Value::Null, "{account}");
            (account["generation"].as_u64() >= Some(generation)).then_some(())
        });
        assert_eq!(self.account(name)["state"], "fresh");
    }

    /// Dies as in a power cut.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        wait("the agent ends", secs(30), || self.child.try_wait().unwrap())
    }

    fn ask(&self) -> Option<Value> {
        let output = renewd(self.room, &["status", "--json"]);
        serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
