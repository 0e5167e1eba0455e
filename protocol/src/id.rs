//! The place of a message in the log, as 12 characters that sort like the places they name.
//!
//! ```text
//! epoch: 27 bits | seq: 44 bits     one number in base 62, most significant digit first
//! ```
//!
//! The digits are those of ASCII and its letters, in the order of ASCII, and one place has one
//! spelling: ids can be compared as strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::code::{Code, Error, quoted};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: u64 = ALPHABET.len() as u64;
const SEQ_BITS: u32 = 44;
const EPOCH_CHARS: usize = 5;
/// Characters that one number of 64 bits is written as. An id is two of them.
const HALF_CHARS: u32 = 6;
/// The numbers of so many characters end before this one.
const HALF: u64 = BASE.pow(HALF_CHARS);
/// 2^44 is so many times [`HALF`], and a rest: with these no division needs more than 64 bits.
const EPOCH_HALVES: u64 = (1 << SEQ_BITS) / HALF;
const EPOCH_REST: u64 = (1 << SEQ_BITS) % HALF;
/// The largest number on the way: this does not compile if it needs more than 64 bits.
const _: u64 = EPOCH_MAX as u64 * EPOCH_REST + SEQ_MAX;

/// Characters of an id.
pub const ID_CHARS: usize = 2 * HALF_CHARS as usize;
/// The highest seq: 44 bits, 100,000 messages a second for five years and a half.
pub const SEQ_MAX: u64 = (1 << SEQ_BITS) - 1;
/// The highest epoch: 27 bits.
pub const EPOCH_MAX: u32 = (1 << 27) - 1;

/// Which log an id belongs to: drawn at random when a log is created, so that an id of another
/// log is recognised instead of guessed at. Of two places of one log the one with the higher epoch
/// is the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u32);

impl Epoch {
    /// An epoch from any number; only its low 27 bits count.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & EPOCH_MAX)
    }

    /// The 27 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The id of a place in this log.
    ///
    /// # Panics
    ///
    /// When `seq` is above [`SEQ_MAX`]: the log is at its end.
    pub fn id(self, seq: u64) -> Id {
        assert!(seq <= SEQ_MAX, "seq {seq} is above {SEQ_MAX}");
        Id { epoch: self, seq }
    }
}

/// A place in a log: after the message with this seq, or before all of them when it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    // In this order, which is that of the ids as strings.
    epoch: Epoch,
    seq: u64,
}

impl Id {
    /// The log that the place belongs to.
    pub const fn epoch(self) -> Epoch {
        self.epoch
    }

    /// The place: the number of a message, rising over all topics, the first being 1.
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// The 12 characters.
    pub fn encode(self) -> [u8; ID_CHARS] {
        let epoch = u64::from(self.epoch.bits());
        let low = epoch * EPOCH_REST + self.seq;
        let high = epoch * EPOCH_HALVES + low / HALF;
        let mut chars = [0; ID_CHARS];
        let (first, second) = chars.split_at_mut(HALF_CHARS as usize);
        write(high, first);
        write(low % HALF, second);
        chars
    }
}

/// Writes a number into all of the characters, which it must fit into.
fn write(mut number: u64, chars: &mut [u8]) {
    for place in chars.iter_mut().rev() {
        *place = ALPHABET[(number % BASE) as usize];
        number /= BASE;
    }
}

/// Reads a number of at most [`HALF_CHARS`] characters.
fn read(chars: &[u8]) -> Option<u64> {
    chars.iter().try_fold(0, |number, char| {
        let digit = match char {
            b'0'..=b'9' => char - b'0',
            b'A'..=b'Z' => char - b'A' + 10,
            b'a'..=b'z' => char - b'a' + 36,
            _ => return None,
        };
        Some(number * BASE + u64::from(digit))
    })
}

/// The place that the characters name. Twelve of them can be numbers that no place has.
fn decode(chars: [u8; ID_CHARS]) -> Option<Id> {
    let (first, second) = chars.split_at(HALF_CHARS as usize);
    let number = u128::from(read(first)?) * u128::from(HALF) + u128::from(read(second)?);
    let epoch = u32::try_from(number >> SEQ_BITS).ok().filter(|epoch| *epoch <= EPOCH_MAX)?;
    #[allow(clippy::cast_possible_truncation, reason = "44 bits are left")]
    let seq = number as u64 & SEQ_MAX;
    Some(Epoch(epoch).id(seq))
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        text.as_bytes().try_into().ok().and_then(decode).ok_or_else(|| {
            Error::new(Code::SinceInvalid, format!("id {} is malformed", quoted(text)))
        })
    }
}

/// Characters of the alphabet as text.
pub(crate) fn text(chars: &[u8]) -> &str {
    str::from_utf8(chars).expect("the alphabet is ASCII")
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(&self.encode()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = [0; EPOCH_CHARS];
        write(self.0.into(), &mut chars);
        f.write_str(text(&chars))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text(&self.encode()))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by the book, digit after digit.
    fn plain(epoch: u32, seq: u64) -> String {
        let mut number = u128::from(epoch) << SEQ_BITS | u128::from(seq);
        let mut chars = [0; ID_CHARS];
        for place in chars.iter_mut().rev() {
            *place = ALPHABET[(number % 62) as usize];
            number /= 62;
        }
        text(&chars).to_owned()
    }

    /// Any place, the first and the last ones more often than others.
    fn places() -> impl Strategy<Value = (u32, u64)> {
        let epochs = prop_oneof![0..=EPOCH_MAX, 0..=3u32, EPOCH_MAX - 3..=EPOCH_MAX];
        let seqs = prop_oneof![0..=SEQ_MAX, 0..=3u64, SEQ_MAX - 3..=SEQ_MAX];
        (epochs, seqs)
    }

    #[test]
    fn an_id_is_one_number_in_twelve_characters() {
        assert_eq!(Epoch::from_bits(0).id(0).to_string(), "000000000000");
        assert_eq!(Epoch::from_bits(0).id(62 * 62 + 36).to_string(), "00000000010a");
        assert_eq!(Epoch::from_bits(1).id(0).to_string(), "00004ziepp2G");
        assert_eq!(Epoch::from_bits(EPOCH_MAX).id(SEQ_MAX).to_string(), "jNHIIMGjEEj1");
        assert_eq!(Epoch::from_bits(62).to_string(), "00010");
        assert_eq!(Epoch::from_bits(u32::MAX).to_string(), "95AA3");
        assert!(ALPHABET.is_sorted());
    }

    #[test]
    fn what_names_no_place_is_refused() {
        let beyond = "jNHIIMGjEEj2";
        for text in ["", "00000000000", "0000000000000", "zzzzzzzzzzzz", beyond, "ü0000000000"] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
        for char in (0..=127u8).map(char::from).filter(|char| !char.is_ascii_alphanumeric()) {
            assert!(format!("00000{char}000000").parse::<Id>().is_err(), "{char:?}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip_and_sort_as_their_strings(a in places(), b in places()) {
            let [a, b] = [a, b].map(|(epoch, seq)| Epoch::from_bits(epoch).id(seq));
            prop_assert_eq!(a.to_string().parse::<Id>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn the_halves_make_the_number((epoch, seq) in places()) {
            prop_assert_eq!(Epoch::from_bits(epoch).id(seq).to_string(), plain(epoch, seq));
        }

        #[test]
        fn twelve_characters_are_one_place_or_none(text in "[0-9A-Za-z]{12}") {
            if let Ok(id) = text.parse::<Id>() {
                prop_assert_eq!(id.to_string(), text);
            } else {
                let last = Epoch::from_bits(EPOCH_MAX).id(SEQ_MAX).to_string();
                prop_assert!(text > last);
            }
        }
    }
}
