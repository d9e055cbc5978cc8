//! Where the log goes: standard error, with the priorities that journald reads where that is its stream.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::stderr::write_stderr;

/// Standard error.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stderr {
    to_journal: bool,
}

impl Stderr {
    /// As it was handed to this process.
    pub(super) fn new() -> Self {
        let named = std::env::var("JOURNAL_STREAM").ok();
        let stat = rustix::fs::fstat(io::stderr()).ok();
        let ours = stat.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        Self { to_journal: named.is_some() && named == ours }
    }
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        Lines { priority: self.to_journal.then_some(priority(Level::INFO)) }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Lines {
        Lines { priority: self.to_journal.then_some(priority(*about.level())) }
    }
}

/// As syslog has them: sd-daemon(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// The lines of one event.
pub(super) struct Lines {
    priority: Option<&'static str>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.priority {
            None => write_stderr(bytes),
            Some(priority) => write_stderr(&with_priority(priority, bytes)),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each line is an entry of its own to journald.
fn with_priority(priority: &str, bytes: &[u8]) -> Vec<u8> {
    let mut marked = Vec::with_capacity(bytes.len() + 16);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        marked.extend_from_slice(priority.as_bytes());
        marked.extend_from_slice(line);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_an_event_has_its_priority() {
        let marked = with_priority(priority(Level::ERROR), b"one\n  two\n");
        assert_eq!(String::from_utf8(marked).unwrap(), "<3>one\n<3>  two\n");
    }
}
