//! Lets visitors in one request each, so many at once and not for long: whoever is slow, or sends without end, loses the
//! connection and nobody else notices.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// What a visitor may ask of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at once; further ones wait to be accepted.
    pub(super) places: usize,
    /// A request has come, and the answer to it has begun, within this.
    pub(super) request_within: Duration,
    /// An answer has been taken within this.
    pub(super) answer_within: Duration,
    /// The longest request, in bytes.
    pub(super) longest_request: usize,
}

impl Limits {
    /// What probes and scrapers never come near.
    pub(super) const USUAL: Self = Self {
        places: 64,
        request_within: Duration::from_secs(5),
        answer_within: Duration::from_secs(15),
        longest_request: 16 * 1024,
    };
}

/// A listener that guards its door.
pub(super) struct Doorkeeper {
    listener: TcpListener,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Doorkeeper {
    pub(super) fn new(listener: TcpListener, limits: Limits) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(limits.places)), limits }
    }
}

impl Listener for Doorkeeper {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return pending().await; // only a closed semaphore refuses, and nobody closes it
        };
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let deadline = Box::pin(sleep(self.limits.request_within));
        let visit = Visit { stream, deadline, limits: self.limits, answering: false, read: 0, _place: place };
        (visit, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection.
pub(super) struct Visit {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    limits: Limits,
    answering: bool,
    /// Bytes so far.
    read: usize,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
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
        self.read += buffer.filled().len() - before;
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
            self.deadline = Box::pin(sleep(self.limits.answer_within));
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
