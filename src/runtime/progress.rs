//! What the service manager hears: readiness, reloads, a sentence, and that the loop still turns (sd_notify(3)).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;

use super::agent::Agent;
use super::clock;
use super::run::level_name;
use crate::domain::{BootInstant, Now};
use crate::observe::LevelHandle;

/// READY=1 is not held back for longer.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The sentence and the watchdog are looked after this often at most.
const UNHURRIED: Duration = Duration::from_secs(1);
/// Messages that are kept for a manager that does not listen.
const MOST_UNSAID: usize = 8;

/// What was said and what is still to be said.
pub(super) struct Progress {
    started: Now,
    looked: Option<BootInstant>,
    ready: bool,
    reloading: bool,
    status: String,
    /// What the manager had no room for, in order.
    unsaid: Vec<String>,
    config: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            started: clock::now(),
            looked: None,
            ready: false,
            reloading: false,
            status: String::new(),
            unsaid: Vec::new(),
            config: 0,
        }
    }

    /// HUP has come.
    pub(super) fn reloading(&mut self) {
        self.reloading = true;
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now().ok());
        self.say(&states);
    }

    /// Says it, after what could not be said before. A manager that does not listen (one that crashed, or hangs) is not
    /// waited for: what it must know is kept for the next time.
    fn say(&mut self, states: &[NotifyState<'_>]) {
        use NotifyState::{Ready, Reloading};
        self.unsaid.extend((!states.is_empty()).then(|| message(states)));
        while let Some(first) = self.unsaid.first() {
            match send(first) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                _ => drop(self.unsaid.remove(0)),
            }
        }
        let lasting =
            |said: &String| [Ready, Reloading].iter().any(|state| said.contains(&state.to_string()));
        if !self.unsaid.is_empty() {
            self.unsaid.retain(lasting);
            self.unsaid.drain(..self.unsaid.len().saturating_sub(MOST_UNSAID));
            self.status.clear();
        }
    }

    /// Says what is new, now and then; gives the time after which it wants to be asked again.
    ///
    /// A look costs a pass over all accounts, so it is not taken at every turn of the loop: at most a twentieth of
    /// the time goes into it.
    pub(super) fn tell(&mut self, agent: &Agent, log: Option<&LevelHandle>) -> Option<Duration> {
        if self.config != agent.generation {
            self.config = agent.generation;
            if let (Some(log), Some(config)) = (log, agent.config()) {
                log.set(level_name(config.agent.log.level));
            }
        }
        let now = clock::now();
        let pause = if self.ready && !self.reloading { UNHURRIED } else { hurried(agent.size()) };
        if let Some(left) = self.looked.and_then(|at| pause.checked_sub(now.boot.since(at)))
            && !left.is_zero()
        {
            return Some(left);
        }
        self.looked = Some(now.boot);
        self.look(agent, now);
        let wanted = (!self.ready || self.reloading || !self.unsaid.is_empty()).then_some(pause);
        // The watchdog may be shorter than the loop's longest sleep.
        wanted.or_else(|| sd_notify::watchdog_enabled().map(|patience| patience / 2))
    }

    fn look(&mut self, agent: &Agent, now: Now) {
        let mut states = Vec::new();
        if !self.ready && (agent.has_settled() || now.boot.since(self.started.boot) >= READY_WITHIN) {
            self.ready = true;
            states.push(NotifyState::Ready);
            tracing::info!(event = "ready", "every account is delivered, has failed its first try or waits");
        }
        if self.reloading && !agent.is_reloading() {
            self.reloading = false;
            states.push(NotifyState::Ready);
        }
        let status = agent.sentence(now);
        if status != self.status {
            states.push(NotifyState::Status(&status));
            self.status.clone_from(&status);
        }
        if sd_notify::watchdog_enabled().is_some() {
            states.push(NotifyState::Watchdog);
        }
        if !states.is_empty() || !self.unsaid.is_empty() {
            self.say(&states);
        }
    }
}

/// The agent is ending.
pub(super) fn stopping() {
    // Whoever does not listen sees it end.
    let _ = send(&message(&[NotifyState::Stopping]));
}

fn message(states: &[NotifyState<'_>]) -> String {
    states.iter().map(|state| format!("{state}\n")).collect()
}

/// Sends without waiting: the loop must not stand still because a manager does.
fn send(message: &str) -> io::Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(&socket)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address).map(|_| ())
}

/// How long a start or a reload may take to be noticed: a microsecond an account, twenty times.
fn hurried(accounts: usize) -> Duration {
    Duration::from_millis(5) + Duration::from_micros(20) * u32::try_from(accounts).unwrap_or(u32::MAX)
}
