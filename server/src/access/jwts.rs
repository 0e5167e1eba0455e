//! Tokens that others have signed, and that were verified: each with its grant, until it expires or
//! what it was verified by changes.
//!
//! They are remembered by their hashes. One that is forgotten could not be ended, so that only
//! those are forgotten by which nobody lives.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use doorbell_protocol::{Code, Error};

use super::grant::Grant;
use crate::audit::Audit;
use crate::limits::JWTS_REMEMBERED_MAX;
use crate::rights::{Claimed, Identity, JwtVerifier, TokenHash};

/// What verifies them, and those that are remembered; `None` once others have taken their place.
#[derive(Debug)]
pub(super) struct Jwts {
    verifier: JwtVerifier,
    known: Mutex<Option<HashMap<TokenHash, Grant>>>,
}

impl Jwts {
    /// None is known yet.
    pub(super) fn new(verifier: JwtVerifier) -> Self {
        Self { verifier, known: Mutex::new(Some(HashMap::new())) }
    }

    /// Whether another one would verify the same.
    pub(super) fn is_like(&self, verifier: &JwtVerifier) -> bool {
        self.verifier == *verifier
    }

    /// The file of its keys, from the folder of the access file.
    pub(super) fn key_file(&self) -> &Path {
        self.verifier.key_file()
    }

    /// The grant of a token.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub(super) fn admit(&self, token: &str, now: u64) -> Result<Grant, Error> {
        let hash = TokenHash::of(token);
        let known = self.known().as_ref().and_then(|known| known.get(&hash).cloned());
        if let Some(grant) = known.filter(|grant| grant.expires().is_some_and(|end| now < end)) {
            return Ok(grant);
        }
        let claimed = self.verifier.verify(token, now);
        self.remember(hash, claimed.map_err(|why| Error::new(Code::Unauthorized, why))?)
    }

    /// The token of a grant, and what it gives, if the grant is one of a token that is remembered.
    pub(super) fn token_of(&self, grant: &Grant) -> Option<(TokenHash, Claimed)> {
        let known = self.known();
        let (token, _) = known.as_ref()?.iter().find(|(_, known)| *known == grant)?;
        let (subject, rights) = (grant.identity()?.name.to_string(), grant.rights()?.clone());
        Some((*token, Claimed { subject, rights, expires: grant.expires()? }))
    }

    /// The grant of a token that was verified, here or by another server.
    ///
    /// # Errors
    ///
    /// That what tokens are verified by has changed, or that too many are in use.
    pub(super) fn remember(&self, hash: TokenHash, claimed: Claimed) -> Result<Grant, Error> {
        let Claimed { subject, rights, expires } = claimed;
        let identity = Identity { kind: "jwt", name: subject.into() };
        let mut known = self.known();
        let Some(known) = known.as_mut() else {
            let text = "what tokens are verified by has just changed: try again";
            return Err(Error::new(Code::Unauthorized, text));
        };
        if known.len() >= JWTS_REMEMBERED_MAX {
            known.retain(|_, grant| grant.is_shared());
        }
        if known.len() >= JWTS_REMEMBERED_MAX {
            let text =
                format!("{JWTS_REMEMBERED_MAX} signed tokens are in use, which is the limit");
            return Err(Error::new(Code::Busy, text));
        }
        // Another request may have brought it meanwhile.
        let grant = known.entry(hash);
        Ok(grant.or_insert_with(|| Grant::new(identity, rights, Some(expires))).clone())
    }

    /// Ends those whose time has passed.
    pub(super) fn expire(&self, now: u64, audit: &Audit) {
        let mut known = self.known();
        let expired = known.iter_mut().flat_map(|known| {
            known.extract_if(|_, grant| grant.expires().is_some_and(|end| end <= now))
        });
        expired.for_each(|(_, grant)| grant.end(None, "expired", audit));
    }

    /// Ends all of them for this reason, and takes no others.
    pub(super) fn end(&self, reason: &'static str, audit: &Audit) {
        let known = self.known().take();
        let grants = known.into_iter().flatten().map(|(_, grant)| grant);
        grants.for_each(|grant| grant.end(None, reason, audit));
    }

    fn known(&self) -> MutexGuard<'_, Option<HashMap<TokenHash, Grant>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;
    use crate::rights::AccessFile;

    const NOW: u64 = 1_800_000_000;
    const SECRET: &str = "a secret of more than thirty-two bytes";

    fn jwts() -> Jwts {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let text = "[jwt]\nissuer = \"us\"\naudience = \"doorbell\"\nsecret_file = \"secret\"\n\
                    algorithms = [\"HS256\"]\n";
        let settings = AccessFile::parse(text).unwrap().jwt.unwrap();
        Jwts::new(JwtVerifier::open(settings, folder.path()).unwrap())
    }

    fn token(name: &str, expires: u64) -> String {
        let claims = json!({"iss": "us", "aud": "doorbell", "sub": name, "exp": expires});
        let key = EncodingKey::from_secret(SECRET.as_bytes()).unwrap();
        encode(&Header::default(), &claims, &key).unwrap()
    }

    #[test]
    fn a_token_has_one_grant_which_ends_with_it() {
        let (jwts, token) = (jwts(), token("a", NOW + 10));
        let grant = jwts.admit(&token, NOW).unwrap();
        assert_eq!(jwts.admit(&token, NOW).unwrap(), grant);
        jwts.expire(NOW + 9, &Audit::default());
        assert!(grant.is_current());
        assert!(jwts.admit(&token, NOW + 10).is_err(), "before anybody has looked");
        jwts.expire(NOW + 10, &Audit::default());
        assert!(!grant.is_current());
    }

    #[test]
    fn those_by_which_somebody_lives_are_not_forgotten_and_end_together() {
        let jwts = jwts();
        let admit = |number: usize| jwts.admit(&token(&number.to_string(), NOW + 10), NOW);
        let held: Vec<Grant> =
            (1..JWTS_REMEMBERED_MAX).map(|number| admit(number).unwrap()).collect();
        for number in 100..110 {
            admit(number).unwrap();
        }
        let last = admit(200).unwrap();
        assert_eq!(admit(201).unwrap_err().code(), Code::Busy);
        jwts.end("changed", &Audit::default());
        assert!(held.iter().chain([&last]).all(|grant| !grant.is_current()));
        assert_eq!(admit(202).unwrap_err().code(), Code::Unauthorized);
    }
}
