//! What the kernel counted of the connections of one subscription, those that have ended included,
//! or a link of packets did.
//!
//! A connection's counts are complete once both sides have said goodbye, which is after its owner
//! has dropped it. So a dropped connection is shut down at once, as closing does, but its
//! descriptor stays for a moment, until the kernel has seen the end or somebody has looked.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use doorbell_link::{Flow, Flows, Mishaps};
use doorbell_wire::{Ip, Opener, State, WireCounts, tcp_info};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection whose other side has not ended it after this long is not waited for. A server that
/// looks a second after the end whether anybody is there has not looked yet.
pub const CLOSING_MAX: Duration = Duration::from_millis(500);
/// Over a link of packets the end may be lost, and is sent again.
const CLOSING_MAX_LINK: Duration = Duration::from_secs(2);
/// Connections that wait for their end at the same time.
const CLOSING_COUNT_MAX: usize = 64;
/// Connections that are listed of one meter.
const LISTED_MAX: usize = 100_000;

/// A TCP connection of a subscription, as a capture of packets has to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// This end.
    pub local: SocketAddr,
    /// The server's end.
    pub peer: SocketAddr,
    /// A moment soon after it was established.
    pub since: SystemTime,
}

/// The connections of one meter.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    number: AtomicU64,
    /// The counts of a link of packets, which then hold in place of the kernel's.
    flows: Option<Flows>,
    book: Mutex<Book>,
}

/// A connection, and its counts by a link of packets if there is one.
#[derive(Debug)]
struct Open {
    /// Gone as soon as its owner has dropped it, if a link counts.
    stream: Option<Arc<TcpStream>>,
    flow: Option<Arc<Flow>>,
}

impl Open {
    /// Whether all has been said and acknowledged. A link has seen that a moment later than the
    /// kernel has sent it.
    fn is_over(&self) -> bool {
        match (&self.flow, &self.stream) {
            (Some(flow), _) => flow.is_over(),
            (None, Some(stream)) => {
                tcp_info(&**stream).map_or(true, |counts| counts.state == State::Closed)
            }
            (None, None) => true,
        }
    }
}

#[derive(Debug, Default)]
struct Book {
    open: Vec<(u64, Open)>,
    closing: VecDeque<(Instant, Open)>,
    ended: WireCounts,
    /// By a link's counts: the connections that it knows, which it bounds, and the sum of those
    /// that it has forgotten.
    flows: Vec<Arc<Flow>>,
    forgotten: (WireCounts, Mishaps),
    /// Those opened since somebody asked for a list.
    listed: Option<Vec<Connection>>,
}

impl Ledger {
    /// An empty one. Over a link of packets that counts what was sent, the kernel does not: it
    /// knows nothing of what was lost, and counts no selective acknowledgements.
    pub(crate) fn over(flows: Option<Flows>) -> Self {
        Self { flows, ..Self::default() }
    }

    /// The sum over all connections at this moment.
    pub(crate) fn read(&self) -> (WireCounts, Mishaps) {
        let mut book = self.book();
        book.settle(self.closing_max());
        if self.flows.is_some() {
            return book.sum_of_flows();
        }
        let open = book.open.iter().filter_map(|(_, open)| open.stream.as_ref());
        let closing = book.closing.iter().filter_map(|(_, closing)| closing.stream.as_ref());
        let all = open.chain(closing);
        (all.fold(book.ended, |sum, stream| sum + wire(stream)), Mishaps::default())
    }

    /// How many connections have been dropped whose last packets are still awaited.
    pub(crate) fn closing(&self) -> usize {
        let mut book = self.book();
        book.settle(self.closing_max());
        book.closing.len()
    }

    /// Keeps a list of connections from now on.
    pub(crate) fn list(&self) {
        self.book().listed.get_or_insert_default();
    }

    /// The connections opened since [`list`](Self::list).
    pub(crate) fn listed(&self) -> Vec<Connection> {
        self.book().listed.clone().unwrap_or_default()
    }

    fn add(&self, stream: &Arc<TcpStream>) -> u64 {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut book = self.book();
        let mut open = Open { stream: Some(Arc::clone(stream)), flow: None };
        if let (Ok(local), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) {
            let flow = self.flows.as_ref().and_then(|flows| flows.connection(local, peer));
            open.flow.clone_from(&flow);
            book.flows.extend(flow);
            if let Some(listed) = book.listed.as_mut().filter(|listed| listed.len() < LISTED_MAX) {
                listed.push(Connection { local, peer, since: SystemTime::now() });
            }
        }
        book.open.push((number, open));
        number
    }

    /// Begins to count what is sent between two sockets of datagrams, over a link of packets.
    pub(crate) fn add_datagrams(&self, local: SocketAddr, server: SocketAddr) {
        let flow = self.flows.as_ref().and_then(|flows| flows.datagrams(local, server));
        self.book().flows.extend(flow);
    }

    /// Whether a link counts packets.
    pub(crate) fn is_over_link(&self) -> bool {
        self.flows.is_some()
    }

    fn closing_max(&self) -> Duration {
        if self.is_over_link() { CLOSING_MAX_LINK } else { CLOSING_MAX }
    }

    fn close(&self, number: u64) {
        let mut book = self.book();
        let Some(index) = book.open.iter().position(|(open, _)| *open == number) else {
            return;
        };
        let (_, mut closing) = book.open.swap_remove(index);
        if closing.flow.is_some() {
            // The kernel ends it as it ends all, and the link sees how.
            closing.stream = None;
        }
        if let Some(stream) = &closing.stream {
            // That the other side has already ended it is no trouble.
            let _ = SockRef::from(&**stream).shutdown(Shutdown::Write);
        }
        book.closing.push_back((Instant::now(), closing));
        book.settle(self.closing_max());
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is whole before anything in it can fail.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// What a link counted.
    fn sum_of_flows(&mut self) -> (WireCounts, Mishaps) {
        let add =
            |sum: (WireCounts, Mishaps), flow: &Flow| (sum.0 + flow.wire(), sum.1 + flow.mishaps());
        let forgotten = &mut self.forgotten;
        self.flows.retain(|flow| {
            // The link has let go of it, so that it does not change any more.
            let is_final = Arc::strong_count(flow) == 1;
            if is_final {
                *forgotten = add(*forgotten, flow);
            }
            !is_final
        });
        self.flows.iter().fold(*forgotten, |sum, flow| add(sum, flow))
    }

    /// Takes down the connections that have ended, and lets go of those that take too long.
    fn settle(&mut self, closing_max: Duration) {
        let surplus = self.closing.len().saturating_sub(CLOSING_COUNT_MAX);
        let mut ended = self.ended;
        let mut index = 0;
        self.closing.retain(|(since, closing)| {
            index += 1;
            let wait = !closing.is_over() && index > surplus && since.elapsed() < closing_max;
            if let Some(stream) = closing.stream.as_ref().filter(|_| !wait) {
                ended = ended + wire(stream);
            }
            wait
        });
        self.ended = ended;
    }
}

/// What crossed the wire; nothing if the kernel does not say.
fn wire(stream: &TcpStream) -> WireCounts {
    let address = stream.peer_addr().or_else(|_| stream.local_addr());
    let ip = address.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip());
    tcp_info(stream).map_or(WireCounts::default(), |counts| counts.wire(Opener::Active, Ip::of(ip)))
}

/// A TCP stream that stands in a ledger for as long as it is open.
#[derive(Debug)]
pub(crate) struct Recorded {
    stream: Arc<TcpStream>,
    ledger: Arc<Ledger>,
    number: u64,
}

impl Recorded {
    pub(crate) fn new(stream: TcpStream, ledger: &Arc<Ledger>) -> Self {
        let stream = Arc::new(stream);
        let number = ledger.add(&stream);
        Self { stream, ledger: Arc::clone(ledger), number }
    }

    /// Tries until it need not wait, or registers the task for when it need not.
    fn poll_write_with<T>(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.ledger.close(self.number);
    }
}

impl AsyncRead for Recorded {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}
