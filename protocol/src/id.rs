//! The place of a message in the log, as 12 characters that sort like the places they name.
//!
//! ```text
//! 0   1   2 | 3   4   5   6   7   8   9   10  11
//! epoch: 15 bits | seq: 45 bits         5 bits a character, most significant first
//! ```
//!
//! The alphabet is that of Douglas Crockford's Base 32 (<https://www.crockford.com/base32.html>),
//! in lower case only: one place has one spelling, so ids can be compared as strings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::code::{Code, Error, quoted};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const EPOCH_CHARS: usize = 3;

/// Characters of an id.
pub const ID_CHARS: usize = 12;
/// The highest seq: 45 bits, a million messages a second for a year and more.
pub const SEQ_MAX: u64 = (1 << 45) - 1;

/// Which log an id belongs to: drawn at random when a log is created, so that an id of another
/// log is recognised instead of guessed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u16);

impl Epoch {
    /// An epoch from any number; only its low 15 bits count.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0x7fff)
    }

    /// The 15 bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The id of a place in this log.
    ///
    /// # Panics
    ///
    /// When `seq` is above [`SEQ_MAX`]: the log is at its end.
    pub fn id(self, seq: u64) -> Id {
        assert!(seq <= SEQ_MAX, "seq {seq} is above {SEQ_MAX}");
        Id(u64::from(self.0) << 45 | seq)
    }
}

/// A place in a log: after the message with this seq, or before all of them when it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// The log that the place belongs to.
    #[allow(clippy::cast_possible_truncation, reason = "15 bits are left")]
    pub const fn epoch(self) -> Epoch {
        Epoch((self.0 >> 45) as u16)
    }

    /// The place: the number of a message, rising over all topics, the first being 1.
    pub const fn seq(self) -> u64 {
        self.0 & SEQ_MAX
    }

    /// The 12 characters.
    pub fn encode(self) -> [u8; ID_CHARS] {
        let mut chars = [0; ID_CHARS];
        let mut bits = self.0;
        for place in chars.iter_mut().rev() {
            *place = ALPHABET[(bits & 31) as usize];
            bits >>= 5;
        }
        chars
    }
}

impl FromStr for Id {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid =
            || Error::new(Code::SinceInvalid, format!("id {} is malformed", quoted(text)));
        if text.len() != ID_CHARS {
            return Err(invalid());
        }
        let mut bits = 0;
        for byte in text.bytes() {
            let digit = ALPHABET.iter().position(|c| *c == byte).ok_or_else(invalid)?;
            bits = bits << 5 | digit as u64;
        }
        Ok(Self(bits))
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
        f.write_str(&text(&self.id(0).encode())[..EPOCH_CHARS])
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

    #[test]
    fn an_id_is_twelve_lower_case_characters() {
        assert_eq!(Epoch::from_bits(0).id(0).to_string(), "000000000000");
        assert_eq!(Epoch::from_bits(0x7fff).id(SEQ_MAX).to_string(), "zzzzzzzzzzzz");
        assert_eq!(Epoch::from_bits(1).id(32).to_string(), "001000000010");
        assert_eq!(Epoch::from_bits(1).to_string(), "001");
    }

    #[test]
    fn letters_outside_the_alphabet_and_capitals_are_refused() {
        for text in
            ["", "00000000000", "0000000000000", "00000000000A", "il0000000000", "ü0000000000"]
        {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip_and_sort_as_their_strings(
            a in (0u16..1 << 15, 0..=SEQ_MAX), b in (0u16..1 << 15, 0..=SEQ_MAX)
        ) {
            let [a, b] = [a, b].map(|(epoch, seq)| Epoch::from_bits(epoch).id(seq));
            prop_assert_eq!(a.to_string().parse::<Id>().unwrap(), a);
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
