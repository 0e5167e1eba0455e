//! The packets themselves, captured beside the kernel's counts, and whether the two agree.
//!
//! They must: on loopback, without anything sent twice, the counts are exact. A check that fails
//! tells of a machine so busy that acknowledgements came late, of a capture that lost packets, or
//! of an error in this program. Over a link of packets that counts what is sent, what is sent is
//! captured at both ends, and may be sent twice.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use doorbell::{Authority, Endpoint};
use doorbell_instruments::{CLOSING_MAX, Connection, Failure, missing_privilege};
use doorbell_wire::{Capture, Namespace, Segment, WireCounts};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::both::Both;
use crate::contender::Places;
use crate::emulated;

const INTERFACE: &str = "lo";
/// After this long without a segment nothing more comes.
const QUIET: Duration = Duration::from_millis(100);
/// If others keep the ports busy, the end comes all the same.
const END_MAX: Duration = Duration::from_secs(2);
/// Connections that are told apart, those of others on the same ports included.
const CONNECTIONS_MAX: usize = 1_000_000;

/// What was captured of one contender, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Captured {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    /// Packets that the capture had no room for, whoever's they were.
    pub(crate) drops: u64,
    /// Connections of which it saw no beginning.
    pub(crate) unseen: u64,
    /// Whether all of it was captured and is what the kernel counted.
    pub(crate) agrees: bool,
}

impl Captured {
    /// Holds it against the kernel's counts.
    pub(crate) fn check(mut self, bytes: Both, packets: Both) -> Self {
        self.agrees = self.drops == 0
            && self.unseen == 0
            && (self.bytes_in, self.bytes_out) == (bytes.r#in, bytes.out)
            && (self.packets_in, self.packets_out) == (packets.r#in, packets.out);
        self
    }

    pub(crate) fn packets(&self) -> u64 {
        self.packets_in + self.packets_out
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_in + self.bytes_out
    }
}

/// Whether this process may capture at all.
pub(crate) fn permitted() -> Result<(), Failure> {
    open(&[1]).map(drop)
}

fn open(ports: &[u16]) -> Result<Capture, Failure> {
    permit(Capture::open(INTERFACE, ports))
}

fn permit(capture: io::Result<Capture>) -> Result<Capture, Failure> {
    capture.map_err(|error| {
        Failure::Failed(match error.kind() {
            ErrorKind::PermissionDenied => {
                let missing = missing_privilege();
                format!("--check-capture: {missing}, or --ethernet, which makes one")
            }
            _ => format!("--check-capture: {error}"),
        })
    })
}

/// What is captured: all that crosses loopback, or what is sent at each end of a link.
struct Captures {
    near: Capture,
    far: Option<Capture>,
}

impl Captures {
    fn open(ports: &[u16], beyond: Option<&Namespace>) -> Result<Self, Failure> {
        let Some(beyond) = beyond else {
            return Ok(Self { near: open(ports)?, far: None });
        };
        let runtime = Handle::current();
        let far = beyond.run(|| {
            let _inside = runtime.enter();
            Capture::open_sent(ports)
        })?;
        Ok(Self { near: permit(Capture::open_sent(ports))?, far: Some(permit(far)?) })
    }

    /// The next segment of either. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> io::Result<Segment> {
        let Self { near, far } = self;
        match far {
            None => near.next().await,
            Some(far) => tokio::select! {
                segment = near.next() => segment,
                segment = far.next() => segment,
            },
        }
    }

    fn dropped(&mut self) -> io::Result<u64> {
        let far = self.far.as_mut().map_or(Ok(0), Capture::dropped)?;
        Ok(self.near.dropped()? + far)
    }
}

/// A capture that runs beside the races.
pub(crate) struct Tap {
    stop: oneshot::Sender<()>,
    /// One, which ends with the set.
    task: JoinSet<io::Result<Seen>>,
}

impl Tap {
    /// Captures the ports of a server on this machine, or at both ends of a link before it.
    pub(crate) async fn open(places: &Places, beyond: Option<&Namespace>) -> Result<Self, Failure> {
        let mut ports = vec![port(places.http.http()?.authority()).await?];
        if let Some(Endpoint::Tcp(authority) | Endpoint::Tls(authority, _)) = &places.tcp {
            ports.push(port(authority).await?);
        }
        let captures = Captures::open(&ports, beyond)?;
        let seen = Seen { ports, is_over_link: beyond.is_some(), ..Seen::default() };
        let (stop, stopped) = oneshot::channel();
        let mut task = JoinSet::new();
        task.spawn(watch(captures, seen, stopped));
        Ok(Self { stop, task })
    }

    /// Takes what is still under way, and ends.
    pub(crate) async fn finish(mut self) -> Result<Seen, Failure> {
        let _ = self.stop.send(());
        let ended = |reason: String| Failure::Failed(format!("the capture ended: {reason}"));
        match self.task.join_next().await {
            Some(Ok(Ok(seen))) => Ok(seen),
            Some(Ok(Err(error))) => Err(ended(error.to_string())),
            Some(Err(error)) => Err(ended(error.to_string())),
            None => Err(ended("nobody ran it".to_owned())),
        }
    }
}

/// The port of a server that must be on this machine.
async fn port(authority: &Authority) -> Result<u16, Failure> {
    let address = emulated::address(authority).await?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address.port());
    }
    Err(Failure::Usage(format!(
        "--check-capture looks at the loopback interface, and {authority} is not on it"
    )))
}

async fn watch(
    mut captures: Captures,
    mut seen: Seen,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<Seen> {
    loop {
        tokio::select! {
            segment = captures.next() => seen.take(&segment?),
            _ = &mut stopped => break,
        }
    }
    let end = Instant::now() + END_MAX;
    while let (true, Ok(segment)) = (Instant::now() < end, timeout(QUIET, captures.next()).await) {
        seen.take(&segment?);
    }
    seen.dropped = captures.dropped()?;
    Ok(seen)
}

/// All connections that were captured.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of the server.
    ports: Vec<u16>,
    /// Whether the link counts, and not the kernel.
    is_over_link: bool,
    /// By the ends of client and server; one pair may serve again when it is free.
    connections: HashMap<(SocketAddr, SocketAddr), Vec<Counted>>,
    count: usize,
    dropped: u64,
}

/// What was captured of a connection, as its client saw it.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// The client's first number, by which it is told from another between the same ends.
    number: u32,
    /// When its SYN, or the answer to it, was captured, since the beginning of 1970.
    began: Duration,
    /// When the client's FIN was.
    ended: Option<Duration>,
    wire: WireCounts,
}

impl Seen {
    fn take(&mut self, segment: &Segment) {
        let is_out = self.ports.contains(&segment.destination.port());
        let ends = if is_out {
            (segment.source, segment.destination)
        } else {
            (segment.destination, segment.source)
        };
        if segment.flags.syn {
            // What is captured at two ends does not come in one order: the answer may be first.
            let answered = segment.acknowledgement.wrapping_sub(1);
            self.begin(ends, if is_out { segment.sequence } else { answered }, segment.time);
        }
        // Without a SYN it began before the capture, and belongs to no contender.
        let Some(Counted { wire, ended, .. }) =
            self.connections.get_mut(&ends).and_then(|all| all.last_mut())
        else {
            return;
        };
        // What comes later is answered by the kernel alone, which counts that nowhere.
        if !self.is_over_link && ended.is_some_and(|ended| segment.time > ended + CLOSING_MAX) {
            return;
        }
        if is_out && segment.flags.fin {
            ended.get_or_insert(segment.time);
        }
        if is_out {
            wire.packets_out += segment.segments;
            wire.bytes_out += segment.wire_bytes();
        } else {
            wire.packets_in += segment.segments;
            wire.bytes_in += segment.wire_bytes();
        }
    }

    /// Begins to count a connection, unless it is only asked for again.
    fn begin(&mut self, ends: (SocketAddr, SocketAddr), number: u32, time: Duration) {
        let all = self.connections.entry(ends).or_default();
        if self.count < CONNECTIONS_MAX && all.last().is_none_or(|last| last.number != number) {
            let wire = WireCounts::default();
            all.push(Counted { number, began: time, ended: None, wire });
            self.count += 1;
        }
    }

    /// The sum of some connections.
    pub(crate) fn of(&self, connections: &[Connection]) -> Captured {
        let mut captured = Captured { drops: self.dropped, ..Captured::default() };
        for connection in connections {
            let since = connection.since.duration_since(UNIX_EPOCH).unwrap_or_default();
            let all = self.connections.get(&(connection.local, connection.peer));
            let mut earlier = all.into_iter().flatten().filter(|counted| counted.began <= since);
            match earlier.next_back() {
                Some(Counted { wire, .. }) => {
                    captured.bytes_in += wire.bytes_in;
                    captured.bytes_out += wire.bytes_out;
                    captured.packets_in += wire.packets_in;
                    captured.packets_out += wire.packets_out;
                }
                None => captured.unseen += 1,
            }
        }
        captured
    }
}

#[cfg(test)]
mod tests {
    use doorbell_wire::{Flags, Options};

    use super::*;

    /// The numbers of a connection are those of the second in which it began.
    fn segment(at: u64, from: u16, to: u16, syn: bool, payload: usize) -> Segment {
        Segment {
            time: Duration::from_secs(at),
            source: SocketAddr::from(([127, 0, 0, 1], from)),
            destination: SocketAddr::from(([127, 0, 0, 1], to)),
            sequence: if to == 80 { u32::try_from(at).unwrap() } else { 0 },
            acknowledgement: u32::try_from(at).unwrap() + 1,
            window: 0,
            flags: Flags { syn, ..Flags::default() },
            options: Options::default(),
            payload: vec![0; payload],
            header_bytes: 52,
            segments: 1,
        }
    }

    #[test]
    fn a_port_that_serves_again_is_told_apart_by_time() {
        let mut seen = Seen { ports: vec![80], ..Seen::default() };
        for (at, from, to, syn, payload) in [
            (9, 5000, 80, false, 7),
            (10, 5000, 80, true, 0),
            (10, 80, 5000, true, 0),
            (11, 80, 5000, false, 100),
            (20, 5000, 80, true, 0),
            (21, 5000, 80, false, 30),
        ] {
            seen.take(&segment(at, from, to, syn, payload));
        }
        let opened = |port: u16, at| Connection {
            local: SocketAddr::from(([127, 0, 0, 1], port)),
            peer: SocketAddr::from(([127, 0, 0, 1], 80)),
            since: UNIX_EPOCH + Duration::from_secs(at),
        };
        let first = seen.of(&[opened(5000, 12)]);
        assert_eq!((first.packets_in, first.bytes_in), (2, 2 * 52 + 100));
        assert_eq!((first.packets_out, first.bytes_out), (1, 52));
        let second = seen.of(&[opened(5000, 21)]);
        assert_eq!((second.packets_in, second.bytes_out), (0, 2 * 52 + 30));
        let both = seen.of(&[opened(5000, 12), opened(5000, 21), opened(5001, 12)]);
        assert_eq!((both.packets(), both.bytes(), both.unseen), (5, 5 * 52 + 130, 1));
    }

    #[test]
    fn over_a_link_all_is_counted_in_whatever_order_it_is_seen() {
        let mut seen = Seen { ports: vec![80], is_over_link: true, ..Seen::default() };
        // The answer is seen before the question, and that was lost and asked again.
        seen.take(&segment(10, 80, 5000, true, 0));
        seen.take(&segment(10, 5000, 80, true, 0));
        let mut again = segment(11, 5000, 80, true, 0);
        again.sequence = 10;
        seen.take(&again);
        let mut end = segment(12, 5000, 80, false, 0);
        end.flags.fin = true;
        seen.take(&end);
        seen.take(&segment(15, 80, 5000, false, 44));
        let opened = Connection {
            local: SocketAddr::from(([127, 0, 0, 1], 5000)),
            peer: SocketAddr::from(([127, 0, 0, 1], 80)),
            since: UNIX_EPOCH + Duration::from_secs(11),
        };
        let counted = seen.of(&[opened]);
        assert_eq!((counted.packets_out, counted.packets_in, counted.bytes_in), (3, 2, 148));
    }

    #[test]
    fn what_comes_when_the_client_is_gone_is_not_its_own() {
        let mut seen = Seen { ports: vec![80], ..Seen::default() };
        seen.take(&segment(10, 5000, 80, true, 0));
        let mut end = segment(11, 5000, 80, false, 0);
        end.flags.fin = true;
        seen.take(&end);
        seen.take(&segment(11, 80, 5000, false, 0));
        seen.take(&segment(12, 80, 5000, false, 96));
        let opened = Connection {
            local: SocketAddr::from(([127, 0, 0, 1], 5000)),
            peer: SocketAddr::from(([127, 0, 0, 1], 80)),
            since: UNIX_EPOCH + Duration::from_secs(10),
        };
        let counted = seen.of(&[opened]);
        assert_eq!((counted.packets_out, counted.packets_in, counted.bytes_in), (2, 1, 52));
    }

    #[test]
    fn it_agrees_only_if_all_was_captured_and_counted() {
        let captured = Captured { bytes_in: 1, packets_in: 1, ..Captured::default() };
        let one = Both { r#in: 1, out: 0 };
        assert!(captured.check(one, one).agrees);
        assert!(!captured.check(one, Both { r#in: 1, out: 1 }).agrees);
        assert!(!Captured { drops: 1, ..captured }.check(one, one).agrees);
        assert!(!Captured { unseen: 1, ..captured }.check(one, one).agrees);
    }
}
