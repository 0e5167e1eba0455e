//! Passwords: secrets that can be guessed, so that they are kept as a slow hash, argon2id.
//!
//! Verifying one takes some ten milliseconds and 19 MiB on purpose. Whoever calls it bounds how
//! often, and does so on a thread that may block.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};

/// A password's hash, `$argon2id$…`. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<Written>);

/// As it is computed with, and as it was written.
#[derive(PartialEq, Eq)]
struct Written {
    phc: Phc,
    text: Box<str>,
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// Costs that a file may ask for: an hour of work for each request would be an attack.
const MEMORY_KIB_MAX: u32 = 256 << 10;
const PASSES_MAX: u32 = 16;

impl std::str::FromStr for PasswordHash {
    /// A sentence without the text: somebody may have written a secret here.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let hash = Phc::new(text).ok().filter(|hash| hash.algorithm.as_str() == "argon2id");
        let hash = hash.ok_or("argon2id is to be a hash that begins with $argon2id$v=19$")?;
        let cost = |name| hash.params.get_decimal(name).unwrap_or_default();
        if cost("m") > MEMORY_KIB_MAX || cost("t") > PASSES_MAX {
            return Err("argon2id asks for more than 256 MiB or 16 passes");
        }
        Ok(Self(Arc::new(Written { phc: hash, text: text.into() })))
    }
}

impl PasswordHash {
    /// Whether this is the password. Slow.
    pub fn verify(&self, password: &str) -> bool {
        Argon2::default().verify_password(password.as_bytes(), &self.0.phc).is_ok()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

/// A hash to write into an access file: argon2id with 19 MiB, two passes, one lane.
///
/// # Errors
///
/// That the password is of no use.
pub fn hash_password(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string())
        .map_err(|error| format!("the password cannot be hashed: {error}"))
}

/// Takes as long as to verify a password, so that nobody learns which names there are.
pub fn verify_nobody(password: &str) {
    let mut out = [0; 32];
    let _ = Argon2::default().hash_password_into(password.as_bytes(), b"nobody's salt", &mut out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let text = hash_password("open sesame").unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash: PasswordHash = text.parse().unwrap();
        assert!(hash.verify("open sesame") && !hash.verify("open sesame "));
        let costly = text.replace("m=19456", "m=99999999");
        for text in ["", "open sesame", "$2y$10$abcdefghijklmnopqrstuv", &costly] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }
}
