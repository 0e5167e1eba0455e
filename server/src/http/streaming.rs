//! The peer of an answer that does not end, over a connection that is read here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::framing::{Framing, StreamSession};
use super::reply::{Head, LAST_CHUNK, chunk};
use super::wire::Wire;
use crate::cursor::{Batch, Cursor};
use crate::metrics::Transport;
use crate::session::{Encode, Ending, Hear, Peer, Reading, Session};
use crate::stream::AcceptedStream;

/// A connection that nothing is sent on any more but one answer, in chunks.
pub(super) struct Streaming<S> {
    wire: Wire<S>,
    framing: Framing,
}

/// Sends a stream over a connection: its head, and all that comes.
pub(super) fn over<S>(
    wire: Wire<S>,
    head: Head,
    session: StreamSession,
    keep_alive: bool,
) -> Session<Streaming<S>>
where
    S: AcceptedStream,
{
    let outgoing = head.end(None, keep_alive);
    session.hand_over(|framing, first| (Streaming { wire, framing }, outgoing.with_chunk(&first)))
}

impl<S: AcceptedStream> Encode for Streaming<S> {
    fn transport(&self) -> Transport {
        self.framing.transport()
    }

    fn encode(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        chunk(&self.framing.encode(batch, cursor))
    }
}

impl<S: AcceptedStream> Hear for Streaming<S> {
    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_more(context)
    }
}

impl<S: AcceptedStream> Peer for Streaming<S> {
    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire.stream).poll_write(context, bytes)
    }

    async fn obey(&mut self, _: &mut Reading) -> Result<(), Ending> {
        if self.wire.is_gone() { Err(Ending::Gone) } else { Ok(()) }
    }

    fn is_at_rest(&self) -> bool {
        self.wire.unread.is_empty() && !self.wire.has_ended
    }

    /// Ends the answer if the server stops. What failed half way must not pass for the whole.
    async fn end(&mut self, ending: Ending, _: &mut Reading) {
        if matches!(ending, Ending::Stopping) {
            let last = async {
                self.wire.stream.write_all(LAST_CHUNK).await?;
                self.wire.stream.shutdown().await
            };
            // A client that has gone does not hear this either.
            let _: io::Result<()> = last.await;
        }
    }
}
