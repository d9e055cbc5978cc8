//! The command line's words. Their names are part of the contract.

mod help;
mod install;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::OsStringValueParser, builder::TypedValueParser};

pub(super) use self::install::{InstallSystemdArgs, Installation};
use super::duration::parse_duration;
use super::exec::{OnChange, Variable};
use crate::config::model::LogLevel;
use crate::domain::AccountId;
use crate::simulator::FaultRule;

/// Keeps short-lived API tokens fresh: issues once, renews shortly before expiry, delivers atomically.
#[derive(Debug, Parser)]
#[command(name = "renewd", version, after_help = help::EXAMPLES, propagate_version = false, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct Cli {
    /// What goes for every command.
    #[command(flatten)]
    pub(super) globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options that stand before or after the command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Globals {
    /// The configuration [default: /etc/renewd/renewd.yaml]
    #[arg(long, global = true, env = "RENEWD_CONFIG", value_name = "FILE", value_parser = path(), hide_env_values = true)]
    pub(super) config: Option<PathBuf>,
    /// The running agent's socket [default: the configuration's, else /run/renewd/renewd.sock]
    #[arg(long, global = true, env = "RENEWD_SOCKET", value_name = "PATH", value_parser = path(), hide_env_values = true)]
    pub(super) socket: Option<PathBuf>,
    /// The least severity that is logged [default: the configuration's, else info]
    #[arg(long, global = true, value_name = "LEVEL", value_enum)]
    pub(super) log_level: Option<Level>,
}

impl Globals {
    /// Whether `--log-level error` asks for silence where nothing is wrong.
    pub(super) fn only_errors(&self) -> bool {
        self.log_level == Some(Level::Error)
    }
}

/// Severities of `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the agent: keep every account's token fresh and delivered
    #[command(after_help = help::RUN)]
    Run,
    /// Issue what is due, deliver, exit (for init containers and cron)
    #[command(after_help = help::ONCE)]
    Once(OnceArgs),
    /// Validate the configuration, its templates and where its secrets come from; issues nothing
    #[command(after_help = help::CHECK)]
    Check(CheckArgs),
    /// Show what `run` would do, and what a reload would change in a running agent
    #[command(after_help = help::PLAN)]
    Plan,
    /// Show how each account stands: state, time left, next renewal, last error, sinks
    #[command(after_help = help::STATUS)]
    Status(StatusArgs),
    /// Renew accounts now and report; never past `min_interval` or a vendor's wait
    #[command(after_help = help::RENEW, override_usage = help::RENEW_USAGE)]
    Renew(RenewArgs),
    /// Print an account's token from the running agent
    #[command(after_help = help::TOKEN)]
    Token(TokenArgs),
    /// Return once accounts are fresh and delivered
    #[command(after_help = help::WAIT)]
    Wait(WaitArgs),
    /// Run a command with tokens in its environment or in files; signal or restart it when they are renewed
    #[command(after_help = help::EXEC)]
    Exec(ExecArgs),
    /// List the providers, or print one's definition
    #[command(after_help = help::PROVIDERS)]
    Providers(ProvidersArgs),
    /// Print a commented configuration to start from
    #[command(after_help = help::INIT)]
    Init(InitArgs),
    /// Install what a service manager needs
    #[command(subcommand, disable_help_subcommand = true, arg_required_else_help = true)]
    Install(Installation),
    /// Print the JSON Schema of the configuration
    #[command(after_help = help::SCHEMA)]
    Schema,
    /// Watch the agent work against embedded stand-ins of the vendors; no network, no set-up
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
    /// Serve the stand-ins of the vendors alone, for your own tests
    #[command(after_help = help::SIMULATOR)]
    Simulator(SimulatorArgs),
    /// Run the renewal policy in virtual time: load on the provider, lateness, expired minutes under outages
    #[command(after_help = help::SIMULATE)]
    Simulate(SimulateArgs),
    /// Print shell completions
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the man page
    #[command(after_help = help::MAN)]
    Man(ManArgs),
}

/// Options of `once`.
#[derive(Debug, Args)]
pub(super) struct OnceArgs {
    /// Begin nothing after that long; what is under way may take `agent.shutdown_grace` more
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Also try DNS, connections and TLS of token APIs, `verify.url` and webhooks, and whether this user may write where sinks, state and socket
    /// belong; still issues nothing and makes nothing
    #[arg(long)]
    pub(super) online: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Show this account alone, in detail
    #[arg(value_parser = AccountId::new)]
    pub(super) account: Option<AccountId>,
    /// Print the agent's own document
    #[arg(long)]
    pub(super) json: bool,
    /// Show it anew every second, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,
    /// Exit 1 unless all is well, with the reasons on standard error
    #[arg(long, conflicts_with = "watch")]
    pub(super) check: bool,
}

/// Options of `renew`.
#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    /// The accounts
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ACCOUNT", value_parser = AccountId::new)]
    pub(super) accounts: Vec<AccountId>,
    /// Every account
    #[arg(long)]
    pub(super) all: bool,
    /// Wait that long for each
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
}

/// Options of `token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    /// Whose token
    #[arg(value_parser = AccountId::new)]
    pub(super) account: AccountId,
    /// Print the token document: with type, expiry, generation and the provider's further fields
    #[arg(long)]
    pub(super) json: bool,
}

/// Options of `wait`.
#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// The accounts [default: all]
    #[arg(value_name = "ACCOUNT", value_parser = AccountId::new)]
    pub(super) accounts: Vec<AccountId>,
    /// Give up after that long, with exit status 75
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
}

/// Options of `exec`.
#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// Whose token goes into `ACCOUNT_ACCESS_TOKEN` (upper case, `_` for the rest); may be given again
    #[arg(long = "account", value_name = "ACCOUNT", required_unless_present = "variables", value_parser = AccountId::new)]
    pub(super) accounts: Vec<AccountId>,
    /// A variable of that name with that field of the token document; may be given again
    #[arg(long = "env", value_name = "NAME=ACCOUNT.FIELD", id = "variables")]
    pub(super) variables: Vec<Variable>,
    /// Put the tokens of --account into this private folder, their paths into `ACCOUNT_TOKEN_FILE`, and keep them fresh
    #[arg(long, value_name = "FOLDER", requires = "accounts", value_parser = path())]
    pub(super) files: Option<PathBuf>,
    /// When a token is renewed: `signal:HUP` (or another), or `restart` [default: the command is left alone]
    #[arg(long, value_name = "ACTION")]
    pub(super) on_change: Option<OnChange>,
    /// Wait that long for the agent and the tokens, then exit with status 75
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
    /// How long a command that is restarted may take to end before it is killed
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(super) stop_timeout: Duration,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(super) command: Vec<OsString>,
}

/// Options of `providers`.
#[derive(Debug, Args)]
pub(super) struct ProvidersArgs {
    /// Print the definition of this one
    pub(super) name: Option<String>,
}

/// Options of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// For this provider (`renewd providers` lists them)
    #[arg(long, value_name = "PROVIDER", default_value = "oauth2-client-credentials")]
    pub(super) provider: String,
    /// Write it here instead of to standard output; an existing file stays as it is
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after that long [default: at Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
}

/// Options of `simulator`.
#[derive(Debug, Args)]
pub(super) struct SimulatorArgs {
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    pub(super) listen: SocketAddr,
    /// How long its tokens live
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(super) lifetime: Duration,
    /// A fault to inject; may be given again
    #[arg(long = "fault", value_name = "TARGET=FAULT", value_parser = FaultRule::from_str)]
    pub(super) faults: Vec<FaultRule>,
}

/// Options of `simulate`.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// How many accounts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) accounts: u32,
    /// How many days
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u32).range(1..=3660))]
    pub(super) days: u32,
    /// How long tokens live
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub(super) lifetime: Duration,
    /// Over how many provider hosts the accounts are spread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) hosts: u32,
    /// An outage of every host: when it begins and how long it lasts, as `6h+40m`; may be given again
    #[arg(long = "outage", value_name = "START+LENGTH", value_parser = parse_outage)]
    pub(super) outages: Vec<Outage>,
    /// Another course of chance
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// A stretch of virtual time in which no host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    /// Since the beginning of the simulation.
    pub(super) start: Duration,
    /// How long it lasts.
    pub(super) length: Duration,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write one page a command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    pub(super) dir: Option<PathBuf>,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

/// An empty value, as of a variable that is set but empty, passes here and counts as none later.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let port = text.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
        let example = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(9999)));
        format!("an address is an IP address and a port: write `{example}`")
    })
}

fn parse_outage(text: &str) -> Result<Outage, String> {
    let (start, length) =
        text.split_once('+').ok_or("an outage is its start and its length, like `6h+40m`")?;
    Ok(Outage { start: parse_duration(start)?, length: parse_duration(length)? })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("renewd").chain(words.iter().copied()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for words in [["--socket", "/s", "status"], ["status", "--socket", "/s"]] {
            assert_eq!(parse(&words).unwrap().globals.socket, Some(PathBuf::from("/s")));
        }
    }

    #[test]
    fn renew_wants_accounts_or_all_but_not_both() {
        assert!(parse(&["renew"]).is_err());
        assert!(parse(&["renew", "--all", "a"]).is_err());
        assert!(parse(&["renew", "--all"]).is_ok());
        assert!(parse(&["renew", "a", "b"]).is_ok());
    }

    #[test]
    fn an_account_name_that_cannot_be_one_is_a_usage_error() {
        for name in ["UPPER", "../etc", "a/b", "\x1b[2J"] {
            assert!(parse(&["token", name]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_address_that_lacks_its_half_is_shown_whole() {
        assert_eq!(parse_address("127.0.0.1:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        for text in ["9999", ":9999", "localhost:9999", "simulator"] {
            assert!(parse_address(text).unwrap_err().ends_with("write `127.0.0.1:9999`"), "{text}");
        }
    }

    #[test]
    fn an_outage_is_its_start_and_its_length() {
        let outage = Outage { start: Duration::from_secs(6 * 3600), length: Duration::from_secs(2400) };
        assert_eq!(parse_outage("6h+40m"), Ok(outage));
        assert!(parse_outage("6h").is_err());
    }
}
