use std::ffi::OsStr;
use std::io::IsTerminal;

/// What the place can show that text is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Look {
    /// Columns of the terminal; `None` where it is no terminal: then nothing is cut, wrapped or drawn.
    pub(in crate::cli) width: Option<usize>,
    /// Colours are welcome.
    pub(in crate::cli) colour: bool,
    /// The locale is UTF-8.
    pub(in crate::cli) unicode: bool,
}

/// What a colour is for. Never the only sign of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Tone {
    /// Text.
    Plain,
    /// Less important.
    Dim,
    /// A heading, a name.
    Strong,
    /// All is well.
    Good,
    /// Worth knowing.
    Note,
    /// Not well, but nothing is lost.
    Warn,
    /// Something is lost.
    Bad,
}

impl Look {
    /// No terminal: words alone.
    #[cfg(test)]
    #[must_use]
    pub(in crate::cli) const fn plain() -> Self {
        Self { width: None, colour: false, unicode: true }
    }

    /// What standard output can show.
    #[must_use]
    pub(in crate::cli) fn of_stdout() -> Self {
        let stdout = std::io::stdout();
        Self::of(stdout.is_terminal().then(|| columns(&stdout)))
    }

    /// What standard error can show.
    #[must_use]
    pub(in crate::cli) fn of_stderr() -> Self {
        let stderr = std::io::stderr();
        Self::of(stderr.is_terminal().then(|| columns(&stderr)))
    }

    fn of(width: Option<usize>) -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let dumb = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            width,
            colour: width.is_some() && set("NO_COLOR").is_none() && !dumb,
            unicode: ["LC_ALL", "LC_CTYPE", "LANG"]
                .into_iter()
                .find_map(set)
                .is_some_and(|locale| is_utf8(&locale)),
        }
    }

    /// Whether a person looks at it, so that bars and symbols are worth drawing.
    #[must_use]
    pub(in crate::cli) fn is_terminal(self) -> bool {
        self.width.is_some()
    }

    /// One of two spellings.
    #[must_use]
    pub(in crate::cli) fn either<'a>(self, unicode: &'a str, ascii: &'a str) -> &'a str {
        if self.unicode { unicode } else { ascii }
    }

    /// `text` in the colour of `tone`, or as it is.
    #[must_use]
    pub(in crate::cli) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => "",
            Tone::Dim => "2",
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Note => "36",
            Tone::Warn => "33",
            Tone::Bad => "31",
        };
        match self.colour && !code.is_empty() && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Lines of the terminal at standard output; 24 where it does not say.
#[must_use]
pub(in crate::cli) fn rows() -> usize {
    let told = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    if told == 0 { 24 } else { told }
}

/// Columns of the terminal; `COLUMNS`, then 80, where it does not say.
fn columns(terminal: impl std::os::fd::AsFd) -> usize {
    let told = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_col));
    let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
    match told {
        0 => asked().filter(|columns| *columns > 0).unwrap_or(80),
        columns => columns,
    }
}

fn is_utf8(locale: &OsStr) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_an_extra_that_leaves_the_text_alone() {
        assert_eq!(Look::plain().paint(Tone::Bad, "x"), "x");
        let colourful = Look { colour: true, ..Look::plain() };
        assert_eq!(colourful.paint(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(colourful.paint(Tone::Plain, "x"), "x");
    }

    #[test]
    fn locales_of_both_spellings_are_utf8() {
        for (locale, expected) in
            [("C.UTF-8", true), ("ko_KR.utf8", true), ("C", false), ("ko_KR.eucKR", false)]
        {
            assert_eq!(is_utf8(OsStr::new(locale)), expected, "{locale}");
        }
    }
}
