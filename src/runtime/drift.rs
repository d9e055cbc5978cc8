//! Drift: what was delivered and is not there any more as it was. Folders are watched where the system can, and every
//! minute all files are looked at; a look is one `lstat` against what was seen after our own write. What differs is
//! only a suspicion: the target is driven again, which compares content, mode and owner and writes where it must.

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
    /// Suspects of a truce that lasts.
    postponed: HashSet<TargetId>,
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

    /// A delivery has ended, with this look; `None` where nothing stands there now or nobody knows.
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
        let truce = |target: &TargetId| self.mended.get(target).is_some_and(|at| now.since(*at) < TRUCE);
        let (later, lost): (Vec<_>, Vec<_>) = known.map(|(target, _)| target).partition(truce);
        self.suspects.extend(lost.iter().cloned());
        self.postponed.extend(later);
        lost
    }

    /// Suspects whose truce is over, to be looked at again.
    pub(crate) fn overdue(&mut self, now: BootInstant) -> Vec<(TargetId, PathBuf, Look)> {
        let mended = &self.mended;
        let over = |target: &TargetId| mended.get(target).is_none_or(|at| now.since(*at) >= TRUCE);
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn at(secs: u64) -> BootInstant {
        BootInstant(secs * 1000)
    }

    fn told(drift: &mut Drift, path: &Path, now: BootInstant) -> bool {
        let seen = look(path).map(|look| (path.to_owned(), look));
        drift.delivered(&"file:one".into(), seen, true, now)
    }

    fn suspects(drift: &mut Drift, now: BootInstant) -> usize {
        let listed = drift.sweep(now).expect("a sweep is due");
        drift.found(suspicious(listed), true, now).len()
    }

    #[test]
    fn whatever_happens_to_a_delivered_file_is_suspicious_once_until_it_is_delivered_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        type Deed = fn(&Path);
        let deeds: [(&str, Deed); 5] = [
            ("removed", |path| fs::remove_file(path).unwrap()),
            ("changed", |path| fs::File::create(path).map(drop).unwrap()),
            ("another mode", |path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap()),
            ("another file", |path| {
                fs::File::create(path.with_extension("new")).unwrap();
                fs::rename(path.with_extension("new"), path).unwrap();
            }),
            ("a link", |path| {
                fs::remove_file(path).unwrap();
                std::os::unix::fs::symlink("/etc/hostname", path).unwrap();
            }),
        ];
        for (what, deed) in deeds {
            let mut drift = Drift::new(at(0));
            let _ = fs::remove_file(&path);
            fs::File::create(&path).unwrap();
            assert!(!told(&mut drift, &path, at(0)), "{what}: nothing was mended by the first delivery");
            assert_eq!(suspects(&mut drift, at(60)), 0, "{what}: not yet");
            deed(&path);
            assert_eq!(suspects(&mut drift, at(120)), 1, "{what}");
            assert!(told(&mut drift, &path, at(121)), "{what} is mended");
            assert!(!told(&mut drift, &path, at(122)), "{what} is mended once");
        }
    }

    #[test]
    fn a_sweep_is_made_once_a_minute_and_one_at_a_time() {
        let mut drift = Drift::new(at(0));
        assert!(drift.sweep(at(59)).is_none());
        assert!(drift.sweep(at(60)).is_some());
        assert!(drift.sweep(at(200)).is_none(), "the first has not ended");
        assert!(drift.found(Vec::new(), true, at(201)).is_empty());
        assert!(drift.sweep(at(201)).is_some());
    }

    #[test]
    fn what_was_delivered_while_a_look_was_under_way_is_no_suspect() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::File::create(&path).unwrap();
        let mut drift = Drift::new(at(0));
        told(&mut drift, &path, at(0));
        let listed = drift.sweep(at(60)).expect("a sweep is due");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let seen = suspicious(listed);
        told(&mut drift, &path, at(60)); // our own write
        assert!(drift.found(seen, true, at(60)).is_empty());
    }

    #[test]
    fn a_target_that_was_just_mended_is_left_alone_for_ten_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let mut drift = Drift::new(at(0));
        let spoil = |path: &Path| {
            let _ = fs::remove_file(path);
            fs::File::create(path).map(drop).unwrap();
        };
        spoil(&path);
        told(&mut drift, &path, at(0));
        spoil(&path);
        let listed = drift.touched(&BTreeSet::from([path.clone()]));
        assert_eq!(drift.found(suspicious(listed), false, at(1)).len(), 1);
        assert!(told(&mut drift, &path, at(1)));
        spoil(&path);
        let again = drift.touched(&BTreeSet::from([path.clone()]));
        assert!(drift.found(suspicious(again), false, at(2)).is_empty());
        assert!(drift.overdue(at(10)).is_empty());
        let again = drift.overdue(at(12));
        assert_eq!(drift.found(suspicious(again), false, at(12)).len(), 1, "but not for ever");
    }

    #[tokio::test]
    async fn a_deed_in_a_watched_folder_is_reported_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let (lookout, mut touched) = Lookout::start();
        lookout.set(BTreeSet::from([dir.path().to_path_buf()]));
        let path = dir.path().join("token");
        let seen = timeout(Duration::from_secs(10), async {
            loop {
                fs::File::create(&path).unwrap(); // until the watch stands
                match timeout(Duration::from_millis(500), touched.recv()).await {
                    Ok(Some(paths)) if paths.contains(&path) => break,
                    Ok(None) => panic!("the lookout lives"),
                    _ => continue,
                }
            }
        });
        seen.await.expect("within 10 s");
    }
}
