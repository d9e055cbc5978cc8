//! A folder of the process, for what is read from files.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder in `$TMPDIR`; libFuzzer leaves it behind, `scripts/fuzz` removes it.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("renewd-fuzz.").tempdir().expect("a folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The whole file, in place of the one before.
    pub fn write(&self, name: &str, content: &[u8]) {
        write(&self.path(name), content);
    }
}

/// A private file of this content.
pub fn write(path: &Path, content: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::File::options();
    let file = options.create(true).write(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).expect("the folder is writable");
}
