//! Tokens: secrets that nobody can guess, so that they are kept as a quick hash.
//!
//! A token is `tk_` and 29 of `a-z0-9`, the shape that the clients of the dialect know: 149 bits
//! from the operating system. It is shown once; what is kept is its SHA-256.

use std::fmt;
use std::str::FromStr;

use rand::{RngExt, rng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How every token begins.
pub const TOKEN_PREFIX: &str = "tk_";
/// Characters after the prefix.
const TOKEN_CHARS: usize = 29;
const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new token. It is shown by nothing but [`Token::reveal`].
pub struct Token(String);

/// Under what a token is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenHash([u8; 32]);

impl Token {
    /// One that was never given out.
    pub fn generate() -> Self {
        let mut random = rng();
        let letter = |_| char::from(ALPHABET[random.random_range(..ALPHABET.len())]);
        Self(TOKEN_PREFIX.chars().chain((0..TOKEN_CHARS).map(letter)).collect())
    }

    /// Its text, to be shown to its owner once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Its hash.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl TokenHash {
    /// The hash of what somebody presents.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl FromStr for TokenHash {
    /// A sentence without the text: somebody may have written a secret here.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let wrong = "sha256 is to be the 64 hexadecimal digits of a token's SHA-256";
        if text.starts_with(TOKEN_PREFIX) {
            return Err("sha256 is a token: write its SHA-256, and give out another token");
        }
        let digit =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(wrong) };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let hash = bytes.and_then(|bytes| bytes.try_into().ok());
        hash.map(Self).ok_or(wrong)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_shape_of_the_dialect_and_is_found_by_its_hash() {
        let (one, other) = (Token::generate(), Token::generate());
        assert_ne!(one.reveal(), other.reveal());
        let rest = one.reveal().strip_prefix("tk_").unwrap();
        assert_eq!(rest.len(), 29);
        assert!(rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        assert_eq!(one.hash().to_string().parse(), Ok(one.hash()));
        // printf abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of("abc").to_string(), abc);
        assert_eq!(abc.to_uppercase().parse(), Ok(TokenHash::of("abc")));
    }

    #[test]
    fn a_secret_in_the_place_of_a_hash_is_not_repeated() {
        let token = Token::generate();
        for text in ["", "ab", "zz", token.reveal(), &"a".repeat(63), &"ä".repeat(32)] {
            let error = text.parse::<TokenHash>().unwrap_err();
            assert!(text.len() < 3 || !error.contains(text), "{error}");
        }
    }
}
