//! Datagrams over a link: late, and some of them lost, twice or after those that followed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorbell_wire::Alarm;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::darkness::Darkness;
use crate::line::{Fate, Line};
use crate::passed::{Counts, count};
use crate::properties::Link;

/// Headers of IP and UDP.
const HEADER_BYTES: u64 = 28;
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Datagrams under way in one direction of one client; what comes then is dropped, as a router
/// does.
const QUEUE_MAX: usize = 4096;
/// Clients at once; datagrams of further ones are dropped.
const CLIENTS_MAX: usize = 4096;
/// A client that was silent, as was the server towards it, for so long is forgotten.
const IDLE: Duration = Duration::from_secs(300);
/// After a failure to receive, such as an answer of "port unreachable".
const PAUSE: Duration = Duration::from_millis(1);

/// Relays until dropped.
pub(crate) async fn relay(
    socket: Arc<UdpSocket>,
    link: Link,
    upstream: SocketAddr,
    seed: u64,
    counts: Arc<Counts>,
    darkness: Darkness,
) {
    let mut clients: HashMap<SocketAddr, mpsc::Sender<Bytes>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut number = 0_u64;
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (length, client) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                Err(_) => {
                    sleep(PAUSE).await;
                    continue;
                }
            },
            Some(ended) = tasks.join_next() => {
                if let Ok(client) = ended {
                    clients.remove(&client);
                }
                continue;
            }
        };
        count(&counts.datagrams);
        if !clients.contains_key(&client) {
            if clients.len() >= CLIENTS_MAX {
                count(&counts.overflowed);
                continue;
            }
            let (sender, receiver) = mpsc::channel(QUEUE_MAX);
            clients.insert(client, sender);
            count(&counts.clients);
            number += 1;
            let session = Session {
                link,
                counts: Arc::clone(&counts),
                darkness: darkness.clone(),
                seed: seed.wrapping_add(number << 1),
            };
            let near = Arc::clone(&socket);
            tasks.spawn(async move {
                // Without a socket towards the server its datagrams are lost.
                let _ = session.run(near, client, upstream, receiver).await;
                client
            });
        }
        let datagram = Bytes::copy_from_slice(&buffer[..length]);
        if clients.get(&client).is_none_or(|sender| sender.try_send(datagram).is_err()) {
            count(&counts.overflowed);
        }
    }
}

/// One client's datagrams, both ways.
struct Session {
    link: Link,
    counts: Arc<Counts>,
    darkness: Darkness,
    seed: u64,
}

impl Session {
    async fn run(
        &self,
        near: Arc<UdpSocket>,
        client: SocketAddr,
        upstream: SocketAddr,
        mut incoming: mpsc::Receiver<Bytes>,
    ) -> io::Result<()> {
        let any: SocketAddr = if upstream.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let far = UdpSocket::bind(any).await?;
        far.connect(upstream).await?;
        let mut forth = Queue::new(self, self.seed)?;
        let mut back = Queue::new(self, self.seed + 1)?;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let step = async {
                tokio::select! {
                    Some(datagram) = incoming.recv() => forth.put(datagram),
                    received = far.recv(&mut buffer) => match received {
                        Ok(length) => {
                            count(&self.counts.datagrams);
                            back.put(Bytes::copy_from_slice(&buffer[..length]));
                        }
                        Err(_) => sleep(PAUSE).await,
                    },
                    datagram = forth.next() => {
                        // A datagram that cannot be sent is lost.
                        let _ = far.send(&datagram?).await;
                    }
                    datagram = back.next() => {
                        let _ = near.send_to(&datagram?, client).await;
                    }
                }
                Ok::<(), io::Error>(())
            };
            match timeout(IDLE, step).await {
                Ok(outcome) => outcome?,
                Err(_) => return Ok(()),
            }
        }
    }
}

/// The datagrams of one direction, by the time at which they arrive.
struct Queue {
    line: Line,
    counts: Arc<Counts>,
    darkness: Darkness,
    alarm: Alarm,
    waiting: BinaryHeap<Reverse<(Instant, u64, Bytes)>>,
    number: u64,
}

impl Queue {
    fn new(session: &Session, seed: u64) -> io::Result<Self> {
        Ok(Self {
            line: Line::new(session.link, seed),
            counts: Arc::clone(&session.counts),
            darkness: session.darkness.clone(),
            alarm: Alarm::new()?,
            waiting: BinaryHeap::new(),
            number: 0,
        })
    }

    /// Lets chance decide what becomes of a datagram.
    fn put(&mut self, datagram: Bytes) {
        let fate = self.line.fate(Instant::now(), HEADER_BYTES + datagram.len() as u64);
        match fate {
            _ if self.darkness.is_on() => count(&self.counts.lost),
            Fate::Lost => count(&self.counts.lost),
            Fate::Dropped => count(&self.counts.overflowed),
            Fate::Arrives { at, is_late, is_double } => {
                if is_late {
                    count(&self.counts.reordered);
                }
                if is_double {
                    count(&self.counts.duplicated);
                    self.push(at, datagram.clone());
                }
                self.push(at, datagram);
            }
        }
    }

    fn push(&mut self, arrival: Instant, datagram: Bytes) {
        if self.waiting.len() >= QUEUE_MAX {
            count(&self.counts.overflowed);
            return;
        }
        self.number += 1;
        self.waiting.push(Reverse((arrival, self.number, datagram)));
    }

    /// The next that arrives, when it arrives. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> io::Result<Bytes> {
        let Some(Reverse((arrival, ..))) = self.waiting.peek() else {
            return pending().await;
        };
        self.alarm.until(*arrival).await?;
        match self.waiting.pop() {
            Some(Reverse((_, _, datagram))) => Ok(datagram),
            None => pending().await,
        }
    }
}
