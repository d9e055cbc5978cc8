use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fstat};
use rustix::io::{Errno, pread, retry_on_intr, write};

use super::replace::{fit_to_write_into, set_attributes};
use super::{Attributes, Error, Folder, Operation};

/// A file that whole lines are appended to, each with one call, whoever else appends.
#[derive(Debug)]
pub struct Appender {
    file: OwnedFd,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    /// What stands there does not end with a line: a write was cut off.
    torn: bool,
}

impl Folder {
    /// Opens the regular file `name` for appending; where it is missing it is made, with these attributes. What exists
    /// keeps its own: whoever rotates the file has chosen them.
    ///
    /// # Errors
    /// [`Error::NotAFile`]; [`Error::ForeignFile`] where it belongs to neither root nor us; [`Error::HardLinked`] in a
    /// folder that others may write to; and what the system says.
    pub fn append_to(&self, name: &OsStr, attributes: Attributes) -> Result<Appender, Error> {
        const FLAGS: OFlags = OFlags::RDWR.union(OFlags::APPEND);
        let path = self.path().join(name);
        // Between the two somebody may create or remove it: then once more.
        for _ in 0..8 {
            let opened = match self.open_file(name, FLAGS)? {
                Some((file, found)) => {
                    fit_to_write_into(self, name, found, Attributes { uid: None, ..attributes })?;
                    Some((file, found.size))
                }
                None => match self.open_file(name, FLAGS | OFlags::CREATE | OFlags::EXCL) {
                    Ok(Some((file, found))) => {
                        set_attributes(&file, attributes, Some(found), &path)?;
                        Some((file, 0))
                    }
                    Ok(None) => None,
                    Err(error) if error.errno() == Some(Errno::EXIST) => None,
                    Err(error) => return Err(error),
                },
            };
            if let Some((file, size)) = opened {
                let stat = fstat(&file).map_err(|errno| Error::system(Operation::Look, &path, errno))?;
                let torn = size > 0 && last_byte(&file, size) != Some(b'\n');
                return Ok(Appender { file, path, identity: (stat.st_dev, stat.st_ino), torn });
            }
        }
        Err(Error::system(Operation::Open, path, Errno::EXIST))
    }
}

impl Appender {
    /// Appends the line and its end. Where the disk takes only a part of it, the next one begins on a line of its own.
    ///
    /// # Errors
    /// What the system says; the line then counts as not written.
    pub fn append(&mut self, line: &str) -> Result<(), Error> {
        let start = if self.torn { "\n" } else { "" };
        let bytes = format!("{start}{line}\n").into_bytes();
        let failed = |errno| Error::system(Operation::Write, &self.path, errno);
        match retry_on_intr(|| write(&self.file, &bytes)) {
            Ok(all) if all == bytes.len() => {
                self.torn = false;
                Ok(())
            }
            // It is full: the call after a short one would say so.
            Ok(some) => {
                self.torn |= some > 0;
                Err(failed(Errno::NOSPC))
            }
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Whether the file is the one that stands at `path`: not so once it was rotated or removed.
    #[must_use]
    pub fn stands_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == self.identity)
    }
}

fn last_byte(file: &OwnedFd, size: u64) -> Option<u8> {
    let mut byte = [0];
    let read = retry_on_intr(|| pread(file, &mut byte, size - 1)).ok()?;
    (read == 1).then_some(byte[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const OURS: Attributes = Attributes { mode: 0o640, uid: None, gid: None };

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    #[test]
    fn lines_are_appended_and_only_a_file_that_is_made_gets_its_mode() {
        let (dir, folder) = folder();
        let path = dir.path().join("log");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        let mut log = folder.append_to("log".as_ref(), OURS).unwrap();
        log.append("one").unwrap();
        assert_eq!(mode(), 0o640);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut again = folder.append_to("log".as_ref(), OURS).unwrap();
        again.append("two").unwrap();
        log.append("three").unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        assert!(log.stands_at(&path));
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert!(!log.stands_at(&path));
    }

    #[test]
    fn a_line_that_was_cut_off_is_not_gone_on_with() {
        let (dir, folder) = folder();
        let path = dir.path().join("log");
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"{\"cut"))
            .unwrap();
        folder.append_to("log".as_ref(), OURS).unwrap().append("{}").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"cut\n{}\n");
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened() {
        let (dir, folder) = folder();
        std::os::unix::fs::symlink("/etc/hosts", dir.path().join("link")).unwrap();
        let error = folder.append_to("link".as_ref(), OURS).unwrap_err();
        assert!(matches!(error, Error::NotAFile { kind: "symbolic link", .. }), "{error:?}");
    }
}
