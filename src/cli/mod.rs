//! The command line: one file a command. Words and exit statuses are part of the contract.

mod args;
mod check;
mod client;
mod completions;
mod demo;
mod duration;
mod exec;
mod exit;
mod exposed;
mod heap;
mod init;
mod install;
mod interrupt;
mod man;
mod online;
mod out;
mod plan;
mod providers;
mod renew;
mod report;
mod run;
mod schema;
mod screen;
mod settings;
mod simulate;
mod simulator;
mod socket;
mod status;
mod suggest;
mod token;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use self::args::{Cli, Command, Installation};
pub use self::exit::Exit;
pub use self::report::Failure;

/// Parses `args` (the program's name first), does what they say and tells what went wrong.
#[must_use]
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    exit::install_panic_hook();
    let run = || match Cli::try_parse_from(args) {
        Ok(cli) => dispatch(cli).unwrap_or_else(|failure| {
            failure.tell();
            failure.exit()
        }),
        Err(error) => say(&with_whole_usage(error)),
    };
    // The hook has told of the panic; nothing is used afterwards that it may have left half done.
    let exit = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or(Exit::Internal);
    crate::observe::flush_stderr();
    exit.into()
}

fn dispatch(Cli { globals, command }: Cli) -> Result<Exit, Failure> {
    match command {
        Command::Run => {
            heap::in_one_piece();
            run::run(&globals)
        }
        Command::Once(args) => run::once(&args, &globals),
        Command::Check(args) => soon(check::check(args, &globals)),
        Command::Plan => soon(plan::plan(&globals)),
        Command::Demo(args) => demo::demo(&args),
        Command::Status(args) => soon(status::status(args, &globals)),
        Command::Renew(args) => soon(renew::renew(args, &globals)),
        Command::Token(args) => soon(token::token(args, &globals)),
        Command::Wait(args) => soon(wait::wait(args, &globals)),
        Command::Exec(args) => soon(exec::exec(args, &globals)),
        Command::Simulator(args) => soon(simulator::simulator(args)),
        Command::Simulate(args) => simulate::simulate(&args),
        Command::Providers(args) => providers::providers(&args),
        Command::Init(args) => init::init(&args),
        Command::Install(Installation::Systemd(args)) => install::systemd(&args),
        Command::Schema => schema::schema(),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => man::man(&args),
    }
}

/// Runs a command that only talks and waits: one thread is enough.
fn soon(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    // A second installation is refused, and the first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Internal, "cannot start the runtime").because(&error))?;
    runtime.block_on(command)
}

/// Where something is missing, clap's usage line makes whatever was given look as if it had to be, be it by a variable.
fn with_whole_usage(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return error;
    }
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let mut command = Cli::command();
    command.build();
    // `Usage: renewd token ...`
    let named = usage.split_whitespace().nth(2).and_then(|name| command.find_subcommand_mut(name));
    if let Some(usage) = named.map(clap::Command::render_usage) {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
    error
}

/// Usage errors on standard error with status 2; help and version on standard output.
fn say(error: &clap::Error) -> Exit {
    // Nobody is left to be told where that fails.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}
