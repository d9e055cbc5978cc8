//! Another user of the machine, who swaps what stands in and above the folders of sinks while the agent delivers.
//!
//! `RENEWD_RACES` is how often something is swapped, `RENEWD_SEED` what has the same things put in the same places again
//! (not at the same instants).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use renewd::atomic::TEMPORARY_PREFIX;
use renewd::simulator::Provider;
use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags};
use serde_json::{Value, json};

use crate::support::{
    World, account, free_port, generation, http_get, is_root, is_well, secs, setting, skip, until,
};

const ANY: Provider = Provider::OAuthClientCredentials;
const ATTACKS: &str = "RENEWD_TEST_ATTACKS";
const STRANGER: u32 = 61_235;
/// From so many swaps on the agent has to heal alone, which takes it a minute.
const LONG: u64 = 50_000;
/// What the stranger writes into his own files, to know them again.
const HIS: &[u8] = b"the stranger's own";
/// What stands in the files that he has links lead to.
const VICTIM: &str = "do not touch";

/// A sequence that comes again with its seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[usize::try_from(self.below(things.len() as u64)).unwrap()]
    }
}

/// What is put in a name's place.
const KINDS: [&str; 9] = [
    "link to a file",
    "link to a folder",
    "link to nothing",
    "hard link",
    "FIFO",
    "folder",
    "file",
    "removal",
    "what was there",
];

/// The stranger: everything that he does is done with his rights alone.
struct Stranger {
    root: PathBuf,
    chance: Chance,
    /// Names whose things he swaps.
    targets: Vec<PathBuf>,
    /// Where what he could not remove stands now, and where it belongs.
    hostages: Vec<(PathBuf, PathBuf)>,
    /// His own files and FIFOs, which nobody else may write into.
    traps: Vec<OwnedFd>,
    number: u64,
    swaps: BTreeMap<&'static str, u64>,
    refused: u64,
    leaks: Vec<String>,
}

impl Stranger {
    fn new(root: PathBuf, seed: u64) -> Self {
        let targets = [
            "open/a.token",
            "open/b.token",
            "open/c",
            "open/set",
            "open/audit",
            "sticky/d.token",
            "sticky/e",
            "between/sub",
            "theirs/t.token",
            "theirs/sub",
        ];
        Self {
            targets: targets.map(|name| root.join(name)).to_vec(),
            root,
            chance: Chance(seed),
            hostages: Vec::new(),
            traps: Vec::new(),
            number: 0,
            swaps: BTreeMap::new(),
            refused: 0,
            leaks: Vec::new(),
        }
    }

    fn swapped(&self) -> u64 {
        self.swaps.values().sum()
    }

    fn attack(&mut self) {
        let kind = *self.chance.of(&KINDS);
        let target = match self.chance.below(8) {
            // What the agent is about to rename.
            0 => self.temporary(),
            _ => None,
        };
        let target = target.unwrap_or_else(|| self.chance.of(&self.targets).clone());
        let done = match kind {
            "what was there" => self.give_back(),
            kind => self.put(kind, &target),
        };
        match done {
            Some(()) => *self.swaps.entry(kind).or_default() += 1,
            None => self.refused += 1,
        }
        self.look(&target);
        let pause = self.chance.below(200);
        std::thread::sleep(Duration::from_micros(pause));
    }

    /// A temporary file of the agent's that stands in the folder open to all.
    fn temporary(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.root.join("open")).ok()?.flatten();
        let ours = |path: &PathBuf| path.to_string_lossy().contains(TEMPORARY_PREFIX);
        entries.map(|entry| entry.path()).find(ours)
    }

    /// Makes a thing beside the target and exchanges the two; what was there is removed, or else kept.
    fn put(&mut self, kind: &'static str, target: &Path) -> Option<()> {
        self.number += 1;
        let beside = target.with_file_name(format!(".his-{}", self.number));
        let victims = self.root.join("victims");
        let link = |to: &str| std::os::unix::fs::symlink(victims.join(to), &beside).ok();
        match kind {
            "link to a file" => link("file")?,
            "link to a folder" => link("folder")?,
            "link to nothing" => link("new")?,
            "hard link" => {
                let spare = std::fs::read_dir(self.root.join("pocket")).ok()?.flatten().next()?;
                std::fs::rename(spare.path(), &beside).ok()?;
            }
            "FIFO" => {
                rustix::fs::mknodat(CWD, &beside, FileType::Fifo, Mode::from_raw_mode(0o666), 0).ok()?;
                self.trap(&beside, OFlags::RDWR);
            }
            "folder" => std::fs::create_dir(&beside).ok()?,
            "file" => {
                std::fs::write(&beside, HIS).ok()?;
                std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o666)).ok()?;
                self.trap(&beside, OFlags::RDONLY);
            }
            _ => {
                // Away with it: out of its folder where he may, else out of its name.
                std::fs::rename(target, &beside).ok()?;
                self.dispose(beside, target);
                return Some(());
            }
        }
        let swap = |flags| rustix::fs::renameat_with(CWD, &beside, CWD, target, flags).is_ok();
        let exchanged = swap(RenameFlags::EXCHANGE);
        let done = exchanged || swap(RenameFlags::NOREPLACE);
        if exchanged || !done {
            self.dispose(beside, target);
        }
        done.then_some(())
    }

    fn dispose(&mut self, thing: PathBuf, belongs: &Path) {
        let meta = std::fs::symlink_metadata(&thing);
        let is_link_of_root = meta.as_ref().is_ok_and(|found| found.nlink() > 1 && found.is_file());
        if is_link_of_root {
            let _ = std::fs::rename(&thing, self.root.join(format!("pocket/{}", self.number)));
            return;
        }
        // A folder with something in it cannot be removed by him: it is kept.
        let gone = std::fs::remove_file(&thing).is_ok() || std::fs::remove_dir(&thing).is_ok();
        if !gone {
            self.hostages.push((thing, belongs.to_owned()));
        }
    }

    /// Puts back what he has taken away.
    fn give_back(&mut self) -> Option<()> {
        let (thing, belongs) = self.hostages.pop()?;
        let swap = |flags| rustix::fs::renameat_with(CWD, &thing, CWD, &belongs, flags).is_ok();
        if swap(RenameFlags::NOREPLACE) {
            return Some(());
        }
        let done = swap(RenameFlags::EXCHANGE);
        self.dispose(thing, &belongs);
        done.then_some(())
    }

    /// Keeps a thing of his own open, to see what others write into it.
    fn trap(&mut self, path: &Path, flags: OFlags) {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOFOLLOW;
        if let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) {
            self.traps.push(file);
        }
        if self.traps.len() > 256 {
            let trap = self.traps.remove(0);
            self.sprung(&trap);
        }
    }

    fn sprung(&mut self, trap: &OwnedFd) {
        let mut caught = [0; 1024];
        let length = rustix::io::read(trap, &mut caught).unwrap_or(0);
        if length > 0 && !caught.starts_with(HIS) {
            self.leaks.push(format!("{length} bytes were written into a thing of his"));
        }
        let stat = rustix::fs::fstat(trap).unwrap();
        if stat.st_uid != STRANGER || stat.st_mode & 0o777 & !0o666 != 0 {
            self.leaks.push(format!("owner {} and mode {:o} of a thing of his", stat.st_uid, stat.st_mode));
        }
    }

    /// Reads what stands there, if he may.
    fn look(&mut self, target: &Path) {
        for path in [target.to_owned(), target.join("c.token"), target.join("token")] {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
            let Ok(file) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
            let mut seen = [0; 1024];
            let length = rustix::io::read(&file, &mut seen).unwrap_or(0);
            if length > 0 && !seen.starts_with(HIS) && !seen.starts_with(VICTIM.as_bytes()) {
                self.leaks.push(format!("he has read {length} bytes of {}", path.display()));
            }
        }
    }
}

/// Not a test of its own: run by the next one as another user.
#[test]
fn stranger_who_swaps() {
    let Ok(order) = std::env::var(ATTACKS) else { return };
    rustix::process::umask(Mode::empty());
    let order: Value = serde_json::from_str(&order).unwrap();
    let mut stranger = Stranger::new(order["root"].as_str().unwrap().into(), order["seed"].as_u64().unwrap());
    let wanted = order["swaps"].as_u64().unwrap();
    while stranger.swapped() < wanted {
        stranger.attack();
    }
    for trap in std::mem::take(&mut stranger.traps) {
        stranger.sprung(&trap);
    }
    let told = json!({ "swaps": stranger.swaps, "refused": stranger.refused, "leaks": stranger.leaks });
    println!("told:{told}");
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
}

/// The process of another user, ended with the test.
struct Attack {
    child: Child,
    _stdin: ChildStdin,
}

impl Attack {
    fn start(order: &Value) -> std::io::Result<Self> {
        let ids = [format!("--reuid={STRANGER}"), format!("--regid={STRANGER}"), "--clear-groups".to_owned()];
        let mut child = Command::new("setpriv")
            .args(ids)
            .arg(std::env::current_exe()?)
            .args(["--exact", "others::stranger_who_swaps", "--nocapture"])
            .env(ATTACKS, order.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().unwrap();
        Ok(Self { child, _stdin: stdin })
    }

    /// What he has to tell when he has done what he was to do.
    fn told(&mut self) -> Value {
        let said = BufReader::new(self.child.stdout.take().unwrap());
        let mut lines = said.lines().map_while(Result::ok);
        let told = lines.find_map(|line| line.split_once("told:").map(|(_, told)| told.to_owned()));
        serde_json::from_str(&told.expect("the stranger's report")).unwrap()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything below a folder: name, kind, mode, owner, group and content.
fn picture(folder: &Path) -> BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)> {
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, meta) = (entry.path(), entry.metadata().unwrap());
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        if meta.is_dir() {
            seen.extend(picture(&path));
        }
        seen.insert(path, (meta.mode(), meta.uid(), meta.gid(), content));
    }
    seen
}

/// Folders: one that everybody may write, one of them sticky, one of the stranger's, and one of ours below one of his.
fn stage(world: &World) {
    let make = |name: &str, mode: u32, owner: u32| {
        std::fs::create_dir_all(world.path(name)).unwrap();
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
        chown(world.path(name), Some(owner), Some(owner)).unwrap();
    };
    for (name, mode, owner) in [
        ("", 0o755, 0),
        ("victims", 0o755, 0),
        ("victims/folder", 0o755, 0),
        ("open", 0o777, 0),
        ("open/c", 0o755, 0),
        ("sticky", 0o1777, 0),
        ("theirs", 0o755, STRANGER),
        ("between", 0o755, STRANGER),
        ("between/sub", 0o755, 0),
        ("pocket", 0o755, STRANGER),
    ] {
        make(name, mode, owner);
    }
    for name in ["victims/file", "victims/private", "victims/folder/c.token", "victims/folder/token"] {
        world.put(name, VICTIM);
        let mode = if name.ends_with("private") { 0o600 } else { 0o644 };
        std::fs::set_permissions(world.path(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    // He could not make these himself where the kernel protects hard links.
    for number in 0..64 {
        std::fs::hard_link(world.path("victims/private"), world.path(&format!("pocket/{number}"))).unwrap();
    }
}

fn places(world: &World) -> Value {
    let account = |name: &str, sinks: Value| {
        let mut account = world.account(ANY, name);
        account["sinks"] = sinks;
        (name.to_owned(), account)
    };
    let mut config = world.config([
        account("a", json!([{ "file": world.path("open/a.token") }])),
        account("b", json!([{ "file": { "path": world.path("open/b.token"), "write": "in-place" } }])),
        account("c", json!([{ "file": world.path("open/c/c.token") }])),
        account("d", json!([{ "file": world.path("sticky/d.token") }])),
        // Its folder is not there yet: who is first makes it.
        account("e", json!([{ "file": world.path("sticky/e/f/e.token") }])),
        account("u", json!([{ "file": { "path": world.path("between/sub/token"), "write": "in-place" } }])),
        account(
            "t",
            json!([{ "file": world.path("theirs/t.token") }, { "file": world.path("theirs/sub/token") }]),
        ),
        account("good", json!([{ "file": world.out("good.token") }])),
    ]);
    config["templates"] = json!([
        { "directory": world.path("open/set"), "files": { "token": "{{ accounts.a.access_token }}" } }
    ]);
    config["agent"]["audit"] = json!(world.path("open/audit"));
    config
}

/// The sum of `renewd_sink_writes_total` with this result.
fn writes(port: u16, result: &str) -> u64 {
    let page = http_get(port, "/metrics", "localhost").map(|reply| reply.1).unwrap_or_default();
    let label = format!("result=\"{result}\"");
    let lines =
        page.lines().filter(|line| line.starts_with("renewd_sink_writes_total{") && line.contains(&label));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[test]
fn what_another_user_swaps_in_and_above_a_sinks_folder_leads_no_write_astray() {
    let test = "what_another_user_swaps_in_and_above_a_sinks_folder_leads_no_write_astray";
    if !is_root() {
        return skip(test, "only root can become another user");
    }
    if Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip(test, "there is no setpriv");
    }
    let swaps = setting("RENEWD_RACES", 4_000);
    let seed = setting("RENEWD_SEED", u64::from(std::process::id()));
    eprintln!("RENEWD_SEED={seed}, {swaps} swaps");
    let world = World::living(secs(600));
    stage(&world);
    let port = free_port();
    let mut config = places(&world);
    config["agent"]["listen"] = format!("127.0.0.1:{port}").into();
    world.write(&config);
    let agent = world.run().start_with(&["run", "--log-level", "info"]);
    let names = ["a", "b", "c", "d", "e", "u", "good"];
    let well = |status: &Value| {
        names.iter().all(|name| is_well(account(status, name)))
            && status["templates"][0]["state"] == "written"
    };
    agent.until("all but the stranger's folder", secs(20), well);
    let before = picture(&world.path("victims"));

    let begun = Instant::now();
    let (over, slowest, renewals) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut attack = Attack::start(&json!({ "root": world.path(""), "seed": seed, "swaps": swaps })).unwrap();
    let told = std::thread::scope(|scope| {
        for first in 0..3 {
            let (agent, over, slowest, renewals) = (&agent, &over, &slowest, &renewals);
            scope.spawn(move || {
                let everybody =
                    ["a", "b", "c", "d", "e", "u", "good", "t"].into_iter().cycle().skip(first * 3);
                for name in everybody {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let asked = Instant::now();
                    let (status, body) = agent.renew(name);
                    // There is a new token each time; where it cannot be put is told.
                    assert!(status == 200 || (status == 502 && name != "good"), "{name}: {status} {body}");
                    renewals.fetch_add(1, Ordering::Relaxed);
                    let took = u64::try_from(asked.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                }
            });
        }
        let told = attack.told();
        over.store(true, Ordering::Relaxed);
        told
    });
    let took = begun.elapsed();
    drop(attack);
    let (good, failed) = (writes(port, "ok"), writes(port, "failed"));
    eprintln!(
        "{told}\n{} renewals, {good} deliveries and {failed} that failed within {took:?}; the slowest renewal {} ms",
        renewals.load(Ordering::Relaxed),
        slowest.load(Ordering::Relaxed),
    );
    assert_eq!(told["leaks"], json!([]), "{told}");
    assert!(good > 100 && failed > 10, "there were races: {good} {failed}");
    assert_eq!(picture(&world.path("victims")), before, "victims were touched");
    let theirs = std::fs::read_dir(world.path("theirs")).unwrap().flatten();
    for entry in theirs.filter(|entry| !entry.file_name().to_string_lossy().starts_with(".his-")) {
        let found = entry.path().symlink_metadata().unwrap();
        assert!(found.uid() == STRANGER || found.nlink() > 1, "{:?} {found:?}", entry.path());
    }

    // He is gone, and what he has left is put away.
    let status = agent.status();
    assert_eq!(account(&status, "t")["sinks"][0]["state"], "failed", "{status}");
    for folder in ["open", "sticky", "between"] {
        for entry in std::fs::read_dir(world.path(folder)).unwrap().flatten() {
            let path = entry.path();
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }
    std::fs::create_dir(world.path("between/sub")).unwrap();
    let healing = Instant::now();
    // In the long form nobody tells the agent.
    if swaps < LONG {
        names.iter().for_each(|name| drop(agent.renew(name)));
    }
    agent.until("healing", secs(150), well);
    eprintln!("healed {:?} after he had left", healing.elapsed());
    let last = generation(&agent.status(), "good");
    assert_eq!(agent.renew("good").0, 200);
    assert_eq!(generation(&agent.status(), "good"), last + 1);
    for place in [
        "open/a.token",
        "open/b.token",
        "open/c/c.token",
        "open/set/token",
        "sticky/d.token",
        "sticky/e/f/e.token",
    ] {
        let token = until("the file", secs(90), || std::fs::read_to_string(world.path(place)).ok());
        assert!(world.sim.accepts(ANY, &token), "{place}");
        let found = std::fs::metadata(world.path(place)).unwrap();
        assert_eq!((found.mode() & 0o777, found.uid()), (0o600, 0), "{place}");
    }
    assert_eq!(picture(&world.path("victims")), before, "victims were touched afterwards");
    agent.stop();
}
