//! Several accounts in one file or folder under load and under failure: never mixed, never partial, never held up.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use renewd::simulator::{Options, Provider};
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Agent, Reader, World, account, generation, millis, secs, setting, state, throughout, until,
};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// What all readers know: which token is whose which. One that reads differently somewhere was mixed up.
#[derive(Default)]
struct Known {
    tokens: HashMap<(usize, u64), String>,
    owners: HashMap<String, (usize, u64)>,
    sets: BTreeSet<[u64; 3]>,
}

/// `[[GENERATION, TOKEN], ...]`, whole and consistent; gives the generations.
fn checked(text: &[u8], known: &Mutex<Known>) -> Result<[u64; 3], String> {
    let Ok(pairs) = serde_json::from_slice::<[(u64, String); 3]>(text) else {
        return Err(format!("{} bytes that are no whole document", text.len()));
    };
    let mut known = known.lock().unwrap();
    for (whose, (generation, token)) in pairs.iter().enumerate() {
        if token.len() < 16 {
            return Err("a token that is none".to_owned());
        }
        let which = (whose, *generation);
        if known.tokens.entry(which).or_insert_with(|| token.clone()) != token {
            return Err("one generation with two tokens".to_owned());
        }
        if *known.owners.entry(token.clone()).or_insert(which) != which {
            return Err("one token for two generations".to_owned());
        }
    }
    let generations = pairs.map(|(generation, _)| generation);
    known.sets.insert(generations);
    Ok(generations)
}

/// Nothing that was replaced comes back.
fn advance(last: &mut [u64; 3], now: [u64; 3]) -> Result<(), String> {
    let back = now.iter().zip(&*last).any(|(now, last)| now < last);
    *last = now;
    if back { Err("an older generation after a newer one".to_owned()) } else { Ok(()) }
}

fn of_file(path: &Path, known: &Mutex<Known>, last: &mut [u64; 3]) -> Result<(), String> {
    let text = fs::read(path).map_err(|error| error.kind().to_string())?;
    advance(last, checked(&text, known)?)
}

/// Opens the set once and reads its files through that: all of one flip.
fn of_set(folder: &Path, known: &Mutex<Known>, last: &mut [u64; 3]) -> Result<(), String> {
    let set = File::open(folder.join("..data")).map_err(|error| error.kind().to_string())?;
    let mut seen = BTreeSet::new();
    for name in ["one.json", "two.json", "three.json"] {
        let file = openat(&set, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut file = File::from(file.map_err(|error| format!("{name}: {error}"))?);
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|error| error.to_string())?;
        seen.insert(checked(&text, known)?);
    }
    match seen.pop_first() {
        Some(first) if seen.is_empty() => advance(last, first),
        _ => Err("files of two sets".to_owned()),
    }
}

fn renew_often(agent: &Agent, name: &str, times: u64) {
    for _ in 0..times {
        let (status, answer) = agent.renew(name);
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn eight_readers_see_whole_sets_only_however_often_three_accounts_are_renewed() {
    let renewals = setting("RENEWD_COMPOSED", 240);
    let world = World::living(secs(3600));
    let (file, folder) = (world.out("app.json"), world.out("set"));
    let pair = |name: &&str| {
        format!("[{{{{ accounts.{name}.generation }}}}, {{{{ accounts.{name}.access_token }}}}]")
    };
    let pairs = format!("[{}]", NAMES.iter().map(pair).collect::<Vec<_>>().join(", "));
    let mut config = world
        .config(NAMES.map(|name| (name.to_owned(), world.account(Provider::OAuthClientCredentials, name))));
    config["templates"] = json!([
        { "path": file, "inline": pairs },
        { "directory": folder, "files": { "one.json": pairs, "two.json": pairs, "three.json": pairs } },
    ]);
    let agent = world.start(&config);
    agent.until_well();
    until("the file and the set", secs(10), || {
        (file.exists() && folder.join("..data").exists()).then_some(())
    });

    let known: Arc<Mutex<Known>> = Arc::default();
    // In CI they leave the others some room.
    let pause = if renewals < 1000 { millis(1) } else { Duration::ZERO };
    let readers: Vec<Reader> = (0..8)
        .map(|number| {
            let (file, folder, known) = (file.clone(), folder.clone(), Arc::clone(&known));
            let mut last = [0; 3];
            Reader::looking(pause, move || match number % 2 {
                0 => of_file(&file, &known, &mut last),
                _ => of_set(&folder, &known, &mut last),
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for name in NAMES {
            let agent = &agent;
            scope.spawn(move || renew_often(agent, name, renewals / 3));
        }
    });
    let last = [renewals / 3 + 1; 3];
    until("the last", secs(10), || {
        let mut seen = [[0; 3]; 2];
        of_file(&file, &known, &mut seen[0]).ok()?;
        of_set(&folder, &known, &mut seen[1]).ok()?;
        (seen == [last; 2]).then_some(())
    });
    let seen: Vec<_> = readers.into_iter().map(Reader::stop).collect();
    let looks: u64 = seen.iter().map(|seen| seen.looks).sum();
    let sets = known.lock().unwrap().sets.len();
    eprintln!("{renewals} renewals, {looks} looks by 8 readers, {sets} different sets seen");
    for seen in &seen {
        assert!(seen.bad.is_empty(), "{seen:?}");
        assert!(seen.looks > 10, "{seen:?}");
    }
    assert!(sets as u64 > renewals / 20, "{sets} sets is little to look at");
    for (whose, name) in NAMES.iter().enumerate() {
        let known = known.lock().unwrap();
        assert_eq!(known.tokens[&(whose, last[whose])], world.read(&format!("{name}.token")), "{name}");
    }
    assert_eq!(world.sim.requests(), 3 + renewals / 3 * 3);
    assert_eq!(agent.logged("sink_mended"), 0, "its own writes are no drift");
    agent.stop();
}

#[test]
fn the_outage_of_one_account_does_not_keep_the_other_from_their_file() {
    const SHORT: Provider = Provider::OAuthClientCredentials;
    const LONG: Provider = Provider::Kiwoom;
    let mut options = Options::with_lifetime(secs(3600));
    options.lifetimes.insert(SHORT, secs(6));
    let world = World::with(options);
    let file = world.out("app.env");
    let mut config = world.config([
        ("long".to_owned(), world.account(LONG, "long")),
        ("short".to_owned(), world.account(SHORT, "short")),
    ]);
    let text = "LONG={{ accounts.long.access_token }}\nSHORT={{ accounts.short.access_token }}\n";
    config["templates"] = json!([{ "path": file, "inline": text }]);
    let expected = || format!("LONG={}\nSHORT={}\n", world.read("long.token"), world.read("short.token"));
    let is_current = || fs::read_to_string(&file).is_ok_and(|text| text == expected()).then_some(());
    let agent = world.start(&config);
    agent.until_well();
    until("the file", secs(10), is_current);
    world.sim.fault(&format!("{}=503", SHORT.name()));
    agent.until("the end of the short one", secs(20), |status| state(status, "short") == "expired");
    assert_eq!(agent.renew("long").0, 200);
    until("the long one beside a dead one", secs(10), is_current);
    assert_eq!(generation(&agent.status(), "long"), 2);
    agent.stop();

    // A restart in the midst of it. The file was lost meanwhile, and the long one goes on.
    fs::remove_file(&file).unwrap();
    let agent = world.run().start();
    until("the file again", secs(30), is_current);
    assert_eq!(agent.renew("long").0, 200);
    until("the long one after a restart", secs(10), is_current);
    let status = agent.status();
    assert_eq!((generation(&status, "long"), state(&status, "short")), (3, "expired"));
    assert_eq!(account(&status, "short")["error"]["class"], "transient");

    // The outage is over.
    let dead = world.read("short.token");
    world.sim.clear();
    agent.signal(Signal::HUP); // tries what waits
    agent.until("the short one", secs(70), |status| state(status, "short") == "fresh");
    until("both", secs(10), || (world.read("short.token") != dead).then_some(()).and_then(|()| is_current()));
    throughout("and it stays", millis(200), || file.exists());
    agent.stop();
}
