//! UDP: the cursor worn by datagrams. Their grammar is in the protocol.
//!
//! One task hears the socket. It checks cookies, which needs no memory, and gives each address that
//! has shown one a seat and a `session`, a task of its own that reads a cursor and sends. The two
//! share no queue: a session is told what its client wants by a value that is overwritten.
//!
//! A server on all addresses of a machine that has several may answer from another one than it was
//! asked at, which clients pass over: name one address on such a machine.

mod cookie;
mod session;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorbell_protocol::datagram::{DatagramCommand, DatagramTicket, Request, challenge};
use doorbell_protocol::limits::DATAGRAM_BYTES_MAX;
use doorbell_protocol::{Code, Error, Event, Filter, Kind, Since};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::cookie::Cookies;
use crate::access::{Access, Admission, Principal, Verification};
use crate::audit::{Actor, AuditAction};
use crate::clock::unix_micros;
use crate::connections::{Arrival, Connection, Connections, Ends, Registered};
use crate::limits::{DATAGRAM_SUBSCRIPTIONS_MAX, DATAGRAM_SUBSCRIPTIONS_PER_HOST_MAX};
use crate::metrics::{Listener, SocketBytes, Transport};
use crate::rights::{Identity, TokenHash};
use crate::session::SessionConfig;
use crate::visitors::{Bucket, Network};

/// How long hearing pauses after a failure that is not one datagram's.
const FAILURE_PAUSE: Duration = Duration::from_millis(10);

/// A UDP socket and those who subscribed over it.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    config: Arc<SessionConfig>,
    tasks: TaskTracker,
    /// The address that the socket is bound to.
    local: SocketAddr,
    register: Arc<Connections>,
    bytes: SocketBytes,
    cookies: Cookies,
    seats: Mutex<Seats>,
}

/// The subscriptions that there are.
#[derive(Debug, Default)]
struct Seats {
    by_peer: HashMap<SocketAddr, Seated>,
    by_host: HashMap<Network, usize>,
    /// Seats given out so far.
    given: u64,
}

#[derive(Debug)]
struct Seated {
    connection: Arc<Connection>,
    /// Tells this seat from an earlier one of the same address.
    number: u64,
    held: Held,
    control: watch::Sender<Control>,
}

/// Why a datagram is not obeyed.
enum NotObeyed {
    /// That is its answer.
    Refused(Error),
    /// It is not known yet who sent it: it is to be heard again after this.
    Unverified(Verification),
}

impl From<Error> for NotObeyed {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What a subscriber is granted, and the ticket and its filter that it was granted for.
#[derive(Debug, Clone)]
struct Held {
    access: Access,
    ticket: Option<(TokenHash, Filter)>,
}

/// What a client wants of its session. Of several at once the last one says it all; a session whose
/// client can want nothing more of it was replaced by another.
#[derive(Debug, Clone, Default)]
struct Control {
    /// The word of the last `PING`.
    word: Option<String>,
    /// Whether it said `QUIT`.
    quit: bool,
}

/// A session's right to send; its end frees the place.
struct Seat {
    datagrams: Arc<Datagrams>,
    peer: SocketAddr,
    number: u64,
    registered: Registered,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.datagrams.seats().leave(self.peer, self.number);
    }
}

impl Seats {
    /// Seats an address, in the place of its earlier seat if it has one.
    fn take(
        &mut self,
        peer: SocketAddr,
        connection: &Arc<Connection>,
        held: Held,
        control: watch::Sender<Control>,
    ) -> Result<u64, Error> {
        let connection = connection.clone();
        let number = self.given + 1;
        let all = self.by_peer.len();
        match self.by_peer.entry(peer) {
            Entry::Occupied(mut seated) => {
                seated.insert(Seated { connection, number, held, control });
            }
            Entry::Vacant(free) => {
                if all >= DATAGRAM_SUBSCRIPTIONS_MAX {
                    return Err(full("the server", all));
                }
                let host = self.by_host.entry(Network::of(peer.ip())).or_default();
                if *host >= DATAGRAM_SUBSCRIPTIONS_PER_HOST_MAX {
                    return Err(full("this address", *host));
                }
                *host += 1;
                free.insert(Seated { connection, number, held, control });
            }
        }
        self.given = number;
        Ok(number)
    }

    fn leave(&mut self, peer: SocketAddr, number: u64) {
        if self.by_peer.get(&peer).is_some_and(|seated| seated.number == number) {
            self.by_peer.remove(&peer);
            if let Entry::Occupied(mut host) = self.by_host.entry(Network::of(peer.ip())) {
                *host.get_mut() -= 1;
                if *host.get() == 0 {
                    host.remove();
                }
            }
        }
    }

    /// Tells a session what its client wants, in a datagram of so many bytes; false if there is
    /// none.
    fn tell(&self, peer: SocketAddr, bytes: usize, control: Control) -> bool {
        let Some(seated) = self.by_peer.get(&peer) else {
            return false;
        };
        seated.connection.count_datagram_received(bytes);
        seated.control.send(control).is_ok()
    }
}

fn full(who: &str, count: usize) -> Error {
    let text = format!("{who} has {count} subscriptions by datagrams, which is the limit");
    Error::new(Code::TooManySubscriptions, text)
}

impl Datagrams {
    /// Serves over a bound socket; [`run`](Self::run) hears it. Sessions are tracked by `tasks` and
    /// listed in `register`.
    pub fn new(
        socket: UdpSocket,
        config: Arc<SessionConfig>,
        tasks: TaskTracker,
        register: Arc<Connections>,
    ) -> io::Result<Arc<Self>> {
        let local = socket.local_addr()?;
        let bytes = config.metrics.socket_bytes(Listener::Udp).clone();
        let (cookies, seats) = (Cookies::new(), Mutex::default());
        Ok(Arc::new(Self { socket, config, tasks, local, register, bytes, cookies, seats }))
    }

    /// Hears until the stop.
    pub async fn run(self: Arc<Self>) {
        // One byte more than a request may have, so that a longer one is not taken for its
        // beginning.
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        loop {
            let received = tokio::select! {
                () = self.config.stop.cancelled() => return,
                received = self.socket.recv_from(&mut buffer) => received,
            };
            match received {
                Ok((length, peer)) => {
                    self.bytes.received.inc_by(length as u64);
                    self.hear(&buffer[..length], peer);
                }
                Err(error) => {
                    // Such as the news that an earlier datagram found nobody: never the end.
                    tracing::debug!(%error, "hearing a datagram failed");
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }

    fn hear(self: &Arc<Self>, datagram: &[u8], peer: SocketAddr) {
        let Some(request) = Request::parse(datagram) else { return };
        if !request.cookie().is_some_and(|cookie| self.cookies.accepts(peer, cookie)) {
            // Nobody has shown yet that he hears: nothing is kept, read or told but this.
            if let Some(answer) = challenge(&self.cookies.of(peer), datagram.len()) {
                self.answer(answer.as_bytes(), peer);
            }
            return;
        }
        let command = request.command().map_err(NotObeyed::Refused);
        match command.and_then(|command| self.obey(command, datagram.len(), peer)) {
            Ok(()) => {}
            Err(NotObeyed::Refused(error)) => {
                self.config.refused(actor(None, peer), AuditAction::Read, &error);
                self.answer(line(&error_event(&error)).as_bytes(), peer);
            }
            Err(NotObeyed::Unverified(verification)) => {
                let (own, datagram) = (self.clone(), datagram.to_owned());
                self.tasks.spawn(async move {
                    verification.run().await;
                    own.hear(&datagram, peer);
                });
            }
        }
    }

    fn obey(
        self: &Arc<Self>,
        command: DatagramCommand<'_>,
        bytes: usize,
        peer: SocketAddr,
    ) -> Result<(), NotObeyed> {
        let (word, quit) = match command {
            DatagramCommand::Subscribe { filter, since, ticket } => {
                let held = self.admit(peer, ticket, &filter)?;
                let since = since.unwrap_or(Since::None);
                return Ok(self.subscribe(peer, bytes, held, filter, since)?);
            }
            DatagramCommand::Ping(word) => (word.map(str::to_owned), false),
            DatagramCommand::Quit => (None, true),
        };
        if !self.seats().tell(peer, bytes, Control { word, quit }) {
            let mut event = Event::new(Kind::Close, unix_micros());
            event.message = Some("there is no subscription of this address: SUB again".into());
            self.answer(line(&event).as_bytes(), peer);
        }
        Ok(())
    }

    /// What a subscriber is granted. A ticket may come again from where it was used: its `SUB` is
    /// repeated where the answer was lost.
    fn admit(
        &self,
        peer: SocketAddr,
        ticket: Option<DatagramTicket<'_>>,
        filter: &Filter,
    ) -> Result<Held, NotObeyed> {
        let gate = &self.config.gate;
        let visitor = gate.visitors().at(Some(peer.ip()));
        let Some(DatagramTicket(ticket)) = ticket else {
            return Ok(Held { access: gate.anonymous(&visitor), ticket: None });
        };
        let used = Some((TokenHash::of(ticket), filter.clone()));
        let seats = self.seats();
        let seated = seats.by_peer.get(&peer).filter(|seated| seated.held.ticket == used);
        if let Some(seated) = seated {
            return Ok(seated.held.clone());
        }
        drop(seats);
        match gate.admit(Principal::Ticket { ticket, filter }, &visitor) {
            Admission::Admitted(access) => {
                let actor = actor(access.grant().identity(), peer);
                gate.audit().done(actor, AuditAction::UseTicket);
                Ok(Held { access, ticket: used })
            }
            Admission::Refused(error) => Err(error.into()),
            Admission::Unverified(verification) => Err(NotObeyed::Unverified(verification)),
        }
    }

    fn subscribe(
        self: &Arc<Self>,
        peer: SocketAddr,
        bytes: usize,
        held: Held,
        filter: Filter,
        since: Since,
    ) -> Result<(), Error> {
        let access = held.access.clone();
        let (sender, control) = watch::channel(Control::default());
        let ends = Ends::internet(self.local, peer);
        let visitor = self.config.gate.visitors().at(ends.address());
        visitor.charge(&[(Bucket::Requests, 1)])?;
        let arrival = Arrival { visitor, ..Arrival::free(Listener::Udp, ends) };
        let registered = self.register.register(arrival);
        let connection = registered.connection();
        let number = self.seats().take(peer, connection, held, sender)?;
        connection.count_datagram_received(bytes);
        let seat = Seat { datagrams: self.clone(), peer, number, registered };
        self.tasks.spawn(session::run(seat, control, access, filter, since));
        Ok(())
    }

    /// Sends at once or not at all: the task that hears must not wait.
    fn answer(&self, datagram: &[u8], peer: SocketAddr) {
        match self.socket.try_send_to(datagram, peer) {
            Ok(length) => {
                self.bytes.sent.inc_by(length as u64);
            }
            Err(error) => tracing::debug!(%error, %peer, "a datagram was not sent"),
        }
    }

    /// Sends once there is room. What goes wrong is a loss like any other on the way.
    async fn send(&self, datagram: &[u8], peer: SocketAddr, connection: &Connection) {
        match self.socket.send_to(datagram, peer).await {
            Ok(length) => {
                self.bytes.sent.inc_by(length as u64);
                connection.count_datagram_sent(length);
            }
            Err(error) => tracing::debug!(%error, %peer, "a datagram was not sent"),
        }
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose doing is what comes from an address.
fn actor(identity: Option<&Identity>, peer: SocketAddr) -> Actor<'_> {
    let address = Some(peer.ip().to_canonical());
    Actor { identity, address, transport: Some(Transport::Udp.name()) }
}

fn error_event(error: &Error) -> Event<'static> {
    Event::error(error, unix_micros())
}

fn line(event: &Event<'_>) -> String {
    event.to_json() + "\n"
}

#[cfg(test)]
mod tests;
