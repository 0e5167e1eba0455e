//! As much of HTTP/1.1 as a client needs: whole answers, answers that arrive bit by bit, streams in
//! chunks, server-sent events.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::dialect::{Effects, Heard, State};
use crate::failure::{Failure, Result};

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// The status.
    pub(crate) status: u16,
    /// Bytes up to the body.
    pub(crate) bytes: usize,
    text: &'a [u8],
}

impl<'a> Head<'a> {
    /// The head at the beginning of some bytes, once it is whole.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(Failure(format!("an answer's head is above {HEAD_BYTES_MAX} bytes")));
            }
            return Ok(None);
        };
        let text = &bytes[..end + 2];
        let status = text.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        let status = status.and_then(|digits| digits.parse().ok());
        let strange = || Failure(format!("no HTTP answer: {:?}", String::from_utf8_lossy(text)));
        Ok(Some(Self { status: status.ok_or_else(strange)?, bytes: end + 4, text }))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let lines = self.text.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(|line| line.split_at_checked(name.len()))
            .find(|(found, rest)| {
                found.eq_ignore_ascii_case(name.as_bytes()) && rest.starts_with(b":")
            })
            .map(|(_, rest)| rest[1..].trim_ascii())
    }

    /// Bytes of the body; none is no body.
    fn content_length(&self) -> Result<usize> {
        let value = self.header("content-length");
        if value.is_none() && self.header("transfer-encoding").is_some() {
            return Err(Failure("a poll was answered in chunks".into()));
        }
        let digits = value.map_or(Some("0"), |value| std::str::from_utf8(value).ok());
        let length = digits.and_then(|digits| digits.parse().ok());
        length.ok_or_else(|| Failure("an answer's length is no number".into()))
    }
}

/// Hands on whole answers with their bodies; returns the bytes that they took.
pub(crate) fn answers(
    bytes: &[u8],
    mut answer: impl FnMut(Head<'_>, &[u8]) -> Result<()>,
) -> Result<usize> {
    let mut used = 0;
    while let Some(head) = Head::parse(&bytes[used..])? {
        let begin = used + head.bytes;
        let length = if head.status == 304 { 0 } else { head.content_length()? };
        let Some(body) = bytes.get(begin..begin + length) else { break };
        answer(head, body)?;
        used = begin + length;
    }
    Ok(used)
}

/// Answers to publishes, or polls whose answers nobody looks into.
pub(crate) fn acknowledgements(bytes: &[u8], effects: &mut Effects<'_>) -> Result<usize> {
    answers(bytes, |head, body| {
        let good = matches!(head.status, 200..=202 | 304);
        effects.heard(if good { Heard::Acknowledged(1) } else { Heard::Refused(body) });
        Ok(())
    })
}

/// A stream's head, then its content in chunks, which `take` takes apart: it returns how much of it
/// it could use. Content that a chunk cuts is put together again.
pub(crate) fn chunked(
    state: &mut State,
    bytes: &[u8],
    effects: &mut Effects<'_>,
    mut take: impl FnMut(&[u8], &mut Effects<'_>) -> usize,
) -> Result<usize> {
    let mut used = 0;
    if !state.opened {
        let Some(answer) = Head::parse(bytes)? else { return Ok(0) };
        used = answer.bytes;
        state.opened = true;
        if answer.status != 200 {
            effects.heard(Heard::Refused(&bytes[used..]));
        }
        // Some servers end their streams with the connection instead.
        if answer.header("transfer-encoding").is_none() {
            state.left = usize::MAX;
        }
    }
    loop {
        if state.left == 0 {
            let Some((size, digits)) = chunk_size(&bytes[used..])? else { break };
            if size == 0 {
                return Err(Failure("the server ended a stream".into()));
            }
            used += digits;
            // With the end of its line.
            state.left = size + 2;
        }
        let piece = &bytes[used..];
        let piece = &piece[..piece.len().min(state.left)];
        used += piece.len();
        state.left = if state.left == usize::MAX { usize::MAX } else { state.left - piece.len() };
        let content = match state.left {
            0 => piece.strip_suffix(b"\r\n").or(piece.strip_suffix(b"\n")).unwrap_or(piece),
            // Its end is still to come: the line's end may be half of it.
            _ => piece.strip_suffix(b"\r").filter(|_| state.left == 1).unwrap_or(piece),
        };
        if state.content.is_empty() {
            let taken = take(content, effects);
            state.content.extend_from_slice(&content[taken..]);
        } else {
            state.content.extend_from_slice(content);
            let taken = take(&state.content, effects);
            state.content.drain(..taken);
        }
        if used == bytes.len() {
            break;
        }
    }
    Ok(used)
}

/// How far an answer has come whose bytes are kept where they come.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    /// Where its content is, in pieces: the last one may not have come whole.
    pub(crate) content: Vec<Range<usize>>,
    next: Next,
}

/// What an answer goes on with, and where.
#[derive(Debug, Clone, Copy, Default)]
enum Next {
    #[default]
    Head,
    Chunk(usize),
    End(usize),
}

impl Arriving {
    /// Looks at all that has come; says whether that is the whole answer.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Result<bool> {
        loop {
            self.next = match self.next {
                Next::Head => {
                    let Some(head) = Head::parse(bytes)? else { return Ok(false) };
                    if head.status != 200 {
                        return Err(Failure(format!("a poll was answered {}", head.status)));
                    }
                    if head.header("transfer-encoding").is_some() {
                        Next::Chunk(head.bytes)
                    } else {
                        let end = head.bytes + head.content_length()?;
                        self.content.push(head.bytes..end);
                        Next::End(end)
                    }
                }
                Next::Chunk(place) => {
                    let chunk = bytes.get(place..).unwrap_or_default();
                    let Some((size, digits)) = chunk_size(chunk)? else { return Ok(false) };
                    let begin = place + digits;
                    // With the end of its line.
                    let end = begin + size + 2;
                    if size == 0 {
                        Next::End(end)
                    } else {
                        self.content.push(begin..begin + size);
                        Next::Chunk(end)
                    }
                }
                Next::End(end) => return Ok(bytes.len() >= end),
            }
        }
    }
}

/// The size of the chunk that begins here, and the bytes of its line.
fn chunk_size(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = memchr(b'\n', bytes) else { return Ok(None) };
    let digits = bytes[..end].trim_ascii();
    let size = std::str::from_utf8(digits).ok();
    match size.and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
        Some(size) => Ok(Some((size, end + 1))),
        None => Err(Failure(format!("no chunk size: {:?}", String::from_utf8_lossy(digits)))),
    }
}

/// Hands on the data of whole server-sent events; returns the bytes that they took.
pub(crate) fn events(content: &[u8], mut event: impl FnMut(&[u8], &[u8])) -> usize {
    let mut used = 0;
    while let Some(length) = memmem::find(&content[used..], b"\n\n") {
        let fields = &content[used..used + length];
        used += length + 2;
        let data =
            fields.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data: "));
        event(fields, data.unwrap_or_default());
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_whole_and_in_order() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: 1\r\n\r\nhi\
            HTTP/1.1 304 Not Modified\r\netag: a\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nha";
        let mut seen = Vec::new();
        let used = answers(bytes, |head, body| {
            seen.push((head.status, head.header("x").map(<[u8]>::to_vec), body.to_vec()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen[0], (200, Some(b"1".to_vec()), b"hi".to_vec()));
        assert_eq!(seen[1], (304, None, Vec::new()));
        assert_eq!(seen.len(), 2);
        assert!(bytes[used..].starts_with(b"HTTP/1.1 200 OK\r\ncontent-length: 9"));
    }

    #[test]
    fn a_stream_reads_the_same_wherever_it_is_cut() {
        let stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            10\r\nid: 1\ndata: one\n\r\n2\r\n\nd\r\n13\r\nata: two\n\ndata: 3\n\n\r\n";
        for cut in 1..stream.len() {
            let (mut state, mut seen, mut held) = (State::default(), Vec::new(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let (mut out, mut nobody) = (Vec::new(), |_: Heard<'_>| {});
                let effects = &mut Effects::new(&mut out, &mut nobody);
                let used = chunked(&mut state, &held, effects, |content, _| {
                    events(content, |_, data| seen.push(data.to_vec()))
                })
                .unwrap();
                held.drain(..used);
            }
            assert_eq!(seen, [b"one".to_vec(), b"two".to_vec(), b"3".to_vec()], "cut at {cut}");
            assert!(held.is_empty());
        }
    }

    #[test]
    fn an_answer_that_arrives_is_whole_at_its_last_byte_and_not_before() {
        for (answer, content) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none\ntwo\n\n", "one\ntwo\n\n"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                 4\r\none\n\r\n12\r\n0\r\n\r\ntwo two two 2\r\n0\r\n\r\n",
                "one\n0\r\n\r\ntwo two two 2",
            ),
        ] {
            let bytes = answer.as_bytes();
            let mut arriving = Arriving::default();
            for end in 0..bytes.len() {
                assert!(!arriving.look(&bytes[..end]).unwrap(), "{end} bytes of {answer:?}");
            }
            assert!(arriving.look(bytes).unwrap(), "{answer:?}");
            let pieces = arriving.content.iter().map(|place| &answer[place.clone()]);
            assert_eq!(pieces.collect::<String>(), content);
        }
        assert!(Arriving::default().look(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }
}
