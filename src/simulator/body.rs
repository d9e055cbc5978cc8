//! Bodies that are too long or too slow.

use std::{convert::Infallible, time::Duration};

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::wire::Peer;

const CHUNK: usize = 64 * 1024;
const HUGE: usize = 100 * 1024 * 1024;
const BOMB: usize = 64 * 1024 * 1024;

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
