//! The subscriber by datagrams: it shows its cookie, renews its lease, and counts by the chain of
//! ids what did not come. It fetches nothing: what is lost is to be seen.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use doorbell_protocol::datagram::{DatagramCommand, DatagramTicket, Members, cookie_in};
use doorbell_protocol::limits::DATAGRAM_BYTES_MAX;
use doorbell_protocol::{Event, Filter, Id, Kind, Since};
use doorbell_wire::Ip;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{ANSWER_WAIT_MAX, Failure, Subscriber};
use crate::connections::Ends;
use crate::cursor::{Cursor, PageLimit};
use crate::lab::accounts::Traffic;
use crate::lab::frames::Said;
use crate::lab::lane::Name;
use crate::lab::table::datagram_header_bytes;
use crate::limits::DATAGRAM_LEASE;
use crate::listen::reachable;

/// A `SUB` that was not answered is said again after this long.
const SUB_PATIENCE: Duration = Duration::from_millis(250);
/// Pings during one lease, so that some may be lost.
const PINGS_PER_LEASE: u32 = 4;
/// How many pings in a row without any sign of life make the server dead.
const PINGS_MAX: u32 = 8;
/// Lost messages that are counted one by one.
const LOST_COUNTED_MAX: u64 = 10_000;

/// Receives until the stop (`Ok`) or a failure. `reached` is the place to go on from.
pub(super) async fn receive(
    subscriber: &Subscriber,
    reached: &mut Option<Id>,
) -> Result<(), Failure> {
    let mut talk = Talk::open(subscriber).await?;
    let opening = timeout(ANSWER_WAIT_MAX, talk.subscribe(*reached));
    let place = match subscriber.stop.run_until_cancelled(opening).await {
        None => {
            talk.part().await;
            return Ok(());
        }
        Some(Err(_)) => return Err(format!("no answer within {} s", ANSWER_WAIT_MAX.as_secs())),
        Some(Ok(place)) => place?,
    };
    let mut place = *reached.get_or_insert(place);
    subscriber.seat.seat(talk.seen);
    subscriber.up(talk.ends).await;
    loop {
        let heard = tokio::select! {
            () = subscriber.stop.cancelled() => {
                talk.part().await;
                return Ok(());
            }
            heard = talk.next() => heard?,
        };
        let (event, members) = heard;
        let Some(id) = event.id else { continue };
        if let Some(members) = members.filter(|members| members.prev > place) {
            let count = count_lost(subscriber, place, members.prev).await;
            subscriber.say(Said::Lost { via: subscriber.way, count }).await;
            place = members.prev;
        }
        if event.event.is_published() && id > place {
            subscriber.arrived(id, event.time_us).await;
        }
        place = place.max(id);
        *reached = Some(place);
    }
}

/// How many messages there are after a place and up to a last one.
async fn count_lost(subscriber: &Subscriber, after: Id, last: Id) -> u64 {
    let filter = Filter::from(subscriber.topic.clone());
    let access = subscriber.seat.access();
    let limit = PageLimit::BATCH;
    let mut count = 0;
    let Ok(filter) = access.readable(filter) else { return 1 };
    if let Ok(mut cursor) = Cursor::open(access, filter, &Since::Id(after)).await {
        while let Ok(batch) = cursor.next(limit).await {
            count += batch.messages.iter().filter(|message| message.id() <= last).count() as u64;
            let through = batch.messages.last().is_none_or(|message| message.id() >= last);
            if through || count >= LOST_COUNTED_MAX {
                break;
            }
        }
    }
    // The chain is broken: at least the last one is missing, also if the log has let go of it.
    count.max(1)
}

/// One socket.
struct Talk<'a> {
    subscriber: &'a Subscriber,
    socket: UdpSocket,
    /// Its own end and the server's.
    ends: (SocketAddr, SocketAddr),
    /// The same as the server sees it.
    seen: Ends,
    lane: Name,
    cookie: Option<String>,
    lease: Duration,
    next_ping: Instant,
    /// Pings since the last sign of life.
    unanswered: u32,
}

fn failed(error: &io::Error) -> Failure {
    format!("the socket failed: {error}")
}

impl<'a> Talk<'a> {
    async fn open(subscriber: &'a Subscriber) -> Result<Self, Failure> {
        let bound =
            subscriber.seat.parts().addresses.udp.ok_or("the server has no UDP listener")?;
        let address = reachable(bound);
        let open = async {
            let socket = UdpSocket::bind(SocketAddr::new(own_address(address), 0)).await?;
            socket.connect(address).await?;
            let local = socket.local_addr()?;
            io::Result::Ok((socket, local))
        };
        let (socket, local) = open.await.map_err(|error| failed(&error))?;
        let lane = Name::udp();
        subscriber.seat.open_lane(&lane);
        Ok(Self {
            subscriber,
            socket,
            ends: (local, address),
            seen: Ends::internet(bound, local),
            lane,
            cookie: None,
            lease: DATAGRAM_LEASE,
            next_ping: Instant::now() + DATAGRAM_LEASE,
            unanswered: 0,
        })
    }

    /// Says `SUB` until it is heard: first without a cookie, then with the one that came back.
    /// Returns the place where the subscription begins.
    async fn subscribe(&mut self, reached: Option<Id>) -> Result<Id, Failure> {
        let filter = Filter::from(self.subscriber.topic.clone());
        let since = Some(reached.map_or(Since::None, Since::Id));
        let ticket = self.subscriber.seat.ticket(filter.clone());
        let ticket = ticket.map_err(|error| error.text().to_owned())?;
        let ticket = ticket.as_ref().map(|ticket| DatagramTicket(ticket.reveal()));
        let command = DatagramCommand::Subscribe { filter, since, ticket };
        loop {
            self.say(&command).await?;
            let deadline = Instant::now() + SUB_PATIENCE;
            while let Ok(heard) = timeout_at(deadline, self.receive()).await {
                // A new cookie has come: say it again, with that one.
                let Some((event, members)) = heard? else { break };
                if let (Kind::Ok, Some(id)) = (event.event, event.id) {
                    let lease = members.and_then(|members| members.lease);
                    self.lease = lease.map_or(DATAGRAM_LEASE, Duration::from_secs);
                    self.renew();
                    return Ok(id);
                }
            }
        }
    }

    fn renew(&mut self) {
        self.next_ping = Instant::now() + self.lease / PINGS_PER_LEASE;
        self.unanswered = 0;
    }

    /// The next event; the lease is renewed meanwhile. Dropped before it is done, it loses nothing.
    async fn next(&mut self) -> Result<(Event<'static>, Option<Members>), Failure> {
        loop {
            let next_ping = self.next_ping;
            let heard = tokio::select! {
                heard = self.receive() => heard?,
                () = sleep_until(next_ping) => {
                    self.ping().await?;
                    continue;
                }
            };
            match heard {
                Some((event, members)) => {
                    if event.event == Kind::Pong {
                        self.cookie =
                            members.as_ref().and_then(|m| m.cookie.clone()).or(self.cookie.take());
                        self.renew();
                    }
                    self.unanswered = 0;
                    return Ok((event, members));
                }
                // It does not take the old cookie any more: ask with the new one.
                None => self.next_ping = Instant::now(),
            }
        }
    }

    async fn ping(&mut self) -> Result<(), Failure> {
        if self.unanswered >= PINGS_MAX {
            return Err(format!("{PINGS_MAX} pings were not answered"));
        }
        self.unanswered += 1;
        self.next_ping = Instant::now() + Duration::from_secs(1);
        self.say(&DatagramCommand::Ping(None)).await
    }

    async fn say(&self, command: &DatagramCommand<'_>) -> Result<(), Failure> {
        let datagram = command.to_datagram(self.cookie.as_deref());
        let sent = self.socket.send(datagram.as_bytes()).await.map_err(|error| failed(&error))?;
        let (bytes_in, payload_in) = (self.wire_bytes(sent), sent as u64);
        self.count(Traffic { bytes_in, packets_in: 1, payload_in, ..Traffic::default() });
        Ok(())
    }

    /// The next datagram: an event, or a new cookie (`None`), which is taken down.
    async fn receive(&mut self) -> Result<Option<(Event<'static>, Option<Members>)>, Failure> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let length = self.socket.recv(&mut buffer).await.map_err(|error| failed(&error))?;
            let (bytes_out, payload_out) = (self.wire_bytes(length), length as u64);
            self.count(Traffic { bytes_out, packets_out: 1, payload_out, ..Traffic::default() });
            if let Some(cookie) = cookie_in(&buffer[..length]) {
                self.cookie = Some(cookie.to_owned());
                return Ok(None);
            }
            let (json, members) = Members::split(&buffer[..length]);
            // Anybody can send nonsense to a port: it is passed over.
            let Ok(event) = Event::parse(&json) else { continue };
            return match event.event {
                Kind::Close => Err(event.message.unwrap_or_default().into_owned()),
                Kind::Error => Err(event.error.unwrap_or_default().into_owned()),
                _ => Ok(Some((event.into_owned(), members))),
            };
        }
    }

    fn wire_bytes(&self, payload: usize) -> u64 {
        payload as u64 + datagram_header_bytes(Ip::of(self.ends.1.ip()))
    }

    /// Counts a packet, in and out as the server sees it.
    fn count(&self, traffic: Traffic) {
        self.subscriber.seat.count(&self.lane, traffic);
    }

    /// Says goodbye, so that nothing is sent to nobody for the rest of the lease.
    async fn part(mut self) {
        let goodbye = async {
            self.say(&DatagramCommand::Quit).await?;
            while self.receive().await.is_ok() {}
            Ok::<(), Failure>(())
        };
        let _ = timeout(ANSWER_WAIT_MAX, goodbye).await;
    }
}

/// The own address on the machine's loopback, of the server's kind.
fn own_address(server: SocketAddr) -> std::net::IpAddr {
    match server {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
