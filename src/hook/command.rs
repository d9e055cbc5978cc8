use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{Access, FileType, access, stat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::output::Tail;
use super::{CommandTrouble, Environment, HookError, Notice};

/// Between TERM and KILL for one that is late.
const GRACE: Duration = Duration::from_secs(2);

/// For what still stands in the pipe when the command has ended. A daemon that it left behind may hold the pipe
/// open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a killed process may take to be gone. One that hangs in the kernel is left to be reaped later.
const GONE: Duration = Duration::from_secs(1);

/// Where programs are looked for when the agent has no `PATH` itself.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the command to its end, within `limit` and the grace.
///
/// No shell, no input, no environment but `PATH`, `HOME`, `LANG` and the notice's. What it prints is drained to the
/// end; the last of it goes to the log at debug, where an operator asked for it: it may hold anything. A command
/// that is late gets TERM, then KILL, with its whole process group, as it does when it is no longer wanted. What a
/// command that ends in time has left running is its own affair.
pub(super) async fn run(
    argv: &[String],
    limit: Duration,
    notice: &Notice,
    environment: &Environment,
) -> Result<(), HookError> {
    let program = argv.first().cloned().unwrap_or_default();
    let mut tail = Tail::default();
    let ended = attempt(argv, limit, notice, environment, &mut tail).await;
    if tail.total() > 0 {
        let (bytes, output) = (tail.total(), tail.text());
        tracing::debug!(
            event = "hook_output",
            program,
            bytes,
            output,
            "the end of what a hook's command printed"
        );
    }
    ended.map_err(|trouble| HookError::Command { program, trouble })
}

/// Why a command's program cannot be started from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing stands there.
    Missing,
    /// What stands there cannot be run by this user.
    NotExecutable,
    /// No folder of the `PATH` that hooks get has it.
    NotInPath,
}

/// Looks for the program as a run would, without running it; `None` where it is there.
#[must_use]
pub fn absent(program: &str, environment: &Environment) -> Option<Absent> {
    let path = Path::new(program);
    if path.is_absolute() {
        return match (stat(path), can_be_run(path)) {
            (Err(Errno::NOENT | Errno::NOTDIR), _) => Some(Absent::Missing),
            (_, false) => Some(Absent::NotExecutable),
            (_, true) => None,
        };
    }
    let folders = path_of(environment);
    let found = || std::env::split_paths(&folders).any(|folder| can_be_run(&folder.join(program)));
    (!found()).then_some(Absent::NotInPath)
}

fn can_be_run(path: &Path) -> bool {
    let is_file = stat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    is_file && access(path, Access::EXEC_OK).is_ok()
}

fn path_of(environment: &Environment) -> OsString {
    environment("PATH").unwrap_or_else(|| USUAL_PATH.into())
}

async fn attempt(
    argv: &[String],
    limit: Duration,
    notice: &Notice,
    environment: &Environment,
    tail: &mut Tail,
) -> Result<(), CommandTrouble> {
    let (mut child, mut output) = start(argv, notice, environment).map_err(|error| not_started(&error))?;
    // Dropped before the child, which is reaped then at the earliest.
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let ended = async {
        // Drained while it runs: a full pipe would hold it up.
        tokio::select! {
            status = child.wait() => status,
            () = tail.fill(&mut output) => child.wait().await,
        }
    };
    let Ok(status) = timeout(limit, ended).await else {
        group.stop(&mut child, &mut output, tail).await;
        return Err(CommandTrouble::TooSlow(limit));
    };
    group.0 = None;
    let _ = timeout(LAST_WORDS, tail.fill(&mut output)).await;
    meaning(status.map_err(|error| CommandTrouble::Lost(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?)
}

/// The process in a group of its own, and what it prints, messages and all, in the order in which it comes.
fn start(
    argv: &[String],
    notice: &Notice,
    environment: &Environment,
) -> std::io::Result<(Child, pipe::Receiver)> {
    let (program, arguments) = argv.split_first().ok_or(Errno::NOENT)?;
    let (reader, writer) = std::io::pipe()?;
    let path = path_of(environment);
    let others = ["HOME", "LANG"].into_iter().filter_map(|name| Some((name, environment(name)?)));
    // The command, which holds the writing ends, is gone at the end of the statement: else the pipe had no end.
    let child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .envs(others)
        .envs(notice.variables())
        .stdin(Stdio::null())
        .stdout(Stdio::from(writer.try_clone()?))
        .stderr(Stdio::from(writer))
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?))
}

fn not_started(error: &std::io::Error) -> CommandTrouble {
    CommandTrouble::NotStarted(Errno::from_io_error(error).unwrap_or(Errno::INVAL))
}

fn meaning(status: ExitStatus) -> Result<(), CommandTrouble> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(CommandTrouble::Failed(code)),
        (None, signal) => Err(CommandTrouble::Killed(signal.unwrap_or(0))),
    }
}

/// Kills a process group unless its leader was waited for: until then nobody else can have its number.
struct Group(Option<Pid>);

impl Group {
    /// TERM, and KILL for whoever is left; the leader is reaped last, so that the number stays the group's.
    async fn stop(&mut self, child: &mut Child, output: &mut pipe::Receiver, tail: &mut Tail) {
        let Some(leader) = self.0 else { return };
        let _ = kill_process_group(leader, Signal::TERM);
        let all_gone = async {
            // Whoever is left of the group holds the pipe, as a rule.
            tail.fill(output).await;
            while !has_ended(leader) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(GRACE, all_gone).await;
        let _ = kill_process_group(leader, Signal::KILL);
        if timeout(GONE, child.wait()).await.is_ok() {
            self.0 = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Whether it has ended; it is not reaped by that.
fn has_ended(leader: Pid) -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::Pid(leader), look), Ok(None))
}
