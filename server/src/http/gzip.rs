//! Streams in gzip: each piece can be read as soon as it comes, and what repeats from one to the
//! next is hardly sent again, as the window is kept. It is dear, so there are turns for it. Answers
//! to polls are compressed as a whole, by `policy`.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use doorbell_protocol::{Code, Error};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::framing::StreamSession;

/// Streams that may be compressed at the same time.
#[derive(Debug, Clone)]
pub struct GzipTurns(Arc<Semaphore>);

impl GzipTurns {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }

    /// A turn, if one is left.
    pub(super) fn take(&self) -> Option<Box<Gzip>> {
        let turn = self.0.clone().try_acquire_owned().ok()?;
        let encoder = GzEncoder::new(Vec::new(), Compression::default());
        Some(Box::new(Gzip { encoder, _turn: turn }))
    }
}

/// What one stream is compressed by.
pub(super) struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    _turn: OwnedSemaphorePermit,
}

impl Gzip {
    /// A piece as it is sent: an empty block ends it, so that all of it can be read (RFC 1951,
    /// section 3.2.4).
    pub(super) fn press(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        self.encoder.write_all(piece)?;
        self.encoder.flush()?;
        Ok(std::mem::take(self.encoder.get_mut()).into())
    }

    /// The end of the stream.
    pub(super) fn end(&mut self) -> io::Result<Bytes> {
        self.encoder.try_finish()?;
        Ok(std::mem::take(self.encoder.get_mut()).into())
    }
}

/// A session as a body of the HTTP library, compressed.
pub(super) struct GzipStream {
    session: Box<StreamSession>,
    gzip: Box<Gzip>,
    has_ended: bool,
}

impl GzipStream {
    pub(super) fn new(session: Box<StreamSession>, gzip: Box<Gzip>) -> Self {
        Self { session, gzip, has_ended: false }
    }
}

impl Stream for GzipStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let piece = match ready!(self.session.poll_piece(context)) {
            Some(Ok(piece)) => self.gzip.press(&piece),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => {
                self.has_ended = true;
                self.gzip.end()
            }
        };
        let failed = |_| Error::new(Code::Internal, "the stream could not be compressed");
        Poll::Ready(Some(piece.map_err(failed)))
    }
}
