//! A screen of its own that is redrawn in place, and gives the old one back.

use super::{Line, Look};
use crate::cli::out;
use crate::cli::report::Failure;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Terminals that know it show the frame at once; others ignore it.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// The terminal's alternate screen, from its making until it is dropped.
#[derive(Debug)]
pub(in crate::cli) struct Screen(());

impl Screen {
    /// Switches to the alternate screen and hides the cursor.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(in crate::cli) fn enter() -> Result<Self, Failure> {
        out::print(ENTER)?;
        Ok(Self(()))
    }

    /// Replaces what stands there; the caller sees to it that the lines fit.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub(in crate::cli) fn draw(&mut self, lines: &[Line], look: Look) -> Result<(), Failure> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{}\x1b[K", line.render(look))).collect();
        out::print(&format!("{BEGIN}{}{END}", lines.join("\r\n")))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever comes here with a broken terminal has a failure on the way already.
        let _ = out::print(LEAVE);
    }
}
