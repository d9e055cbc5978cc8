use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Environment, LARGEST, Problem};

/// How long a command may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Where programs are looked for when the agent has no `PATH` itself.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the command prints until it closes its output, provided that it then ends with status 0.
///
/// No shell; no input; its messages go nowhere (they may hold the secret); a process group of its own, which is
/// killed whole when the command is late, prints too much or is no longer wanted.
pub(super) async fn run(
    argv: &[String],
    environment: &Environment,
    timeout: Duration,
) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let (program, arguments) = argv.split_first().ok_or(Problem::NotStarted(Errno::NOENT))?;
    let path = environment("PATH").unwrap_or_else(|| USUAL_PATH.into());
    let others = ["HOME", "LANG"].into_iter().filter_map(|name| Some((name, environment(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .envs(others)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Problem::NotStarted(Errno::from_io_error(&error).unwrap_or(Errno::INVAL)))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    // Room for everything at once, and for the reader's last probe: growing would leave copies behind.
    let mut output = Zeroizing::new(Vec::with_capacity(LARGEST + 64));
    let finish = async {
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(LARGEST as u64 + 3).read_to_end(&mut output).await;
            read.map_err(|error| Problem::Unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        }
        if output.len() > LARGEST + 2 {
            return Err(Problem::TooLarge);
        }
        child
            .wait()
            .await
            .map_err(|error| Problem::Unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    };
    let status = tokio::time::timeout(timeout, finish).await.map_err(|_| Problem::TooSlow)??;
    group.0 = None;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(output),
        (Some(code), _) => Err(Problem::Failed(code)),
        (None, signal) => Err(Problem::Killed(signal.unwrap_or(0))),
    }
}

/// Kills a process group unless its leader was waited for: until then nobody else can have its number.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
