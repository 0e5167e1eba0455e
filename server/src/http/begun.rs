//! The stream beneath the HTTP library, which sees what the library does not tell.
//!
//! A request that was begun must be finished in time, and a connection that waits for the next one may
//! wait for as long as it likes: a poller that asks once a minute keeps its connection. The library has
//! one timer for both. Here the stream notes when bytes come and nobody is being served, and the service
//! says when a whole request has reached it.
//!
//! A connection is taken back from the library only when all that it had to write is written, which is
//! noted here too; and what was read before the library got it is put back here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Whether a request was begun that has not reached the service, and whether anything is unwritten.
/// Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<State>);

#[derive(Debug, Default)]
struct State {
    begun: AtomicU8,
    unwritten: AtomicBool,
}

const NOTHING: u8 = 0;
const REQUEST: u8 = 1;
/// What comes is not watched.
const NO_MORE: u8 = 2;

impl Begun {
    /// The request is whole, or answered.
    pub(super) fn clear(&self) {
        let begun = &self.0.begun;
        let _ = begun.compare_exchange(REQUEST, NOTHING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What comes is not watched: the connection speaks something else, of which the library takes care, or
    /// it is the server that has not answered yet.
    pub(super) fn end(&self) {
        self.0.begun.store(NO_MORE, Ordering::Relaxed);
    }

    /// Watches again, beginning with a request that has begun or with none.
    fn watch(&self, begun: bool) {
        self.0.begun.store(if begun { REQUEST } else { NOTHING }, Ordering::Relaxed);
    }

    fn note(&self) {
        let begun = &self.0.begun;
        let _ = begun.compare_exchange(NOTHING, REQUEST, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_request(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed) == REQUEST
    }

    /// Whether the library has handed out bytes that the socket has not taken yet.
    pub(super) fn is_unwritten(&self) -> bool {
        self.0.unwritten.load(Ordering::Relaxed)
    }

    fn set_unwritten(&self, unwritten: bool) {
        self.0.unwritten.store(unwritten, Ordering::Relaxed);
    }
}

/// A stream whose reads fail with [`io::ErrorKind::TimedOut`] when a request stays unfinished.
#[derive(Debug)]
pub(super) struct Requests<S> {
    inner: S,
    begun: Begun,
    unfinished: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// What was read already and is to be read again.
    unread: Bytes,
    ended: bool,
}

impl<S> Requests<S> {
    /// Watches a stream whose service clears `begun`.
    pub(super) fn new(inner: S, begun: Begun, unfinished: Duration) -> Self {
        Self { inner, begun, unfinished, deadline: None, unread: Bytes::new(), ended: false }
    }

    /// Has these bytes read before all others, and watches again. If there are any, a request was begun.
    pub(super) fn put_back(&mut self, unread: Bytes) {
        if self.unread.is_empty() {
            self.unread = unread;
        } else if !unread.is_empty() {
            self.unread = [unread, std::mem::take(&mut self.unread)].concat().into();
        }
        self.begun.watch(!self.unread.is_empty());
        self.deadline = None;
    }

    /// Whether the peer has ended its side.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.begun.is_request() {
            self.deadline = None;
            return Poll::Pending;
        }
        let unfinished = self.unfinished;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(unfinished)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Requests<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            self.unread.advance(count);
            if self.unread.is_empty() {
                // Not even an empty part of it keeps the allocation.
                self.unread = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(context, buffer) {
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    self.begun.note();
                } else if result.is_ok() && buffer.remaining() > 0 {
                    self.ended = true;
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_deadline(context).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Requests<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.begun.set_unwritten(true);
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.begun.set_unwritten(true);
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library flushes when it has nothing left to write.
        self.begun.set_unwritten(false);
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
