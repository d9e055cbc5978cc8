//! Notes in the audit log what was asked for over the socket, by whom, and what came of it.

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::{Peer, Shared};
use crate::domain::AccountId;
use crate::observe::audit::{self, Deed, Entry, Outcome};
use crate::runtime::audit::Audit;

/// Put into an answer: the generation that it is about.
#[derive(Clone, Copy)]
pub(super) struct Concerns(pub(super) u64);

impl Concerns {
    /// On that answer.
    pub(super) fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Around every request. Who leaves before the answer is noted too: what he forced happens all the same.
pub(super) async fn note(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let audit = &shared.handle.audit;
    let Some((entry, account)) = audit.is_on().then(|| kind(&request)).flatten() else {
        return next.run(request).await;
    };
    let peer = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
    let mut noting = Noting { audit, entry, deed: Some(deed(account, peer)) };
    let response = next.run(request).await;
    noting.answered(&response);
    response
}

/// Makes the entry of a deed.
type Kind = fn(Deed) -> Entry;

fn kind(request: &Request) -> Option<(Kind, Option<AccountId>)> {
    let parts: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let (kind, name): (Kind, Option<&str>) = match (request.method(), parts.as_slice()) {
        (&Method::GET, ["v1", "accounts", name, "token"]) => (Entry::TokenRead, Some(*name)),
        (&Method::POST, ["v1", "accounts", name, "renew"]) => (Entry::Renew, Some(*name)),
        (&Method::POST, ["v1", "accounts", name, "invalidate"]) => (Entry::Invalidate, Some(*name)),
        (&Method::POST, ["v1", "reload"]) => (Entry::Reload, None),
        (&Method::GET, ["v1", "config"]) => (Entry::ConfigRead, None),
        _ => return None,
    };
    // What is no name of an account is not repeated: it may be anything.
    Some((kind, name.and_then(|name| AccountId::new(name).ok())))
}

fn deed(account: Option<AccountId>, peer: Option<Peer>) -> Deed {
    let (ids, pid) = peer.map_or((None, None), |peer| (peer.ids, peer.pid));
    let peer = audit::Peer {
        uid: ids.map(|(uid, _)| uid),
        gid: ids.map(|(_, gid)| gid),
        pid,
        process: pid.and_then(process),
    };
    Deed { outcome: Outcome::Allowed, answer: None, account, generation: None, peer }
}

/// What a process calls itself: 15 bytes at most, and whatever it likes.
fn process(pid: i32) -> Option<String> {
    let name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(&name).trim_end_matches('\n').to_owned())
}

/// An entry that is made however the request ends.
struct Noting<'a> {
    audit: &'a Audit,
    entry: Kind,
    deed: Option<Deed>,
}

impl Noting<'_> {
    fn answered(&mut self, response: &Response) {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.deed = None; // whoever waits for another token has not got one
        }
        if let Some(deed) = &mut self.deed {
            deed.answer = Some(response.status().as_u16());
            deed.generation = response.extensions().get::<Concerns>().map(|concerns| concerns.0);
            if response.status() == StatusCode::FORBIDDEN {
                deed.outcome = Outcome::Denied;
            }
        }
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        if let Some(deed) = self.deed.take() {
            self.audit.record(&(self.entry)(deed));
        }
    }
}
