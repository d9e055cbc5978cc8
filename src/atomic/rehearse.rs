//! "Could I?": the checks of the real thing where nothing must be made. What cannot be seen beforehand (a security
//! module) is found out by the real thing alone.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, fsync, openat};
use rustix::io::{Errno, pwrite, retry_on_intr};

use super::replace::fit_to_write_into;
use super::walk::{Missing, Walk};
use super::{Attributes, Error, Folder, Operation};

/// What must find room: the largest token that is taken.
const ROOM: [u8; 16 * 1024] = [0; 16 * 1024];

/// As [`locate`](super::locate) with [`Missing::Create`], making nothing: `None` where a folder is missing on the way and
/// could be made.
///
/// # Errors
/// As there.
pub fn could_locate(path: &Path) -> Result<Option<(Folder, OsString)>, Error> {
    let mut walk = Walk::to_name(path)?;
    match walk.run(Missing::Rehearse)? {
        _ if walk.rehearsed => Ok(None),
        Some(name) => walk.adopt().map(|folder| Some((folder, name))),
        None => Err(Error::NotAFile { path: path.to_owned(), kind: "folder" }),
    }
}

impl Folder {
    /// As [`Folder::open_or_create`], making nothing: `None` where it is missing and could be made.
    ///
    /// # Errors
    /// As there.
    pub fn could_open_or_create(path: &Path) -> Result<Option<Self>, Error> {
        let mut walk = Walk::to_folder(path)?;
        walk.run(Missing::Rehearse)?;
        if walk.rehearsed { Ok(None) } else { walk.adopt().map(Some) }
    }

    /// Whether [`Folder::replace`] would begin.
    ///
    /// # Errors
    /// As there.
    pub fn could_replace(&self, name: &OsStr) -> Result<(), Error> {
        self.file_or_nothing(name)?;
        let system = |errno| Error::system(Operation::CreateTemporary, self.path().join(name), errno);
        self.writable().map_err(system)?;
        self.room(name)
    }

    /// Whether [`Folder::make_folder`] would begin, where nobody has the name.
    ///
    /// # Errors
    /// As there.
    pub fn could_make_folder(&self, name: &OsStr) -> Result<(), Error> {
        let path = self.path().join(name);
        self.writable().map_err(|errno| Error::system(Operation::CreateFolder, path, errno))?;
        self.room(name)
    }

    /// Whether [`Folder::write_in_place`] would begin.
    ///
    /// # Errors
    /// As there.
    pub fn could_write_in_place(&self, name: &OsStr, attributes: Attributes) -> Result<(), Error> {
        match self.open_file(name, OFlags::WRONLY)? {
            Some((_, found)) => fit_to_write_into(self, name, found, attributes),
            None => {
                let system = |errno| Error::system(Operation::Open, self.path().join(name), errno);
                self.writable().map_err(system)
            }
        }
    }

    /// Whether the disk takes a token: it is written to a file without a name, of which nothing is left even if we are
    /// killed. Where a file system knows no such files (NFS), it cannot be told.
    fn room(&self, name: &OsStr) -> Result<(), Error> {
        let system = |operation, errno| Error::system(operation, self.path().join(name), errno);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = match openat(self.fd(), c".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => file,
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(system(Operation::CreateTemporary, errno)),
        };
        let mut done = 0;
        while done < ROOM.len() {
            match retry_on_intr(|| pwrite(&file, &ROOM[done..], done as u64)) {
                Ok(0) => return Err(system(Operation::Write, Errno::IO)),
                Ok(written) => done += written,
                Err(errno) => return Err(system(Operation::Write, errno)),
            }
        }
        // Some file systems look for the room, and for a broken disk, no sooner.
        retry_on_intr(|| fsync(&file)).map_err(|errno| system(Operation::Sync, errno))
    }

    fn writable(&self) -> Result<(), Errno> {
        may_write(self.fd())
    }
}

/// Whether names may be added to the folder and taken from it: by its mode, and by the file system's.
pub(super) fn may_write(folder: impl std::os::fd::AsFd) -> Result<(), Errno> {
    accessat(folder, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;
    use crate::atomic::locate;

    const PRIVATE: Attributes = Attributes { mode: 0o600, uid: None, gid: None };

    /// What the rehearsal says of a path, and what the real thing says afterwards.
    fn both(path: &Path) -> (Result<(), Error>, Result<(), Error>) {
        let rehearsed = could_locate(path).and_then(|place| match place {
            Some((folder, name)) => folder.could_replace(&name),
            None => Ok(()),
        });
        let real = locate(path, Missing::Create(0o755))
            .and_then(|(folder, name)| folder.replace(&name, b"x", PRIVATE, crate::atomic::SyncLevel::None));
        (rehearsed, real)
    }

    #[test]
    fn the_rehearsal_says_what_the_real_thing_says_and_makes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("there/token-folder")).unwrap();
        std::fs::File::create(root.join("file")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        symlink("there/new", root.join("dangling")).unwrap();
        for path in ["there/token-folder", "file/token", "a/token"] {
            let (rehearsed, real) = both(&root.join(path));
            assert!(rehearsed.is_err(), "{path}");
            assert_eq!(rehearsed, real, "{path}");
        }
        let names = || std::fs::read_dir(&root).unwrap().count();
        let before = names();
        for path in ["new/deeper/token", "dangling/token"] {
            assert!(could_locate(&root.join(path)).unwrap().is_none(), "{path}");
        }
        assert_eq!((names(), root.join("there/new").exists()), (before, false));
        for path in ["there/token", "new/deeper/token", "file"] {
            assert_eq!(both(&root.join(path)), (Ok(()), Ok(())), "{path}");
        }
    }

    #[test]
    fn nothing_would_be_made_in_a_strangers_folder_or_in_one_that_is_closed_to_us() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let closed = root.join("closed");
        std::fs::create_dir(&closed).unwrap();
        // To root no mode is closed, to everybody else no chown is open.
        match rustix::process::geteuid().is_root() {
            true => chown(&closed, Some(12_345), None).unwrap(),
            false => std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o555))
                .unwrap(),
        }
        for path in ["closed/token", "closed/new/token"] {
            let (rehearsed, real) = both(&root.join(path));
            assert!(rehearsed.is_err(), "{path}");
            assert_eq!(rehearsed, real, "{path}");
        }
        let folder = Folder::could_open_or_create(&closed.join("state"));
        assert_eq!(folder.unwrap_err(), Folder::open_or_create(&closed.join("state"), 0o700).unwrap_err());
    }

    #[test]
    fn a_file_to_be_written_in_place_is_looked_at_itself() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::open(&scratch.path().canonicalize().unwrap()).unwrap();
        let (name, link) = (OsStr::new("token"), OsStr::new("link"));
        assert_eq!(folder.could_write_in_place(name, PRIVATE), Ok(()));
        assert_eq!(folder.look(name), Ok(None), "nothing was made");
        folder.write_in_place(name, b"whole", PRIVATE).unwrap();
        symlink("token", folder.path().join(link)).unwrap();
        let refused = folder.could_write_in_place(link, PRIVATE).unwrap_err();
        assert!(matches!(refused, Error::NotAFile { kind: "symbolic link", .. }));
        assert_eq!(folder.could_write_in_place(name, PRIVATE), Ok(()));
        assert_eq!(folder.read(name, 10).unwrap().unwrap().content.as_slice(), b"whole");
    }
}
