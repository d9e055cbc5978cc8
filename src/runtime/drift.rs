//! Drift: what was delivered and is not there any more as it was. Folders are watched where the system can, and every
//! minute all files are looked at; a look is one `lstat` against what was seen after our own write. What differs is
//! only a suspicion: the target is driven again, which compares content, mode and owner and writes where it must.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::folders::Folders;
use crate::core::TargetId;
use crate::domain::BootInstant;

/// All files are looked at this often.
const SWEEP: Duration = Duration::from_secs(60);
/// Silence that ends a burst of events, and how long a burst is waited out at most.
const QUIET: Duration = Duration::from_millis(100);
const BURST: Duration = Duration::from_secs(1);
/// The watcher learns of new folders this often at most.
const FOLDERS: Duration = Duration::from_secs(1);
/// Two who write one file would chase each other: a target that was just mended is left alone for so long.
const TRUCE: Duration = Duration::from_secs(10);

/// What a file looked like: device, inode, size, mode, owner, change and modification time, folded into a number.
/// The change time moves with every write, chmod, chown and rename.
pub(crate) type Look = u64;

/// What every delivered file looked like after its delivery.
#[derive(Default)]
pub(crate) struct Drift {
    looks: HashMap<TargetId, Delivered>,
    /// Driven again on suspicion.
    suspects: HashSet<TargetId>,
    mended: HashMap<TargetId, BootInstant>,
    /// Suspects of a truce that lasts, or that were being written when they were looked at.
    postponed: HashSet<TargetId>,
    /// Our own writes, under way: what is seen meanwhile says nothing.
    writing: HashSet<TargetId>,
    folders: BTreeSet<PathBuf>,
    /// Folders have come since they were last asked for.
    more_folders: bool,
    told_folders: BootInstant,
    swept: BootInstant,
    sweeping: bool,
}

#[derive(Clone)]
struct Delivered {
    path: PathBuf,
    look: Look,
}

/// What a sweep found: targets whose look was another, and the look that it was compared to.
pub(crate) type Suspicions = Vec<(TargetId, Look)>;

impl Drift {
    pub(crate) fn new(now: BootInstant) -> Self {
        Self { swept: now, ..Self::default() }
    }

    /// A write of ours begins.
    pub(crate) fn begun(&mut self, target: &TargetId) {
        self.writing.insert(target.clone());
    }

    /// It has ended, in whatever way.
    pub(crate) fn ended(&mut self, target: &TargetId) {
        self.writing.remove(target);
    }

    /// A delivery has worked, with this look; `None` where nothing stands there now or nobody knows.
    /// Tells whether it mended what had drifted.
    pub(crate) fn delivered(
        &mut self,
        target: &TargetId,
        seen: Option<(PathBuf, Look)>,
        written: bool,
        now: BootInstant,
    ) -> bool {
        match seen {
            Some((path, look)) => {
                if let Some(folder) = path.parent().filter(|folder| !self.folders.contains(*folder)) {
                    self.folders.insert(folder.to_owned());
                    self.more_folders = true;
                }
                self.looks.insert(target.clone(), Delivered { path, look });
            }
            None => drop(self.looks.remove(target)),
        }
        let mended = self.suspects.remove(target) && written;
        if mended {
            self.mended.insert(target.clone(), now);
        }
        mended
    }

    /// The target is no more.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.looks.remove(target);
        self.suspects.remove(target);
        self.mended.remove(target);
        self.postponed.remove(target);
        self.writing.remove(target);
    }

    /// Where delivered files stand, where that has changed: for the watcher. Once a second at most, as a start makes
    /// many.
    pub(crate) fn new_folders(&mut self, now: BootInstant) -> Option<BTreeSet<PathBuf>> {
        if !self.more_folders || now.since(self.told_folders) < FOLDERS {
            return None;
        }
        (self.more_folders, self.told_folders) = (false, now);
        Some(self.folders.clone())
    }

    /// Everything, where a sweep is due; one at a time. The look itself blocks: [`suspicious`].
    pub(crate) fn sweep(&mut self, now: BootInstant) -> Option<Vec<(TargetId, PathBuf, Look)>> {
        if self.sweeping || now.since(self.swept) < SWEEP {
            return None;
        }
        (self.sweeping, self.swept) = (true, now);
        self.mended.retain(|_, at| now.since(*at) < TRUCE);
        // A folder that was removed and made again has lost its watch.
        let folders = self.looks.values().filter_map(|delivered| delivered.path.parent());
        self.folders = folders.map(Path::to_path_buf).collect();
        self.more_folders = true;
        Some(self.listed(|_| true))
    }

    /// Those that something has happened to; all of them where events were lost.
    pub(crate) fn touched(&self, paths: &BTreeSet<PathBuf>) -> Vec<(TargetId, PathBuf, Look)> {
        let lost = paths.contains(Path::new(""));
        self.listed(|path| lost || paths.contains(path))
    }

    fn listed(&self, wanted: impl Fn(&Path) -> bool) -> Vec<(TargetId, PathBuf, Look)> {
        let looks = self.looks.iter().filter(|(_, delivered)| wanted(&delivered.path));
        looks.map(|(target, delivered)| (target.clone(), delivered.path.clone(), delivered.look)).collect()
    }

    /// A look has ended; gives the targets to be driven again. What was delivered meanwhile is no suspect.
    pub(crate) fn found(&mut self, suspicions: Suspicions, whole: bool, now: BootInstant) -> Vec<TargetId> {
        self.sweeping &= !whole;
        let looks = &self.looks;
        let known = suspicions
            .into_iter()
            .filter(|(target, look)| looks.get(target).is_some_and(|delivered| delivered.look == *look));
        let truce = |target: &TargetId| {
            self.writing.contains(target) || self.mended.get(target).is_some_and(|at| now.since(*at) < TRUCE)
        };
        let (later, lost): (Vec<_>, Vec<_>) = known.map(|(target, _)| target).partition(truce);
        self.suspects.extend(lost.iter().cloned());
        self.postponed.extend(later);
        lost
    }

    /// Suspects whose truce or write is over, to be looked at again.
    pub(crate) fn overdue(&mut self, now: BootInstant) -> Vec<(TargetId, PathBuf, Look)> {
        let (mended, writing) = (&self.mended, &self.writing);
        let over = |target: &TargetId| {
            !writing.contains(target) && mended.get(target).is_none_or(|at| now.since(*at) >= TRUCE)
        };
        let due: Vec<TargetId> = self.postponed.iter().filter(|target| over(target)).cloned().collect();
        let listed = |target: TargetId| {
            self.postponed.remove(&target);
            let Delivered { path, look } = self.looks.get(&target)?.clone();
            Some((target, path, look))
        };
        due.into_iter().filter_map(listed).collect()
    }
}

/// Those that look different now. Blocks.
pub(crate) fn suspicious(listed: Vec<(TargetId, PathBuf, Look)>) -> Suspicions {
    let differs = |(target, path, before): (TargetId, PathBuf, Look)| {
        (look(&path) != Some(before)).then_some((target, before))
    };
    listed.into_iter().filter_map(differs).collect()
}

/// What stands there right after a write of ours. What is gone by then looks like nothing that can stand there, so
/// that the next look differs.
pub(crate) fn after_write(path: &Path) -> Look {
    look(path).unwrap_or_default()
}

/// What stands under the path, and where it is a link what that leads to. Blocks.
pub(crate) fn look(path: &Path) -> Option<Look> {
    let own = std::fs::symlink_metadata(path).ok()?;
    let mut hasher = DefaultHasher::new();
    fold(&own, &mut hasher);
    if own.is_symlink() {
        fold(&std::fs::metadata(path).ok()?, &mut hasher);
    }
    if own.is_dir() {
        // A set that flips as one: its link, and every file behind it.
        let mut entries: Vec<_> = std::fs::read_dir(path).ok()?.filter_map(Result::ok).collect();
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            entry.file_name().hash(&mut hasher);
            fold(&std::fs::symlink_metadata(entry.path()).ok()?, &mut hasher);
            if let Ok(behind) = std::fs::metadata(entry.path()) {
                fold(&behind, &mut hasher);
            }
        }
    }
    Some(hasher.finish())
}

fn fold(found: &std::fs::Metadata, hasher: &mut DefaultHasher) {
    let numbers = (found.dev(), found.ino(), found.size(), found.mode(), found.uid(), found.gid());
    numbers.hash(hasher);
    (found.ctime(), found.ctime_nsec(), found.mtime(), found.mtime_nsec()).hash(hasher);
}

/// Watches folders of delivered files and reports what happened to which path, bursts together.
pub(crate) struct Lookout(mpsc::UnboundedSender<BTreeSet<PathBuf>>);

impl Lookout {
    /// Watches nothing yet; ends when this or the receiver is dropped.
    pub(crate) fn start() -> (Self, mpsc::Receiver<BTreeSet<PathBuf>>) {
        let (folders, new_folders) = mpsc::unbounded_channel();
        let (touched, receiver) = mpsc::channel(16);
        tokio::spawn(watch(new_folders, touched));
        (Self(folders), receiver)
    }

    /// These folders from now on. Where the system cannot watch them, the sweep does alone.
    pub(crate) fn set(&self, folders: BTreeSet<PathBuf>) {
        let _ = self.0.send(folders);
    }
}

async fn watch(
    mut new_folders: mpsc::UnboundedReceiver<BTreeSet<PathBuf>>,
    touched: mpsc::Sender<BTreeSet<PathBuf>>,
) {
    let (events, mut happened) = mpsc::channel::<PathBuf>(4096);
    let mut folders = Folders::new(events);
    loop {
        tokio::select! {
            new = new_folders.recv() => match new {
                Some(new) => {
                    // What cannot be watched is swept. What happened before the watch stood is looked for now.
                    let _ = folders.arm(&new);
                    if touched.send(BTreeSet::from([PathBuf::new()])).await.is_err() {
                        return;
                    }
                }
                None => return,
            },
            Some(first) = happened.recv() => {
                let mut paths = BTreeSet::from([first]);
                let burst = async {
                    while let Ok(Some(path)) = timeout(QUIET, happened.recv()).await {
                        paths.insert(path);
                    }
                };
                let _ = timeout(BURST, burst).await;
                if touched.send(paths).await.is_err() {
                    return;
                }
            }
        }
    }
}
