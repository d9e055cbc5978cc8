//! The control socket: HTTP over a Unix socket. Whoever can connect reads the status; tokens and renewals are for
//! root, the agent's own user and the socket's group.

mod deeds;
mod keeper;
mod visits;

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use axum::extract::{ConnectInfo, Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::fs::{Access, access};
use serde::Deserialize;
use serde_json::json;
use tokio::net::UnixListener;

use self::deeds::Concerns;
use self::keeper::Identity;
pub(crate) use self::keeper::{Keeper, LOOK};
use self::visits::{Limits, Visits};
use super::handle::{Handle, Peek, Request, TokenReply};
use super::http1::Http1;
use super::makeup::Makeup;
use crate::atomic::{self, Folder, Kind, Warning};
use crate::config::model::Socket;
use crate::domain::{ErrorInfo, WaitsFor};
use crate::sink::owner;

/// The longest that a caller of `renew` is kept waiting unless it says otherwise.
const RENEW_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest that a caller who waits for another token is kept waiting unless it says otherwise.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its user and group; `None` where the system did not say.
    pub(crate) ids: Option<(u32, u32)>,
    /// Its process.
    pub(crate) pid: Option<i32>,
}

/// Of the socket's folder, where it is made: whoever may use the socket must be able to reach it; the socket's own mode
/// decides who may.
const REACHABLE: u32 = 0o755;

/// Why there is no socket, or can be none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SocketError {
    message: String,
    /// What a person can do about it.
    pub hint: Option<&'static str>,
}

/// A socket that listens.
pub(crate) struct Bound {
    pub(crate) listener: UnixListener,
    /// What stands at its path.
    pub(crate) identity: Identity,
    /// Who it is for.
    pub(crate) group: u32,
    /// What works but should not stay so.
    pub(crate) warning: Option<Warning>,
}

/// Makes the socket with its mode and group; a stale one in its place is removed, anything else is not. Its folder is
/// one of those that files are delivered to: see [`Folder::open`]. Whoever owns it could put a socket of his own there,
/// and be asked in the agent's place.
///
/// # Errors
/// [`SocketError`].
pub(crate) fn bind(socket: &Socket) -> Result<Bound, SocketError> {
    let path = &socket.path;
    let failed = |what: &str, error: &dyn std::fmt::Display| refusal(path, what, error);
    let folder =
        Folder::open_or_create(parent(path), REACHABLE).map_err(|error| unsafe_place(path, &error))?;
    let name = path.file_name().unwrap_or_default();
    let said = |error: atomic::Error| SocketError { hint: error.hint(), message: error.to_string() };
    match folder.look(name).map_err(said)?.map(|there| there.kind) {
        Some(Kind::Other("socket")) => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(failed("listen on", &"another agent answers there"));
            }
            folder.remove_socket(name, None).map_err(said)?;
        }
        Some(_) => return Err(failed("listen on", &"it exists and is no socket")),
        None => {}
    }
    // By the folder that was opened: nobody can have the path lead elsewhere meanwhile.
    let (listener, found) = folder.listen(name, socket.mode, group(socket)?).map_err(said)?;
    let listener = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
    let listener = listener.map_err(|error| failed("listen on", &error))?;
    Ok(Bound { listener, identity: found.identity, group: found.gid, warning: folder.warning() })
}

/// Whether [`bind`] would find a place for the socket, making nothing. One that an agent listens on is as it should be.
/// Gives what works but should not stay so.
///
/// # Errors
/// As there, and each of them.
pub(crate) fn could_bind(socket: &Socket) -> Result<Option<Warning>, Vec<SocketError>> {
    let place = place(&socket.path);
    match (group(socket), place) {
        (Ok(_), Ok(warning)) => Ok(warning),
        (group, place) => Err([group.err(), place.err()].into_iter().flatten().collect()),
    }
}

fn place(path: &Path) -> Result<Option<Warning>, SocketError> {
    // Where it is missing it could be made, and belongs to us then.
    let folder = Folder::could_open_or_create(parent(path)).map_err(|error| unsafe_place(path, &error))?;
    let Some(folder) = folder else { return Ok(None) };
    let there = std::fs::symlink_metadata(path);
    match there.map(|there| there.file_type().is_socket()) {
        Ok(true) if std::os::unix::net::UnixStream::connect(path).is_ok() => {}
        Ok(false) => return Err(refusal(path, "listen on", &"it exists and is no socket")),
        _ => access(folder.path(), Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| {
            let error = std::io::Error::from(errno);
            let words = format!("this user cannot write to {}: {error}", folder.path().display());
            refusal(path, "listen on", &words)
        })?,
    }
    Ok(folder.warning())
}

/// The folder that the socket stands in; the configuration's paths are absolute.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn unsafe_place(path: &Path, error: &atomic::Error) -> SocketError {
    SocketError { hint: error.hint(), ..refusal(path, "listen on", error) }
}

/// The number of the group that the socket is for.
fn group(socket: &Socket) -> Result<Option<u32>, SocketError> {
    let Some(group) = &socket.group else { return Ok(None) };
    let unknown = || refusal(&socket.path, "give a group to", &format!("/etc/group has no `{group}`"));
    owner::group_id(group).map(Some).ok_or_else(unknown)
}

fn refusal(path: &Path, what: &str, error: &dyn std::fmt::Display) -> SocketError {
    SocketError { message: format!("cannot {what} {}: {error}", path.display()), hint: None }
}

/// Serves until the listener fails or the task is dropped.
async fn serve(listener: UnixListener, group: u32, handle: Handle) {
    let shared = Shared { handle, group };
    let routes = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/accounts/{name}/token", get(token))
        .route("/v1/accounts/{name}/renew", post(renew))
        .route("/v1/accounts/{name}/invalidate", post(invalidate))
        .route("/v1/reload", post(reload))
        .route("/v1/config", get(config))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "no such path", None) })
        .layer(axum::middleware::from_fn_with_state(shared.clone(), deeds::note))
        .layer(axum::middleware::map_response(visits::one_request))
        .with_state(shared);
    let service = routes.into_make_service_with_connect_info::<Peer>();
    if let Err(error) = axum::serve(Http1(Visits::new(listener, Limits::USUAL)), service).await {
        tracing::error!(event = "socket_failed", %error, "the control socket has failed");
    }
}

#[derive(Clone)]
struct Shared {
    handle: Handle,
    group: u32,
}

impl Shared {
    /// The answer for those who may not.
    fn refuses(&self, peer: Peer) -> Option<Response> {
        let own = rustix::process::geteuid().as_raw();
        let permitted = peer.ids.is_some_and(|(uid, gid)| {
            uid == 0 || uid == own || gid == self.group || owner::is_member(uid, self.group)
        });
        if permitted {
            return None;
        }
        let hint = "run as root, as the agent's user, or as a member of the socket's group";
        Some(refuse(StatusCode::FORBIDDEN, "tokens and renewals are not for this user", Some(hint)))
    }
}

async fn status(State(shared): State<Shared>) -> Response {
    match shared.handle.ask(Request::Status).await {
        Some(status) => ([(axum::http::header::CONTENT_TYPE, "application/json")], status).into_response(),
        None => stopping(),
    }
}

/// With `after`, a generation, the answer waits for another one: 304 where there is none in time.
#[derive(Deserialize)]
struct TokenQuery {
    after: Option<u64>,
    timeout: Option<u64>,
}

async fn token(
    State(mut shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(name): Segment<String>,
    Query(query): Query<TokenQuery>,
) -> Response {
    if let Some(refusal) = shared.refuses(peer) {
        return refusal;
    }
    if let Some(after) = query.after {
        let limit = query.timeout.map_or(TOKEN_TIMEOUT, Duration::from_secs).min(Duration::from_secs(3600));
        let other = shared.handle.until(&name, |now| now.generation.0 != after);
        if tokio::time::timeout(limit, other).await.is_err() {
            return StatusCode::NOT_MODIFIED.into_response();
        }
    }
    match shared.handle.ask(|reply| Request::Token(name.clone(), reply)).await {
        Some(TokenReply::Document(document)) => {
            let generation = document["generation"].as_u64().unwrap_or_default();
            Concerns(generation).on(Json(document).into_response())
        }
        Some(TokenReply::None(why)) => refuse(StatusCode::CONFLICT, &why, Some("see `renewd status`")),
        Some(TokenReply::Unknown) => unknown(&name),
        None => stopping(),
    }
}

#[derive(Deserialize)]
struct RenewQuery {
    timeout: Option<u64>,
}

async fn renew(
    State(mut shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(name): Segment<String>,
    Query(query): Query<RenewQuery>,
) -> Response {
    if let Some(refusal) = shared.refuses(peer) {
        return refusal;
    }
    let limit = query.timeout.map_or(RENEW_TIMEOUT, Duration::from_secs).min(Duration::from_secs(3600));
    let Some(asked) = shared.handle.ask(|reply| Request::Renew(name.clone(), reply)).await else {
        return stopping();
    };
    let Some(before) = asked else { return unknown(&name) };
    if let (Some(until), false) = (before.held_until, before.asking) {
        let why = before.waiting.as_ref().map(|waiting| waiting.what);
        let reason = match why {
            Some(WaitsFor::MinInterval) => "its min_interval",
            Some(WaitsFor::Vendor) => "a wait that the vendor asked for",
            _ => "min_interval or a wait that the vendor asked for",
        };
        let body =
            json!({ "account": name, "not_before": until, "reason": reason, "waiting": before.waiting });
        return (StatusCode::ACCEPTED, Json(body)).into_response();
    }
    let before_generation = before.generation;
    match tokio::time::timeout(limit, ended(&mut shared.handle, &name, before)).await {
        Ok(Some(Ok(now))) => renewed(&name, &now),
        Ok(Some(Err(error))) => {
            (StatusCode::BAD_GATEWAY, Json(json!({ "account": name, "error": error }))).into_response()
        }
        Ok(None) => unknown(&name),
        Err(_) => {
            let now = shared.handle.ask(|reply| Request::Peek(name.clone(), reply)).await.flatten();
            if let Some(now) = now.as_ref().filter(|now| now.generation > before_generation) {
                return renewed(&name, now);
            }
            let message = match now.and_then(|now| now.waiting) {
                Some(waiting) => format!("the renewal has not ended yet: {}", waiting.reason()),
                None => "the renewal has not ended yet".to_owned(),
            };
            refuse(StatusCode::GATEWAY_TIMEOUT, &message, Some("see `renewd status`"))
        }
    }
}

/// There is a new token. Where a sink does not hold it, that is said beside; `error` is the first one's.
fn renewed(name: &str, now: &Peek) -> Response {
    let mut body = json!({ "account": name, "generation": now.generation, "expires_at": now.expires_at });
    if let Some(error) = &now.unverified {
        body["unverified"] = json!(error);
    }
    if now.undelivered.is_empty() {
        return Concerns(now.generation.0).on(Json(body).into_response());
    }
    body["undelivered"] = json!(now.undelivered);
    body["error"] = json!(now.undelivered.iter().find_map(|sink| sink.error.as_ref()));
    Concerns(now.generation.0).on((StatusCode::BAD_GATEWAY, Json(body)).into_response())
}

/// Waits for the end of a renewal that was asked for when the account stood as `before`, and for its delivery. A request
/// that was out already answers for itself only where it went well: where it failed, the one that was asked for follows.
async fn ended(handle: &mut Handle, name: &str, mut before: Peek) -> Option<Result<Peek, ErrorInfo>> {
    loop {
        let now = handle.until(name, |now| now.finished > before.finished).await?;
        match now.error.clone().filter(|_| now.generation == before.generation) {
            Some(_) if before.asking_then => {
                before = handle.ask(|reply| Request::Renew(name.to_owned(), reply)).await??;
                before.asking_then = false;
            }
            Some(error) => return Some(Err(error)),
            None => break,
        }
    }
    handle.until(name, |now| !now.delivering).await.map(Ok)
}

#[derive(Deserialize)]
struct Invalidation {
    generation: u64,
}

async fn invalidate(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Segment(name): Segment<String>,
    body: axum::body::Bytes,
) -> Response {
    if let Some(refusal) = shared.refuses(peer) {
        return refusal;
    }
    let Ok(Invalidation { generation }) = serde_json::from_slice(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "the body must be {\"generation\": NUMBER}", None);
    };
    match shared.handle.ask(|reply| Request::Invalidate(name.clone(), generation, reply)).await {
        Some(true) => Concerns(generation).on(Json(json!({ "account": name })).into_response()),
        Some(false) => unknown(&name),
        None => stopping(),
    }
}

async fn reload(State(shared): State<Shared>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    if let Some(refusal) = shared.refuses(peer) {
        return refusal;
    }
    match shared.handle.ask(Request::Reload).await {
        Some(Ok(generation)) => {
            Concerns(generation).on(Json(json!({ "generation": generation })).into_response())
        }
        Some(Err(error)) => {
            refuse(StatusCode::UNPROCESSABLE_ENTITY, &error, Some("the old configuration runs on"))
        }
        None => stopping(),
    }
}

/// What the running configuration is made of: for `renewd plan`.
async fn config(State(shared): State<Shared>, ConnectInfo(peer): ConnectInfo<Peer>) -> Response {
    if let Some(refusal) = shared.refuses(peer) {
        return refusal;
    }
    let Some(Some((config, seed))) = shared.handle.ask(Request::Config).await else { return stopping() };
    // Of many accounts that takes a while: not on a thread that serves others.
    match tokio::task::spawn_blocking(move || Makeup::of(&config, seed)).await {
        Ok(makeup) => Json(makeup).into_response(),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal fault", None),
    }
}

fn unknown(name: &str) -> Response {
    let message = format!("no account `{}` is configured", name.escape_debug());
    refuse(StatusCode::NOT_FOUND, &message, Some("`renewd status` lists them"))
}

fn stopping() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping", None)
}

fn refuse(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let mut error = json!({ "message": message });
    if let Some(hint) = hint {
        error["hint"] = hint.into();
    }
    (status, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests;
