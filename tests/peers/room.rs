//! A test's own folder: configuration, state, sinks, logs. It goes with the test, unless the test fails.

use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Lines of each log that a failed test prints.
const TAIL: usize = 40;

pub(crate) struct Room {
    folder: Option<TempDir>,
    /// Where the packages are installed.
    pub(crate) peers: PathBuf,
}

impl Room {
    /// `None` where the peers are not installed: `test` is then noted as skipped.
    ///
    /// # Panics
    /// With `CI=true` instead.
    pub(crate) fn open(test: &str) -> Option<Self> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/peers");
        if !peers.join("node_modules").is_dir() {
            skip(test, "the peers are not installed in .cache/peers: see scripts/test");
            return None;
        }
        // Short, because a socket's path must be.
        let folder = tempfile::Builder::new().prefix("renewd-peers-").tempdir().unwrap();
        Some(Self { folder: Some(folder), peers })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.as_ref().unwrap().path().join(name)
    }

    /// Replaces the file as an editor or a secret manager would: never seen half written.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        std::fs::File::create(&new).and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// The file's text; `None` while there is no such file.
    pub(crate) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Some(folder) = self.folder.take() else { return };
        let folder = folder.keep();
        let mut told = format!("kept for a look: {}\n", folder.display());
        let logs = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for log in logs.filter(|path| path.extension().is_some_and(|ending| ending == "log")) {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let _ = writeln!(told, "-- the end of {}:", log.display());
            for line in &lines[lines.len().saturating_sub(TAIL)..] {
                let _ = writeln!(told, "   {line}");
            }
        }
        eprint!("{told}");
    }
}

pub(crate) fn skip(test: &str, reason: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} may not be skipped: {reason}");
    eprintln!("skipped: {test}: {reason}");
    if let Some(list) = std::env::var_os("RENEWD_TEST_SKIPS") {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        // One write: other tests append to the same file.
        list.write_all(format!("{test}: {reason}\n").as_bytes()).unwrap();
    }
}
