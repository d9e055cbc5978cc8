//! `renewd demo`: the agent at work on the stand-ins of the vendors, with lives of seconds. No network, no set-up.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::args::DemoArgs;
use super::client::Agent;
use super::exit::Exit;
use super::report::Failure;
use super::screen::{Line, Look, Tone, counted};
use super::status::{View, page, show};
use super::{init, out, run, settings};
use crate::config::definition::Definition;
use crate::config::{self, Loaded};
use crate::observe::status::Status;
use crate::provider::catalog;
use crate::runtime::{self, Options, Outcome, Signal, StartError};
use crate::simulator::{self, FaultRule, Provider, Simulator};

const LIFE: Duration = Duration::from_secs(12);
/// Between two looks at the agent: bars that move, on a screen that does not flicker.
const FRAME: Duration = Duration::from_millis(250);
/// The failing vendor's tokens live long enough to outlive the failure: that is what the lead is for.
const FAILING: (Provider, Duration) = (Provider::PortOne, Duration::from_secs(20));
/// It fails for these seconds of every minute of the first hours.
const OUTAGE: (u64, u64) = (7, 17);
const MINUTES: u64 = 180;

/// Runs the agent and the stand-ins in this process, and shows them.
pub(super) fn demo(args: &DemoArgs) -> Result<Exit, Failure> {
    run::harden();
    run::worker()?.block_on(async {
        let stage = Stage::set().await?;
        let played = stage.play(args.duration).await;
        stage.strike().await;
        played.map(|()| Exit::Done)
    })
}

/// Everything that the demo brings along; its folder goes when it is dropped.
struct Stage {
    folder: Folder,
    simulator: Simulator,
    agent: tokio::task::JoinHandle<Result<Outcome, StartError>>,
    signals: mpsc::Sender<Signal>,
    vendors: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Stage {
    async fn set() -> Result<Self, Failure> {
        let folder = Folder::make()?;
        let broken = |error: std::io::Error| {
            Failure::new(Exit::Failed, "the demo cannot listen on this machine itself").because(&error)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?;
        let path = folder.0.join("renewd.yaml");
        let text = configuration(&folder.0, address, &settings::builtin()?);
        init::write_new(&path, &text).map_err(|error| init::refusal(&path, &error))?;
        let Loaded { config, .. } = load(&path).map_err(|words| {
            Failure::new(Exit::Internal, "the demo's configuration is broken").cause(words)
        })?;
        let simulator = Simulator::new(options()?);
        let serving = simulator.clone();
        let vendors = tokio::spawn(async move { serving.serve(listener, std::future::pending()).await });
        let (signals, receiver) = mpsc::channel(1);
        let (again, watched) = (path.clone(), path);
        let options = Options {
            loader: Arc::new(move || load(&again).map(|loaded| loaded.config)),
            watched: Arc::new(move || config::watched(&watched)),
            log: None,
        };
        let agent = tokio::spawn(runtime::run(config, options, receiver));
        Ok(Self { folder, simulator, agent, signals, vendors })
    }

    /// Shows it until the time is up, a signal comes, or the agent ends.
    async fn play(&self, duration: Option<Duration>) -> Result<(), Failure> {
        let look = Look::of_stdout();
        let banner = self.banner(look);
        if !look.is_terminal() {
            out::complain(&page(&banner, look));
        }
        let agent = Agent::at(&self.folder.0.join("renewd.sock"))?;
        let over = async move {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        let looks = std::pin::pin!(looks(&agent).take_until(over));
        show(looks, View { banner, feed_only: true, keep: true, from_the_start: true, ..View::default() })
            .await
    }

    /// Ends the agent in good order and says what it came to.
    async fn strike(self) {
        let _ = self.signals.send(Signal::Stop).await; // it may have ended by itself
        if let Ok(Err(error)) = self.agent.await {
            out::complain(&format!("error: the demo's agent could not start: {error}\n"));
        }
        self.vendors.abort();
        let stats = self.simulator.stats();
        let all = stats.providers.values();
        let (requests, tokens, failures) = all.fold((0, 0, 0), |(requests, tokens, failures), each| {
            (requests + each.requests, tokens + each.granted, failures + each.faulted)
        });
        let played = match failures {
            0 => String::new(),
            _ => {
                format!("; {} played on purpose", counted(usize::try_from(failures).unwrap_or(0), "failure"))
            }
        };
        out::complain(&format!(
            "{requests} requests brought {tokens} tokens{played}\n\
             next: `renewd init --provider NAME` prints a configuration of your own; `renewd providers` lists the names\n"
        ));
    }

    fn banner(&self, look: Look) -> Vec<Line> {
        let folder = self.folder.0.display();
        let (from, to) = OUTAGE;
        let dot = look.either("·", "-");
        let dim = |text: String| Line::new().with(Tone::Dim, text);
        vec![
            Line::new().with(Tone::Strong, "renewd demo").with(
                Tone::Dim,
                format!(" {dot} stand-ins of the vendors hand out tokens that live for seconds {dot} Ctrl-C ends it"),
            ),
            dim(format!("tokens appear in {folder}/tokens; change {folder}/renewd.yaml and see")),
            dim(format!("`{}` fails on purpose, from second {from} to {to} of every minute", FAILING.0)),
        ]
    }
}

/// The agent, looked at again and again; at the first looks it may not listen yet.
fn looks(agent: &Agent) -> impl Stream<Item = Result<Status, String>> + '_ {
    stream::unfold(false, move |came| async move {
        loop {
            match agent.status().await {
                Ok(status) => {
                    tokio::time::sleep(FRAME).await;
                    return Some((Ok(status), true));
                }
                Err(trouble) if came => {
                    tokio::time::sleep(FRAME).await;
                    return Some((Err(trouble.words()), true));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
}

fn options() -> Result<simulator::Options, Failure> {
    let mut options = simulator::Options::with_lifetime(LIFE);
    options.lifetimes = [
        FAILING,
        (Provider::Bizppurio, Duration::from_secs(20)),
        (Provider::RcsBizCenter, Duration::from_secs(15)),
        (Provider::OAuthClientCredentials, Duration::from_secs(8)),
        // These two hand out the same token until it ends, KIS once a minute at most: little to see in seconds.
        (Provider::PortOneV1, Duration::from_secs(600)),
        (Provider::Kis, Duration::from_secs(600)),
    ]
    .into();
    let (from, to) = OUTAGE;
    let rule = |minute: u64| -> Result<FaultRule, Failure> {
        let text = format!("{}=503@{}s..{}s", FAILING.0, minute * 60 + from, minute * 60 + to);
        text.parse()
            .map_err(|error| Failure::new(Exit::Internal, "the demo's fault is broken").because(&error))
    };
    options.faults = (0..MINUTES).map(rule).collect::<Result<_, _>>()?;
    Ok(options)
}

fn load(path: &Path) -> Result<Loaded, String> {
    config::load(path, &|_| None, catalog::texts(), &crate::sink::trial::attempt)
        .map_err(|problems| problems.to_string())
}

/// An account at each stand-in. People are invited to change it, so it reads as one of theirs would.
fn configuration(folder: &Path, address: SocketAddr, definitions: &[Definition]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "# The demo's own configuration. Change it: the running demo takes it up within a second.\n\
         agent:\n\
         \x20 state_dir: {folder}/state\n\
         \x20 socket: {folder}/renewd.sock\n\
         \x20 listen: off\n\
         limits:\n\
         \x20 hosts: {{ \"{address}\": {{ rate: off, concurrency: 64 }} }}\n\
         accounts:\n"
    );
    for definition in definitions {
        let Ok(provider) = definition.name.parse::<Provider>() else { continue };
        let name = &definition.name;
        text += &format!(
            "  {name}:\n    provider: {name}\n    base_url: {}\n    credentials:\n",
            Simulator::base_url(address, provider)
        );
        for credential in &definition.credentials {
            text += &format!("      {}: demo\n", credential.name);
        }
        if definition.param("token_url").is_some() {
            text += &format!(
                "    params: {{ token_url: \"{}/token\" }}\n",
                Simulator::base_url(address, provider)
            );
        }
        text += &format!("    sinks: [{{ file: {folder}/tokens/{name}.token }}]\n");
    }
    text
}

/// A folder of this process's own, for its time.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("cannot make a folder in {}", parent.display()))
                .because(&error)
                .hint("TMPDIR names another place")
        };
        let mut count = 0_u32;
        loop {
            let path = parent.join(format!("renewd-demo-{}-{count}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && count < 100 => count += 1,
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // what is left is in the temporary folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_has_an_account_at_each_stand_in() {
        let folder = Folder::make().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 9999));
        let text = configuration(&folder.0, address, &settings::builtin().unwrap());
        let path = folder.0.join("renewd.yaml");
        init::write_new(&path, &text).unwrap();
        let loaded = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(loaded.config.accounts.len(), Provider::ALL.len());
        assert_eq!(loaded.warnings, []);
    }

    #[test]
    fn the_folder_goes_with_the_demo() {
        let folder = Folder::make().unwrap();
        let path = folder.0.clone();
        assert!(path.is_dir());
        drop(folder);
        assert!(!path.exists());
    }
}
