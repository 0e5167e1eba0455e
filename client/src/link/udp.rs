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

use super::line::Line;
use super::{Counts, Link, count};

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
/// A datagram that is overtaken is held back by half of the delay, and by so much at least.
const HOLD_MIN: Duration = Duration::from_millis(5);
/// After a failure to receive, such as an answer of "port unreachable".
const PAUSE: Duration = Duration::from_millis(1);

/// Relays until dropped.
pub(super) async fn relay(
    socket: Arc<UdpSocket>,
    link: Link,
    upstream: SocketAddr,
    seed: u64,
    counts: Arc<Counts>,
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
            let session =
                Session { link, counts: Arc::clone(&counts), seed: seed.wrapping_add(number << 1) };
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
    link: Link,
    counts: Arc<Counts>,
    alarm: Alarm,
    waiting: BinaryHeap<Reverse<(Instant, u64, Bytes)>>,
    number: u64,
}

impl Queue {
    fn new(session: &Session, seed: u64) -> io::Result<Self> {
        Ok(Self {
            line: Line::new(session.link, seed),
            link: session.link,
            counts: Arc::clone(&session.counts),
            alarm: Alarm::new()?,
            waiting: BinaryHeap::new(),
            number: 0,
        })
    }

    /// Lets chance decide what becomes of a datagram.
    fn put(&mut self, datagram: Bytes) {
        // All are drawn each time, so that one share does not change the course of the others.
        let is_lost = self.line.hits(self.link.loss);
        let is_late = self.line.hits(self.link.reorder);
        let is_double = self.line.hits(self.link.duplicate);
        // What is lost took its place on the line all the same.
        let now = Instant::now();
        let mut arrival = self.line.arrival(now, HEADER_BYTES + datagram.len() as u64);
        if is_lost {
            count(&self.counts.lost);
            return;
        }
        if is_late {
            count(&self.counts.reordered);
            arrival += HOLD_MIN.max(self.link.delay / 2);
        }
        if is_double {
            count(&self.counts.duplicated);
            self.push(arrival, datagram.clone());
        }
        self.push(arrival, datagram);
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

#[cfg(test)]
mod tests {
    use super::super::{Passed, Relay};
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    /// How long a machine may be too busy to show what the link itself takes.
    const PATIENCE: Duration = Duration::from_secs(20);
    const DATAGRAMS: u32 = 2000;
    /// So many are sent before some are received, or the kernel's buffers overflow.
    const BURST: u32 = 50;

    async fn ends(link: &str) -> (Relay, UdpSocket, UdpSocket) {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let link = Link::parse(link).unwrap();
        let relay = Relay::udp(link, server.local_addr().unwrap(), 7).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(relay.local_addr()).await.unwrap();
        (relay, client, server)
    }

    /// Sends numbered datagrams and returns the numbers that arrive, in their order. The last one
    /// of each burst is sent until it is there, and not returned.
    async fn send(client: &UdpSocket, server: &UdpSocket) -> Vec<u32> {
        let mut received = Vec::new();
        for burst in 0..DATAGRAMS / BURST {
            for number in burst * BURST..(burst + 1) * BURST {
                client.send(&number.to_be_bytes()).await.unwrap();
            }
            let end = u32::MAX - burst;
            'burst: loop {
                client.send(&end.to_be_bytes()).await.unwrap();
                let mut bytes = [0; 4];
                // Long enough for what is held back.
                while let Ok(length) =
                    timeout(Duration::from_millis(30), server.recv(&mut bytes)).await
                {
                    assert_eq!(length.unwrap(), 4);
                    match u32::from_be_bytes(bytes) {
                        number if number == end => break 'burst,
                        number if number < DATAGRAMS => received.push(number),
                        _ => {}
                    }
                }
            }
        }
        // What was held back in the last burst.
        let mut bytes = [0; 4];
        while timeout(Duration::from_millis(30), server.recv(&mut bytes)).await.is_ok() {
            let number = u32::from_be_bytes(bytes);
            received.extend((number < DATAGRAMS).then_some(number));
        }
        received
    }

    #[tokio::test]
    async fn the_shares_are_those_asked_for() {
        let (relay, client, server) = ends("loss 10% reorder 5% duplicate 4%").await;
        let received = send(&client, &server).await;
        let mut distinct = received.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let lost = u64::from(DATAGRAMS) - distinct.len() as u64;
        let Passed { lost: counted, reordered, duplicated, overflowed, datagrams, .. } =
            relay.passed();
        assert_eq!(overflowed, 0);
        // Expected 200, standard deviation 13.4: four of them.
        assert!(lost.abs_diff(200) < 54, "{lost} lost");
        assert!(counted >= lost);
        // 5 % and 4 % of all that were not lost; standard deviations 10 and 9.
        let kept = datagrams - counted;
        assert!(reordered.abs_diff(kept / 20) < 40, "{reordered} of {kept} reordered");
        assert!(duplicated.abs_diff(kept / 25) < 36, "{duplicated} of {kept} doubled");
        let mut highest = 0;
        let is_overtaken = |number: &&u32| {
            highest = highest.max(**number);
            **number < highest
        };
        let overtaken = received.iter().filter(is_overtaken).count() as u64;
        // Some of those held back were doubled, some had nobody behind them.
        assert!(overtaken.abs_diff(reordered) < 30, "{overtaken} of {reordered} overtaken");
        assert!(received.len() > distinct.len());
    }

    #[tokio::test]
    async fn without_mishaps_all_come_in_order_and_late() {
        let (_relay, client, server) = ends("delay 10ms jitter 3ms").await;
        let (mut times, end) = (Vec::new(), Instant::now() + PATIENCE);
        // With the jitter some take less than twice the delay; a busy machine may hide that a while.
        let is_quick = |time: &f64| *time < 20.0;
        for number in 0_u32.. {
            if number >= 40 && (times.iter().any(is_quick) || Instant::now() >= end) {
                break;
            }
            let begin = Instant::now();
            client.send(&number.to_be_bytes()).await.unwrap();
            let mut bytes = [0; 4];
            let (_, from) = timeout(LIMIT, server.recv_from(&mut bytes)).await.unwrap().unwrap();
            assert_eq!(u32::from_be_bytes(bytes), number);
            server.send_to(&bytes, from).await.unwrap();
            timeout(LIMIT, client.recv(&mut bytes)).await.unwrap().unwrap();
            assert_eq!(u32::from_be_bytes(bytes), number);
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        assert!(times.iter().all(|time| *time >= 14.0), "{times:?}");
        assert!(times.iter().any(is_quick), "{times:?}");
        times.sort_by(f64::total_cmp);
        assert!(times[times.len() / 2] >= 18.0, "{times:?}");
        let received = send(&client, &server).await;
        assert_eq!(received, (0..DATAGRAMS).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn two_clients_get_their_own_answers_and_a_dropped_relay_is_silent() {
        let (relay, one, server) = ends("delay 1ms").await;
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        other.connect(relay.local_addr()).await.unwrap();
        for (client, text) in [(&one, b"one"), (&other, b"two"), (&one, b"six")] {
            client.send(text).await.unwrap();
            let mut bytes = [0; 3];
            let (_, from) = timeout(LIMIT, server.recv_from(&mut bytes)).await.unwrap().unwrap();
            server.send_to(&bytes, from).await.unwrap();
            timeout(LIMIT, client.recv(&mut bytes)).await.unwrap().unwrap();
            assert_eq!(&bytes, text);
        }
        assert_eq!(relay.passed().clients, 2);
        let address = relay.local_addr();
        drop(relay);
        // The port is free again as soon as the runtime has dropped the tasks.
        let again = async {
            while UdpSocket::bind(address).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, again).await.unwrap();
    }
}
