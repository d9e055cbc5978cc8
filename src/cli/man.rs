//! `renewd man`: the manual, made from the command line's own description.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{Cli, ManArgs};
use super::exit::Exit;
use super::out;
use super::report::Failure;

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

/// Prints one page of everything, or writes a page a command.
pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    match &args.dir {
        None => out::print(&page().map_err(|error| unwritten(&error, "the man page"))?)?,
        Some(dir) => {
            let written =
                std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
            written.map_err(|error| unwritten(&error, &dir.display().to_string()))?;
        }
    }
    Ok(Exit::Done)
}

/// The main page, and each command's options and examples in a part of its own.
fn page() -> io::Result<String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let main = Man::new(command.clone());
    let mut page = render(|to| {
        main.render_title(to)?;
        main.render_name_section(to)?;
        main.render_synopsis_section(to)?;
        main.render_description_section(to)?;
        main.render_options_section(to)?;
        main.render_extra_section(to)
    })?;
    page = page.replace(".SH EXTRA", ".SH EXAMPLES");
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
    Ok(headings.into_iter().fold(heading + &part, |part, heading| part.replace(heading, ".PP\n")))
}

fn render(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut page = Vec::new();
    write(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unwritten(error: &io::Error, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {what}")).because(error)
}
