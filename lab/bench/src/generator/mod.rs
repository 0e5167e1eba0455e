//! The load generator: one thread that holds all connections, publishes by the clock or as messages
//! arrive, and checks every message that any receiver gets.
//!
//! - `dialect`: what a contender's bytes mean; `http`, `websocket`: what several of them share
//! - `subscribers`: those that come, stall and come back
//! - `tally`: counts, faults, latencies; which messages are on their way
//! - `load`: when to publish, for how long, and what is measured meanwhile
//!
//! Publisher and receivers have one clock. Nothing is allocated for a message.

pub(crate) mod dialect;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod subscribers;
pub(crate) mod tally;
pub(crate) mod websocket;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use self::dialect::{Dialect, Effects, Heard, State, Target};
use self::tally::Tally;
use crate::failure::{During, Failure, Result};
use crate::poller::{Poller, Socket};
use crate::stamp::{Payload, Stamp};
use crate::tls;

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;
/// How long anything may take before it counts as failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
struct Connection {
    socket: Socket,
    dialect: Rc<dyn Dialect>,
    state: State,
    /// Bytes that are no whole message yet.
    held: Vec<u8>,
    /// The next number of each of its topics, from `state.topic` on.
    expected: Box<[u64]>,
    /// Which publisher it is.
    publisher: Option<usize>,
    /// Whether its latencies count.
    timed: bool,
}

/// A publisher's progress.
#[derive(Debug)]
struct Publisher {
    connection: usize,
    /// Its next topic; it takes them in turn.
    topic: usize,
}

/// All connections and what they have counted.
pub(crate) struct Generator {
    poller: Poller,
    /// How connections are encrypted, where they are.
    tls: Option<Arc<ClientConfig>>,
    connections: Vec<Connection>,
    publishers: Vec<Publisher>,
    /// How many messages of each topic were published.
    published: Vec<u64>,
    /// All of them together.
    pub(crate) sent: u64,
    payload: Payload,
    clock: Instant,
    buffer: Box<[u8]>,
    /// What is about to be sent.
    scratch: Vec<u8>,
    message: Vec<u8>,
    /// What was counted.
    pub(crate) tally: Tally,
}

impl Generator {
    /// Without connections.
    pub(crate) fn new(payload: Payload, topics: usize) -> Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            tls: None,
            connections: Vec::new(),
            publishers: Vec::new(),
            published: vec![0; topics],
            sent: 0,
            payload,
            clock: Instant::now(),
            buffer: vec![0; READ_BYTES].into(),
            scratch: Vec::new(),
            message: Vec::new(),
            tally: Tally::new(),
        })
    }

    /// Encrypts what is opened from now on.
    pub(crate) fn encrypt(&mut self) -> Result<()> {
        self.tls = Some(tls::client()?);
        Ok(())
    }

    /// The session of a new connection.
    fn session(&self) -> Result<Option<rustls::Connection>> {
        self.tls.as_ref().map(tls::connection).transpose()
    }

    /// How many topics there are.
    pub(crate) fn topics(&self) -> usize {
        self.published.len()
    }

    /// Nanoseconds since the generator began.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    /// Opens connections that publish.
    pub(crate) fn connect_publishers(
        &mut self,
        address: SocketAddr,
        dialect: &Rc<dyn Dialect>,
        count: usize,
    ) -> Result<()> {
        for publisher in 0..count {
            let mut words = Vec::new();
            dialect.introduce(publisher, &mut words);
            // An echo comes back to its sender.
            let expected = self.published.as_slice().into();
            self.open(address, dialect, State::default(), expected, &words)?;
            let connection = self.connections.len() - 1;
            self.connections[connection].publisher = Some(publisher);
            self.publishers.push(Publisher { connection, topic: publisher });
        }
        Ok(())
    }

    fn open(
        &mut self,
        address: SocketAddr,
        dialect: &Rc<dyn Dialect>,
        state: State,
        expected: Box<[u64]>,
        words: &[u8],
    ) -> Result<()> {
        let key = self.connections.len();
        let socket = Socket::connect(address, self.session()?, &self.poller, key)
            .during(|| format!("connection number {key} to {address}"))?;
        let mut connection = Connection {
            socket,
            dialect: dialect.clone(),
            state,
            held: Vec::new(),
            expected,
            publisher: None,
            timed: true,
        };
        connection.socket.send(words, &self.poller, key)?;
        self.connections.push(connection);
        Ok(())
    }

    /// Puts one message behind what its publisher is about to send.
    fn publish(&mut self, publisher: usize, planned_ns: u64) {
        let publishers = self.publishers.len();
        let Publisher { connection, topic } = &mut self.publishers[publisher];
        let number = self.published[*topic];
        self.published[*topic] += 1;
        self.sent += 1;
        self.message.clear();
        let stamp = Stamp { topic: *topic, number, planned_ns };
        self.payload.write(stamp, &mut self.message);
        let dialect = &self.connections[*connection].dialect;
        let to = Target { publisher, topic: *topic };
        dialect.publish(to, &self.message, &mut self.scratch);
        *topic += publishers;
        if *topic >= self.published.len() {
            *topic = publisher;
        }
    }

    /// Sends what a publisher has put together, in one write.
    fn send_scratch(&mut self, publisher: usize) -> Result<()> {
        let key = self.publishers[publisher].connection;
        self.connections[key].socket.send(&self.scratch, &self.poller, key)?;
        self.scratch.clear();
        Ok(())
    }

    /// Whether publishers have bytes that the server has not taken.
    fn is_held_up(&self, publisher: usize) -> bool {
        self.connections[self.publishers[publisher].connection].socket.is_held_up()
    }

    /// Waits for one thing to happen, or for this long, and deals with it.
    pub(crate) fn turn(&mut self, timeout: Option<Duration>) -> Result<()> {
        for index in 0..self.poller.wait(timeout)? {
            let ready = self.poller.ready(index);
            if ready.writable {
                let connection = &mut self.connections[ready.key];
                connection.socket.flush(&self.poller, ready.key)?;
            }
            if ready.readable {
                self.read(ready.key)?;
            }
        }
        match self.tally.refusal.take() {
            Some(words) => Err(Failure(format!("the server refuses: {words}"))),
            None => Ok(()),
        }
    }

    fn read(&mut self, key: usize) -> Result<()> {
        let connection = &mut self.connections[key];
        let count = match connection.socket.read(&mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(count)) => count,
            Err(_) => 0,
        };
        if count == 0 {
            self.tally.faults.closed += 1;
            return self.poller.remove(connection.socket.stream());
        }
        let now_ns = self.clock.elapsed().as_nanos() as u64;
        let Connection { dialect, state, held, expected, publisher, timed, .. } = connection;
        let now_ns = timed.then_some(now_ns);
        let publisher = *publisher;
        let (tally, payload) = (&mut self.tally, &self.payload);
        let first = state.topic;
        let mut hear = |heard: Heard<'_>| match heard {
            Heard::Message(message) => match payload.read(message) {
                Some(stamp) => match expected.get_mut(stamp.topic.wrapping_sub(first)) {
                    Some(expected) => *expected = tally.deliver(stamp, *expected, now_ns),
                    None => tally.faults.damaged += 1,
                },
                None => tally.faults.damaged += 1,
            },
            Heard::Acknowledged(count) => {
                tally.acknowledged += count;
                if let (Some(window), Some(publisher)) = (&mut tally.window, publisher) {
                    window.acknowledge(publisher, count);
                }
            }
            Heard::Ready => tally.ready += 1,
            Heard::Refused(words) => {
                tally.refusal = Some(String::from_utf8_lossy(words).trim().to_owned());
            }
        };
        let bytes = &self.buffer[..count];
        let mut effects = Effects::new(&mut self.scratch, &mut hear);
        if held.is_empty() {
            let used = dialect.hear(state, bytes, &mut effects)?;
            held.extend_from_slice(&bytes[used..]);
        } else {
            held.extend_from_slice(bytes);
            let used = dialect.hear(state, held, &mut effects)?;
            held.drain(..used);
        }
        if !self.scratch.is_empty() {
            connection.socket.send(&self.scratch, &self.poller, key)?;
            self.scratch.clear();
        }
        Ok(())
    }

    /// Goes on until something is so. What takes too long has failed.
    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let mut progress = (Instant::now(), self.tally.deliveries);
        while !done(self) {
            self.turn(Some(Duration::from_millis(100)))?;
            if self.tally.deliveries > progress.1 {
                progress = (Instant::now(), self.tally.deliveries);
            }
            if progress.0.elapsed() > PATIENCE {
                return Err(Failure(format!("waited {PATIENCE:?} in vain for {what}")));
            }
        }
        Ok(())
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.connections.iter().for_each(|connection| connection.socket.abort());
    }
}
