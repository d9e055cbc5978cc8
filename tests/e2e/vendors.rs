//! Every fault against every built-in definition: whatever a vendor says, no token is lost by it and it heals.
//!
//! `RENEWD_VENDORS` is how many of the built-in definitions are tried, PortOne first. What each fault means is in
//! [`crate::faults`], for two of them; here it is what may not happen with any.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use flate2::Compression;
use flate2::read::GzEncoder;
use renewd::simulator::{Options, Provider};
use serde_json::{Value, json};

use crate::faults::FAULTS;
use crate::support::{World, account, generation, is_well, secs, setting, until};

/// A request may hang for the half of this, and what stood in the file holds all the while.
const LIFE: u64 = 90;

#[test]
fn no_fault_of_any_vendor_costs_a_token() {
    let count = usize::try_from(setting("RENEWD_VENDORS", 1)).unwrap();
    let mut providers = Provider::ALL.to_vec();
    providers.sort_by_key(|provider| *provider != Provider::PortOne);
    for provider in providers.into_iter().take(count) {
        all_faults(provider);
    }
}

/// One account a fault, each on a host of its own: pauses and breakers are hosts' affairs.
fn all_faults(provider: Provider) {
    let mut options = Options::with_lifetime(secs(LIFE));
    options.limits.bizppurio_idle = None;
    let world = World::with(options);
    let names: Vec<String> = (0..FAULTS.len()).map(|number| format!("f{number:02}")).collect();
    let accounts = names.iter().enumerate().map(|(number, name)| {
        let mut account = world.account(provider, name);
        account["base_url"] = world.sim.base_url(provider, u8::try_from(number).unwrap() + 10).into();
        account["http"]["timeout"] = "8s".into();
        account["renew"]["min_interval"] = "1s".into();
        (name.clone(), account)
    });
    let agent = world.start(&world.config(accounts));
    let status = agent.until("all accounts", secs(30), crate::support::all_well);
    // On a busy machine the first request of one may have timed out, and its token is of another generation than the first.
    let old: BTreeMap<&String, (String, u64)> = names
        .iter()
        .map(|name| (name, (world.read(&format!("{name}.token")), generation(&status, name))))
        .collect();
    let identities: Vec<String> = names.iter().map(|name| world.identity(provider, name)).collect();
    for (identity, (fault, ..)) in identities.iter().zip(FAULTS) {
        world.sim.fault(&format!("{provider}/{identity}={fault}"));
    }
    // Not before the shortest interval is over.
    std::thread::sleep(secs(1));
    agent.signal(rustix::process::Signal::USR1);
    let is_judged = |status: &Value, at: usize| {
        let seen = account(status, &names[at]);
        let asked = world.sim.requests_of(&identities[at]) >= 2;
        asked && seen["renewing"] != true && (!seen["error"].is_null() || is_well(seen))
    };
    agent.until("a verdict on all", secs(LIFE / 2 - 10), |status| {
        (0..names.len()).all(|at| is_judged(status, at))
    });

    // A verdict may be on its way to status and file while both are looked at.
    let start = std::time::Instant::now();
    let status = until("what was judged", secs(10), || {
        let (status, mut complaints) = (agent.status(), Vec::new());
        for (name, (fault, ..)) in names.iter().zip(FAULTS) {
            let (seen, token) = (account(&status, name), world.read(&format!("{name}.token")));
            world.canaries.add(&token);
            let (old, first) = &old[name];
            let is_old = token == *old;
            let message = seen["error"]["message"].as_str().unwrap_or_default();
            let problem = match () {
                () if !is_old && !world.sim.accepts(provider, &token) => Some("a token that does not hold"),
                // The same token with an end that is known better, as its reply took less time, is another generation.
                () if is_old
                    && generation(&status, name) > *first
                    && *fault != "token-same"
                    && !hands_out_the_same(provider) =>
                {
                    Some("a generation without its token")
                }
                () if !is_old && generation(&status, name) <= *first => {
                    Some("a token without its generation")
                }
                () if message.chars().any(char::is_control) || message.len() > 600 => Some("the message"),
                () => None,
            };
            if let Some(problem) = problem {
                complaints.push(format!("{provider} {fault}: {problem}: {seen}"));
            }
        }
        assert!(complaints.is_empty() || start.elapsed() < secs(5), "{}", complaints.join("\n"));
        complaints.is_empty().then_some(status)
    });
    let failed = names.iter().filter(|name| !account(&status, name)["error"].is_null()).count();

    world.sim.clear();
    // Whoever asks gets what there is to have; some wait for as long as the vendor asked for, an hour at most. Where there is no
    // other way in than the refresh token, one whose reply was lost or could not be read needs a person.
    let waits = |seen: &Value| seen["waiting"]["for"] == "vendor";
    let needs_a_person =
        |seen: &Value| provider == Provider::OAuthRefreshToken && seen["error"]["class"] == "relogin";
    let start = std::time::Instant::now();
    let status = until("all well", secs(40), || {
        let status = agent.status();
        let behind = names.iter().zip(FAULTS).filter(|(name, _)| {
            let seen = account(&status, name);
            !waits(seen) && !is_well(seen) && !needs_a_person(seen)
        });
        let behind: Vec<&String> = behind.map(|(name, _)| name).collect();
        for name in &behind {
            agent.post(&format!("/v1/accounts/{name}/renew?timeout=0"), "");
        }
        let late =
            || behind.iter().map(|name| account(&status, name).to_string()).collect::<Vec<_>>().join("\n");
        assert!(behind.is_empty() || start.elapsed() < secs(30), "{provider}: {}", late());
        behind.is_empty().then_some(status)
    });
    for (name, (fault, ..)) in names.iter().zip(FAULTS) {
        let token = world.read(&format!("{name}.token"));
        let (holds, is_old) = (world.sim.accepts(provider, &token), token == old[name].0);
        let seen = account(&status, name);
        assert!(holds || is_old && (waits(seen) || needs_a_person(seen)), "{provider} {fault}: {seen}");
    }
    eprintln!(
        "{provider}: {} faults, {failed} made a renewal fail, {} requests",
        FAULTS.len(),
        world.sim.requests()
    );
    agent.stop();
}

/// The same token until its end, which a fault may tell in another way.
const fn hands_out_the_same(provider: Provider) -> bool {
    matches!(provider, Provider::PortOneV1 | Provider::Kis)
}

/// A vendor of our own: each reply is wrapped as its header says in one of its ways, and brings a refresh token of any text,
/// which alone is good for the next request.
fn odd_vendor(codings: &'static [&'static str], tokens: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut given = 0;
        for connection in listener.incoming().map_while(Result::ok) {
            let Some(form) = form_of(&connection) else { continue };
            let spent =
                url::form_urlencoded::parse(form.as_bytes()).find(|(name, _)| name == "refresh_token");
            let good = spent.is_some_and(|(_, token)| token == tokens[given % tokens.len()]);
            given += usize::from(good);
            let body = json!({
                "access_token": format!("odd-access-{given}"), "expires_in": 3600,
                "refresh_token": tokens[given % tokens.len()],
            });
            let body = if good { body } else { json!({ "error": "invalid_grant" }) };
            let text = body.to_string();
            let mut body = Vec::new();
            GzEncoder::new(text.as_bytes(), Compression::fast()).read_to_end(&mut body).unwrap();
            let (status, coding) = (if good { 200 } else { 400 }, codings[given % codings.len()]);
            let head = format!(
                "HTTP/1.1 {status} Said\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = (&connection).write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

/// The body of a request.
fn form_of(connection: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_ascii().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        if line.is_empty() {
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            return String::from_utf8(body).ok();
        }
    }
}

#[test]
fn refresh_tokens_of_any_text_in_replies_of_any_gzip_are_spent_as_they_came() {
    let world = World::living(secs(600));
    let mut config = world.one(Provider::OAuthRefreshToken);
    config["accounts"]["a"]["credentials"]["refresh_token"] = "first of the odd ones".into();
    let address = odd_vendor(
        &["gzip", "GZIP", "x-gzip", "Gzip"],
        &["first of the odd ones", " odd ~\"&=+% at both ends ", "이상한 토큰 값", "odd-and-plain-enough"],
    );
    config["accounts"]["a"]["base_url"] = format!("http://{address}/token").into();
    let agent = world.start(&config);
    agent.until_well();
    for renewals in 2..=8 {
        let (status, answer) = agent.renew("a");
        assert_eq!(status, 200, "{answer}\n{}", agent.log());
        assert_eq!(world.read("a.token"), format!("odd-access-{renewals}"));
    }
    agent.stop();
}
