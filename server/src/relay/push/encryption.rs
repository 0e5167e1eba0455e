//! The text of a push, so that nobody but the browser that asked for it can read it.
//!
//! Source: RFC 8291 (Message Encryption for Web Push) over RFC 8188, with one record.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use rand::{RngExt, rng};

/// Bytes of a point of the curve P-256, uncompressed.
pub(super) const POINT_BYTES: usize = 65;
/// Bytes of the secret that a browser shares with those who push to it.
pub(super) const SECRET_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// What a push service must take (RFC 8030, section 7.2), and the size of the one record.
const BODY_BYTES_MAX: usize = 4096;
/// Salt, size of a record, length of a key, and the key.
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;
/// What is behind the text of the last record.
const LAST_RECORD: u8 = 2;
/// Bytes of a text.
pub(super) const TEXT_BYTES_MAX: usize = BODY_BYTES_MAX - HEADER_BYTES - 1 - TAG_BYTES;

/// What a browser gives to those who push to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BrowserKeys {
    /// Its public key.
    pub(super) p256dh: [u8; POINT_BYTES],
    /// A secret.
    pub(super) auth: [u8; SECRET_BYTES],
}

/// The body of a push with a text of at most [`TEXT_BYTES_MAX`].
///
/// # Errors
///
/// That the browser's key is none.
pub(super) fn encrypt(to: &BrowserKeys, text: &[u8]) -> Result<Vec<u8>, Unspecified> {
    encrypt_with(&PrivateKey::generate(&ECDH_P256)?, rng().random(), to, text)
}

fn encrypt_with(
    own: &PrivateKey,
    salt: [u8; SALT_BYTES],
    to: &BrowserKeys,
    text: &[u8],
) -> Result<Vec<u8>, Unspecified> {
    let public = own.compute_public_key()?;
    let public = public.as_ref();
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &to.p256dh);
    let info = [b"WebPush: info\0", &to.p256dh[..], public];
    let secret: [u8; 32] = agree(own, theirs, Unspecified, |shared| {
        derive(&Salt::new(HKDF_SHA256, &to.auth).extract(shared), &info)
    })?;
    let keys = Salt::new(HKDF_SHA256, &salt).extract(&secret);
    let key: [u8; 16] = derive(&keys, &[b"Content-Encoding: aes128gcm\0"])?;
    let nonce: [u8; 12] = derive(&keys, &[b"Content-Encoding: nonce\0"])?;
    let mut record = [text, &[LAST_RECORD]].concat();
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut record,
    )?;
    let record_bytes = u32::try_from(BODY_BYTES_MAX).map_err(|_| Unspecified)?.to_be_bytes();
    let key_bytes = [u8::try_from(public.len()).map_err(|_| Unspecified)?];
    Ok([&salt[..], &record_bytes, &key_bytes, public, &record].concat())
}

/// So many bytes.
struct Length<const N: usize>;

impl<const N: usize> KeyType for Length<N> {
    fn len(&self) -> usize {
        N
    }
}

fn derive<const N: usize>(from: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut out = [0; N];
    from.expand(info, Length::<N>)?.fill(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn the_example_of_the_standard_is_encrypted_as_it_stands_there() {
        let own = bytes::<32>("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let own = PrivateKey::from_private_key(&ECDH_P256, &own).unwrap();
        let to = BrowserKeys {
            p256dh: bytes(
                "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            ),
            auth: bytes("BTBZMqHH6r4Tts7J_aSIgg"),
        };
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw");
        let text = b"When I grow up, I want to be a watermelon";
        let body = encrypt_with(&own, salt, &to, text).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIg\
                        Dll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt\
                        2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(URL_SAFE_NO_PAD.encode(body), expected);
    }

    #[test]
    fn the_longest_text_makes_the_longest_body_and_a_key_off_the_curve_is_refused() {
        let key = PrivateKey::generate(&ECDH_P256).unwrap().compute_public_key().unwrap();
        let p256dh = key.as_ref().try_into().unwrap();
        let mut to = BrowserKeys { p256dh, auth: [7; SECRET_BYTES] };
        let body = encrypt(&to, &[b'x'; TEXT_BYTES_MAX]).unwrap();
        assert_eq!(body.len(), BODY_BYTES_MAX);
        to.p256dh[64] ^= 1;
        assert!(encrypt(&to, b"x").is_err());
    }
}
