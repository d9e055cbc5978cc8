//! Replies that go wrong: each fault has its class, harms no token and heals by itself.

use std::collections::BTreeMap;
use std::time::Instant;

use renewd::simulator::{Fault, Options, Provider};
use serde_json::{Value, json};

use crate::support::{
    Reader, World, account, class, generation, is_well, millis, secs, state, throughout, until,
};

/// What a fault is to mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// The renewal fails with this class and the old token stays.
    Fails(&'static str),
    /// As that, and the message holds these words.
    Says(&'static str, &'static str),
    /// The token is taken all the same, with the end that the vendor meant.
    Passes,
    /// The token is taken and lives as long as is documented or assumed.
    PassesWithFallback,
    /// The same token came back: nothing is written.
    Same,
}

use Meaning::{Fails, Passes, PassesWithFallback, Same, Says};

/// Every fault of the simulator, with two providers: an OAuth 2.0 server (relative lives) and Bizppurio (a wall-clock
/// end, credentials by Basic, errors in its own words).
pub(crate) const FAULTS: &[(&str, Meaning, Meaning)] = &[
    ("rejected", Says("rejected", "invalid_client"), Says("rejected", "password")),
    ("throttled", Fails("throttled"), Fails("throttled")),
    ("busy", Fails("transient"), Fails("transient")),
    ("address", Fails("rejected"), Says("rejected", "public address")),
    ("error-in-200", Fails("rejected"), Fails("rejected")),
    ("html", Says("malformed", "JSON"), Fails("malformed")),
    ("redirect", Says("malformed", "redirect"), Fails("malformed")),
    ("redirect:http", Says("malformed", "plain http"), Fails("malformed")),
    ("redirect:https://elsewhere.invalid/", Says("malformed", "redirect"), Fails("malformed")),
    ("hang", Says("transient", "no whole reply"), Fails("transient")),
    ("hang-after", Fails("transient"), Fails("transient")),
    ("reset", Fails("transient"), Fails("transient")),
    ("reset-before", Fails("transient"), Fails("transient")),
    ("empty", Says("malformed", "empty"), Fails("malformed")),
    ("truncated", Fails("malformed"), Fails("malformed")),
    ("duplicate-keys", Says("malformed", "twice"), Fails("malformed")),
    ("body-huge", Says("malformed", "256 KiB"), Fails("malformed")),
    ("body-endless", Fails("malformed"), Fails("malformed")),
    ("gzip-bomb", Fails("malformed"), Fails("malformed")),
    ("endless-headers", Fails("malformed"), Fails("malformed")),
    ("slow-body", Fails("transient"), Fails("transient")),
    ("token-empty", Fails("malformed"), Fails("malformed")),
    ("token-null", Fails("malformed"), Fails("malformed")),
    ("token-missing", Says("malformed", "no token"), Fails("malformed")),
    ("token-number", Fails("malformed"), Fails("malformed")),
    ("token-newline", Fails("malformed"), Fails("malformed")),
    ("token-control", Fails("malformed"), Fails("malformed")),
    ("token-huge", Fails("malformed"), Fails("malformed")),
    ("token-same", Same, Same),
    ("refresh-missing", Passes, Passes),
    // `0` and `-1` are lives that are over, but no wall-clock times: there the documented life counts, aloud.
    ("expiry-zero", Fails("malformed"), PassesWithFallback),
    ("expiry-negative", Fails("malformed"), PassesWithFallback),
    ("expiry-missing", PassesWithFallback, PassesWithFallback),
    ("expiry-text", Passes, Passes),
    ("expiry-float", Passes, PassesWithFallback),
    // Eleven hours are a life that a server may give: only a documented one shows the mistake.
    ("expiry-ms", PassesWithFallback, PassesWithFallback),
    ("expiry-9999", PassesWithFallback, PassesWithFallback),
    ("expiry-2^63", PassesWithFallback, PassesWithFallback),
    ("expiry-past", Fails("malformed"), Fails("malformed")),
    ("expiry-sooner", Same, Passes),
    ("400", Fails("rejected"), Fails("rejected")),
    ("403", Fails("rejected"), Says("rejected", "public address")),
    ("404", Fails("rejected"), Fails("rejected")),
    ("408", Fails("transient"), Fails("transient")),
    ("429", Fails("throttled"), Fails("throttled")),
    ("429:2s", Fails("throttled"), Fails("throttled")),
    ("429:date", Fails("throttled"), Fails("throttled")),
    ("429:junk", Fails("throttled"), Fails("throttled")),
    ("429:huge", Fails("throttled"), Fails("throttled")),
    ("500", Fails("transient"), Fails("transient")),
    ("502", Fails("transient"), Fails("transient")),
    ("503:2s", Fails("transient"), Fails("transient")),
    ("599", Fails("transient"), Fails("transient")),
    ("delay:1s", Passes, Passes),
    ("clock:+10m", Passes, Passes),
    ("clock:-10m", Passes, Passes),
    ("slow-body:2ms", Passes, Passes),
];

#[test]
fn every_fault_of_the_simulator_is_in_the_table() {
    for name in Fault::names() {
        let kind = name.split(':').next().unwrap();
        let known = |known: &str| known == name || (name.contains(':') && known.starts_with(kind));
        let range = name.contains("..");
        assert!(range || FAULTS.iter().any(|(fault, ..)| known(fault)), "{name}");
    }
}

/// One account a fault, each on a host of its own: pauses and breakers are hosts' affairs.
fn try_all(provider: Provider, pick: fn(&(&'static str, Meaning, Meaning)) -> Meaning, life: u64) {
    let mut options = Options::with_lifetime(secs(life));
    options.limits.bizppurio_idle = None;
    let world = World::with(options);
    let names: Vec<String> = (0..FAULTS.len()).map(|number| format!("f{number:02}")).collect();
    let accounts = names.iter().enumerate().map(|(number, name)| {
        let mut account = world.account(provider, name);
        account["base_url"] = world.sim.base_url(provider, u8::try_from(number).unwrap() + 10).into();
        let document = json!({ "file": { "path": world.out(&format!("{name}.json")), "content": "json" } });
        account["sinks"].as_array_mut().unwrap().push(document);
        (name.clone(), account)
    });
    let agent = world.start(&world.config(accounts));
    agent.until("all accounts", secs(30), crate::support::all_well);
    let old: BTreeMap<&String, String> =
        names.iter().map(|name| (name, world.read(&format!("{name}.token")))).collect();
    for (name, (fault, ..)) in names.iter().zip(FAULTS) {
        world.sim.fault(&format!("{provider}/id-{name}={fault}"));
    }
    let start = Instant::now();
    agent.signal(rustix::process::Signal::USR1);
    let holds_all = |account: &Value| {
        let sinks = account["sinks"].as_array().unwrap();
        sinks.iter().all(|sink| sink["generation"] == account["generation"])
    };
    // Every reply has been judged: it failed, brought a generation that is delivered, or brought nothing new.
    let is_judged = |status: &Value, name: &str, meaning: Meaning| match meaning {
        Fails(_) | Says(..) => !class(status, name).is_empty(),
        Passes | PassesWithFallback => generation(status, name) > 1 && holds_all(account(status, name)),
        Same => world.sim.requests_of(&format!("id-{name}")) >= 2,
    };
    let mut status = agent.status();
    while start.elapsed() < secs(life / 2)
        && !names.iter().zip(FAULTS).all(|(name, row)| is_judged(&status, name, pick(row)))
    {
        std::thread::sleep(millis(50));
        status = agent.status();
    }
    eprintln!("{provider}: all judged after {:?}", start.elapsed());
    let mut complaints = Vec::new();
    for (name, row) in names.iter().zip(FAULTS) {
        let (fault, meaning) = (row.0, pick(row));
        let seen = account(&status, name);
        let token = world.read(&format!("{name}.token"));
        let untouched = token == old[name];
        // A token with its end, also where another renewal has come since the last look.
        let document: Value = serde_json::from_str(&world.read(&format!("{name}.json"))).unwrap();
        let at = |field: &str| {
            document[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
        };
        // The vendor's own end, or sooner by what the request took: it counts from before that. That fault says less than
        // the vendor grants.
        let is_vendors_end = || {
            let token = document["access_token"].as_str().unwrap();
            let Some(end) = world.sim.accepted_until(provider, token) else { return false };
            let took = i64::try_from(start.elapsed().as_millis()).unwrap();
            let took =
                if fault == "expiry-sooner" { took + i64::try_from(life).unwrap() * 1000 } else { took };
            (end.as_millisecond() - took - 1000..=end.as_millisecond() + 1000).contains(&at("expires_at"))
        };
        let message = seen["error"]["message"].as_str().unwrap_or_default();
        let problem = match meaning {
            _ if !is_judged(&status, name, meaning) => Some("no verdict"),
            Fails(expected) | Says(expected, _) if class(&status, name) != expected => Some("another class"),
            Says(_, words) if !message.contains(words) => Some("other words"),
            Fails("rejected") | Says("rejected", _) if state(&status, name) != "rejected" => {
                Some("another state")
            }
            Fails("throttled" | "transient" | "malformed") | Says("transient" | "malformed", _)
                if state(&status, name) != "retrying" =>
            {
                Some("another state")
            }
            Fails(_) | Says(..) | Same if !untouched => Some("the old token is gone"),
            Fails(_) | Says(..) | Same if !world.sim.accepts(provider, &token) => {
                Some("the token is not accepted")
            }
            Passes | PassesWithFallback if untouched => Some("the new token is not there"),
            Passes if !is_vendors_end() => Some("another end"),
            PassesWithFallback if at("expires_at") - at("issued_at") < 3_600_000 => {
                Some("not the fallback's life")
            }
            Passes | PassesWithFallback | Same if !message.is_empty() => Some("an error"),
            _ => None,
        };
        if let Some(problem) = problem {
            complaints.push(format!("{provider} {fault}: {meaning:?}: {problem}: {seen}"));
        }
        if message.contains('{') || message.contains("http://") || message.contains('\n') {
            complaints.push(format!("{provider} {fault}: the message shows too much: {message}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));

    world.sim.clear();
    // By themselves, but those that wait for a person, or for as long as the vendor asked for.
    let waits = |row: &(&'static str, Meaning, Meaning)| {
        matches!(pick(row), Fails("rejected") | Says("rejected", _)) || row.0 == "429:huge"
    };
    let own: Vec<&String> =
        names.iter().zip(FAULTS).filter(|(_, row)| !waits(row)).map(|(name, _)| name).collect();
    agent.until("healing by themselves", secs(life + 10), |status| {
        own.iter().all(|name| is_well(account(status, name)))
    });
    for (name, row) in names.iter().zip(FAULTS).filter(|(_, row)| waits(row)) {
        if row.0 != "429:huge" {
            assert_eq!(agent.renew(name).0, 200, "{}", row.0);
        }
    }
    agent.stop();
}

#[test]
fn each_fault_of_an_oauth_server_means_what_it_should() {
    try_all(Provider::OAuthClientCredentials, |row| row.1, 40);
}

#[test]
fn each_fault_of_a_vendor_with_absolute_ends_means_what_it_should() {
    try_all(Provider::Bizppurio, |row| row.2, 40);
}

#[test]
fn a_refresh_that_comes_without_a_new_refresh_token_keeps_the_account_usable() {
    let world = World::living(secs(600));
    let kinds = [Provider::PortOne, Provider::BizppurioRcs];
    let agent =
        world.start(&world.config(kinds.map(|kind| (kind.to_string(), world.account(kind, kind.name())))));
    agent.until_well();
    for kind in kinds {
        world.sim.fault(&format!("{kind}:refresh=refresh-missing#1"));
        assert_eq!(agent.renew(kind.name()).0, 200);
        assert_eq!(agent.renew(kind.name()).0, 200, "{kind}: with a login, as the old one is spent");
        assert!(world.sim.accepts(kind, &world.read(&format!("{kind}.token"))));
    }
    let status = agent.until_well();
    assert!(kinds.iter().all(|kind| generation(&status, kind.name()) == 3));
}

#[test]
fn a_revoked_refresh_token_falls_back_to_a_login_and_without_one_says_what_to_do() {
    let world = World::living(secs(600));
    let config = world.config([
        ("portone".to_owned(), world.account(Provider::PortOne, "portone")),
        ("oauth".to_owned(), world.account(Provider::OAuthRefreshToken, "oauth")),
    ]);
    let agent = world.start(&config);
    agent.until_well();
    world.sim.revoke_refresh_tokens(Provider::PortOne, &world.identity(Provider::PortOne, "portone"));
    world.sim.revoke_refresh_tokens(Provider::OAuthRefreshToken, "id-oauth");
    assert_eq!(agent.renew("portone").0, 200);
    assert_eq!(account(&agent.status(), "portone")["attempt"], 0);
    let token = world.read("oauth.token");
    let (status, reply) = agent.renew("oauth");
    assert_eq!((status, &reply["error"]["class"]), (502, &json!("relogin")));
    assert!(reply["error"]["message"].as_str().unwrap().contains("refresh_token"), "{reply}");
    assert_eq!(world.read("oauth.token"), token);
    assert!(world.sim.accepts(Provider::OAuthRefreshToken, &token));
}

#[test]
fn a_reply_that_was_lost_after_the_vendor_acted_is_fetched_with_the_same_idempotency_key() {
    let world = World::living(secs(60));
    let agent = world.start(&world.one(Provider::PortOne));
    agent.until_well();
    world.sim.fault("portone:refresh=reset#1");
    assert_eq!(agent.renew("a").0, 502);
    agent.until("the second try", secs(15), |status| {
        generation(status, "a") == 2 && is_well(account(status, "a"))
    });
    let stats = world.sim.stats();
    let portone = &stats.providers["portone"];
    let refresh = portone.operations["refresh"].values().next().unwrap();
    assert_eq!((refresh.dead_refresh_tokens, portone.operations["issue"].len()), (0, 1), "{refresh:?}");
    assert_eq!(portone.operations["issue"].values().next().unwrap().requests, 1, "no login was needed");
}

#[test]
fn a_stored_reply_that_comes_again_after_its_token_has_ended_is_never_called_fresh() {
    // Lives far shorter than the documented half hour for which a key is used again.
    let world = World::living(secs(5));
    let agent = world.start(&world.one(Provider::PortOne));
    agent.until_well();
    world.sim.fault("portone:refresh=reset#1");
    until("the reply that is lost", secs(10), || (agent.logged("renewal_failed") > 0).then_some(()));
    let lost = Instant::now();
    world.sim.fault("*=503");
    agent.until("the end of the token", secs(15), |status| state(status, "a") == "expired");
    std::thread::sleep(millis(5_100).saturating_sub(lost.elapsed())); // that of the stored reply has ended too
    world.sim.clear();
    // The stored reply is refused (unless the agent's own next try was quicker than we). The refresh token that it
    // brought is good, and spending that one is another request with a key of its own.
    let (status, reply) = agent.renew("a");
    if status != 200 {
        assert_eq!((status, &reply["error"]["class"]), (502, &json!("malformed")), "{reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains("already expired"), "{reply}");
        assert_ne!(state(&agent.status(), "a"), "fresh");
        assert_eq!(agent.renew("a").0, 200);
    }
    assert!(world.sim.accepts(Provider::PortOne, &world.canary_token("a", &agent)));
    assert!(agent.log().contains("already expired"), "it came again");
    let stats = world.sim.stats();
    let issue = &stats.providers["portone"].operations["issue"];
    assert_eq!(issue.values().next().unwrap().requests, 1, "no login was needed");
}

#[test]
fn an_outage_shorter_than_the_lead_is_not_felt() {
    let world = World::living(secs(12));
    let kinds = [Provider::OAuthClientCredentials, Provider::Bizppurio, Provider::PortOne, Provider::Kiwoom];
    let mut accounts = Vec::new();
    for kind in kinds {
        for number in 0..4 {
            let name = format!("{kind}-{number}");
            accounts.push((kind, name.clone(), world.account(kind, &name)));
        }
    }
    let agent =
        world.start(&world.config(accounts.iter().map(|(_, name, account)| (name.clone(), account.clone()))));
    agent.until_well();
    let readers: Vec<Reader> = accounts
        .iter()
        .map(|(kind, name, _)| {
            let (kind, simulator) = (*kind, (*world.sim).clone());
            Reader::start(world.out(&format!("{name}.token")), millis(3), move |content| {
                let token = String::from_utf8(content.ok_or("no file")?.to_vec()).map_err(|_| "no text")?;
                simulator.accepts(kind, &token).then_some(()).ok_or_else(|| "not accepted".to_owned())
            })
        })
        .collect();
    // 0.7 of the shortest lead: half the life (11 s where whole seconds are cut), times 0.8.
    let outage = millis(3_000);
    for number in 0..crate::support::setting("RENEWD_PHASES", 3) {
        // Anywhere in the four seconds from one renewal to the next.
        std::thread::sleep(millis(1_000 + number * 1_618 % 4_000));
        world.sim.stop();
        std::thread::sleep(outage);
        world.sim.resume();
        agent.until("recovery", secs(10), crate::support::all_well);
    }
    for ((_, name, _), reader) in accounts.iter().zip(readers) {
        let seen = reader.stop();
        assert!(seen.bad.is_empty(), "{name}: {seen:?}");
    }
}

#[test]
fn accounts_that_hang_never_delay_the_good_ones_on_their_host_or_elsewhere() {
    let world = World::living(secs(10));
    let kind = Provider::OAuthClientCredentials;
    let mut config = world.config([]);
    // Default limits of concurrency, so that the places are few; the rate would need more time than lives have.
    for host in ["127.0.0.1", "127.0.0.2"] {
        config["limits"]["hosts"][host] = json!({ "rate": "off" });
    }
    let mut good = Vec::new();
    for number in 0..24_u8 {
        let name = format!("good-{number}");
        let mut account = world.account(kind, &name);
        account["base_url"] = world.sim.base_url(kind, 1 + number % 2).into();
        config["accounts"][&name] = account;
        good.push(name);
    }
    for number in 0..6 {
        let name = format!("bad-{number}");
        config["accounts"][&name] = world.account(kind, &name);
        let fault = if number % 2 == 0 { "hang" } else { "slow-body" };
        world.sim.fault(&format!("{kind}/id-{name}={fault}"));
    }
    let agent = world.start(&config);
    agent.until("the good ones", secs(12), |status| good.iter().all(|name| is_well(account(status, name))));
    let readers: Vec<Reader> = good
        .iter()
        .map(|name| {
            let simulator = (*world.sim).clone();
            Reader::start(world.out(&format!("{name}.token")), millis(3), move |content| {
                let token = String::from_utf8(content.ok_or("no file")?.to_vec()).map_err(|_| "no text")?;
                simulator.accepts(kind, &token).then_some(()).ok_or_else(|| "not accepted".to_owned())
            })
        })
        .collect();
    throughout("good ones fresh", secs(20), || {
        let status = agent.status();
        good.iter().all(|name| state(&status, name) == "fresh")
    });
    for (name, reader) in good.iter().zip(readers) {
        let seen = reader.stop();
        assert!(seen.bad.is_empty(), "{name}: {seen:?}");
    }
    let status = agent.status();
    assert!((0..6).all(|number| state(&status, &format!("bad-{number}")) == "pending"));
}

#[test]
fn what_never_becomes_a_connection_is_told_in_plain_words_and_harms_nobody_else() {
    let world = World::living(secs(600));
    let kind = Provider::Bizppurio;
    let port = world.sim.address(1).port();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (
            "name",
            "https://renewd-e2e.invalid".to_owned(),
            "renewd-e2e.invalid:443: the host's name".to_owned(),
        ),
        ("refused", format!("http://{unused}"), format!("{unused}: connection refused")),
        (
            "plain",
            format!("https://127.0.0.1:{port}"),
            format!("127.0.0.1:{port}: the port does not speak TLS"),
        ),
    ];
    let mut config = world.one(kind);
    for (name, url, _) in &cases {
        let mut account = world.account(kind, name);
        account["base_url"] = url.as_str().into();
        config["accounts"][*name] = account;
    }
    let agent = world.start(&config);
    agent.until("the good one", secs(5), |status| is_well(account(status, "a")));
    let status = agent.until("errors of the others", secs(40), |status| {
        cases.iter().all(|(name, ..)| !class(status, name).is_empty())
    });
    for (name, _, words) in &cases {
        let error = &account(&status, name)["error"];
        assert_eq!(error["class"], "transient", "{name}: {error}");
        assert!(error["message"].as_str().unwrap().starts_with(words), "{name}: {error}");
        assert_eq!(state(&status, name), "pending");
    }
    assert!(is_well(account(&agent.status(), "a")));
}

#[test]
fn two_hundred_accounts_are_fresh_again_soon_after_an_outage_and_the_host_is_not_stormed() {
    // Its long form is the promise's own: 200 accounts at the default limits within 110 s.
    let count = crate::support::setting("RENEWD_OUTAGE_ACCOUNTS", 40);
    let world = World::living(secs(60));
    let kind = Provider::OAuthClientCredentials;
    let names: Vec<String> = (0..count).map(|number| format!("a{number}")).collect();
    let accounts = names.iter().map(|name| {
        let mut account = world.account(kind, name);
        account["base_url"] = world.sim.base_url(kind, 5).into();
        (name.clone(), account)
    });
    world.sim.stop();
    let agent = world.start(&world.config(accounts));
    agent.until("the outage felt", secs(10), |status| {
        status["accounts"].as_array().unwrap().iter().any(|a| !a["error"].is_null())
    });
    std::thread::sleep(secs(4));
    world.sim.resume();
    let back = Instant::now();
    agent.until("all fresh", secs(110), crate::support::all_well);
    eprintln!("{count} accounts after {:?}", back.elapsed());
    let stats = world.sim.stats();
    assert!(
        stats.requests <= count + 1 + count / 50,
        "{} requests: each once, but for one cut off at the turn",
        stats.requests
    );
    assert!(stats.peak_per_second <= 15, "{}", stats.peak_per_second);
    until("no error left", secs(2), || {
        agent.status()["accounts"].as_array().unwrap().iter().all(|a| a["error"].is_null()).then_some(())
    });
}
