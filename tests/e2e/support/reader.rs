//! A reader in a loop: what an application sees that reads its token whenever it likes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Reads a file in a thread of its own until it is asked what it saw.
pub(crate) struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What a reader saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// How often it looked.
    pub(crate) looks: u64,
    /// What was wrong, and how often.
    pub(crate) bad: BTreeMap<String, u64>,
    /// The longest time in which every look was bad.
    pub(crate) longest_gap: Duration,
}

impl Reader {
    /// Looks at `path` with `check`, which says what is wrong with its content (`None`: there is no file).
    pub(crate) fn start(
        path: PathBuf,
        pause: Duration,
        check: impl Fn(Option<&[u8]>) -> Result<(), String> + Send + 'static,
    ) -> Self {
        Self::looking(pause, move || check(std::fs::read(&path).ok().as_deref()))
    }

    /// Looks in a way of its own, and says what is wrong.
    pub(crate) fn looking(
        pause: Duration,
        mut look: impl FnMut() -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut bad_since = None;
            while !stopped.load(Ordering::Relaxed) {
                let verdict = look();
                seen.looks += 1;
                match verdict {
                    Ok(()) => bad_since = None,
                    Err(what) => {
                        *seen.bad.entry(what).or_default() += 1;
                        let since = *bad_since.get_or_insert_with(Instant::now);
                        seen.longest_gap = seen.longest_gap.max(since.elapsed());
                    }
                }
                std::thread::sleep(pause);
            }
            seen
        });
        Self { stop, thread }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
