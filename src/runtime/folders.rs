//! A set of folders that the system is asked to watch. What it says is only a reason to look.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::atomic::TEMPORARY_PREFIX;

/// Folders being watched; each path that something happened to is sent, an empty one where events were lost.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeMap<PathBuf, Identity>,
    events: mpsc::Sender<PathBuf>,
}

/// Which folder stands under a path: device, inode and birth, as an inode's number is soon another's.
type Identity = (u64, u64, Option<SystemTime>);

/// What came of asking for watches.
#[derive(Debug, Default)]
pub(super) struct Armed {
    /// Folders that were not watched before, of which another stands there now, or that are gone: to be looked at.
    pub(super) fresh: BTreeSet<PathBuf>,
    /// Why some of them cannot be watched.
    pub(super) problem: Option<String>,
}

impl Folders {
    /// None yet. A full channel is full of reasons to look: what does not fit is dropped.
    pub(super) fn new(events: mpsc::Sender<PathBuf>) -> Self {
        Self { watcher: None, watched: BTreeMap::new(), events }
    }

    /// Watches these of them that exist, and no others. Another folder in the place of one that was watched counts as new.
    pub(super) fn arm(&mut self, folders: &BTreeSet<PathBuf>) -> Armed {
        if let Some(watcher) = self.watcher.as_mut() {
            self.watched.retain(|folder, _| {
                let keep = folders.contains(folder);
                if !keep {
                    let _ = watcher.unwatch(folder); // it may have vanished
                }
                keep
            });
        }
        self.watch(folders, false)
    }

    /// Watches these of them that exist, too; also those whose watch may have been lost with what stood there.
    pub(super) fn arm_too(&mut self, folders: &BTreeSet<PathBuf>) -> Armed {
        self.watch(folders, true)
    }

    fn watch(&mut self, folders: &BTreeSet<PathBuf>, again: bool) -> Armed {
        let mut armed = Armed::default();
        if self.watcher.is_none() {
            self.watched.clear();
            match self.watcher() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => armed.problem = Some(error.to_string()),
            }
        }
        let Some(watcher) = self.watcher.as_mut() else { return armed };
        for folder in folders {
            let now = identity(folder);
            let known = self.watched.get(folder).copied();
            if known.is_some() && known == now && !again {
                continue;
            }
            if known.is_some() && known != now {
                // The one that stood there may live on under another name: it is no concern any more.
                self.watched.remove(folder);
                let _ = watcher.unwatch(folder);
            }
            let Some(now) = now else {
                // It went before it was watched: nothing else will tell.
                armed.fresh.insert(folder.clone());
                continue;
            };
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone(), now);
                    if known != Some(now) {
                        armed.fresh.insert(folder.clone());
                    }
                }
                Err(error) => armed.problem = Some(error.to_string()),
            }
        }
        armed
    }

    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let events = self.events.clone();
        notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return; // our own reading makes these
            }
            if event.need_rescan() {
                let _ = events.try_send(PathBuf::new());
            }
            for path in event.paths.into_iter().filter(|path| !is_temporary(path)) {
                let _ = events.try_send(path);
            }
        })
    }
}

/// Runs what blocks off the runtime's workers: a file server that is away keeps whoever waits for this, and nobody else.
/// `None` where the runtime ends.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Of the folder that the path leads to, where there is one.
fn identity(folder: &Path) -> Option<Identity> {
    let found = std::fs::metadata(folder).ok().filter(std::fs::Metadata::is_dir)?;
    Some((found.dev(), found.ino(), found.created().ok()))
}

/// What a file is written to before it takes its name is nobody's business.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY_PREFIX))
}
