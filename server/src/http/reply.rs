//! The answer to a request, and the two writers of it: one for connections that are read here, as
//! bytes (RFC 9112), and one for those that the HTTP library has.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::SystemTime;

use axum::body::Body as HttpBody;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::{Buf, Bytes};
use doorbell_protocol::{Code, Error};
use futures_util::stream::BoxStream;
use httpdate::HttpDate;
use serde::Serialize;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::framing::StreamSession;
use super::gzip::{Gzip, GzipStream};
use crate::limits::RETRY_AFTER_SECONDS;

/// Bytes that hold the head of most answers, and a short body with it.
const HEAD_BYTES: usize = 1024;

/// What a request is answered.
pub(super) struct Reply {
    /// Its head.
    pub(super) head: Head,
    /// What follows.
    pub(super) body: Body,
    /// Whether it is compressed for a client that asks for it.
    pub(super) is_compressible: bool,
}

/// The pieces of a body.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, Error>>;

/// What follows a head.
pub(super) enum Body {
    /// So many bytes.
    Whole(Bytes),
    /// Piece after piece, as the client takes them, of so many bytes together, if that is known.
    /// After an error the answer ends unfinished, so that what has come cannot pass for the whole.
    Pieces(Pieces, Option<u64>),
    /// What does not end, and what it is compressed by, if it is.
    Stream(Box<StreamSession>, Option<Box<Gzip>>),
    /// The connection speaks another protocol from here on.
    Upgraded,
}

impl Reply {
    /// An answer that is sent as it is.
    pub(super) fn new(head: Head, body: Body) -> Self {
        Self { head, body, is_compressible: false }
    }

    /// An answer with a body of one kind.
    pub(super) fn whole(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut head = Head::new(status);
        head.add("content-type", content_type.as_bytes());
        Self::new(head, Body::Whole(body.into()))
    }

    /// An answer as JSON.
    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::whole(status, "application/json", json),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Self::refusal(&Error::new(Code::Internal, "the answer could not be written"))
            }
        }
    }

    /// A refusal in the shape of the dialect.
    pub(super) fn refusal(error: &Error) -> Self {
        let body = serde_json::to_vec(&error.body()).unwrap_or_default();
        Self::refusal_as("application/json", error, body)
    }

    /// A refusal with a body of another kind.
    pub(super) fn refusal_as(content_type: &str, error: &Error, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(error.code().status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Self::whole(status, content_type, body);
        if error.code() == Code::Unauthorized {
            let challenge = b"Bearer realm=\"doorbell\", error=\"invalid_token\"";
            reply.head.add("www-authenticate", challenge);
        }
        // What waits for a restart is not worth asking again soon.
        if error.code().is_retryable() && error.code() != Code::LogFailed {
            let known = error.retry_after().map(u64::from);
            reply.head.add_text("retry-after", known.unwrap_or(RETRY_AFTER_SECONDS));
        }
        reply
    }
}

impl From<Result<Reply, Error>> for Reply {
    fn from(result: Result<Reply, Error>) -> Self {
        result.unwrap_or_else(|error| Self::refusal(&error))
    }
}

/// The head of an answer: its status and headers.
#[derive(Debug)]
pub(super) struct Head {
    status: StatusCode,
    /// The status line and the headers, each with its end.
    bytes: Vec<u8>,
    /// Bytes of the status line.
    begin: usize,
}

impl Head {
    /// One without headers.
    pub(super) fn new(status: StatusCode) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(b"HTTP/1.1 ");
        bytes.extend_from_slice(status.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        let begin = bytes.len();
        Self { status, bytes, begin }
    }

    /// The head of an answer that the HTTP library made.
    pub(super) fn parsed(parts: &axum::http::response::Parts) -> Self {
        let mut head = Self::new(parts.status);
        for (name, value) in &parts.headers {
            if *name != header::CONTENT_LENGTH {
                head.add(name.as_str(), value.as_bytes());
            }
        }
        head
    }

    /// Adds a header. No value here has a line's end in it: all of them are ours, numbers, ids, or
    /// JSON.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a header with a value that is written out.
    pub(super) fn add_text(&mut self, name: &str, value: impl Display) {
        // Writing to memory does not fail.
        let _ = write!(self.bytes, "{name}: {value}\r\n");
    }

    /// The headers, each as a name and a value.
    fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.bytes[self.begin..].split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], &line[colon + 2..]))
        })
    }

    /// Ends it: a body of so many bytes follows, or of nobody knows how many.
    pub(super) fn end(mut self, length: Option<u64>, keep_alive: bool) -> Outgoing {
        let bare = matches!(self.status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
        let framing = match length {
            _ if bare => Framing::None,
            Some(bytes) => {
                self.add_text("content-length", bytes);
                Framing::Length
            }
            None => {
                self.add("transfer-encoding", b"chunked");
                Framing::Chunked
            }
        };
        if !keep_alive {
            self.add("connection", b"close");
        }
        self.add_text("date", HttpDate::from(SystemTime::now()));
        self.bytes.extend_from_slice(b"\r\n");
        Outgoing { head: self.bytes, framing }
    }
}

// --- For the HTTP library ------------------------------------------------------------------------

impl Reply {
    /// The same for the HTTP library, without the body if only the head was asked for.
    pub(super) fn into_response(self, only_head: bool) -> Response {
        let Self { head, body, .. } = self;
        let mut response = Response::default();
        *response.status_mut() = head.status;
        for (name, value) in head.headers() {
            let name = HeaderName::from_bytes(name);
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
                response.headers_mut().append(name, value);
            }
        }
        // The library tells the length of what is whole.
        let length = match &body {
            Body::Whole(bytes) if only_head => Some(bytes.len() as u64),
            Body::Pieces(_, length) => *length,
            _ => None,
        };
        if let Some(length) = length.filter(|_| head.status != StatusCode::NOT_MODIFIED) {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = match body {
            _ if only_head => HttpBody::empty(),
            Body::Whole(bytes) => HttpBody::from(bytes),
            Body::Pieces(pieces, _) => HttpBody::from_stream(pieces),
            Body::Stream(session, None) => HttpBody::from_stream(*session),
            Body::Stream(session, Some(gzip)) => {
                HttpBody::from_stream(GzipStream::new(session, gzip))
            }
            Body::Upgraded => HttpBody::empty(),
        };
        response
    }
}

// --- For connections that are read here ----------------------------------------------------------

/// An answer that is being written.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The head, until it goes out with the first piece.
    head: Vec<u8>,
    framing: Framing,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Framing {
    /// There is no body.
    #[default]
    None,
    /// By a length in the head.
    Length,
    /// Each piece has its length before it.
    Chunked,
}

/// A piece of a body with its length before it (RFC 9112, section 7.1).
pub(super) fn chunk(piece: &[u8]) -> Bytes {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat().into()
}

/// What follows the last chunk.
pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Outgoing {
    /// The head and a first chunk, as they stand on the wire.
    pub(super) fn with_chunk(self, piece: &[u8]) -> Bytes {
        [self.head.as_slice(), &chunk(piece)].concat().into()
    }

    /// Writes a piece of the body, and the head with the first one.
    pub(super) async fn write_piece<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        piece: Bytes,
    ) -> io::Result<()> {
        if piece.is_empty() || self.framing == Framing::None {
            return Ok(());
        }
        let mut before = std::mem::take(&mut self.head);
        let mut after: &[u8] = b"";
        if before.len() + piece.len() <= HEAD_BYTES && self.framing == Framing::Length {
            // To copy a little is less than to write two pieces.
            before.extend_from_slice(&piece);
            return stream.write_all(&before).await;
        }
        if self.framing == Framing::Chunked {
            before.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            after = b"\r\n";
        }
        stream.write_all_buf(&mut before.as_slice().chain(piece).chain(&mut after)).await
    }

    /// Writes what is left when the body has ended.
    pub(super) async fn end<W: AsyncWrite + Unpin>(self, stream: &mut W) -> io::Result<()> {
        let mut rest = self.head;
        if self.framing == Framing::Chunked {
            rest.extend_from_slice(LAST_CHUNK);
        }
        stream.write_all(&rest).await?;
        stream.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(
        status: StatusCode,
        pieces: &[&'static str],
        size: Option<u64>,
        stays: bool,
    ) -> String {
        let mut head = Head::new(status);
        head.add("etag", b"\"x\"");
        let mut outgoing = head.end(size, stays);
        let mut stream = Vec::new();
        for piece in pieces {
            outgoing.write_piece(&mut stream, Bytes::from_static(piece.as_bytes())).await.unwrap();
        }
        outgoing.end(&mut stream).await.unwrap();
        let text = String::from_utf8(stream).unwrap();
        let (before, after) = text.split_once("date: ").unwrap();
        format!("{before}{}", after.split_once("\r\n").unwrap().1)
    }

    #[tokio::test]
    async fn a_body_of_known_size_has_its_length_in_the_head() {
        assert_eq!(
            written(StatusCode::OK, &["hello"], Some(5), true).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\nhello"
        );
        assert_eq!(
            written(StatusCode::OK, &[], Some(0), false).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_body_of_unknown_size_is_chunked_and_an_empty_piece_does_not_end_it() {
        assert_eq!(
            written(StatusCode::OK, &["hello, it rings!", "", "b"], None, true).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ntransfer-encoding: chunked\r\n\r\n\
             10\r\nhello, it rings!\r\n1\r\nb\r\n0\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn not_modified_has_no_body_and_no_length() {
        assert_eq!(
            written(StatusCode::NOT_MODIFIED, &["x"], Some(1), true).await,
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"
        );
    }

    #[test]
    fn the_library_gets_the_same_headers() {
        let mut head = Head::new(StatusCode::OK);
        head.add("doorbell-gap", br#"{"after":"x: y","before":"z"}"#);
        head.add_text("retry-after", 1);
        head.add("etag", b"");
        let reply = Reply::new(head, Body::Whole(Bytes::from_static(b"hi")));
        let response = reply.into_response(true);
        let headers: Vec<_> = response.headers().iter().collect();
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(
            headers,
            [
                ("doorbell-gap", &br#"{"after":"x: y","before":"z"}"#[..]),
                ("retry-after", b"1"),
                ("etag", b""),
                ("content-length", b"2"),
            ]
        );
    }
}
