//! `renewd exec`: a command with tokens in its environment, told or started anew when they are renewed.
//!
//! The command stays in our process group and keeps the terminal: Ctrl-C reaches both at once, and what others send
//! to us is passed on. Whoever ends, we reap: as process 1 of a container that is everybody's orphans.

mod child;
mod files;
mod pace;
mod supervise;
mod tokens;
mod wanted;

use self::child::{Inbox, Word};
use self::files::Files;
pub(super) use self::supervise::OnChange;
use self::supervise::Supervisor;
use self::tokens::{Tokens, first};
pub(super) use self::wanted::Variable;
use self::wanted::Wanted;
use super::args::{ExecArgs, Globals};
use super::client::Agent;
use super::exit::Exit;
use super::report::Failure;

/// Waits for the tokens, starts the command and stays with it to its end.
pub(super) async fn exec(args: ExecArgs, globals: &Globals) -> Result<Exit, Failure> {
    // The tokens are in our memory as well as in the command's; nobody shall read them from a core.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let wanted = Wanted::new(&args)?;
    let agent = Agent::locate(globals)?;
    let mut inbox = Inbox::take()?;
    let tokens: Tokens = tokio::select! {
        biased;
        signal = ended(&mut inbox) => return Ok(Exit::Handed(128_u8.saturating_add(signal))),
        tokens = first(&agent, &wanted.accounts, args.timeout, globals) => tokens?,
    };
    let files = args.files.as_deref().map(Files::open).transpose()?;
    let renewals = tokens::watch(&agent, &tokens);
    Supervisor::start(args, wanted, tokens, files)?.run(inbox, renewals).await
}

/// The number of a signal that means the end, while there is no command yet that could be told.
async fn ended(inbox: &mut Inbox) -> u8 {
    loop {
        match inbox.next().await {
            Word::Ended => inbox.reap(None),
            Word::Signal { signal, .. } if child::means_the_end(signal) => {
                return u8::try_from(signal.as_raw()).unwrap_or(0);
            }
            Word::Signal { .. } => None,
        };
    }
}
