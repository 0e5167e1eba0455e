//! Encoded words (RFC 2047): how text beyond ASCII stands in a header.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::Encoding;

/// What looks like a word and cannot be decoded stays as it is, so all that can be understood is.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A value with its encoded words decoded. One that cannot be decoded stays as it is.
pub fn decode_words(value: &str) -> Cow<'_, str> {
    if !value.contains("=?") {
        return value.into();
    }
    let mut decoded = String::with_capacity(value.len());
    let mut rest = value;
    let mut follows_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, begun) = rest.split_at(start);
        // Space between two words is there to keep them apart.
        let is_space = |text: &str| text.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
        if let Some((word, behind)) = word(begun) {
            if !follows_word || !is_space(before) {
                decoded += before;
            }
            decoded += &word;
            (rest, follows_word) = (behind, true);
        } else {
            decoded += before;
            decoded += "=?";
            (rest, follows_word) = (&begun[2..], false);
        }
    }
    decoded += rest;
    decoded.into()
}

/// The text of the word that this begins with, and what stands behind it. None of its parts has a
/// `?` within it, so what is looked at here ends at the fourth.
fn word(text: &str) -> Option<(String, &str)> {
    let mut parts = text.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let behind = parts.next()?.strip_prefix('=')?;
    if charset.contains([' ', '\t']) {
        return None;
    }
    // A language may stand behind the charset (RFC 2231, section 5).
    let label = charset.split_once('*').map_or(charset, |(label, _)| label);
    let charset = Encoding::for_label(label.as_bytes())?;
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(encoded).ok()?,
        "Q" | "q" => quoted(encoded)?,
        _ => return None,
    };
    let (word, _) = charset.decode_without_bom_handling(&bytes);
    Some((word.into_owned(), behind))
}

/// What bytes of "Q" stand for.
fn quoted(encoded: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_wherever_they_stand() {
        for (value, text) in [
            ("caf\u{e9}", "caf\u{e9}"),
            ("=?utf-8?q?caf=C3=A9?=", "caf\u{e9}"),
            ("=?UTF-8?B?Y2Fmw6k=?= =?UTF-8?Q?_au_lait?=", "caf\u{e9} au lait"),
            ("=?iso-8859-1*fr?q?caf=e9?= \t =?koi8-r?b?4Q?=", "caf\u{e9}\u{410}"),
            ("a =?utf-8?q?b?= c =?utf-8?q?d?=e", "a b c de"),
            ("=?utf-8?q??=", ""),
            // Nobody may write blanks in a word, and many do.
            ("=?UTF-8?Q?so gr=C3=BCn?= x", "so gr\u{fc}n x"),
            // A mark of the byte order is a character, and changes no charset.
            ("=?utf-8?q?=FF=FEa?=", "\u{fffd}\u{fffd}a"),
        ] {
            assert_eq!(decode_words(value), text, "{value}");
        }
    }

    #[test]
    fn what_is_no_word_stays_as_it_is_and_hides_none() {
        for not in [
            "=?",
            "=?=",
            "=??q?a?=",
            "=?utf-8?q?broken",
            "=?utf 8?q?a?=",
            "=?utf-8?b?YQ =?=",
            "=?utf-8?q?a=?=",
            "=?utf-8?q?=+1?=",
            "=?utf-8?b?*?=",
            "=?utf-8?z?a?=",
            "=?nothing?q?a?=",
        ] {
            assert_eq!(decode_words(not), not);
            let beside = format!("=?utf-8?q?=C3=A9?= {not} =?utf-8?q?=C3=A9?=");
            assert_eq!(decode_words(&beside), format!("\u{e9} {not} \u{e9}"));
        }
    }
}
