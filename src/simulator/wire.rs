//! Below HTTP: connections that reset, headers that never end, and bodies that are too long or too slow.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use futures_util::stream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

const PLAIN: u8 = 0;
const RESET: u8 = 1;
const ENDLESS_HEADERS: u8 = 2;

const STATUS_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";
const HEADER_LINE: &[u8] = b"X-Endless: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
/// After so many writes without waiting the connection lets others run.
const WRITES_IN_A_ROW: usize = 32;

const CHUNK: usize = 64 * 1024;
const HUGE: usize = 100 * 1024 * 1024;
const BOMB: usize = 64 * 1024 * 1024;

/// The connection that a request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// `None` behind a listener that is not the simulator's.
    pub(super) address: Option<IpAddr>,
    /// Cancelled when the server stops.
    pub(super) closing: CancellationToken,
    order: Arc<AtomicU8>,
}

impl Peer {
    /// Whatever is written next resets the connection instead.
    pub(super) fn reset(&self) {
        self.order.store(RESET, Ordering::Release);
    }

    /// Whatever is written next becomes a header section without an end.
    pub(super) fn endless_headers(&self) {
        self.order.store(ENDLESS_HEADERS, Ordering::Release);
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
        let peer = Peer { address: Some(address.ip()), closing: self.closing.clone(), order: Arc::default() };
        (Stream { tcp, peer, written: 0 }, address)
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
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.peer.order.load(Ordering::Acquire) {
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

/// A body that is written as it is read, so that the end of the connection ends it. `guard` lives as long.
fn streamed<G, N>(peer: Peer, guard: G, mut next: N) -> Body
where
    G: Send + 'static,
    N: FnMut(usize) -> Option<(Bytes, Duration)> + Send + 'static,
{
    let state = (peer, guard, 0);
    Body::from_stream(stream::unfold(state, move |(peer, guard, turn)| {
        let chunk = next(turn);
        async move {
            let (bytes, wait) = chunk?;
            tokio::select! {
                () = peer.closing.cancelled() => None,
                () = tokio::time::sleep(wait) => Some((Ok::<_, Infallible>(bytes), (peer, guard, turn + 1))),
            }
        }
    }))
}

/// JSON of 100 MiB, or of no end.
pub(super) fn huge<G: Send + 'static>(peer: Peer, guard: G, endless: bool) -> Body {
    let filler = Bytes::from(vec![b'a'; CHUNK]);
    streamed(peer, guard, move |turn| match turn {
        0 => Some((Bytes::from_static(b"{\"padding\":\""), Duration::ZERO)),
        turn if !endless && turn > HUGE / CHUNK + 1 => None,
        turn if !endless && turn > HUGE / CHUNK => Some((Bytes::from_static(b"\"}"), Duration::ZERO)),
        _ => Some((filler.clone(), Duration::ZERO)),
    })
}

/// A byte at a time.
pub(super) fn slow<G: Send + 'static>(peer: Peer, guard: G, body: Vec<u8>, each: Duration) -> Body {
    let body = Bytes::from(body);
    streamed(peer, guard, move |turn| (turn < body.len()).then(|| (body.slice(turn..=turn), each)))
}

/// 64 MiB of gzip (RFC 1952) that stand for 10 GB of JSON.
pub(super) fn gzip_bomb<G: Send + 'static>(peer: Peer, guard: G) -> Body {
    let (head, filler) = bomb();
    streamed(peer, guard, move |turn| match turn {
        0 => Some((head.clone(), Duration::ZERO)),
        turn if turn > BOMB / CHUNK => None,
        _ => Some((filler.clone(), Duration::ZERO)),
    })
}

/// The beginning of the stream, and what may follow it any number of times: a fixed-Huffman block (RFC 1951 section
/// 3.2.6) of literals and then of "258 bytes from distance 1", 13 bits each, so that it repeats every 13 bytes.
fn bomb() -> (Bytes, Bytes) {
    const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    const LITERALS: &[u8] = b"{\"padding\":\"a";
    const PERIOD: usize = 13;
    let period_bytes = CHUNK / PERIOD * PERIOD;

    let mut bits = Bits::default();
    bits.push(0b110, 3); // the last block, fixed codes: 1, then 01 with its low bit first
    for literal in LITERALS {
        bits.push(0x30 + u16::from(*literal), 8);
    }
    while bits.bytes.len() < LITERALS.len() + 1 + period_bytes {
        bits.push(0b1100_0101, 8); // code 285: length 258
        bits.push(0, 5); // distance 1
    }
    let mut head = GZIP.to_vec();
    let (literals, filler) = bits.bytes.split_at(LITERALS.len() + 1);
    head.extend(literals);
    let filler = filler.get(..period_bytes).unwrap_or(filler);
    (Bytes::from(head), Bytes::copy_from_slice(filler))
}

/// Bits packed into bytes from the least significant on; codes go in from their most significant bit.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    partial: u8,
    used: u8,
}

impl Bits {
    fn push(&mut self, code: u16, length: u8) {
        for bit in (0..length).rev() {
            if code >> bit & 1 == 1 {
                self.partial |= 1 << self.used;
            }
            self.used += 1;
            if self.used == 8 {
                self.bytes.push(self.partial);
                (self.partial, self.used) = (0, 0);
            }
        }
    }
}
