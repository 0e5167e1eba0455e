//! As much of RFC 6455 as a client needs that mostly listens.

use super::dialect::{Effects, Heard, State, push};
use super::http::Head;
use crate::failure::{Failure, Result};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// The bit of a frame that is its message's last one.
const FIN: u8 = 0x80;
/// The bit of a frame that comes from a client.
const MASKED: u8 = 0x80;
/// The length stands in the next two bytes, or in the next eight.
const LENGTH_2: u8 = 126;
const LENGTH_8: u8 = 127;

/// The request that opens one. Its key need not be random to a server that is one's own.
pub(crate) fn open(path: &str, out: &mut Vec<u8>) {
    push!(
        out,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
}

/// A frame from a client, whose mask of zeros changes nothing.
pub(crate) fn text(words: &[u8], out: &mut Vec<u8>) {
    frame(TEXT, words, out);
}

fn frame(opcode: u8, words: &[u8], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match words.len() {
        length @ 0..126 => out.push(MASKED | length as u8),
        length @ 126..0x1_0000 => {
            out.push(MASKED | LENGTH_2);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | LENGTH_8);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(words);
}

/// The answer to the opening request, then frames: hands on the texts, answers pings; returns the
/// bytes taken. A text in several frames is not understood: no contender sends one.
pub(crate) fn frames(
    state: &mut State,
    bytes: &[u8],
    effects: &mut Effects<'_>,
    mut text: impl FnMut(&[u8], &mut Effects<'_>) -> Result<()>,
) -> Result<usize> {
    let mut used = 0;
    if !state.opened {
        let Some(answer) = Head::parse(bytes)? else { return Ok(0) };
        used = answer.bytes;
        state.opened = true;
        effects.heard(if answer.status == 101 {
            Heard::Ready
        } else {
            Heard::Refused(&bytes[used..])
        });
    }
    while let Some((opcode, head, length)) = frame_head(&bytes[used..]) {
        let begin = used + head;
        let Some(words) = bytes.get(begin..begin + length) else { break };
        used = begin + length;
        match opcode {
            o if o == FIN | TEXT || o == FIN | BINARY => text(words, effects)?,
            o if o == FIN | PING => frame(PONG, words, effects.out),
            o if o == FIN | PONG => {}
            o if o == FIN | CLOSE => return Err(Failure("the server closed a WebSocket".into())),
            other => return Err(Failure(format!("a frame begins with {other:#x}"))),
        }
    }
    Ok(used)
}

/// First byte, bytes of the head, bytes of the text.
fn frame_head(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let opcode = *bytes.first()?;
    match *bytes.get(1)? & 0x7f {
        LENGTH_2 => {
            let length = bytes.get(2..4)?.try_into().ok()?;
            Some((opcode, 4, usize::from(u16::from_be_bytes(length))))
        }
        LENGTH_8 => {
            let length = bytes.get(2..10)?.try_into().ok()?;
            Some((opcode, 10, u64::from_be_bytes(length) as usize))
        }
        length => Some((opcode, 2, usize::from(length))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_server(words: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        text(words, &mut masked);
        let mask = masked.len() - words.len() - 4;
        masked.drain(mask..mask + 4);
        masked[1] &= 0x7f;
        masked
    }

    #[test]
    fn frames_of_every_length_are_taken_wherever_they_are_cut() {
        let texts = [vec![b'a'; 5], vec![b'b'; 125], vec![b'c'; 126], vec![b'd'; 70_000]];
        let mut stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        stream.extend_from_slice(&[FIN | PING, 2, b'x', b'y']);
        for words in &texts {
            stream.extend_from_slice(&from_server(words));
        }
        for cut in [1, 20, 36, 38, 42, 180, 300, 400, 1000, stream.len() - 1] {
            let (mut state, mut seen, mut out) = (State::default(), Vec::new(), Vec::new());
            let mut held = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                held.extend_from_slice(part);
                let mut nobody = |_: Heard<'_>| {};
                let effects = &mut Effects::new(&mut out, &mut nobody);
                let used = frames(&mut state, &held, effects, |words, _| {
                    seen.push(words.to_vec());
                    Ok(())
                })
                .unwrap();
                held.drain(..used);
            }
            assert!(seen == texts, "cut at {cut}");
            assert_eq!(out, [FIN | PONG, 0x82, 0, 0, 0, 0, b'x', b'y']);
        }
    }
}
