//! `renewd man`: the manual, made from the command line's own description.

use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{Cli, ManArgs};
use super::exit::Exit;
use super::out;
use super::report::Failure;
use crate::atomic::{self, Attributes, Missing, SyncLevel};

/// Of the manual: commands that users give.
const SECTION: &str = "1";
/// Below each command's own page.
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n.BR renewd (1)\n";
/// In the text below the options: what follows are examples.
const EXAMPLES: &str = "Examples:\n";
/// The same of the main page: what follows has a section of its own here.
const EXIT_STATUS: &str = "Exit status:";

/// From here on no word is hyphenated and no gap stretched.
const AS_WORDS: &str = ".nh\n.ad l\n";
/// And from here on again.
const AS_TEXT: &str = ".hy\n.ad b\n";

/// What the command line's description does not say.
const TAIL: &str = r#".SH "EXIT STATUS"
.TP
0
Done.
.TP
1
Some account or sink failed.
.TP
2
Usage.
.TP
70
Internal fault.
.TP
75
Cannot reach the running agent, or timed out.
.TP
78
Configuration.
.SH ENVIRONMENT
.TP
RENEWD_CONFIG
As \fB\-\-config\fR, which wins over it.
.TP
RENEWD_SOCKET
As \fB\-\-socket\fR, which wins over it.
.TP
NO_COLOR
No colours; there are none without a terminal either.
.TP
STATE_DIRECTORY, RUNTIME_DIRECTORY
As systemd sets them: the defaults of \fBagent.state_dir\fR and \fBagent.socket\fR.
.TP
CREDENTIALS_DIRECTORY
As systemd sets it: where \fB{ credential: NAME }\fR is read.
.SH FILES
.TP
/etc/renewd/renewd.yaml
The configuration.
.TP
/run/renewd/renewd.sock
The control socket.
.TP
/var/lib/renewd
Durable state, for the agent alone.
.SH SIGNALS
HUP reloads; USR1 renews every account now, within the limits; TERM and INT end the agent in good order, a second one
at once.
"#;

/// Prints one page of everything, or writes that and a page a command.
pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let whole = page().map_err(|error| unwritten(&error, "the man page"))?;
    let Some(dir) = &args.dir else {
        out::print(&whole)?;
        return Ok(Exit::Done);
    };
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("renewd".to_owned(), whole)];
    for subcommand in command.get_subcommands() {
        for one in std::iter::once(subcommand).chain(subcommand.get_subcommands()) {
            let name = one.get_display_name().unwrap_or_else(|| one.get_name()).to_owned();
            let page = page_of(one).map_err(|error| unwritten(&error, &name))?;
            pages.push((name, page));
        }
    }
    for (name, page) in pages {
        let path = dir.join(format!("{name}.{SECTION}"));
        put(&path, page.as_bytes()).map_err(|error| unwritten(&error, &path.display().to_string()))?;
    }
    Ok(Exit::Done)
}

fn put(path: &Path, page: &[u8]) -> Result<(), atomic::Error> {
    let (folder, name) = atomic::locate(path, Missing::Create(0o755))?;
    folder.replace(&name, page, Attributes { mode: 0o644, uid: None, gid: None }, SyncLevel::None)
}

/// A page's heading and foot: its name, no date (two builds are the same), what program in which version it is a page of. `Man` would
/// leave the empty date out, so that all that follows it moves up, and takes a subcommand's version, which has none.
fn title(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(".TH {} {SECTION} \"\" \"renewd {version}\" \"renewd manual\"\n", name.replace('-', "\\-"))
}

/// The main page: what all commands have in common, and each one's options and examples in a part of its own.
fn page() -> io::Result<String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = head(&command)?;
    page.push_str(".SH COMMANDS\n");
    let mut others = Vec::new();
    for subcommand in command.get_subcommands() {
        if subcommand.has_subcommands() {
            for nested in subcommand.get_subcommands() {
                page += &part(nested)?;
            }
        } else {
            page += &part(subcommand)?;
        }
        others.push(subcommand);
        others.extend(subcommand.get_subcommands());
    }
    page.push_str(TAIL);
    let text = below(&command)?;
    let examples = text.split(EXIT_STATUS).next().unwrap_or_default();
    page = page + ".SH EXAMPLES\n" + &as_they_are(examples.trim_end());
    page = page + ".SH \"SEE ALSO\"\n" + AS_WORDS;
    let names = others.iter().filter_map(|other| other.get_display_name());
    page.extend(names.map(|name| format!(".BR {} ({SECTION}),\n", name.replace('-', "\\-"))));
    page = page + ".BR systemd.service (5)\n" + AS_TEXT;
    page.push_str(".PP\nThe whole documentation: /usr/share/doc/renewd, where a package has put it.\n");
    Ok(page)
}

/// One command's own page.
fn page_of(command: &clap::Command) -> io::Result<String> {
    let mut page = head(command)?;
    let text = below(command)?;
    let (notes, examples) = match text.split_once(EXAMPLES) {
        Some((notes, examples)) => (notes, examples),
        None => (text.as_str(), ""),
    };
    for (heading, text) in [("NOTES", notes), ("EXAMPLES", examples)] {
        if !text.trim().is_empty() {
            page = page + ".SH " + heading + "\n" + &as_they_are(text.trim_end());
        }
    }
    Ok(page + SEE_ALSO)
}

/// A page up to its options.
fn head(command: &clap::Command) -> io::Result<String> {
    let man = Man::new(command.clone());
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let before = render(|to| man.render_name_section(to))?;
    let after = render(|to| {
        man.render_description_section(to)?;
        man.render_options_section(to)
    })?;
    Ok(title(name) + &before + &synopsis(command) + &after)
}

/// The command with each option and what it takes.
fn synopsis(command: &clap::Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = format!("\\fB{}\\fR", name.replace('-', "\\-"));
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let (options, others): (Vec<_>, Vec<_>) = shown.partition(|argument| !argument.is_positional());
    for argument in options.into_iter().chain(others) {
        let word = argument.to_string().replace('-', "\\-");
        line += &match (argument.is_positional(), argument.is_required_set()) {
            (true, _) if argument.is_last_set() => format!(" \\-\\- {word}"),
            (true, _) | (false, true) => format!(" {word}"),
            (false, false) => format!(" [{word}]"),
        };
    }
    if command.has_subcommands() {
        line += " <COMMAND>";
    }
    // Options do not part from what they take, nor words in the middle.
    format!(".SH SYNOPSIS\n{AS_WORDS}{}\n{AS_TEXT}", line.replace(" <", "\\ <"))
}

/// What stands below a command's options, without a heading.
fn below(command: &clap::Command) -> io::Result<String> {
    let extra = render(|to| Man::new(command.clone()).render_extra_section(to))?;
    Ok(extra.split_once(".SH EXTRA\n").map(|(_, text)| text.to_owned()).unwrap_or_default())
}

/// Lines that are set off are commands: they stay as they are.
fn as_they_are(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut as_is = false;
    for line in page.lines() {
        if line.starts_with("  ") != as_is {
            as_is = !as_is;
            text += if as_is { ".nf\n" } else { ".fi\n" };
        }
        text += line;
        text.push('\n');
    }
    if as_is {
        text += ".fi\n";
    }
    text
}

/// One command below the heading of all; global options stand above already.
fn part(command: &clap::Command) -> io::Result<String> {
    let man = Man::new(command.clone().mut_args(|argument| {
        let hidden = argument.is_global_set() || argument.get_id() == "help";
        argument.hide(hidden)
    }));
    let part = render(|to| {
        man.render_description_section(to)?;
        man.render_options_section(to)?;
        man.render_extra_section(to)
    })?;
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    let heading: String = usage.lines().map(|way| format!(".SS \"{}\"\n", way.trim())).collect();
    let headings = [".SH DESCRIPTION\n", ".SH OPTIONS\n", ".SH EXTRA\n"];
    let part = headings.into_iter().fold(heading + &part, |part, heading| part.replace(heading, ".PP\n"));
    Ok(as_they_are(&part))
}

fn render(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut page = Vec::new();
    write(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unwritten(error: &dyn std::error::Error, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {what}")).because(error)
}
