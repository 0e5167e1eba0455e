//! A connection that is read here: its stream, and what was read of it.
//!
//! What the bytes mean is not known here.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::reply::{Outgoing, Pieces};
use crate::stream::AcceptedStream;

/// A stream and what was read of it.
pub(super) struct Wire<S> {
    pub(super) stream: S,
    /// What was read and is not answered yet.
    pub(super) unread: BytesMut,
    /// Whether no request was read.
    pub(super) is_new: bool,
    /// Whether the peer has ended its side.
    pub(super) has_ended: bool,
    /// By when a request that was begun must be whole.
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes that are read before a request is answered.
    limit: usize,
}

/// Bytes read at a time, through the stack: a connection that waits holds no buffer.
const READ_BYTES: usize = 8 << 10;

impl<S: AcceptedStream> Wire<S> {
    /// Reads what there is, and says how many bytes; 0 when the peer has ended its side.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled();
        self.unread.extend_from_slice(bytes);
        self.has_ended |= bytes.is_empty();
        Poll::Ready(Ok(bytes.len()))
    }

    /// Whether the client has ended its side and has asked for nothing that is not answered yet.
    pub(super) fn is_gone(&self) -> bool {
        self.has_ended && self.unread.is_empty()
    }

    /// Ready when the client has sent more, which is kept up to a limit for the requests to come,
    /// or has ended its side; or when the connection is broken, which shows again at the next
    /// write.
    pub(super) fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.unread.len() >= self.limit || self.has_ended {
            return Poll::Pending;
        }
        if ready!(self.poll_read(context)).is_err() {
            self.has_ended = true;
            self.unread = BytesMut::new();
        }
        Poll::Ready(())
    }

    /// Waits for something while the client stays; `None` when it has gone.
    pub(super) async fn unless_gone<T>(
        &mut self,
        what: impl Future<Output = T>,
    ) -> io::Result<Option<T>> {
        let mut what = pin!(what);
        poll_fn(|context| {
            if let Poll::Ready(done) = what.as_mut().poll(context) {
                return Poll::Ready(Ok(Some(done)));
            }
            // A client that has asked for more and then ended its side waits for the answers.
            while self.unread.len() < self.limit && !self.has_ended {
                ready!(self.poll_read(context))?;
            }
            if self.is_gone() { Poll::Ready(Ok(None)) } else { Poll::Pending }
        })
        .await
    }

    /// Writes an answer piece by piece; false when the client has gone meanwhile.
    pub(super) async fn write_pieces(
        &mut self,
        mut outgoing: Outgoing,
        mut pieces: Pieces,
    ) -> io::Result<bool> {
        loop {
            let Some(piece) = self.unless_gone(pieces.next()).await? else { return Ok(false) };
            let Some(piece) = piece else { break };
            // What is left of an answer that failed half way must not pass for the whole.
            outgoing.write_piece(&mut self.stream, piece.map_err(io::Error::other)?).await?;
        }
        outgoing.end(&mut self.stream).await?;
        Ok(true)
    }

    /// Ends the connection unless it goes on; returns whether it does.
    pub(super) async fn go_on(&mut self, goes_on: bool) -> io::Result<bool> {
        if !goes_on {
            self.stream.shutdown().await?;
        }
        Ok(goes_on)
    }
}

impl<S> Wire<S> {
    /// Nothing was read yet. So many bytes are read before a request is answered.
    pub(super) fn new(stream: S, limit: usize) -> Self {
        Self {
            stream,
            unread: BytesMut::new(),
            is_new: true,
            has_ended: false,
            deadline: None,
            limit,
        }
    }

    /// Lets go of a request that was read whole.
    pub(super) fn take(&mut self, bytes: usize) {
        self.deadline = None;
        self.is_new = false;
        self.unread.advance(bytes);
        if self.unread.is_empty() {
            // Not even an empty part of it keeps the allocation.
            self.unread = BytesMut::new();
        }
    }
}
