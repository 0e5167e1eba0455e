//! The seam for those who measure: what an experiment may watch of a subscription, and what it may
//! change. A program that only wants messages needs nothing of it.
//!
//! An [`Observer`] is handed each connection before the first byte goes over it, so that it can
//! stand in between, and is told of what cannot be seen there. [`Habits`] make a subscription
//! worse, or better, than it need be. Both are given to [`Subscribe`](crate::Subscribe).

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket, UnixStream};

/// How long a server is asked to hold back a long poll's answer.
pub const HELD: Duration = Duration::from_secs(30);
/// Intervals from one poll to the next that a client waits at most which backs off.
pub const BACKOFF_MAX: u32 = 8;
/// From one renewal of a lease of datagrams to the next, of the lease that this server gives: well
/// below the 30 s after which some routers forget them.
pub const RENEWED: Duration = Duration::from_secs(15);

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
    /// The head of its answer came over HTTP.
    Answer {
        /// After the request was sent.
        after: Duration,
    },
    /// Nobody listens where a connection was to be had.
    ConnectRefused {
        /// Where to, if the address was one of numbers.
        to: Option<IpAddr>,
    },
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

    /// A socket of datagrams is about to be used: its own address, and the server's.
    fn opened(&self, local: SocketAddr, server: SocketAddr) {
        let _ = (local, server);
    }

    /// A socket of datagrams is done with, after it has said goodbye to a server. What still comes
    /// over it nobody else reads.
    fn ended(self: Arc<Self>, socket: Arc<UdpSocket>, server: SocketAddr) {
        drop((socket, server));
    }
}

/// What stands in the head of a request beyond what it needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequestHeaders {
    /// Nothing.
    #[default]
    Client,
    /// What a browser sends with each request of a page.
    Browser,
    /// The same, and a cookie of 192 bytes.
    BrowserWithCookie,
}

/// How a subscription asks and receives beyond what it must. The default is that of the library,
/// polling as well as it can over HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub struct Habits {
    /// One connection for all polls, or one for each.
    pub keeps_connection: bool,
    /// Whether a poll says which answer it has, so that no news costs a `304`.
    pub sends_etag: bool,
    /// When the second poll is, after the first, as a part of the interval from 0 to 1; at random
    /// if it is not said.
    pub phase: Option<f64>,
    /// A moment from which the intervals of polls count, in place of a phase: those that have the
    /// same ask at the same moments.
    pub origin: Option<Instant>,
    /// Whether the time to the next poll doubles with each that finds nothing, up to
    /// [`BACKOFF_MAX`] intervals, and is one again when there is news.
    pub backs_off: bool,
    /// Whether it waits until the next poll for as long as the server asks for, where that is
    /// longer.
    pub heeds_server: bool,
    /// HTTP/2 instead of HTTP/1.1: known to be there, without asking.
    pub http2: bool,
    /// Whether answers may come compressed, by gzip.
    pub compress: bool,
    /// What stands in the heads of requests.
    pub headers: RequestHeaders,
    /// From one sign of life to the next where the client decides: how long the answer to a long
    /// poll is held back, in place of [`HELD`], and after how long a lease is renewed.
    pub period: Option<Duration>,
    /// Whether a connection of TLS takes up the session of one before it, where the server lets it.
    pub resumes_tls: bool,
    /// Whether texts will do that have no place, so that nothing can be resumed.
    pub texts_alone: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            keeps_connection: true,
            sends_etag: true,
            phase: None,
            origin: None,
            backs_off: false,
            heeds_server: true,
            resumes_tls: true,
            http2: false,
            compress: false,
            headers: RequestHeaders::default(),
            period: None,
            texts_alone: false,
        }
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

    pub(crate) fn opened(&self, socket: &UdpSocket, server: SocketAddr) {
        if let (Some(observer), Ok(local)) = (&self.0, socket.local_addr()) {
            observer.opened(local, server);
        }
    }

    pub(crate) fn ended(&self, socket: Arc<UdpSocket>, server: SocketAddr) {
        if let Some(observer) = &self.0 {
            Arc::clone(observer).ended(socket, server);
        }
    }

    pub(crate) fn note(&self, observation: Observation) {
        if let Some(observer) = &self.0 {
            observer.observe(observation);
        }
    }
}
