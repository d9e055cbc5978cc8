use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of what a command prints is kept: the end, where it says why it failed.
const KEPT: usize = 4 << 10;

/// What is read at once.
const CHUNK: usize = 16 << 10;

/// The end of what a command prints, however much that is.
#[derive(Debug, Default)]
pub(super) struct Tail {
    kept: Vec<u8>,
    total: u64,
}

impl Tail {
    /// Reads to the end and keeps the tail; may be dropped and begun anew.
    pub(super) async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) {
        let mut chunk = vec![0; CHUNK];
        // A pipe that cannot be read has no more to say.
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            self.push(&chunk[..read]);
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.total += chunk.len() as u64;
        self.kept.extend_from_slice(chunk);
        let surplus = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..surplus);
    }

    /// How much there was in all, in bytes.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// One line for the log: its lines with ` / ` between them, nothing that could steer a terminal or forge a line.
    pub(super) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let clean = |line: &str| line.chars().map(visible).collect::<String>();
        lines.map(clean).collect::<Vec<_>>().join(" / ")
    }
}

/// The character, or a mark for one that is not to be seen (control characters, direction overrides).
fn visible(symbol: char) -> char {
    match symbol {
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        symbol if symbol.is_control() => '\u{fffd}',
        symbol => symbol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(&[b'x'; 1000]);
        }
        tail.push(b"\nthe end\n");
        assert_eq!(tail.total(), 1_000_009);
        assert!(tail.kept.len() <= KEPT && tail.kept.capacity() <= 4 * KEPT);
        assert!(tail.text().ends_with("x / the end"));
    }

    #[test]
    fn what_could_steer_a_terminal_or_forge_a_line_is_marked() {
        let mut tail = Tail::default();
        tail.push(b"\x1b[2Jred\r\nnext\xff\t\xe2\x80\xaeevil\n\n");
        assert_eq!(tail.text(), "\u{fffd}[2Jred / next\u{fffd} \u{fffd}evil");
    }
}
