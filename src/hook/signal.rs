use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, geteuid, getpid, kill_process, pidfd_open, pidfd_send_signal,
};

use super::{HookError, PidFileTrouble, ProcessTrouble};
use crate::config::model::HookSignal;

/// For a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pid file is a line; what follows is somebody else's.
const LARGEST: u64 = 4 << 10;

/// The system's signal of that name.
#[must_use]
pub fn number(signal: HookSignal) -> Signal {
    match signal {
        HookSignal::Hup => Signal::HUP,
        HookSignal::Int => Signal::INT,
        HookSignal::Quit => Signal::QUIT,
        HookSignal::Usr1 => Signal::USR1,
        HookSignal::Usr2 => Signal::USR2,
        HookSignal::Term => Signal::TERM,
        HookSignal::Winch => Signal::WINCH,
        HookSignal::Cont => Signal::CONT,
    }
}

/// Signals the process whose id stands in the file.
pub(super) async fn send(pid_file: &Path, signal: HookSignal) -> Result<(), HookError> {
    let path = pid_file.to_owned();
    let sent = tokio::task::spawn_blocking(move || attempt(&path, number(signal)));
    match tokio::time::timeout(PATIENCE, sent).await {
        Ok(Ok(sent)) => sent,
        Ok(Err(_)) | Err(_) => {
            Err(HookError::PidFile { path: pid_file.to_owned(), trouble: PidFileTrouble::TooSlow })
        }
    }
}

fn attempt(path: &Path, signal: Signal) -> Result<(), HookError> {
    let file = |trouble| HookError::PidFile { path: path.to_owned(), trouble };
    let (pid, owner) = read(path).map_err(file)?;
    let process =
        |trouble| HookError::Process { pid: pid.as_raw_nonzero().get(), path: path.to_owned(), trouble };
    // From here on the number cannot come to mean another process.
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(handle) => Some(handle),
        Err(Errno::SRCH) => return Err(process(ProcessTrouble::Gone)),
        // An old kernel, or a container that knows no such call.
        Err(_) => None,
    };
    // A user may direct a signal to a process of his own, not to somebody else's.
    if owner != 0 && owner != geteuid().as_raw() && user_of(pid) != Some(owner) {
        return Err(file(PidFileTrouble::Foreign(owner)));
    }
    let sent = match &handle {
        Some(handle) => pidfd_send_signal(handle, signal),
        None => kill_process(pid, signal),
    };
    sent.map_err(|errno| {
        process(match errno {
            Errno::SRCH => ProcessTrouble::Gone,
            Errno::PERM => ProcessTrouble::Forbidden,
            errno => ProcessTrouble::System(errno),
        })
    })
}

/// The process that the file names, and the file's owner.
fn read(path: &Path) -> Result<(Pid, u32), PidFileTrouble> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = retry_on_intr(|| open(path, flags, Mode::empty())).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => PidFileTrouble::Missing,
        Errno::NXIO => PidFileTrouble::NotAFile,
        errno => PidFileTrouble::Unreadable(errno),
    })?;
    let stat = fstat(&file).map_err(PidFileTrouble::Unreadable)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(PidFileTrouble::NotAFile);
    }
    if stat.st_mode & 0o002 != 0 {
        return Err(PidFileTrouble::WorldWritable);
    }
    let mut content = Vec::new();
    std::fs::File::from(file)
        .take(LARGEST)
        .read_to_end(&mut content)
        .map_err(|error| PidFileTrouble::Unreadable(Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    Ok((parse(&content)?, stat.st_uid))
}

/// The first line as a process that may be signalled: never a group, everybody, init or ourselves.
fn parse(content: &[u8]) -> Result<Pid, PidFileTrouble> {
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    if line.is_empty() || !line.iter().all(u8::is_ascii_digit) {
        return Err(PidFileTrouble::NotANumber);
    }
    let number: i32 = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok())
        .ok_or(PidFileTrouble::NotANumber)?;
    match Pid::from_raw(number) {
        None => Err(PidFileTrouble::Reserved(0)),
        Some(Pid::INIT) => Err(PidFileTrouble::Reserved(1)),
        Some(pid) if pid == getpid() => Err(PidFileTrouble::Ourselves),
        Some(pid) => Ok(pid),
    }
}

/// Whose process it is; `None` where the system does not say.
fn user_of(pid: Pid) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_names_one_process_that_is_neither_init_nor_ourselves() {
        for good in ["4194303", " 4194303 \n", "4194303\r\nmore\n", "0004194303"] {
            assert_eq!(parse(good.as_bytes()), Ok(Pid::from_raw(4_194_303).unwrap()), "{good:?}");
        }
        for bad in ["", "\n", "-5", "+5", "nginx", "12 13", "0x10", "99999999999", "\u{663}", "5\0"] {
            assert_eq!(parse(bad.as_bytes()), Err(PidFileTrouble::NotANumber), "{bad:?}");
        }
        assert_eq!(parse(b"0\n"), Err(PidFileTrouble::Reserved(0)));
        assert_eq!(parse(b"1\n"), Err(PidFileTrouble::Reserved(1)));
        assert_eq!(parse(std::process::id().to_string().as_bytes()), Err(PidFileTrouble::Ourselves));
    }

    #[test]
    fn the_user_of_a_process_is_known() {
        assert_eq!(user_of(getpid()), Some(rustix::process::getuid().as_raw()));
    }
}
