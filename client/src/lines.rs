//! Cuts a stream of bytes into lines, whatever the pieces in which it arrives.

use bytes::{Buf, Bytes, BytesMut};
use doorbell_protocol::limits::EVENT_BYTES_MAX;

use crate::error::Error;

/// Bytes of the longest line that is taken, its end not counted: an event, and what stands before
/// it in a stream of server-sent events.
pub(crate) const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 1024;

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// Lines in the making. They end in `\n` or `\r\n`.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    buffer: BytesMut,
    /// Bytes at the front that hold no end.
    scanned: usize,
    /// Whether `\r` alone ends a line, too.
    takes_returns: bool,
    /// Whether the last line ended in `\r`: a `\n` at the front belongs to it.
    had_return: bool,
}

impl Lines {
    /// Those that may end in `\r` alone as well.
    pub(crate) fn with_returns() -> Self {
        Self { takes_returns: true, ..Self::default() }
    }

    /// Where to read the next bytes into.
    pub(crate) fn space(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ_BYTES);
        &mut self.buffer
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether every byte was part of a line that was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole line, without its end.
    pub(crate) fn next_line(&mut self) -> Result<Option<Bytes>, Error> {
        if self.had_return && !self.buffer.is_empty() {
            self.had_return = false;
            if self.buffer.starts_with(b"\n") {
                self.buffer.advance(1);
            }
        }
        let is_end = |byte: &u8| *byte == b'\n' || self.takes_returns && *byte == b'\r';
        let found = self.buffer[self.scanned..].iter().position(is_end);
        let length = found.map_or(self.buffer.len(), |offset| self.scanned + offset);
        if length > LINE_BYTES_MAX {
            return Err(Error::Unexpected(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
        }
        if found.is_none() {
            self.scanned = length;
            return Ok(None);
        }
        let mut line = self.buffer.split_to(length).freeze();
        self.had_return = self.buffer.starts_with(b"\r");
        self.buffer.advance(1);
        self.scanned = 0;
        if !self.takes_returns && line.ends_with(b"\r") {
            line.truncate(length - 1);
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Bytes> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in pieces {
            lines.feed(piece);
            while let Some(line) = lines.next_line().unwrap() {
                out.push(line);
            }
        }
        out
    }

    #[test]
    fn both_ends_are_taken_and_half_a_line_waits() {
        assert_eq!(cut(&[b"a\r", b"\n\nb\r\r\nc"]), ["a", "", "b\r"]);
    }

    #[test]
    fn a_return_alone_may_be_an_end_and_waits_for_nothing() {
        let mut lines = Lines::with_returns();
        let mut taken = Vec::new();
        for piece in [b"a\rb\r" as &[u8], b"\n\nc\n\r", b"d\r\n", b"\r"] {
            lines.feed(piece);
            while let Some(line) = lines.next_line().unwrap() {
                taken.push(line);
            }
        }
        assert_eq!(taken, ["a", "b", "", "c", "", "d", ""]);
    }

    #[test]
    fn a_line_without_end_is_refused_at_the_bound() {
        let mut lines = Lines::default();
        lines.feed(&vec![b'x'; LINE_BYTES_MAX]);
        assert!(lines.next_line().unwrap().is_none());
        lines.feed(b"x");
        assert!(lines.next_line().is_err());
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(
            text in "[ab\r\n]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> =
                cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(&pieces), cut(&[text.as_bytes()]));
            let whole: Vec<Bytes> = text
                .rsplit_once('\n')
                .map_or("", |(head, _)| head)
                .split('\n')
                .map(|line| Bytes::copy_from_slice(line.strip_suffix('\r').unwrap_or(line).as_bytes()))
                .collect();
            if text.contains('\n') {
                prop_assert_eq!(cut(&pieces), whole);
            }
        }
    }
}
