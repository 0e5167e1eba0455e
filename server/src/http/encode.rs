//! Answers of HTTP/1.1 as bytes (RFC 9112), for those that are written without the HTTP library.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::SystemTime;

use axum::http::response::Parts;
use axum::http::{StatusCode, header};
use bytes::{Buf, Bytes};
use httpdate::HttpDate;
use hyper::body::SizeHint;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Bytes that hold the head of most answers, and a short body with it.
const HEAD_BYTES: usize = 1024;

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

impl Outgoing {
    /// An answer in chunks whose head is out.
    pub(super) fn chunked() -> Self {
        Self { head: Vec::new(), framing: Framing::Chunked }
    }
}

/// A piece of a body with its length before it (RFC 9112, section 7.1).
pub(super) fn chunk(piece: &[u8]) -> Bytes {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat().into()
}

/// A head that is being made.
#[derive(Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    status: StatusCode,
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
        Self { bytes, status }
    }

    /// Adds a header.
    pub(super) fn add(&mut self, name: &str, value: &[u8]) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn add_text(&mut self, name: &str, value: impl Display) {
        // Writing to memory does not fail.
        let _ = write!(self.bytes, "{name}: {value}\r\n");
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

/// The head of an answer to any request but `HEAD`.
pub(super) fn write_head(parts: &Parts, size: &SizeHint, keep_alive: bool) -> Outgoing {
    let mut head = Head::new(parts.status);
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_LENGTH {
            head.add(name.as_str(), value.as_bytes());
        }
    }
    head.end(size.exact(), keep_alive)
}

/// Writes a piece of the body, and the head with the first one.
pub(super) async fn write_piece<W: AsyncWrite + Unpin>(
    stream: &mut W,
    answer: &mut Outgoing,
    piece: Bytes,
) -> io::Result<()> {
    if piece.is_empty() || answer.framing == Framing::None {
        return Ok(());
    }
    let mut before = std::mem::take(&mut answer.head);
    let mut after: &[u8] = b"";
    if before.len() + piece.len() <= HEAD_BYTES && answer.framing == Framing::Length {
        // To copy a little is less than to write two pieces.
        before.extend_from_slice(&piece);
        return stream.write_all(&before).await;
    }
    if answer.framing == Framing::Chunked {
        before.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        after = b"\r\n";
    }
    stream.write_all_buf(&mut before.as_slice().chain(piece).chain(&mut after)).await
}

/// Writes what is left when the body has ended.
pub(super) async fn end_answer<W: AsyncWrite + Unpin>(
    stream: &mut W,
    answer: Outgoing,
) -> io::Result<()> {
    let mut rest = answer.head;
    if answer.framing == Framing::Chunked {
        rest.extend_from_slice(b"0\r\n\r\n");
    }
    stream.write_all(&rest).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use axum::http::Response;

    use super::*;

    async fn written(status: u16, pieces: &[&'static str], size: SizeHint, stays: bool) -> String {
        let response = Response::builder()
            .status(status)
            .header("etag", "\"x\"")
            .header("content-length", "99")
            .body(())
            .unwrap();
        let mut answer = write_head(&response.into_parts().0, &size, stays);
        let mut stream = Vec::new();
        for piece in pieces {
            write_piece(&mut stream, &mut answer, Bytes::from_static(piece.as_bytes()))
                .await
                .unwrap();
        }
        end_answer(&mut stream, answer).await.unwrap();
        let text = String::from_utf8(stream).unwrap();
        let (before, after) = text.split_once("date: ").unwrap();
        format!("{before}{}", after.split_once("\r\n").unwrap().1)
    }

    #[tokio::test]
    async fn a_body_of_known_size_has_its_length_in_the_head() {
        assert_eq!(
            written(200, &["hello"], SizeHint::with_exact(5), true).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 5\r\n\r\nhello"
        );
        assert_eq!(
            written(200, &[], SizeHint::with_exact(0), false).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_body_of_unknown_size_is_chunked_and_an_empty_piece_does_not_end_it() {
        assert_eq!(
            written(200, &["hello, it rings!", "", "b"], SizeHint::new(), true).await,
            "HTTP/1.1 200 OK\r\netag: \"x\"\r\ntransfer-encoding: chunked\r\n\r\n\
             10\r\nhello, it rings!\r\n1\r\nb\r\n0\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn not_modified_has_no_body_and_no_length() {
        assert_eq!(
            written(304, &["x"], SizeHint::with_exact(1), true).await,
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n"
        );
    }
}
