//! A socket that gives up on a peer that takes nothing, and counts its bytes.
//!
//! It wraps every accepted socket, whatever is spoken over it, so there is one write deadline.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

use crate::connections::Connection;
use crate::guard::ConnectionGuard;
use crate::limits::{DRAIN_BYTES_MAX, DRAIN_WAIT_MAX};

/// An accepted stream, encrypted or not, as those see it that serve it.
pub trait AcceptedStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Its entry in the register of connections.
    fn connection(&self) -> &Arc<Connection>;

    /// How long the peer may take nothing of what is written.
    fn write_deadline(&self) -> Duration;

    /// Whether HTTP/2 is spoken, where that was agreed on before the first byte; elsewhere the
    /// first bytes tell.
    fn agreed_http2(&self) -> Option<bool>;
}

/// A stream whose writes fail with [`io::ErrorKind::TimedOut`] once the peer has taken nothing for
/// the deadline.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    blocked: WriteDeadline,
    /// Lives as long as the socket does.
    guard: ConnectionGuard,
}

impl<S> Guarded<S> {
    /// Guards a stream.
    pub fn new(inner: S, guard: ConnectionGuard) -> Self {
        Self { inner, blocked: WriteDeadline::default(), guard }
    }

    fn poll_progress(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let deadline = self.guard.write_deadline();
        let written = ready!(self.blocked.poll(written, deadline, context))?;
        self.guard.count_sent(written);
        Poll::Ready(Ok(written))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> AcceptedStream for Guarded<S> {
    fn connection(&self) -> &Arc<Connection> {
        self.guard.connection()
    }

    fn write_deadline(&self) -> Duration {
        self.guard.write_deadline()
    }

    fn agreed_http2(&self) -> Option<bool> {
        None
    }
}

/// Ends a wait to write that lasts too long.
#[derive(Debug, Default)]
pub struct WriteDeadline {
    /// Runs only while a write is blocked, so an idle connection holds no timer.
    blocked: Option<Pin<Box<Sleep>>>,
}

impl WriteDeadline {
    /// What a try to write came to; an error of the kind [`io::ErrorKind::TimedOut`] once they have
    /// come to nothing for the deadline.
    pub fn poll(
        &mut self,
        written: Poll<io::Result<usize>>,
        deadline: Duration,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let blocked = self.blocked.get_or_insert_with(|| Box::pin(sleep(deadline)));
        ready!(blocked.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Reads what a peer still sends that was told why it is over, and throws it away, for a bounded
/// time and amount: closing while its bytes wait unread would reset the connection, and it might
/// never see why.
pub async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut rest = stream.take(DRAIN_BYTES_MAX);
    let _ = timeout(DRAIN_WAIT_MAX, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let count = buffer.filled().len() - before;
        self.guard.count_received(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.poll_progress(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.poll_progress(context, written)
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
