//! A listening socket in a folder: nothing that another user puts in its place meanwhile is touched.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, chmod, chownat, fstat, openat, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{Error, Folder, Found, Identity, Kind, Operation};

impl Folder {
    /// Listens on a new socket `name`, which has these permission bits and this group (`None`: the one that the system
    /// gives).
    ///
    /// It is bound below the opened folder, whatever its path leads to by now, and mode and group are set on what was
    /// bound, never on what its name leads to.
    ///
    /// # Errors
    /// [`Error::NotAFile`] where something else has come in its place, and what the system says.
    pub fn listen(&self, name: &OsStr, mode: u32, gid: Option<u32>) -> Result<(UnixListener, Found), Error> {
        let path = || self.path().join(name);
        let system = |operation| move |errno| Error::system(operation, path(), errno);
        let bound = UnixListener::bind(by_descriptor(self.fd()).join(name)).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
            Error::system(Operation::Listen, path(), errno)
        })?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = retry_on_intr(|| openat(self.fd(), name, flags, Mode::empty()))
            .map_err(system(Operation::Look))?;
        let stat = fstat(&made).map_err(system(Operation::Look))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket
            || stat.st_uid != rustix::process::geteuid().as_raw()
        {
            let kind = match Found::of(&stat).kind {
                Kind::Other("socket") => "socket of somebody else",
                Kind::Other(kind) => kind,
                Kind::File => "regular file",
            };
            return Err(Error::NotAFile { path: path(), kind });
        }
        // A set-group-id folder has given it already, and a sandbox may forbid the call itself.
        if let Some(gid) = gid.filter(|gid| *gid != stat.st_gid) {
            chownat(&made, c"", None, Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)
                .map_err(system(Operation::SetOwner))?;
        }
        chmod(by_descriptor(&made), Mode::from_raw_mode(mode)).map_err(system(Operation::SetMode))?;
        let stat = fstat(&made).map_err(system(Operation::Look))?;
        Ok((bound, Found::of(&stat)))
    }

    /// Unlinks the socket `name`, if it is that one (`None`: whichever); false where it is not there.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_socket(&self, name: &OsStr, which: Option<Identity>) -> Result<bool, Error> {
        let system = |errno| Error::system(Operation::Remove, self.path().join(name), errno);
        let found = match statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Found::of(&stat),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(system(errno)),
        };
        if found.kind != Kind::Other("socket") || which.is_some_and(|which| which != found.identity) {
            return Ok(false);
        }
        match unlinkat(self.fd(), name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(system(errno)),
        }
    }
}

/// A path to what is open, wherever it stands by now. There is no `bindat`, and no call of older kernels that sets the
/// mode of what was opened for its path alone.
fn by_descriptor(open: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", open.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_gets_its_mode_in_the_folder_that_was_opened_whatever_its_path_leads_to_by_now() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let (there, elsewhere) = (root.join("there"), root.join("elsewhere"));
        std::fs::create_dir(&there).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        let folder = Folder::open(&there).unwrap();
        std::fs::rename(&there, root.join("moved")).unwrap();
        symlink(&elsewhere, &there).unwrap();
        let name = OsStr::new("sock");
        let (_listener, found) = folder.listen(name, 0o660, None).unwrap();
        let path = root.join("moved/sock");
        let seen = std::fs::symlink_metadata(&path).unwrap();
        assert!(seen.file_type().is_socket());
        assert_eq!((seen.permissions().mode() & 0o7777, found.mode), (0o660, 0o660));
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
        UnixStream::connect(&path).unwrap();
        assert_eq!(folder.remove_socket(name, Some((0, 0))), Ok(false), "another one");
        assert_eq!(folder.remove_socket(name, Some(found.identity)), Ok(true));
        assert_eq!(folder.remove_socket(name, None), Ok(false));
    }

    #[test]
    fn what_already_stands_there_is_neither_bound_nor_changed_nor_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let victim = root.join("victim");
        std::fs::File::create(&victim).unwrap().set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
        symlink(&victim, root.join("sock")).unwrap();
        let folder = Folder::open(&root).unwrap();
        let error = folder.listen(OsStr::new("sock"), 0o666, None).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ADDRINUSE));
        assert_eq!(folder.remove_socket(OsStr::new("sock"), None), Ok(false));
        assert!(root.join("sock").is_symlink());
        assert_eq!(std::fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
