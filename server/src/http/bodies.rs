//! The bytes of a body as their sender meant them: decoded as `Content-Encoding` says, and read as
//! text in the charset that `Content-Type` names.

use std::borrow::Cow;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brotli::Decompressor;
use doorbell_protocol::code::quoted;
use doorbell_protocol::{Code, Draft, Error};
use encoding_rs::{Encoding, UTF_8};
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// Bytes of the buffer that a body in brotli is read through.
const BROTLI_BUFFER_BYTES: usize = 4 << 10;

/// The body that an address takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit {
    /// At most so many bytes.
    pub(super) bytes: usize,
    /// What it is called.
    pub(super) what: &'static str,
    /// What is done with a longer one.
    pub(super) longer: Longer,
}

/// What is done with a body that is too long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Longer {
    /// It is refused.
    Refused(Code),
    /// It is cut: what is encrypted in it says where it ends.
    Cut,
    /// It is a file, which may have so many bytes.
    File(u64),
}

impl BodyLimit {
    /// The refusal of a body of so many bytes, if they are too many and it is not cut.
    pub(super) fn check(self, bytes: u64) -> Result<(), Error> {
        let Self { bytes: limit, what, longer } = self;
        match longer {
            Longer::Refused(code) if bytes > limit as u64 => {
                let text = format!("{what} is {bytes} bytes long, limit is {limit}");
                Err(Error::new(code, text))
            }
            Longer::File(limit) if bytes > limit => {
                let text = format!("file is {bytes} bytes long, limit is {limit}");
                Err(Error::new(Code::MessageTooLarge, text))
            }
            _ => Ok(()),
        }
    }

    /// What is taken of a body that is too long, nobody knows how much.
    pub(super) fn passed(self, mut begun: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Self { bytes, what, longer } = self;
        let code = match longer {
            Longer::Refused(code) => code,
            Longer::File(_) => Code::MessageTooLarge,
            Longer::Cut => {
                begun.truncate(bytes);
                return Ok(begun);
            }
        };
        let text = format!("{what} is longer than {bytes} bytes, which is the limit");
        Err(Error::new(code, text))
    }
}

/// How a body begins that wants a window of up to a gibibyte: RFC 7932, section 9.1, knows no such
/// ones, and the library takes them.
const LARGE_WINDOW: u8 = 0b001_0001;
const LARGE_WINDOW_MASK: u8 = 0b111_1111;

/// What is done to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Nothing.
    Identity,
    Gzip,
    Brotli,
    Deflate,
    /// It is encrypted for whoever reads the message (RFC 8188), and stays so.
    Encrypted,
}

impl Coding {
    /// What a header `Content-Encoding` says.
    ///
    /// # Errors
    ///
    /// That it cannot be undone here.
    pub(super) fn of(header: Option<&str>) -> Result<Self, Error> {
        let name = header.unwrap_or_default().trim().to_ascii_lowercase();
        Ok(match &*name {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "br" => Self::Brotli,
            "deflate" => Self::Deflate,
            "aes128gcm" => Self::Encrypted,
            _ => {
                let text = "is none of gzip, br, deflate, aes128gcm";
                let text = format!("content-encoding {} {text}", quoted(&name));
                return Err(Error::new(Code::CodingUnsupported, text));
            }
        })
    }

    /// The body without it, which may be so long. No more than that is ever decoded.
    ///
    /// # Errors
    ///
    /// That it is longer, or not of that coding.
    pub(super) fn undo(self, body: &[u8], limit: BodyLimit) -> Result<Cow<'_, [u8]>, Error> {
        // The standard means what zlib writes (RFC 9110, section 8.4.1.2), and some write no zlib
        // around it.
        let is_zlib = matches!(body, [method, more, ..]
            if method & 0xf == 8 && u16::from_be_bytes([*method, *more]) % 31 == 0);
        let malformed = || {
            let text = format!("body is not what its content-encoding {self:?} says");
            Error::new(Code::BadRequest, text.to_ascii_lowercase())
        };
        let reader: Box<dyn Read + '_> = match self {
            Self::Identity | Self::Encrypted => return Ok(body.into()),
            _ if body.is_empty() => return Ok(body.into()),
            Self::Gzip => Box::new(MultiGzDecoder::new(body)),
            Self::Brotli if body[0] & LARGE_WINDOW_MASK == LARGE_WINDOW => return Err(malformed()),
            Self::Brotli => Box::new(Decompressor::new(body, BROTLI_BUFFER_BYTES)),
            Self::Deflate if is_zlib => Box::new(ZlibDecoder::new(body)),
            Self::Deflate => Box::new(DeflateDecoder::new(body)),
        };
        let mut decoded = Vec::new();
        let read = reader.take(limit.bytes as u64 + 1).read_to_end(&mut decoded);
        if decoded.len() > limit.bytes {
            return limit.passed(decoded).map(Cow::Owned);
        }
        read.map_or_else(|_| Err(malformed()), |_| Ok(decoded.into()))
    }
}

/// A body as text, without a mark of its byte order, and whether all of it was text. A mark says
/// more of its charset than the header `Content-Type`.
pub(super) fn text<'b>(body: &'b [u8], content_type: Option<&str>) -> (Cow<'b, str>, bool) {
    let charset = content_type.and_then(charset).unwrap_or(UTF_8);
    let (text, _, is_damaged) = charset.decode(body);
    (text, !is_damaged)
}

/// The charset that a header `Content-Type` names, if it is known.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|part| part.split_once('='));
    let (_, label) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

/// The message with a body as it is, which is for a program.
pub(super) fn pass_on(mut draft: Draft, body: &[u8]) -> Draft {
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => text.clone_into(&mut draft.message),
        Err(_) => {
            draft.message = STANDARD.encode(body);
            draft.is_base64 = true;
        }
    }
    draft
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    const LIMIT: BodyLimit =
        BodyLimit { bytes: 1000, what: "body", longer: Longer::Refused(Code::MessageTooLarge) };

    #[test]
    fn what_is_cut_is_decoded_no_further() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&"x".repeat(100_000).into_bytes()).unwrap();
        let body = encoder.finish().unwrap();
        let cut = BodyLimit { longer: Longer::Cut, ..LIMIT };
        assert_eq!(*Coding::Gzip.undo(&body, cut).unwrap(), [b'x'; 1000]);
        assert_eq!(Coding::Gzip.undo(&body, LIMIT).unwrap_err().code(), Code::MessageTooLarge);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_within_the_limit_or_refused(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            content_type in "(text/plain;? ?charset=\"?[a-z0-9-]{0,12}\"?;?)?",
        ) {
            for coding in [Coding::Gzip, Coding::Brotli, Coding::Deflate] {
                if let Ok(decoded) = coding.undo(&body, LIMIT) {
                    prop_assert!(decoded.len() <= LIMIT.bytes);
                }
            }
            let _ = text(&body, Some(&content_type));
        }
    }
}
