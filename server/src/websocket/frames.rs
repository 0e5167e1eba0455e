//! The frames of a WebSocket (RFC 6455, section 5), as a server reads and writes them.
//!
//! Nothing is read or written here. A reader takes whatever bytes came, keeps no more of them than
//! the head of a frame and what a control frame says, and hands the text on as it comes.

/// Bytes of the longest head: two, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
/// Bytes that a control frame may say.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Bytes of a frame from the server with so many bytes in it.
pub(super) fn framed_bytes(payload: usize) -> usize {
    payload
        + match payload {
            0..=125 => 2,
            126..=0xFFFF => 4,
            _ => 10,
        }
}

/// Appends a whole frame from the server, which is not masked.
pub(super) fn write(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode.bits());
    match payload.len() {
        #[allow(clippy::cast_possible_truncation, reason = "it is at most 125")]
        short @ 0..=125 => out.push(short as u8),
        long => match u16::try_from(long) {
            Ok(long) => {
                out.push(126);
                out.extend_from_slice(&long.to_be_bytes());
            }
            Err(_) => {
                out.push(127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(payload);
}

/// How a peer broke the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    /// What it sent is no frame, or not its turn.
    Protocol(&'static str),
    /// A text or the reason of a close is not UTF-8.
    NotUtf8,
    /// A message is longer than it may be.
    TooLong,
}

/// What came whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whole {
    Message,
    Ping(Vec<u8>),
    Pong,
    /// With what is to be sent back.
    Close(Vec<u8>),
}

/// Reads frames out of bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Reader {
    head: [u8; HEAD_BYTES_MAX],
    /// How much of the head has come.
    head_bytes: usize,
    frame: Option<Frame>,
    /// What the control frame has said that has not come whole.
    control: Vec<u8>,
    message: Option<Message>,
}

/// A frame whose head has come.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    is_last: bool,
    /// Turned so that it begins with the next byte.
    mask: [u8; 4],
    /// Bytes that are still to come.
    left: u64,
}

/// A message of which a frame has come.
#[derive(Debug)]
struct Message {
    /// Absent if it need not be text.
    text: Option<Utf8>,
    bytes: u64,
}

impl Reader {
    /// Whether nothing was begun that has not come whole.
    pub(super) fn is_at_rest(&self) -> bool {
        self.head_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    /// Takes the first of these bytes, all of them unless something comes whole before: how many,
    /// and what that is. The text of messages is appended to `text`, each message as whole lines.
    /// A message may have so many bytes.
    pub(super) fn take(
        &mut self,
        bytes: &mut [u8],
        message_bytes: usize,
        text: &mut Vec<u8>,
    ) -> Result<(usize, Option<Whole>), Breach> {
        let mut taken = 0;
        while taken < bytes.len() || self.frame.as_ref().is_some_and(|frame| frame.left == 0) {
            let rest = &mut bytes[taken..];
            let Some(frame) = &mut self.frame else {
                taken += self.take_head(rest, message_bytes)?;
                continue;
            };
            let count = usize::try_from(frame.left).unwrap_or(usize::MAX).min(rest.len());
            let payload = &mut rest[..count];
            for (byte, mask) in payload.iter_mut().zip(frame.mask.iter().cycle()) {
                *byte ^= mask;
            }
            frame.mask.rotate_left(count % 4);
            taken += count;
            frame.left -= count as u64;
            let (opcode, has_ended) = (frame.opcode, frame.left == 0);
            let is_last = frame.is_last && has_ended;
            if has_ended {
                self.frame = None;
            }
            if opcode.is_control() {
                self.control.extend_from_slice(payload);
                if has_ended {
                    let said = std::mem::take(&mut self.control);
                    return Ok((taken, Some(control(opcode, said)?)));
                }
            } else {
                self.take_text(payload, is_last, text)?;
                if is_last {
                    return Ok((taken, Some(Whole::Message)));
                }
            }
        }
        Ok((taken, None))
    }

    /// Takes bytes of a head; how many. With its last byte the frame begins.
    fn take_head(&mut self, bytes: &[u8], message_bytes: usize) -> Result<usize, Breach> {
        let mut taken = 0;
        for byte in bytes {
            self.head[self.head_bytes] = *byte;
            self.head_bytes += 1;
            taken += 1;
            if self.head_bytes < 2 {
                continue;
            }
            let (opcode, is_last) = self.look_at_head()?;
            let (length, mask) = match self.head[1] & 0x7F {
                126 => (2..4, 4),
                127 => (2..10, 10),
                _ => (1..2, 2),
            };
            if self.head_bytes < mask + 4 {
                continue;
            }
            let number =
                |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            let left = match length.len() {
                1 => u64::from(self.head[1] & 0x7F),
                _ => number(&self.head[length]),
            };
            if left >> 63 == 1 {
                return Err(Breach::Protocol("a length has its first bit set"));
            }
            let mask = [0, 1, 2, 3].map(|index| self.head[mask + index]);
            if !opcode.is_control() {
                let message = self.message.get_or_insert_with(|| Message {
                    text: (opcode == Opcode::Text).then(Utf8::default),
                    bytes: 0,
                });
                message.bytes = message.bytes.saturating_add(left);
                if message.bytes > message_bytes as u64 {
                    return Err(Breach::TooLong);
                }
            }
            self.head_bytes = 0;
            self.frame = Some(Frame { opcode, is_last, mask, left });
            break;
        }
        Ok(taken)
    }

    /// Holds the first two bytes of a frame against the rules.
    fn look_at_head(&self) -> Result<(Opcode, bool), Breach> {
        let [first, second, ..] = self.head;
        if first & 0x70 != 0 {
            return Err(Breach::Protocol("a reserved bit is set"));
        }
        let Some(opcode) = Opcode::of(first & 0x0F) else {
            return Err(Breach::Protocol("an opcode is reserved"));
        };
        if second & 0x80 == 0 {
            return Err(Breach::Protocol("a frame is not masked"));
        }
        let is_last = first & 0x80 != 0;
        let rule = match opcode {
            _ if opcode.is_control() && !is_last => "a control frame is a fragment",
            _ if opcode.is_control() && usize::from(second & 0x7F) > CONTROL_BYTES_MAX => {
                "a control frame is longer than 125 bytes"
            }
            Opcode::Continuation if self.message.is_none() => "there is nothing to continue",
            Opcode::Text | Opcode::Binary if self.message.is_some() => {
                "a message begins within another"
            }
            _ => return Ok((opcode, is_last)),
        };
        Err(Breach::Protocol(rule))
    }

    /// Takes a part of a message.
    fn take_text(&mut self, part: &[u8], is_last: bool, text: &mut Vec<u8>) -> Result<(), Breach> {
        let Some(message) = &mut self.message else { return Ok(()) };
        if let Some(utf8) = &mut message.text {
            utf8.take(part, is_last)?;
        }
        text.extend_from_slice(part);
        if is_last {
            self.message = None;
            if !text.ends_with(b"\n") {
                text.push(b'\n');
            }
        }
        Ok(())
    }
}

/// A control frame that came whole.
fn control(opcode: Opcode, said: Vec<u8>) -> Result<Whole, Breach> {
    Ok(match opcode {
        Opcode::Ping => Whole::Ping(said),
        Opcode::Close => {
            match said.split_first_chunk() {
                None if said.is_empty() => {}
                None => return Err(Breach::Protocol("a close has half a code")),
                Some((code, reason)) => {
                    if !is_close_code(u16::from_be_bytes(*code)) {
                        return Err(Breach::Protocol("a close has a code that is not to be sent"));
                    }
                    std::str::from_utf8(reason).map_err(|_| Breach::NotUtf8)?;
                }
            }
            Whole::Close(said)
        }
        _ => Whole::Pong,
    })
}

/// Whether a peer may close with it (section 7.4, and the registry that it begins).
fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A text that is looked at as it comes.
#[derive(Debug, Default)]
struct Utf8 {
    /// The beginning of a character.
    begun: [u8; 4],
    begun_bytes: usize,
}

impl Utf8 {
    fn take(&mut self, mut part: &[u8], is_last: bool) -> Result<(), Breach> {
        while self.begun_bytes > 0
            && let Some((byte, rest)) = part.split_first()
        {
            self.begun[self.begun_bytes] = *byte;
            self.begun_bytes += 1;
            part = rest;
            match std::str::from_utf8(&self.begun[..self.begun_bytes]) {
                Ok(_) => self.begun_bytes = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Breach::NotUtf8),
            }
        }
        if let Err(error) = std::str::from_utf8(part) {
            if error.error_len().is_some() {
                return Err(Breach::NotUtf8);
            }
            let begun = &part[error.valid_up_to()..];
            self.begun[..begun.len()].copy_from_slice(begun);
            self.begun_bytes = begun.len();
        }
        if is_last && self.begun_bytes > 0 { Err(Breach::NotUtf8) } else { Ok(()) }
    }
}
