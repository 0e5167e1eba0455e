//! Receiving by datagrams, with everything that they lose fetched by polls.
//!
//! The place reached is all there is to know. A datagram that follows it directly is a step
//! forward; one that stands at or before it is passed over; any other says that something was lost,
//! and so does a `keepalive` or `pong` that names a later message. Then everything after the place
//! is polled for, and whatever came meanwhile waits in the socket's buffer, which the kernel
//! bounds. What does not fit there is lost once more, and noticed once more.
//!
//! Only what is published from now on is asked for by datagrams. What is held already is fetched by
//! polls, which are slowed down by a slow reader as UDP is not.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use doorbell_protocol::datagram::{
    DatagramCommand, DatagramTicket, Members, QUIET_FIRST, QUIET_GROWTH, cookie_in,
};
use doorbell_protocol::event::Kind;
use doorbell_protocol::limits::DATAGRAM_BYTES_MAX;
use doorbell_protocol::{Filter, Id, Since};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::address::Site;
use crate::error::{Error, Refusal};
use crate::laboratory::{Observation, Observed};
use crate::listeners::ticket;
use crate::options::{Options, in_path};
use crate::received::Received;
use crate::source::arrival::Arrival;
use crate::source::poll::Polls;

/// How long the first answer to a `SUB` may take; each next one twice as long.
const SUB_PATIENCE: Duration = Duration::from_millis(250);
/// The longest that one answer may take.
const SUB_PATIENCE_MAX: Duration = Duration::from_secs(1);
/// How often `SUB` is said before the server counts as not there.
const SUBS_MAX: u32 = 16;
/// The lease, if the server does not say: the least that one would give.
const LEASE_DEFAULT: Duration = Duration::from_secs(10);
/// Pings during one lease, so that some may be lost.
const PINGS_PER_LEASE: u32 = 4;
/// A `PING` without an answer is said again after this long.
const PING_PATIENCE: Duration = Duration::from_secs(1);
/// How much later a sign of life may come than the server means to send it.
const LATENESS: Duration = Duration::from_secs(1);
/// How many pings in a row without any sign of life make a server dead.
const PINGS_MAX: u32 = 8;
/// Messages after which the server is told that they are heard: one that is asked for what it holds
/// sends no more than 256 to somebody who says nothing.
const MESSAGES_PER_PING: usize = 128;
/// Fetched messages that are remembered, to tell a datagram that comes late from one that comes
/// twice.
const FETCHED_MAX: usize = 4096;

/// A subscription by datagrams.
pub(crate) struct Datagrams {
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    /// Where tickets are made, if anybody wants to know who asks.
    site: Option<Site>,
    filter: Filter,
    polls: Polls,
    observed: Observed,
    /// After how long the lease is renewed, if not after a part of it.
    renewal: Option<Duration>,
    cookie: Option<String>,
    /// Everything wanted up to here was handed out; unknown until the server has said where now is.
    reached: Option<Id>,
    /// Whether the server has taken the subscription up.
    subscribed: bool,
    fetch: Option<Fetch>,
    fetched: BTreeSet<Id>,
    lease: Duration,
    next_ping: Instant,
    /// From the last sign of life to the next that the server means to send, and when that is late;
    /// not known before the first message.
    quiet: Option<(Duration, Instant)>,
    /// Messages that came since the last one.
    unacknowledged: usize,
    /// Pings since the last sign of life.
    unanswered: u32,
    buffer: Vec<u8>,
}

/// Polls under way.
enum Fetch {
    /// What was held before the subscription.
    History,
    /// What was lost.
    Repair {
        /// The message that did arrive and showed that others had not, or was too large.
        arrived: Option<Id>,
    },
}

/// What a datagram is.
#[allow(clippy::large_enum_variant, reason = "nearly always the large one, and moved once")]
enum Heard {
    Cookie(String),
    Event(Received, Option<Members>),
}

impl Datagrams {
    /// Opens a socket towards the server, or the relay before it.
    pub(crate) async fn open(options: &Options) -> Result<Self, Error> {
        let address = match options.relay {
            Some(relay) => relay,
            None => options.server.udp().await?,
        };
        let local: SocketAddr = if address.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = UdpSocket::bind(local).await?;
        socket.connect(address).await?;
        options.observed.opened(&socket, address);
        let history = options.since != Since::None;
        Ok(Self {
            socket: Arc::new(socket),
            server: address,
            site: Some(options.server.http()?.clone()).filter(Site::has_credential),
            filter: options.filter.clone(),
            polls: Polls::held(options, Duration::ZERO)?,
            observed: options.observed.clone(),
            renewal: options.habits.period,
            cookie: None,
            reached: None,
            subscribed: false,
            fetch: history.then_some(Fetch::History),
            fetched: BTreeSet::new(),
            lease: LEASE_DEFAULT,
            next_ping: Instant::now(),
            quiet: None,
            unacknowledged: 0,
            unanswered: 0,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        })
    }

    /// The next step.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Error> {
        loop {
            if let Some(fetch) = self.fetch.take() {
                return self.poll(fetch).await;
            }
            if !self.subscribed {
                return self.subscribe().await;
            }
            match self.hear().await? {
                Heard::Cookie(cookie) => {
                    // It does not know us, or not any more: ask which.
                    self.cookie = Some(cookie);
                    self.next_ping = Instant::now();
                }
                Heard::Event(received, members) => {
                    self.unanswered = 0;
                    self.expect_more(received.event.event);
                    if let Some(arrival) = self.take(received, members)? {
                        return Ok(arrival);
                    }
                }
            }
        }
    }

    /// Says `SUB` until it is heard: first without a cookie, then with the one that came back.
    async fn subscribe(&mut self) -> Result<Arrival, Error> {
        let since = self.reached.map_or(Since::None, Since::Id);
        // What goes around unencrypted is no lasting secret.
        let ticket = match &self.site {
            Some(site) => Some(ticket(site, &in_path(&self.filter)).await?),
            None => None,
        };
        let command = DatagramCommand::Subscribe {
            filter: self.filter.clone(),
            since: Some(since),
            ticket: ticket.as_deref().map(DatagramTicket),
        };
        let mut patience = SUB_PATIENCE;
        for _ in 0..SUBS_MAX {
            let datagram = command.to_datagram(self.cookie.as_deref());
            if datagram.len() > DATAGRAM_BYTES_MAX {
                return Err(Error::Unexpected(format!(
                    "the filter is too long for a datagram of {DATAGRAM_BYTES_MAX} bytes"
                )));
            }
            self.observed.note(Observation::Request);
            self.send(&datagram).await?;
            let deadline = Instant::now() + patience;
            loop {
                let Ok(heard) = timeout_at(deadline, self.receive()).await else {
                    patience = (patience * 2).min(SUB_PATIENCE_MAX);
                    break;
                };
                match heard? {
                    Heard::Cookie(cookie) => {
                        self.cookie = Some(cookie);
                        break;
                    }
                    Heard::Event(received, members) => match received.event.event {
                        Kind::Ok => return self.taken_up(received, members),
                        Kind::Error => return Err(refused(&received)),
                        _ => {}
                    },
                }
            }
        }
        Err(Error::Lost("no answer by UDP".to_owned()))
    }

    fn taken_up(&mut self, received: Received, members: Option<Members>) -> Result<Arrival, Error> {
        let arrival = Arrival::from_event(received)?;
        if let Some(lease) = members.and_then(|members| members.lease) {
            self.lease = Duration::from_secs(lease.max(1));
        }
        self.reached = arrival.place;
        self.subscribed = true;
        self.next_ping = Instant::now() + self.until_renewal();
        Ok(arrival)
    }

    fn until_renewal(&self) -> Duration {
        self.renewal.unwrap_or(self.lease / PINGS_PER_LEASE)
    }

    /// Notes when the next sign of life is late: signs follow a message at growing distances. So it
    /// shows that the server is no more, whose socket says nothing of its end.
    fn expect_more(&mut self, heard: Kind) {
        let next = match (heard, self.quiet) {
            (kind, _) if kind.is_published() => QUIET_FIRST,
            (Kind::Keepalive | Kind::Pong, Some((quiet, _))) => {
                (quiet * QUIET_GROWTH).min(self.lease)
            }
            _ => return,
        };
        self.quiet = Some((next, Instant::now() + next + LATENESS));
    }

    /// The next datagram. The lease is renewed meanwhile, and a server that is late is asked
    /// whether it is there: if it is not, the next that is heard is mostly that its port is closed.
    async fn hear(&mut self) -> Result<Heard, Error> {
        loop {
            let late = self.quiet.map(|(_, late)| late).filter(|_| self.unanswered == 0);
            let next_ping = late.map_or(self.next_ping, |late| late.min(self.next_ping));
            tokio::select! {
                heard = self.receive() => return heard,
                () = sleep_until(next_ping) => {}
            }
            if self.unanswered >= PINGS_MAX {
                return Err(Error::Silent(PING_PATIENCE * PINGS_MAX));
            }
            self.unanswered += 1;
            self.unacknowledged = 0;
            self.next_ping = Instant::now() + PING_PATIENCE;
            self.send(&DatagramCommand::Ping(None).to_datagram(self.cookie.as_deref())).await?;
        }
    }

    /// The next datagram that is one of ours. It may be dropped while it waits.
    async fn receive(&mut self) -> Result<Heard, Error> {
        loop {
            let length = self.socket.recv(&mut self.buffer).await?;
            let datagram = &self.buffer[..length];
            let from = self.server;
            self.observed.note(Observation::DatagramReceived { bytes: length, from });
            if let Some(cookie) = cookie_in(datagram) {
                return Ok(Heard::Cookie(cookie.to_owned()));
            }
            let (json, members) = Members::split(datagram);
            // Anybody can send nonsense to a port: it is passed over.
            if let Ok(received) = Received::parse(Bytes::from(json)) {
                return Ok(Heard::Event(received, members));
            }
        }
    }

    fn take(
        &mut self,
        received: Received,
        members: Option<Members>,
    ) -> Result<Option<Arrival>, Error> {
        let (Some(id), Some(members)) = (received.event.id, members) else {
            return match received.event.event {
                Kind::Close => Err(Error::Closed),
                Kind::Error => Err(refused(&received)),
                _ => Ok(None),
            };
        };
        let Some(reached) = self.reached else { return Ok(None) };
        let follows = members.prev <= reached;
        match received.event.event {
            Kind::Close => return Err(Error::Closed),
            kind if kind.is_published() => {
                self.observed.note(Observation::MessageArrived);
                self.unacknowledged += 1;
                if self.unacknowledged >= MESSAGES_PER_PING {
                    self.next_ping = Instant::now();
                }
                if id <= reached {
                    self.count_surplus(id);
                    return Ok(None);
                }
                if members.large {
                    self.observed.note(Observation::MessageTooLarge);
                }
                if members.large || !follows {
                    self.repair(Some(id));
                    return Ok(None);
                }
            }
            Kind::Pong => {
                self.next_ping = Instant::now() + self.until_renewal();
                self.cookie = members.cookie.or(self.cookie.take());
            }
            Kind::Keepalive => {}
            _ => return Ok(None),
        }
        if !follows {
            self.repair(None);
            return Ok(None);
        }
        if id <= reached {
            return Ok(None);
        }
        self.reached = Some(id);
        Arrival::from_event(received).map(Some)
    }

    /// A datagram whose message was handed out before.
    fn count_surplus(&mut self, id: Id) {
        let was_fetched = self.fetched.remove(&id);
        self.observed.note(if was_fetched {
            Observation::MessageOvertaken
        } else {
            Observation::MessageRepeated
        });
    }

    /// Something after the place reached is missing. What arrived already is fetched with it.
    fn repair(&mut self, arrived: Option<Id>) {
        if let Some(reached) = self.reached {
            self.polls.seek(Since::Id(reached));
        }
        self.observed.note(Observation::RepairBegun);
        self.fetch = Some(Fetch::Repair { arrived });
    }

    /// One step of a fetch, which goes on until everything that is held now has been fetched.
    async fn poll(&mut self, fetch: Fetch) -> Result<Arrival, Error> {
        let arrival = self.polls.next().await?;
        self.reached = arrival.place.or(self.reached);
        if let Fetch::Repair { arrived } = &fetch {
            let lost =
                arrival.place.filter(|id| arrival.message.is_some() && *arrived != Some(*id));
            self.count_fetched(lost);
        }
        if !self.polls.is_through() {
            self.fetch = Some(fetch);
        }
        Ok(arrival)
    }

    fn count_fetched(&mut self, lost: Option<Id>) {
        self.fetched.extend(lost);
        if self.fetched.len() > FETCHED_MAX {
            self.fetched.pop_first();
        }
        self.observed.note(Observation::RepairStep { lost: lost.is_some() });
    }

    async fn send(&self, datagram: &str) -> Result<(), Error> {
        let length = self.socket.send(datagram.as_bytes()).await?;
        self.count_out(length);
        Ok(())
    }

    fn count_out(&self, length: usize) {
        self.observed.note(Observation::DatagramSent { bytes: length, to: self.server });
    }
}

impl Drop for Datagrams {
    /// Says goodbye, so that nothing is sent to nobody for the rest of the lease.
    fn drop(&mut self) {
        if self.subscribed {
            let datagram = DatagramCommand::Quit.to_datagram(self.cookie.as_deref());
            if let Ok(length) = self.socket.try_send(datagram.as_bytes()) {
                self.count_out(length);
                self.observed.ended(Arc::clone(&self.socket), self.server);
            }
        }
    }
}

fn refused(received: &Received) -> Error {
    Error::Refused(Refusal::from_event(&received.event))
}
