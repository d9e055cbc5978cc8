use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use crate::provider::Clients;
use crate::store::Store;

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
}

impl Shared {
    /// Four writers keep a disk as busy as sixty-four would.
    const WRITERS: usize = 4;

    pub(crate) fn new(store: Store, clients: Clients) -> Self {
        Self { store, clients, writers: Semaphore::new(Self::WRITERS), counter: AtomicU64::new(0) }
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
