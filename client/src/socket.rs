//! Sockets that count what goes through them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use doorbell_wire::WireCounts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::address::Endpoint;
use crate::error::Error;
use crate::ledger::{Connection, Ledger, Recorded};
use crate::losses::{DatagramBook, Losses};

/// A socket that is not connected after this long never will be.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A connection on which nothing came for this long is dead: servers say something every 45 s.
pub(crate) const SILENCE_DEADLINE: Duration = Duration::from_secs(120);

/// What went over the connections of one subscription or publisher so far, at the sockets: lines,
/// HTTP with its headers, WebSocket frames. What TCP and IP add is in [`wire`](Self::wire).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Requests sent: each HTTP request, each `SUB` line.
    pub requests: u64,
    /// Polls that were answered without a message.
    pub empty: u64,
    /// Those of them that were answered by `304`.
    pub not_modified: u64,
    /// Connections opened.
    pub connects: u64,
    /// Packets and bytes with the headers of TCP and IP, handshakes, acknowledgements and closes
    /// included, as the kernel counted them. A Unix socket has none.
    pub wire: WireCounts,
}

impl Traffic {
    /// Adds up two counts.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            requests: self.requests + other.requests,
            empty: self.empty + other.empty,
            not_modified: self.not_modified + other.not_modified,
            connects: self.connects + other.connects,
            wire: self.wire + other.wire,
        }
    }

    /// What was added since an earlier count.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let (wire, before) = (self.wire, earlier.wire);
        Self {
            bytes_in: self.bytes_in.saturating_sub(earlier.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(earlier.bytes_out),
            requests: self.requests.saturating_sub(earlier.requests),
            empty: self.empty.saturating_sub(earlier.empty),
            not_modified: self.not_modified.saturating_sub(earlier.not_modified),
            connects: self.connects.saturating_sub(earlier.connects),
            wire: WireCounts {
                bytes_out: wire.bytes_out.saturating_sub(before.bytes_out),
                bytes_in: wire.bytes_in.saturating_sub(before.bytes_in),
                packets_out: wire.packets_out.saturating_sub(before.packets_out),
                packets_in: wire.packets_in.saturating_sub(before.packets_in),
                acks_out: wire.acks_out.saturating_sub(before.acks_out),
                acks_in: wire.acks_in.saturating_sub(before.acks_in),
            },
        }
    }
}

/// The running count behind [`Traffic`], shared by all sockets of one subscription or publisher.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    empty: AtomicU64,
    not_modified: AtomicU64,
    connects: AtomicU64,
    ledger: Ledger,
    datagrams: DatagramBook,
}

impl Meter {
    /// The count at this moment.
    pub fn read(&self) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic {
            bytes_in: read(&self.bytes_in),
            bytes_out: read(&self.bytes_out),
            requests: read(&self.requests),
            empty: read(&self.empty),
            not_modified: read(&self.not_modified),
            connects: read(&self.connects),
            wire: self.ledger.read() + self.datagrams.wire(),
        }
    }

    /// What datagrams lost so far, and what it cost; nothing of it happens over other transports.
    pub fn losses(&self) -> Losses {
        self.datagrams.losses()
    }

    /// Lists TCP connections from now on, up to 100,000 of them.
    pub fn list_connections(&self) {
        self.ledger.list();
    }

    /// The connections opened since [`list_connections`](Self::list_connections), those that have
    /// ended included.
    pub fn connections(&self) -> Vec<Connection> {
        self.ledger.listed()
    }

    /// How many connections have been dropped whose last packets are still under way and so not
    /// counted. They are waited for a second at most.
    pub fn closing(&self) -> usize {
        self.ledger.closing()
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_empty(&self) {
        self.empty.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_not_modified(&self) {
        self.not_modified.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn datagrams(&self) -> &DatagramBook {
        &self.datagrams
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn count_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A byte stream whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    meter: Arc<Meter>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.meter.count_in(buffer.filled().len() - before);
        result
    }
}

impl<S: AsyncWrite + Unpin> Counted<S> {
    fn counted(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &result {
            self.meter.count_out(*written);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.counted(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.counted(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A connected socket of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) type Socket = Counted<Box<dyn Stream>>;

/// Opens a socket.
pub(crate) async fn connect(endpoint: &Endpoint, meter: &Arc<Meter>) -> Result<Socket, Error> {
    let connecting = async {
        Ok::<Box<dyn Stream>, io::Error>(match endpoint {
            Endpoint::Tcp(authority) => {
                let stream = TcpStream::connect((authority.host(), authority.port())).await?;
                stream.set_nodelay(true)?;
                Box::new(Recorded::new(stream, meter))
            }
            Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    };
    let failed = |source| Error::Connect {
        endpoint: match endpoint {
            Endpoint::Tcp(authority) => authority.to_string(),
            Endpoint::Unix(path) => path.display().to_string(),
        },
        source,
    };
    match timeout(CONNECT_DEADLINE, connecting).await {
        Ok(Ok(stream)) => {
            meter.connects.fetch_add(1, Ordering::Relaxed);
            Ok(Counted { stream, meter: Arc::clone(meter) })
        }
        Ok(Err(source)) => Err(failed(source)),
        Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
    }
}

/// What the other side sends, or [`Error::Silent`] when it sends nothing for too long.
pub(crate) async fn heard<T>(
    deadline: Duration,
    what: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(deadline, what).await.unwrap_or(Err(Error::Silent(deadline)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_stays_counted_when_it_has_ended() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = format!("tcp://{address}").parse().unwrap();
        let crate::Server::Lines(endpoint) = server else { panic!() };
        let meter = Arc::new(Meter::default());
        let accept = async { listener.accept().await.unwrap().0 };
        let (near, mut far) = tokio::join!(connect(&endpoint, &meter), accept);
        let mut near = near.unwrap();
        near.write_all(b"hello").await.unwrap();
        far.read_exact(&mut [0; 5]).await.unwrap();
        let open = meter.read();
        assert_eq!((open.connects, open.bytes_out), (1, 5));
        // SYN, the acknowledgement of the SYN-ACK, the data.
        assert_eq!((open.wire.packets_out, open.wire.bytes_out), (3, 60 + 52 + 57));
        drop(near);
        assert_eq!(far.read(&mut [0; 1]).await.unwrap(), 0);
        drop(far);
        let ended = meter.read();
        // The FIN, and the acknowledgement of the other's.
        assert_eq!(ended.wire.packets_out, 5);
        assert_eq!(meter.read(), ended);
    }

    #[tokio::test]
    async fn bytes_are_counted_in_both_directions() {
        let (near, mut far) = tokio::io::duplex(64);
        let meter = Arc::new(Meter::default());
        let mut near = Counted { stream: near, meter: Arc::clone(&meter) };
        near.write_all(b"hello").await.unwrap();
        far.write_all(b"hi").await.unwrap();
        near.read_exact(&mut [0; 2]).await.unwrap();
        let traffic = meter.read();
        assert_eq!((traffic.bytes_in, traffic.bytes_out), (2, 5));
    }
}
