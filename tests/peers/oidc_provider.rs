//! oidc-provider, a certified server: both ways of client authentication, resource indicators, rotating refresh tokens
//! with reuse detection. Every token that a reader finds is judged by the server itself, at every look.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::agent::{Agent, configure, once};
use super::http;
use super::reader::{Reader, Seen};
use super::room::Room;
use super::server::Server;
use super::{secs, wait};

const RESOURCE: &str = "https://api.example.com/v1";
/// `HARD` of the server's script: what RFC 6749 (2.3.1) wants encoded.
const HARD: &str = r#"s3:cr+t %41&/=?~*"\"#;

/// Client, secret, params beside the token URL.
const MACHINES: [(&str, &str, &str); 3] = [
    ("machine:basic+1 %", HARD, ""),
    ("machine-body", HARD, "client_auth: body"),
    ("machine-resource", "secret-3", "resource: 'https://api.example.com/v1', scope: 'api:read'"),
];
const PERSONS: [(&str, Option<&str>, &str); 4] = [
    ("person-basic", Some(HARD), ""),
    ("person-body", Some("secret-5"), "client_auth: body"),
    ("person-resource", Some("secret-6"), "resource: 'https://api.example.com/v1', scope: 'api:read'"),
    ("person-public", None, ""),
];

#[test]
fn every_token_that_a_reader_finds_is_active_over_several_renewals() {
    let room = room!();
    let server = Server::start(&room, "oidc-provider", &[("TTL", "10"), ("REFRESH_TTL", "20")]);
    let machines = MACHINES.map(|(client, secret, params)| machine(&room, &server, client, secret, params));
    let persons = PERSONS.map(|(client, secret, params)| {
        room.write(&format!("{}.seed", name(client)), &server.seed(client));
        person(&room, &server, client, secret, params)
    });
    configure(&room, &(machines.concat() + &persons.concat()), "");

    let clients: Vec<&str> =
        MACHINES.iter().map(|machine| machine.0).chain(PERSONS.iter().map(|person| person.0)).collect();
    let readers: Vec<Reader> =
        clients.iter().map(|client| read(&room, &server, client, client.contains("resource"))).collect();
    let agent = Agent::start(&room);
    for client in &clients {
        agent.stays_fresh_until(&name(client), 5);
    }
    let seen: BTreeMap<&str, Seen> =
        clients.iter().copied().zip(readers.into_iter().map(Reader::end)).collect();
    assert!(agent.stop().success());

    let log = server.log();
    assert!(log.iter().all(|exchange| exchange.status == 200), "no request is refused: {log:#?}");
    for (client, seen) in &seen {
        assert_eq!(seen.bad, Vec::<String>::new(), "{client}");
        assert!(seen.tokens.len() >= 5, "{client}: {} tokens", seen.tokens.len());
        let own: Vec<_> = log.iter().filter(|exchange| exchange.client.as_deref() == Some(client)).collect();
        let (person, basic) =
            (client.starts_with("person"), !["body", "public"].iter().any(|way| client.contains(way)));
        assert!(own.iter().all(|exchange| (exchange.auth == "basic") == basic), "{client}: {own:#?}");
        let grant = if person { "refresh_token" } else { "client_credentials" };
        assert!(own.iter().all(|exchange| exchange.grant.as_deref() == Some(grant)), "{client}: {own:#?}");
        // After half of ten seconds, spread by a fifth; the server counts in whole ones.
        let gaps: Vec<i64> = own.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        assert!(gaps.iter().all(|gap| (2_500..9_500).contains(gap)), "{client}: {gaps:?}");
        eprintln!(
            "{client}: {} tokens, {} reads, {} judged active",
            seen.tokens.len(),
            seen.reads,
            seen.judged
        );
    }
}

#[test]
fn a_certified_servers_refusals_are_told_in_words_that_help() {
    let room = room!();
    let server = Server::start(&room, "oidc-provider", &[]);
    room.write("person-basic.seed", "never-issued");
    room.write("person-body.seed", &server.seed("person-body"));
    let accounts = [
        machine(&room, &server, "machine-body", "wrong", "client_auth: body"),
        machine(&room, &server, "machine:basic+1 %", HARD, "resource: 'https://elsewhere.example.com'"),
        machine(&room, &server, "machine-resource", "secret-3", "scope: 'api:write'"),
        person(&room, &server, "person-basic", Some(HARD), ""),
        person(&room, &server, "person-body", Some("secret-5"), "client_auth: body, scope: 'api:write'"),
    ];
    configure(&room, &accounts.concat(), "");
    let (exit, said) = once(&room, "30s");
    assert_eq!(exit, Some(1), "{said}");
    let causes: Vec<&str> = said.lines().filter(|line| line.contains("caused by")).collect();
    eprintln!("{causes:#?}");
    let cause = |client: &str| {
        let name = name(client);
        causes.iter().copied().find(|line| line.contains(&name)).unwrap_or_else(|| panic!("{client}: {said}"))
    };
    for (client, words) in [
        ("machine-body", "check `client_id`, `client_secret` and `client_auth`"),
        ("machine:basic+1 %", "check `resource` and `audience`"),
        ("machine-resource", "check `scope`"),
        ("person-basic", "refresh_token"),
        ("person-body", "check `scope`"),
    ] {
        assert!(cause(client).contains(words), "{client}: {}", cause(client));
    }
    assert_eq!(server.log().len(), accounts.len(), "one request each: what is refused is not hammered");
}

#[test]
fn a_refresh_token_survives_kills_or_the_agent_asks_for_a_new_login() {
    let room = room!();
    let server = Server::start(&room, "oidc-provider", &[("TTL", "10"), ("REFRESH_TTL", "60")]);
    room.write("person-basic.seed", &server.seed("person-basic"));
    let account = person(&room, &server, "person-basic", Some(HARD), "");
    configure(&room, &account.replace("params:", "renew: { cron: '* * * * * *' }\n    params:"), "");

    // More than half of the time, a reply is under way.
    server.door("hold?ms=600");
    let (mut logins, mut kills) = (0, Vec::new());
    let mut random = 0x9e37_79b9_u64 ^ u64::from(std::process::id());
    for _ in 0..12 {
        let agent = Agent::start(&room);
        logins += usize::from(recover(&room, &server, &agent));
        // With a renewal each second, this ends anywhere between two of them, or in the middle of one.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((random >> 33) % 1200));
        agent.kill();
        kills.push(jiff::Timestamp::now().as_millisecond());
    }
    let agent = Agent::start(&room);
    logins += usize::from(recover(&room, &server, &agent));
    assert!(agent.stop().success());

    let log = server.log();
    let refused: Vec<usize> = (0..log.len()).filter(|at| log[*at].status != 200).collect();
    assert_eq!(
        refused.len(),
        logins,
        "a new login is asked for when the server refuses the token, and only then"
    );
    let mut swallowed = 0;
    for at in refused {
        assert_eq!(log[at].error.as_deref(), Some("invalid_grant"));
        // The reply before it is the one that got lost. Either it was never sent, or the kill came while it was on its
        // way to the disk: one that had the time to get there is not lost. (`scripts/test` puts the room into memory, where
        // there is no disk that others keep busy for a second.)
        let last = &log[at - 1];
        let kill = *kills.iter().find(|kill| **kill >= last.at).expect("a kill cost it");
        match last.sent {
            Some(sent) if sent < kill => {
                assert!(kill - sent < 300, "lost {} ms after the reply", kill - sent)
            }
            _ => swallowed += 1,
        }
    }
    let count = log.len();
    eprintln!("12 kills: {swallowed} swallowed a reply, {logins} new logins, {count} exchanges");
}

#[test]
fn a_reply_that_a_kill_swallowed_is_told_and_a_new_refresh_token_mends_it() {
    let room = room!();
    let server = Server::start(&room, "oidc-provider", &[("TTL", "10"), ("REFRESH_TTL", "60")]);
    room.write("person-basic.seed", &server.seed("person-basic"));
    configure(&room, &person(&room, &server, "person-basic", Some(HARD), ""), "");
    let agent = Agent::start(&room);
    wait("the first token", secs(20), || room.read("person-basic.token"));

    // The server has rotated the token, but nobody has heard of it.
    server.door("hold?ms=60000");
    wait("a reply is kept back", secs(20), || (server.door("held") == 1).then_some(()));
    agent.kill();
    server.door("hold?ms=0");
    let before = server.log().len();

    let agent = Agent::start(&room);
    wait("the agent asks for a new login", secs(30), || relogin(&agent));
    let log = server.log();
    let reuse: Vec<_> = log[before..].iter().map(|exchange| exchange.error.as_deref()).collect();
    assert!(!reuse.is_empty() && reuse.iter().all(|error| *error == Some("invalid_grant")), "{log:#?}");
    let error = agent.account("person-basic")["error"].clone();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("put a fresh refresh token into the credential `refresh_token`"), "{message}");
    eprintln!("after the kill: {} tries, then: {message}", reuse.len());

    let generation = agent.generation("person-basic");
    room.write("person-basic.seed", &server.seed("person-basic"));
    wait("the new refresh token is used", secs(10), || {
        (delivered(agent.account("person-basic")) > generation).then_some(())
    });
    assert_eq!(active(&server, &room.read("person-basic.token").unwrap()), Ok(()));
    assert!(agent.stop().success());
}

/// Waits until the account is fresh and its token active; gives a new first refresh token where the agent asks for one,
/// and tells whether it did.
fn recover(room: &Room, server: &Server, agent: &Agent<'_>) -> bool {
    let mut logged_in = false;
    let began = agent.generation("person-basic");
    wait("the account is usable", secs(60), || {
        if !logged_in && relogin(agent).is_some() {
            logged_in = true;
            room.write("person-basic.seed", &server.seed("person-basic"));
        }
        // A generation of this run: what was stored may be a token whose grant died of the reuse.
        let account = agent.account("person-basic");
        (account["state"] == "fresh" && delivered(account) > began).then_some(())
    });
    let token = room.read("person-basic.token").expect("a token");
    assert_eq!(active(server, &token), Ok(()));
    logged_in
}

/// What its file holds: a token is the account's before it is in the file, by as long as the disk takes.
fn delivered(account: serde_json::Value) -> u64 {
    account["sinks"][0]["generation"].as_u64().unwrap_or(0)
}

fn relogin(agent: &Agent<'_>) -> Option<()> {
    (agent.account("person-basic")["error"]["class"] == "relogin").then_some(())
}

fn read(room: &Room, server: &Server, client: &str, resource: bool) -> Reader {
    let path = room.path(&format!("{}.token", name(client)));
    let url = server.url.clone();
    Reader::start(path, move |token| if resource { verified(&url, token) } else { introspected(&url, token) })
}

fn active(server: &Server, token: &str) -> Result<(), String> {
    introspected(&server.url, token)
}

/// RFC 7662, as an API that is shown the token would ask.
fn introspected(url: &str, token: &str) -> Result<(), String> {
    let judge = format!("Basic {}", STANDARD.encode("judge:judge"));
    let (status, answer) = http::post_form(url, "/token/introspection", &judge, &format!("token={token}"));
    if status == 200 && answer["active"] == true { Ok(()) } else { Err(format!("HTTP {status} {answer}")) }
}

/// A JWT is judged by its signature, issuer, audience and times.
fn verified(url: &str, token: &str) -> Result<(), String> {
    let (_, answer) = http::get(url, &format!("/_test/verify?token={token}&resource={RESOURCE}"));
    let rightly = answer["active"] == true && answer["scope"] == "api:read";
    if rightly { Ok(()) } else { Err(answer.to_string()) }
}

fn machine(room: &Room, server: &Server, client: &str, secret: &str, params: &str) -> String {
    account(
        room,
        server,
        client,
        "oauth2-client-credentials",
        &format!("client_secret: {}", json!(secret)),
        params,
    )
}

fn person(room: &Room, server: &Server, client: &str, secret: Option<&str>, params: &str) -> String {
    let seed = room.path(&format!("{}.seed", name(client)));
    let secret = secret.map(|secret| format!("client_secret: {}, ", json!(secret))).unwrap_or_default();
    let credentials = format!("{secret}refresh_token: {{ file: {} }}", seed.display());
    account(room, server, client, "oauth2-refresh-token", &credentials, params)
}

fn account(
    room: &Room,
    server: &Server,
    client: &str,
    provider: &str,
    credentials: &str,
    params: &str,
) -> String {
    let (name, url) = (name(client), &server.url);
    let comma = if params.is_empty() { "" } else { ", " };
    let (id, token) = (json!(client), room.path(&format!("{name}.token")));
    format!(
        "  {name}:\n    provider: {provider}\n    params: {{ token_url: '{url}/token'{comma}{params} }}\n    \
         credentials: {{ client_id: {id}, {credentials} }}\n    sinks: [{{ file: {} }}]\n",
        token.display()
    )
}

/// The client's name as an account's.
fn name(client: &str) -> String {
    client.replace(|other: char| !other.is_ascii_alphanumeric(), "-").trim_end_matches('-').to_owned()
}
