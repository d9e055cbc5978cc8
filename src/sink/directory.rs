//! A set of files that flips as one: the contract's `directory:`, laid out as a kubelet lays out a volume.
//!
//! ```text
//! DIR/token      -> ..data/token          what readers open
//! DIR/app.env    -> ..data/app.env
//! DIR/..data     -> ..renewd.8c1f...      the one link that changes
//! DIR/..renewd.8c1f.../{token,app.env}    the current set
//! DIR/..renewd.02be.../{token,app.env}    the one before it
//! ```
//!
//! A new set is filled and synced as `..renewd-tmp.*`, gets its name, and is published by one rename of `..data`. The
//! links of new names are made before that and those of old names removed after it, so that for whoever opens a
//! public name, all names appear, change and vanish in that one instant. A reader that holds the folder `..data` open
//! reads the old set whole: it stays until the next flip, and for 10 s at least, so that nobody who is held up between
//! two system calls finds nothing while one flip follows the other.
//!
//! An agent that is killed leaves the old set published or the new one. The next [`put`] mends the links;
//! [`clean`] takes away what was half made.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::file::{Outcome, Put, SinkError, Tenure, is_right};
use super::{Place, owner};
use crate::atomic::{Attributes, Folder, Linked, SyncLevel, Warning, unique_suffix};
use crate::config::model::{TemplateForm, TemplateTarget};

/// The files of a set by name.
pub type Files = BTreeMap<String, Zeroizing<Vec<u8>>>;

const DATA: &str = "..data";
const DATA_BEFORE: &str = "..data_tmp";
const LINK_BEFORE: &str = "..link_tmp";
/// What a whole set's name begins with.
const SET: &str = "..renewd.";
/// What the name of a set begins with while it is filled.
const HALF: &str = "..renewd-tmp.";
/// Of a set's folder: its files have modes of their own.
const SEARCHABLE: u32 = 0o755;
/// How long a set stays at least once it has been replaced.
const GRACE: Duration = Duration::from_secs(10);
/// However quickly one flip follows the other.
const MOST_SETS: usize = 64;

/// Makes the target's folder hold exactly `files`, all at once, with the target's mode, owner and group. Blocks.
///
/// A set that is right already is left untouched; links that are missing or wrong are mended.
///
/// # Errors
/// [`SinkError`]; unless only removing old links failed, what was published before then still is.
pub fn put(target: &TemplateTarget, files: &Files) -> Result<Put, SinkError> {
    let attributes = owner::attributes(target.mode, target.owner.as_deref(), target.group.as_deref())?;
    files.keys().try_for_each(|name| named_well(name))?;
    let folder = Folder::open_or_create(&target.path, SEARCHABLE)?;
    // Whose its links are is told by what they say.
    let whole = |outcome| Put {
        outcome,
        tenure: Tenure::Unknown,
        place: Place::of(&folder, OsStr::new("")),
        displaced: false,
        warnings: folder.warning().into_iter().collect(),
    };
    let found = Found::look(&folder, files)?;
    let current = found.current.as_deref();
    let right = current.is_some_and(|name| holds(&folder, name, files, attributes));
    let new = if right { None } else { Some(make(&folder, files, attributes)?) };
    if new.is_none() && found.unlinked.is_empty() && found.obsolete.is_empty() {
        return Ok(whole(Outcome::Unchanged));
    }
    if let Err(error) = publish(&folder, &found.unlinked, new.as_deref()) {
        retract(&folder, new.as_deref());
        return Err(error);
    }
    for name in &found.obsolete {
        folder.unlink(name)?;
    }
    if let Some(new) = &new {
        // What cannot be removed now is tried again at the next flip and at the next start.
        for set in outdated(&folder, found.sets, new, current) {
            let _ = folder.remove_folder(&set);
        }
    }
    folder.sync()?;
    Ok(whole(Outcome::Written))
}

/// What would keep [`put`] from it, as far as can be told beforehand: each unknown name and the first obstacle in the
/// folder, where a set may have been delivered already. Makes nothing. Blocks.
///
/// # Errors
/// All of them; never an empty list.
pub fn could_put(target: &TemplateTarget) -> Result<Vec<Warning>, Vec<SinkError>> {
    let mut obstacles = owner::unknown(target.owner.as_deref(), target.group.as_deref());
    let warnings = place(target).map_err(|error| obstacles.push(error)).unwrap_or_default();
    if obstacles.is_empty() { Ok(warnings) } else { Err(obstacles) }
}

/// Takes the set away, its folder left; true where there was one. Blocks.
///
/// For readers all names vanish at once. What is not ours is left alone.
///
/// # Errors
/// [`SinkError`].
pub fn remove(target: &TemplateTarget) -> Result<bool, SinkError> {
    let Some(folder) = standing(target)? else { return Ok(false) };
    let names = folder.names()?;
    match folder.linked(OsStr::new(DATA))? {
        Linked::To(text) if !is_set(&text) => return Ok(false),
        Linked::To(_) => folder.unlink(OsStr::new(DATA))?,
        Linked::Nothing | Linked::Other(_) => false,
    };
    let mut removed = false;
    for name in &names {
        if is_set(name) || is_half(name) {
            folder.remove_folder(name)?;
            removed = true;
        } else if is_public(&folder, name)? {
            removed |= folder.unlink(name)?;
        }
    }
    folder.sync()?;
    Ok(removed)
}

/// Where [`remove`] would take a set away; `None` where there is no such folder. Blocks.
///
/// # Errors
/// As there.
pub fn place_of(target: &TemplateTarget) -> Result<Option<Place>, SinkError> {
    Ok(standing(target)?.map(|folder| Place::of(&folder, OsStr::new(""))))
}

fn standing(target: &TemplateTarget) -> Result<Option<Folder>, SinkError> {
    match Folder::open(&target.path) {
        Err(error) if error.is_absent() => Ok(None),
        opened => Ok(Some(opened?)),
    }
}

/// Removes sets that a killed agent left half made, or unpublished, below the folders of these targets, and counts
/// them; the one before the current stays for its readers. Blocks.
///
/// Folders that are missing, not safe or not readable are passed over: a delivery there will say so.
pub fn clean<'a>(targets: impl IntoIterator<Item = &'a TemplateTarget>) -> usize {
    let sets = targets.into_iter().filter(|target| matches!(target.form, TemplateForm::Directory(_)));
    sets.map(|target| Folder::open(&target.path).and_then(|folder| sweep(&folder)).unwrap_or(0)).sum()
}

/// Every path whose change is a change of what readers see: for whoever watches for drift.
#[must_use]
pub fn paths_of(target: &TemplateTarget) -> Vec<PathBuf> {
    let TemplateForm::Directory(files) = &target.form else { return vec![target.path.clone()] };
    let data = target.path.join(DATA);
    let of_file = |name: &String| [target.path.join(name), data.join(name)];
    std::iter::once(data.clone()).chain(files.keys().flat_map(of_file)).collect()
}

/// Whether a set could be made in its folder.
fn place(target: &TemplateTarget) -> Result<Vec<Warning>, SinkError> {
    let Some(folder) = Folder::could_open_or_create(&target.path)? else { return Ok(Vec::new()) };
    if let TemplateForm::Directory(files) = &target.form {
        Found::look(&folder, files)?;
    }
    folder.could_make_folder(OsStr::new(HALF))?;
    Ok(folder.warning().into_iter().collect())
}

/// What stands in a set's folder.
struct Found {
    /// The set that `..data` names.
    current: Option<OsString>,
    /// Every whole set.
    sets: Vec<OsString>,
    /// Names whose public link is missing or says something else.
    unlinked: Vec<OsString>,
    /// Public links of ours whose names are no longer in the set.
    obsolete: Vec<OsString>,
}

impl Found {
    /// Refuses what stands in the way.
    fn look<T>(folder: &Folder, files: &BTreeMap<String, T>) -> Result<Self, SinkError> {
        let occupied = |name: &OsStr, kind| SinkError::Occupied { path: folder.path().join(name), kind };
        let names = folder.names()?;
        let sets: Vec<OsString> = names.iter().filter(|name| is_set(name)).cloned().collect();
        let data = OsStr::new(DATA);
        let current = match folder.linked(data)? {
            Linked::To(text) if is_set(&text) => Some(text),
            // A link that somebody has bent is mended where a set of ours shows whose it was, or where it leads nowhere.
            Linked::To(_) if !sets.is_empty() || !folder.path().join(data).exists() => None,
            Linked::To(_) => return Err(SinkError::ForeignSet(folder.path().join(data))),
            Linked::Nothing => None,
            Linked::Other(kind) => return Err(occupied(data, kind)),
        };
        let mut unlinked = Vec::new();
        for name in files.keys().map(OsString::from) {
            match folder.linked(&name)? {
                Linked::To(text) if text == through_data(&name) => {}
                Linked::To(_) | Linked::Nothing => unlinked.push(name),
                Linked::Other(kind) => return Err(occupied(&name, kind)),
            }
        }
        let mut obsolete = Vec::new();
        for name in names {
            let is_wanted = name.to_str().is_some_and(|name| files.contains_key(name));
            if !is_wanted && is_public(folder, &name)? {
                obsolete.push(name);
            }
        }
        Ok(Self { current, sets, unlinked, obsolete })
    }
}

/// Whether the set is what it should be. What cannot be told counts as no: the write will say why.
fn holds(folder: &Folder, set: &OsStr, files: &Files, attributes: Attributes) -> bool {
    let Ok(set) = folder.enter(set) else { return false };
    let Ok(names) = set.names() else { return false };
    set.mode() & 0o777 == SEARCHABLE
        && names.len() == files.len()
        && files.iter().all(|(name, content)| is_right(&set, OsStr::new(name), content, attributes))
}

/// Makes a whole set, durable and under its own name, but not published.
fn make(folder: &Folder, files: &Files, attributes: Attributes) -> Result<OsString, SinkError> {
    let suffix = unique_suffix();
    let (half, whole) = (OsString::from(format!("{HALF}{suffix}")), OsString::from(format!("{SET}{suffix}")));
    let fill = |set: Folder| {
        for (name, content) in files {
            set.replace(OsStr::new(name), content, attributes, SyncLevel::Content)?;
        }
        set.sync()?;
        folder.rename(&half, &whole)
    };
    match folder.make_folder(&half, SEARCHABLE).and_then(fill) {
        Ok(()) => Ok(whole),
        Err(error) => {
            let _ = folder.remove_folder(&half);
            let _ = folder.remove_folder(&whole);
            Err(error.into())
        }
    }
}

/// The links of new names, then the flip.
fn publish(folder: &Folder, unlinked: &[OsString], new: Option<&OsStr>) -> Result<(), SinkError> {
    for name in unlinked {
        folder.link(name, &through_data(name), OsStr::new(LINK_BEFORE))?;
    }
    if let Some(new) = new {
        folder.link(OsStr::new(DATA), new, OsStr::new(DATA_BEFORE))?;
    }
    Ok(folder.sync()?)
}

/// The sets that no reader needs any more, now that `new` has replaced `current`.
///
/// Ages are taken from the file system's own times: here is no clock.
fn outdated(folder: &Folder, sets: Vec<OsString>, new: &OsStr, current: Option<&OsStr>) -> Vec<OsString> {
    let now = made_at(folder, new);
    let is_current = |set: &OsString| Some(set.as_os_str()) == current;
    let mut old: Vec<_> =
        sets.into_iter().map(|set| (made_at(folder, &set), is_current(&set), set)).collect();
    // Of those that a coarse clock says were made at once, the current one is the last.
    old.sort();
    // A set was replaced when the next one was made.
    let replaced_at: Vec<_> = old.iter().skip(1).map(|(made_at, ..)| *made_at).chain([now]).collect();
    let surplus = old.len().saturating_sub(MOST_SETS);
    let is_outdated = |index: usize| {
        let age = now.zip(replaced_at[index]).and_then(|(now, then)| now.duration_since(then).ok());
        index < surplus || age.is_some_and(|age| age >= GRACE)
    };
    let old =
        old.into_iter().enumerate().filter(|(index, (_, is_current, _))| !is_current && is_outdated(*index));
    old.map(|(_, (.., set))| set).collect()
}

fn made_at(folder: &Folder, set: &OsStr) -> Option<SystemTime> {
    folder.path().join(set).symlink_metadata().and_then(|set| set.modified()).ok()
}

/// Takes a set away that could not be published.
fn retract(folder: &Folder, new: Option<&OsStr>) {
    let Some(new) = new else { return };
    if folder.linked(OsStr::new(DATA)).is_ok_and(|data| data != Linked::To(new.to_owned())) {
        let _ = folder.remove_folder(new);
    }
}

fn sweep(folder: &Folder) -> Result<usize, crate::atomic::Error> {
    let names = folder.names()?;
    let data = folder.linked(OsStr::new(DATA))?;
    let mut removed = 0;
    for half in names.iter().filter(|name| is_half(name)) {
        removed += usize::from(folder.remove_folder(half).is_ok());
    }
    let is_left = |name: &str| match folder.linked(OsStr::new(name)) {
        Ok(Linked::To(text)) => is_set(&text) || text.as_bytes().starts_with(b"..data/"),
        _ => false,
    };
    for name in [DATA_BEFORE, LINK_BEFORE].into_iter().filter(|name| is_left(name)) {
        removed += usize::from(folder.unlink(OsStr::new(name))?);
    }
    let is_current = |name: &OsString| data == Linked::To(name.clone());
    let mut others: Vec<_> = names.into_iter().filter(|name| is_set(name) && !is_current(name)).collect();
    others
        .sort_by_key(|name| folder.path().join(name).symlink_metadata().and_then(|set| set.modified()).ok());
    others.pop();
    for name in others {
        removed += usize::from(folder.remove_folder(&name).is_ok());
    }
    Ok(removed)
}

fn named_well(name: &str) -> Result<(), SinkError> {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    if is_plain { Ok(()) } else { Err(SinkError::FileName(name.to_owned())) }
}

fn through_data(name: &OsStr) -> OsString {
    Path::new(DATA).join(name).into_os_string()
}

/// Whether it is a public link of a set.
fn is_public(folder: &Folder, name: &OsStr) -> Result<bool, SinkError> {
    if name.as_bytes().starts_with(b".") {
        return Ok(false);
    }
    Ok(folder.linked(name)? == Linked::To(through_data(name)))
}

fn is_set(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(SET.as_bytes()) && !name.contains(&b'/')
}

fn is_half(name: &OsStr) -> bool {
    name.as_bytes().starts_with(HALF.as_bytes())
}
