//! The text of a message: which it is, when it was planned, and a filler that can be checked.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::failure::{Failure, Result};

/// Bytes of a stamp, and so of the shortest message: topic 6, number 10, planned time 16 hex
/// digits.
pub(crate) const STAMP_BYTES: usize = 32;
/// Fillers begin at so many places, so that two messages in a row never have the same.
const FILLERS: u64 = 64;

/// What a message says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of its topic.
    pub(crate) topic: usize,
    /// Its place among the messages of its topic, from 0.
    pub(crate) number: u64,
    /// Nanoseconds of the generator's clock at which it was planned to be sent.
    pub(crate) planned_ns: u64,
}

/// Makes messages of one length and knows them again.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    filler: Box<[u8]>,
    bytes: usize,
}

impl Payload {
    /// Messages of so many bytes, at least [`STAMP_BYTES`].
    pub(crate) fn new(bytes: usize, seed: u64) -> Result<Self> {
        if bytes < STAMP_BYTES {
            return Err(Failure(format!("--payload {bytes} is below {STAMP_BYTES}")));
        }
        let mut random = StdRng::seed_from_u64(seed);
        let length = bytes - STAMP_BYTES + FILLERS as usize;
        let filler = (0..length).map(|_| random.random_range(b'a'..=b'z')).collect();
        Ok(Self { filler, bytes })
    }

    /// Appends a message.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        write_hex(stamp.topic as u64, 6, out);
        write_hex(stamp.number, 10, out);
        write_hex(stamp.planned_ns, 16, out);
        out.extend_from_slice(self.filler(stamp.number));
    }

    /// Reads a message; `None` if any of its bytes is not as it was written.
    pub(crate) fn read(&self, message: &[u8]) -> Option<Stamp> {
        let (stamp, filler) = message.split_at_checked(STAMP_BYTES)?;
        let stamp = Stamp {
            topic: read_hex(&stamp[..6])? as usize,
            number: read_hex(&stamp[6..16])?,
            planned_ns: read_hex(&stamp[16..])?,
        };
        (filler == self.filler(stamp.number)).then_some(stamp)
    }

    fn filler(&self, number: u64) -> &[u8] {
        let begin = (number % FILLERS) as usize;
        &self.filler[begin..begin + self.bytes - STAMP_BYTES]
    }
}

/// The topic in a message's first bytes; what follows is not looked at.
pub(crate) fn topic_of(message: &[u8]) -> Option<usize> {
    Some(read_hex(message.get(..6)?)? as usize)
}

fn write_hex(value: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * place) & 15) as usize]);
    }
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { topic: 999, number: 12_345_678, planned_ns: 1 << 50 };

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for bytes in [STAMP_BYTES, 33, 128, 4096] {
            let payload = Payload::new(bytes, 7).unwrap();
            let mut message = Vec::new();
            payload.write(STAMP, &mut message);
            assert_eq!(message.len(), bytes);
            assert_eq!(payload.read(&message), Some(STAMP));
            assert_eq!(topic_of(&message), Some(999));
        }
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let payload = Payload::new(128, 7).unwrap();
        let mut message = Vec::new();
        payload.write(STAMP, &mut message);
        for place in STAMP_BYTES..message.len() {
            message[place] ^= 1;
            assert_eq!(payload.read(&message), None, "byte {place}");
            message[place] ^= 1;
        }
        assert_eq!(payload.read(&message[..127]), None, "cut short");
        assert_eq!(payload.read(&[]), None);
    }

    #[test]
    fn a_message_shorter_than_its_stamp_is_refused() {
        assert!(Payload::new(STAMP_BYTES - 1, 7).is_err());
    }
}
