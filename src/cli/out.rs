//! The one way to standard output and standard error.

use std::io::{self, Write};

use super::exit::Exit;
use super::report::Failure;

/// Writes data to standard output and flushes it.
///
/// # Errors
/// A reader that has gone away (`renewd status | head -1`) ends the command quietly, with success; any other trouble
/// is a failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::quiet(Exit::Done),
        _ => Failure::new(Exit::Failed, "cannot write to standard output").because(&error),
    })
}

/// Writes words for a person to standard error, behind the lines of the log. Nobody can be told when that fails, so nobody is.
pub(super) fn complain(text: &str) {
    crate::observe::write_stderr(text.as_bytes());
}
