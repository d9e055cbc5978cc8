//! Tokens come, are renewed in time and are never wrong in their files.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};

use crate::support::{Reader, World, millis, secs, setting};

#[test]
fn every_vendors_token_arrives_in_each_form_of_content() {
    let world = World::new();
    let accounts = Provider::ALL.map(|provider| {
        let name = provider.name();
        let mut account = world.account(provider, name);
        account["sinks"] = json!([
            { "file": world.out(&format!("{name}.token")) },
            { "file": { "path": world.out(&format!("{name}.header")), "content": "header" } },
            { "file": { "path": world.out(&format!("{name}.json")), "content": "json" } },
            { "file": { "path": world.out(&format!("{name}.env")), "template": "TOKEN={{ access_token }}\n" } },
        ]);
        (name.to_owned(), account)
    });
    let agent = world.start(&world.config(accounts));
    let status = agent.until_well();
    for provider in Provider::ALL {
        let name = provider.name();
        let token = world.read(&format!("{name}.token"));
        assert!(world.sim.accepts(provider, &token), "{name}");
        assert_eq!(world.read(&format!("{name}.header")), format!("Authorization: Bearer {token}"));
        assert_eq!(world.read(&format!("{name}.env")), format!("TOKEN={token}\n"));
        let document: Value = serde_json::from_str(&world.read(&format!("{name}.json"))).unwrap();
        assert_eq!(document["access_token"], token.as_str());
        assert_eq!(document["provider"], name);
        let mode = std::fs::metadata(world.out(&format!("{name}.token"))).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    assert_eq!(world.sim.requests(), 10, "{}", status["accounts"]);
}

/// What a JSON sink has told of each generation: when it was issued and when it ends, in milliseconds.
type Lives = Arc<Mutex<BTreeMap<u64, (i64, i64)>>>;

#[test]
fn tight_readers_of_short_lived_tokens_never_see_one_that_the_vendor_refuses() {
    let span = setting("RENEWD_LONG", 40);
    let mut options = Options::with_lifetime(secs(8));
    options.lifetimes = [
        (Provider::Bizppurio, secs(5)),
        (Provider::PortOne, secs(6)),
        (Provider::OAuthRefreshToken, secs(5)),
    ]
    .into();
    options.lifetimes.insert(Provider::Kis, secs(10));
    options.lifetimes.insert(Provider::BizppurioNapi, secs(4 * 3600));
    let world = World::with(options);
    let accounts = Provider::ALL.map(|provider| {
        let name = provider.name();
        let mut account = world.account(provider, name);
        let document = json!({ "file": { "path": world.out(&format!("{name}.json")), "content": "json" } });
        account["sinks"].as_array_mut().unwrap().push(document);
        if provider == Provider::Kis {
            account["renew"]["min_interval"] = "1s".into();
        }
        (name.to_owned(), account)
    });
    let agent = world.start(&world.config(accounts));
    agent.until_well();

    let start = Instant::now();
    world.sim.reset_stats();
    let readers = Provider::ALL.map(|provider| {
        let (simulator, path) = ((*world.sim).clone(), world.out(&format!("{provider}.token")));
        let tokens = Reader::start(path, millis(1), move |content| {
            let token = content.ok_or("no file")?;
            let token = std::str::from_utf8(token).map_err(|_| "not a text")?;
            simulator.accepts(provider, token).then_some(()).ok_or_else(|| "not accepted".to_owned())
        });
        let lives = Lives::default();
        let (known, canaries) = (Arc::clone(&lives), Arc::clone(&world.canaries));
        let documents = Reader::start(world.out(&format!("{provider}.json")), millis(20), move |content| {
            let document: Value =
                serde_json::from_slice(content.ok_or("no file")?).map_err(|_| "not JSON")?;
            let at = |field: &str| document[field].as_str().and_then(instant).ok_or("no instant");
            let life = (at("issued_at")?, at("expires_at")?);
            known.lock().unwrap().insert(document["generation"].as_u64().ok_or("no generation")?, life);
            canaries.add(document["access_token"].as_str().ok_or("no token")?);
            Ok(())
        });
        (provider, tokens, documents, lives)
    });
    while start.elapsed() < secs(span) {
        std::thread::sleep(millis(200)); // the readers are what looks
        assert!(agent.try_status().is_some());
    }
    let elapsed = start.elapsed();
    let stats = world.sim.stats();
    // Before the agent: what it leaves behind may end at any time.
    let readers = readers
        .map(|(provider, tokens, documents, lives)| (provider, tokens.stop(), documents.stop(), lives));
    agent.stop();

    let mut complaints = Vec::new();
    for (provider, tokens, documents, lives) in readers {
        // PortOne V1 hands out the same token until it ends: there is no other to have before. The promise is to ask
        // again 1 s after the end at the latest. The agent asks after 0.2 s, so that 0.8 s are left for the exchange, the
        // file and a busy machine.
        let allowed = if provider == Provider::PortOneV1 { secs(1) } else { secs(0) };
        if tokens.longest_gap > allowed || (allowed.is_zero() && !tokens.bad.is_empty()) {
            complaints.push(format!("{provider}: {tokens:?}"));
        }
        if !documents.bad.is_empty() {
            complaints.push(format!("{provider}: {documents:?}"));
        }
        let requests = stats.providers.get(provider.name()).map_or(0, |stats| stats.requests);
        let ideal = ideal(provider, &lives.lock().unwrap(), elapsed.as_secs_f64());
        // One more or less is where the span happened to end; the spread of the leads evens out over many.
        let tolerance = (if span >= 300 { 0.1 } else { 0.25 }) * ideal + 1.0;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        if (requests as f64 - ideal).abs() > tolerance {
            complaints.push(format!("{provider}: {requests} requests, {ideal:.1} would be ideal"));
        }
        eprintln!(
            "{provider}: {} looks, {requests} requests, {ideal:.1} ideal, longest gap {:?}",
            tokens.looks, tokens.longest_gap
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// As many requests as it takes when each token is renewed half its life (as the agent reads it) after its issue;
/// one that comes back until it ends is asked for once a life.
fn ideal(provider: Provider, lives: &BTreeMap<u64, (i64, i64)>, elapsed: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let seconds: Vec<f64> = lives.values().map(|(from, to)| (to - from) as f64 / 1000.0).collect();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let life = seconds.iter().sum::<f64>() / seconds.len() as f64;
    match provider {
        Provider::BizppurioNapi => 0.0,
        // Half-way, which brings the same token, and right after its end.
        Provider::PortOneV1 => 2.0 * elapsed / (life + 0.2),
        _ => elapsed / (life / 2.0),
    }
}

fn instant(text: &str) -> Option<i64> {
    Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}
