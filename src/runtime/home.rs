//! Keeps the state directory where it was: who cleans up below `/var/lib`, or moves it, takes away what a restart needs,
//! and the lock with it.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::doors::Door;
use crate::store::{Lost, Seen, Store};

/// It is looked after this often.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// A look that hangs in the file system does not hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks after the state directory until its end.
pub(crate) struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    pub(crate) fn start(store: Store, door: Door) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(keep(store, door, stopped)) }
    }

    pub(crate) async fn end(self) {
        drop(self.stop);
        let _ = timeout(PATIENCE, self.task).await;
    }
}

async fn keep(store: Store, door: Door, mut stopped: oneshot::Receiver<()>) {
    let path = store.path().display().to_string();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            () = sleep(door.retry) => {}
        }
        let looked_at = store.clone();
        match spawn_blocking(move || looked_at.look()).await {
            Ok(Seen::InPlace) => {
                if door.well() {
                    tracing::info!(
                        event = "state_dir_back",
                        path,
                        "the state directory is back, and state is saved again"
                    );
                }
            }
            Ok(Seen::Anew { what, accounts, failed }) => {
                let _ = door.well();
                tracing::warn!(
                    event = "state_dir_back",
                    path,
                    accounts,
                    "{what}: the agent has made it anew, holds its lock, and has saved there what it had in memory"
                );
                for error in failed {
                    let error = error.worded();
                    tracing::error!(
                        event = "state_not_saved",
                        error,
                        "state cannot be written, trying again"
                    );
                }
            }
            Ok(Seen::Lost(lost)) => complain(&door, &path, &lost),
            Err(_) => {
                tracing::error!(
                    event = "state_dir_lost",
                    "internal fault while looking at the state directory"
                )
            }
        }
    }
}

/// Aloud once for each reason.
fn complain(door: &Door, path: &str, lost: &Lost) {
    let hint = lost.cause.hint().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    let error = format!("{}{hint}", lost.cause);
    let said = format!("{lost}; nothing is saved, and no single-use refresh token is spent{hint}");
    if door.fails(&path, &said, None) {
        tracing::error!(
            event = "state_dir_lost",
            path,
            error,
            "{}, and the agent cannot make it anew: nothing is saved, single-use refresh tokens are not spent, and a \
             restart would ask for every token anew; trying again every {} s",
            lost.what,
            door.retry.as_secs()
        );
    } else {
        tracing::debug!(event = "state_dir_lost", error, "still not to be had");
    }
}
