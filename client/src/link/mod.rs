//! A link of one's own between client and server: a relay in user space that takes its time. It
//! needs no privilege.
//!
//! **What is emulated.** One-way delay with jitter, and a rate, for each connection and each
//! direction by itself, as if every client sat behind a line of its own. Order is kept. Over TCP
//! the handshake costs what it would: the client's first bytes reach the server 1.5 round trips
//! after it connected, the first answer the client after two, and so does the greeting of a server
//! that speaks first. The end of a direction travels like its bytes. Over UDP also loss,
//! duplication and reordering, drawn from a seeded generator.
//!
//! **What is not.** The client's `connect` itself returns at once, as the relay is near: only what
//! follows is late. TCP's own machinery sees loopback: no loss, no retransmission, no slow start,
//! no head-of-line blocking, acknowledgements without delay; a reset arrives as an end. Bytes
//! under way are bounded: 4 MiB, or with a rate what the line holds and a queue of 256 KiB before
//! it; then the sender is made to wait. The rate counts what would cross a wire: 52 bytes of
//! headers with each 1448 of a stream, 28 with each datagram. What the relay adds by itself is
//! about 0.1 ms a direction.

mod line;
pub mod netem;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorbell_protocol::code::quoted;
use doorbell_protocol::since::parse_duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

/// The longest one-way delay.
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// The lowest and the highest rate, in bits a second.
pub const RATE: (u64, u64) = (1_000, 10_000_000_000);

const NAMES: &str = "delay, jitter, rate, loss, reorder or duplicate";

/// The properties of a link: what [`Link::parse`] reads.
///
/// ```
/// use doorbell::link::Link;
///
/// let link = Link::parse("delay 40ms jitter 5ms rate 10mbit")?;
/// assert_eq!(link.to_string(), "delay 40ms jitter 5ms rate 10mbit");
/// assert_eq!(
///     Link::parse("delay 1h").unwrap_err().to_string(),
///     "delay '1h' is not a time up to 10s, such as 40ms"
/// );
/// # Ok::<(), doorbell::link::LinkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Link {
    /// One way, so half of what it adds to a round trip.
    pub delay: Duration,
    /// How far each chunk's delay is from that at most, both ways alike; not more than the delay.
    pub jitter: Duration,
    /// Bits a second, or as fast as it goes.
    pub rate: Option<u64>,
    /// The share of datagrams that are lost, 0 to 1. UDP only.
    pub loss: f64,
    /// The share of datagrams that are held back so that later ones overtake them. UDP only.
    pub reorder: f64,
    /// The share of datagrams that come twice. UDP only.
    pub duplicate: f64,
}

/// Why a link cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(String);

impl Link {
    /// Reads pairs of a name and a value: `delay 40ms jitter 5ms rate 10mbit`, and for UDP
    /// `loss 1% reorder 2% duplicate 0.5%`.
    ///
    /// # Errors
    ///
    /// A sentence with the value that cannot be and the bound that it breaks.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let mut link = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        let mut words = text.split_whitespace();
        while let Some(name) = words.next() {
            if seen.contains(&name) {
                return Err(LinkError(format!("{name} is given twice")));
            }
            let value = words.next();
            let value = || value.ok_or_else(|| LinkError(format!("{} has no value", quoted(name))));
            match name {
                "delay" => link.delay = time(name, value()?)?,
                "jitter" => link.jitter = time(name, value()?)?,
                "rate" => link.rate = Some(rate(value()?)?),
                "loss" => link.loss = share(name, value()?)?,
                "reorder" => link.reorder = share(name, value()?)?,
                "duplicate" => link.duplicate = share(name, value()?)?,
                _ => {
                    let name = quoted(name);
                    return Err(LinkError(format!("{name} is no property of a link: {NAMES}")));
                }
            }
            seen.push(name);
        }
        if seen.is_empty() {
            return Err(LinkError(format!("a link needs a property: {NAMES}")));
        }
        if link.jitter > link.delay {
            return Err(LinkError(format!(
                "jitter {:?} is more than the delay of {:?}: a chunk cannot arrive before it is \
                 sent",
                link.jitter, link.delay
            )));
        }
        Ok(link)
    }

    /// Whether TCP can run over it: a relay can't take segments out of a connection.
    ///
    /// # Errors
    ///
    /// A sentence that names the property which is for UDP only.
    pub fn for_tcp(self) -> Result<Self, LinkError> {
        for (name, share) in
            [("loss", self.loss), ("reorder", self.reorder), ("duplicate", self.duplicate)]
        {
            if share > 0.0 {
                return Err(LinkError(format!(
                    "{name} is for UDP: a relay in user space cannot take segments out of a TCP \
                     connection"
                )));
            }
        }
        Ok(self)
    }
}

fn time(name: &str, text: &str) -> Result<Duration, LinkError> {
    let time = if text == "0" { Some(Duration::ZERO) } else { parse_duration(text) };
    time.filter(|time| *time <= DELAY_MAX).ok_or_else(|| {
        let text = quoted(text);
        LinkError(format!("{name} {text} is not a time up to {DELAY_MAX:?}, such as 40ms"))
    })
}

const UNITS: [(&str, u64); 4] =
    [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

fn rate(text: &str) -> Result<u64, LinkError> {
    let refused = || {
        let text = quoted(text);
        LinkError(format!("rate {text} is not a rate from 1kbit to 10gbit, such as 10mbit"))
    };
    let unit = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)));
    let (number, unit) = unit.ok_or_else(refused)?;
    let is_plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number = if is_plain { number.parse::<u64>().ok() } else { None };
    number
        .and_then(|number| number.checked_mul(unit))
        .filter(|rate| (RATE.0..=RATE.1).contains(rate))
        .ok_or_else(refused)
}

fn share(name: &str, text: &str) -> Result<f64, LinkError> {
    let number = text.strip_suffix('%').filter(|number| {
        number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    });
    let percent = number.and_then(|number| number.parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| LinkError(format!("{name} {} is not a share from 0% to 100%", quoted(text))))
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        Self::parse(text)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delay {}", Time(self.delay))?;
        if !self.jitter.is_zero() {
            write!(f, " jitter {}", Time(self.jitter))?;
        }
        if let Some(rate) = self.rate {
            let unit = UNITS.iter().find(|(_, unit)| rate % unit == 0);
            let (name, unit) = unit.unwrap_or(&UNITS[3]);
            write!(f, " rate {}{name}", rate / unit)?;
        }
        for (name, share) in
            [("loss", self.loss), ("reorder", self.reorder), ("duplicate", self.duplicate)]
        {
            if share > 0.0 {
                // No more digits than were given, in spite of binary fractions.
                let percent = (share * 1e8).round() / 1e6;
                write!(f, " {name} {percent}%")?;
            }
        }
        Ok(())
    }
}

/// A time in seconds where they are whole, otherwise in milliseconds.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_micros() == 0 {
            return write!(f, "{}s", self.0.as_secs());
        }
        // Microseconds are all that is read, so three decimals lose nothing.
        let micros = self.0.as_micros();
        let text = format!("{}.{:03}", micros / 1000, micros % 1000);
        write!(f, "{}ms", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// What became of the datagrams or chunks of a relay so far, both directions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Connections accepted, or clients that sent datagrams.
    pub clients: u64,
    /// Datagrams that came in. Of TCP nothing is counted, as a stream has no pieces.
    pub datagrams: u64,
    /// Datagrams that were lost on purpose.
    pub lost: u64,
    /// Datagrams that were held back so that later ones overtake them.
    pub reordered: u64,
    /// Datagrams that were sent twice.
    pub duplicated: u64,
    /// Datagrams for which the queue had no room.
    pub overflowed: u64,
}

/// The running counts behind [`Passed`].
#[derive(Debug, Default)]
struct Counts {
    clients: AtomicU64,
    datagrams: AtomicU64,
    lost: AtomicU64,
    reordered: AtomicU64,
    duplicated: AtomicU64,
    overflowed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A running relay: connect to [`local_addr`](Self::local_addr) instead of to the server. Dropping
/// it stops everything and closes all of its sockets.
///
/// ```no_run
/// use doorbell::link::{Link, Relay};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let link = Link::parse("delay 40ms rate 10mbit")?;
/// let relay = Relay::tcp(link, "127.0.0.1:8080".parse()?, 7).await?;
/// println!("slow server at http://{}", relay.local_addr());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Relay {
    local: SocketAddr,
    counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Relays TCP connections to a server, from a free port on 127.0.0.1. The seed decides the
    /// jitter.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the link has properties for UDP only; what binding says.
    pub async fn tcp(link: Link, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let link =
            link.for_tcp().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let local = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(tcp::relay(listener, link, upstream, seed, Arc::clone(&counts)));
        Ok(Self { local, counts, _tasks: tasks })
    }

    /// Relays datagrams to a server and back, from a free port on 127.0.0.1. The seed decides what
    /// is lost, held back or doubled: the same datagrams in the same order fare the same.
    ///
    /// # Errors
    ///
    /// What binding says.
    pub async fn udp(link: Link, upstream: SocketAddr, seed: u64) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let local = socket.local_addr()?;
        let counts = Arc::new(Counts::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(udp::relay(Arc::new(socket), link, upstream, seed, Arc::clone(&counts)));
        Ok(Self { local, counts, _tasks: tasks })
    }

    /// Where clients are to connect or to send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What became of it all so far.
    pub fn passed(&self) -> Passed {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Passed {
            clients: read(&self.counts.clients),
            datagrams: read(&self.counts.datagrams),
            lost: read(&self.counts.lost),
            reordered: read(&self.counts.reordered),
            duplicated: read(&self.counts.duplicated),
            overflowed: read(&self.counts.overflowed),
        }
    }
}
