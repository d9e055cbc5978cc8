//! Keeps the control socket where it was made: who cleans `/run` takes it away, and nobody could ask the agent any more.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::{Bound, SocketError, bind, parent, serve};
use crate::atomic::{Folder, Warning};
use crate::config::model::Socket;
use crate::runtime::doors::Door;
use crate::runtime::handle::Handle;

/// It is looked after this often.
pub(crate) const LOOK: Duration = Duration::from_secs(5);
/// A look that hangs in the file system does not hold up the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Device and inode. While a socket listens it holds its inode, so that nothing else gets the number.
pub(super) type Identity = (u64, u64);

/// Serves, and looks after the socket, until its end.
pub(crate) struct Keeper {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Makes the socket and serves it.
    ///
    /// # Errors
    /// [`SocketError`]: it cannot be made. Later that is said and tried again.
    pub(crate) fn start(socket: Socket, handle: Handle, door: Door) -> Result<Self, SocketError> {
        let bound = bind(&socket)?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(keep(socket, bound, handle, door, stopped));
        Ok(Self { stop, task })
    }

    /// Serves no more, and removes the socket if it is still ours.
    pub(crate) async fn end(self) {
        drop(self.stop);
        let _ = timeout(PATIENCE, self.task).await;
    }
}

async fn keep(socket: Socket, bound: Bound, handle: Handle, door: Door, mut stopped: oneshot::Receiver<()>) {
    let mut server = JoinSet::new();
    let mut own = Some(serve_at(&mut server, bound, &handle));
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = server.join_next() => {
                own = None;
                continue;
            }
            () = sleep(door.retry) => {}
        }
        let place = socket.clone();
        match spawn_blocking(move || look(&place, own)).await {
            Ok(Look::InPlace) => {
                if door.well() {
                    tracing::info!(event = "socket_back", path = %socket.path.display(), "the control socket is back");
                }
            }
            Ok(Look::Anew(bound, what)) => {
                // What it was asked before is still answered: only the old socket is given up.
                server.shutdown().await;
                own = Some(serve_at(&mut server, bound, &handle));
                let _ = door.well();
                tracing::warn!(
                    event = "socket_back", path = %socket.path.display(),
                    "{what}: the agent listens there anew"
                );
            }
            Ok(Look::Lost(error, what)) => complain(&door, &socket.path, &error, what),
            Err(_) => {
                tracing::error!(event = "socket_failed", "internal fault while looking at the control socket")
            }
        }
    }
    let (folder, name) = (parent(&socket.path), socket.path.file_name().unwrap_or_default());
    if let (Some(own), Ok(folder)) = (own, Folder::open(folder)) {
        let _ = folder.remove_socket(name, Some(own));
    }
}

fn serve_at(server: &mut JoinSet<()>, bound: Bound, handle: &Handle) -> Identity {
    let Bound { listener, identity, group, warning } = bound;
    if let Some(warning) = warning {
        warn(&warning);
    }
    server.spawn(serve(listener, group, handle.clone()));
    identity
}

fn warn(warning: &Warning) {
    tracing::warn!(event = "socket_warning", %warning, "whoever may do that can answer in the agent's place");
}

/// What a look has found.
enum Look {
    InPlace,
    /// It was not, and is again; what had happened, in words.
    Anew(Bound, &'static str),
    /// It is not, and could not be made.
    Lost(SocketError, &'static str),
}

/// By inode: another file in its place is not ours.
fn look(socket: &Socket, own: Option<Identity>) -> Look {
    let there = identity(&socket.path);
    if own.is_some() && there == own {
        return Look::InPlace;
    }
    let what = match (own, there) {
        (None, _) => "the control socket had failed",
        (_, None) => "the control socket was removed by someone else",
        (_, Some(_)) => "something else was put in the control socket's place",
    };
    match bind(socket) {
        Ok(bound) => Look::Anew(bound, what),
        Err(error) => Look::Lost(error, what),
    }
}

fn identity(path: &Path) -> Option<Identity> {
    std::fs::symlink_metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

/// Aloud once for each reason.
fn complain(door: &Door, path: &Path, error: &SocketError, what: &str) {
    let hint = error.hint.map(|hint| format!("; hint: {hint}")).unwrap_or_default();
    let error = format!("{error}{hint}");
    if door.fails(&path.display(), &error, None) {
        tracing::error!(
            event = "socket_lost", path = %path.display(), error,
            "{what}, and the agent cannot listen there anew: tokens stay fresh, but nobody can ask for them; \
             trying again every {} s", door.retry.as_secs()
        );
    } else {
        tracing::debug!(event = "socket_lost", error, "still cannot listen there");
    }
}
