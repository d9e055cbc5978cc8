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
const EXAMPLES: &str = ".SH EXAMPLES\n";
/// Below each command's own page.
const SEE_ALSO: &str = ".SH \"SEE ALSO\"\n.BR renewd (1)\n";

/// What the command line's description does not say.
const TAIL: &str = r#".SH ENVIRONMENT
.TP
RENEWD_CONFIG, RENEWD_SOCKET
As \fB\-\-config\fR and \fB\-\-socket\fR, which win over them.
.TP
NO_COLOR
No colours; there are none without a terminal either.
.TP
STATE_DIRECTORY, RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY
As systemd sets them: the defaults of \fBagent.state_dir\fR and \fBagent.socket\fR, and where credentials are.
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
.SH "EXIT STATUS"
0 done; 1 some account or sink failed; 2 usage; 70 internal fault; 75 cannot reach the running agent, or timed out;
78 configuration.
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

/// The main page, and each command's options and examples in a part of its own.
fn page() -> io::Result<String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let main = Man::new(command.clone());
    let mut page = render(|to| {
        main.render_name_section(to)?;
        main.render_synopsis_section(to)?;
        main.render_description_section(to)?;
        main.render_options_section(to)?;
        main.render_extra_section(to)
    })?;
    page = title("renewd") + &with_examples(&page, EXAMPLES);
    page.push_str(".SH COMMANDS\n");
    for subcommand in command.get_subcommands() {
        if subcommand.has_subcommands() {
            for nested in subcommand.get_subcommands() {
                page += &part(nested)?;
            }
        } else {
            page += &part(subcommand)?;
        }
    }
    page.push_str(TAIL);
    Ok(page)
}

/// One command's own page.
fn page_of(command: &clap::Command) -> io::Result<String> {
    let page = render(|to| Man::new(command.clone()).render(to))?;
    let heading = if page.contains("\nExamples:\n") { EXAMPLES } else { ".SH NOTES\n" };
    let page = with_examples(&page, heading);
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let lines = page.split_inclusive('\n');
    let titled = lines.map(|line| if line.starts_with(".TH ") { title(name) } else { line.to_owned() });
    Ok(titled.collect::<String>() + SEE_ALSO)
}

/// With a heading that says what stands below it. Lines that are set off are commands: they stay as they are.
fn with_examples(page: &str, heading: &str) -> String {
    let mut text = String::with_capacity(page.len());
    let mut as_is = false;
    for line in page.replace(".SH EXTRA\n", heading).lines() {
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
    Ok(with_examples(&part, EXAMPLES))
}

fn render(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut page = Vec::new();
    write(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unwritten(error: &dyn std::error::Error, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {what}")).because(error)
}
