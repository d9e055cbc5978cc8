//! Drift: what was delivered and is not there any more as it was. Folders are watched where the system can, and every
//! minute all files are looked at; a look is one `lstat` a path against what was seen after our own write. What differs
//! is only a suspicion: the target is driven again, which compares content, mode and owner and writes where it must.
//!
//! A set that flips as one is many paths: its `..data`, and each file as readers reach it. The folder that `..data` leads
//! to is another one after each flip, so what a delivery wrote is asked to be watched anew.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::folders::{Folders, aside};
use crate::core::TargetId;
use crate::domain::BootInstant;
use crate::sink::Place;
use crate::sink::file::Tenure;

/// All files are looked at this often.
const SWEEP: Duration = Duration::from_secs(60);
/// Silence that ends a burst of events, and how long a burst is waited out at most.
const QUIET: Duration = Duration::from_millis(100);
const BURST: Duration = Duration::from_secs(1);
/// The watcher learns of new folders this often at most.
const FOLDERS: Duration = Duration::from_secs(1);
/// Two who write one file would chase each other: a target that was just mended is left alone for so long.
const TRUCE: Duration = Duration::from_secs(10);

/// What files looked like: device, inode, size, mode, owner, change and modification time, folded into a number.
/// The change time moves with every write, chmod, chown and rename.
pub(crate) type Look = u64;

/// A delivered target: every path whose change is a change of what readers see, and what stood there after our write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sight {
    paths: Vec<PathBuf>,
    look: Look,
    place: Option<Place>,
}

/// What every delivered file looked like after its delivery.
#[derive(Default)]
pub(crate) struct Drift {
    sights: HashMap<TargetId, Arc<Sight>>,
    /// Driven again on suspicion.
    suspects: HashSet<TargetId>,
    mended: HashMap<TargetId, BootInstant>,
    /// Where we have put a file ourselves since the start: a link that stands there later is somebody else's doing.
    ours: HashSet<TargetId>,
    /// Suspects of a truce that lasts, or that were being written when they were looked at.
    postponed: HashSet<TargetId>,
    /// Our own writes, under way: what is seen meanwhile says nothing.
    writing: HashSet<TargetId>,
    /// Folders that delivered files stand in.
    folders: BTreeSet<PathBuf>,
    /// Those of them that the watcher is to be told of: new ones, and those that may have been made anew.
    fresh: BTreeSet<PathBuf>,
    /// It is to be told of all of them, and of no others.
    tell_all: bool,
    told_folders: BootInstant,
    swept: BootInstant,
    sweeping: bool,
}

/// Targets to be looked at.
pub(crate) type Listed = Vec<(TargetId, Arc<Sight>)>;

/// What a sweep found: targets whose look was another, and the look that it was compared to.
pub(crate) type Suspicions = Vec<(TargetId, Look)>;

/// Folders to be watched: these and no others, or these too.
pub(crate) struct Wanted {
    folders: BTreeSet<PathBuf>,
    only: bool,
}

impl Drift {
    pub(crate) fn new(now: BootInstant) -> Self {
        Self { swept: now, ..Self::default() }
    }

    /// Whether we have put a file there ourselves. That outlasts its withdrawal, but not the agent.
    pub(crate) fn tenure(&self, target: &TargetId) -> Tenure {
        if self.ours.contains(target) { Tenure::Ours } else { Tenure::Unknown }
    }

    /// What stands there now is a file of our own.
    pub(crate) fn settled(&mut self, target: &TargetId) {
        self.ours.insert(target.clone());
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
        seen: Option<Sight>,
        written: bool,
        now: BootInstant,
    ) -> bool {
        match seen {
            Some(sight) => {
                for folder in sight.folders() {
                    // A write makes folders that were removed, and a set's own with each flip.
                    if self.folders.insert(folder.to_owned()) || written {
                        self.fresh.insert(folder.to_owned());
                    }
                }
                self.sights.insert(target.clone(), Arc::new(sight));
            }
            None => drop(self.sights.remove(target)),
        }
        let mended = self.suspects.remove(target) && written;
        if mended {
            self.mended.insert(target.clone(), now);
        }
        mended
    }

    /// Where files stand that are looked after.
    pub(crate) fn places(&self) -> HashSet<Place> {
        self.sights.values().filter_map(|sight| sight.place).collect()
    }

    /// The target is no more.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.sights.remove(target);
        self.suspects.remove(target);
        self.mended.remove(target);
        self.ours.remove(target);
        self.postponed.remove(target);
        self.writing.remove(target);
    }

    /// What the watcher is to be told, once a second at most, as a start makes many folders.
    pub(crate) fn new_folders(&mut self, now: BootInstant) -> Option<Wanted> {
        let nothing = self.fresh.is_empty() && !self.tell_all;
        if nothing || now.since(self.told_folders) < FOLDERS {
            return None;
        }
        self.told_folders = now;
        let fresh = std::mem::take(&mut self.fresh);
        let only = std::mem::take(&mut self.tell_all);
        Some(Wanted { folders: if only { self.folders.clone() } else { fresh }, only })
    }

    /// When the watcher is to be told, or a suspect to be looked at again; `None` where nothing is pending.
    pub(crate) fn next_wake(&self, now: BootInstant) -> Option<Duration> {
        let telling = (self.tell_all || !self.fresh.is_empty())
            .then(|| FOLDERS.saturating_sub(now.since(self.told_folders)));
        // What is being written ends by itself, and is looked at then.
        let waiting = self.postponed.iter().filter(|target| !self.writing.contains(*target));
        let truce = |target| {
            let mended = self.mended.get(target);
            mended.map_or(Duration::ZERO, |at| TRUCE.saturating_sub(now.since(*at)))
        };
        waiting.map(truce).chain(telling).min()
    }

    /// Everything, where a sweep is due; one at a time. The look itself blocks: [`suspicious`].
    pub(crate) fn sweep(&mut self, now: BootInstant) -> Option<Listed> {
        if self.sweeping || now.since(self.swept) < SWEEP {
            return None;
        }
        (self.sweeping, self.swept) = (true, now);
        self.mended.retain(|_, at| now.since(*at) < TRUCE);
        // A folder that was removed and made again has lost its watch.
        self.folders =
            self.sights.values().flat_map(|sight| sight.folders()).map(Path::to_path_buf).collect();
        self.tell_all = true;
        Some(self.listed(|_| true))
    }

    /// Those that something has happened to, to their folder or in them (a name that a set has not); all of them where
    /// events were lost.
    pub(crate) fn touched(&self, paths: &BTreeSet<PathBuf>) -> Listed {
        let lost = paths.contains(Path::new(""));
        let around: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        let concerns =
            |path: &Path| around.contains(path) || path.ancestors().take(2).any(|path| paths.contains(path));
        self.listed(|sight| lost || sight.paths.iter().any(|path| concerns(path)))
    }

    fn listed(&self, wanted: impl Fn(&Sight) -> bool) -> Listed {
        let sights = self.sights.iter().filter(|(_, sight)| wanted(sight));
        sights.map(|(target, sight)| (target.clone(), Arc::clone(sight))).collect()
    }

    /// A look has ended; gives the targets to be driven again. What was delivered meanwhile is no suspect.
    pub(crate) fn found(&mut self, suspicions: Suspicions, whole: bool, now: BootInstant) -> Vec<TargetId> {
        self.sweeping &= !whole;
        let sights = &self.sights;
        let known = suspicions
            .into_iter()
            .filter(|(target, look)| sights.get(target).is_some_and(|sight| sight.look == *look));
        let truce = |target: &TargetId| {
            self.writing.contains(target) || self.mended.get(target).is_some_and(|at| now.since(*at) < TRUCE)
        };
        let (later, lost): (Vec<_>, Vec<_>) = known.map(|(target, _)| target).partition(truce);
        self.suspects.extend(lost.iter().cloned());
        self.postponed.extend(later);
        lost
    }

    /// Suspects whose truce or write is over, to be looked at again.
    pub(crate) fn overdue(&mut self, now: BootInstant) -> Listed {
        let (mended, writing) = (&self.mended, &self.writing);
        let over = |target: &TargetId| {
            !writing.contains(target) && mended.get(target).is_none_or(|at| now.since(*at) >= TRUCE)
        };
        let due: Vec<TargetId> = self.postponed.iter().filter(|target| over(target)).cloned().collect();
        let listed = |target: TargetId| {
            self.postponed.remove(&target);
            let sight = Arc::clone(self.sights.get(&target)?);
            Some((target, sight))
        };
        due.into_iter().filter_map(listed).collect()
    }
}

/// Those that look different now. Blocks.
pub(crate) fn suspicious(listed: Listed) -> Suspicions {
    let differs = |(target, before): (TargetId, Arc<Sight>)| {
        (look(&before.paths) != Some(before.look)).then_some((target, before.look))
    };
    listed.into_iter().filter_map(differs).collect()
}

impl Sight {
    /// What stands there right after a write of ours. What is gone by then looks like nothing that can stand there, so
    /// that the next look differs. Blocks.
    pub(crate) fn after_write(paths: Vec<PathBuf>, place: Option<Place>) -> Self {
        let look = look(&paths).unwrap_or_default();
        Self { paths, look, place }
    }

    /// What has to be watched. Of a set: its own folder, and the one that `..data` leads to.
    fn folders(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().filter_map(|path| path.parent())
    }
}

/// What stands under the paths, and where one is a link what that leads to; `None` where one is missing.
fn look(paths: &[PathBuf]) -> Option<Look> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        let own = std::fs::symlink_metadata(path).ok()?;
        fold(&own, &mut hasher);
        if own.is_symlink() {
            fold(&std::fs::metadata(path).ok()?, &mut hasher);
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
pub(crate) struct Lookout(mpsc::UnboundedSender<Wanted>);

impl Lookout {
    /// Watches nothing yet; ends when this or the receiver is dropped.
    pub(crate) fn start() -> (Self, mpsc::Receiver<BTreeSet<PathBuf>>) {
        let (folders, new_folders) = mpsc::unbounded_channel();
        let (touched, receiver) = mpsc::channel(16);
        tokio::spawn(watch(new_folders, touched));
        (Self(folders), receiver)
    }

    /// These folders from now on. Where the system cannot watch them, the sweep does alone.
    pub(crate) fn set(&self, wanted: Wanted) {
        let _ = self.0.send(wanted);
    }
}

async fn watch(mut new_folders: mpsc::UnboundedReceiver<Wanted>, touched: mpsc::Sender<BTreeSet<PathBuf>>) {
    let (events, mut happened) = mpsc::channel::<PathBuf>(4096);
    let mut folders = Folders::new(events);
    loop {
        tokio::select! {
            new = new_folders.recv() => match new {
                Some(new) => {
                    // What cannot be watched is swept. What happened before a watch stood is looked for now.
                    let arm = move || {
                        let armed = if new.only { folders.arm(&new.folders) } else { folders.arm_too(&new.folders) };
                        (folders, armed)
                    };
                    let Some((back, armed)) = aside(arm).await else { return };
                    folders = back;
                    if !armed.fresh.is_empty() && touched.send(armed.fresh).await.is_err() {
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
