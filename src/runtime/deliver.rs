//! The effects that bring tokens to their targets. File system calls run on the blocking pool; one that hangs keeps
//! its thread, and after two seconds nobody else waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;
use crate::config::model::{FileSink, Sink};
use crate::core::{Event, TargetId};
use crate::domain::{AccountId, TokenDocument};
use crate::sink::{content, file};

/// A write that takes longer gives its place to the next.
const PATIENCE: Duration = Duration::from_secs(2);

/// Brings the target to the account's current token.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    sink: Arc<Sink>,
    account: AccountId,
    target: TargetId,
    revision: u64,
) -> (Event, Vec<String>) {
    let Sink::File(file) = sink.as_ref().clone() else {
        return (undelivered(target, revision, "this kind of sink cannot be written yet"), Vec::new());
    };
    let Some(record) = shared.store.snapshot(&account) else {
        return (undelivered(target, revision, "no token is stored"), Vec::new());
    };
    let work = move || {
        let Some(token) = &record.current else { return Err("no token is stored".to_owned()) };
        let document = TokenDocument { account: &record.account, provider: &record.provider, token };
        let bytes = content::render(&file, &document).map_err(|error| error.to_string())?;
        let put = file::put(&file, &bytes).map_err(|error| worded(&error))?;
        Ok((token.meta.generation, put))
    };
    match patiently(&shared, work).await {
        Ok((generation, put)) => {
            let written = put.outcome == file::Outcome::Written;
            let warnings = put.warnings.iter().map(ToString::to_string).collect();
            (Event::Delivered { target, revision, held: Some(vec![generation]), written, print: 0 }, warnings)
        }
        Err(message) => (undelivered(target, revision, &message), Vec::new()),
    }
}

/// Takes an expired token away.
pub(crate) async fn withdraw(shared: Arc<Shared>, sink: Arc<Sink>, target: TargetId, revision: u64) -> Event {
    match remove(&shared, &sink).await {
        Ok(written) => Event::Delivered { target, revision, held: None, written, print: 0 },
        Err(message) => undelivered(target, revision, &message),
    }
}

/// Deletes what a target that has left the configuration was given. Nobody retries: it says what stays behind.
pub(crate) async fn delete(shared: Arc<Shared>, sink: Arc<Sink>) -> Result<bool, String> {
    remove(&shared, &sink).await
}

async fn remove(shared: &Shared, sink: &Sink) -> Result<bool, String> {
    let Sink::File(sink) = sink else { return Ok(false) };
    let sink: FileSink = sink.clone();
    patiently(shared, move || file::remove(&sink).map_err(|error| worded(&error))).await
}

/// Runs blocking work with one of the few places, which it loses when it takes too long.
async fn patiently<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let place = shared.writers.acquire().await;
    let mut running = tokio::task::spawn_blocking(work);
    let done = match tokio::time::timeout(PATIENCE, &mut running).await {
        Ok(done) => done,
        Err(_) => {
            drop(place);
            running.await
        }
    };
    done.unwrap_or_else(|_| Err("internal fault while writing".to_owned()))
}

fn undelivered(target: TargetId, revision: u64, message: &str) -> Event {
    Event::Undelivered { target, revision, message: message.to_owned(), server_away: false }
}

fn worded(error: &file::SinkError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    }
}
