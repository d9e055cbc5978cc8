//! Standard error, written by a thread of its own: whoever reads it may stall (a full pipe, a terminal that is held), and
//! nothing waits for that. What finds no room is dropped and counted, and a line says so in its place.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes that may wait, and one line more.
const ROOM: usize = 4 << 20;
/// So much goes in one write, in whole lines: a pipe does not mix that with what others write into it (`PIPE_BUF`).
const AT_ONCE: usize = 4096;
/// Memory that the queue keeps when nothing waits.
const KEPT: usize = 64 << 10;
/// The end waits so long for what is still to be written.
const PATIENCE: Duration = Duration::from_secs(1);
/// A descriptor that somebody has made non-blocking is tried again after this.
const PAUSE: Duration = Duration::from_millis(10);

static STDERR: OnceLock<Queue> = OnceLock::new();

/// From now on the thread writes. Where it cannot be started everybody goes on to write for himself.
pub(super) fn start() {
    let queue = Queue::new(ROOM);
    let tell = |lost: u64| {
        // At the highest level, so that none leaves it out.
        tracing::error!(
            event = "log_lost",
            lost,
            "standard error did not keep up: lines of the log are lost"
        );
    };
    if STDERR.get().is_none()
        && queue.serve(|bytes| Ok(rustix::io::write(io::stderr(), bytes)?), tell).is_ok()
    {
        let _ = STDERR.set(queue);
    }
}

/// Writes that behind all that was written before; waits for nobody where the log has been started.
pub fn write_stderr(bytes: &[u8]) {
    match STDERR.get() {
        Some(queue) => queue.put(bytes),
        None => {
            let mut stderr = io::stderr().lock();
            let _ = stderr.write_all(bytes).and_then(|()| stderr.flush()); // nobody can be told
        }
    }
}

/// Waits until all of it is written, but not for long: at the end of the process.
pub fn flush_stderr() {
    if let Some(queue) = STDERR.get() {
        queue.flush(PATIENCE);
    }
}

/// Lines that were dropped since the start.
pub(super) fn dropped() -> u64 {
    STDERR.get().map_or(0, |queue| queue.lock().dropped)
}

/// What waits for the thread, and how it fares.
#[derive(Debug, Clone)]
struct Queue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    room: usize,
    waiting: Mutex<Waiting>,
    /// Something waits.
    more: Condvar,
    /// Nothing does any more.
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    /// The thread has something in hand.
    busy: bool,
    /// There was no room; until half of it is free there is none. So what is missing is missing in one place.
    full: bool,
    /// It is being said that lines are missing: that is never dropped.
    telling: bool,
    /// Dropped lines of which nothing has been said.
    unsaid: u64,
    /// All of them.
    dropped: u64,
}

impl Waiting {
    fn lose(&mut self, bytes: &[u8]) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count().max(1) as u64;
        self.unsaid += lines;
        self.dropped += lines;
    }
}

impl Queue {
    fn new(room: usize) -> Self {
        let (more, idle) = Default::default();
        Self(Arc::new(Shared { room, waiting: Mutex::default(), more, idle }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits for a reader.
    fn put(&self, bytes: &[u8]) {
        let mut waiting = self.lock();
        waiting.full |= waiting.bytes.len() >= self.0.room;
        if waiting.full && !waiting.telling {
            waiting.lose(bytes);
            return;
        }
        waiting.bytes.extend(bytes);
        self.0.more.notify_one();
    }

    /// Whether all was written within that time.
    fn flush(&self, limit: Duration) -> bool {
        let waits = |waiting: &mut Waiting| waiting.busy || !waiting.bytes.is_empty();
        let done = self.0.idle.wait_timeout_while(self.lock(), limit, waits);
        !done.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Starts the thread; `tell` puts the line that says how many are missing.
    fn serve(
        &self,
        mut write: impl FnMut(&[u8]) -> io::Result<usize> + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<()> {
        let queue = self.clone();
        let thread = std::thread::Builder::new().name("renewd-log".to_owned());
        thread.spawn(move || {
            let (mut hand, mut torn) = (Vec::with_capacity(AT_ONCE), false);
            loop {
                queue.take(&mut hand);
                if torn {
                    hand.insert(0, b'\n');
                }
                let left = write_all(&mut write, &hand);
                torn = match left {
                    0 => false,
                    left if left == hand.len() => torn,
                    left => hand.get(hand.len() - left - 1) != Some(&b'\n'),
                };
                let mut waiting = queue.lock();
                match hand.len() - left {
                    written if left > 0 => waiting.lose(hand.get(written..).unwrap_or_default()),
                    _ if waiting.unsaid > 0 && !waiting.full => {
                        let unsaid = std::mem::take(&mut waiting.unsaid);
                        waiting.telling = true;
                        drop(waiting);
                        tell(unsaid);
                        queue.lock().telling = false;
                    }
                    _ => {}
                }
            }
        })?;
        Ok(())
    }

    /// Waits for something to write: whole lines, as many as go in one write, but one at least.
    fn take(&self, hand: &mut Vec<u8>) {
        hand.clear();
        let mut waiting = self.lock();
        if waiting.bytes.is_empty() {
            waiting.busy = false;
            waiting.bytes.shrink_to(KEPT);
            self.0.idle.notify_all();
            let is_idle = |waiting: &mut Waiting| waiting.bytes.is_empty();
            waiting = self.0.more.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.busy = true;
        let ends = |from: usize, to: usize| waiting.bytes.range(from..to).position(|byte| *byte == b'\n');
        let near = waiting.bytes.len().min(AT_ONCE);
        let last = waiting.bytes.range(..near).rposition(|byte| *byte == b'\n');
        let first = || ends(near, waiting.bytes.len()).map(|further| near + further);
        let count = last.or_else(first).map_or(waiting.bytes.len(), |end| end + 1);
        hand.extend(waiting.bytes.drain(..count));
        waiting.full &= waiting.bytes.len() > self.0.room / 2;
    }
}

/// Gives how many bytes could not be written.
fn write_all(write: &mut impl FnMut(&[u8]) -> io::Result<usize>, mut bytes: &[u8]) -> usize {
    while !bytes.is_empty() {
        match write(bytes) {
            Ok(0) => break,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
            Err(_) => break,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// A reader that takes what it is allowed to; each write's bytes, or `None` where it is to fail after half of them.
    struct Bench {
        queue: Queue,
        allow: Sender<bool>,
        writes: Receiver<Vec<u8>>,
    }

    impl Bench {
        fn new(room: usize) -> Self {
            let queue = Queue::new(room);
            let (allow, allowed) = channel();
            let (done, writes) = channel();
            let (to, mut ends) = (queue.clone(), false);
            let write = move |bytes: &[u8]| {
                if std::mem::take(&mut ends) {
                    return Err(ErrorKind::StorageFull.into());
                }
                ends = !allowed.recv().unwrap_or(true);
                let bytes = if ends { &bytes[..bytes.len() / 2] } else { bytes };
                let _ = done.send(bytes.to_vec());
                Ok(bytes.len())
            };
            queue.serve(write, move |lost| to.put(format!("lost {lost}\n").as_bytes())).unwrap();
            Self { queue, allow, writes }
        }

        fn put(&self, line: &str) {
            self.queue.put(format!("{line}\n").as_bytes());
        }

        /// All that was written, once the reader takes everything.
        fn rest(&self) -> String {
            (0..100_000).for_each(|_| self.allow.send(true).unwrap());
            assert!(self.queue.flush(LONG));
            let written: Vec<u8> = self.writes.try_iter().flatten().collect();
            String::from_utf8(written).unwrap()
        }
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody_up_and_what_is_lost_is_said_where_it_is_missing() {
        let bench = Bench::new(64 << 10);
        (0..20_000).for_each(|number| bench.put(&format!("line {number}")));
        assert!(!bench.queue.flush(Duration::from_millis(20)), "it stalls");
        let dropped = bench.queue.lock().dropped;
        assert!(bench.queue.lock().bytes.len() < (64 << 10) + 16, "no more than the room and a line");
        let text = bench.rest();
        let (before, after) = text.split_once(&format!("lost {dropped}\n")).expect("it is said");
        let kept: Vec<String> = (0..20_000 - dropped).map(|number| format!("line {number}\n")).collect();
        assert_eq!((before.to_owned(), after), (kept.concat(), ""));
        bench.put("later");
        assert_eq!(bench.rest(), "later\n");
        assert_eq!(bench.queue.lock().dropped, dropped);
    }

    #[test]
    fn what_cannot_be_written_is_lost_and_said_on_a_line_of_its_own_as_soon_as_something_can() {
        let bench = Bench::new(ROOM);
        bench.put("0123456789");
        bench.allow.send(false).unwrap();
        assert!(bench.queue.flush(LONG));
        assert_eq!(bench.queue.lock().dropped, 1);
        bench.put("whole");
        assert_eq!(bench.rest(), "01234\nwhole\nlost 1\n");
    }

    #[test]
    fn a_write_is_of_whole_lines_that_a_pipe_keeps_together_or_of_one_that_is_longer() {
        let bench = Bench::new(ROOM);
        let (short, long) = ("s".repeat(99), "l".repeat(9_999));
        bench.put("first"); // in hand already, while the others come
        [&short, &long, &short].into_iter().for_each(|line| bench.put(line));
        (0..100).for_each(|_| bench.put(&short));
        (0..1_000).for_each(|_| bench.allow.send(true).unwrap());
        assert!(bench.queue.flush(LONG));
        let writes: Vec<Vec<u8>> = bench.writes.try_iter().collect();
        assert!(writes.iter().all(|write| write.last() == Some(&b'\n')));
        assert!(writes.iter().all(|write| write.len() <= AT_ONCE || write.len() == 10_000), "one line alone");
        assert!(writes.len() < 10, "{} writes of {} lines", writes.len(), 104);
        assert_eq!(writes.concat().len(), 6 + 102 * 100 + 10_000);
    }
}
