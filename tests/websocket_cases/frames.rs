//! Frames of RFC 6455 by hand, the wrong ones too: what a client writes octet by octet, and what it
//! reads.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::http::line;
use crate::support::{Event, PATIENCE, Request};

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xA;

/// The bit of a message's last frame, and those of what a frame is.
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0F;
/// The bit of a payload that is masked.
const MASKED: u8 = 0x80;
/// Lengths that stand in a frame's second byte themselves are smaller.
const LENGTH_OF_2_BYTES: u8 = 126;
const LENGTH_OF_8_BYTES: u8 = 127;

/// A frame as a client sends it: whole, masked, without reserved bits unless said otherwise.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    opcode: u8,
    payload: Vec<u8>,
    is_final: bool,
    reserved: u8,
    mask: Option<[u8; 4]>,
}

impl Frame {
    pub(super) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        let payload = payload.as_ref().to_vec();
        Self { opcode, payload, is_final: true, reserved: 0, mask: Some([0xA5, 0x17, 0x00, 0xFE]) }
    }

    pub(super) fn text(payload: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, payload)
    }

    /// A close frame with a code and a reason.
    pub(super) fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same, to be continued.
    pub(super) fn unfinished(self) -> Self {
        Self { is_final: false, ..self }
    }

    /// The same with reserved bits, of 1 to 7.
    pub(super) fn reserved(self, bits: u8) -> Self {
        Self { reserved: bits, ..self }
    }

    /// The same with another mask, or none.
    pub(super) fn masked(self, mask: Option<[u8; 4]>) -> Self {
        Self { mask, ..self }
    }

    /// As it stands on the wire.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let final_bit = if self.is_final { FINAL } else { 0 };
        let mut bytes = vec![final_bit | self.reserved << 4 | self.opcode];
        let mask_bit = if self.mask.is_some() { MASKED } else { 0 };
        let length = self.payload.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short), _) if short < LENGTH_OF_2_BYTES => bytes.push(mask_bit | short),
            (_, Ok(length)) => {
                bytes.push(mask_bit | LENGTH_OF_2_BYTES);
                bytes.extend(length.to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | LENGTH_OF_8_BYTES);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }
}

/// All of a message's frames: its payload cut at these places.
pub(super) fn fragments(opcode: u8, payload: &[u8], cuts: &[usize]) -> Vec<Frame> {
    let starts = [&[0], cuts].concat();
    let ends = [cuts, &[payload.len()]].concat();
    let last = starts.len() - 1;
    let pieces = starts.iter().zip(&ends).enumerate();
    let frame = |(index, (start, end)): (usize, (&usize, &usize))| {
        let opcode = if index == 0 { opcode } else { CONTINUATION };
        let frame = Frame::new(opcode, &payload[*start..*end]);
        if index == last { frame } else { frame.unfinished() }
    };
    pieces.map(frame).collect()
}

/// The bytes of frames.
pub(super) fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// A text frame with an event.
    Event(Event),
    /// A pong with its payload.
    Pong(Vec<u8>),
    /// A close frame, with its code if it has one.
    Close(Option<u16>),
    /// The end of the connection.
    End,
    /// Nothing in all the time that a test waits.
    Nothing,
}

/// A connection that has been upgraded, and whose greeting was heard.
pub(super) struct Wire {
    reader: BufReader<TcpStream>,
}

impl Wire {
    /// Opens `/t/ws`.
    pub(super) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut wire = Self { reader: BufReader::new(stream) };
        let request = Request::get("/t/ws")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        wire.write(&request.bytes());
        let status = line(&mut wire.reader).unwrap();
        assert!(status.starts_with("HTTP/1.1 101 "), "{status}");
        while line(&mut wire.reader).is_some_and(|header| !header.is_empty()) {}
        match wire.hear() {
            Heard::Event(event) if event.kind() == "open" => wire,
            other => panic!("no greeting but {other:?}"),
        }
    }

    /// Writes bytes; a server that has closed already may not take all of them.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let _ = self.reader.get_mut().write_all(bytes);
    }

    /// What the server sends next, its own pings passed over.
    pub(super) fn hear(&mut self) -> Heard {
        loop {
            let [first, second] = match self.array() {
                Ok(head) => head,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::End,
            };
            assert_eq!(first & !OPCODE, FINAL, "a server's frame is whole, without reserved bits");
            assert_eq!(second & MASKED, 0, "a server masks nothing");
            let length = match second {
                LENGTH_OF_2_BYTES => u16::from_be_bytes(self.array().unwrap()).into(),
                LENGTH_OF_8_BYTES => u64::from_be_bytes(self.array().unwrap()),
                short => short.into(),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.reader.read_exact(&mut payload).unwrap();
            match first & OPCODE {
                TEXT => return Heard::Event(Event::parse(str::from_utf8(&payload).unwrap())),
                PING => {}
                PONG => return Heard::Pong(payload),
                CLOSE => {
                    let reason = payload.get(2..).unwrap_or_default();
                    assert!(str::from_utf8(reason).is_ok(), "{reason:?}");
                    return Heard::Close(
                        payload.first_chunk().map(|code| u16::from_be_bytes(*code)),
                    );
                }
                other => panic!("an opcode of no server: {other}"),
            }
        }
    }

    fn array<const BYTES: usize>(&mut self) -> io::Result<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
