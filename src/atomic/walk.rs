use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Dir, Mode, OFlags, fchmod, fstat, fsync, mkdirat, openat, readlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{Error, Folder, Operation};

/// What becomes of folders that are missing on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// They are an error.
    Refuse,
    /// They are made: the last one with these permission bits, those above it with 0755 (whatever the umask),
    /// and only below a folder that root or we own.
    Create(u32),
    /// Whether they could be made is looked at, and the walk ends there: see [`could_locate`](super::could_locate).
    Rehearse,
}

/// Finds the folder and the name in it that `path` means.
///
/// A last component that is a symbolic link of root's or ours is followed, so that replacing the file keeps the
/// link (as renameio and an editor would); the file that it names need not exist yet.
///
/// # Errors
/// As [`Folder::open`]; a link of anybody else as the last component is [`Error::ForeignLink`].
pub fn locate(path: &Path, missing: Missing) -> Result<(Folder, OsString), Error> {
    let mut walk = Walk::to_name(path)?;
    match walk.run(missing)? {
        Some(name) => Ok((walk.adopt()?, name)),
        None => Err(Error::NotAFile { path: path.to_owned(), kind: "folder" }),
    }
}

/// As [`locate`], but a link as the last component is not followed: the name itself is meant, whatever stands there.
///
/// # Errors
/// As [`Folder::open`].
pub fn locate_name(path: &Path, missing: Missing) -> Result<(Folder, OsString), Error> {
    let mut walk = Walk::start(path, Last::NameItself)?;
    match walk.run(missing)? {
        Some(name) => Ok((walk.adopt()?, name)),
        None => Err(Error::NotAFile { path: path.to_owned(), kind: "folder" }),
    }
}

/// Walks to the folder `path`, links in it included.
pub(super) fn open_folder(path: &Path, missing: Missing) -> Result<Folder, Error> {
    let mut walk = Walk::to_folder(path)?;
    walk.run(missing)?;
    walk.adopt()
}

/// Whether what `uid` owns can be trusted on a path: root and we ourselves could do the damage anyway.
pub(super) fn trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// As many as Linux itself follows.
const MOST_LINKS: u32 = 40;

const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Folder,
    /// Links are followed.
    Name,
    NameItself,
}

pub(super) struct Walk<'a> {
    asked: &'a Path,
    last: Last,
    /// Where we are, for search only (`O_PATH`).
    at: OwnedFd,
    path: PathBuf,
    /// Components still to go, the next one last.
    ahead: Vec<OsString>,
    links: u32,
    /// A folder was missing and could have been made: we have not gone all the way.
    pub(super) rehearsed: bool,
}

impl<'a> Walk<'a> {
    /// To the folder that the last component stands in.
    pub(super) fn to_name(asked: &'a Path) -> Result<Self, Error> {
        Self::start(asked, Last::Name)
    }

    /// To the last component, a folder.
    pub(super) fn to_folder(asked: &'a Path) -> Result<Self, Error> {
        Self::start(asked, Last::Folder)
    }

    fn start(asked: &'a Path, last: Last) -> Result<Self, Error> {
        if !asked.is_absolute() {
            return Err(Error::NotAbsolute(asked.to_owned()));
        }
        let (at, path) = (root()?, "/".into());
        let mut walk = Self { asked, last, at, path, ahead: Vec::new(), links: 0, rehearsed: false };
        walk.push(asked);
        Ok(walk)
    }

    /// Goes on until nothing is left, or, where the last component is to be a name, until that is found.
    pub(super) fn run(&mut self, missing: Missing) -> Result<Option<OsString>, Error> {
        while let Some(name) = self.ahead.pop() {
            if self.last != Last::Folder && self.ahead.is_empty() && name != ".." {
                if self.last == Last::Name && self.follow(&name)? {
                    continue;
                }
                return Ok(Some(name));
            }
            self.step(&name, missing)?;
        }
        Ok(None)
    }

    /// The folder that the walk has come to.
    pub(super) fn adopt(self) -> Result<Folder, Error> {
        Folder::adopt(self.at, self.path)
    }

    /// Enters one folder, or takes up the components of the link that stands in its place.
    fn step(&mut self, name: &OsStr, missing: Missing) -> Result<(), Error> {
        let system = |path: PathBuf, errno| Error::system(Operation::OpenFolder, path, errno);
        match retry_on_intr(|| openat(&self.at, name, SEARCH, Mode::empty())) {
            Ok(folder) => {
                self.at = folder;
                self.enter(name);
                Ok(())
            }
            Err(Errno::NOENT) => match missing {
                Missing::Refuse => Err(system(self.path.join(name), Errno::NOENT)),
                Missing::Create(bits) => {
                    let below = usize::from(self.last != Last::Folder);
                    self.create(name, if self.ahead.len() == below { bits } else { 0o755 })
                }
                Missing::Rehearse => self.rehearse(name),
            },
            // Linux says ENOTDIR to a link here, other systems ELOOP.
            Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => {
                if self.follow(name)? {
                    Ok(())
                } else {
                    Err(system(self.path.join(name), errno))
                }
            }
            Err(errno) => Err(system(self.path.join(name), errno)),
        }
    }

    /// Whether `name` is a link; its components are then next. One of a stranger is an error.
    ///
    /// Owner and content are read from one descriptor, so nobody can swap the link in between.
    fn follow(&mut self, name: &OsStr) -> Result<bool, Error> {
        let path = self.path.join(name);
        let system = |errno| Error::system(Operation::Look, &path, errno);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let link = match retry_on_intr(|| openat(&self.at, name, flags, Mode::empty())) {
            Ok(link) => link,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(system(errno)),
        };
        let stat = fstat(&link).map_err(system)?;
        if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
            return Ok(false);
        }
        if !trusted(stat.st_uid) {
            return Err(Error::ForeignLink { path, uid: stat.st_uid });
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Error::LinkLoop(self.asked.to_owned()));
        }
        let text = readlinkat(&link, c"", Vec::new()).map_err(system)?;
        let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
        if text.is_absolute() {
            self.at = root()?;
            self.path = "/".into();
        }
        self.push(&text);
        Ok(true)
    }

    fn create(&mut self, name: &OsStr, bits: u32) -> Result<(), Error> {
        let path = self.path.join(name);
        let system = |errno| Error::system(Operation::CreateFolder, &path, errno);
        self.only_below_our_own().map_err(system)??;
        match mkdirat(&self.at, name, Mode::from_raw_mode(bits)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(system(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| openat(&self.at, name, flags, Mode::empty())).map_err(system)?;
        let stat = fstat(&folder).map_err(system)?;
        // The umask took bits away that a reader in another group needs; what somebody else made stays his. What is not
        // empty is not what was just made: in a folder open to all another one of ours may have been put in its place.
        if stat.st_uid == rustix::process::geteuid().as_raw()
            && stat.st_mode & 0o777 != bits
            && is_empty(&folder).map_err(system)?
        {
            fchmod(&folder, Mode::from_raw_mode(bits)).map_err(system)?;
        }
        let parent_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = retry_on_intr(|| openat(&self.at, c".", parent_flags, Mode::empty()));
        // A parent that may be searched but not read cannot be synced: the folder is made again after a crash.
        if let Ok(parent) = parent {
            fsync(&parent).map_err(|errno| Error::system(Operation::SyncFolder, &self.path, errno))?;
        }
        self.at = folder;
        self.enter(name);
        Ok(())
    }

    /// Whether [`Walk::create`] could, and nothing more: what is below is not there either.
    fn rehearse(&mut self, name: &OsStr) -> Result<(), Error> {
        let system = |errno| Error::system(Operation::CreateFolder, self.path.join(name), errno);
        self.only_below_our_own().map_err(system)??;
        super::rehearse::may_write(&self.at).map_err(system)?;
        self.rehearsed = true;
        self.ahead.clear();
        Ok(())
    }

    /// Folders are made below one that root or we own.
    fn only_below_our_own(&self) -> Result<Result<(), Error>, Errno> {
        let uid = fstat(&self.at)?.st_uid;
        Ok(if trusted(uid) { Ok(()) } else { Err(Error::ForeignFolder { path: self.path.clone(), uid }) })
    }

    fn push(&mut self, path: &Path) {
        let names = path.components().rev().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        });
        self.ahead.extend(names);
    }

    fn enter(&mut self, name: &OsStr) {
        if name.as_bytes() == b".." {
            self.path.pop();
        } else {
            self.path.push(name);
        }
    }
}

fn is_empty(folder: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn root() -> Result<OwnedFd, Error> {
    retry_on_intr(|| openat(CWD, c"/", SEARCH, Mode::empty()))
        .map_err(|errno| Error::system(Operation::OpenFolder, "/", errno))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_folder_that_comes_into_a_new_ones_place_stays_private() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let mode = |name: &str| std::fs::metadata(root.join(name)).unwrap().permissions().mode() & 0o777;
        for (name, is_private) in [("fresh", false), ("private", true)] {
            std::fs::create_dir(root.join(name)).unwrap();
            std::fs::set_permissions(root.join(name), PermissionsExt::from_mode(0o700)).unwrap();
            if is_private {
                std::fs::File::create(root.join("private/secret")).unwrap();
            }
            // As if it had come between the look and the making.
            let path = root.join(name).join("token");
            let mut walk = Walk::to_name(&path).unwrap();
            while let Some(part) = walk.ahead.pop().filter(|part| part != name) {
                walk.step(&part, Missing::Refuse).unwrap();
            }
            walk.create(OsStr::new(name), 0o755).unwrap();
            assert_eq!(mode(name), if is_private { 0o700 } else { 0o755 }, "{name}");
        }
    }
}
