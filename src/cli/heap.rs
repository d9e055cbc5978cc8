//! The C library's heap in one piece, for the command that runs for months.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads when a process starts (mallopt(3)): how many heaps there may be.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts this program again, once, so that it has one heap: glibc gives threads heaps of their own, and what one of them has freed is
/// of no use to another. With many accounts that short-lived threads write for, memory would grow for hours
/// (docs/decisions/0060). The process stays the same one, and so do its open files. Whoever has chosen a number keeps it; where
/// the program cannot be started again, it goes on as it is.
pub(super) fn in_one_piece() {
    let chosen = std::env::var_os(ARENAS).is_some()
        || std::env::var("GLIBC_TUNABLES").is_ok_and(|tunables| tunables.contains("arena_max"));
    if chosen || !cfg!(target_env = "gnu") {
        return;
    }
    let mut arguments = std::env::args_os();
    if let (Ok(program), Some(name)) = (std::env::current_exe(), arguments.next()) {
        // It returns only where it fails.
        let _ = Command::new(program).arg0(name).args(arguments).env(ARENAS, "1").exec();
    }
}
