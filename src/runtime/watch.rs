//! Notices that files have changed. Parent folders are watched, not files: a file's watch dies at the first rename
//! over it, and at the first swap of a ConfigMap's `..data`. What is compared are signatures taken by `stat` through
//! all symlinks; events of the folder only say when to look. Every 30 s we look anyway, every 2 s where watching is
//! not to be had (the system's limit of watches): watching is only an optimisation.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::folders::{Folders, aside};
use crate::domain::Timestamp;

/// Silence that ends a burst of events.
const QUIET: Duration = Duration::from_millis(250);
/// A burst is not waited out for longer.
const BURST: Duration = Duration::from_secs(2);
/// How often we look when watching works.
const POLL: Duration = Duration::from_secs(30);
/// How often we look when it does not.
const POLL_ALONE: Duration = Duration::from_secs(2);

/// What is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// The configuration and what it includes.
    pub(crate) config: BTreeSet<PathBuf>,
    /// Folders in which an include pattern may find a new file.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Sources of secrets.
    pub(crate) secrets: BTreeSet<PathBuf>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// Something of the configuration.
    Config,
    /// These sources of secrets.
    Secrets(BTreeSet<PathBuf>),
    /// Said once: watching is not to be had, so we poll.
    Polling(String),
}

/// Tells the watcher what to watch from now on.
pub(crate) struct Watch(mpsc::UnboundedSender<(Interest, Timestamp)>);

impl Watch {
    /// Starts a watcher that watches nothing yet; it ends when this or the receiver is dropped.
    pub(crate) fn start() -> (Self, mpsc::Receiver<Change>) {
        let (interests, new_interests) = mpsc::unbounded_channel();
        let (changes, receiver) = mpsc::channel(16);
        tokio::spawn(run(new_interests, changes));
        (Self(interests), receiver)
    }

    /// These files from now on; they were read after `since`. What has changed since then is reported at once.
    pub(crate) fn set(&self, interest: Interest, since: Timestamp) {
        // The watcher only ends with the agent.
        let _ = self.0.send((interest, since));
    }
}

async fn run(
    mut new_interests: mpsc::UnboundedReceiver<(Interest, Timestamp)>,
    changes: mpsc::Sender<Change>,
) {
    let (events, mut happened) = mpsc::channel::<PathBuf>(1024);
    let mut folders = Folders::new(events);
    let mut interest = Interest::default();
    let mut seen = Seen::default();
    let mut said = false;
    loop {
        let wanted = interest.clone();
        let arm = move || {
            let problem = folders.arm(&wanted.watched_folders()).problem;
            (folders, problem)
        };
        let Some((armed, problem)) = aside(arm).await else { return };
        folders = armed;
        if let Some(problem) = problem.as_ref().filter(|_| !said) {
            said = true;
            if changes.send(Change::Polling(problem.clone())).await.is_err() {
                return;
            }
        }
        let pause = if problem.is_some() { POLL_ALONE } else { POLL };
        let names = interest.names();
        tokio::select! {
            new = new_interests.recv() => match new {
                Some((new, since)) => {
                    interest = new.clone();
                    let arm = move || {
                        // Files that were watched before keep their signature: a change in between is not lost.
                        let seen = Seen::look(&new).doubting(since).keeping(seen);
                        // First the watches, then the look: nothing falls in between.
                        let _ = folders.arm(&new.watched_folders());
                        (folders, seen)
                    };
                    match aside(arm).await {
                        Some(armed) => (folders, seen) = armed,
                        None => return,
                    }
                }
                None => return,
            },
            () = one_of_ours(&mut happened, &names) => settle(&mut happened).await,
            () = sleep(pause) => {}
        }
        let wanted = interest.clone();
        let Some(now) = aside(move || Seen::look(&wanted)).await else { return };
        for change in now.changes_since(&seen) {
            if changes.send(change).await.is_err() {
                return;
            }
        }
        seen = now;
    }
}

/// Waits for an event that concerns us.
async fn one_of_ours(happened: &mut mpsc::Receiver<PathBuf>, names: &BTreeSet<OsString>) {
    while let Some(path) = happened.recv().await {
        if interesting(path.file_name().unwrap_or_default(), names) {
            return;
        }
    }
    std::future::pending().await
}

/// Waits until the burst of events is over.
async fn settle(happened: &mut mpsc::Receiver<PathBuf>) {
    let quiet = async { while let Ok(Some(_)) = timeout(QUIET, happened.recv()).await {} };
    let _ = timeout(BURST, quiet).await;
}

/// A kubelet swaps `..data`; everything else is known by name. The folder may also hold sinks, state and logs.
fn interesting(name: &OsStr, names: &BTreeSet<OsString>) -> bool {
    let any_yaml = names.contains(OsStr::new("*"));
    name.is_empty()
        || name.to_string_lossy().starts_with("..")
        || names.contains(name)
        || (any_yaml && is_yaml(name))
}

fn is_yaml(name: &OsStr) -> bool {
    matches!(Path::new(name).extension().and_then(|ending| ending.to_str()), Some("yaml" | "yml"))
}

impl Interest {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.config.iter().chain(&self.secrets)
    }

    /// File names to react to; `*` where any YAML file in an included folder counts.
    fn names(&self) -> BTreeSet<OsString> {
        let mut names: BTreeSet<OsString> =
            self.files().filter_map(|path| path.file_name()).map(OsString::from).collect();
        if !self.folders.is_empty() {
            names.insert("*".into());
        }
        names
    }

    fn watched_folders(&self) -> BTreeSet<PathBuf> {
        let parents = self.files().filter_map(|path| path.parent()).map(Path::to_path_buf);
        // A file that is a symlink changes where its target is, too.
        let targets = self.files().filter_map(|path| std::fs::canonicalize(path).ok());
        let targets = targets.filter_map(|path| path.parent().map(Path::to_path_buf));
        parents.chain(targets).chain(self.folders.iter().cloned()).collect()
    }
}

/// What the files looked like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    config: BTreeMap<PathBuf, Option<Signature>>,
    folders: BTreeMap<PathBuf, BTreeSet<OsString>>,
    secrets: BTreeMap<PathBuf, Option<Signature>>,
}

/// Device, inode, modification and change time, size.
type Signature = (u64, u64, i64, i64, i64, i64, u64);

impl Seen {
    fn look(interest: &Interest) -> Self {
        let look = |paths: &BTreeSet<PathBuf>| {
            paths.iter().map(|path| (path.clone(), signature(path))).collect::<BTreeMap<_, _>>()
        };
        let list = |folder: &PathBuf| (folder.clone(), yaml_names(folder));
        Self {
            config: look(&interest.config),
            folders: interest.folders.iter().map(list).collect(),
            secrets: look(&interest.secrets),
        }
    }

    /// What was touched about when it was read may have been read before: it counts as unknown.
    fn doubting(mut self, since: Timestamp) -> Self {
        let doubtful = |signature: &Signature| signature.4 >= since.as_secs() - 1;
        for signature in self.config.values_mut().chain(self.secrets.values_mut()) {
            *signature = signature.filter(|known| !doubtful(known));
        }
        self
    }

    fn keeping(mut self, before: Self) -> Self {
        let keep = |new: &mut BTreeMap<PathBuf, Option<Signature>>,
                    old: BTreeMap<PathBuf, Option<Signature>>| {
            for (path, signature) in old {
                new.entry(path).and_modify(|entry| *entry = signature);
            }
        };
        keep(&mut self.config, before.config);
        keep(&mut self.secrets, before.secrets);
        for (folder, names) in before.folders {
            self.folders.entry(folder).and_modify(|entry| *entry = names);
        }
        self
    }

    fn changes_since(&self, before: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.config != before.config || self.folders != before.folders {
            changes.push(Change::Config);
        }
        let differs = |(path, signature): &(&PathBuf, &Option<Signature>)| {
            before.secrets.get(*path) != Some(*signature)
        };
        let secrets: BTreeSet<PathBuf> =
            self.secrets.iter().filter(differs).map(|(path, _)| path.clone()).collect();
        if !secrets.is_empty() {
            changes.push(Change::Secrets(secrets));
        }
        changes
    }
}

fn signature(path: &Path) -> Option<Signature> {
    let look = std::fs::metadata(path).ok()?;
    Some((
        look.dev(),
        look.ino(),
        look.mtime(),
        look.mtime_nsec(),
        look.ctime(),
        look.ctime_nsec(),
        look.size(),
    ))
}

fn yaml_names(folder: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| entry.file_name()).filter(|name| is_yaml(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const LONG_AGO: Timestamp = Timestamp::from_millis_const(253_402_000_000_000); // nothing is doubted

    async fn next(changes: &mut mpsc::Receiver<Change>) -> Change {
        timeout(Duration::from_secs(10), changes.recv())
            .await
            .expect("a change within 10 s")
            .expect("a watcher")
    }

    fn put(path: &Path, text: &str) {
        let temp = path.with_extension("temp");
        std::fs::File::create(&temp)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
        std::fs::rename(&temp, path).unwrap();
    }

    #[tokio::test]
    async fn a_rename_over_is_noticed_each_time_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let (config, secret) = (dir.path().join("renewd.yaml"), dir.path().join("password"));
        put(&config, "one");
        put(&secret, "one");
        let interest = Interest {
            config: [config.clone()].into(),
            folders: BTreeSet::new(),
            secrets: [secret.clone()].into(),
        };
        let (watch, mut changes) = Watch::start();
        watch.set(interest, LONG_AGO);
        sleep(Duration::from_millis(300)).await;
        for text in ["two", "three"] {
            put(&config, text);
            assert_eq!(next(&mut changes).await, Change::Config);
        }
        put(&dir.path().join("a-sink.token"), "x");
        put(&secret, "two");
        assert_eq!(next(&mut changes).await, Change::Secrets([secret].into()));
    }

    #[tokio::test]
    async fn a_kubelets_swap_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("..one", "1"), ("..two", "2")] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
            put(&dir.path().join(version).join("renewd.yaml"), text);
        }
        symlink("..one", dir.path().join("..data")).unwrap();
        symlink("..data/renewd.yaml", dir.path().join("renewd.yaml")).unwrap();
        let interest = Interest { config: [dir.path().join("renewd.yaml")].into(), ..Interest::default() };
        let (watch, mut changes) = Watch::start();
        watch.set(interest, LONG_AGO);
        sleep(Duration::from_millis(300)).await;
        symlink("..two", dir.path().join("..data_tmp")).unwrap();
        std::fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        assert_eq!(next(&mut changes).await, Change::Config);
    }

    #[tokio::test]
    async fn a_new_file_in_an_included_folder_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let interest = Interest { folders: [dir.path().to_path_buf()].into(), ..Interest::default() };
        let (watch, mut changes) = Watch::start();
        watch.set(interest, LONG_AGO);
        sleep(Duration::from_millis(300)).await;
        put(&dir.path().join("more.yaml"), "accounts: {}");
        assert_eq!(next(&mut changes).await, Change::Config);
    }
}
