//! A running agent, ended with the test; and commands that end by themselves.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Canaries, call, until};

/// How an agent is to be run.
pub(crate) struct Run {
    pub(crate) config: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) canaries: Arc<Canaries>,
    pub(crate) environment: Vec<(String, String)>,
    /// Put before the command: `setpriv ...`.
    pub(crate) wrapper: Vec<String>,
}

/// `renewd run`.
pub(crate) struct Agent {
    child: Child,
    run: Run,
    status: Option<ExitStatus>,
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// As another user than root, with a group of the same number.
    pub(crate) fn by_user(mut self, id: u32) -> Self {
        let words = [
            "setpriv".to_owned(),
            format!("--reuid={id}"),
            format!("--regid={id}"),
            "--clear-groups".to_owned(),
        ];
        self.wrapper.extend(words);
        self
    }

    /// Starts `renewd run` and does not wait for anything.
    pub(crate) fn start(self) -> Agent {
        self.start_with(&["run", "--log-level", "trace"])
    }

    /// The same with other words.
    pub(crate) fn start_with(self, words: &[&str]) -> Agent {
        let log = std::fs::File::create(&self.log).unwrap();
        self.start_into(words, log)
    }

    /// The same with another standard error than the file of the log.
    pub(crate) fn start_into(self, words: &[&str], stderr: impl Into<Stdio>) -> Agent {
        let mut command = self.command(words);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Agent { child, run: self, status: None }
    }

    /// Runs another command to its end.
    pub(crate) fn finish(&self, words: &[&str]) -> Output {
        let output = self.command(words).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let found = self.canaries.found_in(&said);
        assert!(found.is_empty(), "{words:?} told secrets: {found:?}\n{said}");
        output
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let binary = binary();
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
        };
        for name in ["RENEWD_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command.args(words).env("RENEWD_CONFIG", &self.config);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Agent {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.run.socket
    }

    /// The status document, where the agent answers.
    pub(crate) fn try_status(&self) -> Option<Value> {
        match call(&self.run.socket, "GET", "/v1/status", "") {
            Ok((200, status)) => Some(status),
            _ => None,
        }
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        until("the agent's status", Duration::from_secs(10), || self.try_status())
    }

    /// Waits until the status is as wished, and gives it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, within: Duration, wished: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < within {
            if let Some(status) = self.try_status() {
                if wished(&status) {
                    return status;
                }
                last = Some(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{what}: not within {within:?}; last: {}\n{}", brief(last.as_ref()), self.last_words());
    }

    /// Waits until everything is fresh and delivered.
    #[track_caller]
    pub(crate) fn until_well(&self) -> Value {
        self.until("everything fresh and delivered", Duration::from_secs(20), super::all_well)
    }

    /// `POST` over the socket.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &str) -> (u16, Value) {
        call(&self.run.socket, "POST", path, body).unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// Renews an account over the socket.
    #[track_caller]
    pub(crate) fn renew(&self, account: &str) -> (u16, Value) {
        self.post(&format!("/v1/accounts/{account}/renew?timeout=30"), "")
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        call(&self.run.socket, "GET", path, "").unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    /// The exit status, if it has ended within that time.
    pub(crate) fn ends_within(&mut self, within: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            self.status = self.status.or(self.child.try_wait().unwrap());
            if self.status.is_some() || start.elapsed() > within {
                return self.status;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// TERM; it must exit with 0.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ends_within(Duration::from_secs(30));
        let status = status.unwrap_or_else(|| panic!("not ended 30 s after TERM\n{}", self.last_words()));
        assert_eq!(status.code(), Some(0), "{status:?} {:?}\n{}", status.signal(), self.last_words());
    }

    /// KILL.
    pub(crate) fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ends_within(Duration::from_secs(10)).expect("killed");
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        self.until_written();
        String::from_utf8_lossy(&std::fs::read(&self.run.log).unwrap_or_default()).into_owned()
    }

    /// What it has said is written by a thread of its own, which sleeps once that is done.
    fn until_written(&self) {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        let mut stats = tasks.map(|task| task.path().join("stat"));
        let is_writer =
            |stat: &PathBuf| std::fs::read_to_string(stat).is_ok_and(|stat| stat.contains(" (renewd-log) "));
        let Some(writer) = stats.find(is_writer) else { return };
        let start = Instant::now();
        let runs = || std::fs::read_to_string(&writer).is_ok_and(|stat| !stat.contains(") S "));
        while runs() && start.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// How often the log has this event.
    pub(crate) fn logged(&self, event: &str) -> usize {
        self.log().matches(&format!("\"event\":\"{event}\"")).count()
    }

    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("\"TRACE\"")).collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.status.is_none() && self.ends_within(Duration::ZERO).is_none() {
            self.signal(Signal::TERM);
            if self.ends_within(Duration::from_secs(5)).is_none() {
                self.signal(Signal::KILL);
                let _ = self.child.wait();
            }
        }
        if std::thread::panicking() {
            return;
        }
        for folder in [self.run.state.clone(), self.run.state.join("accounts")] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                self.run.canaries.add_of_json(&std::fs::read(entry.path()).unwrap_or_default());
            }
        }
        let log = self.log();
        let found = self.run.canaries.found_in(&log);
        assert!(found.is_empty(), "the log tells secrets: {found:?}\n{}", self.run.log.display());
        assert!(!log.contains("internal fault"), "a fault of renewd itself:\n{}", self.last_words());
    }
}

/// The binary under test: this build's, or another one that `RENEWD_BINARY` names, such as a release.
pub(crate) fn binary() -> OsString {
    std::env::var_os("RENEWD_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_renewd").into())
}

/// What matters of a status when a test fails.
fn brief(status: Option<&Value>) -> String {
    let Some(status) = status else { return "no answer".to_owned() };
    let accounts = status["accounts"].as_array().unwrap();
    let lines: Vec<String> =
        accounts.iter().filter(|account| !super::is_well(account)).take(10).map(Value::to_string).collect();
    format!(
        "{} of {} accounts: {}; config {}",
        lines.len(),
        accounts.len(),
        lines.join("\n"),
        status["config"]
    )
}
