//! Passwords that were verified of late, and turns to verify others.
//!
//! To verify one is slow on purpose, so that at most two are at a time, and what came of it is
//! remembered for some minutes: under a keyed hash, since what is remembered is as good as the
//! password.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt, rng};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Verification;
use crate::limits::{
    PASSWORDS_REMEMBERED_FOR, PASSWORDS_REMEMBERED_MAX, PASSWORDS_VERIFIED_AT_ONCE,
    PASSWORDS_WAITING_MAX, PASSWORDS_WRONG_FOR, RETRY_AFTER_SECONDS,
};
use crate::rights::{PasswordHash, verify_nobody};

/// What came of verifying, by a keyed hash of the pair.
pub(super) struct Passwords {
    key: [u8; 32],
    known: Mutex<HashMap<[u8; 32], Known>>,
    turns: Semaphore,
    waiting: Semaphore,
}

#[derive(Clone, Copy)]
struct Known {
    verdict: Verdict,
    until: Instant,
}

/// What came of verifying a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Too many others wait for their turn.
    Busy,
}

impl Verdict {
    /// How long it is remembered.
    fn lasts(self) -> Duration {
        match self {
            Self::Right => PASSWORDS_REMEMBERED_FOR,
            Self::Wrong => PASSWORDS_WRONG_FOR,
            Self::Busy => Duration::from_secs(RETRY_AFTER_SECONDS),
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            key: rng().random(),
            known: Mutex::default(),
            turns: Semaphore::new(PASSWORDS_VERIFIED_AT_ONCE),
            waiting: Semaphore::new(PASSWORDS_WAITING_MAX),
        }
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").field("known", &self.known().len()).finish_non_exhaustive()
    }
}

impl Passwords {
    /// Whether a user's password is right, if that was verified of late. `hash` is the user's,
    /// absent if there is no such user.
    pub(super) fn verify(
        self: &Arc<Self>,
        hash: Option<&PasswordHash>,
        name: &str,
        password: &str,
    ) -> Result<Verdict, Verification> {
        let remembered_as = self.keyed(hash, name, password);
        match self.known().get(&remembered_as) {
            Some(known) if Instant::now() < known.until => Ok(known.verdict),
            _ => {
                let (password, hash) = (password.into(), hash.cloned());
                Err(Verification::new(self.clone().find_out(remembered_as, password, hash)))
            }
        }
    }

    /// Always remembers it: whoever waited for it asks again.
    fn remember(&self, pair: [u8; 32], verdict: Verdict) {
        let now = Instant::now();
        let mut known = self.known();
        if known.len() >= PASSWORDS_REMEMBERED_MAX {
            // Wrong ones are for a moment only, and their number is for anybody to choose.
            known.retain(|_, known| known.verdict == Verdict::Right && now < known.until);
        }
        if known.len() >= PASSWORDS_REMEMBERED_MAX {
            known.clear();
        }
        known.insert(pair, Known { verdict, until: now + verdict.lasts() });
    }

    /// Under what it is remembered. Another hash in the access file makes it another one.
    fn keyed(&self, hash: Option<&PasswordHash>, name: &str, password: &str) -> [u8; 32] {
        let hash = hash.map_or("", PasswordHash::as_str);
        // Neither a hash nor a name has a colon.
        let parts: [&[u8]; 6] =
            [&self.key, hash.as_bytes(), b":", name.as_bytes(), b":", password.as_bytes()];
        parts.iter().fold(Sha256::new(), Digest::chain_update).finalize().into()
    }

    async fn find_out(
        self: Arc<Self>,
        remembered_as: [u8; 32],
        password: Box<str>,
        hash: Option<PasswordHash>,
    ) {
        let verdict = match self.waiting.try_acquire() {
            Ok(_waits) => self.verdict(password, hash).await,
            Err(_) => Verdict::Busy,
        };
        self.remember(remembered_as, verdict);
    }

    async fn verdict(&self, password: Box<str>, hash: Option<PasswordHash>) -> Verdict {
        let Ok(_turn) = self.turns.acquire().await else { return Verdict::Busy };
        let verified = tokio::task::spawn_blocking(move || match hash {
            Some(hash) => hash.verify(&password),
            None => {
                verify_nobody(&password);
                false
            }
        });
        if verified.await.unwrap_or(false) { Verdict::Right } else { Verdict::Wrong }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
