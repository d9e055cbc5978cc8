//! A program that uses the token: it reads the file in a tight loop and has the server judge what it finds.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What it has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) reads: u64,
    pub(crate) judged: u64,
    pub(crate) tokens: BTreeSet<String>,
    /// Reads that were empty or half, and tokens that the server did not accept.
    pub(crate) bad: Vec<String>,
}

pub(crate) struct Reader {
    thread: Option<JoinHandle<Seen>>,
    end: Arc<AtomicBool>,
}

impl Reader {
    /// Reads `path` from its first appearance on. `judge` says whether the server accepts a token now, else why not.
    pub(crate) fn start(path: PathBuf, judge: impl Fn(&str) -> Result<(), String> + Send + 'static) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut last: Option<(String, Instant)> = None;
            while !ended.load(Ordering::Relaxed) {
                match std::fs::read_to_string(&path) {
                    Err(error) if seen.reads > 0 => seen.bad.push(error.to_string()),
                    Err(_) => {}
                    Ok(token) => {
                        seen.reads += 1;
                        let fresh = |(known, at): &(String, Instant)| {
                            *known == token && at.elapsed() < Duration::from_millis(100)
                        };
                        if !last.as_ref().is_some_and(fresh) {
                            seen.judged += 1;
                            if let Err(why) = judge(&token) {
                                seen.bad.push(format!("read {}: `{token}`: {why}", seen.reads));
                            }
                            seen.tokens.insert(token.clone());
                            last = Some((token, Instant::now()));
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        Self { thread: Some(thread), end }
    }

    /// Ends it and tells what it has seen.
    pub(crate) fn end(mut self) -> Seen {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().expect("the reader has not panicked")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
