//! A meter: counts what goes over the connections of one subscription.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use doorbell::laboratory::{ByteStream, Observation, Observer, Socket};
use doorbell_link::Flows;
use doorbell_wire::{Ip, WireCounts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UdpSocket;

use crate::farewells::Farewells;
use crate::ledger::{Connection, Ledger, Recorded};
use crate::losses::Losses;
use crate::traffic::Traffic;

/// Bytes of the header of UDP.
const UDP_HEADER_BYTES: u64 = 8;
/// Bytes of the header of TCP in the first packet of a connection, and in a refusal.
const SYN_BYTES: u64 = 40;
const RESET_BYTES: u64 = 20;

/// The running count behind [`Traffic`] and [`Losses`], shared by all sockets of one subscription.
/// It stays valid when the subscription is gone.
#[derive(Debug, Default)]
pub struct Meter {
    bytes_in: AtomicU64,
    reads: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    empty: AtomicU64,
    not_modified: AtomicU64,
    connects: AtomicU64,
    /// Microseconds from requests to the heads of their answers, added up.
    answer_us: AtomicU64,
    ledger: Arc<Ledger>,
    farewells: Farewells,
    datagrams: Mutex<Datagrams>,
}

/// What is counted of datagrams.
#[derive(Debug, Default)]
struct Datagrams {
    losses: Losses,
    /// Their packets.
    wire: WireCounts,
    /// Packets of attempts to connect that nobody took up.
    refused: WireCounts,
    /// What had been counted when the present repair began, or at its last step.
    before: Traffic,
}

impl Meter {
    /// A meter of what goes over a link of packets, which counts them.
    pub fn over(flows: Option<Flows>) -> Self {
        Self { ledger: Arc::new(Ledger::over(flows)), ..Self::default() }
    }

    /// The count at this moment.
    pub fn read(&self) -> Traffic {
        self.take_farewells();
        let packets = {
            let datagrams = self.datagrams();
            datagrams.wire + datagrams.refused
        };
        self.traffic(packets)
    }

    /// What datagrams lost so far, and what it cost; nothing of it happens over other transports.
    pub fn losses(&self) -> Losses {
        self.datagrams().losses
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
        self.take_farewells();
        self.ledger.closing() + self.farewells.waiting()
    }

    /// Counts what has come over sockets that are done with.
    fn take_farewells(&self) {
        for (bytes, from) in self.farewells.take() {
            self.datagram_in(bytes, from);
        }
    }

    /// The count over all connections and these packets of datagrams.
    fn traffic(&self, datagrams: WireCounts) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (wire, mishaps) = self.ledger.read();
        Traffic {
            bytes_in: read(&self.bytes_in),
            reads: read(&self.reads),
            bytes_out: read(&self.bytes_out),
            requests: read(&self.requests),
            empty: read(&self.empty),
            not_modified: read(&self.not_modified),
            connects: read(&self.connects),
            answers: Duration::from_micros(read(&self.answer_us)),
            wire: wire + datagrams,
            mishaps,
        }
    }

    fn datagrams(&self) -> MutexGuard<'_, Datagrams> {
        // Every change is whole before anything in it can fail.
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn datagram_out(&self, bytes: usize, to: SocketAddr) {
        add(&self.bytes_out, bytes);
        if !self.ledger.is_over_link() {
            let wire = &mut self.datagrams().wire;
            wire.packets_out += 1;
            wire.bytes_out += packet_bytes(bytes, to);
        }
    }

    fn datagram_in(&self, bytes: usize, from: SocketAddr) {
        add(&self.bytes_in, bytes);
        add(&self.reads, 1);
        if !self.ledger.is_over_link() {
            let wire = &mut self.datagrams().wire;
            wire.packets_in += 1;
            wire.bytes_in += packet_bytes(bytes, from);
        }
    }

    /// The question for a connection, and the answer that there is none.
    fn refused(&self, to: Option<IpAddr>) {
        let headers = Ip::of(to.unwrap_or(Ipv4Addr::LOCALHOST.into())).header_bytes();
        let refused = &mut self.datagrams().refused;
        refused.packets_out += 1;
        refused.bytes_out += headers + SYN_BYTES;
        refused.packets_in += 1;
        refused.bytes_in += headers + RESET_BYTES;
    }

    fn repair_begun(&self) {
        let mut datagrams = self.datagrams();
        datagrams.losses.repairs += 1;
        datagrams.before = self.traffic(datagrams.wire);
    }

    fn repair_step(&self, lost: bool) {
        let mut datagrams = self.datagrams();
        let now = self.traffic(datagrams.wire);
        let cost = now.since(datagrams.before);
        datagrams.before = now;
        datagrams.losses.lost += u64::from(lost);
        datagrams.losses.cost = datagrams.losses.cost.plus(cost);
    }
}

impl Observer for Meter {
    fn connected(self: Arc<Self>, socket: Socket) -> Box<dyn ByteStream> {
        add(&self.connects, 1);
        let stream: Box<dyn ByteStream> = match socket {
            Socket::Tcp(stream) => Box::new(Recorded::new(stream, &self.ledger)),
            Socket::Unix(stream) => Box::new(stream),
        };
        Box::new(Counted { stream, meter: self })
    }

    fn opened(&self, local: SocketAddr, server: SocketAddr) {
        self.ledger.add_datagrams(local, server);
    }

    fn ended(self: Arc<Self>, socket: Arc<UdpSocket>, server: SocketAddr) {
        self.farewells.add(socket, server);
    }

    fn observe(&self, observation: Observation) {
        match observation {
            Observation::Request => add(&self.requests, 1),
            Observation::Answer { after } => {
                let micros = usize::try_from(after.as_micros()).unwrap_or(usize::MAX);
                add(&self.answer_us, micros);
            }
            Observation::ConnectRefused { to } => self.refused(to),
            Observation::EmptyAnswer { not_modified } => {
                add(&self.empty, 1);
                add(&self.not_modified, usize::from(not_modified));
            }
            Observation::DatagramSent { bytes, to } => self.datagram_out(bytes, to),
            Observation::DatagramReceived { bytes, from } => self.datagram_in(bytes, from),
            Observation::MessageArrived => self.datagrams().losses.arrived += 1,
            Observation::MessageTooLarge => self.datagrams().losses.large += 1,
            Observation::MessageOvertaken => {
                let losses = &mut self.datagrams().losses;
                losses.lost -= 1;
                losses.overtaken += 1;
            }
            Observation::MessageRepeated => self.datagrams().losses.repeated += 1,
            Observation::RepairBegun => self.repair_begun(),
            Observation::RepairStep { lost } => self.repair_step(lost),
        }
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// The bytes of a datagram with the headers of UDP and IP.
fn packet_bytes(payload: usize, peer: SocketAddr) -> u64 {
    payload as u64 + UDP_HEADER_BYTES + Ip::of(peer.ip()).header_bytes()
}

/// A byte stream whose bytes are counted.
#[derive(Debug)]
struct Counted<S> {
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
        let bytes = buffer.filled().len() - before;
        add(&self.meter.bytes_in, bytes);
        add(&self.meter.reads, usize::from(bytes > 0));
        result
    }
}

impl<S: AsyncWrite + Unpin> Counted<S> {
    fn counted(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = &result {
            add(&self.meter.bytes_out, *written);
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_connection_stays_counted_when_it_has_ended() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let meter = Arc::new(Meter::default());
        let accept = async { listener.accept().await.unwrap().0 };
        let (near, mut far) = tokio::join!(TcpStream::connect(address), accept);
        let mut near = Arc::clone(&meter).connected(Socket::Tcp(near.unwrap()));
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
    async fn the_last_datagram_is_counted_and_a_refused_connection() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (here, there) = (client.local_addr().unwrap(), server.local_addr().unwrap());
        client.connect(there).await.unwrap();
        let meter = Arc::new(Meter::default());
        Arc::clone(&meter).ended(Arc::new(client), there);
        assert_eq!(meter.closing(), 1);
        let close = b"{\"time\":1,\"event\":\"close\"}\n";
        server.send_to(close, here).await.unwrap();
        while meter.closing() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(meter.read().wire.bytes_in, close.len() as u64 + 28);
        meter.observe(Observation::ConnectRefused { to: None });
        let wire = meter.read().wire;
        assert_eq!((wire.bytes_out, wire.packets_out, wire.packets_in), (60, 1, 2));
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
        assert_eq!((traffic.bytes_in, traffic.reads, traffic.bytes_out), (2, 1, 5));
    }
}
