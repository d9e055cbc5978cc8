//! One system call of a rotation, or of its deliveries, is the last one, or fails: each of them in turn, in whichever thread.
//!
//! What a rotation consists of is recorded first: each call by its name, what it is done to and how often that was done before.
//! Then it is aimed at one after the other. A kill as a call begins leaves it undone, a kill as it ends leaves it done; where a
//! call changes something, both are tried. `RENEWD_INJECTIONS` is how many are, spread over all of them: the long form tries each.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::errno::Errno;
use renewd::simulator::Provider;
use serde_json::{Value, json};

use crate::support::{
    Agent, Call, Tracer, Verdict, Watch, World, account, can_trace, generation, is_well, millis, secs,
    setting, skip,
};

/// A call of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Point {
    name: &'static str,
    /// What it is done to, without what is random of it.
    place: String,
    /// How often that was done before.
    earlier: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Begins,
    Ends,
}

impl Point {
    /// Whether somebody else can see that it was done.
    fn changes(&self) -> bool {
        !matches!(
            self.name,
            "read"
                | "pread64"
                | "readv"
                | "close"
                | "stat"
                | "fstat"
                | "lstat"
                | "newfstatat"
                | "statx"
                | "readlink"
                | "readlinkat"
                | "getdents64"
                | "recvfrom"
                | "recvmsg"
                | "access"
                | "faccessat"
                | "faccessat2"
                | "socket"
        )
    }

    /// Whether it does something to state or to what is delivered.
    fn reaches_files(&self) -> bool {
        self.changes() && (self.place.starts_with("state") || self.place.starts_with("out"))
    }
}

/// Counts the calls, and does something at one of them.
struct Aim {
    at: Option<(Point, Side, Verdict)>,
    root: PathBuf,
    /// From when on calls count.
    armed: Arc<AtomicBool>,
    /// All calls, those before as well.
    calls: Arc<AtomicU64>,
    counts: HashMap<(&'static str, String), u32>,
    /// The calls that threads are in.
    inside: HashMap<i32, Point>,
    seen: Vec<Point>,
    hit: bool,
}

impl Aim {
    fn new(world: &World, at: Option<(Point, Side, Verdict)>) -> Self {
        Self {
            at,
            root: world.path("").canonicalize().unwrap(),
            armed: Arc::default(),
            calls: Arc::default(),
            counts: HashMap::new(),
            inside: HashMap::new(),
            seen: Vec::new(),
            hit: false,
        }
    }

    fn point(&mut self, call: &Call) -> Option<Point> {
        let places: Vec<String> = call.objects().iter().map(|path| place(&self.root, path, call)).collect();
        let place = places.join(" ");
        // One thread wakes another: how often is chance, and nobody else sees it.
        if place.starts_with("anon_inode:") || place.starts_with("pipe:") {
            return None;
        }
        let count = self.counts.entry((call.name, place.clone())).or_default();
        *count += 1;
        Some(Point { name: call.name, place, earlier: *count - 1 })
    }

    fn verdict(&mut self, point: &Point, now: Side) -> Verdict {
        match &self.at {
            Some((at, side, verdict)) if at == point && *side == now => {
                self.hit = true;
                *verdict
            }
            _ => Verdict::Go,
        }
    }
}

impl Watch for Aim {
    fn begins(&mut self, call: &Call) -> Verdict {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.armed.load(Ordering::Relaxed) {
            return Verdict::Go;
        }
        let Some(point) = self.point(call) else { return Verdict::Go };
        self.seen.push(point.clone());
        self.inside.insert(call.thread, point.clone());
        self.verdict(&point, Side::Begins)
    }

    fn ends(&mut self, call: &Call, _: i64) -> Verdict {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.inside.remove(&call.thread) {
            Some(point) => self.verdict(&point, Side::Ends),
            None => Verdict::Go,
        }
    }
}

/// What a call is done to, the same in each round.
fn place(root: &Path, path: &Path, call: &Call) -> String {
    let text = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    if text.starts_with("agent-") {
        return "log".to_owned();
    }
    if let Some(inode) = text.strip_prefix("socket:[") {
        let inode = inode.trim_end_matches(']');
        let table = std::fs::read_to_string(format!("/proc/{}/net/unix", call.process())).unwrap_or_default();
        let is_unix = table.lines().any(|line| line.split_whitespace().nth(6) == Some(inode));
        return if is_unix { "the agent's socket" } else { "the vendor" }.to_owned();
    }
    // `.renewd-tmp.a.json.8c1f...`, `..renewd.8c1f...`
    let mut parts: Vec<&str> = text.split(['.', '/']).collect();
    parts.retain(|part| part.len() != 16 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()));
    parts.join(".")
}

/// A rotation, with something that happens at one of its calls.
struct Round {
    /// The vendor's and the agent's answer, where it lived to give it.
    answer: Option<u16>,
    aim: Aim,
}

/// Renews the account, from a moment at which the agent does nothing to the next.
fn rotation(world: &World, agent: &Agent, at: Option<(Point, Side, Verdict)>) -> Round {
    let aim = Aim::new(world, at);
    let (armed, calls) = (Arc::clone(&aim.armed), Arc::clone(&aim.calls));
    let quiet = || {
        // Where the machine is so busy that this is too early, the last calls are missed, and counted as such.
        let mut before = u64::MAX;
        for _ in 0..50 {
            let now = calls.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
            std::thread::sleep(millis(150));
        }
    };
    let tracer = Tracer::on(agent.pid(), aim);
    quiet();
    armed.store(true, Ordering::Relaxed);
    // It may be gone before it answers.
    let answer = crate::support::call(agent.socket(), "POST", "/v1/accounts/a/renew?timeout=30", "");
    let answer = answer.ok().map(|(code, _)| code);
    quiet();
    Round { answer, aim: tracer.off() }
}

/// The calls of a rotation in their order: all that were ever seen, and those that were each time.
fn calls_of_a_rotation(world: &World) -> (Vec<Point>, BTreeSet<Point>) {
    let agent = world.run().start();
    agent.until_well();
    let (mut all, mut always): (Vec<Point>, Option<BTreeSet<Point>>) = (Vec::new(), None);
    for _ in 0..3 {
        let round = rotation(world, &agent, None);
        assert_eq!(round.answer, Some(200));
        agent.until_well();
        let seen: BTreeSet<Point> = round.aim.seen.iter().cloned().collect();
        all.extend(round.aim.seen.into_iter().filter(|point| !all.contains(point)).collect::<Vec<_>>());
        always = Some(always.map_or(seen.clone(), |always| &always & &seen));
    }
    agent.stop();
    (all, always.unwrap())
}

/// One account whose refresh token may be spent once, delivered in every way that replaces.
fn rotating(provider: Provider) -> World {
    let world = World::living(secs(3_600));
    let mut config = world.one(provider);
    config["accounts"]["a"]["sinks"] = json!([
        { "file": world.out("a.token") },
        { "file": { "path": world.out("a.json"), "content": "json" } },
    ]);
    let token = "{{ accounts.a.access_token }}";
    config["templates"] = json!([
        { "path": world.out("a.txt"), "inline": token },
        { "directory": world.out("set"), "files": { "one": token, "two": token } },
    ]);
    world.write(&config);
    world
}

/// So many of them, spread evenly: that many unless it is said how many.
fn spread<T: Clone>(all: &[T], otherwise: u64) -> Vec<T> {
    let most = usize::try_from(setting("RENEWD_INJECTIONS", otherwise)).unwrap().min(all.len());
    (0..most).map(|number| all[number * all.len() / most].clone()).collect()
}

/// All files are whole, and hold one token each that the vendor gave.
#[track_caller]
fn whole(world: &World, when: &str) -> BTreeSet<String> {
    let document: Value =
        serde_json::from_str(&world.read("a.json")).unwrap_or_else(|error| panic!("{when}: {error}"));
    let mut tokens = BTreeSet::from([document["access_token"].as_str().unwrap().to_owned()]);
    tokens.extend(["a.token", "a.txt"].map(|name| world.read(name)));
    let set = world.out("set").join("..data").canonicalize().unwrap();
    let [one, two] = ["one", "two"].map(|name| std::fs::read_to_string(set.join(name)).unwrap());
    assert_eq!(one, two, "{when}");
    tokens.insert(one);
    for token in &tokens {
        world.canaries.add(token);
        assert!(world.sim.accepts(Provider::PortOne, token), "{when}: a token that does not hold");
    }
    tokens
}

#[test]
fn killed_at_any_call_of_a_rotation_the_files_are_whole_and_no_login_is_needed() {
    let test = "killed_at_any_call_of_a_rotation_the_files_are_whole_and_no_login_is_needed";
    if let Err(reason) = can_trace() {
        return skip(test, &reason);
    }
    let world = rotating(Provider::PortOne);
    let (calls, always) = calls_of_a_rotation(&world);
    let ends = calls.iter().filter(|point| point.changes()).map(|point| (point.clone(), Side::Ends));
    let mut points: Vec<(Point, Side)> =
        calls.iter().map(|point| (point.clone(), Side::Begins)).chain(ends).collect();
    points.sort_by_key(|(point, _)| calls.iter().position(|other| other == point));
    let tried = spread(&points, 12);
    let (mut killed, mut answered, mut missed) = (0, 0, Vec::new());
    let mut agent = world.run().start();
    agent.until_well();
    for (point, side) in &tried {
        let when = format!("killed as {} of {} ({}) {side:?}", point.name, point.place, point.earlier);
        let refreshes =
            || world.sim.stats().providers["portone"].operations["refresh"].values().next().unwrap().clone();
        let before = refreshes().granted;
        // Which of two threads comes first is chance: a call may have another number once.
        let hit = (0..3).any(|_| {
            let round = rotation(&world, &agent, Some((point.clone(), *side, Verdict::Kill)));
            answered += u32::from(round.aim.hit && round.answer == Some(200));
            round.aim.hit
        });
        if !hit {
            missed.push(point);
            agent.until_well();
            continue;
        }
        assert!(agent.ends_within(secs(10)).is_some(), "{when}");
        killed += 1;
        whole(&world, &when);
        let temporary = leftovers(&world);

        agent = world.run().start();
        let status = agent.until("the next agent's tokens", secs(30), |status| is_well(account(status, "a")));
        let left: Vec<_> = temporary.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
        assert!(left.is_empty(), "{when}: {left:?} are left");
        // The reply that the vendor gave, if it gave one, is had again; nothing is spent twice.
        let (code, reply) = agent.renew("a");
        assert_eq!(code, 200, "{when}: {reply}\n{}", account(&status, "a"));
        agent.until_well();
        crate::support::until(&when, secs(30), || (whole(&world, &when).len() == 1).then_some(()));
        assert!(refreshes().granted > before, "{when}");
        assert_eq!(refreshes().dead_refresh_tokens, 0, "{when}: a spent refresh token was used again");
        let stats = world.sim.stats();
        let logins = stats.providers["portone"].operations["issue"].values().next().unwrap().requests;
        assert_eq!(logins, 1, "{when}: another login");
    }
    eprintln!(
        "{} calls of a rotation, {} of them each time; {} points to be killed at, {} tried: {killed} killed, {answered} of \
         them after the answer; not reached: {}",
        calls.len(),
        always.len(),
        points.len(),
        tried.len(),
        missed.len(),
    );
    for point in &missed {
        eprintln!("not reached: {} of {} ({})", point.name, point.place, point.earlier);
    }
    assert!(killed > 0);
    let lost: Vec<_> =
        missed.iter().filter(|point| point.reaches_files() && always.contains(**point)).collect();
    assert!(lost.is_empty(), "calls of every rotation that could not be reached: {lost:?}");
    agent.stop();
}

/// What a killed agent has left half made.
fn leftovers(world: &World) -> Vec<PathBuf> {
    let set = std::fs::read_dir(world.out("set")).unwrap().map(|entry| entry.unwrap().path());
    let is_half = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("..renewd-tmp.") || name.ends_with("_tmp")
    };
    world.leftovers().into_iter().chain(set.filter(is_half)).collect()
}

/// Calls that reach a disk, and what they fail with.
const DISK: [(&[&str], Errno); 9] = [
    (&["fsync", "fdatasync"], Errno::EIO),
    (&["rename", "renameat", "renameat2"], Errno::EIO),
    (&["rename", "renameat", "renameat2"], Errno::EDQUOT),
    (&["write", "pwrite64"], Errno::ENOSPC),
    (&["pwrite64", "fallocate"], Errno::EDQUOT),
    (&["fchmod", "fchown"], Errno::EPERM),
    (&["unlink", "unlinkat"], Errno::EIO),
    (&["mkdirat", "symlinkat"], Errno::EROFS),
    (&["openat"], Errno::EMFILE),
];

#[test]
fn a_disk_that_fails_at_any_call_of_a_rotation_costs_no_token_and_heals_alone() {
    let test = "a_disk_that_fails_at_any_call_of_a_rotation_costs_no_token_and_heals_alone";
    if let Err(reason) = can_trace() {
        return skip(test, &reason);
    }
    let world = rotating(Provider::PortOne);
    let (calls, always) = calls_of_a_rotation(&world);
    let agent = world.run().start();
    agent.until_well();
    let (mut failed, mut renewed, mut wanted, mut missed) = (0, 0, 0, Vec::new());
    // Some heal only with the look that comes every minute.
    let some = [Errno::EIO, Errno::ENOSPC, Errno::EMFILE];
    let short = setting("RENEWD_INJECTIONS", 0) == 0;
    let kinds =
        DISK.iter().filter(|(names, error)| !short || some.contains(error) && !names.contains(&"unlink"));
    for (names, error) in kinds.copied() {
        let on_disk =
            |point: &&Point| names.contains(&point.name) && (point.name != "write" || point.place != "log");
        let of_these: Vec<Point> =
            calls.iter().filter(on_disk).filter(|point| !is_socket(point)).cloned().collect();
        wanted += of_these.len();
        for point in spread(&of_these, 1) {
            let when = format!("{error} at {} of {} ({})", point.name, point.place, point.earlier);
            let before = generation(&agent.status(), "a");
            let mut answer = None;
            let hit = (0..3).any(|_| {
                let round =
                    rotation(&world, &agent, Some((point.clone(), Side::Begins, Verdict::Fail(error))));
                answer = round.answer;
                whole(&world, &when);
                round.aim.hit
            });
            if !hit {
                missed.push(point.clone());
            }
            failed += u32::from(hit);
            renewed += u32::from(hit && answer == Some(200));
            // Alone: nobody asks for anything.
            let status = agent.until(&when, secs(75), |status| is_well(account(status, "a")));
            assert!(generation(&status, "a") >= before, "{when}");
            if answer != Some(200) {
                assert_eq!(agent.renew("a").0, 200, "{when}");
                agent.until_well();
            }
            crate::support::until(&when, secs(75), || (whole(&world, &when).len() == 1).then_some(()));
        }
    }
    let stats = world.sim.stats();
    let portone = &stats.providers["portone"].operations;
    let refreshes = portone["refresh"].values().next().unwrap();
    eprintln!(
        "{wanted} calls to fail, {failed} failed, {} not reached; {renewed} renewals worked all the same; {refreshes:?}",
        missed.len()
    );
    assert!(failed > 0);
    let lost: Vec<_> =
        missed.iter().filter(|point| point.reaches_files() && always.contains(*point)).collect();
    assert!(lost.is_empty(), "calls of every rotation that could not be reached: {lost:?}");
    assert_eq!(refreshes.dead_refresh_tokens, 0);
    assert_eq!(portone["issue"].values().next().unwrap().requests, 1, "another login");
    agent.stop();
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
}

fn is_socket(point: &Point) -> bool {
    point.place == "the agent's socket" || point.place == "the vendor"
}
