//! `renewd simulator`: the stand-ins of the vendors, for people's own tests.

use tokio::net::TcpListener;

use super::args::SimulatorArgs;
use super::exit::Exit;
use super::interrupt::Interrupts;
use super::out;
use super::report::Failure;
use super::screen::pad;
use crate::simulator::{Options, Provider, Simulator};

/// Serves until a signal comes. Once it listens, a line a vendor tells its name and its base URL.
pub(super) async fn simulator(args: SimulatorArgs) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::take()?;
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot listen on {}", args.listen)).because(&error)
    };
    let listener = TcpListener::bind(args.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let options = Options { faults: args.faults, ..Options::with_lifetime(args.lifetime) };
    let simulator = Simulator::new(options);
    let widest = Provider::ALL.iter().map(|provider| provider.name().len()).max().unwrap_or(0);
    let line = |provider: Provider| {
        format!("{}  {}\n", pad(provider.name(), widest), Simulator::base_url(address, provider))
    };
    out::print(&Provider::ALL.map(line).concat())?;
    out::complain(&format!("counts of what was asked: http://{address}/_simulator/stats; Ctrl-C ends it\n"));
    simulator.serve(listener, async move { interrupts.end().await }).await.map_err(failed)?;
    Ok(Exit::Done)
}
