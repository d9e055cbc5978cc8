//! HTTP/1.1 and nothing else on a listener: one request after the other, each within its limits. The HTTP library would
//! speak HTTP/2 with whoever begins so, since the client's crates switch that on for all; hundreds of requests then share a
//! connection, and its header compression lets them fit into the bytes of one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What HTTP/2 begins with and no request of HTTP/1.1 does: a method that is reserved for that (RFC 9113 section 3.4).
const OPENING: &[u8] = b"PRI ";

/// A listener whose visitors speak HTTP/1.1, or are sent away.
pub(super) struct Http1<L>(pub(super) L);

impl<L: Listener> Listener for Http1<L> {
    type Io = Visitor<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Visitor<L::Io>, L::Addr) {
        let (io, address) = self.0.accept().await;
        (Visitor { io, begun: Some(0) }, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.0.local_addr()
    }
}

/// One connection.
pub(super) struct Visitor<T> {
    pub(super) io: T,
    /// So many bytes of [`OPENING`] have come, and nothing else.
    begun: Option<usize>,
}

impl<T> Visitor<T> {
    /// Whether this is how HTTP/2 begins.
    fn opens(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            let Some(so_far) = self.begun else { return false };
            self.begun = (OPENING.get(so_far) == Some(byte)).then_some(so_far + 1);
            if self.begun == Some(OPENING.len()) {
                return true;
            }
        }
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Visitor<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        Poll::Ready(if self.opens(&buffer.filled()[before..]) {
            Err(io::Error::new(io::ErrorKind::InvalidData, "HTTP/2 is not spoken here"))
        } else {
            Ok(())
        })
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Visitor<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::Visitor;

    #[test]
    fn only_what_begins_as_http_2_does_is_sent_away_however_it_is_cut() {
        for (parts, sent_away) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], true),
            (&["P", "R", "", "I", " * HTTP/2.0"], true),
            (&["POST /v1/reload HTTP/1.1"], false),
            (&["PR", "INT / HTTP/1.1"], false),
            (&["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0"], false),
            (&[""], false),
        ] {
            let mut visitor = Visitor { io: (), begun: Some(0) };
            let found = parts.iter().any(|part| visitor.opens(part.as_bytes()));
            assert_eq!(found, sent_away, "{parts:?}");
        }
    }
}
