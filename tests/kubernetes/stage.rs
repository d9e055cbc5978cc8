//! The real binary with a kubeconfig of an API server, and vendors' stand-ins to get tokens from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use renewd::simulator::Provider;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::gate::Gate;
use crate::room::{NAME, Room};
use crate::support::{Agent, Run, World, account, secs, until};

/// A namespace on an API server behind a gate, and a world of stand-ins.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) room: Room,
    pub(crate) gate: Gate,
    kubeconfig: PathBuf,
    runtime: Runtime,
}

impl Stage {
    /// The agent is `user` there, and its tokens live for so many seconds.
    pub(crate) fn set(user: &str, lifetime: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let room = runtime.block_on(Room::open());
        Self::at(runtime, room, user, lifetime)
    }

    /// The same, always with a double.
    pub(crate) fn with_double(user: &str, lifetime: u64) -> Self {
        let runtime = Runtime::new().unwrap();
        let room = runtime.block_on(Room::with_double());
        Self::at(runtime, room, user, lifetime)
    }

    fn at(runtime: Runtime, room: Room, user: &str, lifetime: u64) -> Self {
        let authority = room.url.split_once("://").unwrap().1.to_owned();
        let gate = runtime.block_on(Gate::to(authority));
        let kubeconfig = room.kubeconfig_at(gate.address, &json!({ "token": user }));
        let world = World::living(secs(lifetime));
        world.canaries.add(user);
        Self { world, room, gate, kubeconfig, runtime }
    }

    /// Something that the API server is asked by others than the agent.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The values of the example's Secret; `None` where it is not there.
    pub(crate) fn secret(&self) -> Option<BTreeMap<String, String>> {
        self.wait(async { self.room.look().await.map(|object| Room::values_of(&object)) })
    }

    /// One of its values.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.secret()?.remove(key)
    }

    /// A sink into the example's Secret.
    pub(crate) fn sink(&self) -> Value {
        json!({ "kubernetes": { "secret": NAME, "namespace": self.room.namespace } })
    }

    /// An account `a` with a file and these sinks.
    pub(crate) fn config(&self, sinks: impl IntoIterator<Item = Value>) -> Value {
        let mut config = self.world.one(Provider::OAuthClientCredentials);
        config["accounts"]["a"]["sinks"].as_array_mut().unwrap().extend(sinks);
        config
    }

    pub(crate) fn run(&self) -> Run {
        self.run_as(self.kubeconfig.clone())
    }

    pub(crate) fn run_as(&self, kubeconfig: PathBuf) -> Run {
        let run = self.world.run().env("KUBECONFIG", kubeconfig.display().to_string());
        run.env("POD_NAMESPACE", self.room.namespace.clone())
    }

    pub(crate) fn start(&self, config: &Value) -> Agent {
        self.world.write(config);
        self.run().start()
    }

    /// `check --online` as a user of the API server.
    pub(crate) fn check(&self, config: &Value, user: &str) -> Output {
        self.world.write(config);
        let kubeconfig = self.room.kubeconfig_at(self.gate.address, &json!({ "token": user }));
        self.run_as(kubeconfig).finish(&["check", "--online"])
    }

    /// Waits until the Secret has the token that the file has, and gives it.
    #[track_caller]
    pub(crate) fn until_both_have(&self, key: &str, not: &str) -> String {
        until("the file's token in the Secret", secs(20), || {
            let file =
                std::fs::read_to_string(self.world.out("a.token")).ok().filter(|token| token != not)?;
            (self.value(key)? == file).then_some(file)
        })
    }
}

/// The Kubernetes sink of a status, where there is one.
pub(crate) fn sink_of<'a>(status: &'a Value, secret: &str) -> &'a Value {
    let sinks = account(status, "a")["sinks"].as_array().unwrap();
    let is_it = |sink: &&Value| {
        let id = sink["sink"].as_str().unwrap();
        id.starts_with("kubernetes:") && id.ends_with(&format!("/{secret}"))
    };
    sinks.iter().find(is_it).unwrap_or_else(|| panic!("no sink {secret}: {status}"))
}
