//! Hours of short lives with faults that come and go: what nobody hits never fails, what was hit heals, nothing grows.
//!
//! `RENEWD_SOAK` is how many seconds it goes on, `RENEWD_SOAK_ACCOUNTS` how many accounts there are, `RENEWD_SEED` what has
//! the same faults chosen again (not at the same instants): it is printed, with a line of figures every minute.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use renewd::simulator::{Options, Provider, Simulator};
use serde_json::{Value, json};

use crate::support::{Agent, World, account, generation, is_well, millis, secs, setting, until};

/// Renewed every two to three seconds, each host with as many as its limit of 5 requests a second bears.
const LIFE: u64 = 5;
const ON_A_HOST: u64 = 5;
const KINDS: [Provider; 4] =
    [Provider::PortOne, Provider::OAuthClientCredentials, Provider::Bizppurio, Provider::BizppurioRcs];

/// What a host does to all its accounts for some seconds. Refused credentials are not among them: what is tried again
/// after a quarter of an hour is for other tests.
const FAULTS: [&str; 17] = [
    "500",
    "502",
    "503:2s",
    "429:1s",
    "429:date",
    "hang",
    "hang-after",
    "reset",
    "reset-before",
    "html",
    "empty",
    "truncated",
    "duplicate-keys",
    "token-newline",
    "slow-body",
    "refresh-missing",
    "redirect",
];

/// Without a token an account is tried every 61 s at most, after a reply that cannot be read too; one in flight may hang for 30 s.
const HEALED: Duration = secs(61 + 30 + 9);

/// A sequence that comes again with its seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[derive(Clone)]
struct Member {
    kind: Provider,
    name: String,
    host: u64,
}

/// Whether a host is hit, or still healing: its files may be behind.
type Hit = Arc<Mutex<Vec<bool>>>;

/// What the reader has seen of all files.
#[derive(Debug, Default)]
struct Looks {
    looks: u64,
    tokens: u64,
    /// No file, a part of one, or a token that never held.
    broken: BTreeMap<String, u64>,
    /// A token that the vendor refuses, of an account that nothing has hit.
    refused: BTreeMap<String, u64>,
}

fn read_all(
    world: &World,
    members: &[Member],
    hit: &Hit,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<Looks> {
    let (hit, stop, simulator) = (Arc::clone(hit), Arc::clone(stop), Simulator::clone(&world.sim));
    let members: Vec<_> = members
        .iter()
        .map(|member| (member.clone(), world.out(&format!("{}.token", member.name)), String::new()))
        .collect();
    std::thread::spawn(move || look(members, &hit, &stop, &simulator))
}

fn look(
    mut members: Vec<(Member, std::path::PathBuf, String)>,
    hit: &Hit,
    stop: &AtomicBool,
    simulator: &Simulator,
) -> Looks {
    let mut seen = Looks::default();
    while !stop.load(Ordering::Relaxed) {
        for (member, path, last) in &mut members {
            let was_hit = hit.lock().unwrap()[usize::try_from(member.host).unwrap()];
            let token = std::fs::read_to_string(path).unwrap_or_default();
            let holds = simulator.accepts(member.kind, &token);
            seen.looks += 1;
            if token != *last {
                seen.tokens += 1;
                // Nothing but a token that holds ever replaces another one.
                if !holds {
                    *seen.broken.entry(format!("{}: {} bytes", member.name, token.len())).or_default() += 1;
                }
                *last = token;
            }
            let is_hit = was_hit || hit.lock().unwrap()[usize::try_from(member.host).unwrap()];
            if !holds && !is_hit {
                *seen.refused.entry(member.name.clone()).or_default() += 1;
            }
        }
        std::thread::sleep(millis(1));
    }
    seen
}

/// What the process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    at: Duration,
    kib: u64,
    descriptors: usize,
    threads: usize,
}

fn held(agent: &Agent, start: Instant) -> Held {
    let of = |name: &str| format!("/proc/{}/{name}", agent.pid());
    let count = |name: &str| std::fs::read_dir(of(name)).unwrap().count();
    let status = std::fs::read_to_string(of("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    Held { at: start.elapsed(), kib, descriptors: count("fd"), threads: count("task") }
}

fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn faults_come_and_go_and_nothing_else_is_ever_felt() {
    let span = secs(setting("RENEWD_SOAK", 45));
    let count = setting("RENEWD_SOAK_ACCOUNTS", 40);
    let seed = setting("RENEWD_SEED", u64::from(std::process::id()));
    eprintln!("RENEWD_SEED={seed}, {count} accounts, {span:?}");
    let mut chance = Chance(seed);
    let mut options = Options::with_lifetime(secs(LIFE));
    options.limits.bizppurio_idle = None;
    let world = World::with(options);
    let members: Vec<Member> = (0..count)
        .map(|number| Member {
            kind: KINDS[usize::try_from(number).unwrap() % KINDS.len()],
            name: format!("a{number}"),
            host: number / ON_A_HOST,
        })
        .collect();
    let hosts = count.div_ceil(ON_A_HOST);
    let accounts = members.iter().map(|member| {
        let mut account = world.account(member.kind, &member.name);
        account["base_url"] = world
            .sim
            .base_url(member.kind, u8::try_from(10 + member.host).expect("at most 1,200 accounts"))
            .into();
        (member.name.clone(), account)
    });
    let config = world.config(accounts);
    world.write(&config);
    let agent = world.run().start_with(&["run", "--log-level", "warn"]);
    agent.until("all accounts", secs(60), crate::support::all_well);

    let start = Instant::now();
    world.sim.reset_stats();
    let hit: Hit = Arc::new(Mutex::new(vec![false; usize::try_from(hosts).unwrap()]));
    let stop = Arc::new(AtomicBool::new(false));
    let reader = read_all(&world, &members, &hit, &stop);
    let (mut struck, mut samples, mut waves) = (BTreeMap::<u64, Strike>::new(), Vec::new(), 0_u64);
    let (mut healed, mut longest, mut edits) = (0_u64, Duration::ZERO, 0_u64);
    let mut told = Duration::ZERO;
    while start.elapsed() < span {
        // Some of the hosts at any time, those among them that are still healing.
        if struck.len() < usize::try_from(hosts.div_ceil(20) + 2).unwrap()
            && start.elapsed() + secs(10) < span
        {
            let host = chance.below(hosts);
            if let std::collections::btree_map::Entry::Vacant(free) = struck.entry(host) {
                let fault = FAULTS[usize::try_from(chance.below(FAULTS.len() as u64)).unwrap()];
                let until = Instant::now() + millis(1_000 + chance.below(7_000));
                hit.lock().unwrap()[usize::try_from(host).unwrap()] = true;
                set(&world, &members, host, Some(fault));
                free.insert(Strike { fault, until, over: None });
                waves += 1;
            }
        }
        for (host, strike) in &mut struck {
            if strike.over.is_none() && Instant::now() >= strike.until {
                set(&world, &members, *host, None);
                strike.over = Some((Instant::now(), generations(&members, *host, &agent.status())));
            }
        }
        let status = agent.status();
        struck.retain(|host, strike| {
            let Some((over, before)) = &strike.over else { return true };
            // A request that hung may go on hanging after the fault: healed is who has had another token since.
            let now = generations(&members, *host, &status);
            if now.iter().zip(before).all(|(now, before)| now > before)
                && is_whole(&world, &members, *host, &status)
            {
                hit.lock().unwrap()[usize::try_from(*host).unwrap()] = false;
                (healed, longest) = (healed + 1, longest.max(over.elapsed()));
                return false;
            }
            if over.elapsed() >= HEALED {
                let of_host: Vec<&Value> = members
                    .iter()
                    .filter(|member| member.host == *host)
                    .map(|member| account(&status, &member.name))
                    .collect();
                panic!(
                    "{} on host {host} is not healed, seed {seed}; generations were {before:?}: {of_host:#?}",
                    strike.fault
                );
            }
            true
        });
        // Somebody edits the configuration now and then, and asks for a reload without a reason.
        if start.elapsed() > secs(20) * u32::try_from(edits + 1).unwrap() {
            edits += 1;
            let mut edited = config.clone();
            if edits % 2 == 1 {
                edited["accounts"]["one-more"] = world.account(Provider::Kiwoom, "one-more");
            }
            world.write(&edited);
            agent.signal(rustix::process::Signal::HUP);
        }
        samples.push(held(&agent, start));
        if start.elapsed() > told + secs(60) {
            told = start.elapsed();
            eprintln!(
                "{:?}, {waves} faults, {healed} healed, at most after {longest:?}",
                samples.last().unwrap()
            );
        }
        std::thread::sleep(millis(500)); // how often the status is asked for
    }
    let elapsed = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    let seen = reader.join().unwrap();
    let stats = world.sim.stats();
    world.sim.clear();
    until("the last of them healed", HEALED, || {
        let status = agent.status();
        status["accounts"].as_array().unwrap().iter().all(is_well).then_some(())
    });
    let events = ["renewal_failed", "sink_failed", "internal"].map(|event| (event, agent.logged(event)));
    agent.stop();

    eprintln!(
        "{elapsed:?}: {} requests, {} looks, {} tokens seen, {waves} faults, {healed} healed (at most after {longest:?}), {edits} \
         reloads, {events:?}",
        stats.requests, seen.looks, seen.tokens
    );
    assert!(seen.broken.is_empty(), "seed {seed}: {:?}", seen.broken);
    assert!(seen.refused.is_empty(), "seed {seed}: {:?}", seen.refused);
    assert!(seen.looks > 100 * count && healed > 0, "{seen:?}");
    assert!(world.leftovers().is_empty(), "{:?}", world.leftovers());
    grown(&samples, span);
}

/// A fault on a host.
struct Strike {
    fault: &'static str,
    until: Instant,
    /// Since when, and the generations of that time.
    over: Option<(Instant, Vec<u64>)>,
}

fn generations(members: &[Member], host: u64, status: &Value) -> Vec<u64> {
    let of_host = members.iter().filter(|member| member.host == host);
    of_host.map(|member| generation(status, &member.name)).collect()
}

fn set(world: &World, members: &[Member], host: u64, fault: Option<&str>) {
    for member in members.iter().filter(|member| member.host == host) {
        let target = format!("{}/{}", member.kind, world.identity(member.kind, &member.name));
        match fault {
            Some(fault) => world.sim.fault(&format!("{target}={fault}")),
            None => world.sim.set_fault(target.parse::<renewd::simulator::Target>().unwrap(), None),
        }
    }
}

/// Whether all accounts of a host are fresh, and their files hold what the vendor takes.
fn is_whole(world: &World, members: &[Member], host: u64, status: &Value) -> bool {
    let accounts = status["accounts"].as_array().unwrap();
    members.iter().filter(|member| member.host == host).all(|member| {
        let account = accounts.iter().find(|account| account["name"] == json!(member.name));
        account.is_some_and(|account| is_well(account) && account["error"].is_null())
            && world.sim.accepts(member.kind, &world.read(&format!("{}.token", member.name)))
    })
}

/// After the warm-up (half of a short run, a quarter of an hour of a long one) nothing grows.
fn grown(samples: &[Held], span: Duration) {
    let warm: Vec<&Held> = samples.iter().filter(|held| held.at >= (span / 2).min(secs(900))).collect();
    let (first, last) = (&warm[..warm.len().div_ceil(4)], &warm[warm.len() * 3 / 4..]);
    let of = |part: &[&Held]| {
        (
            median(part.iter().map(|held| held.kib)),
            median(part.iter().map(|held| held.descriptors)),
            median(part.iter().map(|held| held.threads)),
        )
    };
    let (before, after) = (of(first), of(last));
    let most = warm.iter().map(|held| (held.kib, held.descriptors)).max().unwrap();
    eprintln!(
        "(KiB, descriptors, threads) after the warm-up {before:?}, in the end {after:?}, at most {most:?}"
    );
    // Short runs have hardly warmed up.
    let allowed = if span >= secs(3000) { 1024 } else { 8 * 1024 };
    assert!(after.0 <= before.0 + allowed, "memory grows: {before:?}, {after:?}");
    assert!(after.1 <= before.1 + 32, "descriptors grow: {before:?}, {after:?}");
    assert!(after.2 <= before.2 + 1, "threads grow: {before:?}, {after:?}");
}
