//! The packets of one lane, as they cross the loopback interface: captured, put together connection
//! by connection, and told as dialogues while they go on.
//!
//! The lane of a connection is known at its first request, and its handshake comes before that. So
//! what is captured is kept for a moment, whoever's it is.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorbell_protocol::{Code, Error};
use doorbell_wire::{Capture, Dialogue, MISSING_PRIVILEGE, Segment, Step};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Seat;
use super::lane::Name;
use crate::connections::Ends;
use crate::limits::LAB_TRACES_MAX;

const INTERFACE: &str = "lo";
/// How often what was captured is told.
const TOLD_EVERY: Duration = Duration::from_millis(100);
/// A segment is told once it was captured this long ago: one that crossed before it has come by
/// then.
const SETTLED: Duration = Duration::from_millis(20);
/// How long the segments of a connection are kept that has not shown its lane, and how long what
/// comes after a connection's end is taken for a part of it.
const KEPT: Duration = Duration::from_secs(1);
/// Connections that are kept or told at the same time.
const CONNECTIONS_MAX: usize = 64;
/// Segments of one connection that are told.
const STEPS_MAX: usize = 400;
/// Bytes of payload of one connection that are kept.
const PAYLOAD_BYTES_MAX: usize = 256 << 10;

/// Whether this process may capture, and the sentence for the person who started it if it may not.
pub(crate) fn check(port: u16) -> Result<(), String> {
    Capture::open(INTERFACE, &[port]).map(drop).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            let own = std::env::current_exe().ok();
            let own =
                own.map_or_else(|| "doorbell-server".to_owned(), |own| own.display().to_string());
            format!("--trace: {}", MISSING_PRIVILEGE.replace("PROGRAM", &own))
        } else {
            format!("--trace: cannot capture on {INTERFACE}: {error}")
        }
    })
}

/// Some segments of one connection, the next after those that were told before.
#[derive(Debug, Serialize)]
pub(super) struct Trace {
    lane: Name,
    /// The connections of a trace are counted from 1.
    connection: u64,
    client: SocketAddr,
    server: SocketAddr,
    has_begin: bool,
    has_end: bool,
    /// How many segments of it were told before.
    first: usize,
    steps: Vec<Step>,
    /// Whether nothing more of it is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    full: bool,
}

/// A trace under way.
#[derive(Debug)]
pub(super) struct Wiretap {
    seat: Arc<Seat>,
    lane: Name,
    capture: Capture,
    book: Book,
    ticks: Interval,
    _permit: OwnedSemaphorePermit,
}

impl Wiretap {
    /// Begins to capture.
    pub(super) fn open(seat: Arc<Seat>, lane: Name) -> Result<Self, Error> {
        let permit = seat.lab.0.traces.clone().try_acquire_owned().map_err(|_| {
            let text = format!("{LAB_TRACES_MAX} traces are under way, which is the limit");
            Error::new(Code::Unavailable, text)
        })?;
        let addresses = &seat.parts().addresses;
        // No packet has port 0.
        let ports = [addresses.http, addresses.tcp].map(|at| at.map_or(0, |at| at.port()));
        let capture = Capture::open(INTERFACE, &ports).map_err(|error| {
            Error::new(Code::Internal, format!("cannot capture on {INTERFACE}: {error}"))
        })?;
        let book = Book::new(&seat.page.lane(&lane), ports);
        let mut ticks = interval(TOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { seat, lane, capture, book, ticks, _permit: permit })
    }

    /// What there is to tell next. Dropped before it is done, it loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<Trace>, String> {
        loop {
            tokio::select! {
                segment = self.capture.next() => {
                    let segment = segment.map_err(|error| format!("the capture failed: {error}"))?;
                    self.book.take(segment, Instant::now());
                }
                _ = self.ticks.tick() => {
                    let (seat, lane) = (&self.seat, &self.lane);
                    let accounts = seat.lab.accounts();
                    let serves = |ends| accounts.serves(ends, &seat.page, lane);
                    let traces = self.book.tell(lane, Instant::now(), serves);
                    drop(accounts);
                    if !traces.is_empty() {
                        return Ok(traces);
                    }
                }
            }
        }
    }
}

/// What was captured, by connection.
#[derive(Debug)]
struct Book {
    /// What a request of the lane has in its first line.
    mark: String,
    ports: [u16; 2],
    connections: HashMap<(SocketAddr, SocketAddr), Heard>,
    /// Connections of the lane so far.
    numbered: u64,
}

#[derive(Debug)]
struct Heard {
    /// Each with the moment at which it came here.
    segments: Vec<(Instant, Segment)>,
    payload_bytes: usize,
    since: Instant,
    /// When its last segment came.
    last: Instant,
    /// Whether it has begun to end.
    closing: bool,
    /// Its number, once it is known to be of the lane.
    number: Option<u64>,
    told: usize,
    full: bool,
    /// When its end was told.
    ended: Option<Instant>,
}

impl Book {
    fn new(mark: &str, ports: [u16; 2]) -> Self {
        Self { mark: mark.to_owned(), ports, connections: HashMap::new(), numbered: 0 }
    }

    fn take(&mut self, segment: Segment, now: Instant) {
        let (source, destination) = (segment.source, segment.destination);
        let to_server = self.ports.contains(&destination.port());
        let ends = if to_server { (source, destination) } else { (destination, source) };
        if !self.connections.contains_key(&ends) && !self.has_room() {
            return;
        }
        let heard = self.connections.entry(ends).or_insert_with(|| Heard::new(now));
        heard.take(segment, now);
    }

    /// Whether another connection can be kept; the one that was silent for longest makes room for
    /// it, those of no lane first.
    fn has_room(&mut self) -> bool {
        if self.connections.len() < CONNECTIONS_MAX {
            return true;
        }
        let all = self.connections.iter();
        let oldest = all.min_by_key(|(_, heard)| (heard.number.is_some(), heard.last));
        let oldest = oldest.map(|(ends, _)| *ends);
        oldest.is_some_and(|ends| self.connections.remove(&ends).is_some())
    }

    /// What has settled since the last time. `serves` says whether a connection is of the lane now.
    fn tell(&mut self, lane: &Name, now: Instant, serves: impl Fn(Ends) -> bool) -> Vec<Trace> {
        let mut own: Vec<_> = self.connections.iter_mut().collect();
        own.sort_by_key(|(_, heard)| heard.began());
        let mut traces = Vec::new();
        for ((client, server), heard) in own {
            let is_own = || serves(Ends::internet(*server, *client));
            if heard.number.is_none() && (heard.names(*client, &self.mark) || is_own()) {
                self.numbered += 1;
                heard.number = Some(self.numbered);
            }
            traces.extend(heard.tell(lane, (*client, *server), now));
        }
        self.connections.retain(|_, heard| !heard.is_over(now));
        traces
    }
}

impl Heard {
    fn new(now: Instant) -> Self {
        Self {
            segments: Vec::new(),
            payload_bytes: 0,
            since: now,
            last: now,
            closing: false,
            number: None,
            told: 0,
            full: false,
            ended: None,
        }
    }

    fn take(&mut self, segment: Segment, now: Instant) {
        self.last = now;
        self.closing |= segment.flags.fin || segment.flags.rst;
        self.payload_bytes += segment.payload.len();
        if self.segments.len() >= STEPS_MAX || self.payload_bytes > PAYLOAD_BYTES_MAX {
            self.full = true;
        }
        if !self.full {
            self.segments.push((now, segment));
        }
    }

    fn began(&self) -> Duration {
        self.segments.iter().map(|(_, segment)| segment.time).min().unwrap_or_default()
    }

    /// Whether a request of its client names the lane.
    fn names(&self, client: SocketAddr, mark: &str) -> bool {
        let own = self.segments.iter().filter(|(_, segment)| segment.source == client);
        own.map(|(_, segment)| segment.payload.as_slice()).any(|payload| {
            let line = payload.split(|byte| *byte == b'\r').next().unwrap_or_default();
            let found = line.windows(mark.len()).position(|window| window == mark.as_bytes());
            // The name must end there.
            found.is_some_and(|at| !line.get(at + mark.len()).is_some_and(u8::is_ascii_lowercase))
        })
    }

    fn tell(
        &mut self,
        lane: &Name,
        (client, server): (SocketAddr, SocketAddr),
        now: Instant,
    ) -> Option<Trace> {
        let connection = self.number?;
        if self.ended.is_some() {
            return None;
        }
        self.segments.sort_by_key(|(_, segment)| segment.time);
        let is_settled = |came: &Instant| now.duration_since(*came) >= SETTLED;
        let settled = self.segments.iter().take_while(|(came, _)| is_settled(came)).count();
        let all = settled == self.segments.len();
        if settled == self.told && !(self.full && all) {
            return None;
        }
        let segments: Vec<Segment> =
            self.segments[..settled].iter().map(|(_, segment)| segment.clone()).collect();
        let Dialogue { steps, has_begin, has_end, .. } = Dialogue::new(&segments, client, server);
        let is_reset = segments.iter().any(|segment| segment.flags.rst);
        let full = self.full && all;
        if has_end || is_reset || full {
            self.ended = Some(now);
        }
        let first = std::mem::replace(&mut self.told, settled);
        let steps = steps.into_iter().skip(first).collect();
        Some(Trace {
            lane: lane.clone(),
            connection,
            client,
            server,
            has_begin,
            has_end,
            first,
            steps,
            full,
        })
    }

    /// Whether it may be forgotten: nothing of it is to be told any more.
    fn is_over(&self, now: Instant) -> bool {
        let since = match (self.number, self.ended) {
            (None, _) => self.since,
            // One that is full but goes on would come back as another connection.
            (Some(_), Some(_)) if self.closing => self.last,
            (Some(_), _) => return false,
        };
        now.duration_since(since) > KEPT
    }
}

#[cfg(test)]
mod tests;
