//! WebSockets at the server's end (RFC 6455): frames over a stream.
//!
//! It answers pings and the peer's close by itself, and holds the peer to its time. What asked for
//! the WebSocket, and what its messages mean, is not known here.
//!
//! - `frames`: the frames themselves

mod frames;

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::{Code, Error};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use self::frames::{Breach, CONTROL_BYTES_MAX, Opcode, Reader, Whole};
use crate::limits::PONG_WAIT_MAX;
use crate::stream::{WriteDeadline, drain};

/// Bytes read at a time. The buffer lives on the stack while a read is tried, so that a peer that
/// says nothing holds none. It bounds the pongs that are owed at once, too: each is shorter than
/// its ping.
const READ_BYTES: usize = 16 << 10;

/// Why a peer is told that it is over (RFC 6455, section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseCode {
    Normal = 1000,
    Away = 1001,
    Protocol = 1002,
    NotUtf8 = 1007,
    Policy = 1008,
    TooLong = 1009,
    Internal = 1011,
}

impl CloseCode {
    /// The one for an error that leaves no way to go on.
    pub(crate) fn of(error: &Error) -> Self {
        match error.code() {
            Code::BadRequest => Self::Protocol,
            Code::NotUtf8 => Self::NotUtf8,
            Code::LineTooLong => Self::TooLong,
            Code::Internal => Self::Internal,
            _ => Self::Policy,
        }
    }
}

/// What a peer is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketBounds {
    /// Bytes of a message.
    pub(crate) message_bytes: usize,
    /// What was begun, a frame or a message, must end within this time.
    pub(crate) unfinished: Duration,
    /// It may take nothing of what is written for this long.
    pub(crate) write_deadline: Duration,
}

/// Why nothing more is heard of a peer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection broke, or the peer has closed.
    Broken(io::Error),
    /// The peer broke the rules.
    Breach(Error),
}

/// A WebSocket over a stream.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    bounds: SocketBounds,
    /// What is beneath may be a part of a connection, which is blocked by itself.
    blocked: WriteDeadline,
    /// What there is while something was begun or is owed: a quiet one costs no more than its
    /// stream.
    talk: Option<Box<Talk>>,
    /// Since when a ping has no answer. Whatever comes is one.
    pinged_at: Option<Instant>,
}

/// What is under way.
#[derive(Debug, Default)]
struct Talk {
    reader: Reader,
    /// When that was begun which has not come whole.
    begun_at: Option<Instant>,
    /// Pongs, or the answer to a close. While they are not written, nothing is read.
    owed: Vec<u8>,
    /// Whether the peer has closed.
    is_over: bool,
}

/// Messages as text frames.
pub(crate) fn text_frames<'a>(messages: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let bytes = messages.clone().map(|message| frames::framed_bytes(message.len())).sum();
    let mut framed = Vec::with_capacity(bytes);
    for message in messages {
        frames::write(Opcode::Text, message, &mut framed);
    }
    framed.into()
}

/// A ping.
pub(crate) fn ping() -> Bytes {
    let mut framed = Vec::new();
    frames::write(Opcode::Ping, b"", &mut framed);
    framed.into()
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Over a stream on which the WebSocket was agreed upon.
    pub(crate) fn new(stream: S, bounds: SocketBounds) -> Self {
        Self { stream, bounds, blocked: WriteDeadline::default(), talk: None, pinged_at: None }
    }

    /// Appends what the peer sent to `text`, each message as whole lines. Pending until it has sent
    /// something of a message, or has begun something; the task is woken for that.
    pub(crate) fn poll_receive(
        &mut self,
        text: &mut Vec<u8>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Fault>> {
        ready!(self.poll_answer(context)).map_err(Fault::Broken)?;
        let mut space = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
        read.map_err(Fault::Broken)?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Err(Fault::Broken(io::ErrorKind::ConnectionAborted.into())));
        }
        self.pinged_at = None;
        let before = text.len();
        let talk = self.talk.get_or_insert_default();
        if let Err(breach) = talk.take(buffer.filled_mut(), self.bounds.message_bytes, text) {
            return Poll::Ready(Err(Fault::Breach(self.error(breach))));
        }
        if text.len() > before || talk.begun_at.is_some() {
            return Poll::Ready(Ok(()));
        }
        // Whoever waits in a group stays there for a pong. What comes after it is read in another
        // turn, since a peer may send nothing but these.
        self.rest();
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// By when the peer must have gone on with what it began, or have answered a ping.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let begun_at = self.talk.as_ref().and_then(|talk| talk.begun_at);
        let unfinished = begun_at.map(|begun_at| begun_at + self.bounds.unfinished);
        let unanswered = self.pinged_at.map(|pinged_at| pinged_at + PONG_WAIT_MAX);
        [unfinished, unanswered].into_iter().flatten().min()
    }

    /// What is said to a peer whose deadline has passed.
    pub(crate) fn lateness(&self) -> Error {
        let (what, within) = match self.pinged_at {
            Some(pinged_at) if pinged_at + PONG_WAIT_MAX <= Instant::now() => {
                ("a ping was not answered", PONG_WAIT_MAX)
            }
            _ => ("a frame or message was not finished", self.bounds.unfinished),
        };
        Error::new(Code::Timeout, format!("{what} within {} s", within.as_secs_f64()))
    }

    /// A ping is on its way, which the peer must answer.
    pub(crate) fn await_answer(&mut self) {
        self.pinged_at.get_or_insert_with(Instant::now);
    }

    /// Writes some of whole frames, in their order and all of them.
    pub(crate) fn poll_write(
        &mut self,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_answer(context))?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.blocked.poll(written, self.bounds.write_deadline, context)
    }

    /// Writes whole frames.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|context| self.poll_write(bytes, context)).await?;
            bytes = &bytes[count..];
        }
        self.stream.flush().await
    }

    /// Closes, and waits a moment for the peer to hear why.
    pub(crate) async fn close(&mut self, code: CloseCode, reason: &str) -> io::Result<()> {
        let mut end = reason.len().min(CONTROL_BYTES_MAX - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let said = [&(code as u16).to_be_bytes(), &reason.as_bytes()[..end]].concat();
        let mut framed = Vec::new();
        frames::write(Opcode::Close, &said, &mut framed);
        self.write(&framed).await?;
        self.stream.shutdown().await?;
        drain(&mut self.stream).await;
        Ok(())
    }

    /// Writes what is owed to the peer; fails if it has closed.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(talk) = &mut self.talk else { return Poll::Ready(Ok(())) };
        while !talk.owed.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &talk.owed);
            let count = ready!(self.blocked.poll(written, self.bounds.write_deadline, context))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            talk.owed.drain(..count);
        }
        if talk.is_over {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.rest();
        Poll::Ready(Ok(()))
    }

    /// Keeps nothing if nothing is under way.
    fn rest(&mut self) {
        self.talk.take_if(|talk| talk.reader.is_at_rest() && talk.owed.is_empty() && !talk.is_over);
    }

    fn error(&self, breach: Breach) -> Error {
        match breach {
            Breach::Protocol(rule) => Error::new(Code::BadRequest, format!("WebSocket: {rule}")),
            Breach::NotUtf8 => Error::new(Code::NotUtf8, "text frame is not UTF-8"),
            Breach::TooLong => {
                let limit = self.bounds.message_bytes;
                let text = format!("message is longer than {limit} bytes, which is the limit");
                Error::new(Code::LineTooLong, text)
            }
        }
    }
}

impl Talk {
    fn take(
        &mut self,
        mut bytes: &mut [u8],
        message_bytes: usize,
        text: &mut Vec<u8>,
    ) -> Result<(), Breach> {
        while !bytes.is_empty() && !self.is_over {
            if self.reader.is_at_rest() {
                self.begun_at = None;
            }
            let (taken, whole) = self.reader.take(bytes, message_bytes, text)?;
            bytes = &mut bytes[taken..];
            match whole {
                Some(Whole::Ping(said)) => frames::write(Opcode::Pong, &said, &mut self.owed),
                Some(Whole::Close(said)) => {
                    frames::write(Opcode::Close, &said, &mut self.owed);
                    self.is_over = true;
                }
                Some(Whole::Message | Whole::Pong) | None => {}
            }
        }
        if self.reader.is_at_rest() || self.is_over {
            self.begun_at = None;
        } else {
            self.begun_at.get_or_insert_with(Instant::now);
        }
        Ok(())
    }
}
