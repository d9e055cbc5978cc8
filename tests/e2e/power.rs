//! The power goes at every moment of a first start and of rotations, and takes what was not synced.
//!
//! Every system call of the agent is recorded; [`Disk`] says after each of them what the disk may hold if the power goes now. All of
//! that is looked at as readers would, and agents are started on what differs, beside the vendor as it was at that moment.
//! `RENEWD_STATES` is how many such starts there are, spread over all of them: the long form has each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};

use renewd::simulator::{Provider, Simulator, Stats};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Call, Disk, Sim, Tracer, Tree, Verdict, Watch, World, account, all_well, can_trace, is_well, millis,
    secs, setting, skip, until,
};

/// The disk and the vendor between two calls.
struct Moment {
    disk: Disk,
    vendor: Simulator,
    when: String,
}

/// Notes every moment at which something is different.
struct Recorder {
    disk: Disk,
    vendor: Simulator,
    seen: Stats,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl Recorder {
    fn note(&mut self, when: String) {
        let vendor = self.vendor.branch();
        self.seen = vendor.stats();
        self.moments.lock().unwrap().push(Moment { disk: self.disk.clone(), vendor, when });
    }
}

impl Watch for Recorder {
    fn begins(&mut self, call: &Call) -> Verdict {
        // Since the last change of the disk the vendor may have spent a token.
        if self.disk.concerns(call) && self.vendor.stats() != self.seen {
            self.note(format!("before {} {:?}", call.name, call.objects()));
        }
        Verdict::Go
    }

    fn ends(&mut self, call: &Call, result: i64) -> Verdict {
        if self.disk.concerns(call) && result >= 0 {
            let what = format!("after {} {:?}", call.name, call.objects());
            self.disk.apply(call, result);
            self.note(what);
        }
        Verdict::Go
    }
}

/// Delivered files that a reader may rely on to be whole, with their modes.
const FILES: [(&str, u32); 6] = [
    ("a.token", 0o600),
    ("a.json", 0o640),
    ("b.token", 0o600),
    ("both.env", 0o600),
    ("set/one.json", 0o600),
    ("set/two.json", 0o600),
];

/// An account whose refresh token may be spent once, and one whose token can be asked for again; every form of delivery that
/// replaces.
fn world() -> World {
    let world = World::living(secs(3_600));
    let [a, b] = [(Provider::PortOne, "a"), (Provider::Bizppurio, "b")]
        .map(|(provider, name)| (name.to_owned(), world.account(provider, name)));
    let mut config = world.config([a, b]);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": world.out("a.token") },
        { "file": { "path": world.out("a.json"), "content": "json", "mode": "0640" } },
        { "file": { "path": world.out("a.in-place"), "write": "in-place" } },
    ]);
    let both = "{{ accounts.a.access_token }} {{ accounts.b.access_token }}";
    config["templates"] = json!([
        { "path": world.out("both.env"), "inline": both, "mode": "0600", "on_change": [{ "command": ["true"] }] },
        { "directory": world.out("set"), "mode": "0600", "files": { "one.json": both, "two.json": both } },
    ]);
    world.write(&config);
    world
}

/// A first start and so many renewals, recorded from its first call on; and the world without its agent.
fn recorded(rotations: u64) -> (World, Vec<Moment>) {
    let world = world();
    let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
    let root = world.path("").canonicalize().unwrap();
    let recorder = Recorder {
        disk: Disk::new(&root, &["state", "out"]),
        vendor: Simulator::clone(&world.sim),
        seen: world.sim.stats(),
        moments: Arc::clone(&moments),
    };
    let go = world.path("go");
    let wait = format!("while ! [ -e {} ]; do sleep 0.02; done; exec \"$@\"", go.display());
    let mut run = world.run();
    run.wrapper = ["sh", "-c", &wait, "sh"].map(str::to_owned).to_vec();
    let agent = run.start();
    let tracer = Tracer::on(agent.pid(), recorder);
    std::fs::write(&go, "").unwrap();
    agent.until("everything delivered", secs(60), all_well);
    for _ in 0..rotations {
        for name in ["a", "b"] {
            assert_eq!(agent.renew(name).0, 200);
            agent.until("its delivery", secs(60), all_well);
        }
    }
    // What the last hook's end brings belongs to it.
    let of_all = |name: &str| std::fs::read_to_string(world.path(name)).unwrap_or_default();
    until("the marks of the template's hook", secs(30), || {
        of_all("state/marks.json").contains("both").then_some(())
    });
    // Not within a call, of which it would not be known whether it was made.
    let mut before = 0;
    until("nothing more to write", secs(30), || {
        std::thread::sleep(millis(200));
        let now = moments.lock().unwrap().len();
        (std::mem::replace(&mut before, now) == now).then_some(())
    });
    agent.signal(Signal::KILL);
    let seen = tracer.off();
    for name in ["state", "out"] {
        // The model has missed nothing: it ends where the real folders do.
        assert_eq!(seen.disk.now(name), Tree::read(&root.join(name)), "{name}");
    }
    agent.kill();
    world.sim.stop();
    let moments = std::mem::take(&mut *moments.lock().unwrap());
    (world, moments)
}

/// In every state of every moment, every file is as some delivery has written it, with its mode; once it must be there it stays,
/// and once a newer one must be, no older one comes back. Gives the number of states.
fn whole_files(moments: &[Moment]) -> usize {
    let mut written: BTreeMap<&str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut least: BTreeMap<&str, usize> = BTreeMap::new();
    let mut looked_at = 0;
    for moment in moments {
        let now = moment.disk.now("out");
        for (name, _) in FILES {
            if let Some((content, _)) = now.file(name)
                && !written.entry(name).or_default().iter().any(|known| known == content)
            {
                written.entry(name).or_default().push(content.to_vec());
            }
        }
        let (states, whole) = moment.disk.states("out");
        assert!(whole, "{}: too many names are pending to try each combination", moment.when);
        looked_at += states.len();
        for (name, mode) in FILES {
            let known = written.entry(name).or_default();
            let least = least.entry(name).or_default();
            let ages = states.iter().map(|state| match state.file(name) {
                None => 0,
                Some((content, found)) => {
                    let what = String::from_utf8_lossy(content);
                    let age = known.iter().position(|known| known == content);
                    let age = age.unwrap_or_else(|| panic!("{}: {name} holds {what:?}", moment.when));
                    assert_eq!(found, mode, "{}: the mode of {name}", moment.when);
                    age + 1
                }
            });
            let oldest = ages.min().unwrap();
            assert!(oldest >= *least, "{}: {name} comes back as it was before", moment.when);
            *least = oldest;
        }
        for state in &states {
            let [one, two] = ["set/one.json", "set/two.json"].map(|name| state.file(name));
            let apart = one.is_some() && two.is_some() && one != two;
            assert!(!apart, "{}: a set of two minds", moment.when);
        }
    }
    for (name, _) in FILES {
        assert!(written[name].len() > 1, "{name} was written more than once");
        assert_eq!(least[name], written[name].len(), "{name}: what was reported as delivered is durable");
    }
    looked_at
}

/// What only the account with the refresh token makes, also as parts of temporary names.
const OF_A: [&str; 3] = ["a.token", "a.json", "a.in-place"];

/// A folder's states and a vendor, of those that differ in something that matters.
struct Start<'a> {
    moment: &'a Moment,
    state: Tree,
    out: Tree,
    /// Whether the login may be lost: nothing has used its reply yet.
    first_login: bool,
}

fn starts(moments: &[Moment]) -> Vec<Start<'_>> {
    let mut known = HashSet::new();
    let mut starts = Vec::new();
    let used = |moment: &Moment| match moment.disk.now("out") {
        Tree::Folder(names) => names.keys().any(|name| OF_A.iter().any(|of_a| name.contains(of_a))),
        _ => unreachable!(),
    };
    let first_use = moments.iter().position(used).unwrap();
    for (number, moment) in moments.iter().enumerate() {
        let (states, whole) = moment.disk.states("state");
        assert!(whole, "{}: too many names are pending to try each combination", moment.when);
        let (outs, _) = moment.disk.states("out");
        // Readers' files as the agent left them, and with the least that is left of them.
        let least = outs.into_iter().min_by_key(Tree::size).unwrap();
        let outs = BTreeSet::from([moment.disk.now("out"), least]);
        let stats = moment.vendor.stats();
        let vendor: Vec<(u64, u64)> =
            stats.providers.values().map(|seen| (seen.requests, seen.granted)).collect();
        for state in states {
            for out in &outs {
                let mut hash = DefaultHasher::new();
                (state.outline(), out.outline(), &vendor).hash(&mut hash);
                if known.insert(hash.finish()) {
                    let (state, out) = (state.clone(), out.clone());
                    starts.push(Start { moment, state, out, first_login: number < first_use });
                }
            }
        }
    }
    starts
}

/// An agent on what a loss of power has left.
fn start_on(world: &World, start: &Start<'_>) {
    let when = &start.moment.when;
    for (name, tree) in [("state", &start.state), ("out", &start.out)] {
        let _ = std::fs::remove_dir_all(world.path(name));
        tree.make(&world.path(name));
    }
    let sim = Sim::in_place_of(&world.sim, start.moment.vendor.branch());
    let logins = |sim: &Sim| {
        sim.stats().providers.get("portone").map_or(0, |vendor| {
            vendor
                .operations
                .get("issue")
                .into_iter()
                .flat_map(BTreeMap::values)
                .map(|account| account.granted)
                .sum::<u64>()
        })
    };
    let before = logins(&sim);
    let agent = world.run().start();
    // Whoever was cut off in a first request waits for its next turn; somebody in a hurry asks.
    let started = std::time::Instant::now();
    until("the next agent's tokens", secs(90), || {
        let status = agent.try_status()?;
        if all_well(&status) {
            return Some(());
        }
        let waiting = ["a", "b"].into_iter().filter(|name| !is_well(account(&status, name)));
        if started.elapsed() > secs(3) {
            waiting.for_each(|name| drop(agent.renew(name)));
        }
        None
    });
    let logins_now = logins(&sim);
    let most = before + u64::from(start.first_login);
    assert!(logins_now <= most, "{when}: {logins_now} logins, {before} before");
    assert_eq!(agent.renew("a").0, 200, "{when}");
    agent.until(when, secs(60), all_well);
    for (provider, name) in
        [(Provider::PortOne, "a.token"), (Provider::PortOne, "a.in-place"), (Provider::Bizppurio, "b.token")]
    {
        let token = world.read(name);
        world.canaries.add(&token);
        assert!(sim.accepts(provider, &token), "{when}: {name}");
    }
    let both = format!("{} {}", world.read("a.token"), world.read("b.token"));
    // In files of JSON a value brings its quotes.
    let same = |name: &str| {
        until(&format!("{when}: {name}"), secs(30), || {
            (world.read(name).replace('"', "").trim() == both).then_some(())
        })
    };
    ["both.env", "set/one.json", "set/two.json"].into_iter().for_each(same);
    let stats = sim.stats();
    let dead: u64 = stats.providers["portone"]
        .operations
        .values()
        .flat_map(BTreeMap::values)
        .map(|account| account.dead_refresh_tokens)
        .sum();
    assert_eq!(dead, 0, "{when}: a spent refresh token was used again");
    for name in ["state", "out"] {
        let left = Tree::read(&world.path(name));
        assert!(!left.has_temporary(), "{when}: {left:?}");
    }
    agent.kill();
    sim.stop();
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_whole_files_and_accounts_that_go_on() {
    let test = "a_loss_of_power_at_any_moment_leaves_whole_files_and_accounts_that_go_on";
    if let Err(reason) = can_trace() {
        return skip(test, &reason);
    }
    let most = usize::try_from(setting("RENEWD_STATES", 10)).unwrap();
    let (world, moments) = recorded(2);
    let states = whole_files(&moments);
    let starts = starts(&moments);
    let tried = most.min(starts.len());
    eprintln!(
        "{} moments, {states} states of delivered files, {} different states to start on, {tried} of them tried",
        moments.len(),
        starts.len()
    );
    for number in 0..tried {
        start_on(&world, &starts[number * starts.len() / tried]);
    }
}
