//! A connection whose answer does not end: by itself while it has much to do, else waiting with others
//! in a group.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::response::Response;
use bytes::Bytes;
use hyper::body::SizeHint;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::connection::{Client, Http};
use super::encode::{Outgoing, chunk, end_answer, write_head, write_piece};
use super::read;
use super::stream::{Happening, Reader, Session};
use crate::cursor::{Batch, Cursor};
use crate::group::Member;
use crate::metrics::Transport;

/// An answer that is being written.
pub(super) struct Streaming {
    session: Session,
    /// What is left of the bytes that were begun.
    unsent: Bytes,
    outgoing: Outgoing,
    /// Whether the connection goes on after it.
    keep_alive: bool,
}

/// How far an answer was written.
pub(super) enum Streamed {
    /// To its end; whether the connection goes on.
    Ended(bool),
    /// It only waits.
    Waits,
}

impl Streaming {
    /// The answer from its head on.
    pub(super) fn new(head: Response, session: Session, keep_alive: bool) -> Self {
        let (head, _) = head.into_parts();
        let outgoing = write_head(&head, &SizeHint::default(), keep_alive);
        Self { session, unsent: Bytes::new(), outgoing, keep_alive }
    }
}

impl Http {
    /// Writes an answer that does not end for as long as there is something to write.
    pub(super) async fn stream<S>(
        &self,
        client: &mut Client<S>,
        streaming: &mut Streaming,
    ) -> io::Result<Streamed>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let wire = &mut client.wire;
        let Streaming { session, unsent, outgoing, keep_alive } = streaming;
        wire.stream.write_all(&std::mem::take(unsent)).await?;
        loop {
            let may_wait = wire.unread.is_empty() && !wire.has_ended;
            let happening = poll_fn(|context| session.poll_happening(may_wait, context));
            match wire.unless_gone(self.header_bytes(), happening).await? {
                // The rest of an answer that failed half way must not pass for the whole.
                Some(Happening::Piece(piece)) => {
                    let piece = piece.map_err(io::Error::other)?;
                    write_piece(&mut wire.stream, outgoing, piece).await?;
                }
                Some(Happening::Idle) => return Ok(Streamed::Waits),
                Some(Happening::Stop) => break,
                None => return Ok(Streamed::Ended(false)),
            }
        }
        end_answer(&mut wire.stream, std::mem::take(outgoing)).await?;
        wire.go_on(*keep_alive).await.map(Streamed::Ended)
    }

    /// Lets a connection wait in a group.
    pub(super) fn wait_with_others<S>(self: Arc<Self>, mut client: Client<S>, streaming: Streaming)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Streaming { session, keep_alive, .. } = streaming;
        let (reader, cursor, spoken_to) = session.wait();
        let groups = self.manners().groups.clone();
        // What it waited with would keep the task that is about to end.
        client.waiting = read::Waiting::new(&self.manners().stop);
        let waiting = Waiting { client, reader, keep_alive, http: self };
        groups.join(cursor, Box::new(waiting), spoken_to);
    }
}

/// What is left of such a connection while it only waits.
struct Waiting<S> {
    http: Arc<Http>,
    client: Client<S>,
    reader: Reader,
    keep_alive: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Member for Waiting<S> {
    fn transport(&self) -> Transport {
        self.reader.transport()
    }

    fn frame(&self, batch: &Batch, cursor: &Cursor) -> Bytes {
        chunk(&self.reader.piece(batch, cursor))
    }

    fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.client.wire.stream).poll_write(context, bytes)
    }

    fn poll_heard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // What went wrong shows again when the connection goes on.
        self.client.wire.poll_read(context).map(|_| ())
    }

    fn reads(&self, cursor: &Cursor) {
        self.reader.reads(cursor);
    }

    fn go_on(self: Box<Self>, cursor: Cursor, unsent: Bytes, spoken_to: Instant) {
        let Self { http, mut client, reader, keep_alive } = *self;
        let session = reader.resume(http.manners().clone(), cursor, spoken_to);
        let outgoing = Outgoing::chunked();
        client.endless = Some(Streaming { session, unsent, outgoing, keep_alive }.into());
        #[allow(clippy::disallowed_methods, reason = "its socket is waited for")]
        tokio::spawn(http.go_on(client));
    }
}
