//! Files that somebody else provides, and that may hang: a FIFO without a writer, a file server that is away.
//!
//! A FIFO is never waited for. What hangs in the system cannot be given up, only left alone with its thread: so it is tried
//! again after pauses that double with each thread that a folder has cost, and there are never so many of them that the rest
//! of the agent has none.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::retry_on_intr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

/// How long is waited.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Who takes longer does not answer.
    patience: Duration,
    /// So long a file that does not answer is left alone; twice that for each thread that hangs in its folder already.
    pause: Duration,
}

const LIMITS: Limits = Limits { patience: Duration::from_secs(5), pause: Duration::from_secs(60) };
/// Where so many files of a folder do not answer, the others there are likely to hang on the same server. So many are looked
/// at at once.
const OF_A_FOLDER: usize = 4;
/// Looks that are out, at most, of the threads that the runtime has for what blocks.
const OF_ALL: usize = 48;

/// The file does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

/// What `work` makes of the file at `path`, off the runtime's workers.
///
/// # Errors
/// [`Silent`] after 5 s, and at once for a while after that.
pub async fn answered<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Silent> {
    answered_within(LIMITS, path, work).await
}

/// The whole of a regular file (links are followed), `limit` bytes at most. Blocks, but not on a FIFO's other end.
///
/// # Errors
/// What the system says; `InvalidInput` for what is no regular file, `FileTooLarge`.
pub fn read(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = retry_on_intr(|| open(path, flags, Mode::empty()))?;
    let stat = fstat(&file)?;
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
    let size = usize::try_from(stat.st_size).ok().filter(|size| *size <= limit).ok_or_else(too_large)?;
    // One allocation, with room for the reader's last probe: growing would leave copies of a key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(size + 64));
    std::fs::File::from(file).take(size as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Of paths and of folders: who may look.
static GATES: LazyLock<Mutex<HashMap<PathBuf, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);
static HANGING: LazyLock<Mutex<Hanging>> = LazyLock::new(Mutex::default);
static ALL: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(OF_ALL)));

/// What did not answer.
#[derive(Default)]
struct Hanging {
    /// When a path is looked at again.
    again: HashMap<PathBuf, Instant>,
    /// Threads that hang, by folder.
    threads: HashMap<PathBuf, u32>,
}

/// One look that is out; stays with its thread.
struct Look {
    path: PathBuf,
    end: Arc<Mutex<End>>,
    _place: Option<OwnedSemaphorePermit>,
}

/// What became of a look first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Out,
    Back,
    GivenUp,
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut end = locked(&self.end);
        let mut hanging = locked(&HANGING);
        hanging.again.remove(&self.path);
        if std::mem::replace(&mut *end, End::Back) == End::GivenUp
            && let Some(threads) = hanging.threads.get_mut(folder_of(&self.path))
        {
            *threads -= 1;
        }
        hanging.threads.retain(|_, threads| *threads > 0);
    }
}

async fn answered_within<T: Send + 'static>(
    limits: Limits,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Silent> {
    let now = sleep(Duration::ZERO).deadline();
    if locked(&HANGING).hangs(path, now) {
        return Err(Silent);
    }
    let end = Arc::new(Mutex::new(End::Out));
    let its_end = Arc::clone(&end);
    let looking = async {
        let _mine = gate(path, 1).acquire_owned().await;
        let _beside = gate(folder_of(path), OF_A_FOLDER).acquire_owned().await;
        let place = Arc::clone(&ALL).acquire_owned().await.ok();
        let look = Look { path: path.to_owned(), end: its_end, _place: place };
        let running = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(look);
            done
        });
        running.await
    };
    match timeout(limits.patience, looking).await {
        Ok(done) => done.map_err(|_| Silent),
        Err(_) => {
            // One that never began is not counted: its end is nobody's but ours.
            let began = Arc::strong_count(&end) > 1;
            let mut end = locked(&end);
            if began && *end == End::Out {
                *end = End::GivenUp;
                locked(&HANGING).give_up(path, now + limits.patience, limits.pause);
            }
            Err(Silent)
        }
    }
}

impl Hanging {
    /// Whether that is known without another look.
    fn hangs(&self, path: &Path, now: Instant) -> bool {
        let folder = folder_of(path);
        let left_alone = || self.again.iter().filter(|(_, again)| **again > now);
        let beside = || left_alone().filter(|(other, _)| folder_of(other) == folder).count();
        self.again.get(path).is_some_and(|again| *again > now) || beside() >= OF_A_FOLDER
    }

    fn give_up(&mut self, path: &Path, now: Instant, pause: Duration) {
        let threads = self.threads.entry(folder_of(path).to_owned()).or_default();
        let pause = pause * 2_u32.saturating_pow((*threads).min(16));
        *threads += 1;
        self.again.insert(path.to_owned(), now + pause);
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn gate(path: &Path, places: usize) -> Arc<Semaphore> {
    let mut gates = locked(&GATES);
    gates.retain(|_, gate| Arc::strong_count(gate) > 1);
    Arc::clone(gates.entry(path.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(places))))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SHORT: Limits = Limits { patience: Duration::from_millis(50), pause: Duration::from_secs(3600) };
    const SOON: Limits = Limits { patience: Duration::from_millis(50), pause: Duration::from_millis(50) };

    /// A file that answers once the sender is dropped.
    async fn hang(limits: Limits, path: &Path) -> (Result<(), Silent>, mpsc::Sender<()>) {
        let (end, ended) = mpsc::channel::<()>();
        let wait = move || {
            let _ = ended.recv();
        };
        (answered_within(limits, path, wait).await, end)
    }

    async fn nobody_looks(path: &Path) {
        let looked = answered_within(SHORT, path, || panic!("nobody looks")).await;
        assert_eq!(looked, Err::<(), _>(Silent));
    }

    async fn until_answered(path: &Path) {
        while answered(path, || ()).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_hangs_keeps_one_thread_and_is_left_alone_until_it_is_back() {
        let path = Path::new("/one/hangs");
        let (looked, end) = hang(SHORT, path).await;
        assert_eq!(looked, Err(Silent));
        nobody_looks(path).await;
        assert_eq!(answered(Path::new("/one/beside"), || 7).await, Ok(7), "the others are not held up");
        drop(end);
        until_answered(path).await;
    }

    #[tokio::test]
    async fn what_hangs_is_looked_at_again_after_longer_and_longer_pauses() {
        let path = Path::new("/again/hangs");
        let (looked, _first) = hang(SOON, path).await;
        assert_eq!(looked, Err(Silent));
        // Somebody may have put another file there; the thread hangs on all the same.
        until_answered(path).await;
        assert_eq!(answered(path, || 7).await, Ok(7));
        let (looked, _second) = hang(SHORT, path).await;
        assert_eq!(looked, Err(Silent));
        let hanging = locked(&HANGING);
        assert_eq!(hanging.threads[folder_of(path)], 2);
        let pause = hanging.again[path].duration_since(sleep(Duration::ZERO).deadline());
        assert!(pause > SHORT.pause, "{pause:?}");
    }

    #[tokio::test]
    async fn a_folder_whose_files_hang_costs_few_threads_and_leaves_other_folders_alone() {
        let mut ends = Vec::new();
        for number in 0..OF_A_FOLDER {
            let (looked, end) = hang(SHORT, &Path::new("/many").join(number.to_string())).await;
            assert_eq!(looked, Err(Silent));
            ends.push(end);
        }
        nobody_looks(Path::new("/many/more")).await;
        assert_eq!(answered(Path::new("/few/more"), || 7).await, Ok(7));
        drop(ends);
        until_answered(Path::new("/many/more")).await;
    }

    #[tokio::test]
    async fn many_at_once_take_turns() {
        let looks = (0..200).map(|number| async move {
            let path = Path::new("/turns").join((number % 20).to_string());
            answered(&path, move || number).await
        });
        let done: Result<Vec<_>, _> = futures_util::future::join_all(looks).await.into_iter().collect();
        assert_eq!(done.unwrap(), (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn only_regular_files_are_read_and_a_fifo_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut file = std::fs::File::create(at("file")).unwrap();
        io::Write::write_all(&mut file, b"content").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        for name in ["file", "link"] {
            assert_eq!(*read(&at(name), 7).unwrap(), b"content");
        }
        let kind = |name: &str, limit| read(&at(name), limit).unwrap_err().kind();
        assert_eq!(kind("file", 6), io::ErrorKind::FileTooLarge);
        assert_eq!(kind("fifo", 7), io::ErrorKind::InvalidInput);
        assert_eq!(kind(".", 7), io::ErrorKind::InvalidInput);
        assert_eq!(kind("absent", 7), io::ErrorKind::NotFound);
    }
}
