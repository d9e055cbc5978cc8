//! Changes on their way to the disk. They have few places: a disk that hangs keeps the threads of those few, and no more
//! of what the whole agent lives on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::StoreError;
use crate::domain::AccountId;

/// So many records are written at once.
const PLACES: usize = 32;
/// So long is waited for a write on which nothing depends.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Writers(Arc<Semaphore>);

impl Default for Writers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }
}

impl Writers {
    /// Begins a write: at once where there is a place, else in its turn.
    pub(super) fn begin(
        &self,
        account: AccountId,
        write: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Saving {
        let places = Arc::clone(&self.0);
        let task = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => spawn_blocking(move || {
                let _place = place;
                write()
            }),
            Err(_) => {
                let interrupted = StoreError::Interrupted(account.clone());
                tokio::spawn(async move {
                    let place = places.acquire_owned().await; // never closed
                    let writing = spawn_blocking(move || {
                        let _place = place;
                        write()
                    });
                    writing.await.unwrap_or(Err(interrupted))
                })
            }
        };
        Saving::Running(account, task)
    }
}

/// A change on its way to the disk. Dropping it does not stop it.
#[derive(Debug)]
#[must_use = "only its result says whether the change is as durable as was asked"]
pub enum Saving {
    /// Being written.
    Running(AccountId, JoinHandle<Result<(), StoreError>>),
    /// Taken along by a write that began before.
    Joined(AccountId, oneshot::Receiver<Result<(), StoreError>>),
    /// Refused before any write; `None` once that was said.
    Done(Option<Result<(), StoreError>>),
}

impl Saving {
    /// Waits half a second at most: for what can be had again, and need not wait for a disk that hangs. The write goes on.
    ///
    /// # Errors
    /// What the write says, where it has ended by then.
    pub async fn briefly(self) -> Result<(), StoreError> {
        tokio::time::timeout(PATIENCE, self).await.unwrap_or(Ok(()))
    }
}

impl Future for Saving {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let (account, ended) = match &mut *self {
            Self::Running(account, task) => (account, Pin::new(task).poll(context).map(Result::ok)),
            Self::Joined(account, written) => (account, Pin::new(written).poll(context).map(Result::ok)),
            Self::Done(result) => return result.take().map_or(Poll::Pending, Poll::Ready),
        };
        ended.map(|result| result.unwrap_or_else(|| Err(StoreError::Interrupted(account.clone()))))
    }
}
