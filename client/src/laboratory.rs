//! The seam for those who measure: what an experiment may watch of a subscription, and what it may
//! change. A program that only wants messages needs nothing of it.
//!
//! An [`Observer`] is handed each connection before the first byte goes over it, so that it can
//! stand in between, and is told of what cannot be seen there. [`Habits`] make polls worse than
//! they need be. Both are given to [`Subscribe`](crate::Subscribe).

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> ByteStream for S {}

/// A socket that has just been connected.
#[derive(Debug)]
pub enum Socket {
    /// Of TCP, without Nagle's delay.
    Tcp(TcpStream),
    /// Of a Unix socket.
    Unix(UnixStream),
}

impl Socket {
    /// As it is, without anybody in between.
    pub fn into_stream(self) -> Box<dyn ByteStream> {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            Self::Unix(stream) => Box::new(stream),
        }
    }
}

/// Something that happened to a subscription and cannot be seen at its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A request was sent: over HTTP, as a `SUB` line or as a `SUB` datagram.
    Request,
    /// A poll was answered without a message.
    EmptyAnswer {
        /// Whether the answer was a `304`.
        not_modified: bool,
    },
    /// A datagram was sent.
    DatagramSent {
        /// Its payload.
        bytes: usize,
        /// Where to.
        to: SocketAddr,
    },
    /// A datagram came.
    DatagramReceived {
        /// Its payload.
        bytes: usize,
        /// Where from.
        from: SocketAddr,
    },
    /// A datagram came that has a message or announces one.
    MessageArrived,
    /// It announces one that is too large for a datagram.
    MessageTooLarge,
    /// Its message had been fetched before, and was counted as lost.
    MessageOvertaken,
    /// Its message had come before.
    MessageRepeated,
    /// Something is missing: from now on it is fetched.
    RepairBegun,
    /// One step of fetching is done.
    RepairStep {
        /// Whether it brought a message that no datagram had brought so far.
        lost: bool,
    },
}

/// Watches the connections of one subscription.
pub trait Observer: Debug + Send + Sync {
    /// A connection came about. What is returned is what the subscription reads and writes, and
    /// drops when it has done with it.
    fn connected(self: Arc<Self>, socket: Socket) -> Box<dyn ByteStream>;

    /// Something else happened.
    fn observe(&self, observation: Observation);
}

/// What polls at an interval do beyond asking. The default is polling's best case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Habits {
    /// One connection for all polls, or one for each.
    pub keeps_connection: bool,
    /// Whether a poll says which answer it has, so that no news costs a `304`.
    pub sends_etag: bool,
    /// When the second poll is, after the first, as a part of the interval from 0 to 1; at random
    /// if it is not said.
    pub phase: Option<f64>,
}

impl Default for Habits {
    fn default() -> Self {
        Self { keeps_connection: true, sends_etag: true, phase: None }
    }
}

/// The observer, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed(pub(crate) Option<Arc<dyn Observer>>);

impl Observed {
    pub(crate) fn connected(&self, socket: Socket) -> Box<dyn ByteStream> {
        match &self.0 {
            Some(observer) => Arc::clone(observer).connected(socket),
            None => socket.into_stream(),
        }
    }

    pub(crate) fn note(&self, observation: Observation) {
        if let Some(observer) = &self.0 {
            observer.observe(observation);
        }
    }
}
