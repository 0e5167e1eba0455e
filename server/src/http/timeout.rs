//! The stream beneath the HTTP library, which sees what the library does not tell.
//!
//! A request that was begun must be finished in time, and a connection that waits for the next one
//! may wait for as long as it likes: a poller that asks once a minute keeps its connection. The
//! library has one timer for both. Here the stream notes when bytes come and nobody is being
//! served, and the service says when a whole request has reached it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Whether a request was begun that has not reached the service. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestTimeout(Arc<AtomicU8>);

const NOTHING: u8 = 0;
const REQUEST: u8 = 1;
/// What comes is not watched.
const NO_MORE: u8 = 2;

impl RequestTimeout {
    /// The request is whole, or answered.
    pub(super) fn clear(&self) {
        let _ = self.0.compare_exchange(REQUEST, NOTHING, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What comes is not watched: the connection speaks something else, of which the library takes
    /// care.
    pub(super) fn end(&self) {
        self.0.store(NO_MORE, Ordering::Relaxed);
    }

    fn note(&self) {
        let _ = self.0.compare_exchange(NOTHING, REQUEST, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn is_request(&self) -> bool {
        self.0.load(Ordering::Relaxed) == REQUEST
    }
}

/// A stream whose reads fail with [`io::ErrorKind::TimedOut`] when a request stays unfinished.
#[derive(Debug)]
pub(super) struct TimedStream<S> {
    inner: S,
    timeout: RequestTimeout,
    unfinished: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    /// What was read already and is to be read again.
    unread: Bytes,
}

impl<S> TimedStream<S> {
    /// Watches a stream whose service clears `timeout`. What was read of it already comes first.
    pub(super) fn new(
        inner: S,
        unread: Bytes,
        timeout: RequestTimeout,
        unfinished: Duration,
    ) -> Self {
        if !unread.is_empty() {
            timeout.note();
        }
        Self { inner, timeout, unfinished, deadline: None, unread }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.timeout.is_request() {
            self.deadline = None;
            return Poll::Pending;
        }
        let unfinished = self.unfinished;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(unfinished)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
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
                    self.timeout.note();
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_deadline(context).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
