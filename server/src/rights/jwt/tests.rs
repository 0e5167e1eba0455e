//! Signed tokens against what a verifier takes, with keys made for the test.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_protocol::topic::Pattern;
use jsonwebtoken::{EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};

use super::*;
use crate::rights::AccessFile;

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "a secret of more than thirty-two bytes";

/// A verifier by the `[jwt]` of an access file, and what signs for it.
fn verifier(more: &str, keys: &str) -> Result<JwtVerifier, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys"), keys).unwrap();
    let text = format!("[jwt]\nissuer = \"us\"\naudience = \"doorbell\"\n{more}\n");
    let settings = AccessFile::parse(&text).map_err(|error| error.to_string())?.jwt.unwrap();
    JwtVerifier::open(settings, folder.path())
}

fn with_secret(more: &str) -> JwtVerifier {
    let file = "secret_file = \"keys\"\nalgorithms = [\"HS256\"]\nallow = [\"pubsub a.>\"]\n";
    verifier(&format!("{file}{more}"), &format!("{SECRET}\n")).unwrap()
}

fn claims(more: Value) -> Value {
    let mut claims = json!({
        "iss": "us", "aud": "doorbell", "sub": "phil", "exp": NOW + 60, "iat": NOW - 60,
        "jti": "one", "doorbell": {"pub": ["a.x"], "sub": ["a.>"]},
    });
    let Value::Object(more) = more else { panic!("{more}") };
    claims.as_object_mut().unwrap().extend(more);
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn signed(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, key).unwrap()
}

fn by_secret(claims: &Value) -> String {
    signed(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()).unwrap(), claims)
}

#[test]
fn what_a_token_claims_is_what_it_gives() {
    let claimed = with_secret("deny = [\"sub a.secret\"]")
        .verify(&by_secret(&claims(json!({}))), NOW)
        .unwrap();
    assert_eq!((claimed.subject.as_str(), claimed.expires), ("phil", NOW + 60));
    let decide = |action, pattern: &str| -> bool {
        let pattern: Pattern = pattern.parse().unwrap();
        matches!(claimed.rights.decide(action, &pattern), Decision::Allowed(_))
    };
    assert!(decide(Action::Publish, "a.x") && decide(Action::Read, "a.>"));
    assert!(!decide(Action::Publish, "a.y") && !decide(Action::Read, "a.secret"));
    assert!(!claimed.rights.admin);
    let none = with_secret("").verify(&by_secret(&claims(json!({"doorbell": null}))), NOW).unwrap();
    assert!(none.rights.is_nothing());
}

#[test]
fn a_token_that_is_not_taken_is_told_which_claim_is_wrong_and_not_repeated() {
    let verifier =
        with_secret("max_age = \"1h\"\nrevoked = [\"gone\"]\nnot_before = 2026-01-01T00:00:00Z\n");
    for (more, expected) in [
        (json!({"exp": null}), "claim exp is missing"),
        (json!({"sub": null}), "claim sub is missing"),
        (json!({"iss": null}), "claim iss is missing"),
        (json!({"aud": null}), "claim aud is missing"),
        (json!({"exp": 1_000_000_000}), "claim exp has passed"),
        (json!({"exp": "soon"}), "malformed"),
        (json!({"iss": "others"}), "claim iss is not the issuer"),
        (json!({"aud": "others"}), "claim aud is not for this server"),
        (json!({"sub": ""}), "claim sub is to have 1 to 128 bytes"),
        (json!({"nbf": NOW + 3600}), "claim nbf is not reached"),
        (json!({"iat": NOW + 3600}), "claim iat is in the future"),
        (json!({"iat": NOW - 3600}), "claim iat is too long ago"),
        (json!({"iat": 1_700_000_000}), "claim iat is before the time"),
        (json!({"iat": null}), "claim iat is missing"),
        (json!({"jti": "gone"}), "claim jti is that of a revoked one"),
        (json!({"doorbell": {"sub": ["b"]}}), "claim doorbell.sub: 'b' is more than [jwt] allows"),
        (json!({"doorbell": {"pub": [">"]}}), "claim doorbell.pub: '>' is more than"),
        (json!({"doorbell": {"pub": ["a..b"]}}), "claim doorbell.pub: rule 'pub a..b'"),
        (json!({"doorbell": {"pub": "a"}}), "malformed"),
    ] {
        let token = by_secret(&claims(more));
        let why = verifier.verify(&token, NOW).unwrap_err();
        assert!(why.contains(expected), "{why}, not {expected}");
        assert!(token.split('.').all(|part| !why.contains(part)), "{why}");
    }
    let whole = by_secret(&claims(json!({})));
    let changed = format!("{}AAAAAAAA", &whole[..whole.len() - 8]);
    for (token, expected) in [
        (changed.as_str(), "signature"),
        ("", "malformed"),
        ("a.b.c", "malformed"),
        (&whole.replace('.', ""), "malformed"),
        (&"a".repeat(JWT_BYTES_MAX + 1), "limit is 8192"),
        // {"alg":"none"}
        (&format!("eyJhbGciOiJub25lIn0.{}.", whole.split('.').nth(1).unwrap()), "malformed"),
    ] {
        let why = verifier.verify(token, NOW).unwrap_err();
        assert!(why.contains(expected), "{why}, not {expected}");
    }
    assert_eq!(verifier.verify(&whole, NOW).unwrap().expires, NOW + 60);
}

#[test]
fn a_token_lives_no_longer_than_its_age_allows() {
    let verifier = with_secret("max_age = \"90s\"\n");
    let claimed = verifier.verify(&by_secret(&claims(json!({"exp": NOW + 9999}))), NOW).unwrap();
    assert_eq!(claimed.expires, NOW + 30);
}

/// A key pair of an algorithm: what signs, and the public half as JSON.
fn pair(algorithm: Algorithm, id: &str) -> (EncodingKey, Value) {
    let coded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if algorithm == Algorithm::EdDSA {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let x = coded(pair.public_key_raw());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": id});
        return (EncodingKey::from_ed_der(&pair.serialize_der()), jwk);
    }
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    // A point that is not compressed: 4, x, y.
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": coded(x), "y": coded(y), "kid": id});
    (EncodingKey::from_ec_der(&pair.serialize_der()), jwk)
}

#[test]
fn a_key_is_good_for_its_own_algorithm_and_its_own_name() {
    let (elliptic, elliptic_jwk) = pair(Algorithm::ES256, "one");
    let (edwards, edwards_jwk) = pair(Algorithm::EdDSA, "two");
    let keys = json!({"keys": [elliptic_jwk, edwards_jwk]}).to_string();
    let of = |algorithms: &str| {
        let more = format!("jwks_file = \"keys\"\nalgorithms = [{algorithms}]\n");
        verifier(&format!("{more}allow = [\"pubsub a.>\"]"), &keys)
    };
    let both = of("\"ES256\", \"EdDSA\"").unwrap();
    let claims = claims(json!({}));
    let by_elliptic = signed(Algorithm::ES256, &elliptic, &claims);
    let by_edwards = signed(Algorithm::EdDSA, &edwards, &claims);
    both.verify(&by_elliptic, NOW).unwrap();
    both.verify(&by_edwards, NOW).unwrap();
    let one = of("\"ES256\"").unwrap();
    assert!(one.verify(&by_edwards, NOW).unwrap_err().contains("alg EdDSA"));
    let named = |id: &str| {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims, &elliptic).unwrap()
    };
    one.verify(&named("one"), NOW).unwrap();
    assert!(one.verify(&named("two"), NOW).unwrap_err().contains("kid names no key"));
    // The public key is no secret: nobody may sign with it.
    let with_public = EncodingKey::from_secret(keys.as_bytes()).unwrap();
    let forged = signed(Algorithm::HS256, &with_public, &claims);
    assert!(both.verify(&forged, NOW).unwrap_err().contains("alg HS256"));
    let (other, _) = pair(Algorithm::ES256, "one");
    let forged = signed(Algorithm::ES256, &other, &claims);
    assert!(one.verify(&forged, NOW).unwrap_err().contains("signature"));
    assert!(of("\"RS256\"").unwrap_err().contains("there is no key for RS256"));
}

#[test]
fn settings_that_would_be_weak_are_refused() {
    let jwks = "jwks_file = \"keys\"\n";
    let secret = "secret_file = \"keys\"\n";
    let octets = json!({"keys": [{"kty": "oct", "k": "YQ"}]}).to_string();
    for (more, keys, expected) in [
        (format!("{jwks}algorithms = [\"HS256\"]"), SECRET, "algorithm 'HS256' is none of"),
        (format!("{jwks}algorithms = [\"none\"]"), SECRET, "algorithm 'none' is none of"),
        (format!("{secret}algorithms = [\"ES256\"]"), SECRET, "algorithm 'ES256' is none of"),
        (format!("{jwks}{secret}algorithms = [\"HS256\"]"), SECRET, "one of jwks_file and"),
        ("algorithms = [\"HS256\"]".to_owned(), SECRET, "one of jwks_file and"),
        (format!("{jwks}algorithms = []"), SECRET, "are not to be empty"),
        (format!("{secret}algorithms = [\"HS256\"]"), "short", "it has 5 bytes, 32 are needed"),
        (format!("{jwks}algorithms = [\"ES256\"]"), &octets, "which belongs into a secret_file"),
        (format!("{jwks}algorithms = [\"ES256\"]"), "x", "it is no JWK set"),
        (format!("{secret}algorithms = [\"HS256\"]\nadmin = true"), SECRET, "unknown field"),
        (format!("{secret}algorithms = [\"HS256\"]\nmax_age = \"x\""), SECRET, "max_age 'x'"),
    ] {
        let error = verifier(&more, keys).unwrap_err();
        assert!(error.contains(expected), "{error}, not {expected}");
        assert!(!error.contains(SECRET), "{error}");
    }
}
