//! What the hooks of templates were last told, by template: `marks.json`. Losing it costs one run of each hook.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::directory::PRIVATE;
use super::wire;
use crate::atomic::{Error, Folder, SyncLevel};

const NAME: &str = "marks.json";
/// A thousand templates take a tenth of it.
const LARGEST: usize = 1 << 20;

/// The file and what it holds or is to hold.
#[derive(Debug)]
pub(super) struct Marks {
    held: Mutex<Held>,
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    marks: BTreeMap<String, u64>,
    revision: u64,
    written: u64,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    schema: u32,
    templates: BTreeMap<String, u64>,
}

impl Marks {
    /// Reads the file; one that is missing, unreadable or of another schema counts as empty: it is only a cache.
    pub(super) fn open(folder: &Folder) -> Self {
        let content = folder.read(NAME.as_ref(), LARGEST).ok().flatten().map(|held| held.content);
        let stored = content.and_then(|content| wire::open::<Stored>(&content).ok());
        let marks = stored.map(|stored| stored.templates).unwrap_or_default();
        let held = Held { marks, ..Held::default() };
        Self { held: Mutex::new(held), disk: Mutex::default() }
    }

    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.held().marks.clone()
    }

    /// In memory at once; [`Marks::write`] brings it to the disk.
    pub(super) fn set(&self, template: &str, mark: u64) {
        let mut held = self.held();
        held.marks.insert(template.to_owned(), mark);
        held.revision += 1;
    }

    /// Forgets all but these.
    pub(super) fn retain(&self, wanted: impl Fn(&str) -> bool) {
        let mut held = self.held();
        let before = held.marks.len();
        held.marks.retain(|template, _| wanted(template));
        held.revision += u64::from(held.marks.len() != before);
    }

    /// The file is gone: they are to be written again.
    pub(super) fn outdate(&self) {
        let mut held = self.held();
        held.revision += u64::from(!held.marks.is_empty());
    }

    /// Writes what is not written yet; a write that was waited for takes the later ones along. Blocks.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), Error> {
        let _disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        let (stored, revision) = {
            let held = self.held();
            if held.written == held.revision {
                return Ok(());
            }
            (Stored { schema: wire::SCHEMA, templates: held.marks.clone() }, held.revision)
        };
        let content = wire::sealed(&stored);
        folder.replace(NAME.as_ref(), &content, PRIVATE, SyncLevel::Content)?;
        self.held().written = revision;
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::store::Store;

    #[test]
    fn marks_of_templates_survive_and_others_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        store.mark("template:/one", 7).unwrap();
        store.mark("template:/two", 8).unwrap();
        store.mark("template:/one", 9).unwrap();
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.marks(), [("template:/one".to_owned(), 9), ("template:/two".to_owned(), 8)].into());
        store.keep_marks(|template| template.ends_with("two")).unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().marks(), [("template:/two".to_owned(), 8)].into());
    }

    #[test]
    fn unreadable_marks_count_as_none_and_are_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path()).unwrap());
        std::fs::File::create(dir.path().join("marks.json"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"{"))
            .unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert!(store.marks().is_empty());
        store.mark("template:/one", 1).unwrap();
        drop(store);
        assert_eq!(Store::open(dir.path()).unwrap().marks().len(), 1);
    }
}
