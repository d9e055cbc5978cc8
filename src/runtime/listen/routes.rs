//! What is answered to whom.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Path, RawQuery, Request as Asked, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::observe::health::{Liveness, Readiness};
use crate::observe::metrics;
use crate::page::{self, Query, Rendered};
use crate::runtime::clock;
use crate::runtime::handle::{Handle, Heartbeat, Request};

/// The loop is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(2);
const PATHS: &str = "/, /livez, /readyz, /readyz/ACCOUNT, /metrics, /api/v1/status";

/// What answers are made from.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) handle: Handle,
    pub(super) heartbeat: Heartbeat,
    /// Whether only this machine can connect. Then a page in a browser of this machine could, too: the Host header
    /// shows by what name it thinks to have come (DNS rebinding).
    pub(super) loopback: bool,
}

pub(super) fn routes(site: Site) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/readyz/{account}", get(readyz_of))
        .route("/metrics", get(scrape))
        .route("/api/v1/status", get(status))
        .fallback(nowhere)
        .layer(from_fn_with_state(site.clone(), guard))
        .with_state(site)
}

/// Before and after every answer.
async fn guard(State(site): State<Site>, asked: Asked, next: Next) -> Response {
    let mut response = match refusal(&site, &asked) {
        Some(refusal) => refusal,
        None => next.run(asked).await,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // One request a connection: nobody keeps a place that he does not use.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn refusal(site: &Site, asked: &Asked) -> Option<Response> {
    if site.loopback && !names_this_machine(asked) {
        let message = "the Host header names another machine than this one";
        return Some(refuse(StatusCode::MISDIRECTED_REQUEST, message, "use localhost or 127.0.0.1"));
    }
    if ![Method::GET, Method::HEAD].contains(asked.method()) {
        let mut refusal = refuse(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here", PATHS);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refusal);
    }
    None
}

/// A browser always sends a Host; who sends none (an old health checker) is none.
fn names_this_machine(asked: &Asked) -> bool {
    let hosts = asked.headers().get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    hosts.chain(asked.uri().authority().map(|authority| authority.as_str())).all(is_local)
}

fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// From the heartbeat, not from the loop. Only where that is silent the loop is asked: after a suspend it may just not
/// have been woken yet.
async fn livez(State(site): State<Site>) -> Response {
    let silent = Liveness::of(site.heartbeat.last(), clock::now().boot);
    let woken = !silent.alive && ask(&site, |reply| Request::Peek(String::new(), reply)).await.is_ok();
    let liveness = if woken { Liveness::TURNS } else { silent };
    health(liveness.alive, &liveness)
}

async fn readyz(State(site): State<Site>) -> Response {
    ready(&site, None).await
}

async fn readyz_of(State(site): State<Site>, Path(account): Path<String>) -> Response {
    ready(&site, Some(account)).await
}

async fn ready(site: &Site, account: Option<String>) -> Response {
    match ask(site, |reply| Request::Ready(account.clone(), reply)).await {
        Ok(Some(readiness)) => health(readiness.ready, &readiness),
        Ok(None) => {
            let message =
                format!("no account `{}` is configured", account.unwrap_or_default().escape_debug());
            refuse(StatusCode::NOT_FOUND, &message, "`renewd status` lists them")
        }
        Err(reason) => health(false, &Readiness::not(reason)),
    }
}

async fn scrape(State(site): State<Site>) -> Response {
    let scrape = match ask(&site, Request::Scrape).await {
        Ok(scrape) => scrape,
        Err(reason) => return refuse(StatusCode::SERVICE_UNAVAILABLE, reason, "see /livez"),
    };
    match tokio::task::spawn_blocking(move || scrape.render()).await {
        Ok(Ok(text)) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        _ => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal fault, see the log", "report it"),
    }
}

async fn status(State(site): State<Site>) -> Response {
    match ask(&site, Request::Status).await {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(reason) => refuse(StatusCode::SERVICE_UNAVAILABLE, reason, "see /livez"),
    }
}

/// For people; whatever is wrong, too.
async fn page(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    let page = match ask(&site, Request::Page).await {
        Ok(page) => page,
        Err(reason) => return shown(StatusCode::SERVICE_UNAVAILABLE, page::silent(reason)),
    };
    let query = Query::parse(&query.unwrap_or_default());
    match tokio::task::spawn_blocking(move || page.render(&query)).await {
        Ok(Rendered { html, found: true }) => shown(StatusCode::OK, html),
        Ok(Rendered { html, found: false }) => shown(StatusCode::NOT_FOUND, html),
        Err(_) => shown(StatusCode::INTERNAL_SERVER_ERROR, page::silent("internal fault, see the log")),
    }
}

fn shown(status: StatusCode, html: String) -> Response {
    let mut response = (status, Html(html)).into_response();
    for (name, value) in page::headers() {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn nowhere() -> Response {
    refuse(StatusCode::NOT_FOUND, "no such path", PATHS)
}

/// The loop's answer, or why there is none.
async fn ask<T>(
    site: &Site,
    question: impl FnOnce(oneshot::Sender<T>) -> Request,
) -> Result<T, &'static str> {
    match timeout(PATIENCE, site.handle.ask(question)).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("the agent is stopping"),
        Err(_) => Err("the agent is starting or does not answer"),
    }
}

fn health(well: bool, body: &impl Serialize) -> Response {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

fn refuse(status: StatusCode, message: &str, hint: &str) -> Response {
    (status, Json(json!({ "error": { "message": message, "hint": hint } }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for local in
            ["localhost", "LOCALHOST:9478", "127.0.0.1", "127.0.0.1:1", "127.0.0.2", "[::1]", "[::1]:9478"]
        {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9478",
            "192.0.2.1",
            "[::2]:1",
            ":1",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
    }
}
