//! The register of open connections: who is connected, and what each one is served at the moment.
//!
//! It observes. Nothing is decided by it, and an idle connection keeps no more here than its
//! addresses and some numbers. What the kernel counts is not here: it is asked for when somebody
//! looks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use doorbell_protocol::Transport;

use crate::access::Principal;
use crate::cursor::Progress;
use crate::metrics::Listener;
use crate::visitors::{Sharing, Visitor};

/// The open connections, by the order of their coming.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<BTreeMap<u64, Arc<Connection>>>,
    /// How many have come so far.
    given: AtomicU64,
}

/// The ends of a connection. IPv4 in the clothes of IPv6 is IPv4 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// Over IP.
    Internet {
        /// The server's.
        local: SocketAddr,
        /// The client's.
        peer: SocketAddr,
    },
    /// Over the Unix socket.
    Unix {
        /// The user of the process at the other end, as the kernel says.
        uid: u32,
    },
}

impl Ends {
    /// The ends of a connection over IP.
    pub fn internet(local: SocketAddr, peer: SocketAddr) -> Self {
        let canonical =
            |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Self::Internet { local: canonical(local), peer: canonical(peer) }
    }

    /// The client's address, if it has one.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Internet { peer, .. } => Some(peer.ip()),
            Self::Unix { .. } => None,
        }
    }
}

impl std::fmt::Display for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Internet { peer, .. } => peer.fmt(f),
            Self::Unix { .. } => f.write_str("unix"),
        }
    }
}

/// What a connection is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// HTTP between two requests, or a request that reads nothing.
    Http,
    /// A session of the lab.
    Lab,
    /// A reader, or a client that might become one, over a transport.
    Reader(Transport),
}

impl Service {
    /// The name by which the client chooses it, or of what it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Lab => "lab",
            Self::Reader(transport) => transport.name(),
        }
    }
}

/// What is known of a connection when it comes.
#[derive(Debug)]
pub struct Arrival {
    /// Which listener it came to.
    pub listener: Listener,
    /// Its ends.
    pub ends: Ends,
    /// Whom it is charged to.
    pub visitor: Visitor,
    /// Whether it has a place of the reserve.
    pub is_reserved: bool,
}

impl Arrival {
    /// One that is charged to nobody.
    pub fn free(listener: Listener, ends: Ends) -> Self {
        Self { listener, ends, visitor: Visitor::default(), is_reserved: false }
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    since: Instant,
    ends: SmallEnds,
    listener: Listener,
    /// Whether it has a place of the reserve: it is for asking after the server's health.
    is_reserved: bool,
    visitor: Visitor,
    now: Mutex<Now>,
    received: AtomicU64,
    sent: AtomicU64,
    datagrams_received: AtomicU32,
    datagrams_sent: AtomicU32,
    /// Shared: hardly any client shows a certificate.
    certificate_names: OnceLock<Arc<Vec<String>>>,
}

/// [`Ends`] in fewer bytes.
#[derive(Debug, Clone, Copy)]
enum SmallEnds {
    /// The local end, and the peer's.
    Internet((IpAddr, u16), (IpAddr, u16)),
    Unix(u32),
}

#[derive(Debug)]
struct Now {
    progress: Option<Arc<Progress>>,
    /// Whom a proxy has last asked for.
    client: Option<IpAddr>,
    /// Whose turn it is: of several requests at the same time on one connection (HTTP/2) the one
    /// that began last is shown.
    turn: u16,
    service: Service,
}

impl Connection {
    fn new(number: u64, arrival: Arrival) -> Self {
        let Arrival { listener, ends, visitor, is_reserved } = arrival;
        let service = Service::of(listener);
        let small = |address: SocketAddr| (address.ip(), address.port());
        let ends = match ends {
            Ends::Internet { local, peer } => SmallEnds::Internet(small(local), small(peer)),
            Ends::Unix { uid } => SmallEnds::Unix(uid),
        };
        Self {
            number,
            since: Instant::now(),
            ends,
            listener,
            is_reserved,
            visitor,
            now: Mutex::new(Now { progress: None, client: None, turn: 0, service }),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            datagrams_received: AtomicU32::new(0),
            datagrams_sent: AtomicU32::new(0),
            certificate_names: OnceLock::new(),
        }
    }

    /// Its number: connections are counted from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Which listener it came from.
    pub fn listener(&self) -> Listener {
        self.listener
    }

    /// Its ends.
    pub fn ends(&self) -> Ends {
        match self.ends {
            SmallEnds::Internet(local, peer) => {
                Ends::Internet { local: local.into(), peer: peer.into() }
            }
            SmallEnds::Unix(uid) => Ends::Unix { uid },
        }
    }

    /// The client that a proxy has last asked for.
    pub fn client(&self) -> Option<IpAddr> {
        self.lock().client
    }

    /// The address of whoever asks, if it has one: that of the client of a proxy.
    pub fn address(&self) -> Option<IpAddr> {
        self.client().or_else(|| self.ends().address())
    }

    /// A request has come for this client, as its proxy says.
    pub fn asks_for(&self, client: Option<IpAddr>) {
        self.lock().client = client;
    }

    /// Whom it is charged to, as long as nobody says who it is.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// Whether it is only for asking after the server's health.
    pub fn is_reserved(&self) -> bool {
        self.is_reserved
    }

    /// What asks, if it does not say itself.
    pub fn principal(&self) -> Principal<'_> {
        match (self.ends(), self.certificate_names()) {
            (Ends::Unix { uid }, _) => Principal::Uid(uid),
            (Ends::Internet { .. }, []) => Principal::Anonymous,
            (Ends::Internet { .. }, names) => Principal::Certificate(names),
        }
    }

    /// How long it has been open.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Bytes that were read from its socket.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that were written to its socket.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Datagrams that came and that went.
    pub fn datagrams(&self) -> (u32, u32) {
        let load = |count: &AtomicU32| count.load(Ordering::Relaxed);
        (load(&self.datagrams_received), load(&self.datagrams_sent))
    }

    /// What it is served at the moment, and how far that reader is.
    pub fn now(&self) -> (Service, Option<Arc<Progress>>) {
        let now = self.lock();
        (now.service, now.progress.clone())
    }

    /// The names in the verified certificate of its client: the alternative ones, then the common
    /// one. None if it has shown no certificate.
    pub fn certificate_names(&self) -> &[String] {
        self.certificate_names.get().map_or(&[], |names| names)
    }

    /// Notes those names, once, before anything is served.
    pub fn set_certificate_names(&self, names: Vec<String>) {
        let _ = self.certificate_names.set(Arc::new(names));
    }

    /// Counts bytes read. To be called by the one task that reads.
    pub fn count_received(&self, bytes: usize) {
        add(&self.received, bytes as u64);
    }

    /// Counts bytes written. To be called by the one task that writes.
    pub fn count_sent(&self, bytes: usize) {
        add(&self.sent, bytes as u64);
    }

    /// Counts a datagram that came.
    pub fn count_datagram_received(&self, bytes: usize) {
        self.datagrams_received.fetch_add(1, Ordering::Relaxed);
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a datagram that went.
    pub fn count_datagram_sent(&self, bytes: usize) {
        self.datagrams_sent.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Says what it is served until the guard is dropped.
    pub fn serve(self: &Arc<Self>, service: Service) -> Serving {
        self.serve_sharing(service, Sharing::default())
    }

    /// The same for one reader of several.
    pub fn serve_sharing(self: &Arc<Self>, service: Service, sharing: Sharing) -> Serving {
        let mut now = self.lock();
        now.turn = now.turn.wrapping_add(1);
        now.service = service;
        now.progress = None;
        Serving { connection: self.clone(), turn: now.turn, _sharing: sharing }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The count has one writer, so nothing is lost between the load and the store.
fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Service {
    /// What a connection is served as long as nobody says otherwise.
    fn of(listener: Listener) -> Self {
        match listener {
            Listener::Http | Listener::Https => Self::Http,
            Listener::Tcp | Listener::Tcps => Self::Reader(Transport::Tcp),
            Listener::Unix => Self::Reader(Transport::Unix),
            Listener::Udp => Self::Reader(Transport::Udp),
        }
    }
}

/// A service under way.
#[derive(Debug)]
pub struct Serving {
    connection: Arc<Connection>,
    turn: u16,
    _sharing: Sharing,
}

impl Serving {
    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Shows how far its reader is.
    pub fn reads(&self, progress: Option<&Arc<Progress>>) {
        let mut now = self.connection.lock();
        if now.turn == self.turn {
            now.progress = progress.cloned();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut now = self.connection.lock();
        if now.turn == self.turn {
            now.service = Service::of(self.connection.listener);
            now.progress = None;
        }
    }
}

impl Connections {
    /// Registers a connection until the registration is dropped.
    pub fn register(self: &Arc<Self>, arrival: Arrival) -> Registered {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let connection = Arc::new(Connection::new(number, arrival));
        self.lock().insert(number, connection.clone());
        Registered { connections: self.clone(), connection }
    }

    /// How many are open, and the newest of them.
    pub fn newest(&self, max: usize) -> (usize, Vec<Arc<Connection>>) {
        let open = self.lock();
        (open.len(), open.values().rev().take(max).cloned().collect())
    }

    /// Whether it is still open.
    pub fn holds(&self, connection: &Connection) -> bool {
        self.lock().contains_key(&connection.number)
    }

    /// The connection of that listener with these ends, looked for among the newest so many.
    pub fn find(&self, listener: Listener, ends: Ends, among: usize) -> Option<Arc<Connection>> {
        let open = self.lock();
        let mut newest = open.values().rev().take(among);
        newest.find(|open| open.listener == listener && open.ends() == ends).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the register; dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Registered {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Registered {
    /// The connection.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.connection.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        Ends::internet(([127, 0, 0, 1], 80).into(), ([127, 0, 0, 1], port).into())
    }

    #[test]
    fn the_newest_come_first_and_who_is_gone_is_forgotten() {
        let connections = Arc::new(Connections::default());
        let mut held: Vec<Registered> = (1..=5)
            .map(|port| connections.register(Arrival::free(Listener::Tcp, ends(port))))
            .collect();
        let numbers = |max| {
            let (total, newest) = connections.newest(max);
            (total, newest.iter().map(|one| one.number()).collect::<Vec<_>>())
        };
        assert_eq!(numbers(2), (5, vec![5, 4]));
        let gone = held.remove(4).connection().clone();
        assert_eq!(numbers(9), (4, vec![4, 3, 2, 1]));
        assert!(!connections.holds(&gone) && connections.holds(held[0].connection()));
        let found = |port| connections.find(Listener::Tcp, ends(port), 2).map(|one| one.number());
        assert_eq!((found(3), found(1)), (Some(3), None), "only the newest are looked through");
        assert!(connections.find(Listener::Http, ends(3), 2).is_none());
    }

    #[test]
    fn a_service_is_shown_while_it_lasts_and_the_last_one_wins() {
        let connections = Arc::new(Connections::default());
        let open = connections.register(Arrival::free(Listener::Http, ends(1)));
        let connection = open.connection();
        let name = || connection.now().0.name();
        assert_eq!(name(), "http");
        let poll = connection.serve(Service::Reader(Transport::Poll));
        let progress = Arc::new(Progress::default());
        poll.reads(Some(&progress));
        assert!(name() == "poll" && connection.now().1.is_some());
        let websocket = connection.serve(Service::Reader(Transport::Websocket));
        assert!(name() == "ws" && connection.now().1.is_none());
        poll.reads(Some(&progress));
        drop(poll);
        assert!(name() == "ws" && connection.now().1.is_none(), "its turn is over");
        drop(websocket);
        assert_eq!(name(), "http");
    }

    #[test]
    fn an_idle_connection_costs_little() {
        assert!(size_of::<Connection>() <= 160, "{}", size_of::<Connection>());
    }

    #[test]
    fn ipv4_in_the_clothes_of_ipv6_is_ipv4() {
        let (local, peer) = ("[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:1");
        assert_eq!(Ends::internet(local.parse().unwrap(), peer.parse().unwrap()), ends(1));
    }
}
