//! Listening: binding with the socket options that a push server needs, and the accept loops.
//!
//! What is spoken over an accepted stream is not known here.

use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use doorbell_protocol::{Code, Error};
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Actor, Audit, AuditAction};
use crate::connections::{Arrival, Connections, Ends};
use crate::guard::{ConnectionGuard, Place, Places, Rules, Timeouts};
use crate::limits::{BACKLOG, CONNECTIONS_RESERVED, REFUSALS_MAX, RESERVED_CONNECTION_TIME};
use crate::metrics::{Listener, Metrics};
use crate::proxy::Proxies;
use crate::stop::Stop;
use crate::stream::Guarded;
use crate::visitors::{Visitor, Visitors};

/// Send buffer: what the kernel keeps for a reader that has stopped.
const SEND_BUFFER_BYTES: usize = 256 << 10;
/// Receive buffer: clients send little.
const RECEIVE_BUFFER_BYTES: usize = 16 << 10;
/// Unsent bytes above which the kernel reports a socket as not writable, so that what waits is read
/// from the log when its turn comes instead of ageing in a buffer.
const NOTSENT_BYTES: u32 = 16 << 10;
/// Buffers of the one socket that all subscribers by datagrams share.
const DATAGRAM_BUFFER_BYTES: usize = 1 << 20;
/// A peer that acknowledges nothing is given up after this, but never before a reader that has only
/// stopped reading has had its time: the kernel takes both for the same.
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// The kernel takes no more (`MAX_TCP_KEEPIDLE`).
const TCP_KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// Where to listen; `None` is nowhere.
pub type Listen = Option<SocketAddr>;

/// Reads where to listen.
///
/// # Errors
///
/// What it should look like.
pub fn listen_address(text: &str) -> Result<Listen, String> {
    match text {
        "none" => Ok(None),
        address => match address.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err("an address looks like 127.0.0.1:8080 or [::]:8080, or is none".into()),
        },
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP.
    pub http: Listen,
    /// Lines over TCP.
    pub tcp: Listen,
    /// Datagrams over UDP.
    pub udp: Listen,
    /// HTTP over TLS.
    pub https: Listen,
    /// Lines over TLS.
    pub tcps: Listen,
    /// Lines over a Unix socket.
    pub unix: Option<PathBuf>,
}

impl Addresses {
    /// Those that there are, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, String)> {
        let Self { http, tcp, udp, https, tcps, unix } = self;
        let bound = [("http", http), ("tcp", tcp), ("udp", udp), ("https", https), ("tcps", tcps)];
        let bound = bound.into_iter().filter_map(|(name, at)| Some((name, (*at)?.to_string())));
        bound.chain(unix.iter().map(|path| ("unix", path.display().to_string())))
    }

    /// Whether nobody but this machine can connect.
    pub fn are_local(&self) -> bool {
        let bound = [self.http, self.tcp, self.udp, self.https, self.tcps].into_iter().flatten();
        bound.into_iter().all(|address| address.ip().to_canonical().is_loopback())
    }
}

/// An address that a client on this machine can connect to.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let local: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(local);
    }
    address
}

/// Binds a TCP listener. Accepted sockets inherit the options set here.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    prepare_tcp(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

/// Takes over a TCP listener that somebody else has bound.
pub fn adopt_tcp(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    prepare_tcp(&SockRef::from(&listener))?;
    TcpListener::from_std(listener)
}

fn prepare_tcp(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES)?;
    socket.set_nonblocking(true)
}

/// Binds a UDP socket.
pub fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    adopt_udp(socket.into())
}

/// Takes over a UDP socket that somebody has bound.
pub fn adopt_udp(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
    let options = SockRef::from(&socket);
    options.set_send_buffer_size(DATAGRAM_BUFFER_BYTES)?;
    options.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES)?;
    options.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Options that are set on each accepted socket: a peer that vanished is noticed, whether data is
/// on its way (user timeout) or not (keepalive).
fn watch_peer(stream: &TcpStream, timeouts: Timeouts) -> io::Result<()> {
    // The server's own signs of life are answered by the peer's kernel, so this is for connections
    // that have none. Sooner, it would only double the cost of waiting.
    let time = (timeouts.keepalive + Duration::from_secs(15)).min(TCP_KEEPALIVE_MAX);
    let keepalive =
        TcpKeepalive::new().with_time(time).with_interval(Duration::from_secs(10)).with_retries(3);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    let user_timeout = USER_TIMEOUT.max(timeouts.write_deadline + Duration::from_secs(5));
    socket.set_tcp_user_timeout(Some(user_timeout))
}

/// The permissions of a Unix socket's file: whom it lets write may connect, its owner always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl FromStr for SocketMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = u32::from_str_radix(text, 8).ok();
        // In a file of settings 0o660 is the number 432: no such number lets its owner do both.
        let mode = mode.filter(|mode| mode & 0o600 == 0o600 && *mode <= 0o777);
        mode.map(Self).ok_or("a mode looks like 600 or 660, and lets the owner read and write")
    }
}

/// A bound Unix socket; its path is removed when it is dropped, if it was bound here.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    is_own: bool,
}

impl UnixSocket {
    /// Binds the path, whatever the umask is. A socket that a dead process left there is replaced;
    /// one that answers is not.
    pub fn bind(path: &Path, SocketMode(mode): SocketMode) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let left_over =
            fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
        if left_over {
            fs::remove_file(path)?;
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody can connect before it listens, so nobody finds it with another mode.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
        let listener = UnixListener::from_std(socket.into())?;
        Ok(Self { listener, path: path.to_owned(), is_own: true })
    }

    /// Takes over a listener that somebody else has bound to a path.
    pub fn adopt(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let no_path = || io::Error::new(io::ErrorKind::AddrNotAvailable, "it has no path");
        let path = address.as_pathname().ok_or_else(no_path)?.to_owned();
        listener.set_nonblocking(true)?;
        Ok(Self { listener: UnixListener::from_std(listener)?, path, is_own: false })
    }

    /// The next connection.
    pub(crate) async fn accept_stream(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    /// Where it is bound.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if self.is_own {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What an accept loop accepts from.
pub trait Accept: Send {
    /// What comes in.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next stream, and its ends.
    fn accept(
        &self,
        timeouts: Timeouts,
    ) -> impl Future<Output = io::Result<(Self::Stream, Ends)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self, timeouts: Timeouts) -> io::Result<(TcpStream, Ends)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        watch_peer(&stream, timeouts)?;
        let ends = Ends::internet(stream.local_addr()?, peer);
        Ok((stream, ends))
    }
}

impl Accept for UnixSocket {
    type Stream = UnixStream;

    async fn accept(&self, _: Timeouts) -> io::Result<(UnixStream, Ends)> {
        let stream = self.accept_stream().await?;
        let uid = stream.peer_cred()?.uid();
        Ok((stream, Ends::Unix { uid }))
    }
}

/// A stream that has a place among the connections.
struct Accepted<S> {
    stream: S,
    ends: Ends,
    visitor: Visitor,
    place: Place,
    is_reserved: bool,
}

/// What is said over a listener to those for whom there is no room.
#[derive(Debug, Clone, Default)]
pub struct Refusals {
    /// The server is full.
    pub at_all: Arc<str>,
    /// The visitor has as many connections as it may.
    pub of_visitor: Arc<str>,
}

/// That a server that takes so many connections can take no more.
pub fn full(connections: usize) -> Error {
    let text = format!("the server holds {connections} connections, which is the limit");
    Error::new(Code::Unavailable, text)
}

/// Why there is no room.
enum NoRoom {
    AtAll,
    OfVisitor,
}

/// What the accept loops share.
#[derive(Debug, Clone)]
pub struct Acceptor {
    /// Ends the loops.
    pub stop: Stop,
    /// Knows every task.
    pub tasks: TaskTracker,
    /// One place a connection.
    places: Arc<Places>,
    /// Places for asking after the server's health, beyond those.
    places_for_health: Arc<Places>,
    /// Places for the Unix socket, beyond those: its clients are this machine's own.
    places_for_unix: Arc<Places>,
    /// Whose connections they are.
    pub visitors: Visitors,
    /// The connections that are open.
    pub register: Arc<Connections>,
    /// Where it is noted whose were too many.
    audit: Audit,
    /// Turns to refuse a connection politely.
    refusals: Arc<Semaphore>,
    rules: Arc<Rules>,
    /// The proxies that connections may come from, and how long one may take for its header.
    proxies: (Arc<Proxies>, Duration),
}

impl Acceptor {
    /// One for at most so many connections.
    pub fn new(
        connections: usize,
        visitors: Visitors,
        metrics: Arc<Metrics>,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            stop: Stop::default(),
            tasks: TaskTracker::new(),
            places: Places::new(connections),
            places_for_health: Places::new(CONNECTIONS_RESERVED),
            places_for_unix: Places::new(CONNECTIONS_RESERVED),
            visitors,
            register: Arc::default(),
            audit: Audit::default(),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            rules: Arc::new(Rules { metrics, timeouts }),
            proxies: (Arc::default(), Duration::ZERO),
        }
    }

    /// The same behind proxies; where they must tell whose a connection is, they have this long.
    #[must_use]
    pub fn behind(self, proxies: &Arc<Proxies>, unfinished: Duration) -> Self {
        Self { proxies: (proxies.clone(), unfinished), ..self }
    }

    /// The same, which keeps this audit trail.
    #[must_use]
    pub fn auditing(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Accepts from a socket, if there is one, in a task of its own.
    pub fn listen<L, F, T>(
        &self,
        socket: Option<L>,
        listener: Listener,
        refusals: Refusals,
        serve: F,
    ) where
        L: Accept + Sync + 'static,
        F: Fn(Guarded<L::Stream>) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        if let Some(socket) = socket {
            self.tasks.spawn(self.clone().accept(socket, listener, refusals, serve));
        }
    }

    /// Accepts until the stop; each stream is served by a task of its own.
    pub async fn accept<L, F, T>(self, socket: L, listener: Listener, refusals: Refusals, serve: F)
    where
        L: Accept,
        F: Fn(Guarded<L::Stream>) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let (serve, refusals) = (Arc::new(serve), Arc::new(refusals));
        let mut backoff = Backoff::default();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = socket.accept(self.rules.timeouts) => accepted,
            };
            let (stream, ends) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // One bad socket, or no descriptor left: never the end of the listener.
                    tracing::warn!(?listener, %error, "accept failed");
                    backoff.pause(&self.stop).await;
                    continue;
                }
            };
            backoff = Backoff::default();
            // Behind a proxy the clients are visitors, who are not known yet.
            let is_forwarded = self.proxies.0.forward(listener, ends);
            let visitor = self.visitors.at(ends.address().filter(|_| !is_forwarded));
            let (place, is_reserved) = match self.room_for(listener, &visitor) {
                Ok(room) => room,
                Err(NoRoom::OfVisitor) => {
                    self.refuse_visitor(stream, listener, ends, &refusals);
                    continue;
                }
                Err(NoRoom::AtAll) => {
                    self.refuse(stream, &refusals.at_all);
                    continue;
                }
            };
            let accepted = Accepted { stream, ends, visitor, place, is_reserved };
            if self.proxies.0.head(listener) {
                let (serve, refusals) = (serve.clone(), refusals.clone());
                self.tasks.spawn(self.clone().hear_header(accepted, listener, refusals, serve));
            } else {
                self.open(accepted, listener, &*serve);
            }
        }
    }

    /// Serves a stream by a task of its own.
    fn open<S, T>(&self, accepted: Accepted<S>, listener: Listener, serve: impl Fn(Guarded<S>) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Accepted { stream, ends, visitor, place, is_reserved } = accepted;
        let registered = self.register.register(Arrival { listener, ends, visitor, is_reserved });
        let open = ConnectionGuard::new(place, self.tasks.token(), &self.rules, registered);
        let serving = serve(Guarded::new(stream, open));
        if is_reserved {
            let serving = Box::pin(serving);
            self.tasks.spawn(async {
                let _ = timeout(RESERVED_CONNECTION_TIME, serving).await;
            });
        } else {
            self.tasks.spawn(serving);
        }
    }

    /// Serves a stream once its proxy has told whose it is.
    async fn hear_header<S, F, T>(
        self,
        mut accepted: Accepted<S>,
        listener: Listener,
        refusals: Arc<Refusals>,
        serve: Arc<F>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Fn(Guarded<S>) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        let (proxies, unfinished) = &self.proxies;
        let told = proxies.told_ends(&mut accepted.stream, accepted.ends);
        let told = tokio::select! {
            () = self.stop.cancelled() => return,
            told = timeout(*unfinished, told) => told.unwrap_or_else(|late| Err(late.into())),
        };
        match told {
            Ok(ends) => {
                let visitor = self.visitors.at(ends.address());
                if visitor.enter() {
                    self.open(Accepted { ends, visitor, ..accepted }, listener, &*serve);
                } else {
                    self.refuse_visitor(accepted.stream, listener, ends, &refusals);
                }
            }
            Err(error) => {
                self.rules.metrics.connections_refused.inc();
                tracing::debug!(?listener, peer = %accepted.ends, %error, "no PROXY header");
            }
        }
    }

    /// A place for a connection of a visitor, and whether it is only for asking after the server's
    /// health.
    fn room_for(&self, listener: Listener, visitor: &Visitor) -> Result<(Place, bool), NoRoom> {
        if !visitor.enter() {
            return Err(NoRoom::OfVisitor);
        }
        let own = self.places.take();
        let found = match (own, listener) {
            (Some(place), _) => Some((place, false)),
            (None, Listener::Unix) => self.places_for_unix.take().map(|place| (place, false)),
            (None, Listener::Http | Listener::Https) => {
                self.places_for_health.take().map(|place| (place, true))
            }
            (None, Listener::Tcp | Listener::Tcps | Listener::Udp) => None,
        };
        found.ok_or_else(|| {
            visitor.leave();
            NoRoom::AtAll
        })
    }

    /// Says so to a visitor that has as many connections as it may, and notes it.
    fn refuse_visitor<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        listener: Listener,
        ends: Ends,
        refusals: &Refusals,
    ) {
        if self.audit.is_on() {
            let actor =
                Actor { identity: None, address: ends.address(), transport: Some(listener.name()) };
            let error = self.visitors.limits().no_more_connections();
            self.audit.refused(actor, AuditAction::Connect, &error);
        }
        self.refuse(stream, &refusals.of_visitor);
    }

    /// Says that there is no room, and waits a moment for the peer to hear it.
    fn refuse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        mut stream: S,
        text: &Arc<str>,
    ) {
        self.rules.metrics.connections_refused.inc();
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        let text = text.clone();
        self.tasks.spawn(async move {
            let say = async {
                stream.write_all(text.as_bytes()).await?;
                stream.shutdown().await?;
                let mut rest = [0; 1024];
                while stream.read(&mut rest).await? > 0 {}
                io::Result::Ok(())
            };
            let _ = timeout(Duration::from_secs(1), say).await;
            drop(turn);
        });
    }
}

/// Waits longer after each failure: 10 ms, doubling to a second.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Duration::from_millis(10))
    }
}

impl Backoff {
    async fn pause(&mut self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.0) => {}
        }
        self.0 = (self.0 * 2).min(Duration::from_secs(1));
    }
}
