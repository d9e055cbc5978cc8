//! How servers talk to the loop: a question with a place for the answer, and a word when something has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::audit::Audit;
use crate::config::model::Config;
use crate::domain::{AccountId, BootInstant, ErrorInfo, Generation, Timestamp, Waiting};
use crate::observe::health::Readiness;
use crate::observe::metrics::Scrape;
use crate::page::Page;

/// What a server asks the loop.
pub(crate) enum Request {
    /// The status document as JSON text.
    Status(oneshot::Sender<String>),
    /// An account's token document.
    Token(String, oneshot::Sender<TokenReply>),
    /// Renew now; answers where the account stood before. `None`: unknown.
    Renew(String, oneshot::Sender<Option<Peek>>),
    /// A reader saw a 401 with that generation's token; answers whether the account is known.
    Invalidate(String, u64, oneshot::Sender<bool>),
    /// Read the configuration again; answers its generation, or why it does not run.
    Reload(oneshot::Sender<Result<u64, String>>),
    /// Where an account stands. `None`: unknown.
    Peek(String, oneshot::Sender<Option<Peek>>),
    /// Whether an account, or every one, is ready. `None`: unknown.
    Ready(Option<String>, oneshot::Sender<Option<Readiness>>),
    /// The configuration that runs, and the installation's seed.
    Config(oneshot::Sender<Option<(Arc<Config>, u64)>>),
    /// What the metrics are made from.
    Scrape(oneshot::Sender<Scrape>),
    /// What the page for people is made from.
    Page(oneshot::Sender<Page>),
}

/// When the loop has last turned, for those who must know although it does not answer.
#[derive(Clone)]
pub(crate) struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    /// The loop is about to begin.
    pub(crate) fn new(now: BootInstant) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// The loop has turned.
    pub(crate) fn beat(&self, now: BootInstant) {
        self.0.store(now.0, Ordering::Relaxed);
    }

    /// The last of these.
    pub(crate) fn last(&self) -> BootInstant {
        BootInstant(self.0.load(Ordering::Relaxed))
    }
}

/// Where an account stands, as far as one who waits for it must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peek {
    pub(crate) name: AccountId,
    pub(crate) generation: Generation,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) finished: u64,
    pub(crate) asking: bool,
    /// In the answer to [`Request::Renew`]: whether a request was out before it.
    pub(crate) asking_then: bool,
    pub(crate) held_until: Option<Timestamp>,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) error: Option<ErrorInfo>,
    /// Why the current token is not known to work.
    pub(crate) unverified: Option<ErrorInfo>,
    /// A sink does not hold the current token yet, and neither has failed nor takes long.
    pub(crate) delivering: bool,
    /// The sinks and templates that do not hold it, and why not.
    pub(crate) undelivered: Vec<Undelivered>,
}

/// What does not hold the current token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Undelivered {
    pub(crate) sink: String,
    /// `None` where it is still being written.
    pub(crate) error: Option<ErrorInfo>,
    /// Since when it is being written, where that takes long.
    pub(crate) writing_since: Option<Timestamp>,
}

impl Undelivered {
    /// Whether it should be written soon.
    pub(crate) fn is_under_way(&self) -> bool {
        self.error.is_none() && self.writing_since.is_none()
    }
}

/// An answer to [`Request::Token`].
pub(crate) enum TokenReply {
    /// Here it is.
    Document(serde_json::Value),
    /// There is none that lives.
    None(String),
    /// No such account.
    Unknown,
}

/// A server's end.
#[derive(Clone)]
pub(crate) struct Handle {
    requests: mpsc::Sender<Request>,
    revision: watch::Receiver<u64>,
    /// Where it is noted who asked for what.
    pub(crate) audit: Audit,
}

impl Handle {
    /// The loop's end comes along.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>, watch::Sender<u64>) {
        let (requests, receiver) = mpsc::channel(64);
        let (revisions, revision) = watch::channel(0);
        (Self { requests, revision, audit: Audit::default() }, receiver, revisions)
    }

    /// The loop's answer; `None` where it has ended.
    pub(crate) async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(question(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Waits until the account is as wished; `None` where it is unknown or the loop has ended.
    pub(crate) async fn until(&mut self, name: &str, wished: impl Fn(&Peek) -> bool) -> Option<Peek> {
        loop {
            self.revision.mark_unchanged();
            let peek = self.ask(|reply| Request::Peek(name.to_owned(), reply)).await??;
            if wished(&peek) {
                return Some(peek);
            }
            self.revision.changed().await.ok()?;
        }
    }
}
