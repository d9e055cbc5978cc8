//! A set of folders that the system is asked to watch. What it says is only a reason to look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use crate::atomic::TEMPORARY_PREFIX;

/// Folders being watched; each path that something happened to is sent, an empty one where events were lost.
pub(super) struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    events: mpsc::Sender<PathBuf>,
}

impl Folders {
    /// None yet. A full channel is full of reasons to look: what does not fit is dropped.
    pub(super) fn new(events: mpsc::Sender<PathBuf>) -> Self {
        Self { watcher: None, watched: BTreeSet::new(), events }
    }

    /// Watches these of them that exist, and no others; says why where that is not possible for all.
    pub(super) fn arm(&mut self, folders: &BTreeSet<PathBuf>) -> Option<String> {
        let wanted: BTreeSet<&PathBuf> = folders.iter().filter(|folder| folder.is_dir()).collect();
        if self.watcher.is_none() {
            self.watched.clear();
            match self.watcher() {
                Ok(watcher) => self.watcher = Some(watcher),
                Err(error) => return Some(error.to_string()),
            }
        }
        let watcher = self.watcher.as_mut()?;
        let mut problem = None;
        self.watched.retain(|folder| {
            let keep = wanted.contains(folder);
            if !keep {
                let _ = watcher.unwatch(folder); // it may have vanished
            }
            keep
        });
        for folder in wanted {
            if self.watched.contains(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone());
                }
                Err(error) => problem = Some(error.to_string()),
            }
        }
        problem
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

/// What a file is written to before it takes its name is nobody's business.
fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY_PREFIX))
}
