//! The file sink: puts rendered content under a path and takes it away again.
//!
//! Folders that are missing on the way are made (0755, as Vault Agent's `create_dest_dirs` does), but only below
//! one that root or the agent's user owns. A path whose last component is a link of root's or ours replaces what
//! the link names, unless we have put a file there ourselves ([`Tenure`]): then somebody has put the link in its place.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fsync, ftruncate};
use rustix::io::Errno;

use super::{Place, owner};
use crate::atomic::{
    self, Attributes, Folder, Linked, Missing, Operation, SyncLevel, Warning, could_locate, locate,
    locate_name,
};
use crate::config::model::{FileSink, WriteMode};

/// What [`put`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Whether the file had to be touched.
    pub outcome: Outcome,
    /// What stands under the path is now a file of ours, not one that a link there names.
    pub tenure: Tenure,
    /// Where it stands.
    pub place: Place,
    /// A link stood there although the place was ours: it was replaced.
    pub displaced: bool,
    /// What works but should not stay so.
    pub warnings: Vec<Warning>,
}

/// Whether a file had to be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Written,
    /// Content, mode, owner and group were right already.
    Unchanged,
}

/// Whether we have put a file under the path ourselves since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// Not that we know: a link that stands there was there before us, and is followed where it may be.
    Unknown,
    /// A link that stands there now has come later, and is never followed.
    Ours,
}

/// Why a file sink could not be served. Holds paths and names, never content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// `owner:` or `group:` names nobody.
    #[error("there is no {kind} `{name}` on this machine")]
    UnknownName {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A file of a set has a name that its folder has other use for.
    #[error("`{0}` cannot be the name of a file in a set: it is empty, begins with a dot or has a slash")]
    FileName(String),
    /// Something that we did not put there stands where a link to the current set belongs.
    #[error("`{}` is a {kind} where a link to the current set belongs", .path.display())]
    Occupied {
        /// Where it stands.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// `..data` leads to somebody else's set.
    #[error("`{}` leads to a set of files that somebody else keeps", .0.display())]
    ForeignSet(PathBuf),
    /// The file system refuses, or the place is not safe.
    #[error(transparent)]
    Files(#[from] atomic::Error),
}

impl SinkError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownName { .. } => {
                Some("only /etc/passwd and /etc/group are read; a number works without them")
            }
            Self::FileName(_) => Some("use a plain name, such as `token` or `app.env`"),
            Self::Occupied { .. } => Some("move it away, or name a folder of its own for the set"),
            Self::ForeignSet(_) => Some("name a folder of its own for the set, or remove the link `..data`"),
            Self::Files(error) => error.hint(),
        }
    }
}

/// Makes the sink's file hold exactly `content`, with its mode, owner and group. Blocks.
///
/// A file that is right already is left untouched. `write: replace` renames a new file over it; `write: in-place`
/// writes over the same inode, where a reader may see a mixture for an instant.
///
/// # Errors
/// [`SinkError`]; the old file then stays as it was (an in-place write that fails half-way excepted).
pub fn put(sink: &FileSink, content: &[u8], tenure: Tenure) -> Result<Put, SinkError> {
    let attributes = owner::attributes(sink.mode, sink.owner.as_deref(), sink.group.as_deref())?;
    let (mut folder, mut name) = locate_name(&sink.path, Missing::Create(0o755))?;
    let is_link = matches!(folder.linked(&name)?, Linked::To(_));
    let (tenure, displaced) = match tenure {
        Tenure::Unknown if is_link => {
            (folder, name) = locate(&sink.path, Missing::Create(0o755))?;
            (Tenure::Unknown, false)
        }
        Tenure::Unknown | Tenure::Ours => (Tenure::Ours, is_link),
    };
    let put = |outcome| Put {
        outcome,
        tenure,
        place: Place::of(&folder, &name),
        displaced,
        warnings: folder.warning().into_iter().collect(),
    };
    if is_right(&folder, &name, content, attributes) {
        return Ok(put(Outcome::Unchanged));
    }
    match sink.write {
        // The inode that an in-place file should keep is gone with the file.
        _ if displaced => folder.replace_link(&name, content, attributes, SyncLevel::Full)?,
        WriteMode::Replace => folder.replace(&name, content, attributes, SyncLevel::Full)?,
        WriteMode::InPlace => folder.write_in_place(&name, content, attributes)?,
    }
    Ok(put(Outcome::Written))
}

/// What would keep [`put`] from it, as far as can be told beforehand: each unknown name and the first obstacle on the
/// path. Makes nothing. Blocks.
///
/// # Errors
/// All of them; never an empty list.
pub fn could_put(sink: &FileSink) -> Result<Vec<Warning>, Vec<SinkError>> {
    let mut obstacles = owner::unknown(sink.owner.as_deref(), sink.group.as_deref());
    let warnings = place(sink).map_err(|error| obstacles.push(error.into())).unwrap_or_default();
    if obstacles.is_empty() { Ok(warnings) } else { Err(obstacles) }
}

/// Takes the sink's file away; true where there was one. Blocks.
///
/// A single-file bind mount cannot be unlinked: an in-place file that is busy is emptied instead. A link in a place of
/// ours is taken away, and what it names stays.
///
/// # Errors
/// [`SinkError`]; anything that is not a regular file is left alone.
pub fn remove(sink: &FileSink, tenure: Tenure) -> Result<bool, SinkError> {
    let Some((folder, name)) = standing(sink, tenure)? else { return Ok(false) };
    if tenure == Tenure::Ours && matches!(folder.linked(&name)?, Linked::To(_)) {
        let removed = folder.unlink(&name)?;
        folder.sync()?;
        return Ok(removed);
    }
    match folder.remove(&name) {
        Err(error) if error.errno() == Some(Errno::BUSY) && sink.write == WriteMode::InPlace => {
            empty(&folder, &name)
        }
        removed => Ok(removed?),
    }
}

/// Where [`remove`] would take a file away; `None` where there is no such folder. Blocks.
///
/// # Errors
/// As there.
pub fn place_of(sink: &FileSink, tenure: Tenure) -> Result<Option<Place>, SinkError> {
    Ok(standing(sink, tenure)?.map(|(folder, name)| Place::of(&folder, &name)))
}

fn standing(sink: &FileSink, tenure: Tenure) -> Result<Option<(Folder, OsString)>, SinkError> {
    let place = match tenure {
        Tenure::Unknown => locate(&sink.path, Missing::Refuse),
        Tenure::Ours => locate_name(&sink.path, Missing::Refuse),
    };
    match place {
        Err(error) if error.is_absent() => Ok(None),
        located => Ok(Some(located?)),
    }
}

/// Removes temporary files that a killed agent left in that folder, and counts them. Blocks.
///
/// One that is missing, not safe or not readable is passed over: a delivery there will say so.
#[must_use]
pub fn clean_leftovers(folder: &Path) -> usize {
    Folder::open(folder).and_then(|folder| folder.clean()).unwrap_or(0)
}

/// The folder that the sink's temporary files stand in: for [`clean_leftovers`]. The path's own folder, and the
/// one that its last component's link leads to, where it is a link. Blocks.
#[must_use]
pub fn folders_of(sink: &FileSink) -> Vec<PathBuf> {
    let own = sink.path.parent().map(Path::to_owned);
    let led = locate(&sink.path, Missing::Refuse).ok().map(|(folder, _)| folder.path().to_owned());
    let folders: BTreeSet<_> = own.into_iter().chain(led).collect();
    folders.into_iter().collect()
}

/// Whether the file could be put in its place.
fn place(sink: &FileSink) -> Result<Vec<Warning>, atomic::Error> {
    let Some((folder, name)) = could_locate(&sink.path)? else { return Ok(Vec::new()) };
    match sink.write {
        WriteMode::Replace => folder.could_replace(&name)?,
        WriteMode::InPlace => {
            // An owner that is unknown is told as such.
            let attributes = owner::attributes(sink.mode, sink.owner.as_deref(), sink.group.as_deref()).ok();
            let nobody = Attributes { mode: sink.mode, uid: None, gid: None };
            folder.could_write_in_place(&name, attributes.unwrap_or(nobody))?;
        }
    }
    Ok(folder.warning().into_iter().collect())
}

/// Whether the file is what it should be. What cannot be told counts as no: the write will say why.
pub(super) fn is_right(folder: &Folder, name: &OsStr, content: &[u8], wanted: Attributes) -> bool {
    let Ok(Some(held)) = folder.read(name, content.len()) else { return false };
    let found = held.found;
    let us = rustix::process::geteuid().as_raw();
    // Where no group is asked for, a new file gets ours or (set-group-id folders, BSD mounts) the folder's.
    let usual = [rustix::process::getegid().as_raw(), folder.group()];
    held.content.as_slice() == content
        && found.mode == wanted.mode
        && found.uid == wanted.uid.unwrap_or(us)
        && wanted.gid.map_or(usual.contains(&found.gid), |gid| found.gid == gid)
}

fn empty(folder: &Folder, name: &OsStr) -> Result<bool, SinkError> {
    let Some((file, found)) = folder.open_file(name, OFlags::WRONLY)? else { return Ok(false) };
    let system =
        |operation, errno| atomic::Error::System { operation, path: folder.path().join(name), errno };
    ftruncate(&file, 0).map_err(|errno| system(Operation::Write, errno))?;
    fsync(&file).map_err(|errno| system(Operation::Sync, errno))?;
    Ok(found.size > 0)
}
