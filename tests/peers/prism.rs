//! The vendors' own OpenAPI documents as the judge. prism answers by them, and notes each request that violates one.
//!
//! prism's log is the verdict: "Request received" for each request, "The request passed the validation rules" for each
//! that the document allows, and a line marked as warning or error for everything else.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::agent::{Agent, configure, once, renewd};
use super::room::Room;
use super::server::Server;
use super::{secs, wait};

const PORTONE: &str = "portone-v2-token.openapi.json";
const RCS: &str = "rcs-biz-center-token.openapi.json";

const LOGIN: &str = "post /login/api-secret";
const REFRESH: &str = "post /token/refresh";
const TOKEN: &str = "post /token ";

#[test]
fn portones_document_untouched_allows_the_login_and_the_refreshes() {
    let room = room!();
    let server = Server::prism(&room, "prism", &published(PORTONE), &[]);
    configure(&room, &portone(&room, &server, ""), "");

    let (exit, said) = once(&room, "30s");
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(room.read("token").as_deref(), Some("new-access-token"), "the document's own example");
    let (exit, said) = once(&room, "30s");
    assert_eq!(exit, Some(0), "{said}");
    let verdict = Verdict::read(&room);
    assert_eq!(
        (verdict.of(LOGIN), verdict.of(REFRESH)),
        (1, 0),
        "a stored token that lives needs no request"
    );

    // The example is no JWT, so its life is the documented half hour: only the calendar renews it now.
    configure(&room, &portone(&room, &server, "renew: { cron: '* * * * * *' }"), "");
    let agent = Agent::start(&room);
    wait("five refreshes", secs(30), || (Verdict::read(&room).of(REFRESH) >= 5).then_some(()));
    let account = agent.account("portone");
    assert_eq!((&account["state"], &account["error"]), (&json!("fresh"), &Value::Null));
    assert!(agent.stop().success());
    assert_eq!(Verdict::read(&room).passed().of(LOGIN), 1, "each renewal is a refresh");
}

#[test]
fn portones_document_with_new_tokens_each_time_allows_every_renewal() {
    let room = room!();
    // prism makes new values from the schema; without a format they are words with spaces between, which no token has.
    let document = adjusted(&room, PORTONE, |document| {
        for reply in ["LoginViaApiSecretResponse", "RefreshTokenResponse"] {
            for field in ["accessToken", "refreshToken"] {
                document["components"]["schemas"][reply]["properties"][field]["format"] = json!("uuid");
            }
        }
    });
    let server = Server::prism(&room, "prism", &document, &["--dynamic"]);
    configure(&room, &portone(&room, &server, ""), "");
    let agent = Agent::start(&room);
    let first = wait("the first token", secs(20), || room.read("token"));

    let mut last = first;
    for generation in 2..=6 {
        let output = renewd(&room, &["renew", "portone"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let new = wait("another token", secs(10), || room.read("token").filter(|token| *token != last));
        assert_eq!(agent.generation("portone"), generation);
        last = new;
    }
    assert!(agent.stop().success());
    let verdict = Verdict::read(&room).passed();
    assert_eq!((verdict.of(LOGIN), verdict.of(REFRESH)), (1, 5));
}

#[test]
fn rcs_biz_centers_document_allows_the_issue_and_every_issue_after_it() {
    let room = room!();
    let document = adjusted(&room, RCS, |document| {
        let operation = &mut document["paths"]["/token"]["post"];
        // The document wants a bearer token of every operation, this one included, which is where one gets it.
        operation["security"] = json!([]);
        // It leaves the reply to its page, which has these two fields; the expiry is an instant in milliseconds.
        operation["responses"]["200"]["content"]["application/json"]["schema"] = json!({
            "type": "object",
            "required": ["expiresIn", "accessToken"],
            "properties": {
                "expiresIn": { "type": "string", "enum": [in_an_hour_ms().to_string()] },
                "accessToken": { "type": "string", "format": "uuid" },
            },
        });
    });
    let server = Server::prism(&room, "prism", &document, &["--dynamic"]);
    let account = |renew: &str| {
        format!(
            "  rcs:\n    provider: rcs-biz-center\n    base_url: {}\n    {renew}\n    credentials: \
             {{ clientId: acme-master, clientSecret: SK.0123456789abcde }}\n    sinks: [{{ file: {} }}]\n",
            server.url,
            room.path("token").display(),
        )
    };
    configure(&room, &account(""), "");
    let (exit, said) = once(&room, "30s");
    assert_eq!(exit, Some(0), "{said}");
    let first = room.read("token").expect("a token");

    configure(&room, &account("renew: { cron: '* * * * * *' }"), "");
    let agent = Agent::start(&room);
    wait("five issues", secs(30), || (Verdict::read(&room).of(TOKEN) >= 5).then_some(()));
    let status = agent.account("rcs");
    assert_eq!(status["state"], "fresh", "{status}");
    let left = seconds(&status["expires_at"]) - in_an_hour_ms() / 1000;
    assert!(
        (-60..=0).contains(&left),
        "the expiry is the declared instant, give or take this test's time: {left}"
    );
    assert!(agent.stop().success());
    Verdict::read(&room).passed();
    assert_ne!(room.read("token"), Some(first));
}

#[test]
fn a_request_that_violates_the_document_is_found_out() {
    let room = room!();
    let server = Server::prism(&room, "prism", &published(PORTONE), &[]);
    let wrong = "\nproviders:\n  wrong:\n    title: a field's name is misspelt\n    credentials: { apiSecret: {} }\n    \
                 life: 30m\n    issue:\n      request: { method: POST, path: /login/api-secret, json: \
                 { apiSecrets: '{{ credentials.apiSecret }}' } }\n      response: { token: /accessToken, expiry: \
                 [{ fixed: 30m }] }\n";
    configure(&room, &portone(&room, &server, "").replace("provider: portone", "provider: wrong"), wrong);
    let (exit, said) = once(&room, "2s");
    assert_ne!(exit, Some(0), "{said}");
    assert!(room.read("token").is_none());
    let verdict = Verdict::read(&room);
    assert!(verdict.of(LOGIN) >= 1);
    assert!(verdict.marks.iter().any(|line| line.contains("must have required property 'apiSecret'")));
}

/// prism's log, read.
struct Verdict {
    received: Vec<String>,
    allowed: usize,
    /// Warnings and errors.
    marks: Vec<String>,
}

impl Verdict {
    fn read(room: &Room) -> Self {
        let log = room.read("prism.log").expect("prism logs");
        let lines = |what: &'static str| log.lines().filter(move |line| line.contains(what));
        let ok = ["info  ", "success  ", "start  ", "awaiting  "];
        Self {
            received: lines("Request received").map(str::to_owned).collect(),
            allowed: lines("The request passed the validation rules").count(),
            marks: log
                .lines()
                .filter(|line| !ok.iter().any(|mark| line.contains(mark)))
                .map(str::to_owned)
                .collect(),
        }
    }

    /// How many requests of that kind came.
    fn of(&self, operation: &str) -> usize {
        self.received.iter().filter(|line| line.contains(operation)).count()
    }

    #[track_caller]
    fn passed(self) -> Self {
        assert!(self.marks.is_empty(), "{:#?}", self.marks);
        assert_eq!(self.allowed, self.received.len(), "each request is allowed by the document");
        self
    }
}

fn portone(room: &Room, server: &Server, renew: &str) -> String {
    format!(
        "  portone:\n    provider: portone\n    base_url: {}\n    {renew}\n    credentials: {{ apiSecret: a-secret }}\n    \
         sinks: [{{ file: {} }}]\n",
        server.url,
        room.path("token").display(),
    )
}

fn published(document: &str) -> PathBuf {
    PathBuf::from(format!("{}/tests/peers/openapi/{document}", env!("CARGO_MANIFEST_DIR")))
}

/// A copy with a change.
fn adjusted(room: &Room, document: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let text = std::fs::read_to_string(published(document)).unwrap();
    let mut parsed: Value = serde_json::from_str(&text).unwrap();
    change(&mut parsed);
    room.write(document, &parsed.to_string())
}

fn in_an_hour_ms() -> i64 {
    (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).as_millisecond()
}

fn seconds(rfc3339: &Value) -> i64 {
    rfc3339.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}
