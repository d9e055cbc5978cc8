//! A request's way through the simulator: what is asked, which fault hits it, what the vendor says, what goes out.

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures_util::stream;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    FaultError, Simulator, Target, body,
    clock::{self, http_date, later, millis_between},
    fault::{BodyFault, Fault, Redirect, Wait},
    ledger::Standing,
    provider::{Operation, Provider},
    spoil,
    stats::{Outcome, Seen},
    vendor::{self, Call, Key},
    wire::{Busy, Peer},
    world::skew_of,
};

/// No token request is longer.
const LONGEST_REQUEST: usize = 1024 * 1024;

pub(super) async fn handle(State(simulator): State<Simulator>, request: Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|info| info.0.clone()).unwrap_or_default();
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST_REQUEST).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long");
    };
    let path = parts.uri.path().trim_start_matches('/');
    let (prefix, rest) = path.split_once('/').unwrap_or((path, ""));
    if prefix == "_simulator" {
        return control(&simulator, &parts.method, rest, &body);
    }
    let Ok(provider) = prefix.parse::<Provider>() else {
        return text(StatusCode::NOT_FOUND, "no such provider");
    };
    if rest == "whoami" {
        return whoami(&simulator, provider, &parts.headers);
    }
    let Some(operation) = provider.operation(rest) else {
        return text(StatusCode::NOT_FOUND, "no such operation");
    };
    if parts.method != Method::POST {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "POST only");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let visit = Visit::begin(simulator, provider, operation, &parts, &body, &peer);
    answer(visit, &parts, peer).await
}

/// A token request from its arrival until its reply is out or its client has left.
struct Visit {
    simulator: Simulator,
    call: Call,
    account: String,
    key: Option<Key>,
    status: Option<u16>,
    granted: bool,
    /// The connection is not idle as long.
    _busy: Busy,
}

impl Visit {
    fn begin(
        simulator: Simulator,
        provider: Provider,
        operation: Operation,
        parts: &Parts,
        body: &Bytes,
        peer: &Peer,
    ) -> Self {
        let mut call = Call {
            provider,
            operation,
            headers: parts.headers.clone(),
            body: body.to_vec(),
            address: peer.address,
            now: clock::now(),
            skew: skew_of(None),
            fault: None,
            turn: 0,
        };
        let (account, idle) = {
            let mut world = simulator.world();
            let account = vendor::account_of(&world, &call);
            call.fault = world.take_fault(provider, operation, &account, call.now);
            call.skew = skew_of(call.fault.as_ref());
            world.counter.arrived(provider, operation, &account, call.fault.is_some(), call.now);
            (account, world.options.limits.bizppurio_idle)
        };
        let idle = idle.filter(|_| provider == Provider::Bizppurio);
        let busy = peer.busy(idle);
        Self { simulator, call, account, key: None, status: None, granted: false, _busy: busy }
    }

    /// Lets the vendor act; the reply's status, headers and spoilt body.
    fn process(&mut self) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut world = self.simulator.world();
        self.call.turn = world.next_turn();
        let mut processed = vendor::process(&mut world, &self.call);
        let (provider, operation) = (self.call.provider, self.call.operation);
        world.counter.decided(provider, operation, &self.account, processed.outcome);
        self.granted = processed.outcome == Outcome::Granted;
        self.key = processed.key;
        let body = spoil::body(&mut world, &self.call, &mut processed.answer);
        drop(world);
        let status = match self.call.fault {
            Some(Fault::ErrorInOk) => StatusCode::OK,
            _ => StatusCode::from_u16(processed.answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        for (name, value) in processed.answer.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
            {
                headers.insert(name, value);
            }
        }
        (status, headers, body.into_bytes())
    }

    /// The reply goes out with this status.
    fn sends(&mut self, response: Response) -> Response {
        self.status = Some(response.status().as_u16());
        response
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut world = self.simulator.world();
        if let Some(key) = &self.key {
            world.keys.finish(key);
        }
        world.counter.left(Seen {
            at: self.call.now,
            provider: self.call.provider,
            operation: self.call.operation,
            account: std::mem::take(&mut self.account),
            status: self.status,
            granted: self.granted,
            fault: self.call.fault.as_ref().map(ToString::to_string),
        });
    }
}

async fn answer(mut visit: Visit, parts: &Parts, peer: Peer) -> Response {
    let now = visit.call.vendor_now();
    let fault = visit.call.fault.clone();
    if let Some(response) = before_the_vendor(fault.as_ref(), parts, &peer, now).await {
        return match fault {
            Some(Fault::Hang { .. } | Fault::Reset { .. }) => response,
            _ => visit.sends(dated(response, now)),
        };
    }
    let (status, headers, body) = visit.process();
    let body = match fault {
        Some(Fault::Hang { .. }) => return hang(&peer).await,
        Some(Fault::Reset { .. }) => return reset(&peer),
        Some(Fault::Body(BodyFault::EndlessHeaders)) => {
            peer.endless_headers();
            Body::from(body)
        }
        Some(Fault::Delay(by)) => {
            tokio::select! {
                () = peer.closing.cancelled() => {}
                () = tokio::time::sleep(by) => {}
            }
            Body::from(body)
        }
        Some(Fault::Body(
            spoilt @ (BodyFault::Huge | BodyFault::Endless | BodyFault::GzipBomb | BodyFault::Slow(_)),
        )) => {
            return streamed(visit, status, headers, body, &spoilt, peer);
        }
        _ => Body::from(body),
    };
    visit.sends(dated(assembled(status, headers, body), now))
}

/// Faults that keep the request from the vendor; `None` lets it through.
async fn before_the_vendor(
    fault: Option<&Fault>,
    parts: &Parts,
    peer: &Peer,
    now: Timestamp,
) -> Option<Response> {
    Some(match fault? {
        Fault::Status { code, wait } => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = if *code == 502 { html(status) } else { text(status, "simulated fault") };
            if let Some(value) = wait.as_ref().and_then(|wait| retry_after(wait, now)) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
            response
        }
        Fault::Html => html(StatusCode::OK),
        Fault::Redirect(to) => {
            let mut response = text(StatusCode::TEMPORARY_REDIRECT, "elsewhere");
            if let Ok(value) = HeaderValue::from_str(&location(to, parts)) {
                response.headers_mut().insert(header::LOCATION, value);
            }
            response
        }
        Fault::Hang { after: false } => hang(peer).await,
        Fault::Reset { after: false } => reset(peer),
        _ => return None,
    })
}

fn streamed(
    mut visit: Visit,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Vec<u8>,
    fault: &BodyFault,
    peer: Peer,
) -> Response {
    let now = visit.call.vendor_now();
    visit.status = Some(status.as_u16());
    let body = match fault {
        BodyFault::GzipBomb => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            body::gzip_bomb(peer, visit)
        }
        BodyFault::Slow(each) => body::slow(peer, visit, body, *each),
        other => body::huge(peer, visit, *other == BodyFault::Endless),
    };
    dated(assembled(status, headers, body), now)
}

async fn hang(peer: &Peer) -> Response {
    peer.closing.cancelled().await;
    reset(peer)
}

/// On the simulator's own listener a RST; behind another one a body that breaks off.
fn reset(peer: &Peer) -> Response {
    peer.reset();
    let broken =
        stream::once(async { Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset)) });
    Response::new(Body::from_stream(broken))
}

fn retry_after(wait: &Wait, now: Timestamp) -> Option<HeaderValue> {
    let value = match wait {
        Wait::Seconds(wait) => wait.as_millis().div_ceil(1_000).to_string(),
        Wait::Date => http_date(later(now, std::time::Duration::from_secs(5)))?,
        Wait::Junk => "soon".to_owned(),
        Wait::Huge => "1000000000".to_owned(),
    };
    HeaderValue::from_str(&value).ok()
}

fn location(to: &Redirect, parts: &Parts) -> String {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    match to {
        Redirect::OtherHost => "https://redirected.invalid/token".to_owned(),
        Redirect::PlainHttp => format!("http://{host}{}", parts.uri.path()),
        Redirect::To(url) => url.clone(),
    }
}

/// A reader's request: is this token good?
fn whoami(simulator: &Simulator, provider: Provider, headers: &HeaderMap) -> Response {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    let now = clock::now();
    let standing = {
        let mut world = simulator.world();
        let standing = world.ledger.standing(provider, token, now);
        world.counter.probed(provider, matches!(standing, Standing::Valid { .. }));
        standing
    };
    let refused = |why| {
        let mut response =
            json_reply(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_token", "reason": why}));
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    };
    let response = match standing {
        Standing::Valid { account, expires_at } => json_reply(
            StatusCode::OK,
            &json!({
                "provider": provider.name(),
                "account": account,
                "expires_at": expires_at.to_string(),
                "left_ms": millis_between(now, expires_at),
            }),
        ),
        Standing::Expired => refused("expired"),
        Standing::Revoked => refused("revoked"),
        Standing::Unknown => refused("unknown"),
    };
    dated(response, now)
}

/// `GET stats`; `POST fault {"provider": TARGET, "fault": FAULT | null}` and `POST clear`.
fn control(simulator: &Simulator, method: &Method, path: &str, body: &[u8]) -> Response {
    match (method.as_str(), path) {
        ("GET", "stats") => match serde_json::to_value(simulator.stats()) {
            Ok(stats) => json_reply(StatusCode::OK, &stats),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        ("POST", "fault") => match set_fault(simulator, body) {
            Ok(()) => json_reply(StatusCode::OK, &json!({"ok": true})),
            Err(error) => json_reply(StatusCode::BAD_REQUEST, &json!({"error": error})),
        },
        ("POST", "clear") => {
            simulator.clear();
            json_reply(StatusCode::OK, &json!({"ok": true}))
        }
        _ => text(StatusCode::NOT_FOUND, "GET stats, POST fault, POST clear"),
    }
}

fn set_fault(simulator: &Simulator, body: &[u8]) -> Result<(), String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let target = body.get("provider").and_then(Value::as_str).ok_or("`provider` is missing")?;
    match body.get("fault") {
        Some(Value::Null) => {
            let target: Target = target.parse().map_err(|error: FaultError| error.to_string())?;
            simulator.set_fault(target, None);
        }
        // The flag's own form, so that windows and counts work here too.
        Some(Value::String(fault)) => {
            let rule = format!("{target}={fault}").parse().map_err(|error: FaultError| error.to_string())?;
            simulator.set_rule(rule);
        }
        _ => return Err("`fault` is a text or null".to_owned()),
    }
    Ok(())
}

fn assembled(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The vendor's own `Date`; the server below would write the machine's.
fn dated(mut response: Response, now: Timestamp) -> Response {
    if let Some(date) = http_date(now).and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn json_reply(status: StatusCode, body: &Value) -> Response {
    typed(status, "application/json; charset=utf-8", body.to_string())
}

fn html(status: StatusCode) -> Response {
    let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    typed(status, "text/html; charset=utf-8", page)
}

fn text(status: StatusCode, body: &str) -> Response {
    typed(status, "text/plain; charset=utf-8", body.to_owned())
}

fn typed(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    assembled(status, headers, Body::from(body))
}
