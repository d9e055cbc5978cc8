//! The `renewd` command: everything is in the library, so that tests can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    renewd::cli::main(std::env::args_os())
}
