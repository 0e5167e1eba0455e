//! The body of an answer as the server meant it: read piece by piece, and decoded if it came
//! compressed.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use bytes::{Bytes, BytesMut};
use doorbell_protocol::code::quoted;
use flate2::write::GzDecoder;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Response};

use crate::error::Error;
use crate::lines::LINE_BYTES_MAX;
use crate::socket::Silence;

/// The codings that are understood.
pub(crate) const CODINGS: &str = "gzip, br";
/// Bytes that the decoder of brotli hands on at a time.
const BROTLI_BYTES: usize = 4 << 10;
/// Bytes of an answer that is read as a whole: an error, the configuration, an accepted message.
const WHOLE_BYTES_MAX: usize = LINE_BYTES_MAX;
/// Bytes that one piece may become when it is decoded. A server has no reason to send more: what it
/// compresses are short answers.
const DECODED_BYTES_MAX: usize = 4 << 20;
/// Compressed bytes between two looks at the bound: they become a thousand times as many at most.
const DECODED_STEP: usize = 1 << 10;

/// A body that is being read.
pub(crate) struct Content {
    body: Incoming,
    decoder: Option<Decoder>,
}

/// What takes compressed bytes, and keeps what they were.
enum Decoder {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
}

impl Decoder {
    fn gzip() -> Self {
        Self::Gzip(Box::new(GzDecoder::new(Vec::new())))
    }

    fn brotli() -> Self {
        Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BYTES)))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Self::Brotli(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
        }
    }

    fn decoded(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
        }
    }
}

impl Content {
    /// The body of an answer.
    pub(crate) fn of(answer: Response<Incoming>) -> Result<Self, Error> {
        let decoder = decoder(answer.headers())?;
        Ok(Self { body: answer.into_body(), decoder })
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn piece(&mut self, silence: Silence) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = silence.hear(async { self.body.frame().await.transpose().map_err(lost) });
            let Some(frame) = frame.await? else { return Ok(None) };
            let Ok(bytes) = frame.into_data() else { continue };
            return match &mut self.decoder {
                None => Ok(Some(bytes)),
                Some(decoder) => decoded(decoder, &bytes).map(Some),
            };
        }
    }

    /// All of it.
    pub(crate) async fn whole(mut self) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = self.piece(Silence::default()).await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > WHOLE_BYTES_MAX {
                return Err(Error::Unexpected(format!(
                    "an answer is longer than {WHOLE_BYTES_MAX} bytes"
                )));
            }
        }
        Ok(bytes.freeze())
    }
}

fn decoder(headers: &HeaderMap) -> Result<Option<Decoder>, Error> {
    match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None => Ok(None),
        Some(b"gzip") => Ok(Some(Decoder::gzip())),
        Some(b"br") => Ok(Some(Decoder::brotli())),
        Some(coding) => {
            let coding = quoted(&String::from_utf8_lossy(coding));
            Err(Error::Foreign(format!(
                "the answer is encoded as {coding}, which nobody asked for"
            )))
        }
    }
}

/// What a piece is when it is decoded; what its last bytes are may show with the next.
fn decoded(decoder: &mut Decoder, bytes: &[u8]) -> Result<Bytes, Error> {
    let broken = |error| Error::Unexpected(format!("the answer is not compressed well: {error}"));
    for step in bytes.chunks(DECODED_STEP) {
        decoder.write(step).map_err(broken)?;
        if decoder.decoded().len() > DECODED_BYTES_MAX {
            let text = format!("a piece of an answer has more than {DECODED_BYTES_MAX} bytes");
            return Err(Error::Unexpected(text));
        }
    }
    Ok(std::mem::take(decoder.decoded()).into())
}

/// What went wrong with a connection or an answer.
#[allow(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
pub(crate) fn lost(error: hyper::Error) -> Error {
    if error.is_parse() {
        return Error::Unexpected(format!("the answer is not HTTP/1.1: {error}"));
    }
    match std::error::Error::source(&error) {
        Some(cause) => match cause.downcast_ref::<io::Error>() {
            Some(broken) => Error::lost(broken),
            None => Error::Lost(cause.to_string()),
        },
        None => Error::Lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_was_compressed_comes_out_whatever_the_pieces() {
        let text = b"the kettle boils\n".repeat(100);
        for length in [1, 7, 4096] {
            let mut decoder = Decoder::gzip();
            let pieces = encoded(&text);
            let pieces = pieces.chunks(length).map(|piece| decoded(&mut decoder, piece).unwrap());
            assert_eq!(pieces.collect::<Vec<_>>().concat(), text, "{length}");
        }
    }

    #[test]
    fn a_piece_that_becomes_too_much_and_one_that_is_damaged_are_refused() {
        let bomb = encoded(&vec![0; DECODED_BYTES_MAX + 1]);
        let error = decoded(&mut Decoder::gzip(), &bomb).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        for mut decoder in [Decoder::gzip(), Decoder::brotli()] {
            assert!(decoded(&mut decoder, b"not at all compressed, and rather long").is_err());
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        assert!(decoder(&headers).is_err());
    }
}
