//! What went wrong, told as `error:` / `caused by:` / `hint:` on standard error.

use std::error::Error;

use super::args::Globals;
use super::exit::Exit;
use super::out;
use super::screen::{Look, Tone, sanitise};
use crate::config::Problem;

/// A command's failure: the exit status and the words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    words: Option<Words>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Words {
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure that is told as `error: MESSAGE`.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        let words = Words { message: message.into(), causes: Vec::new(), hints: Vec::new() };
        Self { exit, words: Some(words) }
    }

    /// An exit status without a word: all has been said already, or nobody listens.
    #[must_use]
    pub fn quiet(exit: Exit) -> Self {
        Self { exit, words: None }
    }

    /// Adds `error` and all that caused it as `caused by:` lines.
    #[must_use]
    pub fn because(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self = self.cause(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Adds one `caused by:` line.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        if let Some(words) = &mut self.words {
            words.causes.push(cause.into());
        }
        self
    }

    /// Adds a `hint:` line: what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(words) = &mut self.words {
            words.hints.push(hint.into());
        }
        self
    }

    /// The exit status that it means.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The lines as they stand on standard error; empty for a quiet one.
    #[must_use]
    pub(super) fn render(&self, look: Look) -> String {
        let Some(words) = &self.words else { return String::new() };
        let mut lines = labelled(look, Tone::Bad, "error:", &words.message);
        for cause in &words.causes {
            lines += &labelled(look, Tone::Warn, "  caused by:", cause);
        }
        for hint in &words.hints {
            lines += &labelled(look, Tone::Note, "  hint:", hint);
        }
        lines
    }

    /// Tells it on standard error.
    pub(super) fn tell(&self) {
        out::complain(&self.render(Look::of_stderr()));
    }
}

/// Tells of something that is not right but stops nothing.
pub(super) fn warn(message: &str) {
    out::complain(&labelled(Look::of_stderr(), Tone::Warn, "warning:", message));
}

/// Tells of something that is right and good to know. A caller that wants nothing but errors is spared it.
pub(super) fn note(message: &str, globals: &Globals) {
    if !globals.only_errors() {
        out::complain(&labelled(Look::of_stderr(), Tone::Note, "note:", message));
    }
}

/// Tells of every problem of a configuration; the failure says nothing more.
pub(super) fn problems(problems: &[Problem]) -> Failure {
    out::complain(&all(Look::of_stderr(), Tone::Bad, "error:", problems));
    Failure::quiet(Exit::Config)
}

/// Tells of everything that is doubtful in a configuration.
pub(super) fn warnings(warnings: &[Problem]) {
    out::complain(&all(Look::of_stderr(), Tone::Warn, "warning:", warnings));
}

/// Tells of one thing that a look has found, with what to do about it.
pub(super) fn finding(is_error: bool, message: &str, hint: Option<&str>) {
    let look = Look::of_stderr();
    let (tone, label) = if is_error { (Tone::Bad, "error:") } else { (Tone::Warn, "warning:") };
    let hint = hint.map(|hint| labelled(look, Tone::Note, "  hint:", hint)).unwrap_or_default();
    out::complain(&(labelled(look, tone, label, message) + &hint));
}

/// Each as `error: FILE:LINE:COLUMN: ...`, the source line and the hint below.
fn all(look: Look, tone: Tone, label: &str, problems: &[Problem]) -> String {
    let one = |problem: &Problem| {
        let text = problem.to_string();
        let lines = text.lines().map(|line| match line.strip_prefix("  hint:") {
            Some(hint) => format!("  {}{}\n", look.paint(Tone::Note, "hint:"), sanitise(hint)),
            None => format!("{}\n", sanitise(line)),
        });
        format!("{} {}", look.paint(tone, label), lines.collect::<String>())
    };
    problems.iter().map(one).collect()
}

/// Label and text; further lines of the text stand under its beginning.
fn labelled(look: Look, tone: Tone, label: &str, text: &str) -> String {
    let indent = " ".repeat(label.len() + 1);
    let mut lines = text.lines().map(sanitise);
    let first = lines.next().unwrap_or_default();
    let mut said = format!("{} {first}\n", look.paint(tone, label));
    for line in lines {
        said += format!("{indent}{line}").trim_end();
        said.push('\n');
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_error_cause_and_hint() {
        let failure = Failure::new(Exit::Unavailable, "no agent answers at /run/renewd/renewd.sock")
            .cause("connection refused")
            .hint("start it:\nrenewd run");
        assert_eq!(
            failure.render(Look::plain()),
            "error: no agent answers at /run/renewd/renewd.sock\n  caused by: connection refused\n  hint: start it:\n        renewd run\n"
        );
    }

    #[test]
    fn escape_sequences_from_outside_do_not_reach_the_terminal() {
        let said = Failure::new(Exit::Failed, "reply: \x1b]0;owned\x07\x1b[2J").render(Look::plain());
        assert_eq!(said, "error: reply: \\x1b]0;owned\\x07\\x1b[2J\n");
    }

    #[test]
    fn every_cause_of_an_error_is_told() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[from] std::fmt::Error);
        let said = Failure::new(Exit::Internal, "it").because(&Outer(std::fmt::Error)).render(Look::plain());
        assert_eq!(said.lines().count(), 3, "{said}");
    }

    #[test]
    fn a_quiet_failure_says_nothing() {
        assert_eq!(Failure::quiet(Exit::Done).hint("unheard").render(Look::plain()), "");
    }
}
