//! The peer of an answer that does not end, over a connection that is read here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::framing::{Framing, StreamSession};
use super::gzip::Gzip;
use super::reply::{LAST_CHUNK, Outgoing, chunk};
use super::wire::Wire;
use crate::cursor::{Batch, Cursor};
use crate::metrics::Transport;
use crate::session::{Encode, Ending, Hear, Peer, Reading, Session};
use crate::stream::AcceptedStream;

/// A connection that nothing is sent on any more but one answer, in chunks.
pub(super) struct Streaming<S> {
    wire: Wire<S>,
    framing: Framing,
    /// What it goes through if it is compressed.
    press: Option<Box<Press>>,
}

/// Makes chunks of what is compressed.
struct Press {
    gzip: Box<Gzip>,
    /// The head of the answer, until it goes out with the first chunk.
    outgoing: Outgoing,
    /// What is left of the chunk that is being written.
    unsent: Bytes,
}

impl Press {
    /// Writes a piece as a chunk. It is taken as a whole: until then the same piece has to be given
    /// again.
    fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut W,
        piece: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.unsent.is_empty() {
            let pressed = self.gzip.press(piece)?;
            self.unsent = std::mem::take(&mut self.outgoing).with_chunk(&pressed);
        }
        while !self.unsent.is_empty() {
            match ready!(Pin::new(&mut *stream).poll_write(context, &self.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.unsent.advance(count),
            }
        }
        Poll::Ready(Ok(piece.len()))
    }
}

/// Sends a stream over a connection: its head, and all that comes.
pub(super) fn over<S>(
    wire: Wire<S>,
    outgoing: Outgoing,
    session: StreamSession,
    gzip: Option<Box<Gzip>>,
) -> Session<Streaming<S>>
where
    S: AcceptedStream,
{
    session.hand_over(|framing, first| match gzip {
        Some(gzip) => {
            let press = Press { gzip, outgoing, unsent: Bytes::new() };
            (Streaming { wire, framing, press: Some(Box::new(press)) }, first)
        }
        None => (Streaming { wire, framing, press: None }, outgoing.with_chunk(&first)),
    })
}

impl<S: AcceptedStream> Encode for Streaming<S> {
    fn transport(&self) -> Transport {
        self.framing.transport()
    }

    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        let piece = self.framing.encode(batch, cursor);
        // What is compressed becomes a chunk after that.
        if self.press.is_some() { piece } else { chunk(&piece) }
    }
}

impl<S: AcceptedStream> Hear for Streaming<S> {
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_more(context)
    }
}

impl<S: AcceptedStream> Peer for Streaming<S> {
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = &mut self.wire.stream;
        match &mut self.press {
            Some(press) => press.poll_write(stream, bytes, context),
            None => Pin::new(stream).poll_write(context, bytes),
        }
    }

    async fn obey(&mut self, _: &mut Reading) -> Result<(), Ending> {
        if self.wire.is_gone() { Err(Ending::Gone) } else { Ok(()) }
    }

    fn is_at_rest(&self) -> bool {
        // In a group all are sent the same bytes.
        self.press.is_none() && self.wire.unread.is_empty() && !self.wire.has_ended
    }

    /// Ends the answer if the server stops. What failed half way must not pass for the whole.
    async fn end(&mut self, ending: Ending, _: &mut Reading) {
        if matches!(ending, Ending::Stopping) {
            let last = async {
                if let Some(press) = &mut self.press {
                    let rest = [&press.unsent, &*chunk(&press.gzip.end()?)].concat();
                    self.wire.stream.write_all(&rest).await?;
                }
                self.wire.stream.write_all(LAST_CHUNK).await?;
                self.wire.stream.shutdown().await
            };
            // A client that has gone does not hear this either.
            let _: io::Result<()> = last.await;
        }
    }
}
