#![expect(clippy::disallowed_methods, reason = "a test writes pid files")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;

use super::{run, until};
use crate::config::model::{Hook, HookSignal};
use crate::hook::{HookError, PidFileTrouble, ProcessTrouble, kind};

fn hook(pid_file: &Path, signal: HookSignal) -> Hook {
    Hook::Signal { pid_file: pid_file.to_owned(), signal }
}

/// A process that writes the name of each signal that it gets into a file.
struct Listener {
    folder: tempfile::TempDir,
    child: Child,
}

impl Listener {
    /// Through these words, such as `setpriv ...`.
    fn start(through: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let script = "for s in HUP INT QUIT USR1 USR2 TERM WINCH CONT; do trap \"echo $s >> got\" $s; done
                      : > ready; while :; do sleep 0.02; done";
        let words = [through, &["sh", "-c", script]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("the listener is ready", || folder.path().join("ready").exists());
        Self { folder, child }
    }

    fn pid_file(&self) -> PathBuf {
        let file = self.folder.path().join("pid");
        std::fs::write(&file, format!("{}\n", self.child.id())).unwrap();
        file
    }

    fn got(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("got")).unwrap_or_default()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid_file_trouble(ended: Result<(), HookError>) -> PidFileTrouble {
    match ended {
        Err(HookError::PidFile { trouble, .. }) => trouble,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_process_that_the_file_names_gets_the_signal() {
    let listener = Listener::start(&[]);
    let file = listener.pid_file();
    let all = [
        (HookSignal::Hup, "HUP"),
        (HookSignal::Int, "INT"),
        (HookSignal::Quit, "QUIT"),
        (HookSignal::Usr1, "USR1"),
        (HookSignal::Usr2, "USR2"),
        (HookSignal::Term, "TERM"),
        (HookSignal::Winch, "WINCH"),
        (HookSignal::Cont, "CONT"),
    ];
    // A shell cannot trap what is ignored when it begins, as INT and QUIT are for what a script starts with `&`.
    let status = std::fs::read_to_string(format!("/proc/{}/status", listener.child.id())).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    let mut expected = String::new();
    for (signal, name) in all {
        if matches!(
            (signal, ignored & 0b10, ignored & 0b100),
            (HookSignal::Int, 2, _) | (HookSignal::Quit, _, 4)
        ) {
            continue;
        }
        run(&hook(&file, signal)).await.unwrap();
        expected += &format!("{name}\n");
        until(name, || listener.got() == expected);
    }
    assert_eq!(kind(&hook(&file, HookSignal::Hup)), "signal");
}

#[tokio::test]
async fn a_process_that_has_ended_is_told_with_a_hint() {
    let listener = Listener::start(&[]);
    let file = listener.pid_file();
    let pid = i32::try_from(listener.child.id()).unwrap();
    let copy = tempfile::NamedTempFile::new().unwrap();
    std::fs::copy(&file, copy.path()).unwrap();
    drop(listener);
    let error = run(&hook(copy.path(), HookSignal::Hup)).await.unwrap_err();
    let path = copy.path().to_owned();
    assert_eq!(error, HookError::Process { pid, path, trouble: ProcessTrouble::Gone });
    assert!(error.hint().unwrap().contains("has ended"));
}

#[tokio::test]
async fn a_pid_file_that_is_none_or_that_anyone_could_write_is_refused() {
    let listener = Listener::start(&[]);
    let file = listener.pid_file();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(pid_file_trouble(run(&hook(&file, HookSignal::Hup)).await), PidFileTrouble::WorldWritable);

    let folder = listener.folder.path();
    assert_eq!(pid_file_trouble(run(&hook(folder, HookSignal::Hup)).await), PidFileTrouble::NotAFile);
    let fifo = folder.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(pid_file_trouble(run(&hook(&fifo, HookSignal::Hup)).await), PidFileTrouble::NotAFile);
    let missing = run(&hook(&folder.join("none"), HookSignal::Hup)).await;
    assert_eq!(pid_file_trouble(missing), PidFileTrouble::Missing);
    assert_eq!(listener.got(), "");
}

#[tokio::test]
async fn a_user_may_direct_signals_to_processes_of_his_own_alone() {
    if !geteuid().is_root() {
        return; // only root can make another user's file; the end-to-end tests say what they skip
    }
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let (ours, his) = (Listener::start(&[]), Listener::start(&nobody));
    for listener in [&ours, &his] {
        std::os::unix::fs::chown(listener.pid_file(), Some(65534), None).unwrap();
    }
    let refused = run(&hook(&ours.folder.path().join("pid"), HookSignal::Hup)).await;
    assert_eq!(pid_file_trouble(refused), PidFileTrouble::Foreign(65534));
    run(&hook(&his.folder.path().join("pid"), HookSignal::Hup)).await.unwrap();
    until("his process is told", || his.got() == "HUP\n");
    assert_eq!(ours.got(), "");
}
