//! An encrypted stream over an accepted one.
//!
//! It lies above the socket's write deadline and counts, which so are those of the bytes on the
//! wire. Nothing that it was given to write stays behind in it: a write is done when its record is
//! with the kernel, as with a plain socket. Many writers here never flush.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HTTP2_PROTOCOL;
use crate::connections::Connection;
use crate::limits::TLS_RECORD_BYTES_MAX;
use crate::stream::AcceptedStream;

/// A stream whose bytes nobody on the way can read.
#[derive(Debug)]
pub struct Encrypted<S> {
    socket: S,
    session: Box<ServerConnection>,
    /// Bytes that were encrypted by a write that could not be finished. Whoever was told to wait
    /// offers them again, and then they count as written.
    begun: usize,
}

impl<S: AcceptedStream> Encrypted<S> {
    /// A stream whose handshake has not begun.
    pub(super) fn new(socket: S, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(TLS_RECORD_BYTES_MAX));
        Self { socket, session: Box::new(session), begun: 0 }
    }

    /// What was agreed on with the peer.
    pub(super) fn session(&self) -> &ServerConnection {
        &self.session
    }

    /// The stream beneath, for those who find that nothing encrypted comes over it.
    pub(super) fn into_socket(self) -> S {
        self.socket
    }

    /// Ready when the handshake is over.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_send(context))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_receive(context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Tries to tell the peer of a fault, which it may not take any more.
    pub(super) fn tell_fault(&mut self, context: &mut Context<'_>) {
        let _ = self.poll_send(context);
    }

    /// Writes all records that wait.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, session, .. } = self;
        while session.wants_write() {
            ready!(poll_once(session.write_tls(&mut Tried { socket, context })))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what there is of records; 0 when the peer has closed the connection beneath.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { socket, session, .. } = self;
        let count = ready!(poll_once(session.read_tls(&mut Tried { socket, context })))?;
        session.process_new_packets().map_err(|error| io::Error::new(INVALID, error))?;
        Poll::Ready(Ok(count))
    }

    fn poll_encrypt(
        &mut self,
        context: &mut Context<'_>,
        offered: usize,
        encrypt: impl FnOnce(&mut dyn Write) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        if self.begun == 0 {
            self.begun = encrypt(&mut self.session.writer())?;
            ready!(self.poll_send(context))?;
        }
        let written = std::mem::take(&mut self.begun);
        debug_assert!(written <= offered, "{offered} bytes are offered in place of {written}");
        Poll::Ready(Ok(written.min(offered)))
    }
}

const INVALID: io::ErrorKind = io::ErrorKind::InvalidData;

/// A socket for those who know no waiting: where it would have to be waited for, it says so.
struct Tried<'a, 'b, S> {
    socket: &'a mut S,
    context: &'a mut Context<'b>,
}

impl<S: AsyncRead + Unpin> Read for Tried<'_, '_, S> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(space);
        tried(Pin::new(&mut *self.socket).poll_read(self.context, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl<S: AsyncWrite + Unpin> Write for Tried<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        tried(Pin::new(&mut *self.socket).poll_write(self.context, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        tried(Pin::new(&mut *self.socket).poll_write_vectored(self.context, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a try brought.
fn tried<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The way back. The try itself has seen to it that the task is woken.
fn poll_once<T>(tried: io::Result<T>) -> Poll<io::Result<T>> {
    match tried {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

impl<S: AcceptedStream> AcceptedStream for Encrypted<S> {
    fn connection(&self) -> &Arc<Connection> {
        self.socket.connection()
    }

    fn write_deadline(&self) -> Duration {
        self.socket.write_deadline()
    }

    fn agreed_http2(&self) -> Option<bool> {
        Some(self.session.alpn_protocol() == Some(HTTP2_PROTOCOL))
    }
}

impl<S: AcceptedStream> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut reader = self.session.reader();
            match poll_once(reader.fill_buf()) {
                // Nothing is the end: the peer has said that it closes its side, or it is an error.
                Poll::Ready(read) => {
                    let bytes = read?;
                    let count = bytes.len().min(buffer.remaining());
                    buffer.put_slice(&bytes[..count]);
                    reader.consume(count);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    let received = ready!(self.poll_receive(context));
                    if received.is_err() {
                        self.tell_fault(context);
                    }
                    received?;
                }
            }
        }
    }
}

impl<S: AcceptedStream> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_encrypt(context, bytes.len(), |writer| writer.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        self.poll_encrypt(context, offered, |writer| writer.write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    /// Says that nothing more comes, within and beneath.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
