//! The stream beneath the HTTP library, which sees what the library does not tell.
//!
//! A request that was begun must be finished in time, and a connection that waits for the next one
//! may wait for as long as it likes: a poller that asks once a minute keeps its connection. The
//! library has one timer for both. Here the stream notes when bytes come and nobody is being
//! served, and the service says when a whole request has reached it. Over HTTP/2 a connection must
//! make its first request in time, and finish every frame and every block of headers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
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
    /// Absent over HTTP/1.1.
    frames: Option<Frames>,
}

/// Bytes with which an HTTP/2 connection begins.
const PREFACE_BYTES: u32 = 24;
/// Bytes of a frame's head (RFC 9113, section 4.1).
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// Where the frames of an HTTP/2 connection begin and end.
#[derive(Debug)]
struct Frames {
    head: [u8; FRAME_HEAD_BYTES],
    head_bytes: usize,
    /// Bytes that the frame has still to come.
    left: u32,
    /// Whether a block of headers has not ended.
    in_headers: bool,
}

impl Frames {
    fn new() -> Self {
        Self { head: [0; FRAME_HEAD_BYTES], head_bytes: 0, left: PREFACE_BYTES, in_headers: false }
    }

    fn is_unfinished(&self) -> bool {
        self.head_bytes > 0 || self.left > 0 || self.in_headers
    }

    /// Takes what has come; whether something was finished.
    fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_finished = false;
        while !bytes.is_empty() {
            if self.left > 0 {
                let count = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                bytes = &bytes[count..];
                self.left -= u32::try_from(count).unwrap_or(self.left);
            } else {
                let count = bytes.len().min(FRAME_HEAD_BYTES - self.head_bytes);
                self.head[self.head_bytes..][..count].copy_from_slice(&bytes[..count]);
                self.head_bytes += count;
                bytes = &bytes[count..];
                if self.head_bytes < FRAME_HEAD_BYTES {
                    break;
                }
                self.head_bytes = 0;
                let [first, second, third, kind, flags, ..] = self.head;
                self.left = u32::from_be_bytes([0, first, second, third]);
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.in_headers = flags & END_HEADERS == 0;
                }
            }
            has_finished |= !self.is_unfinished();
        }
        has_finished
    }
}

impl<S> TimedStream<S> {
    /// Watches a stream whose service clears `timeout`. What was read of it already comes first.
    pub(super) fn new(
        inner: S,
        unread: Bytes,
        timeout: RequestTimeout,
        unfinished: Duration,
        is_http2: bool,
    ) -> Self {
        if !unread.is_empty() {
            timeout.note();
        }
        let frames = is_http2.then(Frames::new);
        Self { inner, timeout, unfinished, deadline: None, unread, frames }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let in_frame = self.frames.as_ref().is_some_and(Frames::is_unfinished);
        if !in_frame && !self.timeout.is_request() {
            self.deadline = None;
            return Poll::Pending;
        }
        let unfinished = self.unfinished;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(unfinished)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }

    fn note(&mut self, bytes: &[u8]) {
        match &mut self.frames {
            None => self.timeout.note(),
            Some(frames) => {
                if frames.take(bytes) && !self.timeout.is_request() {
                    self.deadline = None;
                }
            }
        }
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
            let read = self.unread.split_to(count);
            self.note(&read);
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
                    self.note(&buffer.filled()[before..]);
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
