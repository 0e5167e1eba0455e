//! What is sent over a link, by connection.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use doorbell_wire::WireCounts;

use super::Passing;
use super::packet::{From, Key, Packet, Protocol, Segment};
use crate::line::{Fate, Line};
use crate::properties::Link;

/// Connections that are known at once; packets of further ones are lost.
const FLOWS_MAX: usize = 65_536;
/// Where there is no room, those are forgotten on which nothing was sent for so long.
const IDLE: Duration = Duration::from_secs(120);

/// What was lost on a link, and what TCP sent again, in packets. Both are among those that were
/// sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mishaps {
    /// Packets of the client that were lost.
    pub lost_out: u64,
    /// Packets of the server that were lost.
    pub lost_in: u64,
    /// Segments of the client with something that it had sent before.
    pub again_out: u64,
    /// Segments of the server with something that it had sent before.
    pub again_in: u64,
}

impl std::ops::Add for Mishaps {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            lost_out: self.lost_out + other.lost_out,
            lost_in: self.lost_in + other.lost_in,
            again_out: self.again_out + other.again_out,
            again_in: self.again_in + other.again_in,
        }
    }
}

/// What one connection, or one socket of datagrams, has sent over a link, counted where it was
/// sent.
#[derive(Debug, Default)]
pub struct Flow {
    out: Counts,
    r#in: Counts,
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Counts {
    packets: AtomicU64,
    bytes: AtomicU64,
    acks: AtomicU64,
    lost: AtomicU64,
    again: AtomicU64,
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

impl Flow {
    /// Packets and bytes, as seen by the client: out is what it sent, in what the server sent to
    /// it. Headers of IP are in it.
    pub fn wire(&self) -> WireCounts {
        WireCounts {
            bytes_out: read(&self.out.bytes),
            bytes_in: read(&self.r#in.bytes),
            packets_out: read(&self.out.packets),
            packets_in: read(&self.r#in.packets),
            acks_out: read(&self.out.acks),
            acks_in: read(&self.r#in.acks),
        }
    }

    /// What went wrong among them.
    pub fn mishaps(&self) -> Mishaps {
        Mishaps {
            lost_out: read(&self.out.lost),
            lost_in: read(&self.r#in.lost),
            again_out: read(&self.out.again),
            again_in: read(&self.r#in.again),
        }
    }

    /// Whether nothing more is to come: both sides have said goodbye and their acknowledgements
    /// have arrived, or one broke it off.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn counts(&self, from: From) -> &Counts {
        match from {
            From::Client => &self.out,
            From::Server => &self.r#in,
        }
    }
}

/// All that is sent over one link. Copies are of the same.
#[derive(Debug, Clone)]
pub struct Flows(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    link: Link,
    seed: u64,
    flows: HashMap<Key, Record>,
    /// What is neither TCP nor UDP.
    others: Record,
}

impl Flows {
    pub(crate) fn new(link: Link, seed: u64) -> Self {
        let others = Record::new(link, seed, Instant::now());
        let seed = seed.wrapping_add(2);
        Self(Arc::new(Mutex::new(Table { link, seed, flows: HashMap::new(), others })))
    }

    /// The newest connection between two ends; `None` if nothing was sent on one.
    pub fn connection(&self, client: SocketAddr, server: SocketAddr) -> Option<Arc<Flow>> {
        let key = Key { protocol: Protocol::Tcp, client: client.port(), server: server.port() };
        self.lock().flows.get(&key).map(|record| Arc::clone(&record.flow))
    }

    /// What is sent from now on between two sockets of datagrams; `None` if there are too many.
    pub fn datagrams(&self, client: SocketAddr, server: SocketAddr) -> Option<Arc<Flow>> {
        let key = Key { protocol: Protocol::Udp, client: client.port(), server: server.port() };
        self.lock().begin(key, Instant::now()).map(|record| Arc::clone(&record.flow))
    }

    /// Takes down that a packet is sent, and says what becomes of it.
    pub(crate) fn send(
        &self,
        packet: &Packet,
        from: From,
        bytes: u64,
        now: Instant,
        passing: Passing,
    ) -> Fate {
        let mut table = self.lock();
        let Some(record) = table.record(packet, now) else {
            return Fate::Dropped;
        };
        record.last = now;
        let line = match from {
            From::Client => &mut record.out.line,
            From::Server => &mut record.r#in.line,
        };
        let fate = match passing {
            Passing::AsSet => line.fate(now, bytes),
            Passing::Nothing => Fate::Lost,
            Passing::AtOnce => Fate::Arrives { at: now, is_late: false, is_double: false },
        };
        record.count(packet, from, bytes, fate);
        fate
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change is whole before anything in it can fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Whose packet it is; `None` if there is no room for one more.
    fn record(&mut self, packet: &Packet, now: Instant) -> Option<&mut Record> {
        let Some(key) = packet.key else {
            return Some(&mut self.others);
        };
        let opened = packet.segment.filter(|segment| segment.opens).map(|syn| syn.sequence);
        let is_known = self.flows.get(&key).is_some_and(|record| {
            // A port that serves again has another first number.
            opened.is_none() || opened == record.opened
        });
        if !is_known {
            self.begin(key, now)?.opened = opened;
        }
        self.flows.get_mut(&key)
    }

    /// Begins anew between two ports.
    fn begin(&mut self, key: Key, now: Instant) -> Option<&mut Record> {
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&key) {
            self.flows.retain(|_, record| now.saturating_duration_since(record.last) < IDLE);
        }
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&key) {
            return None;
        }
        // Both directions of all differ.
        self.seed = self.seed.wrapping_add(2);
        let record = Record::new(self.link, self.seed, now);
        Some(self.flows.entry(key).insert_entry(record).into_mut())
    }
}

/// A connection on its link.
#[derive(Debug)]
struct Record {
    flow: Arc<Flow>,
    /// The first number of the client that opened it.
    opened: Option<u32>,
    out: Way,
    r#in: Way,
    /// When something was sent on it.
    last: Instant,
}

/// One of its directions.
#[derive(Debug)]
struct Way {
    line: Line,
    /// The end of what was sent so far.
    sent: Option<u32>,
    /// The end of its FIN, and whether the acknowledgement of that has arrived.
    fin: Option<u32>,
    is_closed: bool,
}

impl Record {
    fn new(link: Link, seed: u64, now: Instant) -> Self {
        let way =
            |seed| Way { line: Line::new(link, seed), sent: None, fin: None, is_closed: false };
        Self {
            flow: Arc::default(),
            opened: None,
            out: way(seed),
            r#in: way(seed.wrapping_add(1)),
            last: now,
        }
    }

    fn count(&mut self, packet: &Packet, from: From, bytes: u64, fate: Fate) {
        let (way, other) = match from {
            From::Client => (&mut self.out, &mut self.r#in),
            From::Server => (&mut self.r#in, &mut self.out),
        };
        let counts = self.flow.counts(from);
        add(&counts.packets, 1);
        add(&counts.bytes, bytes);
        add(&counts.lost, u64::from(!matches!(fate, Fate::Arrives { .. })));
        if let Some(segment) = packet.segment {
            add(&counts.acks, u64::from(segment.is_ack));
            add(&counts.again, u64::from(way.is_again(segment)));
            if segment.is_fin {
                way.fin = Some(segment.sequence.wrapping_add(segment.length));
            }
            let arrives = matches!(fate, Fate::Arrives { .. });
            let closes = other.fin.is_some() && segment.acknowledges == other.fin;
            other.is_closed |= arrives && closes;
            if way.is_closed && other.is_closed || arrives && segment.is_reset {
                self.flow.is_over.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl Way {
    /// Whether a segment has something that was sent before.
    fn is_again(&mut self, segment: Segment) -> bool {
        if segment.length == 0 {
            return false;
        }
        let end = segment.sequence.wrapping_add(segment.length);
        let Some(sent) = self.sent else {
            self.sent = Some(end);
            return false;
        };
        // Numbers go round: what is less than half of them ahead is ahead.
        let is_before = |left: u32, right: u32| left.wrapping_sub(right).cast_signed() < 0;
        if is_before(sent, end) {
            self.sent = Some(end);
        }
        is_before(segment.sequence, sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sequence: u32, length: u32, opens: bool) -> Packet {
        Packet {
            key: Some(Key { protocol: Protocol::Tcp, client: 5000, server: 80 }),
            segment: Some(Segment {
                sequence,
                length,
                opens,
                is_ack: length == 0,
                acknowledges: None,
                is_fin: false,
                is_reset: false,
            }),
        }
    }

    fn ends() -> (SocketAddr, SocketAddr) {
        (([127, 1, 0, 1], 5000).into(), ([127, 1, 0, 2], 80).into())
    }

    #[test]
    fn what_is_sent_again_is_told_from_what_is_new_also_where_numbers_go_round() {
        let flows = Flows::new(Link::default(), 1);
        let now = Instant::now();
        let end = u32::MAX;
        for packet in [
            segment(end - 150, 1, true),
            // The SYN once more, data, an acknowledgement, more data over the end, twice.
            segment(end - 150, 1, true),
            segment(end - 149, 100, false),
            segment(end - 49, 0, false),
            segment(end - 49, 100, false),
            segment(end - 49, 100, false),
            segment(51, 10, false),
        ] {
            flows.send(&packet, From::Client, 60, now, Passing::AsSet);
        }
        let (client, server) = ends();
        let flow = flows.connection(client, server).unwrap();
        assert_eq!(flow.mishaps(), Mishaps { again_out: 2, ..Mishaps::default() });
        let wire = flow.wire();
        assert_eq!((wire.packets_out, wire.bytes_out, wire.acks_out), (7, 420, 1));
        assert_eq!((wire.packets_in, wire.bytes_in), (0, 0));
    }

    #[test]
    fn a_connection_is_over_when_both_goodbyes_are_acknowledged_and_that_has_arrived() {
        let flows = Flows::new(Link::default(), 1);
        let now = Instant::now();
        let said = |sequence, is_fin, acknowledges| {
            let mut packet = segment(sequence, u32::from(is_fin), false);
            let segment = packet.segment.as_mut().unwrap();
            (segment.is_fin, segment.acknowledges) = (is_fin, Some(acknowledges));
            packet
        };
        flows.send(&segment(10, 1, true), From::Client, 60, now, Passing::AsSet);
        let (client, server) = ends();
        let flow = flows.connection(client, server).unwrap();
        for (packet, from, passing) in [
            (said(11, true, 50), From::Client, Passing::AsSet),
            (said(50, true, 12), From::Server, Passing::AsSet),
            // The last acknowledgement is lost, so it will be asked for once more.
            (said(12, false, 51), From::Client, Passing::Nothing),
            (said(50, true, 12), From::Server, Passing::AsSet),
        ] {
            flows.send(&packet, from, 52, now, passing);
            assert!(!flow.is_over());
        }
        flows.send(&said(12, false, 51), From::Client, 52, now, Passing::AsSet);
        assert!(flow.is_over());
    }

    #[test]
    fn a_port_that_serves_again_is_another_connection() {
        let flows = Flows::new(Link::default(), 1);
        let (client, server) = ends();
        assert!(flows.connection(client, server).is_none());
        flows.send(&segment(10, 1, true), From::Client, 60, Instant::now(), Passing::AsSet);
        let first = flows.connection(client, server).unwrap();
        flows.send(&segment(900, 1, true), From::Client, 60, Instant::now(), Passing::AsSet);
        flows.send(&segment(901, 5, false), From::Client, 57, Instant::now(), Passing::AsSet);
        let second = flows.connection(client, server).unwrap();
        assert_eq!((first.wire().packets_out, second.wire().packets_out), (1, 2));
    }

    #[test]
    fn what_is_lost_was_sent_and_nothing_passes_in_the_dark() {
        let flows = Flows::new(Link::parse("loss 100%").unwrap(), 1);
        let now = Instant::now();
        assert_eq!(
            flows.send(&segment(1, 1, true), From::Client, 60, now, Passing::AsSet),
            Fate::Lost
        );
        let flows = Flows::new(Link::default(), 1);
        assert_eq!(
            flows.send(&segment(1, 1, true), From::Client, 60, now, Passing::Nothing),
            Fate::Lost
        );
        let (client, server) = ends();
        let flow = flows.connection(client, server).unwrap();
        assert_eq!((flow.wire().packets_out, flow.mishaps().lost_out), (1, 1));
    }

    #[test]
    fn the_number_of_connections_is_bounded_and_silent_ones_make_room() {
        let flows = Flows::new(Link::default(), 1);
        let now = Instant::now();
        let of = |number: usize| Packet {
            key: Some(Key {
                protocol: Protocol::Udp,
                client: u16::try_from(number % 60_000).unwrap(),
                server: u16::try_from(number / 60_000).unwrap(),
            }),
            segment: None,
        };
        for number in 0..FLOWS_MAX {
            let fate = flows.send(&of(number), From::Client, 40, now, Passing::AsSet);
            assert!(matches!(fate, Fate::Arrives { .. }));
        }
        let further = of(FLOWS_MAX);
        assert_eq!(flows.send(&further, From::Client, 40, now, Passing::AsSet), Fate::Dropped);
        let later = now + IDLE;
        let fate = flows.send(&further, From::Client, 40, later, Passing::AsSet);
        assert!(matches!(fate, Fate::Arrives { .. }));
    }
}
