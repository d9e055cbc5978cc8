//! Every system call of every thread of a running agent, one at a time, as it begins and as it ends: looked at, and where the
//! test says so killed at or made to fail.
//!
//! `strace -e inject=...:when=N` counts in each thread by itself, so most calls of most threads cannot be named to it. Here a
//! call is named by what it is, what it is done to and how often that was done before, whichever thread it comes from.
//!
//! A call that is killed at as it begins is not made any more; one that is killed at as it ends has been. The agent is not
//! dumpable, so this wants root (or `CAP_SYS_PTRACE`), as strace does.

use std::collections::HashMap;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// What looks at the calls.
pub(crate) trait Watch: Send + 'static {
    /// The call begins.
    fn begins(&mut self, call: &Call) -> Verdict;

    /// It has ended, with this result: a number, or an error's number below 0.
    fn ends(&mut self, call: &Call, result: i64) -> Verdict;
}

/// What becomes of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    Kill,
    /// The call is not made and has this error; when it ends, that is too late.
    Fail(Errno),
}

/// A system call of the agent.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) args: [u64; 6],
    pub(crate) thread: i32,
    pid: i32,
}

/// On a running agent until [`Tracer::off`], or until it has ended.
pub(crate) struct Tracer<W> {
    pid: i32,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<W>,
}

impl<W: Watch> Tracer<W> {
    /// All calls from now on go through `watch`. While it is on, nobody else may wait for the process to end:
    /// [`Agent::ends_within`](super::Agent::ends_within) is for after [`Tracer::off`].
    pub(crate) fn on(pid: i32, watch: W) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = mpsc::channel();
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || follow(Pid::from_raw(pid), watch, &told, &ready));
        is_ready.recv().unwrap();
        Self { pid, stop, thread }
    }

    /// Lets the agent go on alone, if it still lives.
    pub(crate) fn off(self) -> W {
        self.stop.store(true, Ordering::Release);
        // Wakes the tracer and, as nobody waits for it, nobody else.
        let pid = rustix::process::Pid::from_raw(self.pid).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::URG);
        self.thread.join().unwrap()
    }
}

/// Whether processes can be traced like this here.
pub(crate) fn can_trace() -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("the tests' tracer knows the registers of x86_64 only".to_owned());
    }
    if !super::is_root() {
        return Err("the agent is not dumpable: only root may trace it".to_owned());
    }
    let mut child =
        std::process::Command::new("sleep").arg("60").spawn().map_err(|error| error.to_string())?;
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    // In a thread of its own: what it has seized is free when it ends.
    let seized = std::thread::spawn(move || ptrace::seize(pid, ptrace::Options::empty())).join().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    seized.map_err(|errno| format!("processes may not be traced here: {errno}"))
}

impl Call {
    /// What the argument with this number names, a descriptor.
    pub(crate) fn descriptor(&self, number: usize) -> PathBuf {
        // The kernel takes an int.
        let descriptor = self.args[number] as i32;
        let link = match descriptor {
            nix::libc::AT_FDCWD => format!("/proc/{}/cwd", self.pid),
            _ => format!("/proc/{}/fd/{descriptor}", self.pid),
        };
        std::fs::read_link(link).unwrap_or_default()
    }

    /// The process that makes it.
    pub(crate) fn process(&self) -> i32 {
        self.pid
    }

    /// Device and inode of an open descriptor.
    pub(crate) fn identity(&self, descriptor: i64) -> (u64, u64) {
        let found = std::fs::metadata(format!("/proc/{}/fd/{descriptor}", self.pid)).unwrap();
        (found.dev(), found.ino())
    }

    /// The path of the arguments with these numbers: a folder's descriptor and a name.
    pub(crate) fn path(&self, folder: usize, name: usize) -> PathBuf {
        let name = self.text(name);
        if name.starts_with('/') { name.into() } else { self.descriptor(folder).join(name) }
    }

    /// The text that an argument points to.
    pub(crate) fn text(&self, number: usize) -> String {
        let mut text = Vec::new();
        while text.len() < 4096 {
            // Not over the end of a page: the next one need not be there.
            let at = self.args[number] + text.len() as u64;
            let room = usize::try_from(64 - at % 64).unwrap();
            let part = self.memory(at, room);
            match part.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend(&part[..end]);
                    break;
                }
                None if part.is_empty() => break,
                None => text.extend(part),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// So many bytes that an argument points to.
    pub(crate) fn bytes(&self, number: usize, length: usize) -> Vec<u8> {
        self.memory(self.args[number], length)
    }

    fn memory(&self, at: u64, length: usize) -> Vec<u8> {
        let mut content = vec![0; length];
        let read = std::fs::File::open(format!("/proc/{}/mem", self.pid))
            .and_then(|memory| memory.read_exact_at(&mut content, at));
        if read.is_ok() { content } else { Vec::new() }
    }

    /// What it is done to, the descriptors and names of its arguments; empty for what has none.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        match self.name {
            "openat" | "newfstatat" | "statx" | "readlinkat" | "mkdirat" | "unlinkat" | "fchmodat"
            | "fchownat" | "faccessat" | "faccessat2" => vec![self.path(0, 1)],
            "renameat" | "renameat2" | "linkat" => vec![self.path(0, 1), self.path(2, 3)],
            "symlinkat" => vec![self.path(1, 2)],
            "rename" | "link" => vec![self.text(0).into(), self.text(1).into()],
            "symlink" => vec![self.text(1).into()],
            "open" | "creat" | "stat" | "lstat" | "access" | "mkdir" | "rmdir" | "unlink" | "chmod"
            | "chown" | "lchown" | "truncate" | "readlink" => vec![self.text(0).into()],
            "socket" => Vec::new(),
            _ => vec![self.descriptor(0)],
        }
    }
}

fn follow<W: Watch>(leader: Pid, mut watch: W, stop: &AtomicBool, ready: &mpsc::Sender<()>) -> W {
    let mut tracees = Tracees { leader, inside: HashMap::new() };
    tracees.seize_all();
    ready.send(()).unwrap();
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let look = flags | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    // Looked at first: the end of the process itself is for whoever has started it.
    while let Ok(status) = waitid(Id::All, look) {
        let thread = status.pid().unwrap();
        let is_over = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
        if stop.load(Ordering::Acquire) || (is_over && thread == leader) {
            break;
        }
        if let Ok(status) = waitpid(thread, Some(flags)) {
            tracees.stopped(status, &mut watch);
        }
    }
    watch
}

/// The threads of the agent.
struct Tracees {
    leader: Pid,
    /// The calls that they are in, those that are of interest, and what each is to fail with.
    inside: HashMap<Pid, Option<(Call, Option<Errno>)>>,
}

impl Tracees {
    /// All there are; those that they begin follow by themselves.
    fn seize_all(&self) {
        let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
            | ptrace::Options::PTRACE_O_TRACECLONE
            | ptrace::Options::PTRACE_O_TRACEEXEC;
        let mut seized = Vec::new();
        loop {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.leader)).unwrap();
            let threads = threads.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap());
            let new: Vec<Pid> =
                threads.map(Pid::from_raw).filter(|thread| !seized.contains(thread)).collect();
            if new.is_empty() {
                return;
            }
            for thread in new {
                // One that is followed already, or over, cannot be.
                if ptrace::seize(thread, options).is_ok() {
                    let _ = ptrace::interrupt(thread);
                }
                seized.push(thread);
            }
        }
    }

    fn stopped(&mut self, status: WaitStatus, watch: &mut impl Watch) {
        match status {
            WaitStatus::PtraceSyscall(thread) => self.call(thread, watch),
            WaitStatus::PtraceEvent(thread, ..) => go_on(thread, None),
            WaitStatus::Stopped(thread, signal) => go_on(thread, Some(signal)),
            WaitStatus::Exited(thread, _) | WaitStatus::Signaled(thread, ..) => {
                self.inside.remove(&thread);
            }
            WaitStatus::Continued(_) | WaitStatus::StillAlive => {}
        }
    }

    /// A call of this thread begins or ends.
    fn call(&mut self, thread: Pid, watch: &mut impl Watch) {
        // It may be killed at any moment.
        let Ok(mut registers) = registers::of(thread) else { return };
        let verdict = match self.inside.remove(&thread) {
            None if !registers.begins() => Verdict::Go,
            None => {
                let call = name_of(registers.number()).map(|name| Call {
                    name,
                    args: registers.arguments(),
                    thread: thread.as_raw(),
                    pid: self.leader.as_raw(),
                });
                let verdict = call.as_ref().map_or(Verdict::Go, |call| watch.begins(call));
                let failure = match verdict {
                    Verdict::Fail(errno) => {
                        registers.skip(thread);
                        Some(errno)
                    }
                    _ => None,
                };
                self.inside.insert(thread, call.map(|call| (call, failure)));
                verdict
            }
            Some(None) => Verdict::Go,
            Some(Some((call, failure))) => {
                if let Some(errno) = failure {
                    registers.fail(thread, errno);
                }
                let result = failure.map_or(registers.result(), |errno| -i64::from(errno as i32));
                watch.ends(&call, result)
            }
        };
        if verdict == Verdict::Kill {
            let _ = nix::sys::signal::kill(self.leader, nix::sys::signal::Signal::SIGKILL);
        } else {
            go_on(thread, None);
        }
    }
}

fn go_on(thread: Pid, signal: Option<nix::sys::signal::Signal>) {
    // One that was killed meanwhile cannot.
    let _ = ptrace::syscall(thread, signal);
}

#[cfg(target_arch = "x86_64")]
mod registers {
    use super::{Errno, Pid, ptrace};

    pub(super) struct Registers(nix::libc::user_regs_struct);

    pub(super) fn of(thread: Pid) -> nix::Result<Registers> {
        ptrace::getregs(thread).map(Registers)
    }

    impl Registers {
        /// Whether the call is still to be made.
        pub(super) fn begins(&self) -> bool {
            self.result() == -i64::from(Errno::ENOSYS as i32)
        }

        pub(super) fn number(&self) -> u64 {
            self.0.orig_rax
        }

        pub(super) fn arguments(&self) -> [u64; 6] {
            let registers = &self.0;
            [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9]
        }

        pub(super) fn result(&self) -> i64 {
            self.0.rax.cast_signed()
        }

        /// The call is not made.
        pub(super) fn skip(&mut self, thread: Pid) {
            self.0.orig_rax = u64::MAX;
            ptrace::setregs(thread, self.0).unwrap();
        }

        pub(super) fn fail(&mut self, thread: Pid, errno: Errno) {
            self.0.rax = (-i64::from(errno as i32)).cast_unsigned();
            ptrace::setregs(thread, self.0).unwrap();
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod registers {
    //! [`super::can_trace`] says that there are none.

    use super::{Errno, Pid};

    pub(super) struct Registers;

    pub(super) fn of(_: Pid) -> nix::Result<Registers> {
        Err(Errno::ENOSYS)
    }

    impl Registers {
        pub(super) fn begins(&self) -> bool {
            false
        }

        pub(super) fn number(&self) -> u64 {
            u64::MAX
        }

        pub(super) fn arguments(&self) -> [u64; 6] {
            [0; 6]
        }

        pub(super) fn result(&self) -> i64 {
            0
        }

        pub(super) fn skip(&mut self, _: Pid) {}

        pub(super) fn fail(&mut self, _: Pid, _: Errno) {}
    }
}

/// The calls that have to do with files or with somebody else. Those that wait, that get memory or that ask for the time change
/// nothing that anybody else sees: to be killed there is to be killed before the next of these.
fn name_of(number: u64) -> Option<&'static str> {
    Some(match number {
        0 => "read",
        1 => "write",
        2 => "open",
        3 => "close",
        4 => "stat",
        5 => "fstat",
        6 => "lstat",
        17 => "pread64",
        18 => "pwrite64",
        19 => "readv",
        20 => "writev",
        21 => "access",
        41 => "socket",
        42 => "connect",
        44 => "sendto",
        45 => "recvfrom",
        46 => "sendmsg",
        47 => "recvmsg",
        48 => "shutdown",
        73 => "flock",
        74 => "fsync",
        75 => "fdatasync",
        76 => "truncate",
        77 => "ftruncate",
        82 => "rename",
        83 => "mkdir",
        84 => "rmdir",
        85 => "creat",
        86 => "link",
        87 => "unlink",
        88 => "symlink",
        89 => "readlink",
        90 => "chmod",
        91 => "fchmod",
        92 => "chown",
        93 => "fchown",
        94 => "lchown",
        217 => "getdents64",
        257 => "openat",
        258 => "mkdirat",
        260 => "fchownat",
        262 => "newfstatat",
        263 => "unlinkat",
        264 => "renameat",
        265 => "linkat",
        266 => "symlinkat",
        267 => "readlinkat",
        268 => "fchmodat",
        269 => "faccessat",
        285 => "fallocate",
        288 => "accept4",
        295 => "preadv",
        296 => "pwritev",
        316 => "renameat2",
        326 => "copy_file_range",
        332 => "statx",
        439 => "faccessat2",
        _ => return None,
    })
}
