//! Everybody whom the access file names, with the grant of each; and what becomes of the grants
//! when another file takes its place.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use rand::{RngExt, rng};
use siphasher::sip128::SipHasher24;

use super::grant::Grant;
use super::holder::Holder;
use super::jwts::Jwts;
use crate::audit::Audit;
use crate::rights::{
    AccessEntry, AccessFile, Credentials, Identity, JwtVerifier, PasswordHash, TokenHash,
};

/// Why a right ends of which the access file says something else now.
const CHANGED: &str = "changed";

/// Everybody whom the file names.
#[derive(Debug)]
pub(super) struct Table {
    tokens: HashMap<TokenHash, Grant>,
    seen: SeenTokens,
    users: HashMap<Box<str>, (PasswordHash, Grant)>,
    uids: HashMap<u32, Grant>,
    certificates: HashMap<Box<str>, Grant>,
    anonymous: Grant,
    jwts: Option<Arc<Jwts>>,
    /// Every entry by its identity, for the next file and for what ends by itself.
    known: HashMap<Identity, (Credentials, Grant)>,
}

/// Tokens that were found, by a keyed hash that takes a fraction of the time of a token's own. Each
/// token of the file stands here once at most, and another file begins anew.
struct SeenTokens {
    keyed: SipHasher24,
    grants: RwLock<HashMap<u128, Grant, RandomState>>,
}

impl Default for SeenTokens {
    fn default() -> Self {
        let keyed = SipHasher24::new_with_key(&rng().random());
        Self { keyed, grants: RwLock::default() }
    }
}

impl std::fmt::Debug for SeenTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SeenTokens")
    }
}

impl SeenTokens {
    /// The grant of a token: as it was found before, else as it is found now.
    fn find(&self, token: &str, find: impl FnOnce() -> Option<Grant>) -> Option<Grant> {
        let key = self.keyed.hash(token.as_bytes()).as_u128();
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(grant) = grants.get(&key) {
            return Some(grant.clone());
        }
        drop(grants);
        let grant = find()?;
        let mut grants = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        grants.insert(key, grant.clone());
        Some(grant)
    }
}

impl Table {
    /// What a file says. Where it says of somebody what `before` said, the grant stays the same.
    pub(super) fn new(
        file: AccessFile,
        verifier: Option<JwtVerifier>,
        before: Option<&Self>,
    ) -> Self {
        let jwts = verifier.map(|verifier| {
            let kept = before.and_then(|table| table.jwts.clone());
            let kept = kept.filter(|jwts| jwts.is_like(&verifier));
            kept.unwrap_or_else(|| Arc::new(Jwts::new(verifier)))
        });
        let anonymous = Identity { kind: "anonymous", name: "".into() };
        let kept = before.map(|table| &table.anonymous);
        let rights = file.anonymous.rights();
        let kept = kept.filter(|grant| grant.rights() == Some(&rights)).cloned();
        let anonymous = kept.unwrap_or_else(|| Grant::new(anonymous, rights, None));
        let mut table = Self {
            tokens: HashMap::new(),
            seen: SeenTokens::default(),
            users: HashMap::new(),
            uids: HashMap::new(),
            certificates: HashMap::new(),
            anonymous,
            jwts,
            known: HashMap::new(),
        };
        for entry in file.entries {
            table.add(entry, before);
        }
        table
    }

    fn add(&mut self, entry: AccessEntry, before: Option<&Self>) {
        let AccessEntry { credentials, name, rules, expires } = entry;
        let rights = rules.rights();
        let name: Box<str> = name.into();
        let identity = Identity { kind: credentials.kind(), name: name.clone() };
        let kept = before.and_then(|table| table.known.get(&identity));
        let kept = kept.filter(|(known, grant)| {
            *known == credentials && grant.rights() == Some(&rights) && grant.expires() == expires
        });
        let grant = match kept {
            Some((_, grant)) => grant.clone(),
            None => Grant::new(identity.clone(), rights, expires),
        };
        match &credentials {
            Credentials::Token(hash) => {
                self.tokens.insert(*hash, grant.clone());
            }
            Credentials::Password(hash) => {
                self.users.insert(name, (hash.clone(), grant.clone()));
            }
            Credentials::Uid(uid) => {
                self.uids.insert(*uid, grant.clone());
            }
            Credentials::Certificate => {
                self.certificates.insert(name, grant.clone());
            }
        }
        self.known.insert(identity, (credentials, grant));
    }

    /// Ends the grants of the table before this one that are not in it. One whose secret is the
    /// same goes on as the new grant, as far as that reaches: a token under whatever name.
    pub(super) fn succeed(&self, before: &Self, audit: &Audit) {
        if before.anonymous != self.anonymous {
            before.anonymous.end(Some(self.anonymous.clone()), CHANGED, audit);
        }
        for (identity, (credentials, old)) in &before.known {
            let new = self.known.get(identity);
            if new.is_some_and(|(_, new)| new == old) {
                continue;
            }
            let same = match credentials {
                Credentials::Token(hash) => self.tokens.get(hash),
                _ => new.filter(|(new, _)| new == credentials).map(|(_, new)| new),
            };
            let reason = if new.is_some() || same.is_some() { CHANGED } else { "revoked" };
            old.end(same.cloned(), reason, audit);
        }
        if let Some(jwts) = &before.jwts
            && !self.jwts.as_ref().is_some_and(|new| Arc::ptr_eq(new, jwts))
        {
            jwts.end(CHANGED, audit);
        }
    }

    /// Ends every grant whose time has passed, in unix seconds.
    pub(super) fn expire(&self, now: u64, audit: &Audit) {
        if let Some(jwts) = &self.jwts {
            jwts.expire(now, audit);
        }
        let grants = self.known.values().map(|(_, grant)| grant);
        let passed = grants.filter(|grant| grant.expires().is_some_and(|end| end <= now));
        passed.for_each(|grant| grant.end(None, "expired", audit));
    }

    /// The grant of a token.
    pub(super) fn token(&self, token: &str) -> Option<Grant> {
        self.seen.find(token, || self.tokens.get(&TokenHash::of(token)).cloned())
    }

    /// Those who bring what others have signed.
    pub(super) fn jwts(&self) -> Option<&Jwts> {
        self.jwts.as_deref()
    }

    /// The hash of a user's password, and the user's grant.
    pub(super) fn user(&self, name: &str) -> Option<&(PasswordHash, Grant)> {
        self.users.get(name)
    }

    /// The grant of a process's user, if the file names it.
    pub(super) fn uid(&self, uid: u32) -> Option<&Grant> {
        self.uids.get(&uid)
    }

    /// The grant of the first of a certificate's names that the file names.
    pub(super) fn certificate(&self, names: &[String]) -> Option<&Grant> {
        names.iter().find_map(|name| self.certificates.get(name.as_str()))
    }

    /// The grant of whoever brings nothing.
    pub(super) fn anonymous(&self) -> &Grant {
        &self.anonymous
    }

    /// The holder of an identity that the file names.
    pub(super) fn holder(&self, identity: &Identity) -> Option<Holder> {
        let (credentials, _) = self.known.get(identity)?;
        let (kind, name) = (identity.kind.into(), identity.name.clone());
        Some(Holder { kind, name, proof: credentials.proof().into() })
    }

    /// What a holder is granted, if it is the same that it was.
    pub(super) fn held_by(&self, holder: &Holder) -> Option<&Grant> {
        if holder.is_anybody() {
            return Some(&self.anonymous);
        }
        let kind = Credentials::KINDS.into_iter().find(|kind| *kind == &*holder.kind)?;
        let (credentials, grant) = self.known.get(&Identity { kind, name: holder.name.clone() })?;
        (credentials.proof() == *holder.proof).then_some(grant)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
