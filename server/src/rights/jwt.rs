//! Tokens that others sign (JWT, RFC 7519): whether one is true, and what it gives.
//!
//! Which keys and which algorithms are good, the access file says; the token chooses among them and
//! nothing else. What it claims must be contained in what `[jwt]` allows. Its text is in no error.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorbell_protocol::code::quoted;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Serialize};

use super::{Action, Decision, Rights, Rule, WrittenRules};
use crate::limits::{
    ACCESS_NAME_BYTES_MAX, ACCESS_RULES_MAX, JWT_BYTES_MAX, JWT_CLOCK_SKEW, JWT_KEY_FILE_BYTES_MAX,
    JWT_KEYS_MAX,
};

/// Bytes of a shared secret at least: one that is shorter can be guessed from a single token.
const SECRET_BYTES_MIN: usize = 32;

/// What the access file says of them.
#[derive(Debug, PartialEq, Eq)]
pub struct JwtSettings {
    /// Whose tokens are taken.
    pub issuer: String,
    /// For whom they must be meant.
    pub audience: String,
    /// What they are verified with.
    pub keys: KeyFile,
    /// The algorithms that are taken.
    pub algorithms: Vec<Algorithm>,
    /// How old one may be.
    pub max_age: Option<Duration>,
    /// What they can give at most.
    pub rules: WrittenRules,
    /// Ids of those that are not taken any more.
    pub revoked: HashSet<String>,
    /// Those that were issued before are not taken either; in unix seconds.
    pub not_before: Option<u64>,
}

/// Where the keys are.
#[derive(Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// Public keys as a JWK set.
    Jwks(PathBuf),
    /// A secret that the issuer has as well.
    Secret(PathBuf),
}

impl KeyFile {
    /// Its path, from the folder of the access file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Jwks(path) | Self::Secret(path) => path,
        }
    }
}

/// Verifies tokens.
pub struct JwtVerifier {
    settings: JwtSettings,
    /// What the settings allow.
    most: Rights,
    keys: Vec<Key>,
    /// All that the keys were made of.
    material: Vec<u8>,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    verifies: DecodingKey,
}

/// What a token gives.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claimed {
    /// Whose it is: the claim `sub`.
    pub subject: String,
    /// What it gives.
    pub rights: Rights,
    /// When that ends, in unix seconds.
    pub expires: u64,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    jti: Option<String>,
    #[serde(default)]
    doorbell: ClaimedTopics,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ClaimedTopics {
    #[serde(rename = "pub")]
    publish: Vec<String>,
    #[serde(rename = "sub")]
    read: Vec<String>,
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtVerifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl PartialEq for JwtVerifier {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.material == other.material
    }
}

impl JwtVerifier {
    /// Reads the keys. Paths are from a folder on.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in one sentence.
    pub fn open(settings: JwtSettings, folder: &Path) -> Result<Self, String> {
        let path = folder.join(settings.keys.path());
        let wrong = |why: &dyn fmt::Display| format!("jwt: {}: {why}", path.display());
        let length = fs::metadata(&path).map_err(|error| wrong(&error))?.len();
        if length > JWT_KEY_FILE_BYTES_MAX {
            let why = format!("it has {length} bytes, limit is {JWT_KEY_FILE_BYTES_MAX}");
            return Err(wrong(&why));
        }
        let material = fs::read(&path).map_err(|error| wrong(&error))?;
        let keys = match &settings.keys {
            KeyFile::Jwks(_) => public_keys(&material),
            KeyFile::Secret(_) => secret_key(&material),
        };
        let keys = keys.map_err(|why| wrong(&why))?;
        for algorithm in &settings.algorithms {
            if !keys.iter().any(|key| key.algorithm == *algorithm) {
                return Err(wrong(&format!("there is no key for {algorithm:?}")));
            }
        }
        let most = settings.rules.rights();
        Ok(Self { settings, most, keys, material })
    }

    /// The file of its keys.
    pub fn key_file(&self) -> &Path {
        self.settings.keys.path()
    }

    /// What a token gives.
    ///
    /// # Errors
    ///
    /// Why it is not taken, in a sentence that names the claim.
    pub fn verify(&self, token: &str, now: u64) -> Result<Claimed, String> {
        if token.len() > JWT_BYTES_MAX {
            let length = token.len();
            return Err(format!("the token is {length} bytes long, limit is {JWT_BYTES_MAX}"));
        }
        let header = decode_header(token).map_err(|error| said(error.kind()))?;
        if !self.settings.algorithms.contains(&header.alg) {
            return Err(format!("the token's alg {:?} is not one that is taken", header.alg));
        }
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // That is looked at with the other times.
        validation.validate_exp = false;
        let fits = |key: &&Key| {
            key.algorithm == header.alg
                && (header.kid.is_none() || header.kid == key.id || key.id.is_none())
        };
        let mut refusal = "the token's kid names no key that its alg fits".to_owned();
        for Key { verifies, .. } in self.keys.iter().filter(fits) {
            match decode::<Claims>(token, verifies, &validation) {
                Ok(decoded) => return self.claimed(decoded.claims, now),
                Err(error) => refusal = said(error.kind()),
            }
        }
        Err(refusal)
    }

    fn claimed(&self, claims: Claims, now: u64) -> Result<Claimed, String> {
        let Claims { sub, exp, nbf, iat, jti, doorbell } = claims;
        // Their presence was validated.
        let (sub, exp) = (sub.unwrap_or_default(), exp.unwrap_or_default());
        let settings = &self.settings;
        let soon = now + JWT_CLOCK_SKEW.as_secs();
        let wrong = |why: &str| Err(format!("the token's claim {why}"));
        if sub.is_empty() || sub.len() > ACCESS_NAME_BYTES_MAX || sub.contains(char::is_control) {
            let why = format!("sub is to have 1 to {ACCESS_NAME_BYTES_MAX} bytes, none a control");
            return wrong(&why);
        }
        if exp <= now {
            return wrong("exp has passed");
        }
        if nbf.is_some_and(|nbf| nbf > soon) {
            return wrong("nbf is not reached yet");
        }
        if iat.is_some_and(|iat| iat > soon) {
            return wrong("iat is in the future");
        }
        if iat.is_none() && (settings.max_age.is_some() || settings.not_before.is_some()) {
            return wrong("iat is missing");
        }
        if iat.zip(settings.not_before).is_some_and(|(iat, not_before)| iat < not_before) {
            return wrong("iat is before the time from which tokens are taken");
        }
        if jti.is_some_and(|jti| settings.revoked.contains(&jti)) {
            return wrong("jti is that of a revoked one");
        }
        let age_end = iat.zip(settings.max_age).map(|(iat, age)| iat.saturating_add(age.as_secs()));
        if age_end.is_some_and(|end| end <= now) {
            return wrong("iat is too long ago");
        }
        let mut rules = self.rules("pub", Action::Publish, &doorbell.publish)?;
        rules.extend(self.rules("sub", Action::Read, &doorbell.read)?);
        let rights = Rights::new(&rules, &settings.rules.deny, false);
        let expires = age_end.map_or(exp, |end| end.min(exp));
        Ok(Claimed { subject: sub, rights, expires })
    }

    fn rules(&self, verb: &str, action: Action, texts: &[String]) -> Result<Vec<Rule>, String> {
        let wrong = |why: String| format!("the token's claim doorbell.{verb}: {why}");
        if texts.len() > ACCESS_RULES_MAX {
            let why = format!("it has {} filters, limit is {ACCESS_RULES_MAX}", texts.len());
            return Err(wrong(why));
        }
        let mut rules = Vec::with_capacity(texts.len());
        for text in texts {
            let rule: Rule = format!("{verb} {text}").parse().map_err(wrong)?;
            let mut patterns = rule.filter().patterns().iter();
            let above = patterns.find(|one| self.most.decide(action, one) == Decision::NotAllowed);
            if let Some(pattern) = above {
                let pattern = quoted(pattern.as_str());
                return Err(wrong(format!("{pattern} is more than [jwt] allows")));
            }
            rules.push(rule);
        }
        Ok(rules)
    }
}

fn public_keys(material: &[u8]) -> Result<Vec<Key>, String> {
    let set: JwkSet = serde_json::from_slice(material)
        .map_err(|error| format!("it is no JWK set: line {}", error.line()))?;
    if set.keys.len() > JWT_KEYS_MAX {
        return Err(format!("it has {} keys, limit is {JWT_KEYS_MAX}", set.keys.len()));
    }
    let signing = |jwk: &&Jwk| !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
    let mut keys = Vec::new();
    for (index, jwk) in set.keys.iter().filter(signing).enumerate() {
        let verifies =
            DecodingKey::from_jwk(jwk).map_err(|_| format!("key {} cannot be used", index + 1))?;
        let algorithm = algorithm_of(jwk).map_err(|why| format!("key {}: {why}", index + 1))?;
        keys.push(Key { id: jwk.common.key_id.clone(), algorithm, verifies });
    }
    Ok(keys)
}

/// The one algorithm that a key is for: it is the key's to say, never the token's.
fn algorithm_of(jwk: &Jwk) -> Result<Algorithm, String> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        AlgorithmParameters::OctetKey(_) => {
            return Err("it is a secret, which belongs into a secret_file".to_owned());
        }
        _ => return Err("it is for none of EdDSA, ES256 and RS256".to_owned()),
    };
    match jwk.common.key_algorithm.map(|named| format!("{named:?}")) {
        Some(named) if named != format!("{algorithm:?}") => {
            Err(format!("its alg is {named}, which is not taken"))
        }
        _ => Ok(algorithm),
    }
}

fn secret_key(material: &[u8]) -> Result<Vec<Key>, String> {
    let secret = material.trim_ascii_end();
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("it has {} bytes, {SECRET_BYTES_MIN} are needed", secret.len()));
    }
    let verifies = DecodingKey::from_secret(secret).map_err(|_| "it cannot be used".to_owned())?;
    Ok(vec![Key { id: None, algorithm: Algorithm::HS256, verifies }])
}

/// What is wrong with a token, without any of its text.
fn said(kind: &ErrorKind) -> String {
    let text = match kind {
        ErrorKind::InvalidIssuer => "the token's claim iss is not the issuer that is trusted",
        ErrorKind::InvalidAudience => "the token's claim aud is not for this server",
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::MissingRequiredClaim(claim) => {
            let known = ["aud", "exp", "iss", "sub"].into_iter().find(|known| known == claim);
            return format!("the token's claim {} is missing", known.unwrap_or("set"));
        }
        ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => {
            "the token's header or a claim of it is malformed"
        }
        _ => "the token is malformed",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests;
