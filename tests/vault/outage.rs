//! OpenBao is killed and started again in the middle of renewals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use renewd::simulator::{Options, Provider, Simulator};
use serde_json::Value;

use crate::bao::Listener;
use crate::bench::Bench;
use crate::support::{generation, millis, secs, setting};

const KINDS: [Provider; 2] = [Provider::OAuthClientCredentials, Provider::Bizppurio];

/// Reads all files as fast as it can; what was wrong, and how many looks there were.
fn look_all_the_time(
    files: Vec<(Provider, std::path::PathBuf)>,
    simulator: Simulator,
    stop: Arc<AtomicBool>,
) -> (BTreeMap<String, u64>, u64) {
    let (mut bad, mut looks) = (BTreeMap::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        for (kind, file) in &files {
            let token = std::fs::read_to_string(file).unwrap_or_default();
            looks += 1;
            if !simulator.accepts(*kind, &token) {
                *bad.entry(file.display().to_string()).or_default() += 1;
            }
        }
        std::thread::sleep(millis(5));
    }
    (bad, looks)
}

fn generations(status: &Value, names: &[String]) -> BTreeMap<String, u64> {
    names.iter().map(|name| (name.clone(), generation(status, name))).collect()
}

/// The generations that stand in all versions, in order; and how many versions there are.
fn history(bench: &Bench, name: &str) -> Vec<u64> {
    let newest = bench.version(&format!("tokens/{name}"));
    let of = |version: u64| {
        let (code, reply) = bench.try_call("GET", &format!("secret/data/tokens/{name}?version={version}"));
        assert_eq!(code, 200, "{name} version {version}");
        reply["data"]["data"]["generation"].as_u64().unwrap()
    };
    (1..=newest).map(of).collect()
}

#[test]
fn a_vault_that_is_killed_and_comes_back_is_current_soon_and_files_never_notice() {
    let count = setting("RENEWD_VAULT_ACCOUNTS", 20);
    let long = count > 20;
    let (outage, life) = if long { (60, secs(20)) } else { (5, secs(10)) };
    let outage = secs(setting("RENEWD_VAULT_OUTAGE", outage));
    let mut bench = bench!(Listener::Plain, Options::with_lifetime(life));
    bench.call("POST", "secret/config", serde_json::json!({ "max_versions": 1000 }));
    let audit = bench.audit();
    // The login's own life ends within the outage.
    let auth = bench.approle("20s");
    let names: Vec<String> = (0..count).map(|number| format!("a{number:03}")).collect();
    let kind = |number: usize| KINDS[number % KINDS.len()];
    let accounts: Vec<_> = names.iter().enumerate().map(|(n, name)| bench.to_vault(kind(n), name)).collect();
    let agent = bench.world.start(&bench.vault(auth, accounts));
    agent.until("all delivered once", secs(60), |status| {
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().all(|account| account["sinks"][1]["generation"].as_u64() >= Some(1))
    });

    let files =
        names.iter().enumerate().map(|(n, name)| (kind(n), bench.out(&format!("{name}.token")))).collect();
    let (stop, simulator) = (Arc::new(AtomicBool::new(false)), (*bench.sim).clone());
    let looker = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || look_all_the_time(files, simulator, stop)
    });
    std::thread::sleep(life / 2);
    let tries = |agent: &crate::support::Agent| agent.logged("server_away");
    bench.kill();
    let (killed, before) = (Instant::now(), generations(&agent.status(), &names));
    agent.until("its absence", secs(15), |status| status["servers"][0]["name"] == "vault");
    std::thread::sleep(outage.saturating_sub(killed.elapsed()));
    let renewed = generations(&agent.status(), &names);
    let went_on = names.iter().filter(|name| renewed[*name] > before[*name]).count();
    assert!(went_on * 2 > names.len(), "{went_on} of {count} were renewed meanwhile");
    let tried = tries(&agent);
    bench.run_bao();
    bench.unseal();
    let returned = Instant::now();
    let owed = generations(&agent.status(), &names);
    agent.until("Vault holds what was owed", secs(75), |status| {
        let accounts = status["accounts"].as_array().unwrap();
        accounts.iter().all(|account| {
            account["sinks"][1]["generation"].as_u64() >= owed.get(account["name"].as_str().unwrap()).copied()
        })
    });
    let current = returned.elapsed();
    assert!(current <= secs(65), "{current:?}");
    for name in &names {
        let seen = bench.data(&format!("tokens/{name}"))["generation"].as_u64().unwrap();
        assert!(seen >= owed[name], "{name}: {seen}, {}", owed[name]);
    }
    // Another life, so that whatever was late would show.
    std::thread::sleep(life);
    stop.store(true, Ordering::Relaxed);
    let (bad, looks) = looker.join().unwrap();
    assert_eq!(bad, BTreeMap::new(), "of {looks} looks");

    let status = agent.status();
    let renewals: u64 = generations(&status, &names).values().sum();
    agent.stop();
    let mut versions = 0;
    for name in &names {
        let seen = history(&bench, name);
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{name}: {seen:?}");
        versions += seen.len();
    }
    let audited = std::fs::read_to_string(&audit).unwrap();
    let asked: Vec<Value> = audited.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let asked = |path: &str| {
        let hits = |entry: &&Value| entry["type"] == "request" && entry["request"]["path"] == path;
        asked.iter().filter(hits).count()
    };
    let (logins, lease_renewals) = (asked("auth/approle/login"), asked("auth/token/renew-self"));
    eprintln!(
        "{count} accounts with lives of {life:?}, Vault away for {:?}: {renewals} tokens, {versions} versions, \
         {tried} tries while it was away, current {current:?} after its return, {logins} logins, \
         {lease_renewals} renewals of the login, {looks} looks at files",
        returned.duration_since(killed),
    );
    // One try each minute once it has been away for long.
    let most = if long { 70 + outage.as_secs() / 20 } else { 12 };
    assert!(tried as u64 <= most, "{tried} tries");
    assert!((1..=4).contains(&logins), "{logins} logins");
    assert!(returned.duration_since(killed) < outage + secs(30));
}
