//! How hard a provider is pressed.

use renewd::simulator::{Options, Provider, Seen};
use serde_json::Value;

use crate::support::{World, account, all_well, class, millis, secs, setting, state, throughout, until};

const ANY: Provider = Provider::OAuthClientCredentials;

/// Accounts on a host with the default limits.
fn limited(world: &World, host: u8, names: impl IntoIterator<Item = String>) -> Value {
    let accounts = names.into_iter().map(|name| {
        let mut account = world.account(ANY, &name);
        account["base_url"] = world.sim.base_url(ANY, host).into();
        (name, account)
    });
    world.config(accounts)
}

/// Within no stretch of time more than the burst and the rate allow; on a busy machine arrivals bunch on their way.
fn polite(journal: &[Seen]) -> Result<(), String> {
    let mut at: Vec<i64> = journal.iter().map(|seen| seen.at.as_millisecond()).collect();
    at.sort_unstable();
    for (first, from) in at.iter().enumerate() {
        for (last, to) in at.iter().enumerate().skip(first) {
            let (count, span) = (last - first + 1, to - from);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let allowed = 10.0 + 5.0 * (span as f64 + 750.0) / 1000.0;
            if count as f64 > allowed {
                return Err(format!("{count} requests within {span} ms"));
            }
        }
    }
    Ok(())
}

#[test]
fn sixty_accounts_of_one_host_start_within_its_limits() {
    let world = World::living(secs(600));
    world.sim.fault("*=delay:300ms");
    let config = limited(&world, 3, (0..60).map(|number| format!("a{number}")));
    let agent = world.start(&config);
    agent.until("all sixty", secs(40), all_well);
    let journal = world.sim.journal();
    assert_eq!(journal.len(), 60);
    polite(&journal).unwrap();
    let stats = world.sim.stats();
    assert!(stats.peak_in_flight <= 4, "{} in flight", stats.peak_in_flight);
    assert_eq!(stats.providers[ANY.name()].overlapping, 0);

    // USR1 goes through the same limits.
    world.sim.reset_stats();
    agent.signal(rustix::process::Signal::USR1);
    let again = |status: &Value| status["accounts"].as_array().unwrap().iter().all(|a| a["generation"] == 2);
    agent.until("all renewed", secs(40), again);
    polite(&world.sim.journal()).unwrap();
}

#[test]
fn a_429_with_retry_after_pauses_the_whole_host_and_no_other() {
    let world = World::living(secs(600));
    let mut config = limited(&world, 1, (0..6).map(|number| format!("a{number}")));
    let mut other = world.account(ANY, "other");
    other["base_url"] = world.sim.base_url(ANY, 2).into();
    config["accounts"]["other"] = other;
    let agent = world.start(&config);
    agent.until_well();
    world.sim.reset_stats();
    world.sim.fault("oauth2-client-credentials/id-a0=429:4s#1");
    assert_eq!(agent.renew("a0").1["error"]["class"], "throttled");
    let told = std::time::Instant::now();
    // The pause is the host's: nobody there is asked, whoever wishes it.
    agent.signal(rustix::process::Signal::USR1);
    until("the other host's renewal", secs(2), || (world.sim.requests_of("id-other") == 1).then_some(()));
    throughout("the pause", millis(3_000).saturating_sub(told.elapsed()), || world.sim.requests() == 2);
    agent.until("everyone's renewal", secs(10), |status| {
        all_well(status) && status["accounts"].as_array().unwrap().iter().all(|a| a["generation"] == 2)
    });
    let journal = world.sim.journal();
    let first = journal.iter().find(|seen| seen.status == Some(429)).unwrap().at;
    let next =
        journal.iter().filter(|seen| seen.account != "id-other" && seen.at > first).map(|seen| seen.at).min();
    let pause = next.unwrap().as_millisecond() - first.as_millisecond();
    assert!(pause >= 4_000, "{pause} ms");
}

#[test]
fn wrong_credentials_are_not_hammered_whatever_the_vendor_says() {
    let span = setting("RENEWD_WRONG", 35);
    let most = if span >= 130 { 3 } else { 2 };
    let world = World::living(secs(600));
    let accounts = Provider::ALL.map(|provider| {
        let mut account = world.account(provider, provider.name());
        let secrets = account["credentials"].as_object_mut().unwrap();
        for name in [
            "password",
            "apiKey",
            "clientSecret",
            "apiSecret",
            "imp_secret",
            "client_secret",
            "secretkey",
            "appsecret",
        ] {
            if let Some(secret) = secrets.get_mut(name) {
                *secret = "wrong".into();
            }
        }
        (provider.name().to_owned(), account)
    });
    let agent = world.start(&world.config(accounts));
    let status = agent.until("ten refusals", secs(15), |status| {
        Provider::ALL.iter().all(|provider| !account(status, provider.name())["error"].is_null())
    });
    for provider in Provider::ALL {
        assert_eq!(class(&status, provider.name()), "rejected", "{provider}");
        assert_eq!(state(&status, provider.name()), "rejected", "{provider}");
        assert!(!world.out(&format!("{provider}.token")).exists());
    }
    throughout("few requests", secs(span), || {
        let stats = world.sim.stats();
        stats.providers.values().all(|provider| provider.requests <= most)
    });
    let stats = world.sim.stats();
    for provider in Provider::ALL {
        let requests = stats.providers[provider.name()].requests;
        let least = if provider == Provider::Kis { 1 } else { 2 }; // once a minute
        assert!(requests >= least, "{provider}: a second try after 30 s, {requests}");
    }
}

#[test]
fn twenty_restarts_in_a_row_ask_at_most_three_times_an_account() {
    let world = World::with(Options::with_lifetime(secs(600)));
    let config =
        world.config(["a", "b"].map(|name| (name.to_owned(), world.account(Provider::PortOne, name))));
    world.write(&config);
    // Killed at any moment: before, in and after the first request.
    world.sim.fault("*=delay:80ms");
    for number in 0..20_u64 {
        let agent = world.run().start();
        std::thread::sleep(millis(30 + number * 13 % 170));
        agent.kill();
    }
    for name in ["a", "b"] {
        let requests = world.sim.requests_of(&world.identity(Provider::PortOne, name));
        assert!(requests <= 3, "{name}: {requests}");
    }
}

#[test]
fn a_kis_account_is_asked_once_a_minute_at_most_by_its_definition() {
    let mut options = Options::with_lifetime(secs(600));
    options.limits.kis_interval = Some(secs(60));
    let world = World::with(options);
    let agent = world.start(&world.one(Provider::Kis));
    agent.until_well();
    assert_eq!(agent.renew("a").0, 202);
    agent.signal(rustix::process::Signal::USR1);
    throughout("one request", secs(1), || world.sim.requests() == 1);
    assert_eq!(state(&agent.status(), "a"), "fresh");
}
