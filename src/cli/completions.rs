//! `renewd completions` and `renewd man`: made from the command line's own description.

use std::io;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::exit::Exit;
use super::out;
use super::report::Failure;

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "renewd", &mut script);
    out::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Prints one page of everything, or writes a page a command.
pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    match &args.dir {
        None => out::print(&whole_page().map_err(|error| unwritten(&error, "the man page"))?)?,
        Some(dir) => {
            let written =
                std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
            written.map_err(|error| unwritten(&error, &dir.display().to_string()))?;
        }
    }
    Ok(Exit::Done)
}

/// The main page, with each command's options and examples in a section of its own.
fn whole_page() -> io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let main = clap_mangen::Man::new(command.clone());
    main.render_title(&mut page)?;
    main.render_name_section(&mut page)?;
    main.render_synopsis_section(&mut page)?;
    main.render_description_section(&mut page)?;
    main.render_options_section(&mut page)?;
    main.render_subcommands_section(&mut page)?;
    main.render_extra_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|each| each.get_name() != "help") {
        let heading = format!(".SH \"RENEWD {}\"\n", subcommand.get_name().to_uppercase());
        page.extend_from_slice(heading.as_bytes());
        let part = clap_mangen::Man::new(subcommand.clone().disable_help_flag(true));
        part.render_synopsis_section(&mut page)?;
        part.render_description_section(&mut page)?;
        part.render_options_section(&mut page)?;
        part.render_extra_section(&mut page)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

fn unwritten(error: &io::Error, what: &str) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {what}")).because(error)
}
