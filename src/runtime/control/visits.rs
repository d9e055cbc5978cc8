//! Lets visitors of the control socket in, so many at once: each has a descriptor of the agent's, which files and requests
//! need as well. Who does not say what he wants, or does not take his answer, loses his place.

use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::{SocketAddr, UCred};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use super::Peer;
use crate::runtime::http1::Http1;

impl Connected<IncomingStream<'_, Http1<Visits>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Http1<Visits>>) -> Self {
        let peer = stream.io().io.peer().ok();
        let ids = peer.map(|peer| (peer.uid(), peer.gid()));
        Self { ids, pid: peer.and_then(|peer| peer.pid()) }
    }
}

/// What a visitor may ask of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once; further ones wait to be accepted. Each `renewd exec` waits on one an account.
    pub(super) places: usize,
    /// The head of a request has come within this. How long its answer takes is for the caller to say.
    pub(super) head_within: Duration,
    /// An answer has been taken within this, once it has begun.
    pub(super) answer_within: Duration,
    /// The longest request, in bytes.
    pub(super) longest_request: usize,
}

impl Limits {
    pub(super) const USUAL: Self = Self {
        places: 256,
        head_within: Duration::from_secs(5),
        answer_within: Duration::from_secs(30),
        longest_request: 64 * 1024,
    };
}

/// One request a connection: nobody keeps a place that he does not use.
pub(super) async fn one_request(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The listener with its places.
pub(super) struct Visits {
    listener: UnixListener,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Visits {
    pub(super) fn new(listener: UnixListener, limits: Limits) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(limits.places)), limits }
    }
}

impl Listener for Visits {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return pending().await; // only a closed semaphore refuses, and nobody closes it
        };
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let deadline = Some(Box::pin(sleep(self.limits.head_within)));
        let head = Head::default();
        (
            Visit { stream, deadline, limits: self.limits, head, read: 0, answering: false, _place: place },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection, for one request.
pub(super) struct Visit {
    stream: UnixStream,
    /// None between a request's head and its answer.
    deadline: Option<Pin<Box<Sleep>>>,
    limits: Limits,
    head: Head,
    /// Bytes so far.
    read: usize,
    answering: bool,
    _place: OwnedSemaphorePermit,
}

/// Looks for the empty line that ends a head.
#[derive(Default)]
struct Head {
    newlines: u8,
}

impl Head {
    fn ends_in(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes.iter().filter(|byte| **byte != b'\r') {
            self.newlines = if *byte == b'\n' { self.newlines + 1 } else { 0 };
            if self.newlines == 2 {
                return true;
            }
        }
        false
    }
}

impl Visit {
    /// Who is at the other end.
    pub(super) fn peer(&self) -> io::Result<UCred> {
        self.stream.peer_cred()
    }

    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().map(|deadline| deadline.as_mut().poll(context)) {
            Some(Poll::Ready(())) => Err(io::ErrorKind::TimedOut.into()),
            Some(Poll::Pending) | None => Ok(()),
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        self.read += new.len();
        if !self.answering && self.deadline.is_some() && self.head.ends_in(new) {
            self.deadline = None;
        }
        Poll::Ready(if self.read <= self.limits.longest_request {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"))
        })
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.answering {
            self.answering = true;
            self.deadline = Some(Box::pin(sleep(self.limits.answer_within)));
        }
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn a_head_ends_with_an_empty_line_however_it_is_cut() {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        for cut in 0..request.len() {
            let mut head = Head::default();
            let early = head.ends_in(&request[..cut]);
            assert_eq!(early, cut >= 27, "{cut}");
            assert!(early || head.ends_in(&request[cut..]), "{cut}");
        }
        assert!(!Head::default().ends_in(b"GET / HTTP/1.1\r\nHost: a\r\n"));
    }
}
