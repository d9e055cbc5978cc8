//! Below HTTP: connections that reset, that close when idle, and headers that never end.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::Sleep,
};
use tokio_util::sync::CancellationToken;

const PLAIN: u8 = 0;
const RESET: u8 = 1;
const ENDLESS_HEADERS: u8 = 2;

const STATUS_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";
const HEADER_LINE: &[u8] = b"X-Endless: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
/// After so many writes without waiting the connection lets others run.
const WRITES_IN_A_ROW: usize = 32;

/// The connection that a request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// `None` behind a listener that is not the simulator's.
    pub(super) address: Option<IpAddr>,
    /// Cancelled when the server stops.
    pub(super) closing: CancellationToken,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    order: AtomicU8,
    /// Requests that are not answered yet.
    busy: AtomicUsize,
    /// Milliseconds after which the idle connection closes; 0 for never.
    idle: AtomicU64,
}

/// A request on a connection: while it lives, the connection is not idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<State>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Peer {
    /// A request came; once it is answered, the connection closes after being idle for so long.
    pub(super) fn busy(&self, idle: Option<Duration>) -> Busy {
        self.state.busy.fetch_add(1, Ordering::AcqRel);
        let idle = idle.map_or(0, |idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX));
        self.state.idle.store(idle, Ordering::Release);
        Busy(Arc::clone(&self.state))
    }

    /// Whatever is written next resets the connection instead.
    pub(super) fn reset(&self) {
        self.state.order.store(RESET, Ordering::Release);
    }

    /// Whatever is written next becomes a header section without an end.
    pub(super) fn endless_headers(&self) {
        self.state.order.store(ENDLESS_HEADERS, Ordering::Release);
    }
}

/// A listener whose connections obey their [`Peer`].
pub(super) struct Tcp {
    pub(super) listener: TcpListener,
    pub(super) closing: CancellationToken,
}

impl Listener for Tcp {
    type Io = Stream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (tcp, address) = Listener::accept(&mut self.listener).await;
        // A simulator's latency is not a thing to fail over.
        let _ = tcp.set_nodelay(true);
        let peer = Peer { address: Some(address.ip()), closing: self.closing.clone(), state: Arc::default() };
        (Stream { tcp, peer, written: 0, idle: None }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Tcp>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Tcp>) -> Self {
        stream.io().peer.clone()
    }
}

/// A connection.
pub(super) struct Stream {
    tcp: TcpStream,
    peer: Peer,
    /// Bytes of endless headers so far.
    written: usize,
    /// Runs while nothing is read.
    idle: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.tcp).poll_read(cx, buf) {
            Poll::Pending if self.is_idle_for_long(cx) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            ready => {
                self.idle = None;
                ready
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.peer.state.order.load(Ordering::Acquire) {
            PLAIN => Pin::new(&mut self.tcp).poll_write(cx, buf),
            ENDLESS_HEADERS => self.poll_endless_headers(cx),
            _ => {
                // Without lingering, closing sends RST and not FIN.
                let _ = self.tcp.set_zero_linger();
                Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Stream {
    /// Nothing was asked for the vendor's patience: to the server it looks as if the client had closed.
    fn is_idle_for_long(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let patience = self.peer.state.idle.load(Ordering::Acquire);
            if patience == 0 {
                return false;
            }
            let sleep = || Box::pin(tokio::time::sleep(Duration::from_millis(patience)));
            if self.idle.get_or_insert_with(sleep).as_mut().poll(cx).is_pending() {
                return false;
            }
            self.idle = None;
            if self.peer.state.busy.load(Ordering::Acquire) == 0 {
                return true;
            }
        }
    }

    /// Ends only with an error: when the client leaves, or the server stops.
    fn poll_endless_headers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        for _ in 0..WRITES_IN_A_ROW {
            if self.peer.closing.is_cancelled() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            let next = match self.written.checked_sub(STATUS_LINE.len()) {
                None => STATUS_LINE.get(self.written..),
                Some(past) => HEADER_LINE.get(past % HEADER_LINE.len()..),
            };
            match Pin::new(&mut self.tcp).poll_write(cx, next.unwrap_or(HEADER_LINE)) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
