//! oauth2-mock-server: JWT access tokens, and an expiry told in each of the ways that servers have. Its script holds
//! every refresh token to a single use.

use super::agent::{Agent, configure};
use super::http;
use super::reader::{Reader, Seen};
use super::room::Room;
use super::server::Server;

/// How the expiry is told; which client authentication; the account's further params.
const MANNERS: [(&str, &str, &str); 6] = [
    ("plain", "basic", "scope: 'send read', audience: 'https://api.example.com'"),
    ("text-expiry", "body", ""),
    ("float-expiry", "basic", ""),
    ("jwt-only", "body", ""),
    // Nothing tells it, so that the account must.
    ("opaque", "basic", "lifetime: 10s"),
    ("keeps-refresh", "body", ""),
];

#[test]
fn client_credentials_stay_fresh_however_the_expiry_is_told() {
    let room = room!();
    stay_fresh(&room, "machine", "client_credentials");
}

#[test]
fn refresh_tokens_stay_fresh_however_the_expiry_is_told() {
    let room = room!();
    stay_fresh(&room, "person", "refresh_token");
}

fn stay_fresh(room: &Room, kind: &str, grant: &str) {
    let server = Server::start(room, "oauth2-mock-server", &[("TTL", "10")]);
    let clients = MANNERS.map(|(manner, auth, params)| (format!("{kind}-{manner}"), auth, params));
    let accounts =
        clients.each_ref().map(|(client, auth, params)| account(room, &server, client, auth, params));
    configure(room, &accounts.concat(), "");
    let readers = clients.each_ref().map(|(client, ..)| read(room, &server, client));
    let agent = Agent::start(room);
    for (client, ..) in &clients {
        agent.stays_fresh_until(client, 4);
    }
    let seen: Vec<Seen> = readers.into_iter().map(Reader::end).collect();
    assert!(agent.stop().success());

    let log = server.log();
    assert!(log.iter().all(|exchange| exchange.status == 200), "no request is refused: {log:#?}");
    for ((client, auth, params), seen) in clients.iter().zip(&seen) {
        assert_eq!(seen.bad, Vec::<String>::new(), "{client}");
        assert!(seen.tokens.len() >= 4, "{client}: {} tokens", seen.tokens.len());
        let own: Vec<_> = log.iter().filter(|exchange| exchange.client.as_ref() == Some(client)).collect();
        assert!(own.iter().all(|exchange| exchange.auth == *auth), "{client}: {own:#?}");
        assert!(own.iter().all(|exchange| exchange.grant.as_deref() == Some(grant)), "{client}: {own:#?}");
        let gaps: Vec<i64> = own.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        // After half of ten seconds, spread by a fifth; a JWT counts in whole ones, and a life from when the request left,
        // which is up to two seconds before the server notes it where the machine is busy.
        assert!(gaps.iter().all(|gap| (2_000..9_500).contains(gap)), "{client}: {gaps:?}");
        if params.contains("scope") {
            assert!(own.iter().all(|exchange| exchange.scope.as_deref() == Some("send read")), "{own:#?}");
        }
        eprintln!(
            "{client}: {} tokens, {} reads, {} judged active",
            seen.tokens.len(),
            seen.reads,
            seen.judged
        );
    }
}

fn account(room: &Room, server: &Server, client: &str, auth: &str, params: &str) -> String {
    let url = &server.url;
    let (provider, seed) = if client.starts_with("machine") {
        ("oauth2-client-credentials", String::new())
    } else {
        ("oauth2-refresh-token", format!(", refresh_token: {}", server.seed(client)))
    };
    let comma = if params.is_empty() { "" } else { ", " };
    format!(
        "  {client}:\n    provider: {provider}\n    params: {{ token_url: '{url}/token', client_auth: {auth}{comma}{params} }}\n    \
         credentials: {{ client_id: {client}, client_secret: secret of {client}{seed} }}\n    sinks: [{{ file: {} }}]\n",
        room.path(&format!("{client}.token")).display(),
    )
}

fn read(room: &Room, server: &Server, client: &str) -> Reader {
    let url = server.url.clone();
    Reader::start(room.path(&format!("{client}.token")), move |token| {
        let (_, answer) = http::get(&url, &format!("/_test/verify?token={token}"));
        if answer["active"] == true { Ok(()) } else { Err(answer.to_string()) }
    })
}
