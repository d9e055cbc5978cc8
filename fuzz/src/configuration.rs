//! A whole configuration, without `include`; what loads is compared with itself and taken by the engine in another's
//! place, as at a reload.
//!
//! The input is the file. Where a line `=== before` stands in it, what is above is the configuration before.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use renewd::config::model::{Account, Config, SecretSource, Sink};
use renewd::config::{Loaded, PlacedSecret, Problems, load_with_secrets};
use renewd::core::{AccountPlan, Effect, Engine, Event, Plan, TemplatePlan};
use renewd::domain::{BootInstant, Now, Timestamp};
use renewd::provider::catalog;
use renewd::runtime::{Makeup, changed};
use renewd::sink::trial;
use url::{Host, Url};

use super::definition::{is_placed, says_where};
use super::place::Place;
use super::words::{CANARY, hides, tame_lines};

const BEFORE: &str = "\n=== before\n";

/// What runs before, where the input does not say.
const USUAL: &str = include_str!("usual.yaml");

/// Accounts with a secret each, in the two ways of writing; what follows them cannot take it out of its place.
const HEADS: [&str; 2] = [
    "accounts:\n  one: { provider: kis, credentials: { appkey: x, appsecret: hq7Zx9vWk2Jp5Tn } }\n",
    "accounts:\n  one:\n    provider: kis\n    credentials:\n      appkey: x\n      appsecret: hq7Zx9vWk2Jp5Tn\n",
];

static PLACE: LazyLock<Place> = LazyLock::new(Place::new);

/// One input of the target.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Reads other files, whose number and size are not the input's.
    if text.contains("include") {
        return;
    }
    let (before, after) = text.split_once(BEFORE).map_or((USUAL, &*text), |(before, after)| (before, after));
    let whole = if after.len() == text.len() { data } else { after.as_bytes() };
    let (loaded, secrets) = load(whole);
    let has_one = tells_no_secret(after, &loaded, &secrets);
    match loaded {
        Err(problems) => says_where(&problems, after, &[&name()]),
        Ok(Loaded { config, warnings }) => {
            warnings.iter().for_each(|warning| is_placed(warning, after, &[&name()]));
            assert_eq!(
                load(whole).0.map(|again| again.config).as_ref(),
                Ok(&config),
                "read again it is the same"
            );
            config.accounts.values().for_each(|account| can_run(account));
            is_no_change(&config, has_one);
            if let Ok(before) = load(before.as_bytes()).0 {
                reloads(&before.config, &config);
            }
        }
    }
    if hides(&text) {
        for head in HEADS {
            let (loaded, _) = load(format!("{head}{after}").as_bytes());
            assert!(hides(&said(&loaded)), "{}", said(&loaded));
        }
    }
}

fn path() -> PathBuf {
    PLACE.path("renewd.yaml")
}

fn name() -> String {
    path().display().to_string()
}

fn load(text: &[u8]) -> (Result<Loaded, Problems>, Vec<PlacedSecret>) {
    PLACE.write("renewd.yaml", text);
    load_with_secrets(&path(), &|_| None, catalog::texts(), &trial::attempt)
}

/// All that a person may see of it.
fn said(loaded: &Result<Loaded, Problems>) -> String {
    match loaded {
        Ok(loaded) => format!("{loaded:?}"),
        Err(problems) => format!("{problems}\n{problems:?}"),
    }
}

/// A secret that stands nowhere else is in no word of what is said. Gives whether there is such a secret.
fn tells_no_secret(text: &str, loaded: &Result<Loaded, Problems>, secrets: &[PlacedSecret]) -> bool {
    let inline = secrets.iter().filter_map(|secret| match &secret.source {
        SecretSource::Inline(secret) => Some(secret.expose()),
        _ => None,
    });
    let is_canary = |secret: &&str| secret.contains(CANARY) && text.matches(&CANARY[..8]).count() == 1;
    let has_one = inline.filter(is_canary).count() == 1;
    assert!(!has_one || hides(&said(loaded)), "{}", said(loaded));
    for PlacedSecret { place, .. } in secrets {
        assert!(tame_lines(&place.to_string()), "{place:?}");
    }
    has_one
}

/// What the rest of the agent relies on.
fn can_run(account: &Account) {
    let urls = [&account.base_url, &account.issue_url, &account.refresh_url];
    urls.into_iter().flatten().for_each(is_private);
    account.verify.iter().for_each(|verify| is_private(&verify.url));
    assert!(account.issue_url.is_some() || account.refresh_url.is_some(), "nobody to ask");
    assert!(account.host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()));
    assert!(account.limit.burst > 0 && account.limit.concurrency > 0);
    assert!(!account.http.timeout.is_zero());
    for sink in &account.sinks {
        if let Sink::File(file) = sink {
            assert!(
                file.path.is_absolute() && !file.path.iter().any(|part| part == ".."),
                "{}",
                file.path.display()
            );
            assert!(file.mode & 0o7002 == 0, "anyone may write: {:o}", file.mode);
        }
    }
}

/// Over TLS, or on this host.
fn is_private(url: &Url) {
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    assert!(url.scheme() == "https" || (url.scheme() == "http" && local), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "a secret in a URL");
}

fn is_no_change(config: &Config, has_one: bool) {
    let makeup = Makeup::of(config, 7);
    assert_eq!(makeup, Makeup::of(config, 7));
    let text = serde_json::to_string(&makeup).expect("it is JSON");
    assert!(!has_one || hides(&text), "{text}");
    assert_eq!(serde_json::from_str::<Makeup>(&text).ok().as_ref(), Some(&makeup));
    assert_eq!(changed(&makeup.parts, &makeup.parts), Vec::<String>::new());
    for account in makeup.accounts.values() {
        assert_eq!(changed(&account.identity, &account.identity), Vec::<String>::new());
        assert_eq!(changed(&account.parts, &account.parts), Vec::<String>::new());
    }
    let mut engine = Engine::new(7);
    engine.handle(configured(config), now(0));
    let effects = engine.handle(configured(config), now(0));
    assert_eq!(effects, Vec::new(), "the same configuration again is no change");
}

/// There and back again: whatever is asked for belongs to the configuration that runs.
fn reloads(before: &Config, after: &Config) {
    let mut engine = Engine::new(7);
    for (second, config) in [before, after, before, after].into_iter().enumerate() {
        let second = second as u64;
        let effects = engine.handle(configured(config), now(second));
        for effect in effects.iter().chain(&engine.handle(Event::Tick, now(second))) {
            match effect {
                Effect::Issue(issue) => assert!(config.accounts.contains_key(&issue.account)),
                Effect::Verify { account, .. } => assert!(config.accounts.contains_key(account)),
                _ => {}
            }
        }
        assert_eq!(engine.handle(configured(config), now(second)), Vec::new());
    }
    let makeups = [before, after].map(|config| Makeup::of(config, 7));
    let names: BTreeSet<String> = changed(&makeups[0].parts, &makeups[1].parts).into_iter().collect();
    assert!(names.iter().all(|name| makeups.iter().any(|makeup| makeup.parts.contains_key(name))));
}

fn configured(config: &Config) -> Event {
    let account = |account: &Account| AccountPlan::new(account, Some(1), None, Vec::new());
    let plan = Plan {
        accounts: config.accounts.iter().map(|(name, one)| (name.clone(), account(one))).collect(),
        templates: config.templates.iter().map(|template| TemplatePlan::new(template, Vec::new())).collect(),
    };
    Event::Configured { plan, restored: BTreeMap::new(), touched: BTreeSet::new(), marks: BTreeMap::new() }
}

fn now(second: u64) -> Now {
    let wall = Timestamp::from_secs(1_700_000_000 + i64::try_from(second).expect("a small number"));
    Now { wall, boot: BootInstant(1_000_000 + 1_000 * second) }
}
