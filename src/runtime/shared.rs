use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::domain::AccountId;
use crate::provider::Clients;
use crate::store::{Store, StoreError};

/// What effects work with. Nothing in here decides anything.
pub(crate) struct Shared {
    /// The only holder of tokens.
    pub(crate) store: Store,
    /// One HTTP client a transport.
    pub(crate) clients: Clients,
    /// How many files are written at once; a write that blocks gives its place away.
    pub(crate) writers: Semaphore,
    /// Counts what `unique` has given.
    counter: AtomicU64,
    /// Whether nobody is left to keep what a provider would answer.
    closed: AtomicBool,
    /// How many requests are out that spend a refresh token, or have their reply being kept.
    spending: AtomicUsize,
}

/// One of those; over when it is dropped.
pub(crate) struct Spending<'a>(&'a AtomicUsize);

impl Drop for Spending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    /// Four writers keep a disk as busy as sixty-four would.
    const WRITERS: usize = 4;

    pub(crate) fn new(store: Store, clients: Clients) -> Self {
        Self {
            store,
            clients,
            writers: Semaphore::new(Self::WRITERS),
            counter: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            spending: AtomicUsize::new(0),
        }
    }

    /// No request leaves from now on: the process is about to end, and would take its reply with it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// A request is about to spend a refresh token; whoever says so looks at [`is_closed`](Self::is_closed) afterwards.
    pub(crate) fn spend(&self) -> Spending<'_> {
        self.spending.fetch_add(1, Ordering::SeqCst);
        Spending(&self.spending)
    }

    /// How many do. After [`close`](Self::close) that grows no more, but for those that find it closed.
    pub(crate) fn spending(&self) -> usize {
        self.spending.load(Ordering::SeqCst)
    }

    /// Whether the account's newest record is not yet as durable as it must be before anyone may use it.
    pub(crate) fn hides(&self, account: &AccountId) -> bool {
        match (self.store.snapshot(account), self.store.latest(account)) {
            (Some(shown), Some(latest)) => !Arc::ptr_eq(&shown, &latest),
            (shown, latest) => shown.is_some() != latest.is_some(),
        }
    }

    /// Tries again to write what is not durable yet; the first failure in words.
    pub(crate) async fn flush(&self) -> Result<(), String> {
        let store = self.store.clone();
        let flushed = tokio::task::spawn_blocking(move || store.flush_dirty()).await;
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(errors)) => Err(errors.first().map(StoreError::worded).unwrap_or_default()),
            Err(_) => Err("internal fault while writing state".to_owned()),
        }
    }

    /// 32 hexadecimal digits that nobody has seen before and that tell nothing.
    pub(crate) fn unique(&self) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let now = super::clock::now();
        let (wall, boot) = (now.wall.as_millis().to_be_bytes(), now.boot.0.to_be_bytes());
        let process = std::process::id().to_be_bytes();
        self.store.fingerprint(&[b"unique", &wall, &boot, &process, &count]).to_string()
    }
}
