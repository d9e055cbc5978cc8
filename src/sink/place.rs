use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::atomic::Folder;

/// Where a file stands, whatever path leads there: which folder it is and the name in it, as a mark to compare. Two sinks
/// may come to one place by a linked folder, and no text of a path tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(u64);

impl Place {
    pub(super) fn of(folder: &Folder, name: &OsStr) -> Self {
        let mut hasher = DefaultHasher::new();
        (folder.identity(), name).hash(&mut hasher);
        Self(hasher.finish())
    }
}
