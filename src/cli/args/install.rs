//! Words of `renewd install`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::help;

/// What can be installed.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Installation {
    /// Write the unit, its user and folders, and a configuration to start from
    #[command(after_help = help::INSTALL_SYSTEMD)]
    Systemd(InstallSystemdArgs),
}

/// Options of `install systemd`.
#[derive(Debug, Args)]
pub(in crate::cli) struct InstallSystemdArgs {
    /// Show everything that would be written, and write nothing
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Write below this folder (an image, a package's tree), make no user and run nothing
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) root: Option<PathBuf>,
    /// The program that the unit starts [default: this one; with --root /usr/bin/renewd]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) program: Option<PathBuf>,
    /// For that version of systemd [default: what `systemctl --version` says; with --root the newest]
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) systemd: Option<u32>,
    /// Under /usr/lib, where packages put their files, and not under /etc
    #[arg(long)]
    pub(in crate::cli) vendor: bool,
    /// Also over files that were changed
    #[arg(long)]
    pub(in crate::cli) force: bool,
}
